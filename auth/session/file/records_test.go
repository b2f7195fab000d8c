package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promgate/promgate/auth/session"
)

func TestRestartKeepsSessions(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	a, attempt, odd := record("a"), record("attempt", ofOwner("")), record("odd", ofOwner("oidc:quotes ' and \x00 and é"))
	odd.Sealed = bytes.Repeat([]byte{0, 255}, 16<<10)
	create(t, s, a, attempt, odd, record("gone"), record("bert", ofOwner("local:bert")))
	a.Version, a.Sealed, a.SeenAt = "1", []byte("changed"), a.SeenAt.Add(time.Minute)
	if err := errors.Join(s.Replace(t.Context(), a), s.Delete(t.Context(), id("gone")), s.DeleteOwner(t.Context(), "local:bert")); err != nil {
		t.Fatal(err)
	}
	shut(t, s)

	s = open(t, Options{Dir: dir})
	have(t, s, "a", "attempt", "odd")
	a.Version, attempt.Version, odd.Version = "2", "1", "1"
	for _, want := range []session.Record{a, attempt, odd} {
		for what, get := range map[string]func(context.Context, string) (session.Record, error){"Get": s.Get, "Latest": s.Latest} {
			if got, err := get(t.Context(), want.ID); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: got %+v, %v; want %+v", what, got, err, want)
			}
		}
	}
	a.Version = "1"
	if err := s.Replace(t.Context(), a); !errors.Is(err, session.ErrConflict) {
		t.Errorf("a version of before the restart: %v", err)
	}
}

// TestOwnCopies: what callers do to their records afterwards is not kept.
func TestOwnCopies(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir()})
	r := record("a")
	create(t, s, r)
	r.Sealed[0] = 'X'
	if got, err := s.Get(t.Context(), r.ID); err != nil || string(got.Sealed) != "sealed a" {
		t.Errorf("got %q, %v", got.Sealed, err)
	}
}

func TestReplace(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir()})
	create(t, s, record("a"))
	for _, version := range []string{"", "0", "2", "x"} {
		if err := s.Replace(t.Context(), record("a", func(r *session.Record) { r.Version = version })); !errors.Is(err, session.ErrConflict) {
			t.Errorf("version %q: %v", version, err)
		}
	}
	if err := s.Replace(t.Context(), record("none")); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("what is not there: %v", err)
	}
	// Of many who have read the same one alone changes it; nobody makes it
	// somebody else's.
	var wait sync.WaitGroup
	var changed, refused atomic.Int64
	for i := range 50 {
		wait.Go(func() {
			err := s.Replace(context.Background(), record("a", ofOwner("local:mallory"), func(r *session.Record) { r.Version, r.Sealed = "1", []byte{byte(i)} }))
			switch {
			case err == nil:
				changed.Add(1)
			case errors.Is(err, session.ErrConflict):
				refused.Add(1)
			}
		})
	}
	wait.Wait()
	got, err := s.Get(t.Context(), id("a"))
	if changed.Load() != 1 || refused.Load() != 49 || err != nil || got.Version != "2" || got.Owner != "local:anna" {
		t.Errorf("%d changed it, %d were refused, which left %+v, %v", changed.Load(), refused.Load(), got, err)
	}
}

// TestDeleteOnce: of all who end a session one alone is told so.
func TestDeleteOnce(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir()})
	for round := range 20 {
		name := fmt.Sprint(round)
		create(t, s, record(name, ofOwner("")))
		var wait sync.WaitGroup
		var won, late atomic.Int64
		for range 10 {
			wait.Go(func() {
				switch err := s.Delete(context.Background(), id(name)); {
				case err == nil:
					won.Add(1)
				case errors.Is(err, session.ErrNotFound):
					late.Add(1)
				}
			})
		}
		wait.Wait()
		if won.Load() != 1 || late.Load() != 9 {
			t.Fatalf("%d were told that they ended it, %d that it was over", won.Load(), late.Load())
		}
	}
	have(t, s)
}

func TestDeleteOwner(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir()})
	create(t, s, record("a"), record("b"), record("attempt", ofOwner("")), record("bert", ofOwner("local:bert")), record("anna of another kind", ofOwner("oidc:anna")))
	for _, owner := range []string{"local:an", "local:ann%", "LOCAL:ANNA", "nobody"} {
		if err := s.DeleteOwner(t.Context(), owner); err != nil {
			t.Errorf("%s: %v", owner, err)
		}
	}
	if err := s.DeleteOwner(t.Context(), ""); err == nil {
		t.Error("the sign-ins under way were ended")
	}
	have(t, s, "a", "b", "attempt", "bert", "anna of another kind")
	if err := s.DeleteOwner(t.Context(), "local:anna"); err != nil {
		t.Error(err)
	}
	have(t, s, "attempt", "bert", "anna of another kind")
}

