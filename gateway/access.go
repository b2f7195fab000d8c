package gateway

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/routing"
)

// record is what is known of a request when it ends: one log record, and the
// metrics.
type record struct {
	id          string
	start       time.Time
	endpoint    *Endpoint
	principal   auth.Principal
	environment *routing.Environment
	// upstream is the time until the upstream's answer began; zero if none was asked.
	upstream time.Duration
	// cache is what became of the request in the cache; empty: it is not for it.
	cache outcome
}

// exchange is one request and its answer. It is the ResponseWriter that the
// routes see.
type exchange struct {
	http.ResponseWriter
	record
	err    error
	basic  bool
	plain  bool // errors are told in a mount's form
	status int
	bytes  int64
}

// Unwrap lets http.ResponseController reach the connection.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

func (x *exchange) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

func (x *exchange) Write(p []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	n, err := x.ResponseWriter.Write(p)
	x.bytes += int64(n)
	return n, err
}

// Values of headers that every answer carries. An answer is data, never a page.
var (
	nosniff  = []string{"nosniff"}
	noStore  = []string{"no-store"}
	noPolicy = []string{"default-src 'none'; frame-ancestors 'none'; sandbox"}
	closing  = []string{"close"}
)

var traceContext propagation.TraceContext

// ServeHTTP is the first and the last of every request: its id, the guard
// against panics, the error's one writer, its log record and its metrics.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{ResponseWriter: w, record: record{id: requestID(), start: time.Now()}}
	h := w.Header()
	h["X-Content-Type-Options"] = nosniff
	h["Content-Security-Policy"] = noPolicy
	h["Cache-Control"] = noStore
	h["X-Request-Id"] = []string{x.id}
	if r.ProtoMajor <= int(g.draining.Load()) {
		h["Connection"] = closing
	}
	if len(r.Header["Traceparent"]) == 1 {
		r = r.WithContext(traceContext.Extract(r.Context(), propagation.HeaderCarrier(r.Header)))
	}
	var span trace.Span
	if g.tracer != nil {
		ctx, started := g.tracer.Start(r.Context(), "request", trace.WithSpanKind(trace.SpanKindServer))
		span, r = started, r.WithContext(ctx)
	}
	g.guarded(x, r)
	failure := asError(r.Context(), x.err)
	abort := failure != nil && (x.status != 0 || failure.Status == statusClientGone)
	switch {
	case failure == nil:
	case !abort:
		boundRest(x, r)
		writeError(x, failure)
	case failure.Status == statusClientGone:
		x.status = statusClientGone
	}
	g.metrics.observe(x, failure)
	g.log(r, x, failure, abort)
	if span != nil {
		endSpan(span, x, failure)
	}
	if abort {
		// What was begun must not look complete to the client.
		panic(http.ErrAbortHandler)
	}
}

// restTime is how long the rest of a body may take that nobody wants.
const restTime = time.Second

// boundRest keeps a client that sends its body slowly, or not at all, from
// holding up its own answer: the server reads what is left of a body before it
// writes the first byte.
func boundRest(x *exchange, r *http.Request) {
	// A body that was late already gets no more time.
	if r.ContentLength != 0 && !errors.Is(x.err, os.ErrDeadlineExceeded) {
		_ = http.NewResponseController(x.ResponseWriter).SetReadDeadline(time.Now().Add(restTime))
	}
}

// guarded serves the request and turns a panic into an error.
func (g *Gateway) guarded(x *exchange, r *http.Request) {
	defer func() {
		if p := recover(); p != nil {
			x.err = &Error{
				Status: http.StatusInternalServerError, Type: typeInternal,
				Message: "the gateway failed on this request; its log says why",
				Cause:   fmt.Errorf("panic: %v\n%s", p, debug.Stack()),
			}
		}
	}()
	x.err = g.route(x, r)
}

// asError makes an Error of whatever a stage returned. A client that went away
// explains every error that came after, but not that its body was late: then
// it is the server that ends the context, and the client that waits.
func asError(ctx context.Context, err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	late := errors.As(err, &e) && errors.Is(e.Cause, os.ErrDeadlineExceeded)
	if errors.Is(ctx.Err(), context.Canceled) && !late {
		return &Error{Status: statusClientGone, Type: typeCanceled, Message: "the client went away", Cause: err}
	}
	if e != nil {
		return e
	}
	return &Error{
		Status: http.StatusInternalServerError, Type: typeInternal, Cause: err,
		Message: "the gateway failed on this request; its log says why",
	}
}

