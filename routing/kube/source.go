package kube

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/promgate/promgate/routing"
)

// source is a kind of objects that make environments.
type source struct {
	name string // in the configuration
	kind string
	gvr  schema.GroupVersionResource
	// selector is what the API server filters by.
	selector string
	// read tells what an object describes; nil: nothing.
	read func(*unstructured.Unstructured) *claim
}

// sources are all that there are.
var sources = []*source{
	{
		name: "services", kind: "Service", gvr: schema.GroupVersionResource{Version: "v1", Resource: "services"},
		selector: LabelEnvironment, read: readService,
	},
	{
		name: "prometheuses", kind: "Prometheus",
		gvr:  schema.GroupVersionResource{Group: "monitoring.coreos.com", Version: "v1", Resource: "prometheuses"},
		read: readPrometheus,
	},
	{
		name: "persesDatasources", kind: "PersesDatasource",
		gvr:  schema.GroupVersionResource{Group: "perses.dev", Version: "v1alpha2", Resource: "persesdatasources"},
		read: readPersesDatasource,
	},
}

// builtIn tells whether the kind is part of every Kubernetes.
func (s *source) builtIn() bool { return s.gvr.Group == "" }

// readService reads a Service with the label.
func readService(o *unstructured.Unstructured) *claim {
	if _, labelled := o.GetLabels()[LabelEnvironment]; !labelled {
		return nil
	}
	c := newClaim(o, serviceAnnotations)
	annotations := o.GetAnnotations()
	c.ref.Name = o.GetName()
	c.setScheme(annotations[annotationScheme], annotationScheme)
	c.setPath(annotations[annotationPathPrefix], annotationPathPrefix)
	if kind, _, _ := unstructured.NestedString(o.Object, "spec", "type"); kind == "ExternalName" {
		c.fault("the API server does not proxy to a Service of type ExternalName; write the server's url in the configuration file instead")
		return c
	}
	ports := declaredPorts(o)
	switch port := annotations[annotationPort]; {
	case len(ports) == 0:
		c.fault("the Service has no TCP port; give it one")
	case port != "" && slices.ContainsFunc(ports, func(p servicePort) bool { return p.name == port || p.number == port }):
		c.ref.Port = port
	case port != "":
		c.fault("the Service has no port %q; set %s to one of %s", routing.Clip(port), annotationPort, portList(ports))
	case len(ports) == 1:
		c.ref.Port = ports[0].best()
	default:
		c.fault("the Service has several ports; set the annotation %s to one of %s", annotationPort, portList(ports))
	}
	return c
}

// servicePort is a port of a Service by its two names.
type servicePort struct{ name, number string }

// best is the name, if it has one: numbers change.
func (p servicePort) best() string {
	if p.name != "" {
		return p.name
	}
	return p.number
}

func declaredPorts(o *unstructured.Unstructured) []servicePort {
	list, _, _ := unstructured.NestedSlice(o.Object, "spec", "ports")
	var ports []servicePort
	for _, entry := range list {
		fields, _ := entry.(map[string]any)
		if protocol, _ := fields["protocol"].(string); protocol != "" && protocol != "TCP" {
			continue
		}
		name, _ := fields["name"].(string)
		if strings.Trim(name, "0123456789") == "" {
			name = "" // the API server takes such a name for the number of a port
		}
		number, _ := fields["port"].(int64)
		ports = append(ports, servicePort{name: name, number: strconv.FormatInt(number, 10)})
	}
	return ports
}

// portList names the ports, for a sentence that stays readable.
func portList(ports []servicePort) string {
	const most = 10
	var names []string
	for _, p := range ports[:min(len(ports), most)] {
		names = append(names, p.best())
	}
	if len(ports) > most {
		names = append(names, "…")
	}
	return strings.Join(names, ", ")
}

// Names that prometheus-operator gives where an object gives none.
const (
	operatedService = "prometheus-operated"
	operatedPort    = "web"
)

