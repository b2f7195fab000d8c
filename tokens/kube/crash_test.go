package kube

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promgate/promgate/tokens"
)

// mintEvents are what makes a process mint for the object grafana with the
// Secret s, which another process took care of before.
var mintEvents = map[string]struct {
	happens func(w *mintWorld)
	// steps is how many requests it takes at least, and held whether the Secret
	// holds a good token at every moment.
	steps int
	held  bool
}{
	"first":   {func(w *mintWorld) { w.add("grafana", `{"secretName": "s"}`) }, 5, false},
	"renewal": {func(*mintWorld) { elapse(mintLifetime * 2 / 3) }, 4, true},
	"key gone": {func(w *mintWorld) {
		w.setKeys("key-2")
		elapse(settles)
	}, 4, false},
	"Secret gone": {func(w *mintWorld) {
		w.change(func() { delete(w.objects, secretsPath+"/s") })
		elapse(verifyInterval)
	}, 4, false},
}

// vouched tells whether the status names the token in the Secret, as good.
func (w *mintWorld) vouched(name, secretName string) bool {
	_, r := w.secretToken(secretName)
	o := w.object(name)
	if o == nil {
		return false
	}
	for _, t := range o.tokens() {
		if t.ID == r.ID {
			return time.Now().Before(o.end(t))
		}
	}
	return false
}

// TestCrash ends a process at each of its requests in turn, before and after that
// has had its effect, and lets another go on.
func TestCrash(t *testing.T) {
	for name, event := range mintEvents {
		for _, after := range []bool{false, true} {
			for at := 1; ; at++ {
				over := false
				synctest.Test(t, func(t *testing.T) {
					t.Logf("%s, at request %d, after it: %v", name, at, after)
					w := newMintWorld(t)
					if name != "first" {
						stop := w.run(w.process("before").lead)
						w.add("grafana", `{"secretName": "s"}`)
						elapse(time.Second)
						w.good("grafana", "s")
						stop()
					}
					over = !w.crash(event.happens, at, after)
					if event.held && !w.vouched("grafana", "s") {
						t.Error("the token in the Secret is not good")
					}
					defer w.run(w.process("b").lead)()
					if event.held {
						for range 1000 {
							elapse(20 * time.Millisecond)
							if !w.vouched("grafana", "s") {
								t.Fatal("the token in the Secret is not good")
							}
						}
					}
					elapse(settles + lookInterval + time.Second)
					w.good("grafana", "s")
				})
				if over {
					if at <= event.steps {
						t.Errorf("%s takes %d requests, want %d or more", name, at-1, event.steps)
					}
					break
				}
			}
		}
	}
}

// crash runs a process until it was stopped at a request, and tells whether it
// was.
func (w *mintWorld) crash(happens func(*mintWorld), at int, after bool) bool {
	var sent atomic.Int64
	w.setRefuse(func(who, _ string) (int, bool) {
		if who != "a" {
			return 0, false
		}
		switch n := sent.Add(1); {
		case n < int64(at):
			return 0, false
		case n == int64(at):
			return -1, after
		}
		return -1, false
	})
	happens(w)
	a := w.process("a")
	stop := w.run(a.lead)
	elapse(500 * time.Millisecond)
	stop()
	return sent.Load() >= int64(at)
}

// TestRotateCrash stops a rotation at each request: the token of before is good
// until there is a successor, and a rotation by hand works after it.
func TestRotateCrash(t *testing.T) {
	for _, after := range []bool{false, true} {
		for at, over := 1, false; !over; at++ {
			synctest.Test(t, func(t *testing.T) {
				w := newMintWorld(t)
				defer w.run(w.process("leader").lead)()
				w.add("grafana", `{"secretName": "s"}`)
				elapse(time.Hour)
				first := w.good("grafana", "s").Status.ID
				sent := 0
				w.setRefuse(func(who, _ string) (int, bool) {
					if who == "cli" {
						if sent++; sent >= at {
							return -1, after && sent == at
						}
					}
					return 0, false
				})
				_, token, _, err := w.process("cli").rotate(t.Context(), first, tokens.Rotation{Overlap: time.Hour})
				if over = err == nil; over != (token != "") {
					t.Errorf("got %v, token %v", err, token != "")
				}
				for range 300 {
					elapse(100 * time.Millisecond)
					if !w.vouched("grafana", "s") {
						t.Fatalf("at %d: the token in the Secret is not good", at)
					}
				}
				w.good("grafana", "s")
			})
		}
	}
}

