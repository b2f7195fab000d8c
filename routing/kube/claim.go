package kube

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/promgate/promgate/routing"
)

// Labels and annotations by which objects say what they are to the gateway.
const (
	// prefix is what all of them start with.
	prefix = "promgate.io/"
	// LabelEnvironment names the environment that an object makes.
	LabelEnvironment = prefix + "environment"

	annotationPort       = prefix + "port"
	annotationScheme     = prefix + "scheme"
	annotationPathPrefix = prefix + "path-prefix"
	annotationHeaders    = prefix + "headers"
	annotationAllow      = prefix + "allow"
	annotationAllowPost  = prefix + "allow-post"
	annotationCache      = prefix + "cache"
	annotationEnforce    = prefix + "enforce"
	annotationAliases    = prefix + "aliases"
	// replicas may be a label too, so that it can be selected by.
	annotationReplicas = prefix + "replicas"
)

// commonAnnotations are understood on every kind of object; the others only
// where nothing else in the object says the same.
var (
	commonAnnotations  = []string{annotationHeaders, annotationAllow, annotationAllowPost, annotationCache, annotationEnforce, annotationAliases, annotationReplicas}
	knownLabels        = []string{LabelEnvironment, annotationReplicas}
	serviceAnnotations = append(slices.Clone(commonAnnotations), annotationPort, annotationScheme, annotationPathPrefix)
)

// claim is the environment that an object describes. It is immutable.
type claim struct {
	environment string
	ref         ServiceRef
	allow       routing.Allow
	allowPost   bool
	noCache     bool
	enforce     map[string][]string
	aliases     []string
	// ambiguous tells that the Service may be another object's as well: two
	// that claim the same one would get each other's answers.
	ambiguous bool
	// faults say what is wrong with the object, each with what to do. An object
	// with faults makes no route.
	faults []string
}

// maxFaults bounds what is told of one object: an annotation has room for many
// thousands, and every reader of the routes would get them all.
const maxFaults = 20

func (c *claim) fault(format string, args ...any) {
	if len(c.faults) < maxFaults {
		c.faults = append(c.faults, fmt.Sprintf(format, args...))
	}
}

// newClaim reads what is written alike on every kind of object.
func newClaim(o *unstructured.Unstructured, known []string) *claim {
	c := &claim{environment: o.GetLabels()[LabelEnvironment], ref: ServiceRef{Namespace: o.GetNamespace(), Scheme: "http"}}
	if c.environment == "" {
		c.environment = o.GetName()
	}
	if !routing.IsLabel(c.environment) {
		c.fault("%q cannot be the name of an environment; set the label %s to a DNS label, such as production", routing.Clip(c.environment), LabelEnvironment)
	}
	annotations := o.GetAnnotations()
	for _, name := range slices.Sorted(maps.Keys(annotations)) {
		// A misspelled one must not pass for one that is not there.
		if strings.HasPrefix(name, prefix) && !slices.Contains(known, name) {
			c.fault("the annotation %s is not known here; the known ones are %s", routing.Clip(name), strings.Join(known, ", "))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.GetLabels())) {
		if strings.HasPrefix(name, prefix) && !slices.Contains(knownLabels, name) {
			c.fault("the label %s is not known here; the known ones are %s", routing.Clip(name), strings.Join(knownLabels, ", "))
		}
	}
	c.readHeaders(annotations[annotationHeaders])
	c.readAllow(annotations)
	if text, enforced := annotations[annotationEnforce]; enforced {
		c.readEnforce(text)
	}
	c.readAliases(annotations[annotationAliases])
	c.readReplicas(o.GetLabels()[annotationReplicas], annotations[annotationReplicas])
	return c
}

// readHeaders reads one header a line. It never repeats a value: it may be a
// secret all the same.
func (c *claim) readHeaders(text string) {
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			c.fault("a line of %s is no header; write one a line, such as X-Scope-OrgID: shop", annotationHeaders)
			continue
		}
		c.setHeader(name, strings.TrimSpace(value), annotationHeaders)
	}
}

