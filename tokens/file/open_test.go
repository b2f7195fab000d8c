package file

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestPermissions(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lib", "promgate data?#%")
	s := open(t, Options{Dir: dir})
	if _, err := s.ActiveKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	insertAll(t, s, record("a"))
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if e.IsDir() {
			want = 0o700
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %#o, want %#o", path, got, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"promgate.db", "promgate.db-wal", "promgate.db-shm"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

// write puts a file in the place of the database.
func write(content string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		if err := os.WriteFile(filepath.Join(dir, databaseName), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// execute makes the database and runs a statement behind the store's back.
func execute(statement string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		if err := open(t, Options{Dir: dir}).Close(); err != nil {
			t.Fatal(err)
		}
		db, err := sql.Open("sqlite", filepath.Join(dir, databaseName))
		if err != nil {
			t.Fatal(err)
		}
		_, err = db.ExecContext(t.Context(), statement)
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// damage overwrites a part of the first page.
func damage(t *testing.T, dir string) {
	execute("SELECT 1")(t, dir)
	f, err := os.OpenFile(filepath.Join(dir, databaseName), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt([]byte(strings.Repeat("x", 3000)), 200)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*testing.T, string)
		want  string
	}{
		{"garbage", write(strings.Repeat("garbage ", 1000)), "promgate.db is damaged or not a database; restore it"},
		{"damaged inside", damage, "promgate.db is damaged"},
		{"newer", execute("PRAGMA user_version = 3"), "has version 3, this program knows versions up to 2; use the newer program"},
		{"of another program", execute("PRAGMA application_id = 7"), "is the database of another program"},
		{"tables of another program", execute("PRAGMA application_id = 0; PRAGMA user_version = 0"), "is the database of another program"},
		{"a directory", func(t *testing.T, dir string) {
			if err := os.Mkdir(filepath.Join(dir, databaseName), 0o700); err != nil {
				t.Fatal(err)
			}
		}, "promgate.db is not a regular file"},
		{"keys is a file", func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, keysName), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "data directory cannot be made"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			test.spoil(t, dir)
			s, err := Open(t.Context(), Options{Dir: dir})
			if err == nil {
				_ = s.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %q, want %q", err, test.want)
			}
		})
	}
	if _, err := Open(t.Context(), Options{}); err == nil {
		t.Error("opened without a directory")
	}
}

func TestConcurrentFirstOpens(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	const n = 20
	issuers, kids := make([]string, n), make([]string, n)
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() {
			s, err := Open(context.Background(), Options{Dir: dir})
			if err != nil {
				t.Errorf("open: %v", err)
				return
			}
			defer func() { _ = s.Close() }()
			key, err := s.ActiveKey(context.Background())
			if err != nil {
				t.Errorf("key: %v", err)
			}
			r := record(string(rune('a' + i)))
			r.KeyID = key.ID
			if err := s.Insert(context.Background(), r); err != nil {
				t.Errorf("insert: %v", err)
			}
			if _, err := s.AssignUIDs(context.Background(), []string{"shop"}, true); err != nil {
				t.Errorf("UIDs: %v", err)
			}
			issuers[i], kids[i] = s.Issuer(), key.ID
		})
	}
	wait.Wait()
	s := open(t, Options{Dir: dir})
	if err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if issuers[i] != s.Issuer() {
			t.Errorf("issuer %q, want %q", issuers[i], s.Issuer())
		}
		if s.Snapshot().Keys[kids[i]] == nil {
			t.Errorf("key %q that was given out is gone", kids[i])
		}
	}
	if got := len(s.Snapshot().Tokens); got != n {
		t.Errorf("%d tokens, want %d", got, n)
	}
}
