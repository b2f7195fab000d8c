package cache

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
)

// Owner is whose something is, by UIDs. Fair shares are by project.
type Owner struct{ Project, Environment string }

// Store keeps extents and short-lived answers of all projects within a number of
// bytes. It is safe for concurrent use. Make it with NewStore, and call Tend now
// and then.
type Store struct {
	// max is how many bytes are kept, bytes how many are, and now the time of the
	// last Tend, in nanoseconds of Unix time.
	max, bytes, now atomic.Int64

	mu      sync.RWMutex
	shelves map[Owner]*Shelf
	tenants map[string]*tenant // by project

	dividing sync.Mutex
	// tending guards turned, which is when the turn of extents began.
	tending sync.Mutex
	turned  time.Time
}

// tenant is what is kept of a project. What is evicted within it is for its
// policy to say.
type tenant struct {
	project        string
	cache          *otter.Cache[Key, *entry]
	bytes, entries atomic.Int64
	// opened is when a request last came, in nanoseconds of Unix time, and most how
	// many bytes are kept.
	opened, most atomic.Int64
}

// Shelf is what is kept of an owner until it is forgotten. A request opens it
// before it asks upstream: what is forgotten meanwhile does not come back with the
// answer, for a shelf that was forgotten takes nothing in.
type Shelf struct {
	store  *Store
	tenant *tenant
	// mu is held for reading while something is put on the shelf, so that nothing
	// is once it is gone.
	mu   sync.RWMutex
	gone atomic.Bool
}

// entry is an extent, or an answer and until when it is good, in nanoseconds of
// Unix time. It is not changed.
type entry struct {
	shelf  *Shelf
	weight uint32
	extent *Extent
	body   []byte
	until  int64
}

const (
	// entryOverhead is what an entry costs beside its text, in bytes: itself, an
	// Extent, and its places in the hash table and the policy.
	entryOverhead = 384
	// tenantOverhead is what a project costs beside its entries, in bytes.
	tenantOverhead = 10 << 10
	// mostEntry is what an entry may come to at most, in bytes, for a weight is a
	// number of 32 bits.
	mostEntry = 1 << 30
	// turn is how long it is remembered what was asked for of an extent: this long
	// at least, and twice as long at most.
	turn = 15 * time.Minute
	// idle is after how long without a request an extent is packed.
	idle = 2 * time.Minute
	// deserted is after how long without a request a project gives back bytes that
	// others can use.
	deserted = 5 * time.Minute
	// packAtOnce is how much text one Tend packs, in bytes: about a fourth of a
	// second's work.
	packAtOnce = 64 << 20
)

// NewStore makes one that keeps so many bytes; 0: nothing.
func NewStore(maxBytes int64) *Store {
	s := &Store{shelves: map[Owner]*Shelf{}, tenants: map[string]*tenant{}}
	s.max.Store(max(maxBytes, 0))
	s.now.Store(time.Now().UnixNano())
	return s
}

// MaxEntry is how much one entry may come to, in bytes: an eighth of all.
func (s *Store) MaxEntry() int64 { return min(s.max.Load()/8, mostEntry) }

// Resize sets how many bytes are kept; 0: nothing.
func (s *Store) Resize(maxBytes int64) {
	s.mu.Lock()
	s.max.Store(max(maxBytes, 0))
	s.mu.Unlock()
	if maxBytes <= 0 {
		s.Forget(Owner{})
		return
	}
	s.divide()
}

// Open finds an owner's shelf.
func (s *Store) Open(o Owner) *Shelf {
	s.mu.RLock()
	shelf := s.shelves[o]
	s.mu.RUnlock()
	if shelf == nil {
		shelf = s.open(o)
	}
	now := s.now.Load()
	if t := shelf.tenant; t != nil && t.opened.Load() != now {
		if before := t.opened.Swap(now); now-before >= int64(deserted) {
			s.divide() // it gets its share again
		}
	}
	return shelf
}

// open makes an owner's shelf, and what its project needs.
func (s *Store) open(o Owner) *Shelf {
	s.mu.Lock()
	defer s.mu.Unlock()
	if shelf := s.shelves[o]; shelf != nil {
		return shelf
	}
	shelf := &Shelf{store: s}
	if s.max.Load() == 0 {
		shelf.gone.Store(true)
		return shelf
	}
	shelf.tenant = s.tenants[o.Project]
	if shelf.tenant == nil {
		shelf.tenant = s.newTenant(o.Project)
		s.tenants[o.Project] = shelf.tenant
	}
	s.shelves[o] = shelf
	return shelf
}

