package gateway

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/promgate/promgate/routing"
)

func kubernetesStatus(code int, reason, message string) http.HandlerFunc {
	return answerJSON(code, `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"`+message+`","reason":"`+reason+`","code":`+itoa(code)+`}`+"\n")
}

func gzipped(text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.Bytes()
}

func with(h http.HandlerFunc, pairs ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h(headerFirst{w, pairs}, r)
	}
}

// headerFirst sets headers when the first is written.
type headerFirst struct {
	http.ResponseWriter
	pairs []string
}

func (w headerFirst) WriteHeader(status int) {
	for i := 0; i+1 < len(w.pairs); i += 2 {
		w.Header().Set(w.pairs[i], w.pairs[i+1])
	}
	w.ResponseWriter.WriteHeader(status)
}

const (
	messageRefused   = "the gateway is not allowed to reach this environment's Prometheus: tell its operator, whose log says what is missing"
	messageNow       = "this environment's Prometheus is not available right now: try again in a moment; if it lasts, tell its operator"
	messageDown      = "this environment's Prometheus is not available: tell its operator, whose log says why"
	messageNot       = "what answered for this environment is not Prometheus: tell its operator, who may check port, scheme and path prefix"
	messageMissing   = "this environment's Prometheus does not have this endpoint, or has it switched off"
	messageBusy      = "this environment's Prometheus has too many queries: try again in a moment"
	messageUnreached = "this environment's Prometheus cannot be reached right now: try again in a moment; if it lasts, tell the environment's operator"
	messageSlow      = "this environment's Prometheus took too long: ask for a shorter range, a larger step or fewer series"
	messageBroken    = "this environment's Prometheus broke its answer off: try again; if it lasts, tell the environment's operator"
)

type refusalCase struct {
	endpoint string // empty: query
	form     string // sent as a POST; empty: GET
	decoded  bool   // only where the gateway decodes
	direct   bool   // the target is a URL, not a service proxy
	answer   http.HandlerFunc
	status   int
	kind     string
	message  string
	retry    string
	hop      string
	cause    string // part of it
	advice   string
}

const forbidden = `services \"http:prometheus:web\" is forbidden: User \"promgate\" cannot get resource \"services/proxy\"`

