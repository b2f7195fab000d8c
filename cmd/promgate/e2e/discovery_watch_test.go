package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/promgate/promgate/cmd/demo/cluster"
)

// watchCutter stands between a gateway and the API server, with the gateway's credentials, and can end watches.
type watchCutter struct {
	kubeconfig string
	mu         sync.Mutex
	open       map[int]context.CancelFunc
	next       int
	expired    int // watches still to be answered that they are too old
	answered   int // so answered
	closed     bool
}

func startCutter(t testing.TB, kubeconfig string) *watchCutter {
	t.Helper()
	credentials, err := cluster.LoadConfig(kubeconfig)
	must(t, err)
	transport, err := rest.TransportFor(credentials)
	must(t, err)
	target, err := url.Parse(credentials.Host)
	must(t, err)
	w := &watchCutter{open: map[int]context.CancelFunc{}}
	proxy := &httputil.ReverseProxy{
		Transport: transport, FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Header.Del("Authorization") },
	}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("watch") == "" {
			proxy.ServeHTTP(rw, r)
			return
		}
		ctx, done, fate := w.begin(r)
		defer done()
		switch fate {
		case http.StatusGone:
			rw.Header().Set("Content-Type", "application/json")
			rw.WriteHeader(fate)
			_, _ = io.WriteString(rw, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"too old resource version","reason":"Expired","code":410}`)
		case http.StatusServiceUnavailable:
			http.Error(rw, "not now", fate)
		default:
			proxy.ServeHTTP(rw, r.WithContext(ctx))
		}
	}))
	t.Cleanup(func() {
		w.cut(0, false)
		server.Close()
	})
	config := clientcmdapi.NewConfig()
	config.Clusters["cut"] = &clientcmdapi.Cluster{Server: server.URL}
	config.AuthInfos["nobody"] = &clientcmdapi.AuthInfo{}
	config.Contexts["cut"] = &clientcmdapi.Context{Cluster: "cut", AuthInfo: "nobody"}
	config.CurrentContext = "cut"
	w.kubeconfig = t.TempDir() + "/kubeconfig"
	must(t, clientcmd.WriteToFile(*config, w.kubeconfig))
	return w
}

func (w *watchCutter) begin(r *http.Request) (ctx context.Context, done func(), fate int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ctx, cancel := context.WithCancel(r.Context())
	switch resumed := r.URL.Query().Get("resourceVersion") != "" && r.URL.Query().Get("sendInitialEvents") != "true"; {
	case w.closed:
		return ctx, cancel, http.StatusServiceUnavailable
	case w.expired > 0 && resumed:
		w.expired--
		w.answered++
		return ctx, cancel, http.StatusGone
	}
	id := w.next
	w.next++
	w.open[id] = cancel
	return ctx, func() {
		cancel()
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.open, id)
	}, http.StatusOK
}

// cut ends all watches. So many that try to go on where they were are told that this is too long ago; while closed none
// begins.
func (w *watchCutter) cut(expired int, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.expired, w.closed = expired, closed
	for _, cancel := range w.open {
		cancel()
	}
}

// TestWatchBroken ends the gateway's watches, and has the API server know nothing of them any more: routes stay, and what
// happened meanwhile is seen.
func TestWatchBroken(t *testing.T) {
	t.Parallel()
	c, ctx, server := controlPlane(t), t.Context(), fixture(t)
	cutter := startCutter(t, searcher(t, "broken-home"))
	must(t, c.Namespace(ctx, "broken"))
	for _, name := range []string{"prometheus", "other"} {
		must(t, c.Service(ctx, "broken", name, "web", 9090, server.Addr()))
		annotate(t, "broken", name, environmentLabel(name), nil)
	}
	applied(t, "broken", "broken-home", projectRole)
	path := searchConfiguration(t, cutter.kubeconfig, "{namespaces: {names: [broken]}, sources: [services]}", "")
	g := serve(t, path)
	secret := created(t, g, path, "broken")
	query := func(environment string) answer {
		return ask(with(get(instant(g.base("broken/"+environment), "up")), secret))
	}
	gone := func(environment string) func() error {
		return func() error { return wantError(query(environment), http.StatusForbidden, "forbidden") }
	}
	check(t, wantStatus(query("prometheus"), http.StatusOK))
	// The Role names one Service: the other is known, and refused upstream.
	check(t, wantError(query("other"), http.StatusServiceUnavailable, "unavailable"))

	cutter.cut(0, true)
	must(t, c.Client().CoreV1().Services("broken").Delete(ctx, "other", metav1.DeleteOptions{}))
	eventually(t, func() error {
		return wantMetric(g, `promgate_discovery_source_up{cluster="local",source="services"} 0`)
	})
	check(t, wantStatus(query("prometheus"), http.StatusOK))
	check(t, wantError(query("other"), http.StatusServiceUnavailable, "unavailable"))
	cutter.cut(0, false)
	took := eventually(t, gone("other"))
	t.Logf("it caught up after %s", took)
	check(t, wantStatus(query("prometheus"), http.StatusOK))
	eventually(t, func() error {
		return wantMetric(g, `promgate_discovery_source_up{cluster="local",source="services"} 1`)
	})

	annotate(t, "broken", "prometheus", environmentLabel("first"), nil)
	eventually(t, func() error { return wantStatus(query("first"), http.StatusOK) })
	cutter.cut(1, false)
	annotate(t, "broken", "prometheus", environmentLabel("second"), nil)
	took = eventually(t, func() error { return wantStatus(query("second"), http.StatusOK) })
	t.Logf("after 410 Gone it caught up after %s", took)
	eventually(t, func() error {
		cutter.mu.Lock()
		defer cutter.mu.Unlock()
		if cutter.answered != 1 {
			return fmt.Errorf("%d watches were answered 410", cutter.answered)
		}
		return nil
	})
	check(t, gone("first")())
}

// TestDiscoveryDenied begins with no right at all. What the log advises, applied as it stands, is all that is needed.
func TestDiscoveryDenied(t *testing.T) {
	t.Parallel()
	c, ctx := controlPlane(t), t.Context()
	kubeconfig := searcher(t, "denied-home")
	must(t, c.Namespace(ctx, "denied"))
	must(t, c.Service(ctx, "denied", "prometheus", "web", 9090, fixture(t).Addr()))
	annotate(t, "denied", "prometheus", environmentLabel("production"), nil)
	path := searchConfiguration(t, kubeconfig, "{namespaces: {names: [denied]}, sources: [services]}",
		"projects:\n  - name: static\n    environments:\n      - {name: production, url: \""+fixture(t).URL()+"\"}\n")
	g := serve(t, path) // ready all the same
	static := created(t, g, path, "static/production")
	check(t, wantStatus(ask(with(get(instant(g.base("static/production"), "up")), static)), http.StatusOK))
	check(t, wantMetric(g, `promgate_discovery_source_up{cluster="local",source="services"} 0`))
	stdout, stderr, status := run(t, promgate(t), "doctor", "--config", path)
	if status != 1 || strings.Count(stdout, "FAILED   discovery") != 2 || !strings.Contains(stdout, "may not see services in namespace denied") {
		t.Errorf("doctor: status %d, %s%s", status, stdout, stderr)
	}
	for _, what := range []string{"services", "namespaces"} {
		record := g.log.record(t, "source", what, g.ended)
		must(t, c.Apply(ctx, []byte(record["advice"].(string))))
	}
	took := eventually(t, func() error { return wantMetric(g, "promgate_environments 2") })
	t.Logf("with the Roles that the log advised it was found after %s", took)
	secret := created(t, g, path, "denied/production")
	a := ask(with(get(instant(g.base("denied/production"), "up")), secret))
	check(t, wantError(a, http.StatusServiceUnavailable, "unavailable"))
	wantAdvice(t, g, a)
	eventually(t, func() error {
		return wantStatus(ask(with(get(instant(g.base("denied/production"), "up")), secret)), http.StatusOK)
	})
	if n := strings.Count(g.log.String(), `"msg":"discovery does not see everything"`); n != 2 {
		t.Errorf("the log says %d times that it may not see something, want once for each source:\n%s", n, g.log)
	}
	if strings.Contains(g.log.String(), `"level":"ERROR"`) {
		t.Errorf("the log tells of each attempt:\n%s", g.log)
	}
	g.log.await(t, "word that it works again", g.ended, func(line string) bool { return strings.Contains(line, "discovery works again") })
}

// TestDiscoverySelector selects namespaces by label: over the whole cluster where that is allowed, else namespace by namespace.
func TestDiscoverySelector(t *testing.T) {
	t.Parallel()
	c, ctx, server := controlPlane(t), t.Context(), fixture(t)
	for _, mode := range []struct{ name, more string }{
		{"narrow", ""},
		{"wide", `
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: HOME-wide}
rules: [{apiGroups: [""], resources: [services], verbs: [list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: HOME-wide}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: HOME-wide}
subjects: [{kind: ServiceAccount, name: promgate, namespace: HOME}]
`},
	} {
		t.Run(mode.name, func(t *testing.T) {
			home := mode.name + "-home"
			kubeconfig := searcher(t, home)
			applied(t, "", home, selectorRole+mode.more)
			label := func(namespace, value string) {
				must(t, c.Apply(ctx, fmt.Appendf(nil, "apiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {select-%s: \"%s\"}}\n", namespace, mode.name, value)))
			}
			for _, n := range []string{mode.name + "-a", mode.name + "-b"} {
				must(t, c.Namespace(ctx, n))
				must(t, c.Service(ctx, n, "prometheus", "web", 9090, server.Addr()))
				annotate(t, n, "prometheus", environmentLabel("production"), nil)
				applied(t, n, home, projectRole)
			}
			label(mode.name+"-a", "yes")
			path := searchConfiguration(t, kubeconfig, `{namespaces: {selector: "select-`+mode.name+`=yes"}, sources: [services]}`, "")
			g := serve(t, path)
			check(t, wantMetric(g, "promgate_environments 1"))
			first := created(t, g, path, mode.name+"-a")
			query := func(namespace, secret string) answer {
				return ask(with(get(instant(g.base(namespace+"/production"), "up")), secret))
			}
			check(t, wantStatus(query(mode.name+"-a", first), http.StatusOK))
			label(mode.name+"-b", "yes")
			eventually(t, func() error { return wantMetric(g, "promgate_environments 2") })
			second := created(t, g, path, mode.name+"-b")
			check(t, wantStatus(query(mode.name+"-b", second), http.StatusOK))
			label(mode.name+"-b", "no")
			eventually(t, func() error { return wantError(query(mode.name+"-b", second), http.StatusForbidden, "forbidden") })
			// The same namespace is the same project.
			label(mode.name+"-b", "yes")
			eventually(t, func() error { return wantStatus(query(mode.name+"-b", second), http.StatusOK) })
			if strings.Contains(g.log.String(), "discovery does not see everything") {
				t.Errorf("the log complains:\n%s", g.log)
			}
			// One without a Role is told of for as long as it is selected.
			must(t, c.Namespace(ctx, mode.name+"-c"))
			label(mode.name+"-c", "yes")
			up, without := `promgate_discovery_source_up{cluster="local",source="services"} `, map[string]string{"narrow": "0", "wide": "1"}[mode.name]
			eventually(t, func() error { return wantMetric(g, up+without) })
			label(mode.name+"-c", "no")
			eventually(t, func() error { return wantMetric(g, up+"1") })
		})
	}
}

// TestDiscoveryReload changes what is searched. What is found before and after is served all the while.
func TestDiscoveryReload(t *testing.T) {
	t.Parallel()
	c, ctx, server := controlPlane(t), t.Context(), fixture(t)
	kubeconfig := searcher(t, "reload-home")
	for _, n := range []string{"reload-a", "reload-b"} {
		must(t, c.Namespace(ctx, n))
		must(t, c.Service(ctx, n, "prometheus", "web", 9090, server.Addr()))
		annotate(t, n, "prometheus", environmentLabel("production"), nil)
		applied(t, n, "reload-home", projectRole)
	}
	path := searchConfiguration(t, kubeconfig, "{namespaces: {names: [reload-a]}, sources: [services]}", "")
	text, err := os.ReadFile(path)
	must(t, err)
	search := func(names string) {
		must(t, os.WriteFile(path, []byte(strings.Replace(string(text), "[reload-a]", names, 1)), 0o600))
	}
	g := serve(t, path)
	secret := created(t, g, path, "reload-a")
	query := func() error {
		return wantStatus(ask(with(get(instant(g.base("reload-a/production"), "up")), secret)), http.StatusOK)
	}
	changing, stop := context.WithCancel(ctx)
	asked := make(chan error, 1)
	go func() {
		for changing.Err() == nil {
			if err := query(); err != nil {
				asked <- err
				return
			}
		}
		asked <- nil
	}()
	for range 2 {
		search("[reload-a, reload-b]")
		eventually(t, func() error { return wantMetric(g, "promgate_environments 2") })
		search("[reload-a]")
		eventually(t, func() error { return wantMetric(g, "promgate_environments 1") })
	}
	stop()
	check(t, <-asked)
	check(t, query())
	// Without discovery nothing of it is left.
	must(t, os.WriteFile(path, []byte(strings.Replace(string(text), "    discovery:", "    #", 1)), 0o600))
	eventually(t, func() error { return wantMetric(g, "promgate_environments 0") })
	check(t, wantError(ask(with(get(instant(g.base("reload-a/production"), "up")), secret)), http.StatusForbidden, "forbidden"))
	if metrics := ask(get(g.admin + "/metrics")).body; strings.Contains(metrics, "promgate_discovery_source_up") {
		t.Error("there are metrics of a search that has ended")
	}
}
