package e2e

import (
	"fmt"
	"net/http"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// deleteNamespace deletes a namespace with its Services, as the controllers of a cluster do.
func deleteNamespace(t testing.TB, name string) {
	t.Helper()
	ctx, client := t.Context(), controlPlane(t).Client()
	must(t, client.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{}))
	services, err := client.CoreV1().Services(name).List(ctx, metav1.ListOptions{})
	must(t, err)
	for _, s := range services.Items {
		must(t, client.CoreV1().Services(name).Delete(ctx, s.Name, metav1.DeleteOptions{}))
	}
	must(t, client.CoreV1().Pods(name).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}))
	must(t, client.RbacV1().RoleBindings(name).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}))
	must(t, client.RbacV1().Roles(name).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}))
	_, err = client.CoreV1().Namespaces().Finalize(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.UpdateOptions{})
	must(t, err)
	eventually(t, func() error {
		if _, err := client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the namespace is still there: %v", err)
		}
		return nil
	})
}

// TestNamespaceMadeAgain: under its old name a namespace is another project, and the old tokens open nothing of it.
func TestNamespaceMadeAgain(t *testing.T) {
	t.Parallel()
	c, ctx, server := controlPlane(t), t.Context(), fixture(t)
	kubeconfig := searcher(t, "again-home")
	applied(t, "", "again-home", selectorRole)
	for _, mode := range []struct{ namespace, discovery string }{
		{"again-named", "{namespaces: {names: [again-named]}, sources: [services]}"},
		{"again-selected", `{namespaces: {selector: "again=yes"}, sources: [services]}`},
	} {
		t.Run(mode.namespace, func(t *testing.T) {
			make := func() {
				must(t, c.Apply(ctx, []byte("apiVersion: v1\nkind: Namespace\nmetadata: {name: "+mode.namespace+", labels: {again: \"yes\"}}\n")))
				applied(t, mode.namespace, "again-home", projectRole)
				must(t, c.Service(ctx, mode.namespace, "prometheus", "web", 9090, server.Addr()))
				annotate(t, mode.namespace, "prometheus", environmentLabel("production"), nil)
			}
			make()
			path := searchConfiguration(t, kubeconfig, mode.discovery, "")
			g := serve(t, path)
			query := func(secret string) answer {
				return ask(with(get(instant(g.base(mode.namespace+"/production"), "up")), secret))
			}
			whole, one := created(t, g, path, mode.namespace), created(t, g, path, mode.namespace+"/production")
			for _, secret := range []string{whole, one} {
				check(t, wantStatus(query(secret), http.StatusOK))
			}
			deleteNamespace(t, mode.namespace)
			make()
			var fresh string
			eventually(t, func() error {
				for _, secret := range []string{whole, one} {
					if err := wantError(query(secret), http.StatusForbidden, "forbidden"); err != nil {
						return err
					}
				}
				if fresh == "" {
					fresh = created(t, g, path, mode.namespace)
				}
				return wantStatus(query(fresh), http.StatusOK)
			})
			for _, secret := range []string{whole, one} {
				check(t, wantError(query(secret), http.StatusForbidden, "forbidden"))
			}
		})
	}
}

// selectorRole lets the gateway select namespaces by their labels.
const selectorRole = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: HOME}
rules:
  - {apiGroups: [""], resources: [namespaces], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: HOME}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: HOME}
subjects: [{kind: ServiceAccount, name: promgate, namespace: HOME}]
`
