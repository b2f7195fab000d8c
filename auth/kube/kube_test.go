package kube

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/kube"
)

// TestSetClusters: what was found out is kept while it is about the same.
func TestSetClusters(t *testing.T) {
	s, other := newServer(t), newServer(t)
	s.allowed["anna shop"], other.allowed["anna shop"] = true, true
	connection, again := s.connect(t, "local"), s.connect(t, "local")
	beside := Cluster{Connection: other.connect(t, "other"), Audiences: []string{"promgate"}}
	const all = "subjectaccessreviews shop/http:prometheus:web, tokenreviews"
	with := func(c *kube.Connection, audiences ...string) Cluster {
		return Cluster{Connection: c, Audiences: audiences}
	}
	w := newWorld()
	for _, c := range []struct {
		name  string
		next  Cluster
		asked string
	}{
		{"at first", with(connection, "promgate"), all},
		{"the same", with(connection, "promgate"), ""},
		{"another audience", with(connection, "promgate", "x"), all},
		{"the same two", with(connection, "promgate", "x"), ""},
		{"another connection", with(again, "promgate", "x"), all},
		{"user credentials", Cluster{Connection: again, Audiences: []string{"promgate", "x"}, UserCredentials: true}, ""},
		{"its own again", with(again, "promgate", "x"), all},
	} {
		audiences := c.next.Audiences
		w.SetClusters([]Cluster{c.next, beside})
		if _, err := w.query(t, annas, web); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := s.take(); got != c.asked {
			t.Errorf("%s: asked %q, want %q", c.name, got, c.asked)
		}
		if _, err := w.query(t, annas, at("other", "shop", "http:prometheus:web")); err != nil {
			t.Errorf("%s: the other: %v", c.name, err)
		}
		if asked := other.take(); (asked != "") != (c.name == "at first") {
			t.Errorf("%s: asked %q", c.name, asked)
		}
		audiences[0] = "the caller's own slice is not ours"
	}
	w.SetClusters([]Cluster{beside})
	if _, err := w.query(t, annas, web); !errors.Is(err, auth.ErrForbidden) {
		t.Errorf("a cluster that is gone: %v", err)
	}
	w.SetClusters([]Cluster{with(again, "promgate", "x")})
	s.take()
	if _, err := w.query(t, annas, web); err != nil {
		t.Error(err)
	}
	s.want(t, all)
}

// TestSetClustersUnderLoad: requests see the one set or the other, or are told
// that theirs is of the one and the clusters are of the other.
func TestSetClustersUnderLoad(t *testing.T) {
	s := newServer(t)
	s.allowed["anna shop"] = true
	both := []Cluster{dedicated(s.direct("local")), user(s.direct("local"))}
	w := newWorld(both[0])
	fine := func(err error) bool {
		return err == nil || errors.Is(err, auth.ErrUnavailable) && strings.Contains(err.Error(), "the credentials of cluster local are being changed")
	}
	done := make(chan struct{})
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for range 50 {
				if _, err := w.query(t, annas, web); !fine(err) {
					t.Errorf("got %v", err)
				}
				if got, err := w.list(t, annas, web); !fine(err) {
					t.Errorf("got %v, %v", got, err)
				}
			}
		})
	}
	go func() {
		work.Wait()
		close(done)
	}()
	for i := 0; ; i++ {
		select {
		case <-done:
			return
		default:
			w.SetClusters(both[i%2 : i%2+1])
		}
	}
}

// told checks how many warnings and infos there were.
func (w *world) told(t *testing.T, warnings, infos int) {
	t.Helper()
	log := w.log()
	if strings.Count(log, "level=WARN") != warnings || strings.Count(log, "level=INFO") != infos {
		t.Errorf("want %d warnings and %d infos: %s", warnings, infos, log)
	}
}

