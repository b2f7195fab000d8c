package oidc

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/promgate/promgate/auth"
)

// TestSecretsNeverPrint: in no verb, at no depth, in no log.
func TestSecretsNeverPrint(t *testing.T) {
	a := Attempt{State: "visible", nonce: auth.NewCredential("very-secret-1"), verifier: auth.NewCredential("very-secret-2")}
	l := Login{Subject: "1000", Name: "anna\n", refreshToken: auth.NewCredential("very-secret-3"), nonce: auth.NewCredential("very-secret-4")}
	nested := struct {
		A  Attempt
		L  *Login
		M  map[string]Login
		an Attempt
		al Login
		am []Login
	}{a, &l, map[string]Login{"a": l}, a, l, []Login{l}}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%t"} {
		for _, value := range []any{a, &a, l, &l, nested, &nested, nested.am} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "a", a, "pa", &a, "l", l, "pl", &l, "n", nested)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "a", a, "pa", &a, "l", l, "pl", &l)
	text := out.String()
	for _, secret := range []string{"very-secret", fmt.Sprintf("%x", "very-secret"), fmt.Sprintf("%X", "very-secret")} {
		if strings.Contains(text, secret) {
			t.Errorf("%s is in %s", secret, text)
		}
	}
	if got := fmt.Sprint(l, a); got != `login of "anna\n" [redacted]` {
		t.Error(got)
	}
}

// TestTLS: by the authorities of the CA file alone, and at least 1.2.
func TestTLS(t *testing.T) {
	i := newIssuer(t)
	serve := func(maximum uint16) (ca string) {
		i.server = httptest.NewUnstartedServer(http.HandlerFunc(i.serve))
		i.server.TLS = &tls.Config{MaxVersion: maximum, MinVersion: tls.VersionTLS10}
		i.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		i.server.StartTLS()
		t.Cleanup(i.server.Close)
		ca = filepath.Join(t.TempDir(), "ca.pem")
		data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.server.Certificate().Raw})
		if err := os.WriteFile(ca, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return ca
	}
	ca := serve(tls.VersionTLS12)
	o := i.options()
	o.CAFile = ca
	if l := i.login(i.provider(o)); l.Name != "anna" {
		t.Error(l)
	}
	_, _, err := i.provider(i.options()).Begin(t.Context())
	wants(t, err, auth.ErrUnavailable, "certificate")

	ca = serve(tls.VersionTLS11)
	o = i.options()
	o.CAFile = ca
	_, _, err = i.provider(o).Begin(t.Context())
	wants(t, err, auth.ErrUnavailable, "protocol version")
}

// TestDefaults: the clock and the logger may be left out.
func TestDefaults(t *testing.T) {
	i := newIssuer(t)
	i.now = time.Now()
	o := i.options()
	o.Now, o.Logger = nil, nil
	p := i.provider(o)
	if l := i.login(p); p.Due(l) || time.Since(l.CheckedAt) > time.Minute {
		t.Errorf("checked at %v", l.CheckedAt)
	}
}
