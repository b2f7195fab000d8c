package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const (
	gatewaysToken = "e30.e30.gateway"
	callersToken  = "callers-secret"
)

var dashboards = schema.GroupVersionResource{Group: "perses.dev", Version: "v1alpha2", Resource: "persesdashboards"}

// apiAsked is an API server that writes down what it is asked, and answers with
// what a test sets.
type apiAsked struct {
	mu     sync.Mutex
	asked  []string
	answer http.HandlerFunc
}

func (a *apiAsked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.asked = append(a.asked, fmt.Sprint(r.Method, " ", r.URL, " ", r.Header["Authorization"]))
	answer := a.answer
	a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	answer(w, r)
}

func (a *apiAsked) take() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer func() { a.asked = nil }()
	return a.asked
}

func newReader(t *testing.T, answer http.HandlerFunc) (*Reader, *apiAsked) {
	t.Helper()
	a := &apiAsked{answer: answer}
	server := apiServer(t, a.ServeHTTP)
	c, err := Connect(Options{Name: "local", Kubeconfig: kubeconfig(t, server, "", "{token: "+gatewaysToken+"}")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.Reader(), a
}

func answering(code int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, text)
	}
}

// TestReaderOffersNoWrite: what can be done with a Reader is a closed list, and
// nothing in it lets anybody get at what can do more.
func TestReaderOffersNoWrite(t *testing.T) {
	reader := reflect.TypeFor[*Reader]()
	var methods []string
	for m := range reader.Methods() {
		methods = append(methods, m.Name)
		for i := range m.Type.NumOut() {
			if out := m.Type.Out(i); out == reflect.TypeFor[*Connection]() || out.Kind() == reflect.Func || out.Kind() == reflect.Interface && out != reflect.TypeFor[error]() {
				t.Errorf("%s returns %s", m.Name, out)
			}
		}
	}
	if want := []string{"CheckListAs", "Follow", "GetAs", "ListAs", "Name", "Subject"}; !slices.Equal(methods, want) {
		t.Errorf("a Reader has the methods %v, want %v", methods, want)
	}
	for f := range reader.Elem().Fields() {
		if f.IsExported() || f.Anonymous {
			t.Errorf("a Reader has the field %s", f.Name)
		}
	}
}

