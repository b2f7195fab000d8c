package session

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promgate/promgate/auth"
)

// rotating is a provider that gives a new secret at each refresh, and takes the
// use of an old one for theft: then nobody stays.
type rotating struct {
	mu      sync.Mutex
	current Secret
	serial  int
	thefts  int
	every   time.Duration
	takes   time.Duration
	since   map[Secret]time.Time
}

func newRotating(every, takes time.Duration) *rotating {
	first := Secret(hidden + "0")
	return &rotating{current: first, every: every, takes: takes, since: map[Secret]time.Time{first: time.Now()}}
}

func (p *rotating) install(w *world) {
	w.oidc.due = func(u *User) bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return time.Since(p.since[u.Secret]) >= p.every
	}
	w.oidc.refresh = func(_ context.Context, u *User) (*User, error) {
		p.mu.Lock()
		if u.Secret != p.current {
			p.thefts++
			p.mu.Unlock()
			return nil, fmt.Errorf("%w: the secret was used before", auth.ErrInvalid)
		}
		p.serial++
		p.current = Secret(fmt.Sprint(hidden, p.serial))
		p.since[p.current] = time.Now()
		next := *u
		next.Secret = p.current
		p.mu.Unlock()
		pass(p.takes) // the answer is on its way
		return &next, nil
	}
}

func (p *rotating) first() User {
	u := user(auth.KindOIDC, "anna")
	u.Secret = p.current
	return u
}

// TestSecretBesideError: what a provider gave in place of what is spent is kept,
// although it then could not say who the user is; but never for somebody else.
func TestSecretBesideError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.oidc.due = func(u *User) bool { return u.Secret != hidden+"done" }
		var asked []Secret
		answers := []User{{Secret: hidden + "1"}, {Secret: hidden + "2", Name: "boris"}, {Secret: hidden + "done"}}
		w.oidc.refresh = func(_ context.Context, u *User) (*User, error) {
			asked = append(asked, u.Secret)
			next := *u
			next.Secret = answers[len(asked)-1].Secret
			if other := answers[len(asked)-1].Name; other != "" {
				next.Name = other
			}
			if len(asked) < len(answers) {
				return &next, fmt.Errorf("%w: half an answer", auth.ErrUnavailable)
			}
			return &next, nil
		}
		first := user(auth.KindOIDC, "anna")
		first.Secret = hidden + "0"
		anna := w.signIn(first)
		w.want(anna, auth.ErrUnavailable)
		w.want(anna, auth.ErrUnavailable)
		w.want(anna, "oidc:anna")
		if got := fmt.Sprintf("%q", []string{string(asked[0]), string(asked[1]), string(asked[2])}); got != `["hunter2-0" "hunter2-1" "hunter2-1"]` {
			t.Errorf("asked with %s", got)
		}
	})
}
