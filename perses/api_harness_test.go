package perses

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/gateway"
	"github.com/promgate/promgate/gateway/limit"
	"github.com/promgate/promgate/routing"
)

const (
	apiURL      = "https://gateway.example/metrics"
	apiPatience = 10 * time.Second

	notThere  = `{"message":"document not found"}`
	cannotPut = `{"message":"Method Not Allowed"}`
	question  = "api/v1/query?query=up"
)

// apiHarness is a gateway with Perses' API on a real listener, in front of a
// recording upstream and Objects in memory.
type apiHarness struct {
	t       testing.TB
	objects *fakeObjects
	up      *apiUpstream
	routes  *routing.Current
	api     *API
	gateway *gateway.Gateway
	server  *httptest.Server
	client  *http.Client
	reviews atomic.Int32
	hidden  []string
	log     *logged
}

func newAPIHarness(t testing.TB, change ...func(*gateway.Options)) *apiHarness {
	h := &apiHarness{t: t, objects: newFakeObjects(), up: newAPIUpstream(t), routes: &routing.Current{}, log: &logged{}}
	h.routes.Store(routing.NewTable(h.environments()))
	logger := slog.New(slog.NewJSONHandler(h.log, nil))
	var mu sync.Mutex
	options := gateway.Options{
		Routes: h.routes, Auth: auth.Union{apiUsers{h}}, Limits: apiLimits(), Logger: logger,
		Registerer: prometheus.NewRegistry(), UserAgent: "promgate/test", BaseURL: apiURL,
		API: func(g *gateway.Gateway) []gateway.Operation {
			h.api = New(Options{
				Path: "/perses", Cluster: "local", Objects: func() Objects { return h.objects }, Gateway: g, Version: "v1.2.3",
				Logger: logger, Live: func() bool { return true },
				WhoIs: func(_ context.Context, v Viewer) (string, error) { return v.Identity.Principal.ID + ":of@cluster", nil },
				OnHidden: func(kind, reason string) {
					mu.Lock()
					defer mu.Unlock()
					h.hidden = append(h.hidden, kind+" "+reason)
				},
			})
			return h.api.Operations()
		},
		Mount: func(*gateway.Gateway) *gateway.Mount { return h.api.Mount() },
	}
	for _, c := range change {
		c(&options)
	}
	h.gateway = gateway.New(options)
	h.server = httptest.NewUnstartedServer(h.gateway)
	h.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	h.server.Config.DisableGeneralOptionsHandler = true
	h.server.Start()
	h.client = h.server.Client()
	h.client.Transport.(*http.Transport).DisableCompression = true
	t.Cleanup(h.server.Close)
	return h
}

func apiLimits() gateway.Limits {
	return gateway.Limits{
		Default: gateway.Budget{
			MaxQueryLength: 256 << 10, MaxRange: 90 * 24 * time.Hour, MaxLookback: 400 * 24 * time.Hour, MaxPoints: 11000,
			MaxEvaluations: 1e6, MaxResponseBytes: 256 << 20, MaxConcurrent: 20,
			Queue: limit.Queue{Length: 10, Timeout: apiPatience}, RequestsPerSecond: 1e6, Burst: 1e6,
		},
		MaxConcurrentTarget: 50, MaxConcurrentTargetProject: 50, MaxConcurrentTotal: 50,
		MaxRequestBody: 256 << 10, MaxRemoteReadBody: 1 << 20,
		RequestBodyTimeout: apiPatience, ResponseHeaderTimeout: apiPatience, RequestTimeout: 2 * apiPatience,
	}
}

// service is an environment behind a cluster's service proxy.
func (h *apiHarness) service(project, name, cluster, namespace, literal, prefix string) *routing.Environment {
	e := h.direct(project, name, "/api/v1/namespaces/"+namespace+"/services/"+literal+"/proxy"+prefix)
	e.Target.ServiceProxy = &routing.ServiceProxy{
		Cluster: cluster, Namespace: namespace, Name: literal, Role: func(string) string { return "" },
	}
	return e
}

// direct is an environment that is reached by a URL.
func (h *apiHarness) direct(project, name, path string) *routing.Environment {
	base, err := url.Parse(h.up.URL + path)
	if err != nil {
		h.t.Fatal(err)
	}
	return &routing.Environment{
		Project: &routing.Project{Name: project, UID: "uid-" + project, Cluster: "local"}, Name: name, UID: "uid-" + project + "-" + name,
		Target: &routing.Target{UID: base.Path, Base: base, Transport: http.DefaultTransport, Description: "inner " + base.Path},
	}
}

