package limit

import (
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"
)

func BenchmarkGateUncontended(b *testing.B) {
	g, ctx, c := NewGate(10, Queue{Length: 10, Timeout: time.Minute}), b.Context(), Caller{Project: "shop", Principal: "grafana"}
	b.ReportAllocs()
	for b.Loop() {
		if err := g.Enter(ctx, c, time.Time{}); err != nil {
			b.Fatal(err)
		}
		g.Leave()
	}
}

// BenchmarkGateContended: more callers than places; an operation is one caller
// that comes in and leaves.
func BenchmarkGateContended(b *testing.B) {
	for _, callers := range []int{8, 1000} {
		b.Run(strconv.Itoa(callers)+" callers", func(b *testing.B) {
			g, ctx := NewGate(2, Queue{Length: callers, Timeout: time.Hour}), b.Context()
			b.ReportAllocs()
			var all sync.WaitGroup
			for i := range callers {
				share := b.N / callers
				if i < b.N%callers {
					share++
				}
				c := Caller{Project: strconv.Itoa(i % 20), Principal: strconv.Itoa(i % 60)}
				all.Go(func() {
					for range share {
						if err := g.Enter(ctx, c, time.Time{}); err != nil {
							b.Error(err)
							return
						}
						runtime.Gosched() // the others come, and find no place
						g.Leave()
					}
				})
			}
			all.Wait()
		})
	}
}

// BenchmarkGateRefuses: what a refusal costs when the room is full of as many
// principals as fit in, so that all of them are looked at.
func BenchmarkGateRefuses(b *testing.B) {
	const room = 100
	g, ctx := NewGate(0, Queue{Length: room, Timeout: time.Hour}), b.Context()
	for i := range room {
		g.line.join(Caller{Project: "shop", Principal: strconv.Itoa(i)}, room)
	}
	b.ReportAllocs()
	for b.Loop() {
		if g.Enter(ctx, Caller{Project: "shop", Principal: "late"}, time.Time{}) == nil {
			b.Fatal("came in")
		}
	}
}

func BenchmarkRate(b *testing.B) {
	r, now := NewRate(1000, 1000), time.Now()
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(500 * time.Microsecond) // every other one is refused
		r.Allow(now)
	}
}
