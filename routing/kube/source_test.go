package kube

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/promgate/promgate/routing"
)

// readCase is an object and what it describes: a claim, faults, or nothing.
type readCase struct {
	name, object string
	want         *claim
	faults       []string
}

// good is a case of an object that leads to a Service.
func good(name, object, environment string, ref ServiceRef) readCase {
	return readCase{name: name, object: object, want: &claim{environment: environment, ref: ref}}
}

// governed is a case of a Prometheus object that leads to a Service.
func governed(name, object, environment string, ref ServiceRef) readCase {
	c := good(name, object, environment, ref)
	c.want.ambiguous = true
	return c
}

// labelled is a Service with the label.
func labelled(annotations, spec string) string {
	return manifest(`promgate.io/environment: production`, annotations, spec)
}

// toService is a reference into the namespace shop.
func toService(scheme, name, port, path string) ServiceRef {
	return ServiceRef{Namespace: "shop", Name: name, Port: port, Scheme: scheme, PathPrefix: path}
}

const (
	onePort  = `{ports: [{name: web, port: 9090}]}`
	twoPorts = `{ports: [{name: grpc, port: 10901, protocol: TCP}, {name: web, port: 9090}, {name: gossip, port: 9094, protocol: UDP}]}`
)

// readCases are what only one kind says.
var readCases = map[string][]readCase{
	"services": {
		{name: "no label", object: manifest("", `promgate.io/port: web`, onePort)},
		good("one port", labelled("", onePort), "production", toService("http", "main", "web", "")),
		good("one port of TCP", labelled("", `{ports: [{name: dns, port: 53, protocol: UDP}, {port: 9090}]}`), "production", toService("http", "main", "9090", "")),
		good("a port by name", labelled(`promgate.io/port: grpc`, twoPorts), "production", toService("http", "main", "grpc", "")),
		good("a port by number", labelled(`promgate.io/port: "9090"`, twoPorts), "production", toService("http", "main", "9090", "")),
		good("a port with a number for a name", labelled("", `{ports: [{name: "080", port: 9090}]}`), "production", toService("http", "main", "9090", "")),
		good("headless", labelled("", `{clusterIP: None, type: ClusterIP, ports: [{name: web, port: 9090}]}`), "production", toService("http", "main", "web", "")),
		good("all said", labelled(`promgate.io/port: web, promgate.io/scheme: https, promgate.io/path-prefix: /a/b_c~d/`, onePort), "production",
			toService("https", "main", "web", "/a/b_c~d")),
		good("nothing said at length", labelled(`promgate.io/port: "", promgate.io/scheme: "", promgate.io/path-prefix: /`, onePort), "production",
			toService("http", "main", "web", "")),

		{name: "several ports", object: labelled("", twoPorts), faults: []string{"the Service has several ports; set the annotation promgate.io/port to one of grpc, web"}},
		{name: "a port that is not there", object: labelled(`promgate.io/port: http`, twoPorts), faults: []string{`the Service has no port "http"; set promgate.io/port to one of grpc, web`}},
		{name: "a port's target", object: labelled(`promgate.io/port: "8080"`, `{ports: [{port: 80, targetPort: 8080}]}`), faults: []string{`no port "8080"; set promgate.io/port to one of 80`}},
		{name: "a port of UDP", object: labelled(`promgate.io/port: gossip`, twoPorts), faults: []string{`no port "gossip"`}},
		{name: "a number for a name", object: labelled(`promgate.io/port: "80"`, `{ports: [{name: "80", port: 9090}]}`), faults: []string{`no port "80"; set promgate.io/port to one of 9090`}},
		{name: "UDP alone", object: labelled("", `{ports: [{name: dns, port: 53, protocol: UDP}]}`), faults: []string{"the Service has no TCP port"}},
		{name: "UDP alone, by name", object: labelled(`promgate.io/port: dns`, `{ports: [{name: dns, port: 53, protocol: UDP}]}`), faults: []string{"the Service has no TCP port"}},
		{name: "no port", object: labelled("", `{clusterIP: None}`), faults: []string{"the Service has no TCP port"}},
		{name: "ExternalName", object: labelled("", `{type: ExternalName, externalName: prometheus.example}`), faults: []string{"of type ExternalName; write the server's url in the configuration"}},
		{name: "an unknown scheme", object: labelled(`promgate.io/scheme: HTTPS`, onePort), faults: []string{`promgate.io/scheme is "HTTPS"`}},
		{name: "a relative path", object: labelled(`promgate.io/path-prefix: prometheus`, onePort), faults: []string{"promgate.io/path-prefix: the path \"prometheus\" does not start with a slash"}},
		{name: "a path that climbs", object: labelled(`promgate.io/path-prefix: /a/../../../pods`, onePort), faults: []string{"a segment . or .."}},
		{name: "an empty segment", object: labelled(`promgate.io/path-prefix: //a`, onePort), faults: []string{"an empty segment"}},
		{name: "an escaped path", object: labelled(`promgate.io/path-prefix: /%2e%2e`, onePort), faults: []string{"characters other than"}},
		{name: "a path with a blank", object: labelled(`promgate.io/path-prefix: "/a b"`, onePort), faults: []string{"characters other than"}},
		{name: "a path with a query", object: labelled(`promgate.io/path-prefix: "/a?b"`, onePort), faults: []string{"characters other than"}},
	},
	"prometheuses": {
		governed("nothing said", manifest("", "", `{replicas: 2, shards: 1, listenLocal: false}`), "main", toService("http", "prometheus-operated", "web", "")),
		governed("no spec", `{metadata: {name: main, namespace: shop}}`, "main", toService("http", "prometheus-operated", "web", "")),
		governed("all said", manifest(`promgate.io/environment: staging`, "",
			`{serviceName: own, portName: http, routePrefix: /prometheus/, web: {tlsConfig: {}}}`), "staging", toService("https", "own", "http", "/prometheus")),
		governed("the root", manifest("", "", `{routePrefix: /, web: {tlsConfig: null, pageTitle: a}}`), "main", toService("http", "prometheus-operated", "web", "")),
		{name: "shards", object: manifest("", "", `{shards: 2}`), faults: []string{"it has 2 shards, of which each holds a part of the data; put a Thanos querier before them and set the label promgate.io/environment"}},
		{name: "for its own pod alone", object: manifest("", "", `{listenLocal: true}`), faults: []string{"it listens for its own pod alone; remove spec.listenLocal"}},
		{name: "a misspelled label", object: manifest(`promgate.io/replica: pin`, "", `{}`), faults: []string{"the label promgate.io/replica is not known here"}},
		{name: "a relative path", object: manifest("", "", `{routePrefix: a}`), faults: []string{`spec.routePrefix: the path "a" does not start with a slash`}},
		{name: "no name of a Service", object: manifest("", "", `{serviceName: a/b}`), faults: []string{`spec.serviceName is "a/b"`}},
		{name: "no name of a port", object: manifest("", "", `{portName: "web:1"}`), faults: []string{`spec.portName: "web:1" is not a port name`}},
		{name: "annotations of Services", object: manifest("", `promgate.io/port: web, promgate.io/environment: a`, `{}`),
			faults: []string{"the annotation promgate.io/environment is not known here", "the annotation promgate.io/port is not known here"}},
		{name: "no name of an environment", object: `{metadata: {name: a.b, namespace: shop}}`, faults: []string{`"a.b" cannot be the name`}},
	},
	"persesDatasources": {
		good("the proxy's URL before the direct one", perses(true, `{proxy: {kind: HTTPProxy, spec: {url: "http://inner:9090/a"}}, directUrl: "http://outer:9090"}`), "production",
			toService("http", "inner", "9090", "/a")),
		good("unlabelled", perses(false, `{directUrl: "http://prometheus.shop:9090"}`), "main", toService("http", "prometheus", "9090", "")),
		good("label and annotation", manifest(`promgate.io/environment: production`, `promgate.io/environment: other`,
			`{config: {plugin: {kind: PrometheusDatasource, spec: {directUrl: "http://prometheus"}}}}`), "production", toService("http", "prometheus", "80", "")),
		{name: "an annotation alone", object: manifest("", `promgate.io/environment: production`, plain["persesDatasources"])},
		{name: "headers", object: perses(true, `{proxy: {kind: HTTPProxy, spec: {url: "http://mimir", headers: {X-Scope-OrgID: shop}}}}`), want: func() *claim {
			c := toService("http", "mimir", "80", "")
			c.Headers = http.Header{"X-Scope-Orgid": {"shop"}}
			return &claim{environment: "production", ref: c}
		}()},
		{name: "a header for credentials", object: perses(false, `{proxy: {kind: HTTPProxy, spec: {url: "http://mimir", headers: {authorization: hunter2}}}}`),
			faults: []string{"the header Authorization cannot be set in the proxy's headers"}},
		{name: "another plugin", object: manifest("", "", `{config: {plugin: {kind: TempoDatasource, spec: {directUrl: "http://tempo:3200"}}}}`)},
		{name: "no plugin", object: manifest("", "", `{config: {}}`)},
		{name: "annotations of Services", object: manifest("", `promgate.io/port: web`, plain["persesDatasources"]), faults: []string{"the annotation promgate.io/port is not known here"}},
		{name: "foreign, and with other faults", object: manifest("", `promgate.io/allow: admin`, `{config: {plugin: {kind: PrometheusDatasource, spec: {directUrl: "http://a.example"}}}}`)},
	},
}

