package server

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// lingerSilence is how long a peer of a lingering connection may be silent
// before it counts as gone.
const lingerSilence = 10 * time.Second

// lingerer is a listener whose connections, once the server is stopping, close
// so that nothing is lost: a closed connection to which the peer still writes,
// as HTTP/2 does while it reads, is reset, and what the kernel had not sent yet
// of an answer is thrown away. So the sending half is closed first, and the
// rest when the peer has closed its own.
type lingerer struct {
	net.Listener
	mu    sync.Mutex
	until time.Time // zero: connections close at once
	left  int       // connections that linger
	none  chan struct{}
}

func newLingerer(l net.Listener) *lingerer { return &lingerer{Listener: l} }

// Accept waits for the next connection.
func (l *lingerer) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return conn, nil
	}
	return &lingeringConn{TCPConn: tcp, of: l}, nil
}

// begin has connections linger from now on, until that time at most.
func (l *lingerer) begin(until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = until
}

// wait returns when no connection lingers any more, or with the context's error.
func (l *lingerer) wait(ctx context.Context) error {
	l.mu.Lock()
	if l.left == 0 {
		l.mu.Unlock()
		return nil
	}
	none := make(chan struct{})
	l.none = none
	l.mu.Unlock()
	select {
	case <-none:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// enter tells until when a connection may linger, if it may.
func (l *lingerer) enter() (until time.Time, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !time.Now().Before(l.until) {
		return time.Time{}, false
	}
	l.left++
	return l.until, true
}

func (l *lingerer) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left--
	if l.left == 0 && l.none != nil {
		close(l.none)
		l.none = nil
	}
}

// lingeringConn is a connection of a lingerer.
type lingeringConn struct {
	*net.TCPConn
	of     *lingerer
	closed atomic.Bool
}

// Read reads until the connection is closed on this side.
func (c *lingeringConn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	return n, err
}

// SetReadDeadline sets the deadline of reads until the connection is closed.
func (c *lingeringConn) SetReadDeadline(t time.Time) error {
	if c.closed.Load() {
		return net.ErrClosed
	}
	return c.TCPConn.SetReadDeadline(t)
}

// SetDeadline sets the deadline of reads and writes until the connection is closed.
func (c *lingeringConn) SetDeadline(t time.Time) error {
	if c.closed.Load() {
		return net.ErrClosed
	}
	return c.TCPConn.SetDeadline(t)
}

// Close closes the connection. Where it lingers, the peer gets what was
// written, however slow it is.
func (c *lingeringConn) Close() error {
	if c.closed.Swap(true) {
		return net.ErrClosed
	}
	until, ok := c.of.enter()
	if !ok {
		return c.TCPConn.Close()
	}
	// Whoever reads right now is told that it is over.
	_ = c.TCPConn.SetReadDeadline(time.Now())
	if err := c.CloseWrite(); err != nil { // the peer is gone
		defer c.of.leave()
		return c.TCPConn.Close()
	}
	go func() {
		defer c.of.leave()
		c.discard(until)
		_ = c.TCPConn.Close() // nobody is there to be told
	}()
	return nil
}

// discard reads what the peer still sends, until it closes or falls silent.
func (c *lingeringConn) discard(until time.Time) {
	var rest [4 << 10]byte
	for {
		deadline := time.Now().Add(lingerSilence)
		if until.Before(deadline) {
			deadline = until
		}
		if c.TCPConn.SetReadDeadline(deadline) != nil {
			return
		}
		if _, err := c.TCPConn.Read(rest[:]); err != nil {
			return
		}
	}
}
