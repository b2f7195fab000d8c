package perses

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/promgate/promgate/auth"
	authkube "github.com/promgate/promgate/auth/kube"
)

// longName is one character too long for Perses.
var longName = strings.Repeat("n", maxObjectName+1)

// persons are whoever looks; wide and narrow are gateways.
var persons = []string{"anna", "boris", "petra", "nobody", "olga"}

// wanted are, of each kind, what is there to be seen.
type wanted struct {
	projects string
	lists    map[*Kind]string
}

var (
	ofShop = wanted{"shop", map[*Kind]string{
		Dashboards: "shop/sales shop/stock -shop/empty -shop/" + longName, Datasources: "shop/prom", Folders: "shop/main",
	}}
	ofBilling    = wanted{"billing", map[*Kind]string{Dashboards: "billing/invoices", Datasources: "billing/prom", Folders: "billing/main"}}
	ofEverything = wanted{"billing shop", map[*Kind]string{
		Dashboards:  "billing/invoices shop/sales shop/stock -shop/empty -shop/" + longName,
		Datasources: "billing/prom shop/prom", Folders: "billing/main shop/main", GlobalDatasources: "/fleet",
	}}
)

// allNames are the objects that there are, with those that nobody is shown.
var allNames = map[*Kind][]string{
	Dashboards:        {"shop/sales", "shop/stock", "shop/empty", "shop/" + longName, "billing/invoices", "outside/secret", "shop/none", "gone/none"},
	Datasources:       {"shop/prom", "billing/prom", "outside/prom"},
	Folders:           {"shop/main", "billing/main", "outside/main"},
	GlobalDatasources: {"/fleet", "/none"},
}

// titled are the places of what is listed, and of what was skipped behind a
// minus.
func titled(l *Listing) string {
	var all []string
	for _, o := range l.Objects {
		all = append(all, o.Namespace+"/"+o.Name)
	}
	for _, s := range l.Skipped {
		all = append(all, "-"+s.Namespace+"/"+s.Name)
	}
	return strings.Join(all, " ")
}

// of is the part of a text of places that is in a namespace.
func of(namespace, places string) string {
	var all []string
	for place := range strings.FieldsSeq(places) {
		if strings.HasPrefix(strings.TrimPrefix(place, "-"), namespace+"/") {
			all = append(all, place)
		}
	}
	return strings.Join(all, " ")
}

// differs tells what somebody is shown that is not what they are to be.
func (g *gate) differs(v Viewer, w wanted) error {
	ctx := g.l.t.Context()
	projects, err := g.Projects(ctx, v)
	var names []string
	for _, p := range projects {
		names = append(names, p.Name)
	}
	if err != nil || strings.Join(names, " ") != w.projects {
		return fmt.Errorf("projects %v, %w, want %s", names, err, w.projects)
	}
	for k, all := range allNames {
		want := w.lists[k]
		for _, namespace := range []string{"", "shop", "billing", "outside", "gone", "Not-A-Name"} {
			l, err := g.List(ctx, v, k, namespace)
			if err != nil {
				return fmt.Errorf("list of %s in %q: %w", k.Resource, namespace, err)
			}
			want := want
			if namespace != "" {
				want = of(namespace, want)
			}
			if got := titled(l); got != want {
				return fmt.Errorf("list of %s in %q: %s, want %s", k.Resource, namespace, got, want)
			}
		}
		for _, place := range all {
			namespace, name, _ := strings.Cut(place, "/")
			o, err := g.Get(ctx, v, k, namespace, name)
			switch shown := slices.Contains(strings.Fields(want), place); {
			case !shown && !errors.Is(err, ErrNotFound):
				return fmt.Errorf("get of %s %s: %v, %w", k.Resource, place, o, err)
			case shown && (err != nil || o.Name != name || o.Namespace != namespace || o.Kind != k):
				return fmt.Errorf("get of %s %s: %v, %w", k.Resource, place, o, err)
			}
		}
	}
	return g.Verify(ctx, v)
}

