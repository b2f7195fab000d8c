package session

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promgate/promgate/auth"
)

// TestRefreshOnce: many requests at once ask the provider once. Who has waited
// goes on with what it said, in a copy of their own.
func TestRefreshOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := newRotating(time.Minute, 100*time.Millisecond)
		p.install(w)
		anna := w.signIn(p.first())
		w.want(anna, "oidc:anna")
		if w.oidc.refreshes.Load() != 0 {
			t.Error("refreshed before it was due")
		}
		for n := range 3 {
			pass(time.Minute)
			var wait sync.WaitGroup
			secrets := make([]Secret, 100)
			for i := range secrets {
				wait.Go(func() {
					s, err := w.Find(context.Background(), page(anna))
					if err != nil {
						t.Error(err)
						return
					}
					secrets[i], s.User.Secret = s.User.Secret, "one's own copy"
				})
			}
			wait.Wait()
			waited := 0
			for _, s := range secrets {
				if string(s) == fmt.Sprint(hidden, n+1) {
					waited++
				} else if string(s) != fmt.Sprint(hidden, n) { // who comes once it is claimed goes on
					t.Fatal("somebody goes on with what is neither the last nor the next")
				}
			}
			s, err := w.Find(t.Context(), page(anna))
			if err != nil || string(s.User.Secret) != fmt.Sprint(hidden, n+1) || waited == 0 {
				t.Errorf("got %v, %v; %d have waited", s, err, waited)
			}
			if got := w.oidc.refreshes.Load(); got != int64(n+1) {
				t.Errorf("%d refreshes, want %d", got, n+1)
			}
		}
	})
}

// TestRefreshOnOneReplica: also two replicas ask the provider once in total; the
// one that does not goes on meanwhile.
func TestRefreshOnOneReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := newRotating(time.Minute, 100*time.Millisecond)
		p.install(w)
		replicas := []*Manager{w.Manager, NewManager(w.Options), NewManager(w.Options)}
		anna := w.signIn(p.first())
		for n := range 20 {
			pass(time.Minute)
			var wait sync.WaitGroup
			for i := range 90 {
				wait.Go(func() {
					if _, err := replicas[i%3].Find(context.Background(), page(anna)); err != nil {
						t.Error(err)
					}
				})
			}
			wait.Wait()
			if got := w.oidc.refreshes.Load(); got != int64(n+1) || p.thefts > 0 {
				t.Fatalf("%d refreshes, want %d; %d thefts", got, n+1, p.thefts)
			}
		}
		w.want(anna, "oidc:anna")
	})
}

// TestRefreshAmongTouches: whoever notes a use at the same time is no reason to
// lose a new secret, nor to go on without it.
func TestRefreshAmongTouches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := newRotating(time.Minute, 0)
		p.install(w)
		anna := w.signIn(p.first())
		id := idOf(t, anna)
		for n := range 5 {
			pass(time.Minute)
			left := 2 * n // so often somebody is quicker
			w.store.set(func() {
				w.store.before = func(_ context.Context, call, _ string) {
					w.store.set(func() {
						if r := w.store.records[id]; call == "replace" && left > 0 {
							left--
							r.SeenAt = time.Now()
							w.store.put(r)
						}
					})
				}
			})
			s, err := w.Find(t.Context(), page(anna))
			if err != nil || string(s.User.Secret) != fmt.Sprint(hidden, n+1) || w.oidc.refreshes.Load() != int64(n+1) {
				t.Fatalf("after %d touches: %v, %d refreshes", 2*n, err, w.oidc.refreshes.Load())
			}
		}
		if p.thefts > 0 {
			t.Error("an old secret was used again")
		}
	})
}

// TestAlwaysQuicker: a store that never lets anybody write does not keep a
// request for ever.
func TestAlwaysQuicker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		newRotating(0, 0).install(w)
		anna := w.signIn(user(auth.KindOIDC, "anna"))
		id := idOf(t, anna)
		w.store.set(func() {
			w.store.before = func(_ context.Context, call, _ string) {
				if call == "replace" {
					pass(time.Second)
					w.store.set(func() { w.store.put(w.store.records[id]) })
				}
			}
		})
		began := time.Now()
		w.want(anna, auth.ErrUnavailable)
		if took := time.Since(began); took > refreshTimeout+storeTimeout {
			t.Errorf("it took %s", took)
		}
	})
}

