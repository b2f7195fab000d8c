package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// loadTimeout bounds Load.
const loadTimeout = 10 * time.Second

// Load makes the first snapshot, for whoever does not Run: it reads the keys,
// which are made where there are none, and all objects once. The error tells all
// that cannot be read, and what to do; the snapshot has the rest. While Run is
// on it does nothing.
func (s *Store) Load(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	began := s.now()
	r, keysErr := s.readKeys(ctx)
	if keysErr == nil {
		keysErr = r.usable()
	}
	lists, err := s.listAll(ctx)

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watch.start != nil {
		return nil
	}
	s.reconcile()
	for _, l := range lists {
		sp := s.watch.spaces[spaceKey{l.connection.Name, l.namespace}]
		if sp == nil || sp.connection != l.connection {
			continue // it is named no longer
		}
		all := make([]*unstructured.Unstructured, len(l.items))
		for i := range l.items {
			all[i] = &l.items[i]
		}
		sp.replace(all)
		sp.part.See(began)
	}
	if keysErr == nil {
		s.takeRing(r)
		s.core.See(began)
	}
	if err := errors.Join(keysErr, err); err != nil {
		return fmt.Errorf("load the endpoint tokens: %w", err)
	}
	return nil
}