// refuses checks that every question gets the error.
func (g *gate) refuses(who string, v Viewer, want error) {
	g.l.t.Helper()
	ctx := g.l.t.Context()
	_, projects := g.Projects(ctx, v)
	_, all := g.List(ctx, v, Dashboards, "")
	_, some := g.List(ctx, v, Folders, "shop")
	_, none := g.List(ctx, v, Datasources, "outside")
	_, global := g.List(ctx, v, GlobalDatasources, "")
	_, got := g.Get(ctx, v, Dashboards, "shop", "sales")
	_, outside := g.Get(ctx, v, Dashboards, "outside", "secret")
	_, fleet := g.Get(ctx, v, GlobalDatasources, "", "fleet")
	for i, err := range []error{g.Verify(ctx, v), projects, all, some, none, global, got, outside, fleet, g.Verify(ctx, v)} {
		if !errors.Is(err, want) {
			g.l.t.Errorf("%s: question %d: got %v, want %v", who, i, err, want)
		}
	}
}

// TestControlPlane: a real API server, with both kinds of gateways.
func TestControlPlane(t *testing.T) {
	l := newLand(t)
	user := l.gate("nothing", true, 0)
	wide, every, narrow := l.gate("wide", false, VisibilityMembers), l.gate("wide", false, VisibilityEverySignedInUser), l.gate("narrow", false, VisibilityMembers)
	l.grant("narrow", "shop", "list, watch")
	t.Run("not installed", func(t *testing.T) {
		for name, g := range map[string]*gate{"user": user, "wide": wide} {
			none := wanted{"billing shop", nil}
			if name == "wide" { // which does not ask which namespaces there are
				none.projects = "billing gone shop"
			}
			soon(t, 20*time.Second, func() error { return g.differs(g.viewer("petra"), none) })
		}
	})
	l.install()
	t.Run("user", func(t *testing.T) { testUserMode(t, user) })
	t.Run("dedicated", func(t *testing.T) { testDedicatedMode(t, wide) })
	t.Run("every signed-in user", func(t *testing.T) { testEverySignedInUser(t, every) })
	t.Run("narrow", func(t *testing.T) { testNarrow(t, narrow) })
	t.Run("changes", func(t *testing.T) { testChanges(t, wide) })
	t.Run("rights are taken away", func(t *testing.T) { testTakenAway(t, user, wide) })
	t.Run("API server gone", func(t *testing.T) {
		mustRead(t, l.Stop())
		user := user.in(t)
		user.Objects = NewUserObjects(user.Objects.(*UserObjects).options) // which remembers nobody
		user.refuses("petra", user.viewer("petra"), auth.ErrUnavailable)
		if err := wide.differs(local("uid-of-shop"), withGlobal(ofShop)); err != nil {
			t.Error(err)
		}
	})
	for name, g := range map[string]*gate{"user": user, "wide": wide, "every": every, "narrow": narrow} {
		for _, token := range g.tokens {
			if strings.Contains(g.logged.String(), token) {
				t.Errorf("%s: a token is in the log", name)
			}
		}
		for _, s := range g.recorder.objectRequests() {
			if own := s.credential == "the gateway's"; own != (name != "user") || s.credential == "" {
				t.Errorf("%s: asked %s with %s", name, s.path, s.credential)
			}
		}
		if len(g.recorder.objectRequests()) == 0 {
			t.Errorf("%s: nothing was recorded", name)
		}
	}
}

// withGlobal adds what whoever sees any project by a grant sees besides.
func withGlobal(w wanted) wanted {
	lists := map[*Kind]string{GlobalDatasources: "/fleet"}
	for k, text := range w.lists {
		lists[k] = text
	}
	return wanted{w.projects, lists}
}

func endpointToken() Viewer {
	return Viewer{
		Identity:   &auth.Identity{Principal: auth.Principal{Kind: auth.KindEndpointToken, ID: "t-1"}, Grants: []auth.Grant{{ProjectUID: "uid-of-shop", WholeProject: true}}},
		Credential: auth.NewCredential("an-endpoint-token"),
	}
}

