package perses

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/promgate/promgate/routing"
)

// matching are environments of every sort.
func (h *apiHarness) matching() []*routing.Environment {
	direct := func(project, name, text string) *routing.Environment {
		e := h.direct(project, name, "")
		e.Project.Cluster = ""
		e.Target.Base, _ = url.Parse(text)
		return e
	}
	aliased := direct("shop", "aliased", "https://inner.example/aliased")
	aliased.Aliases = []string{"https://thanos.example/tenants/shop", "http://query.monitoring.svc:9090"}
	elsewhere := h.service("shop", "elsewhere", "far", "shop", "http:far:9090", "")
	elsewhere.Project.Cluster = "far"
	return append(h.environments(),
		h.service("shop", "shared", "local", "monitoring", "http:shared:9090", ""), h.service("billing", "shared", "local", "monitoring", "http:shared:9090", ""),
		h.service("shop", "prefixed", "local", "shop", "https:prefixed:9443", "/prom/a"),
		h.service("shop", "two-a", "local", "shop", "http:two:web", ""), h.service("shop", "two-b", "local", "shop", "http:two:9091", ""),
		h.service("shop", "plain", "local", "shop", "http:plain:80", ""), h.service("shop", "tls", "local", "shop", "https:tls:443", ""),
		direct("shop", "direct", "https://prom.example:8443/p"), direct("shop", "default-port", "https://user:pw@prom.example"),
		aliased, elsewhere,
	)
}

