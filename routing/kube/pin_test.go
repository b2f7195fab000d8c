package kube

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/gzip"
)

// TestPinned asks one pod of three, always the same, for everything that was
// asked of the Service.
func TestPinned(t *testing.T) {
	for _, path := range []string{"", "/k8s/clusters/c%2F1", "/k8s"} {
		inBubble(t, newFleet("prometheus-0", "prometheus-1", "prometheus-2"), path, ref, func(p *pinnedTest) {
			first := p.preferred()[0]
			for range 20 {
				p.want(first)
			}
			r := p.request(http.MethodGet, "/api/v1/label/h%C3%B6he%2F1/values?match[]=up&a=b%20c", nil)
			r.Header.Set("X-Scope-OrgID", "shop")
			before := r.Clone(r.Context())
			_, body := p.do(r)
			want := first + " " + path + "/api/v1/namespaces/shop/pods/http:" + first + ":9090/proxy/api/v1/label/h%C3%B6he%2F1/values?match[]=up&a=b%20c "
			if body != want {
				t.Errorf("got  %s\nwant %s", body, want)
			}
			if !reflect.DeepEqual(r.URL, before.URL) || !reflect.DeepEqual(r.Header, before.Header) || r.Host != before.Host {
				t.Errorf("the request was changed: %+v", r)
			}
			if p.outcomes["pinned"] != 22 || len(p.outcomes) != 1 {
				t.Errorf("outcomes %v", p.outcomes)
			}
			if p.logged.Len() > 0 {
				t.Errorf("logged %s", p.logged)
			}
		})
	}
}

// TestPinnedElsewhere lets what is not addressed to the target's own service
// proxy alone.
func TestPinnedElsewhere(t *testing.T) {
	inBubble(t, newFleet("prometheus-0"), "", ref, func(p *pinnedTest) {
		r := p.request(http.MethodGet, "", nil)
		for _, path := range []string{"/version", r.URL.Path + "x/api", "/api/v1/namespaces/shop/services/http:other:web/proxy/a"} {
			r.URL.Path = path
			p.do(r)
			if p.take() != "service" || len(p.outcomes) > 0 || p.opened > 0 {
				t.Errorf("%s: %v", path, p.outcomes)
			}
		}
	})
}

// TestFailover has the preferred pod answer in each way.
func TestFailover(t *testing.T) {
	abort := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	type again int
	const (
		stays again = iota // its answer is passed on
		next               // the next pod is asked
		once               // that as well, but the pod is not avoided
	)
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		again  again
	}{
		{"unreachable", dead, next},
		{"unreachable, before Kubernetes 1.31", saying(500, "error trying to reach service: EOF"), next},
		{"pod gone", saying(404, `pods "prometheus-0" not found`), next},
		{"pod without address", saying(400, "address not allowed"), next},
		{"bad gateway of the API server", saying(502, "x"), next},
		{"gateway timeout of the API server", saying(504, "x"), next},
		{"starting", text(503, "text/plain", "Service Unavailable"), next},
		{"sidecar without Prometheus", text(502, "text/html", "<html>bad gateway</html>"), next},
		{"storage not ready", text(503, "application/json", `{"status":"error","errorType":"unavailable","error":"TSDB not ready"}`), next},
		{"stopping", text(499, "application/json", `{"status":"error","errorType":"canceled","error":"query was canceled in query execution"}`), next},
		{"connection lost", abort, once},
		{"query timeout", text(503, "application/json", `{"status":"error","errorType":"timeout","error":"query timed out in expression evaluation"}`), stays},
		{"long error", text(503, "application/json", `{"status":"error","errorType":"timeout","error":"`+strings.Repeat("x", 1<<20)+`"}`), stays},
		{"bad query", text(400, "application/json", `{"status":"error","errorType":"bad_data","error":"parse error"}`), stays},
		{"execution", text(422, "application/json", `{"status":"error","errorType":"execution","error":"many-to-many"}`), stays},
		{"internal", text(500, "application/json", `{"status":"error","errorType":"internal","error":"storage"}`), stays},
		{"not found", text(404, "text/plain", "404 page not found"), stays},
		{"forbidden by the pod", text(403, "text/plain", "Forbidden"), stays},
		{"API server stopping", saying(503, "apiserver is shutting down"), stays},
		{"API server failing", saying(500, "etcdserver: request timed out"), stays},
		{"unauthorized", saying(401, "Unauthorized"), stays},
		{"too many", saying(429, "too many"), stays},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, newFleet("prometheus-0", "prometheus-1", "prometheus-2"), "", ref, func(p *pinnedTest) {
				order := p.preferred()
				p.take()
				p.set(func() { p.answers[order[0]] = c.answer })
				code, _ := p.do(p.request(http.MethodGet, "/api/v1/query", nil))
				asked := p.take()
				if c.again == stays {
					if asked != order[0] || code == http.StatusOK {
						t.Errorf("asked %s, got %d", asked, code)
					}
				} else if asked != order[0]+" "+order[1] || code != http.StatusOK {
					t.Errorf("asked %s, got %d", asked, code)
				}
				p.set(func() { delete(p.answers, order[0]) })
				if c.again == next {
					p.want(order[1])
				} else {
					p.want(order[0])
				}
			})
		})
	}
}

