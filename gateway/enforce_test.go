package gateway

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/promgate/promgate/gateway/promql"
	"github.com/promgate/promgate/routing"
)

// enforce has shop/production be one tenant of several on its server.
func (h *harness) enforce(labels map[string][]string) {
	h.edit(func(e *routing.Environment) { e.Enforce = labels })
}

var shopAlone = map[string][]string{"namespace": {"shop"}}

const matched = matchUp + `&match[]={namespace="shop",job="a"}`

// enforcedRows are what goes upstream of the queries of rows where the label
// namespace is enforced, not escaped. A row that is missing fails the test: what
// is new must say how it is enforced.
var enforcedRows = map[string][]string{
	"query_range":         {"limit=10&" + hours + `&step=15&timeout=30s&lookback_delta=5m&stats=all&query=rate(up{namespace="shop"}[5m])`},
	"query":               {"limit=10&time=4&timeout=30s&lookback_delta=5m&stats=all&query=1 + 1"},
	"query_exemplars":     {hours + `&query=up{namespace="shop"}`},
	"format_query":        {`query=up{job="api"}`}, // the text alone
	"parse_query":         {`query=up{job="api"}`},
	"labels":              {"limit=10&" + hours + matchUp + `&match[]={namespace="shop",job="a b"}`},
	"label_values":        {"limit=10&" + hours + matched},
	"series":              {"limit=10&" + hours + matched},
	"metadata":            {`match[]={namespace="shop"}&start=`, "metric=up"},
	"search_metric_names": {strings.Replace(enforcedSearch, "&search", matchUp+"&search", 1) + "&include_metadata=true"},
	"search_label_names":  {strings.Replace(enforcedSearch, "&search", matchUp+"&search", 1)},
	"search_label_values": {strings.Replace(enforcedSearch, "&search", matchUp+"&search", 1) + "&label=job"},
	"rules":               {"type=alert&rule_name[]=a&rule_name[]=b&rule_group[]=g&match[]=up&exclude_alerts=true"},
	"alerts":              {""},
	"buildinfo":           {""},
	"healthy":             {""},
	"ready":               {""},
	"federate":            {strings.TrimPrefix(matched, "&")},
	"remote_read":         nil, // by its body
}

const (
	matchUp        = `&match[]={namespace="shop",__name__="up"}`
	enforcedSearch = hours + "&search[]=a&search[]=b&fuzz_threshold=50&fuzz_alg=subsequence&case_sensitive=false&include_score=true&sort_by=alpha&sort_dir=dsc&limit=10&batch_size=5"
)

// enforcedAnswers are what the upstream answers where it is not emptyResult.
var enforcedAnswers = map[string]string{
	"rules":                        `{"status":"success","data":{"groups":[]}}`,
	"alerts":                       `{"status":"success","data":{"alerts":[]}}`,
	"metadata":                     `{"status":"success","data":{}}`,
	"api/v1/label/__name__/values": `{"status":"success","data":["up"]}`,
}

func TestEveryEndpointEnforced(t *testing.T) {
	h := newHarness(t)
	h.enforce(shopAlone)
	for _, e := range Endpoints() {
		want, ok := enforcedRows[e.Name]
		switch {
		case !ok:
			t.Errorf("endpoint %s has no row in this test", e.Name)
		case !e.Body:
			t.Run(e.Name, func(t *testing.T) { testEnforced(t, h, e, want) })
		}
	}
}

func testEnforced(t *testing.T, h *harness, e *Endpoint, want []string) {
	h.t = t
	media := rows[e.Name].media
	if media == "" {
		media = "application/json"
	}
	h.up.answerWith(func(w http.ResponseWriter, r *http.Request) {
		body := enforcedAnswers[e.Name]
		if strings.HasSuffix(r.URL.Path, "api/v1/label/__name__/values") {
			body = enforcedAnswers["api/v1/label/__name__/values"]
		}
		if body == "" {
			body = emptyResult
		}
		answerAs(http.StatusOK, media, body)(w, r)
	})
	got := h.get(production + rows[e.Name].path + "?" + rows[e.Name].query)
	status := http.StatusOK
	if e.Name == "rules" { // there is no page at its token
		status = http.StatusBadRequest
	}
	if got.status != status {
		t.Errorf("answer %d %s", got.status, got.body)
	}
	calls := h.up.take()
	if len(calls) != len(want) {
		t.Fatalf("the upstream saw %v, want %d questions", calls, len(want))
	}
	for i, call := range calls {
		_, raw, _ := strings.Cut(call.uri, "?")
		query, err := url.QueryUnescape(raw)
		if err != nil || query != want[i] && !(strings.HasSuffix(want[i], "=") && strings.HasPrefix(query, want[i])) {
			t.Errorf("the upstream saw\n%s, want\n%s", query, want[i])
		}
	}
}

