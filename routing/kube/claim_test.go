package kube

import (
	"fmt"
	"net/http"
	"path"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/promgate/promgate/kube"

	"golang.org/x/net/http/httpguts"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/promgate/promgate/routing"
)

// parse reads an object as the API server's answers are read.
func parse(text string) (*unstructured.Unstructured, error) {
	data, err := yaml.ToJSON([]byte("---\n" + text)) // flow alone would pass for JSON
	if err != nil {
		return nil, err
	}
	o := &unstructured.Unstructured{}
	return o, json.Unmarshal(data, &o.Object)
}

func mustParse(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	o, err := parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return o
}

// secret stands in headers' values; no fault may repeat it.
const secret = "hunter2"

// plain are specs that have no fault, by source.
var plain = map[string]string{
	"services":          `{ports: [{name: web, port: 9090}]}`,
	"prometheuses":      `{}`,
	"persesDatasources": `{config: {plugin: {kind: PrometheusDatasource, spec: {directUrl: "http://prometheus:9090"}}}}`,
}

// manifest writes an object whose labels and annotations are YAML flow.
func manifest(labels, annotations, spec string) string {
	return "{metadata: {name: main, namespace: shop, labels: {" + labels + "}, annotations: {" + annotations + "}}, spec: " + spec + "}"
}

// wantFaults checks that the claim has one fault for each part of a sentence,
// in their order, each with what to do.
func wantFaults(t *testing.T, name string, c *claim, parts ...string) {
	t.Helper()
	if c == nil {
		t.Errorf("%s: it was passed over in silence", name)
		return
	}
	if len(c.faults) != len(parts) {
		t.Errorf("%s: got %d faults, want %d: %q", name, len(c.faults), len(parts), c.faults)
		return
	}
	for i, fault := range c.faults {
		if !strings.Contains(fault, parts[i]) {
			t.Errorf("%s: got %q, want %q", name, fault, parts[i])
		}
		if _, advice, ok := strings.Cut(fault, "; "); !ok || advice == "" {
			t.Errorf("%s: %q says not what to do", name, fault)
		}
		if strings.Contains(fault, secret) {
			t.Errorf("%s: %q repeats a value", name, fault)
		}
	}
}