func TestCreateRefuses(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir()})
	create(t, s, record("a"))
	for want, r := range map[string]session.Record{
		"its id is taken":                     record("a", ofOwner("local:mallory")),
		"its id has 3 characters, and not 64": record("", func(r *session.Record) { r.ID = "abc" }),
		"it has no end":                       record("b", func(r *session.Record) { r.ExpiresAt = time.Time{} }),
	} {
		if err := s.Create(t.Context(), r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for what, err := range map[string]error{
		"create": s.Create(over, record("b")), "replace": s.Replace(over, record("a")),
		"delete": s.Delete(over, id("a")), "delete owner": s.DeleteOwner(over, "local:anna"),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s for a caller who has left: %v", what, err)
		}
	}
	have(t, s, "a")
	if got, err := s.Get(t.Context(), id("a")); err != nil || got.Owner != "local:anna" {
		t.Errorf("left %+v, %v", got, err)
	}
}

// TestBounds: there may be so many and no more, and sign-ins under way do not
// keep anybody out who is done with theirs.
func TestBounds(t *testing.T) {
	now := time.Now()
	s := open(t, Options{Dir: t.TempDir(), Now: func() time.Time { return now }})
	if s.maxSessions != 100_000 || s.maxAttempts != 10_000 {
		t.Errorf("bounds of %d and %d", s.maxSessions, s.maxAttempts)
	}
	s.maxSessions, s.maxAttempts = 3, 2
	short := endsAt(now.Add(time.Minute))
	create(t, s, record("1", short), record("x", ofOwner("")), record("2"), record("y", ofOwner(""), short))
	tooMany := func(r session.Record, want string) {
		t.Helper()
		err := s.Create(t.Context(), r)
		if err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrConflict) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	tooMany(record("z", ofOwner("")), "there are 2 sign-ins under way, which is as many as there may be")
	create(t, s, record("3"))
	tooMany(record("4"), "there are 3 sessions, which is as many as there may be")
	have(t, s, "1", "2", "3", "x", "y")

	now = now.Add(time.Minute) // room again, without Run
	create(t, s, record("4"), record("z", ofOwner("")))
	have(t, s, "2", "3", "4", "x", "z")
	if err := s.Delete(t.Context(), id("x")); err != nil {
		t.Error(err)
	}
	create(t, s, record("x again", ofOwner("")))
	tooMany(record("5"), "3 sessions")
}

// TestPrune: what has expired goes, from memory and from the database.
func TestPrune(t *testing.T) {
	dir := t.TempDir()
	stored := func(t *testing.T, s *Store) (n int) {
		t.Helper()
		if err := s.db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM sessions`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	synctest.Test(t, func(t *testing.T) {
		s := open(t, Options{Dir: dir})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		now := time.Now()
		create(t, s, record("soon", endsAt(now.Add(time.Minute))), record("attempt", ofOwner(""), endsAt(now.Add(time.Hour))),
			record("later", endsAt(now.Add(time.Hour+time.Second))), record("last", endsAt(now.Add(24*time.Hour))))
		<-time.After(59 * time.Minute)
		have(t, s, "soon", "attempt", "later", "last")
		<-time.After(time.Minute + time.Millisecond)
		synctest.Wait()
		have(t, s, "later", "last")
		if n := stored(t, s); n != 2 {
			t.Errorf("the database has %d", n)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		shut(t, s)
		<-time.After(time.Hour)
		s = open(t, Options{Dir: dir}) // removes at once
		have(t, s, "last")
		if n := stored(t, s); n != 1 {
			t.Errorf("the database has %d", n)
		}
	})
}

// TestAtOnce has everything happen at the same time, for the race detector, and
// compares memory and database afterwards.
func TestAtOnce(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			for j := range 25 {
				name, ctx := fmt.Sprint(i, " ", j), context.Background()
				if err := s.Create(ctx, record(name, ofOwner(fmt.Sprint("local:", j%5)))); err != nil {
					t.Error(err)
				}
				r, err := s.Get(ctx, id(name))
				if err == nil {
					r.SeenAt = r.SeenAt.Add(time.Second)
					err = s.Replace(ctx, r)
				}
				switch {
				case j%3 == 0:
					err = s.Delete(ctx, id(name))
				case j%7 == 0:
					err = s.DeleteOwner(ctx, fmt.Sprint("local:", i%5))
				}
				if err != nil && !errors.Is(err, session.ErrNotFound) {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	before := s.sessions
	shut(t, s)
	if after := open(t, Options{Dir: dir}); !reflect.DeepEqual(after.sessions, before) {
		t.Errorf("%d sessions in memory, %d in the database", len(before), len(after.sessions))
	}
}
