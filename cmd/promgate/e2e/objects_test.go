package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/promgate/promgate/cmd/demo/cluster"
	"github.com/promgate/promgate/cmd/promgate/server"
	"github.com/promgate/promgate/tokens"
)

var endpointTokens = schema.GroupVersionResource{Group: "promgate.io", Version: "v1alpha1", Resource: "endpointtokens"}

// tokenKind installs the kind EndpointToken.
func tokenKind(t testing.TB, c *cluster.Cluster) {
	t.Helper()
	text, err := os.ReadFile("../../../deploy/kubernetes/crd/endpointtokens.yaml")
	must(t, err)
	must(t, c.Apply(t.Context(), text))
}

// keeperRole is what tokens as objects need in the gateway's own namespace.
const keeperRole = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: promgate-tokens, namespace: HOME}
rules:
  - {apiGroups: [""], resources: [secrets], resourceNames: [promgate-signing-keys], verbs: [get, list, watch, patch]}
  - {apiGroups: [""], resources: [secrets], verbs: [create]}
  - {apiGroups: [coordination.k8s.io], resources: [leases], resourceNames: [promgate-minting], verbs: [get, update]}
  - {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: promgate-tokens, namespace: HOME}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: promgate-tokens}
subjects: [{kind: ServiceAccount, name: promgate, namespace: HOME}]
`

// tokensRole is what a project gives for tokens, and for those in the Secret grafana.
const tokensRole = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: promgate-tokens, namespace: NAMESPACE}
rules:
  - {apiGroups: [promgate.io], resources: [endpointtokens], verbs: [get, list, watch, create, patch, delete]}
  - {apiGroups: [promgate.io], resources: [endpointtokens/status], verbs: [patch]}
  - {apiGroups: [""], resources: [secrets], verbs: [create]}
  - {apiGroups: [""], resources: [secrets], resourceNames: [grafana, foreign], verbs: [patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: promgate-tokens, namespace: NAMESPACE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: promgate-tokens}
subjects: [{kind: ServiceAccount, name: promgate, namespace: HOME}]
`

// keeper is a project whose tokens are objects, and the gateway's home.
type keeper struct {
	t          *testing.T
	home       string
	namespace  string
	kubeconfig string
	objects    dynamic.ResourceInterface
}

// newKeeper makes the project name, with the environment production.
func newKeeper(t *testing.T, name string) *keeper {
	t.Helper()
	c := controlPlane(t)
	tokenKind(t, c)
	k := &keeper{t: t, home: name + "-home", namespace: name}
	k.kubeconfig = searcher(t, k.home)
	applied(t, name, k.home, keeperRole)
	k.project()
	client, err := dynamic.NewForConfig(c.RESTConfig())
	must(t, err)
	k.objects = client.Resource(endpointTokens).Namespace(name)
	return k
}

// project makes the namespace of the project and what is in it.
func (k *keeper) project() {
	k.t.Helper()
	c := controlPlane(k.t)
	must(k.t, c.Namespace(k.t.Context(), k.namespace))
	applied(k.t, k.namespace, k.home, projectRole)
	applied(k.t, k.namespace, k.home, tokensRole)
	must(k.t, c.Service(k.t.Context(), k.namespace, "prometheus", "web", 9090, fixture(k.t).Addr()))
	annotate(k.t, k.namespace, "prometheus", environmentLabel("production"), nil)
}

// configuration writes a configuration file; more is added to the section tokens.
func (k *keeper) configuration(kubeconfig, more string) string {
	k.t.Helper()
	path := filepath.Join(k.t.TempDir(), "promgate.yaml")
	must(k.t, os.WriteFile(path, fmt.Appendf(nil, "listen: 127.0.0.1:0\nadminListen: 127.0.0.1:0\nshutdown: {delay: 0s, timeout: 20s}\n"+roomy+
		"tokens: {store: kubernetes, namespace: %s%s}\nclusters:\n  - name: local\n    kubeconfig: %q\n    audiences: [promgate]\n"+
		"    discovery: {namespaces: {names: [%s]}, sources: [services]}\n", k.home, more, kubeconfig, k.namespace), 0o600))
	return path
}

