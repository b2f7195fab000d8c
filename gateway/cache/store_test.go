package cache

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

var (
	noon  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	shopA = Owner{"shop", "a"}
	shopB = Owner{"shop", "b"}
	other = Owner{"other", "a"}
)

// storeAt makes a store whose time is noon.
func storeAt(maxBytes int64) *Store {
	s := NewStore(maxBytes)
	s.Tend(noon)
	return s
}

// key is one of many.
func key(o Owner, i int) Key { return KeyOf(o.Project, o.Environment, fmt.Sprint(i)) }

// text is a piece of about so many bytes that does not get shorter by packing, of
// one series with four samples, at 1 to 4 s.
func text(size int) []Series {
	random := rand.New(rand.NewPCG(7, uint64(size)))
	values := make([]byte, 0, size)
	for i := range 4 {
		if i > 0 {
			values = append(values, ',')
		}
		values = fmt.Appendf(values, `[%d,"`, i+1)
		for len(values) < (i+1)*size/4-2 {
			values = append(values, byte(0xa0+random.IntN(80)))
		}
		values = append(values, `"]`...)
	}
	return []Series{{Metric: []byte(`{}`), Values: values}}
}

var four = Span{1000, 4000}

// ask is a request for four steps: it tells whether they were held, and keeps them.
func ask(s *Store, o Owner, i int, piece []Series) (hit bool) {
	h := s.Open(o)
	e := h.Extent(key(o, i), 1000)
	if v := e.View(four); v.Held == four {
		return true
	}
	e.Add(four, piece)
	h.Weigh(key(o, i), e)
	return false
}

func TestKeyOf(t *testing.T) {
	seen := map[Key][]string{}
	long := string(make([]byte, 300))
	for _, fields := range [][]string{{}, {""}, {"", ""}, {"a"}, {"a", "b"}, {"ab"}, {"", "ab"}, {"ab", ""}, {"a\x01b"}, {long, long, long, long}, {long + long, long + long}} {
		k := KeyOf(fields...)
		if before, ok := seen[k]; ok {
			t.Errorf("%q and %q are the same", before, fields)
		}
		seen[k] = fields
		if k != KeyOf(slices.Clone(fields)...) {
			t.Errorf("%q is not the same twice", fields)
		}
	}
}

