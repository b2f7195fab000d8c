package kube

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/promgate/promgate/auth"
)

// tokenStatus answers token reviews with a status.
func tokenStatus(status string) http.HandlerFunc {
	return saying(http.StatusCreated, `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{},"status":`+status+`}`)
}

func accessStatus(status string) http.HandlerFunc {
	return saying(http.StatusCreated, `{"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/v1","spec":{},"status":`+status+`}`)
}

// failures are answers that are none.
var failures = map[string]http.HandlerFunc{
	"401":             failure(401, "Unauthorized"),
	"403":             failure(403, "is forbidden"),
	"404":             failure(404, "not found"),
	"429":             failure(429, "too many requests"),
	"500":             failure(500, "error validating audiences"),
	"502 of a proxy":  saying(502, "<html>bad gateway"),
	"no JSON":         saying(201, "<html>sign in"),
	"nothing":         saying(201, ""),
	"no object":       saying(201, "[]"),
	"empty object":    saying(201, "{}"),
	"another kind":    saying(201, `{"kind":"Pod","apiVersion":"v1","status":{"authenticated":true,"allowed":true,"user":{"username":"anna"},"audiences":["promgate"]}}`),
	"a status":        saying(200, `{"kind":"Status","apiVersion":"v1","status":"Success"}`),
	"another version": saying(201, `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1beta1","status":{}}`),
	"a redirect":      func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
	"cut short": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "99")
		_, _ = w.Write([]byte("{"))
	},
	"echoes the token": failure(500, "no Bearer "+annas),
}

// TestQuery: what an API server is asked for a query, word by word.
func TestQuery(t *testing.T) {
	s := newServer(t)
	w := newWorld(dedicated(s.connect(t, "local")))
	s.allowed["anna shop/http:prometheus:web"] = true
	if id, err := w.query(t, annas, web); id != "anna" || err != nil {
		t.Fatalf("got %s, %v", id, err)
	}
	want := []asked{
		{"/apis/authentication.k8s.io/v1/tokenreviews", "Bearer " + own, map[string]any{
			"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "metadata": map[string]any{},
			"spec":   map[string]any{"token": annas, "audiences": []any{"other", "promgate"}},
			"status": map[string]any{"user": map[string]any{}},
		}},
		{"/apis/authorization.k8s.io/v1/subjectaccessreviews", "Bearer " + own, map[string]any{
			"kind": "SubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "metadata": map[string]any{},
			"spec": map[string]any{
				"user": "anna", "uid": "uid-1", "groups": []any{"g1", "g2"}, "extra": map[string]any{"k": []any{"v1", "v2"}},
				"resourceAttributes": map[string]any{"namespace": "shop", "verb": "get", "resource": "services", "subresource": "proxy", "name": "http:prometheus:web"},
			},
			"status": map[string]any{"allowed": false},
		}},
	}
	for i := range s.seen {
		s.seen[i].body["status"] = want[i].body["status"] // the server's own
	}
	if !reflect.DeepEqual(s.seen, want) {
		t.Errorf("asked %v,\nwant  %v", s.seen, want)
	}
	s.take()
	if id, err := w.query(t, annas, admin); id != "anna" || !errors.Is(err, auth.ErrForbidden) ||
		!strings.Contains(err.Error(), `"anna" may not get services/proxy http:prometheus:admin in namespace shop of cluster local`) {
		t.Errorf("got %s, %v", id, err)
	}
	s.want(t, "subjectaccessreviews shop/http:prometheus:admin")
	if got := w.results(); got != "SubjectAccessReview ok, SubjectAccessReview refused, TokenReview ok" {
		t.Errorf("got %s", got)
	}
}

