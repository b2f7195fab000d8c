package perses

import (
	"slices"
	"strconv"
	"strings"

	"github.com/promgate/promgate/routing"
)

// environmentIndex finds the environments of one table by what data sources say.
type environmentIndex struct {
	table   *routing.Table
	cluster string
	// url is the gateway's own, and base the same where it can be compared.
	url     string
	base    location
	hasBase bool
	// services are the targets behind the cluster's service proxy.
	services map[serviceURL][]servicePort
	direct   map[location][]*routing.Environment
	aliases  map[location][]*routing.Environment
}

// servicePort is an environment's port of a Service.
type servicePort struct {
	environment        *routing.Environment
	scheme, port, path string
}

// environments is the index of the table that requests see now. It is made anew
// only when the table is.
func (a *API) environments() *environmentIndex {
	table, url := a.Gateway.Table(), a.Gateway.BaseURL()
	if known := a.index.Load(); known != nil && known.table == table && known.url == url {
		return known
	}
	made := newEnvironmentIndex(table, url, a.Cluster)
	a.index.Store(made)
	return made
}

func newEnvironmentIndex(table *routing.Table, url, cluster string) *environmentIndex {
	x := &environmentIndex{
		table: table, cluster: cluster, url: url, services: map[serviceURL][]servicePort{},
		direct: map[location][]*routing.Environment{}, aliases: map[location][]*routing.Environment{},
	}
	x.base, x.hasBase = newLocation(url)
	for e := range table.All() {
		x.add(e)
	}
	return x
}

func (x *environmentIndex) add(e *routing.Environment) {
	for _, alias := range e.Aliases {
		if l, good := newLocation(alias); good && !slices.Contains(x.aliases[l], e) {
			x.aliases[l] = append(x.aliases[l], e)
		}
	}
	p := e.Target.ServiceProxy
	if p == nil {
		base := *e.Target.Base
		base.User = nil
		if l, good := newLocation(base.String()); good {
			x.direct[l] = append(x.direct[l], e)
		}
		return
	}
	if p.Cluster != x.cluster {
		return
	}
	literal := strings.Split(p.Name, ":")
	_, path, found := strings.Cut(e.Target.Base.Path, "/namespaces/"+p.Namespace+"/services/"+p.Name+"/proxy")
	if len(literal) != 3 || !found {
		return
	}
	at := serviceURL{p.Namespace, literal[1]}
	x.services[at] = append(x.services[at], servicePort{e, literal[0], literal[2], strings.TrimSuffix(path, "/")})
}

// find finds the environment that a data source leads to. namespace is that of
// the object; empty for a global one. Nil: it leads to none.
func (x *environmentIndex) find(s *source, namespace string) *routing.Environment {
	switch {
	case s.problem != "":
		return nil
	case s.annotation != "":
		return x.named(s.annotation, namespace)
	case !s.located:
		return nil
	}
	if e := x.published(s.location); e != nil {
		return e
	}
	for _, all := range [][]*routing.Environment{x.serviced(s.location, namespace), x.direct[s.location], x.aliases[s.location]} {
		if len(all) > 0 {
			return x.one(all, namespace)
		}
	}
	return nil
}

// named finds what the annotation names: an environment of the object's own
// project, or project/environment.
func (x *environmentIndex) named(annotation, namespace string) *routing.Environment {
	project, name, foreign := strings.Cut(annotation, "/")
	if !foreign {
		project, name = namespace, annotation
	}
	e, found := x.table.Lookup(project, name)
	if !found || !foreign && !x.owns(e, namespace) {
		return nil
	}
	return e
}

// owns tells whether the environment is of the namespace's own project. Another
// cluster may have a namespace of the same name.
func (x *environmentIndex) owns(e *routing.Environment, namespace string) bool {
	return namespace != "" && e.Project.Name == namespace && (e.Project.Cluster == "" || e.Project.Cluster == x.cluster)
}

// published finds the environment whose URL for clients it is.
func (x *environmentIndex) published(l location) *routing.Environment {
	rest, below := l.below(x.base)
	if !x.hasBase || !below {
		return nil
	}
	segments := strings.Split(rest, "/")
	if len(segments) != 5 || segments[1] != "projects" || segments[3] != "environments" {
		return nil
	}
	e, _ := x.table.Lookup(segments[2], segments[4])
	return e
}

// serviced are the environments whose Service, port and path it names.
func (x *environmentIndex) serviced(l location, namespace string) []*routing.Environment {
	at, named := l.service(namespace)
	if !named {
		return nil
	}
	var all []*routing.Environment
	for _, p := range x.services[at] {
		if p.scheme == l.scheme && p.path == l.path && (p.port == l.port || isPortNumber(p.port) != isPortNumber(l.port) && len(x.services[at]) == 1) {
			all = append(all, p.environment)
		}
	}
	return all
}

// isPortNumber tells numbers from names, of which only Kubernetes knows which
// number they stand for.
func isPortNumber(port string) bool {
	_, err := strconv.Atoi(port)
	return err == nil
}

// one chooses among environments of the same Prometheus, which several projects
// may have: the object's own. Where that does not decide, nobody guesses.
func (x *environmentIndex) one(all []*routing.Environment, namespace string) *routing.Environment {
	if len(all) == 1 {
		return all[0]
	}
	var own *routing.Environment
	for _, e := range all {
		switch {
		case !x.owns(e, namespace):
		case own != nil:
			return nil
		default:
			own = e
		}
	}
	return own
}
