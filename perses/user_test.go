package perses

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promgate/promgate/auth"
)

const annasToken = "annas-secret-token"

// ofToken is somebody with a Kubernetes token that nobody has vouched for.
func ofToken(token string) Viewer {
	return Viewer{Identity: &auth.Identity{Principal: auth.Principal{Kind: auth.KindKubernetes, ID: "anna"}}, Credential: auth.NewCredential(token)}
}

var annaKube = ofToken(annasToken)

// userWorld is a UserObjects with its API server.
type userWorld struct {
	*UserObjects
	*kubeFake
	t      *testing.T
	scope  []string
	logged *logged
}

// newUserWorld has anna read shop, and not list namespaces.
func newUserWorld(t *testing.T) *userWorld {
	w := &userWorld{kubeFake: newKubeFake(), t: t, scope: []string{"shop", "billing"}, logged: &logged{}}
	for _, place := range []string{"shop/sales", "billing/invoices", "outside/secret"} {
		w.add(Dashboards, place)
	}
	for _, name := range w.scope {
		w.addNamespace(name)
	}
	w.rights[annasToken] = []string{"list persesdashboards shop", "get persesdashboards shop"}
	w.UserObjects = NewUserObjects(UserOptions{Cluster: w.reader(), Scope: func() []string { return w.scope }, Logger: w.logged.logger()})
	return w
}

// want checks what is listed, and what the API server was asked for it.
func (w *userWorld) want(v Viewer, namespace, objects string, asked ...string) {
	w.t.Helper()
	l, err := w.List(w.t.Context(), v, Dashboards, namespace)
	if err != nil || titled(l) != objects {
		w.t.Errorf("in %q: got %v, %v, want %s", namespace, l, err, objects)
	}
	slices.Sort(asked)
	if got := w.take(); !slices.Equal(got, asked) {
		w.t.Errorf("in %q: asked %q, want %q", namespace, got, asked)
	}
}

func (w *userWorld) wantProjects(v Viewer, want error, names ...string) {
	w.t.Helper()
	all, err := w.Projects(w.t.Context(), v)
	var got []string
	for _, p := range all {
		got = append(got, p.Name)
	}
	if !errors.Is(err, want) || !slices.Equal(got, names) {
		w.t.Errorf("got %v, %v, want %v, %v", got, err, names, want)
	}
}

// probed are the questions with which a token is asked about both namespaces.
var probed = []string{
	"list namespaces", "get namespaces shop", "list persesdashboards shop",
	"get namespaces billing", "list persesdashboards billing", "list persesdatasources billing", "list persesfolders billing",
}

// TestUserProbes: without a right to list namespaces each project is asked about,
// and the answer is remembered for 30 seconds.
func TestUserProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newUserWorld(t)
		w.want(annaKube, "", "shop/sales", append(probed, "list persesdashboards", "list persesdashboards shop")...)
		w.want(annaKube, "", "shop/sales", "list persesdashboards", "list persesdashboards shop")
		w.set(func() { w.rights[annasToken] = append(w.rights[annasToken], "get namespaces billing") })
		<-time.After(viewFor)
		w.wantProjects(annaKube, nil, "shop")
		w.scope = []string{"billing"} // which counts at once
		w.wantProjects(annaKube, nil)
		w.scope = []string{"shop", "billing", "Not-A-Name", "", "shop"}
		<-time.After(time.Millisecond)
		w.take()
		w.wantProjects(annaKube, nil, "billing", "shop")
		if got := len(w.take()); got != len(probed)-3 {
			t.Errorf("asked %d times", got)
		}
		all, _ := w.Projects(t.Context(), annaKube)
		if all[0].Created.Year() != 2026 || !all[1].Created.IsZero() {
			t.Errorf("got %v", all)
		}
		w.wantProjects(ofToken("another"), auth.ErrInvalid)
	})
}

// TestUserEverywhere: rights over the whole cluster show the projects alone, and
// ask little.
func TestUserEverywhere(t *testing.T) {
	w := newUserWorld(t)
	w.rights[annasToken] = []string{"list namespaces *", "list persesdashboards *"}
	w.addNamespace("outside")
	w.want(annaKube, "", "billing/invoices shop/sales", "list persesdashboards")
	w.wantProjects(annaKube, nil, "billing", "shop")
	if got := w.take(); !slices.Equal(got, []string{"list namespaces"}) {
		t.Errorf("asked %q", got)
	}
	w.want(annaKube, "outside", "")
	if _, err := w.Get(t.Context(), annaKube, Dashboards, "outside", "secret"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

// TestUserNames: names that none can have ask nobody.
func TestUserNames(t *testing.T) {
	w := newUserWorld(t)
	for _, place := range [][2]string{
		{"shop", ""}, {"shop", ".."}, {"shop", "a/b"}, {"shop", "Sales"}, {"shop", longName}, {"", "sales"}, {"../shop", "sales"}, {"sh.op", "sales"},
	} {
		if _, err := w.Get(t.Context(), annaKube, Dashboards, place[0], place[1]); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: got %v", place, err)
		}
	}
	if _, err := w.Get(t.Context(), annaKube, GlobalDatasources, "shop", "fleet"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if got := w.take(); len(got) != 0 {
		t.Errorf("asked %q", got)
	}
}

// TestUserAtOnce: however many ask with one token at once, the search is made
// once, with few requests at a time; who leaves harms nobody.
func TestUserAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newUserWorld(t)
		w.scope, w.slow = nil, time.Second
		for i := range 40 {
			w.scope = append(w.scope, fmt.Sprint("shop-", i))
			w.addNamespace(fmt.Sprint("shop-", i))
		}
		w.rights[annasToken] = []string{"get namespaces *"}
		var callers sync.WaitGroup
		leaving, leave := context.WithTimeout(t.Context(), time.Millisecond)
		defer leave()
		callers.Go(func() {
			if _, err := w.Projects(leaving, annaKube); !errors.Is(err, auth.ErrUnavailable) {
				t.Errorf("who left got %v", err)
			}
		})
		for range 100 {
			callers.Go(func() {
				if all, err := w.Projects(t.Context(), annaKube); err != nil || len(all) != 40 {
					t.Errorf("got %d, %v", len(all), err)
				}
			})
		}
		callers.Wait()
		if got := len(w.take()); got != 41 || w.most != maxAsking {
			t.Errorf("asked %d times, %d at once", got, w.most)
		}
	})
}

