package direct

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/promgate/promgate/routing"
)

func write(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func caFile(t *testing.T, server *httptest.Server) string {
	return write(t, "ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
}

// get sends a request as the gateway does and returns the answer's status and
// body.
func get(t *testing.T, target *routing.Target, path string) (*http.Response, string) {
	t.Helper()
	u := *target.Base
	u.Path += path
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range target.Header {
		r.Header[name] = values
	}
	before := r.Header.Clone()
	resp, err := target.Transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if !maps.EqualFunc(before, r.Header, slices.Equal) {
		t.Errorf("the request was changed: %v, before %v", r.Header, before)
	}
	return resp, string(body)
}

// echo answers with what it was asked.
func echo(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "%s %s\n", r.Method, r.RequestURI)
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		fmt.Fprintf(w, "%s: %q\n", name, r.Header[name])
	}
}

func TestRequestsAreSentAsTheyAre(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(echo))
	defer server.Close()
	token := write(t, "token", []byte("bearer-secret\n"))
	password := write(t, "password", []byte("pass word"))
	for _, c := range []struct {
		name string
		o    Options
		want string
	}{
		{"plain", Options{}, "GET /prometheus/api/v1/query\nUser-Agent: [\"Go-http-client/1.1\"]\n"},
		{"bearer", Options{BearerTokenFile: token, Headers: http.Header{"X-Scope-Orgid": {"shop"}}},
			"GET /prometheus/api/v1/query\nAuthorization: [\"Bearer bearer-secret\"]\nUser-Agent: [\"Go-http-client/1.1\"]\nX-Scope-Orgid: [\"shop\"]\n"},
		{"basic", Options{Username: "me", PasswordFile: password},
			"GET /prometheus/api/v1/query\nAuthorization: [\"Basic bWU6cGFzcyB3b3Jk\"]\nUser-Agent: [\"Go-http-client/1.1\"]\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.o.URL = server.URL + "/prometheus/"
			target, err := New(c.o)
			if err != nil {
				t.Fatal(err)
			}
			if _, body := get(t, target, "/api/v1/query"); body != c.want {
				t.Errorf("got\n%s\nwant\n%s", body, c.want)
			}
			if target.Description != server.URL+"/prometheus" || target.ServiceProxy != nil {
				t.Errorf("got %+v", target)
			}
			text := target.UID
			if a, ok := target.Transport.(*authorized); ok {
				text += fmt.Sprintf("%v %+v %#v %v %#v", a, a, a, *target, *target)
			}
			if strings.Contains(text, "secret") || strings.Contains(text, "bWU6") {
				t.Errorf("the credentials are in %q", text)
			}
			target.Transport.(interface{ CloseIdleConnections() }).CloseIdleConnections()
		})
	}
}

func TestNoRedirectProxyOrDecompression(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/redirect" {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = io.WriteString(w, "not really gzip")
	}))
	defer server.Close()
	target, err := New(Options{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	if resp, _ := get(t, target, "/redirect"); resp.StatusCode != http.StatusFound {
		t.Errorf("a redirect was followed: %s", resp.Status)
	}
	if resp, body := get(t, target, "/"); resp.Header.Get("Content-Encoding") != "gzip" || body != "not really gzip" {
		t.Errorf("the body was touched: %q", body)
	}
	if target.Transport.(*http.Transport).Proxy != nil {
		t.Error("the environment may choose a proxy")
	}
}

func TestTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %d", r.Proto, len(r.TLS.PeerCertificates))
	}))
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	ca := caFile(t, server)
	cert, key := keyPair(t)
	for _, c := range []struct {
		name string
		o    Options
		want string
	}{
		{"trusted", Options{CAFile: ca}, "HTTP/2.0 0"},
		{"client certificate", Options{CAFile: ca, CertFile: cert, KeyFile: key}, "HTTP/2.0 1"},
		{"other name", Options{CAFile: ca, ServerName: "example.com"}, "HTTP/2.0 0"},
		{"skipped", Options{DangerouslySkipVerify: true}, "HTTP/2.0 0"},
		{"untrusted", Options{}, ""},
		{"wrong name", Options{CAFile: ca, ServerName: "prometheus.invalid"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.o.URL = server.URL
			target, err := New(c.o)
			if err != nil {
				t.Fatal(err)
			}
			if c.want != "" {
				if _, body := get(t, target, ""); body != c.want {
					t.Errorf("got %q, want %q", body, c.want)
				}
				return
			}
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
			if resp, err := target.Transport.RoundTrip(r); err == nil {
				resp.Body.Close()
				t.Error("the certificate was accepted")
			}
		})
	}
}