// common is what every kind of object says alike.
var common = []struct {
	name, labels, annotations string
	want                      claim // but for the name of the Service and the like
	faults                    []string
}{
	{name: "nothing said", want: claim{environment: "main"}},
	{name: "the label", labels: `promgate.io/environment: production`, want: claim{environment: "production"}},
	{name: "an empty label", labels: `promgate.io/environment: ""`, want: claim{environment: "main"}},
	{name: "others' annotations", annotations: `example.com/a: b, promgate.iox/a: b, promgate: b`, want: claim{environment: "main"}},
	{name: "no name of an environment", labels: `promgate.io/environment: Production`, faults: []string{`"Production" cannot be the name of an environment`}},
	{name: "a dotted one", labels: `promgate.io/environment: a.b`, faults: []string{`"a.b" cannot be the name`}},
	{
		name: "misspelled annotations", annotations: `promgate.io/ports: web, promgate.io/Allow: federate`,
		faults: []string{"the annotation promgate.io/Allow is not known here; the known ones are promgate.io/headers,", "the annotation promgate.io/ports is not known"},
	},

	{
		name: "headers", annotations: `promgate.io/headers: "X-Scope-OrgID: a|b\r\n\n  \nx-other:  c: d  \n"`,
		want: claim{environment: "main", ref: ServiceRef{Headers: http.Header{"X-Scope-Orgid": {"a|b"}, "X-Other": {"c: d"}}}},
	},
	{name: "a header of the connection", annotations: header("connection: hunter2"), faults: []string{"the header Connection cannot be set in promgate.io/headers: it belongs to a single connection"}},
	{name: "credentials", annotations: header("AUTHORIZATION: Bearer hunter2"), faults: []string{"the header Authorization cannot be set"}},
	{name: "an identity", annotations: header("Impersonate-User: hunter2"), faults: []string{"act as somebody else"}},
	{name: "an identity's extra", annotations: header("impersonate-extra-a: hunter2"), faults: []string{"act as somebody else"}},
	{name: "no colon", annotations: header("hunter2"), faults: []string{"a line of promgate.io/headers is no header"}},
	{name: "no name", annotations: header(": hunter2"), faults: []string{"is no header's"}},
	{name: "no token", annotations: header("hunter2 X: a"), faults: []string{"is no header's"}},
	{name: "a blank before the colon", annotations: header("Authorization : hunter2"), faults: []string{"is no header's"}},
	{name: "a continued line", annotations: header(`X-A: b\n hunter2`), faults: []string{"is no header"}},
	{name: "the same header twice", annotations: header(`X-A: hunter2\nx-a: hunter2`), faults: []string{"has the header X-A twice"}},
	{name: "a control character", annotations: header(`X-A: hunter2\x01`), faults: []string{"the value of the header X-A in promgate.io/headers is empty or no plain text"}},
	{name: "a carriage return", annotations: header(`X-A: hunter2\rX-B: hunter2`), faults: []string{"the value of the header X-A"}},
	{name: "an empty value", annotations: header("X-A:  "), faults: []string{"the value of the header X-A"}},
	{name: "several lines wrong", annotations: header(`Te: hunter2\nhunter2\nX-B:`), faults: []string{"the header Te", "is no header", "the header X-B"}},

	{name: "one allowed", annotations: `promgate.io/allow: federate`, want: claim{environment: "main", allow: routing.Allow{Federate: true}}},
	{name: "both allowed", annotations: `promgate.io/allow: " remoteRead,federate "`, want: claim{environment: "main", allow: routing.Allow{RemoteRead: true, Federate: true}}},
	{name: "unknown ones allowed", annotations: `promgate.io/allow: "remoteread,admin"`, faults: []string{`"remoteread" in promgate.io/allow is not known`, `"admin" in`}},
	{name: "nothing allowed", annotations: `promgate.io/allow: ""`, want: claim{environment: "main"}},
	{name: "a comma too many", annotations: `promgate.io/allow: "federate,"`, faults: []string{`"" in promgate.io/allow is not known`}},
	{name: "post", annotations: `promgate.io/allow-post: "true"`, want: claim{environment: "main", allowPost: true}},
	{
		name: "enforced", annotations: `promgate.io/enforce: "\n namespace = shop, shop-batch \n\ncluster=eu=1\n"`,
		want: claim{environment: "main", enforce: map[string][]string{"namespace": {"shop", "shop-batch"}, "cluster": {"eu=1"}}},
	},
	{
		name: "aliases", annotations: `promgate.io/aliases: "http://prometheus.shop.svc:9090/\n\n HTTP://Prom.example \nhttp://prom.example:80"`,
		want: claim{environment: "main", aliases: []string{"http://prometheus.shop.svc:9090", "http://prom.example"}},
	},
	{
		name: "no aliases", annotations: `promgate.io/aliases: "prometheus:9090\nhttp://anna:secret@prometheus"`,
		faults: []string{"a line of promgate.io/aliases is no http or https URL; write one a line", "a line of promgate.io/aliases has more than scheme, host, port and path"},
	},
	{name: "nothing enforced", annotations: `promgate.io/enforce: " "`, faults: []string{"promgate.io/enforce enforces nothing"}},
	{
		name: "enforced as it cannot be", annotations: `promgate.io/enforce: "namespace\nnamespace=shop,\n=a\n__name__=up\ncluster=a\ncluster=b"`,
		faults: []string{
			"a line of promgate.io/enforce has no values", "promgate.io/enforce: a value of the label namespace is empty", "promgate.io/enforce: a label that is enforced needs a name",
			"the label __name__ is Prometheus' own", "promgate.io/enforce has the label cluster twice",
		},
	},
	{name: "no cache", annotations: `promgate.io/cache: "false"`, want: claim{environment: "main", noCache: true}},
	{name: "cache", annotations: `promgate.io/cache: "true"`, want: claim{environment: "main"}},
	{name: "cache as it is not said", annotations: `promgate.io/cache: "off"`, faults: []string{`promgate.io/cache is "off"`}},
	{name: "no post", annotations: `promgate.io/allow-post: "false"`, want: claim{environment: "main"}},
	{name: "post as it is not said", annotations: `promgate.io/allow-post: "True"`, faults: []string{`promgate.io/allow-post is "True"`}},

	{name: "pinned by annotation", annotations: `promgate.io/replicas: pin`, want: claim{environment: "main", ref: ServiceRef{Pin: true}}},
	{name: "pinned by label", labels: `promgate.io/replicas: pin`, want: claim{environment: "main", ref: ServiceRef{Pin: true}}},
	{name: "pinned by both", labels: `promgate.io/replicas: pin`, annotations: `promgate.io/replicas: pin`, want: claim{environment: "main", ref: ServiceRef{Pin: true}}},
	{name: "any", labels: `promgate.io/replicas: any`, annotations: `promgate.io/replicas: any`, want: claim{environment: "main"}},
	{name: "a contradiction", labels: `promgate.io/replicas: any`, annotations: `promgate.io/replicas: pin`, faults: []string{"the label and the annotation promgate.io/replicas contradict"}},
	{name: "unknown replicas", labels: `promgate.io/replicas: all`, faults: []string{`promgate.io/replicas is "all"`}},
	{name: "unknown replicas twice", labels: `promgate.io/replicas: all`, annotations: `promgate.io/replicas: all`, faults: []string{`promgate.io/replicas is "all"`}},
	{name: "half a word each", labels: `promgate.io/replicas: p`, annotations: `promgate.io/replicas: in`, faults: []string{"contradict"}},
}

