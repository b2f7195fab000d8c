package perses

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const (
	pageURL  = "/api/v1/projects/shop/dashboards"
	boardURL = pageURL + "/board"
)

// TestPageList: what a project has, with what is to be mended.
func TestPageList(t *testing.T) {
	h := newAPIHarness(t)
	h.expect("nothing", h.get(anna, pageURL), 200, `{"project":"shop","dashboards":[],"folders":[],"problems":[],"live":true}`)
	h.fill()
	h.objects.put(Dashboards, "shop", "board", `{}`, func(o *Object) { o.Title, o.Description = " ", "What it is for" })
	h.objects.put(Folders, "shop", "all", `{"display":{"name":"All"},"items":[{"kind":"Dashboard","name":"orders"},{"kind":"Dashboard","name":"gone"},`+
		`{"kind":"Folder","name":"In it","items":[{"kind":"Dashboard","name":"gone"},{"kind":"Folder","name":"Empty"},{"kind":"Panel","name":"x"}]}]}`,
		func(o *Object) { o.Title = "All" })
	h.objects.put(Folders, "shop", "broken", `{"items":"x"}`)
	h.objects.put(Folders, "shop", "deep", `{"items":[`+strings.Repeat(`{"kind":"Folder","name":"f","items":[`, 12)+strings.Repeat(`]}`, 12)+`]}`)
	h.objects.skip(Skipped{Dashboards, "shop", "old", "it has no spec.config"})
	h.objects.skip(Skipped{Dashboards, "billing", "old", "it is another's"})
	h.objects.skip(Skipped{Datasources, "shop", "older", "it has no spec.config either"})
	deep := `{"name":"deep","title":"deep","items":[` + strings.Repeat(`{"kind":"Folder","name":"f","items":[`, 9) + strings.Repeat(`]}`, 9) + `]}`
	const updated = `"updatedAt":"2026-11-20T09:00:00Z"}`
	want := `{"project":"shop","dashboards":[{"name":"board","title":"board","description":"What it is for","tags":[],` + updated +
		`,{"name":"orders","title":"Orders","tags":["team-a","slo"],` + updated + `,{"name":"stock","title":"stock","tags":[],` + updated + `],"folders":[` +
		`{"name":"all","title":"All","items":[{"kind":"Dashboard","name":"orders"},{"kind":"Dashboard","name":"gone","missing":true},` +
		`{"kind":"Folder","name":"In it","items":[{"kind":"Folder","name":"Empty","items":[]}]}]},` +
		`{"name":"broken","title":"broken","items":[]},` + deep + `],"problems":[` +
		`{"kind":"PersesFolder","name":"all","message":"it names the dashboard \"gone\", which is not there"},` +
		`{"kind":"PersesFolder","name":"all","message":"it names the dashboard \"gone\" more than once, of which Perses takes one: the first counts"},` +
		`{"kind":"PersesFolder","name":"all","message":"it holds a \"Panel\": items are of kind Dashboard or Folder"},` +
		`{"kind":"PersesFolder","name":"broken","message":"it does not have the form of a folder of Perses: display and items, each with kind and name"},` +
		`{"kind":"PersesFolder","name":"deep","message":"its folders are more than 10 deep: what is deeper is not shown"},` +
		`{"kind":"PersesDashboard","name":"old","message":"it has no spec.config"},` +
		`{"kind":"PersesDatasource","name":"older","message":"it has no spec.config either"}],"live":true}`
	h.expect("all", h.get(anna, pageURL), 200, want)
	h.api.Live = func() bool { return false }
	h.expect("without a watch", h.get(anna, pageURL), 200, strings.Replace(want, `"live":true}`, `"live":false}`, 1))
	h.expect("another's", h.get(ben, pageURL), 404, notYoursJSON)
	h.expect("no project", h.get(ben, "/api/v1/projects/none/dashboards"), 404, notYoursJSON)
}

const notYoursJSON = `{"status":"error","errorType":"not_found","error":"there is no such project or dashboard, or you may not see it (request id ID)"}`

// TestYAMLTrap: a panel whose place YAML has taken for a truth value is told of.
func TestYAMLTrap(t *testing.T) {
	h := newAPIHarness(t)
	for name, spec := range map[string]string{
		"trapped": `{"layouts":[{"kind":"Grid","spec":{"items":[{"x":0,"y":0},{"x":0,"true":0}]}}]}`,
		"quoted":  `{"layouts":[{"kind":"Grid","spec":{"items":[{"x":0,"y":0,"true":1}]}}],"variables":[{"true":1}]}`,
		"other":   `{"layouts":{"true":1}}`,
	} {
		h.objects.put(Dashboards, "shop", name, spec)
	}
	got := h.get(anna, pageURL)
	if n := strings.Count(got.body, `"message":`); n != 1 || !strings.Contains(got.body, `{"kind":"PersesDashboard","name":"trapped","message":"a panel of its layout has no y`) {
		t.Errorf("got %d problems: %s", n, got.body)
	}
}

