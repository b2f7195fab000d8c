package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// draining is the configuration of servers that are stopped under load.
const draining = `listen: 127.0.0.1:0
adminListen: 127.0.0.1:0
dataDir: data
shutdown: {delay: 500ms, timeout: 30s}
limits: {maxConcurrent: 1000, maxConcurrentTotal: 1000, requestsPerSecond: 100000, burst: 100000}
targets: {maxConcurrent: 1000, maxConcurrentProject: 1000}
`

// slowBody is the answer that slow links carry: larger than the buffers on the way.
var slowBody = strings.Repeat("0123456789abcdef", 1<<19)

// gate is an upstream whose answers to query_range wait until it is opened,
// and whose answers to series are long.
type gate struct {
	*upstream
	waiting atomic.Int64
	opened  chan struct{}
}

func newGate(t testing.TB) *gate {
	g := &gate{upstream: newUpstream(t), opened: make(chan struct{})}
	g.answerWith(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/query_range"):
			g.waiting.Add(1)
			select {
			case <-g.opened:
			case <-r.Context().Done():
			}
			answerText(w, http.StatusOK, "application/json", emptyResult)
		case strings.HasSuffix(r.URL.Path, "/series"):
			answerText(w, http.StatusOK, "application/json", slowBody)
		default:
			answerQuickly(w, r)
		}
	})
	return g
}

// protocol is how clients speak to the gateway.
type protocol struct {
	name string
	h2   bool
}

var protocols = []protocol{{"HTTP/1.1", false}, {"HTTP/2", true}}

// start runs the server behind a protocol's listener.
func (c protocol) start(t *testing.T, text string) (*program, *certificate) {
	t.Helper()
	config := configure(t, text)
	if !c.h2 {
		return spawn(t, config, ""), nil
	}
	trusted := newCertificate(t, filepath.Dir(config))
	write(t, config, text+"listenTLS: {certFile: tls.crt, keyFile: tls.key}\n")
	return spawn(t, config, ""), trusted
}

// question asks an endpoint of production with GET, or POST for odd numbers.
func (p *program) question(endpoint, parameters string, number int) *http.Request {
	target := p.url + "/projects/shop/environments/production/api/v1/" + endpoint
	// Equal ones would share an answer.
	parameters = strings.Replace(parameters, "query=up", "query=up%2B"+strconv.Itoa(number), 1)
	var request *http.Request
	var err error
	if number%2 == 0 {
		request, err = http.NewRequest(http.MethodGet, target+"?"+parameters, nil)
	} else {
		request, err = http.NewRequest(http.MethodPost, target, strings.NewReader(parameters))
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	must(p.t, err)
	return request
}

const (
	quickQuestion = "query=up"
	heldQuestion  = "query=up&start=1&end=2&step=1"
	longQuestion  = "match[]=up"
)

// balance plays a load balancer: it returns what is closed when the server
// says that it is not ready.
func (p *program) balance() <-chan struct{} {
	notReady := make(chan struct{})
	go func() {
		look := time.NewTicker(100 * time.Millisecond)
		defer look.Stop()
		for range look.C {
			if got := fetch(p.admin+"/readyz", ""); got.err != nil || got.status != http.StatusOK {
				close(notReady)
				return
			}
		}
	}()
	return notReady
}

// traffic is what asks a server while it stops. Every question must be answered
// whole.
type traffic struct {
	p        *program
	protocol protocol
	trusted  *certificate
	token    string
	running  sync.WaitGroup
	asked    atomic.Int64
	mu       sync.Mutex
	failures []error
}

func (l *traffic) client() *http.Client { return newClient(l.p.t, l.trusted, l.protocol.h2) }

func (l *traffic) ask(client *http.Client, request *http.Request) {
	l.asked.Add(1)
	if err := wantAnswer(ask(client, request, l.token), http.StatusOK, emptyResult); err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.failures = append(l.failures, fmt.Errorf("%s %s: %w", request.Method, request.URL.Path, err))
	}
}

// hold has so many requests wait at the upstream.
func (l *traffic) hold(g *gate, count int64) {
	client := l.client()
	for i := range count {
		l.running.Go(func() { l.ask(client, l.p.question("query_range", heldQuestion, int(i))) })
	}
	eventually(l.p.t, patience, func() error {
		if n := g.waiting.Load(); n != count {
			return fmt.Errorf("%d are in flight", n)
		}
		return nil
	})
}

// keepAsking has clients ask without pause until the load balancer sends no
// more. It returns when they are at it.
func (l *traffic) keepAsking(clients int, notReady <-chan struct{}) {
	begun := l.asked.Load()
	for i := range clients {
		client := l.client()
		l.running.Go(func() {
			for n := i; ; n++ {
				select {
				case <-notReady:
					return
				default:
					l.ask(client, l.p.question("query", quickQuestion, n))
				}
			}
		})
	}
	eventually(l.p.t, patience, func() error {
		if l.asked.Load() < begun+100 {
			return errors.New("the load has not begun")
		}
		return nil
	})
}

// TestShutdownLosesNothing stops a server with 200 requests in flight and more
// coming in until the load balancer notices.
func TestShutdownLosesNothing(t *testing.T) {
	for _, c := range protocols {
		t.Run(c.name, func(t *testing.T) {
			g := newGate(t)
			p, trusted := c.start(t, draining+shop("production", g.URL))
			l := &traffic{p: p, protocol: c, trusted: trusted, token: createToken(t, p.config)}
			p.awaitAccepted(l.client(), l.token)
			l.hold(g, 200)
			l.keepAsking(8, p.balance())
			before := l.asked.Load()
			p.signal(syscall.SIGTERM)
			p.awaitRefused()
			close(g.opened)
			l.running.Wait()
			if err := errors.Join(l.failures...); err != nil {
				t.Error(err)
			}
			if status := p.awaitEnd(); status != 0 {
				t.Errorf("status %d:\n%s", status, p.log)
			}
			p.log.await(t, "stopped: nothing is in flight", 1)
			t.Logf("200 requests in flight, %d came in after the signal; all were answered", l.asked.Load()-before)
		})
	}
}

