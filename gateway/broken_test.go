package gateway

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/promgate/promgate/gateway/limit"
	"github.com/promgate/promgate/routing"
)

// onTheWire answers with bytes of its own and closes the connection.
func onTheWire(parts ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		for _, p := range parts {
			_, _ = io.WriteString(conn, p)
		}
	}
}

func TestCutBodies(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	long := `{"status":"success","data":"` + strings.Repeat("x", 100<<10) + `"}`
	packed := string(gzipped(strings.Repeat("incompressible? 8f3a91", 1000)))
	chunk := func(s string) string { return strconv.FormatInt(int64(len(s)), 16) + "\r\n" + s + "\r\n" }
	cases := map[string]struct {
		wire    string
		partial string // the body's beginning that may reach the client
	}{
		"length":              {head + "Content-Length: " + itoa(len(long)) + "\r\n\r\n" + long[:60<<10], long},
		"length, by one byte": {head + "Content-Length: " + itoa(len(long)) + "\r\n\r\n" + long[:len(long)-1], long},
		"chunked":             {head + "Transfer-Encoding: chunked\r\n\r\n" + chunk(long[:60<<10]), long},
		"chunked, no end":     {head + "Transfer-Encoding: chunked\r\n\r\n" + chunk(long), long},
		"chunked, in a chunk": {head + "Transfer-Encoding: chunked\r\n\r\n" + chunk(long[:50<<10]) + "ffff\r\n" + long[:100], long},
		"malformed chunk":     {head + "Transfer-Encoding: chunked\r\n\r\n" + chunk(long[:50<<10]) + "zz\r\n", long},
		"decoded, length":     {head + "Content-Encoding: gzip\r\nContent-Length: " + itoa(len(packed)) + "\r\n\r\n" + packed[:len(packed)-9], strings.Repeat("incompressible? 8f3a91", 1000)},
		"decoded, chunked":    {head + "Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(packed[:len(packed)/2]), strings.Repeat("incompressible? 8f3a91", 1000)},
		"decoded, no trailer": {head + "Content-Encoding: gzip\r\nContent-Length: " + itoa(len(packed)-8) + "\r\n\r\n" + packed[:len(packed)-8], strings.Repeat("incompressible? 8f3a91", 1000)},
		"decoded, wrong sum":  {head + "Content-Encoding: gzip\r\nContent-Length: " + itoa(len(packed)) + "\r\n\r\n" + packed[:len(packed)-8] + "12345678", strings.Repeat("incompressible? 8f3a91", 1000)},
		"decoded, no last chunk": {head + "Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(packed),
			strings.Repeat("incompressible? 8f3a91", 1000)},
	}
	for _, h := range []*harness{newHarness(t), newHarness2(t)} {
		for name, c := range cases {
			t.Run(name, func(t *testing.T) {
				h.up.answerWith(onTheWire(c.wire))
				resp, err := h.client.Do(h.request(http.MethodGet, production+"api/v1/query?query=up", ""))
				record := h.log.next(t)
				if err != nil {
					return // nothing of it was sent yet: the transfer is broken before its header
				}
				defer resp.Body.Close()
				body, err := io.ReadAll(resp.Body)
				if resp.StatusCode == http.StatusBadGateway { // found out before the first byte
					if !strings.HasPrefix(string(body), `{"status":"error","errorType":"bad_gateway","error":"`+messageBroken) {
						t.Errorf("answer %s", body)
					}
					return
				}
				if err == nil || resp.StatusCode != http.StatusOK || !strings.HasPrefix(c.partial, string(body)) {
					t.Errorf("answer %d, %d bytes, error %v: a broken transfer looks complete", resp.StatusCode, len(body), err)
				}
				if !h.h2 && !errors.Is(err, io.ErrUnexpectedEOF) || h.h2 && !strings.Contains(err.Error(), "stream error") {
					t.Errorf("the client sees %v", err)
				}
				if record["aborted"] != true || record["level"] != "WARN" || record["hop"] != "prometheus" || record["error_type"] != "bad_gateway" {
					t.Errorf("the log says %s", record["raw"])
				}
			})
		}
	}
}

func TestCloseDelimitedBody(t *testing.T) {
	h := newHarness(t)
	for _, head := range []string{"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n"} {
		h.up.answerWith(onTheWire(head + emptyResult))
		checkError(t, head, h.get(production+"api/v1/query?query=up"), http.StatusBadGateway,
			`{"status":"error","errorType":"bad_gateway","error":"`+messageNot+` (request id ID)"}`)
	}
}

// timesOut starts a harness whose patience with upstreams is short.
func timesOut(header, whole time.Duration) func(*Options) {
	return func(o *Options) {
		o.Limits.ResponseHeaderTimeout, o.Limits.RequestTimeout = header, whole
		o.Limits.Default.Queue = limit.Queue{Length: 1, Timeout: patience}
	}
}

func TestHangingUpstream(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	slow := `{"status":"error","errorType":"timeout","error":"` + messageSlow + ` (request id ID)"}`
	for name, limits := range map[string]func(*Options){
		"header":                      timesOut(50*time.Millisecond, patience),
		"whole, shorter than headers": timesOut(patience, 50*time.Millisecond),
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, limits)
			h.up.answerWith(hang)
			checkError(t, name, h.get(production+"api/v1/query?query=up"), http.StatusServiceUnavailable, slow)
			if record := h.log.next(t); record["hop"] != "prometheus" || record["cause"] != errHeaderTimeout.Error() {
				t.Errorf("the log says %s", record["raw"])
			}
		})
	}
	t.Run("before the first byte", func(t *testing.T) {
		h := newHarness(t, timesOut(patience, 100*time.Millisecond))
		h.up.answerWith(func(w http.ResponseWriter, r *http.Request) {
			answerJSON(200, "")(w, r)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})
		checkError(t, "no byte", h.get(production+"api/v1/query?query=up"), http.StatusServiceUnavailable, slow)
		if record := h.log.next(t); record["cause"] != errRequestTimeout.Error() {
			t.Errorf("the log says %s", record["raw"])
		}
	})
	t.Run("in the body", func(t *testing.T) {
		for _, h := range []*harness{newHarness(t, timesOut(patience, 200*time.Millisecond)), newHarness2(t, timesOut(patience, 200*time.Millisecond))} {
			h.up.answerWith(func(w http.ResponseWriter, r *http.Request) {
				answerJSON(200, strings.Repeat("x", 10<<10))(w, r)
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			})
			got := h.get(production + "api/v1/query?query=up")
			if got.status != http.StatusOK || got.err == nil {
				t.Errorf("answer %d, %d bytes, error %v; want a broken transfer", got.status, len(got.body), got.err)
			}
			if record := h.log.next(t); record["error_type"] != "timeout" || record["aborted"] != true {
				t.Errorf("the log says %s", record["raw"])
			}
		}
	})
}

