package gateway

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/promgate/promgate/routing"
)

// row is what is expected of one endpoint. A row that is missing here, or has
// no endpoint, fails the test.
type row struct {
	path    string // below the environment
	methods string
	// query is what goes upstream: every parameter of the endpoint once, in
	// the order of the table, several of a kind twice.
	query string
	media string
	// contentType is what the client sees; empty: application/json.
	contentType string
	accept      string
}

const hours = "start=1767225600&end=1767229200"

var rows = map[string]row{
	"query_range":         {path: "api/v1/query_range", methods: "GET POST", query: "limit=10&" + hours + "&step=15&timeout=30s&lookback_delta=5m&stats=all&query=rate%28up%5B5m%5D%29"},
	"query":               {path: "api/v1/query", methods: "GET POST", query: "limit=10&time=4&timeout=30s&lookback_delta=5m&stats=all&query=1%2B1"},
	"query_exemplars":     {path: "api/v1/query_exemplars", methods: "GET POST", query: hours + "&query=up"},
	"format_query":        {path: "api/v1/format_query", methods: "GET POST", query: "query=up%7Bjob%3D%22api%22%7D"},
	"parse_query":         {path: "api/v1/parse_query", methods: "GET POST", query: "query=up%7Bjob%3D%22api%22%7D"},
	"labels":              {path: "api/v1/labels", methods: "GET POST", query: "limit=10&" + hours + "&match%5B%5D=up&match%5B%5D=%7Bjob%3D%22a+b%22%7D"},
	"label_values":        {path: "api/v1/label/job/values", methods: "GET POST", query: "limit=10&" + hours + "&match%5B%5D=up&match%5B%5D=%7Bjob%3D%22a%22%7D"},
	"series":              {path: "api/v1/series", methods: "GET POST", query: "limit=10&" + hours + "&match%5B%5D=up&match%5B%5D=%7Bjob%3D%22a%22%7D"},
	"metadata":            {path: "api/v1/metadata", methods: "GET", query: "limit=-1&limit_per_metric=2&metric=up"},
	"search_metric_names": {path: "api/v1/search/metric_names", methods: "GET POST", query: searchQuery + "&include_metadata=true", media: ndjson, contentType: ndjson, accept: "application/x-ndjson, application/json"},
	"search_label_names":  {path: "api/v1/search/label_names", methods: "GET POST", query: searchQuery, media: ndjson, contentType: ndjson, accept: "application/x-ndjson, application/json"},
	"search_label_values": {path: "api/v1/search/label_values", methods: "GET POST", query: searchQuery + "&label=job", media: ndjson, contentType: ndjson, accept: "application/x-ndjson, application/json"},
	"rules":               {path: "api/v1/rules", methods: "GET", query: "type=alert&rule_name%5B%5D=a&rule_name%5B%5D=b&rule_group%5B%5D=g&file%5B%5D=%2Fetc%2Fr.yml&match%5B%5D=up&exclude_alerts=true&group_limit=10&group_next_token=abc"},
	"alerts":              {path: "api/v1/alerts", methods: "GET"},
	"buildinfo":           {path: "api/v1/status/buildinfo", methods: "GET"},
	"healthy":             {path: "-/healthy", methods: "GET HEAD", media: "text/plain; charset=utf-8", contentType: "text/plain; charset=utf-8", accept: "text/plain"},
	"ready":               {path: "-/ready", methods: "GET HEAD", media: "text/plain", contentType: "text/plain; charset=utf-8", accept: "text/plain"},
	"federate":            {path: "federate", methods: "GET", query: "match%5B%5D=up&match%5B%5D=%7Bjob%3D%22a%22%7D", media: "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", contentType: "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", accept: "text/plain;version=0.0.4"},
	"remote_read":         {path: "api/v1/read", methods: "POST", media: "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse", contentType: "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse", accept: "-"},
}

const (
	ndjson      = "application/x-ndjson; charset=utf-8"
	searchQuery = hours + "&match%5B%5D=up&search%5B%5D=a&search%5B%5D=b&fuzz_threshold=50&fuzz_alg=subsequence&case_sensitive=false&include_score=true&sort_by=alpha&sort_dir=dsc&limit=10&batch_size=5"
)