// refusesStrangers: whoever may not look at all, and what that asks of the API
// server.
func (g *gate) refusesStrangers() {
	g.l.t.Helper()
	g.refuses("garbage", g.viewer("garbage"), auth.ErrInvalid)
	before := len(g.recorder.objectRequests())
	g.refuses("an endpoint token", endpointToken(), auth.ErrForbidden)
	g.refuses("nobody at all", Viewer{}, auth.ErrMissing)
	if _, dedicated := g.Objects.(*DedicatedObjects); !dedicated && len(g.recorder.objectRequests()) != before {
		g.l.t.Error("the API server was asked for them")
	}
}

func testUserMode(t *testing.T, g *gate) {
	g = g.in(t)
	for name, w := range map[string]wanted{"anna": ofShop, "boris": ofBilling, "petra": ofEverything, "nobody": {}} {
		if name == "petra" { // what was asked while nothing was installed
			g.Objects = NewUserObjects(g.Objects.(*UserObjects).options)
		}
		soon(t, 10*time.Second, func() error { return g.differs(g.viewer(name), w) })
	}
	if o, err := g.Get(t.Context(), g.viewer("olga"), Dashboards, "billing", "invoices"); err != nil {
		t.Errorf("olga may read one: %v, %v", o, err)
	}
	g.refusesStrangers()
	g.refuses("a local user", local("uid-of-shop"), auth.ErrForbidden)
	for _, name := range []string{"empty", longName} {
		if n := strings.Count(g.logged.String(), "name="+name+" "); n == 0 || n > 2 { // once for each of the two Objects
			t.Errorf("%s was logged %d times", name, n)
		}
	}
}

// in is the gateway for a part of the test.
func (g *gate) in(t *testing.T) *gate {
	l, of := *g.l, *g
	l.t, of.l = t, &l
	return &of
}

func testDedicatedMode(t *testing.T, g *gate) {
	g = g.in(t)
	everything := withGlobal(ofEverything)
	everything.projects = "billing gone shop" // RBAC says nothing of whether a namespace is there
	soon(t, 20*time.Second, func() error { return g.differs(g.viewer("petra"), everything) })
	for name, w := range map[string]wanted{"anna": ofShop, "boris": ofBilling, "nobody": {}} {
		soon(t, 10*time.Second, func() error { return g.differs(g.viewer(name), w) })
	}
	for _, c := range []struct {
		v Viewer
		w wanted
	}{
		{local("uid-of-shop"), withGlobal(ofShop)}, {local("uid-of-billing", "uid-of-shop"), withGlobal(ofEverything)},
		{local(), wanted{}}, {local("uid-of-outside", ""), wanted{}},
	} {
		if err := g.differs(c.v, c.w); err != nil {
			t.Errorf("%v: %v", c.v.Identity.Grants, err)
		}
	}
	one := local("uid-of-shop")
	one.Identity.Grants[0].WholeProject, one.Identity.Grants[0].EnvironmentUID = false, "production"
	if err := g.differs(one, wanted{}); err != nil {
		t.Errorf("of one environment: %v", err)
	}
	if o, err := g.Get(t.Context(), g.viewer("olga"), Dashboards, "billing", "invoices"); err != nil {
		t.Errorf("olga may read one: %v, %v", o, err)
	}
	o, err := g.Get(t.Context(), g.viewer("anna"), Dashboards, "shop", "sales")
	if err != nil || o.Title != "Title" || o.Description != "Words" || !slices.Equal(o.Tags, []string{"a", "b"}) || o.Version != 1 ||
		o.Revision == "" || time.Since(o.Created) > time.Hour || o.Updated.Before(o.Created) || !strings.Contains(string(o.Spec), `"duration":"1h"`) {
		t.Errorf("got %+v, %v", o, err)
	}
	g.refusesStrangers()
	for _, name := range []string{"empty", longName} {
		if n := strings.Count(g.logged.String(), "name="+name+" "); n != 1 {
			t.Errorf("%s was logged %d times", name, n)
		}
	}
	if strings.Contains(g.logged.String(), "outside") {
		t.Errorf("what is no project was logged: %s", g.logged)
	}
}

func testEverySignedInUser(t *testing.T, g *gate) {
	g = g.in(t)
	everything := withGlobal(ofEverything)
	everything.projects = "billing gone shop"
	for _, v := range []Viewer{g.viewer("nobody"), g.viewer("anna"), local(), local("uid-of-shop")} {
		soon(t, 20*time.Second, func() error { return g.differs(v, everything) })
	}
	g.refusesStrangers()
}

