package session

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promgate/promgate/auth"
)

// TestSignIn: the session is the browser's that got the cookie, and holds who
// was vouched for.
func TestSignIn(t *testing.T) {
	w := newWorld(t)
	anna, bert := w.signIn(user(auth.KindLocal, "anna")), w.signIn(user(auth.KindOIDC, "bert"))
	w.want(anna, "local:anna")
	w.want(bert, "oidc:bert")
	s, err := w.Find(t.Context(), page(anna))
	if err != nil || s.User.Secret != hidden+"anna" || !slices.Equal(s.User.Groups, []string{"team"}) || s.ExpiresAt.IsZero() {
		t.Errorf("got %+v, %v", s, err)
	}
	if got := w.store.owners(); !slices.Equal(got, []string{"local:anna", "oidc:bert"}) {
		t.Errorf("stored %v", got)
	}
	_, _, err = w.SignIn(t.Context(), page(), user("ldap", "anna"))
	wantError(t, "a kind that nobody knows", err, auth.ErrInvalid)
	w.want(&http.Cookie{Name: cookieName, Value: newKey().text()}, auth.ErrInvalid)
}

// TestFixation: a cookie that somebody knew before the sign-in opens nothing
// after it, and the session that it was of is over.
func TestFixation(t *testing.T) {
	w := newWorld(t)
	mallory := w.signIn(user(auth.KindLocal, "mallory"))
	planted := &http.Cookie{Name: cookieName, Value: newKey().text()}
	for _, before := range []*http.Cookie{mallory, planted} {
		after := w.signIn(user(auth.KindLocal, "anna"), before)
		if after.Value == before.Value {
			t.Error("the cookie is the one of before")
		}
		w.want(before, auth.ErrInvalid)
		w.want(after, "local:anna")
	}
	if got := w.store.owners(); !slices.Equal(got, []string{"local:anna", "local:anna"}) {
		t.Errorf("stored %v", got)
	}
	// Several cookies are none, and nothing of theirs ends.
	other := w.signIn(user(auth.KindLocal, "bert"))
	w.signIn(user(auth.KindLocal, "anna"), other, planted)
	w.want(other, "local:bert")
	// A sign-in does not fail where the session of before cannot be ended.
	w.store.set(func() {
		w.store.before = func(_ context.Context, call, _ string) {
			if call == "delete" {
				w.store.set(func() { w.store.down = errors.New("the disk is full") })
			}
		}
	})
	after := w.signIn(user(auth.KindLocal, "anna"), other)
	w.store.set(func() { w.store.down, w.store.before = nil, nil })
	w.want(after, "local:anna")
	if !strings.Contains(w.logged.String(), "the browser's session from before could not be ended") {
		t.Errorf("logged %s", w.logged)
	}
}

// TestLifetimes: a session ends when it was not used for a while, and after its
// lifetime however much it was.
func TestLifetimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		if w.Idle != 8*time.Hour || w.Lifetime != 24*time.Hour {
			t.Errorf("idle %s, lifetime %s", w.Idle, w.Lifetime)
		}
		used, unused := w.signIn(user(auth.KindLocal, "anna")), w.signIn(user(auth.KindLocal, "bert"))
		for range 3 {
			pass(7*time.Hour + 59*time.Minute)
			w.want(used, "local:anna")
			synctest.Wait()
		}
		w.want(unused, auth.ErrInvalid)
		pass(3*time.Minute - time.Nanosecond)
		w.want(used, "local:anna")
		pass(time.Nanosecond)
		w.want(used, auth.ErrInvalid)

		idle := w.signIn(user(auth.KindLocal, "anna"))
		pass(8 * time.Hour)
		w.want(idle, "local:anna")
		synctest.Wait()
		pass(8*time.Hour + 1)
		w.want(idle, auth.ErrInvalid)
	})
}

// TestUntil: a session ends with what its user has signed in with.
func TestUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		short, long, over := user(auth.KindLocal, "anna"), user(auth.KindLocal, "bert"), user(auth.KindLocal, "carl")
		short.Until, long.Until, over.Until = time.Now().Add(time.Hour), time.Now().Add(48*time.Hour), time.Now()
		first, second := w.signIn(short), w.signIn(long)
		_, _, err := w.SignIn(t.Context(), page(), over)
		wantError(t, "it is over already", err, auth.ErrInvalid)
		if s, err := w.Find(t.Context(), page(first)); err != nil || !s.ExpiresAt.Equal(short.Until) {
			t.Errorf("got %+v, %v", s, err)
		}
		if s, err := w.Find(t.Context(), page(second)); err != nil || !s.ExpiresAt.Equal(time.Now().Add(24*time.Hour)) {
			t.Errorf("got %+v, %v", s, err)
		}
		pass(time.Hour - 1)
		w.want(first, "local:anna")
		pass(1)
		w.want(first, auth.ErrInvalid)
		w.want(second, "local:bert")
	})
}

