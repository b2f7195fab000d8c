package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promgate/promgate/auth"
)

const (
	// creating is what a review for endpoint tokens is about.
	creating      = " create endpointtokens.promgate.io in shop"
	askedManage   = "subjectaccessreviews" + creating + ", tokenreviews"
	askedManageBy = "selfsubjectaccessreviews" + creating + ", selfsubjectreviews"
)

// mayManage is a server where anna may manage the endpoint tokens of shop, and
// query nothing.
func mayManage(t testing.TB) *server {
	s := newServer(t)
	s.allowed["anna"+creating] = true
	return s
}

// modes are what a cluster may be, what is asked there for the right to manage, and of what
// kind the review of the right is.
var modes = map[string]struct {
	user                bool
	asked, token, right string
}{
	"dedicated": {false, askedManage, "tokenreviews", "subjectaccessreviews"},
	"user":      {true, askedManageBy, "selfsubjectreviews", "selfsubjectaccessreviews"},
}

// TestManage: what an API server is asked, word by word.
func TestManage(t *testing.T) {
	attributes := map[string]any{"namespace": "shop", "verb": "create", "group": "promgate.io", "resource": "endpointtokens"}
	for mode, m := range modes {
		s := mayManage(t)
		cluster := dedicated(s.connect(t, "local"))
		cluster.UserCredentials = m.user
		w := newWorld(cluster)
		for range 2 { // the second is remembered
			if err := w.manage(t, annas, "local", "shop"); err != nil {
				t.Errorf("%s: %v", mode, err)
			}
		}
		want := asked{"/apis/authorization.k8s.io/v1/" + m.right, "Bearer " + annas, map[string]any{
			"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "metadata": map[string]any{},
			"spec": map[string]any{"resourceAttributes": attributes},
		}}
		if !m.user {
			want.authorization, want.body["kind"] = "Bearer "+own, "SubjectAccessReview"
			want.body["spec"] = map[string]any{
				"user": "anna", "uid": "uid-1", "groups": []any{"g1", "g2"}, "extra": map[string]any{"k": []any{"v1", "v2"}},
				"resourceAttributes": attributes,
			}
		}
		got := s.seen[len(s.seen)-1]
		delete(got.body, "status")
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: asked %v,\nwant  %v", mode, got, want)
		}
		s.want(t, m.asked)
	}
}

