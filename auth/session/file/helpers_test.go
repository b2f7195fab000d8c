package file

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"time"

	"github.com/promgate/promgate/auth/session"
)

// open opens a store that is closed at the test's end.
func open(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, s) })
	return s
}

// shut closes a store, unless it is closed already.
func shut(t testing.TB, s *Store) {
	t.Helper()
	if s.db == nil {
		return
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	s.db = nil
}

// id is the id of a session in these tests.
func id(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])
}

// record is one of anna's sessions, which ends in an hour.
func record(name string, changes ...func(*session.Record)) session.Record {
	now := time.Now().UTC()
	r := session.Record{ID: id(name), Owner: "local:anna", Sealed: []byte("sealed " + name), SeenAt: now, ExpiresAt: now.Add(time.Hour)}
	for _, change := range changes {
		change(&r)
	}
	return r
}

func ofOwner(owner string) func(*session.Record) { return func(r *session.Record) { r.Owner = owner } }

func endsAt(at time.Time) func(*session.Record) {
	return func(r *session.Record) { r.ExpiresAt = at.UTC() }
}

func create(t testing.TB, s *Store, records ...session.Record) {
	t.Helper()
	for _, r := range records {
		if err := s.Create(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
}

// have checks which sessions there are, of all those that the test names.
func have(t testing.TB, s *Store, want ...string) {
	t.Helper()
	s.mu.RLock()
	defer s.mu.RUnlock()
	attempts := 0
	for _, r := range s.sessions {
		if r.Owner == "" {
			attempts++
		}
	}
	if len(s.sessions) != len(want) || s.attempts != attempts {
		t.Errorf("%d sessions, %d attempts counted; want %d and %d", len(s.sessions), s.attempts, len(want), attempts)
	}
	for _, name := range want {
		if _, found := s.sessions[id(name)]; !found {
			t.Errorf("%s is missing", name)
		}
	}
}