// TestPenalty kills the preferred pod: one question in a while finds out
// whether it is back, and none fails.
func TestPenalty(t *testing.T) {
	inBubble(t, newFleet("prometheus-0", "prometheus-1"), "", ref, func(p *pinnedTest) {
		order := p.preferred()
		both := order[0] + " " + order[1]
		p.set(func() { p.answers[order[0]] = dead })
		p.want(both)
		for _, seconds := range []time.Duration{1, 2, 4, 8, 10, 10} {
			p.want(order[1])
			time.Sleep(seconds*time.Second - time.Millisecond)
			p.want(order[1])
			time.Sleep(time.Millisecond)
			p.want(both)
		}
		p.set(func() { delete(p.answers, order[0]) })
		time.Sleep(10*time.Second - time.Millisecond)
		p.want(order[1])
		time.Sleep(time.Millisecond)
		p.want(order[0])
		p.want(order[0])
		// It was forgotten.
		p.set(func() { p.answers[order[0]] = dead })
		p.want(both)
		time.Sleep(time.Second)
		p.want(both)
		if p.outcomes["next"] != 22 || p.outcomes["pinned"] != 3 || p.outcomes["service"] != 0 {
			t.Errorf("outcomes %v", p.outcomes)
		}
	})
}

// TestHalfOpen has many ask when a penalty is over: one of them tries the pod.
func TestHalfOpen(t *testing.T) {
	inBubble(t, newFleet("prometheus-0", "prometheus-1"), "", ref, func(p *pinnedTest) {
		order := p.preferred()
		slow := func(w http.ResponseWriter, r *http.Request) {
			<-time.After(100 * time.Millisecond)
			dead(w, r)
		}
		p.set(func() { p.answers[order[0]] = slow })
		crowd := func() string {
			p.take()
			var asking sync.WaitGroup
			for range 20 {
				asking.Go(func() {
					if code, body := p.do(p.request(http.MethodGet, "/", nil)); code != http.StatusOK {
						t.Errorf("got %d %s", code, body)
					}
				})
			}
			asking.Wait()
			return p.take()
		}
		// Those that fail together count as one failure.
		if n := strings.Count(crowd(), order[0]); n != 20 {
			t.Errorf("%d asked the pod", n)
		}
		time.Sleep(time.Second)
		if n := strings.Count(crowd(), order[0]); n != 1 {
			t.Errorf("%d tried the pod", n)
		}
	})
}

// TestReadinessForgives: what was held against a pod does not outlive its being
// ready.
func TestReadinessForgives(t *testing.T) {
	inBubble(t, newFleet("prometheus-0", "prometheus-1"), "", ref, func(p *pinnedTest) {
		order := p.preferred()
		p.set(func() { p.answers[order[0]] = dead })
		p.query()
		p.set(func() { delete(p.answers, order[0]) })
		p.want(order[1])
		p.put(webSlice("!"+order[0], order[1]))
		synctest.Wait()
		p.want(order[1])
		p.put(webSlice(order[0], order[1]))
		synctest.Wait()
		p.want(order[0])
	})
}