// TestUserManyProjects: only so many are asked about.
func TestUserManyProjects(t *testing.T) {
	w := newUserWorld(t)
	w.scope = nil
	for i := range maxProbes + 5 {
		w.scope = append(w.scope, fmt.Sprintf("shop-%04d", i))
	}
	w.rights[annasToken] = []string{"get namespaces *"}
	w.wantProjects(annaKube, nil)
	if got := len(w.take()); got != maxProbes+1 || !strings.Contains(w.logged.String(), "last=shop-1999") {
		t.Errorf("asked %d times: %s", got, w.logged)
	}
}

// TestUserTokenEnds: a token that is not good is told so, at whatever step and
// whatever is remembered of it.
func TestUserTokenEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newUserWorld(t)
		w.wantProjects(annaKube, nil, "shop")
		w.set(func() { delete(w.rights, annasToken) })
		if _, err := w.List(t.Context(), annaKube, Dashboards, "shop"); !errors.Is(err, auth.ErrInvalid) {
			t.Errorf("got %v", err)
		}
		w.wantProjects(annaKube, auth.ErrInvalid) // although it was remembered
		w.take()
		w.wantProjects(annaKube, auth.ErrInvalid)
		if err := w.Verify(t.Context(), annaKube); !errors.Is(err, auth.ErrInvalid) || len(w.take()) != 0 {
			t.Errorf("got %v", err)
		}
		w.set(func() { w.rights[annasToken] = []string{"list persesdashboards shop"} })
		<-time.After(refusedFor + time.Millisecond)
		w.wantProjects(annaKube, nil, "shop")
	})
	for _, step := range append(probed, "list persesdashboards") {
		w := newUserWorld(t)
		w.answers[step] = fakeStatus(401, "Unauthorized")
		if l, err := w.List(t.Context(), annaKube, Dashboards, ""); !errors.Is(err, auth.ErrInvalid) {
			t.Errorf("%s: got %v, %v", step, l, err)
		}
	}
}

// TestUserFailures: what is no answer is no empty list, at whatever step, and is
// not remembered.
func TestUserFailures(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"429": fakeStatus(429, "TooManyRequests"), "500": fakeStatus(500, "InternalError"), "503": fakeText(503, "no"), "HTML": fakeText(200, "<html>"),
		"a proxy's 403": fakeText(403, "<html>"), "silence": fakeSilence,
	} {
		for _, step := range append(probed, "list persesdashboards") {
			synctest.Test(t, func(t *testing.T) {
				w := newUserWorld(t)
				w.answers[step] = answer
				l, err := w.List(t.Context(), annaKube, Dashboards, "")
				if !errors.Is(err, auth.ErrUnavailable) {
					t.Errorf("%s at %s: got %v, %v", name, step, l, err)
				}
				if err != nil && strings.Contains(err.Error(), annasToken) {
					t.Errorf("the token is in %v", err)
				}
				clear(w.answers)
				if l, err := w.List(t.Context(), annaKube, Dashboards, ""); err != nil || titled(l) != "shop/sales" {
					t.Errorf("after %s at %s: got %v, %v", name, step, l, err)
				}
			})
		}
	}
	w := newUserWorld(t)
	w.answers["get persesdashboards shop"] = fakeStatus(500, "InternalError")
	if _, err := w.Get(t.Context(), annaKube, Dashboards, "shop", "sales"); !errors.Is(err, auth.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// TestUserMissing: a kind that is not installed has no objects.
func TestUserMissing(t *testing.T) {
	w := newUserWorld(t)
	w.missing = []string{"persesdashboards", "persesdatasources", "persesfolders"}
	w.rights[annasToken] = []string{"list persesdashboards *", "list persesdashboards shop", "get persesdashboards shop", "list persesfolders shop"}
	w.want(annaKube, "", "", "list persesdashboards")
	w.want(annaKube, "shop", "", "list persesdashboards shop")
	if _, err := w.Get(t.Context(), annaKube, Dashboards, "shop", "sales"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	w.wantProjects(annaKube, nil)
}

// TestUserTurns: where the API server is silent nobody waits for long, and no
// more than so many lists are read at once.
func TestUserTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newUserWorld(t)
		w.answers["list persesdashboards shop"] = fakeSilence
		began := time.Now()
		var callers sync.WaitGroup
		for range 5 * maxListing {
			callers.Go(func() {
				if l, err := w.List(t.Context(), annaKube, Dashboards, "shop"); !errors.Is(err, auth.ErrUnavailable) || time.Since(began) > 10*time.Second {
					t.Errorf("got %v, %v after %s", l, err, time.Since(began))
				}
			})
		}
		callers.Wait()
		if w.most != maxListing {
			t.Errorf("%d at once", w.most)
		}
		clear(w.answers)
		w.take()
		w.want(annaKube, "shop", "shop/sales", "list persesdashboards shop")
	})
}
