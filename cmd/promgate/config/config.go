// Package config is promgate's configuration file: its keys, their defaults,
// and what makes a file a valid one. A file is read whole: either it becomes a
// Config that nothing is wrong with, or all its faults are told at once.
package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/promgate/promgate/routing/file"
)

// Config is a valid configuration. Paths in it are as they are to be opened:
// those that the file gives relative are joined to its directory.
type Config struct {
	Listen         string     `yaml:"listen" default:"127.0.0.1:8080" type:"host:port" doc:"Where the gateway serves requests. An empty host listens on every address; port 0 takes any free one."`
	ListenTLS      *ListenTLS `yaml:"listenTLS,omitempty" doc:"TLS on listen. Without it the gateway speaks plain HTTP there."`
	AdminListen    string     `yaml:"adminListen" default:"127.0.0.1:8081" type:"host:port" doc:"Where /metrics, /healthz, /readyz and /debug/pprof are served. Never the same as listen."`
	ExternalURL    string     `yaml:"externalURL,omitempty" type:"URL" doc:"URL by which clients reach the gateway, as it is printed for them. Below a path, such as https://example.com/promgate, a proxy may pass the path on or take it off."`
	DataDir        string     `yaml:"dataDir,omitempty" type:"path" doc:"Directory of signing keys and token records, needed with tokens.store: file. It is made if it does not exist."`
	Tokens         Tokens     `yaml:"tokens,omitempty" doc:"Where endpoint tokens are kept."`
	SignIn         SignIn     `yaml:"signIn,omitempty" doc:"How people sign in to the page. Without any way in, there is the API alone."`
	Log            Log        `yaml:"log,omitempty" doc:"The log, on standard error."`
	file.Sections  `yaml:",inline"`
	Dashboards     *Dashboards    `yaml:"dashboards,omitempty" doc:"Dashboards, folders and data sources of Perses that are Kubernetes objects: on the page, and read-only in Perses' API. Without it there are none; dashboards: {} has them with the defaults."`
	Limits         Limits         `yaml:"limits,omitempty" doc:"What protects the gateway and the servers behind it. Those from maxQueryLength to burst hold for each environment, and can be set for a project or an environment alone."`
	Targets        Targets        `yaml:"targets,omitempty" doc:"What protects clusters and servers that environments share."`
	Cache          Cache          `yaml:"cache,omitempty" doc:"What is kept of answers, so that it need not be asked for again: docs/caching.md."`
	Tracing        Tracing        `yaml:"tracing,omitempty" doc:"OpenTelemetry traces."`
	TrustedProxies []netip.Prefix `yaml:"trustedProxies,omitempty" type:"CIDR" doc:"Networks of the proxies in front of the gateway. From them, and from nobody else, X-Forwarded-For is believed, for the log and for counting tries to sign in."`
	Shutdown       Shutdown       `yaml:"shutdown,omitempty" doc:"How the gateway stops."`
}

// ListenTLS is the certificate of the public listener.
type ListenTLS struct {
	CertFile string `yaml:"certFile" required:"true" type:"path" doc:"PEM file of the certificate and its chain. Read again when it changes."`
	KeyFile  string `yaml:"keyFile" required:"true" type:"path" doc:"PEM file of the private key."`
}

// Log is the form and the detail of the log.
type Log struct {
	Format string `yaml:"format" enum:"json,text" default:"json" doc:"Form of the records."`
	Level  string `yaml:"level" enum:"debug,info,warn,error" default:"info" doc:"Least level that is written."`
}

// Tokens is where endpoint tokens are kept.
type Tokens struct {
	Store     string        `yaml:"store" enum:"file,kubernetes" default:"file" doc:"file: in dataDir, for one gateway. kubernetes: as EndpointToken objects in the namespaces of the projects, for any number of replicas."`
	Cluster   string        `yaml:"cluster,omitempty" doc:"With store: kubernetes, the cluster that the gateway belongs to. Needed where there are several."`
	Namespace string        `yaml:"namespace,omitempty" doc:"With store: kubernetes, the gateway's own namespace on that cluster, with the Secret of the signing keys. Without it the namespace of the pod that the gateway runs in."`
	Lifetime  time.Duration `yaml:"lifetime" default:"720h" doc:"With store: kubernetes, how long a token is good that was minted into a Secret. It gets a successor after two thirds of that."`
	Overlap   time.Duration `yaml:"overlap" default:"24h" doc:"With store: kubernetes, how long such a token stays good beside its successor: at most a third of lifetime."`
}

// InKubernetes tells whether endpoint tokens are Kubernetes objects.
func (t *Tokens) InKubernetes() bool { return t.Store == "kubernetes" }

