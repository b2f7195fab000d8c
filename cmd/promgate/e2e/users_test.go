package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/promgate/promgate/cmd/demo/cluster"
	"github.com/promgate/promgate/gateway"
)

// escalation is what clients send that want to be somebody else.
var escalation = []string{
	"Impersonate-User", "system:admin", "Impersonate-Group", "system:masters", "Impersonate-Uid", "0", "Impersonate-Extra-Scopes", "all",
	"X-Remote-User", "system:admin", "X-Remote-Group", "system:masters", "X-Scope-Orgid", "other", "Connection", "Authorization",
}

// site is a gateway with two tenants on one cluster, each with a user of its own.
type site struct {
	*running
	name    string // of the gateway's namespace, and the begin of the tenants'
	path    string // configuration file
	tenants map[string]*tenant
}

type tenant struct {
	namespace string
	user      string // a service account in the namespace
	backend   *recorder
	token     string // for the gateway
	stranger  string // a token of the same user for another audience
}

// reviewers lets the gateway ask who a token is, and what its user may.
const reviewers = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: HOME-review}
rules:
  - {apiGroups: [authentication.k8s.io], resources: [tokenreviews], verbs: [create]}
  - {apiGroups: [authorization.k8s.io], resources: [subjectaccessreviews], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: HOME-review}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: HOME-review}
