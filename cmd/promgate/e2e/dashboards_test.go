package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/promgate/promgate/cmd/demo/cluster"
	"github.com/promgate/promgate/cmd/demo/prometheus"
)

// dashboardSite is a gateway with the dashboards of two projects.
type dashboardSite struct {
	*running
	cluster       *cluster.Cluster
	home          string // the gateway's namespace
	shop, billing string // projects
	backend       *recorder
	config, users string // files
	// tokens of somebody who may see and query shop, or billing; of one who may see both, and write in them; of one who
	// may nothing.
	tokens map[string]string
}

// dashboardObjects are a project's; NAMESPACE is its namespace.
const dashboardObjects = `
apiVersion: perses.dev/v1alpha2
kind: PersesDatasource
metadata: {name: prometheus, namespace: NAMESPACE, annotations: {promgate.io/environment: production}}
spec:
  config:
    display: {name: "Prometheus of NAMESPACE"}
    default: true
    plugin: {kind: PrometheusDatasource, spec: {directUrl: "http://canary.example", proxy: {kind: HTTPProxy, spec: {url: "http://canary.example", headers: {X-Canary: canary}, secret: canary}}}}
---
apiVersion: perses.dev/v1alpha2
kind: PersesDatasource
metadata: {name: elsewhere, namespace: NAMESPACE, annotations: {promgate.io/environment: HOME-billing/production}}
spec: {config: {plugin: {kind: PrometheusDatasource, spec: {}}}}
---
apiVersion: perses.dev/v1alpha2
kind: PersesDashboard
metadata: {name: overview, namespace: NAMESPACE, annotations: {perses.dev/tags: "team, first"}}
spec: {config: {display: {name: "Overview of NAMESPACE"}, duration: 1h, variables: [], panels: {}, layouts: []}}
---
apiVersion: perses.dev/v1alpha2
kind: PersesDashboard
metadata: {name: node.exporter, namespace: NAMESPACE}
spec: {config: {duration: 1h, variables: [], panels: {}, layouts: [], datasources: {mine: {default: false, plugin: {kind: PrometheusDatasource, spec: {proxy: {kind: HTTPProxy, spec: {url: "http://prometheus.NAMESPACE.svc:9090"}}}}}}}}
---
apiVersion: promgate.io/v1alpha1
kind: PersesFolder
metadata: {name: team, namespace: NAMESPACE}
spec: {display: {name: Team}, items: [{kind: Dashboard, name: overview}, {kind: Folder, name: more, items: [{kind: Dashboard, name: gone}]}]}
`

const globalDatasource = `
apiVersion: perses.dev/v1alpha2
kind: PersesGlobalDatasource
metadata: {name: HOME, annotations: {promgate.io/environment: HOME-shop/production}}
spec: {config: {plugin: {kind: PrometheusDatasource, spec: {}}}}
`

// dashboardsRole is what the gateway needs in a project to show its dashboards with credentials of its own.
const dashboardsRole = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: promgate, namespace: NAMESPACE}
rules:
  - {apiGroups: [""], resources: [namespaces], verbs: [get]}
  - {apiGroups: [""], resources: [services], verbs: [list, watch]}
  - {apiGroups: [""], resources: [services/proxy], resourceNames: ["http:prometheus:web"], verbs: [get]}
  - {apiGroups: [perses.dev], resources: [persesdashboards, persesdatasources], verbs: [get, list, watch]}
  - {apiGroups: [promgate.io], resources: [persesfolders], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: promgate, namespace: NAMESPACE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: promgate}
subjects: [{kind: ServiceAccount, name: promgate, namespace: HOME}]
`

// viewersRole has a service account of the namespace HOME see and query one project.
const viewersRole = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: viewer, namespace: NAMESPACE}
rules:
  - {apiGroups: [perses.dev], resources: [persesdashboards, persesdatasources], verbs: [get, list, watch]}
  - {apiGroups: [promgate.io], resources: [persesfolders], verbs: [get, list, watch]}
  - {apiGroups: [""], resources: [services/proxy], resourceNames: ["http:prometheus:web"], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: viewer, namespace: NAMESPACE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: viewer}
subjects: [{kind: ServiceAccount, name: PERSON, namespace: HOME}]
`

