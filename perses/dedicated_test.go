package perses

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/kube"
)

// ruledAccess is what RBAC says: "list persesdashboards shop", "get
// persesdashboards shop/sales", with nothing behind for the whole cluster.
type ruledAccess struct {
	auth.Access
	err    error
	mu     sync.Mutex
	rights []string
	asked  []string
}

func (a *ruledAccess) May(_ context.Context, actions []auth.Action) ([]bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	may := make([]bool, len(actions))
	for i, action := range actions {
		what := action.Verb + " " + action.Resource
		everywhere := slices.Contains(a.rights, what)
		if what += " " + action.Namespace; action.Name != "" {
			what += "/" + action.Name
		}
		what = strings.TrimSpace(what)
		a.asked = append(a.asked, what)
		may[i] = action.Cluster == "local" && (everywhere || slices.Contains(a.rights, what))
	}
	if a.err != nil {
		return nil, a.err
	}
	return may, nil
}

func (a *ruledAccess) take() string {
	defer func() { a.asked = nil }()
	return strings.Join(a.asked, ", ")
}

// ruled is somebody whose rights RBAC keeps.
func ruled(rights ...string) (Viewer, *ruledAccess) {
	a := &ruledAccess{rights: rights}
	return Viewer{Identity: &auth.Identity{Principal: auth.Principal{Kind: auth.KindKubernetes, ID: "anna"}, Access: a}, Credential: auth.NewCredential(annasToken)}, a
}

// dedicatedWorld is a DedicatedObjects that is told what its follows see.
type dedicatedWorld struct {
	*DedicatedObjects
	t      testing.TB
	scope  []string
	logged *logged
}

func newDedicatedWorld(t testing.TB) *dedicatedWorld {
	w := &dedicatedWorld{t: t, scope: []string{"shop", "billing"}, logged: &logged{}}
	w.DedicatedObjects = NewDedicatedObjects(DedicatedOptions{
		Cluster: (&kube.Connection{Name: "local"}).Reader(), Logger: w.logged.logger(), Scope: func() []string { return w.scope },
		Projects: func(namespace string) []string { return []string{"uid-of-" + namespace} },
	})
	return w
}

// follow is one that nothing runs.
func (w *dedicatedWorld) follow(k *Kind, namespace string) *follow {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := &follow{d: w.DedicatedObjects, rack: w.racks[k], namespace: namespace, end: func() {}}
	f.rack.follows[namespace] = f
	f.rack.narrow = namespace != ""
	return f
}

// want checks what somebody with a grant for everything is shown.
func (w *dedicatedWorld) want(namespace, objects string, want error) {
	w.t.Helper()
	l, err := w.List(w.t.Context(), local("uid-of-shop", "uid-of-billing"), Dashboards, namespace)
	if !errors.Is(err, want) || err == nil && titled(l) != objects {
		w.t.Errorf("in %q: got %v, %v, want %s, %v", namespace, l, err, objects, want)
	}
}

// dashboardsAt are objects of these places.
func dashboardsAt(places ...string) (all []*unstructured.Unstructured) {
	for _, p := range places {
		all = append(all, fakeObject(Dashboards, p, 1))
	}
	return all
}

var errOutage = errors.New("connection refused")

func errForbiddenObjects() error {
	return apierrors.NewForbidden(resourceOf(Dashboards).GroupResource(), "", errors.New("no"))
}

func errNotInstalled() error {
	return apierrors.NewNotFound(resourceOf(Dashboards).GroupResource(), "")
}

