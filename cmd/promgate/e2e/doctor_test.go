package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/promgate/promgate/cmd/demo/cluster"
	"github.com/promgate/promgate/gateway"
	"github.com/promgate/promgate/routing"
)

// fault is something wrong on the way to a Prometheus, behind a Service of the fault's own name.
type fault struct {
	name string
	// setting and mended are what the environment's service says besides cluster, namespace and name; empty: the port web. extra
	// stands beside the service.
	setting, mended, extra string
	// backend is what the Service leads to at first; nil: the fixture. Mended, it always leads to the fixture, or to good.
	backend func(t *testing.T) (address string)
	good    func(t *testing.T) (address string)
	// damage does more to the Service; repair undoes it, where giving the Service its good backend does not.
	damage func(t *testing.T, namespace, name string)
	repair func(t *testing.T, namespace, name string)
	// ungranted leaves the Service's name out of the gateway's Role. The Role that doctor prints has to do.
	ungranted bool
	// hop is the one that fails, and found a part of what is told of it: with the least Role, and where the gateway may read
	// Services and endpoints. Empty: what the least has.
	hop, readerHop     string
	found, readerFound string
}

// proxyNames are the literal names that a fault's environment asks for, broken and mended.
func (f *fault) proxyNames() []string {
	var names []string
	for _, setting := range []string{f.setting, f.mended} {
		scheme, port := "http", "web"
		for part := range strings.SplitSeq(setting, ", ") {
			key, value, _ := strings.Cut(part, ": ")
			switch key {
			case "scheme":
				scheme = value
			case "port":
				port = strings.Trim(value, `"`)
			}
		}
		names = append(names, cluster.ProxyName(scheme, f.name, port))
	}
	return names
}

// environment is the line of a configuration.
func (f *fault) environment(project, namespace, setting string) string {
	if !strings.Contains(setting, "port: ") {
		setting = strings.TrimSuffix("port: web, "+setting, ", ")
	}
	if f.name == "namespace" {
		namespace += "-missing"
	}
	return fmt.Sprintf("%s/%s: service: {cluster: local, namespace: %s, name: %s, %s}%s", project, f.name, namespace, f.name, setting, f.extra)
}

// doctor runs the command with JSON output, and returns what it says by environment.
func doctor(t testing.TB, path string, args ...string) (found map[string]gateway.Diagnosis, status int) {
	t.Helper()
	stdout, stderr, status := run(t, promgate(t), append([]string{"doctor", "-o", "json", "--config", path}, args...)...)
	var all []gateway.Diagnosis
	if err := json.Unmarshal([]byte(stdout), &all); err != nil {
		t.Fatalf("status %d, %v: %s%s", status, err, stdout, stderr)
	}
	found = map[string]gateway.Diagnosis{}
	for _, d := range all {
		found[d.Environment] = d
	}
	return found, status
}

// wantFault checks that a hop failed, and what is told of it. No hop comes after it.
func wantFault(t *testing.T, d gateway.Diagnosis, hop, found string) {
	t.Helper()
	h, failed := routing.FailedHop(d.Hops)
	if !failed || h.Name != hop || !strings.Contains(h.Found+"\n"+h.Cause, found) || h.Cause == "" || d.Hops[len(d.Hops)-1] != h {
		t.Errorf("%s: want the hop %s to fail with %q, got %+v", d.Environment, hop, found, d.Hops)
	}
}

func wantNoFault(t *testing.T, d gateway.Diagnosis) {
	t.Helper()
	if len(d.Hops) == 0 || !d.OK() {
		t.Errorf("%s: want no hop to fail, got %+v", d.Environment, d.Hops)
	}
}

// allow makes a Role with those rules for the namespace's account, and waits for nothing.
func allow(t testing.TB, namespace, name string, rules ...rbacv1.PolicyRule) {
	t.Helper()
	rbac, meta := controlPlane(t).Client().RbacV1(), metav1.ObjectMeta{Name: name, Namespace: namespace}
	_, err := rbac.Roles(namespace).Create(t.Context(), &rbacv1.Role{ObjectMeta: meta, Rules: rules}, metav1.CreateOptions{})
	must(t, err)
	_, err = rbac.RoleBindings(namespace).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		Subjects: []rbacv1.Subject{cluster.ServiceAccount(namespace, account)},
	}, metav1.CreateOptions{})
	must(t, err)
}

// allowEverywhere does so in all namespaces, those that do not exist too.
func allowEverywhere(t testing.TB, namespace string, rules ...rbacv1.PolicyRule) {
	t.Helper()
	rbac, meta := controlPlane(t).Client().RbacV1(), metav1.ObjectMeta{Name: namespace}
	_, err := rbac.ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules}, metav1.CreateOptions{})
	must(t, err)
	_, err = rbac.ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: namespace},
		Subjects: []rbacv1.Subject{cluster.ServiceAccount(namespace, account)},
	}, metav1.CreateOptions{})
	must(t, err)
}