// perses is a data source of Perses with that spec of its plugin.
func perses(labelled bool, spec string) string {
	label := ""
	if labelled {
		label = `promgate.io/environment: production`
	}
	return manifest(label, "", `{config: {default: true, plugin: {kind: PrometheusDatasource, spec: `+spec+`}}}`)
}

func TestRead(t *testing.T) {
	for _, s := range sources {
		for _, c := range readCases[s.name] {
			name, got := s.name+", "+c.name, s.read(mustParse(t, c.object))
			switch {
			case c.faults != nil:
				wantFaults(t, name, got, c.faults...)
			case !reflect.DeepEqual(got, c.want):
				t.Errorf("%s: got %+v, want %+v", name, got, c.want)
			}
		}
	}
}

// TestExample: the example of the documentation, and all that it leads to.
func TestExample(t *testing.T) {
	got := readService(mustParse(t, `
metadata:
  name: thanos-query
  namespace: shop
  labels:
    promgate.io/environment: all-regions
  annotations:
    promgate.io/port: http
    promgate.io/path-prefix: /thanos
    promgate.io/allow: federate
    promgate.io/headers: |
      X-Scope-OrgID: shop
      X-Query: a
spec:
  selector: {app: thanos-query}
  ports:
    - {name: grpc, port: 10901}
    - {name: http, port: 9090}`))
	want := &claim{environment: "all-regions", allow: routing.Allow{Federate: true}, ref: ServiceRef{
		Namespace: "shop", Name: "thanos-query", Port: "http", Scheme: "http", PathPrefix: "/thanos",
		Headers: http.Header{"X-Scope-Orgid": {"shop"}, "X-Query": {"a"}},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestServiceURLs: which URLs are a Service of the object's own namespace. Any
// other makes nothing, and a fault where the label asks for an environment.
func TestServiceURLs(t *testing.T) {
	for url, want := range map[string]ServiceRef{
		"http://prometheus":                                 toService("http", "prometheus", "80", ""),
		"http://prometheus:9090":                            toService("http", "prometheus", "9090", ""),
		"https://prometheus":                                toService("https", "prometheus", "443", ""),
		"https://prometheus:/":                              toService("https", "prometheus", "443", ""),
		"http://prometheus.shop:9090/":                      toService("http", "prometheus", "9090", ""),
		"http://prometheus.shop.svc:9090/a/b/":              toService("http", "prometheus", "9090", "/a/b"),
		"http://prometheus.shop.svc.cluster.local:9090":     toService("http", "prometheus", "9090", ""),
		"http://prometheus.shop.svc.cluster.local.:9090/a":  toService("http", "prometheus", "9090", "/a"),
		"http://prometheus.:9090":                           toService("http", "prometheus", "9090", ""),
		"HTTPS://prometheus.shop.svc.corp.example.com:9090": toService("https", "prometheus", "9090", ""),
	} {
		for _, labelled := range []bool{false, true} {
			c := readPersesDatasource(mustParse(t, perses(labelled, `{directUrl: "`+url+`"}`)))
			if c == nil || len(c.faults) > 0 || !reflect.DeepEqual(c.ref, want) {
				t.Errorf("%s: got %+v, want %+v", url, c, want)
			}
		}
	}
	const noURL, foreign, more, notPlain = "its URL is no http or https URL", "its URL is not that of a Service of this namespace",
		"its URL has more than scheme, host, port and path", "its URL has a path that is not plain"
	for url, fault := range map[string]string{
		"":                                     noURL,
		"prometheus:9090":                      noURL,
		"/proxy":                               noURL,
		"http://":                              noURL,
		"http://:9090":                         foreign,
		"ftp://prometheus":                     noURL,
		"http:prometheus":                      noURL,
		"http://prometheus:web":                noURL,
		"http://u:hunter2@prometheus:p":        noURL,
		"http://prometheus.billing:9090":       foreign,
		"http://prometheus.billing.svc":        foreign,
		"http://prometheus.shop.pod":           foreign,
		"http://prometheus.shop.example.com":   foreign,
		"http://prometheus.example.com":        foreign,
		"http://prometheus..svc":               foreign,
		"http://Prometheus":                    foreign,
		"http://pro_metheus":                   foreign,
		"http://10.0.0.1:9090":                 foreign,
		"http://[::1]:9090":                    foreign,
		"http://[fe80::1%25shop]":              foreign,
		"http://hunter2@prometheus":            more,
		"http://u:hunter2@prometheus:9090":     more,
		"http://prometheus/?token=hunter2":     more,
		"http://prometheus/#hunter2":           more,
		"http://prometheus:0":                  "its URL has a bad port",
		"http://prometheus:65536":              "its URL has a bad port",
		"http://prometheus:09090":              "its URL has a bad port",
		"http://prometheus/a//b":               notPlain,
		"http://prometheus/a/../b":             notPlain,
		"http://prometheus/%2e%2e/":            notPlain,
		"http://prometheus/%2F":                notPlain,
		"http://prometheus/%61":                notPlain,
		"http://prometheus.shop.svc:9090/a%20": notPlain,
	} {
		wantFaults(t, url, readPersesDatasource(mustParse(t, perses(true, `{proxy: {spec: {url: "`+url+`"}}}`))), fault)
		if c := readPersesDatasource(mustParse(t, perses(false, `{directUrl: "`+url+`"}`))); c != nil {
			t.Errorf("%s: got %+v", url, c)
		}
	}
	advice := readPersesDatasource(mustParse(t, perses(true, `{directUrl: "http://a.example"}`))).faults[0]
	if !strings.HasSuffix(advice, "; write that of a Service of this namespace, such as http://prometheus.shop.svc:9090, or remove the label") {
		t.Errorf("got %s", advice)
	}
}
