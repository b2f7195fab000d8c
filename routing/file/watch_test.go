package file

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// watched runs a watcher over the files and returns a function that lets it
// look twice and tells how often it has called since.
func watched(t *testing.T, files ...string) (*Watcher, func() int) {
	w := NewWatcher(files...)
	var calls atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go w.Run(ctx, time.Second, func() { calls.Add(1) })
	return w, func() int {
		before := calls.Load()
		<-time.After(2500 * time.Millisecond)
		synctest.Wait()
		return int(calls.Load() - before)
	}
}

func TestWatchWaysOfWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "promgate.yaml")
		write(t, path, "a")
		_, calls := watched(t, path)
		for _, step := range []struct {
			name string
			do   func()
			want int
		}{
			{"nothing", func() {}, 0},
			{"in place", func() { write(t, path, "b") }, 1},
			{"same content", func() { write(t, path, "b") }, 0},
			{"emptied", func() { write(t, path, "") }, 1},
			{"filled", func() { write(t, path, "c") }, 1},
			{"renamed over", func() { write(t, path+".new", "d"); must(t, os.Rename(path+".new", path)) }, 1},
			{"renamed over with the same", func() { write(t, path+".new", "d"); must(t, os.Rename(path+".new", path)) }, 0},
			{"deleted", func() { must(t, os.Remove(path)) }, 1},
			{"still deleted", func() {}, 0},
			{"back", func() { write(t, path, "d") }, 1},
			{"a directory", func() { must(t, os.Remove(path)); must(t, os.Mkdir(path, 0o700)) }, 1},
			{"a file again", func() { must(t, os.Remove(path)); write(t, path, "e") }, 1},
		} {
			step.do()
			if got := calls(); got != step.want {
				t.Errorf("%s: %d calls, want %d", step.name, got, step.want)
			}
		}
	})
}

// TestWatchConfigMap turns the ..data symlink as the kubelet does.
func TestWatchConfigMap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		generation := func(name, content string) {
			must(t, os.Mkdir(filepath.Join(dir, name), 0o700))
			write(t, filepath.Join(dir, name, "promgate.yaml"), content)
			write(t, filepath.Join(dir, name, "token"), "same")
			must(t, os.Symlink(name, filepath.Join(dir, "..data_tmp")))
			must(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
		}
		generation("..1", "a")
		path := filepath.Join(dir, "promgate.yaml")
		must(t, os.Symlink(filepath.Join("..data", "promgate.yaml"), path))
		must(t, os.Symlink(filepath.Join("..data", "token"), filepath.Join(dir, "token")))
		_, calls := watched(t, path, filepath.Join(dir, "token"))

		generation("..2", "b")
		must(t, os.RemoveAll(filepath.Join(dir, "..1")))
		if got := calls(); got != 1 {
			t.Errorf("new content: %d calls", got)
		}
		generation("..3", "b")
		must(t, os.RemoveAll(filepath.Join(dir, "..2")))
		if got := calls(); got != 0 {
			t.Errorf("same content: %d calls", got)
		}
	})
}

func TestWatchTogetherAndReplacedSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		a, b, c := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "c")
		write(t, a, "1")
		write(t, b, "1")
		write(t, c, "1")
		w, calls := watched(t, a, b)
		write(t, a, "2")
		write(t, b, "2")
		if got := calls(); got != 1 {
			t.Errorf("two files: %d calls", got)
		}
		// A change that was not seen yet is not forgotten with the new set.
		write(t, a, "3")
		w.Watch(a, c)
		if got := calls(); got != 1 {
			t.Errorf("known file: %d calls", got)
		}
		write(t, b, "3")
		if got := calls(); got != 0 {
			t.Errorf("file that left the set: %d calls", got)
		}
		write(t, c, "2")
		if got := calls(); got != 1 {
			t.Errorf("new file: %d calls", got)
		}
	})
}

// TestWatchMetadata: an old file is not read again while its metadata stay,
// and a young one is, since equal times prove nothing yet.
func TestWatchMetadata(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, c := range []struct {
		age  time.Duration
		want int
	}{{time.Hour, 0}, {0, 1}} {
		synctest.Test(t, func(t *testing.T) {
			at := time.Now().Add(-c.age)
			write(t, path, "a")
			must(t, os.Chtimes(path, at, at))
			_, calls := watched(t, path)
			write(t, path, "b")
			must(t, os.Chtimes(path, at, at))
			if got := calls(); got != c.want {
				t.Errorf("age %v: %d calls, want %d", c.age, got, c.want)
			}
		})
	}
}
