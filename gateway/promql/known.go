package promql

import "sync"

// Bounds of what known keeps: about 4 MiB at most.
const (
	maxKnown       = 2048
	maxKnownLength = 1024
)

// known remembers expressions that parsed. Dashboards ask the same ones again
// and again, and parsing costs more than the rest of the gateway's work on a
// request. It is a pure function of the text, so that nothing can be learned
// of who asked before. The zero value is empty.
type known struct {
	mu sync.RWMutex
	// What is asked again while it is in old moves to young; when young is
	// full it becomes old, and what was old is forgotten.
	young, old map[string]struct{}
}

func (k *known) has(expr string) bool {
	k.mu.RLock()
	_, young := k.young[expr]
	_, old := k.old[expr]
	k.mu.RUnlock()
	if old && !young {
		k.add(expr)
	}
	return young || old
}

func (k *known) add(expr string) {
	if len(expr) > maxKnownLength {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.young == nil || len(k.young) >= maxKnown {
		k.young, k.old = make(map[string]struct{}), k.young
	}
	k.young[expr] = struct{}{}
}