// readPrometheus reads a Prometheus object: the Service that governs its pods
// is how it is reached. A PrometheusAgent is another kind and answers no query.
func readPrometheus(o *unstructured.Unstructured) *claim {
	c := newClaim(o, commonAnnotations)
	field := func(names ...string) string {
		text, _, _ := unstructured.NestedString(o.Object, append([]string{"spec"}, names...)...)
		return text
	}
	c.ref.Name, c.ref.Port, c.ambiguous = field("serviceName"), field("portName"), true
	if c.ref.Name == "" {
		c.ref.Name = operatedService
	}
	if c.ref.Port == "" {
		c.ref.Port = operatedPort
	}
	// Their definition allows any text.
	if !routing.IsLabel(c.ref.Name) {
		c.fault("spec.serviceName is %q; write the name of a Service", routing.Clip(c.ref.Name))
	}
	if problem := routing.PortProblem(c.ref.Port); problem != "" {
		c.fault("spec.portName: %s; write one such as %s", problem, operatedPort)
	}
	c.setPath(field("routePrefix"), "spec.routePrefix")
	if _, secure, _ := unstructured.NestedMap(o.Object, "spec", "web", "tlsConfig"); secure {
		c.ref.Scheme = "https"
	}
	if shards, _, _ := unstructured.NestedInt64(o.Object, "spec", "shards"); shards > 1 {
		c.fault("it has %d shards, of which each holds a part of the data; put a Thanos querier before them and set the label %s on its Service",
			shards, LabelEnvironment)
	}
	if local, _, _ := unstructured.NestedBool(o.Object, "spec", "listenLocal"); local {
		c.fault("it listens for its own pod alone; remove spec.listenLocal, or set the label %s on the Service of what stands before it", LabelEnvironment)
	}
	return c
}

// readPersesDatasource reads a data source of Perses that leads to a Service of
// its own namespace. One that leads elsewhere is Perses' matter alone, unless
// it carries the label.
func readPersesDatasource(o *unstructured.Unstructured) *claim {
	text := func(names ...string) string {
		s, _, _ := unstructured.NestedString(o.Object, append([]string{"spec", "config", "plugin"}, names...)...)
		return s
	}
	_, labelled := o.GetLabels()[LabelEnvironment]
	if _, chooses := o.GetAnnotations()[LabelEnvironment]; chooses && !labelled {
		return nil // it names an environment that there is, and makes none
	}
	if text("kind") != "PrometheusDatasource" {
		return nil
	}
	raw := text("spec", "proxy", "spec", "url")
	if raw == "" {
		raw = text("spec", "directUrl")
	}
	c := newClaim(o, append(slices.Clone(commonAnnotations), LabelEnvironment))
	if problem := c.setServiceURL(raw); problem != "" {
		if !labelled {
			return nil
		}
		c.fault("its URL %s; write that of a Service of this namespace, such as http://prometheus.%s.svc:9090, or remove the label", problem, o.GetNamespace())
	}
	headers, _, _ := unstructured.NestedStringMap(o.Object, "spec", "config", "plugin", "spec", "proxy", "spec", "headers")
	for _, name := range slices.Sorted(maps.Keys(headers)) { // such as the tenant's
		c.setHeader(name, headers[name], "the proxy's headers")
	}
	return c
}

// setServiceURL takes the URL of a Service of the claim's namespace, and says
// what is wrong with any other. It does not repeat the URL, which may hold a
// password.
func (c *claim) setServiceURL(raw string) (problem string) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "is no http or https URL"
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "has more than scheme, host, port and path"
	}
	// service, service.namespace, service.namespace.svc and what follows.
	labels := strings.SplitN(strings.TrimSuffix(u.Hostname(), "."), ".", 4)
	if !routing.IsLabel(labels[0]) || len(labels) > 1 && labels[1] != c.ref.Namespace || len(labels) > 2 && labels[2] != "svc" {
		return "is not that of a Service of this namespace"
	}
	c.ref.Name, c.ref.Scheme, c.ref.Port = labels[0], u.Scheme, u.Port()
	if c.ref.Port == "" {
		c.ref.Port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	if problem := routing.PortProblem(c.ref.Port); problem != "" {
		return "has a bad port: " + problem
	}
	if problem := routing.PathProblem(u.EscapedPath()); u.Path != "" && problem != "" {
		return fmt.Sprintf("has a path that is not plain (%s)", problem)
	}
	c.setPath(u.EscapedPath(), "the path")
	return ""
}
