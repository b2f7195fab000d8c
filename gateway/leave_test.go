package gateway

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// reader is a client that reads an answer and may leave before its end.
type reader struct {
	leave context.CancelFunc
	done  chan struct{}
	body  string
	err   error
}

// read has a client read an answer.
func (h *harness) read(path, encoding string) *reader {
	ctx, cancel := context.WithCancel(h.t.Context())
	r := &reader{leave: cancel, done: make(chan struct{})}
	request := h.request(http.MethodGet, path, "").WithContext(ctx)
	request.Header.Set("Accept-Encoding", encoding)
	go func() {
		defer close(r.done)
		resp, err := h.client.Do(request)
		if r.err = err; err != nil {
			return
		}
		defer resp.Body.Close()
		var body []byte
		body, r.err = io.ReadAll(resp.Body)
		r.body = string(body)
	}()
	return r
}

// TestLeave: whoever leaves, the leader or another, before the answer or in it, harms
// nobody; and the last one ends the call upstream.
func TestLeave(t *testing.T) {
	const path = production + "api/v1/query?query=up"
	body := strings.Repeat("x", 100<<10)
	for name, start := range both {
		for _, inBody := range []bool{false, true} {
			for gone := range 3 {
				t.Run(name, func(t *testing.T) {
					h := start(t, keeping)
					entered, release := make(chan struct{}), make(chan struct{})
					h.up.answerWith(func(w http.ResponseWriter, r *http.Request) {
						close(entered)
						if inBody {
							answerJSON(http.StatusOK, body[:60<<10])(w, r)
							_ = http.NewResponseController(w).Flush()
							<-release
							_, _ = io.WriteString(w, body[60<<10:])
							return
						}
						<-release
						answerJSON(http.StatusOK, body)(w, r)
					})
					var readers []*reader
					for i := range 3 { // the first one leads
						readers = append(readers, h.read(path, "identity"))
						if !inBody {
							eventually(t, "it has come", func() bool { return h.staying() == i+1 })
						}
						if i == 0 {
							<-entered
						}
						if inBody {
							break
						}
					}
					if !inBody {
						readers[gone].leave()
						<-readers[gone].done
						eventually(t, "it has left", func() bool { return h.staying() == 2 })
					}
					close(release)
					for i, r := range readers {
						<-r.done
						if (inBody || i != gone) && (r.err != nil || r.body != body) {
							t.Errorf("reader %d got %d bytes, %v", i, len(r.body), r.err)
						}
					}
					if calls := h.up.take(); len(calls) != 1 {
						t.Errorf("the upstream saw %d questions", len(calls))
					}
					h.wantNothingLeft()
				})
			}
		}
	}
}

// TestLastLeaves: when nobody waits any more the upstream is told within 100 ms,
// whether one asked or several did, before the answer or in it.
func TestLastLeaves(t *testing.T) {
	for name, start := range both {
		for _, path := range []string{"api/v1/query?query=up", rangeOf("up", 100, 3600), "api/v1/labels"} {
			for _, inBody := range []bool{false, true} {
				for _, many := range []int{1, 3} {
					t.Run(name, func(t *testing.T) {
						h := start(t, keeping)
						h.get(production + "api/v1/query?query=first")
						closeIdle(h)
						idle := goroutines(t)
						entered, begin, canceled := make(chan struct{}, 1), make(chan struct{}), make(chan time.Time, 1)
						h.up.answerWith(func(w http.ResponseWriter, r *http.Request) {
							entered <- struct{}{}
							if inBody {
								<-begin
								answerJSON(http.StatusOK, strings.Repeat("x", 64<<10))(w, r)
								_ = http.NewResponseController(w).Flush()
								entered <- struct{}{}
							}
							<-r.Context().Done()
							canceled <- time.Now()
						})
						best := patience
						for range 5 { // the machine may be busy
							var readers []*reader
							for range many {
								readers = append(readers, h.read(production+path, "gzip"))
							}
							eventually(t, "all have come", func() bool { return h.staying() == many })
							<-entered
							if inBody {
								begin <- struct{}{}
								<-entered
								// What several wait for is read whole before they get it.
								eventually(t, "the answer has come", func() bool { return many > 1 || h.staying() == 0 })
							}
							gone := time.Now()
							for _, r := range readers {
								r.leave()
							}
							best = min(best, (<-canceled).Sub(gone))
							for _, r := range readers {
								<-r.done
							}
							h.wantNothingLeft()
						}
						if best > 100*time.Millisecond {
							t.Errorf("the upstream was canceled after %s at best", best)
						}
						eventually(t, "as many goroutines as before", func() bool { closeIdle(h); return runtime.NumGoroutine() <= idle })
					})
				}
			}
		}
	}
}

// TestLeaveAnyTime has readers leave at random moments: those who stay get all of
// the answer, and nothing is left of anybody.
func TestLeaveAnyTime(t *testing.T) {
	for name, start := range both {
		t.Run(name, func(t *testing.T) {
			h := start(t, keeping)
			h.get(production + "api/v1/query?query=first")
			closeIdle(h)
			idle := goroutines(t)
			body := randomText(300 << 10)
			h.up.answerWith(func(w http.ResponseWriter, r *http.Request) {
				random := rand.New(rand.NewPCG(uint64(len(r.RequestURI)), 7))
				pause := func() {
					select {
					case <-time.After(time.Duration(random.IntN(3000)) * time.Microsecond):
					case <-r.Context().Done():
					}
				}
				pause()
				if strings.Contains(r.URL.Path, "query_range") {
					pause()
					answerMatrix(w, r)
					return
				}
				answerJSON(http.StatusOK, "")(w, r)
				for rest := body; rest != ""; {
					n := min(len(rest), 1+random.IntN(90<<10))
					if _, err := io.WriteString(w, rest[:n]); err != nil {
						return
					}
					rest = rest[n:]
					_ = http.NewResponseController(w).Flush()
					pause()
				}
			})
			for round := range 60 {
				leaveAtRandom(t, h, round, body)
			}
			h.wantNothingLeft()
			eventually(t, "as many goroutines as before", func() bool { closeIdle(h); return runtime.NumGoroutine() <= idle })
		})
	}
}

// leaveAtRandom is one round: up to nine readers of one answer.
func leaveAtRandom(t *testing.T, h *harness, round int, body string) {
	path := "api/v1/query?query=up" + itoa(round)
	if round%3 == 0 {
		path = rangeOf("up"+itoa(round), 1000, 3600) // kept, and compressed here
		body = ""
	}
	stays := map[*reader]bool{}
	var readers []*reader
	for range 1 + rand.N(9) {
		encoding := "identity"
		if body == "" && rand.N(2) == 0 {
			encoding = "gzip"
		}
		r := h.read(production+path, encoding)
		readers = append(readers, r)
		if stays[r] = rand.N(3) == 0; !stays[r] {
			time.AfterFunc(time.Duration(rand.N(12_000))*time.Microsecond, r.leave)
		}
	}
	var all sync.WaitGroup
	for _, r := range readers {
		all.Go(func() { <-r.done })
	}
	all.Wait()
	for _, r := range readers {
		if stays[r] && (r.err != nil || body != "" && r.body != body || len(r.body) < 1000) {
			t.Errorf("round %d: who stayed got %d bytes, %v", round, len(r.body), r.err)
		}
		r.leave()
	}
}