// hostileHeaders mean something to somebody on the way, and must not get there.
var hostileHeaders = http.Header{
	"Impersonate-User": {"system:admin"}, "Impersonate-Group": {"system:masters"}, "Impersonate-Uid": {"0"}, "Impersonate-Extra-Scopes": {"all"},
	"X-Remote-User": {"admin"}, "X-Remote-Group": {"system:masters"}, "X-Remote-Extra-Scopes": {"all"},
	"X-Scope-Orgid": {"other"}, "X-Forwarded-For": {"10.0.0.1"}, "X-Forwarded-Host": {"evil.example"}, "X-Forwarded-Proto": {"https"},
	"Forwarded": {"for=10.0.0.1"}, "X-Real-Ip": {"10.0.0.1"}, "X-Forwarded-Uri": {"/"}, "X-Original-Url": {"/admin"}, "X-Rewrite-Url": {"/admin"},
	"X-Http-Method-Override": {"DELETE"}, "Cookie": {"session=1"}, "Te": {"trailers"}, "Range": {"bytes=0-1"}, "If-None-Match": {`"1"`},
	"If-Modified-Since": {"Mon, 02 Jan 2006 15:04:05 GMT"}, "Origin": {"https://evil.example"}, "Referer": {"https://evil.example"},
	"Proxy-Authorization": {"Basic x"}, "X-Csrf-Token": {"x"}, "X-Request-Id": {"chosen"}, "Baggage": {"a=b"}, "Via": {"1.1 x"},
	"Cache-Control": {"no-cache"}, "Pragma": {"no-cache"}, "User-Agent": {"evil"}, "Accept-Language": {"de"}, "X-Grafana-Org-Id": {"1"},
}

// nominated are headers that mean something on the first hop of HTTP/1 alone.
var nominated = http.Header{"Connection": {"X-Content-Type-Options, Content-Security-Policy, X-Scope-Orgid"}, "Keep-Alive": {"timeout=1"}, "Upgrade": {"websocket"}}

func TestEveryEndpoint(t *testing.T) {
	for name, variant := range map[string]func(testing.TB, ...func(*Options)) *harness{"h1": newHarness, "h2": newHarness2} {
		h := variant(t)
		h.edit(func(e *routing.Environment) { e.Target.Header = http.Header{"X-Scope-Orgid": {"shop"}} })
		covered := map[string]bool{}
		for _, e := range Endpoints() {
			want, ok := rows[e.Name]
			if !ok {
				t.Fatalf("endpoint %s has no row in this test", e.Name)
			}
			covered[e.Name] = true
			if got := strings.Join(e.Methods, " "); got != want.methods {
				t.Errorf("%s: methods %q, want %q", e.Name, got, want.methods)
			}
			for _, method := range e.Methods {
				t.Run(name+"/"+e.Name+"/"+method, func(t *testing.T) { testEndpoint(t, h, e, want, method) })
			}
		}
		for name := range rows {
			if !covered[name] {
				t.Errorf("row %s has no endpoint", name)
			}
		}
	}
}

func testEndpoint(t *testing.T, h *harness, e *Endpoint, want row, method string) {
	h.t = t
	media, contentType, body := want.media, want.contentType, emptyResult
	if media == "" {
		media, contentType = "application/json", "application/json"
	}
	h.up.answerWith(answerAs(http.StatusOK, media, body))

	for _, r := range spread(h, e, want, method) {
		maps.Copy(r.Header, hostileHeaders.Clone())
		if !h.h2 {
			maps.Copy(r.Header, nominated.Clone())
		}
		if want.accept != "" && want.accept != "-" {
			r.Header.Set("Accept", want.accept)
		} else {
			r.Header.Set("Accept", "text/html")
		}
		got := h.do(r)

		calls := h.up.take()
		if len(calls) != 1 {
			t.Fatalf("the upstream saw %d requests, want 1; the answer is %d %s", len(calls), got.status, got.body)
		}
		checkOutbound(t, h, e, want, calls[0])

		if method == http.MethodHead {
			body = ""
		}
		if got.status != http.StatusOK || got.body != body || got.err != nil {
			t.Errorf("answer %d %q (%v), want 200 %q", got.status, got.body, got.err, body)
		}
		wantHeader := http.Header{
			"Content-Type": {contentType}, "Content-Length": {"63"}, "Vary": {"Accept-Encoding"},
			"Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"}, "X-Request-Id": {"ID"},
			"Content-Security-Policy": {"default-src 'none'; frame-ancestors 'none'; sandbox"},
		}
		if e.form.flush {
			delete(wantHeader, "Content-Length")
			delete(got.header, "Content-Length")
		}
		sameHeader(t, "client", got.header, wantHeader)
	}
}

