package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/promgate/promgate/cmd/demo/cluster"
)

const (
	scaleNamespaces   = 500
	scaleEnvironments = 10_000
)

// scaleRole lets the gateway search the whole cluster, and query in one namespace.
const scaleRole = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: promgate}
rules:
  - {apiGroups: [""], resources: [namespaces], verbs: [get, list, watch]}
  - {apiGroups: [""], resources: [services], verbs: [list, watch]}
  - {apiGroups: [monitoring.coreos.com], resources: [prometheuses], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: promgate}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: promgate}
subjects: [{kind: ServiceAccount, name: promgate, namespace: home}]
`

// many makes the namespaces and the Services of a large cluster.
func many(ctx context.Context, client kubernetes.Interface) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(32)
	for n := range scaleNamespaces {
		group.Go(func() error {
			name := fmt.Sprintf("project-%d", n)
			namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"promgate.io/project": "true"}}}
			if _, err := client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
				return err
			}
			for e := range scaleEnvironments / scaleNamespaces {
				environment := fmt.Sprintf("environment-%d", e)
				s := &corev1.Service{
					ObjectMeta: metav1.ObjectMeta{Name: environment, Labels: environmentLabel(environment)},
					Spec:       corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Ports: []corev1.ServicePort{{Name: "web", Port: 9090}}},
				}
				if _, err := client.CoreV1().Services(name).Create(ctx, s, metav1.CreateOptions{}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// churn changes so many Services a second until the context ends, and returns how many.
func churn(ctx context.Context, client kubernetes.Interface, perSecond int) (int, error) {
	ticker := time.NewTicker(time.Second / time.Duration(perSecond))
	defer ticker.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return n, nil
		case <-ticker.C:
		}
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"promgate.io/path-prefix":"/p%d"}}}`, n)
		namespace, name := fmt.Sprintf("project-%d", n%scaleNamespaces), fmt.Sprintf("environment-%d", 1+n%7)
		if _, err := client.CoreV1().Services(namespace).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil && ctx.Err() == nil {
			return n, err
		}
	}
}

// latencies asks for a while and returns the median and the 99th percentile.
func latencies(t testing.TB, request func() *http.Request, n int) (median, p99 time.Duration) {
	t.Helper()
	all := make([]time.Duration, n)
	for i := range all {
		began := time.Now()
		must(t, wantStatus(ask(request()), http.StatusOK))
		all[i] = time.Since(began)
	}
	slices.Sort(all)
	return all[n/2], all[n*99/100]
}

// residentMiB is the memory that a process has taken, at the most.
func residentMiB(t testing.TB, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must(t, err)
	found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	kB, err := strconv.Atoi(string(found[1]))
	must(t, err)
	return kB / 1024
}

// TestDiscoveryScale finds 10,000 environments in 500 namespaces, and follows changes while it serves.
func TestDiscoveryScale(t *testing.T) {
	ctx, c := t.Context(), emptyCluster(t)
	config := c.RESTConfig()
	config.QPS = -1
	client := kubernetes.NewForConfigOrDie(config)
	must(t, c.Namespace(ctx, "home"))
	kubeconfig, err := c.ServiceAccountKubeconfig(ctx, "home", account)
	must(t, err)
	must(t, c.Apply(ctx, []byte(scaleRole)))
	began := time.Now()
	must(t, many(ctx, client))
	must(t, c.Service(ctx, "project-0", "environment-0", "web", 9090, fixture(t).Addr()))
	must(t, c.AllowServiceProxy(ctx, "project-0", cluster.ServiceAccount("home", account), []string{"http:environment-0:web", "http:prometheus-operated:web"}))
	t.Logf("%d Services were made in %s", scaleEnvironments, time.Since(began).Round(time.Millisecond))

	path := searchConfiguration(t, kubeconfig, `{namespaces: {selector: "promgate.io/project=true"}, sources: [services, prometheuses]}`, "")
	program := promgate(t)
	began = time.Now()
	// Without the race detector: for figures.
	g := await(t, spawn(t, "the gateway", exec.Command(program, "serve", "--config", path)))
	took := time.Since(began)
	t.Logf("ready after %s, with at most %d MiB of memory", took.Round(time.Millisecond), residentMiB(t, g.cmd.Process.Pid))
	check(t, wantMetric(g, fmt.Sprintf("promgate_environments %d", scaleEnvironments)))
	if took > 10*time.Second {
		t.Errorf("ready after %s, want 10s", took)
	}
	secret := created(t, g, path, "project-0/environment-0")
	query := func() *http.Request { return with(get(instant(g.base("project-0/environment-0"), "up")), secret) }
	before, before99 := latencies(t, query, 300)

	changing, stop := context.WithCancel(ctx)
	changes := make(chan int, 1)
	go func() {
		n, err := churn(changing, client, 100)
		if err != nil {
			t.Error(err)
		}
		changes <- n
	}()
	during, during99 := latencies(t, query, 300)
	seen := time.Duration(0)
	other := created(t, g, path, "project-1")
	for i := range 5 {
		name := fmt.Sprintf("renamed-%d", i)
		began := time.Now()
		_, err := client.CoreV1().Services("project-1").Patch(ctx, "environment-19", types.MergePatchType,
			fmt.Appendf(nil, `{"metadata":{"labels":{"promgate.io/environment":%q}}}`, name), metav1.PatchOptions{})
		must(t, err)
		eventually(t, func() error { // the Role does not name it: known, and refused upstream
			return wantStatus(ask(with(get(instant(g.base("project-1/"+name), "up")), other)), http.StatusServiceUnavailable)
		})
		seen = max(seen, time.Since(began))
	}
	stop()
	t.Logf("latency: median %s and p99 %s; while %d objects changed: %s and %s", before, before99, <-changes, during, during99)
	t.Logf("changes were seen after at most %s; at most %d MiB of memory", seen, residentMiB(t, g.cmd.Process.Pid))
	if seen > time.Second {
		t.Errorf("a change was seen after %s, want one second", seen)
	}
	if during > 2*before+5*time.Millisecond {
		t.Errorf("the median latency is %s while objects change, and %s before", during, before)
	}
	if used := residentMiB(t, g.cmd.Process.Pid); used > 200 {
		t.Errorf("the gateway took %d MiB of memory, want 200", used)
	}
	kindInstalled(t, c, g, path)
}

// kindInstalled installs the kind Prometheus under a gateway that looks for it.
func kindInstalled(t *testing.T, c *cluster.Cluster, g *running, path string) {
	t.Helper()
	ctx := t.Context()
	check(t, wantMetric(g, `promgate_discovery_source_up{cluster="local",source="prometheuses"} 1`))
	if n := strings.Count(g.log.String(), "a kind is not installed"); n != 1 {
		t.Errorf("the log says %d times that the kind is not installed, want once", n)
	}
	must(t, c.InstallCRDs(ctx))
	must(t, c.Service(ctx, "project-0", "prometheus-operated", "web", 9090, fixture(t).Addr()))
	must(t, c.Apply(ctx, []byte("apiVersion: monitoring.coreos.com/v1\nkind: Prometheus\nmetadata: {name: main, namespace: project-0}\nspec: {replicas: 1}\n")))
	took := eventually(t, func() error { return wantMetric(g, fmt.Sprintf("promgate_environments %d", scaleEnvironments+1)) })
	t.Logf("a kind that was installed later was seen after %s", took)
	secret := created(t, g, path, "project-0/main")
	check(t, wantStatus(ask(with(get(instant(g.base("project-0/main"), "up")), secret)), http.StatusOK))
}
