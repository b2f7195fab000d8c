package main

import (
	"sync"
	"time"
)

// emergency holds the least that leaves nothing behind: all that a second interrupt still does. Every step may be taken
// twice.
type emergency struct {
	mu       sync.Mutex
	kills    []func()
	removals []func()
	// closing is held while servers write their last data, and from a second interrupt on.
	closing sync.Mutex
}

// onKill adds a way to end another process.
func (e *emergency) onKill(step func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.kills = append(e.kills, step)
}

// onRemove adds files to remove when nothing writes them any more.
func (e *emergency) onRemove(step func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.removals = append(e.removals, step)
}

// orderly stops servers, unless force came first: then the process is about to end, and this waits for that.
func (e *emergency) orderly(stop func()) {
	e.closing.Lock()
	defer e.closing.Unlock()
	stop()
}

// remove takes away all files.
func (e *emergency) remove() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, step := range e.removals {
		step()
	}
}

// force ends the other processes and removes the files. The caller ends this process afterwards: what force interrupts
// never goes on.
func (e *emergency) force() {
	e.mu.Lock()
	for _, step := range e.kills {
		step()
	}
	e.mu.Unlock()
	quiet := make(chan struct{})
	go func() {
		e.closing.Lock()
		close(quiet)
	}()
	select {
	case <-quiet:
	case <-time.After(forceLimit):
	}
	e.remove()
}
