package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/gateway/limit"
	"github.com/promgate/promgate/routing"
)

// patience bounds every wait for something that is about to happen.
const patience = 10 * time.Second

const (
	prefixProduction = "/api/v1/namespaces/shop/services/http:prometheus:web/proxy"
	prefixStaging    = "/api/v1/namespaces/shop/services/http:prometheus-staging:web/proxy"
	prefixBilling    = "/api/v1/namespaces/billing/services/http:prometheus:web/proxy"

	production = "/projects/shop/environments/production/"

	tokenShop       = "token-shop"            // every environment of shop
	tokenProduction = "token-shop-production" // shop/production alone
	tokenBilling    = "token-billing"
	tokenUnchecked  = "token-nobody-can-vouch-for"

	emptyResult = `{"status":"success","data":{"resultType":"vector","result":[]}}`
)

// stubAuth knows the fixed tokens.
type stubAuth map[string]*auth.Identity

func newStubAuth() stubAuth {
	identity := func(id string, g auth.Grant) *auth.Identity {
		return &auth.Identity{Principal: auth.Principal{Kind: auth.KindEndpointToken, ID: id}, Grants: []auth.Grant{g}}
	}
	return stubAuth{
		tokenShop:       identity("id-shop", auth.Grant{ProjectUID: "uid-shop", WholeProject: true}),
		tokenProduction: identity("id-production", auth.Grant{ProjectUID: "uid-shop", EnvironmentUID: "uid-shop-production"}),
		tokenBilling:    identity("id-billing", auth.Grant{ProjectUID: "uid-billing", WholeProject: true}),
	}
}

func (stubAuth) Recognizes(c auth.Credential) bool { return strings.HasPrefix(c.Secret(), "token-") }

func (s stubAuth) Authenticate(_ context.Context, c auth.Credential) (*auth.Identity, error) {
	if c.Secret() == tokenUnchecked {
		return nil, fmt.Errorf("%w: the store is closed", auth.ErrUnavailable)
	}
	if id, ok := s[c.Secret()]; ok {
		return id, nil
	}
	return nil, fmt.Errorf("%w: unknown", auth.ErrInvalid)
}

// seen is a request as the upstream saw it.
type seen struct {
	method, uri, host string
	header            http.Header
	body              string
}

// recorder is an upstream that records what it sees.
type recorder struct {
	*httptest.Server
	mu     sync.Mutex
	calls  []seen
	answer http.HandlerFunc
	// handsOff leaves bodies to be read by answer.
	handsOff bool
}

func newRecorder(t testing.TB) *recorder {
	u := &recorder{}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.mu.Lock()
		answer, handsOff := u.answer, u.handsOff
		u.mu.Unlock()
		var body []byte
		if !handsOff && r.Method == http.MethodPost {
			body, _ = io.ReadAll(r.Body)
		}
		u.mu.Lock()
		u.calls = append(u.calls, seen{r.Method, r.RequestURI, r.Host, r.Header.Clone(), string(body)})
		u.mu.Unlock()
		answer(w, r)
	}))
	u.answerWith(answerJSON(http.StatusOK, emptyResult))
	t.Cleanup(u.Close)
	return u
}

func (u *recorder) answerWith(h http.HandlerFunc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answer = h
}

// take returns what was seen since it was last asked.
func (u *recorder) take() []seen {
	u.mu.Lock()
	defer u.mu.Unlock()
	calls := u.calls
	u.calls = nil
	return calls
}

// answerJSON answers as an API server in front of Prometheus does, with
// headers that concern nobody but the gateway.
func answerJSON(status int, body string) http.HandlerFunc {
	return answerAs(status, "application/json", body)
}

