package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// searcher makes the gateway's service account in a namespace of its own and returns its kubeconfig.
func searcher(t testing.TB, home string) string {
	t.Helper()
	c := controlPlane(t)
	must(t, c.Namespace(t.Context(), home))
	kubeconfig, err := c.ServiceAccountKubeconfig(t.Context(), home, account)
	must(t, err)
	return kubeconfig
}

// applied applies YAML as the administrator; NAMESPACE and HOME in it are a project's namespace and the gateway's.
func applied(t testing.TB, namespace, home, text string) {
	t.Helper()
	must(t, controlPlane(t).Apply(t.Context(), []byte(strings.NewReplacer("NAMESPACE", namespace, "HOME", home).Replace(text))))
}

// projectRole is what a project gives a gateway that is told its name, and no more.
const projectRole = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: promgate, namespace: NAMESPACE}
rules:
  - {apiGroups: [""], resources: [services/proxy], resourceNames: ["http:prometheus:web", "http:prometheus:9090", "http:prometheus-operated:web"], verbs: [get]}
  - {apiGroups: [""], resources: [namespaces], verbs: [get]}
  - {apiGroups: [""], resources: [services], verbs: [list, watch]}
  - {apiGroups: [monitoring.coreos.com], resources: [prometheuses], verbs: [list, watch]}
  - {apiGroups: [perses.dev], resources: [persesdatasources], verbs: [list, watch]}
  - {apiGroups: [events.k8s.io], resources: [events], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: promgate, namespace: NAMESPACE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: promgate}
subjects: [{kind: ServiceAccount, name: promgate, namespace: HOME}]
`

// searchConfiguration writes a configuration file with discovery, and perhaps more.
func searchConfiguration(t testing.TB, kubeconfig, discovery, more string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "promgate.yaml")
	must(t, os.WriteFile(path, fmt.Appendf(nil, "listen: 127.0.0.1:0\nadminListen: 127.0.0.1:0\ndataDir: data\nshutdown: {delay: 0s, timeout: 20s}\n"+roomy+
		"clusters:\n  - name: local\n    kubeconfig: %q\n    discovery: %s\n%s", kubeconfig, discovery, more), 0o600))
	return path
}

// created makes a token with the program, for what is found in a cluster, and waits until the gateway knows it.
func created(t testing.TB, g *running, path, scope string) string {
	t.Helper()
	project, environment, whole := strings.Cut(scope, "/")
	args := []string{"token", "create", "--config", path, "--project", project}
	if whole {
		args = append(args, "--environment", environment)
	}
	stdout, stderr, status := run(t, promgate(t), args...)
	if status != 0 {
		t.Fatalf("token create for %s: %s", scope, stderr)
	}
	secret := strings.TrimSpace(stdout)
	eventually(t, func() error {
		if a := ask(with(get(instant(g.base(project+"/any"), "up")), secret)); a.status == http.StatusUnauthorized {
			return fmt.Errorf("got %s", a)
		}
		return nil
	})
	return secret
}

// routes is what promgate routes prints of a project, as lines "environment source: target or reason".
func routes(t testing.TB, path, project string) string {
	t.Helper()
	stdout, stderr, status := run(t, promgate(t), "routes", "--config", path, "-o", "json")
	if status != 0 {
		t.Fatalf("routes: %s", stderr)
	}
	var all []struct{ Project, Environment, Target, Source, Reason string }
	must(t, json.Unmarshal([]byte(stdout), &all))
	var lines []string
	for _, r := range all {
		if r.Project == project {
			lines = append(lines, r.Environment+" "+strings.TrimSuffix(r.Source, " on cluster local")+": "+strings.TrimSuffix(r.Target, " on cluster local")+r.Reason)
		}
	}
	return strings.Join(lines, "\n")
}

// annotate sets labels and annotations of a Service; a value of "" takes one away.
func annotate(t testing.TB, namespace, name string, labels, annotations map[string]string) {
	t.Helper()
	values := func(m map[string]string) map[string]any {
		all := map[string]any{}
		for k, v := range m {
			all[k] = v
			if v == "" {
				all[k] = nil
			}
		}
		return all
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": values(labels), "annotations": values(annotations)}})
	must(t, err)
	_, err = controlPlane(t).Client().CoreV1().Services(namespace).Patch(t.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{})
	must(t, err)
}

func environmentLabel(name string) map[string]string {
	return map[string]string{"promgate.io/environment": name}
}

// TestDiscovery finds environments of every kind in a namespace that the configuration names, with a Role in it alone.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	c, ctx, server := controlPlane(t), t.Context(), fixture(t)
	must(t, c.InstallCRDs(ctx))
	kubeconfig := searcher(t, "found-home")
	must(t, c.Namespace(ctx, "found"))
	must(t, c.Service(ctx, "found", "prometheus", "web", 9090, server.Addr()))
	must(t, c.Service(ctx, "found", "prometheus-operated", "web", 9090, server.Addr()))
	annotate(t, "found", "prometheus", environmentLabel("production"), nil)
	applied(t, "found", "found-home", projectRole+`---
