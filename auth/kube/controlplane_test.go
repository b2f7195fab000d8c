package kube

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/promgate/promgate/auth"
	plane "github.com/promgate/promgate/cmd/demo/cluster"
	"github.com/promgate/promgate/kube"
)

// makers lets the maker of each namespace make endpoint tokens there.
const makers = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: makers, namespace: NAMESPACE}
rules:
  - {apiGroups: [promgate.io], resources: [endpointtokens], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: makers, namespace: NAMESPACE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: makers}
subjects: [{kind: ServiceAccount, name: maker, namespace: NAMESPACE}]
`

func must[T any](t *testing.T, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// controlPlane is a real API server where the gateway has the rights of
// deploy/kubernetes/components/users, and no others.
func controlPlane(t *testing.T) *plane.Cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute) // it may have to be built
	defer cancel()
	binary, err := plane.Build(ctx, "")
	must(t, binary, err)
	c, err := plane.Start(ctx, plane.Options{Binary: binary})
	must(t, c, err)
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	must(t, c, c.Namespace(ctx, "promgate"))
	role, err := os.ReadFile(filepath.Join("..", "..", "deploy", "kubernetes", "components", "users", "clusterrole.yaml"))
	must(t, c, err)
	must(t, c, c.Apply(ctx, role))
	return c
}

// TestControlPlane asks a real API server, with the gateway's credentials and
// with the callers' own.
func TestControlPlane(t *testing.T) {
	c := controlPlane(t)
	file, err := c.ServiceAccountKubeconfig(t.Context(), "promgate", "promgate")
	connection, err := kube.Connect(kube.Options{Name: "local", Kubeconfig: must(t, file, err)})
	must(t, connection, err)
	defer connection.Close()
	t.Run("modes", func(t *testing.T) {
		for mode, cluster := range map[string]Cluster{"dedicated": {Connection: connection, Audiences: []string{"promgate"}}, "user": user(connection)} {
			t.Run(mode, func(t *testing.T) {
				t.Parallel()
				testCallers(t, c, newWorld(cluster), "shop-"+mode, cluster.Audiences)
			})
		}
	})
	must(t, c, c.Stop())
	for _, cluster := range []Cluster{dedicated(connection), user(connection)} {
		w := newWorld(cluster)
		if _, err := w.identify(t, annas); !errors.Is(err, auth.ErrUnavailable) {
			t.Errorf("unreachable: %v", err)
		}
		if err := w.manage(t, annas, "local", "shop"); !errors.Is(err, auth.ErrUnavailable) {
			t.Errorf("unreachable: %v", err)
		}
	}
}

func testCallers(t *testing.T, c *plane.Cluster, w *world, namespace string, audiences []string) {
	ctx := t.Context()
	must(t, c, c.Namespace(ctx, namespace))
	tokens := map[string]string{"bad": bad}
	for _, name := range []string{"maker", "reader", "nobody"} {
		token, err := c.ServiceAccountToken(ctx, namespace, name, audiences...)
		tokens[name] = must(t, token, err)
	}
	stranger, err := c.ServiceAccountToken(ctx, namespace, "maker", "somebody-else")
	tokens["stranger"] = must(t, stranger, err)
	must(t, c, c.Apply(ctx, []byte(strings.ReplaceAll(makers, "NAMESPACE", namespace))))
	must(t, c, c.AllowServiceProxy(ctx, namespace, plane.ServiceAccount(namespace, "reader"), []string{"http:prometheus:web"}))
	eventually(t, func() error { return w.manage(t, tokens["maker"], "local", namespace) })
	for name, want := range map[string]error{"maker": nil, "reader": auth.ErrForbidden, "nobody": auth.ErrForbidden, "bad": auth.ErrInvalid, "stranger": auth.ErrInvalid} {
		if err := w.manage(t, tokens[name], "local", namespace); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", name, err, want)
		}
		if err := w.manage(t, tokens[name], "local", "promgate"); !errors.Is(err, cmp.Or(want, auth.ErrForbidden)) {
			t.Errorf("%s in another namespace: %v", name, err)
		}
		open, err := w.list(t, tokens[name], at("local", namespace, "http:prometheus:web"))
		if may := len(open) == 1 && open[0]; may != (name == "reader") {
			t.Errorf("%s may query: %v, %v", name, may, err)
		}
		got, err := w.identify(t, tokens[name])
		if want == auth.ErrInvalid {
			if !errors.Is(err, want) {
				t.Errorf("%s is %+v, %v", name, got, err)
			}
			continue
		}
		if err != nil || got.Name != "system:serviceaccount:"+namespace+":"+name || !slices.Contains(got.Groups, "system:serviceaccounts:"+namespace) ||
			time.Until(got.Expires) < 29*24*time.Hour || time.Until(got.Expires) > 31*24*time.Hour {
			t.Errorf("%s is %+v, %v", name, got, err)
		}
	}
	must(t, c, c.Client().RbacV1().RoleBindings(namespace).Delete(ctx, "makers", metav1.DeleteOptions{}))
	took := eventually(t, func() error {
		if err := w.manage(t, tokens["maker"], "local", namespace); !errors.Is(err, auth.ErrForbidden) {
			return errors.New("the maker may still")
		}
		return nil
	})
	for name, token := range tokens {
		if strings.Contains(w.log(), token) {
			t.Errorf("the token of %s is in the log", name)
		}
	}
	t.Logf("refused %s after the RoleBinding was gone", took.Round(time.Millisecond))
	if took > PositiveFor+time.Second {
		t.Errorf("a right that was gone was good for %s", took)
	}
}

// eventually waits until there is no error, and tells how long that took.
func eventually(t *testing.T, check func() error) time.Duration {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return time.Since(began)
		}
		if time.Since(began) > time.Minute {
			t.Fatal(err)
		}
		<-tick.C
	}
}
