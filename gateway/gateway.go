// Package gateway is the HTTP surface: the endpoint table, the way of a request
// through it, and the one place that writes errors.
package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/gateway/cache"
	"github.com/promgate/promgate/routing"
)

// Options are what a Gateway is made of. Routes, Auth, Limits, Logger and
// Registerer are required.
type Options struct {
	Routes *routing.Current
	Auth   auth.Union
	Limits Limits
	Logger *slog.Logger
	// Registerer gets the gateway's metrics.
	Registerer prometheus.Registerer
	// UserAgent is what upstreams see.
	UserAgent string
	// Tracer starts a span for each request and for each call upstream. Nil:
	// none; a client's trace context is passed on all the same.
	Tracer trace.Tracer
	// TrustedProxies are the peers whose X-Forwarded-For names the client in
	// the log. Nothing else depends on it.
	TrustedProxies []netip.Prefix
	// BaseURL is the URL by which clients reach the gateway. Its path, if it has
	// one, may stand before the paths of requests, or be taken off by a proxy.
	BaseURL string
	// Browser vouches for requests of the page. Nil: nobody does.
	Browser auth.Browser
	// API are the operations of the gateway's own API. It is called once, with
	// the gateway that is to serve them. Nil: there are none.
	API func(*Gateway) []Operation
	// Mount is an API in the words of another program. It is called once, as API
	// is. Nil: there is none.
	Mount func(*Gateway) *Mount
	// Cache is what is kept of answers. Zero: nothing.
	Cache Cache
	// Now is the clock that tells which points are settled. Nil: time.Now.
	Now func() time.Time
	// Page serves what is below /ui/, and what else a person may open. Nil:
	// there is no page.
	Page Page
	// OnAdmitted is called for each request of a client that may query an
	// environment, with what the client calls itself. It must be quick and safe
	// for concurrent use. Nil: nobody wants to know.
	OnAdmitted func(client auth.Principal, userAgent string)
}

// Page is the page for people: whatever is not for programs. It gets GET and
// HEAD, with the path that prefix is to be put before in links.
type Page interface {
	ServePage(w http.ResponseWriter, r *http.Request, prefix string)
}

// Gateway serves the read API of every environment. It is an http.Handler.
type Gateway struct {
	routes    *routing.Current
	auth      auth.Union
	limits    atomic.Pointer[gates]
	logger    *slog.Logger
	metrics   *metrics
	tracer    trace.Tracer
	userAgent []string
	trusted   atomic.Pointer[[]netip.Prefix]
	base      atomic.Pointer[base]
	router    *mux.Router
	browser   auth.Browser
	api       map[string]operations // by path
	mount     *mount                // nil: there is none
	page      Page
	admitted  func(auth.Principal, string)
	endpoints endpointTable
	chain     stage
	flights   flights
	now       func() time.Time
	store     *cache.Store
	keeper    atomic.Pointer[keeper]
	// compressing are the answers that are being compressed here.
	compressing atomic.Int32
	draining    atomic.Int32 // the HTTP version up to which clients are asked to leave
}

// stage is one step of an admitted request.
type stage func(context.Context, *Request) (*Response, error)

// New makes a gateway.
func New(o Options) *Gateway {
	g := &Gateway{
		routes: o.Routes, auth: o.Auth, logger: o.Logger,
		tracer: o.Tracer, userAgent: []string{o.UserAgent}, browser: o.Browser, page: o.Page, admitted: o.OnAdmitted,
	}
	g.metrics = newMetrics(o.Registerer, g.limits.Load)
	o.Registerer.MustRegister(kept{g})
	if g.now = o.Now; g.now == nil {
		g.now = time.Now
	}
	g.store = cache.NewStore(o.Cache.MaxBytes)
	g.SetCache(o.Cache)
	g.SetLimits(o.Limits)
	g.SetTrustedProxies(o.TrustedProxies)
	g.SetBaseURL(o.BaseURL)
	g.endpoints = newEndpointTable(Endpoints())
	g.router = mux.NewRouter().UseEncodedPath().SkipClean(true)
	g.chain = g.cached(g.limited(g.named(g.upstream)))
	if o.API != nil {
		g.mountAPI(o.API(g))
	}
	if o.Mount != nil {
		g.mount = newMount(o.Mount(g))
	}
	return g
}

// SetLimits replaces the budgets. Requests under way keep their old ones.
func (g *Gateway) SetLimits(l Limits) {
	if old := g.limits.Load(); old == nil || !reflect.DeepEqual(old.Limits, l) {
		g.limits.Store(newGates(l))
	}
}

// SetTrustedProxies replaces the peers whose X-Forwarded-For is believed.
func (g *Gateway) SetTrustedProxies(p []netip.Prefix) { g.trusted.Store(&p) }

// base is how clients reach the gateway.
type base struct {
	url string
	// prefix is the URL's path, without a slash at its end.
	prefix string
}

// SetBaseURL replaces the URL by which clients reach the gateway.
func (g *Gateway) SetBaseURL(text string) {
	b := base{url: strings.TrimRight(text, "/")}
	if u, err := url.Parse(b.url); err == nil {
		b.prefix = u.EscapedPath()
	}
	g.base.Store(&b)
}

// BaseURL is the URL by which clients reach the gateway, without a slash at its
// end.
func (g *Gateway) BaseURL() string { return g.base.Load().url }

// EnvironmentURL is an environment's base URL for clients of Prometheus' API.
func (g *Gateway) EnvironmentURL(e *routing.Environment) string {
	return g.BaseURL() + "/projects/" + e.Project.Name + "/environments/" + e.Name
}

