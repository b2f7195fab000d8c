package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/routing"
	"github.com/promgate/promgate/tokens"
)

// mint makes a token by the store itself. An empty environment: for all.
func (h *harness) mint(project, environment string) string {
	h.t.Helper()
	scope := tokens.Scope{Project: project, ProjectUID: "uid-" + project, Environment: environment}
	if environment != "" {
		scope.EnvironmentUID = "uid-" + project + "-" + environment
	}
	_, token, err := h.store.Create(context.Background(), tokens.Draft{Scope: scope, Description: "Grafana", Lifetime: 24 * time.Hour})
	if err != nil {
		h.t.Fatal(err)
	}
	h.secrets = append(h.secrets, token)
	return token
}

// healthPattern is what changes by itself in an answer.
var healthPattern = regexp.MustCompile(`"health":\{[^}]*\}`)

// still is an answer without what changes by itself.
func still(a answer) answer {
	a.body = healthPattern.ReplaceAllString(a.body, `"health":{}`)
	return a
}

// item is the JSON of an environment of the tests, without what is told where it
// is asked for alone.
func item(project, name, allow, kind, replicas, enforced string) string {
	return fmt.Sprintf(`{"project":%q,"name":%q,"url":"https://gateway.example/projects/%s/environments/%s","allow":[%s],`+
		`"target":{"kind":%q},"replicas":%q,"enforced":{%s},"limits":%s,"health":{}}`,
		project, name, project, name, allow, kind, replicas, enforced, limitsJSON)
}

var (
	itemProduction = item("shop", "production", `"federate","remoteRead"`, "service", "any", `"namespace":["shop","shop-jobs"]`)
	itemStaging    = item("shop", "staging", "", "service", "pin", "")
	itemClosed     = item("shop", "closed", "", "service", "any", "")
	itemShopX      = item("shop-x", "production", "", "service", "any", "")
	itemBilling    = item("billing", "production", "", "url", "any", "")
)

const errNotYours = "this credential opens no environment of this project: check the project's name in the URL, or use a credential that may query it"

// TestLists: everybody is shown exactly what their credential opens.
func TestLists(t *testing.T) {
	h := newHarness(t)
	callers := map[string]string{
		"the token of shop": h.mint("shop", ""), "the token of production": h.mint("shop", "production"), "the token of billing": h.mint("billing", ""),
		"jane": "user-jane", "none": "user-none",
	}
	people := map[string]*browser{}
	for _, name := range []string{"anna", "boris", "carl", "dora"} {
		people[name] = h.signedIn(name)
	}
	h.up.take()
	list, forbidden := func(items ...string) string { return `{"environments":[` + strings.Join(items, ",") + `]}` }, failed("forbidden", errNotYours)
	const all, projects, ofShop = "/api/v1/environments", "/api/v1/projects", "/api/v1/projects/shop/environments"
	for _, c := range []struct {
		who, path string
		status    int
		want      string
	}{
		{"the token of shop", projects, 200, `{"projects":[{"name":"shop","environments":2}]}`},
		{"the token of production", projects, 200, `{"projects":[{"name":"shop","environments":1}]}`},
		{"the token of billing", projects, 200, `{"projects":[{"name":"billing","environments":1}]}`},
		{"jane", projects, 200, `{"projects":[{"name":"shop","environments":2}]}`},
		{"none", projects, 200, `{"projects":[]}`},
		{"anna", projects, 200, `{"projects":[{"name":"shop","environments":2}]}`},
		{"dora", projects, 200, `{"projects":[{"name":"billing","environments":1},{"name":"shop","environments":2},{"name":"shop-x","environments":1}]}`},
		{"carl", projects, 200, `{"projects":[]}`},
		{"the token of shop", all, 200, list(itemProduction, itemStaging)},
		{"the token of production", all, 200, list(itemProduction)},
		{"the token of billing", all, 200, list(itemBilling)},
		{"jane", all, 200, list(itemClosed, itemProduction)},
		{"none", all, 200, list()},
		{"boris", all, 200, list(itemProduction, itemStaging)},
		{"dora", all, 200, list(itemBilling, itemProduction, itemStaging, itemShopX)},
		{"carl", all, 200, list()},
		{"the token of shop", ofShop, 200, list(itemProduction, itemStaging)},
		{"jane", ofShop + "?x=1", 200, list(itemClosed, itemProduction)},
		{"dora", "/api/v1/projects/shop-x/environments", 200, list(itemShopX)},
		{"the token of shop", "/api/v1/projects/billing/environments", 403, forbidden},
		{"the token of shop", "/api/v1/projects/none/environments", 403, forbidden},
		{"jane", "/api/v1/projects/billing/environments", 403, forbidden},
		{"jane", "/api/v1/projects/none/environments", 403, forbidden},
		{"none", ofShop, 403, forbidden},
		{"carl", ofShop, 403, forbidden},
		{"carl", "/api/v1/projects/none/environments", 403, forbidden},
		{"carl", "/api/v1/projects/shop", 403, forbidden},
		{"carl", "/api/v1/projects/none", 403, forbidden},
	} {
		ask := func() answer { return h.as(callers[c.who], "GET", c.path, "") }
		if b := people[c.who]; b != nil {
			ask = func() answer { return b.do("GET", c.path, "") }
		}
		check(t, c.path+" as "+c.who, still(ask()), c.status, c.want)
	}
	for _, path := range h.up.take() {
		if !strings.HasSuffix(path, "/api/v1/status/buildinfo") {
			t.Errorf("the upstream saw %s", path)
		}
	}
}

