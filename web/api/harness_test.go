package api

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/auth/session"
	"github.com/promgate/promgate/gateway"
	"github.com/promgate/promgate/gateway/limit"
	"github.com/promgate/promgate/routing"
	"github.com/promgate/promgate/tokens/file"
	"github.com/promgate/promgate/tokens/jwt"
)

// patience bounds every wait for something that is about to happen.
const patience = 10 * time.Second

const (
	baseURL    = "https://gateway.example"
	production = "/projects/shop/environments/production/"
	question   = "api/v1/query?query=up"

	apiShop       = "/api/v1/projects/shop"
	apiProduction = apiShop + "/environments/production"
	apiTokens     = apiShop + "/tokens"
)

// harness is a gateway with its API on a real listener, in front of a stub
// upstream, over a real token store.
type harness struct {
	t        testing.TB
	up       *upstream
	clock    *clock
	routes   *routing.Current
	store    *file.Store
	sessions *memorySessions
	people   *people
	users    *kubeUsers
	idp      *idp
	gateway  *gateway.Gateway
	server   *httptest.Server
	client   *http.Client
	log      *journal
	answers  *journal
	// secrets are what must never be logged, and tokens what only one answer shows.
	secrets, tokens []string
}

// newHarness starts a gateway; change, where given, sees the API's options before.
func newHarness(t testing.TB, change ...func(*Options)) *harness {
	h := &harness{
		t: t, up: newUpstream(t), clock: newClock(), routes: &routing.Current{}, log: &journal{}, answers: &journal{},
		sessions: newMemorySessions(), people: newPeople(), idp: &idp{},
	}
	h.users = newKubeUsers()
	logger := slog.New(slog.NewJSONHandler(h.log, nil))
	h.openStore(logger)
	manager := session.NewManager(session.Options{
		Store: h.sessions, Now: h.clock.now, Logger: logger, External: func() string { return h.gateway.BaseURL() },
		Providers: map[auth.Kind]session.Provider{auth.KindLocal: h.people, auth.KindOIDC: h.people, auth.KindKubernetes: h.users},
	})
	description, err := os.ReadFile("../../docs/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	clients := &Clients{}
	options := Options{
		Tokens: h.store, Snapshot: h.store.Snapshot, Clients: clients, Sessions: manager, Description: description,
		Version: "v1.2.3", Logger: logger, Now: h.clock.now,
		SignIn: SignIn{
			Local: h.people.signIn, Kubernetes: h.users.signIn,
			OIDC: &OIDC{Name: "Company account", Begin: h.idp.begin, Complete: h.idp.complete},
		},
	}
	for _, c := range change {
		c(&options)
	}
	h.set(h.environments()...)
	var browser auth.Browser
	if options.Sessions != nil {
		browser = options.Sessions
	}
	verifier := jwt.NewVerifier(h.store.Snapshot, h.clock.now, jwt.WithMaxStaleness(100*365*24*time.Hour)) // the clock jumps
	h.gateway = gateway.New(gateway.Options{
		Routes: h.routes, Auth: auth.Union{verifier, h.users}, Limits: testLimits(), Logger: logger,
		Registerer: prometheus.NewRegistry(), UserAgent: "promgate/test", BaseURL: baseURL, Browser: browser, OnAdmitted: clients.Note,
		API: func(g *gateway.Gateway) []gateway.Operation { return New(g, options) },
	})
	h.start()
	t.Cleanup(h.checkSecrets)
	return h
}

func (h *harness) openStore(logger *slog.Logger) {
	var err error
	h.store, err = file.Open(context.Background(), file.Options{Dir: h.t.TempDir(), Logger: logger, Now: h.clock.now, Mint: jwt.Mint})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = h.store.Close() })
	if err := h.store.Load(context.Background()); err != nil {
		h.t.Fatal(err)
	}
}

func (h *harness) start() {
	h.server = httptest.NewUnstartedServer(h.gateway)
	h.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	h.server.Config.DisableGeneralOptionsHandler = true
	h.server.Start()
	h.client = h.server.Client()
	h.client.Transport.(*http.Transport).DisableCompression = true
	h.client.Transport = &validating{h.t, h.client.Transport}
	h.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	h.t.Cleanup(h.server.Close)
}

// checkSecrets: no secret of the test is in the log, and every token is in one
// answer alone.
func (h *harness) checkSecrets() {
	logged, answered := h.log.text(), h.answers.text()
	for _, s := range append(h.secrets, h.tokens...) {
		if strings.Contains(logged, s) {
			h.t.Errorf("the secret %.12s… is in the log", s)
		}
	}
	for _, s := range h.tokens {
		if n := strings.Count(answered, s); n != 1 {
			h.t.Errorf("the token %.12s… is in %d answers", s, n)
		}
	}
	for _, s := range h.secrets {
		if strings.Contains(answered, s) {
			h.t.Errorf("the secret %.12s… is in an answer", s)
		}
	}
}

func testLimits() gateway.Limits {
	return gateway.Limits{
		Default: gateway.Budget{
			MaxQueryLength: 256 << 10, MaxRange: 90 * 24 * time.Hour, MaxLookback: 400 * 24 * time.Hour, MaxPoints: 11000,
			MaxEvaluations: 1e6, MaxResponseBytes: 256 << 20, MaxConcurrent: 20,
			Queue: limit.Queue{Length: 10, Timeout: patience}, RequestsPerSecond: 1000, Burst: 2000,
		},
		MaxConcurrentTarget: 50, MaxConcurrentTargetProject: 50, MaxConcurrentTotal: 50,
		MaxRequestBody: 256 << 10, MaxRemoteReadBody: 1 << 20,
		RequestBodyTimeout: patience, ResponseHeaderTimeout: patience, RequestTimeout: 2 * patience,
	}
}

