package kube

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"flag"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/promgate/promgate/kube"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func token(sub string) string {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"`+sub+`"}`)) + ".c2ln"
}

// certificate makes a client certificate and writes it with its key into dir.
func certificate(t *testing.T, dir, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "cert.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})))
	write(t, filepath.Join(dir, "key.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}

func TestClientCertificate(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	server.Config.Handler = http.HandlerFunc(echo)
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	// Paths in a kubeconfig are relative to it.
	config := kubeconfig(t, server, "", "{client-certificate: cert.pem, client-key: key.pem}")
	certificate(t, filepath.Dir(config), "gateway")
	if err := kube.CheckKubeconfig(config, "main"); err != nil {
		t.Error(err)
	}
	target := newTarget(t, kube.Options{Kubeconfig: config}, ref)
	if body := get(t, target, ""); !strings.Contains(body, "certificate of gateway\n") || strings.Contains(body, "Authorization") {
		t.Errorf("got %s", body)
	}
	if got := target.ServiceProxy.Role("get"); !strings.Contains(got, `kind: User`+"\n    name: \"gateway\"") {
		t.Errorf("got %s", got)
	}
}

func TestExecPlugin(t *testing.T) {
	server := apiServer(t, echo)
	plugin := filepath.Join(t.TempDir(), "plugin")
	write(t, plugin, `#!/bin/sh
echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"of the plugin"}}'
`)
	target := newTarget(t, kube.Options{Kubeconfig: kubeconfig(t, server, "",
		"{exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: IfAvailable, command: "+plugin+"}}")}, ref)
	if body := get(t, target, ""); !strings.Contains(body, `"Bearer of the plugin"`) {
		t.Errorf("got %s", body)
	}
	if got := target.ServiceProxy.Role("get"); !strings.Contains(got, "REPLACE-WITH-THE-USER-OF-THE-GATEWAY") {
		t.Errorf("got %s", got)
	}
}

func TestRole(t *testing.T) {
	server := apiServer(t, echo)
	for _, c := range []struct{ golden, user, verb string }{
		{"service-account-get.yaml", "{token: " + token("system:serviceaccount:promgate-system:promgate") + "}", "get"},
		{"service-account-create.yaml", "{token: " + token("system:serviceaccount:promgate-system:promgate") + "}", "create"},
		{"unknown-get.yaml", "{token: opaque}", "get"},
	} {
		target := newTarget(t, kube.Options{Name: "local", Kubeconfig: kubeconfig(t, server, "", c.user)}, ref)
		got, path := target.ServiceProxy.Role(c.verb), filepath.Join("testdata", c.golden)
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", c.golden, got, want)
		}
	}
}
