package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
)

// Response is an answer on its way to the client.
type Response struct {
	status      int
	contentType string
	gzip        bool
	// length is that of body in bytes, or -1 where it is not known.
	length int64
	body   io.Reader
	// ours tells that the body is put together, or looked at, here, and so came
	// without compression.
	ours bool
	// outcome is what became of the request in the cache; empty: it is not for it.
	outcome outcome
	// deadline is when the whole answer must have been sent.
	deadline time.Time
	close    []func()
}

// plain is the body, not compressed.
func (r *Response) plain() (io.Reader, error) {
	if !r.gzip {
		return r.body, nil
	}
	return gzip.NewReader(r.body)
}

func (r *Response) onClose(f func()) { r.close = append(r.close, f) }

// Close gives back what the answer holds: connection, timers, places.
func (r *Response) Close() {
	for _, f := range slices.Backward(r.close) {
		f()
	}
	r.close = nil
}

// maxShortBody bounds what is read of an answer that is looked at whole:
// errors and build information.
const maxShortBody = 1 << 20

// accept decides what an upstream's answer is: Prometheus' data, Prometheus'
// own error, or something that the client must not see.
func accept(req *Request, resp *http.Response) (*Response, error) {
	form := req.endpoint.form
	if resp.StatusCode == http.StatusNoContent && req.endpoint.Name == "query_exemplars" {
		return &Response{status: resp.StatusCode, body: http.NoBody, length: -1}, nil
	}
	if resp.StatusCode != http.StatusOK {
		return refusal(req, resp)
	}
	contentType := resp.Header.Get("Content-Type")
	media, _, _ := strings.Cut(contentType, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	if !slices.Contains(form.media, media) {
		return nil, notPrometheus(req, fmt.Errorf("200 with content type %q", shorten(contentType, 100)))
	}
	if unbounded(resp) {
		return nil, notPrometheus(req, errors.New("200 whose end cannot be told from a lost connection (neither Content-Length nor chunked)"))
	}
	whole := form.rewrite != nil || req.filtered()
	answer := &Response{status: http.StatusOK, contentType: form.contentType, length: resp.ContentLength, body: resp.Body}
	if answer.contentType == "" {
		if _, _, err := mime.ParseMediaType(contentType); err != nil || len(contentType) > 256 {
			return nil, notPrometheus(req, fmt.Errorf("malformed content type: %w", err))
		}
		answer.contentType = contentType
	}
	switch encoding := resp.Header.Get("Content-Encoding"); {
	case encoding == "" || encoding == "identity":
	case encoding == "gzip" && req.gzip && !whole:
		answer.gzip = true
	case encoding == "gzip":
		decoder, err := gzip.NewReader(resp.Body)
		if err != nil {
			return nil, notPrometheus(req, fmt.Errorf("gzip: %w", err))
		}
		answer.body, answer.length = decoder, -1
	case encoding == "snappy" && req.endpoint.Body:
		// the remote read protocol's own, which its client asked for
	default:
		return nil, notPrometheus(req, fmt.Errorf("content encoding %q, which was not asked for", shorten(encoding, 100)))
	}
	switch {
	case answer.length > req.tenancy.MaxResponseBytes:
		return nil, tooLongAnswer(req.tenancy)
	case req.filtered():
		return filtered(req, answer)
	case form.rewrite != nil:
		return rewritten(req, answer)
	}
	return answer, nil
}

// unbounded tells whether the body ends where the connection does, so that one
// cut short would look complete.
func unbounded(resp *http.Response) bool {
	return resp.ProtoMajor == 1 && resp.ContentLength < 0 && len(resp.TransferEncoding) == 0
}

func rewritten(req *Request, answer *Response) (*Response, error) {
	body, err := io.ReadAll(io.LimitReader(answer.body, maxShortBody+1))
	if err == nil && len(body) > maxShortBody {
		err = errors.New("too long")
	}
	if err != nil {
		return nil, notPrometheus(req, fmt.Errorf("reading %d bytes: %w", len(body), err))
	}
	if body, err = req.endpoint.form.rewrite(body); err != nil {
		return nil, notPrometheus(req, err)
	}
	answer.body, answer.length = strings.NewReader(string(body)), int64(len(body))
	return answer, nil
}

// withoutFeatures takes the features object out of build information: Grafana
// would take the upstream for another product by it.
func withoutFeatures(body []byte) ([]byte, error) {
	var whole struct {
		Status string                     `json:"status"`
		Data   map[string]json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &whole); err != nil {
		return nil, fmt.Errorf("build information: %w", err)
	}
	if _, has := whole.Data["features"]; !has {
		return body, nil
	}
	delete(whole.Data, "features")
	return json.Marshal(whole)
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

// send streams the answer to the client in a fixed buffer. An error before the
// first byte is still answered as one; after it the transfer is aborted, so
// that what is cut short never looks complete.
func (g *Gateway) send(x *exchange, r *http.Request, req *Request, resp *Response) error {
	if resp.length > req.tenancy.MaxResponseBytes { // put together here
		return tooLongAnswer(req.tenancy)
	}
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	n, err := resp.body.Read(*buffer)
	if err != nil && err != io.EOF && n == 0 {
		return cutShort(r.Context(), req, err)
	}
	control := http.NewResponseController(x.ResponseWriter)
	// A client that does not read must not hold its places for ever. It gets a
	// little longer than the upstream, whose lateness is then told as what it is.
	_ = control.SetWriteDeadline(resp.deadline.Add(restTime))
	if req.body != nil && req.body.end.Load() == nil {
		boundRest(x, r)
	}
	writeHeader(x, req, resp)
	if r.Method == http.MethodHead {
		return nil
	}
	for left := req.tenancy.MaxResponseBytes; ; {
		if left -= int64(n); left < 0 {
			return tooLongAnswer(req.tenancy)
		}
		if n > 0 {
			if _, werr := x.Write((*buffer)[:n]); werr != nil {
				return &Error{Status: statusClientGone, Type: typeCanceled, Message: "the client went away", Cause: werr}
			}
			if req.endpoint.form.flush {
				if ferr := control.Flush(); ferr != nil {
					return &Error{Status: statusClientGone, Type: typeCanceled, Message: "the client went away", Cause: ferr}
				}
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return cutShort(r.Context(), req, err)
		}
		n, err = resp.body.Read(*buffer)
	}
}

var varyEncoding = []string{"Accept-Encoding"}

func writeHeader(x *exchange, req *Request, resp *Response) {
	h := x.Header()
	if resp.contentType != "" {
		h["Content-Type"] = []string{resp.contentType}
	}
	if resp.gzip {
		h["Content-Encoding"] = gzipOnly
	}
	if req.endpoint.Body && resp.contentType == "application/x-protobuf" {
		h["Content-Encoding"] = []string{"snappy"}
	}
	if x.cache = resp.outcome; x.cache != "" {
		h["X-Promgate-Cache"] = []string{string(resp.outcome)}
	}
	h["Vary"] = varyEncoding
	if resp.length >= 0 {
		h["Content-Length"] = []string{strconv.FormatInt(resp.length, 10)}
	}
	x.WriteHeader(resp.status)
}

// isLate tells whether a body could not be read because its time was over. A
// transport reports the cause of a cancellation, or that there was one.
func isLate(err error) bool {
	return errors.Is(err, errHeaderTimeout) || errors.Is(err, errRequestTimeout) || errors.Is(err, context.Canceled)
}

func cutShort(ctx context.Context, req *Request, err error) error {
	if ctx.Err() != nil {
		return err
	}
	if isLate(err) {
		return timeoutError(errRequestTimeout)
	}
	return &Error{
		Status: http.StatusBadGateway, Type: typeBadGateway, Hop: "prometheus",
		Message: "this environment's Prometheus broke its answer off: try again; if it lasts, tell the environment's operator",
		Cause:   fmt.Errorf("%s: %w", req.environment.Target.Description, err),
	}
}