// Limits bound what the gateway takes on.
type Limits struct {
	MaxQueryLength        file.Size     `yaml:"maxQueryLength" default:"32KiB" doc:"Longest expression, and longest list of selectors, of a request."`
	MaxRange              time.Duration `yaml:"maxRange" default:"90d" doc:"Longest time from start to end of a range query."`
	MaxLookback           time.Duration `yaml:"maxLookback" default:"400d" doc:"How far back before its start a query may read, through ranges, offsets, subqueries and @."`
	MaxPoints             int           `yaml:"maxPoints" default:"11000" doc:"Points of a range query for each series. Prometheus itself has no more than 11000."`
	MaxEvaluations        int           `yaml:"maxEvaluations" default:"1000000" doc:"Points of a query times its selectors, the steps of subqueries counted as points."`
	MaxResponseBytes      file.Size     `yaml:"maxResponseBytes" default:"256MiB" doc:"Longest body of an answer, as it is sent."`
	MaxConcurrent         int           `yaml:"maxConcurrent" default:"20" doc:"Requests in flight for each environment. More wait in the queue."`
	Queue                 Queue         `yaml:"queue,omitempty" doc:"Requests that wait for a place. Those that find none are answered 429."`
	RequestsPerSecond     int           `yaml:"requestsPerSecond" default:"200" doc:"Requests a second for each environment. More are answered 429."`
	Burst                 int           `yaml:"burst" default:"400" doc:"Requests that may come at once after a pause, beyond requestsPerSecond."`
	MaxConcurrentTotal    int           `yaml:"maxConcurrentTotal" default:"500" doc:"Requests in flight in the whole gateway."`
	MaxRequestBody        file.Size     `yaml:"maxRequestBody" default:"1MiB" doc:"Largest body of a query that is sent as a form."`
	MaxRemoteReadBody     file.Size     `yaml:"maxRemoteReadBody" default:"32MiB" doc:"Largest body of a remote read request."`
	ConnectTimeout        time.Duration `yaml:"connectTimeout" default:"5s" doc:"Time to connect to a server or an API server, and again for the TLS handshake."`
	ResponseHeaderTimeout time.Duration `yaml:"responseHeaderTimeout" default:"2m" doc:"Time until a server begins its answer: longer than its own query timeout."`
	RequestTimeout        time.Duration `yaml:"requestTimeout" default:"5m" doc:"Time for a whole request, with waiting and the answer's body."`
	RequestBodyTimeout    time.Duration `yaml:"requestBodyTimeout" default:"10s" doc:"Time for a client to send its request's body."`
}

// Queue is where requests wait for a place.
type Queue struct {
	Length  int           `yaml:"length" default:"100" doc:"Requests that may wait for each environment. 0: none."`
	Timeout time.Duration `yaml:"timeout" default:"10s" doc:"Longest wait."`
}

// Targets bound what environments share.
type Targets struct {
	MaxConcurrent        int `yaml:"maxConcurrent" default:"60" doc:"Requests in flight in each cluster, whose API server they all pass, and at each server that is reached by url. Projects that wait get places in turn."`
	MaxConcurrentProject int `yaml:"maxConcurrentProject" default:"30" doc:"How many of these one project may have, so that one whose servers hang leaves places to others."`
}

// Cache is what is kept of answers.
type Cache struct {
	MaxBytes  file.Size     `yaml:"maxBytes" default:"256MiB" doc:"Memory for all that is kept, shared fairly between projects. 0B: nothing is kept, and no two questions share an answer."`
	Freshness time.Duration `yaml:"freshness" default:"10m" doc:"Points of range queries that are younger than this are never kept: late samples may still change them."`
}

// Tracing is where traces go.
type Tracing struct {
	OTLPEndpoint string `yaml:"otlpEndpoint,omitempty" type:"URL" doc:"OTLP/HTTP endpoint, such as http://collector.example:4318. Without it nothing is traced."`
}

// Shutdown is how the gateway stops.
type Shutdown struct {
	Delay   time.Duration `yaml:"delay" default:"5s" doc:"Time between reporting not ready and refusing new connections, so that load balancers notice."`
	Timeout time.Duration `yaml:"timeout" default:"60s" doc:"Time for requests in flight to end. What is left then is cut."`
}

// Load reads and parses the file at path.
func Load(path string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the configuration file cannot be read: %w", err)
	}
	return Parse(path, data)
}

// Parse parses a configuration file. Its name stands in faults, and relative
// paths in it are relative to the name's directory. Files that the
// configuration names are opened and checked. The error is a *Faults.
func Parse(name string, data []byte) (*Config, error) {
	return parse(name, data, checkFile)
}

// BaseURL is the URL by which clients reach the gateway: externalURL, or else
// the listener's own address.
func (c *Config) BaseURL() string {
	if c.ExternalURL != "" {
		return c.ExternalURL
	}
	address := c.Listen
	if host, port, err := net.SplitHostPort(address); err == nil && isWildcard(host) {
		address = net.JoinHostPort("localhost", port)
	}
	if c.ListenTLS != nil {
		return "https://" + address
	}
	return "http://" + address
}

// basePath is the path of externalURL; empty where it has none.
func (c *Config) basePath() string {
	u, err := url.Parse(c.BaseURL())
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(u.EscapedPath(), "/")
}

// Files are the files that the configuration names, without the configuration
// file itself.
func (c *Config) Files() []string {
	var files []string
	for _, r := range c.references() {
		files = append(files, r.Files()...)
	}
	return files
}

func (c *Config) references() []file.Reference {
	refs := c.Sections.References()
	if t := c.ListenTLS; t != nil && t.CertFile != "" && t.KeyFile != "" {
		refs = append(refs, file.Reference{At: file.Path{"listenTLS", "certFile"}, Kind: file.KindKeyPair,
			File: t.CertFile, Key: t.KeyFile})
	}
	return append(refs, c.SignIn.references()...)
}