// asks queries and checks the error.
func (w *world) asks(t *testing.T, token string, r auth.Resource, want error) {
	t.Helper()
	if _, err := w.query(t, token, r); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

// TestRights: that the gateway may not ask is told once, with what to grant,
// and once that it may again.
func TestRights(t *testing.T) {
	s, other := newServer(t), newServer(t)
	s.allowed["anna shop"], other.allowed["anna shop"] = true, true
	w := newWorld(dedicated(s.connect(t, "local")), dedicated(other.connect(t, "other")))
	answer := func(resource string, with http.HandlerFunc) {
		s.set(func() { s.answers[resource] = with })
	}
	forbidden := failure(403, `is forbidden: User "gate" cannot create it`)
	w.asks(t, annas, web, nil)
	w.told(t, 0, 0)
	answer("subjectaccessreviews", forbidden)
	for range 3 {
		w.asks(t, annas, admin, auth.ErrUnavailable)
	}
	w.told(t, 1, 0)
	// Another kind as well: that is in the advice already.
	answer("tokenreviews", forbidden)
	w.asks(t, bad, web, auth.ErrUnavailable)
	w.told(t, 1, 0)
	// One of them alone does not help, and an outage says nothing of rights.
	answer("tokenreviews", nil)
	w.asks(t, bad, web, auth.ErrInvalid)
	answer("subjectaccessreviews", failure(500, "no"))
	w.asks(t, annas, admin, auth.ErrUnavailable)
	answer("subjectaccessreviews", saying(201, `{}`))
	w.asks(t, annas, admin, auth.ErrUnavailable)
	w.told(t, 1, 0)
	answer("subjectaccessreviews", nil)
	for range 3 {
		w.asks(t, annas, admin, nil)
		w.asks(t, annas, at("local", "shop", "x"), nil)
	}
	w.told(t, 1, 1)
	if !strings.Contains(w.log(), `may ask the API server about Kubernetes tokens again" cluster=local`) {
		t.Error(w.log())
	}
	// From now on it is news again; of the other cluster it was none ever.
	answer("tokenreviews", forbidden)
	w.asks(t, bad+"2", web, auth.ErrUnavailable)
	w.told(t, 2, 1)
	w.asks(t, annas, at("other", "shop", "x"), nil)
	w.told(t, 2, 1)
}

// TestAdvice: the warning has what the API server said, without the token, and
// what to apply.
func TestAdvice(t *testing.T) {
	s := newServer(t)
	s.answers["tokenreviews"] = failure(403, `tokenreviews is forbidden: User "gate" cannot create it for `+annas)
	w := newWorld(dedicated(s.connect(t, "local")))
	w.asks(t, annas, web, auth.ErrUnavailable)
	for _, text := range []string{
		"the gateway may not ask the API server about Kubernetes tokens", "cluster=local", "tokenreviews is forbidden", `[redacted]`,
		`kind: ClusterRole\nmetadata:\n  name: \"promgate:review\"\nrules:\n` +
			`  - apiGroups: [\"authentication.k8s.io\"]\n    resources: [\"tokenreviews\"]\n    verbs: [\"create\"]\n` +
			`  - apiGroups: [\"authorization.k8s.io\"]\n    resources: [\"subjectaccessreviews\"]\n    verbs: [\"create\"]\n---\n`,
		`kind: ClusterRoleBinding\n`, `  - kind: ServiceAccount\n    name: \"promgate\"\n    namespace: \"gate\"\n`,
	} {
		if !strings.Contains(w.log(), text) {
			t.Errorf("%s is missing in\n%s", text, w.log())
		}
	}
}

// TestNobodyIsTold: neither a logger nor a metric is needed.
func TestNobodyIsTold(t *testing.T) {
	s := newServer(t)
	s.answers["tokenreviews"] = failure(403, "no")
	a := NewAuthenticator(Options{})
	a.SetClusters([]Cluster{dedicated(s.direct("local"))})
	id, err := a.Authenticate(t.Context(), auth.NewCredential(annas))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := id.Access.Query(t.Context(), web); !errors.Is(err, auth.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// remembered is an Authenticator that knows all that web needs.
func remembered(b *testing.B) (*Authenticator, auth.Credential) {
	s := newServer(b)
	token := jwt(`{"alg":"RS256","kid":"F5lbTZ6E5MdQ9wGYZ4mRkYgJq1X8yJ0Xo8S1y3n0cDk"}`) + strings.Repeat("x", 900)
	s.tokens[token], s.allowed["anna shop"] = "anna", true
	w := newWorld(dedicated(s.direct("local")))
	if _, err := w.query(b, token, web); err != nil {
		b.Fatal(err)
	}
	return w.Authenticator, auth.NewCredential(token)
}

// BenchmarkRemembered is all that a request with a token costs that was asked
// about a moment ago.
func BenchmarkRemembered(b *testing.B) {
	a, credential := remembered(b)
	b.ReportAllocs()
	for b.Loop() {
		if !a.Recognizes(credential) {
			b.Fatal("not recognized")
		}
		id, err := a.Authenticate(b.Context(), credential)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := id.Access.Query(b.Context(), web); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkQuery is the decision alone.
func BenchmarkQuery(b *testing.B) {
	a, credential := remembered(b)
	id, err := a.Authenticate(b.Context(), credential)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := id.Access.Query(b.Context(), web); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRecognizes is what every request costs, also one with a token of
// another kind.
func BenchmarkRecognizes(b *testing.B) {
	a, credential := remembered(b)
	b.ReportAllocs()
	for b.Loop() {
		if !a.Recognizes(credential) {
			b.Fatal("not recognized")
		}
	}
}