// environments: shop has two, billing one.
func (h *apiHarness) environments() []*routing.Environment {
	production := h.service("shop", "production", "local", "shop", "http:prometheus:web", "")
	production.Enforce = map[string][]string{"namespace": {"shop"}}
	return []*routing.Environment{
		production, h.service("shop", "staging", "local", "shop", "http:staging:9090", ""),
		h.service("billing", "production", "local", "billing", "http:prometheus:web", ""),
	}
}

func (h *apiHarness) set(e ...*routing.Environment) { h.routes.Store(routing.NewTable(e)) }

// apiAnswer is what a client got. The request id in it is written ID.
type apiAnswer struct {
	status int
	header http.Header
	body   string
}

func (h *apiHarness) request(method, path, token, form string) *http.Request {
	h.t.Helper()
	r, err := http.NewRequest(method, h.server.URL+path, strings.NewReader(form))
	if err != nil {
		h.t.Fatal(err)
	}
	if form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

func (h *apiHarness) do(r *http.Request) apiAnswer {
	h.t.Helper()
	resp, err := h.client.Do(r)
	if err != nil {
		h.t.Fatalf("%s %s: %v", r.Method, r.URL.Path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	if strings.HasPrefix(r.URL.Path, "/api/v1/") {
		h.validate(r, resp, body)
	}
	a := apiAnswer{resp.StatusCode, resp.Header, strings.ReplaceAll(string(body), resp.Header.Get("X-Request-Id"), "ID")}
	for _, varies := range []string{"Date", "X-Request-Id"} {
		a.header.Del(varies)
	}
	return a
}

func (h *apiHarness) get(token, path string) apiAnswer {
	h.t.Helper()
	return h.do(h.request(http.MethodGet, path, token, ""))
}

// perses gets what is below the mount.
func (h *apiHarness) perses(token, path string) apiAnswer {
	h.t.Helper()
	return h.get(token, "/perses"+path)
}

// expect compares an answer.
func (h *apiHarness) expect(what string, got apiAnswer, status int, body string) {
	h.t.Helper()
	if got.status != status || got.body != body {
		h.t.Errorf("%s:\n got %d %s\nwant %d %s", what, got.status, got.body, status, body)
	}
	if status != http.StatusNotModified && got.body != "" && got.header.Get("Content-Type") != "application/json" ||
		got.header.Get("X-Content-Type-Options") != "nosniff" || got.header.Get("Cache-Control") != "no-store" {
		h.t.Errorf("%s: header %v", what, got.header)
	}
}

// silent: nobody was asked anything.
func (h *apiHarness) silent(what string) {
	h.t.Helper()
	if asked := h.objects.take(); len(asked) > 0 {
		h.t.Errorf("%s: %q was asked of the objects", what, asked)
	}
	if calls := h.up.take(); len(calls) > 0 {
		h.t.Errorf("%s: the upstream got %q", what, calls)
	}
}

var describedAPI = sync.OnceValue(func() validator.Validator {
	text, err := os.ReadFile("../docs/openapi.yaml")
	if err != nil {
		panic(err)
	}
	document, err := libopenapi.NewDocument(text)
	if err != nil {
		panic(err)
	}
	v, errs := validator.NewValidator(document)
	if len(errs) > 0 {
		panic(errs)
	}
	return v
})

// validate holds an answer of the gateway's own API against docs/openapi.yaml.
func (h *apiHarness) validate(r *http.Request, resp *http.Response, body []byte) {
	h.t.Helper()
	asked := r.Clone(r.Context())
	asked.Body = http.NoBody
	again := *resp
	again.Body = io.NopCloser(bytes.NewReader(body))
	if resp.StatusCode == http.StatusMethodNotAllowed || bytes.Contains(body, []byte("no such route")) {
		return
	}
	if ok, found := describedAPI().ValidateHttpResponse(asked, &again); !ok {
		for _, f := range found {
			h.t.Errorf("%s, answered %d %.300s: %s: %s %v", r.URL, resp.StatusCode, body, f.Message, f.Reason, f.SchemaValidationErrors)
		}
	}
}

// promSpec is a data source's spec with a URL.
func promSpec(url string) string {
	return `{"default":false,"plugin":{"kind":"PrometheusDatasource","spec":{"proxy":{"kind":"HTTPProxy","spec":{"url":"` + url + `"}}}}}`
}

// handed is the spec that viewers get of it.
func handed(project, environment string) string {
	return promSpec(apiURL + "/projects/" + project + "/environments/" + environment)
}
