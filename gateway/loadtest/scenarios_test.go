package loadtest

import (
	"testing"
	"time"

	"github.com/promgate/promgate/gateway"
	"github.com/promgate/promgate/gateway/limit"
)

// mostSlower is how much a neighbor's 99th percentile may grow.
const mostSlower = 1.5

// mostLate is how late a generator may be for its figures to tell anything:
// later, and something else keeps the machine busy.
const mostLate = 25 * time.Millisecond

// phase runs the streams together, after a moment in which connections are made
// that does not count. Where latencies matter, it does so again while the
// machine is not quiet, three times at most.
func phase(t *testing.T, scenario, name string, streams ...*stream) {
	t.Helper()
	run(t.Context(), *phaseTime/10, streams...)
	for attempt := 1; ; attempt++ {
		run(t.Context(), *phaseTime, streams...)
		late := latest(streams)
		if !*report || late <= mostLate {
			break
		}
		t.Logf("%s, %s: requests began %s late", scenario, name, late)
		if attempt == 3 {
			t.Fatalf("%s, %s: the machine is busy with other things: figures would tell nothing", scenario, name)
		}
	}
	for _, s := range streams {
		figures.add(scenario, name, s)
		t.Logf("%s, %s: %s", scenario, name, s)
	}
}

// latest is how late the latest of the streams was.
func latest(streams []*stream) (late time.Duration) {
	for _, s := range streams {
		late = max(late, s.lateness(0.99))
	}
	return late
}

// wantServed checks that a stream lost no more than one request in a thousand.
func wantServed(t *testing.T, s *stream) {
	t.Helper()
	if all, ok := len(s.samples), s.count(answered); all == 0 || ok*1000 < all*999 {
		t.Errorf("%s: %d of %d were answered", s.name, ok, all)
	}
}

// wantRefused checks that a stream was refused part of what it asked. That each
// refusal told when to come again was seen to when it came.
func wantRefused(t *testing.T, s *stream) {
	t.Helper()
	if s.count(refused) == 0 || s.count(answered) == 0 {
		t.Errorf("%s: %d were answered and %d refused", s.name, s.count(answered), s.count(refused))
	}
}

// wantWithin checks a 99th percentile, where the machine lets one.
func wantWithin(t *testing.T, s *stream, most time.Duration) {
	t.Helper()
	if p99 := s.quantile(answered, 0.99); *report && p99 > most {
		t.Errorf("%s: the 99th percentile is %s, want %s at most", s.name, p99, most)
	}
}

// impatient is a budget with a short queue, so that whoever overruns it is
// refused early and a test ends soon.
func impatient(places int) gateway.Budget {
	b := budget(places)
	b.Queue = limit.Queue{Length: 2 * places, Timeout: time.Second}
	return b
}

// slower is the longest 99th percentile that a stream may have later on.
func slower(alone *stream) time.Duration {
	return time.Duration(mostSlower * float64(alone.quantile(answered, 0.99)))
}

// TestRateOfANeighbor: one project asks fifty times as often as it may, another
// half as often as it may.
func TestRateOfANeighbor(t *testing.T) {
	const scenario = "too often"
	places, rate := 4*scale(), 5*scale()
	b := budget(places / 2)
	b.RequestsPerSecond, b.Burst = rate, rate
	w := newWorld(t, places, map[string]gateway.Budget{"shop": b, "billing": b})
	alone := w.client(t, "shop", "neighbor", quick, float64(rate)/2)
	phase(t, scenario, "alone", alone)
	wantServed(t, alone)

	neighbor := w.client(t, "shop", "neighbor", quick, float64(rate)/2)
	noisy := w.client(t, "billing", "noisy", quick, 50*float64(rate))
	phase(t, scenario, "together", neighbor, noisy)
	wantServed(t, neighbor)
	wantWithin(t, neighbor, slower(alone))
	wantRefused(t, noisy)
	if n, most := noisy.count(answered), b.Burst+int(float64(rate)*noisy.elapsed().Seconds())+1; n > most {
		t.Errorf("noisy: %d were answered in %s, want %d at most", n, noisy.elapsed(), most)
	}
}

