package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/routing"
)

// detail is the JSON of an environment that is asked for alone.
func detail(item, kind, description string, r role, endpointTokens string) string {
	if description != "" {
		item = strings.Replace(item, `"target":{"kind":"`+kind+`"}`, `"target":{"kind":"`+kind+`","description":"`+description+`"}`, 1)
	}
	return strings.TrimSuffix(item, "}") + `,"role":"` + string(r) + `","endpointTokens":` + endpointTokens + `}`
}

const errOtherEnvironment = "this credential does not open this environment: check project and environment in the URL, or use a token that was made for them"

// TestRoles: what somebody is in a project, and what viewers are not told.
func TestRoles(t *testing.T) {
	h := newHarness(t)
	shop := h.mint("shop", "")
	const where = "service shop/prometheus-production:web on cluster local"
	for _, c := range []struct {
		who     string
		ask     func(path string) answer
		project string
		item    string
	}{
		{"a maintainer", h.asker("anna"), `{"name":"shop","environments":2,"role":"maintainer"}`, detail(itemProduction, "service", where, maintainer, "true")},
		{"a viewer", h.asker("boris"), `{"name":"shop","environments":2,"role":"viewer"}`, detail(itemProduction, "service", "", viewer, "true")},
		{"an endpoint token", h.asker(shop), `{"name":"shop","environments":2,"role":"viewer"}`, detail(itemProduction, "service", "", viewer, "true")},
		{"a reviewed maintainer", h.asker("user-mona"), `{"name":"shop","environments":1,"role":"maintainer"}`, detail(itemProduction, "service", where, maintainer, "true")},
		{"a reviewed viewer", h.asker("user-jane"), `{"name":"shop","environments":2,"role":"viewer"}`, detail(itemProduction, "service", "", viewer, "true")},
	} {
		check(t, "the project for "+c.who, c.ask(apiShop), 200, c.project)
		check(t, "the environment for "+c.who, still(c.ask(apiProduction)), 200, c.item)
	}
	forbidden := failed("forbidden", errOtherEnvironment)
	for _, path := range []string{"", "/doctor", "/provisioning"} {
		check(t, "another project's", h.asker("anna")("/api/v1/projects/billing/environments/production"+path), 403, forbidden)
		check(t, "no project's", h.asker("anna")("/api/v1/projects/none/environments/production"+path), 403, forbidden)
		check(t, "none", h.asker("user-jane")("/api/v1/projects/shop/environments/none"+path), 403, forbidden)
		check(t, "not hers", h.asker("user-jane")("/api/v1/projects/shop/environments/staging"+path), 403, forbidden)
		check(t, "closed to tokens", h.asker(shop)("/api/v1/projects/shop/environments/closed"+path), 403, forbidden)
	}
	check(t, "closed to tokens, by review", still(h.asker("user-jane")("/api/v1/projects/shop/environments/closed")), 200, detail(itemClosed, "service", "", viewer, "false"))
	check(t, "a maintainer of one project elsewhere", h.asker("user-mona")("/api/v1/projects/shop-x"), 200, `{"name":"shop-x","environments":1,"role":"viewer"}`)
	check(t, "a URL", still(h.asker("dora")("/api/v1/projects/billing/environments/production")), 200,
		detail(itemBilling, "url", "inner /billing/production", maintainer, "true"))
}

// asker asks as somebody: a person who signs in, or a token.
func (h *harness) asker(who string) func(path string) answer {
	h.t.Helper()
	if strings.ContainsAny(who, "-.") {
		return func(path string) answer { return h.as(who, "GET", path, "") }
	}
	b := h.signedIn(who)
	h.clock.advance(6e9) // so that nobody has signed in too often
	return func(path string) answer { return b.do("GET", path, "") }
}

