package cluster

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

const prometheusObject = `
apiVersion: monitoring.coreos.com/v1
kind: Prometheus
metadata: {name: main, namespace: shop}
spec: {routePrefix: /prom, retention: 30d, web: {tlsConfig: {keySecret: {name: tls, key: tls.key}}}}
`

const datasourceObject = `
apiVersion: perses.dev/v1alpha2
kind: PersesDatasource
metadata: {name: staging, namespace: shop}
spec:
  config:
    default: true
    plugin:
      kind: PrometheusDatasource
      spec: {proxy: {kind: HTTPProxy, spec: {url: "http://prometheus.shop.svc:9090"}}}
`

const agentObject = `
apiVersion: monitoring.coreos.com/v1alpha1
kind: PrometheusAgent
metadata: {name: agent, namespace: shop}
spec: {replicas: 2}
`

func TestApply(t *testing.T) {
	c, _ := start(t, Options{})
	ctx := t.Context()
	namespace := "# a comment alone\n---\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {tier: one}}\n---\n"
	must(t, c.Apply(ctx, []byte(namespace)))
	must(t, c.InstallCRDs(ctx))
	must(t, c.InstallCRDs(ctx)) // again, and at once usable
	must(t, c.Apply(ctx, []byte(prometheusObject+"---"+datasourceObject+"---"+agentObject)))
	// What is applied anew takes the place of what was.
	must(t, c.Apply(ctx, []byte(strings.ReplaceAll(namespace, "one", "two"))))

	shop, err := c.Client().CoreV1().Namespaces().Get(ctx, "shop", metav1.GetOptions{})
	must(t, err)
	if shop.Labels["tier"] != "two" {
		t.Errorf("the labels are %v", shop.Labels)
	}
	client, err := dynamic.NewForConfig(c.RESTConfig())
	must(t, err)
	read := func(group, version, resource, name string, path ...string) string {
		t.Helper()
		o, err := client.Resource(schema.GroupVersionResource{Group: group, Version: version, Resource: resource}).
			Namespace("shop").Get(ctx, name, metav1.GetOptions{})
		must(t, err)
		text, _, err := unstructured.NestedString(o.Object, path...)
		must(t, err)
		return text
	}
	for want, got := range map[string]string{
		"web":     read("monitoring.coreos.com", "v1", "prometheuses", "main", "spec", "portName"),
		"30d":     read("monitoring.coreos.com", "v1", "prometheuses", "main", "spec", "retention"),
		"tls.key": read("monitoring.coreos.com", "v1", "prometheuses", "main", "spec", "web", "tlsConfig", "keySecret", "key"),
		"http://prometheus.shop.svc:9090": read("perses.dev", "v1alpha2", "persesdatasources", "staging",
			"spec", "config", "plugin", "spec", "proxy", "spec", "url"),
		"": read("monitoring.coreos.com", "v1alpha1", "prometheusagents", "agent", "spec", "serviceName"),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for name, test := range map[string]struct{ text, want string }{
		"unknown field":  {"apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: shop}\nspec: {prots: []}\n", "prots"},
		"written twice":  {"apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\nkind: Namespace\n", "already set"},
		"wrong type":     {strings.Replace(prometheusObject, "/prom", "[1]", 1), "routePrefix"},
		"unknown kind":   {"apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: a}\n", "does not serve"},
		"no namespace":   {"apiVersion: v1\nkind: Service\nmetadata: {name: a}\n", "metadata.namespace"},
		"no name":        {"apiVersion: v1\nkind: Namespace\n", "metadata.name"},
		"broken YAML":    {"apiVersion: [", "document 1"},
		"refused object": {"apiVersion: v1\nkind: Namespace\nmetadata: {name: A_B}\n", "Namespace A_B"},
	} {
		if err := c.Apply(ctx, []byte(test.text)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got error %v, want one with %q", name, err, test.want)
		}
	}
}
