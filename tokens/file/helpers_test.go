package file

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/promgate/promgate/tokens"
)

// open opens a store that is closed at the test's end.
func open(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// run runs the store in the background until the returned function is called,
// or until the test's end.
func run(t testing.TB, s *Store) (stop func()) {
	t.Helper()
	if err := s.Load(context.Background()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// record is a good record with that id, which ends in an hour.
func record(id string) tokens.Record {
	now := time.Now().UTC().Round(0)
	return tokens.Record{
		ID:          id,
		KeyID:       "key-1",
		Scope:       tokens.Scope{Project: "shop", ProjectUID: "p-uid", Environment: "production", EnvironmentUID: "e-uid"},
		Description: "Grafana",
		CreatedAt:   now,
		ExpiresAt:   now.Add(time.Hour),
	}
}

func insertAll(t testing.TB, s *Store, records ...tokens.Record) {
	t.Helper()
	if err := s.Insert(context.Background(), records...); err != nil {
		t.Fatal(err)
	}
}

// eventually waits for what is to be seen within a second, with some more for a
// machine under load. It returns how long it took.
func eventually(t testing.TB, what string, seen func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !seen() {
		if time.Since(begin) > 10*time.Second {
			t.Fatalf("not seen: %s", what)
		}
		<-tick.C
	}
	return time.Since(begin)
}

func has(s *Store, id string) func() bool {
	return func() bool { return s.Snapshot().Tokens[id] != nil }
}

func hasNot(s *Store, id string) func() bool {
	return func() bool { return s.Snapshot().Tokens[id] == nil }
}

// logged collects what a store logs.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }
