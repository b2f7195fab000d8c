package gateway

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/promgate/promgate/gateway/limit"
	"github.com/promgate/promgate/routing"
)

const (
	staging = "/projects/shop/environments/staging/"

	ownBusy   = `{"status":"error","errorType":"too_many_requests","error":"this environment has 1 queries under way, as many as it may have at once (maxConcurrent): try again in a moment, with fewer panels or a longer refresh interval (request id ID)"}`
	totalBusy = `{"status":"error","errorType":"too_many_requests","error":"the gateway has 1 queries under way, as many as it may have at once (maxConcurrentTotal): try again in a moment, with fewer panels or a longer refresh interval (request id ID)"}`
)

func capped(own, total int, queue limit.Queue) func(*Options) {
	return func(o *Options) {
		o.Limits.Default.MaxConcurrent, o.Limits.MaxConcurrentTotal, o.Limits.Default.Queue = own, total, queue
	}
}

// hold makes every request to production wait until release is closed.
func (h *harness) hold() (entered chan struct{}, release chan struct{}) {
	entered, release = make(chan struct{}, 16), make(chan struct{})
	h.up.answerWith(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, prefixProduction) {
			entered <- struct{}{}
			<-release
		}
		answerJSON(200, emptyResult)(w, r)
	})
	return entered, release
}

// places are those of production.
func (h *harness) places() *limit.Gate {
	e, _ := h.routes.Load().Lookup("shop", "production")
	return h.gateway.limits.Load().tenancy(e).places
}

// begin sends a request and leaves it under way.
func (h *harness) begin(target string) chan answer {
	done := make(chan answer, 1)
	r := h.request(http.MethodGet, target, "")
	go func() { done <- h.do(r) }()
	return done
}

func TestEnvironmentLimit(t *testing.T) {
	h := newHarness(t, capped(1, 50, limit.Queue{Length: 1, Timeout: patience}))
	entered, release := h.hold()
	first := h.begin(production + "api/v1/query?query=up")
	<-entered
	second := h.begin(production + "api/v1/query?query=up")
	own := h.places()
	eventually(t, "the second waits", func() bool { return own.Use().Waiting == 1 })

	for range 10 {
		checkError(t, "third", h.get(production+"api/v1/query?query=up"), http.StatusTooManyRequests, ownBusy, "Retry-After", "1")
		if got := h.get(staging + "api/v1/query?query=up"); got.status != http.StatusOK {
			t.Errorf("the neighbour is answered %d %s", got.status, got.body)
		}
	}
	close(release)
	for _, done := range []chan answer{first, second} {
		if got := <-done; got.status != http.StatusOK || got.body != emptyResult {
			t.Errorf("answer %d %s", got.status, got.body)
		}
	}
	if n := own.Use().Waiting; n != 0 {
		t.Errorf("%d still wait", n)
	}
}

func TestTotalLimit(t *testing.T) {
	h := newHarness(t, capped(1, 1, limit.Queue{Length: 0, Timeout: patience}))
	entered, release := h.hold()
	first := h.begin(production + "api/v1/query?query=up")
	<-entered
	checkError(t, "neighbour", h.get(staging+"api/v1/query?query=up"), http.StatusTooManyRequests, totalBusy, "Retry-After", "1")
	close(release)
	if got := <-first; got.status != http.StatusOK {
		t.Errorf("answer %d %s", got.status, got.body)
	}
	if got := h.get(staging + "api/v1/query?query=up"); got.status != http.StatusOK { // both places came back
		t.Errorf("answer %d %s", got.status, got.body)
	}
}

func TestQueueTimeout(t *testing.T) {
	h := newHarness(t, capped(1, 50, limit.Queue{Length: 5, Timeout: 50 * time.Millisecond}))
	entered, release := h.hold()
	first := h.begin(production + "api/v1/query?query=up")
	<-entered
	checkError(t, "second", h.get(production+"api/v1/query?query=up"), http.StatusTooManyRequests, ownBusy, "Retry-After", "1")
	if record := h.log.next(t); record["cause"] != limit.ErrQueueTimeout.Error() || record["level"] != "INFO" {
		t.Errorf("the log says %s", record["raw"])
	}
	close(release)
	<-first
}

