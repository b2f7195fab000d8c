// Package direct makes targets of Prometheus servers that are reached by URL.
package direct

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/promgate/promgate/routing"
)

const (
	defaultConnectTimeout        = 5 * time.Second
	defaultResponseHeaderTimeout = 2 * time.Minute

	// Answers are streamed: a read buffer of this size takes a 200 kB answer
	// in a handful of system calls. Questions are small.
	readBufferBytes  = 32 << 10
	writeBufferBytes = 16 << 10
	// HTTP/2 receives ahead of a slow reader up to the stream's window; Go's
	// own default of 4 MiB would let twenty slow answers hold 80 MiB.
	streamWindowBytes = 512 << 10
	// A frame of HTTP/2 holds a piece of an answer as proxies write it, which is
	// more than the 16 KiB that it holds where nothing is said.
	frameBytes = 64 << 10

	maxResponseHeaderBytes = 64 << 10
	// A burst's connections are kept for the next one: as many as requests may
	// be under way, and more.
	maxIdlePerHost = 1024
	idleTimeout    = 90 * time.Second
)

// Options say where a server is and how it is reached.
type Options struct {
	// URL is absolute, http or https, without user information, query or
	// fragment. It may carry a path.
	URL string
	// CAFile is a PEM file of the authorities to trust; empty: the system's.
	CAFile string
	// CertFile and KeyFile are a client certificate. Both or neither.
	CertFile, KeyFile string
	// ServerName is verified instead of the URL's host, if not empty.
	ServerName string
	// DangerouslySkipVerify accepts every certificate.
	DangerouslySkipVerify bool
	// BearerTokenFile, or Username and PasswordFile, are the credentials.
	BearerTokenFile        string
	Username, PasswordFile string
	// Headers are sent with every request.
	Headers http.Header
	// ConnectTimeout bounds the connection and, apart from it, the TLS
	// handshake. Zero: 5 seconds.
	ConnectTimeout time.Duration
	// ResponseHeaderTimeout bounds the time from the request to the answer's
	// header. Zero: 2 minutes.
	ResponseHeaderTimeout time.Duration
}

// New makes a target. It reads the files that the options name, once: when one
// of them changes, make a new target. Nothing is connected to before the first
// request. The target's Transport has a method CloseIdleConnections for when
// the target is no longer in use.
func New(o Options) (*routing.Target, error) {
	base, err := baseURL(o.URL)
	if err != nil {
		return nil, err
	}
	tlsConfig, err := o.tlsConfig()
	if err != nil {
		return nil, err
	}
	authorization, err := o.authorization()
	if err != nil {
		return nil, err
	}
	plain := o.transport(tlsConfig)
	var transport http.RoundTripper = plain
	if authorization != "" {
		transport = &authorized{next: plain, value: []string{authorization}}
	}
	return &routing.Target{
		UID:         o.uid(base),
		Base:        base,
		Header:      o.Headers.Clone(),
		Transport:   transport,
		Description: base.String(),
		Examine:     func(ctx context.Context, _ bool) []routing.Hop { return o.examine(ctx, base, transport) },
	}, nil
}

func baseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	// The cause is left out: it repeats the URL, which may hold a password.
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, errors.New("not an absolute http or https URL; write one such as https://prometheus.example")
	}
	if u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return nil, errors.New("the URL of a server carries no user information, query or fragment; remove them")
	}
	u.Path, u.RawPath = strings.TrimSuffix(u.Path, "/"), strings.TrimSuffix(u.RawPath, "/")
	return u, nil
}

func (o *Options) tlsConfig() (*tls.Config, error) {
	c := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         o.ServerName,
		InsecureSkipVerify: o.DangerouslySkipVerify,
	}
	if o.CAFile != "" {
		pool, err := ReadCA(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("certificate authorities: %w", err)
		}
		c.RootCAs = pool
	}
	if (o.CertFile == "") != (o.KeyFile == "") {
		return nil, errors.New("a client certificate needs both a certificate file and a key file")
	}
	if o.CertFile != "" {
		pair, err := ReadKeyPair(o.CertFile, o.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

func (o *Options) authorization() (string, error) {
	switch {
	case o.BearerTokenFile != "" && (o.Username != "" || o.PasswordFile != ""):
		return "", errors.New("a server takes either a bearer token or a user name with a password, not both")
	case o.BearerTokenFile != "":
		token, err := ReadSecret(o.BearerTokenFile)
		if err != nil {
			return "", fmt.Errorf("bearer token: %w", err)
		}
		return "Bearer " + strings.TrimSpace(token), nil
	case o.Username != "" && o.PasswordFile != "":
		password, err := ReadSecret(o.PasswordFile)
		if err != nil {
			return "", fmt.Errorf("password: %w", err)
		}
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(o.Username+":"+password)), nil
	case o.Username != "" || o.PasswordFile != "":
		return "", errors.New("basic authentication needs both a user name and a password file")
	}
	return "", nil
}

func (o *Options) transport(tlsConfig *tls.Config) *http.Transport {
	connect := cmp.Or(o.ConnectTimeout, defaultConnectTimeout)
	return &http.Transport{
		// No Proxy: the environment has no say in where questions go.
		DialContext:            (&net.Dialer{Timeout: connect, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        tlsConfig,
		TLSHandshakeTimeout:    connect,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		IdleConnTimeout:        idleTimeout,
		ResponseHeaderTimeout:  cmp.Or(o.ResponseHeaderTimeout, defaultResponseHeaderTimeout),
		MaxResponseHeaderBytes: maxResponseHeaderBytes,
		ReadBufferSize:         readBufferBytes,
		WriteBufferSize:        writeBufferBytes,
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerStream: streamWindowBytes,
			MaxReadFrameSize:          frameBytes,
			// One connection carries many requests: notice when it is dead.
			SendPingTimeout: 30 * time.Second,
			PingTimeout:     15 * time.Second,
		},
	}
}

// uid tells upstreams apart. Who the gateway is to the server belongs to it,
// since servers of many tenants answer each by its credentials; the files'
// names stand for the secrets in them.
func (o *Options) uid(base *url.URL) string {
	fields := []string{"url", base.String(), o.CertFile, o.BearerTokenFile, o.Username, o.PasswordFile}
	for _, name := range slices.Sorted(maps.Keys(o.Headers)) {
		fields = append(fields, name)
		fields = append(fields, o.Headers[name]...)
	}
	h := sha256.New()
	for _, f := range fields {
		// With their lengths, fields cannot run into each other.
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(f))))
		h.Write([]byte(f))
	}
	return "url-" + hex.EncodeToString(h.Sum(nil)[:16])
}

// authorized adds the gateway's credentials.
type authorized struct {
	next  *http.Transport
	value []string
}

// RoundTrip sends a copy of the request: a RoundTripper leaves its request as
// it is.
func (a *authorized) RoundTrip(r *http.Request) (*http.Response, error) {
	out := *r
	out.Header = maps.Clone(r.Header)
	if out.Header == nil {
		out.Header = make(http.Header, 1)
	}
	out.Header["Authorization"] = a.value
	return a.next.RoundTrip(&out)
}

// CloseIdleConnections closes the connections that serve no request.
func (a *authorized) CloseIdleConnections() { a.next.CloseIdleConnections() }

// String keeps the credentials out of formatted text.
func (a *authorized) String() string { return "[redacted]" }

// GoString keeps the credentials out of text formatted with %#v.
func (a *authorized) GoString() string { return "[redacted]" }
