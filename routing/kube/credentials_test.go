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
	"errors"
	"flag"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
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
	if err := CheckKubeconfig(config, "main"); err != nil {
		t.Error(err)
	}
	target := newTarget(t, Options{Kubeconfig: config}, ref)
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
	target := newTarget(t, Options{Kubeconfig: kubeconfig(t, server, "",
		"{exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: IfAvailable, command: "+plugin+"}}")}, ref)
	if body := get(t, target, ""); !strings.Contains(body, `"Bearer of the plugin"`) {
		t.Errorf("got %s", body)
	}
	if got := target.ServiceProxy.Role("get"); !strings.Contains(got, unknownUser) {
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
		target := newTarget(t, Options{Name: "local", Kubeconfig: kubeconfig(t, server, "", c.user)}, ref)
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

func TestIdentify(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	write(t, file, token("system:serviceaccount:a:b")+"\n")
	for name, c := range map[string]struct {
		config rest.Config
		want   subject
	}{
		"token file over token": {rest.Config{BearerToken: token("system:serviceaccount:x:y"), BearerTokenFile: file}, subject{namespace: "a", account: "b"}},
		"other user":            {rest.Config{BearerToken: token("alice")}, subject{}},
		"half an account":       {rest.Config{BearerToken: token("system:serviceaccount:a")}, subject{}},
		"opaque":                {rest.Config{BearerToken: "a.b.c"}, subject{}},
		"nothing":               {rest.Config{}, subject{}},
		"no certificate":        {rest.Config{TLSClientConfig: rest.TLSClientConfig{CertData: []byte("x")}}, subject{}},
	} {
		if got := identify(&c.config); got != c.want {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func TestNotInCluster(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	_, err := NewCluster(Options{Name: "local"})
	if !errors.Is(err, errInCluster) || !strings.Contains(err.Error(), "cluster local: it has no kubeconfig") {
		t.Errorf("got %v", err)
	}
}

func TestKubeconfigFaults(t *testing.T) {
	server := apiServer(t, echo)
	good := kubeconfig(t, server, "", "{token: hunter2}")
	noCurrent := filepath.Join(t.TempDir(), "kubeconfig")
	write(t, noCurrent, "apiVersion: v1\nkind: Config\ncontexts: []\n")
	junk := filepath.Join(t.TempDir(), "junk")
	write(t, junk, "hunter2: [")
	for _, c := range []struct{ name, file, context, want string }{
		{"missing", good + ".none", "", "does not exist"},
		{"a directory", filepath.Dir(good), "", "is not a file"},
		{"junk", junk, "", "cannot be used"},
		{"no current context", noCurrent, "", "has no current context"},
		{"unknown context", good, "other", `has no context "other"; it has dangling, main, nobody`},
		{"dangling context", good, "dangling", `the cluster "none", which has no server`},
		{"unknown user", good, "nobody", `the user "x", who is not there`},
		{"impersonation", kubeconfig(t, server, "", "{token: hunter2, as: admin}"), "", "impersonates somebody (as), which the gateway never does"},
		{"group impersonation", kubeconfig(t, server, "", "{token: hunter2, as-groups: [a]}"), "", "impersonates"},
		{"auth provider", kubeconfig(t, server, "", "{auth-provider: {name: gcp}}"), "", `uses the auth provider "gcp"`},
		{"missing certificate", kubeconfig(t, server, "", "{client-certificate: none, client-key: none}"), "", "none"},
		{"missing token file", kubeconfig(t, server, "", "{tokenFile: none}"), "", "none"},
		{"certificate that is none", kubeconfig(t, server, "", "{client-certificate-data: aHVudGVyMg==, client-key-data: aHVudGVyMg==}"), "", "certificates"},
	} {
		err := CheckKubeconfig(c.file, c.context)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v", c.name, err)
		}
		if _, err := NewCluster(Options{Name: "west", Kubeconfig: c.file, Context: c.context}); err == nil || !strings.Contains(fmt.Sprint(err), "cluster west: ") {
			t.Errorf("%s: NewCluster: got %v", c.name, err)
		}
	}
	if err := CheckKubeconfig(good, ""); err != nil {
		t.Error(err)
	}
}
