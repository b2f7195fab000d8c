package limit

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// guest is one call of Enter, in a test that compares a gate with a model of it.
type guest struct {
	number int
	caller Caller
	until  time.Time
	cancel context.CancelFunc
	err    error // what the gate answered
	done   bool  // whether it answered

	// What must hold whatever the model says: how many places may at most go to
	// other projects, and to other principals of the project, before its own.
	projectPatience, principalPatience int
}

// model is the gate in the plainest words: everything is a slice, everything is
// looked for again each time.
type model struct {
	places, room int
	inside       int
	waiting      []*guest // in order of arrival
	turns        []Caller // whoever waits, and those of the past, in the order of their turns
}

func (m *model) count(match func(Caller) bool) (n int) {
	for _, g := range m.waiting {
		if match(g.caller) {
			n++
		}
	}
	return n
}

func (m *model) ofProject(project string) int {
	return m.count(func(c Caller) bool { return c.Project == project })
}

func (m *model) ofCaller(caller Caller) int {
	return m.count(func(c Caller) bool { return c == caller })
}

// projects lists the projects that wait in the order of their turns, and
// principals does so for those of one project. A turn of a project is kept as a
// caller without principal.
func (m *model) projects() (found []string) {
	for _, c := range m.turns {
		if c.Principal == "" && m.ofProject(c.Project) > 0 {
			found = append(found, c.Project)
		}
	}
	return found
}

func (m *model) principals(project string) (found []Caller) {
	for _, c := range m.turns {
		if c.Principal != "" && c.Project == project && m.ofCaller(c) > 0 {
			found = append(found, c)
		}
	}
	return found
}

func (m *model) toTheBack(c Caller) {
	m.turns = append(slices.DeleteFunc(m.turns, func(o Caller) bool { return o == c }), c)
}