subjects: [{kind: ServiceAccount, name: promgate, namespace: HOME}]
`

// newSite starts a gateway whose cluster has the credentials "dedicated" or "user".
func newSite(t *testing.T, credentials string) *site {
	t.Helper()
	c, ctx := controlPlane(t), t.Context()
	s := &site{name: "users-" + credentials, tenants: map[string]*tenant{}}
	kubeconfig := searcher(t, s.name)
	settings, audience := "credentials: user", []string(nil)
	if credentials == "dedicated" {
		applied(t, "", s.name, reviewers)
		settings, audience = "audiences: [promgate, unused]", []string{"promgate"}
	}
	var projects strings.Builder
	for _, name := range []string{"shop", "billing"} {
		n := &tenant{namespace: s.name + "-" + name, user: name + "-user", backend: record(t, fixture(t).URL(), nil)}
		s.tenants[name] = n
		must(t, c.Namespace(ctx, n.namespace))
		must(t, c.Service(ctx, n.namespace, "prometheus", "web", 9090, n.backend.Listener.Addr().String()))
		var err error
		n.token, err = c.ServiceAccountToken(ctx, n.namespace, n.user, audience...)
		must(t, err)
		wrong := []string{"other"}
		if credentials == "user" {
			wrong = []string{"promgate"}
		}
		n.stranger, err = c.ServiceAccountToken(ctx, n.namespace, n.user, wrong...)
		must(t, err)
		// A user needs get alone to read; with the user's own credentials the API server also sees remote read's POST.
		verbs := map[string][]string{"dedicated": {"get"}, "user": {"get", "create"}}[credentials]
		who := cluster.ServiceAccount(n.namespace, n.user)
		if name == "shop" { // by a group of its user
			who = cluster.Group("system:serviceaccounts:" + n.namespace)
		}
		must(t, c.AllowServiceProxy(ctx, n.namespace, who, []string{proxied}, verbs...))
		if credentials == "dedicated" {
			must(t, c.AllowServiceProxy(ctx, n.namespace, cluster.ServiceAccount(s.name, account), []string{proxied}, "get", "create"))
		}
		fmt.Fprintf(&projects, "  - name: %s\n    environments:\n      - {name: production, %s, allow: [federate, remoteRead]}\n", name, service(n.namespace, "prometheus"))
		fmt.Fprintf(&projects, "      - {name: direct, url: %q}\n", n.backend.URL)
	}
	s.path = filepath.Join(t.TempDir(), "promgate.yaml")
	must(t, os.WriteFile(s.path, fmt.Appendf(nil, "listen: 127.0.0.1:0\nadminListen: 127.0.0.1:0\nexternalURL: https://gateway.example\ndataDir: data\n"+
		"shutdown: {delay: 0s, timeout: 20s}\n"+roomy+"clusters:\n  - {name: local, kubeconfig: %q, %s}\nprojects:\n%s", kubeconfig, settings, &projects), 0o600))
	s.running = serve(t, s.path)
	return s
}

// seen is how many requests each tenant's server has seen.
func (s *site) seen() [2]int64 {
	return [2]int64{s.tenants["shop"].backend.seen.Load(), s.tenants["billing"].backend.seen.Load()}
}

// TestUsers: two users, each with a Role in one namespace. On every endpoint each gets what that Role says, with the gateway's
// credentials and with the user's own.
func TestUsers(t *testing.T) {
	t.Parallel()
	for _, credentials := range []string{"dedicated", "user"} {
		t.Run(credentials, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, credentials)
			for i, name := range []string{"shop", "billing"} {
				own, other := s.tenants[name], map[string]string{"shop": "billing", "billing": "shop"}[name]
				t.Run(name, func(t *testing.T) {
					for _, e := range gateway.Endpoints() {
						for _, method := range e.Methods {
							s.testEndpoint(t, e, method, i, name, other)
						}
					}
					s.testLists(t, name, other)
					check(t, wantError(ask(with(get(instant(s.base(name+"/direct"), "up")), own.token)), http.StatusForbidden, "forbidden"))
				})
			}
			s.testEndpointTokens(t, credentials)
			s.testWithdrawn(t, credentials)
			for _, n := range s.tenants {
				if text := s.log.String(); strings.Contains(text, n.token) || strings.Contains(text, n.stranger) {
					t.Error("a token is in the log")
				}
			}
		})
	}
}

// testEndpoint asks as a tenant's user: its own environment, and what is not its own. i is the tenant's place in seen.
func (s *site) testEndpoint(t *testing.T, e *gateway.Endpoint, method string, i int, name, other string) {
	t.Helper()
	q, token := questions[e.Name][0], s.tenants[name].token
	send := func(environment, token string) answer {
		return ask(with(q.request(e, s.base(environment), method, "gzip"), token, escalation...))
	}
	before := s.seen()
	want := max(q.status, http.StatusOK)
	a := send(name+"/production", token)
	if a.status != want {
		t.Errorf("%s %s: got %s, want %d", method, e.Name, a, want)
	}
	if a.header.Get("X-Promgate-Cache") != "hit" {
		before[i]++
	}
	if after := s.seen(); after != before {
		t.Errorf("%s %s: the servers have seen %v requests, want %v", method, e.Name, after, before)
	}
	var first answer
	for n, environment := range []string{other + "/production", name + "/nothing", "nobody/production"} {
		a := send(environment, token)
		a.body = eachRequestID.ReplaceAllString(a.body, "")
		a.header.Del("X-Request-Id")
		a.header.Del("Date")
		if n == 0 {
			first = a
		}
		if a.status != http.StatusForbidden || a.body != first.body || !sameHeader(a.header, first.header) {
			t.Errorf("%s %s %s: got %s, %v\nwant %s, %v", method, e.Name, environment, a, a.header, first, first.header)
		}
	}
	for _, bad := range []string{s.tenants[name].stranger, token + "x", "opaque"} {
		for _, environment := range []string{name + "/production", other + "/production", name + "/direct", "nobody/production"} {
			if a := send(environment, bad); a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s %s %s: a bad token got %s", method, e.Name, environment, a)
			}
		}
	}
	if after := s.seen(); after != before {
		t.Errorf("%s %s: refused requests reached the servers: %v, before %v", method, e.Name, after, before)
	}
}

// testLists: a user is shown what it may query, and no more.
func (s *site) testLists(t *testing.T, name, other string) {
	t.Helper()
	n := s.tenants[name]
	list := func(path, token string) answer { return ask(with(get(s.url+path), token, escalation...)) }
	if a := list("/api/v1/projects", n.token); a.status != http.StatusOK || a.body != fmt.Sprintf(`{"projects":[{"name":%q,"environments":1}]}`, name) {
		t.Errorf("projects: got %s", a)
	}
	var found struct {
		Environments []struct {
			Project, Name, URL string
			Allow              []string
		}
	}
	a := list("/api/v1/projects/"+name+"/environments", n.token)
	must(t, decode(a, &found))
	want := fmt.Sprintf("[{%[1]s production https://gateway.example/projects/%[1]s/environments/production [federate remoteRead]}]", name)
	if got := fmt.Sprint(found.Environments); a.status != http.StatusOK || got != want {
		t.Errorf("environments: got %s", a)
	}
	for _, project := range []string{other, "nobody"} {
		check(t, wantError(list("/api/v1/projects/"+project+"/environments", n.token), http.StatusForbidden, "forbidden"))
	}
	for _, path := range []string{"/api/v1/projects", "/api/v1/projects/" + name + "/environments", "/api/v1/projects/nobody/environments"} {
		check(t, wantError(list(path, n.stranger), http.StatusUnauthorized, "unauthorized"))
		check(t, wantError(list(path, "opaque"), http.StatusUnauthorized, "unauthorized"))
	}
}

// testEndpointTokens: they need the gateway's own credentials; at a URL these are none of the cluster's.
func (s *site) testEndpointTokens(t *testing.T, credentials string) {
	t.Helper()
	secret, _ := token(t, s.path, "shop")
	eventually(t, func() error {
		return wantStatus(ask(with(get(instant(s.base("shop/direct"), "up")), secret)), http.StatusOK)
	})
	a := ask(with(get(instant(s.base("shop/production"), "up")), secret))
	list := ask(with(get(s.url+"/api/v1/projects"), secret)).body
	if credentials == "dedicated" {
		check(t, wantStatus(a, http.StatusOK))
		if list != `{"projects":[{"name":"shop","environments":2}]}` {
			t.Errorf("an endpoint token is shown %s", list)
		}
		return
	}
	check(t, wantError(a, http.StatusForbidden, "forbidden"))
	if !strings.Contains(a.body, "endpoint tokens are switched off") || list != `{"projects":[{"name":"shop","environments":1}]}` {
		t.Errorf("got %s, and is shown %s", a, list)
	}
}

// testWithdrawn: what RBAC takes away, and who is no more, is refused soon after.
func (s *site) testWithdrawn(t *testing.T, credentials string) {
	t.Helper()
	c, ctx := controlPlane(t), t.Context()
	n := s.tenants["billing"]
	query := func() answer { return ask(with(get(instant(s.base("billing/production"), "up")), n.token)) }
	check(t, wantStatus(query(), http.StatusOK))
	kept := func() answer { return ask(with(get(ranged(s.base("billing/production"), 60, 10)), n.token)) }
	check(t, wantStatus(kept(), http.StatusOK))
	check(t, wantStatus(kept(), http.StatusOK))
	must(t, c.RevokeServiceProxy(ctx, n.namespace, cluster.ServiceAccount(n.namespace, n.user)))
	took := eventually(t, func() error { return wantError(query(), http.StatusForbidden, "forbidden") })
	t.Logf("refused %s after the Role was gone", took.Round(time.Millisecond))
	check(t, wantError(kept(), http.StatusForbidden, "forbidden"))
	bound := map[string]time.Duration{"dedicated": 11 * time.Second, "user": time.Second}[credentials]
	if took > bound {
		t.Errorf("a Role that was gone was good for %s", took)
	}
	listed := eventually(t, func() error { // what was allowed a moment ago is remembered for lists
		if a := ask(with(get(s.url+"/api/v1/projects"), n.token)); a.status != http.StatusOK || a.body != `{"projects":[]}` {
			return fmt.Errorf("projects: got %s", a)
		}
		return nil
	})
	if took+listed > 11*time.Second {
		t.Errorf("a Role that was gone was listed for %s", took+listed)
	}
	record := s.log.record(t, "request_id", query().header.Get("X-Request-Id"), s.ended)
	principal, _ := record["principal"].(string)
	if want := map[string]string{"dedicated": "kubernetes:system:serviceaccount:" + n.namespace + ":" + n.user, "user": "kubernetes:sha256:"}[credentials]; !strings.HasPrefix(principal, want) {
		t.Errorf("the principal in the log is %q, want %s", principal, want)
	}
	must(t, c.Client().CoreV1().ServiceAccounts(n.namespace).Delete(ctx, n.user, metav1.DeleteOptions{}))
	eventually(t, func() error { return wantError(query(), http.StatusUnauthorized, "unauthorized") })
	if credentials == "dedicated" {
		text := ask(get(s.admin + "/metrics")).body
		for _, want := range []string{`promgate_kubernetes_reviews_total{`, `review="SubjectAccessReview"`, `result="ok"`, `result="refused"`} {
			if !strings.Contains(text, want) {
				t.Errorf("the metrics have no %s", want)
			}
		}
	}
}

// TestUsersWithoutReview: without the right to ask who a token is, nobody with one gets in; the log says which Role is missing,
// and that one, applied as it stands, is enough.
func TestUsersWithoutReview(t *testing.T) {
	t.Parallel()
	c, ctx := controlPlane(t), t.Context()
	kubeconfig := namespace(t, "unreviewed", fixture(t).Addr())
	path := configuration(t, "", fmt.Sprintf("clusters:\n  - {name: local, kubeconfig: %q, audiences: [promgate]}\n", kubeconfig),
		"shop/production: "+service("unreviewed", "prometheus"))
	user, err := c.ServiceAccountToken(ctx, "unreviewed", "jane", "promgate")
	must(t, err)
	must(t, c.AllowServiceProxy(ctx, "unreviewed", cluster.ServiceAccount("unreviewed", "jane"), []string{proxied}))
	g := serve(t, path)
	query := func() answer { return ask(with(get(instant(g.base("shop/production"), "up")), user)) }
	check(t, wantError(query(), http.StatusServiceUnavailable, "unavailable"))
	check(t, wantError(query(), http.StatusServiceUnavailable, "unavailable"))
	var record map[string]any
	g.log.await(t, "the Role for reviews", g.ended, func(line string) bool {
		record = nil
		return decode(answer{body: line}, &record) == nil && strings.Contains(fmt.Sprint(record["advice"]), "tokenreviews")
	})
	must(t, c.Apply(ctx, []byte(record["advice"].(string))))
	took := eventually(t, func() error { return wantStatus(query(), http.StatusOK) })
	t.Logf("accepted %s after the Role was applied", took.Round(time.Millisecond))
	role, err := c.Client().RbacV1().ClusterRoles().Get(ctx, "promgate:review", metav1.GetOptions{})
	must(t, err)
	var granted []string
	for _, r := range role.Rules {
		granted = append(granted, fmt.Sprint(r.Verbs, r.APIGroups, r.Resources))
	}
	slices.Sort(granted)
	if want := []string{"[create] [authentication.k8s.io] [tokenreviews]", "[create] [authorization.k8s.io] [subjectaccessreviews]"}; !slices.Equal(granted, want) {
		t.Errorf("the ClusterRole grants %q", granted)
	}
}
