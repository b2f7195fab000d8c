package kube

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/promgate/promgate/auth/session"
)

const (
	// What has expired is swept at random times, so that replicas seldom do the
	// same at once.
	minSweepInterval = 8 * time.Minute
	sweepSpread      = 4 * time.Minute
)

// sweepAll removes what has expired, now and then and when there is much.
func (s *Store) sweepAll(ctx context.Context) {
	for {
		select {
		case <-time.After(minSweepInterval + rand.N(sweepSpread)):
		case <-s.sweeping:
		case <-ctx.Done():
			return
		}
		s.sweep(ctx)
	}
}

// sweep removes the sessions that have expired, until one cannot be.
func (s *Store) sweep(ctx context.Context) {
	removed := 0
	for _, id := range s.expired() {
		// Another replica may have been here.
		if _, found, _, _ := s.known(id); !found {
			continue
		}
		err := s.Delete(ctx, id)
		if err != nil && !errors.Is(err, session.ErrNotFound) {
			if ctx.Err() == nil {
				s.log.Warn("sessions that have expired cannot be removed", "namespace", s.namespace, "error", err)
			}
			return
		}
		removed++
	}
	s.log.Debug("sessions that have expired were removed", "namespace", s.namespace, "removed", removed)
}

// expired are the ids of the sessions that have expired, in no order, so that
// replicas that sweep at once share the work.
func (s *Store) expired() (ids []string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	now := s.now()
	for id, r := range s.records {
		if !now.Before(r.ExpiresAt) {
			ids = append(ids, id)
		}
	}
	return ids
}