// TestMatching: every way to name an environment, and what only looks like one.
func TestMatching(t *testing.T) {
	h := newAPIHarness(t)
	h.set(h.matching()...)
	x := h.api.environments()
	published := apiURL + "/projects/shop/environments/"
	for _, c := range []struct{ what, annotation, url, want string }{
		{"annotation", "staging", "", "shop/staging"},
		{"annotation wins", "staging", published + "production", "shop/staging"},
		{"annotation of no environment decides too", "none", published + "production", ""},
		{"annotation with a project", "billing/production", "", "billing/production"},
		{"annotation with three parts", "shop/production/x", "", ""},
		{"annotation with a space", " production", "", ""},
		{"annotation in another case", "Production", "", ""},
		{"annotation that ends in a slash", "shop/", "", ""},
		{"annotation of another cluster's project", "elsewhere", "", ""},
		{"the same, by name", "shop/elsewhere", "", "shop/elsewhere"},
		{"annotation of a project of the file", "direct", "", "shop/direct"},

		{"published", "", published + "production", "shop/production"},
		{"published, with a slash", "", published + "production/", "shop/production"},
		{"published, with two", "", published + "production//", ""},
		{"published, host in upper case", "", "HTTPS://GATEWAY.example/metrics/projects/shop/environments/production", "shop/production"},
		{"published, with its port", "", "https://gateway.example:443/metrics/projects/shop/environments/production", "shop/production"},
		{"published, path in upper case", "", "https://gateway.example/METRICS/projects/shop/environments/production", ""},
		{"published, without the prefix", "", "https://gateway.example/projects/shop/environments/production", ""},
		{"published, over http", "", "http://gateway.example/metrics/projects/shop/environments/production", ""},
		{"published, another port", "", "https://gateway.example:8443/metrics/projects/shop/environments/production", ""},
		{"published, another host", "", "https://gateway.example.org/metrics/projects/shop/environments/production", ""},
		{"published, no such environment", "", published + "none", ""},
		{"published, and more", "", published + "production/api/v1", ""},
		{"published, with dots", "", published + "x/../production", ""},
		{"published, escaped", "", published + "%70roduction", ""},
		{"published, with a query", "", published + "production?x=1", ""},
		{"published, with a fragment", "", published + "production#x", ""},
		{"published, with user information", "", strings.Replace(published, "https://", "https://u:p@", 1) + "production", ""},

		{"service, port by number", "", "http://staging.shop.svc:9090", "shop/staging"},
		{"service, long", "", "http://staging.shop.svc.cluster.local:9090", "shop/staging"},
		{"service, with a slash", "", "http://staging.shop.svc:9090/", "shop/staging"},
		{"service, host in upper case", "", "http://Staging.SHOP.svc:9090", "shop/staging"},
		{"service, another domain", "", "http://staging.shop.svc.example.org:9090", ""},
		{"service, without svc", "", "http://staging.shop:9090", "shop/staging"},
		{"service, by its name alone", "", "http://staging:9090", "shop/staging"},
		{"service, by its name alone, in another namespace", "", "http://far:9090", ""},
		{"service, svc in place of the namespace", "", "http://staging.svc:9090", ""},
		{"service, the domain in place of the namespace", "", "http://staging.cluster.local:9090", ""},
		{"service, with a dot at the end", "", "http://staging.shop.svc.:9090", ""},
		{"service, another port", "", "http://staging.shop.svc:9091", ""},
		{"service, no port", "", "http://staging.shop.svc", ""},
		{"service, the port's name", "", "http://prometheus.shop.svc:web", "shop/production"},
		{"service, another name of the port", "", "http://prometheus.shop.svc:metrics", ""},
		{"service, a number for the name of its one port", "", "http://prometheus.shop.svc:9090", "shop/production"},
		{"service, a name for the number of its one port", "", "http://staging.shop.svc:web", "shop/staging"},
		{"service of two, the name", "", "http://two.shop.svc:web", "shop/two-a"},
		{"service of two, the number", "", "http://two.shop.svc:9091", "shop/two-b"},
		{"service of two, a number for the name", "", "http://two.shop.svc:9090", ""},
		{"service of two, a name for the number", "", "http://two.shop.svc:other", ""},
		{"service, the default port", "", "http://plain.shop.svc", "shop/plain"},
		{"service, the default port of https", "", "https://tls.shop.svc/", "shop/tls"},
		{"service, https for http", "", "https://staging.shop.svc:9090", ""},
		{"service, http for https", "", "http://prefixed.shop.svc:9443/prom/a", ""},
		{"service with its path", "", "https://prefixed.shop.svc:9443/prom/a/", "shop/prefixed"},
		{"service without its path", "", "https://prefixed.shop.svc:9443", ""},
		{"service with a part of its path", "", "https://prefixed.shop.svc:9443/prom", ""},
		{"service with more than its path", "", "https://prefixed.shop.svc:9443/prom/a/b", ""},
		{"service with a path that begins alike", "", "https://prefixed.shop.svc:9443/prom/ab", ""},
		{"service with a path that it has not", "", "http://staging.shop.svc:9090/prom", ""},
		{"service with user information", "", "http://u:p@staging.shop.svc:9090", ""},
		{"service of another namespace", "", "http://staging.billing.svc:9090", ""},
		{"service of another cluster", "", "http://far.shop.svc:9090", ""},
		{"service of two projects: the object's own", "", "http://shared.monitoring.svc:9090", "shop/shared"},
		{"a pod of it", "", "http://prometheus-0.staging.shop.svc:9090", ""},

		{"direct", "", "https://prom.example:8443/p", "shop/direct"},
		{"direct, with a slash", "", "https://Prom.example:8443/p/", "shop/direct"},
		{"direct, no path", "", "https://prom.example:8443", ""},
		{"direct, the default port", "", "https://prom.example:443", "shop/default-port"},
		{"direct, with the user information of the target", "", "https://user:pw@prom.example", ""},
		{"direct, http", "", "http://prom.example:8443/p", ""},
		{"alias", "", "https://thanos.example/tenants/shop", "shop/aliased"},
		{"alias, otherwise written", "", "https://THANOS.example:443/tenants/shop/", "shop/aliased"},
		{"alias that is a service", "", "http://query.monitoring.svc:9090", "shop/aliased"},
		{"alias and more", "", "https://thanos.example/tenants/shop/x", ""},
		{"the API server", "", h.up.URL + "/api/v1/namespaces/shop/services/http:prometheus:web/proxy", ""},

		{"nothing", "", "", ""},
		{"no URL", "", "prometheus", ""},
		{"another scheme", "", "ftp://staging.shop.svc:9090", ""},
		{"no host", "", "http://:9090", ""},
		{"no port number", "", "http://staging.shop.svc:99999", ""},
		{"a backslash", "", `http:\\\\staging.shop.svc:9090`, ""},
	} {
		spec := promSpec(c.url)
		if got := nameOf(x.find(newSource([]byte(spec), c.annotation), "shop")); got != c.want {
			t.Errorf("%s (%s %s): got %q, want %q", c.what, c.annotation, c.url, got, c.want)
		}
	}
	global := func(annotation, url, want string) {
		t.Helper()
		if got := nameOf(x.find(newSource([]byte(promSpec(url)), annotation), "")); got != want {
			t.Errorf("global %s %s: got %q, want %q", annotation, url, got, want)
		}
	}
	global("production", "", "")
	global("/production", "", "")
	global("shop/production", "", "shop/production")
	global("", "http://staging.shop.svc:9090", "shop/staging")
	global("", "http://shared.monitoring.svc:9090", "") // nobody guesses which
	global("", "http://staging:9090", "")               // of no namespace
}

