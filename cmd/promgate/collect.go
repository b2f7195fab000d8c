package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

const (
	// maxPercent is Go's GOGC while little lives. The gateway allocates much:
	// collecting at five times the few MB that live, instead of twice, saves a
	// fifth of its CPU time and costs some 20 MB.
	maxPercent = 400
	// maxGarbage is how many bytes may wait to be collected where more lives, such
	// as many tokens: five times that would be memory that nobody misses.
	maxGarbage = 128 << 20
	// minPercent keeps a very large heap from being collected all the time.
	minPercent = 50
)

// collectGarbage sets how often garbage is collected, after each time anew,
// unless GOGC in the environment says it. A process has one setting.
var collectGarbage = sync.OnceFunc(func() {
	if os.Getenv("GOGC") != "" {
		return
	}
	percent := maxPercent
	debug.SetGCPercent(percent)
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	afterEachCollection(func() {
		metrics.Read(live)
		if next := percentFor(live[0].Value.Uint64()); next != percent {
			percent = next
			debug.SetGCPercent(percent) // stops the world for a moment
		}
	})
})

// percentFor is the GOGC for so many bytes that live.
func percentFor(live uint64) int {
	return int(min(maxPercent, max(minPercent, maxGarbage*100/max(live, 1))))
}

// cycle becomes garbage at once, and so is found by the next collection.
type cycle struct{ done func() }

// afterEachCollection calls a function in the background each time that garbage
// was collected.
func afterEachCollection(f func()) {
	runtime.SetFinalizer(&cycle{f}, func(c *cycle) {
		c.done()
		afterEachCollection(c.done)
	})
}
