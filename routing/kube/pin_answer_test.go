package kube

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/klauspost/compress/gzip"
)

// again is what becomes of a question after an answer.
type again int

const (
	stays again = iota // the answer is passed on
	next               // the next pod is asked, and the first is avoided
	once               // the next pod is asked this time
)

// abort breaks the connection.
func abort(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

var podAnswers = []struct {
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
}

// TestFailover has the preferred pod answer in each way.
func TestFailover(t *testing.T) {
	for _, c := range podAnswers {
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

// TestAllFail passes the more telling answer on.
func TestAllFail(t *testing.T) {
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

// TestHead goes by the status: an answer to HEAD has no body.
func TestHead(t *testing.T) {
	inBubble(t, newFleet("prometheus-0", "prometheus-1"), "", ref, func(p *pinnedTest) {
		order := p.preferred()
		for _, c := range []struct {
			code int
			want string
		}{{200, order[0]}, {404, order[0]}, {403, order[0]}, {503, order[0] + " " + order[1]}, {200, order[1]}} {
			p.set(func() { p.answers[order[0]] = text(c.code, "application/json", "") })
			p.take()
			p.do(p.request(http.MethodHead, "/", nil))
			if got := p.take(); got != c.want {
				t.Errorf("%d: asked %s", c.code, got)
			}
		}
	})
}

// TestRightLost: the right is taken away between the two pods.
func TestRightLost(t *testing.T) {
	inBubble(t, newFleet("prometheus-0", "prometheus-1"), "", ref, func(p *pinnedTest) {
		order := p.preferred()
		p.set(func() {
			p.answers[order[0]] = func(w http.ResponseWriter, r *http.Request) {
				p.set(func() { p.denied["pods"] = true })
				dead(w, r)
			}
		})
		p.take()
		p.want(order[0] + " " + order[1] + " service")
		p.want("service")
	})
}

func TestParseHead(t *testing.T) {
	for text, want := range map[string]errorHead{
		`{"kind":"Status","metadata":{"a":[1,{"b":null}]},"status":"Failure","message":"m","code":503}`: {kind: "Status", status: "Failure", message: "m"},
		`{"status":"error","errorType":"timeout","error":"cut`:                                          {status: "error", errorType: "timeout"},
		`{"status":"error","data":{"kind":"Status"},"errorType":"x"}`:                                   {status: "error", errorType: "x"},
		`{"kind":1,"status":null}`: {}, `[{"kind":"Status"}]`: {}, `"kind"`: {}, ``: {}, `{`: {}, `{"kind"`: {}, `<html>`: {}, `Service Unavailable`: {},
	} {
		if got := parseHead([]byte(text)); got != want {
			t.Errorf("%s: got %+v", text, got)
		}
	}
}
