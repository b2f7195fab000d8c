package main

import (
	"runtime"
	"testing"
	"time"
)

func TestPercentFor(t *testing.T) {
	for live, want := range map[uint64]int{
		0: 400, 15 << 20: 400, 32 << 20: 400, 64 << 20: 200, 128 << 20: 100, 256 << 20: 50, 2 << 30: 50,
	} {
		if got := percentFor(live); got != want {
			t.Errorf("with %d MiB that live: GOGC=%d, want %d", live>>20, got, want)
		}
	}
}

func TestAfterEachCollection(t *testing.T) {
	collected := make(chan struct{}, 100)
	afterEachCollection(func() {
		select {
		case collected <- struct{}{}:
		default: // others collect too
		}
	})
	for n := range 3 {
		runtime.GC()
		select {
		case <-collected:
		case <-time.After(patience):
			t.Fatalf("collection %d was not noticed", n+1)
		}
	}
}