// Table is the routing table that requests see now.
func (g *Gateway) Table() *routing.Table { return g.routes.Load() }

// Drain has every further answer over HTTP versions up to that major one ask
// its client to close the connection, so that clients move elsewhere before the
// server stops. 0 asks nobody.
func (g *Gateway) Drain(major int) { g.draining.Store(int32(major)) }

var errNoRoute = &Error{
	Status: http.StatusNotFound, Type: typeNotFound,
	Message: "no such route: an environment's base URL is /projects/{project}/environments/{environment}, and below it stands Prometheus' read API, such as api/v1/query",
}

// place is what a path names.
type place struct{ project, environment, label string }

// route finds the endpoint and serves it. Names that no project can have are
// no route, so that nothing is looked up by them.
func (g *Gateway) route(x *exchange, r *http.Request) error {
	prefix := g.base.Load().prefix
	r = below(prefix, r)
	if g.page != nil && isPagePath(r.URL.Path) {
		return g.servePage(x, r, prefix)
	}
	if g.mount.holds(r.URL.Path) {
		return g.serveMount(x, r)
	}
	if !isCanonical(r) {
		return errNoRoute
	}
	at, endpoint, found := environmentOf(r.URL.EscapedPath())
	if !found {
		return g.routeOperation(x, r)
	}
	e, label := g.endpoints.find(endpoint)
	if e == nil || !isDNSLabel(at.project) || !isDNSLabel(at.environment) {
		return errNoRoute
	}
	at.label, x.endpoint = label, e
	return g.serve(x, r, e, at)
}

// serve is the way of one request, from its route on.
func (g *Gateway) serve(x *exchange, r *http.Request, e *Endpoint, at place) error {
	if !allows(e.Methods, r.Method) {
		return methodError(e.Methods, r.Method)
	}
	id, credential, err := g.authenticate(x, r)
	if err != nil {
		return err
	}
	return g.serveAs(x, r, e, at, id, credential)
}

// serveAs is the way of a request from when it is known who calls.
func (g *Gateway) serveAs(x *exchange, r *http.Request, e *Endpoint, at place, id *auth.Identity, credential auth.Credential) error {
	ctx := r.Context()
	env, err := g.open(ctx, x, at, id)
	if err != nil {
		return err
	}
	if g.admitted != nil {
		g.admitted(x.principal, r.UserAgent())
	}
	req, err := g.admit(x, r, e, at.label, env)
	if err != nil {
		return conceal(ctx, id, env, err)
	}
	if env.Target.Caller != nil {
		req.caller = credential
	}
	flying := g.metrics.inFlight(req.environment)
	flying.Inc()
	defer flying.Dec()
	resp, err := g.chain(ctx, req)
	if err != nil {
		return conceal(ctx, id, env, err)
	}
	defer resp.Close()
	return g.send(x, r, req, resp)
}

// authenticate finds out who calls, as far as the credential alone tells. An
// Authorization header decides alone; only without one a session counts.
func (g *Gateway) authenticate(x *exchange, r *http.Request) (*auth.Identity, auth.Credential, error) {
	ask := func() (*auth.Identity, auth.Credential, error) { return g.auth.Authenticate(r.Context(), r.Header) }
	if g.browser != nil && len(r.Header["Authorization"]) == 0 {
		surface := auth.OwnPage
		if g.mount.holds(r.URL.Path) {
			surface = auth.SameOrigin
		}
		ask = func() (*auth.Identity, auth.Credential, error) {
			id, c, err := g.browser.Authenticate(r.Context(), r, surface)
			if errors.Is(err, auth.ErrInvalid) {
				err = &Error{Status: http.StatusUnauthorized, Type: typeUnauthorized, Cause: err, Message: "your session has ended: sign in again"}
			}
			return id, c, err
		}
	}
	id, credential, err := ask()
	x.basic = credential.Basic()
	if err != nil {
		return nil, credential, credentialError(err)
	}
	x.principal = id.Principal
	return id, credential, nil
}

func allows(methods []string, method string) bool {
	for _, m := range methods {
		if m == method {
			return true
		}
	}
	return false
}

func methodError(methods []string, method string) error {
	e := &Error{Status: http.StatusMethodNotAllowed, Type: typeMethod}
	for i, m := range methods {
		if i > 0 {
			e.Allow += ", "
		}
		e.Allow += m
	}
	e.Message = "this endpoint takes " + e.Allow + ", not " + shorten(method, 20)
	return e
}

// credentialError says no more than that the credential is not good: why is for
// the log.
func credentialError(err error) error {
	var told *Error
	switch {
	case errors.As(err, &told):
		return err
	case errors.Is(err, auth.ErrUnavailable):
		return &Error{
			Status: http.StatusServiceUnavailable, Type: typeUnavailable, Cause: err, Hop: "token",
			Message:    "the gateway cannot check credentials right now: try again in a moment",
			RetryAfter: 5 * time.Second,
		}
	case errors.Is(err, auth.ErrMissing):
		return &Error{
			Status: http.StatusUnauthorized, Type: typeUnauthorized, Cause: err,
			Message: "this request carries no credential: send Authorization: Bearer TOKEN, or Basic with the token as password",
		}
	}
	return &Error{
		Status: http.StatusUnauthorized, Type: typeUnauthorized, Cause: err,
		Message: "the token is not valid: it may be mistyped, expired or revoked; ask the project's owner for a new one",
	}
}