// platformRole has the platform engineer do everything everywhere.
const platformRole = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: HOME-platform}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: platform, namespace: HOME}]
`

// globalRole lets the gateway read the data sources of the whole cluster.
const globalRole = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: HOME-global}
rules: [{apiGroups: [perses.dev], resources: [persesglobaldatasources], verbs: [get, list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: HOME-global}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: HOME-global}
subjects: [{kind: ServiceAccount, name: promgate, namespace: HOME}]
`

// apply applies YAML in which NAMESPACE, HOME and PERSON stand for names.
func (s *dashboardSite) apply(t *testing.T, namespace, person, text string) {
	t.Helper()
	must(t, s.cluster.Apply(t.Context(), []byte(strings.NewReplacer("NAMESPACE", namespace, "HOME", s.home, "PERSON", person).Replace(text))))
}

// persesKinds are the definitions of the objects, as they are shipped.
func persesKinds(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	for _, pattern := range []string{"persesfolders.yaml", "perses/perses*.yaml"} {
		files, err := filepath.Glob("../../../deploy/kubernetes/crd/" + pattern)
		must(t, err)
		if len(files) == 0 {
			t.Fatalf("nothing is shipped as %s", pattern)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			must(t, err)
			must(t, c.Apply(t.Context(), text))
		}
	}
}

func newDashboardSite(t *testing.T, c *cluster.Cluster, credentials, more string) *dashboardSite {
	t.Helper()
	ctx, dir := t.Context(), t.TempDir()
	s := &dashboardSite{cluster: c, home: credentials + more, tokens: map[string]string{}, users: filepath.Join(dir, "users.yaml"), config: filepath.Join(dir, "promgate.yaml")}
	s.shop, s.billing = s.home+"-shop", s.home+"-billing"
	s.backend = record(t, fixture(t).URL(), nil)
	must(t, c.Namespace(ctx, s.home))
	kubeconfig, err := c.ServiceAccountKubeconfig(ctx, s.home, account)
	must(t, err)
	audience, settings := []string{"promgate"}, "audiences: [promgate]"
	if credentials == "user" {
		audience, settings = nil, "credentials: user"
	}
	for _, n := range []string{s.shop, s.billing} {
		must(t, c.Namespace(ctx, n))
		must(t, c.Service(ctx, n, "prometheus", "web", 9090, s.backend.Listener.Addr().String()))
		s.apply(t, n, "", "apiVersion: v1\nkind: Service\nmetadata: {name: prometheus, namespace: NAMESPACE, labels: {promgate.io/environment: production}}\n")
		s.apply(t, n, "", dashboardsRole)
		s.apply(t, n, "", dashboardObjects)
		s.apply(t, n, strings.TrimPrefix(n, s.home+"-"), viewersRole)
	}
	for _, text := range []string{globalDatasource, globalRole, platformRole, reviewers} {
		s.apply(t, "", "", text)
	}
	for _, person := range []string{"shop", "billing", "platform", "nobody"} {
		s.tokens[person], err = c.ServiceAccountToken(ctx, s.home, person, audience...)
		must(t, err)
	}
	addUser(t, s.users, "anna")
	addUser(t, s.users, "boris")
	visibility := map[string]string{"": "members", "-all": "everySignedInUser"}[more]
	must(t, os.WriteFile(s.config, fmt.Appendf(nil, "listen: 127.0.0.1:0\nadminListen: 127.0.0.1:0\ndataDir: data\nshutdown: {delay: 0s, timeout: 20s}\n"+roomy+
		"clusters:\n  - {name: local, kubeconfig: %q, %s, discovery: {namespaces: {names: [%s, %s]}, sources: [services]}}\n"+
		"dashboards: {visibility: %s}\nsignIn: {usersFile: users.yaml, kubernetes: true}\nprojects:\n  - {name: %s, members: [{user: anna}]}\n",
		kubeconfig, settings, s.shop, s.billing, visibility, s.shop), 0o600))
	s.running = serve(t, s.config)
	return s
}

// read asks Perses' API as somebody.
func (s *dashboardSite) read(person, path string) answer {
	return ask(with(get(s.url+"/perses"+path), s.tokens[person], escalation...))
}

// names are what a list holds, as project/name.
func names(a answer) ([]string, error) {
	var list []struct {
		Metadata struct{ Name, Project string }
	}
	if err := decode(a, &list); err != nil {
		return nil, fmt.Errorf("got %s: %w", a, err)
	}
	all := []string{}
	for _, o := range list {
		if o.Metadata.Project != "" {
			o.Metadata.Name = o.Metadata.Project + "/" + o.Metadata.Name
		}
		all = append(all, o.Metadata.Name)
	}
	slices.Sort(all)
	return all, nil
}

