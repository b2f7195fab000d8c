package server

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	authkube "github.com/promgate/promgate/auth/kube"
	"github.com/promgate/promgate/cmd/promgate/config"
	"github.com/promgate/promgate/gateway"
	"github.com/promgate/promgate/gateway/limit"
	"github.com/promgate/promgate/kube"
	"github.com/promgate/promgate/routing"
	"github.com/promgate/promgate/routing/direct"
	"github.com/promgate/promgate/routing/file"
	routingkube "github.com/promgate/promgate/routing/kube"
)

// Routes makes the routing table of a configuration as the server does, but
// without the identities that only the token store knows: it is for looking at
// and for trying targets, not for granting anything. It connects to nothing.
func Routes(cfg *config.Config) (*routing.Table, error) {
	u, err := new(upstreams).connect(cfg)
	if err != nil {
		return nil, err
	}
	candidates, err := u.build(cfg, ownNames)
	if err != nil {
		return nil, err
	}
	return routing.NewMerger(file.Source).Replace(file.Source, candidates), nil
}

// ownNames takes names for identities.
func ownNames(names []string) (map[string]string, error) {
	uids := make(map[string]string, len(names))
	for _, n := range names {
		uids[n] = n
	}
	return uids, nil
}

// Limits are the gateway's budgets as configured.
func Limits(cfg *config.Config) gateway.Limits {
	l := cfg.Limits
	all := gateway.Limits{
		Default: gateway.Budget{
			MaxQueryLength: int64(l.MaxQueryLength), MaxRange: l.MaxRange, MaxLookback: l.MaxLookback, MaxPoints: l.MaxPoints,
			MaxEvaluations: int64(l.MaxEvaluations), MaxResponseBytes: int64(l.MaxResponseBytes),
			MaxConcurrent: l.MaxConcurrent, Queue: limit.Queue{Length: l.Queue.Length, Timeout: l.Queue.Timeout},
			RequestsPerSecond: l.RequestsPerSecond, Burst: l.Burst,
		},
		Projects: map[string]gateway.Budget{}, Environments: map[string]gateway.Budget{},
		MaxConcurrentTarget: cfg.Targets.MaxConcurrent, MaxConcurrentTargetProject: cfg.Targets.MaxConcurrentProject,
		MaxConcurrentTotal: l.MaxConcurrentTotal,
		MaxRequestBody:     int64(l.MaxRequestBody), MaxRemoteReadBody: int64(l.MaxRemoteReadBody),
		RequestBodyTimeout: l.RequestBodyTimeout, ResponseHeaderTimeout: l.ResponseHeaderTimeout,
		RequestTimeout: l.RequestTimeout,
	}
	for _, p := range cfg.Projects {
		own := budget(all.Default, p.Limits)
		if p.Limits != nil {
			all.Projects[p.Name] = own
		}
		for _, e := range p.Environments {
			if e.Limits != nil {
				all.Environments[p.Name+"/"+e.Name] = budget(own, e.Limits)
			}
		}
	}
	return all
}

// budget is one with what somebody wants to be different.
func budget(b gateway.Budget, own *file.Budget) gateway.Budget {
	if own == nil {
		return b
	}
	set(&b.MaxQueryLength, (*int64)(own.MaxQueryLength))
	set(&b.MaxRange, own.MaxRange)
	set(&b.MaxLookback, own.MaxLookback)
	set(&b.MaxPoints, own.MaxPoints)
	if own.MaxEvaluations != nil {
		b.MaxEvaluations = int64(*own.MaxEvaluations)
	}
	set(&b.MaxResponseBytes, (*int64)(own.MaxResponseBytes))
	set(&b.MaxConcurrent, own.MaxConcurrent)
	if q := own.Queue; q != nil {
		set(&b.Queue.Length, q.Length)
		set(&b.Queue.Timeout, q.Timeout)
	}
	set(&b.RequestsPerSecond, own.RequestsPerSecond)
	set(&b.Burst, own.Burst)
	return b
}

func set[T any](value, own *T) {
	if own != nil {
		*value = *own
	}
}

// fingerprint is equal for settings and files that make equal connections.
type fingerprint [sha256.Size]byte

// headerGrace has a transport wait longer for an answer's header than the
// gateway, which alone can tell a slow server from one that is not there.
const headerGrace = 5 * time.Second

// upstreams are the connections that a table uses. Those whose settings and
// files did not change live on in the next table, with their open connections.
type upstreams struct {
	clusters map[fingerprint]*routingkube.Cluster
	byName   map[string]*routingkube.Cluster
	prints   map[string]fingerprint // of clusters, by name
	direct   map[fingerprint]*routing.Target
	options  routingkube.Options // what is alike for all clusters
	logger   *slog.Logger
	// before are the upstreams that these take the place of, until they do.
	before *upstreams
}

