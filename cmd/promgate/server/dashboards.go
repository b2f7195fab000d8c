package server

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/promgate/promgate/auth"
	authkube "github.com/promgate/promgate/auth/kube"
	"github.com/promgate/promgate/cmd/promgate/config"
	"github.com/promgate/promgate/gateway"
	"github.com/promgate/promgate/perses"
	"github.com/promgate/promgate/routing"
	"github.com/promgate/promgate/routing/file"
)

// dashboards are Perses' objects in a cluster, and the API over them.
type dashboards struct {
	path, cluster string
	routes        *routing.Current
	discovery     *discovery
	users         *authkube.Authenticator
	options       perses.Options
	api           *perses.API // made with the gateway that serves it

	mu      sync.Mutex
	print   fingerprint
	stop    func() // nil before the first configuration
	running sync.WaitGroup
	objects atomic.Pointer[followed]
}

// followed are objects as one configuration has them read.
type followed struct {
	perses.Objects
	run   func(context.Context)
	awake func()
	// settled tells whether what is followed was seen once; nil: nothing is
	// followed, and nobody may ask often.
	settled func() bool
}

// openDashboards prepares the API, where the configuration has dashboards.
func (s *Server) openDashboards(version string) {
	cfg := s.config.Dashboards
	if cfg == nil {
		return
	}
	s.dashboards = &dashboards{
		path: cfg.Path, cluster: cfg.Cluster, routes: &s.routes, discovery: s.discovery, users: s.users,
	}
	s.dashboards.options = perses.Options{
		Path: cfg.Path, Cluster: cfg.Cluster, Version: version, Logger: s.logger, WhoIs: s.dashboards.whoIs,
		Objects:  func() perses.Objects { return s.dashboards.objects.Load() },
		Live:     func() bool { return s.dashboards.objects.Load().settled != nil },
		OnHidden: func(_, reason string) { s.meters.hidden.WithLabelValues(reason).Inc() },
	}
}

// operations are those of the gateway's own API that tell of dashboards.
func (d *dashboards) operations(g *gateway.Gateway) []gateway.Operation {
	if d == nil {
		return nil
	}
	d.options.Gateway = g
	d.api = perses.New(d.options)
	return d.api.Operations()
}

// apply has the objects read as a configuration wants it. What stands where, and
// in which cluster, is settled when the gateway starts.
func (d *dashboards) apply(cfg *config.Config, u *upstreams, s *Server) {
	if d == nil || cfg.Dashboards == nil || u.byName[d.cluster] == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	print := fingerprintOf([]any{u.prints[d.cluster], cfg.Dashboards.Visibility})
	if d.stop != nil && d.print == print {
		return
	}
	if d.stop != nil {
		d.stop()
	}
	next := d.follow(cfg, u, s)
	ctx, cancel := context.WithCancel(context.Background())
	d.print, d.stop = print, cancel
	d.objects.Store(next)
	d.running.Go(func() { next.run(ctx) })
}

func (d *dashboards) follow(cfg *config.Config, u *upstreams, s *Server) *followed {
	reader := u.byName[d.cluster].Reader()
	if slices.ContainsFunc(cfg.Clusters, func(c file.Cluster) bool { return c.Name == d.cluster && c.Credentials == "user" }) {
		o := perses.NewUserObjects(perses.UserOptions{Cluster: reader, Scope: d.scope, Logger: s.logger, Now: time.Now})
		return &followed{Objects: o, run: o.Run, awake: o.Awake}
	}
	options := perses.DedicatedOptions{
		Cluster: reader, Scope: d.scope, Projects: d.projects, Logger: s.logger, Now: time.Now, Visibility: perses.VisibilityMembers,
	}
	if cfg.Dashboards.VisibleToAll() {
		options.Visibility = perses.VisibilityEverySignedInUser
	}
	o := perses.NewDedicatedObjects(options)
	return &followed{Objects: o, run: o.Run, awake: o.Awake, settled: o.Settled}
}

// scope are the namespaces that are projects: those that discovery finds, and
// those of projects that the configuration names.
func (d *dashboards) scope() []string {
	names := d.discovery.namespaces(d.cluster)
	for e := range d.routes.Load().All() {
		if d.ours(e.Project) {
			names = append(names, e.Project.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// projects are the identities of the projects that a namespace is.
func (d *dashboards) projects(namespace string) []string {
	var uids []string
	for e := range d.routes.Load().Project(namespace) {
		if d.ours(e.Project) && !slices.Contains(uids, e.Project.UID) {
			uids = append(uids, e.Project.UID)
		}
	}
	return uids
}

// ours tells whether a project's dashboards are in the cluster. Of another
// cluster's project they are not, though a namespace here may have its name.
func (d *dashboards) ours(p *routing.Project) bool { return p.Cluster == "" || p.Cluster == d.cluster }

// whoIs names somebody for themselves.
func (d *dashboards) whoIs(ctx context.Context, v perses.Viewer) (string, error) {
	if v.Identity.Principal.Kind != auth.KindKubernetes {
		return v.Identity.Principal.ID, nil
	}
	who, err := d.users.Identify(ctx, v.Credential)
	return who.Name, err
}

// unsettled tells that the dashboards were not seen yet. As with environments, the
// gateway does not wait for that for ever.
func (d *dashboards) unsettled() error {
	if d == nil || time.Since(d.discovery.started) > firstSearch {
		return nil
	}
	if o := d.objects.Load(); o.settled != nil && !o.settled() {
		return fmt.Errorf("reading the dashboards of cluster %s", d.cluster)
	}
	return nil
}

// changed tells that projects may have come or gone.
func (d *dashboards) changed() {
	if d == nil {
		return
	}
	if o := d.objects.Load(); o != nil {
		o.awake()
	}
}

// close ends the reading.
func (d *dashboards) close() {
	if d == nil {
		return
	}
	d.mu.Lock()
	if d.stop != nil {
		d.stop()
	}
	d.mu.Unlock()
	d.running.Wait()
}
