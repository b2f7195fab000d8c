package perses

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// raw sends a path as it is written, which clients would tidy up.
func (h *apiHarness) raw(method, target, token string) apiAnswer {
	h.t.Helper()
	conn, err := net.Dial("tcp", h.server.Listener.Addr().String())
	if err != nil {
		h.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: gateway.example\r\nConnection: close\r\nAuthorization: Bearer %s\r\n\r\n", method, target, token); err != nil {
		h.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		h.t.Fatalf("%s: %v", target, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return apiAnswer{resp.StatusCode, resp.Header, string(body)}
}

// TestProxyNeedsAuthorization: Perses' proxy answered whoever asked, since it
// looked at nobody's permissions.
func TestProxyNeedsAuthorization(t *testing.T) {
	h := newAPIHarness(t)
	h.fill()
	h.objects.put(Dashboards, "shop", "board", `{"datasources":{"local":`+promSpec("http://prometheus.shop.svc:web")+`}}`)
	for _, path := range []string{
		"/proxy/projects/shop/datasources/main/", "/proxy/projects/shop/dashboards/board/datasources/local/", "/proxy/globaldatasources/everywhere/",
	} {
		for token, want := range map[string]int{"": 401, unknown: 401, ended: 401, pasted: 403, ben: 404, carla: 404, anna: 200, dora: 200} {
			for _, method := range []string{"GET", "POST"} {
				form := ""
				if method == "POST" {
					form = "query=up"
				}
				got := h.do(h.request(method, "/perses"+path+question, token, form))
				if got.status != want || want != 200 && !strings.HasPrefix(got.body, `{"message":"`) {
					t.Errorf("%s %s as %q: got %d %s", method, path, token, got.status, got.body)
				}
				if calls := h.up.take(); len(calls) > 0 != (want == 200) {
					t.Errorf("%s %s as %q: the upstream got %q", method, path, token, calls)
				}
			}
		}
	}
}

// TestTraversal: a project that the path only seems to name opens nothing, and
// nobody is asked for it.
func TestTraversal(t *testing.T) {
	h := newAPIHarness(t)
	h.fill()
	for _, project := range []string{
		"..", ".", "%2e%2e", "%2E%2E", ".%2e", "%252e%252e", "shop/..", "shop%2f..%2fbilling", "shop%2F..%2Fbilling", "shop%252f..%252fbilling",
		"../projects/billing", "..%2fprojects%2fbilling", "..;/billing", "shop;billing", "shop;x=y", `shop\billing`, `..\billing`, "shop%5cbilling",
		"shop%5C..%5Cbilling", "SHOP", "Billing", "bILLING", "%62illing", "billing%00", "billing%20", "billing%0a", "billing%3f", "billing%23", "billing.", ".billing",
		"billing~", "billing:x", "shop//billing", "/billing", "billing/", "*", "%2a", "billing,shop", "billing@shop", "billing%c0%ae", "bílling", "b%C4%B1lling", "",
	} {
		for _, format := range []string{
			"/perses/api/v1/projects/%s/dashboards", "/perses/api/v1/projects/%s/dashboards/orders", "/perses/api/v1/projects/%s/datasources/main",
			"/perses/api/v1/projects/%s", "/perses/proxy/projects/%s/datasources/main/" + question,
			"/perses/proxy/projects/%s/dashboards/orders/datasources/main/" + question,
			"/perses/proxy/projects/shop/datasources/%s/" + question, "/perses/proxy/globaldatasources/%s/" + question,
			"/perses/%s/api/v1/projects/billing", "/perses/api/v1/%s/dashboards",
		} {
			target := fmt.Sprintf(format, project)
			got := h.raw("GET", target, anna)
			if got.status != 404 && got.status != 400 {
				t.Errorf("%s: got %d %s", target, got.status, got.body)
			}
			if calls := h.up.take(); len(calls) > 0 {
				t.Errorf("%s: the upstream got %q", target, calls)
			}
			for _, asked := range h.objects.take() {
				t.Errorf("%s: asked %s", target, asked)
			}
		}
	}
}

// TestProjectParameter: what the path names no parameter changes.
func TestProjectParameter(t *testing.T) {
	h := newAPIHarness(t)
	h.fill()
	paths := []string{
		"/api/v1/projects/shop/dashboards", "/api/v1/projects/shop/dashboards/orders", "/api/v1/projects/shop/folders", "/api/v1/projects/shop",
		"/api/v1/projects/shop/datasources", "/api/v1/projects/shop/datasources/main", "/api/v1/projects/shop/variables",
		"/api/v1/globaldatasources", "/api/v1/globaldatasources/everywhere", "/api/v1/projects",
		"/proxy/projects/shop/datasources/main/api/v1/labels", "/proxy/globaldatasources/everywhere/api/v1/labels",
	}
	for _, path := range paths {
		want, asked, calls := h.perses(anna, path), h.objects.take(), h.up.take()
		for _, parameter := range []string{"project=billing", "project=billing&project=shop", "project=", "project=..", "Project=billing", "project%00=billing", "metadata.project=billing", "namespace=billing"} {
			got := h.perses(anna, path+"?"+parameter)
			if got.status != want.status || got.body != want.body {
				t.Errorf("%s?%s: got %d %s, want %d %s", path, parameter, got.status, got.body, want.status, want.body)
			}
			if now := h.objects.take(); fmt.Sprint(now) != fmt.Sprint(asked) {
				t.Errorf("%s?%s: asked %q, want %q", path, parameter, now, asked)
			}
			if now := h.up.take(); fmt.Sprint(now) != fmt.Sprint(calls) {
				t.Errorf("%s?%s: the upstream got %q, want %q", path, parameter, now, calls)
			}
		}
	}
	for _, project := range []string{"shop", "billing"} { // Anna sees nothing of billing, Carla no environment
		for _, token := range []string{anna, carla} {
			got := h.perses(token, "/proxy/projects/billing/datasources/main/"+question+"&project="+project)
			h.expect(token, got, 404, notThere)
		}
	}
	if calls := h.up.take(); len(calls) > 0 {
		t.Errorf("the upstream got %q", calls)
	}
}

// canarySpec is a data source that holds a word in every place, and a URL.
func canarySpec(url string) string {
	return `{"display":{"name":"D","description":"E","canary":"CANARY-display","icon":{"x":"CANARY-icon"}},"default":true,"canary":"CANARY-top",` +
		`"directUrl":"CANARY-up","client":{"tls":{"caCert":"CANARY-client"}},"headers":{"X":"CANARY-headers"},"CANARY-key":1,` +
		`"plugin":{"kind":"PrometheusDatasource","metadata":{"version":"CANARY-version"},"directUrl":"CANARY-plugin","spec":{` +
		`"directUrl":"https://CANARY-direct.example","headers":{"Authorization":"CANARY-header"},"queryParams":{"CANARY-param":"CANARY-value"},` +
		`"scrapeInterval":"CANARY-interval","secret":"CANARY-secret","client":"CANARY-client","URL":"CANARY-URL","tls":{"cert":"CANARY-cert"},` +
		`"proxy":{"kind":"HTTPProxy","canary":"CANARY-proxy","headers":{"X":"CANARY-x"},"spec":{"URL":"http://CANARY-first","url":"` + url + `",` +
		`"headers":{"Authorization":"Bearer CANARY-bearer"},"secret":"CANARY-proxy-secret","allowedEndpoints":[{"endpointPattern":"CANARY-pattern","method":"POST"}],` +
		`"queryParams":{"token":"CANARY-token"},"client":{"x":"CANARY-y"}}},"datasources":{"x":"CANARY-nested"}}},` +
		`"datasources":{"x":"CANARY-within"}}`
}

// TestCanaries: of a data source nothing leaves but what viewers need, whoever
// asks by whatever route.
func TestCanaries(t *testing.T) {
	h := newAPIHarness(t)
	annotate := func(o *Object) { o.Environment, o.Tags = "shop/production", []string{"CANARY-tag"} }
	for i, url := range []string{"http://prometheus.shop.svc:web", "http://CANARY-nowhere.example", "http://prometheus.billing.svc:web"} {
		name := []string{"main", "lost", "forbidden"}[i]
		h.objects.put(Datasources, "shop", name, canarySpec(url))
		h.objects.put(GlobalDatasources, "", name, canarySpec(url), annotate)
	}
	h.objects.put(GlobalDatasources, "", "everywhere", canarySpec(""), annotate)
	h.objects.put(Datasources, "shop", "tempo", strings.Replace(canarySpec(""), "PrometheusDatasource", "CANARYDatasource", 1))
	h.objects.put(Datasources, "shop", "broken", `{"plugin":{"kind":"PrometheusDatasource","spec":"CANARY-spec"},"display":"CANARY-display"}`)
	local := `{"main":` + canarySpec("http://prometheus.shop.svc:web") + `,"lost":` + canarySpec("http://CANARY.example") + `,"CANARY name":` + canarySpec("http://prometheus.shop.svc:web") + `}`
	for name, spec := range map[string]string{
		"orders": `{"panels":{"a":1},"datasources":` + local + `,"layouts":[]}`,
		"case":   `{"panels":{},"Datasources":` + local + `,"dataſources":` + local + `,"DATASOURCES":["CANARY-list"]}`,
		"escape": `{"data\u0073ources":` + local + `,"panels":{}}`,
		"twice":  `{"datasources":{"x":{"secret":"CANARY-first"}},"panels":{},"datasources":` + local + `}`,
		"broken": `{"datasources":"CANARY-text"}`,
		"spaces": ` { "datasources" : ` + local + ` } `,
	} {
		h.objects.put(Dashboards, "shop", name, spec)
	}
	paths := append(readRoutes(), "/api/v1/datasources?name=main", "/api/v1/datasources?default=true", "/api/v1/globaldatasources?metadata_only=true", "/api/v1/dashboards?name=orders")
	for _, name := range []string{"main", "lost", "forbidden", "tempo", "broken", "everywhere"} {
		paths = append(paths, "/api/v1/projects/shop/datasources/"+name, "/api/v1/globaldatasources/"+name, "/proxy/projects/shop/datasources/"+name+"/"+question)
	}
	boards := []string{"orders", "case", "escape", "twice", "broken", "spaces"}
	for _, name := range boards {
		paths = append(paths, "/api/v1/projects/shop/dashboards/"+name, "/proxy/projects/shop/dashboards/"+name+"/datasources/lost/"+question)
	}
	shown := 0
	for _, token := range []string{anna, carla, dora, ben} {
		for _, path := range paths {
			got := h.perses(token, path)
			shown += strings.Count(got.body, `/projects/shop/environments/production"`)
			if strings.Contains(strings.ToUpper(got.body+fmt.Sprint(got.header)), "CANARY") {
				t.Errorf("%s %s: %s", token, path, got.body)
			}
		}
		for _, name := range append(boards, "") {
			got := h.get(token, strings.TrimSuffix("/api/v1/projects/shop/dashboards/"+name, "/"))
			if text := strings.ReplaceAll(got.body, `"name":"CANARY name"`, ""); strings.Contains(text, "CANARY") && !strings.Contains(name, "CANARY") {
				t.Errorf("%s, page %s: %s", token, name, got.body)
			}
		}
	}
	if shown < 20 {
		t.Errorf("only %d data sources were shown: the test shows nothing", shown)
	}
	want := `{"kind":"Datasource","metadata":{"name":"main",` + at + `,"project":"shop"},"spec":{"display":{"name":"D","description":"E"},"default":true,` +
		`"plugin":{"kind":"PrometheusDatasource","spec":{"proxy":{"kind":"HTTPProxy","spec":{"url":"` + apiURL + `/projects/shop/environments/production"}}}}}}`
	h.expect("main", h.perses(anna, "/api/v1/projects/shop/datasources/main"), 200, want)
	got := h.perses(anna, "/api/v1/projects/shop/dashboards/orders").body
	if !strings.HasSuffix(got, `"spec":{"panels":{"a":1},"layouts":[],"datasources":{"main":`+want[strings.Index(want, `"spec":`)+7:len(want)-1]+`}}}`) {
		t.Errorf("the dashboard is %s", got)
	}
	if calls := h.up.take(); strings.Contains(fmt.Sprint(calls), "CANARY") {
		t.Errorf("the upstream got %q", calls)
	}
	if strings.Contains(h.log.String(), "CANARY-") {
		t.Errorf("the log has a canary: %s", h.log)
	}
}
