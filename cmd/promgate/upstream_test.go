package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const (
	emptyResult = `{"status":"success","data":{"resultType":"vector","result":[]}}`
	buildInfo   = `{"status":"success","data":{"version":"3.15.0"}}`
)

// upstream plays a Prometheus server.
type upstream struct {
	*httptest.Server
	connections atomic.Int64 // that were ever made
	last        atomic.Pointer[http.Header]
	answer      atomic.Pointer[http.HandlerFunc]
}

func newUpstream(t testing.TB) *upstream { return startUpstream(t, (*httptest.Server).Start) }

func startUpstream(t testing.TB, start func(*httptest.Server)) *upstream {
	t.Helper()
	u := &upstream{}
	u.answerWith(answerQuickly)
	u.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := r.Header.Clone()
		u.last.Store(&header)
		(*u.answer.Load())(w, r)
	}))
	u.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			u.connections.Add(1)
		}
	}
	u.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	start(u.Server)
	t.Cleanup(u.Close)
	return u
}

func (u *upstream) answerWith(h http.HandlerFunc) { u.answer.Store(&h) }

// answerQuickly answers every question alike.
func answerQuickly(w http.ResponseWriter, r *http.Request) {
	body := emptyResult
	if strings.HasSuffix(r.URL.Path, "/status/buildinfo") {
		body = buildInfo
	}
	answerText(w, http.StatusOK, "application/json", body)
}

func answerText(w http.ResponseWriter, status int, contentType, body string) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // a client that is gone is no concern
}

// certificate is a self-signed server certificate for 127.0.0.1, in files.
type certificate struct {
	certFile, keyFile string
	certPEM, keyPEM   string
	pool              *x509.CertPool
	serial            *big.Int
}

// newCertificate makes a certificate and writes its files to the directory.
func newCertificate(t testing.TB, dir string) *certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "promgate test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	c := &certificate{
		certFile: filepath.Join(dir, "tls.crt"), keyFile: filepath.Join(dir, "tls.key"), serial: serial, pool: x509.NewCertPool(),
		certPEM: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		keyPEM:  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})),
	}
	c.pool.AppendCertsFromPEM([]byte(c.certPEM))
	write(t, c.certFile, c.certPEM)
	write(t, c.keyFile, c.keyPEM)
	return c
}

// pair is the certificate as a server takes it.
func (c *certificate) pair(t testing.TB) tls.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair([]byte(c.certPEM), []byte(c.keyPEM))
	must(t, err)
	return pair
}

// newClient makes a client with connections of its own, which trusts the
// certificate if there is one, and then speaks HTTP/2 if h2 is set.
func newClient(t testing.TB, trusted *certificate, h2 bool) *http.Client {
	transport := &http.Transport{DisableCompression: true, ForceAttemptHTTP2: h2, MaxIdleConnsPerHost: 512}
	if trusted != nil {
		transport.TLSClientConfig = &tls.Config{RootCAs: trusted.pool, MinVersion: tls.VersionTLS12}
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 4 * patience}
}
