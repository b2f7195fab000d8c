package limit

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// called gives the caller of a name such as "a/x2": the project a, its
// principal x; the number only tells its calls apart.
func called(name string) Caller {
	project, call, _ := strings.Cut(name, "/")
	return Caller{Project: project, Principal: call[:1]}
}

// crowd is callers at one gate, inside one synctest bubble.
type crowd struct {
	t       *testing.T
	gate    *Gate
	cancel  map[string]context.CancelFunc
	entered []string // in the order in which they came in
	refused []string // name and error, in the order in which they were refused
}

func newCrowd(t *testing.T, places int, queue Queue) *crowd {
	return &crowd{t: t, gate: NewGate(places, queue), cancel: make(map[string]context.CancelFunc)}
}

// arrive has the caller ask for a place, and returns once it has it, waits for
// it or is refused.
func (c *crowd) arrive(name string) {
	ctx, cancel := context.WithCancel(c.t.Context())
	c.cancel[name] = cancel
	go func() {
		if err := c.gate.Enter(ctx, called(name), time.Time{}); err != nil {
			c.refused = append(c.refused, name+": "+err.Error())
			return
		}
		c.entered = append(c.entered, name)
	}()
	synctest.Wait()
}

// play runs a script of words: "-" is a place given back, "!" a caller that
// gives up, anything else a caller that arrives.
func (c *crowd) play(script string) {
	for word := range strings.FieldsSeq(script) {
		switch name, gaveUp := strings.CutPrefix(word, "!"); {
		case word == "-":
			c.gate.Leave()
		case gaveUp:
			c.cancel[name]()
		default:
			c.arrive(word)
		}
		synctest.Wait()
	}
}

// TestGateTurns plays each script at a gate of one place with room for four of
// each project.
func TestGateTurns(t *testing.T) {
	const full, canceled = ": the queue is full", ": context canceled"
	for name, tc := range map[string]struct{ script, entered, refused string }{
		"one principal: in order of arrival": {
			script:  "a/x0 a/x1 a/x2 a/x3 - - -",
			entered: "a/x0 a/x1 a/x2 a/x3",
		},
		"principals of one project: in turn": {
			script:  "a/x0 a/x1 a/x2 a/y1 a/z1 - - - -",
			entered: "a/x0 a/x1 a/y1 a/z1 a/x2",
		},
		"projects: in turn, whoever came first": {
			script:  "a/x0 a/x1 a/x2 a/x3 b/x1 b/x2 c/x1 - - - - - -",
			entered: "a/x0 a/x1 b/x1 c/x1 a/x2 b/x2 a/x3",
		},
		"both levels": {
			script:  "a/x0 a/x1 a/x2 a/y1 b/x1 b/y1 b/y2 - - - - - -",
			entered: "a/x0 a/x1 b/x1 a/y1 b/y1 a/x2 b/y2",
		},
		"many principals give a project no more turns": {
			script:  "a/w0 a/w1 a/x1 a/y1 a/z1 b/x1 b/x2 - - - - - -",
			entered: "a/w0 a/w1 b/x1 a/x1 b/x2 a/y1 a/z1",
		},
		"a project that comes while another waits is next but one": {
			script:  "a/x0 a/x1 a/x2 a/x3 a/x4 - b/x1 - - - -",
			entered: "a/x0 a/x1 a/x2 b/x1 a/x3 a/x4",
		},
		"who comes back is behind the others": {
			script:  "a/x0 a/x1 b/x1 - a/x2 c/x1 - - -",
			entered: "a/x0 a/x1 b/x1 a/x2 c/x1",
		},
		"same names in two projects are two principals": {
			script:  "a/x0 a/x1 b/x1 a/y1 - - -",
			entered: "a/x0 a/x1 b/x1 a/y1",
		},
		"who gives up is left out": {
			script:  "a/x0 a/x1 a/x2 b/x1 c/x1 !b/x1 !a/x1 - -",
			entered: "a/x0 a/x2 c/x1",
			refused: "b/x1" + canceled + " a/x1" + canceled,
		},
		"the room is a project's own": {
			script:  "a/x0 a/x1 a/x2 a/x3 a/x4 a/x5 b/x1 b/x2 - - -",
			entered: "a/x0 a/x1 b/x1 a/x2",
			refused: "a/x5" + full,
		},
		"who has most of the room gives way, newest first": {
			script:  "a/x0 a/x1 a/x2 a/x3 a/x4 a/y1 a/y2 a/y3 - - - -",
			entered: "a/x0 a/x1 a/y1 a/x2 a/y2",
			refused: "a/x4" + full + " a/x3" + full + " a/y3" + full,
		},
		"nobody gives way for an equal share": {
			script:  "a/x0 a/x1 a/x2 a/y1 a/y2 a/x3 a/y3 a/z1 - - - -",
			entered: "a/x0 a/x1 a/y1 a/z1 a/x2",
			refused: "a/x3" + full + " a/y3" + full + " a/y2" + full,
		},
		"an only waiter never gives way": {
			script:  "a/x0 a/w1 a/x1 a/y1 a/z1 a/v1 - - - -",
			entered: "a/x0 a/w1 a/x1 a/y1 a/z1",
			refused: "a/v1" + full,
		},
		"room that came free is used first": {
			script:  "a/x0 a/x1 a/x2 a/x3 a/x4 !a/x2 a/y1 - - - -",
			entered: "a/x0 a/x1 a/y1 a/x3 a/x4",
			refused: "a/x2" + canceled,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCrowd(t, 1, Queue{Length: 4, Timeout: time.Minute})
				c.play(tc.script)
				if got := strings.Join(c.entered, " "); got != tc.entered {
					t.Errorf("came in: %s\n   want: %s", got, tc.entered)
				}
				if got := strings.Join(c.refused, " "); got != tc.refused {
					t.Errorf("refused: %q, want %q", got, tc.refused)
				}
				for _, cancel := range c.cancel {
					cancel()
					synctest.Wait()
				}
			})
		})
	}
}

