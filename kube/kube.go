// Package kube connects to Kubernetes clusters: credentials, transports, reviews
// and watches, for every adapter that has to do with one.
package kube

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

const (
	defaultConnectTimeout        = 5 * time.Second
	defaultResponseHeaderTimeout = 2 * time.Minute

	// streamWindowBytes bounds what HTTP/2 receives ahead of a slow reader, for
	// each answer. The library's default is 4 MiB: twenty slow answers would
	// hold 80 MiB. The connection's own window stays at its default of 1 GiB,
	// so that one slow reader never holds up the others on the connection.
	streamWindowBytes = 512 << 10
	// frameBytes is the largest frame of HTTP/2 that is taken: larger ones than the
	// usual 16 KiB save work on both sides.
	frameBytes = 64 << 10
	// readBufferBytes matters where the API server speaks HTTP/1.1.
	readBufferBytes        = 32 << 10
	maxResponseHeaderBytes = 64 << 10
	maxIdlePerHost         = 256
)

// Options say which cluster it is and how its API server is reached.
type Options struct {
	// Name is the cluster's name in descriptions and messages.
	Name string
	// Kubeconfig is a file; empty: the service account of the pod that the
	// gateway runs in.
	Kubeconfig string
	// Context is one of the kubeconfig's; empty: its current one.
	Context string
	// ConnectTimeout bounds the connection and, apart from it, the TLS
	// handshake. Zero: 5 seconds.
	ConnectTimeout time.Duration
	// ResponseHeaderTimeout bounds the time from the request to the answer's
	// header. Zero: 2 minutes.
	ResponseHeaderTimeout time.Duration
	// Logger receives what concerns no single request; nil: nobody.
	Logger *slog.Logger `json:"-"`
	// Dial makes connections; nil: over the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error) `json:"-"`
}

// Connection is how one cluster's API server is reached. Its fields are set by
// Connect and do not change.
type Connection struct {
	Name string
	// Base is the API server's address, which may have a path.
	Base *url.URL
	// Transport adds the gateway's own credentials.
	Transport http.RoundTripper
	// Anonymous verifies the API server as Transport does, and adds no
	// credential: requests through it carry their caller's.
	Anonymous http.RoundTripper
	// Client makes the gateway's own requests, through Transport.
	Client dynamic.Interface
	// Subject is who the gateway is to the API server.
	Subject Subject
	// InPod tells that the credentials are those of the gateway's own pod.
	InPod  bool
	Logger *slog.Logger
}

// Connect reads the cluster's credentials. It connects to nothing: exec
// plugins run, and connections are made, when the first request needs them.
//
// Token files, client certificate files and CA files that the kubeconfig names
// are followed by client-go itself when they change: tokens within a minute,
// certificates and authorities within five. When the kubeconfig changes, make
// a new Connection and close the old one.
func Connect(o Options) (*Connection, error) {
	config, err := restConfig(o)
	if err != nil {
		return nil, err
	}
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("cluster %s: the address of the API server cannot be read: %w", o.Name, err)
	}
	config.Dial = o.Dial
	if config.Dial == nil {
		config.Dial = (&net.Dialer{Timeout: cmp.Or(o.ConnectTimeout, defaultConnectTimeout), KeepAlive: 30 * time.Second}).DialContext
	}
	config.QPS = -1 // the gateway asks for little, and never waits for itself
	c := &Connection{
		Name: o.Name, Base: base, Subject: identify(config), InPod: o.Kubeconfig == "",
		Logger: cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
	}
	if c.Transport, err = transport(config, o); err != nil {
		return nil, err
	}
	if c.Anonymous, err = transport(rest.AnonymousClientConfig(config), o); err != nil {
		return nil, err
	}
	c.Client, err = dynamic.NewForConfigAndClient(config, &http.Client{Transport: c.Transport})
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", o.Name, err)
	}
	return c, nil
}

// Close closes the connections that serve no request. Requests that are under
// way go on to their end.
func (c *Connection) Close() {
	utilnet.CloseIdleConnectionsFor(c.Transport)
	utilnet.CloseIdleConnectionsFor(c.Anonymous)
}

// URL is the API server's own path with another below it.
func (c *Connection) URL(path string) *url.URL {
	u := &url.URL{Scheme: c.Base.Scheme, Host: c.Base.Host}
	u.Path = strings.TrimRight(c.Base.Path, "/") + path
	if c.Base.RawPath != "" {
		u.RawPath = strings.TrimRight(c.Base.RawPath, "/") + path
	}
	return u
}

func transport(config *rest.Config, o Options) (http.RoundTripper, error) {
	rt, err := rest.TransportFor(config)
	if err != nil {
		return nil, fmt.Errorf("cluster %s: the credentials cannot be used: %w", o.Name, err)
	}
	if err := tune(rt, o); err != nil {
		return nil, fmt.Errorf("cluster %s: %w", o.Name, err)
	}
	return rt, nil
}

// tune sets what client-go offers no option for, on the transport at the
// bottom and before its first use. That transport is the connection's own:
// client-go shares none that has a Proxy function, and restConfig sets one.
func tune(rt http.RoundTripper, o Options) error {
	for {
		wrapper, ok := rt.(utilnet.RoundTripperWrapper)
		if !ok {
			break
		}
		rt = wrapper.WrappedRoundTripper()
	}
	t, ok := rt.(*http.Transport)
	if !ok || t == http.DefaultTransport {
		return fmt.Errorf("client-go made a transport of the unexpected type %T", rt)
	}
	t.TLSHandshakeTimeout = cmp.Or(o.ConnectTimeout, defaultConnectTimeout)
	t.ResponseHeaderTimeout = cmp.Or(o.ResponseHeaderTimeout, defaultResponseHeaderTimeout)
	t.MaxResponseHeaderBytes = maxResponseHeaderBytes
	t.MaxIdleConnsPerHost = maxIdlePerHost
	t.ReadBufferSize = readBufferBytes
	// HTTP/2 reads this when it makes a connection.
	t.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: streamWindowBytes, MaxReadFrameSize: frameBytes}
	return nil
}

// LogTo sends what the Kubernetes client library logs, for the whole process,
// such as a token file that cannot be read. Call it once, at the start.
func LogTo(l *slog.Logger) { klog.SetSlogLogger(l) }
