package kube

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestFollow: what is created, changed and deleted is in the snapshot at once.
func TestFollow(t *testing.T) {
	eachServer(t, func(t *testing.T, p *plane) {
		p.put(tokenObject("shop", 1))
		g := p.gateway(t)
		g.run()
		g.want(idOf(1, 1))
		p.put(tokenObject("bank", 2))
		g.want(idOf(1, 1), idOf(2, 1))
		p.put(tokenObject("shop", 1, func(o *object) {
			before := o.Status.issued
			o.Status.ID, o.Status.Previous = idOf(1, 2), &before
		}))
		g.want(idOf(1, 1), idOf(1, 2), idOf(2, 1))
		p.remove("endpointtokens", "shop", "token-1")
		g.want(idOf(2, 1))
		g.stale(false)
		pass(10 * time.Minute)
		p.remove("endpointtokens", "bank", "token-2")
		g.want()
	})
}

// TestFreshWhileIdle: a part's age stays around the length of a watch, whatever
// the API server makes of it, and no pause is ever made.
func TestFreshWhileIdle(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(*plane)
		bound   time.Duration
	}{
		"watch list":               {func(*plane) {}, 5 * time.Second},
		"list":                     {func(p *plane) { p.old.Store(true) }, 5 * time.Second},
		"bookmarks":                {func(p *plane) { p.bookmarks.Store(true) }, 3 * time.Second},
		"watches that never end":   {func(p *plane) { p.unending.Store(true) }, 10 * time.Second},
		"lists that never arrive":  {func(p *plane) { p.partial.Store(true) }, 5 * time.Second},
		"old, and never end":       {func(p *plane) { p.old.Store(true); p.unending.Store(true) }, 10 * time.Second},
		"one that forgets quickly": {func(p *plane) { p.set(func() { p.gone = 1000 }) }, 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, p *plane) {
				test.prepare(p)
				p.put(tokenObject("shop", 1))
				g := p.gateway(t, "shop", "bank")
				g.run()
				pass(20 * time.Second) // until lists that never arrive were given up
				p.count("list endpointtokens")
				var oldest time.Duration
				for range 10 * 60 {
					pass(time.Second)
					synctest.Wait()
					for _, age := range append(ages(g.Snapshot()), g.Snapshot().Core.Age(time.Now())) {
						oldest = max(oldest, age)
					}
				}
				if oldest > test.bound {
					t.Errorf("a part was up to %s old, want at most %s", oldest, test.bound)
				}
				if n := p.count("list endpointtokens"); n > 0 && test.bound <= 10*time.Second {
					t.Errorf("%d lists", n)
				}
				g.want(idOf(1, 1))
			})
		})
	}
}

// TestWatchSeconds: watches last longer where there are many.
func TestWatchSeconds(t *testing.T) {
	inBubble(t, func(t *testing.T, p *plane) {
		for n, want := range map[int]int64{1: 5, 48: 5, 49: 6, 499: 15, 5000: 15} {
			g := p.gateway(t)
			for i := range n {
				g.watch.spaces[spaceKey{"local", strings.Repeat("x", i)}] = nil
			}
			if got := g.watchSeconds(); got != want {
				t.Errorf("%d namespaces: %d s, want %d", n, got, want)
			}
		}
	})
}

// TestNotSeenBeforeReplace: a watch that is established but has not sent what
// there is does not count, and neither does a list that cannot be watched on.
func TestNotSeenBeforeReplace(t *testing.T) {
	for name, prepare := range map[string]func(*plane){
		"only a watch": func(p *plane) { p.partial.Store(true); p.stall("list endpointtokens") },
		"only a list":  func(p *plane) { p.old.Store(true); p.refusing(403, "watch endpointtokens") },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, p *plane) {
				prepare(p)
				p.put(tokenObject("shop", 1))
				g := p.gateway(t)
				g.run()
				for range 60 {
					pass(time.Second)
					synctest.Wait()
					s := g.Snapshot()
					if s == nil {
						continue // the keys take a while as well
					}
					if age := s.Parts[0].Age(time.Now()); age < 365*24*time.Hour {
						t.Fatalf("the part counts as seen %s ago", age)
					}
				}
			})
		})
	}
}

// TestSilence: when nothing arrives any more, what was seen grows too old in 30
// seconds, and all is well again once the network is.
func TestSilence(t *testing.T) {
	for name, silence := range map[string]func(*plane){
		"of the network": func(p *plane) { p.listener.hole.Store(true) },
		"of the server": func(p *plane) {
			p.stall("list endpointtokens", "watch endpointtokens", "list secrets", "watch secrets")
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachServer(t, func(t *testing.T, p *plane) {
				p.put(tokenObject("shop", 1))
				g := p.gateway(t)
				g.run()
				pass(time.Minute)
				g.stale(false)
				g.logged.take()
				silenced := time.Now()
				silence(p)
				p.remove("endpointtokens", "shop", "token-1") // while nobody is told
				if name == "of the server" {
					g.want() // its watches go on until their end
				}
				pass(30*time.Second + 100*time.Millisecond)
				g.stale(true)
				pass(3 * time.Minute)
				g.stale(true)
				if age := time.Since(silenced) - g.Snapshot().Parts[0].Age(time.Now()); age > 0 && name == "of the network" {
					t.Errorf("the part was seen %s after the network went silent", age)
				}
				if text := g.logged.take(); strings.Count(text, "level=WARN") != 2 || strings.Count(text, "cannot be read: check that the API server can be reached") != 2 {
					t.Errorf("logged\n%s", text)
				}
				p.heal()
				pass(time.Minute)
				g.stale(false)
				g.want()
				if text := g.logged.take(); strings.Count(text, "\n") != 2 || strings.Count(text, "level=INFO msg=\"endpoint tokens can be followed again\"") != 2 {
					t.Errorf("logged\n%s", text)
				}
			})
		})
	}
}