// TestNoIdentity: nobody is told anything, and whoever cannot be checked may try
// again.
func TestNoIdentity(t *testing.T) {
	h := newHarness(t)
	for _, path := range []string{"/api/v1/environments", "/api/v1/projects", apiShop + "/environments", "/api/v1/projects/none/environments", apiShop, apiProduction} {
		h.users.down = false
		check(t, path+" as nobody", h.as("user-forged", "GET", path, ""), 401,
			failed("unauthorized", "the token is not valid: it may be mistyped, expired or revoked; ask the project's owner for a new one"))
		check(t, path+" without a credential", h.do(h.request("GET", path, "")), 401,
			failed("unauthorized", "this request carries no credential: send Authorization: Bearer TOKEN, or Basic with the token as password"))
		h.users.down = true
		got := h.as("user-jane", "GET", path, "")
		check(t, path+" without a review", got, 503, failed("unavailable", "the gateway cannot check credentials right now: try again in a moment"))
		if got.header.Get("Retry-After") != "5" {
			t.Errorf("%s: Retry-After %q", path, got.header.Get("Retry-After"))
		}
	}
	if asked := h.up.take(); len(asked) != 0 {
		t.Errorf("the upstream saw %v", asked)
	}
}

// TestRoutes: only these, only their methods.
func TestRoutes(t *testing.T) {
	h := newHarness(t)
	token := h.mint("shop", "")
	for path, allow := range map[string]string{
		"/api/v1/openapi.yaml": "GET", "/api/v1/session": "DELETE, GET", "/api/v1/sessions": "DELETE", "/api/v1/session/local": "POST",
		"/api/v1/session/kubernetes": "POST", "/api/v1/session/oidc": "POST", "/api/v1/session/oidc/callback": "GET",
		"/api/v1/projects": "GET", "/api/v1/environments": "GET", apiShop: "GET", apiShop + "/environments": "GET", apiProduction: "GET",
		apiProduction + "/doctor": "GET", apiProduction + "/provisioning": "GET", apiTokens: "GET, POST", apiTokens + "/1": "DELETE, GET", apiTokens + "/1/rotate": "POST",
	} {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"} {
			if slices.Contains(strings.Split(allow, ", "), method) {
				continue
			}
			got := h.as(token, method, path, "")
			want := failed("method_not_allowed", "this endpoint takes "+allow+", not "+method)
			if method == http.MethodHead {
				want = ""
			}
			check(t, method+" "+path, got, 405, want)
			if got.header.Get("Allow") != allow {
				t.Errorf("%s %s: Allow is %q, want %q", method, path, got.header.Get("Allow"), allow)
			}
		}
	}
	for _, path := range []string{
		"/api/v1", "/api/v1/project", "/api/v1/projects/", "/api/v1/projects/shop/", "/api/v1/projects/shop/environments/", "/api/v1/projects/Shop",
		"/api/v1/projects/Shop/environments", "/api/v1/projects/sh%6Fp/environments", "/api/v1/projects/../environments", apiProduction + "/",
		apiProduction + "/Doctor", apiShop + "/environments/Production", apiTokens + "/", apiTokens + "/1/", apiTokens + "/%31", apiTokens + "/1/rotate/x",
	} {
		if got := h.as(token, "GET", path, ""); got.status != 404 || !strings.Contains(got.body, "no such route") {
			t.Errorf("%s: got %d %s", path, got.status, got.body)
		}
	}
}