func TestGateTimesOut(t *testing.T) {
	for name, tc := range map[string]struct {
		until   time.Duration // from now; none: the queue's timeout
		context time.Duration // the caller's own
		after   time.Duration
		err     error
	}{
		"the queue's timeout":            {after: time.Second, err: ErrQueueTimeout},
		"an earlier instant":             {until: time.Millisecond, after: time.Millisecond, err: ErrQueueTimeout},
		"a later instant":                {until: time.Hour, after: time.Hour, err: ErrQueueTimeout},
		"an instant that is over":        {until: -time.Second, err: ErrQueueTimeout},
		"the caller's own deadline":      {context: time.Millisecond, after: time.Millisecond, err: context.DeadlineExceeded},
		"a caller that was gone already": {context: -1, err: context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewGate(1, Queue{Length: 1, Timeout: time.Second})
				_ = g.Enter(t.Context(), Caller{}, time.Time{})
				ctx, until, started := t.Context(), time.Time{}, time.Now()
				if tc.context != 0 {
					shorter, cancel := context.WithTimeout(ctx, tc.context)
					defer cancel()
					ctx = shorter
				}
				if tc.until != 0 {
					until = started.Add(tc.until)
				}
				if err := g.Enter(ctx, Caller{}, until); !errors.Is(err, tc.err) || time.Since(started) != tc.after {
					t.Errorf("%v after %s, want %v after %s", err, time.Since(started), tc.err, tc.after)
				}
				if use := g.Use(); use != (Use{Taken: 1, Places: 1}) {
					t.Errorf("then %+v", use)
				}
			})
		})
	}
}

// TestGateDoesNotPushOutInVain: one whose time is over takes nobody's room.
func TestGateDoesNotPushOutInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 1, Queue{Length: 2, Timeout: time.Minute})
		c.play("a/x0 a/x1 a/x2")
		err := c.gate.Enter(t.Context(), called("a/y1"), time.Now())
		synctest.Wait()
		if !errors.Is(err, ErrQueueTimeout) || len(c.refused) != 0 {
			t.Errorf("it gets %v, and refused are %q", err, c.refused)
		}
		c.play("- -")
	})
}

