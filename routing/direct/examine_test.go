package direct

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/promgate/promgate/routing"
)

func TestExamine(t *testing.T) {
	hanging := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	plain, secure := httptest.NewServer(hanging), quiet(t, hanging, nil)
	mutual := quiet(t, hanging, &tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12})
	expired := quiet(t, hanging, &tls.Config{Certificates: []tls.Certificate{expiredPair(t)}})
	defer plain.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // connects, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	closed.Close()

	host := func(s *httptest.Server) string { return s.Listener.Addr().String() }
	ca := caFile(t, secure)
	for name, c := range map[string]struct {
		o            Options
		status       routing.HopStatus
		found, cause string
	}{
		"plain":              {Options{URL: plain.URL}, routing.HopOK, "connected to " + host(plain), ""},
		"secure":             {Options{URL: secure.URL + "/below", CAFile: ca}, routing.HopOK, "connected to " + host(secure) + ", whose certificate is good", ""},
		"unverified":         {Options{URL: secure.URL, DangerouslySkipVerify: true}, routing.HopOK, "whose certificate is not looked at (tls.dangerouslySkipVerify)", ""},
		"unknown name":       {Options{URL: "http://prometheus.invalid:9090"}, routing.HopFailed, "prometheus.invalid", "host in url|DNS of the machine"},
		"refused":            {Options{URL: "http://" + nobody}, routing.HopFailed, "connection refused by " + nobody, "Prometheus is stopped"},
		"untrusted":          {Options{URL: secure.URL}, routing.HopFailed, "signed by an authority that is not trusted", "tls.caFile"},
		"misnamed":           {Options{URL: secure.URL, CAFile: ca, ServerName: "other.test"}, routing.HopFailed, "is for another name", "tls.serverName"},
		"expired":            {Options{URL: expired.URL, CAFile: caFile(t, expired)}, routing.HopFailed, "is not valid now", "renewed"},
		"https to http":      {Options{URL: "https://" + host(plain)}, routing.HopFailed, "as a port for plain HTTP does", "begin url with http://"},
		"client certificate": {Options{URL: mutual.URL, CAFile: caFile(t, mutual)}, routing.HopFailed, "ended the TLS handshake: tls: ", "tls.certFile"},
		"silent":             {Options{URL: "https://" + silent.Addr().String(), ConnectTimeout: 50 * time.Millisecond}, routing.HopFailed, "timeout: no answer from " + silent.Addr().String(), "firewall"},
	} {
		t.Run(name, func(t *testing.T) {
			target, err := New(c.o)
			if err != nil {
				t.Fatal(err)
			}
			hops := target.Examine(t.Context(), false)
			if len(hops) != 1 {
				t.Fatalf("got %+v", hops)
			}
			h := hops[0]
			told := false
			for cause := range strings.SplitSeq(c.cause, "|") {
				told = told || strings.Contains(h.Cause, cause)
			}
			if h.Name != routing.HopConnection || h.Status != c.status || !strings.Contains(h.Found, c.found) || !told || (h.Cause == "") != (c.cause == "") {
				t.Errorf("got %+v", h)
			}
		})
	}
}

// TestExamineKeepsSecrets has no credential appear in what is found.
func TestExamineKeepsSecrets(t *testing.T) {
	target, err := New(Options{
		URL: "https://127.0.0.1:1", Username: "prometheus", PasswordFile: write(t, "password", []byte("hunter2")), Headers: http.Header{"X-Secret": {"s3cret"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	h := target.Examine(t.Context(), false)[0]
	for _, secret := range []string{"hunter2", "s3cret", "cHJvbWV0aGV1czpodW50ZXIy"} {
		if strings.Contains(h.Found+h.Cause, secret) {
			t.Errorf("it tells %q: %+v", secret, h)
		}
	}
}

func quiet(t *testing.T, h http.Handler, c *tls.Config) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.TLS, server.Config.ErrorLog = c, log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// expiredPair is a certificate whose time is over.
func expiredPair(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
