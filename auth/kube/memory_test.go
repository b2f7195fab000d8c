package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promgate/promgate/auth"
)

// TestRemembered: how long each answer is.
func TestRemembered(t *testing.T) {
	both := []auth.Resource{web, admin}
	cases := map[string]struct {
		user   bool
		change func(*server)
		ask    func(*testing.T, *world) error
		want   error
		until  time.Duration // zero: not at all
	}{
		"allowed":       {change: func(s *server) { s.allowed["anna shop"] = true }, ask: queryWeb, until: PositiveFor},
		"not allowed":   {ask: queryWeb, want: auth.ErrForbidden, until: NegativeFor},
		"bad token":     {change: func(s *server) { s.tokens = nil }, ask: queryWeb, want: auth.ErrInvalid, until: NegativeFor},
		"good anywhere": {user: true, ask: queryZero, want: auth.ErrForbidden, until: PositiveFor},
		"bad anywhere":  {user: true, change: func(s *server) { s.tokens = nil }, ask: queryZero, want: auth.ErrInvalid, until: NegativeFor},
		"all rules":     {user: true, change: func(s *server) { s.rules["shop"] = rules(false, rule(`"*"`, `"*"`, `"*"`, ``)) }, ask: listOf(both), until: PositiveFor},
		"some rules":    {user: true, change: func(s *server) { s.rules["shop"] = rules(false, rule(`"*"`, `"*"`, `"*"`, `"x"`)) }, ask: listOf(both), until: NegativeFor},
		"no rules":      {user: true, ask: listOf(both), until: NegativeFor},
		"by name":       {user: true, change: func(s *server) { s.rules["shop"] = rules(true) }, ask: listOf(both), until: NegativeFor},
		"namespace":     {change: func(s *server) { s.allowed["anna shop"] = true }, ask: listOf(both), until: PositiveFor},
		"no namespace":  {ask: listOf(both), until: NegativeFor},
		"error":         {change: func(s *server) { s.answers["tokenreviews"] = failure(500, "no") }, ask: queryWeb, want: auth.ErrUnavailable},
		"second error":  {change: func(s *server) { s.answers["subjectaccessreviews"] = failure(500, "no") }, ask: queryWeb, want: auth.ErrUnavailable},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t)
				if c.change != nil {
					c.change(s)
				}
				cluster := dedicated(s.direct("local"))
				cluster.UserCredentials = c.user
				w := newWorld(cluster)
				ask := func(again bool) {
					t.Helper()
					if err := c.ask(t, w); !errors.Is(err, c.want) {
						t.Errorf("got %v, want %v", err, c.want)
					}
					if asked := s.take(); (asked != "") != again {
						t.Errorf("asked %q", asked)
					}
				}
				ask(true)
				if c.until == 0 {
					ask(true)
					return
				}
				pass(c.until)
				ask(false)
				pass(time.Millisecond)
				ask(true)
				ask(false)
			})
		})
	}
}

func queryWeb(t *testing.T, w *world) error { _, err := w.query(t, annas, web); return err }
func queryZero(t *testing.T, w *world) error {
	_, err := w.query(t, annas, auth.Resource{})
	return err
}
func listOf(all []auth.Resource) func(*testing.T, *world) error {
	return func(t *testing.T, w *world) error { _, err := w.list(t, annas, all...); return err }
}

// TestRevoked: what an API server takes away is gone within 10 seconds, however
// slowly it answers, and whatever was asked in between.
func TestRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.allowed["anna shop"] = true
		w := newWorld(dedicated(s.direct("local")))
		s.answers["tokenreviews"] = func(w http.ResponseWriter, r *http.Request) {
			pass(time.Second)
			tokenStatus(`{"authenticated":true,"user":{"username":"anna"},"audiences":["promgate"]}`)(w, r)
		}
		s.answers["subjectaccessreviews"] = func(w http.ResponseWriter, r *http.Request) {
			pass(time.Second)
			accessStatus(`{"allowed":true}`)(w, r)
		}
		if err := queryWeb(t, w); err != nil {
			t.Fatal(err)
		}
		s.set(func() { s.answers, s.allowed = map[string]http.HandlerFunc{}, nil })
		pass(8 * time.Second)
		if err := queryWeb(t, w); err != nil {
			t.Errorf("after 10 seconds: %v", err)
		}
		pass(time.Millisecond)
		if err := queryWeb(t, w); !errors.Is(err, auth.ErrForbidden) {
			t.Errorf("after more than 10 seconds: %v", err)
		}
		// A decision is for the groups that the token had: it ends with these.
		s.set(func() { s.allowed = map[string]bool{"anna shop": true} })
		pass(9 * time.Second)
		if err := queryWeb(t, w); err != nil {
			t.Error(err)
		}
		s.set(func() { s.tokens[annas], s.seen = "berta", nil })
		pass(time.Second + 10*time.Millisecond)
		if id, err := w.query(t, annas, web); id != "berta" || !errors.Is(err, auth.ErrForbidden) {
			t.Errorf("got %s, %v", id, err)
		}
		s.want(t, "subjectaccessreviews shop/http:prometheus:web, tokenreviews")
	})
}