func checkOutbound(t *testing.T, h *harness, e *Endpoint, want row, call seen) {
	t.Helper()
	uri := prefixProduction + "/" + want.path
	if want.query != "" {
		uri += "?" + want.query
	}
	header := http.Header{
		"Accept": {"application/json"}, "Accept-Encoding": {"identity"}, "User-Agent": {"promgate/test"}, "X-Scope-Orgid": {"shop"},
	}
	method := http.MethodGet
	switch {
	case e.Body:
		method = http.MethodPost
		delete(header, "Accept")
		header["Content-Type"], header["Content-Encoding"] = []string{"application/x-protobuf"}, []string{"snappy"}
		header["Content-Length"], header["X-Prometheus-Remote-Read-Version"] = []string{"6"}, []string{"0.1.0"}
		if call.body != "snappy" {
			t.Errorf("the upstream saw the body %q", call.body)
		}
	case want.accept != "":
		header["Accept"] = []string{want.accept}
	}
	if call.method != method || call.uri != uri || call.host != strings.TrimPrefix(h.up.URL, "http://") {
		t.Errorf("the upstream saw\n%s %s at %s, want\n%s %s", call.method, call.uri, call.host, method, uri)
	}
	sameHeader(t, "upstream", call.header, header)
}

// spread sends the same parameters in every way that the method has: all in
// the URL, all in the form, some here and some there, with unknown ones and
// with equal repetitions.
func spread(h *harness, e *Endpoint, want row, method string) []*http.Request {
	target := production + want.path
	if e.Body {
		r := h.request(method, target+"?query=dropped", "snappy")
		r.Header.Set("Content-Type", "application/x-protobuf")
		r.Header.Set("Content-Encoding", "snappy")
		r.Header.Set("X-Prometheus-Remote-Read-Version", "0.1.0")
		return []*http.Request{r}
	}
	pairs := strings.Split(want.query, "&")
	if want.query == "" {
		pairs = nil
	}
	reversed := reorder(pairs)
	all := []*http.Request{
		h.request(method, target+"?"+want.query, ""),
		h.request(method, target+"?unknown=1&"+strings.Join(append(reversed, "access_token=x", "_=1", "time_zone=2"), "&"), ""),
	}
	if single := slices.IndexFunc(pairs, func(p string) bool { return !strings.Contains(p, "%5B%5D=") }); single >= 0 {
		all = append(all, h.request(method, target+"?"+want.query+"&"+pairs[single]+"&"+strings.Split(pairs[single], "=")[0]+"=", ""))
	}
	if method == http.MethodPost {
		half := len(pairs) / 2
		all = append(all,
			h.request(method, target, want.query),
			h.request(method, target+"?"+strings.Join(pairs[:half], "&"), strings.Join(append(slices.Clone(pairs[half:]), "unknown=1"), "&")))
	}
	return all
}

// reorder reverses the parameters, but not those of one name among themselves.
func reorder(pairs []string) []string {
	out := slices.Clone(pairs)
	position := map[string]int{}
	for i, p := range pairs {
		name, _, _ := strings.Cut(p, "=")
		if _, ok := position[name]; !ok {
			position[name] = i
		}
	}
	slices.SortStableFunc(out, func(a, b string) int {
		nameA, _, _ := strings.Cut(a, "=")
		nameB, _, _ := strings.Cut(b, "=")
		return position[nameB] - position[nameA]
	})
	return out
}

func sameHeader(t *testing.T, side string, got, want http.Header) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if !slices.Equal(got[name], want[name]) {
			t.Errorf("the %s sees %s: %q, want %q", side, name, got[name], want[name])
		}
	}
	for name := range want {
		if _, ok := got[name]; !ok {
			t.Errorf("the %s does not see %s: %q", side, name, want[name])
		}
	}
}

func TestContradictingParameters(t *testing.T) {
	h := newHarness(t)
	for _, e := range Endpoints() {
		for _, p := range e.Params {
			if p.Multi {
				continue
			}
			name := url.QueryEscape(p.Name)
			requests := map[string]*http.Request{"url": h.request(http.MethodGet, production+rows[e.Name].path+"?"+name+"=1&"+name+"=2", "")}
			if slices.Contains(e.Methods, http.MethodPost) {
				requests["url and form"] = h.request(http.MethodPost, production+rows[e.Name].path+"?"+name+"=1", name+"=2")
			}
			for where, r := range requests {
				got := h.do(r)
				want := `{"status":"error","errorType":"bad_data","error":"parameter \"` + p.Name + `\" is given twice with different values (request id ID)"}`
				if got.status != http.StatusBadRequest || got.body != want {
					t.Errorf("%s, %s in %s: %d %s, want 400 %s", e.Name, p.Name, where, got.status, got.body, want)
				}
			}
		}
	}
	if calls := h.up.take(); len(calls) != 0 {
		t.Errorf("the upstream saw %v", calls)
	}
}