// many are environments whose names sort unlike their parts joined: shop and
// shop-x, a and a0.
func (h *harness) many() []*routing.Environment {
	var all []*routing.Environment
	for _, project := range []string{"shop", "shop-x", "shop0", "a", "a-a", "a0", "shop-x-y"} {
		for _, name := range []string{"production", "x", "x-production", "0"} {
			all = append(all, h.direct(project, name))
		}
	}
	return all
}

// everything grants a person all projects of these environments.
func (h *harness) everything(name string, all []*routing.Environment) {
	var grants []auth.Grant
	for _, e := range all {
		grants = append(grants, auth.Grant{ProjectUID: e.Project.UID, WholeProject: true})
	}
	h.people.set(name, grants...)
}

// names are those of the entries of a list's page, and the next page's place.
func names(t *testing.T, got answer) (all []string, next string) {
	t.Helper()
	var body struct {
		Projects     []struct{ Name string }
		Environments []struct{ Project, Name string }
		Tokens       []struct{ ID string }
		Next         *string
	}
	if err := json.Unmarshal([]byte(got.body), &body); err != nil || got.status != 200 {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	for _, p := range body.Projects {
		all = append(all, p.Name)
	}
	for _, e := range body.Environments {
		all = append(all, e.Project+"/"+e.Name)
	}
	for _, k := range body.Tokens {
		all = append(all, k.ID)
	}
	if body.Next != nil {
		if next = *body.Next; next == "" {
			t.Errorf("an empty next: %s", got.body)
		}
	}
	return all, next
}

// walk reads a list page by page.
func (b *browser) walk(path string, limit int) (all []string) {
	b.h.t.Helper()
	t := b.h.t.(*testing.T)
	for after := ""; ; {
		query := url.Values{"limit": {fmt.Sprint(limit)}}
		if after != "" {
			query.Set("after", after)
		}
		part, next := names(t, b.do("GET", path+"?"+query.Encode(), ""))
		all = append(all, part...)
		switch {
		case next == "":
			return all
		case len(part) != limit || next == after:
			t.Fatalf("%s: a page of %d from %q, and the next from %q", path, len(part), after, next)
		}
		after = next
	}
}

// TestPaging: whatever the size of the pages, together they are the whole list,
// in the same order.
func TestPaging(t *testing.T) {
	h := newHarness(t)
	all := h.many()
	h.set(all...)
	h.everything("carl", all)
	b := h.signedIn("carl")
	var environments, projects []string
	for e := range h.routes.Load().All() {
		environments = append(environments, e.Project.Name+"/"+e.Name)
		if !slices.Contains(projects, e.Project.Name) {
			projects = append(projects, e.Project.Name)
		}
	}
	for path, want := range map[string][]string{
		"/api/v1/environments": environments, "/api/v1/projects": projects,
		"/api/v1/projects/shop-x/environments": {"shop-x/0", "shop-x/production", "shop-x/x", "shop-x/x-production"},
	} {
		for limit := 1; limit <= len(want)+1; limit++ {
			if got := b.walk(path, limit); !slices.Equal(got, want) {
				t.Errorf("%s by %d:\n got %v\nwant %v", path, limit, got, want)
			}
		}
	}
	// What has gone meanwhile leaves its place.
	if got, _ := names(t, b.do("GET", "/api/v1/environments?after=shop+zzz", "")); got[0] != "shop-x/0" {
		t.Errorf("after one that is gone: %v", got)
	}
	if got := b.do("GET", "/api/v1/projects?after=zzz", ""); got.body != `{"projects":[]}` {
		t.Errorf("after the last: %s", got.body)
	}
}

// TestSearch: every word stands somewhere in the name, in any case.
func TestSearch(t *testing.T) {
	h := newHarness(t)
	all := h.many()
	h.set(all...)
	h.everything("carl", all)
	b := h.signedIn("carl")
	for _, c := range []struct{ path, search, want string }{
		{"environments", "shop-x-y prod", "shop-x-y/production shop-x-y/x-production"},
		{"environments", "PROD A-A", "a-a/production a-a/x-production"},
		{"environments", "  x-prod   shop0 ", "shop0/x-production"},
		{"environments", "shop0/x-prod", "shop0/x-production"},
		{"environments", "shop0 0", "shop0/0 shop0/production shop0/x shop0/x-production"},
		{"environments", "nothing", ""},
		{"environments", "prod\tshop-x-y\nx-", "shop-x-y/production shop-x-y/x-production"},
		{"environments", "ſhop", ""},
		{"projects", "shop x", "shop-x shop-x-y"},
		{"projects", "production", ""},
		{"projects", "A", "a a-a a0"},
		{"projects/shop/environments", "x prod", "shop/x-production"},
		{"projects/shop/environments", "shop", ""},
	} {
		got, _ := names(t, b.do("GET", "/api/v1/"+c.path+"?"+url.Values{"search": {c.search}}.Encode(), ""))
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s for %q: got %v, want %s", c.path, c.search, got, c.want)
		}
	}
	// A search is paged too.
	got, next := names(t, b.do("GET", "/api/v1/environments?search=prod&limit=2&after=shop+0", ""))
	if strings.Join(got, " ") != "shop/production shop/x-production" || next != "shop x-production" {
		t.Errorf("got %v, next %q", got, next)
	}
}

