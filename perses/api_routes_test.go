package perses

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/promgate/promgate/auth"
)

const (
	at        = `"createdAt":"2026-11-20T08:00:00Z","updatedAt":"2026-11-20T09:00:00Z","version":3`
	ofProject = `"createdAt":"2026-01-02T03:04:05Z","updatedAt":"2026-01-02T03:04:05Z","version":0`
	shopItem  = `{"kind":"Project","metadata":{"name":"shop",` + ofProject + `},"spec":{"display":{"name":"shop"}}}`
	billItem  = `{"kind":"Project","metadata":{"name":"billing",` + ofProject + `},"spec":{"display":{"name":"billing"}}}`

	ordersSpec = `{"display":{"name":"Orders"},"panels":{"a":{"kind":"Panel"}},"layouts":[],"duration":"1h"}`
	ordersItem = `{"kind":"Dashboard","metadata":{"name":"orders",` + at + `,"project":"shop","tags":["team-a","slo"]},"spec":` + ordersSpec + `}`
	folderSpec = `{"display":{"name":"All"},"items":[{"kind":"Dashboard","name":"orders"}]}`
	allItem    = `{"kind":"Folder","metadata":{"name":"all",` + at + `,"project":"shop"},"spec":` + folderSpec + `}`
)

func datasourceItem(kind, name, project, spec string) string {
	if project != "" {
		project = `,"project":"` + project + `"`
	}
	return `{"kind":"` + kind + `","metadata":{"name":"` + name + `",` + at + project + `},"spec":` + spec + `}`
}

// fill puts one of each kind.
func (h *apiHarness) fill() {
	h.objects.put(Dashboards, "shop", "orders", ordersSpec, func(o *Object) { o.Title, o.Tags = "Orders", []string{"team-a", "slo"} })
	h.objects.put(Dashboards, "shop", "stock", `{"panels":{}}`)
	h.objects.put(Dashboards, "billing", "orders", `{"panels":{}}`, func(o *Object) { o.Title = "Invoices of orders" })
	h.objects.put(Folders, "shop", "all", folderSpec, func(o *Object) { o.Title = "All" })
	h.objects.put(Datasources, "shop", "main", strings.Replace(promSpec("http://prometheus.shop.svc:web"), `"default":false`, `"default":true`, 1))
	h.objects.put(Datasources, "shop", "staging", promSpec("http://staging.shop.svc:9090"))
	h.objects.put(Datasources, "billing", "main", promSpec("http://prometheus.billing.svc:web"))
	h.objects.put(GlobalDatasources, "", "everywhere", promSpec(""), func(o *Object) { o.Environment = "shop/production" })
}

func array(items ...string) string { return "[" + strings.Join(items, ",") + "]" }