func TestUnreachableUpstream(t *testing.T) {
	h := newHarness(t)
	h.up.Close()
	body := `{"status":"error","errorType":"unavailable","error":"` + messageUnreached + ` (request id ID)"}`
	checkError(t, "service proxy", h.get(production+"api/v1/query?query="+secretQuery), http.StatusServiceUnavailable, body, "Retry-After", "5")
	record := h.log.next(t)
	if raw := record["raw"].(string); record["hop"] != "api server" || !strings.Contains(raw, "connection refused") || strings.Contains(raw, "secret") {
		t.Errorf("the log says %s", raw)
	}
	h.edit(func(e *routing.Environment) { e.Target.ServiceProxy = nil })
	checkError(t, "url", h.get(production+"api/v1/query?query=up"), http.StatusServiceUnavailable, body, "Retry-After", "5")
	if record := h.log.next(t); record["hop"] != "prometheus" {
		t.Errorf("the log says %s", record["raw"])
	}
}

// TestSlowReader: a client that does not read gives its place back in time.
func TestSlowReader(t *testing.T) {
	h := newHarness(t, timesOut(patience, 300*time.Millisecond), func(o *Options) { o.Limits.Default.MaxConcurrent = 1 })
	h.up.answerWith(answerJSON(200, strings.Repeat("x", 64<<20)))
	conn, err := net.Dial("tcp", h.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET "+production+"api/v1/query?query=up HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+tokenShop+"\r\n\r\n")
	if record := h.log.next(t); record["aborted"] != true {
		t.Errorf("the log says %s", record["raw"])
	}
	h.up.answerWith(answerJSON(200, emptyResult))
	if got := h.get(production + "api/v1/query?query=up"); got.status != http.StatusOK {
		t.Errorf("the next request is answered %d %s", got.status, got.body)
	}
}

// TestEscapedPrefix: a target's escaped path stays as it is.
func TestEscapedPrefix(t *testing.T) {
	h := newHarness(t)
	h.edit(func(e *routing.Environment) {
		base := *e.Target.Base
		base.Path, base.RawPath = "/tenants/a/b/prometheus", "/tenants/a%2Fb/prometheus"
		e.Target.Base = &base
	})
	h.get(production + "api/v1/query?query=up")
	if calls := h.up.take(); len(calls) != 1 || calls[0].uri != "/tenants/a%2Fb/prometheus/api/v1/query?query=up" {
		t.Errorf("the upstream saw %v", calls)
	}
}