// TestTokenReview: which tokens are good.
func TestTokenReview(t *testing.T) {
	const accepted = `"user":{"username":"anna","groups":["g"]},"audiences":["promgate"]`
	s := newServer(t)
	connection := s.connect(t, "local")
	s.allowed["anna shop"] = true
	cases := map[string]struct {
		status string
		id     string
		err    error
		text   string
	}{
		"good":                 {status: `{"authenticated":true,` + accepted + `}`, id: "anna"},
		"one of ours":          {status: `{"authenticated":true,"user":{"username":"anna"},"audiences":["x","other"]}`, id: "anna"},
		"unknown":              {status: `{"authenticated":false}`, err: auth.ErrInvalid, text: "does not accept it"},
		"unknown, but named":   {status: `{"authenticated":false,` + accepted + `}`, err: auth.ErrInvalid, text: "does not accept it"},
		"not said":             {status: `{` + accepted + `}`, err: auth.ErrInvalid, text: "does not accept it"},
		"an error":             {status: `{"error":"token has expired","user":{}}`, err: auth.ErrInvalid, text: "token has expired"},
		"an error, but good":   {status: `{"authenticated":true,"error":"hm",` + accepted + `}`, err: auth.ErrInvalid, text: "hm"},
		"an error that echoes": {status: `{"error":"get https://x?t=` + annas + `: EOF"}`, err: auth.ErrInvalid, text: "get https://x?t=[redacted]: EOF"},
		"a long error":         {status: `{"error":"` + strings.Repeat("ä", 3000) + annas + `"}`, err: auth.ErrInvalid, text: "ä…"},
		"no status":            {status: `null`, err: auth.ErrInvalid, text: "does not accept it"},
		"other audience":       {status: `{"authenticated":true,"user":{"username":"anna"},"audiences":["https://kubernetes.default.svc"]}`, err: auth.ErrInvalid, text: `audiences ["other" "promgate"]`},
		"no audiences":         {status: `{"authenticated":true,"user":{"username":"anna"}}`, err: auth.ErrInvalid, text: "audiences"},
		"null audiences":       {status: `{"authenticated":true,"user":{"username":"anna"},"audiences":null}`, err: auth.ErrInvalid, text: "audiences"},
		"empty audience":       {status: `{"authenticated":true,"user":{"username":"anna"},"audiences":[""]}`, err: auth.ErrInvalid, text: "audiences"},
		"no name":              {status: `{"authenticated":true,"user":{"uid":"1","groups":["g"]},"audiences":["promgate"]}`, err: auth.ErrInvalid, text: "no user"},
		"anonymous":            {status: `{"authenticated":true,"user":{"username":"system:anonymous"},"audiences":["promgate"]}`, err: auth.ErrInvalid, text: "no user"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s.answers["tokenreviews"] = tokenStatus(c.status)
			w := newWorld(dedicated(connection))
			for range 2 { // the second is remembered
				id, err := w.query(t, annas, web)
				if c.err == nil && (id != c.id || err != nil) {
					t.Errorf("got %s, %v", id, err)
				}
				if c.err != nil && (id != annasHash || !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.text) || len(err.Error()) > 700) {
					t.Errorf("got %s, %v", id, err)
				}
			}
			if c.err == nil {
				s.want(t, "subjectaccessreviews shop/http:prometheus:web, tokenreviews")
			} else {
				s.want(t, "tokenreviews")
			}
		})
	}
	t.Run("no audiences asked for", func(t *testing.T) {
		s.answers["tokenreviews"] = tokenStatus(`{"authenticated":true,"user":{"username":"anna"},"audiences":["https://kubernetes.default.svc",""]}`)
		if _, err := newWorld(Cluster{Connection: connection}).query(t, annas, web); !errors.Is(err, auth.ErrInvalid) {
			t.Errorf("got %v", err)
		}
	})
}

// TestAccessReview: what a decision says.
func TestAccessReview(t *testing.T) {
	s := newServer(t)
	connection := s.connect(t, "local")
	cases := map[string]struct {
		status string
		err    error
		text   string
	}{
		"allowed":                        {status: `{"allowed":true}`},
		"allowed, with an error":         {status: `{"allowed":true,"evaluationError":"a role is missing"}`},
		"not allowed":                    {status: `{"allowed":false}`, err: auth.ErrForbidden, text: "of cluster local"},
		"denied":                         {status: `{"allowed":false,"denied":true}`, err: auth.ErrForbidden},
		"allowed and denied":             {status: `{"allowed":true,"denied":true}`, err: auth.ErrForbidden},
		"not allowed, with an error":     {status: `{"allowed":false,"evaluationError":"webhook: EOF"}`, err: auth.ErrForbidden, text: ": webhook: EOF"},
		"an error that holds the token":  {status: `{"evaluationError":"` + annas + `"}`, err: auth.ErrForbidden, text: "[redacted]"},
		"no status":                      {status: `{}`, err: auth.ErrForbidden},
		"a reason is no permission":      {status: `{"reason":"allowed"}`, err: auth.ErrForbidden},
		"null":                           {status: `null`, err: auth.ErrForbidden},
		"what was asked is not repeated": {status: `{"allowed":true},"spec":{"user":"root","groups":["system:masters"]}`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s.answers["subjectaccessreviews"] = accessStatus(c.status)
			w := newWorld(dedicated(connection))
			for range 2 {
				id, err := w.query(t, annas, web)
				if id != "anna" || !errors.Is(err, c.err) || err != nil && !strings.Contains(err.Error(), c.text) {
					t.Errorf("got %s, %v", id, err)
				}
			}
			s.want(t, "subjectaccessreviews shop/http:prometheus:web, tokenreviews")
		})
	}
}

