package gateway

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/promgate/promgate/routing"
)

// keeping has the gateway keep answers.
func keeping(o *Options) { o.Cache = Cache{MaxBytes: 64 << 20, Freshness: 10 * time.Minute} }

// both are the harnesses of HTTP/1.1 and HTTP/2, by their names.
var both = map[string]func(testing.TB, ...func(*Options)) *harness{"h1": newHarness, "h2": newHarness2}

// manual is a clock that stands still until it is moved.
type manual struct{ at atomic.Int64 }

// manualClock has what is kept grow old by the clock that it returns, which begins
// at a time that is divisible by many steps.
func (h *harness) manualClock() *manual {
	c := &manual{}
	c.at.Store(1767225600000)
	old := h.gateway.keeper.Load()
	h.gateway.keeper.Store(&keeper{Cache: old.Cache, store: old.store, now: c.now})
	return c
}

func (c *manual) now() time.Time       { return time.UnixMilli(c.at.Load()) }
func (c *manual) move(d time.Duration) { c.at.Add(d.Milliseconds()) }

// staying are those who wait for an answer from upstream, or share a wait.
func (h *harness) staying() int {
	all := &h.gateway.flights
	all.mu.Lock()
	defer all.mu.Unlock()
	n := 0
	for _, f := range all.all {
		n += f.staying
	}
	return n
}

// wantNothingLeft sees that nothing is left of requests that came to their end.
func (h *harness) wantNothingLeft() {
	h.t.Helper()
	g := h.gateway
	eventually(h.t, "all is given back", func() bool {
		g.flights.mu.Lock()
		flying := len(g.flights.all)
		g.flights.mu.Unlock()
		return flying == 0 && g.limits.Load().total.Use().Taken == 0 && g.keeper.Load().held.Load() == 0 && g.compressing.Load() == 0
	})
}

// matrixOf answers a range query as Prometheus does, with one series.
func matrixOf(r *http.Request, metric string) string {
	start, _ := strconv.ParseFloat(r.FormValue("start"), 64)
	end, _ := strconv.ParseFloat(r.FormValue("end"), 64)
	step, _ := strconv.ParseFloat(r.FormValue("step"), 64)
	var b strings.Builder
	b.WriteString(`{"status":"success","data":{"resultType":"matrix","result":[{"metric":` + metric + `,"values":[`)
	for i := 0; start+float64(i)*step <= end && (i == 0 || step > 0); i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		at := start + float64(i)*step
		fmt.Fprintf(&b, `[%v,"%v"]`, int64(at), int64(at)%1009)
	}
	b.WriteString(`]}]}}`)
	return b.String()
}

func answerMatrix(w http.ResponseWriter, r *http.Request) {
	answerJSON(http.StatusOK, matrixOf(r, `{"__name__":"up"}`))(w, r)
}

// rangeOf asks for so many steps of a minute that end so long before the clock's
// beginning.
func rangeOf(query string, steps, before int) string {
	end := 1767225600 - before
	return fmt.Sprintf("api/v1/query_range?query=%s&start=%d&end=%d&step=60", query, end-steps*60, end)
}

// TestEqualAtOnce: a thousand equal questions are one upstream, and all get its
// whole answer.
func TestEqualAtOnce(t *testing.T) {
	const many = 1000
	for name, start := range map[string]func(*httptest.Server){
		"h1": (*httptest.Server).Start,
		"h2": func(s *httptest.Server) {
			s.EnableHTTP2, s.Config.HTTP2 = true, &http.HTTP2Config{MaxConcurrentStreams: many}
			s.StartTLS()
		},
	} {
		for _, path := range []string{rangeOf("up", 1300, 3600), "api/v1/query?query=up"} {
			t.Run(name+" "+path[7:12], func(t *testing.T) {
				h := startHarness(t, start, keeping)
				h.get(production + "api/v1/labels") // so that there is a connection
				h.up.take()
				release := make(chan struct{})
				finish := sync.OnceFunc(func() { close(release) })
				defer finish()
				h.up.answerWith(func(w http.ResponseWriter, r *http.Request) {
					<-release
					answerMatrix(w, r)
				})
				want := matrixOf(h.request(http.MethodGet, production+path, ""), `{"__name__":"up"}`)
				var all sync.WaitGroup
				for range many {
					all.Go(func() {
						if got := h.get(production + path); got.status != http.StatusOK || got.err != nil || got.body != want {
							t.Errorf("answer %d, %d bytes of %d, %v", got.status, len(got.body), len(want), got.err)
						}
					})
				}
				eventually(t, "all have come", func() bool { return h.staying() == many })
				finish()
				all.Wait()
				if calls := h.up.take(); len(calls) != 1 {
					t.Errorf("the upstream saw %d questions", len(calls))
				}
				h.wantNothingLeft()
			})
		}
	}
}

