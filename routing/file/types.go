// Package file holds the sections of the configuration file that say what can
// be queried: clusters, and projects with their environments. It validates
// them, makes a routing table of them, and notices when files change.
//
// The tags of the types are read by whoever decodes the file: yaml is the key,
// default the value of an absent key, doc the text of the reference, type what
// a plain Go type does not say, enum the accepted words, and required marks
// what must be written.
package file

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Sections are the parts of the configuration file that make the routing
// table.
type Sections struct {
	Clusters []Cluster `yaml:"clusters,omitempty" doc:"Kubernetes clusters whose Services are reached through the API server's service proxy."`
	Projects []Project `yaml:"projects,omitempty" doc:"The tenants."`
}

// Cluster is a Kubernetes cluster and how its API server is reached.
type Cluster struct {
	Name       string `yaml:"name" required:"true" doc:"Name by which environments refer to the cluster: a DNS label."`
	Kubeconfig string `yaml:"kubeconfig,omitempty" type:"path" doc:"Kubeconfig file. Without it the gateway uses the service account of the pod that it runs in."`
	Context    string `yaml:"context,omitempty" doc:"Context of the kubeconfig. Without it the kubeconfig's current context is used."`
	// Credentials are "dedicated" or "user".
	Credentials    string     `yaml:"credentials,omitempty" enum:"dedicated,user" default:"dedicated" doc:"Whose credentials the API server sees when a server behind it is asked. dedicated: the gateway's own. user: the caller's Kubernetes token and nothing else, so that RBAC decides on each question; endpoint tokens then open nothing on this cluster."`
	Audiences      []string   `yaml:"audiences,omitempty" doc:"Audiences of the Kubernetes tokens that open environments on this cluster with credentials: dedicated, such as promgate. Each token is reviewed by the API server, and so is what its user may query. Without it no Kubernetes token opens anything there."`
	EndpointTokens bool       `yaml:"endpointTokens" default:"true" doc:"Whether endpoint tokens open environments on this cluster. With credentials: user they never do."`
	Discovery      *Discovery `yaml:"discovery,omitempty" doc:"Find projects and environments in the cluster. What the file names under projects comes before what is found."`
}

// Discovery says where a cluster is searched for environments.
type Discovery struct {
	Namespaces Namespaces `yaml:"namespaces" required:"true" doc:"The namespaces that are projects. Write either names or selector."`
	Sources    []string   `yaml:"sources,omitempty" enum:"services,prometheuses,persesDatasources" doc:"Kinds of objects that make environments: Services with the label promgate.io/environment, Prometheus objects of prometheus-operator, PersesDatasource objects of perses-operator. Without it all three."`
}

// Namespaces are named, or selected by their labels.
type Namespaces struct {
	Names    []string `yaml:"names,omitempty" doc:"Names of namespaces. A Role in each of them is all that the gateway needs."`
	Selector string   `yaml:"selector,omitempty" type:"label selector" doc:"Label selector, such as promgate.io/project=true. The gateway must be allowed to list namespaces."`
}

// Project is a tenant.
type Project struct {
	Name         string        `yaml:"name" required:"true" doc:"Name in URLs: a DNS label (lower-case letters, digits and hyphens, at most 63 characters)."`
	Environments []Environment `yaml:"environments,omitempty" doc:"The project's Prometheus servers. Each has either service or url."`
	Limits       *Budget       `yaml:"limits,omitempty" doc:"Limits of each of the project's environments, those that are discovered included, where they differ from limits."`
	Members      []Member      `yaml:"members,omitempty" doc:"Who, of those that sign in, may query the project's environments, those that are discovered included. On Kubernetes access reviews decide about Kubernetes users instead."`
}

// Environment is one Prometheus server of a project. It has either a Service
// or a URL.
type Environment struct {
	Name            string            `yaml:"name" required:"true" doc:"Name in URLs: a DNS label."`
	Service         *Service          `yaml:"service,omitempty" doc:"A Service, reached through a cluster's service proxy."`
	URL             string            `yaml:"url,omitempty" type:"URL" doc:"Base URL of a server that is reached directly; it may carry a path, as /prometheus."`
	TLS             *TLS              `yaml:"tls,omitempty" doc:"TLS towards an https url."`
	BearerTokenFile string            `yaml:"bearerTokenFile,omitempty" type:"path" doc:"File with the bearer token for url. Not together with basicAuth."`
	BasicAuth       *BasicAuth        `yaml:"basicAuth,omitempty" doc:"Basic authentication for url. Not together with bearerTokenFile."`
	Headers         map[string]string `yaml:"headers,omitempty" type:"mapping of header names to values" doc:"Headers that are sent with every request, such as X-Scope-OrgID for Mimir. Not for credentials: the values stand readable in this file."`
	Replicas        string            `yaml:"replicas,omitempty" enum:"any,pin" default:"any" doc:"any: the API server picks a pod of the Service for each request. pin: questions go to one ready pod while it answers, so that replicas with different data make no flapping graphs; needs get on pods/proxy and list and watch on endpointslices."`
	Allow           []string          `yaml:"allow,omitempty" enum:"remoteRead,federate" doc:"Endpoints that are off unless named here. remoteRead is a POST: through a service proxy it needs the RBAC verb create."`
	AllowPost       bool              `yaml:"allowPost,omitempty" default:"false" doc:"Send questions that are too long for a URL as POST instead of refusing them. Through a service proxy this needs the RBAC verb create."`
	Cache           bool              `yaml:"cache" default:"true" doc:"Keep answers, and let equal questions that are under way share one. false: every question is asked."`

	Aliases []string             `yaml:"aliases,omitempty" type:"URL" doc:"Further URLs by which data sources of Perses name the server, such as http://prometheus.shop.svc:9090. They are compared, and never asked."`
	Enforce map[string]OneOrMore `yaml:"enforce,omitempty" type:"mapping of labels to one value or a list" doc:"Labels that tell this environment's series from those of others on the same server, each with its exact values. Every selector of every question carries them, and answers show nothing else."`
	Limits  *Budget              `yaml:"limits,omitempty" doc:"Limits of this environment, where they differ from those of its project."`
}