// TestFailures: what is no answer opens nothing, is not remembered, and is no
// fault of the token's.
func TestFailures(t *testing.T) {
	s := newServer(t)
	connection := s.connect(t, "local")
	s.allowed["anna shop"] = true
	for _, resource := range []string{"tokenreviews", "subjectaccessreviews"} {
		for name, answer := range failures {
			t.Run(resource+" "+name, func(t *testing.T) {
				w := newWorld(dedicated(connection))
				id, before := annasHash, ""
				if resource == "subjectaccessreviews" {
					id, before = "anna", "tokenreviews"
				}
				s.answers = map[string]http.HandlerFunc{resource: answer}
				for i := range 2 {
					if got, err := w.query(t, annas, web); got != id || !errors.Is(err, auth.ErrUnavailable) {
						t.Errorf("got %s, %v", got, err)
					}
					asked := s.take()
					if !strings.Contains(asked, resource) || strings.Contains(asked, before) != (i == 0) && before != "" {
						t.Errorf("asked %s", asked)
					}
				}
				if !strings.Contains(w.results(), " error") {
					t.Error("the metric knows nothing of it")
				}
				s.answers = nil
				if got, err := w.query(t, annas, web); got != "anna" || err != nil {
					t.Errorf("got %s, %v after the failure", got, err)
				}
				s.take()
			})
		}
	}
	t.Run("connection refused", func(t *testing.T) {
		other := newServer(t)
		gone := other.connect(t, "gone")
		gone.Base.Host = "127.0.0.1:1"
		w := newWorld(dedicated(gone))
		_, err := w.query(t, annas, auth.Resource{Cluster: "gone", Namespace: "n", Name: "x"})
		if !errors.Is(err, auth.ErrUnavailable) || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("got %v", err)
		}
	})
}

// TestUserMode: where the API server decides on the query itself, nobody is
// asked before.
func TestUserMode(t *testing.T) {
	s := newServer(t)
	w := newWorld(user(s.connect(t, "local")))
	for _, token := range []string{annas, bad} {
		id, err := w.query(t, token, web)
		if err != nil || !strings.HasPrefix(id, "sha256:") || len(id) != len("sha256:")+12 {
			t.Errorf("got %s, %v", id, err)
		}
	}
	s.want(t, "")
}

// TestAnywhere: who asks for what no cluster of ours has is told whether the
// token is good, and nothing else.
func TestAnywhere(t *testing.T) {
	const good, invalid, unavailable = "good", "invalid", "unavailable"
	unknown := map[string]auth.Resource{
		"zero": {}, "another cluster": {Cluster: "x", Namespace: "shop", Name: "http:prometheus:web"},
		"no name": {Cluster: "a", Namespace: "shop"}, "no namespace": {Cluster: "a", Name: "http:prometheus:web"},
	}
	for _, c := range []struct {
		a, b string
		want error
	}{
		{good, good, auth.ErrForbidden}, {good, invalid, auth.ErrForbidden}, {good, unavailable, auth.ErrForbidden},
		{invalid, good, auth.ErrForbidden}, {unavailable, good, auth.ErrForbidden},
		{invalid, invalid, auth.ErrInvalid},
		{invalid, unavailable, auth.ErrUnavailable}, {unavailable, invalid, auth.ErrUnavailable}, {unavailable, unavailable, auth.ErrUnavailable},
	} {
		servers := map[string]*server{"a": newServer(t), "b": newServer(t)}
		for name, is := range map[string]string{"a": c.a, "b": c.b} {
			s := servers[name]
			switch is {
			case invalid:
				s.tokens = nil
			case unavailable:
				s.answers["tokenreviews"] = failure(500, "no")
				s.answers["selfsubjectreviews"] = failure(500, "no")
			}
		}
		a, b := servers["a"].connect(t, "a"), servers["b"].connect(t, "b")
		for mode, w := range map[string]*world{
			"both dedicated": newWorld(dedicated(a), dedicated(b)), "both user": newWorld(user(a), user(b)), "mixed": newWorld(user(a), dedicated(b)),
		} {
			for name, r := range unknown {
				t.Run(fmt.Sprintf("%s, %s, %s, %s", c.a, c.b, mode, name), func(t *testing.T) {
					if id, err := w.query(t, annas, r); id != annasHash || !errors.Is(err, c.want) {
						t.Errorf("got %s, %v; want %v", id, err, c.want)
					}
				})
			}
		}
	}
	w := newWorld(user(newServer(t).direct("b")), dedicated(newServer(t).direct("a")))
	if _, err := w.query(t, bad, auth.Resource{}); err == nil || err.Error() != "invalid credential: no cluster that Kubernetes tokens open accepts it; "+
		"cluster a: the API server does not accept it: [invalid bearer token]; cluster b: the API server does not accept it" {
		t.Errorf("got %v", err)
	}
	access := w.access(t, annas)
	w.SetClusters(nil)
	if _, err := access.Query(t.Context(), auth.Resource{}); !errors.Is(err, auth.ErrInvalid) {
		t.Errorf("without clusters: %v", err)
	}
}