// TestSourceForm: what is no data source of Prometheus, or none at all.
func TestSourceForm(t *testing.T) {
	plugin := func(spec string) string { return `{"plugin":{"kind":"PrometheusDatasource","spec":` + spec + `}}` }
	for spec, want := range map[string]reason{
		promSpec("http://a.b.svc"): "", `{"plugin":{"kind":"PrometheusDatasource"}}`: "", plugin(`null`): "", plugin(`{}`): "", plugin(`{"scrapeInterval":7}`): "",
		`{"plugin":{"kind":"prometheusdatasource","spec":{}}}`: otherKind, `{"plugin":{"kind":"LokiDatasource","spec":"x"}}`: otherKind,
		``: malformed, `{}`: malformed, `[]`: malformed, `null`: malformed, `{"plugin":{}}`: malformed, `{"plugin":"x"}`: malformed, `{"plugin":{"kind":7}}`: malformed,
		`{"default":"yes","plugin":{"kind":"PrometheusDatasource"}}`: malformed, `{"display":"x","plugin":{"kind":"PrometheusDatasource"}}`: malformed,
		plugin(`"x"`): malformed, plugin(`[]`): malformed, plugin(`{"proxy":"x"}`): malformed, plugin(`{"proxy":{"kind":"HTTPProxy","spec":{"url":7}}}`): malformed,
		plugin(`{"proxy":{"kind":"SQLProxy","spec":{"url":"http://a.b.svc"}}}`): malformed, plugin(`{"proxy":{"spec":{"url":"http://a.b.svc"}}}`): malformed,
	} {
		if s := newSource([]byte(spec), "production"); s.problem != want {
			t.Errorf("%s: got %q, want %q", spec, s.problem, want)
		}
	}
	// The URL that a browser would call tells where it leads, but for one that Perses would.
	for spec, want := range map[string]string{
		`{"directUrl":"http://a.b.svc"}`: "a.b.svc", `{"directUrl":"http://a.b.svc","proxy":{"kind":"HTTPProxy","spec":{"url":"http://c.d.svc"}}}`: "c.d.svc",
		`{"directUrl":"http://a.b.svc","proxy":{"kind":"HTTPProxy","spec":{}}}`: "", `{}`: "",
	} {
		if s := newSource([]byte(plugin(spec)), ""); s.location.host != want || s.located != (want != "") {
			t.Errorf("%s leads to %+v", spec, s.location)
		}
	}
	for text, want := range map[string]string{`"1m30s"`: "1m30s", `"15s"`: "15s", `"$interval"`: "", `"15"`: "", `"-1s"`: "", `15`: "", `{"x":"CANARY"}`: "", `"1s1m"`: ""} {
		if s := newSource([]byte(plugin(`{"scrapeInterval":`+text+`}`)), ""); s.interval != want || s.problem != "" {
			t.Errorf("%s: got %q %q", text, s.interval, s.problem)
		}
	}
}

func nameOf(e *routing.Environment) string {
	if e == nil {
		return ""
	}
	return e.Project.Name + "/" + e.Name
}

// TestIndexFollows: the table and the gateway's URL may change at any time.
func TestIndexFollows(t *testing.T) {
	h := newAPIHarness(t)
	first := h.api.environments()
	if h.api.environments() != first {
		t.Error("the index is made twice")
	}
	h.set(h.environments()[1:]...)
	if _, found := h.api.environments().table.Lookup("shop", "production"); found {
		t.Error("the index is an old table's")
	}
	h.gateway.SetBaseURL("https://other.example")
	if got := nameOf(h.api.environments().find(newSource([]byte(promSpec("https://other.example/projects/shop/environments/staging")), ""), "shop")); got != "shop/staging" {
		t.Errorf("got %q", got)
	}
}

