package cache

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

func TestLevel(t *testing.T) {
	for _, c := range []struct {
		uses []int64
		room int64
		want int64
	}{
		{[]int64{100, 10}, 60, 50},
		{[]int64{10, 100}, 60, 50},
		{[]int64{50, 50}, 60, 30},
		{[]int64{1, 2, 90, 90}, 63, 30},
		{[]int64{100}, 60, 60},
		{[]int64{100, 100}, 1, 0},
	} {
		if got := level(c.uses, c.room); got != c.want {
			t.Errorf("%v in %d: %d, want %d", c.uses, c.room, got, c.want)
		}
	}
}

// bytesOf is what is kept of a project.
func bytesOf(s *Store, project string) int64 {
	for _, u := range s.Use() {
		if u.Project == project {
			return u.Bytes
		}
	}
	return 0
}

// TestScanResistance: who looks once over thousands of queries does not drive out
// what a dashboard asks every 15 seconds, in the same project.
func TestScanResistance(t *testing.T) {
	s := storeAt(8 << 18)
	piece := text(5000)
	const panels = 60 // a sixth of the bytes
	asked, missed, next := 0, 0, 1000
	for refresh := range 120 {
		now := noon.Add(time.Duration(refresh) * 15 * time.Second)
		for i := range panels {
			if hit := ask(s, shopA, i, piece); refresh > 1 {
				if asked++; !hit {
					missed++
				}
			}
		}
		if refresh > 4 {
			for range 100 { // a fourth of the bytes each time
				ask(s, shopA, next, piece)
				next++
			}
		}
		if refresh%2 == 0 {
			s.Tend(now)
		}
	}
	if missed*100 > asked {
		t.Errorf("of %d, %d were not held", asked, missed)
	}
	if got := s.bytes.Load(); got > 8<<18 {
		t.Errorf("%d bytes", got)
	}
}

// TestFairness: a project that floods the store does not touch what another keeps
// within its share.
func TestFairness(t *testing.T) {
	s := storeAt(16 << 18)
	piece := text(5000)
	const panels = 160 // a fifth
	for i := range panels {
		ask(s, other, i, piece)
	}
	for i := range 10000 {
		ask(s, shopA, i, piece)
		if i%100 == 0 {
			s.Tend(noon.Add(time.Duration(i) * time.Second / 50))
			for j := range panels {
				if !ask(s, other, j, piece) {
					t.Fatalf("after %d, %d is not held", i, j)
				}
			}
		}
	}
	if got := bytesOf(s, "shop"); got < 11<<18 {
		t.Errorf("what is free is not used: %v", s.Use())
	}
	// And the other way: who comes later gets its share.
	for i := range 2000 {
		ask(s, Owner{"third", "a"}, i, piece)
	}
	if shop, third := bytesOf(s, "shop"), bytesOf(s, "third"); third < 5<<18 || shop < 5<<18 {
		t.Errorf("got %v", s.Use())
	}
	for j := range panels {
		if !ask(s, other, j, piece) {
			t.Errorf("%d is not held", j)
		}
	}
}

// TestManyProjects: all that ask for too much get the same.
func TestManyProjects(t *testing.T) {
	const projects, bound = 50, 32 << 20
	s := storeAt(bound)
	piece := text(10000)
	for i := range 200 {
		for p := range projects {
			o := Owner{fmt.Sprintf("project-%02d", p), "a"}
			if p < 10 { // these are small
				ask(s, o, i%5, piece)
				continue
			}
			ask(s, o, i, piece)
		}
	}
	s.Tend(noon.Add(30 * time.Second))
	share := (int64(bound) - projects*tenantOverhead - 10*5*(10000+entryOverhead)) / 40
	for i, u := range s.Use() {
		if i < 10 {
			if u.Entries != 5 {
				t.Errorf("of a small one there is %v", u)
			}
		} else if u.Bytes < share*9/10 || u.Bytes > share*11/10 {
			t.Errorf("%v, and the share is %d", u, share)
		}
	}
}

// TestDeserted: who asks for nothing any more gives to those who do, and gets its
// share back when it asks again.
func TestDeserted(t *testing.T) {
	s := storeAt(16 << 18)
	piece := text(5000)
	for i := range 1000 {
		ask(s, other, i, piece)
	}
	now, next := noon, 0
	for range 120 { // an hour
		now = now.Add(30 * time.Second)
		for range 50 {
			ask(s, shopA, next, piece)
			next++
		}
		s.Tend(now)
		if now.Sub(noon) == 4*time.Minute {
			if got := bytesOf(s, "other"); got < 7<<18 {
				t.Errorf("after four minutes it has %d", got)
			}
		}
	}
	if got := bytesOf(s, "other"); got > 1<<18 {
		t.Errorf("after an hour it has %d", got)
	}
	if got := bytesOf(s, "shop"); got < 14<<18 {
		t.Errorf("after an hour the other one has %d", got)
	}
	for i := range 1000 {
		ask(s, other, i, piece)
	}
	if got := bytesOf(s, "other"); got < 7<<18 {
		t.Errorf("back again it has %d", got)
	}
	// With nobody else asking, it stays.
	for range 120 {
		now = now.Add(30 * time.Second)
		s.Tend(now)
	}
	if got := bytesOf(s, "other") + bytesOf(s, "shop"); got < 13<<18 {
		t.Errorf("without need %d are left", got)
	}
}

// heap is what is in use after collecting.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestBound: what a store costs in memory is what it was given, whatever is kept.
func TestBound(t *testing.T) {
	for _, c := range []struct {
		name            string
		projects, count int
		piece           []Series
		grow            bool
		bound           int64
	}{
		{"large", 3, *rounds * 20, text(400000), false, 64 << 20},
		{"middling", 20, 1000, text(30000), true, 8 << 20},
		{"small", 5, 20000, text(100), false, 8 << 20},
		{"many series", 5, 60, manySeries(1000), true, 8 << 20},
		{"many projects", 60, 4000, text(3000), false, 8 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, bound := heap(), c.bound
			s := storeAt(bound)
			for i := range c.count {
				o := Owner{fmt.Sprint("project-", i%c.projects), "a"}
				ask(s, o, i, c.piece)
				if c.grow && i%3 == 0 {
					grow(s, o, i)
				}
			}
			used := heap() - before
			if used > bound*105/100 || used < bound*85/100 {
				t.Errorf("%.1f MiB of memory for %.1f MiB that are counted, of %d", float64(used)/(1<<20), float64(s.bytes.Load())/(1<<20), bound>>20)
			}
			runtime.KeepAlive(s)
		})
	}
}

// grow adds one step after the other.
func grow(s *Store, o Owner, i int) {
	h := s.Open(o)
	e := h.Extent(key(o, i), 1000)
	for at := int64(5); at < 25; at++ {
		var piece []Series
		for _, have := range e.View(four).Series {
			piece = append(piece, Series{Metric: have.Metric, Values: fmt.Appendf(nil, `[%d,"1"]`, at)})
		}
		e.Add(Span{at * 1000, at * 1000}, piece)
		h.Weigh(key(o, i), e)
	}
}

// manySeries is a piece of many series with little in them.
func manySeries(n int) (all []Series) {
	for i := range n {
		all = append(all, Series{Metric: fmt.Appendf(nil, `{"__name__":"up","instance":"10.0.0.%05d:9100","job":"node"}`, i), Values: []byte(`[1,"1"],[2,"0"],[3,"1"],[4,"1"]`)})
	}
	return all
}