// TestEnforcedWithoutSelectors: where no match[] is sent there is one all the
// same, but for those whose answer is then none.
func TestEnforcedWithoutSelectors(t *testing.T) {
	h := newHarness(t)
	h.enforce(map[string][]string{"namespace": {"shop", "shop-batch"}, "cluster": {"eu"}})
	const all = `match[]={cluster="eu",namespace=~"shop|shop-batch"}`
	for path, want := range map[string]string{
		"api/v1/labels": all, "api/v1/label/namespace/values": all, "api/v1/search/metric_names": all,
		"api/v1/search/label_values?label=namespace": all + "&label=namespace", "federate": "",
		"api/v1/query?query=vector(1)": "query=vector(1)",
	} {
		if got := h.get(production + path); got.status >= 500 && got.status != http.StatusBadGateway {
			t.Errorf("%s: answer %d %s", path, got.status, got.body)
		}
		calls := h.up.take()
		if len(calls) != 1 {
			t.Errorf("%s: the upstream saw %v", path, calls)
			continue
		}
		_, raw, _ := strings.Cut(calls[0].uri, "?")
		if query, _ := url.QueryUnescape(raw); query != want {
			t.Errorf("%s: the upstream saw %s, want %s", path, query, want)
		}
	}
	got := h.get(production + "api/v1/series")
	checkError(t, "series", got, http.StatusBadRequest, `{"status":"error","errorType":"bad_data","error":"no match[] parameter provided (request id ID)"}`)
	h.silent("series")
}

// TestNotEnforced: where nothing is enforced the text goes upstream as it is.
func TestNotEnforced(t *testing.T) {
	h := newHarness(t)
	for _, text := range []string{"sum  by(job)(up)  # why", "0x1F", "info(up)", `{"utf8.name"}`, "up@end()"} {
		h.get(production + "api/v1/query?query=" + url.QueryEscape(text))
		h.get(production + "api/v1/labels?match[]=" + url.QueryEscape("{  a='b' }"))
		calls := h.up.take()
		if len(calls) != 2 || !strings.HasSuffix(calls[0].uri, "?query="+url.QueryEscape(text)) || !strings.HasSuffix(calls[1].uri, url.QueryEscape("{  a='b' }")) {
			t.Errorf("%q: the upstream saw %v", text, calls)
		}
	}
}

// TestEndpointWithoutRule: what does not say how it is enforced is not there
// where something is.
func TestEndpointWithoutRule(t *testing.T) {
	for _, e := range Endpoints() {
		if e.rule.params == nil {
			t.Errorf("%s has no rule", e.Name)
		}
	}
	h := newHarness(t)
	h.gateway.endpoints.constant["api/v1/new"] = &Endpoint{Name: "new", Path: "api/v1/new", Methods: getPost, form: formJSON}
	if got := h.get(production + "api/v1/new"); got.status != http.StatusOK {
		t.Errorf("where nothing is enforced: %d %s", got.status, got.body)
	}
	h.up.take()
	h.enforce(shopAlone)
	checkError(t, "enforced", h.get(production+"api/v1/new"), http.StatusNotFound,
		`{"status":"error","errorType":"not_found","error":"this endpoint is not there where labels are enforced, as they are in this environment (request id ID)"}`)
	h.silent("enforced")
}

// TestEnforcementChanges: a request is enforced as its table says.
func TestEnforcementChanges(t *testing.T) {
	h := newHarness(t)
	for _, namespace := range []string{"shop", "shop", "billing"} {
		h.enforce(map[string][]string{"namespace": {namespace}})
		h.get(production + "api/v1/query?query=up")
		h.get(staging + "api/v1/query?query=up")
		calls := h.up.take()
		if len(calls) != 2 || !strings.HasSuffix(calls[0].uri, "?query="+url.QueryEscape(`up{namespace="`+namespace+`"}`)) || !strings.HasSuffix(calls[1].uri, "?query=up") {
			t.Errorf("%s: the upstream saw %v", namespace, calls)
		}
	}
}