func (s *dashboardSite) wantNames(person, path string, want ...string) error {
	a := s.read(person, path)
	got, err := names(a)
	slices.Sort(want)
	if err == nil && !slices.Equal(got, slices.Compact(want)) {
		err = fmt.Errorf("%s %s: got %v, want %v", person, path, got, want)
	}
	return err
}

// TestDashboards: people see the projects, dashboards, folders and data sources that RBAC shows them, with the gateway's
// credentials and with their own, and query through them what they may query. Nobody changes anything.
func TestDashboards(t *testing.T) {
	t.Parallel()
	c := emptyCluster(t)
	persesKinds(t, c)
	for _, credentials := range []string{"dedicated", "user"} {
		t.Run(credentials, func(t *testing.T) {
			s := newDashboardSite(t, c, credentials, "")
			t.Run("lists", s.testLists)
			t.Run("items", s.testItems)
			t.Run("data", s.testData)
			t.Run("refused", s.testRefused)
			t.Run("signed in", func(t *testing.T) { s.testSignedIn(t, credentials) })
			t.Run("changes", s.testChanges)
			t.Run("percli", s.testPercli)
			t.Run("withdrawn", s.testWithdrawn)
			for person, token := range s.tokens {
				if strings.Contains(s.log.String(), token) {
					t.Errorf("the token of %s is in the log", person)
				}
			}
			if strings.Contains(s.log.String(), "WARNING: DATA RACE") {
				t.Error("a data race")
			}
		})
	}
	t.Run("all", func(t *testing.T) { testEverySignedInUser(t, newDashboardSite(t, c, "dedicated", "-all")) })
}

// owned are what each project has.
func (s *dashboardSite) owned(projects []string, names ...string) []string {
	var all []string
	for _, p := range projects {
		for _, n := range names {
			all = append(all, p+"/"+n)
		}
	}
	return all
}

func (s *dashboardSite) testLists(t *testing.T) {
	both := []string{s.shop, s.billing}
	for person, sees := range map[string][]string{"shop": {s.shop}, "billing": {s.billing}, "platform": both, "nobody": nil} {
		// The first list of the gateway's own may still be under way.
		eventually(t, func() error { return s.wantNames(person, "/api/v1/projects", sees...) })
		check(t, s.wantNames(person, "/api/v1/dashboards", s.owned(sees, "overview", "node.exporter")...))
		check(t, s.wantNames(person, "/api/v1/dashboards?metadata_only=true&name=over", s.owned(sees, "overview")...))
		check(t, s.wantNames(person, "/api/v1/folders", s.owned(sees, "team")...))
		check(t, s.wantNames(person, "/api/v1/search/dashboards?q=node", s.owned(sees, "node.exporter")...))
		// Who may not query billing is not shown a data source that leads there.
		sources := s.owned(sees, "prometheus")
		if slices.Contains(sees, s.billing) {
			sources = s.owned(sees, "prometheus", "elsewhere")
		}
		check(t, s.wantNames(person, "/api/v1/datasources", sources...))
		var global []string
		if person == "platform" {
			global = []string{s.home}
		}
		check(t, s.wantNames(person, "/api/v1/globaldatasources", global...))
		for _, p := range both {
			want := []string(nil)
			if slices.Contains(sees, p) {
				want = s.owned([]string{p}, "overview", "node.exporter")
			}
			check(t, s.wantNames(person, "/api/v1/projects/"+p+"/dashboards", want...))
			check(t, s.wantNames(person, "/api/v1/projects/"+p+"/dashboards?project="+s.shop, want...))
			check(t, s.wantNames(person, "/api/v1/dashboards?project="+p, want...))
		}
		if body := s.read(person, "/api/v1/datasources").body + s.read(person, "/api/v1/dashboards").body; strings.Contains(body, "canary") || strings.Contains(body, ".svc:9090") {
			t.Errorf("%s is told where a server is: %s", person, body)
		}
	}
}

