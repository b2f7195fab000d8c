// Package routing holds the words for what can be queried: projects, their
// environments and where each one's Prometheus is. A Table is an immutable
// snapshot of all of them.
package routing

import (
	"cmp"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
)

// Project is a tenant.
type Project struct {
	Name string
	// UID is the project's identity over time: a project that is deleted and
	// made again under the same name has another one.
	UID string
}

// Environment is one Prometheus server of a project, with the rules under
// which it is queried. It is immutable.
type Environment struct {
	Project *Project
	Name    string
	// UID is the environment's identity over time, as the project's is.
	UID    string
	Target *Target
	// Allow holds what is off unless somebody switched it on. Zero: nothing.
	Allow Allow
	// AllowPost lets questions that are too long for a URL go upstream as
	// POST. Through a service proxy this needs the RBAC verb create.
	AllowPost bool
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
	// Description names the target for people: "service shop/prometheus:web on
	// cluster local" or the URL without user information.
	Description string
	// ServiceProxy is set where the target is reached through the Kubernetes
	// API server, and nil where it is a URL.
	ServiceProxy *ServiceProxy
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
}

// Table is an immutable snapshot of projects and environments. The zero value
// is empty.
type Table struct {
	environments map[key]*Environment
	sorted       []*Environment
}

type key struct{ project, environment string }

// NewTable makes a table of the environments. Of two with the same project
// and environment name the first stays; callers report duplicates before.
func NewTable(environments []*Environment) *Table {
	t := &Table{environments: make(map[key]*Environment, len(environments))}
	for _, e := range environments {
		k := key{e.Project.Name, e.Name}
		if _, taken := t.environments[k]; !taken {
			t.environments[k] = e
		}
	}
	t.sorted = slices.SortedFunc(maps.Values(t.environments), func(a, b *Environment) int {
		return cmp.Or(cmp.Compare(a.Project.Name, b.Project.Name), cmp.Compare(a.Name, b.Name))
	})
	return t
}

// Lookup finds an environment by the names in its URL.
func (t *Table) Lookup(project, environment string) (*Environment, bool) {
	e, ok := t.environments[key{project, environment}]
	return e, ok
}

// Len is the number of environments.
func (t *Table) Len() int { return len(t.sorted) }

// All yields the environments by project name, then by their own.
func (t *Table) All() iter.Seq[*Environment] { return slices.Values(t.sorted) }

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
