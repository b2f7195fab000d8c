package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/promgate/promgate/cmd/demo/cluster"
)

// apply creates the Roles and RoleBindings of a YAML text, as the administrator would.
func apply(ctx context.Context, text string) error {
	rbac := shared.control.Client().RbacV1()
	decoder := yaml.NewYAMLToJSONDecoder(strings.NewReader(text))
	applied := 0
	for {
		var object runtime.RawExtension
		switch err := decoder.Decode(&object); {
		case errors.Is(err, io.EOF) && applied == 2:
			return nil
		case err != nil:
			return fmt.Errorf("after %d objects: %w", applied, err)
		}
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal(object.Raw, &kind); err != nil {
			return err
		}
		var err error
		switch kind {
		case metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "Role"}:
			var role rbacv1.Role
			if err = yaml.UnmarshalStrict(object.Raw, &role); err == nil {
				_, err = rbac.Roles(role.Namespace).Create(ctx, &role, metav1.CreateOptions{})
			}
		case metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "RoleBinding"}:
			var binding rbacv1.RoleBinding
			if err = yaml.UnmarshalStrict(object.Raw, &binding); err == nil {
				_, err = rbac.RoleBindings(binding.Namespace).Create(ctx, &binding, metav1.CreateOptions{})
			}
		default:
			err = fmt.Errorf("an object %v", kind)
		}
		if err != nil {
			return err
		}
		applied++
	}
}

// wantAdvice checks an answer for a missing Role, and applies what the log advises.
func wantAdvice(t *testing.T, g *running, a answer) {
	t.Helper()
	logged := g.wantLogged(t, a, map[string]any{"hop": "rbac", "status": float64(http.StatusServiceUnavailable), "error_type": "unavailable"})
	advice, _ := logged["advice"].(string)
	must(t, apply(t.Context(), advice))
}

// TestRoleMissing takes the gateway's Role away. What its log advises, applied as it is, makes it work again.
func TestRoleMissing(t *testing.T) {
	t.Parallel()
	c, ctx := controlPlane(t), t.Context()
	path := configuration(t, namespace(t, "role", fixture(t).Addr()), "", "role/production: "+service("role", "prometheus"))
	secret, _ := token(t, path, "role")
	g := serve(t, path)
	query := func() answer { return ask(with(get(instant(g.base("role/production"), "up")), secret)) }
	check(t, wantStatus(query(), http.StatusOK))

	must(t, c.RevokeServiceProxy(ctx, "role", cluster.ServiceAccount("role", account)))
	a := query()
	check(t, wantError(a, http.StatusServiceUnavailable, "unavailable"))
	for _, leak := range []string{proxied, "system:serviceaccount", "Forbidden", "Failure"} {
		if strings.Contains(a.body, leak) {
			t.Errorf("the client is told %q: %s", leak, a)
		}
	}
	wantAdvice(t, g, a)
	took := eventually(t, func() error { return wantStatus(query(), http.StatusOK) })
	t.Logf("with the Role that the log advised it answered after %s", took.Round(time.Millisecond))
	// It opens no more than was needed.
	may, err := shared.control.Client().RbacV1().Roles("role").List(ctx, metav1.ListOptions{})
	must(t, err)
	want := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"services/proxy"}, ResourceNames: []string{proxied}, Verbs: []string{"get"}}
	if len(may.Items) != 1 || len(may.Items[0].Rules) != 1 || may.Items[0].Rules[0].String() != want.String() {
		t.Errorf("the Roles are %v", may.Items)
	}
}

// TestPostUpstream asks what takes a POST upstream: more than the verb "get" allows.
func TestPostUpstream(t *testing.T) {
	t.Parallel()
	path := configuration(t, namespace(t, "long", fixture(t).Addr()), "",
		"long/get: "+service("long", "prometheus"), "long/post: "+service("long", "prometheus")+", allowPost: true",
		"long/read: "+service("long", "prometheus")+", allow: [remoteRead]")
	secret, _ := token(t, path, "long")
	g := serve(t, path)
	long := url.Values{"query": {`up{job!~"` + strings.Repeat("x", 70_000) + `"}`}, "time": {end}}
	short := url.Values{"query": {"up"}, "time": {end}}
	query := func(environment string, form url.Values) answer {
		return ask(with(post(g.base(environment)+"/api/v1/query", form), secret))
	}
	read := func() answer {
		return ask(with(request(http.MethodPost, g.base("long/read")+"/api/v1/read", strings.NewReader(string(questions["remote_read"][0].body))), secret,
			"Content-Type", "application/x-protobuf", "Content-Encoding", "snappy", "X-Prometheus-Remote-Read-Version", "0.1.0"))
	}
	want := query("long/get", short).body
	check(t, wantError(query("long/get", long), http.StatusRequestEntityTooLarge, "bad_data"))
	check(t, wantStatus(query("long/post", short), http.StatusOK))
	a := read()
	check(t, wantStatus(a, http.StatusServiceUnavailable))
	logged := g.wantLogged(t, a, map[string]any{"hop": "rbac", "endpoint": "remote_read"})
	if advice, _ := logged["advice"].(string); !strings.Contains(advice, `verbs: ["create"]`) {
		t.Errorf("for remote read it advises %s", advice)
	}
	a = query("long/post", long)
	check(t, wantError(a, http.StatusServiceUnavailable, "unavailable"))

	wantAdvice(t, g, a)
	eventually(t, func() error {
		a := query("long/post", long)
		if err := wantStatus(a, http.StatusOK); err != nil {
			return err
		}
		if a.body != want {
			t.Fatalf("got %s, want %s", a, want)
		}
		return nil
	})
	check(t, wantStatus(read(), http.StatusOK))
	check(t, wantError(query("long/get", long), http.StatusRequestEntityTooLarge, "bad_data"))

	role, err := shared.control.Client().RbacV1().Roles("long").Get(t.Context(), "promgate:create:"+proxied, metav1.GetOptions{})
	must(t, err)
	if len(role.Rules) != 1 || fmt.Sprint(role.Rules[0].Verbs) != "[create]" {
		t.Errorf("the Role for long questions is %v", role.Rules)
	}
	// Without the verb get, what is short is refused by the same words, and the advice is another.
	must(t, shared.control.RevokeServiceProxy(t.Context(), "long", cluster.ServiceAccount("long", account)))
	a = query("long/post", short)
	check(t, wantError(a, http.StatusServiceUnavailable, "unavailable"))
	check(t, wantStatus(query("long/post", long), http.StatusOK))
	wantAdvice(t, g, a)
	eventually(t, func() error { return wantStatus(query("long/post", short), http.StatusOK) })
	if err := apply(t.Context(), g.logged(t, a)["advice"].(string)); !apierrors.IsAlreadyExists(err) {
		t.Errorf("applied twice: %v", err)
	}
}