func (s *dashboardSite) testItems(t *testing.T) {
	for person, sees := range map[string][]string{"shop": {s.shop}, "billing": {s.billing}, "platform": {s.shop, s.billing}, "nobody": nil} {
		for _, p := range []string{s.shop, s.billing, "kube-system", "nothing"} {
			for _, item := range []string{"", "/dashboards/overview", "/dashboards/node.exporter", "/folders/team", "/datasources/prometheus"} {
				a := s.read(person, "/api/v1/projects/"+p+item)
				if want := slices.Contains(sees, p); want != (a.status == http.StatusOK) || !want && (a.status != http.StatusNotFound || a.body != `{"message":"document not found"}`) {
					t.Errorf("%s %s%s: got %s", person, p, item, a)
				}
			}
		}
		var me struct{ Metadata struct{ Name string } }
		if err := decode(s.read(person, "/api/v1/user/whoami"), &me); err != nil || me.Metadata.Name != "system-serviceaccount-"+s.home+"-"+person {
			t.Errorf("%s is %q (%v)", person, me.Metadata.Name, err)
		}
	}
	var page struct {
		Dashboards []struct {
			Name, Title string
			Tags        []string
		}
		Folders []struct {
			Items []struct{ Items []struct{ Missing bool } }
		}
		Problems []struct{ Kind, Name, Message string }
	}
	a := ask(with(get(s.url+"/api/v1/projects/"+s.shop+"/dashboards"), s.tokens["shop"]))
	must(t, decode(a, &page))
	if len(page.Dashboards) != 2 || page.Dashboards[1].Title != "Overview of "+s.shop || fmt.Sprint(page.Dashboards[1].Tags) != "[team first]" ||
		!page.Folders[0].Items[1].Items[0].Missing || len(page.Problems) != 1 {
		t.Errorf("the page's list: got %s", a)
	}
	check(t, wantStatus(ask(with(get(s.url+"/api/v1/projects/"+s.billing+"/dashboards"), s.tokens["shop"])), http.StatusNotFound))
}

// sources are the data sources through which shop's server can be asked.
func (s *dashboardSite) sources() []string {
	return []string{
		"/proxy/projects/" + s.shop + "/datasources/prometheus", "/proxy/projects/" + s.shop + "/dashboards/node.exporter/datasources/mine",
		"/proxy/globaldatasources/" + s.home,
	}
}

func (s *dashboardSite) testData(t *testing.T) {
	query := url.Values{"query": {"up"}, "time": {strconv.FormatInt(prometheus.FixtureEnd().Unix(), 10)}}
	for i, source := range s.sources() {
		person := "shop"
		if i == 2 { // a right over the cluster, which shop has not
			person = "platform"
		}
		before := s.backend.seen.Load()
		own := ask(with(get(s.base(s.shop+"/production")+"/api/v1/query?"+query.Encode()), s.tokens[person]))
		through := s.read(person, source+"/api/v1/query?"+query.Encode())
		posted := ask(with(post(s.url+"/perses"+source+"/api/v1/query", query), s.tokens[person]))
		for _, a := range []answer{own, through, posted} {
			if a.status != http.StatusOK || a.body != own.body || a.media() != "application/json" {
				t.Errorf("%s: got %s, want %s", source, a, own)
			}
		}
		if after := s.backend.seen.Load(); after != before+3 {
			t.Errorf("%s: the server has seen %d questions, want 3", source, after-before)
		}
	}
	before := s.backend.seen.Load()
	for _, source := range append(s.sources(), "/proxy/projects/"+s.shop+"/datasources/elsewhere") {
		for _, person := range []string{"billing", "nobody"} {
			check(t, wantStatus(s.read(person, source+"/api/v1/query?"+query.Encode()), http.StatusNotFound))
			check(t, wantStatus(ask(with(post(s.url+"/perses"+source+"/api/v1/query", query), s.tokens[person])), http.StatusNotFound))
		}
		check(t, wantStatus(ask(get(s.url+"/perses"+source+"/api/v1/query?"+query.Encode())), http.StatusUnauthorized))
		for _, rest := range []string{"/api/v1/admin/tsdb/snapshot", "/-/reload", "/api/v1/status/config", "/api/v1/targets", ""} {
			if a := ask(with(post(s.url+"/perses"+source+rest, query), s.tokens["platform"])); a.status != http.StatusNotFound && a.status != http.StatusMethodNotAllowed {
				t.Errorf("%s%s: got %s", source, rest, a)
			}
		}
	}
	if after := s.backend.seen.Load(); after != before {
		t.Errorf("the server has seen %d questions that were refused", after-before)
	}
}