// TestRoutes: every route of Perses that is read, answer by answer.
func TestRoutes(t *testing.T) {
	h := newAPIHarness(t)
	h.fill()
	board := func(name, project, spec string) string {
		return `{"kind":"Dashboard","metadata":{"name":"` + name + `",` + at + `,"project":"` + project + `"},"spec":` + spec + `}`
	}
	stock := board("stock", "shop", `{"panels":{}}`)
	head := strings.Replace(ordersItem, ordersSpec, "{}", 1)
	main := datasourceItem("Datasource", "main", "shop", strings.Replace(handed("shop", "production"), `"default":false`, `"default":true`, 1))
	staging := datasourceItem("Datasource", "staging", "shop", handed("shop", "staging"))
	global := datasourceItem("GlobalDatasource", "everywhere", "", handed("shop", "production"))
	me := `{"kind":"User","metadata":{"name":"sha256-0-of-cluster","createdAt":"0001-01-01T00:00:00Z","updatedAt":"0001-01-01T00:00:00Z","version":0},"spec":{}}`
	permissions := `{"*":[{"actions":["read"],"scopes":["GlobalDatasource"]}],"shop":[{"actions":["read"],"scopes":["Dashboard","Datasource","Folder","Project"]}]}`
	for _, c := range []struct {
		token, path string
		status      int
		body        string
	}{
		{"", "/api/config", 200, config}, {anna, "/api/config", 200, config}, {dora, "/api/config", 200, config},
		{"", "/api/v1/health", 200, `{"buildTime":"","commit":"","version":"v1.2.3"}`},
		{anna, "/api/v1/plugins", 200, "[]"}, {anna, "/api/v1/user/whoami", 200, me}, {anna, "/api/v1/users/me", 200, me},
		{anna, "/api/auth/providers/kubernetes/whoami", 200, `{"name":"sha256:0:of@cluster"}`},
		{anna, "/api/v1/users/sha256-0-of-cluster/permissions", 200, permissions},
		{anna, "/api/v1/users/ben/permissions", 403, `{"message":"everybody may ask for their own permissions alone"}`},

		{anna, "/api/v1/projects", 200, array(shopItem)}, {carla, "/api/v1/projects", 200, array(billItem, shopItem)},
		{carla, "/api/v1/projects?name=bi", 200, array(billItem)}, {carla, "/api/v1/projects?name=hop", 200, "[]"},
		{anna, "/api/v1/projects?metadata_only=true", 200, array(strings.Replace(shopItem, `{"display":{"name":"shop"}}`, "{}", 1))},
		{anna, "/api/v1/projects/shop", 200, shopItem}, {anna, "/api/v1/projects/billing", 404, notThere}, {anna, "/api/v1/projects/none", 404, notThere},

		{anna, "/api/v1/projects/shop/dashboards", 200, array(ordersItem, stock)},
		{anna, "/api/v1/projects/shop/dashboards?unknown=1&name=or", 200, array(ordersItem)},
		{anna, "/api/v1/projects/shop/dashboards?metadata_only=true&name=orders", 200, array(head)},
		{anna, "/api/v1/projects/shop/dashboards?metadata_only=false&name=orders", 200, array(ordersItem)},
		{anna, "/api/v1/dashboards", 200, array(ordersItem, stock)},
		{carla, "/api/v1/dashboards", 200, array(board("orders", "billing", `{"panels":{}}`), ordersItem, stock)},
		{carla, "/api/v1/dashboards?project=billing", 200, array(board("orders", "billing", `{"panels":{}}`))},
		{anna, "/api/v1/dashboards?project=billing", 200, "[]"}, {anna, "/api/v1/dashboards?project=SHOP", 200, "[]"},
		{anna, "/api/v1/projects/billing/dashboards", 200, "[]"}, {anna, "/api/v1/projects/none/dashboards", 200, "[]"},
		{anna, "/api/v1/projects/shop/dashboards/orders", 200, ordersItem},
		{anna, "/api/v1/projects/shop/dashboards/none", 404, notThere}, {anna, "/api/v1/projects/billing/dashboards/orders", 404, notThere},

		{anna, "/api/v1/projects/shop/folders", 200, array(allItem)}, {anna, "/api/v1/folders", 200, array(allItem)},
		{anna, "/api/v1/projects/shop/folders/all", 200, allItem}, {anna, "/api/v1/projects/shop/folders/none", 404, notThere},

		{anna, "/api/v1/projects/shop/datasources", 200, array(main, staging)}, {dora, "/api/v1/datasources", 200, array(main, staging)},
		{anna, "/api/v1/projects/shop/datasources?default=true", 200, array(main)},
		{anna, "/api/v1/projects/shop/datasources?default=false", 200, array(staging)},
		{anna, "/api/v1/projects/shop/datasources?kind=prometheusdatasource&name=st", 200, array(staging)},
		{anna, "/api/v1/projects/shop/datasources?kind=TempoDatasource", 200, "[]"},
		{anna, "/api/v1/projects/shop/datasources?metadata_only=1&name=main", 200, array(datasourceItem("Datasource", "main", "shop", "{}"))},
		{anna, "/api/v1/projects/shop/datasources/main", 200, main}, {carla, "/api/v1/datasources", 200, "[]"},
		{carla, "/api/v1/projects/shop/datasources/main", 404, notThere},
		{anna, "/api/v1/globaldatasources", 200, array(global)}, {anna, "/api/v1/globaldatasources?project=billing", 200, array(global)},
		{ben, "/api/v1/globaldatasources", 200, "[]"}, {anna, "/api/v1/globaldatasources/everywhere", 200, global},
		{ben, "/api/v1/globaldatasources/everywhere", 404, notThere},
	} {
		h.expect(c.token+" "+c.path, h.perses(c.token, c.path), c.status, c.body)
	}
	for _, r := range emptyResources {
		h.expect(r, h.perses(anna, "/api/v1/"+r), 200, "[]")
		h.expect(r, h.perses(anna, "/api/v1/projects/shop/"+r), 200, "[]")
		h.expect(r, h.perses(anna, "/api/v1/projects/shop/"+r+"/x"), 404, notThere)
	}
	for _, r := range emptyGlobalResources {
		h.expect(r, h.perses(anna, "/api/v1/"+r), 200, "[]")
		h.expect(r, h.perses(anna, "/api/v1/"+r+"/x"), 404, notThere)
	}
	h.expect("view", h.do(h.request(http.MethodPost, "/perses/api/v1/view", anna, `{"project":"shop","dashboard":"orders"}`)), 200, "")
	if calls := h.up.take(); len(calls) > 0 {
		t.Errorf("the upstream got %q", calls)
	}
}

