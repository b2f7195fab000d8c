package perses

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/promgate/promgate/kube"
)

// kubeFake is an API server that serves GET alone.
type kubeFake struct {
	mu sync.Mutex
	// rights are by token: "list persesdashboards shop", "get namespaces shop"; *
	// in place of the namespace is everywhere. A token that is not there is nobody's.
	rights map[string][]string
	// objects are by resource.
	objects map[string][]map[string]any
	// missing are resources that are not installed.
	missing []string
	// answers go before all of these, by "verb resource namespace".
	answers map[string]http.HandlerFunc
	asked   []string // verb, resource, namespace
	tokens  map[string]int
	slow    time.Duration
	now     int // requests that are under way
	most    int
}

func newKubeFake() *kubeFake {
	return &kubeFake{rights: map[string][]string{}, objects: map[string][]map[string]any{}, answers: map[string]http.HandlerFunc{}, tokens: map[string]int{}}
}

// add makes an object of a kind; place is namespace/name.
func (f *kubeFake) add(k *Kind, place string) { f.put(k.Resource, fakeObject(k, place, 1).Object) }

func (f *kubeFake) put(resource string, o map[string]any) {
	f.objects[resource] = append(f.objects[resource], o)
}

// fakeObject is an object with a title; version is its generation and revision.
func fakeObject(k *Kind, place string, version int) *unstructured.Unstructured {
	namespace, name, _ := strings.Cut(place, "/")
	var spec any = map[string]any{"display": map[string]any{"name": fmt.Sprint("Title ", version)}}
	if k != Folders {
		spec = map[string]any{"config": spec}
	}
	meta := map[string]any{
		"name": name, "creationTimestamp": "2026-01-02T03:04:05Z", "generation": int64(version), "resourceVersion": fmt.Sprint(version),
	}
	if namespace != "" {
		meta["namespace"] = namespace
	}
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": k.Group + "/" + k.Version, "kind": k.Object, "metadata": meta, "spec": spec}}
}

func (f *kubeFake) addNamespace(name string) {
	f.put("namespaces", map[string]any{"metadata": map[string]any{"name": name, "creationTimestamp": "2026-01-02T03:04:05Z"}})
}

// set changes it while it is asked.
func (f *kubeFake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// take is how often it was asked since the last call, and what.
func (f *kubeFake) take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer func() { f.asked = nil }()
	slices.Sort(f.asked)
	return f.asked
}

func (f *kubeFake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	parts = parts[map[string]int{"api": 2, "apis": 3}[parts[0]]:]
	namespace := ""
	if parts[0] == "namespaces" && len(parts) > 2 {
		namespace, parts = parts[1], parts[2:]
	}
	resource, name, verb := parts[0], "", "list"
	if len(parts) > 1 {
		verb, name = "get", parts[1]
	}
	where := namespace
	if resource == "namespaces" {
		where = name
	}
	what := strings.TrimSpace(verb + " " + resource + " " + where)
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")

	f.mu.Lock()
	f.asked = append(f.asked, what)
	f.tokens[token]++
	f.now++
	f.most = max(f.most, f.now)
	rights, known := f.rights[token]
	may := slices.Contains(rights, what) || slices.Contains(rights, verb+" "+resource+" *")
	missing, answer, slow := slices.Contains(f.missing, resource), f.answers[what], f.slow
	var items []any
	for _, o := range f.objects[resource] {
		meta := o["metadata"].(map[string]any)
		if (namespace == "" || meta["namespace"] == namespace) && (name == "" || meta["name"] == name) {
			items = append(items, o)
		}
	}
	f.mu.Unlock()
	defer f.set(func() { f.now-- })
	if slow > 0 {
		<-time.After(slow)
	}
	switch {
	case answer != nil:
		answer(w, r)
	case r.Method != http.MethodGet || len(r.Header["Authorization"]) != 1:
		fakeStatus(500, "InternalError")(w, r)
	case !known:
		fakeStatus(401, "Unauthorized")(w, r)
	case !may:
		fakeStatus(403, "Forbidden")(w, r)
	case missing:
		fakeText(404, "404 page not found\n")(w, r)
	case name != "" && len(items) == 0:
		fakeStatus(404, "NotFound")(w, r)
	case name != "":
		_ = json.NewEncoder(w).Encode(items[0])
	default:
		_ = json.NewEncoder(w).Encode(map[string]any{"metadata": map[string]any{}, "items": append([]any{}, items...)})
	}
}

func fakeText(code int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = w.Write([]byte(text))
	}
}

func fakeStatus(code int, reason string) http.HandlerFunc {
	return fakeText(code, fmt.Sprintf(`{"kind":"Status","status":"Failure","reason":%q,"code":%d,"message":"no"}`, reason, code))
}

// fakeSilence never answers.
func fakeSilence(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// reader knows no network, so that time stands still while a test waits, and has
// no credential of the gateway's.
func (f *kubeFake) reader() *kube.Reader {
	return (&kube.Connection{Name: "local", Base: &url.URL{Scheme: "https", Host: "example.com"}, Anonymous: fakeWire{f}}).Reader()
}

// fakeWire calls a handler in place of sending a request.
type fakeWire struct{ handler http.Handler }

func (w fakeWire) RoundTrip(r *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	w.handler.ServeHTTP(recorder, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return recorder.Result(), nil
}

// gatewayReader has the token gateway for its own credential, and watches that
// stay silent.
func gatewayReader(f *kubeFake) *kube.Reader {
	c := &kube.Connection{Name: "local", Base: &url.URL{Scheme: "https", Host: "example.com"}, Logger: slog.New(slog.DiscardHandler)}
	wire := fakeWire{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Authorization", "Bearer gateway")
		if r.URL.Query().Get("watch") == "true" {
			fakeStatus(422, "Invalid")(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		f.ServeHTTP(w, r)
	})}
	// The only error is an address that is none.
	c.Client, _ = dynamic.NewForConfigAndClient(&rest.Config{Host: c.Base.String(), QPS: -1}, &http.Client{Transport: wire})
	return c.Reader()
}