// testRefused: no write, by somebody who may write in Kubernetes, and no credential but a good one of a person.
func (s *dashboardSite) testRefused(t *testing.T) {
	object := s.read("platform", "/api/v1/projects/"+s.shop+"/dashboards/overview")
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		for _, path := range []string{"/api/v1/projects", "/api/v1/projects/" + s.shop, "/api/v1/projects/" + s.shop + "/dashboards", "/api/v1/projects/" + s.shop + "/dashboards/overview", "/proxy/unsaved/datasources"} {
			a := ask(with(request(method, s.url+"/perses"+path, strings.NewReader(object.body)), s.tokens["platform"], "Content-Type", "application/json"))
			if a.status != http.StatusMethodNotAllowed || a.body != `{"message":"Method Not Allowed"}` {
				t.Errorf("%s %s: got %s", method, path, a)
			}
		}
	}
	if now := s.read("platform", "/api/v1/projects/"+s.shop+"/dashboards/overview"); now.body != object.body {
		t.Errorf("it was changed: %s", now)
	}
	endpointToken := created(t, s.running, s.config, s.shop)
	for _, path := range []string{
		"/api/config", "/api/v1/health", "/api/v1/projects", "/api/v1/dashboards", "/api/v1/projects/" + s.shop + "/dashboards/overview", "/api/v1/user/whoami",
		"/api/v1/globaldatasources", s.sources()[0] + "/api/v1/query?query=up",
	} {
		for _, bad := range []string{"opaque", s.tokens["shop"] + "x", "promgate_nothing"} {
			check(t, wantStatus(ask(with(get(s.url+"/perses"+path), bad)), http.StatusUnauthorized))
		}
		check(t, wantStatus(ask(with(get(s.url+"/perses"+path), endpointToken)), http.StatusForbidden))
	}
}