// TestReaderCredentials: every request is a GET with one credential: the caller's
// where one is to be asked for, the gateway's where it follows.
func TestReaderCredentials(t *testing.T) {
	r, a := newReader(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/one") {
			answering(200, `{"metadata":{"name":"one","namespace":"shop","generation":7}}`)(w, r)
			return
		}
		answering(200, `{"kind":"PersesDashboardList","apiVersion":"perses.dev/v1alpha2","metadata":{"resourceVersion":"7"},"items":[]}`)(w, r)
	})
	u, err := r.GetAs(t.Context(), callersToken, dashboards, "shop", "one")
	if err != nil || u.GetGeneration() != 7 {
		t.Errorf("got %v, %v", u, err)
	}
	if err := r.ListAs(t.Context(), callersToken, dashboards, "", func() {}, func(*unstructured.Unstructured) { t.Error("there is none") }); err != nil {
		t.Error(err)
	}
	if err := r.CheckListAs(t.Context(), callersToken, schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}, ""); err != nil {
		t.Error(err)
	}
	as := " [Bearer " + callersToken + "]"
	want := []string{
		"GET /apis/perses.dev/v1alpha2/namespaces/shop/persesdashboards/one" + as,
		"GET /apis/perses.dev/v1alpha2/persesdashboards?limit=100" + as,
		"GET /api/v1/namespaces?limit=1" + as,
	}
	if got := a.take(); !slices.Equal(got, want) {
		t.Errorf("asked %q, want %q", got, want)
	}
	// Without a token, or with a name that leads elsewhere, nobody is asked.
	if _, err := r.GetAs(t.Context(), "", dashboards, "shop", "one"); err == nil {
		t.Error("asked without a token")
	}
	for _, name := range []string{"", ".", "..", "a/b", "a%2fb", "../../secrets"} {
		if _, err := r.GetAs(t.Context(), callersToken, dashboards, "shop", name); !apierrors.IsNotFound(err) {
			t.Errorf("%q: %v", name, err)
		}
		if name == "" {
			continue
		}
		if err := r.CheckListAs(t.Context(), callersToken, dashboards, name); !apierrors.IsNotFound(err) {
			t.Errorf("in %q: %v", name, err)
		}
	}
	if got := a.take(); len(got) != 0 {
		t.Errorf("asked %q", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	d := &awaited{seen: make(chan struct{})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Follow(ctx, &FreshWatch{Resource: dashboards, Seconds: func() int64 { return 5 }, Now: time.Now, Holder: d})
	}()
	<-d.seen
	cancel()
	<-done
	for _, asked := range a.take() {
		if !strings.HasPrefix(asked, "GET ") || !strings.HasSuffix(asked, " [Bearer "+gatewaysToken+"]") {
			t.Errorf("asked %q", asked)
		}
	}
}

// awaited is a Holder that tells when it has all.
type awaited struct {
	diary
	once sync.Once
	seen chan struct{}
}

func (a *awaited) Replace([]*unstructured.Unstructured, string, time.Time) {
	a.once.Do(func() { close(a.seen) })
}

// TestReaderPieces: a list comes in pieces, and anew where the API server has
// forgotten the place, once.
func TestReaderPieces(t *testing.T) {
	forgets := 1
	r, a := newReader(t, func(w http.ResponseWriter, r *http.Request) {
		next := r.URL.Query().Get("continue")
		switch {
		case next == "":
			answering(200, `{"metadata":{"continue":"second"},"items":[{"metadata":{"name":"a"}},{"metadata":{"name":"b"}}]}`)(w, r)
		case forgets > 0:
			forgets--
			answering(410, `{"kind":"Status","status":"Failure","reason":"Expired","code":410}`)(w, r)
		default:
			answering(200, `{"metadata":{},"items":[{"metadata":{"name":"c"}}]}`)(w, r)
		}
	})
	var names []string
	list := func() error {
		return r.ListAs(t.Context(), callersToken, dashboards, "shop", func() { names = nil }, func(u *unstructured.Unstructured) { names = append(names, u.GetName()) })
	}
	if err := list(); err != nil || !slices.Equal(names, []string{"a", "b", "c"}) || len(a.take()) != 4 {
		t.Errorf("got %v, %v", names, err)
	}
	forgets = 2
	if err := list(); !apierrors.IsResourceExpired(err) {
		t.Errorf("got %v", err)
	}
}

// TestReaderFailures: what an API server, or something before it, may answer.
func TestReaderFailures(t *testing.T) {
	status := func(code int, reason string) http.HandlerFunc {
		return answering(code, fmt.Sprintf(`{"kind":"Status","status":"Failure","reason":%q,"code":%d,"message":"not with %s"}`, reason, code, callersToken))
	}
	other := func(error) bool { return true }
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		is     func(error) bool
	}{
		"401":                  {status(401, "Unauthorized"), apierrors.IsUnauthorized},
		"401 in words":         {answering(401, "who are you?"), apierrors.IsUnauthorized},
		"403":                  {status(403, "Forbidden"), apierrors.IsForbidden},
		"403 in words":         {answering(403, "<html>no"), func(err error) bool { return !apierrors.IsForbidden(err) }},
		"404":                  {status(404, "NotFound"), apierrors.IsNotFound},
		"404 in words":         {answering(404, "404 page not found\n"), apierrors.IsNotFound},
		"429":                  {status(429, "TooManyRequests"), apierrors.IsTooManyRequests},
		"500":                  {answering(500, "oh no"), other},
		"a status of another":  {answering(500, `{"kind":"Status","status":"Failure","reason":"Forbidden","code":403}`), func(err error) bool { return !apierrors.IsForbidden(err) }},
		"a redirect":           {answering(302, ""), other},
		"no JSON":              {answering(200, "<html>"), other},
		"no list":              {answering(200, `{"kind":"Status"}`), other},
		"another object":       {answering(200, `{"items":3,"metadata":{"name":"two","namespace":"shop"}}`), other},
		"of another namespace": {answering(200, `{"items":null,"metadata":{"name":"one","namespace":"billing"}}`), other},
		"too much":             {answering(200, `{"items":["`+strings.Repeat("x", maxChunkBytes)+`"]}`), other},
		"broken off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"items":[`)
		}, other},
	} {
		r, _ := newReader(t, c.answer)
		_, got := r.GetAs(t.Context(), callersToken, dashboards, "shop", "one")
		listed := r.ListAs(t.Context(), callersToken, dashboards, "shop", func() {}, func(*unstructured.Unstructured) {})
		for what, err := range map[string]error{"get": got, "list": listed} {
			if err == nil || !c.is(err) || strings.Contains(err.Error(), callersToken) {
				t.Errorf("%s: %s: got %v", name, what, err)
			}
		}
	}
	r, _ := newReader(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := r.GetAs(ctx, callersToken, dashboards, "shop", "one"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
