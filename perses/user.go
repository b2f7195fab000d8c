package perses

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/kube"
)

const (
	// maxAsking bounds the requests with which one person's question is answered
	// at once, and maxAskingAll those of all.
	maxAsking    = 16
	maxAskingAll = 64
	// maxListing bounds the lists of objects that are read at once, for all: each
	// is held in memory as a whole.
	maxListing = 8
	// maxTurnWait bounds the wait for a turn.
	maxTurnWait = 5 * time.Second
)

// UserOptions say what is read.
type UserOptions struct {
	// Cluster is where the objects are.
	Cluster *kube.Reader
	// Scope are the namespaces that are projects, in any order. It is asked often
	// and must be quick.
	Scope func() []string
	// Logger receives what concerns no single request; nil: nobody.
	Logger *slog.Logger
	// Now is the clock; nil: the real one.
	Now func() time.Time
}

// UserObjects reads each list and each object with the token of whoever looks,
// and never with the gateway's own credentials: Kubernetes decides. Of what it
// has read it keeps nothing but which namespaces somebody may see, for a while.
type UserObjects struct {
	options UserOptions
	logger  *slog.Logger
	skips   *skipLog
	views   *viewMemory
	asking  *semaphore.Weighted
	listing *semaphore.Weighted
}

// NewUserObjects prepares the reading. It connects to nothing.
func NewUserObjects(o UserOptions) *UserObjects {
	u := &UserObjects{options: o, logger: loggerOr(o.Logger), asking: semaphore.NewWeighted(maxAskingAll), listing: semaphore.NewWeighted(maxListing)}
	u.skips = newSkipLog(u.logger, o.Cluster.Name())
	u.views = newViewMemory(clockOr(o.Now), u.look)
	return u
}

// Run does nothing until ctx is done: nothing is followed.
func (u *UserObjects) Run(ctx context.Context) { <-ctx.Done() }

// Awake does nothing: the scope is looked at for every request.
func (u *UserObjects) Awake() {}

// asker is who looks, with their own token.
type asker struct {
	u     *UserObjects
	token string
}

// asker tells who looks, if Kubernetes can know them. It asks nobody.
func (u *UserObjects) asker(v Viewer) (*asker, error) {
	id, err := personOf(v)
	switch {
	case err != nil:
		return nil, err
	case id.Principal.Kind != auth.KindKubernetes:
		return nil, fmt.Errorf("%w: these dashboards are read with each person's own Kubernetes token; sign in with a Kubernetes token", auth.ErrForbidden)
	case v.Credential.Secret() == "":
		return nil, fmt.Errorf("%w: the person's Kubernetes token is not there", auth.ErrInvalid)
	}
	return &asker{u, v.Credential.Secret()}, nil
}

// Verify implements Objects.
func (u *UserObjects) Verify(ctx context.Context, v Viewer) error {
	a, err := u.asker(v)
	if err != nil {
		return err
	}
	return a.verify(ctx)
}

// verify finds out whether the token is good, which any request tells.
func (a *asker) verify(ctx context.Context) error {
	if known, err := a.u.views.known(a.token); known {
		return err
	}
	return a.refusal(ask(ctx, a.u.asking, func(ctx context.Context) error {
		return a.u.options.Cluster.CheckListAs(ctx, a.token, resourceOf(Dashboards), "")
	}))
}

// ask makes a request in its turn.
func ask(ctx context.Context, turns *semaphore.Weighted, request func(context.Context) error) error {
	waiting, cancel := context.WithTimeout(ctx, maxTurnWait)
	defer cancel()
	switch {
	case turns.Acquire(waiting, 1) == nil:
	case ctx.Err() != nil:
		return leftEarly(ctx)
	default:
		return fmt.Errorf("%w: the API server had others' questions to answer for %s", auth.ErrUnavailable, maxTurnWait)
	}
	defer turns.Release(1)
	return request(ctx)
}

// refusal is what an error means that is no word on a single object or list: nil
// for one that RBAC has decided on, or a kind that is not installed.
func (a *asker) refusal(err error) error {
	switch {
	case err == nil, apierrors.IsForbidden(err), apierrors.IsNotFound(err):
		return nil
	case apierrors.IsUnauthorized(err):
		refused := fmt.Errorf("%w: the API server of cluster %s does not accept it", auth.ErrInvalid, a.u.options.Cluster.Name())
		a.u.views.refuse(a.token, refused)
		return refused
	case errors.Is(err, auth.ErrUnavailable):
		return err
	}
	// Not the cause itself: a timeout of the request is none of the person's.
	return fmt.Errorf("%w: objects cannot be read: %s", auth.ErrUnavailable, err.Error())
}

