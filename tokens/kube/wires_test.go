package kube

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
)

// wires are connections that know no network, so that time stands still while a
// test waits, and that can be cut or swallow everything.
type wires struct {
	accepted chan net.Conn
	closed   chan struct{}
	close    func()

	down atomic.Bool // nobody listens
	hole atomic.Bool // what is sent does not arrive

	mu  sync.Mutex
	all map[*wire]bool
}

func newWires() *wires {
	l := &wires{accepted: make(chan net.Conn), closed: make(chan struct{}), all: map[*wire]bool{}}
	l.close = sync.OnceFunc(func() { close(l.closed) })
	return l
}

func (l *wires) Accept() (net.Conn, error) {
	select {
	case c := <-l.accepted:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *wires) Close() error   { l.close(); return nil }
func (l *wires) Addr() net.Addr { return &net.UnixAddr{} }

func (l *wires) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if l.down.Load() {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	here, there := net.Pipe()
	select {
	case l.accepted <- there:
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	w := &wire{Conn: here, far: there, of: l, closed: make(chan struct{})}
	w.shut = sync.OnceFunc(func() { close(w.closed) })
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all[w] = true
	return w, nil
}

// cut ends all connections, and refuses others until it is mended.
func (l *wires) cut() {
	l.down.Store(true)
	l.mu.Lock()
	defer l.mu.Unlock()
	for w := range l.all {
		_ = w.far.Close()
	}
}

func (l *wires) mend() {
	l.down.Store(false)
	l.hole.Store(false)
}

// wire is the client's end of a connection.
type wire struct {
	net.Conn
	far    net.Conn // the server's end
	of     *wires
	lost   atomic.Bool // something did not arrive: it is of no use any more
	closed chan struct{}
	shut   func()
}

func (w *wire) swallows() bool {
	if w.of.hole.Load() {
		w.lost.Store(true)
	}
	return w.lost.Load()
}

func (w *wire) Write(b []byte) (int, error) {
	if w.swallows() {
		return len(b), nil
	}
	return w.Conn.Write(b)
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if w.swallows() {
		<-w.closed
		return 0, net.ErrClosed
	}
	return n, err
}

func (w *wire) Close() error {
	w.shut()
	w.of.mu.Lock()
	delete(w.of.all, w)
	w.of.mu.Unlock()
	return w.Conn.Close()
}
