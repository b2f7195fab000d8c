package gateway

import (
	"net/http"
	"strings"
	"testing"

	"github.com/promgate/promgate/routing"
)

// TestLists: everybody is shown exactly what their credential opens.
func TestLists(t *testing.T) {
	h, _ := newUsers(t)
	all := environments(h.up)
	all[1].Allow = routing.Allow{}
	all[1].Target.NoEndpointTokens = true
	h.setEnvironments(all...)
	const (
		shopProduction = `{"project":"shop","name":"production","url":"https://gateway.example/projects/shop/environments/production","allow":["federate","remoteRead"]}`
		forbidden      = `{"status":"error","errorType":"forbidden","error":"this credential opens no environment of this project: check the project's name in the URL, or use a credential that may query it (request id ID)"}`
	)
	for _, c := range []struct {
		token, path string
		status      int
		want        string
	}{
		{tokenShop, "/api/v1/projects", 200, `{"projects":[{"name":"shop","environments":1}]}`},
		{tokenBilling, "/api/v1/projects", 200, `{"projects":[{"name":"billing","environments":1}]}`},
		{"user-jane", "/api/v1/projects", 200, `{"projects":[{"name":"shop","environments":1}]}`},
		{"user-nobody", "/api/v1/projects", 200, `{"projects":[]}`},
		{tokenShop, "/api/v1/projects/shop/environments", 200, `{"environments":[` + shopProduction + `]}`},
		{"user-jane", "/api/v1/projects/shop/environments?x=1", 200, `{"environments":[` + shopProduction + `]}`},
		{tokenShop, "/api/v1/projects/billing/environments", 403, forbidden},
		{tokenShop, "/api/v1/projects/none/environments", 403, forbidden},
		{"user-jane", "/api/v1/projects/billing/environments", 403, forbidden},
		{"user-jane", "/api/v1/projects/none/environments", 403, forbidden},
		{"user-nobody", "/api/v1/projects/shop/environments", 403, forbidden},
	} {
		got := h.as(c.token, c.path)
		if got.status != c.status || got.body != c.want {
			t.Errorf("%s as %s: got %d %s, want %d %s", c.path, c.token, got.status, got.body, c.status, c.want)
		}
		if got.header.Get("Content-Type") != "application/json" || got.header.Get("Cache-Control") != "no-store" || got.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: header %v", c.path, got.header)
		}
	}
	for _, token := range []string{"user-forged", "token-forged", "forged"} {
		for _, path := range []string{"/api/v1/projects", "/api/v1/projects/shop/environments", "/api/v1/projects/none/environments"} {
			if got := h.as(token, path); got.status != http.StatusUnauthorized || !strings.Contains(got.body, "the token is not valid") {
				t.Errorf("%s as %s: got %d %s", path, token, got.status, got.body)
			}
		}
	}
	all[1].Target.NoEndpointTokens = false
	h.setEnvironments(all...)
	if got := h.as(tokenShop, "/api/v1/projects"); got.body != `{"projects":[{"name":"shop","environments":2}]}` {
		t.Errorf("got %s", got.body)
	}
	if got := h.as(tokenShop, "/api/v1/projects/shop/environments"); !strings.HasSuffix(got.body, `/environments/staging","allow":[]}]}`) {
		t.Errorf("got %s", got.body)
	}
	if calls := h.up.take(); len(calls) != 0 {
		t.Errorf("the upstream saw %v", calls)
	}
}

// TestListRoutes: only these, only GET, and each with a credential.
func TestListRoutes(t *testing.T) {
	h, _ := newUsers(t)
	for _, method := range []string{http.MethodPost, http.MethodHead, http.MethodDelete, http.MethodOptions} {
		for _, path := range []string{"/api/v1/projects", "/api/v1/projects/shop/environments"} {
			if got := h.do(h.request(method, path, "")); got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") != "GET" {
				t.Errorf("%s %s: got %d %s", method, path, got.status, got.body)
			}
		}
	}
	for _, path := range []string{
		"/api/v1", "/api/v1/project", "/api/v1/projects/", "/api/v1/projects/shop", "/api/v1/projects/shop/", "/api/v1/projects/shop/environments/",
		"/api/v1/projects/shop/environments/production", "/api/v1/projects/Shop/environments", "/api/v1/projects/sh%6Fp/environments", "/api/v1/projects/../environments",
	} {
		if got := h.get(path); got.status != http.StatusNotFound || !strings.Contains(got.body, "no such route") {
			t.Errorf("%s: got %d %s", path, got.status, got.body)
		}
	}
	r := h.request(http.MethodGet, "/api/v1/projects", "")
	r.Header.Del("Authorization")
	if got := h.do(r); got.status != http.StatusUnauthorized {
		t.Errorf("without a credential: got %d %s", got.status, got.body)
	}
}
