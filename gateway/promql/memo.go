package promql

import "sync"

// Bounds of what a memo keeps: some 4 MiB of usual queries, and 40 MiB of the
// largest that somebody could think of.
const (
	maxKnown = 2048
	// maxKnownLength is of all texts of a query together.
	maxKnownLength = 4096
)

// memoKey tells policies apart, so that none gets what another made.
type memoKey struct{ policy, text string }

// memo remembers queries. Dashboards ask the same ones again and again, and
// parsing costs more than the rest of the gateway's work on a request. A query
// is a pure function of the key, so that nothing can be learned of who asked
// before. The zero value is empty.
type memo struct {
	mu sync.RWMutex
	// What is asked again while it is in old moves to young; when young is
	// full it becomes old, and what was old is forgotten.
	young, old map[memoKey]*Query
}

func (m *memo) get(key memoKey) *Query {
	m.mu.RLock()
	q, young := m.young[key]
	if !young {
		q = m.old[key]
	}
	m.mu.RUnlock()
	if q != nil && !young {
		m.add(memoKey{key.policy, q.original}, q)
	}
	return q
}

func (m *memo) add(key memoKey, q *Query) {
	if len(q.original)+len(q.text)+len(q.escaped) > maxKnownLength {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.young == nil || len(m.young) >= maxKnown {
		m.young, m.old = make(map[memoKey]*Query), m.young
	}
	m.young[key] = q
}