// TestListBounds: pages have 500 entries and never more than 1000, and what is
// no number or too long is told.
func TestListBounds(t *testing.T) {
	h := newHarness(t)
	var all []*routing.Environment
	for i := range 1200 {
		e := h.direct(fmt.Sprintf("p%04d", i), "production")
		e.Target.Caller = http.DefaultTransport // nobody asks it by itself
		all = append(all, e)
	}
	h.set(all...)
	h.everything("carl", all)
	b := h.signedIn("carl")
	const (
		badLimit = "limit must be a whole number from 1 on, such as 100"
		tooLong  = "search and after must be shorter"
	)
	for query, want := range map[string]any{
		"": 500, "limit=1": 1, "limit=1000": 1000, "limit=1001": 1000, "limit=1000000": 1000,
		"limit=0": badLimit, "limit=-1": badLimit, "limit=x": badLimit, "limit=1.5": badLimit, "limit=1e2": badLimit, "limit=+5": badLimit,
		"limit=99999999999999999999": badLimit, "search=" + strings.Repeat("a", 129): tooLong, "after=" + strings.Repeat("a", 257): tooLong,
		"search=" + strings.Repeat("a", 128): 0,
	} {
		for _, list := range []string{"projects", "environments"} {
			got := b.do("GET", "/api/v1/"+list+"?"+query, "")
			if message, bad := want.(string); bad {
				check(t, list+"?"+query, got, 400, failed("bad_data", message))
				continue
			}
			if entries, _ := names(t, got); len(entries) != want {
				t.Errorf("%s?%.30s: %d entries, want %v", list, query, len(entries), want)
			}
		}
	}
	check(t, "a bad limit before the project is looked at", b.do("GET", "/api/v1/projects/none/environments?limit=0", ""), 400, failed("bad_data", badLimit))
}