// TestBurst: however many ask the same at once, the API server is asked once.
func TestBurst(t *testing.T) {
	for mode, want := range map[string]string{"dedicated": "tokenreviews", "user": "selfsubjectreviews"} {
		s := newServer(t)
		cluster := dedicated(s.connect(t, "local"))
		cluster.UserCredentials = mode == "user"
		w := newWorld(cluster)
		var callers sync.WaitGroup
		for i := range 200 {
			callers.Go(func() {
				var err error
				if i%2 == 0 {
					_, err = w.query(t, bad, auth.Resource{})
				} else {
					_, err = w.list(t, bad, web, admin)
				}
				if !errors.Is(err, auth.ErrInvalid) {
					t.Errorf("got %v", err)
				}
			})
		}
		callers.Wait()
		s.want(t, want)
	}
	s := newServer(t)
	s.allowed["anna shop"] = true
	w := newWorld(dedicated(s.connect(t, "local")))
	var callers sync.WaitGroup
	for range 200 {
		callers.Go(func() {
			if id, err := w.query(t, annas, web); id != "anna" || err != nil {
				t.Errorf("got %s, %v", id, err)
			}
		})
	}
	callers.Wait()
	s.want(t, "subjectaccessreviews shop/http:prometheus:web, tokenreviews")
}

// TestLanded: who asks just after an answer came does not have it asked for
// again, and what failed leaves nothing behind.
func TestLanded(t *testing.T) {
	m, q := newMemory[verdict](), question{name: "x"}
	if _, err := m.ask(t.Context(), q, func() (answer[verdict], error) { return answer[verdict]{}, auth.ErrUnavailable }); !errors.Is(err, auth.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if m.answers.Len() != 0 {
		t.Error("an error is remembered")
	}
	asked := 0
	for range 2 {
		a, err := m.ask(t.Context(), q, func() (answer[verdict], error) {
			asked++
			return answer[verdict]{value: verdict{reason: "x"}, until: time.Now().Add(time.Hour)}, nil
		})
		if err != nil || a.value.reason != "x" {
			t.Errorf("got %v, %v", a, err)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

// TestFlood: a flood of different tokens, and of different names, leaves no more
// behind than was decided on.
func TestFlood(t *testing.T) {
	connection := newServer(t).direct("local")
	connection.Transport = wire{token: own, handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		switch {
		case strings.HasSuffix(r.URL.Path, "/subjectaccessreviews"):
			accessStatus(`{"allowed":false}`)(w, r)
		case strings.Contains(string(text), bad):
			tokenStatus(`{"error":"unknown"}`)(w, r)
		default:
			tokenStatus(`{"authenticated":true,"user":{"username":"anna"},"audiences":["promgate"]}`)(w, r)
		}
	})}
	w := newWorld(dedicated(connection))
	access := w.access(t, annas)
	var callers sync.WaitGroup
	for worker := range 4 {
		callers.Go(func() {
			for i := range 5000 {
				r := web
				r.Name = fmt.Sprint(worker, i)
				if _, err := access.Query(t.Context(), r); !errors.Is(err, auth.ErrForbidden) {
					t.Errorf("got %v", err)
				}
				if _, err := w.access(t, fmt.Sprint(bad, worker, i)).Query(t.Context(), web); !errors.Is(err, auth.ErrInvalid) {
					t.Errorf("got %v", err)
				}
			}
		})
	}
	callers.Wait()
	c := w.set()["local"]
	if tokens, access := c.tokens.answers.Len(), c.access.answers.Len(); tokens != MaxRemembered || access != MaxRemembered {
		t.Errorf("%d tokens and %d decisions are remembered", tokens, access)
	}
}

// TestLeaving: a caller who leaves harms nobody, and the answer is not lost.
func TestLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.allowed["anna shop"] = true
		s.answers["tokenreviews"] = func(w http.ResponseWriter, r *http.Request) {
			pass(2 * time.Second)
			tokenStatus(`{"authenticated":true,"user":{"username":"anna"},"audiences":["promgate"]}`)(w, r)
		}
		w := newWorld(dedicated(s.direct("local")))
		var others sync.WaitGroup
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		others.Go(func() {
			pass(500 * time.Millisecond)
			if id, err := w.query(t, annas, web); id != "anna" || err != nil {
				t.Errorf("who stays: %s, %v", id, err)
			}
		})
		began := time.Now()
		_, err := w.access(t, annas).Query(ctx, web)
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, auth.ErrUnavailable) || time.Since(began) != time.Second {
			t.Errorf("who leaves: %v after %s", err, time.Since(began))
		}
		others.Wait()
		s.want(t, "subjectaccessreviews shop/http:prometheus:web, tokenreviews")

		ctx, cancel = context.WithCancel(t.Context())
		cancel()
		if _, err := w.access(t, bad).Query(ctx, auth.Resource{}); !errors.Is(err, context.Canceled) {
			t.Errorf("who has left: %v", err)
		}
		if id, err := w.access(t, annas).Query(ctx, web); id.ID != "anna" || err != nil {
			t.Errorf("what is remembered needs no waiting: %v, %v", id, err)
		}
		pass(3 * time.Second)
		s.want(t, "tokenreviews")
	})
}