// connect makes the next upstreams, with the connections to a configuration's
// clusters.
func (u *upstreams) connect(cfg *config.Config) (*upstreams, error) {
	next := &upstreams{
		clusters: map[fingerprint]*routingkube.Cluster{}, direct: map[fingerprint]*routing.Target{},
		byName: map[string]*routingkube.Cluster{}, prints: map[string]fingerprint{}, options: u.options, logger: u.logger, before: u,
	}
	var faults []error
	for i := range cfg.Clusters {
		cluster, err := next.cluster(cfg, &cfg.Clusters[i])
		if err != nil {
			faults = append(faults, err)
			continue
		}
		next.byName[cfg.Clusters[i].Name] = cluster
	}
	return next, errors.Join(faults...)
}

// build makes the environments of the configuration that the upstreams were
// connected for, by project.
func (u *upstreams) build(cfg *config.Config, assign func([]string) (map[string]string, error)) (map[string][]routing.Candidate, error) {
	return file.Build(&cfg.Sections, file.Builders{
		AssignUIDs: assign,
		Service: func(e *file.Environment) (*routing.Target, error) {
			s := e.Service
			return u.byName[s.Cluster].Service(routingkube.ServiceRef{
				Namespace: s.Namespace, Name: s.Name, Port: s.Port, Scheme: s.Scheme, PathPrefix: s.PathPrefix,
				Headers: e.Header(), Pin: e.Replicas == "pin",
			})
		},
		URL: func(e *file.Environment) (*routing.Target, error) { return u.url(cfg, e) },
	})
}

// usersOf are the clusters on which Kubernetes tokens open something.
func (u *upstreams) usersOf(cfg *config.Config) []authkube.Cluster {
	var all []authkube.Cluster
	for i := range cfg.Clusters {
		c := &cfg.Clusters[i]
		if user := c.Credentials == "user"; user || len(c.Audiences) > 0 {
			all = append(all, authkube.Cluster{Connection: u.byName[c.Name].Connection, UserCredentials: user, Audiences: c.Audiences})
		}
	}
	return all
}

func (u *upstreams) cluster(cfg *config.Config, c *file.Cluster) (*routingkube.Cluster, error) {
	connect := kube.Options{
		Name: c.Name, Kubeconfig: c.Kubeconfig, Context: c.Context, Logger: u.logger,
		ConnectTimeout: cfg.Limits.ConnectTimeout, ResponseHeaderTimeout: cfg.Limits.ResponseHeaderTimeout + headerGrace,
	}
	print := fingerprintOf([]any{connect, c.Credentials, c.EndpointTokens}, connect.Kubeconfig)
	cluster, known := u.before.clusters[print]
	if !known {
		connection, err := kube.Connect(connect)
		if err != nil {
			return nil, err
		}
		o := u.options
		o.UserCredentials, o.NoEndpointTokens = c.Credentials == "user", !c.EndpointTokens
		cluster = routingkube.NewCluster(connection, o)
	}
	u.clusters[print], u.prints[c.Name] = cluster, print
	return cluster, nil
}

func (u *upstreams) url(cfg *config.Config, e *file.Environment) (*routing.Target, error) {
	o := direct.Options{
		URL: e.URL, BearerTokenFile: e.BearerTokenFile, Headers: e.Header(),
		ConnectTimeout: cfg.Limits.ConnectTimeout, ResponseHeaderTimeout: cfg.Limits.ResponseHeaderTimeout + headerGrace,
	}
	if t := e.TLS; t != nil {
		o.CAFile, o.CertFile, o.KeyFile = t.CAFile, t.CertFile, t.KeyFile
		o.ServerName, o.DangerouslySkipVerify = t.ServerName, t.DangerouslySkipVerify
	}
	if b := e.BasicAuth; b != nil {
		o.Username, o.PasswordFile = b.Username, b.PasswordFile
	}
	print := fingerprintOf(o, o.CAFile, o.CertFile, o.KeyFile, o.BearerTokenFile, o.PasswordFile)
	target, known := u.before.direct[print]
	if !known {
		target, known = u.direct[print]
	}
	if !known {
		var err error
		if target, err = direct.New(o); err != nil {
			return nil, err
		}
	}
	u.direct[print] = target
	return target, nil
}

// closeUnused closes what the next table has no use for. Requests under way
// keep their connections until they end.
func (u *upstreams) closeUnused(next *upstreams) {
	next.before = nil
	for print, c := range u.clusters {
		if next.clusters[print] == nil {
			c.Close()
		}
	}
	for print, t := range u.direct {
		if next.direct[print] == nil {
			closeIdle(t.Transport)
		}
	}
}

// close closes all.
func (u *upstreams) close() { u.closeUnused(&upstreams{}) }

func closeIdle(rt http.RoundTripper) {
	if c, ok := rt.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// fingerprintOf hashes settings and the content of the files that they name. A
// file that cannot be read differs from every one that can.
func fingerprintOf(settings any, files ...string) fingerprint {
	h := sha256.New()
	text, _ := json.Marshal(settings) // plain data always marshals
	fmt.Fprintf(h, "%d %s", len(text), text)
	for _, f := range files {
		content, err := os.ReadFile(f)
		fmt.Fprintf(h, " %d %t ", len(content), err == nil)
		h.Write(content)
	}
	return fingerprint(h.Sum(nil))
}