// TestFollowed: what is known at each moment of a follow's life.
func TestFollowed(t *testing.T) {
	w := newDedicatedWorld(t)
	now := time.Now()
	w.want("", "", auth.ErrUnavailable) // nobody follows
	f := w.follow(Dashboards, "")
	w.want("", "", auth.ErrUnavailable)
	f.Failed(t.Context(), errOutage)
	w.want("shop", "", auth.ErrUnavailable)
	if _, err := w.Get(t.Context(), local("uid-of-shop"), Dashboards, "shop", "sales"); !errors.Is(err, auth.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	f.Replace(dashboardsAt("shop/b", "shop/a", "billing/z", "outside/x"), "7", time.Time{})
	w.want("", "billing/z shop/a shop/b", nil)
	before, _ := w.List(t.Context(), local("uid-of-shop"), Dashboards, "shop")
	f.Seen("7", now)
	f.Put(fakeObject(Dashboards, "shop/aa", 1), now)
	f.Put(fakeObject(Dashboards, "shop/b", 2), now)
	f.Remove(fakeObject(Dashboards, "shop/a", 1), now)
	f.Remove(fakeObject(Dashboards, "billing/z", 1), now)
	f.Remove(fakeObject(Dashboards, "gone/never", 1), now)
	w.want("", "shop/aa shop/b", nil)
	if titled(before) != "shop/a shop/b" || before.Objects[1].Title != "Title 1" {
		t.Errorf("a list has changed: %s", titled(before))
	}
	if o, err := w.Get(t.Context(), local("uid-of-shop"), Dashboards, "shop", "b"); err != nil || o.Title != "Title 2" {
		t.Errorf("got %v, %v", o, err)
	}
	f.Failed(t.Context(), errOutage) // what is known stays
	f.Failed(t.Context(), errOutage)
	w.want("", "shop/aa shop/b", nil)
	if strings.Count(w.logged.String(), "what is known stays") != 2 { // once for each outage
		t.Error(w.logged)
	}
	f.Failed(t.Context(), errNotInstalled())
	w.want("", "", nil)
	f.Failed(t.Context(), errOutage) // that it is not there is known, too
	w.want("", "", nil)
	f.Replace(dashboardsAt("shop/c"), "8", time.Time{})
	f.Seen("8", now)
	w.want("", "shop/c", nil)
	left, leave := context.WithCancel(t.Context())
	leave()
	f.Failed(left, errNotInstalled()) // it was given up
	w.want("", "shop/c", nil)
	w.mu.Lock()
	f.stop()
	w.mu.Unlock()
	f.Replace(dashboardsAt("shop/late"), "9", now)
	f.Failed(t.Context(), errNotInstalled())
	w.want("", "", auth.ErrUnavailable)
}

// TestFollowedNarrow: where the gateway may not follow a kind over the cluster, it
// is not known what there is before each namespace has told.
func TestFollowedNarrow(t *testing.T) {
	w := newDedicatedWorld(t)
	f := w.follow(Dashboards, "")
	f.Failed(t.Context(), errForbiddenObjects())
	w.want("shop", "", auth.ErrUnavailable)
	if w.logged.String() != "" {
		t.Errorf("logged %s", w.logged)
	}
	select {
	case <-w.wake:
	default:
		t.Error("nobody was told")
	}
	shop := w.follow(Dashboards, "shop")
	shop.Replace(dashboardsAt("shop/a", "billing/not-asked-for"), "7", time.Time{})
	shop.Put(fakeObject(Dashboards, "billing/not-asked-for", 1), time.Now())
	w.want("shop", "shop/a", nil)
	w.want("billing", "", auth.ErrUnavailable)
	w.want("", "", auth.ErrUnavailable)
	billing := w.follow(Dashboards, "billing")
	billing.Failed(t.Context(), errForbiddenObjects())
	w.want("", "shop/a", nil)
	if text := w.logged.String(); !strings.Contains(text, `namespace: \"billing\"`) || !strings.Contains(text, "kind: RoleBinding") {
		t.Errorf("logged %s", text)
	}
	// Who may list and not watch is followed no more than who may not list.
	for range 3 {
		billing.Replace(dashboardsAt("billing/z"), "7", time.Time{})
		w.want("", "shop/a", nil)
		billing.Failed(t.Context(), errForbiddenObjects())
		w.want("", "shop/a", nil)
	}
	if n := strings.Count(w.logged.String(), "level=WARN"); n != 1 {
		t.Errorf("warned %d times", n)
	}
	billing.Replace(dashboardsAt("billing/z"), "7", time.Time{})
	billing.Seen("", time.Now())
	w.want("", "billing/z shop/a", nil)
	// A global kind has no namespaces to go on with.
	g := w.follow(GlobalDatasources, "")
	g.Failed(t.Context(), errForbiddenObjects())
	if l, err := w.List(t.Context(), local("uid-of-shop"), GlobalDatasources, ""); err != nil || len(l.Objects) != 0 {
		t.Errorf("got %v, %v", l, err)
	}
	if !strings.Contains(w.logged.String(), "kind: ClusterRoleBinding") {
		t.Errorf("logged %s", w.logged)
	}
}

// TestSkippedOnce: what cannot be shown is logged once, until it changes, and
// not what is no project's.
func TestSkippedOnce(t *testing.T) {
	w := newDedicatedWorld(t)
	f := w.follow(Dashboards, "")
	empty := func(place string, version int) *unstructured.Unstructured {
		u := fakeObject(Dashboards, place, version)
		u.Object["spec"] = map[string]any{}
		return u
	}
	for range 3 {
		f.Replace([]*unstructured.Unstructured{empty("shop/empty", 1), empty("outside/empty", 1)}, "7", time.Time{})
		f.Put(empty("shop/empty", 1), time.Now())
	}
	f.Put(empty("shop/empty", 2), time.Now())
	if text := w.logged.String(); strings.Count(text, "level=WARN") != 2 || strings.Contains(text, "outside") {
		t.Errorf("logged %s", text)
	}
	w.want("", "-shop/empty", nil)
	f.Put(fakeObject(Dashboards, "shop/empty", 3), time.Now())
	w.want("", "shop/empty", nil)
	f.Put(empty("shop/empty", 4), time.Now())
	w.want("", "-shop/empty", nil)
	f.Remove(empty("shop/empty", 4), time.Now())
	w.want("", "", nil)
}

// TestReviewed: what RBAC is asked, and that it is asked no more than it must.
func TestReviewed(t *testing.T) {
	w := newDedicatedWorld(t)
	w.scope = append(w.scope, "void")
	w.follow(Dashboards, "").Replace(dashboardsAt("shop/a", "billing/b", "outside/c"), "7", time.Time{})
	w.follow(GlobalDatasources, "").Replace([]*unstructured.Unstructured{fakeObject(GlobalDatasources, "/fleet", 1)}, "7", time.Time{})
	list := func(v Viewer, k *Kind, namespace string) string {
		l, err := w.List(t.Context(), v, k, namespace)
		if err != nil {
			return err.Error()
		}
		return titled(l)
	}
	get := func(v Viewer, k *Kind, place string) string {
		namespace, name, _ := strings.Cut(place, "/")
		if o, err := w.Get(t.Context(), v, k, namespace, name); err == nil {
			return o.Namespace + "/" + o.Name
		} else if errors.Is(err, ErrNotFound) {
			return ""
		} else {
			return err.Error()
		}
	}
	projects := func(v Viewer) string {
		all, err := w.Projects(t.Context(), v)
		var names []string
		for _, p := range all {
			names = append(names, p.Name)
		}
		if err != nil {
			return err.Error()
		}
		return strings.Join(names, " ")
	}
	shop, access := ruled("list persesdashboards shop", "get persesdashboards shop/a")
	all, global := ruled("list persesdashboards", "get persesdashboards", "list persesglobaldatasources", "get persesglobaldatasources")
	const everywhere = "list persesdashboards, list persesfolders, list persesdatasources"
	for i, c := range []struct {
		do     func() string
		want   string
		access *ruledAccess
		asked  string
	}{
		{func() string { return list(shop, Dashboards, "") }, "shop/a", access, "list persesdashboards, list persesdashboards billing, list persesdashboards shop"},
		{func() string { return list(shop, Dashboards, "shop") }, "shop/a", access, "list persesdashboards shop"},
		{func() string { return list(shop, Dashboards, "billing") }, "", access, "list persesdashboards billing"},
		{func() string { return list(shop, Dashboards, "outside") }, "", access, ""},
		{func() string { return list(shop, GlobalDatasources, "") }, "", access, "list persesglobaldatasources"},
		{func() string { return get(shop, Dashboards, "shop/a") }, "shop/a", access, "get persesdashboards shop, get persesdashboards shop/a"},
		{func() string { return get(shop, Dashboards, "billing/b") }, "", access, "get persesdashboards billing, get persesdashboards billing/b"},
		{func() string { return get(shop, Dashboards, "billing/none") }, "", access, "get persesdashboards billing, get persesdashboards billing/none"},
		{func() string { return get(shop, Dashboards, "outside/c") }, "", access, ""},
		{func() string { return get(shop, Dashboards, "shop/../a") }, "", access, ""},
		{func() string { return get(shop, GlobalDatasources, "/fleet") }, "", access, "get persesglobaldatasources, get persesglobaldatasources /fleet"},
		{func() string { return projects(shop) }, "shop", access, everywhere + ", list persesdashboards billing, list persesdashboards shop, list persesdashboards void, " +
			"list persesfolders billing, list persesfolders void, list persesdatasources billing, list persesdatasources void"},
		{func() string { return list(all, Dashboards, "") }, "billing/b shop/a", global, "list persesdashboards"},
		{func() string { return get(all, Dashboards, "billing/b") }, "billing/b", global, "get persesdashboards billing"},
		{func() string { return get(all, Dashboards, "outside/c") }, "", global, ""},
		{func() string { return list(all, GlobalDatasources, "") }, "/fleet", global, "list persesglobaldatasources"},
		{func() string { return get(all, GlobalDatasources, "/fleet") }, "/fleet", global, "get persesglobaldatasources"},
		{func() string { return projects(all) }, "billing shop void", global, everywhere},
	} {
		if got, asked := c.do(), c.access.take(); got != c.want || asked != c.asked {
			t.Errorf("%d: got %s, want %s; asked %q, want %q", i, got, c.want, asked, c.asked)
		}
	}
	for _, want := range []error{auth.ErrInvalid, auth.ErrUnavailable} {
		v, a := ruled()
		a.err = fmt.Errorf("%w: test", want)
		_, err := w.Projects(t.Context(), v)
		_, some := w.List(t.Context(), v, Dashboards, "outside")
		for _, err := range []error{err, some, w.Verify(t.Context(), v)} {
			if !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
		}
	}
}

// TestSteer: which follows there are, as the scope and the gateway's rights change.
func TestSteer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newKubeFake()
		f.add(Dashboards, "shop/a")
		scope := []string{"shop"}
		var mu sync.Mutex
		d := NewDedicatedObjects(DedicatedOptions{
			Cluster: gatewayReader(f), Visibility: VisibilityEverySignedInUser,
			Scope: func() []string { mu.Lock(); defer mu.Unlock(); return slices.Clone(scope) },
		})
		f.rights["gateway"] = []string{"list persesdashboards shop", "list persesdashboards billing"}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); d.Run(ctx) }()
		want := func(namespaces ...string) {
			t.Helper()
			synctest.Wait()
			d.mu.RLock()
			defer d.mu.RUnlock()
			var got []string
			for namespace := range d.racks[Dashboards].follows {
				got = append(got, namespace)
			}
			slices.Sort(got)
			if !slices.Equal(got, namespaces) {
				t.Errorf("follows %q, want %q", got, namespaces)
			}
		}
		<-time.After(time.Second)
		want("shop")
		mu.Lock()
		scope = []string{"billing", "Not-A-Name", "shop"}
		mu.Unlock()
		d.Awake()
		want("billing", "shop")
		mu.Lock()
		scope = []string{"billing"}
		mu.Unlock()
		<-time.After(recheckScope) // although nobody told
		want("billing")
		cancel()
		<-done
	})
}
