package perses

import (
	"encoding/json"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

var dashboardSeeds = []string{
	`{}`, ` { } `, `{"panels":{}}`, `{"datasources":{}}`, `{"datasources":null,"a":1}`, `{"a":"\"datasources\":{}","b":["datasources",{"datasources":1}]}`,
	`{"a":{"datasources":{"x":{"secret":"s"}}},"datasources":{"x":{"secret":"s"}},"b":-1.5e3}`, "{\n\t\"Datasources\" : [ ] ,\r\n \"x\" : true }",
	`{"data\u0073ources":{"x":{"secret":"s"}}}`, `{"dataſources":{"x":1}}`, `{"":0,"datasources":"x","datasources":{"y":{}}}`,
	`[]`, `null`, ``, `{`, `{"a"`, `{"a":`, `{"a":}`, `{"a":1`, `{"a":1,}`, `{"a":1}x`, `{"a":"\`, `{a:1}`, `{"a":]}`, `{"a":[}`, `{"a":1]`, "{\"\xff\":1}",
}

// FuzzSplitDashboard: what goes out is the spec without its data sources, however
// they are spelt, and nothing else is missing.
func FuzzSplitDashboard(f *testing.F) {
	for _, seed := range dashboardSeeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		rest, local := splitDashboard([]byte(spec))
		if !json.Valid([]byte(spec)) {
			return // never handed to it; it must not panic
		}
		text := string(rest)
		if local != nil {
			text += "}"
		}
		var got, want map[string]any
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatalf("%q became %q: %v", spec, text, err)
		}
		if json.Unmarshal([]byte(spec), &want) != nil || want == nil {
			want = map[string]any{} // no object
		}
		for name := range want {
			if strings.EqualFold(name, dashboardSources) {
				delete(want, name)
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q became %v, want %v", spec, got, want)
		}
	})
}

// FuzzDatasourceSpec: what goes out of a data source has the allowed keys alone.
func FuzzDatasourceSpec(f *testing.F) {
	f.Add(canarySpec("http://prometheus.shop.svc:web"))
	for _, seed := range append(dashboardSeeds, promSpec("https://x.example"), `{"plugin":{"kind":"PrometheusDatasource","spec":{"scrapeInterval":"1m30s"}}}`,
		`{"display":null,"plugin":{"kind":"PrometheusDatasource"}}`, `{"plugin":{"kind":"x"}}`, `{"plugin":{"kind":"PrometheusDatasource","spec":null},"display":{"name":"\u2028</script>"}}`) {
		f.Add(seed)
	}
	allowed := map[string]bool{
		"display": true, "display.name": true, "display.description": true, "default": true, "plugin": true, "plugin.kind": true, "plugin.spec": true,
		"plugin.spec.proxy": true, "plugin.spec.proxy.kind": true, "plugin.spec.proxy.spec": true, "plugin.spec.proxy.spec.url": true, "plugin.spec.scrapeInterval": true,
	}
	f.Fuzz(func(t *testing.T, spec string) {
		s := newSource([]byte(spec), "")
		if s.problem != "" {
			return
		}
		var out map[string]any
		if err := json.Unmarshal(s.rewritten("https://ours.example"), &out); err != nil {
			t.Fatal(err)
		}
		var walk func(at string, node any)
		walk = func(at string, node any) {
			members, is := node.(map[string]any)
			if !is {
				return
			}
			for name, inner := range members {
				if !allowed[at+name] {
					t.Fatalf("%q lets %s%s out", spec, at, name)
				}
				walk(at+name+".", inner)
			}
		}
		walk("", out)
		plugin := out["plugin"].(map[string]any)
		inner := plugin["spec"].(map[string]any)
		url := inner["proxy"].(map[string]any)["spec"].(map[string]any)["url"]
		if interval, _ := inner["scrapeInterval"].(string); plugin["kind"] != prometheusPlugin || url != "https://ours.example" || !durationPattern.MatchString(interval) {
			t.Fatalf("%q became %v", spec, out)
		}
	})
}

// FuzzServiceURL: whatever matches a Service names it, with the target's scheme,
// port and path.
func FuzzServiceURL(f *testing.F) {
	h := newAPIHarness(f)
	h.set(h.matching()...)
	x := h.api.environments()
	for _, seed := range []string{
		"http://staging.shop.svc:9090", "HTTP://STAGING.shop.svc.cluster.local:9090/", "https://prefixed.shop.svc:9443/prom/a", "http://two.shop.svc:web",
		"http://prometheus.shop.svc", "http://u:p@staging.shop.svc:9090", "http://staging.shop.svc:9090/../x", "http://staging.shop.svc:9090#x", "http://[::1]:9090/",
		"http://staging.shop.svc%2f:9090", "http://staging.shop.svc\\@evil.example:9090", "http:///staging.shop.svc:9090", "http://staging.shop.svc:9090:9090", "://", "http://[", "http://]:80",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, good := newLocation(text)
		again, stillGood := newLocation(l.scheme + "://" + l.host + ":" + l.port + l.path)
		if good && (!stillGood || again != l) {
			t.Fatalf("%q is %v, and that is %v", text, l, again)
		}
		if !good {
			if e := x.find(newSource([]byte(promSpec("")), ""), "shop"); e != nil {
				t.Fatalf("%q leads to %s", text, nameOf(e))
			}
			return
		}
		for _, e := range x.serviced(l, "shop") {
			p := e.Target.ServiceProxy
			parts := strings.Split(p.Name, ":")
			host, _, _ := strings.Cut(strings.TrimPrefix(strings.ToLower(text), parts[0]+"://"), "/")
			host, port, _ := strings.Cut(host, ":")
			service := parts[1] + "." + p.Namespace
			forms := []string{service, service + ".svc", service + ".svc.cluster.local"}
			if p.Namespace == "shop" {
				forms = append(forms, parts[1])
			}
			if !slices.Contains(forms, host) || p.Cluster != "local" ||
				isPortNumber(parts[2]) && isPortNumber(port) && port != parts[2] || !strings.HasSuffix(e.Target.Base.Path, "/proxy"+l.path) {
				t.Fatalf("%q leads to %s of %s", text, p.Name, p.Namespace)
			}
		}
	})
}

// TestShapesFollow: an object is looked at once, and forgotten with it.
func TestShapesFollow(t *testing.T) {
	s := &shapes{}
	known := func() (n int) {
		s.known.Range(func(any, any) bool { n++; return true })
		return n
	}
	func() {
		objects := make([]*Object, 100)
		for i := range objects {
			objects[i] = &Object{Kind: Dashboards, Name: fmt.Sprint("d", i), Spec: json.RawMessage(`{}`)}
		}
		first := s.shape(objects[0], true)
		for _, o := range objects {
			s.shape(o, true)
		}
		if s.shape(objects[0], true) != first || known() != 100 {
			t.Errorf("%d are known", known())
		}
		if s.shape(objects[0], false) == first {
			t.Error("what does not stay is kept")
		}
		runtime.KeepAlive(objects)
	}()
	deadline := time.After(apiPatience)
	for known() > 0 {
		runtime.GC()
		select {
		case <-deadline:
			t.Fatalf("%d are still known", known())
		case <-time.After(time.Millisecond):
		}
	}
}