func rule(group, resource, verb string, names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: []string{verb}, ResourceNames: names}
}

// TestDoctor injects one fault for each environment, has the doctor find them all, mends them, and has it find none: with the
// least Role, and with one that lets the gateway look at Services and endpoints.
func TestDoctor(t *testing.T) {
	t.Parallel()
	for _, reader := range []bool{false, true} {
		namespace := map[bool]string{false: "doctor-least", true: "doctor-reader"}[reader]
		t.Run(namespace, func(t *testing.T) {
			t.Parallel()
			examineFaults(t, namespace, reader)
		})
	}
}

func examineFaults(t *testing.T, namespace string, reader bool) {
	c, ctx, faults := controlPlane(t), t.Context(), injected()
	must(t, c.Namespace(ctx, namespace))
	kubeconfig, err := c.ServiceAccountKubeconfig(ctx, namespace, account)
	must(t, err)
	if reader {
		allow(t, namespace, "read", rule("", "services", "get"), rule("discovery.k8s.io", "endpointslices", "list"))
	}
	var names, broken, mended []string
	for i := range faults {
		f := &faults[i]
		address := fixture(t).Addr()
		if f.backend != nil {
			address = f.backend(t)
		}
		if f.name != "namespace" {
			must(t, c.Service(ctx, namespace, f.name, "web", 9090, address))
		}
		if f.damage != nil {
			f.damage(t, namespace, f.name)
		}
		if !f.ungranted {
			names = append(names, f.proxyNames()...)
		}
		broken = append(broken, f.environment("clinic", namespace, f.setting))
		mended = append(mended, f.environment("clinic", namespace, f.mended))
	}
	everywhere := []rbacv1.PolicyRule{rule("", "services/proxy", "get", "http:namespace:web")}
	if reader {
		everywhere = append(everywhere, rule("", "namespaces", "get"), rule("", "services", "get"))
	}
	allowEverywhere(t, namespace, everywhere...)
	must(t, c.AllowServiceProxy(ctx, namespace, cluster.ServiceAccount(namespace, account), names))

	found, status := doctor(t, configuration(t, kubeconfig, "", broken...))
	if status != 1 || len(found) != len(faults) {
		t.Errorf("status %d, %d environments", status, len(found))
	}
	for i := range faults {
		f := &faults[i]
		hop, text := f.hop, f.found
		if reader && f.readerHop != "" {
			hop = f.readerHop
		}
		if reader && f.readerFound != "" {
			text = f.readerFound
		}
		wantFault(t, found[f.name], hop, strings.ReplaceAll(text, "NAMESPACE", namespace))
		mend(t, f, namespace, found[f.name])
	}
	path := configuration(t, kubeconfig, "", mended...)
	eventually(t, func() error { // until the rules are in force
		found, status = doctor(t, path)
		for _, d := range found {
			if h, failed := routing.FailedHop(d.Hops); failed && h.Name == routing.HopRBAC {
				return fmt.Errorf("%s: %+v", d.Environment, h)
			}
		}
		return nil
	})
	for _, d := range found {
		wantNoFault(t, d)
		if i := slices.IndexFunc(d.Hops, func(h routing.Hop) bool { return h.Name == routing.HopService }); (d.Hops[i].Status == routing.HopOK) != reader {
			t.Errorf("%s: of its Service it says %+v", d.Environment, d.Hops[i])
		}
	}
	if status != 0 {
		t.Errorf("mended, the status is %d", status)
	}
}

// mend makes a fault good; where a Role is missing, by what the doctor says has to be applied.
func mend(t *testing.T, f *fault, namespace string, d gateway.Diagnosis) {
	t.Helper()
	c, ctx, address := controlPlane(t), t.Context(), fixture(t).Addr()
	if f.good != nil {
		address = f.good(t)
	}
	switch {
	case f.hop == routing.HopRBAC:
		h, _ := routing.FailedHop(d.Hops)
		must(t, apply(ctx, h.Apply))
		return
	case f.name == "namespace":
		namespace += "-missing"
		must(t, c.Namespace(ctx, namespace))
	case f.repair != nil:
		f.repair(t, namespace, f.name)
	}
	must(t, c.Service(ctx, namespace, f.name, "web", 9090, address))
}

