// Package limit holds the budgets that protect upstreams and the gateway
// itself: places that are handed out in turn, and rates. It knows nothing of
// HTTP, and of who is asking only two names to be fair by.
package limit

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Errors that tell why no place was given.
var (
	// ErrQueueFull means that as many of the project wait already as may wait.
	ErrQueueFull = errors.New("the queue is full")
	// ErrQueueTimeout means that no place came free in the time that one may wait.
	ErrQueueTimeout = errors.New("no place came free in time")
)

// Caller is who asks for a place. Any two names will do, as long as they are
// the same for the same project and principal.
type Caller struct{ Project, Principal string }

// Queue bounds waiting.
type Queue struct {
	// Length is how many callers of one project may wait at one gate. With
	// none, whoever finds no free place is refused at once.
	Length int
	// Timeout is how long one caller may wait, when it names no instant itself.
	Timeout time.Duration
}

// Gate lets a bounded number in at once. The others wait, and a place that
// comes free is handed to one of them: to the projects in turn, in a project to
// its principals in turn, and to the callers of one principal in order of
// arrival. So who asks much waits for itself, and delays another project by one
// place at most.
type Gate struct {
	places int
	queue  Queue

	mu    sync.Mutex
	taken int
	line  line // empty unless every place is taken
}

// Use is how busy a gate is.
type Use struct{ Taken, Places, Waiting int }

// NewGate makes a gate of that many places; with none, nobody ever enters.
func NewGate(places int, queue Queue) *Gate {
	return &Gate{places: places, queue: queue}
}

// Enter takes a place, after waiting for one if it must, but not after the
// instant until (when zero: not longer than the queue's timeout). Callers that
// pass several gates give each the same instant, so that they wait once.
//
// It returns ErrQueueFull, which may come while it waits, because the room is
// needed for a principal that has less of it; ErrQueueTimeout; or, when the
// caller gave up, the context's error. After a nil error the caller must call
// Leave once.
func (g *Gate) Enter(ctx context.Context, c Caller, until time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	g.mu.Lock()
	if g.taken < g.places {
		g.taken++
		g.mu.Unlock()
		return nil
	}
	w, patience, err := g.join(c, until)
	g.mu.Unlock()
	if err != nil {
		return err
	}
	return g.wait(ctx, w, patience)
}

// join puts the caller in line; g.mu must be held.
func (g *Gate) join(c Caller, until time.Time) (w *waiter, patience time.Duration, err error) {
	if g.queue.Length <= 0 {
		return nil, 0, ErrQueueFull
	}
	patience = g.queue.Timeout
	if !until.IsZero() {
		patience = time.Until(until)
	}
	if patience <= 0 {
		return nil, 0, ErrQueueTimeout
	}
	if w = g.line.join(c, g.queue.Length); w == nil {
		return nil, 0, ErrQueueFull
	}
	return w, patience, nil
}

func (g *Gate) wait(ctx context.Context, w *waiter, patience time.Duration) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	var err error
	select {
	case err = <-w.answer:
	case <-timer.C:
		err = g.withdraw(w, ErrQueueTimeout)
	case <-ctx.Done():
		err = g.withdraw(w, ctx.Err())
	}
	if err == nil && ctx.Err() != nil {
		g.Leave() // nobody is there to use the place: it goes to the next
		return ctx.Err()
	}
	return err
}

// withdraw takes w out of the line and returns err. When w was answered in the
// same moment it returns that answer, so that no place is lost.
func (g *Gate) withdraw(w *waiter, err error) error {
	g.mu.Lock()
	waited := g.line.remove(w)
	g.mu.Unlock()
	if waited {
		return err
	}
	return <-w.answer
}

// Leave gives the place back: to the next in line, if there is one. Like an
// unlock without a lock, it panics when nobody is inside.
func (g *Gate) Leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.taken == 0 {
		panic("limit: Leave without Enter")
	}
	if w := g.line.next(); w != nil {
		w.answer <- nil // the place stays taken: a newcomer can't slip in between
		return
	}
	g.taken--
}

// Use tells how busy the gate is now.
func (g *Gate) Use() Use {
	g.mu.Lock()
	defer g.mu.Unlock()
	return Use{Taken: g.taken, Places: g.places, Waiting: g.line.waiting}
}