// TestHanging: a review is given up after its time, and that is no matter of
// the caller's deadline.
func TestHanging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.answers["tokenreviews"], s.answers["selfsubjectreviews"] = hang, hang
		w := newWorld(dedicated(s.direct("local")), user(s.direct("other")))
		for _, r := range []auth.Resource{web, {}} {
			began := time.Now()
			_, err := w.query(t, annas, r)
			if !errors.Is(err, auth.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || time.Since(began) != ReviewTimeout ||
				!strings.Contains(err.Error(), "did not answer within 3s") {
				t.Errorf("got %v after %s", err, time.Since(began))
			}
		}
		// One that is good elsewhere waits for nobody.
		s.set(func() { delete(s.answers, "selfsubjectreviews") })
		began := time.Now()
		if _, err := w.query(t, annas, auth.Resource{}); !errors.Is(err, auth.ErrForbidden) || time.Since(began) != 0 {
			t.Errorf("got %v after %s", err, time.Since(began))
		}
		pass(ReviewTimeout)
	})
}

// TestAtOnce: an API server has no more reviews to answer at once than it may,
// those that wait for their turn wait no longer than a review, and no more of
// them wait than may.
func TestAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		var now, most atomic.Int32
		s.answers["tokenreviews"] = func(_ http.ResponseWriter, r *http.Request) {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			<-r.Context().Done()
		}
		w := newWorld(dedicated(s.direct("local")))
		var callers sync.WaitGroup
		var busy atomic.Int32
		began := time.Now()
		for i := range MaxWaiting {
			callers.Go(func() {
				_, err := w.access(t, fmt.Sprint(bad, i)).Query(t.Context(), web)
				if !errors.Is(err, auth.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || time.Since(began) != ReviewTimeout {
					t.Errorf("got %v after %s", err, time.Since(began))
				}
				if strings.Contains(err.Error(), "had 64 other reviews to answer") {
					busy.Add(1)
				}
			})
		}
		synctest.Wait()
		if _, err := w.query(t, bad, web); !errors.Is(err, auth.ErrUnavailable) || !strings.Contains(err.Error(), "4096 reviews wait") || time.Since(began) != 0 {
			t.Errorf("got %v after %s", err, time.Since(began))
		}
		callers.Wait()
		if most.Load() != MaxReviews || busy.Load() < MaxWaiting/2 {
			t.Errorf("%d at once, %d waited in vain", most.Load(), busy.Load())
		}
		s.set(func() { s.answers = nil })
		if _, err := w.query(t, bad, web); !errors.Is(err, auth.ErrInvalid) {
			t.Errorf("afterwards: %v", err)
		}
	})
}
