package gateway

import (
	"bufio"
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/gateway/limit"
	"github.com/promgate/promgate/routing"
)

const outcomeHeader = "X-Promgate-Cache"

// TestNeverKept: only a complete good answer in Prometheus' own form, with nothing to
// remark, is an answer for the next one.
func TestNeverKept(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	for path, good := range map[string]string{
		rangeOf("up", 10, 3600):    matrixOf(&http.Request{}, `{"__name__":"up"}`),
		"api/v1/labels":            `{"status":"success","data":["a"]}`,
		"api/v1/label/a/values":    `{"status":"success","data":["a"]}`,
		"api/v1/series?match[]=up": `{"status":"success","data":[{"__name__":"up"}]}`,
		"api/v1/metadata":          `{"status":"success","data":{"up":[]}}`,
	} {
		for name, bad := range map[string]http.HandlerFunc{
			"cut, with a length": onTheWire(head + "Content-Length: " + itoa(len(good)) + "\r\n\r\n" + good[:len(good)-1]),
			"cut, in chunks":     onTheWire(head + "Transfer-Encoding: chunked\r\n\r\n" + strconv.FormatInt(int64(len(good)), 16) + "\r\n" + good + "\r\n"),
			"400":                answerJSON(400, `{"status":"error","errorType":"bad_data","error":"x"}`),
			"422":                answerJSON(422, `{"status":"error","errorType":"execution","error":"x"}`),
			"503":                answerJSON(503, `{"status":"error","errorType":"timeout","error":"x"}`),
			"500 of a proxy":     answerAs(500, "text/plain", "x"),
			"HTML":               answerAs(200, "text/html", good),
			"HTML as JSON":       answerJSON(200, "<html></html>"),
			"an error with 200":  answerJSON(200, strings.Replace(good, "success", "error", 1)),
			"warnings":           answerJSON(200, good[:len(good)-1]+`,"warnings":["w"]}`),
			"infos":              answerJSON(200, good[:len(good)-1]+`,"infos":["i"]}`),
			"a part is missing":  answerJSON(200, good[:len(good)-1]+`,"isPartial":true}`),
			"half of it":         answerJSON(200, good[:len(good)-2]),
			"nothing":            answerJSON(200, ""),
		} {
			t.Run(name+" "+path[7:13], func(t *testing.T) {
				h := newHarness(t, keeping)
				h.manualClock()
				h.up.answerWith(bad)
				for i := range 3 {
					if resp, err := h.client.Do(h.request(http.MethodGet, production+path, "")); err == nil {
						_, _ = io.Copy(io.Discard, resp.Body)
						_ = resp.Body.Close()
						if o := resp.Header.Get(outcomeHeader); o == "hit" || o == "partial" {
							t.Errorf("request %d is a %s", i, o)
						}
					}
					if calls := h.up.take(); len(calls) != 1 {
						t.Fatalf("request %d: the upstream saw %d questions", i, len(calls))
					}
				}
				h.wantNothingLeft()
			})
		}
	}
}

