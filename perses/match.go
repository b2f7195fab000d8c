package perses

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/promgate/promgate/routing"
)

// reason is why a data source is hidden: a word for the metric.
type reason string

// The reasons.
const (
	noEnvironment reason = "no_environment"
	otherKind     reason = "other_kind"
	malformed     reason = "malformed"
)

// sentences say the same to people. What leads nowhere and what leads to where
// the viewer may not query is told alike.
var sentences = map[reason]string{
	noEnvironment: "it leads to no environment that you may query: give it the URL of an environment, or the annotation promgate.io/environment with its name",
	otherKind:     "its plugin is not PrometheusDatasource, and nothing else can be queried here",
	malformed:     "it does not have the form of a data source of Perses, with a plugin that has a kind and a spec",
}

// prometheusPlugin is the one kind of data sources that environments answer.
const prometheusPlugin = "PrometheusDatasource"

// source is what a data source says, as far as anybody is told of it. Whatever
// else it holds, such as headers and secrets, is not kept.
type source struct {
	display  *displayItem
	standard bool
	plugin   string
	// interval is the duration between two scrapes; empty: none, or not one.
	interval string
	// annotation names the environment; empty: the URL does.
	annotation string
	location   location
	located    bool
	// problem is why it leads nowhere, whatever environments there are.
	problem reason
}

type displayItem struct {
	Name        string `json:"name,omitempty"`
	Description string `json:"description,omitempty"`
}

// durationPattern is Perses' and Prometheus' form of durations.
var durationPattern = regexp.MustCompile(`^(\d{1,9}y)?(\d{1,9}w)?(\d{1,9}d)?(\d{1,9}h)?(\d{1,9}m)?(\d{1,9}s)?(\d{1,9}ms)?$`)

// newSource reads a data source's spec.
func newSource(spec []byte, annotation string) *source {
	var read struct {
		Display *displayItem
		Default bool
		Plugin  *struct {
			Kind string
			Spec json.RawMessage
		}
	}
	if json.Unmarshal(spec, &read) != nil || read.Plugin == nil || read.Plugin.Kind == "" {
		return &source{problem: malformed}
	}
	s := &source{display: read.Display, standard: read.Default, plugin: read.Plugin.Kind, annotation: annotation}
	if s.plugin != prometheusPlugin {
		s.problem = otherKind
		return s
	}
	var plugin struct {
		DirectURL string
		Proxy     *struct {
			Kind string
			Spec struct{ URL string }
		}
		ScrapeInterval json.RawMessage
	}
	if len(read.Plugin.Spec) > 0 && json.Unmarshal(read.Plugin.Spec, &plugin) != nil ||
		plugin.Proxy != nil && plugin.Proxy.Kind != "HTTPProxy" {
		s.problem = malformed
		return s
	}
	// A direct URL is what a browser would call: it counts where there is no other.
	url := plugin.DirectURL
	if plugin.Proxy != nil {
		url = plugin.Proxy.Spec.URL
	}
	s.location, s.located = newLocation(url)
	var interval string
	if json.Unmarshal(plugin.ScrapeInterval, &interval) == nil && durationPattern.MatchString(interval) {
		s.interval = interval
	}
	return s
}

// handedOut is the spec of a data source that viewers get: this and no more.
type handedOut struct {
	Display *displayItem `json:"display,omitempty"`
	Default bool         `json:"default"`
	Plugin  struct {
		Kind string `json:"kind"`
		Spec struct {
			Proxy struct {
				Kind string `json:"kind"`
				Spec struct {
					URL string `json:"url"`
				} `json:"spec"`
			} `json:"proxy"`
			ScrapeInterval string `json:"scrapeInterval,omitempty"`
		} `json:"spec"`
	} `json:"plugin"`
}

// rewritten is the data source's spec for viewers, with the environment's URL.
func (s *source) rewritten(url string) []byte {
	out := handedOut{Display: s.display, Default: s.standard}
	out.Plugin.Kind = s.plugin
	out.Plugin.Spec.Proxy.Kind = "HTTPProxy"
	out.Plugin.Spec.Proxy.Spec.URL = url
	out.Plugin.Spec.ScrapeInterval = s.interval
	return mustJSON(out)
}

// location is a URL in one form. It is only ever compared.
type location struct{ scheme, host, port, path string }

// newLocation reads a URL. What no environment can have is none: user
// information, a query, a fragment, escapes, segments that are empty or dots.
func newLocation(text string) (location, bool) {
	const longest = 2048
	scheme, rest, found := strings.Cut(text, "://")
	if !found || len(text) > longest {
		return location{}, false
	}
	l := location{scheme: strings.ToLower(scheme)}
	authority := rest
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		authority, l.path = rest[:i], strings.TrimSuffix(rest[i:], "/")
	}
	switch l.scheme {
	case "http":
		l.port = "80"
	case "https":
		l.port = "443"
	default:
		return location{}, false
	}
	l.host = strings.ToLower(authority)
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		l.host, l.port = strings.ToLower(authority[:i]), strings.ToLower(authority[i+1:])
	}
	good := isHost(l.host) && routing.PortProblem(l.port) == "" && (l.path == "" || routing.PathProblem(l.path) == "")
	return l, good
}

// isHost tells whether text is a name or an address, the one of IPv6 in brackets.
func isHost(text string) bool {
	allowed := "abcdefghijklmnopqrstuvwxyz0123456789-."
	if inner, found := strings.CutPrefix(text, "["); found {
		if text, found = strings.CutSuffix(inner, "]"); !found {
			return false
		}
		allowed = "abcdef0123456789:."
	}
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return !strings.ContainsRune(allowed, r) })
}

// serviceURL is a Service that a URL names within its cluster.
type serviceURL struct{ namespace, name string }

// service tells which Service of the cluster the URL names, as pods of the
// object's namespace would find it: name, name.namespace, name.namespace.svc or
// name.namespace.svc.cluster.local. A global object has no namespace.
func (l location) service(own string) (serviceURL, bool) {
	name, namespace, qualified := strings.Cut(l.host, ".")
	if !qualified {
		namespace = own
	} else if short, found := strings.CutSuffix(namespace, ".svc.cluster.local"); found {
		namespace = short
	} else {
		namespace = strings.TrimSuffix(namespace, ".svc")
	}
	return serviceURL{namespace, name}, routing.IsLabel(name) && routing.IsLabel(namespace)
}

// below returns the rest of a path below a prefix of whole segments.
func (l location) below(base location) (string, bool) {
	if l.scheme != base.scheme || l.host != base.host || l.port != base.port {
		return "", false
	}
	rest, found := strings.CutPrefix(l.path, base.path)
	return rest, found && strings.HasPrefix(rest, "/")
}