// Projects implements Objects.
func (u *UserObjects) Projects(ctx context.Context, v Viewer) ([]Project, error) {
	a, err := u.asker(v)
	if err != nil {
		return nil, err
	}
	return a.projects(ctx)
}

// projects are those that the person may see, of those that there are now.
func (a *asker) projects(ctx context.Context) ([]Project, error) {
	seen, err := a.u.views.get(ctx, a.token)
	if err != nil {
		return nil, err
	}
	scope := scopeOf(a.u.options.Scope)
	visible := make([]Project, 0, len(seen))
	for _, p := range seen {
		if _, found := slices.BinarySearch(scope, p.Name); found {
			visible = append(visible, p)
		}
	}
	return visible, nil
}

// List implements Objects.
func (u *UserObjects) List(ctx context.Context, v Viewer, k *Kind, namespace string) (*Listing, error) {
	a, err := u.asker(v)
	switch {
	case err != nil:
		return nil, err
	case namespace != "" && (k.Global || !inScope(u.options.Scope, namespace)):
		return &Listing{}, a.verify(ctx)
	}
	scope := []string{namespace}
	if namespace == "" && !k.Global {
		scope = scopeOf(u.options.Scope)
	}
	all, err := a.list(ctx, k, namespace, scope)
	if apierrors.IsForbidden(err) && namespace == "" && !k.Global {
		return a.listEach(ctx, k)
	}
	if err := a.refusal(err); err != nil {
		return nil, err
	}
	return listingOf(all), nil
}

// list reads what there is of a kind in a namespace, or with an empty one in all,
// and keeps what is in the scope, which is sorted.
func (a *asker) list(ctx context.Context, k *Kind, namespace string, scope []string) ([]readObject, error) {
	var all []readObject
	err := ask(ctx, a.u.listing, func(ctx context.Context) error {
		return a.u.options.Cluster.ListAs(ctx, a.token, resourceOf(k), namespace, func() { all = nil }, func(o *unstructured.Unstructured) {
			if _, found := slices.BinarySearch(scope, o.GetNamespace()); found {
				all = append(all, a.read(k, o))
			}
		})
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

func (a *asker) read(k *Kind, o *unstructured.Unstructured) readObject {
	r := readOf(k, o)
	if r.skipped != nil {
		a.u.skips.note(r.skipped, o)
	}
	return r
}

// listEach lists project by project.
func (a *asker) listEach(ctx context.Context, k *Kind) (*Listing, error) {
	projects, err := a.projects(ctx)
	if err != nil {
		return nil, err
	}
	parts := make([][]readObject, len(projects))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxAsking)
	for i, p := range projects {
		group.Go(func() (err error) {
			parts[i], err = a.list(ctx, k, p.Name, []string{p.Name})
			return a.refusal(err)
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return listingOf(slices.Concat(parts...)), nil
}

// listingOf sorts what was read.
func listingOf(all []readObject) *Listing {
	l := &Listing{}
	for _, r := range all {
		if r.object != nil {
			l.Objects = append(l.Objects, r.object)
		} else {
			l.Skipped = append(l.Skipped, *r.skipped)
		}
	}
	slices.SortFunc(l.Objects, byPlace)
	slices.SortFunc(l.Skipped, bySkippedPlace)
	return l
}

// Get implements Objects.
func (u *UserObjects) Get(ctx context.Context, v Viewer, k *Kind, namespace, name string) (*Object, error) {
	a, err := u.asker(v)
	switch {
	case err != nil:
		return nil, err
	case k.Global != (namespace == ""), !k.Global && !canBeProject(namespace), !canBeObject(name):
		return nil, ErrNotFound
	case !k.Global && !inScope(u.options.Scope, namespace):
		if err := a.verify(ctx); err != nil {
			return nil, err
		}
		return nil, ErrNotFound
	}
	var found *unstructured.Unstructured
	err = a.refusal(ask(ctx, u.asking, func(ctx context.Context) (err error) {
		found, err = u.options.Cluster.GetAs(ctx, a.token, resourceOf(k), namespace, name)
		return err
	}))
	if err != nil {
		return nil, err
	}
	if found != nil {
		if r := a.read(k, found); r.object != nil {
			return r.object, nil
		}
	}
	return nil, ErrNotFound
}
