package gateway

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/gateway/promql"
	"github.com/promgate/promgate/routing"
)

const dashboardExpr = `sum by (handler, code) (rate(http_requests_total{namespace="shop",job=~"api|web",code!~"2.."}[5m])) / ignoring(code) group_left sum by (handler) (rate(http_requests_total{namespace="shop",job=~"api|web"}[5m]))`

func dashboardQuery() string {
	return url.Values{"query": {dashboardExpr}, "start": {"1767225600"}, "end": {"1767229200"}, "step": {"15"}}.Encode()
}

// constantTransport answers without a network.
type constantTransport struct {
	header http.Header
	body   []byte
}

func newConstantTransport(size int) *constantTransport {
	return &constantTransport{
		header: http.Header{"Content-Type": {"application/json"}, "Content-Length": {strconv.Itoa(size)}},
		body:   bytes.Repeat([]byte("x"), size),
	}
}

func (c *constantTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, Header: c.header, Request: r,
		ContentLength: int64(len(c.body)), Body: io.NopCloser(bytes.NewReader(c.body)),
	}, nil
}

// blank is a ResponseWriter that keeps nothing.
type blank struct{ header http.Header }

func (w *blank) Header() http.Header         { return w.header }
func (w *blank) Write(p []byte) (int, error) { return len(p), nil }
func (w *blank) WriteHeader(int)             {}
func (w *blank) FlushError() error           { return nil }

func benchGateway(transport http.RoundTripper) *Gateway {
	base := &url.URL{Scheme: "http", Host: "127.0.0.1:9090", Path: prefixProduction}
	shop := &routing.Project{Name: "shop", UID: "uid-shop"}
	routes := &routing.Current{}
	routes.Store(routing.NewTable([]*routing.Environment{{
		Project: shop, Name: "production", UID: "uid-shop-production",
		Target: &routing.Target{UID: "t", Base: base, Transport: transport, Description: "service shop/prometheus"},
	}}))
	return New(Options{
		Routes: routes, Auth: auth.Union{newStubAuth()}, Limits: testLimits(), UserAgent: "promgate/bench",
		Logger: slog.New(slog.NewJSONHandler(io.Discard, nil)), Registerer: prometheus.NewRegistry(),
	})
}

func benchRequest(ctx context.Context) *http.Request {
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, production+"api/v1/query_range?"+dashboardQuery(), nil)
	r.Header.Set("Authorization", "Bearer "+tokenShop)
	r.Header.Set("Accept-Encoding", "gzip")
	r.Header.Set("User-Agent", "Grafana/13.1.0")
	return r
}

// measure reports allocations and the process' CPU time, which other load on
// the machine disturbs less than it does the time that passes.
func measure(b *testing.B) {
	b.ReportAllocs()
	start := cpuTime()
	b.Cleanup(func() { b.ReportMetric(float64(cpuTime()-start)/float64(b.N), "cpu-ns/op") })
}

func cpuTime() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it fails for no process of its own
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkPath is the whole way of a request in process, but for the network.
func BenchmarkPath(b *testing.B) {
	for _, size := range []int{1 << 10, 200 << 10} {
		name := strconv.Itoa(size>>10) + "KiB"
		g := benchGateway(newConstantTransport(size))
		b.Run(name, func(b *testing.B) {
			measure(b)
			for b.Loop() {
				g.ServeHTTP(&blank{header: http.Header{}}, benchRequest(b.Context()))
			}
		})
		b.Run(name+"/parallel", func(b *testing.B) {
			measure(b)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					g.ServeHTTP(&blank{header: http.Header{}}, benchRequest(b.Context()))
				}
			})
		})
	}
	b.Run("request", func(b *testing.B) { // what of the above the client's side costs
		b.ReportAllocs()
		for b.Loop() {
			_ = benchRequest(b.Context())
		}
	})
}

// BenchmarkNetwork compares the gateway with a forwarder that does nothing but
// forward, both with a listener and a network upstream.
func BenchmarkNetwork(b *testing.B) {
	for _, size := range []int{1 << 10, 200 << 10} {
		body := bytes.Repeat([]byte("x"), size)
		up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", strconv.Itoa(size))
			_, _ = w.Write(body)
		}))
		b.Cleanup(up.Close)
		base, _ := url.Parse(up.URL)
		transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16}
		g := benchGateway(transport)
		env, _ := g.routes.Load().Lookup("shop", "production")
		env.Target.Base.Host = base.Host
		forward := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			u := *base
			u.Path, u.RawQuery = r.URL.Path, r.URL.RawQuery
			out, _ := http.NewRequestWithContext(r.Context(), http.MethodGet, u.String(), nil)
			resp, err := transport.RoundTrip(out)
			if err != nil {
				return
			}
			defer resp.Body.Close()
			w.Header()["Content-Type"] = resp.Header["Content-Type"]
			w.Header()["Content-Length"] = resp.Header["Content-Length"]
			_, _ = io.Copy(w, resp.Body)
		})
		for _, c := range []struct {
			name    string
			handler http.Handler
		}{{"gateway", g}, {"forwarder", forward}} {
			b.Run(c.name+"/"+strconv.Itoa(size>>10)+"KiB", func(b *testing.B) { benchNetwork(b, c.handler) })
		}
	}
}

func benchNetwork(b *testing.B, handler http.Handler) {
	server := httptest.NewServer(handler)
	defer server.Close()
	client := server.Client()
	client.Transport.(*http.Transport).DisableCompression = true
	measure(b)
	for b.Loop() {
		r := benchRequest(context.Background())
		r.RequestURI = ""
		r.URL, _ = url.Parse(server.URL + r.URL.RequestURI())
		resp, err := client.Do(r)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
}

// BenchmarkAdmit is admission: environment, grant, parameters, PromQL.
func BenchmarkAdmit(b *testing.B) {
	g := benchGateway(newConstantTransport(1))
	endpoint, at := endpointNamed("query_range"), place{project: "shop", environment: "production"}
	r := benchRequest(b.Context())
	id, _, err := g.auth.Authenticate(b.Context(), r.Header)
	if err != nil {
		b.Fatal(err)
	}
	measure(b)
	for b.Loop() {
		x := &exchange{ResponseWriter: &blank{header: http.Header{}}}
		env, err := g.open(b.Context(), x, at, id)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := g.admit(x, r, endpoint, "", env); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseParams(b *testing.B) {
	endpoint, raw := endpointNamed("query_range"), dashboardQuery()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseParams(endpoint, testTenancy(), nil, raw, ""); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkQuery(b *testing.B) {
	var parser promql.Parser
	for name, expr := range map[string]func(int) string{
		"known": func(int) string { return dashboardExpr },
		"new":   func(i int) string { return dashboardExpr + " + " + strconv.Itoa(i) },
	} {
		b.Run(name, func(b *testing.B) {
			measure(b)
			for i := 0; b.Loop(); i++ {
				if _, err := parser.Query(nil, expr(i)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func endpointNamed(name string) *Endpoint {
	for _, e := range Endpoints() {
		if e.Name == name {
			return e
		}
	}
	panic(strings.ToUpper(name) + " is no endpoint")
}