// create makes a token with the program.
func (k *keeper) create(path string, more ...string) (secret string) {
	k.t.Helper()
	args := append([]string{"token", "create", "--config", path, "--project", k.namespace, "--environment", "production"}, more...)
	stdout, stderr, status := run(k.t, promgate(k.t), args...)
	if status != 0 {
		k.t.Fatalf("token create: %s", stderr)
	}
	return strings.TrimSpace(stdout)
}

// query asks a gateway for the project's environment.
func (k *keeper) query(g *running, secret string) answer {
	return ask(with(get(instant(g.base(k.namespace+"/production"), "up")), secret))
}

// accepted waits until gateways take a token.
func (k *keeper) accepted(secret string, gateways ...*running) (took time.Duration) {
	k.t.Helper()
	for _, g := range gateways {
		took += eventually(k.t, func() error { return wantStatus(k.query(g, secret), http.StatusOK) })
	}
	return took
}

func (k *keeper) refused(secret string, gateways ...*running) {
	k.t.Helper()
	for _, g := range gateways {
		eventually(k.t, func() error { return wantError(k.query(g, secret), http.StatusUnauthorized, "unauthorized") })
	}
}

// object reads an EndpointToken.
func (k *keeper) object(name string) *unstructured.Unstructured {
	k.t.Helper()
	o, err := k.objects.Get(k.t.Context(), name, metav1.GetOptions{})
	must(k.t, err)
	return o
}

// condition is why an object has no good token, as reason and message.
func condition(o *unstructured.Unstructured) (status, reason, message string) {
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, c := range conditions {
		c, _ := c.(map[string]any)
		if c["type"] == "Ready" {
			return fmt.Sprint(c["status"]), fmt.Sprint(c["reason"]), fmt.Sprint(c["message"])
		}
	}
	return "", "", ""
}

// delete revokes a token by deleting its object, with what a garbage collector would delete.
func (k *keeper) delete(name string) {
	k.t.Helper()
	must(k.t, k.objects.Delete(k.t.Context(), name, metav1.DeleteOptions{}))
}

// load queries gateways in turn, 200 times a second, until it is stopped.
type load struct {
	stop    context.CancelFunc
	running sync.WaitGroup
	mu      sync.Mutex
	asked   int
	failed  []answer
	last    time.Time // when the last question that was answered well was sent
}

func (k *keeper) load(secret func() string, gateways ...*running) *load {
	ctx, cancel := context.WithCancel(k.t.Context())
	l := &load{stop: cancel}
	l.running.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			g := gateways[i%len(gateways)]
			l.running.Go(func() {
				sent := time.Now()
				a := k.query(g, secret())
				l.mu.Lock()
				defer l.mu.Unlock()
				l.asked++
				if a.status != http.StatusOK {
					l.failed = append(l.failed, a)
				} else if sent.After(l.last) {
					l.last = sent
				}
			})
		}
	})
	return l
}

// end stops the load, and waits for its answers.
func (l *load) end() {
	l.stop()
	l.running.Wait()
}

// count is how many questions were asked, and how many were not answered well.
func (l *load) count() (asked, failed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked, len(l.failed)
}

// secretOf reads the token in a Secret, as whoever mounts it.
func (k *keeper) secretOf(name string) (string, error) {
	s, err := controlPlane(k.t).Client().CoreV1().Secrets(k.namespace).Get(k.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	if len(s.Data["token"]) == 0 {
		return "", errors.New("the Secret has no token")
	}
	return string(s.Data["token"]), nil
}

// makeAgain deletes the project's namespace, as the controllers of a cluster do, and makes it anew.
func (k *keeper) makeAgain() {
	k.t.Helper()
	ctx := k.t.Context()
	must(k.t, k.objects.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}))
	must(k.t, controlPlane(k.t).Client().CoreV1().Secrets(k.namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}))
	deleteNamespace(k.t, k.namespace)
	k.project()
}

// mint makes tokens, by the names of their objects, with the program's own store.
func (k *keeper) mint(n int, secrets map[string]string) func(context.Context, server.TokenStore) {
	return func(ctx context.Context, s server.TokenStore) {
		k.t.Helper()
		for i := range n {
			description := fmt.Sprintf("trial %d", i)
			_, secret, err := s.Create(ctx, tokens.Draft{
				Scope: tokens.Scope{Project: k.namespace, Environment: "production"}, Description: description, Lifetime: time.Hour,
			})
			must(k.t, err)
			secrets[k.named(description)] = secret
		}
	}
}