// TestOvertaken: what was decided before another process wrote the Secret does not
// get there after it.
func TestOvertaken(t *testing.T) {
	led(t, func(w *mintWorld, _ *minter) {
		w.add("grafana", `{"secretName": "s"}`)
		elapse(time.Minute)
		first, other, writes := w.good("grafana", "s").Status.ID, w.process("other"), 0
		w.setRefuse(func(who, request string) (int, bool) {
			if who == "a" && request == "PATCH "+tokensPath+"/grafana/status" {
				writes++
			}
			if who == "a" && request == "PATCH "+secretsPath+"/s" && writes == 1 {
				writes++
				if _, _, _, err := other.rotate(t.Context(), w.object("grafana").Status.ID, tokens.Rotation{Overlap: time.Hour}); err != nil {
					t.Error(err)
				}
			}
			return 0, false
		})
		elapse(mintLifetime*2/3 - time.Minute)
		for range 1000 {
			elapse(20 * time.Millisecond)
			if !w.vouched("grafana", "s") {
				t.Fatal("the Secret has the token of the process that was overtaken")
			}
		}
		if o := w.good("grafana", "s"); o.Status.ID != o.idPrefix()+"3" || first != o.idPrefix()+"1" || writes < 2 || w.logs.count("level=WARN") > 0 {
			t.Errorf("status %+v\n%s", o.Status, w.logs.text())
		}
	})
}

// TestSplitBrain: two processes that both lead do no lasting harm.
func TestSplitBrain(t *testing.T) {
	const objects, lifetime = 5, 30 * time.Minute
	synctest.Test(t, func(t *testing.T) {
		w := newMintWorld(t)
		w.delay = func() time.Duration { return rand.N(100 * time.Millisecond) }
		w.setRefuse(func(string, string) (int, bool) {
			if rand.N(20) == 0 {
				return -1, rand.N(2) == 0
			}
			return 0, false
		})
		for _, name := range []string{"a", "b"} {
			m := w.process(name)
			m.s.options.Lifetime, m.s.options.Overlap = lifetime, lifetime/4
			defer w.run(m.lead)()
		}
		for i := range objects {
			w.add(fmt.Sprint("t-", i), fmt.Sprintf(`{"secretName": "s-%d"}`, i))
		}
		elapse(maxRetry)
		var since [objects]time.Time
		longest := time.Duration(0)
		for end := time.Now().Add(2 * lifetime); time.Now().Before(end); {
			elapse(5 * time.Second)
			for i := range objects {
				switch {
				case w.secret(fmt.Sprint("s-", i)) == nil || w.vouched(fmt.Sprint("t-", i), fmt.Sprint("s-", i)):
					since[i] = time.Time{}
				case since[i].IsZero():
					since[i] = time.Now()
				default:
					longest = max(longest, time.Since(since[i]))
				}
			}
			if rand.N(200) == 0 {
				w.change(func() { delete(w.objects, secretsPath+"/s-0") })
			}
		}
		if longest >= verifyInterval {
			t.Errorf("a Secret held a token for %s that its status did not name", longest)
		}
		t.Logf("%d tokens were made with %d requests; the longest that a Secret held another was %s", len(w.made.all), len(w.requests()), longest)
		w.setRefuse(nil)
		elapse(2 * maxRetry)
		for i := range objects {
			w.good(fmt.Sprint("t-", i), fmt.Sprint("s-", i))
		}
		if strings.Contains(w.logs.text(), "level=ERROR") {
			t.Error("logged an error")
		}
	})
}