// TestConfig: Perses' UI finds every part that it looks into, and that it is to
// write nothing.
func TestConfig(t *testing.T) {
	var parts map[string]any
	if err := json.Unmarshal([]byte(config), &parts); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]any{
		"security.readonly": true, "security.enable_auth": true, "security.authentication.disable_sign_up": true,
		"security.authentication.providers.enable_native": false, "security.authentication.providers.kubernetes.enable": true,
		"security.authorization.provider.kubernetes.enable": true, "datasource.disable_local": true, "datasource.global.disable": false,
		"datasource.project.disable": false, "variable.disable_local": true, "variable.global.disable": true, "variable.project.disable": true,
		"ephemeral_dashboard.enable": false, "frontend.explorer.enable": false, "database.file": nil,
	} {
		var at any = parts
		for name := range strings.SplitSeq(path, ".") {
			inner, is := at.(map[string]any)
			if !is {
				t.Errorf("%s: there is no way to %s", path, name)
				break
			}
			at = inner[name]
		}
		if at != want {
			t.Errorf("%s is %v", path, at)
		}
	}
}

// TestSearch: a part of a title or name, in any case, the best first.
func TestSearch(t *testing.T) {
	h := newAPIHarness(t)
	h.fill()
	found := func(name, project, tags, title, original, intervals, score string) string {
		return `{"metadata":{"name":"` + name + `",` + at + `,"project":"` + project + `"` + tags + `},"displayName":"` + title + `","original":"` + original + `","intervals":` + intervals + `,"score":` + score + `}`
	}
	const tags = `,"tags":["team-a","slo"]`
	orders := found("orders", "shop", tags, "Orders", "Orders", `[{"from":0,"to":5}]`, "1")
	invoices := found("orders", "billing", "", "Invoices of orders", "Invoices of orders", `[{"from":12,"to":17}]`, "0.3333333333333333")
	for path, want := range map[string]string{
		"?q=ORDERS": array(orders, invoices), "?query=orders": array(orders, invoices), "?q=orders&project=shop": array(orders),
		"?q=nothing": "[]", "?q=orders&project=..": "[]", "?q=" + strings.Repeat("x", 201): "[]",
		"?project=shop":     array(found("orders", "shop", tags, "Orders", "Orders", "[]", "0"), found("stock", "shop", "", "stock", "stock", "[]", "0")),
		"?q=tock":           array(found("stock", "shop", "", "stock", "stock", `[{"from":1,"to":4}]`, "0.8")),
		"?q=ord&project=no": "[]",
	} {
		h.expect(path, h.perses(carla, "/api/v1/search/dashboards"+path), 200, want)
	}
}

