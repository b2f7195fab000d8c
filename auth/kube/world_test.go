package kube

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/kube"
)

const (
	// own is the gateway's own token.
	own = "e30.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6Z2F0ZTpwcm9tZ2F0ZSJ9.b3du"
	// annas is a token that servers know, bad is one that they do not know.
	annas = "annas-secret-token"
	bad   = "a-bad-secret-token"
)

var (
	web   = auth.Resource{Cluster: "local", Namespace: "shop", Name: "http:prometheus:web"}
	admin = auth.Resource{Cluster: "local", Namespace: "shop", Name: "http:prometheus:admin"}
)

// asked is one review as an API server saw it.
type asked struct {
	path, authorization string
	body                map[string]any
}

// String is the review's resource, and the namespace and name that it is about.
func (a asked) String() string {
	text := a.path[strings.LastIndexByte(a.path, '/')+1:]
	spec, _ := a.body["spec"].(map[string]any)
	about, _ := spec["resourceAttributes"].(map[string]any)
	switch {
	case about != nil && about["resource"] != "services":
		text += fmt.Sprintf(" %s %s.%s in %s", about["verb"], about["resource"], about["group"], cmp.Or(word(about["namespace"]), "all"))
		if name := word(about["name"]); name != "" {
			text += " " + name
		}
	case about != nil && about["name"] != nil:
		text += fmt.Sprintf(" %s/%s", about["namespace"], about["name"])
	case about != nil:
		text += fmt.Sprintf(" %s", about["namespace"])
	case spec["namespace"] != nil:
		text += fmt.Sprintf(" %s", spec["namespace"])
	}
	return text
}

func word(v any) string {
	text, _ := v.(string)
	return text
}

// server is an API server that answers reviews.
type server struct {
	t  testing.TB
	mu sync.Mutex
	// tokens are the users' names by their tokens.
	tokens map[string]string
	// allowed has "user namespace/name", "user namespace" for all names, or "user"
	// and what asked makes of an action.
	allowed map[string]bool
	// rules are the status of rules reviews, by namespace.
	rules map[string]string
	// answers go before all of these, by resource.
	answers map[string]http.HandlerFunc
	seen    []asked
}

func newServer(t testing.TB) *server {
	return &server{t: t, tokens: map[string]string{annas: "anna"}, allowed: map[string]bool{}, rules: map[string]string{}, answers: map[string]http.HandlerFunc{}}
}

// take returns what was asked since the last call, in an order of its own.
func (s *server) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var texts []string
	for _, a := range s.seen {
		texts = append(texts, a.String())
	}
	s.seen = nil
	slices.Sort(texts)
	return strings.Join(texts, ", ")
}

// want checks what was asked since the last call.
func (s *server) want(t testing.TB, asked string) {
	t.Helper()
	if got := s.take(); got != asked {
		t.Errorf("asked %q, want %q", got, asked)
	}
}

func (s *server) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := asked{path: r.URL.Path, authorization: r.Header.Get("Authorization")}
	if err := json.NewDecoder(r.Body).Decode(&a.body); err != nil || r.Method != http.MethodPost || r.URL.RawQuery != "" {
		s.t.Errorf("asked %s %s: %v", r.Method, r.URL, err)
	}
	resource := a.path[strings.LastIndexByte(a.path, '/')+1:]
	self := strings.HasPrefix(resource, "self")
	if (a.authorization == "Bearer "+own) == self || len(r.Header["Authorization"]) != 1 {
		s.t.Errorf("%s was asked with %q", resource, r.Header["Authorization"])
	}
	s.mu.Lock()
	s.seen = append(s.seen, a)
	answer := s.answers[resource]
	user := s.tokens[strings.TrimPrefix(a.authorization, "Bearer ")]
	status := s.answer(a, resource, user)
	s.mu.Unlock()
	switch {
	case answer != nil:
		answer(w, r)
	case self && user == "":
		failure(http.StatusUnauthorized, "Unauthorized")(w, r)
	default:
		a.body["status"] = json.RawMessage(status)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(a.body)
	}
}

func (s *server) answer(a asked, resource, user string) string {
	spec, _ := a.body["spec"].(map[string]any)
	switch resource {
	case "tokenreviews":
		token, _ := spec["token"].(string)
		if s.tokens[token] == "" {
			return `{"user":{},"error":"[invalid bearer token]"}`
		}
		return fmt.Sprintf(`{"authenticated":true,"user":{"username":%q,"uid":"uid-1","groups":["g1","g2"],"extra":{"k":["v1","v2"]}},"audiences":["promgate"]}`, s.tokens[token])
	case "selfsubjectreviews":
		return fmt.Sprintf(`{"userInfo":{"username":%q,"groups":["g1"]}}`, user)
	case "selfsubjectrulesreviews":
		if rules := s.rules[spec["namespace"].(string)]; rules != "" {
			return rules
		}
		return `{"resourceRules":[],"nonResourceRules":[],"incomplete":false}`
	case "subjectaccessreviews":
		user, _ = spec["user"].(string)
	}
	_, about, _ := strings.Cut(a.String(), " ")
	namespace, _, _ := strings.Cut(about, "/")
	return fmt.Sprintf(`{"allowed":%t}`, s.allowed[user+" "+about] || s.allowed[user+" "+namespace])
}