// TestBrokenPolicy: what cannot be enforced is not sent.
func TestBrokenPolicy(t *testing.T) {
	h := newHarness(t)
	h.enforce(map[string][]string{"namespace": {""}})
	if got := h.get(production + "api/v1/query?query=up"); got.status != http.StatusInternalServerError {
		t.Errorf("answer %d %s", got.status, got.body)
	}
	h.silent("a broken policy")
}

func TestParamsError(t *testing.T) {
	fault := paramsError(invalidParam("query", promql.ErrEnforcement))
	var e *Error
	if !errors.As(fault, &e) || e.Status != http.StatusInternalServerError || strings.Contains(e.Message, "invalid parameter") || e.Cause == nil {
		t.Errorf("a fault of the gateway becomes %+v", fault)
	}
}

// TestRefusedByEnforcement: what cannot be enforced is refused with what to do.
func TestRefusedByEnforcement(t *testing.T) {
	h := newHarness(t)
	h.enforce(shopAlone)
	got := h.get(production + "api/v1/query?query=info(up)")
	if got.status != http.StatusBadRequest || !strings.Contains(got.body, `"errorType":"bad_data"`) || !strings.Contains(got.body, "info()") {
		t.Errorf("answer %d %s", got.status, got.body)
	}
	h.silent("info")
	for _, path := range []string{"api/v1/query?query=up{", "api/v1/series?match[]={", "api/v1/series?match[]={a=~'.*'}", "federate?match[]=up["} {
		if got := h.get(production + path); got.status != http.StatusBadRequest {
			t.Errorf("%s: answer %d %s", path, got.status, got.body)
		}
		h.silent(path)
	}
}

// TestUpstreamErrorsEnforced: positions are those of the user's text, and what
// may concern others is not shown.
func TestUpstreamErrorsEnforced(t *testing.T) {
	h := newHarness(t)
	h.enforce(shopAlone)
	h.up.answerWith(answerJSON(http.StatusBadRequest,
		`{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:30: parse error: function \"mad_over_time\" is not enabled","data":["other"],"warnings":["other"]}`))
	got := h.get(production + "api/v1/query?query=" + url.QueryEscape("up + mad_over_time(up[5m])"))
	const want = `{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:6: parse error: function \"mad_over_time\" is not enabled"}`
	if got.status != http.StatusBadRequest || got.body != want {
		t.Errorf("answer %d %s, want %s", got.status, got.body, want)
	}
	h.up.answerWith(answerJSON(http.StatusInternalServerError, `{"status":"error","errorType":"internal","error":"group billing-secrets failed"}`))
	for _, path := range []string{"api/v1/rules", "api/v1/alerts"} {
		checkError(t, path, h.get(production+path), http.StatusInternalServerError,
			`{"status":"error","errorType":"internal","error":"this environment's Prometheus answered with an error that may concern others and is not shown: tell the environment's operator, whose log has it (request id ID)"}`)
	}
}

// TestMalformedIsNotFiltered: what cannot be understood is not handed on.
func TestMalformedIsNotFiltered(t *testing.T) {
	h := newHarness(t)
	h.enforce(shopAlone)
	for path, good := range map[string]string{
		"api/v1/rules": enforcedAnswers["rules"], "api/v1/alerts": enforcedAnswers["alerts"], "api/v1/metadata": enforcedAnswers["metadata"],
	} {
		for _, body := range []string{"", "{}", good[:len(good)-1], good + "x", strings.Replace(good, "success", "other", 1), `{"status":"success","data":null}`} {
			h.up.answerWith(answerJSON(http.StatusOK, body))
			if got := h.get(production + path); got.status != http.StatusBadGateway {
				t.Errorf("%s: %q is answered %d %s", path, body, got.status, got.body)
			}
		}
	}
}

// TestFilteredBytes: what is filtered is within maxResponseBytes, too.
func TestFilteredBytes(t *testing.T) {
	h := newHarness(t, budgeted(func(b *Budget) { b.MaxResponseBytes = 1000 }))
	h.enforce(shopAlone)
	good := enforcedAnswers["rules"]
	for size, status := range map[int]int{1000: http.StatusOK, 1001: http.StatusUnprocessableEntity} {
		h.up.answerWith(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, strings.Repeat(" ", size-len(good))+good)
		})
		if got := h.get(production + "api/v1/rules"); got.status != status {
			t.Errorf("%d bytes are answered %d %s", size, got.status, got.body)
		}
	}
}
