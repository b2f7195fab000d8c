package perses

import (
	"net/http"
	"strings"
	"testing"
)

// writeRoutes are all routes of Perses that change something or let somebody in,
// each with its method (Perses 0.54, internal/api).
func writeRoutes() [][2]string {
	var all [][2]string
	add := func(method string, paths ...string) {
		for _, p := range paths {
			all = append(all, [2]string{method, p})
		}
	}
	resources := []string{
		"dashboards", "datasources", "folders", "variables", "secrets", "roles", "rolebindings", "ephemeraldashboards",
	}
	for _, r := range resources {
		add(http.MethodPost, "/api/v1/"+r, "/api/v1/projects/shop/"+r)
		for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodPost} {
			add(method, "/api/v1/projects/shop/"+r+"/main", "/api/v1/projects/shop/"+r+"/none", "/api/v1/"+r+"/main", "/api/v1/projects/none/"+r+"/main")
		}
	}
	for _, r := range []string{
		"projects", "globaldatasources", "globalvariables", "globalsecrets", "globalroles", "globalrolebindings", "users", "plugins",
	} {
		add(http.MethodPost, "/api/v1/"+r)
		for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodPost} {
			add(method, "/api/v1/"+r+"/shop", "/api/v1/"+r+"/none", "/api/v1/"+r)
		}
	}
	add(http.MethodPost,
		"/api/auth/providers/native/login", "/api/auth/providers/oidc/x/login", "/api/auth/providers/oauth/x/login", "/api/auth/providers/kubernetes/login",
		"/api/auth/providers/oidc/x/device/code", "/api/auth/providers/oidc/x/token", "/api/auth/refresh", "/api/auth/logout", "/api/auth/providers/native/whoami",
		"/api/migrate", "/api/v1/migrate", "/api/validate/dashboards", "/api/validate/datasources", "/api/validate/globaldatasources",
		"/api/validate/variables", "/api/validate/globalvariables", "/api/config", "/api/v1/health", "/api/v1/user/whoami", "/api/v1/users/me",
		"/api/v1/search/dashboards", "/api/v1/users/x/permissions", "/api/v1/views", "/api/v1/view/x", "/api", "",
		"/proxy/unsaved/datasources/main", "/proxy/unsaved/globaldatasources/api/v1/query", "/proxy/unsaved/projects/shop/datasources/api/v1/query",
		"/proxy/unsaved/projects/shop/dashboards/orders/datasources/api/v1/query", "/proxy", "/proxy/projects/shop", "/proxy/globaldatasources/everywhere",
		"/plugins/Prometheus/mf-manifest.json", "/none",
	)
	add(http.MethodDelete, "/api/auth/logout", "/api/v1/view")
	add(http.MethodPut, "/api/v1/view", "/api/config")
	return all
}

// TestWrites: every wish to change something is refused in the same words,
// whoever has it, and nobody is asked.
func TestWrites(t *testing.T) {
	h := newAPIHarness(t)
	h.fill()
	for _, route := range writeRoutes() {
		for _, token := range []string{"", anna, dora, pasted, unknown, ended, unchecked} {
			r := h.request(route[0], "/perses"+route[1], token, `{"kind":"Dashboard","metadata":{"name":"main","project":"shop"},"spec":{}}`)
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("X-Http-Method-Override", http.MethodGet)
			got := h.do(r)
			h.expect(token+" "+route[0]+" "+route[1], got, http.StatusMethodNotAllowed, cannotPut)
			if got.header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: Allow is %q", route[0], route[1], got.header["Allow"])
			}
		}
		h.silent(strings.Join(route[:], " "))
	}
}

// TestMethods: what is no reading is refused, on every path.
func TestMethods(t *testing.T) {
	h := newAPIHarness(t)
	h.fill()
	paths := append(readRoutes(), "/api/config", "/api/v1/health", "/api/v1/view", "/none", "/proxy/unsaved/projects/shop/datasources/x/api/v1/query")
	for _, path := range paths {
		for _, method := range []string{"PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "COPY", "get", "X"} {
			h.expect(method+" "+path, h.do(h.request(method, "/perses"+path, anna, "")), http.StatusMethodNotAllowed, cannotPut)
			h.silent(method + " " + path)
		}
	}
	for _, path := range []string{
		"/api/auth/providers/native/login", "/api/auth/refresh", "/api/migrate", "/api/validate/dashboards", "/proxy/unsaved/datasources/x/api/v1/query",
		"/proxy/unsaved/projects/shop/datasources/x/api/v1/query", "/api", "/api/v1", "/api/v2/projects", "/plugins/x/mf-manifest.json", "",
		"/api/v1/projects/shop/plugins", "/api/v1/health/x", "/proxy/globaldatasources/everywhere", "/proxy/projects/shop/datasources/main", "/metrics",
	} {
		for _, token := range []string{"", anna, pasted, unknown} {
			h.expect("GET "+path, h.perses(token, path), http.StatusNotFound, notThere)
			h.silent("GET " + path)
		}
	}
	h.expect("view is no page", h.perses(anna, "/api/v1/view"), http.StatusMethodNotAllowed, cannotPut)
	h.expect("view needs a credential", h.do(h.request("POST", "/perses/api/v1/view", unknown, "x")), http.StatusUnauthorized,
		`{"message":"the token is not valid: it may be mistyped, expired or revoked; ask the project's owner for a new one"}`)
	h.silent("view")
}