// TestGateFree: a free place needs no wait, so neither time nor room for it.
func TestGateFree(t *testing.T) {
	g := NewGate(2, Queue{})
	if err := g.Enter(t.Context(), Caller{}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := g.Enter(t.Context(), Caller{}, time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	if err := g.Enter(t.Context(), Caller{}, time.Time{}); !errors.Is(err, ErrQueueFull) {
		t.Errorf("without a queue the third gets %v", err)
	}
	g.Leave()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Enter(canceled, Caller{}, time.Time{}); !errors.Is(err, context.Canceled) {
		t.Errorf("who is gone gets %v", err)
	}
	if use := g.Use(); use != (Use{Taken: 1, Places: 2}) {
		t.Errorf("then %+v", use)
	}
}

// TestGateAnsweredLate: a waiter is answered in the moment in which it gives up
// or its time is over. Several rounds, since it may notice either one first.
func TestGateAnsweredLate(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		for name, tc := range map[string]struct {
			ctx      context.Context
			patience time.Duration
			err      error
			taken    int
		}{
			"a place for one who is gone":           {canceled, time.Minute, context.Canceled, 0},
			"a place for one whose time is over":    {t.Context(), 0, nil, 1},
			"a place for one that is still waiting": {t.Context(), time.Minute, nil, 1},
		} {
			g := NewGate(1, Queue{Length: 1, Timeout: time.Minute})
			_ = g.Enter(t.Context(), Caller{}, time.Time{})
			w, _, err := g.join(Caller{}, time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			g.Leave()
			if err := g.wait(tc.ctx, w, tc.patience); !errors.Is(err, tc.err) {
				t.Errorf("%s: %v, want %v", name, err, tc.err)
			}
			if use := g.Use(); use != (Use{Taken: tc.taken, Places: 1}) {
				t.Errorf("%s: then %+v, want %d taken", name, use, tc.taken)
			}
		}
	}
}

func TestGateLeaveWithoutEnter(t *testing.T) {
	g := NewGate(1, Queue{})
	defer func() {
		if recover() == nil {
			t.Error("a place that nobody had was given back")
		}
		if use := g.Use(); use != (Use{Places: 1}) { // and the gate isn't locked
			t.Errorf("then %+v", use)
		}
	}()
	g.Leave()
}

// TestGateRace: places are granted, and waiters pushed out, in the very moments
// in which callers give up or run out of time. Never are more inside than there
// are places, and in the end all are free.
func TestGateRace(t *testing.T) {
	const places, callers = 3, 4000
	g := NewGate(places, Queue{Length: callers / 10, Timeout: time.Minute})
	var inside, entered atomic.Int64
	var all sync.WaitGroup
	for i := range callers {
		ctx, cancel := context.WithCancel(t.Context())
		until := time.Now().Add(time.Duration(rand.Int64N(int64(20 * time.Millisecond))))
		all.Go(func() {
			defer cancel()
			caller := Caller{Project: string(rune('a' + i%5)), Principal: string(rune('a' + i%7))}
			if g.Enter(ctx, caller, until) != nil {
				return
			}
			if n := inside.Add(1); n > places {
				t.Errorf("%d inside", n)
			}
			entered.Add(1)
			for range i % 50 {
				runtime.Gosched()
			}
			inside.Add(-1)
			g.Leave()
		})
		if i%3 == 0 {
			all.Go(func() {
				for range i % 200 {
					runtime.Gosched()
				}
				cancel()
			})
		}
	}
	all.Wait()
	if use := g.Use(); use != (Use{Places: places}) || entered.Load() == 0 {
		t.Errorf("after %d came in: %+v", entered.Load(), use)
	}
	wantEmpty(t, &g.line)
}

// wantEmpty checks that a line in which nobody waits keeps nothing.
func wantEmpty(t *testing.T, l *line) {
	t.Helper()
	if l.waiting != 0 || l.projects.Len() != 0 || l.byName != nil {
		t.Errorf("%d wait, %d projects, names %v: want nothing kept", l.waiting, l.projects.Len(), l.byName)
	}
}

func TestGateAllocations(t *testing.T) {
	g, ctx, c := NewGate(1, Queue{Length: 1, Timeout: time.Second}), t.Context(), Caller{Project: "shop", Principal: "grafana"}
	if n := testing.AllocsPerRun(100, func() {
		if g.Enter(ctx, c, time.Time{}) == nil {
			g.Leave()
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