func TestSetLimits(t *testing.T) {
	h := newHarness(t, capped(1, 50, limit.Queue{}))
	entered, release := h.hold()
	first := h.begin(production + "api/v1/query?query=up")
	<-entered
	same := h.gateway.limits.Load()
	h.gateway.SetLimits(same.Limits)
	if h.gateway.limits.Load() != same {
		t.Error("equal limits gave away the places once more")
	}
	checkError(t, "before", h.get(production+"api/v1/query?query=up"), http.StatusTooManyRequests, ownBusy, "Retry-After", "1")
	more := same.Limits
	more.Default.MaxConcurrent = 5
	h.gateway.SetLimits(more)
	second := h.begin(production + "api/v1/query?query=up")
	<-entered
	close(release)
	for _, done := range []chan answer{first, second} {
		if got := <-done; got.status != http.StatusOK {
			t.Errorf("answer %d %s", got.status, got.body)
		}
	}
}

type panicking struct{}

func (panicking) RoundTrip(*http.Request) (*http.Response, error) { panic("a fault of the transport") }

// panickingBody panics when it is read.
type panickingBody struct{ io.ReadCloser }

func (panickingBody) Read([]byte) (int, error) { panic("a fault of the body") }

type panickingBodies struct{ http.RoundTripper }

func (p panickingBodies) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := p.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = panickingBody{resp.Body}
	}
	return resp, err
}

// TestPlacesComeBack: however a request ends, the only place is free again.
func TestPlacesComeBack(t *testing.T) {
	h := newHarness(t, capped(1, 1, limit.Queue{}), func(o *Options) { o.Limits.ResponseHeaderTimeout = 200 * time.Millisecond })
	transport := func(rt http.RoundTripper) func() {
		return func() { h.edit(func(e *routing.Environment) { e.Target.Transport = rt }) }
	}
	inner := &http.Transport{DisableCompression: true}
	ways := map[string]struct {
		prepare func()
		answer  http.HandlerFunc
		status  int
	}{
		"an error":                  {answer: kubernetesStatus(503, "", "x"), status: 503},
		"a timeout":                 {answer: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, status: 503},
		"a cut body":                {answer: onTheWire("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 50000)), status: 200},
		"a refused connection":      {answer: onTheWire(""), status: 503},
		"no HTTP at all":            {answer: onTheWire("SSH-2.0-OpenSSH_9.2\r\n"), status: 503},
		"too long":                  {answer: answerJSON(200, emptyResult), status: 413},
		"a panic in the transport":  {prepare: transport(panicking{}), answer: answerJSON(200, emptyResult), status: 500},
		"a panic while it is read":  {prepare: transport(panickingBodies{inner}), answer: answerJSON(200, emptyResult), status: 500},
		"a panic in errors' bodies": {prepare: transport(panickingBodies{inner}), answer: answerJSON(422, emptyResult), status: 500},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			h.t = t
			h.up.answerWith(way.answer)
			if way.prepare != nil {
				way.prepare()
			}
			r := h.request(http.MethodGet, production+"api/v1/query?query=up", "")
			if way.status == http.StatusRequestEntityTooLarge {
				r = h.request(http.MethodPost, production+"api/v1/query", longForm())
			}
			if got := h.do(r); got.status != way.status {
				t.Errorf("answer %d %s, want %d", got.status, got.body, way.status)
			}
			h.log.next(t)
			h.setEnvironments(environments(h.up)...)
			h.up.answerWith(answerJSON(200, emptyResult))
			if got := h.get(production + "api/v1/query?query=up"); got.status != http.StatusOK {
				t.Errorf("the next request is answered %d %s", got.status, got.body)
			}
			h.log.next(t)
		})
	}
	t.Run("a client that leaves", func(t *testing.T) {
		h.t = t
		entered, release := h.hold()
		defer close(release)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-entered; cancel() }()
		if resp, err := h.client.Do(h.request(http.MethodGet, production+"api/v1/query?query=up", "").WithContext(ctx)); err == nil {
			_ = resp.Body.Close()
			t.Error("the canceled request was answered")
		}
		h.log.next(t)
		if got := h.get(staging + "api/v1/query?query=up"); got.status != http.StatusOK {
			t.Errorf("the next request is answered %d %s", got.status, got.body)
		}
	})
}