// TestRefreshUnavailable: a provider that cannot be reached costs nobody their
// session, and the next request asks it again at once, on any replica.
func TestRefreshUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		second := NewManager(w.Options)
		p := newRotating(time.Minute, 0)
		p.install(w)
		works := w.oidc.refresh
		anna := w.signIn(p.first())
		pass(time.Minute)
		w.oidc.refresh = func(_ context.Context, u *User) (*User, error) {
			u.Secret = "spoiled" // the session's own stays as it was
			return nil, fmt.Errorf("%w: connection refused", auth.ErrUnavailable)
		}
		for n := range 3 {
			w.want(anna, auth.ErrUnavailable)
			_, err := second.Find(t.Context(), page(anna))
			wantError(t, "the other replica", err, auth.ErrUnavailable)
			if got := w.oidc.refreshes.Load(); got != int64(2*n+2) {
				t.Errorf("%d refreshes", got)
			}
		}
		// One that does not answer: it is given up, and the claim with it.
		w.oidc.refresh = func(ctx context.Context, _ *User) (*User, error) {
			<-ctx.Done()
			return nil, fmt.Errorf("%w: %w", auth.ErrUnavailable, ctx.Err())
		}
		began := time.Now()
		w.want(anna, auth.ErrUnavailable)
		if took := time.Since(began); took != refreshTimeout {
			t.Errorf("it took %s", took)
		}
		w.oidc.refresh = works
		s, err := second.Find(t.Context(), page(anna))
		if err != nil || s.User.Secret != hidden+"1" || p.thefts > 0 || w.logged.Len() > 0 {
			t.Errorf("got %v, %d thefts, logged %s", err, p.thefts, w.logged)
		}
	})
}

// TestRefreshTakesItsTime: what a provider said in the last moment is kept, for
// an old secret would be taken for stolen.
func TestRefreshTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		second := NewManager(w.Options)
		p := newRotating(time.Hour, refreshTimeout-1)
		p.install(w)
		anna := w.signIn(p.first())
		pass(time.Hour)
		w.store.set(func() { // the store is slow too
			w.store.before = func(_ context.Context, call, _ string) {
				if call == "replace" {
					pass(time.Second)
				}
			}
		})
		first := make(chan error, 1)
		go func() { _, err := w.Find(context.Background(), page(anna)); first <- err }()
		pass(refreshTimeout + time.Second/2) // the claim still holds
		if s, err := second.Find(t.Context(), page(anna)); err != nil || s.User.Secret != hidden+"0" {
			t.Errorf("meanwhile: %v", err)
		}
		must(t, <-first)
		if s, err := second.Find(t.Context(), page(anna)); err != nil || s.User.Secret != hidden+"1" || p.thefts > 0 {
			t.Errorf("got %v, %d thefts", err, p.thefts)
		}
	})
}

// TestClaimOfTheDead: where a replica dies while it refreshes, another does so
// later.
func TestClaimOfTheDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := newRotating(time.Minute, 0)
		p.install(w)
		anna := w.signIn(p.first())
		pass(time.Minute)
		k, err := parseKey(anna.Value)
		must(t, err)
		_, claimed, err := NewManager(w.Options).claim(t.Context(), k) // and no more was heard of it
		if err != nil || !claimed {
			t.Fatalf("claimed %t, %v", claimed, err)
		}
		w.want(anna, "oidc:anna")
		pass(refreshTimeout + storeTimeout - 1)
		w.want(anna, "oidc:anna")
		if n := w.oidc.refreshes.Load(); n != 0 {
			t.Errorf("%d refreshes while it was claimed", n)
		}
		pass(1)
		w.want(anna, "oidc:anna")
		if n := w.oidc.refreshes.Load(); n != 1 {
			t.Errorf("%d refreshes", n)
		}
	})
}

