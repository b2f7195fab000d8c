package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"

	"github.com/promgate/promgate/auth"
)

// at is a resource of a namespace.
func at(cluster, namespace, name string) auth.Resource {
	return auth.Resource{Cluster: cluster, Namespace: namespace, Name: name}
}

// rules is the status of a rules review.
func rules(incomplete bool, rules ...string) string {
	return fmt.Sprintf(`{"resourceRules":[%s],"nonResourceRules":[],"incomplete":%t}`, strings.Join(rules, ","), incomplete)
}

func rule(verbs, groups, resources, names string) string {
	return fmt.Sprintf(`{"verbs":[%s],"apiGroups":[%s],"resources":[%s],"resourceNames":[%s]}`, verbs, groups, resources, names)
}

func TestListDedicated(t *testing.T) {
	s := newServer(t)
	w := newWorld(dedicated(s.connect(t, "local")))
	s.allowed = map[string]bool{"anna whole": true, "anna shop/web": true, "anna one/web": true, "anna two": true}
	all := []auth.Resource{
		at("local", "shop", "web"), {}, at("local", "whole", "a"), at("local", "one", "web"), at("gone", "shop", "web"),
		at("local", "shop", "admin"), at("local", "whole", "b"), at("local", "two", "a"), at("local", "none", "a"), at("local", "shop", "web"),
		at("local", "none", "b"), at("local", "", "web"), at("local", "shop", ""),
	}
	want := []bool{true, false, true, true, false, false, true, true, false, true, false, false, false}
	for i := range 2 {
		if got, err := w.list(t, annas, all...); !slices.Equal(got, want) || err != nil {
			t.Errorf("got %v, %v", got, err)
		}
		if i == 0 {
			s.want(t, "subjectaccessreviews none, subjectaccessreviews none/a, subjectaccessreviews none/b, subjectaccessreviews one/web, "+
				"subjectaccessreviews shop, subjectaccessreviews shop/admin, subjectaccessreviews shop/web, "+
				"subjectaccessreviews two/a, subjectaccessreviews whole, tokenreviews")
		}
	}
	s.want(t, "")
	// A query and a list say the same of each, and learn from one another.
	for i, r := range all {
		if _, err := w.query(t, annas, r); (err == nil) != want[i] {
			t.Errorf("a query of %v: %v", r, err)
		}
	}
	s.want(t, "subjectaccessreviews whole/a, subjectaccessreviews whole/b")
	if got, err := w.list(t, bad, all...); !errors.Is(err, auth.ErrInvalid) {
		t.Errorf("got %v, %v", got, err)
	}
	s.want(t, "tokenreviews")
	if got, err := w.list(t, annas); err != nil || len(got) != 0 {
		t.Errorf("of nothing: %v, %v", got, err)
	}
}

func TestListUser(t *testing.T) {
	s := newServer(t)
	w := newWorld(user(s.connect(t, "local")))
	s.rules = map[string]string{
		"shop": rules(false, rule(`"get"`, `""`, `"services/proxy"`, `"web"`), rule(`"create"`, `""`, `"services/proxy"`, `"admin"`)),
		"all":  rules(false, rule(`"*"`, `"*"`, `"*"`, ``)),
		"some": rules(true, rule(`"get"`, `""`, `"services/proxy"`, `"web"`)),
	}
	s.allowed["anna some/admin"] = true
	all := []auth.Resource{
		at("local", "shop", "web"), at("local", "shop", "admin"), at("local", "all", "a"), at("local", "all", "b"),
		at("local", "some", "web"), at("local", "some", "admin"), at("local", "some", "other"), at("local", "none", "web"), {}, at("x", "shop", "web"),
	}
	want := []bool{true, false, true, true, true, true, false, false, false, false}
	for range 2 {
		if got, err := w.list(t, annas, all...); !slices.Equal(got, want) || err != nil {
			t.Errorf("got %v, %v", got, err)
		}
	}
	for _, a := range s.seen {
		if a.authorization != "Bearer "+annas {
			t.Errorf("%s was asked with %s", a, a.authorization)
		}
		attributes := map[string]any{"namespace": "some", "verb": "get", "resource": "services", "subresource": "proxy", "name": "admin"}
		spec := map[string]map[string]any{
			"selfsubjectreviews":                  nil,
			"selfsubjectrulesreviews shop":        {"namespace": "shop"},
			"selfsubjectaccessreviews some/admin": {"resourceAttributes": attributes},
		}
		if want, known := spec[a.String()]; known && want != nil && !reflect.DeepEqual(a.body["spec"], any(want)) {
			t.Errorf("%s was asked with %v", a, a.body)
		}
	}
	s.want(t, "selfsubjectaccessreviews some/admin, selfsubjectaccessreviews some/other, selfsubjectreviews, "+
		"selfsubjectrulesreviews all, selfsubjectrulesreviews none, selfsubjectrulesreviews shop, selfsubjectrulesreviews some")
	if got := w.results(); got != "SelfSubjectAccessReview ok, SelfSubjectAccessReview refused, SelfSubjectReview ok, "+
		"SelfSubjectRulesReview ok, SelfSubjectRulesReview ok, SelfSubjectRulesReview ok, SelfSubjectRulesReview refused" {
		t.Errorf("got %s", got)
	}
	// A bad token costs one review, however long the list.
	if got, err := w.list(t, bad, all...); !errors.Is(err, auth.ErrInvalid) {
		t.Errorf("got %v, %v", got, err)
	}
	s.want(t, "selfsubjectreviews")
}

