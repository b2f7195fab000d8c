package kube

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	flushInterval = 10 * time.Second
	// flushTimeout bounds one flush: ten thousand writes take a while.
	flushTimeout = time.Minute
	// useInterval is how much later than the stored time of last use a use must
	// be to be stored, whichever gateway saw it.
	useInterval = time.Minute
	// warnInterval is how often a flush that fails is logged.
	warnInterval = time.Minute
	closeTimeout = 5 * time.Second
)

// flushing writes the times of last use until ctx is done.
func (s *Store) flushing(ctx context.Context) {
	tick := time.NewTicker(flushInterval)
	defer tick.Stop()
	var warned time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := s.flush(ctx, flushTimeout)
		if err != nil && ctx.Err() == nil && time.Since(warned) >= warnInterval {
			warned = time.Now()
			s.log.Warn("times of last use could not be written; trying again", "error", err)
		}
	}
}

// Close writes the times of last use once more, for up to 5 seconds. The
// connections stay open: they are their owner's. Run must have returned.
func (s *Store) Close() error {
	return s.flush(context.Background(), closeTimeout)
}

// due is a time of last use to be written.
type due struct {
	located
	use *use
	at  time.Time
}

// flush writes the times of last use that are due. What others have changed
// meanwhile is tried again the next time.
func (s *Store) flush(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var mu sync.Mutex
	var first error
	failed := 0
	var group errgroup.Group
	group.SetLimit(maxParallel)
	for _, d := range s.dueUses() {
		group.Go(func() error {
			_, err := s.patchStatus(ctx, d.located, map[string]any{"lastUsedAt": metav1.NewTime(d.at)})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				s.mu.Lock()
				defer s.mu.Unlock()
				d.use.written = d.at
			case apierrors.IsConflict(err), apierrors.IsNotFound(err):
			default:
				failed++
				if first == nil {
					first = fmt.Errorf("cluster %s, namespace %s: %w", d.connection.Name, d.Namespace, err)
				}
			}
			return nil
		})
	}
	_ = group.Wait()
	switch {
	case apierrors.IsForbidden(first):
		return fmt.Errorf("%d times of last use were not written: grant the gateway patch on endpointtokens/status (API group %s): %w",
			failed, endpointTokens.Group, first)
	case first != nil:
		return fmt.Errorf("%d times of last use were not written: %w", failed, first)
	}
	return nil
}

// dueUses are the times of last use that are later than what is stored by more
// than useInterval.
func (s *Store) dueUses() []due {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []due
	for _, sp := range s.watch.spaces {
		for _, k := range sp.objects {
			u := s.watch.uses[k.UID]
			if u == nil || k.DeletionTimestamp != nil {
				continue
			}
			last := u.last.Load()
			if last == 0 {
				continue
			}
			at, stored := time.Unix(0, last).UTC().Truncate(time.Second), u.written
			if l := k.Status.LastUsedAt; l != nil && l.After(stored) {
				stored = l.Time
			}
			if stored.IsZero() || at.Sub(stored) > useInterval {
				all = append(all, due{located{k.object, sp.connection}, u, at})
			}
		}
	}
	return all
}
