package file

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/promgate/promgate/auth/session"
)

// Get returns a session from memory.
func (s *Store) Get(_ context.Context, id string) (session.Record, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, found := s.sessions[id]
	if !found {
		return session.Record{}, session.ErrNotFound
	}
	return r, nil
}

// Latest is Get: nobody else changes the sessions.
func (s *Store) Latest(ctx context.Context, id string) (session.Record, error) { return s.Get(ctx, id) }

// Create keeps a new session. It refuses an id that is taken, and one more than
// MaxSessions or MaxAttempts.
func (s *Store) Create(ctx context.Context, r session.Record) error {
	switch {
	case len(r.ID) != 64:
		return fmt.Errorf("store a session: its id has %d characters, and not 64", len(r.ID))
	case r.ExpiresAt.IsZero():
		return errors.New("store a session: it has no end")
	}
	return s.change(ctx, func(ctx context.Context) error {
		if _, err := s.Get(ctx, r.ID); err == nil {
			return errors.New("store a session: its id is taken")
		}
		if err := s.makeRoom(ctx, r.Owner == ""); err != nil {
			return fmt.Errorf("store a session: %w", err)
		}
		r = tidied(r, 1)
		_, err := s.db.ExecContext(ctx, `INSERT INTO sessions (id, owner, sealed, seen_at, expires_at, version) VALUES (?,?,?,?,?,1)`,
			r.ID, r.Owner, r.Sealed, r.SeenAt.UnixNano(), r.ExpiresAt.UnixNano())
		if err != nil {
			return fmt.Errorf("store a session: %w", s.explain(err))
		}
		s.keep(r)
		return nil
	})
}

// Replace changes a session if it is still of that Version.
func (s *Store) Replace(ctx context.Context, r session.Record) error {
	return s.change(ctx, func(ctx context.Context) error {
		before, err := s.Get(ctx, r.ID)
		if err != nil {
			return err
		}
		if r.Version != before.Version {
			return session.ErrConflict
		}
		version, err := strconv.ParseInt(before.Version, 10, 64)
		if err != nil {
			return fmt.Errorf("change a session: %w", err)
		}
		r = tidied(r, version+1)
		r.Owner = before.Owner // a session does not become somebody else's
		_, err = s.db.ExecContext(ctx, `UPDATE sessions SET sealed = ?, seen_at = ?, expires_at = ?, version = ? WHERE id = ?`,
			r.Sealed, r.SeenAt.UnixNano(), r.ExpiresAt.UnixNano(), version+1, r.ID)
		if err != nil {
			return fmt.Errorf("change a session: %w", s.explain(err))
		}
		s.keep(r)
		return nil
	})
}

// Delete ends a session.
func (s *Store) Delete(ctx context.Context, id string) error {
	return s.change(ctx, func(ctx context.Context) error {
		r, err := s.Get(ctx, id)
		if err != nil {
			return err
		}
		if _, err := s.db.ExecContext(ctx, `DELETE FROM sessions WHERE id = ?`, id); err != nil {
			return fmt.Errorf("end a session: %w", s.explain(err))
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.forget(r)
		return nil
	})
}

// DeleteOwner ends all sessions of somebody. Sign-ins under way are nobody's.
func (s *Store) DeleteOwner(ctx context.Context, owner string) error {
	if owner == "" {
		return errors.New("end all sessions of somebody: it is not said of whom")
	}
	return s.change(ctx, func(ctx context.Context) error {
		if _, err := s.db.ExecContext(ctx, `DELETE FROM sessions WHERE owner = ?`, owner); err != nil {
			return fmt.Errorf("end all sessions of %s: %w", owner, s.explain(err))
		}
		s.drop(func(r *session.Record) bool { return r.Owner == owner })
		return nil
	})
}

// prune removes what has expired.
func (s *Store) prune(ctx context.Context) error {
	now := s.now()
	if _, err := s.db.ExecContext(ctx, `DELETE FROM sessions WHERE expires_at <= ?`, now.UnixNano()); err != nil {
		return fmt.Errorf("remove expired sessions: %w", s.explain(err))
	}
	s.drop(func(r *session.Record) bool { return !now.Before(r.ExpiresAt) })
	return nil
}

// makeRoom fails where there are as many as there may be, also without those
// that have expired.
func (s *Store) makeRoom(ctx context.Context, attempt bool) error {
	if s.room(attempt) {
		return nil
	}
	if s.anyExpired() { // else every try would write
		if err := s.prune(ctx); err != nil {
			return err
		}
	}
	switch {
	case s.room(attempt):
		return nil
	case attempt:
		return fmt.Errorf("there are %d sign-ins under way, which is as many as there may be", s.maxAttempts)
	}
	return fmt.Errorf("there are %d sessions, which is as many as there may be", s.maxSessions)
}

func (s *Store) room(attempt bool) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if attempt {
		return s.attempts < s.maxAttempts
	}
	return len(s.sessions)-s.attempts < s.maxSessions
}

func (s *Store) anyExpired() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	now := s.now()
	for _, r := range s.sessions {
		if !now.Before(r.ExpiresAt) {
			return true
		}
	}
	return false
}

// tidied is a record as it comes back after a restart, and that its caller
// cannot change.
func tidied(r session.Record, version int64) session.Record {
	r.Sealed = append([]byte{}, r.Sealed...) // not nil, which would be NULL
	r.SeenAt, r.ExpiresAt = fromUnix(r.SeenAt.UnixNano()), fromUnix(r.ExpiresAt.UnixNano())
	r.Version = strconv.FormatInt(version, 10)
	return r
}

// keep puts a session into memory.
func (s *Store) keep(r session.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, found := s.sessions[r.ID]; !found && r.Owner == "" {
		s.attempts++
	}
	s.sessions[r.ID] = r
}

// drop removes those sessions from memory.
func (s *Store) drop(match func(*session.Record) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.sessions {
		if match(&r) {
			s.forget(r)
		}
	}
}

// forget removes a session from memory. The lock is held.
func (s *Store) forget(r session.Record) {
	if r.Owner == "" {
		s.attempts--
	}
	delete(s.sessions, r.ID)
}
