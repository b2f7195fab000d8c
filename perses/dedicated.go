package perses

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/kube"
)

// Visibility tells who is shown what the gateway reads with its own credentials.
type Visibility int

const (
	// VisibilityMembers shows a project to its members: whoever has a grant for
	// the whole of it, or may read its objects by Kubernetes' RBAC.
	VisibilityMembers Visibility = iota
	// VisibilityEverySignedInUser shows all projects to everybody whose credential
	// is good. What they may query stays as it is.
	VisibilityEverySignedInUser
)

// DedicatedOptions say what is read and who is shown it.
type DedicatedOptions struct {
	// Cluster is where the objects are.
	Cluster *kube.Reader
	// Scope are the namespaces that are projects, in any order. It is asked often
	// and must be quick.
	Scope func() []string
	// Projects are the UIDs of the projects that a namespace is, with which grants
	// are compared; nil: of none.
	Projects func(namespace string) []string
	// Visibility is who is shown it.
	Visibility Visibility
	// Logger receives what concerns no single request; nil: nobody.
	Logger *slog.Logger
	// Now is the clock; nil: the real one.
	Now func() time.Time
}

// DedicatedObjects reads with the gateway's own credentials, which follow all
// objects, and decides itself who is shown which: by grants, or where RBAC
// decides by reviews. No person's token reaches an API server but in these. What
// was seen last stays while the API server cannot be reached.
type DedicatedObjects struct {
	options DedicatedOptions
	logger  *slog.Logger
	now     func() time.Time
	skips   *skipLog
	wake    chan struct{}

	mu    sync.RWMutex
	racks map[*Kind]*rack
}

// recheckScope is how often the scope is looked at although nobody has told of
// a change.
const recheckScope = 10 * time.Second

// NewDedicatedObjects prepares the reading. It connects to nothing before Run.
func NewDedicatedObjects(o DedicatedOptions) *DedicatedObjects {
	d := &DedicatedObjects{
		options: o, logger: loggerOr(o.Logger), now: clockOr(o.Now), wake: make(chan struct{}, 1), racks: map[*Kind]*rack{},
	}
	d.skips = newSkipLog(d.logger, o.Cluster.Name())
	for _, k := range []*Kind{Dashboards, Datasources, GlobalDatasources, Folders} {
		d.racks[k] = &rack{kind: k, follows: map[string]*follow{}, shelves: map[string]*shelf{}}
	}
	return d
}

// Run follows the objects until ctx is done. Run once.
func (d *DedicatedObjects) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	tick := time.NewTicker(recheckScope)
	defer tick.Stop()
	for ctx.Err() == nil {
		d.steer(ctx, &running)
		select {
		case <-ctx.Done():
		case <-d.wake:
		case <-tick.C:
		}
	}
}

// Awake tells that the scope may have changed.
func (d *DedicatedObjects) Awake() {
	select {
	case d.wake <- struct{}{}:
	default: // it is already
	}
}