func (s *Store) newTenant(project string) *tenant {
	t := &tenant{project: project}
	t.opened.Store(s.now.Load())
	t.most.Store(s.max.Load())
	t.cache = otter.Must(&otter.Options[Key, *entry]{
		MaximumWeight: uint64(s.max.Load()),
		Weigher:       func(_ Key, v *entry) uint32 { return v.weight },
		// With it, uses are counted from the beginning instead of once half of the
		// bytes are in use.
		InitialCapacity: 64,
		OnAtomicDeletion: func(e otter.DeletionEvent[Key, *entry]) {
			s.count(t, -int64(e.Value.weight), -1)
		},
		// The policy works on the goroutine that calls: there are no others to end.
		Executor: func(f func()) { f() },
	})
	return t
}

func (s *Store) count(t *tenant, bytes, entries int64) {
	s.bytes.Add(bytes)
	t.bytes.Add(bytes)
	t.entries.Add(entries)
}

// Forget drops what is an owner's, and tells how many entries that were. Without
// an environment it is the whole project, without both it is everything. What
// requests hold goes on being readable for them.
func (s *Store) Forget(o Owner) (entries int) {
	s.mu.Lock()
	tenants := map[*tenant]bool{}
	for owner, shelf := range s.shelves {
		if o.Project == "" || owner.Project == o.Project && (o.Environment == "" || owner.Environment == o.Environment) {
			shelf.close()
			delete(s.shelves, owner)
			tenants[shelf.tenant] = true
		}
	}
	if o.Project == "" {
		clear(s.tenants)
	} else if o.Environment == "" {
		delete(s.tenants, o.Project)
	}
	s.mu.Unlock()
	for t := range tenants {
		for k, v := range t.cache.All() {
			if v.shelf.gone.Load() && t.drop(k, v) {
				entries++
			}
		}
	}
	return entries
}

// close lets nothing more onto the shelf.
func (h *Shelf) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gone.Store(true)
}

// drop removes an entry that is still there.
func (t *tenant) drop(k Key, v *entry) (dropped bool) {
	t.cache.ComputeIfPresent(k, func(old *entry) (*entry, otter.ComputeOp) {
		if dropped = old == v || old.shelf.gone.Load(); dropped {
			return nil, otter.InvalidateOp
		}
		return old, otter.CancelOp
	})
	return dropped
}

// Use is what is kept of a project.
type Use struct {
	Project string // UID
	Bytes   int64
	Entries int
}

// Use tells what is kept, by project.
func (s *Store) Use() []Use {
	all := []Use{}
	for _, t := range s.all() {
		all = append(all, Use{t.project, max(t.bytes.Load(), 0), int(max(t.entries.Load(), 0))})
	}
	return all
}

// all are the tenants, by project.
func (s *Store) all() []*tenant {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]*tenant, 0, len(s.tenants))
	for _, t := range s.tenants {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b *tenant) int { return cmp.Compare(a.project, b.project) })
	return all
}

// Tend is to be called every 10 to 30 seconds. It drops answers that are no longer
// good and what of extents nobody asks for any more, packs extents that were not
// asked for since two minutes, and divides the bytes anew.
func (s *Store) Tend(now time.Time) {
	s.tending.Lock()
	defer s.tending.Unlock()
	s.now.Store(now.UnixNano())
	turned := now.Sub(s.turned) >= turn
	if turned {
		s.turned = now
	}
	packed := 0
	for _, t := range s.all() {
		for k, v := range t.cache.All() {
			if v.extent == nil {
				if now.UnixNano() >= v.until {
					t.drop(k, v)
				}
				continue
			}
			v.extent.limit.Store(s.MaxEntry())
			packed += v.extent.tend(now.Add(-idle), turned, packed < packAtOnce)
			v.shelf.weigh(k, v.extent, false)
		}
	}
	s.leave(now)
	s.divide()
}

// leave forgets projects of which nothing is kept and that nobody asks for.
func (s *Store) leave(now time.Time) {
	for _, t := range s.all() {
		if t.project != "" && t.entries.Load() == 0 && now.UnixNano()-t.opened.Load() >= int64(deserted) {
			s.Forget(Owner{Project: t.project})
		}
	}
}