// setHeader takes a header that is to be sent with every request.
func (c *claim) setHeader(name, value, where string) {
	canonical := textproto.CanonicalMIMEHeaderKey(name)
	switch {
	case !httpguts.ValidHeaderFieldName(name):
		c.fault("a name in %s is no header's; write letters, digits and hyphens, such as X-Scope-OrgID: shop", where)
	case routing.HeaderRefusal(canonical) != "":
		c.fault("the header %s cannot be set in %s: %s", routing.Clip(canonical), where, routing.HeaderRefusal(canonical))
	case c.ref.Headers[canonical] != nil:
		c.fault("%s has the header %s twice; keep one", where, routing.Clip(canonical))
	case value == "" || !httpguts.ValidHeaderFieldValue(value):
		c.fault("the value of the header %s in %s is empty or no plain text; correct it", routing.Clip(canonical), where)
	default:
		if c.ref.Headers == nil {
			c.ref.Headers = http.Header{}
		}
		c.ref.Headers.Set(canonical, value)
	}
}

func (c *claim) readAllow(annotations map[string]string) {
	if text := annotations[annotationAllow]; text != "" {
		for word := range strings.SplitSeq(text, ",") {
			switch strings.TrimSpace(word) {
			case "remoteRead":
				c.allow.RemoteRead = true
			case "federate":
				c.allow.Federate = true
			default:
				c.fault("%q in %s is not known; write remoteRead, federate or both with a comma", routing.Clip(word), annotationAllow)
			}
		}
	}
	c.allowPost = c.readSwitch(annotations, annotationAllowPost, false)
	c.noCache = !c.readSwitch(annotations, annotationCache, true)
}

// readSwitch reads what is on or off, and what it is without the annotation.
func (c *claim) readSwitch(annotations map[string]string, name string, without bool) bool {
	switch text := annotations[name]; text {
	case "":
		return without
	case "true", "false":
		return text == "true"
	default:
		c.fault("%s is %q; write true or false", name, routing.Clip(text))
		return without
	}
}

// readEnforce reads one label a line, with its values.
func (c *claim) readEnforce(text string) {
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		label, list, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok {
			c.fault("a line of %s has no values; write one label a line, such as namespace=shop,shop-batch", annotationEnforce)
			continue
		}
		values := strings.Split(list, ",")
		for i := range values {
			values[i] = strings.TrimSpace(values[i])
		}
		label = strings.TrimSpace(label)
		if problem := routing.EnforceProblem(label, values); problem != "" {
			c.fault("%s: %s", annotationEnforce, problem)
			continue
		}
		if c.enforce[label] != nil {
			c.fault("%s has the label %s twice; write all its values in one line", annotationEnforce, routing.Clip(label))
			continue
		}
		if c.enforce == nil {
			c.enforce = map[string][]string{}
		}
		c.enforce[label] = values
	}
	if len(c.enforce) == 0 {
		c.fault("%s enforces nothing; write one label a line, such as namespace=shop,shop-batch, or remove it", annotationEnforce)
	}
}

// readAliases reads one URL a line.
func (c *claim) readAliases(text string) {
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		alias, problem := routing.Alias(strings.TrimSpace(line))
		if problem != "" {
			c.fault("a line of %s %s; write one a line, such as http://prometheus.%s.svc:9090", annotationAliases, problem, c.ref.Namespace)
		} else if !slices.Contains(c.aliases, alias) {
			c.aliases = append(c.aliases, alias)
		}
	}
}

func (c *claim) readReplicas(label, annotation string) {
	if label != "" && annotation != "" && label != annotation {
		c.fault("the label and the annotation %s contradict each other; keep one", annotationReplicas)
		return
	}
	switch text := cmp.Or(label, annotation); text {
	case "", "any":
	case "pin":
		c.ref.Pin = true
	default:
		c.fault("%s is %q; write any or pin", annotationReplicas, routing.Clip(text))
	}
}

// setScheme takes http, https or nothing.
func (c *claim) setScheme(scheme, where string) {
	switch scheme {
	case "":
	case "http", "https":
		c.ref.Scheme = scheme
	default:
		c.fault("%s is %q; write http or https", where, routing.Clip(scheme))
	}
}

// setPath takes an absolute path or nothing.
func (c *claim) setPath(path, where string) {
	if path == "" || path == "/" {
		return
	}
	if problem := routing.PathProblem(path); problem != "" {
		c.fault("%s: %s; write a plain one such as /prometheus", where, problem)
		return
	}
	c.ref.PathPrefix = strings.TrimSuffix(path, "/")
}