// awaitAccepted waits until the server takes the token.
func (p *program) awaitAccepted(client *http.Client, token string) {
	p.t.Helper()
	eventually(p.t, patience, func() error { return wantStatus(fetchBy(client, p.query("production"), token), http.StatusOK) })
}

// awaitRefused waits until the server takes no more connections.
func (p *program) awaitRefused() {
	p.t.Helper()
	u, err := url.Parse(p.url)
	must(p.t, err)
	eventually(p.t, patience, func() error {
		conn, err := net.Dial("tcp", u.Host)
		if err != nil {
			return nil
		}
		return errors.Join(errors.New("connections are still taken"), conn.Close())
	})
}

// TestShutdownLetsSlowLinksEnd stops a server whose answers are on their way
// over slow links: they come to their last byte, also where all of them is in the
// hands of the kernel already.
func TestShutdownLetsSlowLinksEnd(t *testing.T) {
	t.Parallel()
	for _, c := range protocols {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			g := newGate(t)
			p, trusted := c.start(t, draining+shop("production", g.URL))
			token := createToken(t, p.config)
			p.awaitAccepted(newClient(t, trusted, c.h2), token)
			const readers = 4
			begun, results := make(chan struct{}, readers), make(chan error, readers)
			for i := range readers {
				client := newClient(t, trusted, c.h2)
				client.Transport.(*http.Transport).DialContext = dialSlowLink
				go func() {
					results <- readWhole(client, p.question("series", longQuestion, i), token, func() { begun <- struct{}{} })
				}()
			}
			for range readers {
				select {
				case <-begun:
				case err := <-results:
					t.Fatal(err)
				}
			}
			p.signal(syscall.SIGTERM)
			for range readers {
				if err := <-results; err != nil {
					t.Error(err)
				}
			}
			if status := p.awaitEnd(); status != 0 {
				t.Errorf("status %d:\n%s", status, p.log)
			}
		})
	}
}

// readWhole reads a long answer; begun is called when its header is there.
func readWhole(client *http.Client, request *http.Request, token string, begun func()) error {
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	begun()
	body, err := io.ReadAll(response.Body)
	if err != nil || string(body) != slowBody {
		return fmt.Errorf("%d of %d bytes came: %w", len(body), len(slowBody), err)
	}
	return nil
}

// slowLink is a connection that carries about 4 MiB a second to its reader.
type slowLink struct {
	net.Conn
	pace *time.Ticker
}

func dialSlowLink(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &slowLink{conn, time.NewTicker(8 * time.Millisecond)}, nil
}

func (l *slowLink) Read(p []byte) (int, error) {
	<-l.pace.C
	return l.Conn.Read(p[:min(len(p), 32<<10)])
}

// TestShutdownSecondSignal sees that a second SIGTERM ends the server at once.
func TestShutdownSecondSignal(t *testing.T) {
	g := newGate(t)
	defer close(g.opened)
	p, _ := protocols[0].start(t, strings.Replace(draining, "delay: 500ms", "delay: 1h", 1)+shop("production", g.URL))
	p.signal(syscall.SIGTERM)
	p.log.await(t, "stopping: not ready from now on", 1)
	must(t, wantStatus(fetch(p.query("production"), ""), http.StatusUnauthorized))
	must(t, wantAnswer(fetch(p.admin+"/readyz", ""), http.StatusServiceUnavailable, "not ready: stopping\n"))
	must(t, wantAnswer(fetch(p.admin+"/healthz", ""), http.StatusOK, "ok\n"))
	// Handling of the first signal may take a moment to give way to the second.
	eventually(t, patience, func() error {
		select {
		case <-p.ended:
			return nil
		default:
			_ = p.process.Signal(syscall.SIGTERM) // it may have ended since
			return errors.New("the server runs on")
		}
	})
	if status := p.awaitEnd(); status != -1 { // ended by a signal
		t.Errorf("status %d:\n%s", status, p.log)
	}
}

// TestShutdownTimeoutCuts sees that what hangs is cut after shutdown.timeout.
func TestShutdownTimeoutCuts(t *testing.T) {
	g := newGate(t)
	defer close(g.opened)
	p, _ := protocols[0].start(t, strings.Replace(draining, "delay: 500ms, timeout: 30s", "delay: 0s, timeout: 300ms", 1)+shop("production", g.URL))
	token := createToken(t, p.config)
	p.awaitAccepted(http.DefaultClient, token)
	answered := make(chan answer)
	go func() {
		answered <- ask(newClient(t, nil, false), p.question("query_range", heldQuestion, 0), token)
	}()
	eventually(t, patience, func() error {
		if g.waiting.Load() == 0 {
			return errors.New("nothing is in flight")
		}
		return nil
	})
	p.signal(syscall.SIGTERM)
	if got := <-answered; got.err == nil {
		t.Errorf("a request that hangs was answered %d %q", got.status, got.body)
	}
	if status := p.awaitEnd(); status != 1 {
		t.Errorf("status %d", status)
	}
	want := "promgate: requests were still in flight after shutdown.timeout of 300ms and are cut: context deadline exceeded\n"
	p.log.await(t, "requests are cut that were still in flight after shutdown.timeout", 1)
	if !strings.HasSuffix(p.log.String(), want) {
		t.Errorf("the log ends not with %q:\n%s", want, p.log)
	}
}