// TestManages: by grants for the project's own UID, whole and with Manage; by
// review in every namespace, and never where an environment is not in Kubernetes.
func TestManages(t *testing.T) {
	h := newHarness(t)
	elsewhere := h.service("shop", "elsewhere")
	elsewhere.Target.ServiceProxy.Namespace = "shop-jobs"
	other := h.service("shop", "other")
	other.Target.ServiceProxy.Cluster = "west"
	twin := h.service("shop", "twin")
	twin.Project = &routing.Project{Name: "shop", UID: "uid-of-the-twin", Cluster: "west"}
	one, two := h.service("shop", "production"), h.service("shop", "staging")
	grant := func(uid string, whole, manage bool) *auth.Identity {
		return &auth.Identity{Grants: []auth.Grant{{ProjectUID: uid, EnvironmentUID: one.UID, WholeProject: whole, Manage: manage}}}
	}
	reviewed := func(places ...string) *auth.Identity {
		h.users.manages["user-jane"] = places
		id, err := h.users.Authenticate(t.Context(), auth.NewCredential("user-jane"))
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	for name, c := range map[string]struct {
		id    func() *auth.Identity
		all   []*routing.Environment
		want  bool
		asked string
	}{
		"granted":                   {func() *auth.Identity { return grant("uid-shop", true, true) }, []*routing.Environment{one, two}, true, ""},
		"granted, of a URL":         {func() *auth.Identity { return grant("uid-shop", true, true) }, []*routing.Environment{one, h.direct("shop", "direct")}, true, ""},
		"granted to view":           {func() *auth.Identity { return grant("uid-shop", true, false) }, []*routing.Environment{one}, false, ""},
		"granted one environment":   {func() *auth.Identity { return grant("uid-shop", false, true) }, []*routing.Environment{one}, false, ""},
		"granted of another UID":    {func() *auth.Identity { return grant("uid-before", true, true) }, []*routing.Environment{one}, false, ""},
		"granted of one of twins":   {func() *auth.Identity { return grant("uid-shop", true, true) }, []*routing.Environment{one, twin}, false, ""},
		"granted, of nothing":       {func() *auth.Identity { return grant("uid-shop", true, true) }, nil, false, ""},
		"reviewed, asked once":      {func() *auth.Identity { return reviewed("local/shop") }, []*routing.Environment{one, two}, true, "local/shop"},
		"reviewed in one of two":    {func() *auth.Identity { return reviewed("local/shop") }, []*routing.Environment{one, elsewhere, two}, false, "local/shop local/shop-jobs"},
		"reviewed in both":          {func() *auth.Identity { return reviewed("local/shop", "local/shop-jobs") }, []*routing.Environment{one, elsewhere}, true, "local/shop local/shop-jobs"},
		"reviewed in one cluster":   {func() *auth.Identity { return reviewed("local/shop") }, []*routing.Environment{one, other}, false, "local/shop west/shop"},
		"reviewed, with a URL":      {func() *auth.Identity { return reviewed("local/shop") }, []*routing.Environment{one, h.direct("shop", "direct")}, false, ""},
		"reviewed, a URL alone":     {func() *auth.Identity { return reviewed("local/shop") }, []*routing.Environment{h.direct("shop", "direct")}, false, ""},
		"reviewed, of nothing":      {func() *auth.Identity { return reviewed("local/shop") }, nil, false, ""},
		"reviewed, without a right": {func() *auth.Identity { return reviewed() }, []*routing.Environment{one}, false, "local/shop"},
	} {
		h.users.asked = nil
		got, err := manages(t.Context(), c.id(), c.all)
		if got != c.want || err != nil || strings.Join(h.users.asked, " ") != c.asked {
			t.Errorf("%s: got %v, %v, asked %v", name, got, err, h.users.asked)
		}
	}
}

// TestReviewedURL: who is reviewed sees a project's environments in Kubernetes
// alone, and manages no tokens that would open its others.
func TestReviewedURL(t *testing.T) {
	h := newHarness(t)
	h.set(append(h.environments(), h.direct("shop", "direct"))...)
	check(t, "the project", h.as("user-mona", "GET", apiShop, ""), 200, `{"name":"shop","environments":1,"role":"viewer"}`)
	if got := h.as("user-mona", "GET", apiTokens, ""); got.status != http.StatusForbidden {
		t.Errorf("the tokens: got %d %s", got.status, got.body)
	}
	check(t, "the environment by URL", h.as("user-mona", "GET", apiShop+"/environments/direct", ""), 403, failed("forbidden", errOtherEnvironment))
	check(t, "the environment in Kubernetes", still(h.as("user-mona", "GET", apiProduction, "")), 200, detail(itemProduction, "service", "", viewer, "true"))
}
