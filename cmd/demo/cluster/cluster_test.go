package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

const (
	// The first build takes minutes on a small machine.
	buildTimeout = 20 * time.Minute
	startTimeout = 2 * time.Minute
	goneTimeout  = 15 * time.Second
)

func binary(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), buildTimeout)
	defer cancel()
	path, err := Build(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// start runs a control plane whose temporary files all lie in the returned directory.
func start(t *testing.T, o Options) (c *Cluster, temporary string) {
	t.Helper()
	o.Binary = binary(t)
	temporary = t.TempDir()
	t.Setenv("TMPDIR", temporary)
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	c, err := Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c, temporary
}

// proxied is the path of the Service prometheus through the service proxy.
func proxied(namespace string) string {
	return "/api/v1/namespaces/" + namespace + "/services/http:prometheus:web/proxy"
}

// backend serves its name, the method and the request URI.
func backend(t *testing.T, name string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s", name, r.Method, r.RequestURI)
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// caller sends requests to the API server with the identity of a kubeconfig.
type caller struct {
	t      *testing.T
	server string
	client *http.Client
}

func as(t *testing.T, kubeconfig string) caller {
	t.Helper()
	if info, err := os.Stat(kubeconfig); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("kubeconfig %s: mode %v, error %v; want mode 0600", kubeconfig, info, err)
	}
	config, err := LoadConfig(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return caller{t: t, server: config.Host, client: client}
}

func (c caller) do(method, path string) (status int, body string) {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), method, c.server+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	response, err := c.client.Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return response.StatusCode, string(content)
}

// want checks one request's status and a part of its body.
func (c caller) want(method, path string, wantStatus int, wantPart string) {
	c.t.Helper()
	status, body := c.do(method, path)
	if status != wantStatus || !strings.Contains(body, wantPart) {
		c.t.Errorf("%s %s: got %d %s; want %d and a body with %q", method, path, status, body, wantStatus, wantPart)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func value[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		must(t, err)
		return v
	}
}

// TestCluster lets everything that needs no cluster of its own share one, each in its own namespaces.
func TestCluster(t *testing.T) {
	c, _ := start(t, Options{})
	for name, test := range map[string]func(*testing.T, *Cluster){
		"a service account reads through the proxy": serviceProxy,
		"a backend that is gone":                    backendGone,
		"users, groups and tokens":                  identities,
		"wrong input":                               wrongInput,
		"manifests are judged":                      podSecurity,
	} {
		t.Run(name, func(t *testing.T) { test(t, c) })
	}
}

func serviceProxy(t *testing.T, c *Cluster) {
	ctx := t.Context()
	one, two := backend(t, "one"), backend(t, "two")
	for _, namespace := range []string{"shop", "bank"} {
		must(t, c.Namespace(ctx, namespace))
		must(t, c.Service(ctx, namespace, "prometheus", "web", 9090, one))
	}
	gateway := as(t, value(c.ServiceAccountKubeconfig(ctx, "shop", "gateway"))(t))
	subject := ServiceAccount("shop", "gateway")

	gateway.want("GET", proxied("shop")+"/hello?x=1", 403, "services/proxy")
	must(t, c.AllowServiceProxy(ctx, "shop", subject, []string{ProxyName("http", "prometheus", "web")}))
	gateway.want("GET", proxied("shop")+"/hello?x=1", 200, "one GET /hello?x=1")
	gateway.want("POST", proxied("shop")+"/hello", 403, `"reason":"Forbidden"`)
	gateway.want("GET", proxied("bank")+"/hello", 403, `"reason":"Forbidden"`)
	gateway.want("GET", strings.Replace(proxied("shop"), "http:", "", 1)+"/hello", 403, `"reason":"Forbidden"`)

	must(t, c.AllowServiceProxy(ctx, "shop", subject, []string{"http:prometheus:web"}, "get", "create"))
	gateway.want("POST", proxied("shop")+"/hello", 200, "one POST /hello")

	old := mappings(t, c, "shop", 1)
	must(t, c.SetBackends(ctx, "shop", "prometheus", two))
	gateway.want("GET", proxied("shop")+"/hello", 200, "two GET /hello")
	must(t, c.SetBackends(ctx, "shop", "prometheus"))
	gateway.want("GET", proxied("shop")+"/hello", 503, "no endpoints available")
	must(t, c.SetBackends(ctx, "shop", "prometheus", one, two))
	gateway.want("GET", proxied("shop")+"/hello", 200, "GET /hello")
	old = append(old, mappings(t, c, "shop", 2)...)
	must(t, c.Service(ctx, "shop", "prometheus", "web", 9091, one))
	gateway.want("GET", proxied("shop")+"/hello", 200, "one GET /hello")
	mappings(t, c, "shop", 1)
	for _, file := range old {
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the mapping %s of an earlier pod is left: %v", file, err)
		}
	}

	must(t, c.RevokeServiceProxy(ctx, "shop", subject))
	gateway.want("GET", proxied("shop")+"/hello", 403, `"reason":"Forbidden"`)
	must(t, c.RevokeServiceProxy(ctx, "shop", subject))
}

// mappings are the files that lead to the Pods of a Service, after a check that Pods, endpoint slice and files agree.
func mappings(t *testing.T, c *Cluster, namespace string, want int) []string {
	t.Helper()
	pods, err := c.Client().CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
	must(t, err)
	slice, err := c.Client().DiscoveryV1().EndpointSlices(namespace).Get(t.Context(), "prometheus", metav1.GetOptions{})
	must(t, err)
	if len(pods.Items) != want || len(slice.Endpoints) != want {
		t.Errorf("%d pods and %d endpoints, want %d of each", len(pods.Items), len(slice.Endpoints), want)
	}
	var files []string
	for _, pod := range pods.Items {
		file := c.mappingFile(pod.Status.PodIP, *slice.Ports[0].Port)
		if _, err := os.Stat(file); err != nil {
			t.Errorf("pod %s has no mapping: %v", pod.Name, err)
		}
		files = append(files, file)
	}
	return files
}

func backendGone(t *testing.T, c *Cluster) {
	ctx := t.Context()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address := listener.Addr().String()
	must(t, listener.Close())
	must(t, c.Namespace(ctx, "gone"))
	must(t, c.Service(ctx, "gone", "prometheus", "web", 9090, address))
	as(t, c.Kubeconfig()).want("GET", proxied("gone")+"/", 503, "error trying to reach service")

	for _, file := range mappings(t, c, "gone", 1) {
		must(t, os.Remove(file))
	}
	as(t, c.Kubeconfig()).want("GET", proxied("gone")+"/", 503, "error trying to reach service")
}

func identities(t *testing.T, c *Cluster) {
	ctx := t.Context()
	must(t, c.Namespace(ctx, "people"))
	must(t, c.Service(ctx, "people", "prometheus", "web", 9090, backend(t, "one")))
	alice := as(t, value(c.UserKubeconfig(ctx, "alice@example.org", "traders", "ops"))(t))
	bob := as(t, value(c.UserKubeconfig(ctx, "bob/../x", "traders"))(t))

	must(t, c.AllowServiceProxy(ctx, "people", User("alice@example.org"), []string{"http:prometheus:web"}))
	alice.want("GET", proxied("people")+"/a", 200, "one GET /a")
	bob.want("GET", proxied("people")+"/b", 403, `User \"bob/../x\"`)
	must(t, c.AllowServiceProxy(ctx, "people", Group("traders"), []string{"http:prometheus:web"}))
	bob.want("GET", proxied("people")+"/b", 200, "one GET /b")
	must(t, c.RevokeServiceProxy(ctx, "people", User("alice@example.org")))
	alice.want("GET", proxied("people")+"/a", 200, "one GET /a") // by the group
	must(t, c.RevokeServiceProxy(ctx, "people", Group("traders")))
	alice.want("GET", proxied("people")+"/a", 403, "services/proxy")
	bob.want("GET", proxied("people")+"/b", 403, "services/proxy")

	token := value(c.ServiceAccountToken(ctx, "people", "robot", "promgate"))(t)
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{"promgate", "other"}}}
	answer, err := c.Client().AuthenticationV1().TokenReviews().Create(ctx, review, metav1.CreateOptions{})
	must(t, err)
	if s := answer.Status; !s.Authenticated || s.User.Username != "system:serviceaccount:people:robot" || len(s.Audiences) != 1 || s.Audiences[0] != "promgate" {
		t.Errorf("token review: authenticated %v, user %s, audiences %v, error %q", s.Authenticated, s.User.Username, s.Audiences, s.Error)
	}
}

