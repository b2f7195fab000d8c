package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/promgate/promgate/auth/local"
	"github.com/promgate/promgate/cmd/demo/cluster"
)

// sessionsRole is what sessions as objects need in the gateway's own namespace.
const sessionsRole = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: promgate-sessions, namespace: HOME}
rules:
  - {apiGroups: [promgate.io], resources: [sessions], verbs: [create, get, list, watch, update, delete, deletecollection]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: promgate-sessions, namespace: HOME}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: promgate-sessions}
subjects: [{kind: ServiceAccount, name: promgate, namespace: HOME}]
`

// browser is a client with one cookie, as the page is.
type browser struct{ cookie string }

// ask sends a request of the page.
func (b *browser) ask(method, address, body string) answer {
	r := request(method, address, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Promgate-Page", "1")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if b.cookie != "" {
		r.Header.Set("Cookie", b.cookie)
	}
	a := ask(r)
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		if c.Name == "__Host-promgate" && c.MaxAge > 0 {
			b.cookie = c.Name + "=" + c.Value
		}
	}
	return a
}

// signIn begins a session at a gateway.
func signIn(t *testing.T, g *running, way, body string) *browser {
	t.Helper()
	b := &browser{}
	must(t, wantStatus(b.ask(http.MethodPost, g.url+"/api/v1/session/"+way, body), http.StatusOK))
	if b.cookie == "" {
		t.Fatal("no cookie")
	}
	return b
}

// wantSession waits until the session counts at a gateway, or does not, and returns how long that took.
func (b *browser) want(t *testing.T, status int, gateways ...*running) (took time.Duration) {
	t.Helper()
	for _, g := range gateways {
		took = max(took, eventually(t, func() error {
			return wantStatus(b.ask(http.MethodGet, g.url+"/api/v1/projects", ""), status)
		}))
	}
	return took
}

// TestSessionsOfTwoGateways: who signs in at one is known to the other at once and after a restart, and gone everywhere when
// they sign out, or are taken out of the users file.
func TestSessionsOfTwoGateways(t *testing.T) {
	t.Parallel()
	k := newKeeper(t, "sessions")
	kind, err := os.ReadFile("../../../deploy/kubernetes/crd/sessions.yaml")
	must(t, err)
	must(t, controlPlane(t).Apply(t.Context(), kind))
	applied(t, k.namespace, k.home, sessionsRole)
	applied(t, "", k.home, reviewers)
	users := filepath.Join(t.TempDir(), "users.yaml")
	addUser(t, users, "anna")
	addUser(t, users, "boris")
	path := k.configuration(k.kubeconfig, "")
	more := fmt.Sprintf("signIn: {usersFile: %q, kubernetes: true}\nprojects:\n  - name: %s\n    members: [{user: anna, role: maintainer}, {user: boris}]\n", users, k.namespace)
	text, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, append(text, more...), 0o600))
	one, two := serve(t, path), serve(t, path)

	anna := signIn(t, one, "local", `{"name":"anna","password":"anna's long password"}`)
	must(t, wantStatus(anna.ask(http.MethodGet, two.url+"/api/v1/projects", ""), http.StatusOK)) // at once
	base := two.base(k.namespace + "/production")
	check(t, wantStatus(anna.ask(http.MethodGet, base+"/api/v1/query?query=up", ""), http.StatusOK))
	check(t, wantStatus(anna.ask(http.MethodGet, two.url+"/api/v1/projects/"+k.namespace+"/tokens", ""), http.StatusOK))

	boris := signIn(t, two, "local", `{"name":"boris","password":"boris's long password"}`)
	check(t, wantError(boris.ask(http.MethodGet, one.url+"/api/v1/projects/"+k.namespace+"/tokens", ""), http.StatusForbidden, "forbidden"))
	t.Run("restarted", func(t *testing.T) {
		again := serve(t, path)
		check(t, wantStatus(anna.ask(http.MethodGet, again.url+"/api/v1/projects", ""), http.StatusOK))
	})
	t.Run("signed out everywhere", func(t *testing.T) {
		other := signIn(t, two, "local", `{"name":"anna","password":"anna's long password"}`)
		other.want(t, http.StatusOK, one, two)
		must(t, wantStatus((&browser{anna.cookie}).ask(http.MethodDelete, one.url+"/api/v1/sessions", ""), http.StatusOK))
		took := max(anna.want(t, http.StatusUnauthorized, one, two), other.want(t, http.StatusUnauthorized, one, two))
		t.Logf("signed out on both after %s", took.Round(time.Millisecond))
		if took > 2*time.Second {
			t.Errorf("signing out took %s", took)
		}
		boris.want(t, http.StatusOK, one, two)
	})
	t.Run("disabled", func(t *testing.T) {
		must(t, local.SetDisabled(users, "boris", true))
		boris.want(t, http.StatusUnauthorized, one, two)
	})
	t.Run("by Kubernetes token", func(t *testing.T) { k.testTokenSession(t, one, two) })
}

// testTokenSession: a session with a Kubernetes token may what its user may, by access review.
func (k *keeper) testTokenSession(t *testing.T, one, two *running) {
	c, ctx := controlPlane(t), t.Context()
	token, err := c.ServiceAccountToken(ctx, k.namespace, "reader", "promgate")
	must(t, err)
	must(t, c.AllowServiceProxy(ctx, k.namespace, cluster.ServiceAccount(k.namespace, "reader"), []string{proxied}, "get"))
	reader := signIn(t, one, "kubernetes", fmt.Sprintf(`{"token":%q}`, token))
	a := reader.ask(http.MethodGet, two.url+"/api/v1/session", "")
	if !strings.Contains(a.body, "system:serviceaccount:"+k.namespace+":reader") || strings.Contains(a.body, token) {
		t.Errorf("the session is %s", a)
	}
	tokens := two.url + "/api/v1/projects/" + k.namespace + "/tokens"
	check(t, wantStatus(reader.ask(http.MethodGet, two.base(k.namespace+"/production")+"/api/v1/query?query=up", ""), http.StatusOK))
	check(t, wantError(reader.ask(http.MethodGet, tokens, ""), http.StatusForbidden, "forbidden"))
	grantTo(t, k.namespace, cluster.ServiceAccount(k.namespace, "reader"), rule("promgate.io", "endpointtokens", "create"))
	eventually(t, func() error { return wantStatus(reader.ask(http.MethodGet, tokens, ""), http.StatusOK) })
	made := reader.ask(http.MethodPost, tokens, `{"description":"by hand","environment":"production","lifetimeSeconds":3600}`)
	check(t, wantStatus(made, http.StatusCreated))
	if !strings.Contains(made.body, `"createdBy":"kubernetes:`) {
		t.Errorf("made: %s", made)
	}
	var secret struct{ Secret string }
	must(t, decode(made, &secret))
	k.accepted(secret.Secret, one, two)
	for _, g := range []*running{one, two} {
		if strings.Contains(g.log.String(), token) || strings.Contains(g.log.String(), secret.Secret) {
			t.Error("a token is in the log")
		}
	}
	// What is kept tells nothing.
	stored, err := c.Client().CoreV1().RESTClient().Get().AbsPath("/apis/promgate.io/v1alpha1/namespaces/" + k.home + "/sessions").DoRaw(context.WithoutCancel(ctx))
	must(t, err)
	if strings.Contains(string(stored), token) || !strings.Contains(string(stored), "kubernetes:system:serviceaccount") {
		t.Errorf("stored: %.300s", stored)
	}
}

// addUser adds somebody to a users file, and returns the password.
func addUser(t *testing.T, file, name string) (password string) {
	t.Helper()
	password = name + "'s long password"
	hash, err := local.Hash(password)
	must(t, err)
	must(t, local.Add(file, local.User{Name: name}, hash))
	return password
}