// header is the annotation with lines as YAML has them in double quotes.
func header(lines string) string { return `promgate.io/headers: "` + lines + `"` }

// TestCommon: what is not the matter of one kind is read alike on all.
func TestCommon(t *testing.T) {
	for _, s := range sources {
		for _, c := range common {
			name, labels := s.name+", "+c.name, c.labels
			if s.builtIn() && !strings.Contains(labels, LabelEnvironment) {
				labels = strings.TrimPrefix(labels+`, promgate.io/environment: ""`, ", ")
			}
			got := s.read(mustParse(t, manifest(labels, c.annotations, plain[s.name])))
			if c.faults != nil {
				wantFaults(t, name, got, c.faults...)
				continue
			}
			if wantFaults(t, name, got); got == nil {
				continue
			}
			said := claim{environment: got.environment, ref: ServiceRef{Headers: got.ref.Headers, Pin: got.ref.Pin}, allow: got.allow, allowPost: got.allowPost, noCache: got.noCache, enforce: got.enforce, aliases: got.aliases}
			if !reflect.DeepEqual(said, c.want) {
				t.Errorf("%s: got %+v, want %+v", name, said, c.want)
			}
		}
	}
}

// worst has a fault in each of its parts.
const worst = `{metadata: {name: main, namespace: shop, labels: {promgate.io/environment: -, promgate.io/replicas: all},
  annotations: {promgate.io/a: "", promgate.io/c: "", promgate.io/b: "", promgate.io/headers: "hunter2\nTe: hunter2", promgate.io/allow: admin,
    promgate.io/allow-post: "yes", promgate.io/scheme: ftp, promgate.io/path-prefix: a, promgate.io/port: none}},
  spec: {ports: [{name: web, port: 9090}]}}`

// TestAllFaults: nobody has to mend an object once for each fault, and what is
// told of it stays word for word the same while the object does.
func TestAllFaults(t *testing.T) {
	for range 20 {
		wantFaults(t, "worst", readService(mustParse(t, worst)), `"-" cannot be`, "promgate.io/a is", "promgate.io/b is", "promgate.io/c is",
			"a line of", "the header Te", `"admin"`, `"yes"`, `"all"`, `"ftp"`, "promgate.io/path-prefix", `no port "none"`)
	}
}

// TestBoundedFaults: an annotation has room for a hundred thousand faults, and
// all of them would stand in every list of routes.
func TestBoundedFaults(t *testing.T) {
	long := strings.Repeat("x", 200_000)
	for name, annotation := range map[string][2]string{
		"lines":           {annotationHeaders, strings.Repeat("x\n", 100_000)},
		"words":           {annotationAllow, strings.Repeat(",", 200_000)},
		"a refused name":  {annotationHeaders, "Impersonate-" + long + ": a"},
		"a valueless one": {annotationHeaders, long + ":"},
		"a doubled one":   {annotationHeaders, long + ":a\n" + long + ":a"},
		"a word":          {annotationAllow, long},
		"a port":          {annotationPort, long},
		"a path":          {annotationPathPrefix, long},
	} {
		o := mustParse(t, manifest(`promgate.io/environment: production`, "", plain["services"]))
		o.SetAnnotations(map[string]string{annotation[0]: annotation[1]})
		c := readService(o)
		if len(c.faults) == 0 || len(joinFaults(c.faults)) > 8<<10 {
			t.Errorf("%s: %d faults of %d bytes", name, len(c.faults), len(joinFaults(c.faults)))
		}
	}
	var ports []string
	for i := range 1000 {
		ports = append(ports, fmt.Sprintf("{name: p%d, port: %d}", i, i+1))
	}
	c := readService(mustParse(t, manifest(`promgate.io/environment: production`, "", `{ports: [`+strings.Join(ports, ", ")+`]}`)))
	wantFaults(t, "ports", c, "to one of p0, p1, p2, p3, p4, p5, p6, p7, p8, p9, …")
}