func wrongInput(t *testing.T, c *Cluster) {
	ctx := t.Context()
	must(t, c.Namespace(ctx, "wrong"))
	must(t, c.Namespace(ctx, "wrong"))
	must(t, c.Service(ctx, "wrong", "prometheus", "web", 9090))
	must(t, c.Service(ctx, "wrong", "prometheus", "web", 9091))
	for want, err := range map[string]error{
		"not a loopback address":                  c.SetBackends(ctx, "wrong", "prometheus", "192.0.2.7:80"),
		"make it first with Service":              c.SetBackends(ctx, "wrong", "nothing"),
		"not of the form scheme:name:port":        c.AllowServiceProxy(ctx, "wrong", User("u"), []string{"prometheus"}),
		"would allow all services":                c.AllowServiceProxy(ctx, "wrong", User("u"), nil),
		"cannot make the service nowhere/service": c.Service(ctx, "nowhere", "service", "web", 1),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one with %q", err, want)
		}
	}
	_, err := Start(ctx, Options{})
	if err == nil || !strings.Contains(err.Error(), "Options.Binary") {
		t.Errorf("start without a program: got error %v", err)
	}
	_, err = Start(ctx, Options{Binary: binary(t), Port: c.Port()})
	if err == nil || !strings.Contains(err.Error(), "choose another one") {
		t.Errorf("start on a port in use: got error %v", err)
	}
	_, err = Start(ctx, Options{Binary: binary(t), Dir: c.Dir()})
	if err == nil || !strings.Contains(err.Error(), "another control plane uses the directory") {
		t.Errorf("start on a directory in use: got error %v", err)
	}
	_, err = Start(ctx, Options{Binary: binary(t), Dir: filepath.Join(t.TempDir(), strings.Repeat("long", 30))})
	if err == nil || !strings.Contains(err.Error(), "too long for a unix socket") {
		t.Errorf("start in a directory with a long path: got error %v", err)
	}
}

// podSecurity shows that admission which judges manifests is on.
func podSecurity(t *testing.T, c *Cluster) {
	must(t, c.Namespace(t.Context(), "strict"))
	namespace, err := c.Client().CoreV1().Namespaces().Get(t.Context(), "strict", metav1.GetOptions{})
	must(t, err)
	namespace.Labels["pod-security.kubernetes.io/enforce"] = "restricted"
	_, err = c.Client().CoreV1().Namespaces().Update(t.Context(), namespace, metav1.UpdateOptions{})
	must(t, err)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "pod", Namespace: "strict"},
		Spec:       corev1.PodSpec{HostNetwork: true, Containers: []corev1.Container{{Name: "a", Image: "a"}}},
	}
	// The API server learns of the label through a watch of its own: the first
	// answers may still go by the old state.
	deadline, look := time.After(startTimeout), time.NewTicker(accessPoll)
	defer look.Stop()
	for {
		_, err = c.Client().CoreV1().Pods("strict").Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if apierrors.IsForbidden(err) && strings.Contains(err.Error(), "PodSecurity") {
			return
		}
		select {
		case <-look.C:
		case <-deadline:
			t.Fatalf("got error %v, want a refusal by PodSecurity", err)
		}
	}
}