var refusals = map[string]refusalCase{
	"k8s 404":              {answer: kubernetesStatus(404, "NotFound", `services \"prometheus\" not found`), status: 503, kind: "unavailable", message: messageDown, hop: "service", cause: "404 NotFound"},
	"k8s 403":              {answer: kubernetesStatus(403, "Forbidden", forbidden), status: 503, kind: "unavailable", message: messageRefused, hop: "rbac", cause: "403 Forbidden", advice: "Role for get on shop/http:prometheus:web"},
	"k8s 403, POST":        {endpoint: "remote_read", answer: kubernetesStatus(403, "Forbidden", forbidden), status: 503, message: messageRefused, hop: "rbac", cause: "403 Forbidden", advice: "Role for create on shop/http:prometheus:web"},
	"k8s 403, long query":  {form: longForm(), answer: kubernetesStatus(403, "Forbidden", forbidden), status: 503, kind: "unavailable", message: messageRefused, hop: "rbac", cause: "403 Forbidden", advice: "Role for create on shop/http:prometheus:web"},
	"k8s 401":              {answer: kubernetesStatus(401, "Unauthorized", "Unauthorized"), status: 503, kind: "unavailable", message: messageRefused, hop: "api server", cause: `credentials for cluster "local"`},
	"k8s 429":              {answer: with(kubernetesStatus(429, "TooManyRequests", "too many requests"), "Retry-After", "7"), status: 503, kind: "unavailable", message: messageNow, retry: "7", hop: "api server", cause: "429"},
	"k8s 429, text":        {answer: with(answerAs(429, "text/plain", "Too many requests, please try again later."), "Retry-After", "1"), status: 503, kind: "unavailable", message: messageNow, retry: "1", hop: "api server", cause: "429"},
	"k8s 500":              {answer: kubernetesStatus(500, "InternalError", "etcdserver: request timed out"), status: 503, kind: "unavailable", message: messageNow, retry: "5", hop: "api server", cause: "etcdserver"},
	"k8s 503 no endpoints": {answer: kubernetesStatus(503, "ServiceUnavailable", `no endpoints available for service \"prometheus\"`), status: 503, kind: "unavailable", message: messageNow, retry: "10", hop: "endpoints", cause: "no endpoints available"},
	"k8s 503 no port":      {answer: kubernetesStatus(503, "ServiceUnavailable", `no service port \"web\" found for service \"prometheus\"`), status: 503, kind: "unavailable", message: messageDown, hop: "service", cause: "no service port"},
	"k8s 503 unreachable":  {answer: kubernetesStatus(503, "ServiceUnavailable", `error trying to reach service: dial tcp 10.0.0.1:9090: connect: connection refused`), status: 503, kind: "unavailable", message: messageNow, retry: "5", hop: "prometheus", cause: "connection refused"},
	"k8s 500 unreachable":  {answer: kubernetesStatus(500, "", `error trying to reach service: EOF`), status: 503, kind: "unavailable", message: messageNow, retry: "5", hop: "prometheus", cause: "EOF"},
	"k8s status of a URL":  {direct: true, answer: kubernetesStatus(403, "Forbidden", "no"), status: 502, kind: "bad_gateway", message: messageNot, hop: "prometheus", cause: "403 Forbidden"},

	"401":                    {answer: answerAs(401, "text/plain", "Unauthorized"), status: 503, kind: "unavailable", message: messageRefused, hop: "prometheus", cause: "status 401"},
	"403":                    {answer: answerJSON(403, `{"status":"error","errorType":"forbidden","error":"no"}`), status: 503, kind: "unavailable", message: messageRefused, hop: "prometheus", cause: "status 403"},
	"404":                    {answer: answerAs(404, "text/plain", "404 page not found"), status: 502, kind: "bad_gateway", message: messageNot, hop: "prometheus", cause: "status 404"},
	"404 of a newer one":     {endpoint: "search_label_names", answer: answerAs(404, "text/plain", "404 page not found"), status: 404, kind: "not_found", message: messageMissing},
	"404 of format_query":    {endpoint: "format_query", answer: answerAs(404, "text/html", "<h1>404</h1>"), status: 404, kind: "not_found", message: messageMissing},
	"search off":             {endpoint: "search_label_names", answer: answerJSON(503, `{"status":"error","errorType":"unavailable","error":"search API disabled"}`), status: 404, kind: "not_found", message: messageMissing},
	"429":                    {direct: true, answer: with(answerAs(429, "text/plain", "slow down"), "Retry-After", "9999"), status: 429, kind: "too_many_requests", message: messageBusy, retry: "120", hop: "prometheus", cause: "429"},
	"429 of Mimir":           {direct: true, answer: answerJSON(429, `{"status":"error","errorType":"too_many_requests","error":"the secret query"}`), status: 429, kind: "too_many_requests", message: messageBusy, retry: "5", hop: "prometheus", cause: "too_many_requests"},
	"499":                    {answer: answerJSON(499, `{"status":"error","errorType":"canceled","error":"query was canceled"}`), status: 503, kind: "unavailable", message: messageNow, retry: "5", hop: "prometheus", cause: "canceled"},
	"502":                    {answer: answerAs(502, "text/html", "<html>"), status: 503, kind: "unavailable", message: messageNow, retry: "5", hop: "prometheus", cause: "502"},
	"503 not ready":          {answer: with(answerAs(503, "text/plain", "Service Unavailable"), "Retry-After", "3"), status: 503, kind: "unavailable", message: messageNow, retry: "3", hop: "prometheus", cause: "503"},
	"504":                    {answer: answerAs(504, "", "x"), status: 503, kind: "unavailable", message: messageNow, retry: "5", hop: "prometheus", cause: "504"},
	"500 text":               {answer: answerAs(500, "text/plain", "panic: secret"), status: 502, kind: "bad_gateway", message: messageNot, hop: "prometheus", cause: "status 500"},
	"418":                    {answer: answerJSON(418, `{"status":"error","errorType":"bad_data","error":"x"}`), status: 502, kind: "bad_gateway", message: messageNot, hop: "prometheus", cause: "status 418"},
	"206":                    {answer: answerJSON(206, `{"status":"success"}`), status: 502, kind: "bad_gateway", message: messageNot, hop: "prometheus", cause: "status 206"},
	"204":                    {answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, status: 502, kind: "bad_gateway", message: messageNot, hop: "prometheus", cause: "status 204"},
	"200 HTML":               {answer: answerAs(200, "text/html; charset=utf-8", "<html>"), status: 502, kind: "bad_gateway", message: messageNot, hop: "prometheus", cause: `"text/html; charset=utf-8"`},
	"200 of no type":         {answer: func(w http.ResponseWriter, _ *http.Request) { w.Header()["Content-Type"] = nil; w.WriteHeader(200) }, status: 502, kind: "bad_gateway", message: messageNot, hop: "prometheus", cause: `content type ""`},
	"200 protobuf":           {answer: answerAs(200, "application/vnd.google.protobuf", "x"), status: 502, kind: "bad_gateway", message: messageNot, hop: "prometheus", cause: "protobuf"},
	"200 brotli":             {answer: with(answerJSON(200, "x"), "Content-Encoding", "br"), status: 502, kind: "bad_gateway", message: messageNot, hop: "prometheus", cause: `"br"`},
	"200 no gzip":            {decoded: true, answer: with(answerJSON(200, "not gzip at all"), "Content-Encoding", "gzip"), status: 502, kind: "bad_gateway", message: messageNot, hop: "prometheus", cause: "gzip"},
	"200 empty gzip":         {decoded: true, answer: with(answerJSON(200, ""), "Content-Encoding", "gzip"), status: 502, kind: "bad_gateway", message: messageNot, hop: "prometheus", cause: "gzip"},
	"buildinfo, no JSON":     {endpoint: "buildinfo", answer: answerJSON(200, "x"), status: 502, kind: "bad_gateway", message: messageNot, hop: "prometheus", cause: "build information"},
	"buildinfo, long":        {endpoint: "buildinfo", answer: answerJSON(200, strings.Repeat(" ", 2<<20)), status: 502, kind: "bad_gateway", message: messageNot, hop: "prometheus", cause: "too long"},
	"an endless error":       {answer: answerJSON(400, strings.Repeat(" ", 2<<20)), status: 502, kind: "bad_gateway", message: messageNot, hop: "prometheus", cause: "over 1048576 bytes"},
	"redirect":               {answer: with(answerAs(302, "", ""), "Location", "https://login.example/"), status: 502, kind: "bad_gateway", message: messageNot, hop: "prometheus", cause: "redirect"},
	"redirect of the prefix": {answer: with(answerAs(301, "", ""), "Location", "/prometheus/api/v1/query"), status: 502, kind: "bad_gateway", message: messageNot, hop: "prometheus", cause: "redirect"},
	"not modified":           {answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(304) }, status: 502, kind: "bad_gateway", message: messageNot, hop: "prometheus", cause: "304"},
	"federate 400":           {endpoint: "federate", answer: answerAs(400, "text/plain; charset=utf-8", "bad secret match\n"), status: 400, kind: "bad_data", message: "bad secret match"},
	"remote read 500":        {endpoint: "remote_read", answer: answerAs(500, "text/plain", "secret\n"), status: 500, message: "secret", hop: "prometheus"},
	"remote read 400 HTML":   {endpoint: "remote_read", answer: answerAs(400, "text/html", "<html>"), status: 502, message: messageNot, hop: "prometheus", cause: "status 400"},
}