// saying answers with a text.
func saying(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// failure answers as an API server refuses.
func failure(code int, message string) http.HandlerFunc {
	reason := map[int]string{401: "Unauthorized", 403: "Forbidden", 429: "TooManyRequests", 500: "InternalError"}[code]
	return saying(code, fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":%q,"reason":%q,"code":%d}`, message, reason, code))
}

// hang answers never.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// connect makes a real listener for the server and a Connection to it.
func (s *server) connect(t testing.TB, name string) *kube.Connection {
	t.Helper()
	listening := httptest.NewUnstartedServer(s)
	listening.EnableHTTP2 = true
	listening.StartTLS()
	t.Cleanup(listening.Close)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: listening.Certificate().Raw})
	content := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"m","clusters":[{"name":"c","cluster":{"server":%q,"certificate-authority-data":%q}}],
"contexts":[{"name":"m","context":{"cluster":"c","user":"u"}}],"users":[{"name":"u","user":{"token":%q}}]}`, listening.URL, base64.StdEncoding.EncodeToString(ca), own)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := kube.Connect(kube.Options{Name: name, Kubeconfig: file})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// direct is a Connection that knows no network, so that time stands still while
// a test waits.
func (s *server) direct(name string) *kube.Connection {
	return &kube.Connection{Name: name, Base: &url.URL{Scheme: "https", Host: "example.com"}, Transport: wire{s, own}, Anonymous: wire{s, ""}}
}

// wire calls a handler in place of sending a request. The handler has to end
// with the request.
type wire struct {
	handler http.Handler
	token   string
}

func (w wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if w.token != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+w.token)
	}
	recorder := httptest.NewRecorder()
	w.handler.ServeHTTP(recorder, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return recorder.Result(), nil
}

// world is an Authenticator with what it tells others.
type world struct {
	*Authenticator
	mu      sync.Mutex
	logged  bytes.Buffer
	reviews []string
}

func newWorld(clusters ...Cluster) *world {
	w := &world{}
	w.Authenticator = NewAuthenticator(Options{Logger: slog.New(slog.NewTextHandler(w, nil)), OnReview: func(review, result string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.reviews = append(w.reviews, review+" "+result)
	}})
	w.SetClusters(clusters)
	return w
}

func (w *world) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.logged.Write(p)
}

// log is what was logged so far.
func (w *world) log() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.logged.String()
}

// results are the reviews and their results since the last call.
func (w *world) results() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	slices.Sort(w.reviews)
	defer func() { w.reviews = nil }()
	return strings.Join(w.reviews, ", ")
}

func dedicated(c *kube.Connection) Cluster {
	return Cluster{Connection: c, Audiences: []string{"other", "promgate"}}
}

func user(c *kube.Connection) Cluster { return Cluster{Connection: c, UserCredentials: true} }

// access is what a token is given.
func (w *world) access(t testing.TB, token string) auth.Access {
	t.Helper()
	id, err := w.Authenticate(t.Context(), auth.NewCredential(token))
	if err != nil {
		t.Fatal(err)
	}
	return id.Access
}

// routed is the resource as a route has it that was made of the same
// configuration.
func (w *world) routed(r auth.Resource) auth.Resource {
	if c := w.set()[r.Cluster]; c != nil {
		r.AsCaller = c.UserCredentials
	}
	return r
}

// query asks with a token and returns the principal's ID. No error holds a
// token, and each wraps one of the errors that auth.Access promises.
func (w *world) query(t testing.TB, token string, r auth.Resource) (string, error) {
	t.Helper()
	principal, err := w.access(t, token).Query(t.Context(), w.routed(r))
	if principal.Kind != auth.KindKubernetes {
		t.Errorf("the principal is of the kind %q", principal.Kind)
	}
	w.check(t, err)
	return principal.ID, err
}

// list asks for several resources at once.
func (w *world) list(t testing.TB, token string, resources ...auth.Resource) ([]bool, error) {
	t.Helper()
	routed := make([]auth.Resource, len(resources))
	for i, r := range resources {
		routed[i] = w.routed(r)
	}
	open, err := w.access(t, token).Queryable(t.Context(), routed)
	if err == nil && len(open) != len(resources) || err != nil && open != nil {
		t.Errorf("got %v, %v for %d resources", open, err, len(resources))
	}
	w.check(t, err)
	return open, err
}

// create is the right to make endpoint tokens.
func create(cluster, namespace string) auth.Action {
	return auth.Action{Cluster: cluster, Verb: "create", Group: "promgate.io", Resource: "endpointtokens", Namespace: namespace}
}

// may asks for several actions at once.
func (w *world) may(t testing.TB, token string, actions ...auth.Action) ([]bool, error) {
	t.Helper()
	may, err := w.access(t, token).May(t.Context(), actions)
	if err == nil && len(may) != len(actions) || err != nil && may != nil {
		t.Errorf("got %v, %v for %d actions", may, err, len(actions))
	}
	w.check(t, err)
	return may, err
}

// manage asks whether the token opens the endpoint tokens of a project. The error
// is auth.ErrForbidden where it does not.
func (w *world) manage(t testing.TB, token, cluster, namespace string) error {
	t.Helper()
	may, err := w.may(t, token, create(cluster, namespace))
	if err == nil && !may[0] {
		return auth.ErrForbidden
	}
	return err
}

func (w *world) check(t testing.TB, err error) {
	t.Helper()
	text := w.log() + fmt.Sprint(err)
	for _, secret := range []string{annas, bad, own} {
		if strings.Contains(text, secret) {
			t.Errorf("a token is in %s", text)
		}
	}
	kinds := 0
	for _, kind := range []error{auth.ErrInvalid, auth.ErrUnavailable, auth.ErrForbidden} {
		if errors.Is(err, kind) {
			kinds++
		}
	}
	if err != nil && kinds != 1 {
		t.Errorf("the error is of %d kinds: %v", kinds, err)
	}
}

// pass lets the clock of a test's bubble go on; nobody waits for it.
func pass(d time.Duration) { <-time.After(d) }
