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
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestTwoGateways: what is done to tokens holds in both, soon, under load, and after a restart.
func TestTwoGateways(t *testing.T) {
	t.Parallel()
	k := newKeeper(t, "twice")
	one, two := serve(t, k.configuration(k.kubeconfig, "")), serve(t, k.configuration(k.kubeconfig, ""))
	path := k.configuration(k.kubeconfig, "")

	kept := k.create(path, "--description", "kept")
	took := k.accepted(kept, one, two)
	t.Logf("a new token was good on both after %s", took.Round(time.Millisecond))
	if took > time.Second {
		t.Errorf("a new token took %s", took)
	}
	var revoked []string
	for _, way := range []string{"promgate", "kubectl"} {
		secret := k.create(path, "--description", way)
		k.accepted(secret, one, two)
		if way == "kubectl" {
			k.delete(k.named(way))
		} else if _, stderr, status := run(t, promgate(t), "token", "revoke", "--config", path, k.idOf(way)); status != 0 {
			t.Fatal(stderr)
		}
		k.refused(secret, one, two)
		revoked = append(revoked, secret)
	}
	t.Run("keys rotated under load", func(t *testing.T) {
		l := k.load(func() string { return kept }, one, two)
		for range 3 {
			if _, stderr, status := run(t, promgate(t), "keys", "rotate", "--config", path); status != 0 {
				t.Fatal(stderr)
			}
			k.accepted(k.create(path), one, two)
		}
		l.end()
		asked, failed := l.count()
		if failed > 0 {
			t.Errorf("of %d questions %d failed; the first: %s", asked, failed, l.failed[0])
		}
		t.Logf("%d questions while keys were rotated three times", asked)
	})
	t.Run("by the program", func(t *testing.T) { k.testProgram(t, path, one, two) })
	t.Run("restarted", func(t *testing.T) {
		two.stop()
		again := serve(t, k.configuration(k.kubeconfig, ""))
		check(t, wantStatus(k.query(again, kept), http.StatusOK)) // it was ready
		for _, secret := range revoked {
			check(t, wantError(k.query(again, secret), http.StatusUnauthorized, "unauthorized"))
		}
	})
}

// testProgram lists, examines and rotates a token as with any other store.
func (k *keeper) testProgram(t *testing.T, path string, gateways ...*running) {
	t.Helper()
	do := func(args ...string) (stdout string) {
		t.Helper()
		stdout, stderr, status := run(t, promgate(t), append(args, "--config", path)...)
		if status != 0 {
			t.Fatalf("%s: status %d, %s%s", args, status, stdout, stderr)
		}
		return stdout
	}
	old := k.create(path, "--description", "to be rotated")
	k.accepted(old, gateways...)
	id := k.idOf("to be rotated")
	if text := do("token", "list"); !strings.Contains(text, id+"  twice/production  active") {
		t.Errorf("token list prints\n%s", text)
	}
	file := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(file, []byte(old), 0o600))
	if text := do("doctor", "--project", "twice", "--environment", "production", "--token", file); !strings.Contains(text, "the token "+id+" opens environment twice/production until") {
		t.Errorf("doctor prints\n%s", text)
	}
	next := strings.TrimSpace(do("token", "rotate", id, "--overlap", "1h"))
	k.accepted(next, gateways...)
	k.accepted(old, gateways...)
	if text := do("token", "list"); !strings.Contains(text, id+"  twice/production  rotated") {
		t.Errorf("after the rotation token list prints\n%s", text)
	}
	last := strings.TrimSpace(do("token", "rotate", k.idOf("to be rotated"), "--overlap", "0s"))
	k.accepted(last, gateways...)
	k.refused(next, gateways...)
	k.refused(old, gateways...)
	_, stderr, status := run(t, promgate(t), "token", "rotate", id, "--config", path)
	if status == 0 || !strings.Contains(stderr, "no token has the id") {
		t.Errorf("rotating what is gone: status %d, %s", status, stderr)
	}
}

// named is the name of the object with a description.
func (k *keeper) named(description string) string {
	k.t.Helper()
	all, err := k.objects.List(k.t.Context(), metav1.ListOptions{})
	must(k.t, err)
	for _, o := range all.Items {
		if text, _, _ := unstructured.NestedString(o.Object, "spec", "description"); text == description {
			return o.GetName()
		}
	}
	k.t.Fatalf("no object %q", description)
	return ""
}

func (k *keeper) idOf(description string) string {
	k.t.Helper()
	id, _, _ := unstructured.NestedString(k.object(k.named(description)).Object, "status", "id")
	return id
}

// TestRevocation revokes tokens one after the other, under 200 questions a second to two gateways.
func TestRevocation(t *testing.T) {
	t.Parallel()
	const trials = 100
	k := newKeeper(t, "revoked")
	one, two := serve(t, k.configuration(k.kubeconfig, "")), serve(t, k.configuration(k.kubeconfig, ""))
	secrets := map[string]string{} // by object
	withStore(t, k.configuration(k.kubeconfig, ""), k.mint(trials, secrets))
	var late []time.Duration
	for name, secret := range secrets {
		k.accepted(secret, one, two)
		l := k.load(func() string { return secret }, one, two)
		eventually(t, func() error { return atLeast(l, 10) })
		k.delete(name)
		gone := time.Now()
		k.refused(secret, one, two)
		l.end()
		late = append(late, max(0, l.last.Sub(gone)))
	}
	slices.Sort(late)
	t.Logf("the last question that a revoked token was good for was sent after %s (median), %s (99th of 100), %s at most",
		late[trials/2].Round(time.Microsecond), late[trials-2].Round(time.Microsecond), late[trials-1].Round(time.Microsecond))
	if late[trials-1] > 5*time.Second || late[trials-2] > time.Second {
		t.Error("that is too late")
	}
	for _, secret := range secrets {
		check(t, wantError(k.query(one, secret), http.StatusUnauthorized, "unauthorized"))
	}
}