// TestBrokenPiece: a piece that is cut short or refused fails the whole answer, as the
// whole question would; there is never a gap.
func TestBrokenPiece(t *testing.T) {
	for name, c := range map[string]struct {
		bad    http.HandlerFunc
		status int
	}{
		"cut":     {onTheWire("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{\"status\":\"success\",\"data\":"), 502},
		"HTML":    {answerAs(200, "text/html", "<html>"), 502},
		"refused": {answerJSON(422, `{"status":"error","errorType":"execution","error":"x"}`), 422},
	} {
		for _, asked := range []string{rangeOf("up", 30, 3600), rangeOf("up", 5000, 7200)} {
			t.Run(name, func(t *testing.T) {
				h := newHarness(t, keeping)
				h.manualClock()
				h.up.answerWith(answerMatrix)
				if got := h.get(production + rangeOf("up", 20, 3600)); got.header.Get(outcomeHeader) != "miss" {
					t.Fatalf("answer %d, %v", got.status, got.header)
				}
				h.up.answerWith(func(w http.ResponseWriter, r *http.Request) {
					// Of several pieces the last one fails.
					if end, _ := strconv.Atoi(r.FormValue("end")); end < 1767225600-86400 {
						answerMatrix(w, r)
						return
					}
					c.bad(w, r)
				})
				if got := h.get(production + asked); got.status != c.status || !strings.Contains(got.body, `"status":"error"`) {
					t.Errorf("answer %d %.300s", got.status, got.body)
				}
				h.up.answerWith(answerMatrix)
				got := h.get(production + asked)
				if want := matrixOf(h.request(http.MethodGet, production+asked, ""), `{"__name__":"up"}`); got.status != 200 || got.body != want {
					t.Errorf("then the answer is %d, %d bytes of %d", got.status, len(got.body), len(want))
				}
				h.wantNothingLeft()
			})
		}
	}
}

// TestBrief: answers that tell what there is are kept for 30 seconds.
func TestBrief(t *testing.T) {
	h := newHarness(t, keeping)
	clock := h.manualClock()
	ask := func(path, outcome string, calls int) {
		t.Helper()
		got := h.get(path)
		if seen := len(h.up.take()); got.status != 200 || got.header.Get(outcomeHeader) != outcome || seen != calls {
			t.Errorf("%s: %d %s, %q, %d questions; want %q, %d", path, got.status, got.body, got.header.Get(outcomeHeader), seen, outcome, calls)
		}
	}
	h.up.answerWith(answerJSON(200, `{"status":"success","data":["a"]}`))
	for _, path := range []string{"api/v1/labels", "api/v1/label/a/values", "api/v1/label/b/values", "api/v1/series?match[]=up", "api/v1/metadata", "api/v1/labels?match[]=up"} {
		ask(production+path, "miss", 1)
		ask(production+path, "hit", 0)
		ask(staging+path, "miss", 1) // which is another environment
	}
	clock.move(briefTime - time.Millisecond)
	ask(production+"api/v1/labels", "hit", 0)
	clock.move(time.Millisecond)
	ask(production+"api/v1/labels", "miss", 1)
	// What the gateway does itself of what is asked tells questions apart.
	h.edit(func(e *routing.Environment) { e.Enforce = shopAlone })
	h.up.answerWith(func(w http.ResponseWriter, r *http.Request) {
		body := `{"status":"success","data":{"up":[],"down":[]}}`
		if strings.HasSuffix(r.URL.Path, "values") {
			body = `{"status":"success","data":["up","down"]}`
		}
		answerJSON(200, body)(w, r)
	})
	for _, limit := range []string{"", "?limit=1", "?limit=2", "?limit_per_metric=1"} {
		ask(production+"api/v1/metadata"+limit, "miss", 2)
		ask(production+"api/v1/metadata"+limit, "hit", 0)
	}
	// Where callers are asked about each time, so are these.
	users, _ := newUsers(t)
	byCaller(users)
	users.gateway.SetCache(Cache{MaxBytes: 64 << 20, Freshness: time.Minute})
	for range 2 {
		if got := users.as("user-jane", production+"api/v1/labels"); got.header.Get(outcomeHeader) != "bypass" || len(users.up.take()) != 1 {
			t.Errorf("with the caller's credential: %d %v", got.status, got.header)
		}
	}
}

