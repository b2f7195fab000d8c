package kube

import (
	"errors"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/promgate/promgate/auth/session"
)

// known is what memory has of a session. fresh tells whether memory counts.
func (s *Store) known(id string) (r session.Record, found, ended, fresh bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, found = s.records[id]
	return r, found, s.ended.Contains(id), s.age() <= maxAge
}

// newer tells whether one resource version is later than another. Where that
// cannot be told it is not.
func newer(version, than string) bool {
	order, err := resourceversion.CompareResourceVersion(version, than)
	return err == nil && order > 0
}

// keep takes a record in, unless it has ended or one is known that is newer.
// The lock is held.
func (s *Store) keep(r session.Record) {
	before, found := s.records[r.ID]
	if s.ended.Contains(r.ID) || found && newer(before.Version, r.Version) {
		return
	}
	s.forget(before)
	if r.Owner == "" {
		s.attempts++
	}
	s.records[r.ID] = r
}

// forget lets go of a record. The lock is held.
func (s *Store) forget(r session.Record) {
	if _, found := s.records[r.ID]; !found {
		return
	}
	if r.Owner == "" {
		s.attempts--
	}
	delete(s.records, r.ID)
}

// written takes in what the API server has made of a record, so that it is known
// before the watch tells it. Where the watch is past it, the session may have
// ended on another replica since.
func (s *Store) written(u *unstructured.Unstructured) {
	r, err := read(u)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && newer(r.Version, s.version) {
		s.keep(r)
	}
}

// over lets go of a session for ever.
func (s *Store) over(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended.Add(id, struct{}{})
	s.forget(s.records[id])
}

// allOver lets go of all sessions that match, for ever.
func (s *Store) allOver(match func(*session.Record) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.records {
		if match(&r) {
			s.ended.Add(r.ID, struct{}{})
			s.forget(r)
		}
	}
}

// take takes in an object that is new or has changed. The lock is held.
func (s *Store) take(u *unstructured.Unstructured) {
	r, err := read(u)
	if err == nil {
		s.keep(r)
		return
	}
	s.remove(u) // it may have been one
	if !errors.Is(err, errEnding) && !s.unreadable {
		s.unreadable = true // once: whoever may write may write many
		s.log.Warn("a Session was written by somebody else and is ignored: delete it, and see who may write sessions in this namespace",
			"cluster", s.connection.Load().Name, "namespace", s.namespace, "name", u.GetName(), "problem", err)
	}
}

// remove lets go of an object's record. The lock is held.
func (s *Store) remove(u *unstructured.Unstructured) {
	if id, ok := idOf(u.GetName()); ok {
		s.forget(s.records[id])
	}
}

// replace takes in everything that there is. What was written from here since
// the list was made the watch tells anew. The lock is held.
func (s *Store) replace(all []*unstructured.Unstructured) {
	s.records, s.attempts = make(map[string]session.Record, len(all)), 0
	for _, u := range all {
		s.take(u)
	}
}