func atLeast(l *load, n int) error {
	if asked, failed := l.count(); asked < n || failed > 0 {
		return fmt.Errorf("%d questions, %d failed", asked, failed)
	}
	return nil
}

// TestProjectMadeAgain: tokens end with the namespace that they are in.
func TestProjectMadeAgain(t *testing.T) {
	t.Parallel()
	k := newKeeper(t, "reborn")
	path := k.configuration(k.kubeconfig, "")
	g := serve(t, path)
	old := k.create(path, "--description", "old")
	k.accepted(old, g)
	before := k.object(k.named("old"))
	k.makeAgain()
	// Not even its object, brought back from a backup with its status, brings the token back.
	restored := before.DeepCopy()
	for _, field := range []string{"uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"} {
		unstructured.RemoveNestedField(restored.Object, "metadata", field)
	}
	made, err := k.objects.Create(t.Context(), restored, metav1.CreateOptions{})
	must(t, err)
	made.Object["status"] = before.Object["status"]
	_, err = k.objects.UpdateStatus(t.Context(), made, metav1.UpdateOptions{})
	must(t, err)
	fresh := k.create(path, "--description", "fresh")
	k.accepted(fresh, g)
	check(t, wantError(k.query(g, old), http.StatusUnauthorized, "unauthorized"))
}

// TestProjectOfTheFile: a project of the configuration file is the namespace of its name, and its tokens are objects there.
func TestProjectOfTheFile(t *testing.T) {
	t.Parallel()
	k := newKeeper(t, "filed")
	path, without := k.configuration(k.kubeconfig, ""), k.configuration(k.kubeconfig, "")
	for file, project := range map[string]string{path: "filed", without: "nowhere"} {
		text, err := os.ReadFile(file)
		must(t, err)
		must(t, os.WriteFile(file, fmt.Appendf(text, "projects:\n  - {name: %s, environments: [{name: direct, url: %q}]}\n", project, fixture(t).URL()), 0o600))
	}
	g := serve(t, path)
	create := func(more ...string) string {
		stdout, stderr, status := run(t, promgate(t), append([]string{"token", "create", "--config", path, "--project", "filed"}, more...)...)
		if status != 0 {
			t.Fatal(stderr)
		}
		return strings.TrimSpace(stdout)
	}
	query := func(environment, secret string) answer {
		return ask(with(get(instant(g.base("filed/"+environment), "up")), secret))
	}
	direct, found, whole := create("--environment", "direct"), create("--environment", "production"), create()
	for _, c := range []struct {
		secret string
		opens  map[string]int
	}{
		{direct, map[string]int{"direct": 200, "production": 403}},
		{found, map[string]int{"direct": 403, "production": 200}},
		{whole, map[string]int{"direct": 200, "production": 200, "other": 403}},
	} {
		for environment, status := range c.opens {
			eventually(t, func() error { return wantStatus(query(environment, c.secret), status) })
		}
	}
	k.makeAgain()
	for _, secret := range []string{direct, found, whole} {
		eventually(t, func() error { return wantError(query("direct", secret), http.StatusUnauthorized, "unauthorized") })
	}
	_, stderr, status := run(t, promgate(t), "token", "create", "--config", without, "--project", "nowhere")
	if status == 0 || !strings.Contains(stderr, "namespace nowhere") {
		t.Errorf("status %d, %s", status, stderr)
	}
}

// TestTokensOutOfSight: a gateway that does not see the objects refuses what it cannot vouch for, and serves what it can.
func TestTokensOutOfSight(t *testing.T) {
	t.Parallel()
	k := newKeeper(t, "unseen")
	applied(t, "", k.home, reviewers)
	cutter := startCutter(t, k.kubeconfig)
	g := serve(t, k.configuration(cutter.kubeconfig, ""))
	path := k.configuration(k.kubeconfig, "")
	secret, other := k.create(path), k.create(path, "--description", "other")
	k.accepted(secret, g)
	k.accepted(other, g)
	user, err := controlPlane(t).ServiceAccountToken(t.Context(), k.namespace, "jane", "promgate")
	must(t, err)
	applied(t, k.namespace, k.home, `
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: jane, namespace: NAMESPACE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: promgate}
subjects: [{kind: ServiceAccount, name: jane, namespace: NAMESPACE}]
`)
	k.accepted(user, g)

	cutter.cut(0, true)
	began := time.Now()
	k.delete(k.named("other"))
	eventually(t, func() error {
		check(t, wantStatus(k.query(g, user), http.StatusOK))
		return wantError(k.query(g, secret), http.StatusServiceUnavailable, "unavailable")
	})
	took := time.Since(began)
	t.Logf("tokens were refused %s after the watches broke", took.Round(time.Millisecond))
	if took > 32*time.Second {
		t.Error("that is too late")
	}
	check(t, wantError(k.query(g, other), http.StatusServiceUnavailable, "unavailable"))
	eventually(t, func() error { return wantStatus(ask(get(g.admin+"/readyz")), http.StatusServiceUnavailable) })
	check(t, wantStatus(k.query(g, user), http.StatusOK))

	cutter.cut(0, false)
	k.accepted(secret, g)
	check(t, wantError(k.query(g, other), http.StatusUnauthorized, "unauthorized"))
	eventually(t, func() error { return wantStatus(ask(get(g.admin+"/readyz")), http.StatusOK) })
	if text := g.log.String(); strings.Contains(text, secret) || strings.Contains(text, user) {
		t.Error("a token is in the log")
	}
}
