package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const slowConnections = 2000

// drip is a connection that sends a request a byte at a time, and never to its end.
type drip struct {
	net.Conn
	sent string
}

// openDrips opens slow connections: every second one drips its headers, the
// others the body of a question that is allowed.
func openDrips(t *testing.T, p *program, token string) []*drip {
	t.Helper()
	address := strings.TrimPrefix(p.url, "http://")
	header := "POST /projects/shop/environments/production/api/v1/query HTTP/1.1\r\nHost: " + address + "\r\n"
	withBody := header + "Authorization: Bearer " + token +
		"\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100000\r\n\r\nquery=up"
	drips := make([]*drip, slowConnections)
	dialer := net.Dialer{Timeout: patience}
	for i := range drips {
		conn, err := dialer.DialContext(t.Context(), "tcp", address)
		must(t, err)
		drips[i] = &drip{Conn: conn, sent: header}
		if i%2 == 1 {
			drips[i].sent = withBody
		}
		_, err = conn.Write([]byte(drips[i].sent))
		must(t, err)
	}
	return drips
}

// cutAfter is when the program cuts the slow connections at the earliest: it
// gives headers and bodies 10 seconds.
const cutAfter = 9 * time.Second

// allDrips opens slow connections and waits until the program has them all. A
// machine that is too busy to open them before the first are cut tries again.
func allDrips(t *testing.T, p *program, token string, before int) []*drip {
	t.Helper()
	began, n := time.Now(), 0
	for time.Since(began) < 4*patience {
		opened := time.Now()
		drips := openDrips(t, p, token)
		look := time.NewTicker(50 * time.Millisecond)
		for time.Since(opened) < cutAfter {
			if n = p.goroutines(); n >= before+slowConnections {
				look.Stop()
				return drips
			}
			<-look.C
		}
		look.Stop()
		for _, d := range drips {
			_ = d.Close()
		}
		eventually(t, patience, func() error {
			if n := p.goroutines(); n > before+10 {
				return fmt.Errorf("%d goroutines, %d before", n, before)
			}
			return nil
		})
	}
	t.Fatalf("%d goroutines, %d before: the slow connections have not all come", n, before)
	return nil
}

// keepDripping sends one more byte on each connection, over and over, until
// the context ends. It spreads the work so that the machine is not the limit.
func keepDripping(ctx context.Context, drips []*drip) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		for _, d := range drips {
			_, _ = d.Write([]byte("x")) // the server may have had enough of it
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

var goroutineTotal = regexp.MustCompile(`^goroutine profile: total (\d+)\n`)

// goroutines is the number of goroutines of the program.
func (p *program) goroutines() int {
	p.t.Helper()
	got := fetch(p.admin+"/debug/pprof/goroutine?debug=1", "")
	found := goroutineTotal.FindStringSubmatch(got.body)
	if found == nil {
		p.t.Fatalf("no goroutine profile: status %d, %v, %.100q", got.status, got.err, got.body)
	}
	n, err := strconv.Atoi(found[1])
	must(p.t, err)
	return n
}

// TestSlowConnections sees that thousands of slow clients stop nobody, and
// leave nothing behind.
func TestSlowConnections(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	p := spawn(t, configure(t, preamble+unhurried+shop("production", u.URL)), "")
	token := createToken(t, p.config)
	good := newClient(t, nil, false)
	eventually(t, patience, func() error { return wantStatus(fetchBy(good, p.query("production"), token), http.StatusOK) })
	before := p.goroutines()

	drips := allDrips(t, p, token, before)
	ctx, stop := context.WithCancel(t.Context())
	var dripping sync.WaitGroup
	dripping.Go(func() { keepDripping(ctx, drips) })
	slowest := time.Duration(0)
	for range 200 {
		began := time.Now()
		must(t, wantAnswer(fetchBy(good, p.query("production"), token), http.StatusOK, emptyResult))
		slowest = max(slowest, time.Since(began))
	}
	t.Logf("beside %d slow connections the slowest of 200 answers took %s", slowConnections, slowest)
	if slowest > 2*time.Second {
		t.Errorf("the slowest answer took %s", slowest)
	}
	// New clients get in, too.
	must(t, wantAnswer(fetchBy(newClient(t, nil, false), p.query("production"), token), http.StatusOK, emptyResult))
	stop()
	dripping.Wait()
	errs := make([]error, len(drips))
	for i, d := range drips {
		errs[i] = d.Close()
	}
	must(t, errors.Join(errs...))
	eventually(t, patience, func() error {
		if n := p.goroutines(); n > before+10 {
			return fmt.Errorf("%d goroutines, %d before", n, before)
		}
		return nil
	})
}