func answerAs(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", contentType)
		h.Set("Audit-Id", "0f5c")
		h.Set("Cache-Control", "no-cache, private")
		h.Set("Set-Cookie", "session=1")
		h.Set("Server", "upstream")
		h.Set("Link", "</x>; rel=preload")
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Etag", `"1"`)
		h.Set("Www-Authenticate", "Basic")
		h.Set("X-Request-Id", "of the upstream")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// journal collects log records.
type journal chan map[string]any

func (j journal) Write(p []byte) (int, error) {
	record := map[string]any{}
	if err := json.Unmarshal(p, &record); err != nil {
		return 0, err
	}
	record["raw"] = string(bytes.TrimSpace(p))
	select {
	case j <- record:
	default: // nobody reads the journal of this test
	}
	return len(p), nil
}

// next waits for the next record.
func (j journal) next(t testing.TB) map[string]any {
	t.Helper()
	select {
	case record := <-j:
		return record
	case <-time.After(patience):
		t.Fatal("no log record came")
		return nil
	}
}

// harness is a gateway on a real listener in front of a recording upstream.
type harness struct {
	t        testing.TB
	up       *recorder
	gateway  *Gateway
	server   *httptest.Server
	client   *http.Client
	routes   *routing.Current
	registry *prometheus.Registry
	log      journal
	h2       bool
}

func testLimits() Limits {
	return Limits{
		Default: Budget{
			MaxQueryLength: 256 << 10, MaxRange: 90 * 24 * time.Hour, MaxLookback: 400 * 24 * time.Hour, MaxPoints: 11000,
			MaxEvaluations: 1e6, MaxResponseBytes: 256 << 20, MaxConcurrent: 20,
			Queue: limit.Queue{Length: 10, Timeout: patience}, RequestsPerSecond: 1e6, Burst: 1e6,
		},
		MaxConcurrentTarget: 50, MaxConcurrentTargetProject: 50, MaxConcurrentTotal: 50,
		MaxRequestBody: 256 << 10, MaxRemoteReadBody: 1 << 20,
		RequestBodyTimeout: patience, ResponseHeaderTimeout: patience, RequestTimeout: 2 * patience,
	}
}

// testTenancy is one of testLimits.
func testTenancy() *tenancy {
	return newGates(testLimits()).tenancy(&routing.Environment{Project: &routing.Project{}})
}

// target describes a service behind the recorder's service proxy.
func (u *recorder) target(prefix string, transport http.RoundTripper) *routing.Target {
	base, err := url.Parse(u.URL + prefix)
	if err != nil {
		panic(err)
	}
	parts := strings.Split(prefix, "/")
	return &routing.Target{
		UID: prefix, Base: base, Transport: transport, Description: "service " + parts[4] + "/" + parts[6],
		ServiceProxy: &routing.ServiceProxy{
			Cluster: "local", Namespace: parts[4], Name: parts[6],
			Role: func(verb string) string { return "Role for " + verb + " on " + parts[4] + "/" + parts[6] },
		},
	}
}

func environments(u *recorder) []*routing.Environment {
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}
	shop, billing := &routing.Project{Name: "shop", UID: "uid-shop"}, &routing.Project{Name: "billing", UID: "uid-billing"}
	all := []*routing.Environment{
		{Project: shop, Name: "production", UID: "uid-shop-production", Target: u.target(prefixProduction, transport)},
		{Project: shop, Name: "staging", UID: "uid-shop-staging", Target: u.target(prefixStaging, transport)},
		{Project: billing, Name: "production", UID: "uid-billing-production", Target: u.target(prefixBilling, transport)},
	}
	for _, e := range all {
		e.Allow = routing.Allow{RemoteRead: true, Federate: true}
	}
	return all
}

// newHarness starts a gateway; change, where given, sees its options before.
func newHarness(t testing.TB, change ...func(*Options)) *harness {
	return startHarness(t, (*httptest.Server).Start, change...)
}

// newHarness2 is newHarness over HTTP/2 and TLS.
func newHarness2(t testing.TB, change ...func(*Options)) *harness {
	h := startHarness(t, func(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() }, change...)
	h.h2 = true
	return h
}

func startHarness(t testing.TB, start func(*httptest.Server), change ...func(*Options)) *harness {
	h := &harness{t: t, up: newRecorder(t), registry: prometheus.NewRegistry(), routes: &routing.Current{}, log: make(journal, 4096)}
	options := Options{
		Routes: h.routes, Auth: auth.Union{newStubAuth()}, Limits: testLimits(),
		Logger: slog.New(slog.NewJSONHandler(h.log, nil)), Registerer: h.registry, UserAgent: "promgate/test",
	}
	for _, c := range change {
		c(&options)
	}
	h.setEnvironments(environments(h.up)...)
	h.gateway = New(options)
	h.server = httptest.NewUnstartedServer(h.gateway)
	h.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	h.server.Config.DisableGeneralOptionsHandler = true
	start(h.server)
	h.client = h.server.Client()
	h.client.Transport.(*http.Transport).DisableCompression = true
	h.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.Cleanup(h.server.Close)
	return h
}

func (h *harness) setEnvironments(e ...*routing.Environment) { h.routes.Store(routing.NewTable(e)) }

// edit replaces shop/production by an edited copy.
func (h *harness) edit(f func(*routing.Environment)) {
	all := environments(h.up)
	f(all[0])
	h.setEnvironments(all...)
}

// answer is what the client got. The request id in it is written ID.
type answer struct {
	status int
	header http.Header
	body   string
	id     string
	err    error // of reading the body
}

// request makes a request with the token of shop; form is sent as a body.
func (h *harness) request(method, target, form string) *http.Request {
	var body io.Reader
	if form != "" {
		body = strings.NewReader(form)
	}
	r, err := http.NewRequest(method, h.server.URL+target, body)
	if err != nil {
		h.t.Fatal(err)
	}
	if form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header.Set("Authorization", "Bearer "+tokenShop)
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
	a := answer{status: resp.StatusCode, header: resp.Header, id: resp.Header.Get("X-Request-Id"), err: err}
	a.body = string(body)
	if a.id != "" {
		a.body = strings.ReplaceAll(a.body, a.id, "ID")
		a.header.Set("X-Request-Id", "ID")
	}
	a.header.Del("Date")
	return a
}

func (h *harness) get(target string) answer {
	h.t.Helper()
	return h.do(h.request(http.MethodGet, target, ""))
}

func itoa(n int) string { return fmt.Sprint(n) }

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