// testSignedIn: who has signed in to the page needs no token, also for another page of the same origin.
func (s *dashboardSite) testSignedIn(t *testing.T, credentials string) {
	anna := signIn(t, s.running, "local", `{"name":"anna","password":"anna's long password"}`)
	boris := signIn(t, s.running, "local", `{"name":"boris","password":"boris's long password"}`)
	shop := signIn(t, s.running, "kubernetes", fmt.Sprintf(`{"token":%q}`, s.tokens["shop"]))
	list := func(b *browser, site string) answer {
		return ask(with(get(s.url+"/perses/api/v1/dashboards"), "", "Cookie", b.cookie, "Sec-Fetch-Site", site))
	}
	want := s.owned([]string{s.shop}, "node.exporter", "overview")
	sees := func(b *browser, want []string) {
		t.Helper()
		if got, err := names(list(b, "same-origin")); err != nil || !slices.Equal(got, want) {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
	}
	sees(shop, want)
	if credentials == "dedicated" {
		sees(anna, want)
		sees(boris, []string{})
	} else {
		// They have no token of Kubernetes, and nobody lends them one.
		check(t, wantStatus(list(anna, "same-origin"), http.StatusForbidden))
	}
	for _, site := range []string{"cross-site", "same-site", "none"} {
		check(t, wantStatus(list(shop, site), http.StatusUnauthorized))
	}
	// The session of the page: what it may be told of dashboards at all.
	if a := shop.ask(http.MethodGet, s.url+"/api/v1/session", ""); !strings.Contains(a.body, `"dashboards":{"path":"/perses"}`) {
		t.Errorf("the session: %s", a)
	}
}

// testChanges: what kubectl does is there soon.
func (s *dashboardSite) testChanges(t *testing.T) {
	path := s.url + "/api/v1/projects/" + s.shop + "/dashboards/changing"
	look := func(tag string) answer { return ask(with(get(path), s.tokens["shop"], "If-None-Match", tag)) }
	const changing = "apiVersion: perses.dev/v1alpha2\nkind: PersesDashboard\nmetadata: {name: changing, namespace: NAMESPACE}\nspec: {config: {display: {name: %q}, duration: 1h, panels: {}, layouts: []}}\n"
	check(t, wantStatus(look(""), http.StatusNotFound))
	var slowest time.Duration
	tag := ""
	for i := range 5 {
		s.apply(t, s.shop, "", fmt.Sprintf(changing, fmt.Sprint("Version ", i)))
		applied := time.Now()
		var a answer
		eventually(t, func() error {
			if a = look(tag); a.status != http.StatusOK || !strings.Contains(a.body, fmt.Sprint("Version ", i)) {
				return fmt.Errorf("got %s", a)
			}
			return nil
		})
		slowest = max(slowest, time.Since(applied))
		tag = a.header.Get("Etag")
		check(t, wantStatus(look(tag), http.StatusNotModified))
	}
	t.Logf("a change is there after %s at most", slowest.Round(time.Millisecond))
	if slowest > 2*time.Second {
		t.Errorf("a change took %s", slowest)
	}
	must(t, s.cluster.Client().CoreV1().RESTClient().Delete().AbsPath("/apis/perses.dev/v1alpha2/namespaces/"+s.shop+"/persesdashboards/changing").Do(t.Context()).Error())
	eventually(t, func() error { return wantStatus(look(tag), http.StatusNotFound) })
}

// testPercli sends what percli sends: to log in, to list, to describe and to apply.
func (s *dashboardSite) testPercli(t *testing.T) {
	var config struct {
		Security struct {
			Readonly   bool
			EnableAuth bool `json:"enable_auth"`
		}
	}
	if err := decode(ask(get(s.url+"/perses/api/config")), &config); err != nil || !config.Security.Readonly || !config.Security.EnableAuth {
		t.Errorf("the configuration is %+v (%v)", config, err)
	}
	check(t, wantStatus(s.read("shop", "/api/v1/projects"), http.StatusOK))
	check(t, s.wantNames("shop", "/api/v1/projects/"+s.shop+"/dashboards", s.owned([]string{s.shop}, "node.exporter", "overview")...))
	one := s.read("shop", "/api/v1/projects/"+s.shop+"/dashboards/overview")
	var object map[string]json.RawMessage
	if err := decode(one, &object); err != nil || string(object["kind"]) != `"Dashboard"` || object["apiVersion"] != nil {
		t.Errorf("described: %s (%v)", one, err)
	}
	for _, r := range []*http.Request{
		request(http.MethodPut, s.url+"/perses/api/v1/projects/"+s.shop+"/dashboards/overview", strings.NewReader(one.body)),
		request(http.MethodPost, s.url+"/perses/api/v1/projects/"+s.shop+"/dashboards", strings.NewReader(one.body)),
	} {
		check(t, wantStatus(ask(with(r, s.tokens["shop"])), http.StatusMethodNotAllowed))
	}
}

// testWithdrawn: who is not shown a project any more does not see it soon after.
func (s *dashboardSite) testWithdrawn(t *testing.T) {
	check(t, s.wantNames("shop", "/api/v1/dashboards", s.owned([]string{s.shop}, "node.exporter", "overview")...))
	must(t, s.cluster.Client().RbacV1().RoleBindings(s.shop).Delete(t.Context(), "viewer", metav1.DeleteOptions{}))
	took := eventually(t, func() error {
		return errors.Join(s.wantNames("shop", "/api/v1/dashboards"),
			wantStatus(s.read("shop", "/api/v1/projects/"+s.shop+"/dashboards/overview"), http.StatusNotFound),
			wantStatus(s.read("shop", s.sources()[0]+"/api/v1/query?query=up"), http.StatusNotFound))
	})
	t.Logf("withdrawn after %s", took.Round(time.Millisecond))
	// A right is remembered for ten seconds; the rest is for a slow machine.
	if took > 15*time.Second {
		t.Errorf("it took %s", took)
	}
}

// testEverySignedInUser: everybody sees all, and queries no more than before.
func testEverySignedInUser(t *testing.T, s *dashboardSite) {
	all := s.owned([]string{s.billing, s.shop}, "node.exporter", "overview")
	eventually(t, func() error { return s.wantNames("nobody", "/api/v1/dashboards", all...) })
	check(t, s.wantNames("nobody", "/api/v1/datasources"))
	check(t, wantStatus(s.read("nobody", s.sources()[0]+"/api/v1/query?query=up"), http.StatusNotFound))
	boris := signIn(t, s.running, "local", `{"name":"boris","password":"boris's long password"}`)
	if got, err := names(boris.ask(http.MethodGet, s.url+"/perses/api/v1/dashboards", "")); err != nil || !slices.Equal(got, all) {
		t.Errorf("boris sees %v (%v)", got, err)
	}
	check(t, wantStatus(ask(with(get(s.url+"/perses/api/v1/dashboards"), "opaque")), http.StatusUnauthorized))
	check(t, wantStatus(ask(get(s.url+"/perses/api/v1/dashboards")), http.StatusUnauthorized))
}
