package config

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/promgate/promgate/routing"
	"github.com/promgate/promgate/routing/file"
	"github.com/promgate/promgate/routing/kube"
)

// validate reports everything that is wrong with the values, and brings URLs
// into their one form.
func (c *Config) validate(report file.Report) {
	c.validateListeners(report)
	if c.ExternalURL != "" {
		normal, err := file.CheckURL(c.ExternalURL)
		if err != nil {
			report(file.Path{"externalURL"}, "%v", err)
		} else if u, err := url.Parse(normal); err != nil || !isPrefix(u.EscapedPath()) {
			report(file.Path{"externalURL"}, "the gateway cannot serve under this path; write one of letters, digits, hyphens, dots and underscores that does not begin with api, projects or ui, such as https://example.com/promgate")
		} else {
			c.ExternalURL = normal
		}
	}
	if c.DataDir == "" && !c.Tokens.InKubernetes() {
		report(file.Path{"dataDir"}, "dataDir is missing; write the directory where signing keys and token records are kept, such as /var/lib/promgate")
	}
	if c.Tracing.OTLPEndpoint != "" {
		normal, err := file.CheckURL(c.Tracing.OTLPEndpoint)
		if err != nil {
			report(file.Path{"tracing", "otlpEndpoint"}, "%v", err)
		} else {
			c.Tracing.OTLPEndpoint = normal
		}
	}
	c.Sections.Validate(report)
	for i, cluster := range c.Clusters {
		if cluster.Discovery == nil {
			continue
		}
		if err := kube.CheckSelector(cluster.Discovery.Namespaces.Selector); err != nil {
			report(file.Path{"clusters", i, "discovery", "namespaces", "selector"}, "%v", err)
		}
	}
	c.validateTokens(report)
	c.validateSignIn(report)
	c.validateMembers(report)
	c.validateDashboards(report)
	c.validateTargets(report)
	c.Limits.validate(report)
	if c.Cache.Freshness < 0 {
		report(file.Path{"cache", "freshness"}, "a time cannot be negative; write how late samples may come, such as 10m, or remove the key for the default")
	}
	c.Shutdown.validate(report)
}