// TestCompressed: what is put together here is compressed for those who take it, and
// never looks complete when it is not.
func TestCompressed(t *testing.T) {
	for _, start := range both {
		h := start(t, keeping)
		h.manualClock()
		h.up.answerWith(answerMatrix)
		for _, steps := range []int{5, 1000} {
			path := production + rangeOf("up", steps, 3600)
			want := h.get(path).body
			r := h.request(http.MethodGet, path, "")
			r.Header.Set("Accept-Encoding", "gzip")
			got := h.do(r)
			encoding, length := "gzip", ""
			if steps == 5 {
				encoding, length = "", itoa(len(want))
			}
			if got.header.Get(outcomeHeader) != "hit" || got.header.Get("Content-Encoding") != encoding || got.header.Get("Content-Length") != length || got.header.Get("Vary") != "Accept-Encoding" {
				t.Errorf("%d steps: %v", steps, got.header)
			}
			if encoding == "gzip" {
				decoder, err := gzip.NewReader(strings.NewReader(got.body))
				if err != nil {
					t.Fatal(err)
				}
				plain, err := io.ReadAll(decoder)
				if got.body = string(plain); err != nil {
					t.Error(err)
				}
			}
			if got.body != want || len(want) < 100 {
				t.Errorf("%d steps: %d bytes of %d", steps, len(got.body), len(want))
			}
		}
		h.up.answerWith(onTheWire("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 200000\r\n\r\n" + strings.Repeat("x", 150<<10)))
		r := h.request(http.MethodGet, production+rangeOf("broken", 1000, 3600), "")
		r.Header.Set("Accept-Encoding", "gzip")
		if resp, err := h.client.Do(r); err == nil {
			if body, err := io.ReadAll(resp.Body); resp.StatusCode == 200 && err == nil {
				t.Errorf("a broken answer looks complete: %d bytes", len(body))
			}
			_ = resp.Body.Close()
		}
		if got := h.do(h.request(http.MethodHead, production+"-/ready", "")); got.status != http.StatusBadGateway && got.body != "" {
			t.Errorf("HEAD: %d %q", got.status, got.body)
		}
		h.gateway.compressing.Add(maxCompressors) // as many as may work are at work
		r = h.request(http.MethodGet, production+rangeOf("up", 1000, 3600), "")
		r.Header.Set("Accept-Encoding", "gzip")
		if got := h.do(r); got.header.Get("Content-Encoding") != "" || got.status != 200 {
			t.Errorf("one compressor too many: %d %v", got.status, got.header)
		}
		h.gateway.compressing.Add(-maxCompressors)
		h.wantNothingLeft()
	}
}

// TestSlowFollower: one that does not read stops nobody, and is not stopped: a short
// answer waits for it whole, and a long one is everybody's own.
func TestSlowFollower(t *testing.T) {
	for name, c := range map[string]struct{ size, calls int }{"short": {3 << 20, 1}, "long": {32 << 20, 3}} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, keeping)
			release := make(chan struct{})
			body := strings.Repeat(randomText(1<<10), c.size>>10)
			h.up.answerWith(func(w http.ResponseWriter, r *http.Request) {
				<-release
				answerJSON(200, body)(w, r)
			})
			const path = production + "api/v1/query?query=up"
			conn, err := net.Dial("tcp", h.server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer "+tokenShop+"\r\n\r\n")
			eventually(t, "the slow one has come", func() bool { return h.staying() == 1 })
			fast := []*reader{h.read(path, "identity"), h.read(path, "identity")}
			eventually(t, "all have come", func() bool { return h.staying() == 3 })
			close(release)
			for _, r := range fast {
				if <-r.done; r.err != nil || r.body != body {
					t.Errorf("a fast one got %d bytes, %v", len(r.body), r.err)
				}
			}
			if calls := len(h.up.take()); calls != c.calls || calls == 1 && h.gateway.limits.Load().total.Use().Taken != 0 {
				t.Errorf("the upstream saw %d questions, want %d; places taken: %d", calls, c.calls, h.gateway.limits.Load().total.Use().Taken)
			}
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if rest, err := io.ReadAll(response.Body); err != nil || string(rest) != body {
				t.Errorf("the slow one got %d bytes, %v", len(rest), err)
			}
			h.wantNothingLeft()
		})
	}
}

