package gateway

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestLargeAnswer: 100 MiB pass through without being held.
func TestLargeAnswer(t *testing.T) {
	const size = 100 << 20
	h := newHarness(t)
	piece := bytes.Repeat([]byte("x"), 64<<10)
	h.up.answerWith(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for range size / len(piece) {
			_, _ = w.Write(piece)
		}
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	resp, err := h.client.Do(h.request(http.MethodGet, production+"api/v1/query?query=up", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, make([]byte, 32<<10))
	runtime.ReadMemStats(&after)
	if n != size || err != nil {
		t.Errorf("%d bytes, error %v", n, err)
	}
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 8<<20 {
		t.Errorf("%d bytes were allocated for an answer of %d", allocated, size)
	}
	if record := h.log.next(t); record["bytes"] != float64(size) {
		t.Errorf("the log says %s", record["raw"])
	}
}

func randomText(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + rand.N(26))
	}
	return string(b)
}

func TestGzip(t *testing.T) {
	text := `{"status":"success","data":"` + randomText(300<<10) + `"}`
	packed := string(gzipped(text))
	for _, h := range []*harness{newHarness(t), newHarness2(t)} {
		for _, chunked := range []bool{false, true} {
			h.up.answerWith(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("Content-Encoding", "gzip")
				if !chunked {
					w.Header().Set("Content-Length", itoa(len(packed)))
				}
				_, _ = io.WriteString(w, packed)
			})
			for accept, passes := range map[string]bool{"gzip": true, "deflate, gzip;q=0.5, br": true, "*": true, "": false, "identity": false, "br": false, "gzip;q=0": false} {
				r := h.request(http.MethodGet, production+"api/v1/query?query=up", "")
				if accept != "" {
					r.Header.Set("Accept-Encoding", accept)
				}
				got := h.do(r)
				call := h.up.take()[0]
				want, encoding, length, asked := text, "", "", "identity"
				if passes {
					want, encoding, asked = packed, "gzip", "gzip"
					if !chunked {
						length = itoa(len(packed))
					}
				}
				if got.status != 200 || got.err != nil || got.body != want || got.header.Get("Content-Encoding") != encoding || got.header.Get("Content-Length") != length || got.header.Get("Vary") != "Accept-Encoding" {
					t.Errorf("Accept-Encoding %q: answer %d, %d bytes (%v), %v", accept, got.status, len(got.body), got.err, got.header)
				}
				if call.header.Get("Accept-Encoding") != asked {
					t.Errorf("Accept-Encoding %q: the upstream was asked for %q", accept, call.header.Get("Accept-Encoding"))
				}
			}
		}
	}
}

// TestFlushed: what comes in pieces goes on in pieces.
func TestFlushed(t *testing.T) {
	for _, h := range []*harness{newHarness(t), newHarness2(t)} {
		for _, packed := range []bool{false, true} {
			release := make(chan struct{})
			h.up.answerWith(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", ndjson)
				var out io.Writer = w
				flush := func() { _ = http.NewResponseController(w).Flush() }
				if packed {
					w.Header().Set("Content-Encoding", "gzip")
					gz := gzip.NewWriter(w)
					defer gz.Close()
					out, flush = gz, func() { _ = gz.Flush(); _ = http.NewResponseController(w).Flush() }
				}
				_, _ = io.WriteString(out, `{"results":[]}`+"\n")
				flush()
				<-release
				_, _ = io.WriteString(out, `{"status":"success"}`+"\n")
			})
			resp, err := h.client.Do(h.request(http.MethodGet, production+"api/v1/search/label_names", ""))
			if err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewReader(resp.Body)
			if line, err := lines.ReadString('\n'); line != `{"results":[]}`+"\n" || err != nil {
				t.Errorf("the first line is %q (%v)", line, err)
			}
			close(release)
			if rest, err := io.ReadAll(lines); string(rest) != `{"status":"success"}`+"\n" || err != nil {
				t.Errorf("the rest is %q (%v)", rest, err)
			}
			_ = resp.Body.Close()
		}
	}
}

