package perses

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/promgate/promgate/gateway"
)

const (
	ownURL   = "/projects/shop/environments/production/"
	proxyURL = "/perses/proxy/projects/shop/datasources/main/"
)

// dataProxies are the ways to shop/production.
var dataProxies = []string{proxyURL, "/perses/proxy/projects/shop/dashboards/board/datasources/local/", "/perses/proxy/globaldatasources/everywhere/"}

func newDataHarness(t *testing.T, change ...func(*gateway.Options)) *apiHarness {
	h := newAPIHarness(t, change...)
	h.fill()
	h.objects.put(Dashboards, "shop", "board", `{"datasources":{"local":`+promSpec("http://prometheus.shop.svc:web")+`}}`)
	return h
}

// TestSameAnswers: through a data source the environment answers as it does by its
// own URL: status, headers, body, and what it asks upstream.
func TestSameAnswers(t *testing.T) {
	h := newDataHarness(t)
	const form = "query=up&start=1700000000&end=1700003600&step=60"
	upstream := map[string]http.HandlerFunc{
		"answers": nil,
		"refuses": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = io.WriteString(w, `{"status":"error","errorType":"execution","error":"too many samples"}`)
		},
		"is away": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		"denies":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
	}
	for what, handler := range upstream {
		h.up.answerWith(handler)
		for _, c := range [][3]string{
			{"GET", "api/v1/query?query=up&time=1700000000", ""}, {"POST", "api/v1/query", "query=up&time=1700000000"},
			{"POST", "api/v1/query?stats=all", "query=up&time=1700000000"}, {"GET", "api/v1/query?query=up{namespace=\"billing\"}&time=1", ""},
			{"GET", "api/v1/query_range?" + form, ""}, {"POST", "api/v1/query_range", form}, {"POST", "api/v1/query_range", "query=up"},
			{"GET", "api/v1/labels", ""}, {"POST", "api/v1/labels", "match[]=up"}, {"GET", "api/v1/label/job/values", ""},
			{"POST", "api/v1/label/job/values", "match[]=up"}, {"GET", "api/v1/label/h%C3%B6he/values", ""}, {"GET", "api/v1/series?match[]=up", ""},
			{"POST", "api/v1/series", "match[]=up"}, {"GET", "api/v1/series", ""}, {"GET", "api/v1/metadata", ""}, {"POST", "api/v1/metadata", "limit=1"},
			{"GET", "api/v1/query?query=up{", ""}, {"GET", "-/healthy", ""}, {"HEAD", "-/healthy", ""}, {"GET", "api/v1/status/buildinfo", ""},
			{"GET", "federate?match[]=up", ""}, {"POST", "api/v1/read", "x"}, {"GET", "api/v1/rules", ""}, {"GET", "api/v1/alerts", ""},
		} {
			for _, token := range []string{anna, dora} {
				ask := func(base string) (apiAnswer, string) {
					got := h.do(h.request(c[0], base+strings.ReplaceAll(c[1], `"`, "%22"), token, c[2]))
					return got, fmt.Sprint(h.up.take())
				}
				want, asked := ask(ownURL)
				for _, base := range dataProxies {
					got, now := ask(base)
					if got.status == http.StatusMethodNotAllowed && c[0] == "POST" { // told in the words of Perses' clients
						h.expect(c[1], got, want.status, `{"message":"this endpoint takes GET, not POST"}`)
						want.body = got.body
						want.header.Set("Content-Length", got.header.Get("Content-Length"))
					}
					if got.status != want.status || got.body != want.body || fmt.Sprint(got.header) != fmt.Sprint(want.header) || now != asked {
						t.Errorf("%s: %s %s%s:\n got %d %v %s %s\nwant %d %v %s %s", what, c[0], base, c[1],
							got.status, got.header, got.body, now, want.status, want.header, want.body, asked)
					}
				}
			}
		}
	}
}

// TestEnforced: a panel reads no more than its environment gives.
func TestEnforced(t *testing.T) {
	h := newDataHarness(t)
	for _, base := range dataProxies {
		h.do(h.request("POST", base+"api/v1/query", anna, "query="+url.QueryEscape(`sum(up{namespace="billing"})`)+"&time=1"))
		calls := fmt.Sprint(h.up.take())
		if decoded, _ := url.QueryUnescape(calls); !strings.Contains(decoded, `namespace="billing"`) || !strings.Contains(decoded, `namespace="shop"`) {
			t.Errorf("%s: the upstream got %s", base, decoded)
		}
	}
}

// TestOneBudget: the ways to an environment share what may be asked of it.
func TestOneBudget(t *testing.T) {
	h := newDataHarness(t, func(o *gateway.Options) { o.Limits.Default.RequestsPerSecond, o.Limits.Default.Burst = 1, 3 })
	h.expect("first", h.get(anna, ownURL+question), 200, `{"status":"success","data":[]}`)
	for _, base := range dataProxies[:2] {
		h.expect(base, h.get(anna, base+question), 200, `{"status":"success","data":[]}`)
	}
	for _, base := range append(dataProxies, ownURL) {
		got := h.get(anna, base+question)
		if got.status != 429 || got.header.Get("Retry-After") == "" || !strings.Contains(got.body, `"errorType":"too_many_requests"`) {
			t.Errorf("%s: got %d %v %s", base, got.status, got.header, got.body)
		}
	}
	if calls := h.up.take(); len(calls) != 3 {
		t.Errorf("the upstream got %q", calls)
	}
}

// TestEndpointTable: the data routes lead to the read API and to nothing else.
func TestEndpointTable(t *testing.T) {
	h := newDataHarness(t)
	for _, path := range []string{
		"api/v1/admin/tsdb/delete_series?match[]=up", "api/v1/admin/tsdb/snapshot", "api/v1/admin/tsdb/clean_tombstones", "-/reload", "-/quit",
		"api/v1/targets", "api/v1/targets/metadata", "api/v1/status/config", "api/v1/status/flags", "api/v1/status/tsdb", "api/v1/status/runtimeinfo",
		"api/v1/write", "api/v1/otlp/v1/metrics", "api/v1/alertmanagers", "api/v1/notifications", "metrics", "debug/pprof/heap", "graph", "api/v1", "api/v1/query/x",
		"api/v1/label/a/b/values", "query", "projects/shop/environments/production/api/v1/query", "api/v2/query",
	} {
		for _, base := range append(dataProxies, "/perses/proxy/unsaved/projects/shop/datasources/", "/perses/proxy/unsaved/globaldatasources/") {
			h.expect("GET "+base+path, h.get(anna, base+path), 404, notThere)
			got := h.do(h.request("POST", base+path, anna, "x=y"))
			if got.status != 404 && got.status != 405 || got.body != notThere && got.body != cannotPut {
				t.Errorf("POST %s%s: got %d %s", base, path, got.status, got.body)
			}
			for _, method := range []string{"PUT", "DELETE"} {
				h.expect(method+" "+base+path, h.do(h.request(method, base+path, anna, "x=y")), 405, cannotPut)
			}
			h.silent(base + path)
		}
	}
}
