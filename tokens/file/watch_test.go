package file

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promgate/promgate/tokens"
)

// advance lets the bubble's clock run on, and what then falls due happen.
func advance(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func sameMap(a, b *tokens.Snapshot) bool {
	return reflect.ValueOf(a.Tokens).Pointer() == reflect.ValueOf(b.Tokens).Pointer()
}

func TestOwnChangesHoldAtOnce(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir()})
	if s.Snapshot() != nil {
		t.Fatal("a snapshot before Load")
	}
	expired, revoked := record("expired"), record("revoked")
	expired.ExpiresAt = expired.CreatedAt.Add(-1)
	revoked.RevokedAt = revoked.CreatedAt
	insertAll(t, s, record("a"), expired, revoked)
	if err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := s.Snapshot()
	r := record("a")
	if got := first.Tokens["a"]; len(first.Tokens) != 1 || got.Scope != r.Scope || got.KeyID != r.KeyID || first.Issuer != s.Issuer() {
		t.Fatalf("got %+v; want token a alone", first)
	}
	insertAll(t, s, record("b"))
	if !has(s, "b")() {
		t.Error("an inserted token is not there")
	}
	if err := s.Replace(t.Context(), "b", record("c"), time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if !has(s, "c")() || s.Snapshot().Tokens["b"].ExpiresAt.After(time.Now().Add(time.Minute)) {
		t.Error("a replaced token keeps its end, or the next is not there")
	}
	if err := s.Revoke(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if !hasNot(s, "a")() {
		t.Error("a revoked token is there")
	}
	if len(first.Tokens) != 1 || first.Tokens["a"] == nil {
		t.Error("a snapshot that was given out has changed")
	}
	key, err := s.ActiveKey(t.Context())
	if err != nil || s.Snapshot().Keys[key.ID] == nil {
		t.Errorf("the first key does not verify: %v", err)
	}
}

func TestOtherStoresChangesAreSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		server, command := open(t, Options{Dir: dir}), open(t, Options{Dir: dir})
		stop := run(t, server)
		defer stop()
		synctest.Wait()
		insertAll(t, command, record("a"))
		key, err := command.ActiveKey(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		advance(250 * time.Millisecond)
		if !has(server, "a")() || server.Snapshot().Keys[key.ID] == nil {
			t.Fatal("a new token and key are not seen after 250 ms")
		}
		last := server.Snapshot()
		advance(time.Second)
		if !sameMap(last, server.Snapshot()) {
			t.Error("the records were read although nobody changed them")
		}
		if age := server.Snapshot().Core.Age(time.Now()); age > 250*time.Millisecond {
			t.Errorf("the snapshot is %s old", age)
		}
		if err := command.Revoke(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		advance(250 * time.Millisecond)
		if !hasNot(server, "a")() {
			t.Error("a revocation is not seen after 250 ms")
		}
	})
}

func TestLastUseIsStoredInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		server, command := open(t, Options{Dir: dir}), open(t, Options{Dir: dir})
		insertAll(t, command, record("a"), record("b"), record("c"), record("unused"))
		stop := run(t, server)
		defer stop()
		synctest.Wait()
		used := time.Now().UTC().Round(0)
		stored := func(id string) time.Time {
			t.Helper()
			r, err := command.Get(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			return r.LastUsedAt
		}
		use := func(id string, at time.Time) { server.Snapshot().Tokens[id].LastUsed.Store(at.UnixNano()) }

		before := server.Snapshot()
		use("a", used)
		use("b", used.Add(1))
		use("c", used.Add(2))
		if err := command.Revoke(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		advance(flushInterval - 100*time.Millisecond)
		if !stored("a").IsZero() {
			t.Error("a use was written at once")
		}
		loaded := server.Snapshot()
		if !hasNot(server, "b")() || loaded.Tokens["a"] != before.Tokens["a"] {
			t.Error("after a reload: b is there, or a was made anew")
		}
		advance(time.Second)
		if !stored("a").Equal(used) || !stored("c").Equal(used.Add(2)) || !stored("unused").IsZero() {
			t.Errorf("stored %s, %s and %s", stored("a"), stored("c"), stored("unused"))
		}
		if !stored("b").Equal(used.Add(1)) {
			t.Errorf("the last use of a token that was revoked since is %s, want %s", stored("b"), used.Add(1))
		}
		if !sameMap(loaded, server.Snapshot()) {
			t.Error("writing the times of last use had the records read again")
		}
		advance(2 * flushInterval)
		if server.watch.uses["b"] != nil {
			t.Error("the use of a revoked token is kept for ever")
		}
	})
}

func TestLastUseOfAnotherServerStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		one, two := open(t, Options{Dir: dir}), open(t, Options{Dir: dir})
		insertAll(t, one, record("a"))
		defer run(t, one)()
		defer run(t, two)()
		synctest.Wait()
		used := time.Now().UTC().Round(0)
		later := used.Add(time.Hour)
		two.Snapshot().Tokens["a"].LastUsed.Store(later.UnixNano())
		advance(2 * flushInterval)
		if got := one.Snapshot().Tokens["a"].LastUsed.Load(); got != later.UnixNano() {
			t.Errorf("the other server's use is %s in memory, want %s", time.Unix(0, got), later)
		}
		one.Snapshot().Tokens["a"].LastUsed.Store(used.UnixNano())
		advance(2 * flushInterval)
		r, err := one.Get(t.Context(), "a")
		if err != nil || !r.LastUsedAt.Equal(later) {
			t.Errorf("stored %s, %v; want the later use, %s", r.LastUsedAt, err, later)
		}
	})
}

func TestCloseStoresLastUse(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	insertAll(t, s, record("a"))
	stop := run(t, s)
	used := time.Now().UTC().Round(0)
	s.Snapshot().Tokens["a"].LastUsed.Store(used.UnixNano())
	stop()
	for range 2 { // twice is harmless
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	r, err := open(t, Options{Dir: dir}).Get(t.Context(), "a")
	if err != nil || !r.LastUsedAt.Equal(used) {
		t.Errorf("last used %s, %v; want %s", r.LastUsedAt, err, used)
	}
}

// TestUnreadableDatabase moves the database away and back, puts another in its
// place, and takes the keys away: as long as that lasts the snapshot ages.
func TestUnreadableDatabase(t *testing.T) {
	tests := []struct {
		name         string
		spoil, mend  func(t *testing.T, dir string)
		wantInTheLog string
	}{
		{"gone", move(databaseName, "away"), move("away", databaseName), "the database is gone"},
		{"replaced", func(t *testing.T, dir string) {
			move(databaseName, "away")(t, dir)
			if err := os.WriteFile(filepath.Join(dir, databaseName), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, move("away", databaseName), "was replaced by another file; restart the program"},
		{"keys gone", move(keysName, "away"), move("away", keysName), "signing keys: open"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir, logs := t.TempDir(), &logged{}
				server, command := open(t, Options{Dir: dir, Logger: logs.logger()}), open(t, Options{Dir: dir})
				insertAll(t, command, record("a"), record("b"))
				stop := run(t, server)
				defer stop()
				advance(time.Minute)
				test.spoil(t, dir)
				spoiled := time.Now()
				advance(time.Minute)
				if s := server.Snapshot(); s.Core.Age(time.Now()) < time.Since(spoiled) || len(s.Tokens) != 2 {
					t.Errorf("after a minute without: %s old, %d tokens; want an old snapshot with 2", s.Core.Age(time.Now()), len(s.Tokens))
				}
				if logs.count("level=ERROR") != 1 || logs.count(test.wantInTheLog) != 1 {
					t.Errorf("want one line with %q, logged:\n%s", test.wantInTheLog, &logs.b)
				}
				test.mend(t, dir)
				if err := command.Revoke(t.Context(), "a"); err != nil {
					t.Fatal(err)
				}
				advance(250 * time.Millisecond)
				if s := server.Snapshot(); s.Core.Age(time.Now()) > 250*time.Millisecond || len(s.Tokens) != 1 {
					t.Errorf("after mending: %s old, %d tokens; want a fresh snapshot with 1", s.Core.Age(time.Now()), len(s.Tokens))
				}
				if logs.count("can be read again") != 1 {
					t.Errorf("want one line about the end, logged:\n%s", &logs.b)
				}
			})
		})
	}
}

