package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/klog/v2"
)

const backendDialTimeout = 5 * time.Second

// connectProxy is the API server's way to Pods. The API server refuses loopback addresses as endpoints, so Pods have made-up
// ones; its egress configuration sends every connection to a Pod here as an HTTP CONNECT, and the mapping says which loopback
// port is meant.
type connectProxy struct {
	listener net.Listener
	mapping  string

	mu      sync.Mutex
	stopped bool
	open    map[net.Conn]struct{}
}

func startConnectProxy(d *dir) (*connectProxy, error) {
	// Left by a process that was killed; the directory's lock says that none is alive.
	if err := os.Remove(d.proxySocket()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot remove the old proxy socket: %w", err)
	}
	listener, err := net.Listen("unix", d.proxySocket())
	if err != nil {
		return nil, fmt.Errorf("cannot listen on the proxy socket: %w", err)
	}
	p := &connectProxy{listener: listener, mapping: d.mapping(), open: map[net.Conn]struct{}{}}
	go p.accept()
	return p, nil
}

func (p *connectProxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			klog.ErrorS(err, "The proxy cannot accept a connection")
			time.Sleep(10 * time.Millisecond) // out of file descriptors, most likely
			continue
		}
		go p.serve(conn)
	}
}

// stop closes the socket, which removes its file, and every connection that goes through it.
func (p *connectProxy) stop() {
	_ = p.listener.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	for conn := range p.open {
		_ = conn.Close()
	}
}

// track remembers a connection until the returned function closes it. It reports false when the proxy has stopped.
func (p *connectProxy) track(conn net.Conn) (forget func(), ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		_ = conn.Close()
		return func() {}, false
	}
	p.open[conn] = struct{}{}
	return func() {
		_ = conn.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.open, conn)
	}, true
}

func (p *connectProxy) serve(client net.Conn) {
	forget, ok := p.track(client)
	defer forget()
	if !ok {
		return
	}
	in := bufio.NewReader(client)
	request, err := http.ReadRequest(in)
	if err != nil {
		refuse(client, http.StatusBadRequest, "not an HTTP request")
		return
	}
	if request.Method != http.MethodConnect {
		refuse(client, http.StatusMethodNotAllowed, "only CONNECT is served here")
		return
	}
	target, err := p.lookup(request.Host)
	if err != nil {
		refuse(client, http.StatusBadGateway, err.Error())
		return
	}
	backend, err := net.DialTimeout("tcp", target, backendDialTimeout)
	if err != nil {
		refuse(client, http.StatusBadGateway, err.Error())
		return
	}
	forgetBackend, ok := p.track(backend)
	defer forgetBackend()
	if !ok {
		return
	}
	if _, err := io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	splice(client, in, backend)
}

// splice copies both ways until both sides have said all they had to say.
func splice(client net.Conn, in io.Reader, backend net.Conn) {
	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(backend, in)
		closeWrite(backend)
	})
	both.Go(func() {
		_, _ = io.Copy(client, backend)
		closeWrite(client)
	})
	both.Wait()
}

func closeWrite(conn net.Conn) {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

func refuse(w io.Writer, status int, text string) {
	_, _ = fmt.Fprintf(w, "HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		status, http.StatusText(status), len(text), text)
}

// lookup reads the mapping anew for each connection, so that another process can change it at any time by writing files.
// The file of 10.1.2.3:9090 is 10.1.2.3_9090 and holds a loopback address such as 127.0.0.1:41234.
func (p *connectProxy) lookup(address string) (string, error) {
	pod, err := netip.ParseAddrPort(address)
	if err != nil {
		return "", fmt.Errorf("%q is not an IP address with a port", address)
	}
	name := pod.Addr().String() + "_" + strconv.Itoa(int(pod.Port()))
	content, err := os.ReadFile(filepath.Join(p.mapping, name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("nothing stands for the Pod address %s: there is no file %s in the mapping directory", address, name)
	}
	if err != nil {
		return "", fmt.Errorf("cannot read the mapping of %s: %w", address, err)
	}
	target, err := netip.ParseAddrPort(strings.TrimSpace(string(content)))
	if err != nil || !target.Addr().IsLoopback() {
		return "", fmt.Errorf("the mapping of %s does not hold a loopback address with a port", address)
	}
	return target.String(), nil
}
