package perses

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/promgate/promgate/auth"
	authkube "github.com/promgate/promgate/auth/kube"
	"github.com/promgate/promgate/cmd/demo/cluster"
	"github.com/promgate/promgate/deploy/kubernetes/crd"
	"github.com/promgate/promgate/kube"
)

// readers gives the reader of a namespace what RBAC asks for to see it.
const readers = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: NAME, namespace: NAMESPACE}
rules:
  - {apiGroups: [perses.dev], resources: [persesdashboards, persesdatasources], verbs: [VERBS]}
  - {apiGroups: [promgate.io], resources: [persesfolders], verbs: [VERBS]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: NAME, namespace: NAMESPACE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: NAME}
subjects: [{kind: ServiceAccount, name: NAME, namespace: people}]
`

// rights are those over the whole cluster: of the platform engineer, of the
// gateway that follows everything, and of all gateways to make reviews. olga may
// read one dashboard by its name.
const rights = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: everything}
rules:
  - {apiGroups: [perses.dev], resources: [persesdashboards, persesdatasources, persesglobaldatasources], verbs: [get, list, watch]}
  - {apiGroups: [promgate.io], resources: [persesfolders], verbs: [get, list, watch]}
  - {apiGroups: [""], resources: [namespaces], verbs: [get, list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: everything}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: everything}
subjects: [{kind: ServiceAccount, name: petra, namespace: people}, {kind: ServiceAccount, name: wide, namespace: people}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reviews}
rules:
  - {apiGroups: [authentication.k8s.io], resources: [tokenreviews], verbs: [create]}
  - {apiGroups: [authorization.k8s.io], resources: [subjectaccessreviews], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: reviews}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reviews}
subjects: [{kind: ServiceAccount, name: wide, namespace: people}, {kind: ServiceAccount, name: narrow, namespace: people}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: olga, namespace: billing}
rules: [{apiGroups: [perses.dev], resources: [persesdashboards], resourceNames: [invoices], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: olga, namespace: billing}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: olga}
subjects: [{kind: ServiceAccount, name: olga, namespace: people}]
`

// sent is a request as it goes out.
type sent struct{ credential, path string }

// recorder writes down what goes out over a connection, and with which
// credential.
type recorder struct {
	mu  sync.Mutex
	all []sent
}

type recording struct {
	*recorder
	next http.RoundTripper
	own  bool
}

func (r recording) RoundTrip(q *http.Request) (*http.Response, error) {
	credential := strings.Join(q.Header["Authorization"], ",")
	if r.own {
		credential += "the gateway's"
	}
	r.mu.Lock()
	r.all = append(r.all, sent{credential, q.URL.Path})
	r.mu.Unlock()
	return r.next.RoundTrip(q)
}

// WrappedRoundTripper lets a Connection close what is below.
func (r recording) WrappedRoundTripper() http.RoundTripper { return r.next }

// objectRequests are those that are no reviews.
func (r *recorder) objectRequests() []sent {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.all), func(s sent) bool { return strings.HasSuffix(s.path, "reviews") })
}

// land is a real API server with people and gateways.
type land struct {
	*cluster.Cluster
	t     *testing.T
	admin dynamic.Interface
}

func newLand(t *testing.T) *land {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute) // it may have to be built
	defer cancel()
	binary, err := cluster.Build(ctx, "")
	mustRead(t, err)
	c, err := cluster.Start(ctx, cluster.Options{Binary: binary})
	mustRead(t, err)
	t.Cleanup(func() { mustRead(t, c.Stop()) })
	admin, err := dynamic.NewForConfig(c.RESTConfig())
	mustRead(t, err)
	l := &land{c, t, admin}
	for _, namespace := range []string{"people", "shop", "billing", "outside"} {
		mustRead(t, c.Namespace(ctx, namespace))
	}
	l.apply(rights)
	l.grant("anna", "shop", "get, list")
	l.grant("boris", "billing", "get, list")
	return l
}

