package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// maxUpstreamURL is the longest URL that is sent upstream. The API server and
// what stands before it were seen to take 60 kB.
const maxUpstreamURL = 60_000

// Causes of a canceled call upstream.
var (
	errHeaderTimeout  = errors.New("the upstream did not begin its answer in time")
	errRequestTimeout = errors.New("the answer was not complete in time")
)

// upstream asks the environment's Prometheus. The outbound request is made from
// constants and validated parts; nothing of the client's request is copied.
func (g *Gateway) upstream(ctx context.Context, req *Request) (*Response, error) {
	if g.tracer != nil {
		var span trace.Span
		ctx, span = g.tracer.Start(ctx, "upstream "+req.endpoint.Name, trace.WithSpanKind(trace.SpanKindClient))
		defer span.End()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stop, answered := func() { cancel(nil) }, false
	defer func() {
		if !answered { // an error, or a panic
			stop()
		}
	}()
	out, err := g.outbound(ctx, req)
	if err != nil {
		return nil, err
	}
	limits := g.limits.Load()
	started := time.Now()
	var begun atomic.Bool
	timer := time.AfterFunc(min(limits.ResponseHeaderTimeout, limits.RequestTimeout), func() {
		if begun.Load() {
			cancel(errRequestTimeout)
		} else {
			cancel(errHeaderTimeout)
		}
	})
	stop = func() {
		timer.Stop()
		cancel(nil)
	}
	resp, err := req.transport().RoundTrip(out)
	req.record.upstream = time.Since(started)
	if err != nil {
		return nil, g.connectError(ctx, req, err)
	}
	begun.Store(true)
	timer.Reset(limits.RequestTimeout - req.record.upstream)
	stop = func() {
		timer.Stop()
		cancel(nil)
		_ = resp.Body.Close() // there is nobody left to tell
	}
	answer, err := accept(req, resp)
	if err != nil {
		return nil, err
	}
	answered = true
	answer.deadline = started.Add(limits.RequestTimeout)
	answer.onClose(stop)
	return answer, nil
}

// transport adds the gateway's credentials; or it adds none, where the request
// carries the caller's.
func (req *Request) transport() http.RoundTripper {
	if caller := req.environment.Target.Caller; caller != nil {
		return caller
	}
	return req.environment.Target.Transport
}

// outbound makes the request that goes upstream.
func (g *Gateway) outbound(ctx context.Context, req *Request) (*http.Request, error) {
	target := req.environment.Target
	u := *target.Base
	u.Path = joinPath(u.Path, req.endpoint.Path, req.label)
	if u.RawPath != "" {
		u.RawPath = joinPath(u.RawPath, req.endpoint.Path, req.label)
	}
	query := req.enforced.query
	header := make(http.Header, len(target.Header)+len(req.header)+4)
	for name, values := range target.Header {
		header[name] = values
	}
	for name, values := range req.header {
		header[name] = values
	}
	if req.endpoint.form.accept != nil {
		header["Accept"] = req.endpoint.form.accept
	}
	header["User-Agent"] = g.userAgent
	if secret := req.caller.Secret(); secret != "" {
		header["Authorization"] = []string{"Bearer " + secret}
	}
	if req.gzip {
		header["Accept-Encoding"] = gzipOnly
	} else {
		header["Accept-Encoding"] = identityOnly
	}
	if trace.SpanContextFromContext(ctx).IsValid() {
		traceContext.Inject(ctx, propagation.HeaderCarrier(header))
	}
	out := new(http.Request).WithContext(ctx)
	out.Method, out.URL, out.Host, out.Header = http.MethodGet, &u, u.Host, header
	out.Proto, out.ProtoMajor, out.ProtoMinor = "HTTP/1.1", 1, 1
	switch {
	case req.enforced.body != nil:
		body := req.enforced.body
		out.Method, out.Body, out.ContentLength = http.MethodPost, io.NopCloser(bytes.NewReader(body)), int64(len(body))
	case req.body != nil:
		out.Method, out.Body, out.ContentLength = http.MethodPost, io.NopCloser(req.body), req.bodyLength
	case len(u.Host)+len(u.Path)+len(query) <= maxUpstreamURL:
		u.RawQuery = query
	case req.label != "" || !allows(req.endpoint.Methods, http.MethodPost):
		return nil, tooLargeError("the request", maxUpstreamURL)
	case !req.environment.AllowPost:
		return nil, &Error{
			Status: http.StatusRequestEntityTooLarge, Type: typeBadData, Limit: "maxUpstreamURL",
			Message: fmt.Sprintf("the query is too long: encoded it has %d bytes, and a URL holds %d; shorten it, or have the environment's operator set allowPost: true", len(query), maxUpstreamURL),
		}
	default:
		header["Content-Type"] = formType
		out.Method, out.Body, out.ContentLength = http.MethodPost, io.NopCloser(strings.NewReader(query)), int64(len(query))
		out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(query)), nil }
	}
	return out, nil
}

var (
	gzipOnly     = []string{"gzip"}
	identityOnly = []string{"identity"}
	formType     = []string{"application/x-www-form-urlencoded"}
)

// joinPath appends an endpoint's constant path to the target's. The label name
// was validated: it consists of letters, digits and underscores.
func joinPath(base, path, label string) string {
	if label != "" {
		path = strings.Replace(path, "{name}", label, 1)
	}
	return strings.TrimSuffix(base, "/") + "/" + path
}

// connectError explains a call that brought no answer at all.
func (g *Gateway) connectError(ctx context.Context, req *Request, err error) error {
	target := req.environment.Target
	if req.enforced.body == nil && req.body != nil && req.body.fault() != nil {
		return bodyError(req.body.fault(), g.limits.Load().MaxRemoteReadBody)
	}
	var timeout interface{ Timeout() bool }
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errHeaderTimeout):
		return timeoutError(cause)
	case cause != nil:
		return err // the client went away
	case errors.As(err, &timeout) && timeout.Timeout():
		err = fmt.Errorf("timeout: %w", err)
	}
	hop := "prometheus"
	if target.ServiceProxy != nil {
		hop = "api server"
	}
	return &Error{
		Status: http.StatusServiceUnavailable, Type: typeUnavailable, Hop: hop,
		Cause:      fmt.Errorf("%s: %w", target.Description, withoutURL(err)),
		Message:    "this environment's Prometheus cannot be reached right now: try again in a moment; if it lasts, tell the environment's operator",
		RetryAfter: 5 * time.Second,
	}
}

// withoutURL takes the URL, which holds the query, out of an error.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func timeoutError(cause error) error {
	return &Error{
		Status: http.StatusServiceUnavailable, Type: typeTimeout, Cause: cause, Hop: "prometheus",
		Message: "this environment's Prometheus took too long: ask for a shorter range, a larger step or fewer series",
	}
}