func move(from, to string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		if err := os.RemoveAll(filepath.Join(dir, to)); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBadKeyFileLeavesOthersInUse spoils a key of a running server.
func TestBadKeyFileLeavesOthersInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, logs := t.TempDir(), &logged{}
		server, command := open(t, Options{Dir: dir, Logger: logs.logger()}), open(t, Options{Dir: dir})
		good, err := command.ActiveKey(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		stop := run(t, server)
		defer stop()
		synctest.Wait() // or Run reads the key before it is spoilt
		bad, err := command.RotateKeys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(command.keyPath(bad.ID), 0o644); err != nil {
			t.Fatal(err)
		}
		advance(time.Minute)
		keys := server.Snapshot().Keys
		if keys[good.ID] == nil || keys[bad.ID] != nil || server.Snapshot().Core.Age(time.Now()) > time.Second {
			t.Errorf("keys %v, want %s alone in a fresh snapshot", keys, good.ID)
		}
		if logs.count("level=ERROR") != 1 || logs.count("run chmod 600") != 1 {
			t.Errorf("want one line, logged:\n%s", &logs.b)
		}
		if err := os.Chmod(command.keyPath(bad.ID), 0o600); err != nil {
			t.Fatal(err)
		}
		advance(250 * time.Millisecond)
		if server.Snapshot().Keys[bad.ID] == nil {
			t.Error("a key file that was mended is not in use")
		}
	})
}

func TestExpiredTokensLeaveMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, Options{Dir: t.TempDir()})
		short, long := record("short"), record("long")
		short.ExpiresAt, long.ExpiresAt = time.Now().Add(time.Minute), time.Now().Add(48*time.Hour)
		insertAll(t, s, short, long)
		stop := run(t, s)
		defer stop()
		advance(cleanInterval + time.Second)
		if !hasNot(s, "short")() || !has(s, "long")() {
			t.Errorf("got %v, want long alone", s.Snapshot().Tokens)
		}
	})
}

func BenchmarkLoad100k(b *testing.B) {
	dir := b.TempDir()
	s := open(b, Options{Dir: dir})
	fill(b, s, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		s, err := Open(b.Context(), Options{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Load(b.Context()); err != nil || len(s.Snapshot().Tokens) != 100_000 {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPoll is what an idle server does five times a second.
func BenchmarkPoll(b *testing.B) {
	s := open(b, Options{Dir: b.TempDir()})
	fill(b, s, 1000)
	if _, err := s.ActiveKey(b.Context()); err != nil {
		b.Fatal(err)
	}
	if err := s.Load(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := s.poll(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFlush10k(b *testing.B) {
	s := open(b, Options{Dir: b.TempDir()})
	fill(b, s, 10_000)
	if err := s.Load(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		now := time.Now().UnixNano()
		for _, live := range s.Snapshot().Tokens {
			live.LastUsed.Store(now)
		}
		if err := s.flush(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// fill inserts n records in one transaction.
func fill(b *testing.B, s *Store, n int) {
	b.Helper()
	tx, err := s.db.BeginTx(b.Context(), nil)
	if err != nil {
		b.Fatal(err)
	}
	for i := range n {
		if err := insert(b.Context(), tx, record(fmt.Sprintf("%032x", i))); err != nil {
			b.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
}
