package kube

import (
	"io"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

func token(sub string) string {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"`+sub+`"}`)) + ".c2ln"
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
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
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

// TestEnvironmentProxy: the environment does not decide where requests go.
func TestEnvironmentProxy(t *testing.T) {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy"} {
		t.Setenv(name, "http://127.0.0.1:1")
	}
	config, err := restConfig(Options{Kubeconfig: kubeconfig(t, apiServer(t, nil), "", "{token: t}")})
	if err != nil {
		t.Fatal(err)
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://prometheus.example", nil)
	if u, err := config.Proxy(req); u != nil || err != nil {
		t.Errorf("proxy %v, %v", u, err)
	}
}

// TestAnonymous: requests on behalf of callers carry what callers send, and
// nothing of the gateway's own: no token, no client certificate.
func TestAnonymous(t *testing.T) {
	seen := make(chan *http.Request, 1)
	server := apiServer(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r })
	c, err := Connect(Options{Name: "local", Kubeconfig: kubeconfig(t, server, "", "{token: the-gateways-own}")})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, token := range []string{"", "the-callers"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.URL("/version").String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		want := ""
		if token != "" {
			want = "Bearer " + token
			request.Header.Set("Authorization", want)
		}
		response, err := c.Anonymous.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if got := (<-seen).Header.Get("Authorization"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestReview: a review is asked with the gateway's credentials or with a token
// alone, and a refusal is told as what it is.
func TestReview(t *testing.T) {
	answer, proxied := http.StatusCreated, false
	server := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPost || r.URL.Path != "/apis/authentication.k8s.io/v1/selfsubjectreviews" || !strings.Contains(string(body), `"SelfSubjectReview"`) {
			t.Errorf("asked %s %s %s", r.Method, r.URL, body)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(answer)
		if answer == http.StatusCreated {
			_, _ = fmt.Fprintf(w, `{"kind":"SelfSubjectReview","apiVersion":"authentication.k8s.io/v1","status":{"userInfo":{"username":%q}}}`, r.Header.Get("Authorization"))
			return
		}
		if proxied {
			_, _ = io.WriteString(w, `{"type":"error"}`)
			return
		}
		_, _ = fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"no","reason":"Unauthorized","code":%d}`, answer)
	})
	c, err := Connect(Options{Name: "local", Kubeconfig: kubeconfig(t, server, "", "{token: own}")})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	review := func(token string) (string, error) {
		r := authenticationv1.SelfSubjectReview{TypeMeta: metav1.TypeMeta{Kind: "SelfSubjectReview", APIVersion: "authentication.k8s.io/v1"}}
		err := c.Review(t.Context(), "/apis/authentication.k8s.io/v1/selfsubjectreviews", token, &r)
		return r.Status.UserInfo.Username, err
	}
	for token, want := range map[string]string{"": "Bearer own", "theirs": "Bearer theirs"} {
		if got, err := review(token); got != want || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	}
	answer = http.StatusUnauthorized
	if _, err := review("theirs"); !apierrors.IsUnauthorized(err) || strings.Contains(err.Error(), "theirs") {
		t.Errorf("got %v", err)
	}
	proxied = true
	if _, err := review("theirs"); !apierrors.IsUnauthorized(err) {
		t.Errorf("from a proxy: got %v", err)
	}
	server.Close()
	if _, err := review("theirs"); err == nil || !strings.Contains(err.Error(), "the API server of cluster local") || strings.Contains(err.Error(), "theirs") {
		t.Errorf("got %v", err)
	}
}