// testNarrow: a gateway that may follow one namespace, and then another.
func testNarrow(t *testing.T, g *gate) {
	g = g.in(t)
	shop := ofShop
	shop.projects = "billing gone shop"
	soon(t, 20*time.Second, func() error { return g.differs(g.viewer("petra"), shop) })
	soon(t, 10*time.Second, func() error { return g.differs(g.viewer("anna"), ofShop) })
	for _, part := range []string{"namespace=billing", "kind=PersesGlobalDatasource", `kind: RoleBinding`, `kind: ClusterRoleBinding`, `name: \"narrow\"`} {
		if !strings.Contains(g.logged.String(), part) {
			t.Errorf("%s is not in the log: %s", part, g.logged)
		}
	}
	for line := range strings.Lines(g.logged.String()) {
		if strings.Count(g.logged.String(), line) > 1 {
			t.Errorf("logged twice: %s", line)
		}
	}
	g.l.grant("narrow", "billing", "list, watch")
	both := shop
	both.lists = map[*Kind]string{}
	for k, text := range ofEverything.lists {
		if k != GlobalDatasources {
			both.lists[k] = text
		}
	}
	took := soon(t, 30*time.Second, func() error { return g.differs(g.viewer("petra"), both) })
	t.Logf("a namespace that was granted was there after %s", took.Round(time.Millisecond))
}

// testChanges: how soon a change is seen.
func testChanges(t *testing.T, g *gate) {
	g = g.in(t)
	objects := g.l.admin.Resource(resourceOf(Dashboards)).Namespace("shop")
	for i := range 5 {
		title := fmt.Sprint("Title ", i)
		_, err := objects.Patch(t.Context(), "stock", types.MergePatchType, []byte(`{"spec":{"config":{"display":{"name":"`+title+`"}}}}`), metav1.PatchOptions{})
		mustRead(t, err)
		took := soon(t, 2*time.Second, func() error {
			o, err := g.Get(t.Context(), g.viewer("anna"), Dashboards, "shop", "stock")
			if err == nil && o.Title != title {
				err = errors.New(o.Title)
			}
			return err
		})
		t.Logf("a change was seen after %s", took.Round(time.Millisecond))
	}
	g.l.apply(objectText(Dashboards, "shop/passing", `{config: {duration: 1h}}`))
	listed := func(want bool) func() error {
		return func() error {
			l, err := g.List(t.Context(), g.viewer("anna"), Dashboards, "")
			if err == nil && strings.Contains(titled(l), "shop/passing") != want {
				err = errors.New(titled(l))
			}
			return err
		}
	}
	soon(t, 2*time.Second, listed(true))
	mustRead(t, objects.Delete(t.Context(), "passing", metav1.DeleteOptions{}))
	soon(t, 2*time.Second, listed(false))
}

// testTakenAway: how soon a right has no effect any more.
func testTakenAway(t *testing.T, user, wide *gate) {
	user, wide = user.in(t), wide.in(t)
	for _, g := range []*gate{user, wide} {
		if err := g.differs(g.viewer("anna"), ofShop); err != nil {
			t.Error(err)
		}
	}
	user.l.revoke("anna", "shop")
	hidden := func(g *gate) func() error {
		return func() error {
			for _, namespace := range []string{"shop", ""} {
				if l, err := g.List(t.Context(), g.viewer("anna"), Dashboards, namespace); err != nil || len(l.Objects) > 0 {
					return fmt.Errorf("still in %q, %w", namespace, err)
				}
			}
			if _, err := g.Get(t.Context(), g.viewer("anna"), Dashboards, "shop", "sales"); !errors.Is(err, ErrNotFound) {
				return fmt.Errorf("still there: %w", err)
			}
			return nil
		}
	}
	t.Logf("user mode: gone after %s", soon(t, 2*time.Second, hidden(user)).Round(time.Millisecond))
	t.Logf("dedicated mode: gone after %s", soon(t, authkube.PositiveFor+5*time.Second, hidden(wide)).Round(time.Millisecond))
}
