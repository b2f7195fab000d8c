// Package routing holds the words for what can be queried: projects, their
// environments and where each one's Prometheus is. A Table is an immutable
// snapshot of all of them, and a Merger makes it of what several sources find.
package routing

import (
	"context"
	"net/http"
	"net/url"
	"sync/atomic"
)

// Project is a tenant.
type Project struct {
	Name string
	// UID is the project's identity over time: a project that is deleted and
	// made again under the same name has another one.
	UID string
	// Cluster is the one whose namespace the project is; empty where the project
	// is the configuration file's.
	Cluster string
}

// Environment is one Prometheus server of a project, with the rules under
// which it is queried. It is immutable.
type Environment struct {
	Project *Project
	Name    string
	// UID is the environment's identity over time, as the project's is.
	UID    string
	Target *Target
	// Source says for people where the environment was found: "configuration
	// file" or an object such as "Service shop/prometheus on cluster local".
	Source string
	// Allow holds what is off unless somebody switched it on. Zero: nothing.
	Allow Allow
	// AllowPost lets questions that are too long for a URL go upstream as
	// POST. Through a service proxy this needs the RBAC verb create.
	AllowPost bool
	// Enforce are the labels that every series of the environment carries, each
	// with the values that are its own; what carries others is not shown. Empty:
	// nothing is enforced.
	Enforce map[string][]string
	// NoCache has every question asked upstream, and nothing kept.
	NoCache bool
	// Aliases are further URLs by which data sources of Perses may name the
	// environment, in one form: lower-case scheme and host, no slash at the end.
	// They are compared and never dialled.
	Aliases []string
}

// Allow is the set of opt-in endpoints of an environment.
type Allow struct {
	RemoteRead bool
	Federate   bool
}

// Target is where an environment's Prometheus is and how it is reached.
type Target struct {
	// UID is equal for equal upstreams: same cluster and Service, or same URL
	// and fixed headers.
	UID string
	// Base is the upstream URL without a trailing slash; endpoints' constant
	// paths are appended to its escaped path.
	Base *url.URL
	// Header is sent with every request, such as X-Scope-OrgID.
	Header http.Header
	// Transport adds the gateway's credentials and does the round trip. It
	// follows no redirects, uses no environment proxy and does not decompress.
	Transport http.RoundTripper
	// Caller is set where questions are asked with their callers' own
	// Kubernetes tokens, and never with the gateway's credentials. It does the
	// round trip as Transport does, with the request's own Authorization header.
	Caller http.RoundTripper
	// NoEndpointTokens keeps endpoint tokens from opening the target. It is set
	// wherever Caller is.
	NoEndpointTokens bool
	// Description names the target for people: "service shop/prometheus:web on
	// cluster local" or the URL without user information.
	Description string
	// ServiceProxy is set where the target is reached through the Kubernetes
	// API server, and nil where it is a URL.
	ServiceProxy *ServiceProxy
	// Examine walks the way to the target up to the connection itself, and
	// stops at the first hop that fails. post has it see to what a POST needs
	// as well. Nil: there is nothing to tell.
	Examine func(ctx context.Context, post bool) []Hop
}

// ServiceProxy is a Service behind a Kubernetes API server's service proxy.
type ServiceProxy struct {
	Cluster   string
	Namespace string
	// Name is the literal name that RBAC compares: scheme:service:port.
	Name string
	// Role renders the Role and RoleBinding that grant the verb (get or
	// create) on this target to the gateway, ready to apply.
	Role func(verb string) string
	// Pinned tells that questions go to one ready pod of the Service for as
	// long as it answers, instead of to any.
	Pinned bool
}

// Current holds the table that requests see. The zero value holds an empty one.
type Current struct{ table atomic.Pointer[Table] }

// Load returns the current table, never nil. A request loads it once.
func (c *Current) Load() *Table {
	if t := c.table.Load(); t != nil {
		return t
	}
	return &Table{}
}

// Store replaces the table.
func (c *Current) Store(t *Table) { c.table.Store(t) }
