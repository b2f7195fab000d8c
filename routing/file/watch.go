package file

import (
	"context"
	"crypto/sha256"
	"io"
	"os"
	"sync"
	"time"
)

// settled is how old a file's modification time must be for an unchanged one
// to prove unchanged content: file systems keep coarse times, so that two
// writes in quick succession can carry the same.
const settled = 2 * time.Second

// Watcher notices when the content of files changes, by looking at them. This
// works alike on every file system and for every way of writing: in place, by
// renaming a new file over the old one, and by turning a symlink on the way,
// as a mounted ConfigMap does. A file that vanishes or comes back has changed
// too.
//
// Begin to watch a file before reading it for use: a change between the two is
// then noticed.
type Watcher struct {
	mu    sync.Mutex
	files map[string]state
}

// state is a file as it was last seen. The zero state is a file that cannot be
// read, for whatever reason.
type state struct {
	info os.FileInfo
	sum  [sha256.Size]byte
	// settled tells that an equal info proves equal content.
	settled bool
}

// NewWatcher begins to watch the files.
func NewWatcher(files ...string) *Watcher {
	w := &Watcher{}
	w.Watch(files...)
	return w
}

// Watch replaces the set of files. Those that were watched before are compared
// with what was seen of them before; of new ones the present content counts as
// known.
func (w *Watcher) Watch(files ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	next := make(map[string]state, len(files))
	for _, f := range files {
		if s, known := w.files[f]; known {
			next[f] = s
		} else {
			next[f] = look(f, state{})
		}
	}
	w.files = next
}

// Run calls onChange after each look that found a change, once for all changes
// together, until the context ends. It looks once an interval. onChange may
// call Watch.
func (w *Watcher) Run(ctx context.Context, interval time.Duration, onChange func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if w.changed() {
				onChange()
			}
		}
	}
}

func (w *Watcher) changed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	changed := false
	for f, before := range w.files {
		now := look(f, before)
		if now.sum != before.sum {
			changed = true
		}
		w.files[f] = now
	}
	return changed
}

// look reads the file, unless its metadata proves that it is as it was before.
func look(path string, before state) state {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return state{}
	}
	if before.settled && os.SameFile(before.info, info) &&
		before.info.Size() == info.Size() && before.info.ModTime().Equal(info.ModTime()) {
		return before
	}
	at := time.Now()
	f, err := os.Open(path)
	if err != nil {
		return state{}
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return state{}
	}
	s := state{info: info, settled: at.Sub(info.ModTime()) > settled}
	h.Sum(s.sum[:0])
	return s
}