// TestNamedOnce: no folder names a dashboard twice to Perses' clients.
func TestNamedOnce(t *testing.T) {
	const item = `{"kind":"Dashboard","name":"a"}`
	for spec, want := range map[string]string{
		`{"items":[` + item + `], "more":1}`: "", `{"items":"x"}`: "", `{}`: "",
		`{"display":{"name":"F"},"items":[` + item + `,` + item + `]}`:                                              `{"display":{"name":"F"},"items":[` + item + `]}`,
		`{"items":[{"kind":"Folder","name":"a","items":[` + item + `]},{"kind":"Folder","name":"a"},` + item + `]}`: `{"items":[{"kind":"Folder","name":"a","items":[` + item + `]},{"kind":"Folder","name":"a"}]}`,
	} {
		if want == "" {
			want = spec
		}
		if got := string(namedOnce([]byte(spec))); got != want {
			t.Errorf("%s: got %s, want %s", spec, got, want)
		}
	}
}

// TestPageItem: one dashboard, with its data sources as the viewer may use them.
func TestPageItem(t *testing.T) {
	h := newAPIHarness(t)
	h.fill()
	h.objects.put(Datasources, "shop", "tempo", `{"plugin":{"kind":"TempoDatasource","spec":{}}}`)
	h.objects.put(GlobalDatasources, "", "lost", promSpec("http://none.shop.svc"))
	h.objects.put(Dashboards, "shop", "board", `{"panels":{"p":[1.50,"<a>"]},"datasources":{"b":`+promSpec("http://staging.shop.svc:9090")+`,"a":{}}}`)
	main := datasourceItem("Datasource", "main", "shop", strings.Replace(handed("shop", "production"), `"default":false`, `"default":true`, 1))
	staging := datasourceItem("Datasource", "staging", "shop", handed("shop", "staging"))
	global := datasourceItem("GlobalDatasource", "everywhere", "", handed("shop", "production"))
	hidden := func(scope, name string, because reason) string {
		return `{"scope":"` + scope + `","name":"` + name + `","reason":"` + sentences[because] + `"}`
	}
	body := func(spec, sources, hidden string) string {
		return `{"dashboard":{"kind":"Dashboard","metadata":{"name":"board",` + at + `,"project":"shop"},"spec":` + spec + `},"datasources":` + sources +
			`,"hidden":` + hidden + `,"source":{"cluster":"local","namespace":"shop","kubectl":"kubectl get persesdashboards.perses.dev board -n shop -o yaml"},"live":true}`
	}
	const panels = `"panels":{"p":[1.50,"\u003ca\u003e"]}`
	h.expect("board", h.get(anna, boardURL), 200, body(
		`{`+panels+`,"datasources":{"b":`+handed("shop", "staging")+`}}`, array(main, staging, global),
		array(hidden("dashboard", "a", malformed), hidden("project", "tempo", otherKind), hidden("global", "lost", noEnvironment))))
	h.expect("who may query nothing", h.get(carla, boardURL), 200, body(`{`+panels+`}`, "[]", array(
		hidden("dashboard", "a", malformed), hidden("dashboard", "b", noEnvironment), hidden("project", "main", noEnvironment), hidden("project", "staging", noEnvironment),
		hidden("project", "tempo", otherKind), hidden("global", "everywhere", noEnvironment), hidden("global", "lost", noEnvironment))))
	for _, path := range []string{"/none", "/Orders", "/" + strings.Repeat("a", 76), "/a..b", "/orders"} {
		token := anna
		if path == "/orders" {
			token = ben
		}
		h.expect(path, h.get(token, pageURL+path), 404, notYoursJSON)
	}
}

// TestEntityTags: whoever has an answer gets it again only when it has changed.
func TestEntityTags(t *testing.T) {
	h := newAPIHarness(t)
	h.fill()
	h.objects.put(Dashboards, "shop", "board", `{}`)
	for _, path := range []string{pageURL, boardURL} {
		ask := func(known ...string) apiAnswer {
			r := h.request(http.MethodGet, path, anna, "")
			r.Header["If-None-Match"] = known
			return h.do(r)
		}
		first := ask()
		tag := first.header.Get("Etag")
		if first.status != 200 || len(tag) != 34 {
			t.Fatalf("%s: got %d, tag %s", path, first.status, tag)
		}
		for _, known := range []string{tag, "W/" + tag, `"x", ` + tag, "*"} {
			got := ask(known)
			if h.expect(known, got, http.StatusNotModified, ""); got.header.Get("Etag") != tag {
				t.Errorf("%s: header %v", known, got.header)
			}
		}
		for _, known := range []string{`"x"`, tag[1:33], "", tag + "x"} {
			h.expect(known, ask(known), 200, first.body)
		}
		h.objects.put(Dashboards, "shop", "board", fmt.Sprintf(`{"panels":{"a":%d}}`, len(path)), func(o *Object) { o.Version, o.Title = 9, path })
		if changed := ask(tag); changed.status != 200 || changed.header.Get("Etag") == tag {
			t.Errorf("%s, after a change: got %d %v", path, changed.status, changed.header)
		}
		r := h.request(http.MethodGet, path, unknown, "")
		r.Header.Set("If-None-Match", tag)
		if got := h.do(r); got.status != 401 {
			t.Errorf("%s without a credential: got %d", path, got.status)
		}
	}
}

