package cache

import "slices"

// room is how many bytes there are for entries: without what projects cost.
func (s *Store) room() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.max.Load() - int64(len(s.tenants))*tenantOverhead
}

// divide sets how many bytes each project may use. While there are some left,
// everyone may use them. When there are not, those that use the most give: what
// everyone may use is lowered to where all of it fits, and who uses less keeps
// what it has (max-min fairness). Of what a deserted project uses, it gives a part
// first, if others can use it.
func (s *Store) divide() {
	s.dividing.Lock()
	defer s.dividing.Unlock()
	tenants, room, now := s.all(), max(s.room(), 1), s.now.Load()
	uses, total := make([]int64, len(tenants)), int64(0)
	for i, t := range tenants {
		uses[i] = t.bytes.Load()
		total += uses[i]
	}
	most := room
	if total > room {
		// A little more than need be, so that it is not done for each entry.
		most = level(uses, room-room/64)
	}
	for i, t := range tenants {
		its := most
		if now-t.opened.Load() >= int64(deserted) && total > room-room/8 {
			its = min(its, uses[i]-uses[i]/16-1)
		}
		if its = max(its, 1); t.most.Swap(its) != its {
			t.cache.SetMaximum(uint64(its))
		}
	}
}

// level is what everyone may use at most so that all uses come to no more than
// there is room for; they come to more without it.
func level(uses []int64, room int64) int64 {
	for i, use := range slices.Sorted(slices.Values(uses)) {
		share := room / int64(len(uses)-i)
		if use >= share {
			return share
		}
		room -= use
	}
	return room
}
