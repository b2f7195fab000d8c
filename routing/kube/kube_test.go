package kube

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promgate/promgate/kube"

	"github.com/promgate/promgate/routing"
)

var ref = ServiceRef{Namespace: "shop", Name: "prometheus", Port: "web", Scheme: "http", PathPrefix: "/"}

// echo answers with what it was asked.
func echo(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "%s %s %s\n", r.Proto, r.Method, r.RequestURI)
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		fmt.Fprintf(w, "%s: %q\n", name, r.Header[name])
	}
	if len(r.TLS.PeerCertificates) > 0 {
		fmt.Fprintf(w, "certificate of %s\n", r.TLS.PeerCertificates[0].Subject.CommonName)
	}
}

func apiServer(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o700); err != nil {
		t.Fatal(err)
	}
}

// kubeconfig writes one for the server with the user's credentials, given as
// YAML flow, and returns its path.
func kubeconfig(t *testing.T, server *httptest.Server, path, user string) string {
	t.Helper()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	file := filepath.Join(t.TempDir(), "kubeconfig")
	write(t, file, fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "%s", certificate-authority-data: %s}}]
contexts: [{name: main, context: {cluster: c, user: u}}, {name: dangling, context: {cluster: none, user: u}},
  {name: nobody, context: {cluster: c, user: x}}]