// TestSlowQueriesOfANeighbor: one project asks for fifty times as many slow
// queries as it may have under way; another asks quick ones.
func TestSlowQueriesOfANeighbor(t *testing.T) {
	const scenario = "too many slow queries"
	own := scale()
	w := newWorld(t, 2*own, map[string]gateway.Budget{"shop": budget(own), "billing": impatient(own)})
	rate := perSecond(own, quickTime) / 8
	alone := w.client(t, "shop", "neighbor", quick, rate)
	phase(t, scenario, "alone", alone)
	wantServed(t, alone)

	neighbor := w.client(t, "shop", "neighbor", quick, rate)
	noisy := w.client(t, "billing", "noisy", slow, 50*perSecond(own, slowTime))
	phase(t, scenario, "together", neighbor, noisy)
	wantServed(t, neighbor)
	wantWithin(t, neighbor, slower(alone))
	wantRefused(t, noisy)
	if n := w.server.mostInside(slow); n > own {
		t.Errorf("%d slow queries were under way at once, want %d at most", n, own)
	}
}

// TestSharedServer: as before, but either project may have more under way than
// there are places in the server that they share, so that the quick queries wait
// for slow ones to end. They wait for the next place that comes free, and not
// until all those before them have had theirs.
func TestSharedServer(t *testing.T) {
	const scenario = "all places taken"
	places := 4 * scale()
	w := newWorld(t, places, map[string]gateway.Budget{"shop": budget(4 * places), "billing": impatient(4 * places)})
	rate := perSecond(places, slowTime) / 4
	alone := w.client(t, "shop", "neighbor", quick, rate)
	phase(t, scenario, "alone", alone)
	wantServed(t, alone)

	neighbor := w.client(t, "shop", "neighbor", quick, rate)
	noisy := w.client(t, "billing", "noisy", slow, 10*perSecond(places, slowTime))
	phase(t, scenario, "together", neighbor, noisy)
	wantServed(t, neighbor)
	wantWithin(t, neighbor, slower(alone)+slowTime*14/10)
	wantRefused(t, noisy)
	if n := w.server.mostInside(""); n > places {
		t.Errorf("%d queries were in the server at once, want %d at most", n, places)
	}
}

// TestOverload: all projects together ask ten times what the server can answer.
// It goes on to answer as many, and each project gets its part.
func TestOverload(t *testing.T) {
	const scenario = "overload"
	places := 4 * scale()
	b := impatient(2 * places)
	w := newWorld(t, places, map[string]gateway.Budget{"a": b, "b": b, "c": b, "d": b})
	fourth := perSecond(places, slowTime) / 4
	flood := func(name string, shares ...float64) (good int, streams []*stream) {
		for i, share := range shares {
			project := string(rune('a' + i))
			streams = append(streams, w.client(t, project, "of-"+project, slow, share*fourth))
		}
		phase(t, scenario, name, streams...)
		for _, s := range streams {
			good += s.goodput()
		}
		return good, streams
	}
	peak, _ := flood("1 × capacity", 1, 1, 1, 1)
	good, streams := flood("10 × capacity", 31, 3, 3, 3)
	wantRefused(t, streams[0])
	if *report && good*10 < peak*9 {
		t.Errorf("%d were answered at ten times the capacity, and %d at once", good, peak)
	}
	for _, s := range streams {
		if n := s.goodput(); *report && n*4*10 < good*9 {
			t.Errorf("%s: %d of %d were its own, want a fourth", s.name, n, good)
		}
	}
	if n := w.server.mostInside(""); n > places {
		t.Errorf("%d queries were in the server at once, want %d at most", n, places)
	}
}

// TestGreedyPrincipal: two principals share a project's places; one asks five
// times what they can do.
func TestGreedyPrincipal(t *testing.T) {
	const scenario = "greedy principal"
	places := scale()
	b := budget(places)
	b.Queue.Length = 40 // half of it is more than the modest one needs, even after a stall
	w := newWorld(t, 4*places, map[string]gateway.Budget{"shop": b})
	capacity := perSecond(places, mediumTime)
	alone := w.client(t, "shop", "modest", medium, capacity/4)
	phase(t, scenario, "alone", alone)
	wantServed(t, alone)

	modest, greedy := w.client(t, "shop", "modest", medium, capacity/4), w.client(t, "shop", "greedy", medium, 5*capacity)
	phase(t, scenario, "together", modest, greedy)
	wantServed(t, modest)
	wantRefused(t, greedy)
	// It waits for the place after the next at most, and a place is taken for
	// 56 ms at most.
	wantWithin(t, modest, slower(alone)+2*mediumTime*14/10)
}