func TestResponseHeaderTimeout(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer server.Close()
	target, err := New(Options{URL: server.URL, ResponseHeaderTimeout: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	if resp, err := target.Transport.RoundTrip(r); err == nil {
		resp.Body.Close()
		t.Error("no timeout")
	}
}

// TestSlowReader: over HTTP/2, what the server can send ahead of the reader is
// bounded by the stream's window.
func TestSlowReader(t *testing.T) {
	sent := make(chan int, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		chunk, n := make([]byte, 32<<10), 0
		rc := http.NewResponseController(w)
		_ = rc.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		for n < 64<<20 {
			m, err := w.Write(chunk)
			n += m
			if err != nil {
				break
			}
		}
		sent <- n
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	target, err := New(Options{URL: server.URL, CAFile: caFile(t, server)})
	if err != nil {
		t.Fatal(err)
	}
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	resp, err := target.Transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 2 {
		t.Fatalf("got %s", resp.Proto)
	}
	// Some buffers of the server itself come on top of the window.
	if n := <-sent; n > streamWindowBytes+256<<10 {
		t.Errorf("the server sent %d KiB ahead", n>>10)
	}
}

func TestUID(t *testing.T) {
	token, password := write(t, "token", []byte("a")), write(t, "password", []byte("a"))
	uid := func(o Options) string {
		target, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		return target.UID
	}
	base := Options{URL: "http://a/b"}
	if uid(base) != uid(Options{URL: "http://a/b/", ConnectTimeout: time.Second}) {
		t.Error("the same upstream has two UIDs")
	}
	seen := map[string]Options{}
	for _, o := range []Options{
		base, {URL: "http://a"}, {URL: "https://a/b"}, {URL: "http://a/b", Headers: http.Header{"X-A": {"b"}}},
		{URL: "http://a/b", Headers: http.Header{"X-A": {"c"}}}, {URL: "http://a/b", Headers: http.Header{"X-A": {"b"}, "X-B": {"c"}}},
		{URL: "http://a/b", BearerTokenFile: token}, {URL: "http://a/b", Username: "u", PasswordFile: password},
		{URL: "http://a/b", Username: "v", PasswordFile: password},
	} {
		if other, taken := seen[uid(o)]; taken {
			t.Errorf("%+v and %+v have the same UID", o, other)
		}
		seen[uid(o)] = o
	}
}

func TestNewErrors(t *testing.T) {
	token := write(t, "token", []byte("hunter2\x01"))
	for _, o := range []Options{
		{URL: "a"}, {URL: "http://u:hunter2@a"}, {URL: "http://hunter2 "}, {URL: "http://a?x=hunter2"},
		{URL: "http://a", BearerTokenFile: token}, {URL: "http://a", BearerTokenFile: token, Username: "u"},
		{URL: "http://a", Username: "u"}, {URL: "http://a", PasswordFile: token}, {URL: "http://a", Username: "u", PasswordFile: token},
		{URL: "https://a", CAFile: token}, {URL: "https://a", CAFile: filepath.Dir(token)}, {URL: "https://a", CertFile: token},
		{URL: "https://a", CertFile: token, KeyFile: token},
		{URL: "https://a", BearerTokenFile: write(t, "large", make([]byte, maxFileBytes+1))},
	} {
		if _, err := New(o); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%+v: got %v", o, err)
		}
	}
}

func keyPair(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gateway"}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})),
		write(t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}