func requestID() string {
	var raw [8]byte
	n := rand.Uint64()
	for i := range raw {
		raw[i] = byte(n >> (8 * i))
	}
	var text [16]byte
	hex.Encode(text[:], raw[:])
	return string(text[:])
}

func (g *Gateway) log(r *http.Request, x *exchange, failure *Error, aborted bool) {
	level := slog.LevelInfo
	if failure != nil && failure.Status >= 500 || aborted && x.status != statusClientGone {
		level = slog.LevelWarn
	}
	ctx := r.Context()
	if !g.logger.Enabled(ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 24)
	attrs = append(attrs, slog.String("request_id", x.id), slog.String("method", shorten(r.Method, 20)))
	if x.endpoint != nil {
		attrs = append(attrs, slog.String("endpoint", x.endpoint.Name))
	}
	if x.environment != nil {
		attrs = append(attrs, slog.String("project", x.environment.Project.Name), slog.String("environment", x.environment.Name))
	}
	if x.principal.ID != "" {
		attrs = append(attrs, slog.String("principal", string(x.principal.Kind)+":"+x.principal.ID))
	}
	attrs = append(attrs,
		slog.Int("status", x.status), slog.Int64("bytes", x.bytes),
		slog.Float64("duration_seconds", time.Since(x.start).Seconds()))
	if x.upstream > 0 {
		attrs = append(attrs, slog.Float64("upstream_seconds", x.upstream.Seconds()))
	}
	if x.cache != "" {
		attrs = append(attrs, slog.String("cache", string(x.cache)))
	}
	attrs = append(attrs, slog.String("client", g.clientAddress(r)))
	attrs = appendGrafana(attrs, r.Header)
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		attrs = append(attrs, slog.String("trace_id", sc.TraceID().String()))
	}
	if aborted {
		attrs = append(attrs, slog.Bool("aborted", true))
	}
	attrs = appendFailure(attrs, failure)
	// Not through the logger, which would look up who calls it.
	rec := slog.NewRecord(time.Now(), level, "request", 0)
	rec.AddAttrs(attrs...)
	_ = g.logger.Handler().Handle(ctx, rec) // as the logger has it: there is nowhere to complain
}

func appendFailure(attrs []slog.Attr, failure *Error) []slog.Attr {
	if failure == nil {
		return attrs
	}
	message := failure.Message
	if failure.Quotes {
		message = "told to the client alone, for it may quote the query"
	}
	attrs = append(attrs, slog.String("error_type", failure.Type), slog.String("error", message))
	if failure.Cause != nil {
		attrs = append(attrs, slog.String("cause", failure.Cause.Error()))
	}
	if failure.Hop != "" {
		attrs = append(attrs, slog.String("hop", failure.Hop))
	}
	if failure.Advice != "" {
		attrs = append(attrs, slog.String("advice", failure.Advice))
	}
	return attrs
}

// grafanaHeaders are worth logging, never trusting.
var grafanaHeaders = [...][2]string{
	{"X-Grafana-Org-Id", "grafana_org_id"},
	{"X-Dashboard-Uid", "grafana_dashboard_uid"},
	{"X-Panel-Id", "grafana_panel_id"},
	{"X-Datasource-Uid", "grafana_datasource_uid"},
}

func appendGrafana(attrs []slog.Attr, h http.Header) []slog.Attr {
	for _, header := range grafanaHeaders {
		if v := h[header[0]]; len(v) > 0 {
			attrs = append(attrs, slog.String(header[1], shorten(v[0], 64)))
		}
	}
	return attrs
}

// clientAddress is the peer's address, or, where the peer is a trusted proxy,
// the last address in X-Forwarded-For that is not.
func (g *Gateway) clientAddress(r *http.Request) string {
	peer, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	trusted := *g.trusted.Load()
	if len(trusted) == 0 {
		return peer
	}
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for i := len(hops) - 1; i >= 0 && isTrusted(trusted, peer); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		peer = hop.String()
	}
	return peer
}

func isTrusted(trusted []netip.Prefix, address string) bool {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	for _, p := range trusted {
		if p.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}

func endSpan(span trace.Span, x *exchange, failure *Error) {
	if x.endpoint != nil {
		span.SetName(x.endpoint.Name)
	}
	if x.environment != nil {
		span.SetAttributes(
			attribute.String("promgate.project", x.environment.Project.Name),
			attribute.String("promgate.environment", x.environment.Name))
	}
	span.SetAttributes(
		attribute.Int("http.response.status_code", x.status),
		attribute.Int64("http.response.body.size", x.bytes),
		attribute.String("promgate.request_id", x.id))
	if failure != nil && failure.Status >= 500 {
		span.SetStatus(codes.Error, failure.Type)
	}
	span.End()
}