// enter tells how the gate must answer: in is whether at once with a place,
// refused is who must be refused (the guest itself, or one that waits).
func (m *model) enter(g *guest) (in bool, refused *guest) {
	if m.inside < m.places {
		m.inside++
		return true, nil
	}
	if m.ofProject(g.caller.Project) >= m.room {
		most := slices.MaxFunc(m.waiting, func(a, b *guest) int {
			if a.caller.Project != g.caller.Project || b.caller.Project != g.caller.Project {
				return boolInt(a.caller.Project == g.caller.Project) - boolInt(b.caller.Project == g.caller.Project)
			}
			if d := m.ofCaller(a.caller) - m.ofCaller(b.caller); d != 0 {
				return d
			}
			turns := m.principals(g.caller.Project)
			if d := slices.Index(turns, a.caller) - slices.Index(turns, b.caller); d != 0 {
				return d
			}
			return a.number - b.number
		})
		if m.ofCaller(most.caller) < m.ofCaller(g.caller)+2 {
			return false, g
		}
		refused = most
		m.drop(most)
	}
	if m.ofProject(g.caller.Project) == 0 {
		m.toTheBack(Caller{Project: g.caller.Project})
	}
	if m.ofCaller(g.caller) == 0 {
		m.toTheBack(g.caller)
	}
	m.waiting = append(m.waiting, g)
	return false, refused
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (m *model) drop(g *guest) {
	m.waiting = slices.DeleteFunc(m.waiting, func(o *guest) bool { return o == g })
}

// leave tells who gets the place, if anyone.
func (m *model) leave() *guest {
	if len(m.waiting) == 0 {
		m.inside--
		return nil
	}
	caller := m.principals(m.projects()[0])[0]
	next := m.waiting[slices.IndexFunc(m.waiting, func(g *guest) bool { return g.caller == caller })]
	m.drop(next)
	m.toTheBack(Caller{Project: caller.Project})
	m.toTheBack(caller)
	return next
}

// trial runs a gate and its model side by side, in one synctest bubble.
type trial struct {
	t      *testing.T
	random *rand.Rand
	gate   *Gate
	model  model
	open   []*guest // not yet answered
	wanted map[*guest]error
	number int
}

func (r *trial) enter() {
	g := &guest{number: r.number, caller: Caller{
		Project:   string(rune('a' + r.random.IntN(4)*r.random.IntN(2))), // a is the busiest
		Principal: string(rune('x' + r.random.IntN(3)*r.random.IntN(2))),
	}}
	r.number++
	g.until = time.Now().Add(time.Duration(1+r.random.IntN(500)) * time.Millisecond)
	in, refused := r.model.enter(g)
	if in {
		r.wanted[g] = nil
	}
	if refused != nil {
		r.wanted[refused] = ErrQueueFull
	}
	g.projectPatience = len(r.model.projects()) - 1
	g.principalPatience = len(r.model.principals(g.caller.Project)) - 1
	for _, other := range r.model.waiting { // it waits for its own first, and they had their count
		if other != g && other.caller == g.caller {
			g.projectPatience, g.principalPatience = -1, -1
		} else if other != g && other.caller.Project == g.caller.Project {
			g.projectPatience = -1
		}
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	g.cancel = cancel
	r.open = append(r.open, g)
	go func() {
		g.err = r.gate.Enter(ctx, g.caller, g.until)
		g.done = true
	}()
}

// leave gives a place back, and checks on the way what fairness promises: the
// first of a project, and the first of a principal, that wait know how many
// turns of others come before theirs.
func (r *trial) leave() {
	if r.model.inside == 0 {
		return
	}
	next := r.model.leave()
	r.gate.Leave()
	if next == nil {
		return
	}
	r.wanted[next] = nil
	for _, g := range r.model.waiting {
		switch {
		case g.caller.Project != next.caller.Project:
			r.spend(&g.projectPatience, g, "project")
		case g.caller != next.caller:
			r.spend(&g.principalPatience, g, "principal")
		case g.number < next.number:
			r.t.Errorf("%d came in before %d of the same principal", next.number, g.number)
		}
	}
}

func (r *trial) spend(patience *int, g *guest, who string) {
	if *patience < 0 {
		return // another of the same counts
	}
	if *patience == 0 {
		r.t.Errorf("the %s of number %d, %v, is passed over more often than others wait", who, g.number, g.caller)
	}
	*patience = max(0, *patience-1)
}

func (r *trial) cancel() {
	if len(r.model.waiting) == 0 {
		return
	}
	g := r.model.waiting[r.random.IntN(len(r.model.waiting))]
	r.model.drop(g)
	r.wanted[g] = context.Canceled
	g.cancel()
}

func (r *trial) pass() {
	<-time.After(time.Duration(r.random.IntN(100)) * time.Millisecond)
	for _, g := range slices.Clone(r.model.waiting) {
		if !g.until.After(time.Now()) {
			r.model.drop(g)
			r.wanted[g] = ErrQueueTimeout
		}
	}
}

// check compares what the gate did with what the model wants.
func (r *trial) check(step string) {
	r.t.Helper()
	synctest.Wait()
	for _, g := range r.open {
		want, answered := r.wanted[g]
		if g.done != answered || !errors.Is(g.err, want) {
			r.t.Fatalf("%s: number %d, %v: answered %t with %v; want %t with %v", step, g.number, g.caller, g.done, g.err, answered, want)
		}
		if g.done {
			g.cancel()
			delete(r.wanted, g)
		}
	}
	r.open = slices.DeleteFunc(r.open, func(g *guest) bool { return g.done })
	want := Use{Taken: r.model.inside, Places: r.model.places, Waiting: len(r.model.waiting)}
	if use := r.gate.Use(); use != want || use.Taken > use.Places || use.Waiting > 0 && use.Taken < use.Places {
		r.t.Fatalf("%s: %+v, want %+v", step, use, want)
	}
	for _, project := range r.model.projects() {
		if n := r.model.ofProject(project); n > r.model.room {
			r.t.Fatalf("%s: %d of %s wait", step, n, project)
		}
	}
}

// TestGateModel plays random scripts to a gate and to the model.
func TestGateModel(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 1))
				places, room := 1+random.IntN(4), 1+random.IntN(8)
				r := &trial{
					t: t, random: random, gate: NewGate(places, Queue{Length: room, Timeout: time.Hour}),
					model: model{places: places, room: room}, wanted: make(map[*guest]error),
				}
				enters := 30 + random.IntN(40) // of a hundred steps: from idle to overrun
				for range 1000 {
					switch n := random.IntN(100); {
					case n < enters:
						r.enter()
						r.check("enter")
					case n < 90:
						r.leave()
						r.check("leave")
					case n < 96:
						r.cancel()
						r.check("cancel")
					default:
						r.pass()
						r.check("time passes")
					}
				}
				for r.model.inside > 0 {
					r.leave()
					r.check("the end")
				}
				wantEmpty(t, &r.gate.line)
			})
		})
	}
}
