package prometheus

import (
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// connListener remembers its connections, so that they can be cut and their handlers waited for: Prometheus' own web
// handler leaves them open when it stops, and a query must not read a storage that is closed under it.
type connListener struct {
	net.Listener
	mu     sync.Mutex
	closed bool
	conns  map[*conn]struct{}
	served sync.WaitGroup
}

func newConnListener(l net.Listener) *connListener {
	return &connListener{Listener: l, conns: map[*conn]struct{}{}}
}

// Accept waits for a connection; after shutdown it answers net.ErrClosed.
func (l *connListener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, listener: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		raw.Close()
		return nil, net.ErrClosed
	}
	l.conns[c] = struct{}{}
	l.served.Add(1)
	return c, nil
}

// shutdown stops listening, cuts every connection and waits until the HTTP server has let go of all of them.
func (l *connListener) shutdown() {
	l.Listener.Close()
	l.mu.Lock()
	l.closed = true
	for c := range l.conns {
		c.Conn.Close()
	}
	l.mu.Unlock()
	l.served.Wait()
}

// conn tells its listener when the HTTP server closes it, which it does after the handler returned.
type conn struct {
	net.Conn
	listener *connListener
	once     sync.Once
}

// Close closes the connection; cutting it beforehand is not an error.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		c.listener.mu.Lock()
		delete(c.listener.conns, c)
		c.listener.mu.Unlock()
		c.listener.served.Done()
	})
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// telemetry serves one server's own metrics. The /metrics route of Prometheus' web handler answers those of the whole
// process, which several servers share.
type telemetry struct {
	server *http.Server
	addr   string
	done   chan struct{}
}

func startTelemetry(registry *prometheus.Registry) (*telemetry, error) {
	l, err := listen("127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	t := &telemetry{
		server: &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second},
		addr:   l.Addr().String(),
		done:   make(chan struct{}),
	}
	go func() {
		defer close(t.done)
		_ = t.server.Serve(l)
	}()
	return t, nil
}

func (t *telemetry) close() error {
	err := t.server.Close()
	<-t.done
	return err
}