// TestSpelling: names that no object can have ask nobody.
func TestSpelling(t *testing.T) {
	h := newAPIHarness(t)
	h.fill()
	for _, path := range []string{
		"/api/v1/projects/Shop", "/api/v1/projects/shop.x", "/api/v1/projects/-shop/dashboards", "/api/v1/projects/shop_/variables",
		"/api/v1/projects/shop/dashboards/Orders", "/api/v1/projects/shop/dashboards/_", "/api/v1/projects/shop/dashboards/a..b",
		"/api/v1/projects/shop/dashboards/" + strings.Repeat("a", 76), "/api/v1/projects/" + strings.Repeat("a", 64) + "/dashboards",
		"/api/v1/projects/shop/datasources/-a", "/api/v1/projects/shop/folders/a.-b", "/api/v1/globaldatasources/A", "/api/v1/globaldatasources/a~",
		"/proxy/projects/SHOP/datasources/main/" + question, "/proxy/projects/shop/datasources/Main/" + question,
		"/proxy/projects/shop/dashboards/Orders/datasources/main/" + question, "/proxy/projects/shop/dashboards/orders/datasources/a:b/" + question,
		"/proxy/globaldatasources/Everywhere/" + question,
	} {
		h.expect(path, h.perses(anna, path), 404, notThere)
		h.silent(path)
	}
	if name := strings.Repeat("a", 75); !canBeObject(name) || !canBeObject("a.b-c.0") || canBeObject("") {
		t.Error("names that objects have are refused")
	}
}

// readRoutes is a path of every route that reads.
func readRoutes() []string {
	all := []string{
		"/api/v1/plugins", "/api/v1/user/whoami", "/api/v1/users/me", "/api/auth/providers/kubernetes/whoami", "/api/v1/users/x/permissions",
		"/api/v1/search/dashboards", "/api/v1/search/dashboards?project=..", "/api/v1/projects", "/api/v1/projects/shop",
		"/api/v1/globaldatasources", "/api/v1/globaldatasources/everywhere", "/api/v1/dashboards?project=A",
	}
	for _, r := range append([]string{"dashboards", "datasources", "folders"}, emptyResources...) {
		all = append(all, "/api/v1/"+r, "/api/v1/projects/shop/"+r, "/api/v1/projects/shop/"+r+"/main")
	}
	for _, r := range emptyGlobalResources {
		all = append(all, "/api/v1/"+r, "/api/v1/"+r+"/x")
	}
	for _, e := range []string{question, "api/v1/labels", "api/v1/label/job/values", "api/v1/series?match[]=up", "api/v1/metadata", "-/healthy"} {
		all = append(all, "/proxy/projects/shop/datasources/main/"+e, "/proxy/projects/shop/dashboards/orders/datasources/main/"+e, "/proxy/globaldatasources/everywhere/"+e)
	}
	return all
}