// FuzzClaim states what holds for every object, whoever wrote it: reading it
// does not panic, its faults are few and short, and without a fault it makes a
// target that is a Service of its own namespace.
func FuzzClaim(f *testing.F) {
	for i, s := range sources {
		for _, c := range common {
			f.Add(uint8(i), manifest(`promgate.io/environment: ""`, c.annotations, plain[s.name]))
			f.Add(uint8(i), manifest(c.labels, c.annotations, plain[s.name]))
		}
		for _, c := range readCases[s.name] {
			f.Add(uint8(i), c.object)
		}
	}
	f.Add(uint8(0), worst)
	f.Add(uint8(0), `{metadata: {name: [], labels: {promgate.io/environment: 1}}, spec: {ports: [null, 1, {port: web, name: 1}]}}`)
	f.Fuzz(func(t *testing.T, kind uint8, text string) {
		o, err := parse(text)
		if err != nil {
			return
		}
		s := sources[int(kind)%len(sources)]
		s.read(o)
		// What follows needs what the API server sees to itself.
		o.SetNamespace("shop")
		if s.builtIn() && !routing.IsLabel(o.GetName()) {
			o.SetName("prometheus")
		}
		for _, p := range declaredPorts(o) {
			if routing.PortProblem(p.best()) != "" || routing.PortProblem(p.number) != "" {
				return
			}
		}
		if o.GetNamespace() != "shop" || s.builtIn() && o.GetName() == "" {
			return
		}
		if c := s.read(o); c != nil {
			holds(t, c)
		}
	})
}

// holds checks what FuzzClaim states of a claim in the namespace shop.
func holds(t *testing.T, c *claim) {
	if len(c.faults) > maxFaults {
		t.Errorf("%d faults", len(c.faults))
	}
	for _, fault := range c.faults {
		if len(fault) > 1<<10 || !utf8.ValidString(fault) || !strings.Contains(fault, "; ") {
			t.Errorf("the fault %q", fault)
		}
	}
	if c.ref.Namespace != "shop" {
		t.Errorf("it leads to the namespace %q", c.ref.Namespace)
	}
	if len(c.faults) > 0 {
		return
	}
	const base = "/k8s/clusters/c-1"
	cluster := &Cluster{Connection: &kube.Connection{Name: "local", Base: mustURL("https://api.example" + base)}}
	target, err := cluster.Service(c.ref)
	if err != nil {
		t.Fatalf("a claim without faults makes no target: %v", err)
	}
	read := mustURL(target.Base.String())
	below, ok := strings.CutPrefix(read.EscapedPath(), base+"/api/v1/namespaces/shop/services/"+c.ref.Scheme+":"+c.ref.Name+":"+c.ref.Port+"/proxy")
	if !ok || below != "" && below[0] != '/' || path.Clean(read.Path) != read.Path || read.Path != read.EscapedPath() || strings.ContainsAny(c.ref.Name+c.ref.Port, "/:") {
		t.Errorf("the target is %s", target.Base)
	}
	if read.RawQuery != "" || read.ForceQuery || read.Fragment != "" || read.User != nil || read.Host != "api.example" {
		t.Errorf("the target is %s", target.Base)
	}
	for name, values := range target.Header {
		if name != http.CanonicalHeaderKey(name) || routing.HeaderRefusal(name) != "" || !httpguts.ValidHeaderFieldName(name) ||
			len(values) != 1 || values[0] == "" || !httpguts.ValidHeaderFieldValue(values[0]) {
			t.Errorf("the header %q: %q", name, values)
		}
	}
	if !routing.IsLabel(c.environment) {
		t.Errorf("the environment %q", c.environment)
	}
}
