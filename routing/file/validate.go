package file

import (
	"slices"
	"strings"

	"github.com/promgate/promgate/routing"
)

const labelRule = "write a DNS label: 1 to 63 lower-case letters, digits and hyphens, starting and ending with a letter or digit"

// Validate reports everything that is wrong with the sections, and brings
// paths and URLs into the one form that the rest of the program expects:
// without a trailing slash. Files that are named are not opened.
func (s *Sections) Validate(report Report) {
	clusters := s.validateClusters(report)
	seen := map[string]Path{}
	for i := range s.Projects {
		p, at := &s.Projects[i], Path{"projects", i}
		checkName(p.Name, "project", at.With("name"), seen, report)
		p.Limits.validate(at.With("limits"), report)
		p.validateMembers(at.With("members"), report)
		environments := map[string]Path{}
		for j := range p.Environments {
			e, at := &p.Environments[j], at.With("environments", j)
			checkName(e.Name, "environment", at.With("name"), environments, report)
			e.validate(at, clusters, report)
			if e.Replicas == "pin" && s.asCaller(e.Service) {
				report(at.With("replicas"), "pods are pinned with the gateway's own credentials, and cluster %s has credentials: user; remove replicas", e.Service.Cluster)
			}
		}
	}
}

// asCaller tells whether the Service's cluster sees callers' own credentials.
func (s *Sections) asCaller(service *Service) bool {
	return service != nil && slices.ContainsFunc(s.Clusters, func(c Cluster) bool {
		return c.Name == service.Cluster && c.Credentials == "user"
	})
}

func (s *Sections) validateClusters(report Report) (names []string) {
	seen := map[string]Path{}
	for i, c := range s.Clusters {
		at := Path{"clusters", i}
		checkName(c.Name, "cluster", at.With("name"), seen, report)
		if c.Context != "" && c.Kubeconfig == "" {
			report(at.With("context"), "a context means nothing without a kubeconfig; add kubeconfig or remove context")
		}
		if c.Credentials == "user" && len(c.Audiences) > 0 {
			report(at.With("audiences"), "with credentials: user the API server itself checks whom a token is for; remove audiences, or write credentials: dedicated")
		}
		for j, audience := range c.Audiences {
			if audience == "" {
				report(at.With("audiences", j), "an audience is empty; write whom the tokens are made for, such as promgate")
			} else if slices.Index(c.Audiences, audience) < j {
				report(at.With("audiences", j), "%q is written twice; remove one", audience)
			}
		}
		if c.Discovery != nil {
			c.Discovery.validate(at.With("discovery"), report)
		}
		names = append(names, c.Name)
	}
	return names
}

// validate leaves the syntax of the selector to who knows Kubernetes.
func (d *Discovery) validate(at Path, report Report) {
	n, at, sources := &d.Namespaces, at.With("namespaces"), at.With("sources")
	switch {
	case len(n.Names) == 0 && n.Selector == "":
		report(at, "discovery searches no namespace; write names: [shop, billing], or selector: promgate.io/project=true")
	case len(n.Names) > 0 && n.Selector != "":
		report(at.With("selector"), "discovery has both names and selector; keep the one that is meant")
	}
	for i, name := range n.Names {
		if !routing.IsLabel(name) {
			report(at.With("names", i), "%q is not a name that a namespace can have; %s", routing.Clip(name), labelRule)
		} else if slices.Index(n.Names, name) < i {
			report(at.With("names", i), "%q is written twice; remove one", name)
		}
	}
	for i, source := range d.Sources {
		if slices.Index(d.Sources, source) < i {
			report(sources.With(i), "%q is written twice; remove one", source)
		}
	}
}

func checkName(name, what string, at Path, seen map[string]Path, report Report) {
	if name == "" {
		report(at, "the %s has no name; %s", what, labelRule)
		return
	}
	if !routing.IsLabel(name) {
		report(at, "%q is not a name for a %s; %s", routing.Clip(name), what, labelRule)
		return
	}
	if first, taken := seen[name]; taken {
		report(at, "the %s name %q is taken already in %v; give one of them another name", what, name, first)
		return
	}
	seen[name] = at
}

func (e *Environment) validate(at Path, clusters []string, report Report) {
	switch {
	case e.Service == nil && e.URL == "":
		report(at, "the environment has no target; write either service or url")
	case e.Service != nil && e.URL != "":
		report(at.With("url"), "the environment has both service and url; keep the one that is meant")
	case e.Service != nil:
		e.Service.validate(at.With("service"), clusters, report)
		e.refuseWithService(at, report)
	default:
		e.validateURL(at, report)
	}
	if e.Replicas == "pin" && e.Service == nil {
		report(at.With("replicas"), "replicas of a URL cannot be told apart; remove replicas, or reach the server by service")
	}
	e.validateHeaders(at.With("headers"), report)
	e.Limits.validate(at.With("limits"), report)
	e.validateEnforce(at.With("enforce"), report)
	e.validateAliases(at.With("aliases"), report)
	for i, endpoint := range e.Allow {
		if first := slices.Index(e.Allow, endpoint); first < i {
			report(at.With("allow", i), "%q is written twice; remove one", endpoint)
		}
	}
}