// TestCredentials: without a good credential no route answers, and no endpoint
// token opens any.
func TestCredentials(t *testing.T) {
	h := newAPIHarness(t)
	h.fill()
	public := []string{"/api/config", "/api/v1/health"}
	const noGood = `{"message":"the token is not valid: it may be mistyped, expired or revoked; ask the project's owner for a new one"}`
	const unavailable = `{"message":"the gateway cannot check credentials right now: try again in a moment"}`
	for _, path := range append(readRoutes(), public...) {
		for _, token := range []string{unknown, ended} {
			got := h.perses(token, path)
			h.expect(token+" "+path, got, 401, noGood)
			if got.header.Get("Www-Authenticate") != `Bearer error="invalid_token"` {
				t.Errorf("%s %s: header %v", token, path, got.header)
			}
		}
		h.objects.take()
		h.expect(path, h.perses(pasted, path), 403, `{"message":"`+errMetricsAlone.Message+`"}`)
		h.silent("an endpoint token at " + path)
		h.expect(path, h.perses(unchecked, path), 503, unavailable)
		twice := h.request(http.MethodGet, "/perses"+path, anna, "")
		twice.Header.Add("Authorization", "Bearer "+anna)
		h.expect("two credentials, "+path, h.do(twice), 401, noGood)
		h.silent("no credential at " + path)
	}
	for _, path := range readRoutes() {
		h.expect("nothing, "+path, h.perses("", path), 401, `{"message":"this request carries no credential: send Authorization: Bearer TOKEN, or Basic with the token as password"}`)
		h.silent("nothing, " + path)
	}
	for _, path := range []string{"/api/v1/projects/shop/dashboards", "/api/v1/projects/shop/dashboards/orders"} {
		for token, status := range map[string]int{"": 401, unknown: 401, ended: 401, pasted: 403, unchecked: 503} {
			if got := h.get(token, path); got.status != status || !strings.Contains(got.body, `"status":"error"`) {
				t.Errorf("%s %s: got %d %s", token, path, got.status, got.body)
			}
		}
	}
}

// TestFailures: a failure is told, and never an empty list.
func TestFailures(t *testing.T) {
	h := newAPIHarness(t)
	h.fill()
	for _, c := range []struct {
		err    error
		status int
		says   string
	}{
		{fmt.Errorf("%w: the watch is gone", auth.ErrUnavailable), 503, "cannot tell right now"},
		{fmt.Errorf("%w: by the API server", auth.ErrInvalid), 401, "the token is not valid"},
		{fmt.Errorf("%w: it is no Kubernetes token", auth.ErrForbidden), 403, "sign in with a Kubernetes token"},
		{fmt.Errorf("asking: %w", context.DeadlineExceeded), 503, "takes longer"},
		{fmt.Errorf("a canary of the inside"), 500, "its log says why"},
	} {
		h.objects.fail(c.err)
		for _, path := range append(readRoutes(), "/api/config") {
			got := h.perses(anna, path)
			if got.status != c.status || !strings.Contains(got.body, c.says) || strings.Contains(got.body, "canary") {
				t.Errorf("%v at %s: got %d %s", c.err, path, got.status, got.body)
			}
			if (c.status == 503) != (got.header.Get("Retry-After") != "") {
				t.Errorf("%v at %s: header %v", c.err, path, got.header)
			}
		}
		for _, path := range []string{"/api/v1/projects/shop/dashboards", "/api/v1/projects/shop/dashboards/orders"} {
			if got := h.get(anna, path); got.status != c.status || !strings.Contains(got.body, c.says) {
				t.Errorf("%v at %s: got %d %s", c.err, path, got.status, got.body)
			}
		}
	}
	if calls := h.up.take(); len(calls) > 0 {
		t.Errorf("the upstream got %q", calls)
	}
}

// TestHead: as GET, without a body.
func TestHead(t *testing.T) {
	h := newAPIHarness(t)
	h.fill()
	for _, path := range append(readRoutes()[:40], "/api/config", "/api/v1/health", "/none") {
		if strings.HasPrefix(path, "/proxy") {
			continue
		}
		want := h.perses(anna, path)
		got := h.do(h.request(http.MethodHead, "/perses"+path, anna, ""))
		if got.status != want.status || got.body != "" || fmt.Sprint(got.header) != fmt.Sprint(want.header) {
			t.Errorf("%s: got %d %q %v, want %d %v", path, got.status, got.body, got.header, want.status, want.header)
		}
	}
}