// TestPlacesOfShared: pieces take places; whoever follows and what is kept take none;
// and where the one who asks finds none, those who followed try for themselves.
func TestPlacesOfShared(t *testing.T) {
	h := newHarness(t, keeping, func(o *Options) {
		o.Limits.Default.MaxConcurrent, o.Limits.Default.Queue = 2, limit.Queue{Length: 1, Timeout: patience}
	})
	h.manualClock()
	h.up.answerWith(answerMatrix)
	kept := production + rangeOf("kept", 10, 3600)
	h.get(kept)
	entered, release := make(chan struct{}, 99), make(chan struct{})
	h.up.answerWith(func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-release
		answerMatrix(w, r)
	})
	places := h.places()
	pieces := h.read(production+rangeOf("pieces", 2000, 3600), "identity") // of two days
	<-entered
	<-entered
	var followers []*reader
	for range 20 {
		followers = append(followers, h.read(production+rangeOf("pieces", 2000, 3600), "identity"))
	}
	eventually(t, "all have come", func() bool { return h.staying() == 21 })
	if use := places.Use(); use.Taken != 2 || use.Waiting != 0 {
		t.Errorf("places: %+v", use)
	}
	if got := h.get(kept); got.header.Get(outcomeHeader) != "hit" {
		t.Errorf("with no place free: %d %v", got.status, got.header)
	}
	// One waits, and so there is no room for another one of the same principal. A
	// follower of another one takes its turn.
	waits := h.read(production+"api/v1/query?query=waits", "identity")
	eventually(t, "one waits", func() bool { return places.Use().Waiting == 1 })
	if got := h.get(production + "api/v1/query?query=refused"); got.status != http.StatusTooManyRequests {
		t.Errorf("one too many: %d %s", got.status, got.body)
	}
	close(release)
	for _, r := range append(followers, pieces, waits) {
		if <-r.done; r.err != nil || !strings.Contains(r.body, `"success"`) {
			t.Errorf("got %.200s, %v", r.body, r.err)
		}
	}
	h.wantNothingLeft()
}

// TestRefusedLeader: a place that one did not get is not refused to others who
// followed.
func TestRefusedLeader(t *testing.T) {
	h := newHarness(t, keeping)
	var calls atomic.Int32
	crowded := refused(limit.ErrQueueFull, "maxConcurrent", "this environment has", 1)
	stage := h.gateway.coalesced(func(_ context.Context, req *Request) (*Response, error) {
		want := 6
		if calls.Add(1) > 1 {
			want = 5
		}
		if calls.Load() < 3 {
			eventually(t, "all have come", func() bool { return h.staying() == want })
		}
		if req.record.principal.ID == "a" {
			return nil, crowded
		}
		return &Response{body: strings.NewReader("x"), length: 1, status: 200}, nil
	})
	e, _ := h.routes.Load().Lookup("shop", "production")
	endpoint := endpointNamed("query")
	var all sync.WaitGroup
	for i, who := range []string{"a", "a", "a", "b", "b", "b"} {
		req := &Request{endpoint: endpoint, standing: &standing{environment: e}, keeper: h.gateway.keeper.Load(), record: &record{principal: auth.Principal{ID: who}}}
		all.Go(func() {
			resp, err := stage(t.Context(), req)
			if who == "b" && err != nil || who == "a" && err != nil && err != crowded {
				t.Errorf("%s got %v", who, err)
			}
			if err == nil {
				if body, err := io.ReadAll(resp.body); string(body) != "x" || err != nil {
					t.Errorf("%s read %q, %v", who, body, err)
				}
				resp.Close()
			}
		})
		eventually(t, "it has come", func() bool { return h.staying() > i || calls.Load() > 1 })
	}
	all.Wait()
	if n := calls.Load(); n < 2 || n > 5 {
		t.Errorf("%d calls", n)
	}
	h.wantNothingLeft()
}