// TestRefreshEnds: whom the provider does not know any more, or knows as somebody
// else, has no session any more.
func TestRefreshEnds(t *testing.T) {
	for name, refresh := range map[string]func(context.Context, *User) (*User, error){
		"refused": func(context.Context, *User) (*User, error) {
			return nil, fmt.Errorf("%w: invalid_grant", auth.ErrInvalid)
		},
		"another name": func(context.Context, *User) (*User, error) { u := user(auth.KindOIDC, "mallory"); return &u, nil },
		"another kind": func(context.Context, *User) (*User, error) { u := user(auth.KindLocal, "anna"); return &u, nil },
		"over": func(context.Context, *User) (*User, error) {
			u := user(auth.KindOIDC, "anna")
			u.Until = time.Now()
			return &u, nil
		},
	} {
		w := newWorld(t)
		anna := w.signIn(user(auth.KindOIDC, "anna"))
		w.oidc.due, w.oidc.refresh = func(*User) bool { return true }, refresh
		w.want(anna, auth.ErrInvalid)
		w.oidc.due = nil
		w.want(anna, auth.ErrInvalid)
		if name != "over" && (len(w.store.owners()) != 0 || !strings.Contains(w.logged.String(), "a session ends, for its user may not stay")) {
			t.Errorf("%s: stored %v, logged %s", name, w.store.owners(), w.logged)
		}
	}
}

// TestRefreshChanges: groups and the end may change; the end comes no later.
func TestRefreshChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		anna := w.signIn(user(auth.KindOIDC, "anna"))
		end := time.Now().Add(24 * time.Hour)
		for _, test := range []struct{ until, want time.Time }{
			{time.Time{}, end}, {end.Add(time.Hour), end}, {end.Add(-time.Hour), end.Add(-time.Hour)}, {end, end.Add(-time.Hour)},
		} {
			w.oidc.due = func(u *User) bool { return !u.Until.Equal(test.until) || len(u.Groups) == 1 }
			w.oidc.refresh = func(_ context.Context, u *User) (*User, error) {
				next := *u
				next.Groups, next.Until = []string{"team", "other"}, test.until
				return &next, nil
			}
			s, err := w.Find(t.Context(), page(anna))
			if err != nil || len(s.User.Groups) != 2 || !s.ExpiresAt.Equal(test.want) {
				t.Errorf("got %v until %v, %v; want %v", s.User.Groups, s.ExpiresAt, err, test.want)
			}
		}
	})
}

// TestRefreshAndSignOut: a session that was ended while it was refreshed stays
// so.
func TestRefreshAndSignOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := newRotating(time.Minute, time.Second)
		p.install(w)
		anna := w.signIn(p.first())
		pass(time.Minute)
		result := make(chan error, 1)
		go func() { _, err := w.Find(context.Background(), page(anna)); result <- err }()
		pass(time.Second / 2)
		_, err := w.SignOut(t.Context(), page(anna), false)
		must(t, err)
		wantError(t, "the request that waited", <-result, auth.ErrInvalid)
		w.want(anna, auth.ErrInvalid)
		if len(w.store.owners()) != 0 {
			t.Errorf("stored %v", w.store.owners())
		}
	})
}

// TestRefreshStoreDown: without the store nobody asks the provider, who might
// give a secret that could not be kept.
func TestRefreshStoreDown(t *testing.T) {
	w := newWorld(t)
	anna := w.signIn(user(auth.KindOIDC, "anna"))
	w.oidc.due = func(*User) bool { return true }
	w.store.set(func() {
		w.store.before = func(_ context.Context, call, _ string) {
			if call == "replace" {
				w.store.set(func() { w.store.down = errors.New("the disk is full") })
			}
		}
	})
	w.want(anna, auth.ErrUnavailable)
	if n := w.oidc.refreshes.Load(); n != 0 {
		t.Errorf("%d refreshes", n)
	}
}

// TestLeaveWhileRefreshing: who does not wait is told so, and others get what
// comes.
func TestLeaveWhileRefreshing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := newRotating(time.Minute, time.Second)
		p.install(w)
		anna := w.signIn(p.first())
		pass(time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		_, err := w.Find(ctx, page(anna))
		wantError(t, "who does not wait", err, auth.ErrUnavailable)
		pass(time.Second)
		s, err := w.Find(t.Context(), page(anna))
		if err != nil || s.User.Secret != hidden+"1" {
			t.Errorf("who comes later: %v, %v", s, err)
		}
		if n := w.oidc.refreshes.Load(); n != 1 || p.thefts > 0 {
			t.Errorf("%d refreshes, %d thefts", n, p.thefts)
		}
	})
}