// OneOrMore is a list that may be written as its only value.
type OneOrMore []string

// Budget sets limits for one project or environment. What it leaves out stays as
// it is.
type Budget struct {
	MaxQueryLength    *Size          `yaml:"maxQueryLength,omitempty" doc:"As limits.maxQueryLength."`
	MaxRange          *time.Duration `yaml:"maxRange,omitempty" doc:"As limits.maxRange."`
	MaxLookback       *time.Duration `yaml:"maxLookback,omitempty" doc:"As limits.maxLookback."`
	MaxPoints         *int           `yaml:"maxPoints,omitempty" doc:"As limits.maxPoints."`
	MaxEvaluations    *int           `yaml:"maxEvaluations,omitempty" doc:"As limits.maxEvaluations."`
	MaxResponseBytes  *Size          `yaml:"maxResponseBytes,omitempty" doc:"As limits.maxResponseBytes."`
	MaxConcurrent     *int           `yaml:"maxConcurrent,omitempty" doc:"As limits.maxConcurrent."`
	Queue             *BudgetQueue   `yaml:"queue,omitempty" doc:"As limits.queue."`
	RequestsPerSecond *int           `yaml:"requestsPerSecond,omitempty" doc:"As limits.requestsPerSecond."`
	Burst             *int           `yaml:"burst,omitempty" doc:"As limits.burst."`
}

// BudgetQueue is the queue of a Budget.
type BudgetQueue struct {
	Length  *int           `yaml:"length,omitempty" doc:"As limits.queue.length."`
	Timeout *time.Duration `yaml:"timeout,omitempty" doc:"As limits.queue.timeout."`
}

// Service names one port of a Kubernetes Service.
type Service struct {
	Cluster    string `yaml:"cluster" required:"true" doc:"Name of one of clusters."`
	Namespace  string `yaml:"namespace" required:"true" doc:"Namespace of the Service."`
	Name       string `yaml:"name" required:"true" doc:"Name of the Service."`
	Port       string `yaml:"port" required:"true" type:"port name or number" doc:"Port of the Service, as the Service declares it."`
	Scheme     string `yaml:"scheme" enum:"http,https" default:"http" doc:"What the pods speak. The API server does not verify the certificate of an https pod."`
	PathPrefix string `yaml:"pathPrefix" default:"/" doc:"Path under which Prometheus serves, as its --web.route-prefix."`
}

// TLS is how a server that is reached by URL is verified, and the client
// certificate that it is shown.
type TLS struct {
	CAFile     string `yaml:"caFile,omitempty" type:"path" doc:"PEM file of the certificate authorities to trust. Without it the system's are trusted."`
	CertFile   string `yaml:"certFile,omitempty" type:"path" doc:"PEM file of the client certificate. Needs keyFile."`
	KeyFile    string `yaml:"keyFile,omitempty" type:"path" doc:"PEM file of the client certificate's private key. Needs certFile."`
	ServerName string `yaml:"serverName,omitempty" doc:"Name that the server's certificate must carry, where it is not the host of url."`
	// DangerouslySkipVerify accepts every certificate.
	DangerouslySkipVerify bool `yaml:"dangerouslySkipVerify,omitempty" default:"false" doc:"Accept every certificate: anybody on the way can then read and change answers and take the credentials."`
}

// BasicAuth is a user name and the file that holds the password.
type BasicAuth struct {
	Username     string `yaml:"username" required:"true" doc:"User name."`
	PasswordFile string `yaml:"passwordFile" required:"true" type:"path" doc:"File with the password."`
}

// Header is what Headers says, in the form that requests carry.
func (e *Environment) Header() http.Header {
	h := make(http.Header, len(e.Headers))
	for name, value := range e.Headers {
		h.Set(name, value)
	}
	return h
}

// Path is a place in the configuration file: keys (string) and list positions
// (int, from 0), from the top.
type Path []any

// With is the path with further steps.
func (p Path) With(steps ...any) Path {
	return append(p[:len(p):len(p)], steps...)
}

// String writes the path as people do: projects[0].environments[1].url.
func (p Path) String() string {
	var b strings.Builder
	for _, step := range p {
		switch s := step.(type) {
		case string:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(s)
		case int:
			b.WriteString("[" + strconv.Itoa(s) + "]")
		}
	}
	return b.String()
}

// Report takes one fault at a place in the file. An argument that is itself a
// Path stands for the line of that place.
type Report func(at Path, format string, args ...any)