// isPrefix tells whether the gateway can serve below the path: it must not be
// taken for one of the gateway's own.
func isPrefix(path string) bool {
	if path == "" {
		return true
	}
	for i, segment := range strings.Split(strings.TrimPrefix(path, "/"), "/") {
		plain := strings.Trim(segment, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") == ""
		if !plain || segment == "" || segment == "." || segment == ".." || i == 0 && (segment == "api" || segment == "projects" || segment == "ui") {
			return false
		}
	}
	return true
}

func (c *Config) validateListeners(report file.Report) {
	host, port, ok := splitListen(c.Listen)
	if !ok {
		report(file.Path{"listen"}, "%q is no address to listen on; write host:port, such as 127.0.0.1:8080 or :8080", clip(c.Listen))
	}
	adminHost, adminPort, adminOK := splitListen(c.AdminListen)
	if !adminOK {
		report(file.Path{"adminListen"}, "%q is no address to listen on; write host:port, such as 127.0.0.1:8081", clip(c.AdminListen))
	}
	if ok && adminOK && port == adminPort && port != 0 && (host == adminHost || isWildcard(host) || isWildcard(adminHost)) {
		report(file.Path{"adminListen"}, "adminListen takes the same address as listen, and metrics and profiles must not be public; write another port")
	}
	if t := c.ListenTLS; t != nil {
		if t.CertFile == "" {
			report(file.Path{"listenTLS", "certFile"}, "listenTLS has no certFile; write the path of the certificate's PEM file")
		}
		if t.KeyFile == "" {
			report(file.Path{"listenTLS", "keyFile"}, "listenTLS has no keyFile; write the path of the private key's PEM file")
		}
	}
}

func (c *Config) validateTokens(report file.Report) {
	t, at := &c.Tokens, file.Path{"tokens"}
	if !t.InKubernetes() {
		for _, k := range []struct{ key, value string }{{"cluster", t.Cluster}, {"namespace", t.Namespace}} {
			if k.value != "" {
				report(at.With(k.key), "%s means nothing with store: file; remove it, or write store: kubernetes", k.key)
			}
		}
		return
	}
	home := slices.IndexFunc(c.Clusters, func(k file.Cluster) bool { return k.Name == t.Cluster })
	switch {
	case len(c.Clusters) == 0:
		report(at.With("store"), "tokens cannot be kept in Kubernetes without a cluster; add one to clusters, or write store: file")
	case t.Cluster == "" && len(c.Clusters) == 1:
		home, t.Cluster = 0, c.Clusters[0].Name
	case t.Cluster == "":
		report(at.With("store"), "there are several clusters; write as tokens.cluster which one the gateway belongs to")
	case home < 0:
		report(at.With("cluster"), "there is no cluster %q; write the name of one of clusters", clip(t.Cluster))
	}
	if t.Namespace != "" && !routing.IsLabel(t.Namespace) {
		report(at.With("namespace"), "%q is not a name that a namespace can have; write that of the gateway's own", clip(t.Namespace))
	} else if t.Namespace == "" && home >= 0 && c.Clusters[home].Kubeconfig != "" {
		report(at.With("store"), "cluster %s is reached by a kubeconfig, which does not tell the gateway's own namespace; write it as tokens.namespace", c.Clusters[home].Name)
	}
	if t.Lifetime <= 0 {
		report(at.With("lifetime"), "a token needs a lifetime of more than nothing; write one such as 720h, or remove the key for the default")
	} else if t.Overlap < 0 || t.Overlap > t.Lifetime/3 {
		report(at.With("overlap"), "overlap must lie between 0s and a third of lifetime (%v); write another, or lengthen lifetime", t.Lifetime)
	}
}

func splitListen(address string) (host string, port int, ok bool) {
	host, text, err := net.SplitHostPort(address)
	if err != nil || strings.Trim(text, "0123456789") != "" {
		return "", 0, false
	}
	port, err = strconv.Atoi(text)
	return host, port, err == nil && port <= 65535
}

func isWildcard(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "" || err == nil && addr.IsUnspecified()
}

const notPositive = "a limit cannot be zero or less; write a larger one, or remove the key for the default"

func (c *Config) validateTargets(report file.Report) {
	if c.Targets.MaxConcurrentProject <= 0 {
		report(file.Path{"targets", "maxConcurrentProject"}, notPositive)
	}
	switch at := (file.Path{"targets", "maxConcurrent"}); {
	case c.Targets.MaxConcurrent <= 0:
		report(at, notPositive)
	case c.Targets.MaxConcurrent > c.Limits.MaxConcurrentTotal:
		report(at, "one cluster may have %d requests in flight, but the whole gateway only %d; lower it, or raise limits.maxConcurrentTotal",
			c.Targets.MaxConcurrent, c.Limits.MaxConcurrentTotal)
	}
}

func (l *Limits) validate(report file.Report) {
	at := file.Path{"limits"}
	positive := func(ok bool, keys ...any) {
		if !ok {
			report(at.With(keys...), notPositive)
		}
	}
	positive(l.MaxQueryLength > 0, "maxQueryLength")
	positive(l.MaxRange > 0, "maxRange")
	positive(l.MaxLookback > 0, "maxLookback")
	positive(l.MaxPoints > 0, "maxPoints")
	positive(l.MaxEvaluations > 0, "maxEvaluations")
	positive(l.MaxResponseBytes > 0, "maxResponseBytes")
	positive(l.RequestsPerSecond > 0, "requestsPerSecond")
	positive(l.Burst > 0, "burst")
	positive(l.MaxConcurrent > 0, "maxConcurrent")
	positive(l.MaxConcurrentTotal > 0, "maxConcurrentTotal")
	positive(l.Queue.Timeout > 0, "queue", "timeout")
	positive(l.MaxRequestBody > 0, "maxRequestBody")
	positive(l.MaxRemoteReadBody > 0, "maxRemoteReadBody")
	positive(l.ConnectTimeout > 0, "connectTimeout")
	positive(l.ResponseHeaderTimeout > 0, "responseHeaderTimeout")
	positive(l.RequestTimeout > 0, "requestTimeout")
	positive(l.RequestBodyTimeout > 0, "requestBodyTimeout")
	if l.Queue.Length < 0 {
		report(at.With("queue", "length"), "a queue cannot be shorter than empty; write 0 for none, or a larger number")
	}
	if l.MaxConcurrent > l.MaxConcurrentTotal {
		report(at.With("maxConcurrent"), "one environment may have %d requests in flight, but the whole gateway only %d; lower maxConcurrent, or raise maxConcurrentTotal",
			l.MaxConcurrent, l.MaxConcurrentTotal)
	}
	within := func(key string, d time.Duration, bound string, limit time.Duration, keys ...any) {
		if d > limit {
			report(at.With(keys...), "%s (%v) is longer than %s (%v) and would never be reached; shorten it, or lengthen %s",
				key, d, bound, limit, bound)
		}
	}
	within("connectTimeout", l.ConnectTimeout, "requestTimeout", l.RequestTimeout, "connectTimeout")
	within("responseHeaderTimeout", l.ResponseHeaderTimeout, "requestTimeout", l.RequestTimeout, "responseHeaderTimeout")
	within("requestBodyTimeout", l.RequestBodyTimeout, "requestTimeout", l.RequestTimeout, "requestBodyTimeout")
	within("queue.timeout", l.Queue.Timeout, "requestTimeout", l.RequestTimeout, "queue", "timeout")
}

func (s *Shutdown) validate(report file.Report) {
	if s.Delay < 0 {
		report(file.Path{"shutdown", "delay"}, "a time cannot be negative; write 0s for no delay, or a longer one")
	}
	if s.Timeout <= 0 {
		report(file.Path{"shutdown", "timeout"}, "requests in flight need some time to end; write a longer one, such as 60s")
	}
}
