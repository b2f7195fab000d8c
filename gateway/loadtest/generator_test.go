package loadtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// stream is one client's requests during a phase: so many a second, at random
// instants, each at its own however long the others take.
type stream struct {
	name string
	rate float64 // per second
	ask  func(context.Context) outcome

	length  time.Duration // of the phase
	samples []sample
}

// outcome is how a request ended.
type outcome int

const (
	answered outcome = iota
	refused          // for now: 429, with Retry-After
	failed           // in any other way
)

// sample is one request; its times are counted from the instant at which it was
// due, but for due itself, which is counted from the start of the phase.
type sample struct {
	outcome
	due, begun, done time.Duration
}

// schedule gives n instants within the length as they fall in a Poisson
// process, in order. They are always the same ones.
func schedule(n int, length time.Duration, seed uint64) []time.Duration {
	random := rand.New(rand.NewPCG(seed, uint64(n)))
	at := make([]time.Duration, n)
	for i := range at {
		at[i] = time.Duration(random.Float64() * float64(length))
	}
	slices.Sort(at)
	return at
}

// run lets all streams flow together for the length, and returns when the last
// request has ended.
func run(ctx context.Context, length time.Duration, streams ...*stream) {
	var all sync.WaitGroup
	start := time.Now()
	for i, s := range streams {
		s.length, s.samples = length, nil
		all.Go(func() { s.flow(ctx, start, uint64(i)) })
	}
	all.Wait()
}

func (s *stream) flow(ctx context.Context, start time.Time, seed uint64) {
	instants := schedule(int(s.rate*s.length.Seconds()), s.length, seed)
	s.samples = make([]sample, len(instants))
	var all sync.WaitGroup
	defer all.Wait()
	for i, at := range instants {
		due := start.Add(at)
		if early := time.Until(due); early > 0 {
			<-time.After(early)
		}
		all.Go(func() {
			begun := time.Since(due)
			end := s.ask(ctx)
			s.samples[i] = sample{outcome: end, due: at, begun: begun, done: time.Since(due)}
		})
	}
}

// String is for the log of a test.
func (s *stream) String() string {
	return fmt.Sprintf("%s asked %d times, was answered %d times (p50 %s ms, p99 %s ms) and refused %d times", s.name, len(s.samples),
		s.count(answered), milliseconds(s.quantile(answered, 0.5)), milliseconds(s.quantile(answered, 0.99)), s.count(refused))
}

func (s *stream) offered() float64 { return s.perSecond(len(s.samples)) }

func (s *stream) perSecond(n int) float64 { return float64(n) / s.length.Seconds() }

func (s *stream) count(o outcome) (n int) {
	for _, sample := range s.samples {
		if sample.outcome == o {
			n++
		}
	}
	return n
}

// goodput is how many were answered within the phase itself.
func (s *stream) goodput() (n int) {
	for _, sample := range s.samples {
		if sample.outcome == answered && sample.due+sample.done <= s.length {
			n++
		}
	}
	return n
}

// elapsed is the time until the last request had ended.
func (s *stream) elapsed() (last time.Duration) {
	for _, sample := range s.samples {
		last = max(last, sample.due+sample.done)
	}
	return last
}

// quantile is the time within which that share of the requests with that
// outcome had ended; -1 if there are none.
func (s *stream) quantile(o outcome, q float64) time.Duration {
	var times []time.Duration
	for _, sample := range s.samples {
		if sample.outcome == o {
			times = append(times, sample.done)
		}
	}
	return quantile(times, q)
}

// lateness is how long after their instants that share of requests had begun.
func (s *stream) lateness(q float64) time.Duration {
	var times []time.Duration
	for _, sample := range s.samples {
		times = append(times, sample.begun)
	}
	return quantile(times, q)
}

// quantile is the smallest that at least that share of the times don't exceed.
func quantile(times []time.Duration, q float64) time.Duration {
	if len(times) == 0 {
		return -1
	}
	slices.Sort(times)
	n := float64(len(times)) * q
	rank := int(n)
	if float64(rank) < n {
		rank++
	}
	return times[max(rank, 1)-1]
}

// TestStreamSeesStalls: while the other side stalls, requests begin all the
// same, and their times count from when they were due.
func TestStreamSeesStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const length = 10 * time.Second
		start := time.Now()
		s := &stream{name: "one", rate: 100, ask: func(context.Context) outcome {
			if stall := start.Add(length / 2); time.Now().Before(stall) {
				<-time.After(time.Until(stall)) // nobody is answered in the first half
			}
			return answered
		}}
		run(t.Context(), length, s)
		if n := len(s.samples); n != 1000 || s.offered() != 100 || s.elapsed() > length {
			t.Errorf("%d requests, %.0f a second, for %s", n, s.offered(), s.elapsed())
		}
		for _, sample := range s.samples {
			if want := max(0, length/2-sample.due); sample.begun != 0 || sample.done != want {
				t.Fatalf("due at %s: begun %s late, done after %s; want 0 and %s", sample.due, sample.begun, sample.done, want)
			}
		}
		if p99 := s.quantile(answered, 0.99); p99 < 4*time.Second {
			t.Errorf("the 99th percentile is %s, and doesn't show a stall of 5s", p99)
		}
	})
}

func TestQuantile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(100 - i)
	}
	for _, tc := range []struct {
		times []time.Duration
		q     float64
		want  time.Duration
	}{
		{nil, 0.5, -1},
		{[]time.Duration{7}, 0.99, 7},
		{[]time.Duration{3, 1, 2}, 0.5, 2},
		{[]time.Duration{4, 3, 1, 2}, 0.5, 2},
		{hundred, 0.99, 99},
		{hundred, 1, 100},
	} {
		if got := quantile(slices.Clone(tc.times), tc.q); got != tc.want {
			t.Errorf("%v of %v: %d, want %d", tc.q, tc.times, got, tc.want)
		}
	}
}