// TestRules: which rules are for queries, as RBAC itself reads them.
func TestRules(t *testing.T) {
	for text, want := range map[string]bool{
		rule(`"get"`, `""`, `"services/proxy"`, ``):                          true,
		rule(`"*"`, `"*"`, `"*"`, ``):                                        true,
		rule(`"list","get"`, `"apps",""`, `"pods","services/proxy"`, ``):     true,
		rule(`"get"`, `""`, `"*/proxy"`, ``):                                 true,
		rule(`"get"`, `""`, `"services/*"`, ``):                              false,
		rule(`"get"`, `""`, `"services"`, ``):                                false,
		rule(`"get"`, `""`, `"pods/proxy"`, ``):                              false,
		rule(`"get"`, `""`, `"*/*"`, ``):                                     false,
		rule(`"get"`, `""`, `"proxy"`, ``):                                   false,
		rule(`"create"`, `""`, `"services/proxy"`, ``):                       false,
		rule(`"GET"`, `""`, `"services/proxy"`, ``):                          false,
		rule(`"get"`, `"apps"`, `"services/proxy"`, ``):                      false,
		rule(``, `""`, `"services/proxy"`, ``):                               false,
		rule(`"get"`, ``, `"services/proxy"`, ``):                            false,
		rule(`"get"`, `""`, ``, ``):                                          false,
		rule(`"get"`, `""`, `"services/proxy"`, `"http:prometheus:web"`):     true,
		rule(`"get"`, `""`, `"services/proxy"`, `"prometheus:web"`):          false,
		rule(`"get"`, `""`, `"services/proxy"`, `"*"`):                       false,
		rule(`"get"`, `""`, `"services/proxy"`, `"a","http:prometheus:web"`): true,
	} {
		s := newServer(t)
		s.rules["shop"] = rules(false, text)
		w := newWorld(user(s.direct("local")))
		if got, err := w.list(t, annas, web); err != nil || got[0] != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	if allowsGet(authorizationv1.ResourceRule{}) {
		t.Error("the zero rule allows")
	}
}

// TestListFailures: a list that may lack something is not shown.
func TestListFailures(t *testing.T) {
	resources := []auth.Resource{at("local", "shop", "a"), at("local", "shop", "b"), at("local", "other", "a")}
	for mode, kinds := range map[string][]string{
		"dedicated": {"tokenreviews", "subjectaccessreviews"},
		"user":      {"selfsubjectreviews", "selfsubjectrulesreviews", "selfsubjectaccessreviews"},
	} {
		s := newServer(t)
		cluster := dedicated(s.connect(t, "local"))
		cluster.UserCredentials = mode == "user"
		s.rules["shop"] = rules(true)
		for _, resource := range kinds {
			for name, answer := range failures {
				if mode == "user" && name == "401" {
					continue
				}
				t.Run(resource+" "+name, func(t *testing.T) {
					w := newWorld(cluster)
					s.set(func() { s.answers = map[string]http.HandlerFunc{resource: answer} })
					if got, err := w.list(t, annas, resources...); !errors.Is(err, auth.ErrUnavailable) {
						t.Errorf("got %v, %v", got, err)
					}
					s.set(func() { s.answers = nil })
					// What the first list has begun may go on still and be joined.
					_, err := w.list(t, annas, resources...)
					for tries := 0; err != nil && tries < 100; tries++ {
						_, err = w.list(t, annas, resources...)
					}
					if err != nil {
						t.Errorf("got %v after the failure", err)
					}
				})
			}
		}
	}
}

// TestListTokenEnds: a token that an API server refuses while the list is made
// is good there no more, whichever review it is that tells.
func TestListTokenEnds(t *testing.T) {
	for _, resource := range []string{"selfsubjectrulesreviews", "selfsubjectaccessreviews"} {
		s, other := newServer(t), newServer(t)
		s.answers[resource] = failure(401, "Unauthorized")
		s.rules["shop"] = rules(true, rule(`"get"`, `""`, `"*"`, `"a"`))
		other.rules["shop"] = rules(false, rule(`"get"`, `""`, `"*"`, ``))
		local, second := user(s.direct("local")), user(other.direct("second"))
		all := []auth.Resource{at("local", "shop", "a"), at("local", "shop", "b"), at("second", "shop", "a")}
		if got, err := newWorld(local, second).list(t, annas, all...); !slices.Equal(got, []bool{false, false, true}) || err != nil {
			t.Errorf("%s: got %v, %v", resource, got, err)
		}
		w := newWorld(local)
		for range 2 {
			if got, err := w.list(t, annas, all...); !errors.Is(err, auth.ErrInvalid) {
				t.Errorf("%s: got %v, %v", resource, got, err)
			}
		}
		if _, err := w.query(t, annas, auth.Resource{}); !errors.Is(err, auth.ErrInvalid) {
			t.Errorf("%s: a query: %v", resource, err)
		}
	}
}

// TestListTokenEndsBetween: of a token that is over, no more is asked.
func TestListTokenEndsBetween(t *testing.T) {
	s := newServer(t)
	var calls atomic.Int32
	s.answers["selfsubjectrulesreviews"] = func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) > 1 {
			failure(401, "Unauthorized")(w, r)
			return
		}
		saying(201, `{"kind":"SelfSubjectRulesReview","apiVersion":"authorization.k8s.io/v1","status":`+rules(true)+`}`)(w, r)
	}
	w := newWorld(user(s.direct("local")))
	if got, err := w.list(t, annas, at("local", "one", "a"), at("local", "two", "a")); !errors.Is(err, auth.ErrInvalid) {
		t.Errorf("got %v, %v", got, err)
	}
	s.want(t, "selfsubjectreviews, selfsubjectrulesreviews one, selfsubjectrulesreviews two")
}