// TestHidden: what leads nowhere, and what leads to where the viewer may not
// query, is hidden alike, in every answer.
func TestHidden(t *testing.T) {
	h := newAPIHarness(t)
	h.objects.put(Dashboards, "shop", "board", `{"panels":{},"datasources":{"local":`+promSpec("http://prometheus.billing.svc:web")+`}}`)
	annotated := func(environment string) func(*Object) { return func(o *Object) { o.Environment = environment } }
	const lists, items = "/perses/api/v1/projects/shop/datasources", "/perses/api/v1/projects/shop/datasources/source"
	paths := []string{
		lists, items, "/perses/api/v1/datasources", items[:len(items)-1], "/perses/api/v1/globaldatasources", "/perses/api/v1/globaldatasources/source",
		"/perses/api/v1/projects/shop/dashboards/board", lists + "?metadata_only=true", "/api/v1/projects/shop/dashboards/board",
		"/perses/proxy/projects/shop/datasources/source/" + question, "/perses/proxy/globaldatasources/source/" + question,
		"/perses/proxy/projects/shop/dashboards/board/datasources/local/" + question,
	}
	var want []apiAnswer
	for _, c := range []struct{ annotation, local string }{
		{"shop/none", "http://none.billing.svc:web"},
		{"billing/none", "http://prometheus.none.svc:web"},
		{"none/production", apiURL + "/projects/billing/environments/none"},
		{"billing/production", "http://prometheus.billing.svc:web"},
		{"billing/production", apiURL + "/projects/billing/environments/production"},
	} {
		h.objects.put(Datasources, "shop", "source", promSpec(""), annotated(c.annotation))
		h.objects.put(GlobalDatasources, "", "source", promSpec(""), annotated(c.annotation))
		h.objects.put(Dashboards, "shop", "board", `{"panels":{},"datasources":{"local":`+promSpec(c.local)+`}}`)
		for i, path := range paths {
			got := h.get(anna, path)
			if len(want) <= i {
				want = append(want, got)
			}
			if got.status != want[i].status || got.body != want[i].body || len(got.header) != len(want[i].header) {
				t.Errorf("%s with %v:\n got %d %s\nwant %d %s", path, c, got.status, got.body, want[i].status, want[i].body)
			}
		}
		h.objects.take()
		if calls := h.up.take(); len(calls) > 0 {
			t.Errorf("%v: the upstream got %q", c, calls)
		}
	}
	h.expect("list", want[0], http.StatusOK, "[]")
	h.expect("item", want[1], http.StatusNotFound, notThere)
	h.expect("data", want[9], http.StatusNotFound, notThere)
	h.expect("dashboard", want[6], http.StatusOK,
		`{"kind":"Dashboard","metadata":{"name":"board","createdAt":"2026-11-20T08:00:00Z","updatedAt":"2026-11-20T09:00:00Z","version":3,"project":"shop"},"spec":{"panels":{}}}`)
}

// TestHiddenTold: each once for a change, in log and metric.
func TestHiddenTold(t *testing.T) {
	h := newAPIHarness(t)
	h.objects.put(Datasources, "shop", "good", promSpec("http://staging.shop.svc:9090"))
	h.objects.put(Datasources, "shop", "forbidden", promSpec("http://prometheus.billing.svc:web")) // no fault of its own
	h.objects.put(Datasources, "shop", "lost", promSpec("http://none.shop.svc"))
	h.objects.put(Datasources, "shop", "tempo", `{"plugin":{"kind":"TempoDatasource","spec":{}}}`)
	h.objects.put(GlobalDatasources, "", "broken", `{"plugin":"x"}`)
	h.objects.put(Dashboards, "shop", "board", `{"datasources":{"one":{},"two":`+promSpec("")+`}}`)
	h.objects.put(Dashboards, "shop", "empty", `{}`)
	ask := func() {
		for range 3 {
			for _, path := range []string{"/api/v1/datasources", "/api/v1/globaldatasources", "/api/v1/dashboards", "/api/v1/projects/shop/datasources/lost"} {
				h.perses(anna, path)
			}
		}
	}
	ask()
	want := "PersesDatasource no_environment, PersesDatasource other_kind, PersesGlobalDatasource malformed, PersesDashboard malformed, PersesDashboard no_environment"
	if got := strings.Join(h.hidden, ", "); got != want {
		t.Errorf("got %s", got)
	}
	h.objects.put(Datasources, "shop", "lost", promSpec("http://none.shop.svc"), func(o *Object) { o.Revision = "8" })
	ask()
	if got := strings.Join(h.hidden, ", "); got != want+", PersesDatasource no_environment" {
		t.Errorf("after a change got %s", got)
	}
	for _, said := range []string{`"kind":"PersesDashboard","name":"board","reason":"it does not have the form`, `"datasource":"one"`, `"namespace":"shop"`} {
		if !strings.Contains(h.log.String(), said) {
			t.Errorf("the log does not say %s", said)
		}
	}
}