const secretQuery = "the_secret_metric"

// longForm is a query that no URL holds.
func longForm() string {
	return url.Values{"query": {secretQuery + ` or {x="` + strings.Repeat("a", maxUpstreamURL) + `"}`}}.Encode()
}

func TestRefusals(t *testing.T) {
	h := newHarness(t)
	for name, c := range refusals {
		t.Run(name, func(t *testing.T) { testRefusal(t, h, c) })
	}
}

func testRefusal(t *testing.T, h *harness, c refusalCase) {
	h.t = t
	h.edit(func(e *routing.Environment) {
		e.AllowPost = true
		if c.direct {
			e.Target.ServiceProxy = nil
		}
	})
	h.up.answerWith(c.answer)
	for _, encoding := range []string{"identity", "gzip"} {
		if c.decoded && encoding == "gzip" {
			continue // passed through as it is: the client sees the fault itself
		}
		r := h.refusedRequest(c)
		r.Header.Set("Accept-Encoding", encoding)
		got := h.do(r)
		if calls := h.up.take(); len(calls) != 1 || calls[0].header.Get("Accept-Encoding") != encoding {
			t.Errorf("the upstream saw %d requests", len(calls))
		}
		extra := []string{"Retry-After", c.retry}
		if c.retry == "" {
			extra = nil
		}
		body := `{"status":"error","errorType":"` + c.kind + `","error":"` + c.message + ` (request id ID)"}`
		if c.kind == "" {
			body = c.message + " (request id ID)\n"
			extra = append(extra, "Content-Type", "text/plain; charset=utf-8")
		}
		checkError(t, "client", got, c.status, body, extra...)
		checkRefusalLog(t, h.log.next(t), got, c)
	}
}

