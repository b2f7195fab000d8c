package kube

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/promgate/promgate/auth/session"
)

// fieldManager is the gateway's name beside the fields that it writes.
const fieldManager = "promgate"

// Get returns a session from memory. What is not there the API server is asked
// for, and everything while what is in memory is too old.
func (s *Store) Get(ctx context.Context, id string) (session.Record, error) {
	r, found, ended, fresh := s.known(id)
	switch {
	case ended:
		return session.Record{}, session.ErrNotFound
	case found && fresh:
		return r, nil
	}
	name, ok := nameOf(id)
	if !ok {
		return session.Record{}, session.ErrNotFound
	}
	if until, absent := s.absent.Get(id); absent && s.now().Before(until) {
		return session.Record{}, session.ErrNotFound
	}
	return s.ask(ctx, id, name)
}

// ask asks the API server for a session: once for all who want to know it, and
// not for many at once. It goes on when the caller leaves, for others may wait
// for it.
func (s *Store) ask(ctx context.Context, id, name string) (session.Record, error) {
	flight := s.flights.DoChan(id, func() (any, error) {
		ctx, cancel := context.WithTimeout(s.life, askTimeout)
		defer cancel()
		select {
		case s.asking <- struct{}{}:
			defer func() { <-s.asking }()
		case <-ctx.Done():
			return session.Record{}, fmt.Errorf("too many sessions are asked for at once: %w", s.lasting(ctx))
		}
		r, err := s.latest(ctx, id, name)
		if errors.Is(err, session.ErrNotFound) {
			s.absent.Add(id, s.now().Add(absence))
		}
		return r, err
	})
	select {
	case landed := <-flight:
		return landed.Val.(session.Record), landed.Err
	case <-ctx.Done():
		return session.Record{}, fmt.Errorf("waiting for a session: %w", ctx.Err())
	}
}

// lasting is why a question was given up.
func (s *Store) lasting(ctx context.Context) error {
	if s.life.Err() != nil {
		return errClosed
	}
	return ctx.Err()
}

// Latest returns a session as the API server has it.
func (s *Store) Latest(ctx context.Context, id string) (session.Record, error) {
	name, ok := nameOf(id)
	if _, _, ended, _ := s.known(id); !ok || ended {
		return session.Record{}, session.ErrNotFound
	}
	return s.latest(ctx, id, name)
}

func (s *Store) latest(ctx context.Context, id, name string) (session.Record, error) {
	u, err := s.client().Get(ctx, name, metav1.GetOptions{})
	if isAbsent(err, name) {
		s.works("get")
		return session.Record{}, session.ErrNotFound
	}
	if err != nil {
		return session.Record{}, s.fails(ctx, "get", err)
	}
	s.works("get")
	r, err := read(u)
	if err != nil || r.ID != id { // not written by a gateway, or about to go
		return session.Record{}, session.ErrNotFound
	}
	return r, nil
}

// Create keeps a new session. It refuses an id that is taken, and one more than
// MaxSessions or MaxAttempts.
func (s *Store) Create(ctx context.Context, r session.Record) error {
	r.Version = ""
	o, err := s.object(r)
	if err == nil {
		err = s.room(r.Owner == "")
	}
	if err != nil {
		return fmt.Errorf("store a session: %w", err)
	}
	made, err := s.client().Create(ctx, o, metav1.CreateOptions{FieldManager: fieldManager})
	if err != nil {
		return fmt.Errorf("store a session: %w", s.fails(ctx, "create", err))
	}
	s.works("create")
	s.written(made)
	return nil
}

// Replace changes a session if it is still of that Version.
func (s *Store) Replace(ctx context.Context, r session.Record) error {
	if r.Version == "" { // the API server would take that for any
		return session.ErrConflict
	}
	o, err := s.object(r)
	if err != nil {
		return fmt.Errorf("change a session: %w", err)
	}
	if _, _, ended, _ := s.known(r.ID); ended {
		return session.ErrNotFound
	}
	changed, err := s.client().Update(ctx, o, metav1.UpdateOptions{FieldManager: fieldManager})
	switch {
	case apierrors.IsConflict(err):
		s.works("update")
		return session.ErrConflict
	case isAbsent(err, o.GetName()):
		s.works("update")
		s.over(r.ID)
		return session.ErrNotFound
	case err != nil:
		return fmt.Errorf("change a session: %w", s.fails(ctx, "update", err))
	}
	s.works("update")
	s.written(changed)
	return nil
}

// Delete ends a session, on this replica at once. One that is not there costs no
// more than Get, for anybody may try to end it.
func (s *Store) Delete(ctx context.Context, id string) error {
	if _, err := s.Get(ctx, id); err != nil {
		return err
	}
	name, _ := nameOf(id)
	err := s.client().Delete(ctx, name, background())
	switch {
	case isAbsent(err, name):
		s.works("delete")
		s.over(id)
		return session.ErrNotFound
	case err != nil:
		return fmt.Errorf("end a session: %w", s.fails(ctx, "delete", err))
	}
	s.works("delete")
	s.over(id)
	return nil
}

// DeleteOwner ends all sessions of somebody. Sign-ins under way are nobody's.
func (s *Store) DeleteOwner(ctx context.Context, owner string) error {
	if owner == "" {
		return errors.New("end all sessions of somebody: it is not said of whom")
	}
	err := s.client().DeleteCollection(ctx, background(), metav1.ListOptions{LabelSelector: ownerLabel + "=" + ownerHash(owner)})
	if err != nil {
		return fmt.Errorf("end all sessions of %s: %w", owner, s.fails(ctx, "deletecollection", err))
	}
	s.works("deletecollection")
	s.allOver(func(r *session.Record) bool { return r.Owner == owner })
	return nil
}

// room fails where there are as many as there may be, without those that have
// expired. Those are swept soon then.
func (s *Store) room(attempt bool) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	of, limit, what := len(s.records)-s.attempts, s.maxSessions, "sessions"
	if attempt {
		of, limit, what = s.attempts, s.maxAttempts, "sign-ins under way"
	}
	if of < limit {
		return nil
	}
	select {
	case s.sweeping <- struct{}{}:
	default:
	}
	now, good := s.now(), 0
	for _, r := range s.records {
		if (r.Owner == "") == attempt && now.Before(r.ExpiresAt) {
			good++
		}
	}
	if good < limit {
		return nil
	}
	return fmt.Errorf("there are %d %s, which is as many as there may be", good, what)
}