// TestDoctorAPIServer has something wrong with the API server or with the gateway's credentials for it.
func TestDoctorAPIServer(t *testing.T) {
	t.Parallel()
	c := controlPlane(t)
	kubeconfig := namespace(t, "doctor", fixture(t).Addr())
	text, err := os.ReadFile(kubeconfig)
	must(t, err)
	good := string(text)
	replaced := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("the kubeconfig has no %q", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	line := func(key string) string {
		_, rest, _ := strings.Cut(good, key+": ")
		value, _, _ := strings.Cut(rest, "\n")
		return value
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, closed.Close())
	page := httptest.NewServer(plain(404, "text/html", "<html></html>"))
	defer page.Close()
	hanging := httptest.NewServer(http.HandlerFunc(hang))
	defer hanging.Close()

	kubeconfigs := []struct{ name, text, hop, found string }{
		{"good", good, "", ""},
		{"down", replaced(c.Server(), "https://"+closed.Addr().String()), "api server", "connection refused"},
		{"unknown", replaced(c.Server(), "https://host.invalid:6443"), "api server", "host.invalid"},
		{"authority", replaced(line("certificate-authority-data"), otherAuthority(t)), "api server", "an authority that is not trusted"},
		{"misnamed", replaced("    server: ", "    tls-server-name: other.example\n    server: "), "api server", "for another name"},
		{"no-tls", replaced(c.Server(), "https://"+page.Listener.Addr().String()), "api server", "plain HTTP"},
		{"tls", replaced(c.Server(), strings.Replace(c.Server(), "https://", "http://", 1)), "api server", "wants TLS"},
		{"other", replaced(c.Server(), page.URL), "api server", "no Kubernetes API server"},
		{"hanging", replaced(c.Server(), hanging.URL), "api server", "timeout"},
		{"token", replaced("token: ", "token: x"), "credentials", "401 Unauthorized"},
		{"nobody", replaced("    token: "+line("token"), "    {}"), "credentials", "the API server takes the gateway for system:anonymous"},
		{"plugin", replaced("    token: "+line("token"), "    exec: {apiVersion: client.authentication.k8s.io/v1, command: /does/not/exist, interactiveMode: Never}"), "credentials", "exec plugin"},
	}
	clusters, environments := "clusters:\n", []string{}
	for _, k := range kubeconfigs {
		path := t.TempDir() + "/kubeconfig"
		must(t, os.WriteFile(path, []byte(k.text), 0o600))
		clusters += fmt.Sprintf("  - {name: %s, kubeconfig: %q}\n", k.name, path)
		environments = append(environments, "doctor/"+k.name+": "+strings.Replace(service("doctor", "prometheus"), "cluster: local", "cluster: "+k.name, 1))
	}
	found, status := doctor(t, configuration(t, "", clusters, environments...))
	if status != 1 || len(found) != len(kubeconfigs) {
		t.Errorf("status %d, %d environments", status, len(found))
	}
	for _, k := range kubeconfigs {
		if k.hop == "" {
			wantNoFault(t, found[k.name])
		} else {
			wantFault(t, found[k.name], k.hop, k.found)
		}
	}
}

// TestDoctorPrints has the doctor print for people, and applies what is printed, as it stands between the lines around it.
func TestDoctorPrints(t *testing.T) {
	t.Parallel()
	c, ctx := controlPlane(t), t.Context()
	kubeconfig := namespace(t, "doctor-prints", fixture(t).Addr())
	must(t, c.RevokeServiceProxy(ctx, "doctor-prints", cluster.ServiceAccount("doctor-prints", account)))
	path := configuration(t, kubeconfig, "", "doctor-prints/production: "+service("doctor-prints", "prometheus"))
	stdout, stderr, status := run(t, promgate(t), "doctor", "--config", path)
	if status != 1 || stderr != "promgate: 1 of 1 environments have a hop that failed\n" {
		t.Errorf("status %d, %s", status, stderr)
	}
	for _, want := range []string{
		"doctor-prints/production (service doctor-prints/prometheus:web on cluster local)\n",
		"\n  ok       api server   Kubernetes v", "\n  ok       credentials  the API server knows the gateway as system:serviceaccount:doctor-prints:promgate\n",
		"\n  FAILED   rbac         system:serviceaccount:doctor-prints:promgate may not get services/proxy http:prometheus:web in namespace doctor-prints\n",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("it does not print %q, but\n%s", want, stdout)
		}
	}
	_, role, _ := strings.Cut(stdout, "apply:\n")
	must(t, apply(ctx, role))
	eventually(t, func() error {
		stdout, stderr, status = run(t, promgate(t), "doctor", "--config", path, "--project", "doctor-prints", "--environment", "production")
		if status != 0 || stderr != "" {
			return fmt.Errorf("status %d, %s%s", status, stdout, stderr)
		}
		return nil
	})
	for _, want := range []string{
		"\n  ok       rbac         may get services/proxy http:prometheus:web in namespace doctor-prints\n", "\n  skipped  service      ",
		"\n  skipped  endpoints    ", "\n  ok       connection   ", "\n  ok       prometheus   Prometheus 3.15.0 is ready and answers queries\n",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("it does not print %q, but\n%s", want, stdout)
		}
	}
}