// TestSelfReview: what an API server is asked with the token itself.
func TestSelfReview(t *testing.T) {
	s := newServer(t)
	connection := s.connect(t, "local")
	w := newWorld(user(connection))
	if _, err := w.query(t, annas, auth.Resource{}); !errors.Is(err, auth.ErrForbidden) {
		t.Errorf("got %v", err)
	}
	a := s.seen[0]
	delete(a.body, "status")
	if want := (asked{"/apis/authentication.k8s.io/v1/selfsubjectreviews", "Bearer " + annas, map[string]any{
		"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1", "metadata": map[string]any{},
	}}); !reflect.DeepEqual(a, want) || len(s.seen) != 1 {
		t.Errorf("asked %v, want %v", s.seen, want)
	}
	if got := w.results(); got != "SelfSubjectReview ok" {
		t.Errorf("got %s", got)
	}
	for _, name := range []string{"", "system:anonymous"} {
		s.answers["selfsubjectreviews"] = saying(201, `{"kind":"SelfSubjectReview","apiVersion":"authentication.k8s.io/v1","status":{"userInfo":{"username":"`+name+`"}}}`)
		if _, err := newWorld(user(connection)).query(t, annas, auth.Resource{}); !errors.Is(err, auth.ErrInvalid) {
			t.Errorf("for the user %q: %v", name, err)
		}
	}
	for name, answer := range failures {
		if name == "401" {
			continue
		}
		w, s.answers["selfsubjectreviews"] = newWorld(user(connection)), answer
		if _, err := w.query(t, annas, auth.Resource{}); !errors.Is(err, auth.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
		if w.log() != "" {
			t.Errorf("a right of the gateway's is missed: %s", w.log())
		}
	}
}

// TestOtherMode: a route of another configuration than the clusters' is refused
// for a moment, whichever is the newer: nobody's right would be asked for.
func TestOtherMode(t *testing.T) {
	s := newServer(t)
	connection := s.connect(t, "local")
	for name, c := range map[string]struct {
		cluster Cluster
		caller  bool
	}{"user now": {user(connection), false}, "dedicated now": {dedicated(connection), true}} {
		w := newWorld(c.cluster)
		r := web
		r.AsCaller = c.caller
		_, err := w.access(t, annas).Query(t.Context(), r)
		_, listErr := w.access(t, annas).Queryable(t.Context(), []auth.Resource{r})
		if !errors.Is(err, auth.ErrUnavailable) || !errors.Is(listErr, auth.ErrUnavailable) {
			t.Errorf("%s: got %v, %v", name, err, listErr)
		}
		s.want(t, "")
	}
}

// TestGoodElsewhere: a token of another cluster is told no more of an
// environment that there is than of one that there is not.
func TestGoodElsewhere(t *testing.T) {
	here, there := newServer(t), newServer(t)
	here.tokens = nil
	w := newWorld(dedicated(here.connect(t, "local")), user(there.connect(t, "other")))
	for _, r := range []auth.Resource{web, {}} {
		if _, err := w.query(t, annas, r); !errors.Is(err, auth.ErrForbidden) {
			t.Errorf("%v: got %v", r, err)
		}
		if _, err := w.query(t, bad, r); !errors.Is(err, auth.ErrInvalid) {
			t.Errorf("%v: a bad one got %v", r, err)
		}
	}
}
