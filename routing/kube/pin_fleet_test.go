package kube

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promgate/promgate/kube"

	"github.com/promgate/promgate/routing"
)

// fleet is an API server with pods and EndpointSlices in the namespace shop.
type fleet struct {
	mu      sync.Mutex
	log     []sliceEvent
	changed chan struct{} // closed at the next change
	slices  map[string]map[string]any
	denied  map[string]bool // by resource, and by "create pods"
	// old is a server that cannot send what there is as a watch's begin.
	old     bool
	mute    bool // lists and watches hang
	held    bool // watches begin, and send nothing until the next change
	watches int  // under way
	opened  int  // watches so far

	// answers are by pod, and under "service" for the service proxy.
	answers map[string]http.HandlerFunc
	asked   []string
}

type sliceEvent struct {
	kind   string
	object map[string]any
}

func newFleet(pods ...string) *fleet {
	f := &fleet{changed: make(chan struct{}), slices: map[string]map[string]any{}, denied: map[string]bool{}, answers: map[string]http.HandlerFunc{}}
	if len(pods) > 0 {
		f.put(webSlice(pods...))
	}
	return f
}

// webSlice is a slice of the Service prometheus with ready pods.
func webSlice(pods ...string) map[string]any {
	return slice("prometheus-abc", "prometheus", `[{"name":"web","port":9090}]`, pods...)
}

// slice makes an EndpointSlice. A pod whose name begins with ! is not ready.
func slice(name, service, ports string, pods ...string) map[string]any {
	var endpoints []string
	for _, pod := range pods {
		pod, unready := strings.CutPrefix(pod, "!")
		endpoints = append(endpoints, fmt.Sprintf(`{"addresses":["10.0.0.1"],"conditions":{"ready":%t},"targetRef":{"kind":"Pod","namespace":"shop","name":%q,"uid":"uid-%[2]s"}}`, !unready, pod))
	}
	return sliceJSON(fmt.Sprintf(`{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","addressType":"IPv4",
		"metadata":{"name":%q,"namespace":"shop","labels":{"kubernetes.io/service-name":%q}},"ports":%s,"endpoints":[%s]}`,
		name, service, ports, strings.Join(endpoints, ",")))
}

func sliceJSON(text string) map[string]any {
	var o map[string]any
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		panic(err)
	}
	return o
}

// put adds or replaces a slice.
func (f *fleet) put(o map[string]any) {
	f.change("", o)
}

func (f *fleet) remove(o map[string]any) { f.change("DELETED", o) }

func (f *fleet) change(kind string, o map[string]any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	o = maps.Clone(o)
	meta := maps.Clone(o["metadata"].(map[string]any))
	o["metadata"] = meta
	name := meta["name"].(string)
	if kind == "" {
		kind = "ADDED"
		if f.slices[name] != nil {
			kind = "MODIFIED"
		}
	}
	meta["resourceVersion"] = strconv.Itoa(len(f.log) + 1)
	f.log = append(f.log, sliceEvent{kind, o})
	f.slices[name] = o
	if kind == "DELETED" {
		delete(f.slices, name)
	}
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fleet) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// take returns who was asked since the last call.
func (f *fleet) take() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	asked := f.asked
	f.asked = nil
	return strings.Join(asked, " ")
}

func (f *fleet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, rest, _ := strings.Cut(r.URL.Path, "/namespaces/shop/")
	resource, rest, _ := strings.Cut(rest, "/")
	literal, _, _ := strings.Cut(rest, "/")
	f.mu.Lock()
	denied := f.denied[resource] || r.Method == http.MethodPost && f.denied["create "+resource]
	who := "service"
	if resource == "pods" {
		who = strings.Split(literal, ":")[1]
	}
	answer := f.answers[who]
	if resource != "endpointslices" {
		f.asked = append(f.asked, who)
	}
	f.mu.Unlock()
	switch {
	case denied:
		status(w, http.StatusForbidden, resource+" is forbidden: User \"promgate\" cannot get it")
	case resource == "endpointslices":
		f.serveSlices(w, r)
	case answer != nil:
		answer(w, r)
	default:
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, "%s %s %s", who, r.RequestURI, body)
	}
}

// status answers as the API server itself does.
func status(w http.ResponseWriter, code int, message string) {
	reason := map[int]string{403: "Forbidden", 404: "NotFound", 422: "Invalid", 500: "InternalError", 503: "ServiceUnavailable"}[code]
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"kind": "Status", "apiVersion": "v1", "metadata": map[string]any{}, "status": "Failure", "message": message, "reason": reason, "code": code,
	})
}

func saying(code int, message string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { status(w, code, message) }
}