// TestDifferent: questions that differ in anything are two upstream.
func TestDifferent(t *testing.T) {
	h := newHarness(t, keeping)
	entered, release := make(chan struct{}, 16), make(chan struct{})
	h.up.answerWith(func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-release
		answerAs(http.StatusOK, "text/plain", "x")(w, r)
	})
	asked := []*http.Request{}
	ask := func(path, accept, encoding string) {
		r := h.request(http.MethodGet, path, "")
		r.Header.Set("Accept", accept)
		r.Header.Set("Accept-Encoding", encoding)
		asked = append(asked, r)
	}
	ask(production+"federate?match[]=up", "text/plain", "identity")
	ask(production+"federate?match[]=up", "application/openmetrics-text", "identity")
	ask(production+"federate?match[]=up", "text/plain", "gzip")
	ask(production+"federate?match[]=down", "text/plain", "identity")
	ask(staging+"federate?match[]=up", "text/plain", "identity")
	ask(production+"api/v1/label/a/values", "", "identity")
	ask(production+"api/v1/label/b/values", "", "identity")
	ask(production+"api/v1/labels", "", "identity")
	var all sync.WaitGroup
	for _, r := range asked {
		all.Go(func() { h.do(r) })
	}
	for range asked {
		<-entered
	}
	close(release)
	all.Wait()
}

// TestSharedError: whoever shares a call shares its error; nobody repeats it.
func TestSharedError(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		status int
	}{
		"Prometheus' own":         {answerJSON(422, `{"status":"error","errorType":"execution","error":"too many samples"}`), 422},
		"no Prometheus":           {answerAs(200, "text/html", "<html>"), 502},
		"the upstream's own 429":  {answerJSON(429, `{"status":"error","errorType":"x","error":"y"}`), 429},
		"broken before its bytes": {onTheWire("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n"), 502},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, keeping)
			release := make(chan struct{})
			h.up.answerWith(func(w http.ResponseWriter, r *http.Request) {
				<-release
				c.answer(w, r)
			})
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					if got := h.get(production + "api/v1/query?query=up"); got.status != c.status {
						t.Errorf("answer %d %s, want %d", got.status, got.body, c.status)
					}
				})
			}
			eventually(t, "all have come", func() bool { return h.staying() == 20 })
			close(release)
			all.Wait()
			if calls := h.up.take(); len(calls) != 1 {
				t.Errorf("the upstream saw %d questions", len(calls))
			}
			h.wantNothingLeft()
		})
	}
}

// panics is a transport with a fault.
type panics struct{ entered, release chan struct{} }

func (p panics) RoundTrip(*http.Request) (*http.Response, error) {
	p.entered <- struct{}{}
	<-p.release
	panic("a fault of the gateway's own")
}

// panicBody is a body with a fault.
type panicBody struct{ left int }

func (p *panicBody) Read(b []byte) (int, error) {
	if p.left--; p.left < 0 {
		panic("a fault of the gateway's own")
	}
	return copy(b, "beginning"), nil
}

func (p *panicBody) Close() error { return nil }

type panicLater struct{ panics }

func (p panicLater) RoundTrip(r *http.Request) (*http.Response, error) {
	p.entered <- struct{}{}
	<-p.release
	return &http.Response{
		StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, ContentLength: 1000, Request: r,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: &panicBody{2},
	}, nil
}

// TestSharedPanic: a fault in a call or in its body is told to all who share it, and
// ends nothing else.
func TestSharedPanic(t *testing.T) {
	for name, path := range map[string]string{"query": "api/v1/query?query=up", "pieces": rangeOf("up", 5000, 86400)} {
		for later := range 2 {
			t.Run(name+strconv.Itoa(later), func(t *testing.T) {
				h := newHarness(t, keeping)
				p := panics{make(chan struct{}, 99), make(chan struct{})}
				h.edit(func(e *routing.Environment) {
					if e.Target.Transport = p; later == 1 {
						e.Target.Transport = panicLater{p}
					}
				})
				var all sync.WaitGroup
				for range 5 {
					all.Go(func() {
						resp, err := h.client.Do(h.request(http.MethodGet, production+path, ""))
						if err != nil {
							return
						}
						defer resp.Body.Close()
						body, err := io.ReadAll(resp.Body)
						if resp.StatusCode != http.StatusInternalServerError && err == nil {
							t.Errorf("answer %d %s", resp.StatusCode, body)
						}
					})
				}
				eventually(t, "all have come", func() bool { return h.staying() == 5 })
				<-p.entered
				close(p.release)
				all.Wait()
				h.wantNothingLeft()
			})
		}
	}
}