// TestManageRefuses: who may query alone, who may nothing, and whoever is nobody.
func TestManageRefuses(t *testing.T) {
	for mode, m := range modes {
		s := newServer(t)
		s.tokens["bertas-token"] = "berta"
		s.allowed["anna shop"], s.allowed["anna shop/http:prometheus:web"] = true, true
		s.allowed["anna"+strings.Replace(creating, "shop", "other", 1)] = true
		s.rules["shop"] = rules(false, rule(`"*"`, `"*"`, `"*"`, ``))
		cluster := dedicated(s.connect(t, "local"))
		cluster.UserCredentials = m.user
		w := newWorld(cluster)
		for name, token := range map[string]string{"anna": annas, "berta": "bertas-token"} {
			for range 2 {
				if err := w.manage(t, token, "local", "shop"); !errors.Is(err, auth.ErrForbidden) {
					t.Errorf("%s: %s got %v", mode, name, err)
				}
			}
			s.want(t, m.asked)
		}
		for range 2 {
			if err := w.manage(t, bad, "local", "shop"); !errors.Is(err, auth.ErrInvalid) || !strings.Contains(err.Error(), "cluster local: ") {
				t.Errorf("%s: a bad token got %v", mode, err)
			}
		}
		s.want(t, m.token)
		if err := w.manage(t, annas, "local", "other"); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

// TestManageAnywhere: of what there is not, a good token learns no more than of
// what is not its own, and a bad one that it is bad.
func TestManageAnywhere(t *testing.T) {
	for mode, m := range modes {
		s := mayManage(t)
		cluster := dedicated(s.connect(t, "local"))
		cluster.UserCredentials = m.user
		w := newWorld(cluster)
		for _, place := range [][2]string{{"x", "shop"}, {"", "shop"}, {"", ""}, {"x", ""}} {
			if err := w.manage(t, annas, place[0], place[1]); !errors.Is(err, auth.ErrForbidden) {
				t.Errorf("%s: %q: got %v", mode, place, err)
			}
			if err := w.manage(t, bad, place[0], place[1]); !errors.Is(err, auth.ErrInvalid) {
				t.Errorf("%s: %q: a bad token got %v", mode, place, err)
			}
		}
		s.want(t, m.token+", "+m.token)
		s.answers[m.token] = failure(500, "no")
		if err := newWorldOf(w).manage(t, annas, "x", "shop"); !errors.Is(err, auth.ErrUnavailable) {
			t.Errorf("%s: got %v", mode, err)
		}
	}
	// Good on another cluster, it is told no more than where there is nothing.
	here, there := mayManage(t), newServer(t)
	here.tokens = nil
	w := newWorld(dedicated(here.connect(t, "local")), user(there.connect(t, "other")))
	if err := w.manage(t, annas, "local", "shop"); !errors.Is(err, auth.ErrForbidden) {
		t.Errorf("got %v", err)
	}
	there.answers["selfsubjectreviews"] = failure(500, "no")
	if err := newWorldOf(w).manage(t, annas, "local", "shop"); !errors.Is(err, auth.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// newWorldOf has the same clusters, and remembers nothing.
func newWorldOf(w *world) *world {
	var all []Cluster
	for _, c := range w.set() {
		all = append(all, c.Cluster)
	}
	return newWorld(all...)
}

// TestManageFailures: what is no answer opens nothing, and is not remembered.
func TestManageFailures(t *testing.T) {
	for mode, m := range modes {
		s := mayManage(t)
		cluster := dedicated(s.connect(t, "local"))
		cluster.UserCredentials = m.user
		for _, resource := range []string{m.token, m.right} {
			for name, answer := range failures {
				if m.user && name == "401" {
					continue
				}
				w := newWorld(cluster)
				s.set(func() { s.answers = map[string]http.HandlerFunc{resource: answer} })
				for range 2 {
					if err := w.manage(t, annas, "local", "shop"); !errors.Is(err, auth.ErrUnavailable) {
						t.Errorf("%s: %s %s: got %v", mode, resource, name, err)
					}
				}
				s.set(func() { s.answers = nil })
				if err := w.manage(t, annas, "local", "shop"); err != nil {
					t.Errorf("%s: %s %s: got %v after the failure", mode, resource, name, err)
				}
			}
		}
	}
}

// TestManageTokenEnds: the API server may take the token for the one review and
// not for the next.
func TestManageTokenEnds(t *testing.T) {
	s, other := mayManage(t), newServer(t)
	s.answers["selfsubjectaccessreviews"] = failure(401, "Unauthorized")
	local := user(s.connect(t, "local"))
	for range 2 {
		w := newWorld(local)
		if err := w.manage(t, annas, "local", "shop"); !errors.Is(err, auth.ErrInvalid) || !strings.Contains(err.Error(), "does not accept it any more") {
			t.Errorf("got %v", err)
		}
		if err := w.manage(t, annas, "x", "shop"); !errors.Is(err, auth.ErrInvalid) {
			t.Errorf("elsewhere: %v", err)
		}
		s.want(t, askedManageBy)
	}
	if err := newWorld(local, user(other.connect(t, "other"))).manage(t, annas, "local", "shop"); !errors.Is(err, auth.ErrForbidden) {
		t.Errorf("good elsewhere: %v", err)
	}
}

// TestManageIsNoName: the answers for endpoint tokens and for Services do not get
// mixed up, whatever a Service is called.
func TestManageIsNoName(t *testing.T) {
	s := mayManage(t)
	w := newWorld(dedicated(s.connect(t, "local")))
	if err := w.manage(t, annas, "local", "shop"); err != nil {
		t.Error(err)
	}
	names := []string{"endpointtokens", "\x00", "m", "http:prometheus:web"}
	for _, name := range names {
		if _, err := w.query(t, annas, at("local", "shop", name)); !errors.Is(err, auth.ErrForbidden) {
			t.Errorf("%q: got %v", name, err)
		}
	}
	if got, err := w.list(t, annas, at("local", "shop", "a"), at("local", "shop", "b")); err != nil || got[0] || got[1] {
		t.Errorf("got %v, %v", got, err)
	}
	// Nor the other way round, and not where both are asked for at once.
	s.set(func() { s.allowed = map[string]bool{"anna shop": true} })
	w = newWorldOf(w)
	var callers sync.WaitGroup
	for range 50 {
		callers.Go(func() {
			if got, err := w.list(t, annas, at("local", "shop", "a"), at("local", "shop", "b")); err != nil || !got[0] || !got[1] {
				t.Errorf("got %v, %v", got, err)
			}
		})
		callers.Go(func() {
			if err := w.manage(t, annas, "local", "shop"); !errors.Is(err, auth.ErrForbidden) {
				t.Errorf("got %v", err)
			}
		})
	}
	callers.Wait()
}

// TestManageRevoked: a right that is taken away is gone within 10 seconds,
// however slowly the API server answers, and one that is given counts within 5.
func TestManageRevoked(t *testing.T) {
	for mode, m := range modes {
		t.Run(mode, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := mayManage(t)
				cluster := dedicated(s.direct("local"))
				cluster.UserCredentials = m.user
				w := newWorld(cluster)
				want := func(want error, asked string) {
					t.Helper()
					if err := w.manage(t, annas, "local", "shop"); !errors.Is(err, want) {
						t.Errorf("got %v, want %v", err, want)
					}
					s.want(t, asked)
				}
				want(nil, m.asked)
				s.set(func() { s.allowed = map[string]bool{} })
				pass(PositiveFor)
				want(nil, "")
				pass(time.Millisecond)
				want(auth.ErrForbidden, m.asked)
				s.set(func() { s.allowed["anna"+creating] = true })
				pass(NegativeFor)
				want(auth.ErrForbidden, "")
				pass(time.Millisecond)
				want(nil, m.right+creating)
				s.set(func() { s.tokens = nil }) // the token itself is known for longer than that
				pass(PositiveFor - NegativeFor)
				want(auth.ErrInvalid, m.token)
			})
		})
	}
}

// TestManageAtOnce: however many ask the same at once, the API server is asked
// once; who leaves harms nobody; and nobody waits longer than for a review.
func TestManageAtOnce(t *testing.T) {
	for mode, m := range modes {
		synctest.Test(t, func(t *testing.T) {
			s := mayManage(t)
			s.answers[m.token] = hang
			cluster := dedicated(s.direct("local"))
			cluster.UserCredentials = m.user
			w := newWorld(cluster)
			var callers sync.WaitGroup
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			began := time.Now()
			for i := range 100 {
				callers.Go(func() {
					ctx, wait := ctx, time.Second
					if i > 0 {
						ctx, wait = t.Context(), ReviewTimeout
					}
					_, err := w.access(t, annas).May(ctx, []auth.Action{create("local", "shop")})
					if !errors.Is(err, auth.ErrUnavailable) || time.Since(began) != wait {
						t.Errorf("%s: got %v after %s", mode, err, time.Since(began))
					}
				})
			}
			callers.Wait()
			s.want(t, m.token)
			s.set(func() { s.answers = nil })
			for range 100 {
				callers.Go(func() {
					if err := w.manage(t, annas, "local", "shop"); err != nil {
						t.Errorf("%s: got %v", mode, err)
					}
				})
			}
			callers.Wait()
			s.want(t, m.asked)
		})
	}
}

// TestManageUnreachable: nobody's right is known where nobody can be asked.
func TestManageUnreachable(t *testing.T) {
	for mode, m := range modes {
		gone := newServer(t).connect(t, "local")
		gone.Base.Host = "127.0.0.1:1"
		cluster := dedicated(gone)
		cluster.UserCredentials = m.user
		w := newWorld(cluster)
		for _, place := range []string{"local", "x"} {
			if err := w.manage(t, annas, place, "shop"); !errors.Is(err, auth.ErrUnavailable) || !strings.Contains(err.Error(), "connection refused") {
				t.Errorf("%s: got %v", mode, err)
			}
		}
		if _, err := w.access(t, annas).May(t.Context(), nil); !errors.Is(err, auth.ErrUnavailable) {
			t.Errorf("%s: got %v", mode, err)
		}
	}
}

// BenchmarkMay is the decision that is remembered.
func BenchmarkMay(b *testing.B) {
	s := mayManage(b)
	access := newWorld(dedicated(s.direct("local"))).access(b, annas)
	actions := []auth.Action{create("local", "shop")}
	b.ReportAllocs()
	for b.Loop() {
		if may, err := access.May(b.Context(), actions); err != nil || !may[0] {
			b.Fatal(may, err)
		}
	}
}

// dashboards is an action on dashboards.
func dashboards(verb, namespace, name string) auth.Action {
	return auth.Action{Cluster: "local", Verb: verb, Group: "perses.dev", Resource: "persesdashboards", Namespace: namespace, Name: name}
}

// TestMay: each action of a list is decided on its own, one on the whole cluster
// among them, and each answer is remembered as what it is.
func TestMay(t *testing.T) {
	const about = " persesdashboards.perses.dev in "
	actions := []auth.Action{
		dashboards("list", "", ""), dashboards("list", "shop", ""), dashboards("list", "billing", ""), dashboards("get", "shop", ""),
		dashboards("get", "shop", "sales"), dashboards("get", "shop", "stock"), dashboards("list", "shop", ""),
		{}, {Cluster: "local"}, {Cluster: "local", Verb: "get"}, {Cluster: "local", Resource: "persesdashboards"}, {Cluster: "x", Verb: "get", Resource: "pods"},
		// It is no question for a service proxy, and for none of their names.
		{Cluster: "local", Verb: "get", Resource: "services", Namespace: "shop"},
	}
	want := []bool{false, true, false, false, true, false, true, false, false, false, false, false, false}
	for mode, m := range modes {
		s := newServer(t)
		s.rules["shop"] = rules(false, rule(`"*"`, `"*"`, `"*"`, ``))
		s.allowed["anna list"+about+"shop"], s.allowed["anna get"+about+"shop sales"] = true, true
		s.allowed["berta list"+about+"all"] = true
		s.tokens["bertas-token"] = "berta"
		cluster := dedicated(s.connect(t, "local"))
		cluster.UserCredentials = m.user
		w := newWorld(cluster)
		for range 2 {
			if got, err := w.may(t, annas, actions...); !slices.Equal(got, want) || err != nil {
				t.Errorf("%s: got %v, %v", mode, got, err)
			}
		}
		r := m.right
		s.want(t, strings.Join([]string{r + " get" + about + "shop", r + " get" + about + "shop sales", r + " get" + about + "shop stock",
			r + " list" + about + "all", r + " list" + about + "billing", r + " list" + about + "shop", r + " shop", m.token}, ", "))
		if got, err := w.may(t, "bertas-token", actions[:2]...); !slices.Equal(got, []bool{true, false}) || err != nil {
			t.Errorf("%s: berta got %v, %v", mode, got, err)
		}
		s.take()
		// A bad token costs one review, however long the list, and is told so also
		// where nothing was asked for.
		for _, list := range [][]auth.Action{actions, actions[7:8], nil} {
			if got, err := w.may(t, bad, list...); !errors.Is(err, auth.ErrInvalid) {
				t.Errorf("%s: a bad token got %v, %v", mode, got, err)
			}
		}
		s.want(t, m.token)
		if got, err := w.may(t, annas); len(got) != 0 || err != nil {
			t.Errorf("%s: got %v, %v for nothing", mode, got, err)
		}
	}
}

// TestMayAtOnce: one list has no more than its share of reviews under way.
func TestMayAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.answers["subjectaccessreviews"] = func(w http.ResponseWriter, r *http.Request) {
			pass(time.Second)
			saying(201, `{"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/v1","status":{"allowed":true}}`)(w, r)
		}
		var actions []auth.Action
		for i := range 3 * MaxListReviews {
			actions = append(actions, dashboards("list", fmt.Sprint("n", i), ""))
		}
		began := time.Now()
		if got, err := newWorld(dedicated(s.direct("local"))).may(t, annas, actions...); err != nil || slices.Contains(got, false) || time.Since(began) != 3*time.Second {
			t.Errorf("got %v, %v after %s", got, err, time.Since(began))
		}
	})
}