func text(code int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// dead is a pod that is gone but in the slices still.
var dead = saying(http.StatusServiceUnavailable, "error trying to reach service: dial tcp 10.0.0.1:9090: connect: connection refused")

func (f *fleet) serveSlices(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f.mu.Lock()
	mute, old, held, changed := f.mute, f.old, f.held, f.changed
	at := len(f.log)
	names := slices.Sorted(maps.Keys(f.slices))
	all := []any{}
	for _, name := range names {
		all = append(all, f.slices[name])
	}
	f.mu.Unlock()
	switch {
	case q.Get("labelSelector") != "kubernetes.io/service-name":
		status(w, http.StatusNotFound, "not the selector")
		return
	case mute:
		<-r.Context().Done()
		return
	case q.Get("sendInitialEvents") == "true" && old:
		status(w, http.StatusUnprocessableEntity, "sendInitialEvents is forbidden")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if held {
		_ = http.NewResponseController(w).Flush()
		<-changed
	}
	out := json.NewEncoder(w)
	if q.Get("watch") != "true" {
		_ = out.Encode(map[string]any{"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSliceList",
			"metadata": map[string]any{"resourceVersion": strconv.Itoa(at)}, "items": all})
		return
	}
	send := func(kind string, o any) { _ = out.Encode(map[string]any{"type": kind, "object": o}) }
	if q.Get("sendInitialEvents") == "true" {
		for _, o := range all {
			send("ADDED", o)
		}
		send("BOOKMARK", map[string]any{"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": map[string]any{
			"resourceVersion": strconv.Itoa(at), "annotations": map[string]any{"k8s.io/initial-events-end": "true"}}})
	} else {
		at, _ = strconv.Atoi(q.Get("resourceVersion"))
	}
	f.stream(w, r, at, send)
}

func (f *fleet) stream(w http.ResponseWriter, r *http.Request, at int, send func(string, any)) {
	f.set(func() { f.watches++; f.opened++ })
	defer f.set(func() { f.watches-- })
	for {
		_ = http.NewResponseController(w).Flush()
		f.mu.Lock()
		events, changed := f.log[at:], f.changed
		at = len(f.log)
		f.mu.Unlock()
		for _, e := range events {
			send(e.kind, e.object)
		}
		if len(events) > 0 {
			continue
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

// pinnedTest is a cluster with a fleet, in a bubble of its own time.
type pinnedTest struct {
	*fleet
	t        *testing.T
	cluster  *Cluster
	target   *routing.Target
	logged   *bytes.Buffer // when nothing is under way
	outcomes map[string]int
	server   *httptest.Server
}

// pass lets the clock of a test's bubble go on; nobody waits for it.
func pass(d time.Duration) { <-time.After(d) }

// inBubble runs a test against a fleet's API server under a path.
func inBubble(t *testing.T, f *fleet, path string, ref ServiceRef, test func(*pinnedTest)) {
	synctest.Test(t, func(t *testing.T) {
		listener := newPipeListener()
		server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: f}, EnableHTTP2: true}
		f.changed = make(chan struct{}) // one of the bubble
		server.StartTLS()
		server.URL = "https://example.com"
		p := &pinnedTest{fleet: f, t: t, logged: &bytes.Buffer{}, outcomes: map[string]int{}, server: server}
		connection, err := kube.Connect(kube.Options{
			Name: "local", Kubeconfig: kubeconfig(t, server, path, "{token: "+token("system:serviceaccount:promgate-system:promgate")+"}"),
			Logger: slog.New(slog.NewTextHandler(p.logged, nil)), Dial: listener.dial,
		})
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		p.cluster = NewCluster(connection, Options{OnPinned: func(outcome string) {
			mu.Lock()
			defer mu.Unlock()
			p.outcomes[outcome]++
		}})
		defer server.Close()
		defer synctest.Wait()
		defer p.cluster.Close()
		ref.Pin = true
		if p.target, err = p.cluster.Service(ref); err != nil {
			t.Fatal(err)
		}
		test(p)
	})
}

// request is one to the target as the gateway makes it.
func (p *pinnedTest) request(method, rest string, body io.Reader) *http.Request {
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.target.Base.String()+rest, body)
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

// do sends a request and returns status and body.
func (p *pinnedTest) do(r *http.Request) (int, string) {
	p.t.Helper()
	resp, err := p.target.Transport.RoundTrip(r)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Error(err)
	}
	return resp.StatusCode, string(body)
}

// query asks with GET and returns who was asked.
func (p *pinnedTest) query() string {
	p.t.Helper()
	code, body := p.do(p.request(http.MethodGet, "/api/v1/query?query=up", nil))
	if code != http.StatusOK {
		p.t.Errorf("got %d %s", code, body)
	}
	return p.take()
}

// want checks who is asked for a question.
func (p *pinnedTest) want(asked string) {
	p.t.Helper()
	if got := p.query(); got != asked {
		p.t.Errorf("asked %q, want %q", got, asked)
	}
}

// order is that of the pods for the target.
func (p *pinnedTest) order() []string {
	o := p.target.Transport.(*pinned).order.Load()
	var names []string
	for _, s := range o.pods {
		names = append(names, s.pod.name)
	}
	return names
}

// preferred asks once and returns the pods in order.
func (p *pinnedTest) preferred() []string {
	p.t.Helper()
	p.query()
	return p.order()
}