func TestStoreKeeps(t *testing.T) {
	s := storeAt(1 << 20)
	if ask(s, shopA, 1, text(1000)) || !ask(s, shopA, 1, nil) {
		t.Error("what was added is not held, or before it was")
	}
	if ask(s, shopB, 1, text(1000)) {
		t.Error("of another environment it is held")
	}
	if got, want := s.Use(), []Use{{"shop", 2*entryOverhead + s.Open(shopA).Extent(key(shopA, 1), 1000).Bytes() + s.Open(shopB).Extent(key(shopB, 1), 1000).Bytes(), 2}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if e := s.Open(shopA).Extent(key(shopA, 1), 2000); !e.View(four).Held.Empty() {
		t.Error("of other steps it is held")
	}
	if got := s.MaxEntry(); got != 1<<17 {
		t.Errorf("an entry may come to %d", got)
	}
}

func TestAnswers(t *testing.T) {
	s := storeAt(1 << 20)
	h, k := s.Open(shopA), KeyOf("labels")
	if _, ok := h.Answer(k, noon); ok {
		t.Error("an answer of nowhere")
	}
	h.KeepAnswer(k, []byte("body"), noon.Add(30*time.Second))
	if body, ok := h.Answer(k, noon.Add(30*time.Second-1)); !ok || string(body) != "body" {
		t.Errorf("got %s, %v", body, ok)
	}
	if _, ok := h.Answer(k, noon.Add(30*time.Second)); ok {
		t.Error("an answer that is too old")
	}
	if _, ok := s.Open(shopB).Answer(k, noon); ok {
		t.Error("an answer of another environment")
	}
	s.Tend(noon.Add(29 * time.Second))
	if got := s.Use(); got[0].Entries != 1 || got[0].Bytes != entryOverhead+4 {
		t.Errorf("got %v", got)
	}
	s.Tend(noon.Add(30 * time.Second))
	if got := s.Use(); got[0].Entries != 0 || got[0].Bytes != 0 {
		t.Errorf("too old, but there: %v", got)
	}
	h.KeepAnswer(k, make([]byte, s.MaxEntry()), noon.Add(time.Hour))
	if _, ok := h.Answer(k, noon); ok {
		t.Error("an answer that is too large")
	}
	// What has much room behind it is copied.
	h.KeepAnswer(k, make([]byte, 10, 1000), noon.Add(time.Hour))
	if got := s.Use(); got[0].Bytes > entryOverhead+100 {
		t.Errorf("got %v", got)
	}
}

// TestForget: what is forgotten is gone, also if a request held it meanwhile; what
// is held is still readable.
func TestForget(t *testing.T) {
	for _, c := range []struct {
		owner Owner
		gone  []Owner
		stays []Owner
	}{
		{shopA, []Owner{shopA}, []Owner{shopB, other}},
		{Owner{"shop", ""}, []Owner{shopA, shopB}, []Owner{other}},
		{Owner{}, []Owner{shopA, shopB, other}, nil},
		{Owner{"nobody", ""}, nil, []Owner{shopA, shopB, other}},
	} {
		s := storeAt(1 << 20)
		shelves, held := map[Owner]*Shelf{}, map[Owner]*Extent{}
		for _, o := range []Owner{shopA, shopB, other} {
			ask(s, o, 1, text(1000))
			h := s.Open(o)
			h.KeepAnswer(key(o, 2), []byte("x"), noon.Add(time.Hour))
			shelves[o], held[o] = h, h.Extent(key(o, 1), 1000)
		}
		if got, want := s.Forget(c.owner), 2*len(c.gone); got != want {
			t.Errorf("%v: forgot %d, want %d", c.owner, got, want)
		}
		for _, o := range c.gone {
			h, e := shelves[o], held[o]
			if v := e.View(four); v.Held != four {
				t.Errorf("%v: what is held is not readable: %v", o, v)
			}
			e.Add(Span{5000, 5000}, []Series{{Metric: []byte(`{}`), Values: []byte(`[5,"1"]`)}})
			h.Weigh(key(o, 1), e)
			h.KeepAnswer(key(o, 2), []byte("x"), noon.Add(time.Hour))
			h.KeepAnswer(key(o, 3), []byte("x"), noon.Add(time.Hour))
			h.Extent(key(o, 4), 1000).Add(four, text(1000))
			if _, ok := h.Answer(key(o, 2), noon); ok {
				t.Errorf("%v: the answer is back for the request", o)
			}
			h = s.Open(o)
			for i := range 4 {
				if _, ok := h.Answer(key(o, i), noon); ok {
					t.Errorf("%v: the answer is back", o)
				}
				if v := h.Extent(key(o, i), 1000).View(four); !v.Held.Empty() {
					t.Errorf("%v: the extent is back", o)
				}
			}
		}
		for _, o := range c.stays {
			if _, ok := s.Open(o).Answer(key(o, 2), noon); !ok || !ask(s, o, 1, nil) {
				t.Errorf("%v forgotten with %v", o, c.owner)
			}
		}
	}
}

// TestForgetFreesAll: the counts come to nothing.
func TestForgetFreesAll(t *testing.T) {
	s := storeAt(1 << 20)
	for i := range 3000 {
		ask(s, []Owner{shopA, shopB, other}[i%3], i, text(i))
	}
	s.Forget(Owner{})
	if got := s.bytes.Load(); got != 0 || len(s.Use()) != 0 {
		t.Errorf("%d bytes are left, %v", got, s.Use())
	}
}

func TestResize(t *testing.T) {
	s := storeAt(8 << 20)
	for i := range 100 {
		ask(s, shopA, i, text(50000))
	}
	if got := s.Use()[0]; got.Entries != 100 || got.Bytes < 5000000 {
		t.Errorf("got %v", got)
	}
	s.Resize(1 << 20)
	if got := s.Use()[0]; got.Bytes > 1<<20 || got.Bytes < 800000 {
		t.Errorf("got %v", got)
	}
	s.Resize(0)
	for range 2 {
		if ask(s, shopA, 1, text(100)) || len(s.Use()) != 0 || s.bytes.Load() != 0 {
			t.Errorf("kept in nothing: %v", s.Use())
		}
	}
	s.Open(shopA).KeepAnswer(key(shopA, 1), []byte("x"), noon.Add(time.Hour))
	if _, ok := s.Open(shopA).Answer(key(shopA, 1), noon); ok {
		t.Error("an answer kept in nothing")
	}
	s.Resize(8 << 20)
	if ask(s, shopA, 1, text(100)) || !ask(s, shopA, 1, nil) {
		t.Error("nothing is kept any more")
	}
}

// TestLeaves: projects that nobody asks for cost nothing in the end.
func TestLeaves(t *testing.T) {
	s := storeAt(1 << 20)
	h := s.Open(shopA)
	h.KeepAnswer(key(shopA, 1), []byte("x"), noon.Add(time.Minute))
	ask(s, other, 1, text(100))
	s.Tend(noon.Add(2 * time.Minute))
	if len(s.Use()) != 2 {
		t.Errorf("too early: %v", s.Use())
	}
	s.Tend(noon.Add(6 * time.Minute))
	if got := s.Use(); len(got) != 1 || got[0].Project != "other" {
		t.Errorf("got %v", got)
	}
	h.KeepAnswer(key(shopA, 1), []byte("x"), noon.Add(time.Hour))
	if got := s.Use(); len(got) != 1 {
		t.Errorf("got %v", got)
	}
}

// TestStoreUnderLoad: everything at once, and every answer is the right one.
func TestStoreUnderLoad(t *testing.T) {
	goroutines := runtime.NumGoroutine()
	s := storeAt(512 << 10)
	owners := []Owner{shopA, shopB, other, {"third", "a"}}
	random := rand.New(rand.NewPCG(8, 9))
	var worlds []*world
	for len(worlds) < 6 {
		if w := newWorld(random); len(w.series) > 0 {
			worlds = append(worlds, w)
		}
	}
	var all sync.WaitGroup
	for g := range 4 {
		random := rand.New(rand.NewPCG(10, uint64(g)))
		all.Go(func() {
			for i := range 2 * *rounds {
				o := owners[random.IntN(len(owners))]
				n := random.IntN(len(worlds))
				w, h, k := worlds[n], s.Open(o), key(o, n)
				from := random.IntN(w.points)
				want := Span{w.begin + int64(from)*w.step, w.begin + int64(from+random.IntN(w.points-from))*w.step}
				e := h.Extent(k, w.step)
				if got, direct := w.ask(t, e, want, want.To-5*w.step), w.answer(want); !bytes.Equal(got, direct) {
					t.Errorf("%+v:\ngot  %s\nwant %s", want, got, direct)
					return
				}
				h.Weigh(k, e)
				h.KeepAnswer(key(o, 100+i%50), []byte(o.Project), noon.Add(time.Hour))
				if body, ok := h.Answer(key(o, 100+random.IntN(50)), noon); ok && string(body) != o.Project {
					t.Errorf("%v was given the answer of %s", o, body)
				}
			}
		})
	}
	all.Go(func() {
		for i := range *rounds {
			s.Tend(noon.Add(time.Duration(i) * 50 * time.Second))
			s.Use()
			switch i % 10 {
			case 3:
				s.Forget(owners[i%len(owners)])
			case 5:
				s.Forget(Owner{Project: owners[i%len(owners)].Project})
			case 7:
				s.Resize(int64(100+i) << 10)
			case 9:
				s.Forget(Owner{})
			}
		}
	})
	all.Wait()
	s.Forget(Owner{})
	if got := s.bytes.Load(); got != 0 {
		t.Errorf("%d bytes are counted of nothing", got)
	}
	if got := runtime.NumGoroutine(); got > goroutines {
		t.Errorf("%d goroutines, %d before", got, goroutines)
	}
}