// TestPercli: what percli asks, as it asks it (Perses 0.54, internal/cli).
func TestPercli(t *testing.T) {
	h := newAPIHarness(t)
	h.fill()
	for _, c := range []struct {
		what, method, path string
		status             int
		says               string
	}{
		{"login", "GET", "/api/config", 200, `"readonly":true`},
		{"whoami", "GET", "/api/v1/users/me", 200, `"kind":"User"`},
		{"whoami, older", "GET", "/api/v1/user/whoami", 200, `"kind":"User"`},
		{"whoami with a kubeconfig", "GET", "/api/auth/providers/kubernetes/whoami", 200, `"name":"sha256:0:of@cluster"`},
		{"get projects", "GET", "/api/v1/projects?metadata_only=true", 200, `"name":"shop"`},
		{"get dashboards --all", "GET", "/api/v1/dashboards?metadata_only=true", 200, `"name":"orders"`},
		{"get dashboards -p shop", "GET", "/api/v1/projects/shop/dashboards?metadata_only=true", 200, `"name":"orders"`},
		{"get dashboards or -p shop", "GET", "/api/v1/projects/shop/dashboards?metadata_only=true&name=or", 200, `"name":"orders"`},
		{"get dashboards -ojson", "GET", "/api/v1/projects/shop/dashboards", 200, `"panels"`},
		{"get folders", "GET", "/api/v1/projects/shop/folders", 200, `"name":"all"`},
		{"get datasources", "GET", "/api/v1/projects/shop/datasources", 200, `"name":"main"`},
		{"get globaldatasources", "GET", "/api/v1/globaldatasources", 200, `"name":"everywhere"`},
		{"get variables", "GET", "/api/v1/projects/shop/variables", 200, `[]`},
		{"describe project", "GET", "/api/v1/projects/shop", 200, `"display":{"name":"shop"}`},
		{"describe dashboard", "GET", "/api/v1/projects/shop/dashboards/orders", 200, `"panels"`},
		{"describe datasource", "GET", "/api/v1/projects/shop/datasources/main", 200, `"proxy"`},
		{"describe globaldatasource", "GET", "/api/v1/globaldatasources/everywhere", 200, `"proxy"`},
		{"apply, looks for it", "GET", "/api/v1/projects/shop/dashboards/orders", 200, `"panels"`},
		{"apply, replaces it", "PUT", "/api/v1/projects/shop/dashboards/orders", 405, cannotPut},
		{"apply, looks for a new one", "GET", "/api/v1/projects/shop/dashboards/new", 404, notThere},
		{"apply, makes it", "POST", "/api/v1/projects/shop/dashboards", 405, cannotPut},
		{"apply, a global data source", "POST", "/api/v1/globaldatasources", 405, cannotPut},
		{"delete", "DELETE", "/api/v1/projects/shop/dashboards/orders", 405, cannotPut},
		{"delete project", "DELETE", "/api/v1/projects/shop", 405, cannotPut},
	} {
		body := ""
		if c.method == "PUT" || c.method == "POST" {
			body = ordersItem
		}
		r := h.request(c.method, "/perses"+c.path, anna, body)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json")
		if got := h.do(r); got.status != c.status || !strings.Contains(got.body, c.says) {
			t.Errorf("%s: got %d %s", c.what, got.status, got.body)
		}
	}
}

// TestBelowPrefix: also where the gateway stands below a path of its own.
func TestBelowPrefix(t *testing.T) {
	h := newAPIHarness(t)
	h.fill()
	h.expect("projects", h.get(anna, "/metrics/perses/api/v1/projects"), 200, array(shopItem))
	h.expect("data", h.get(anna, "/metrics"+proxyURL+question), 200, `{"status":"success","data":[]}`)
	h.expect("view", h.do(h.request("POST", "/metrics/perses/api/v1/view", anna, "{}")), 200, "")
	h.expect("write", h.do(h.request("PUT", "/metrics/perses/api/v1/projects/shop", anna, "{}")), 405, cannotPut)
}