// TestListElsewhere: a token that is bad where the resources are may be good on
// another cluster, which is asked only then.
func TestListElsewhere(t *testing.T) {
	var a, b *server // anew each time: a review may outlast the list that began it
	onA := at("a", "shop", "web")
	cases := map[string]struct {
		change func()
		all    []auth.Resource
		want   error
		onB    string
	}{
		"good on a":                 {func() { b.tokens = nil }, []auth.Resource{onA}, nil, ""},
		"good on a, b is down":      {func() { b.answers["selfsubjectreviews"] = failure(500, "no") }, []auth.Resource{onA}, nil, ""},
		"good on b":                 {func() { a.tokens = nil }, []auth.Resource{onA}, nil, "selfsubjectreviews"},
		"bad on both":               {func() { a.tokens, b.tokens = nil, nil }, []auth.Resource{onA}, auth.ErrInvalid, "selfsubjectreviews"},
		"bad on a, b is down":       {func() { a.tokens, b.answers["selfsubjectreviews"] = nil, failure(500, "no") }, []auth.Resource{onA}, auth.ErrUnavailable, "selfsubjectreviews"},
		"a is down":                 {func() { a.answers["tokenreviews"] = failure(500, "no") }, []auth.Resource{onA}, auth.ErrUnavailable, ""},
		"no resources, good on b":   {func() { a.tokens = nil }, []auth.Resource{{}}, nil, "selfsubjectreviews"},
		"no resources, bad on both": {func() { a.tokens, b.tokens = nil, nil }, nil, auth.ErrInvalid, "selfsubjectreviews"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			a, b = newServer(t), newServer(t)
			c.change()
			got, err := newWorld(dedicated(a.direct("a")), user(b.direct("b"))).list(t, annas, c.all...)
			if !errors.Is(err, c.want) || slices.Contains(got, true) {
				t.Errorf("got %v, %v", got, err)
			}
			b.want(t, c.onB)
		})
	}
}

// TestListAtOnce: one list has no more than its share of reviews under way.
func TestListAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slowly := func(kind, group, status string) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				pass(time.Second)
				saying(201, fmt.Sprintf(`{"kind":%q,"apiVersion":"%s/v1","status":%s}`, kind, group, status))(w, r)
			}
		}
		s := newServer(t)
		s.answers["selfsubjectrulesreviews"] = slowly("SelfSubjectRulesReview", "authorization.k8s.io", rules(true))
		s.answers["selfsubjectaccessreviews"] = slowly("SelfSubjectAccessReview", "authorization.k8s.io", `{"allowed":true}`)
		var all []auth.Resource
		for i := range 3 * MaxListReviews {
			all = append(all, at("local", fmt.Sprint("n", i), "web"))
		}
		began := time.Now()
		if _, err := newWorld(user(s.direct("local"))).list(t, annas, all...); err != nil || time.Since(began) != 6*time.Second {
			t.Errorf("got %v after %s", err, time.Since(began))
		}
		s.answers["selfsubjectreviews"] = slowly("SelfSubjectReview", "authentication.k8s.io", `{}`)
		var clusters []Cluster
		for i := range 3 * MaxListReviews {
			clusters = append(clusters, user(s.direct(fmt.Sprint("c", i))))
		}
		began = time.Now()
		if _, err := newWorld(clusters...).list(t, annas); !errors.Is(err, auth.ErrInvalid) || time.Since(began) != 3*time.Second {
			t.Errorf("got %v after %s", err, time.Since(began))
		}
	})
}

// TestListLeft: who leaves gets no list.
func TestListLeft(t *testing.T) {
	s := newServer(t)
	w := newWorld(dedicated(s.direct("local")))
	ctx, cancel := context.WithCancel(t.Context())
	s.answers["tokenreviews"] = func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}
	got, err := w.access(t, annas).Queryable(ctx, []auth.Resource{web})
	if got != nil || !errors.Is(err, context.Canceled) || !errors.Is(err, auth.ErrUnavailable) {
		t.Errorf("got %v, %v", got, err)
	}
}