apiVersion: monitoring.coreos.com/v1
kind: Prometheus
metadata: {name: main, namespace: NAMESPACE}
spec: {replicas: 1}
---
apiVersion: monitoring.coreos.com/v1alpha1
kind: PrometheusAgent
metadata: {name: agent, namespace: NAMESPACE}
spec: {replicas: 1}
---
apiVersion: perses.dev/v1alpha2
kind: PersesDatasource
metadata: {name: dashboards, namespace: NAMESPACE}
spec:
  config:
    default: false
    plugin:
      kind: PrometheusDatasource
      spec: {proxy: {kind: HTTPProxy, spec: {url: "http://prometheus.NAMESPACE.svc.cluster.local:9090"}}}
---
apiVersion: perses.dev/v1alpha2
kind: PersesDatasource
metadata: {name: elsewhere, namespace: NAMESPACE}
spec: {config: {default: false, plugin: {kind: PrometheusDatasource, spec: {directUrl: "https://prometheus.example"}}}}
`)
	path := searchConfiguration(t, kubeconfig, "{namespaces: {names: [found]}}", "")
	if got, want := routes(t, path, "found"), `dashboards PersesDatasource found/dashboards: service found/prometheus:9090
main Prometheus found/main: service found/prometheus-operated:web
production Service found/prometheus: service found/prometheus:web`; got != want {
		t.Errorf("found\n%s\nwant\n%s", got, want)
	}
	g := serve(t, path)
	whole := created(t, g, path, "found")
	for _, environment := range []string{"production", "main", "dashboards"} {
		query := get(instant(g.base("found/"+environment), "up"))
		check(t, wantStatus(ask(with(query, whole)), http.StatusOK))
		check(t, wantStatus(ask(with(query, created(t, g, path, "found/"+environment))), http.StatusOK))
	}
	production := created(t, g, path, "found/production")
	check(t, wantError(ask(with(get(instant(g.base("found/main"), "up")), production)), http.StatusForbidden, "forbidden"))

	t.Run("changes are seen within a second", func(t *testing.T) { discoveryChanges(t, g, whole) })
	t.Run("bad objects", func(t *testing.T) { discoveryFaults(t, g, path, whole) })
	t.Run("the file wins", func(t *testing.T) { discoveryBesideFile(t, g, path, server.URL()) })
}

// discoveryChanges renames an environment and takes it away.
func discoveryChanges(t *testing.T, g *running, secret string) {
	var all []time.Duration
	for range 3 {
		for _, name := range []string{"staging", "production"} {
			annotate(t, "found", "prometheus", environmentLabel(name), nil)
			took := eventually(t, func() error {
				return wantStatus(ask(with(get(instant(g.base("found/"+name), "up")), secret)), http.StatusOK)
			})
			all = append(all, took)
		}
	}
	t.Logf("changes were seen after %s", all)
	if slices.Max(all) > time.Second {
		t.Errorf("changes were seen after %s", all)
	}
	check(t, wantError(ask(with(get(instant(g.base("found/staging"), "up")), secret)), http.StatusForbidden, "forbidden"))
	annotate(t, "found", "prometheus", environmentLabel(""), nil)
	eventually(t, func() error {
		return wantError(ask(with(get(instant(g.base("found/production"), "up")), secret)), http.StatusForbidden, "forbidden")
	})
	annotate(t, "found", "prometheus", environmentLabel("production"), nil)
	eventually(t, func() error {
		return wantStatus(ask(with(get(instant(g.base("found/production"), "up")), secret)), http.StatusOK)
	})
}

// discoveryFaults makes objects that are wrong, beside a good one that stays.
func discoveryFaults(t *testing.T, g *running, path, secret string) {
	c, ctx := controlPlane(t), t.Context()
	for name, annotations := range map[string]map[string]string{
		"no-such-port": {"promgate.io/port": "http"},
		"header":       {"promgate.io/headers": "Authorization: Bearer hunter2"},
		"misspelled":   {"promgate.io/path": "/x"},
		"path":         {"promgate.io/path-prefix": "/../secrets"},
	} {
		must(t, c.Service(ctx, "found", name, "web", 9090))
		annotate(t, "found", name, environmentLabel(name), annotations)
	}
	must(t, c.Service(ctx, "found", "rival", "web", 9090))
	annotate(t, "found", "rival", environmentLabel("production"), nil)
	applied(t, "found", "", `
