package cache

import (
	"slices"
	"time"

	"github.com/maypok86/otter/v2"
)

// Extent finds an extent, or makes one for steps of so many milliseconds. That
// counts as a use of it.
func (h *Shelf) Extent(k Key, stepMillis int64) *Extent {
	if h.gone.Load() {
		return h.newExtent(stepMillis)
	}
	v, ok := h.tenant.cache.GetIfPresent(k)
	if !ok || !h.holds(v, stepMillis) {
		return h.add(k, stepMillis)
	}
	e := v.extent
	e.used.Store(h.store.now.Load())
	if e.unpacked() {
		h.Weigh(k, e)
	}
	return e
}

// holds tells whether an entry is an extent of this shelf. An environment's entries
// may be found for a moment after it was forgotten.
func (h *Shelf) holds(v *entry, stepMillis int64) bool {
	return v.shelf == h && v.extent != nil && v.extent.step == stepMillis
}

func (h *Shelf) newExtent(stepMillis int64) *Extent {
	e := NewExtent(stepMillis)
	e.limit.Store(h.store.MaxEntry())
	e.used.Store(h.store.now.Load())
	return e
}

// add puts an extent on the shelf that nothing is held of yet, so that requests at
// the same time have the same one.
func (h *Shelf) add(k Key, stepMillis int64) *Extent {
	e := h.newExtent(stepMillis)
	h.put(k, func(old *entry) *entry {
		if old != nil && h.holds(old, stepMillis) {
			e = old.extent
			return nil
		}
		return &entry{shelf: h, extent: e, weight: entryOverhead}
	})
	return e
}

// Weigh takes the weight of an extent anew, after something was added to it. One
// that was evicted meanwhile comes back if the policy lets it in; one that was
// forgotten does not, and neither does one whose place another has taken.
func (h *Shelf) Weigh(k Key, e *Extent) { h.weigh(k, e, true) }

func (h *Shelf) weigh(k Key, e *Extent, evicted bool) {
	h.put(k, func(old *entry) *entry {
		weight := uint32(min(entryOverhead+e.Bytes(), mostEntry))
		switch {
		case old == nil:
			if !evicted {
				return nil
			}
		case old.shelf == h && (old.extent != e || old.weight == weight):
			return nil
		}
		return &entry{shelf: h, extent: e, weight: weight}
	})
}

// Answer finds an answer that is still good. Its body must not be changed.
func (h *Shelf) Answer(k Key, now time.Time) (body []byte, ok bool) {
	if h.gone.Load() {
		return nil, false
	}
	v, ok := h.tenant.cache.GetIfPresent(k)
	if !ok || v.shelf != h || v.extent != nil || now.UnixNano() >= v.until {
		return nil, false
	}
	return v.body, true
}

// KeepAnswer keeps a whole body until a time. The body must not be changed then.
// One that is larger than an entry may be is not kept.
func (h *Shelf) KeepAnswer(k Key, body []byte, until time.Time) {
	if int64(len(body))+entryOverhead > h.store.MaxEntry() {
		return
	}
	if cap(body)-len(body) > len(body)/8 {
		body = slices.Clone(body)
	}
	h.put(k, func(*entry) *entry {
		return &entry{shelf: h, body: body, until: until.UnixNano(), weight: uint32(entryOverhead + cap(body))}
	})
}

// put sets what is kept by a key to what choose makes of what is kept now; nil: it
// stays as it is. What is chosen is the shelf's.
func (h *Shelf) put(k Key, choose func(old *entry) *entry) {
	if !h.set(k, choose) {
		return
	}
	if s := h.store; s.bytes.Load() > s.room() {
		s.divide()
	}
}

func (h *Shelf) set(k Key, choose func(old *entry) *entry) (set bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.gone.Load() {
		return false
	}
	h.tenant.cache.Compute(k, func(old *entry, found bool) (*entry, otter.ComputeOp) {
		if !found {
			old = nil
		}
		chosen := choose(old)
		if set = chosen != nil; !set {
			return old, otter.CancelOp
		}
		h.store.count(h.tenant, int64(chosen.weight), 1)
		return chosen, otter.WriteOp
	})
	return set
}
