// Package limit holds the budgets that protect upstreams and the gateway
// itself. It knows nothing of HTTP or of who is asking.
package limit

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// Errors that tell why no place was given.
var (
	// ErrQueueFull means that as many wait already as may wait.
	ErrQueueFull = errors.New("the queue is full")
	// ErrQueueTimeout means that no place came free in the time that one may wait.
	ErrQueueTimeout = errors.New("no place came free in time")
)

// Queue bounds how many may wait for a place, and for how long.
type Queue struct {
	Length  int
	Timeout time.Duration
}

// Gate lets a bounded number in at once; a bounded number more waits in order.
type Gate struct {
	places  *semaphore.Weighted
	queue   Queue
	waiting atomic.Int64
}

// NewGate makes a gate of that many places.
func NewGate(places int, queue Queue) *Gate {
	return &Gate{places: semaphore.NewWeighted(int64(places)), queue: queue}
}

// Enter takes a place, after waiting for one if it must. It returns
// ErrQueueFull, ErrQueueTimeout or, when the caller gave up, the context's error.
// After a nil error the caller must call Leave once.
func (g *Gate) Enter(ctx context.Context) error {
	if g.places.TryAcquire(1) {
		return nil
	}
	if g.waiting.Add(1) > int64(g.queue.Length) {
		g.waiting.Add(-1)
		return ErrQueueFull
	}
	defer g.waiting.Add(-1)
	waitCtx, cancel := context.WithTimeout(ctx, g.queue.Timeout)
	defer cancel()
	if err := g.places.Acquire(waitCtx, 1); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return ErrQueueTimeout
	}
	return nil
}

// Leave gives the place back.
func (g *Gate) Leave() { g.places.Release(1) }

// Waiting is the number that waits for a place now.
func (g *Gate) Waiting() int { return int(g.waiting.Load()) }