apiVersion: monitoring.coreos.com/v1
kind: Prometheus
metadata: {name: twin, namespace: NAMESPACE}
spec: {}
---
apiVersion: v1
kind: Service
metadata: {name: outside, namespace: NAMESPACE, labels: {promgate.io/environment: outside}}
spec: {type: ExternalName, externalName: kubernetes.default.svc, ports: [{name: web, port: 443}]}
`)
	reasons := map[string]string{
		"header Service found/header":             "the header Authorization cannot be set in promgate.io/headers",
		"main Prometheus found/main":              "the Service prometheus-operated stands for Prometheus twin as well",
		"misspelled Service found/misspelled":     "the annotation promgate.io/path is not known here",
		"no-such-port Service found/no-such-port": `the Service has no port "http"; set promgate.io/port to one of web`,
		"outside Service found/outside":           "the API server does not proxy to a Service of type ExternalName",
		"path Service found/path":                 "the path has a segment . or ..",
		"production Service found/rival":          "the Service found/prometheus on cluster local has the name found/production already",
		"twin Prometheus found/twin":              "the Service prometheus-operated stands for Prometheus main as well",
	}
	listed := routes(t, path, "found")
	for what, reason := range reasons {
		if !strings.Contains(listed, what+": ") || !strings.Contains(listed, reason) {
			t.Errorf("of %s it does not say %q:\n%s", what, reason, listed)
		}
	}
	if strings.Contains(listed, "hunter2") || strings.Count(listed, "\n")+1 != len(reasons)+2 {
		t.Errorf("listed are\n%s", listed)
	}
	// In the log, and as an Event on the object.
	eventually(t, func() error {
		log := g.log.String()
		for what := range reasons {
			if _, object, _ := strings.Cut(what, " "); !strings.Contains(log, `"object":"`+object+` on cluster local"`) {
				return fmt.Errorf("the log does not tell of %s", object)
			}
		}
		return nil
	})
	eventually(t, func() error {
		events, err := c.Client().EventsV1().Events("found").List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		told := map[string]string{}
		for _, e := range events.Items {
			told[e.Regarding.Kind+" "+e.Regarding.Name] = e.Type + " " + e.Reason + " " + e.Note
		}
		for _, want := range [][2]string{{"Service rival", "Warning Conflict the Service found/prometheus"}, {"Service header", "Warning Invalid the header"}, {"Prometheus twin", "Warning Conflict"}} {
			if !strings.HasPrefix(told[want[0]], want[1]) {
				return fmt.Errorf("the event of %s is %q", want[0], told[want[0]])
			}
		}
		return nil
	})
	metrics := ask(get(g.admin + "/metrics")).body
	for _, want := range []string{
		`promgate_discovery_unserved{cause="conflict",project="found"} 3`, `promgate_discovery_unserved{cause="invalid",project="found"} 5`,
		`promgate_discovery_source_up{cluster="local",source="services"} 1`, `promgate_discovery_source_up{cluster="local",source="prometheuses"} 1`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("there is no metric %s", want)
		}
	}
	check(t, wantStatus(ask(with(get(instant(g.base("found/production"), "up")), secret)), http.StatusOK))
	check(t, wantError(ask(with(get(instant(g.base("found/main"), "up")), secret)), http.StatusForbidden, "forbidden"))
	// Mended, one after the other comes in.
	annotate(t, "found", "no-such-port", nil, map[string]string{"promgate.io/port": "web"})
	if err := c.Client().CoreV1().Services("found").Delete(ctx, "rival", metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
	eventually(t, func() error {
		if metrics := ask(get(g.admin + "/metrics")).body; !strings.Contains(metrics, `promgate_discovery_unserved{cause="invalid",project="found"} 4`) {
			return fmt.Errorf("the mended object is still not served")
		}
		return nil
	})
}

// discoveryBesideFile has the configuration file name an environment that is found too.
func discoveryBesideFile(t *testing.T, g *running, path, address string) {
	text, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, append(text, fmt.Appendf(nil, "projects:\n  - name: found\n    environments:\n      - {name: production, url: %q}\n", address)...), 0o600))
	listed := routes(t, path, "found")
	for _, want := range []string{
		"production configuration file: " + address + "\n",
		"production Service found/prometheus: the configuration file has the name found/production already",
		"dashboards PersesDatasource found/dashboards: service found/prometheus:9090\n",
	} {
		if !strings.Contains(listed+"\n", want) {
			t.Errorf("no line %q in\n%s", want, listed)
		}
	}
	g.log.await(t, "word of the conflict", g.ended, func(line string) bool {
		return strings.Contains(line, "the configuration file has the name found/production already")
	})
	secret := created(t, g, path, "found/production")
	check(t, wantStatus(ask(with(get(instant(g.base("found/production"), "up")), secret)), http.StatusOK))
	// Without the entry the found one is back, under its own identity.
	must(t, os.WriteFile(path, text, 0o600))
	found := created(t, g, path, "found/production")
	eventually(t, func() error {
		return wantStatus(ask(with(get(instant(g.base("found/production"), "up")), found)), http.StatusOK)
	})
	check(t, wantError(ask(with(get(instant(g.base("found/production"), "up")), secret)), http.StatusForbidden, "forbidden"))
}