func mustRead(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (l *land) apply(text string) {
	l.t.Helper()
	mustRead(l.t, l.Apply(l.t.Context(), []byte(text)))
}

func (l *land) grant(name, namespace, verbs string) {
	l.t.Helper()
	l.apply(strings.NewReplacer("NAMESPACE", namespace, "NAME", name, "VERBS", verbs).Replace(readers))
}

func (l *land) revoke(name, namespace string) {
	l.t.Helper()
	mustRead(l.t, l.Client().RbacV1().RoleBindings(namespace).Delete(l.t.Context(), name, metav1.DeleteOptions{}))
}

// install has the kinds and the objects made. The definitions are as generous as
// perses-operator's, which takes what cannot be shown.
func (l *land) install() {
	l.t.Helper()
	generous := bytes.ReplaceAll(crd.Perses(), []byte("required: [config]"), []byte("required: []"))
	l.apply(strings.ReplaceAll(string(generous), ", maxLength: 75", ""))
	l.apply(string(crd.Folders()))
	for _, o := range []string{"shop/sales", "shop/stock", "billing/invoices", "outside/secret", "shop/" + longName} {
		l.apply(objectText(Dashboards, o, `{config: {display: {name: Title, description: Words}, duration: 1h}}`))
	}
	l.apply(objectText(Dashboards, "shop/empty", `{}`))
	for _, namespace := range []string{"shop", "billing", "outside"} {
		l.apply(objectText(Datasources, namespace+"/prom", `{config: {plugin: {kind: PrometheusDatasource, spec: {}}}}`))
		l.apply(objectText(Folders, namespace+"/main", `{display: {name: Main}, items: []}`))
	}
	l.apply(objectText(GlobalDatasources, "/fleet", `{config: {plugin: {kind: PrometheusDatasource, spec: {}}}}`))
}

func objectText(k *Kind, place, spec string) string {
	namespace, name, _ := strings.Cut(place, "/")
	if namespace != "" {
		namespace = ", namespace: " + namespace
	}
	return fmt.Sprintf("apiVersion: %s/%s\nkind: %s\nmetadata: {name: %s%s, annotations: {perses.dev/tags: 'a, b'}}\nspec: %s\n",
		k.Group, k.Version, k.Object, name, namespace, spec)
}

// gate is a gateway in one of the two modes.
type gate struct {
	Objects
	l             *land
	authenticator *authkube.Authenticator
	recorder      *recorder
	logged        *logged
	tokens        map[string]string
}

// connect makes a recording connection with the credentials of a service account.
func (l *land) connect(account string) (*kube.Connection, *recorder) {
	l.t.Helper()
	file, err := l.ServiceAccountKubeconfig(l.t.Context(), "people", account)
	mustRead(l.t, err)
	c, err := kube.Connect(kube.Options{Name: "local", Kubeconfig: file})
	mustRead(l.t, err)
	l.t.Cleanup(c.Close)
	r := &recorder{}
	c.Transport, c.Anonymous = recording{r, c.Transport, true}, recording{r, c.Anonymous, false}
	c.Client, err = dynamic.NewForConfigAndClient(&rest.Config{Host: c.Base.String(), QPS: -1}, &http.Client{Transport: c.Transport})
	mustRead(l.t, err)
	return c, r
}

func projectsInScope() []string { return []string{"shop", "gone", "billing"} }

func (l *land) gate(account string, user bool, visibility Visibility) *gate {
	l.t.Helper()
	c, r := l.connect(account)
	g := &gate{l: l, authenticator: authkube.NewAuthenticator(authkube.Options{}), recorder: r, logged: &logged{}, tokens: map[string]string{}}
	known := authkube.Cluster{Connection: c, UserCredentials: user}
	if user {
		g.Objects = NewUserObjects(UserOptions{Cluster: c.Reader(), Scope: projectsInScope, Logger: g.logged.logger()})
	} else {
		known.Audiences = []string{"promgate"}
		d := NewDedicatedObjects(DedicatedOptions{
			Cluster: c.Reader(), Scope: projectsInScope, Visibility: visibility, Logger: g.logged.logger(),
			Projects: func(namespace string) []string { return []string{"uid-of-" + namespace} },
		})
		g.Objects = d
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); d.Run(ctx) }()
		l.t.Cleanup(func() { cancel(); <-done })
	}
	g.authenticator.SetClusters([]authkube.Cluster{known})
	for _, name := range persons {
		token, err := l.ServiceAccountToken(l.t.Context(), "people", name, known.Audiences...)
		mustRead(l.t, err)
		g.tokens[name] = token
	}
	g.tokens["garbage"] = "garbage-that-nobody-knows"
	return g
}

// viewer is somebody with a Kubernetes token.
func (g *gate) viewer(name string) Viewer {
	g.l.t.Helper()
	c := auth.NewCredential(g.tokens[name])
	id, err := g.authenticator.Authenticate(g.l.t.Context(), c)
	mustRead(g.l.t, err)
	return Viewer{Identity: id, Credential: c}
}

// local is somebody of the users file.
func local(projectUIDs ...string) Viewer {
	id := &auth.Identity{Principal: auth.Principal{Kind: auth.KindLocal, ID: "lena"}}
	for _, uid := range projectUIDs {
		id.Grants = append(id.Grants, auth.Grant{ProjectUID: uid, WholeProject: true})
	}
	return Viewer{Identity: id}
}

// soon waits until there is no error, and tells how long that took.
func soon(t testing.TB, within time.Duration, check func() error) time.Duration {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return time.Since(began)
		}
		if time.Since(began) > within {
			t.Fatalf("after %s: %v", within, err)
		}
		<-tick.C
	}
}
