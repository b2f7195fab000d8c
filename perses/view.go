package perses

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const (
	// viewFor is how long it is remembered which namespaces somebody may see.
	viewFor = 30 * time.Second
	// refusedFor is how long it is remembered that a token is not good.
	refusedFor = 5 * time.Second
	// maxViews bounds how many are remembered.
	maxViews = 512
	// maxProbes bounds the namespaces that are asked about one by one.
	maxProbes = 2000
	// lookTimeout bounds the search for what somebody may see.
	lookTimeout = 30 * time.Second
)

var coreNamespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}

// view is what a token shows of the projects, or that it is not good. It is
// immutable.
type view struct {
	projects []Project // by name
	err      error
	until    time.Time
}

// viewMemory remembers views by the hash of the token, and lets those who ask
// for the same at once wait for one search.
type viewMemory struct {
	now     func() time.Time
	look    func(ctx context.Context, token string) ([]Project, error)
	views   *lru.Cache[[sha256.Size]byte, view]
	flights singleflight.Group
}

func newViewMemory(now func() time.Time, look func(context.Context, string) ([]Project, error)) *viewMemory {
	// The only error is a size that is not positive.
	views, _ := lru.New[[sha256.Size]byte, view](maxViews)
	return &viewMemory{now: now, look: look, views: views}
}

// known tells whether the token is remembered, and whether it was good.
func (m *viewMemory) known(token string) (bool, error) {
	v, found := m.remembered(sha256.Sum256([]byte(token)))
	return found, v.err
}

func (m *viewMemory) remembered(key [sha256.Size]byte) (view, bool) {
	v, found := m.views.Get(key)
	if !found || m.now().After(v.until) {
		return view{}, false
	}
	return v, true
}

// refuse remembers for a while that a token is not good, whatever it has shown
// before.
func (m *viewMemory) refuse(token string, err error) {
	m.views.Add(sha256.Sum256([]byte(token)), view{err: err, until: m.now().Add(refusedFor)})
}

// get is what the token shows. The search goes on to its end when the caller
// leaves: others may be waiting for it, or ask next.
func (m *viewMemory) get(ctx context.Context, token string) ([]Project, error) {
	key := sha256.Sum256([]byte(token))
	if v, found := m.remembered(key); found {
		return v.projects, v.err
	}
	flight := m.flights.DoChan(string(key[:]), func() (any, error) {
		// The flight before may have landed since the caller looked.
		if v, found := m.remembered(key); found {
			return v.projects, v.err
		}
		ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
		defer cancel()
		asked := m.now() // from before the question
		projects, err := m.look(ctx, token)
		if err == nil {
			m.views.Add(key, view{projects: projects, until: asked.Add(viewFor)})
		}
		return projects, err
	})
	select {
	case landed := <-flight:
		if landed.Err != nil {
			return nil, landed.Err
		}
		return landed.Val.([]Project), nil
	case <-ctx.Done():
		return nil, leftEarly(ctx)
	}
}

// look finds out with a token which of the projects it shows: all at once where
// it may list namespaces, else one by one.
func (u *UserObjects) look(ctx context.Context, token string) ([]Project, error) {
	a, scope := &asker{u, token}, scopeOf(u.options.Scope)
	var all []Project
	err := ask(ctx, u.asking, func(ctx context.Context) error {
		return u.options.Cluster.ListAs(ctx, token, coreNamespaces, "", func() { all = nil }, func(o *unstructured.Unstructured) {
			if at, found := slices.BinarySearch(scope, o.GetName()); found {
				all = append(all, Project{Name: scope[at], Created: o.GetCreationTimestamp().UTC()})
			}
		})
	})
	switch {
	case apierrors.IsForbidden(err):
		return a.probeAll(ctx, scope)
	case apierrors.IsNotFound(err): // there is no API server without namespaces
		return nil, a.refusal(errors.New("the API server knows no namespaces"))
	case err != nil:
		return nil, a.refusal(err)
	}
	slices.SortFunc(all, func(a, b Project) int { return cmp.Compare(a.Name, b.Name) })
	return slices.Clip(all), nil
}

// probeAll asks about each namespace of a scope.
func (a *asker) probeAll(ctx context.Context, scope []string) ([]Project, error) {
	scope = slices.DeleteFunc(scope, func(namespace string) bool { return !canBeProject(namespace) })
	if len(scope) > maxProbes {
		a.u.logger.Warn("there are more projects than are asked for one by one: whoever may not list namespaces is not shown those after the last",
			"projects", len(scope), "last", scope[maxProbes-1], "advice", "grant people list on namespaces")
		scope = scope[:maxProbes]
	}
	if len(scope) == 0 {
		return nil, a.verify(ctx)
	}
	visible := make([]*Project, len(scope))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxAsking)
	for i, namespace := range scope {
		group.Go(func() (err error) {
			visible[i], err = a.probe(ctx, namespace)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var all []Project
	for _, p := range visible {
		if p != nil {
			all = append(all, *p)
		}
	}
	return all, nil
}

// probe asks whether the namespace, or anything in it, may be seen.
func (a *asker) probe(ctx context.Context, namespace string) (*Project, error) {
	var found *unstructured.Unstructured
	err := ask(ctx, a.u.asking, func(ctx context.Context) (err error) {
		found, err = a.u.options.Cluster.GetAs(ctx, a.token, coreNamespaces, "", namespace)
		return err
	})
	switch {
	case err == nil:
		return &Project{Name: namespace, Created: found.GetCreationTimestamp().UTC()}, nil
	case !apierrors.IsForbidden(err):
		return nil, a.refusal(err)
	}
	for _, k := range []*Kind{Dashboards, Datasources, Folders} {
		err := ask(ctx, a.u.asking, func(ctx context.Context) error {
			return a.u.options.Cluster.CheckListAs(ctx, a.token, resourceOf(k), namespace)
		})
		if err == nil {
			return &Project{Name: namespace}, nil
		}
		if err := a.refusal(err); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// Both are implementations of Objects.
var (
	_ Objects = (*UserObjects)(nil)
	_ Objects = (*DedicatedObjects)(nil)
)
