package session

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promgate/promgate/auth"
)

// kept is what somebody keeps over another server's sign-in.
type kept struct{ State, Verifier string }

var some = kept{State: "state", Verifier: hidden + "verifier"}

func (w *world) begin() *http.Cookie {
	w.t.Helper()
	c, err := w.BeginAttempt(w.t.Context(), some)
	must(w.t, err)
	return w.know(c)
}

// take checks what comes of taking an attempt.
func (w *world) take(c *http.Cookie, want error) {
	w.t.Helper()
	var got kept
	gone, err := w.TakeAttempt(w.t.Context(), page(c), &got)
	wantError(w.t, "take", err, want)
	if err == nil && got != some || err != nil && got != (kept{}) {
		w.t.Errorf("got %+v beside %v", got, err)
	}
	if gone.Name != attemptName || gone.MaxAge >= 0 || gone.Value != "" {
		w.t.Errorf("got the cookie %s", gone)
	}
}

// TestAttempt: what is kept comes back to the same browser, once.
func TestAttempt(t *testing.T) {
	w := newWorld(t)
	first, second := w.begin(), w.begin()
	w.take(first, nil)
	w.take(first, auth.ErrInvalid)
	w.take(second, nil)
	w.take(&http.Cookie{Name: attemptName, Value: newKey().text()}, auth.ErrInvalid)
	w.take(&http.Cookie{Name: attemptName, Value: "x"}, auth.ErrInvalid)
	w.take(&http.Cookie{Name: "other", Value: "x"}, auth.ErrMissing)
	if got := w.store.owners(); len(got) != 0 {
		t.Errorf("stored %v", got)
	}
	// The other server leads back with a link, which is no request of the page.
	c := w.begin()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	must(t, err)
	r.AddCookie(c)
	var got kept
	if _, err := w.TakeAttempt(t.Context(), r, &got); err != nil || got != some {
		t.Errorf("got %+v, %v", got, err)
	}
	down := w.begin()
	w.store.set(func() { w.store.down = errors.New("connection refused") })
	w.take(down, auth.ErrUnavailable)
	w.store.set(func() { w.store.down = nil })
	w.take(down, nil)
}

// TestAttemptOnce: of all who come at once one alone gets it.
func TestAttemptOnce(t *testing.T) {
	w := newWorld(t)
	second := NewManager(w.Options) // another replica
	for range 20 {
		c := w.begin()
		var won, lost atomic.Int64
		var wait sync.WaitGroup
		for i := range 50 {
			wait.Go(func() {
				var got kept
				_, err := []*Manager{w.Manager, second}[i%2].TakeAttempt(context.Background(), page(c), &got)
				switch {
				case err == nil && got == some:
					won.Add(1)
				case errors.Is(err, auth.ErrInvalid) && got == (kept{}):
					lost.Add(1)
				}
			})
		}
		wait.Wait()
		if won.Load() != 1 || lost.Load() != 49 {
			t.Fatalf("%d got it, %d did not", won.Load(), lost.Load())
		}
	}
}

// TestAttemptExpires: whoever takes too long begins anew.
func TestAttemptExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		last, late := w.begin(), w.begin()
		pass(AttemptLifetime - 1)
		w.take(last, nil)
		pass(time.Nanosecond)
		w.take(late, auth.ErrInvalid)
		w.take(late, auth.ErrInvalid)
	})
}

// TestTwoKinds: a session is no attempt and goes on, and an attempt no session.
func TestTwoKinds(t *testing.T) {
	w := newWorld(t)
	anna, attempt := w.signIn(user(auth.KindLocal, "anna")), w.begin()
	w.take(&http.Cookie{Name: attemptName, Value: anna.Value}, auth.ErrInvalid)
	w.want(anna, "local:anna")
	w.want(&http.Cookie{Name: cookieName, Value: attempt.Value}, auth.ErrInvalid)
	w.take(attempt, nil)
	// Also not where what is kept looks like a session.
	alike, err := w.BeginAttempt(t.Context(), content{User: User{Kind: auth.KindLocal, Name: "anna"}})
	must(t, err)
	w.want(&http.Cookie{Name: cookieName, Value: w.know(alike).Value}, auth.ErrInvalid)
	// Also not where somebody has written the other's owner into the store.
	attempt = w.begin()
	w.store.set(func() {
		r := w.store.records[idOf(t, attempt)]
		r.Owner = "local:anna"
		w.store.records[r.ID] = r
		r = w.store.records[idOf(t, anna)]
		r.Owner = ""
		w.store.records[r.ID] = r
	})
	w.want(&http.Cookie{Name: cookieName, Value: attempt.Value}, auth.ErrInvalid)
	w.take(&http.Cookie{Name: attemptName, Value: anna.Value}, auth.ErrInvalid)
}