// TestOutage: a restart of the API server is overcome without a list, a longer
// outage with one, and what happened meanwhile is seen as soon as the part
// counts as seen.
func TestOutage(t *testing.T) {
	for name, test := range map[string]struct {
		lasts time.Duration
		stale bool
	}{"short": {3 * time.Second, false}, "long": {5 * time.Minute, true}} {
		t.Run(name, func(t *testing.T) {
			eachServer(t, func(t *testing.T, p *plane) {
				p.put(tokenObject("shop", 1))
				g := p.gateway(t)
				g.run()
				pass(2 * time.Minute)
				p.listener.cut()
				p.remove("endpointtokens", "shop", "token-1")
				p.put(tokenObject("shop", 2))
				pass(test.lasts)
				g.stale(test.stale)
				g.want(idOf(1, 1))
				g.logged.take()
				p.listener.mend()
				began := time.Now()
				for g.Snapshot().Tokens[idOf(1, 1)] != nil {
					if _, partly := g.Snapshot().Stale(time.Now(), 30*time.Second); test.stale && !partly {
						t.Fatal("it counts as seen, and what was deleted is there")
					}
					if time.Since(began) > 15*time.Second {
						t.Fatal("nothing is seen again")
					}
					pass(50 * time.Millisecond)
				}
				pass(15 * time.Second)
				g.stale(false)
				g.want(idOf(2, 1))
				if text := g.logged.take(); strings.Count(text, "can be followed again") != 2 || strings.Contains(text, "WARN") {
					t.Errorf("logged\n%s", text)
				}
			})
		})
	}
}

// TestResumedWatch: after a long outage a watch that goes on from where it was
// says nothing before it has sent what happened meanwhile.
func TestResumedWatch(t *testing.T) {
	eachServer(t, func(t *testing.T, p *plane) {
		p.put(tokenObject("shop", 1))
		g := p.gateway(t)
		g.run()
		pass(time.Minute)
		p.listener.cut()
		p.remove("endpointtokens", "shop", "token-1")
		pass(time.Minute)
		p.hesitant.Store(true)
		p.stall("list endpointtokens")
		p.listener.mend()
		for range 60 {
			pass(time.Second)
			g.stale(true)
		}
		p.hesitant.Store(false)
		p.heal()
		pass(time.Minute)
		g.stale(false)
		g.want()
		if n := p.count("what may be old"); n != 0 {
			t.Errorf("%d lists of what may be old", n)
		}
	})
}

// TestAnswerBrokenOff: after some tries client-go makes no error of a connection
// that breaks before there is an answer. It must not count as a watch.
func TestAnswerBrokenOff(t *testing.T) {
	inBubble(t, func(t *testing.T, p *plane) {
		var namespaces []string
		for n := range 80 { // so that a watch lasts longer than the tries
			namespaces = append(namespaces, fmt.Sprint("ns-", n))
		}
		g := p.gateway(t, namespaces...)
		g.run()
		pass(time.Minute)
		g.stale(false)
		p.stall("watch endpointtokens")
		for range 450 {
			p.server.CloseClientConnections()
			pass(100 * time.Millisecond)
		}
		synctest.Wait()
		s := g.Snapshot()
		if whole, _ := s.Stale(time.Now(), 30*time.Second); !whole {
			t.Errorf("the parts count as seen: %v", ages(s)[:5])
		}
	})
}

// TestEndsWithRun: no goroutine is left, whatever the state of the connection;
// the bubble sees to it.
func TestEndsWithRun(t *testing.T) {
	for name, prepare := range map[string]func(*plane){
		"well":    func(*plane) {},
		"refused": func(p *plane) { p.listener.cut() },
		"silent":  func(p *plane) { p.listener.hole.Store(true) },
		"busy": func(p *plane) {
			p.refusing(429, "watch endpointtokens", "list endpointtokens")
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachServer(t, func(t *testing.T, p *plane) {
				g := p.gateway(t, "shop", "bank")
				stop := g.run()
				pass(time.Minute)
				prepare(p)
				pass(2 * time.Minute)
				began := time.Now()
				stop()
				if took := time.Since(began); took > time.Second {
					t.Errorf("Run took %s to end", took)
				}
				if p.watches.Load() != 0 && name == "well" {
					synctest.Wait()
					if n := p.watches.Load(); n != 0 {
						t.Errorf("%d watches go on", n)
					}
				}
				p.listener.mend()
			})
		})
	}
}
