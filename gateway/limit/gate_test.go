package limit

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestGateQueues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(1, Queue{Length: 2, Timeout: time.Minute})
		if err := g.Enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		order := make(chan int, 2)
		for i := range 2 {
			go func() {
				if err := g.Enter(t.Context()); err != nil {
					t.Error(err)
				}
				order <- i
			}()
			synctest.Wait()
		}
		if n := g.Waiting(); n != 2 {
			t.Errorf("%d wait, want 2", n)
		}
		if err := g.Enter(t.Context()); !errors.Is(err, ErrQueueFull) {
			t.Errorf("the third that waits gets %v", err)
		}
		for i := range 2 {
			g.Leave()
			if got := <-order; got != i {
				t.Errorf("number %d came in as the %dth", got, i)
			}
		}
		synctest.Wait()
		if n := g.Waiting(); n != 0 {
			t.Errorf("%d wait, want none", n)
		}
		g.Leave()
		if err := g.Enter(t.Context()); err != nil {
			t.Errorf("the free place is refused: %v", err)
		}
	})
}

func TestGateTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(1, Queue{Length: 1, Timeout: time.Second})
		_ = g.Enter(t.Context())
		started := time.Now()
		if err := g.Enter(t.Context()); !errors.Is(err, ErrQueueTimeout) || time.Since(started) != time.Second {
			t.Errorf("%v after %s, want %v after 1s", err, time.Since(started), ErrQueueTimeout)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := g.Enter(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the caller's own deadline gives %v", err)
		}
		canceled, stop := context.WithCancel(t.Context())
		stop()
		if err := g.Enter(canceled); !errors.Is(err, context.Canceled) {
			t.Errorf("a canceled caller gets %v", err)
		}
		if n := g.Waiting(); n != 0 {
			t.Errorf("%d wait, want none", n)
		}
	})
}

func TestGateWithoutQueue(t *testing.T) {
	g := NewGate(2, Queue{})
	for range 2 {
		if err := g.Enter(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Enter(t.Context()); !errors.Is(err, ErrQueueFull) {
		t.Errorf("the third gets %v", err)
	}
}

// TestGateHolds: never more inside than there are places, and all come in.
func TestGateHolds(t *testing.T) {
	const places, callers = 3, 200
	g := NewGate(places, Queue{Length: callers, Timeout: time.Minute})
	var inside, entered atomic.Int64
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			if err := g.Enter(t.Context()); err != nil {
				t.Error(err)
				return
			}
			defer g.Leave()
			if n := inside.Add(1); n > places {
				t.Errorf("%d inside", n)
			}
			entered.Add(1)
			inside.Add(-1)
		})
	}
	all.Wait()
	if n := entered.Load(); n != callers {
		t.Errorf("%d came in, want %d", n, callers)
	}
}
