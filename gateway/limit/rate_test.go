package limit

import (
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestRate asks at instants counted from the first one.
func TestRate(t *testing.T) {
	type ask struct {
		at   time.Duration
		wait time.Duration
		ok   bool
	}
	for name, tc := range map[string]struct {
		perSecond float64
		burst     int
		asks      []ask
	}{
		"a burst, then the rate": {2, 3, []ask{
			{0, 0, true}, {0, 0, true}, {0, 0, true},
			{0, 500 * time.Millisecond, false},
			{250 * time.Millisecond, 250 * time.Millisecond, false},
			{500 * time.Millisecond, 0, true},
			{500 * time.Millisecond, 500 * time.Millisecond, false},
		}},
		"who is refused takes nothing": {1, 1, []ask{
			{0, 0, true},
			{0, time.Second, false}, {0, time.Second, false}, {0, time.Second, false},
			{time.Second, 0, true},
		}},
		"a rest gives the burst, not more": {1, 2, []ask{
			{0, 0, true}, {0, 0, true},
			{time.Hour, 0, true}, {time.Hour, 0, true}, {time.Hour, time.Second, false},
		}},
		"a clock that steps back gives nothing": {1, 1, []ask{
			{time.Second, 0, true},
			{0, time.Second, false},
			{time.Second, time.Second, false},
			{2 * time.Second, 0, true},
			{time.Second, time.Second, false},
			{2 * time.Second, time.Second, false},
		}},
		"less than one in a second": {0.1, 1, []ask{
			{0, 0, true}, {4 * time.Second, 6 * time.Second, false}, {10 * time.Second, 0, true},
		}},
		"next to never": {1e-300, 1, []ask{{0, 0, true}, {0, math.MaxInt64, false}}},
	} {
		t.Run(name, func(t *testing.T) {
			r, first := NewRate(tc.perSecond, tc.burst), time.Now()
			for i, a := range tc.asks {
				if wait, ok := r.Allow(first.Add(a.at)); wait != a.wait || ok != a.ok {
					t.Errorf("%d, at %s: %s, %t; want %s, %t", i, a.at, wait, ok, a.wait, a.ok)
				}
			}
		})
	}
}

// TestRateWait: one who asks again after the wait is allowed, and none asks so
// long for nothing: a little earlier it is not.
func TestRateWait(t *testing.T) {
	seeded := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		perSecond := math.Exp(seeded.Float64()*16 - 7) // 0.001 … 8000
		r, now := NewRate(perSecond, 1+seeded.IntN(20)), time.Now()
		for range 100 {
			wait, ok := r.Allow(now)
			if ok {
				continue
			}
			if early := wait - wait/1000 - 2; early > 0 {
				if _, ok := r.Allow(now.Add(early)); ok {
					t.Fatalf("%g a second: told to wait %s, but allowed after %s", perSecond, wait, early)
				}
			}
			now = now.Add(wait)
			if again, ok := r.Allow(now); !ok {
				t.Fatalf("%g a second: told to wait %s, and then another %s", perSecond, wait, again)
			}
		}
	}
}

// TestRateTogether: many that ask at once, with clocks read in any order, get
// what the burst and the time that passed give, and not one more.
func TestRateTogether(t *testing.T) {
	const perSecond, burst, callers = 100, 10, 50
	r, first := NewRate(perSecond, burst), time.Now()
	var allowed atomic.Int64
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			seeded := rand.New(rand.NewPCG(1, uint64(i)))
			for step := range 100 { // a second, ten milliseconds at a time
				now := first.Add(time.Duration(step)*10*time.Millisecond - time.Duration(seeded.IntN(100))*time.Millisecond)
				if _, ok := r.Allow(now); ok {
					allowed.Add(1)
				}
			}
		})
	}
	all.Wait()
	// The first instant seen may be up to 100 ms before the first one.
	if n, most := allowed.Load(), int64(perSecond+perSecond/10+burst); n < burst || n > most {
		t.Errorf("%d were allowed, want %d at most", n, most)
	}
}

func TestRateUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRate(1, 4)
		want := func(used float64) {
			t.Helper()
			if got := r.Used(); math.Abs(got-used) > 1e-9 {
				t.Errorf("used %g, want %g", got, used)
			}
		}
		want(0)
		for i := range 5 { // one too many
			r.Allow(time.Now())
			want(min(1, float64(i+1)/4))
		}
		<-time.After(2 * time.Second)
		want(0.5)
		<-time.After(time.Hour)
		want(0)
		r.Allow(time.Now().Add(time.Second)) // a clock that is ahead
		want(0.25)
	})
}

func TestRateAllocations(t *testing.T) {
	r, now := NewRate(1, 50), time.Now()
	if n := testing.AllocsPerRun(100, func() { r.Allow(now); r.Used() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