// TestAllFail passes the more telling answer on.
func TestAllFail(t *testing.T) {
	abort := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	inBubble(t, newFleet("prometheus-0", "prometheus-1"), "", ref, func(p *pinnedTest) {
		order := p.preferred()
		p.take()
		ask := func(first, second http.HandlerFunc) (int, string) {
			p.set(func() { p.answers[order[0]], p.answers[order[1]] = first, second })
			return p.do(p.request(http.MethodGet, "/", nil))
		}
		if code, body := ask(dead, text(503, "text/plain", "Service Unavailable")); code != 503 || body != "Service Unavailable" {
			t.Errorf("got %d %s", code, body)
		}
		// Both are avoided: the preferred one is asked all the same.
		if code, body := ask(dead, abort); code != 503 || !strings.Contains(body, "connection refused") {
			t.Errorf("got %d %s", code, body)
		}
		if code, body := ask(abort, abort); code != 0 {
			t.Errorf("got %d %s", code, body)
		}
		if got, want := p.take(), strings.TrimSpace(strings.Repeat(order[0]+" "+order[1]+" ", 3)); got != want {
			t.Errorf("asked %s", got)
		}
		// With one pod, its Service tells what is wrong.
		p.put(webSlice(order[0]))
		synctest.Wait()
		p.set(func() { p.answers["service"] = text(503, "text/plain", "of the service") })
		if code, body := ask(dead, nil); code != 503 || body != "of the service" {
			t.Errorf("got %d %s", code, body)
		}
	})
}

// TestPost asks one pod, once.
func TestPost(t *testing.T) {
	inBubble(t, newFleet("prometheus-0", "prometheus-1"), "", ref, func(p *pinnedTest) {
		order := p.preferred()
		post := func(body io.Reader) (int, string, string) {
			p.take()
			code, answer := p.do(p.request(http.MethodPost, "/api/v1/read", body))
			return code, answer, p.take()
		}
		stream := func(text string) io.Reader { return io.MultiReader(strings.NewReader(text)) } // no GetBody, no length
		long := strings.Repeat("x", maxKeptBody+1)
		if code, answer, asked := post(stream("query")); code != 200 || asked != order[0] || !strings.HasSuffix(answer, " query") {
			t.Errorf("got %d %s of %s", code, answer, asked)
		}
		if code, answer, asked := post(stream(long)); code != 200 || asked != order[0] || !strings.HasSuffix(answer, " "+long) {
			t.Errorf("got %d %.100s of %s", code, answer, asked)
		}
		p.set(func() { p.answers[order[0]] = dead })
		if code, _, asked := post(strings.NewReader("query")); code != 503 || asked != order[0] {
			t.Errorf("got %d of %s", code, asked)
		}
		for range 2 { // to try it again is for questions that cost nothing
			if code, answer, asked := post(strings.NewReader("query")); code != 200 || asked != order[1] || !strings.HasSuffix(answer, " query") {
				t.Errorf("got %d %s of %s", code, answer, asked)
			}
			time.Sleep(2 * time.Second)
		}
		p.want(order[0] + " " + order[1])
		// A body that cannot be read is the caller's matter.
		broken := errors.New("broken")
		r := p.request(http.MethodPost, "/api/v1/read", io.MultiReader(strings.NewReader("x"), &failing{broken}))
		if _, err := p.target.Transport.RoundTrip(r); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
	})
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

// TestCanceled: a caller that goes away says nothing of the pod.
func TestCanceled(t *testing.T) {
	inBubble(t, newFleet("prometheus-0", "prometheus-1"), "", ref, func(p *pinnedTest) {
		order := p.preferred()
		p.take()
		p.set(func() { p.answers[order[0]] = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() } })
		r := p.request(http.MethodGet, "/", nil)
		ctx, cancel := timeoutContext(p.t, time.Minute)
		defer cancel()
		if code, body := p.do(r.WithContext(ctx)); code != 0 {
			t.Errorf("got %d %s", code, body)
		}
		p.set(func() { delete(p.answers, order[0]) })
		if got := p.take(); got != order[0] {
			t.Errorf("asked %s", got)
		}
		p.want(order[0])
	})
}

