package kube

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/promgate/promgate/kube"
)

// golden compares with a file of testdata, or rewrites it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
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
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

// TestDiscoveryRole: each grants what is missing, and nothing beyond it.
func TestDiscoveryRole(t *testing.T) {
	c := &Cluster{Connection: &kube.Connection{Name: "local", Subject: kube.Subject{Namespace: "promgate", Account: "promgate"}}}
	for file, key := range map[string]problemKey{
		"discovery-namespaces.yaml":         {source: "namespaces"},
		"discovery-namespace.yaml":          {source: "namespaces", namespace: "shop"},
		"discovery-services.yaml":           {source: "services", namespace: "shop"},
		"discovery-prometheuses.yaml":       {source: "prometheuses"},
		"discovery-perses-datasources.yaml": {source: "persesDatasources", namespace: "shop"},
	} {
		golden(t, file, c.discoveryRole(key, sources))
	}
	if got := c.discoveryRole(problemKey{source: "pods"}, sources); got != "" {
		t.Errorf("a source that there is not: got\n%s", got)
	}
}
