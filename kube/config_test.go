package kube

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
)

func TestIdentify(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	write(t, file, token("system:serviceaccount:a:b")+"\n")
	for name, c := range map[string]struct {
		config rest.Config
		want   Subject
	}{
		"token file over token": {rest.Config{BearerToken: token("system:serviceaccount:x:y"), BearerTokenFile: file}, Subject{Namespace: "a", Account: "b"}},
		"other user":            {rest.Config{BearerToken: token("alice")}, Subject{}},
		"half an account":       {rest.Config{BearerToken: token("system:serviceaccount:a")}, Subject{}},
		"opaque":                {rest.Config{BearerToken: "a.b.c"}, Subject{}},
		"nothing":               {rest.Config{}, Subject{}},
		"no certificate":        {rest.Config{TLSClientConfig: rest.TLSClientConfig{CertData: []byte("x")}}, Subject{}},
	} {
		if got := identify(&c.config); got != c.want {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func TestNotInCluster(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	_, err := Connect(Options{Name: "local"})
	if !errors.Is(err, errInCluster) || !strings.Contains(err.Error(), "cluster local: it has no kubeconfig") {
		t.Errorf("got %v", err)
	}
}

func TestKubeconfigFaults(t *testing.T) {
	server := apiServer(t, nil)
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
		if _, err := Connect(Options{Name: "west", Kubeconfig: c.file, Context: c.context}); err == nil || !strings.Contains(fmt.Sprint(err), "cluster west: ") {
			t.Errorf("%s: Connect: got %v", c.name, err)
		}
	}
	if err := CheckKubeconfig(good, ""); err != nil {
		t.Error(err)
	}
}