// steer starts and stops follows as the scope and the gateway's rights ask.
func (d *DedicatedObjects) steer(ctx context.Context, running *sync.WaitGroup) {
	scope := map[string]bool{}
	for _, namespace := range scopeOf(d.options.Scope) {
		scope[namespace] = canBeProject(namespace)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.racks {
		whole := r.follows[""]
		switch {
		case !r.narrow && whole == nil:
			d.startFollow(ctx, running, r, "")
		case !r.narrow && whole.denied && !r.kind.Global:
			whole.stop()
			r.narrow = true
		}
		if !r.narrow {
			continue
		}
		for namespace, can := range scope {
			if can && r.follows[namespace] == nil {
				d.startFollow(ctx, running, r, namespace)
			}
		}
		for namespace, f := range r.follows {
			if !scope[namespace] {
				f.stop()
			}
		}
	}
}

// Settled tells whether all that there is was seen once, or is known to be out of
// sight: before, questions are answered that nobody can tell yet.
func (d *DedicatedObjects) Settled() bool {
	scope := scopeOf(d.options.Scope)
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, r := range d.racks {
		if r.kind.Global && !r.settled("") {
			return false
		}
		for _, namespace := range scope {
			if !r.kind.Global && canBeProject(namespace) && !r.settled(namespace) {
				return false
			}
		}
	}
	return true
}

// Verify implements Objects.
func (d *DedicatedObjects) Verify(ctx context.Context, v Viewer) error {
	p, err := d.person(ctx, v)
	if err != nil {
		return err
	}
	return p.verify(ctx)
}

// Projects implements Objects. When they were made is not told: the gateway need
// not be allowed to read namespaces.
func (d *DedicatedObjects) Projects(ctx context.Context, v Viewer) ([]Project, error) {
	p, err := d.person(ctx, v)
	if err != nil {
		return nil, err
	}
	names, err := p.projects(ctx, scopeOf(d.options.Scope))
	if err != nil {
		return nil, err
	}
	all := make([]Project, 0, len(names))
	for _, name := range names {
		all = append(all, Project{Name: name})
	}
	return all, nil
}

// List implements Objects.
func (d *DedicatedObjects) List(ctx context.Context, v Viewer, k *Kind, namespace string) (*Listing, error) {
	p, err := d.person(ctx, v)
	if err != nil {
		return nil, err
	}
	var from []string
	switch {
	case k.Global && namespace == "":
		var may bool
		if may, err = p.global(ctx, k, ""); may {
			from = []string{""}
		}
	case namespace == "":
		from, err = p.lists(ctx, k, d.worthAsking(k, scopeOf(d.options.Scope)))
	case !k.Global && inScope(d.options.Scope, namespace):
		from, err = p.lists(ctx, k, []string{namespace})
	default: // there is none
		err = p.verify(ctx)
	}
	if err != nil {
		return nil, err
	}
	return d.listing(k, from)
}

// Get implements Objects.
func (d *DedicatedObjects) Get(ctx context.Context, v Viewer, k *Kind, namespace, name string) (*Object, error) {
	if _, err := personOf(v); err != nil {
		return nil, err
	}
	if k.Global != (namespace == "") || !k.Global && !canBeProject(namespace) || !canBeObject(name) {
		return nil, ErrNotFound
	}
	p, err := d.person(ctx, v)
	if err != nil {
		return nil, err
	}
	may := false
	switch {
	case k.Global:
		may, err = p.global(ctx, k, name)
	case inScope(d.options.Scope, namespace):
		may, err = p.gets(ctx, k, namespace, name)
	default:
		err = p.verify(ctx)
	}
	if err != nil {
		return nil, err
	}
	if !may {
		return nil, ErrNotFound
	}
	return d.object(k, namespace, name)
}

// worthAsking are the namespaces that have anything of the kind, or may have: of
// the others nobody's right is worth a question.
func (d *DedicatedObjects) worthAsking(k *Kind, scope []string) []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	r := d.racks[k]
	worth := make([]string, 0, min(len(scope), len(r.shelves)))
	for _, namespace := range scope {
		if r.on(namespace) != nil || !r.settled(namespace) {
			worth = append(worth, namespace)
		}
	}
	return worth
}

// listing is what the namespaces, which are sorted, have of the kind.
func (d *DedicatedObjects) listing(k *Kind, namespaces []string) (*Listing, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	r := d.racks[k]
	var shelves []*shelf
	size := 0
	for _, namespace := range namespaces {
		if !r.settled(namespace) {
			return nil, d.errUnsettled(k)
		}
		if s := r.on(namespace); s != nil {
			shelves = append(shelves, s)
			size += len(s.objects)
		}
	}
	if len(shelves) == 1 {
		return &Listing{Objects: shelves[0].objects, Skipped: shelves[0].skipped}, nil
	}
	l := &Listing{Objects: make([]*Object, 0, size)}
	for _, s := range shelves {
		l.Objects = append(l.Objects, s.objects...)
		l.Skipped = append(l.Skipped, s.skipped...)
	}
	return l, nil
}

func (d *DedicatedObjects) object(k *Kind, namespace, name string) (*Object, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	r := d.racks[k]
	if !r.settled(namespace) {
		return nil, d.errUnsettled(k)
	}
	if o := r.on(namespace).get(name); o != nil {
		return o, nil
	}
	return nil, ErrNotFound
}

func (d *DedicatedObjects) errUnsettled(k *Kind) error {
	return fmt.Errorf("%w: the API server of cluster %s has not told yet which %s there are", auth.ErrUnavailable, d.options.Cluster.Name(), k.Resource)
}