// TestRemoteReadStreams: the upstream sees the beginning of a body whose end
// is not sent yet, and the client the beginning of an answer.
func TestRemoteReadStreams(t *testing.T) {
	for _, h := range []*harness{newHarness(t), newHarness2(t)} {
		began, release := make(chan string, 1), make(chan struct{})
		h.up.handsOff = true
		h.up.answerWith(func(w http.ResponseWriter, r *http.Request) {
			first := make([]byte, 5)
			_, _ = io.ReadFull(r.Body, first)
			began <- string(first)
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse")
			_, _ = io.WriteString(w, "frame")
			_ = http.NewResponseController(w).Flush()
			<-release
			_, _ = io.WriteString(w, "frame")
		})
		body, sender := io.Pipe()
		go func() {
			_, _ = io.WriteString(sender, "query")
			if first := <-began; first != "query" {
				t.Errorf("the upstream saw %q first", first)
			}
			_, _ = io.WriteString(sender, "rest")
			_ = sender.Close()
		}()
		resp, err := h.client.Do(h.remoteRead(body))
		if err != nil {
			t.Fatal(err)
		}
		frame := make([]byte, 5)
		if _, err := io.ReadFull(resp.Body, frame); err != nil || string(frame) != "frame" {
			t.Errorf("the first frame is %q (%v)", frame, err)
		}
		// A body that was read to its end sets no bound to the answer.
		time.AfterFunc(restTime+200*time.Millisecond, func() { close(release) })
		if rest, err := io.ReadAll(resp.Body); string(rest) != "frame" || err != nil {
			t.Errorf("the rest is %q (%v)", rest, err)
		}
		_ = resp.Body.Close()
	}
}

// TestClientGone: the upstream is canceled within 100 ms, before and in the
// body, and nothing is left behind.
func TestClientGone(t *testing.T) {
	for name, start := range map[string]func(testing.TB, ...func(*Options)) *harness{"h1": newHarness, "h2": newHarness2} {
		for _, inBody := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				h := start(t)
				reached, canceled := make(chan struct{}, 1), make(chan time.Time, 1)
				h.get(production + "api/v1/query?query=up")
				h.log.next(t)
				closeIdle(h)
				idle := goroutines(t)
				h.up.answerWith(func(w http.ResponseWriter, r *http.Request) {
					if inBody {
						answerJSON(200, strings.Repeat("x", 64<<10))(w, r)
						_ = http.NewResponseController(w).Flush()
					}
					reached <- struct{}{}
					<-r.Context().Done()
					canceled <- time.Now()
				})
				best := patience
				for range 5 { // the machine may be busy
					ctx, cancel := context.WithCancel(t.Context())
					done := make(chan struct{})
					go func() {
						defer close(done)
						resp, err := h.client.Do(h.request(http.MethodPost, production+"api/v1/query", "query=up").WithContext(ctx))
						if err == nil {
							_, _ = io.Copy(io.Discard, resp.Body)
							_ = resp.Body.Close()
						}
					}()
					<-reached
					gone := time.Now()
					cancel()
					best = min(best, (<-canceled).Sub(gone))
					<-done
					record := h.log.next(t)
					if record["status"] != float64(statusClientGone) || record["level"] != "INFO" || record["error_type"] != "canceled" {
						t.Errorf("the log says %s", record["raw"])
					}
				}
				if best > 100*time.Millisecond {
					t.Errorf("the upstream was canceled after %s at best", best)
				}
				closeIdle(h)
				eventually(t, "as many goroutines as before", func() bool { closeIdle(h); return runtime.NumGoroutine() <= idle })
			})
		}
	}
}

func closeIdle(h *harness) {
	h.client.CloseIdleConnections()
	e, _ := h.routes.Load().Lookup("shop", "production")
	e.Target.Transport.(*http.Transport).CloseIdleConnections()
	h.up.CloseClientConnections()
}

// goroutines is their number once it has come to rest.
func goroutines(t *testing.T) int {
	last, same := runtime.NumGoroutine(), 0
	eventually(t, "a steady number of goroutines", func() bool {
		if n := runtime.NumGoroutine(); n != last {
			last, same = n, 0
		}
		same++
		return same > 20
	})
	return last
}