// limitsJSON is how the API tells of testLimits.
const limitsJSON = `{"maxQueryLength":262144,"maxRangeSeconds":7776000,"maxLookbackSeconds":34560000,"maxPoints":11000,` +
	`"maxEvaluations":1000000,"maxResponseBytes":268435456,"maxConcurrent":20,"requestsPerSecond":1000,"burst":2000}`

// project and environments of the tests, by name. UIDs are made of the names.
func projectOf(name string) *routing.Project {
	return &routing.Project{Name: name, UID: "uid-" + name}
}

// service is an environment behind the service proxy of the cluster "local".
func (h *harness) service(project, name string) *routing.Environment {
	e := h.direct(project, name)
	e.Target.Description = "service " + project + "/prometheus-" + name + ":web on cluster local"
	e.Target.ServiceProxy = &routing.ServiceProxy{
		Cluster: "local", Namespace: project, Name: "http:prometheus-" + name + ":web",
		Role: func(verb string) string { return "kind: Role # " + verb + "\n" },
	}
	return e
}

// direct is an environment that is reached by a URL.
func (h *harness) direct(project, name string) *routing.Environment {
	base, err := url.Parse(h.up.URL + "/" + project + "/" + name)
	if err != nil {
		h.t.Fatal(err)
	}
	return &routing.Environment{
		Project: projectOf(project), Name: name, UID: "uid-" + project + "-" + name,
		Target: &routing.Target{UID: base.Path, Base: base, Transport: http.DefaultTransport, Description: "inner " + base.Path},
	}
}

// environments are three of shop, one of which no endpoint token opens, and one
// each of shop-x and billing.
func (h *harness) environments() []*routing.Environment {
	open, pinned, off := h.service("shop", "production"), h.service("shop", "staging"), h.service("shop", "closed")
	open.Allow = routing.Allow{RemoteRead: true, Federate: true}
	open.Enforce = map[string][]string{"namespace": {"shop", "shop-jobs"}}
	pinned.Target.ServiceProxy.Pinned = true
	off.Target.NoEndpointTokens = true
	return []*routing.Environment{open, pinned, off, h.service("shop-x", "production"), h.direct("billing", "production")}
}

func (h *harness) set(e ...*routing.Environment) { h.routes.Store(routing.NewTable(e)) }

// answer is what a client got. The request id in it is written ID.
type answer struct {
	status int
	header http.Header
	body   string
}

func (h *harness) request(method, path, body string) *http.Request {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequest(method, h.server.URL+path, reader)
	if err != nil {
		h.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

func (h *harness) do(r *http.Request) answer {
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
	_, _ = h.answers.Write(append(body, '\n'))
	a := answer{status: resp.StatusCode, header: resp.Header, body: string(body)}
	if id := resp.Header.Get("X-Request-Id"); id != "" {
		a.body = strings.ReplaceAll(a.body, id, "ID")
	}
	return a
}

// as asks with a token.
func (h *harness) as(token, method, path, body string) answer {
	h.t.Helper()
	r := h.request(method, path, body)
	r.Header.Set("Authorization", "Bearer "+token)
	return h.do(r)
}

// browser is one with the page in it.
type browser struct {
	h       *harness
	cookies map[string]string
}

func (h *harness) browser() *browser { return &browser{h, map[string]string{}} }

// signedIn is a browser in which one of the people has signed in.
func (h *harness) signedIn(name string) *browser {
	h.t.Helper()
	b := h.browser()
	if got := b.do("POST", "/api/v1/session/local", `{"name":"`+name+`","password":"`+passwordOf(name)+`"}`); got.status != http.StatusOK {
		h.t.Fatalf("signing in: got %d %s", got.status, got.body)
	}
	return b
}

// request makes a request of the page.
func (b *browser) request(method, path, body string) *http.Request {
	r := b.h.request(method, path, body)
	r.Header.Set("X-Promgate-Page", "1")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	b.addCookies(r)
	return r
}

func (b *browser) addCookies(r *http.Request) {
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
}

// send sends a request and keeps its answer's cookies.
func (b *browser) send(r *http.Request) answer {
	b.h.t.Helper()
	got := b.h.do(r)
	for _, c := range (&http.Response{Header: got.header}).Cookies() {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
			continue
		}
		b.cookies[c.Name] = c.Value
		b.h.secrets = append(b.h.secrets, c.Value)
	}
	return got
}

func (b *browser) do(method, path, body string) answer {
	b.h.t.Helper()
	return b.send(b.request(method, path, body))
}

// copy is a browser with the same cookies.
func (b *browser) copy() *browser { return &browser{b.h, maps.Clone(b.cookies)} }

// check compares an answer.
func check(t testing.TB, what string, got answer, status int, body string) {
	t.Helper()
	if got.status != status || got.body != body {
		t.Errorf("%s:\n got %d %s\nwant %d %s", what, got.status, got.body, status, body)
	}
	checkHeader(t, what, got)
}

// checkHeader: every answer is data, and nothing to keep.
func checkHeader(t testing.TB, what string, got answer) {
	t.Helper()
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
	} {
		if got.header.Get(name) != want || len(got.header[name]) != 1 {
			t.Errorf("%s: %s is %q", what, name, got.header[name])
		}
	}
	if got.header.Get("Content-Type") != "application/json" || got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%s: header %v", what, got.header)
	}
}

// failed is the body of an error.
func failed(errorType, message string) string {
	return `{"status":"error","errorType":"` + errorType + `","error":"` + message + ` (request id ID)"}`
}

// eventually waits until the condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline, tick := time.After(patience), time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}
