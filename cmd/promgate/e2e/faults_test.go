package e2e

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/promgate/promgate/cmd/demo/prometheus"
)

// moody is a Prometheus that can be told to misbehave.
type moody struct {
	*httptest.Server
	handler atomic.Pointer[http.HandlerFunc]
	good    http.HandlerFunc
}

func startMoody(t testing.TB) *moody {
	t.Helper()
	target, err := url.Parse(fixture(t).URL())
	must(t, err)
	m := &moody{good: httputil.NewSingleHostReverseProxy(target).ServeHTTP}
	m.behave(m.good)
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*m.handler.Load())(w, r) }))
	t.Cleanup(m.Close)
	return m
}

func (m *moody) behave(h http.HandlerFunc) { m.handler.Store(&h) }

// address is host and port.
func (m *moody) address() string { return m.Listener.Addr().String() }

// hang answers nothing until its client goes away.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// cut breaks a long answer off in its middle.
func cut(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"status":"success","data":["`+strings.Repeat("x", 200<<10))
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// cutShort promises more than it sends.
func cutShort(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", "1000000")
	_, _ = io.WriteString(w, `{"status":"success","data":["`+strings.Repeat("x", 200<<10))
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func plain(status int, contentType, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// TestFaultyPrometheus has a server misbehave, behind the service proxy and at a URL. Once it behaves the gateway does too.
func TestFaultyPrometheus(t *testing.T) {
	t.Parallel()
	server := startMoody(t)
	path := configuration(t, namespace(t, "moody", server.address()), "limits: {responseHeaderTimeout: 700ms}\n",
		"moody/service: "+service("moody", "prometheus"), "moody/url: url: \""+server.URL+"\"")
	secret, _ := token(t, path, "moody")
	g := serve(t, path)
	for _, c := range []struct {
		name      string
		behave    http.HandlerFunc
		status    int
		errorType string
		hop       string
		cause     string // part of the cause in the log, from either target
	}{
		{"hanging", hang, 503, "timeout", "prometheus", "did not begin its answer in time"},
		{"HTML", plain(200, "text/html", "<html><head></head><body><a href=\"/x\">Log in</a></body></html>"), 502, "bad_gateway", "prometheus", "text/html"},
		{"redirect", plain(302, "text/html", "", "Location", "https://login.example/"), 502, "bad_gateway", "prometheus", ""},
		{"unauthorized", plain(401, "text/plain", "no", "WWW-Authenticate", "Basic"), 503, "unavailable", "prometheus", "status 401"},
		{"forbidden", plain(403, "text/plain", "no"), 503, "unavailable", "prometheus", "status 403"},
		{"other server", plain(404, "text/plain", "404 page not found\n"), 502, "bad_gateway", "prometheus", "status 404"},
		{"starting", plain(503, "text/plain", "Service Unavailable"), 503, "unavailable", "prometheus", "status 503"},
		{"failing", plain(500, "text/plain", "oops"), 502, "bad_gateway", "prometheus", "status 500"},
		{"closing at once", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 503, "unavailable", "prometheus", ""},
	} {
		for _, environment := range []string{"moody/service", "moody/url"} {
			t.Run(c.name+"/"+environment, func(t *testing.T) {
				server.behave(c.behave)
				a := ask(with(get(instant(g.base(environment), "up")), secret, "Accept-Encoding", "gzip"))
				check(t, wantError(a, c.status, c.errorType))
				if strings.Contains(a.body, "html") || a.header.Get("Location")+a.header.Get("WWW-Authenticate") != "" {
					t.Errorf("it shows what answered: %s %v", a, a.header)
				}
				logged := g.wantLogged(t, a, map[string]any{"hop": c.hop, "status": float64(c.status), "error_type": c.errorType})
				if cause, _ := logged["cause"].(string); !strings.Contains(cause, c.cause) {
					t.Errorf("the cause is %q", cause)
				}
				server.behave(server.good)
				check(t, wantStatus(ask(with(get(instant(g.base(environment), "up")), secret)), http.StatusOK))
			})
		}
	}
	for name, behave := range map[string]http.HandlerFunc{"cut": cut, "cut short": cutShort} {
		for _, environment := range []string{"moody/service", "moody/url"} {
			t.Run(name+"/"+environment, func(t *testing.T) {
				server.behave(behave)
				// What was answered before is not asked again.
				check(t, wantStatus(ask(post(g.admin+"/cache/drop", nil)), http.StatusOK))
				response, err := client.Do(with(get(g.base(environment)+"/api/v1/labels"), secret))
				must(t, err)
				defer response.Body.Close()
				n, err := io.Copy(io.Discard, response.Body)
				if response.StatusCode != http.StatusOK || !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("status %d, %d bytes, then %v", response.StatusCode, n, err)
				}
				g.wantLogged(t, answer{header: response.Header}, map[string]any{"aborted": true, "hop": "prometheus", "error_type": "bad_gateway"})
				server.behave(server.good)
				check(t, wantStatus(ask(with(get(g.base(environment)+"/api/v1/labels"), secret)), http.StatusOK))
			})
		}
	}
}

// TestMissingPrometheus takes away, one after the other, what leads to a Prometheus, and puts it back.
func TestMissingPrometheus(t *testing.T) {
	t.Parallel()
	c, ctx := controlPlane(t), t.Context()
	// Its address stays when it is started again.
	server, err := prometheus.Start(ctx, prometheus.Options{})
	must(t, err)
	defer func() { must(t, server.Close()) }()
	address := server.Addr()
	path := configuration(t, namespace(t, "missing", address), "", "missing/service: "+service("missing", "prometheus"), "missing/url: url: \"http://"+address+"\"")
	secret, _ := token(t, path, "missing")
	g := serve(t, path)
	query := func(environment string) answer { return ask(with(get(instant(g.base(environment), "up")), secret)) }
	for _, fault := range []struct {
		name        string
		environment string
		breakIt     func() error
		mend        func() error
		hop         string
		retry       string // Retry-After
		cause       string
	}{
		{"stopped", "missing/service", func() error { return server.Close() },
			func() (err error) { server, err = prometheus.Start(ctx, prometheus.Options{Addr: address}); return },
			"prometheus", "5", "error trying to reach service"},
		{"stopped behind a URL", "missing/url", func() error { return server.Close() },
			func() (err error) { server, err = prometheus.Start(ctx, prometheus.Options{Addr: address}); return },
			"prometheus", "5", "connection refused"},
		{"without endpoints", "missing/service", func() error { return c.SetBackends(ctx, "missing", "prometheus") },
			func() error { return c.SetBackends(ctx, "missing", "prometheus", address) },
			"endpoints", "10", "no endpoints available"},
		{"without its Service", "missing/service",
			func() error {
				return c.Client().CoreV1().Services("missing").Delete(ctx, "prometheus", metav1.DeleteOptions{})
			},
			func() error { return c.Service(ctx, "missing", "prometheus", "web", 9090, address) },
			"service", "", "not found"},
		{"on another port", "missing/service", func() error { return c.Service(ctx, "missing", "prometheus", "http", 9090, address) },
			func() error { return c.Service(ctx, "missing", "prometheus", "web", 9090, address) },
			"endpoints", "10", `a port "web"`},
	} {
		t.Run(fault.name, func(t *testing.T) {
			check(t, wantStatus(query(fault.environment), http.StatusOK))
			must(t, fault.breakIt())
			a := query(fault.environment)
			check(t, wantError(a, http.StatusServiceUnavailable, "unavailable"))
			if got := a.header.Get("Retry-After"); got != fault.retry {
				t.Errorf("Retry-After is %q, want %q", got, fault.retry)
			}
			logged := g.wantLogged(t, a, map[string]any{"hop": fault.hop})
			if cause, _ := logged["cause"].(string); !strings.Contains(cause, fault.cause) {
				t.Errorf("the cause is %q", cause)
			}
			must(t, fault.mend())
			took := eventually(t, func() error { return wantStatus(query(fault.environment), http.StatusOK) })
			t.Logf("mended, it answered after %s", took.Round(time.Millisecond))
		})
	}
}