current-context: main
users: [{name: u, user: %s}]
`, server.URL+path, base64.StdEncoding.EncodeToString(ca), user))
	return file
}

func newCluster(o kube.Options) (*Cluster, error) {
	connection, err := kube.Connect(o)
	if err != nil {
		return nil, err
	}
	return NewCluster(connection, Options{}), nil
}

func newTarget(t *testing.T, o kube.Options, ref ServiceRef) *routing.Target {
	t.Helper()
	c, err := newCluster(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	target, err := c.Service(ref)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func get(t *testing.T, target *routing.Target, path string) string {
	t.Helper()
	u := *target.Base
	u.Path += path
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := target.Transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestServiceURL(t *testing.T) {
	server := apiServer(t, echo)
	for _, c := range []struct {
		path, scheme, port, prefix string
		want                       string
	}{
		{"", "http", "web", "/", "/api/v1/namespaces/shop/services/http:prometheus:web/proxy"},
		{"", "https", "9090", "", "/api/v1/namespaces/shop/services/https:prometheus:9090/proxy"},
		{"/", "http", "web", "/prom/", "/api/v1/namespaces/shop/services/http:prometheus:web/proxy/prom"},
		{"/k8s/clusters/c-1/", "http", "web", "/a/b", "/k8s/clusters/c-1/api/v1/namespaces/shop/services/http:prometheus:web/proxy/a/b"},
	} {
		target := newTarget(t, kube.Options{Name: "local", Kubeconfig: kubeconfig(t, server, c.path, "{token: t}")},
			ServiceRef{Namespace: "shop", Name: "prometheus", Scheme: c.scheme, Port: c.port, PathPrefix: c.prefix,
				Headers: http.Header{"X-A": {"b"}}})
		if got := target.Base.String(); got != server.URL+c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
		body := get(t, target, "/api/v1/query")
		if want := "HTTP/2.0 GET " + c.want + "/api/v1/query\nAuthorization: [\"Bearer t\"]\nUser-Agent: [\"promgate\"]\n"; body != want {
			t.Errorf("got\n%s\nwant\n%s", body, want)
		}
		p := target.ServiceProxy
		if p == nil || p.Cluster != "local" || p.Namespace != "shop" || p.Name != c.scheme+":prometheus:"+c.port {
			t.Errorf("got %+v", p)
		}
		if target.Description != "service shop/prometheus:"+c.port+" on cluster local" || target.Header.Get("X-A") != "b" {
			t.Errorf("got %+v", target)
		}
	}
}

func TestServiceRefused(t *testing.T) {
	c := &Cluster{}
	for _, change := range []func(*ServiceRef){
		func(r *ServiceRef) { r.Namespace = "a/b" }, func(r *ServiceRef) { r.Name = ".." }, func(r *ServiceRef) { r.Name = "" },
		func(r *ServiceRef) { r.Port = "web:x" }, func(r *ServiceRef) { r.Port = "" }, func(r *ServiceRef) { r.Scheme = "" },
		func(r *ServiceRef) { r.PathPrefix = "a" }, func(r *ServiceRef) { r.PathPrefix = "/a/../../b" },
		func(r *ServiceRef) { r.PathPrefix = "/%2e%2e" }, func(r *ServiceRef) { r.PathPrefix = "//a" }, func(r *ServiceRef) { r.PathPrefix = "/a?b" },
	} {
		r := ref
		change(&r)
		if _, err := c.Service(r); err == nil {
			t.Errorf("%+v was accepted", r)
		}
	}
}

func TestUID(t *testing.T) {
	server := apiServer(t, echo)
	config := kubeconfig(t, server, "", "{token: t}")
	uid := func(name string, change func(*ServiceRef)) string {
		r := ref
		change(&r)
		return newTarget(t, kube.Options{Name: name, Kubeconfig: config}, r).UID
	}
	same := func(*ServiceRef) {}
	if uid("a", same) != uid("a", func(r *ServiceRef) { r.PathPrefix = "" }) {
		t.Error("the same upstream has two UIDs")
	}
	seen := map[string]bool{}
	for _, id := range []string{
		uid("a", same), uid("b", same), uid("a", func(r *ServiceRef) { r.Namespace = "x" }), uid("a", func(r *ServiceRef) { r.Port = "x" }),
		uid("a", func(r *ServiceRef) { r.PathPrefix = "/x" }), uid("a", func(r *ServiceRef) { r.Headers = http.Header{"A": {"b"}} }),
	} {
		if seen[id] {
			t.Errorf("%s stands for two upstreams", id)
		}
		seen[id] = true
	}
}

// TestEnvironmentProxy: neither the environment nor a redirect decides where
// a request goes.
func TestEnvironmentProxy(t *testing.T) {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy"} {
		t.Setenv(name, "http://127.0.0.1:1")
	}
	server := apiServer(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) })
	target := newTarget(t, kube.Options{Kubeconfig: kubeconfig(t, server, "", "{token: t}")}, ref)
	if body := get(t, target, "/"); !strings.Contains(body, "Found") {
		t.Errorf("a redirect was followed: %q", body)
	}
}

// TestSlowReader: what the API server can send ahead of the reader is bounded
// by the stream's window.
func TestSlowReader(t *testing.T) {
	sent := make(chan int, 1)
	server := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		chunk, n := make([]byte, 32<<10), 0
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		for n < 64<<20 {
			m, err := w.Write(chunk)
			n += m
			if err != nil {
				break
			}
		}
		sent <- n
	})
	target := newTarget(t, kube.Options{Kubeconfig: kubeconfig(t, server, "", "{token: t}")}, ref)
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, target.Base.String(), nil)
	resp, err := target.Transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 2 {
		t.Fatalf("got %s", resp.Proto)
	}
	// Some buffers of the server itself come on top of the window.
	if n := <-sent; n > 512<<10+256<<10 {
		t.Errorf("the server sent %d KiB ahead", n>>10)
	}
}

// pipeListener makes connections that know no network, so that time stands
// still while the test waits.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	close  func()
}

func newPipeListener() *pipeListener {
	l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	l.close = sync.OnceFunc(func() { close(l.closed) })
	return l
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.close(); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{} }

func (l *pipeListener) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	l.conns <- there
	return here, nil
}

func TestRotatedTokenFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := newPipeListener()
		server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.HandlerFunc(echo)}, EnableHTTP2: true}
		server.StartTLS()
		defer server.Close()
		server.URL = "https://example.com"
		token := filepath.Join(t.TempDir(), "token")
		write(t, token, "first\n")
		c, err := newCluster(kube.Options{Kubeconfig: kubeconfig(t, server, "", "{tokenFile: "+token+"}"), Dial: listener.dial})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		target, err := c.Service(ref)
		if err != nil {
			t.Fatal(err)
		}
		if body := get(t, target, ""); !strings.Contains(body, `"Bearer first"`) {
			t.Errorf("got %s", body)
		}
		write(t, token, "second\n")
		<-time.After(time.Minute)
		if body := get(t, target, ""); !strings.Contains(body, `"Bearer second"`) {
			t.Errorf("got %s", body)
		}
	})
}