// TestSignOut: this session, or all of the same user.
func TestSignOut(t *testing.T) {
	w := newWorld(t)
	anna, annas, bert := w.signIn(user(auth.KindLocal, "anna")), w.signIn(user(auth.KindLocal, "anna")), w.signIn(user(auth.KindLocal, "bert"))
	namesake := w.signIn(user(auth.KindOIDC, "anna"))
	out := func(c *http.Cookie, everywhere bool, want error) {
		t.Helper()
		gone, err := w.SignOut(t.Context(), page(c), everywhere)
		wantError(t, "sign out", err, want)
		if gone.Name != cookieName || gone.MaxAge >= 0 || gone.Value != "" {
			t.Errorf("got the cookie %s", gone)
		}
	}
	out(anna, false, nil)
	w.want(anna, auth.ErrInvalid)
	w.want(annas, "local:anna")
	out(anna, false, nil) // once more is no fault
	out(anna, true, auth.ErrInvalid)
	w.want(annas, "local:anna")
	again := w.signIn(user(auth.KindLocal, "anna"))
	out(again, true, nil)
	w.want(again, auth.ErrInvalid)
	w.want(annas, auth.ErrInvalid)
	w.want(bert, "local:bert")
	w.want(namesake, "oidc:anna")
	out(&http.Cookie{Name: cookieName, Value: "x"}, true, nil) // the cookie goes

	attempt, err := w.BeginAttempt(t.Context(), "kept")
	must(t, err)
	attempt.Name = cookieName
	out(w.know(attempt), true, auth.ErrInvalid)
	w.store.set(func() { w.store.down = errors.New("the disk is full") })
	out(bert, false, auth.ErrUnavailable)
	out(bert, true, auth.ErrUnavailable)
	w.store.set(func() { w.store.down = nil })
	w.want(bert, "local:bert")
}

// TestProviderEnds: whom a provider does not let stay has no session any more;
// whom it cannot tell of keeps it.
func TestProviderEnds(t *testing.T) {
	w := newWorld(t)
	anna := w.signIn(user(auth.KindLocal, "anna"))
	w.local.resume = func(*User) error { return fmt.Errorf("%w: the users file is being read", auth.ErrUnavailable) }
	w.want(anna, auth.ErrUnavailable)
	w.local.resume = nil
	w.want(anna, "local:anna")
	w.local.resume = func(*User) error { return fmt.Errorf("%w: anna was removed", auth.ErrInvalid) }
	w.want(anna, auth.ErrInvalid)
	w.local.resume = nil
	w.want(anna, auth.ErrInvalid)
	if got := w.store.owners(); len(got) != 0 {
		t.Errorf("stored %v", got)
	}

	// A kind that is no longer configured: the session may be good again later.
	bert := w.signIn(user(auth.KindLocal, "bert"))
	delete(w.Providers, auth.KindLocal)
	w.want(bert, auth.ErrInvalid)
	w.Providers[auth.KindLocal] = w.local
	w.want(bert, "local:bert")
}

// TestStoreDown: a store that cannot be reached is no reason to say that nobody
// is signed in.
func TestStoreDown(t *testing.T) {
	w := newWorld(t)
	anna := w.signIn(user(auth.KindLocal, "anna"))
	w.store.set(func() { w.store.down = errors.New("connection refused") })
	w.want(anna, auth.ErrUnavailable)
	_, _, err := w.SignIn(t.Context(), page(), user(auth.KindLocal, "anna"))
	wantError(t, "sign in", err, auth.ErrUnavailable)
	_, err = w.BeginAttempt(t.Context(), "kept")
	wantError(t, "begin", err, auth.ErrUnavailable)
	w.store.set(func() { w.store.down = nil })
	w.want(anna, "local:anna")

	synctest.Test(t, func(t *testing.T) { // a store that does not answer
		w := newWorld(t)
		anna := w.signIn(user(auth.KindLocal, "anna"))
		began := time.Now()
		w.store.set(func() { w.store.before = func(ctx context.Context, _, _ string) { <-ctx.Done() } })
		w.want(anna, auth.ErrUnavailable)
		if took := time.Since(began); took != storeTimeout {
			t.Errorf("it took %s", took)
		}
	})
}

// TestTouch: a use is noted at most once a sixteenth of the idle time, also where
// there are many at once.
func TestTouch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.Idle = 16 * time.Minute })
		anna := w.signIn(user(auth.KindLocal, "anna"))
		w.store.count("put")
		writes := 0
		began := time.Now()
		for time.Since(began) < time.Hour {
			for range 10 {
				w.want(anna, "local:anna")
			}
			synctest.Wait()
			writes += w.store.count("put")
			pass(5 * time.Second)
		}
		if writes < 55 || writes > 60 {
			t.Errorf("%d writes in an hour, of one a minute at most", writes)
		}
		// A slow store is written to once for all who wait for it.
		pass(time.Minute)
		w.store.count("replace")
		w.store.set(func() {
			w.store.before = func(_ context.Context, call, _ string) {
				if call == "replace" {
					pass(time.Second)
				}
			}
		})
		for range 50 {
			w.want(anna, "local:anna")
		}
		pass(time.Minute)
		if n := w.store.count("replace"); n != 1 {
			t.Errorf("%d writes at once", n)
		}
		// It does not matter whether it can be noted, but for the log.
		w.store.set(func() {
			w.store.before = func(_ context.Context, call, id string) {
				if call == "replace" {
					_ = w.store.Delete(context.Background(), id)
				}
			}
		})
		w.want(anna, "local:anna")
		synctest.Wait()
		if w.logged.Len() > 0 {
			t.Errorf("logged %s", w.logged)
		}
		w.want(anna, auth.ErrInvalid)
	})
}

// TestTouchFails: it is said, and the request goes on.
func TestTouchFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		anna := w.signIn(user(auth.KindLocal, "anna"))
		pass(time.Hour)
		w.store.set(func() {
			w.store.before = func(_ context.Context, call, _ string) {
				if call == "replace" {
					w.store.set(func() { w.store.down = errors.New("the disk is full") })
				}
			}
		})
		w.want(anna, "local:anna")
		synctest.Wait()
		if !strings.Contains(w.logged.String(), "the last use of a session could not be noted") || !strings.Contains(w.logged.String(), "local:anna") {
			t.Errorf("logged %s", w.logged)
		}
	})
}