// TestBytes passes errors on as they are, compressed ones too.
func TestBytes(t *testing.T) {
	compressed := func(text string) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = io.WriteString(w, text)
		_ = w.Close()
		return b.Bytes()
	}
	noise := strings.Builder{}
	for i := range 40_000 {
		noise.WriteByte('a' + byte(i*i*7919>>3%26))
	}
	const begin = `{"status":"error","errorType":"timeout","error":"`
	inBubble(t, newFleet("prometheus-0", "prometheus-1"), "", ref, func(p *pinnedTest) {
		order := p.preferred()
		for _, want := range [][]byte{
			compressed(begin + `query timed out"}`), compressed(begin + noise.String() + `"}`),
			[]byte(begin + noise.String() + `"}`), []byte(begin + `x"}`),
		} {
			p.set(func() {
				p.answers[order[0]] = func(w http.ResponseWriter, _ *http.Request) {
					if want[0] == 0x1f {
						w.Header().Set("Content-Encoding", "gzip")
					}
					w.WriteHeader(http.StatusServiceUnavailable)
					_, _ = w.Write(want)
				}
			})
			p.take()
			code, got := p.do(p.request(http.MethodGet, "/", nil))
			if code != 503 || got != string(want) || p.take() != order[0] {
				t.Errorf("got %d, %d bytes, want %d", code, len(got), len(want))
			}
		}
		// One that says it cannot answer is seen through its compression.
		p.set(func() {
			p.answers[order[0]] = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", "gzip")
				w.WriteHeader(http.StatusServiceUnavailable)
				_, _ = w.Write(compressed("Service Unavailable"))
			}
		})
		p.want(order[0] + " " + order[1])
	})
}

// TestTargetsShare: what is known of pods outlives a reload of the table, and no
// longer than the targets.
func TestTargetsShare(t *testing.T) {
	c := &Cluster{base: join(mustURL("https://example.com"), "")}
	pinnedRef := ref
	pinnedRef.Pin = true
	first := c.pin(pinnedRef)
	other := pinnedRef
	other.PathPrefix, other.Headers = "/x", http.Header{"A": {"b"}}
	if c.pin(other) != first {
		t.Error("the same port of a Service has two")
	}
	other.Port = "other"
	if c.pin(other) == first {
		t.Error("two ports have one")
	}
	runtime.KeepAlive(first)
	left := func() int {
		runtime.GC()
		c.pins.mu.Lock()
		defer c.pins.mu.Unlock()
		return len(c.pins.targets)
	}
	deadline := time.After(10 * time.Second)
	for left() > 0 {
		select {
		case <-deadline:
			t.Fatalf("%d targets are left", left())
		case <-time.After(time.Millisecond):
		}
	}
}

// TestConcurrentQuestions has many ask while pods come, go, fail and are back.
func TestConcurrentQuestions(t *testing.T) {
	inBubble(t, newFleet("prometheus-0", "prometheus-1", "prometheus-2"), "", ref, func(p *pinnedTest) {
		order := p.preferred()
		done := make(chan struct{})
		var asking sync.WaitGroup
		for range 8 {
			asking.Go(func() {
				for {
					select {
					case <-done:
						return
					case <-time.After(10 * time.Millisecond):
					}
					if code, body := p.do(p.request(http.MethodGet, "/", nil)); code != http.StatusOK {
						t.Errorf("got %d %s", code, body)
					}
				}
			})
		}
		for i := range 50 {
			p.set(func() { p.answers[order[0]] = []http.HandlerFunc{nil, dead}[i%2] })
			pods := []string{"prometheus-0", "prometheus-1", "prometheus-2"}
			pods[i%3] = "!" + pods[i%3]
			p.put(webSlice(pods...))
			<-time.After(300 * time.Millisecond)
		}
		close(done)
		asking.Wait()
		if p.outcomes["pinned"] == 0 || p.outcomes["next"] == 0 || p.outcomes["service"] > 0 {
			t.Errorf("outcomes %v", p.outcomes)
		}
	})
}