func (h *harness) refusedRequest(c refusalCase) *http.Request {
	if c.endpoint == "" {
		c.endpoint = "query"
	}
	target := production + rows[c.endpoint].path + "?match[]=up&query=" + secretQuery
	switch {
	case c.endpoint == "remote_read":
		r := h.request(http.MethodPost, target, "x")
		r.Header.Set("Content-Type", "application/x-protobuf")
		r.Header.Set("Content-Encoding", "snappy")
		return r
	case c.form != "":
		return h.request(http.MethodPost, production+rows[c.endpoint].path, c.form)
	}
	return h.request(http.MethodGet, target, "")
}

func checkRefusalLog(t *testing.T, record map[string]any, got answer, c refusalCase) {
	t.Helper()
	text := func(key string) string { s, _ := record[key].(string); return s }
	if text("hop") != c.hop || !strings.Contains(text("cause"), c.cause) || text("advice") != c.advice || text("request_id") != got.id {
		t.Errorf("the log says %s, want hop %q, a cause with %q, advice %q", record["raw"], c.hop, c.cause, c.advice)
	}
	if raw := text("raw"); strings.Contains(raw, "secret") || strings.Contains(raw, "token-") {
		t.Errorf("the log says too much: %s", raw)
	}
	if level := text("level"); (level == "WARN") != (c.status >= 500) {
		t.Errorf("the log has %d at level %s", c.status, level)
	}
}

// TestPassedErrors: Prometheus' own errors are the client's, byte for byte.
func TestPassedErrors(t *testing.T) {
	h := newHarness(t)
	bodies := []string{
		`{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:3: parse error: x"}`,
		`{"status":"error","errorType":"execution","error":"` + strings.Repeat("many-to-many ", 500) + `","warnings":["w"],"infos":["i"]}` + "\n",
		"{ \"status\":\"error\",\r\n \"errorType\":\"timeout\", \"error\":\"query timed out in expression evaluation\",\"data\":null}",
	}
	for _, status := range []int{400, 404, 406, 422, 500, 503} {
		for _, body := range bodies {
			for _, packed := range []bool{false, true} {
				h.up.answerWith(answerJSON(status, body))
				if packed {
					h.up.answerWith(with(answerJSON(status, string(gzipped(body))), "Content-Encoding", "gzip"))
				}
				r := h.request(http.MethodGet, production+"api/v1/query?query=up", "")
				r.Header.Set("Accept-Encoding", "gzip")
				got := h.do(r)
				if got.status != status || got.body != body {
					t.Errorf("answer %d %q, want %d %q", got.status, got.body, status, body)
				}
				want := errorHeader(body)
				want["Content-Length"], want["Vary"] = []string{itoa(len(body))}, []string{"Accept-Encoding"}
				sameHeader(t, "client", got.header, want)
			}
		}
	}
}

func TestNoExemplars(t *testing.T) {
	h := newHarness(t)
	h.up.answerWith(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	got := h.get(production + "api/v1/query_exemplars?query=1&start=1767225600000&end=1767229200000")
	want := errorHeader("ID")
	delete(want, "Content-Type")
	delete(want, "Content-Length")
	want["Vary"] = []string{"Accept-Encoding"}
	if got.status != http.StatusNoContent || got.body != "" {
		t.Errorf("answer %d %q, want an empty 204", got.status, got.body)
	}
	sameHeader(t, "client", got.header, want)
}

func TestBuildInfo(t *testing.T) {
	h := newHarness(t)
	for upstream, want := range map[string]string{
		`{"status":"success","data":{"version":"3.15.0","features":{"a":"b"},"revision":"x"}}`: `{"status":"success","data":{"revision":"x","version":"3.15.0"}}`,
		` {"status":"success", "data":{"version":"3.15.0"}}`:                                   ` {"status":"success", "data":{"version":"3.15.0"}}`,
	} {
		for _, packed := range []bool{false, true} {
			h.up.answerWith(answerJSON(200, upstream))
			if packed {
				h.up.answerWith(with(answerJSON(200, string(gzipped(upstream))), "Content-Encoding", "gzip"))
			}
			r := h.request(http.MethodGet, production+"api/v1/status/buildinfo", "")
			r.Header.Set("Accept-Encoding", "gzip")
			if got := h.do(r); got.status != 200 || got.body != want || got.header.Get("Content-Encoding") != "" || got.header.Get("Content-Length") != itoa(len(want)) {
				t.Errorf("answer %d %q %v, want %q", got.status, got.body, got.header, want)
			}
		}
	}
}