// validateAliases brings aliases into the one form in which they are compared.
func (e *Environment) validateAliases(at Path, report Report) {
	for i, raw := range e.Aliases {
		alias, problem := routing.Alias(raw)
		if problem != "" {
			report(at.With(i), "this alias %s; write one such as http://prometheus.shop.svc:9090", problem)
		} else if slices.Index(e.Aliases, alias) < i && slices.Index(e.Aliases, alias) >= 0 {
			report(at.With(i), "the alias %s is written twice; remove one", routing.Clip(alias))
		} else {
			e.Aliases[i] = alias
		}
	}
}

// refuseWithService refuses what has no effect through the service proxy,
// rather than letting somebody believe in it.
func (e *Environment) refuseWithService(at Path, report Report) {
	const consumed = "cannot be used with service: the API server takes the Authorization header for itself and passes none on; " +
		"remove it, or reach the server by url"
	if e.BearerTokenFile != "" {
		report(at.With("bearerTokenFile"), consumed)
	}
	if e.BasicAuth != nil {
		report(at.With("basicAuth"), consumed)
	}
	if e.TLS != nil {
		report(at.With("tls"), "cannot be used with service: the API server makes the connection to the pod, and it neither verifies "+
			"the pod's certificate nor shows one; remove it, or reach the server by url")
	}
}

func (s *Service) validate(at Path, clusters []string, report Report) {
	switch {
	case s.Cluster == "":
		report(at.With("cluster"), "the service names no cluster; write the name of one of clusters")
	case !slices.Contains(clusters, s.Cluster):
		report(at.With("cluster"), "no cluster is named %q; %s", routing.Clip(s.Cluster), clusterHint(clusters))
	}
	for _, f := range []struct{ key, value string }{{"namespace", s.Namespace}, {"name", s.Name}} {
		switch {
		case f.value == "":
			report(at.With(f.key), "the service has no %s; write the one that the Service has in Kubernetes", f.key)
		case !routing.IsLabel(f.value):
			report(at.With(f.key), "%q is not a %s that a Service can have; %s", routing.Clip(f.value), f.key, labelRule)
		}
	}
	if problem := routing.PortProblem(s.Port); problem != "" {
		report(at.With("port"), "%s; write the name or the number of a port that the Service declares, such as web or 9090", problem)
	}
	if problem := routing.PathProblem(s.PathPrefix); problem != "" {
		report(at.With("pathPrefix"), "%s; write a path such as / or /prometheus", problem)
	} else if s.PathPrefix != "/" {
		s.PathPrefix = strings.TrimSuffix(s.PathPrefix, "/")
	}
}

func clusterHint(clusters []string) string {
	if len(clusters) == 0 {
		return "add it under clusters, which is empty"
	}
	return "write one of " + strings.Join(clusters, ", ") + ", or add it under clusters"
}

func (e *Environment) validateURL(at Path, report Report) {
	normal, err := CheckURL(e.URL)
	if err != nil {
		report(at.With("url"), "%v", err)
	} else {
		e.URL = normal
	}
	if e.BearerTokenFile != "" && e.BasicAuth != nil {
		report(at.With("basicAuth"), "the environment has both bearerTokenFile and basicAuth; keep the one that the server expects")
	}
	if b := e.BasicAuth; b != nil {
		switch {
		case b.Username == "":
			report(at.With("basicAuth", "username"), "basicAuth has no username; write the user name")
		case strings.ContainsFunc(b.Username, func(r rune) bool { return r == ':' || r < ' ' || r == 0x7f }):
			report(at.With("basicAuth", "username"), "a user name cannot contain a colon or control characters; write it without")
		}
		if b.PasswordFile == "" {
			report(at.With("basicAuth", "passwordFile"), "basicAuth has no passwordFile; write the path of the file that holds the password")
		}
	}
	if e.TLS != nil {
		if strings.HasPrefix(normal, "http://") {
			report(at.With("tls"), "tls has no effect on an http URL; write https in url, or remove tls")
		}
		e.TLS.validate(at.With("tls"), report)
	}
}

func (t *TLS) validate(at Path, report Report) {
	if t.CertFile != "" && t.KeyFile == "" {
		report(at.With("keyFile"), "certFile stands without keyFile; add the private key's file")
	}
	if t.KeyFile != "" && t.CertFile == "" {
		report(at.With("certFile"), "keyFile stands without certFile; add the certificate's file")
	}
	if t.DangerouslySkipVerify && t.CAFile != "" {
		report(at.With("dangerouslySkipVerify"), "caFile has no effect while dangerouslySkipVerify is true; remove dangerouslySkipVerify")
	}
	if t.ServerName != "" && !isHost(t.ServerName) {
		report(at.With("serverName"), "%q is not a host name; write the name that the server's certificate carries", routing.Clip(t.ServerName))
	}
}
