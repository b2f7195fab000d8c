// Package file keeps token records, signing keys and the UIDs of projects and
// environments in a data directory: an embedded SQL database and one file for
// each key. Several processes may use the directory at once, such as a server
// and the command line; each learns of the others' changes within a quarter of
// a second.
package file

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/promgate/promgate/tokens"
)

const (
	databaseName = "promgate.db"
	keysName     = "keys"

	// busyTimeout is how long a write waits for another process's write.
	busyTimeout = 5 * time.Second
	// DefaultRetention is how long a record is kept after its token has ended.
	DefaultRetention = 90 * 24 * time.Hour
)

// Options are what Open needs.
type Options struct {
	// Dir is the data directory. It is made if it is missing.
	Dir string
	// Logger is for what happens beside a call; nil discards it.
	Logger *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Mint makes tokens. It may be nil where none are made.
	Mint tokens.Minter
	// Retention is how long the record of an expired or revoked token is kept;
	// zero is DefaultRetention. Run deletes what is older.
	Retention time.Duration
}

// Store is the data directory of one installation. It is safe for concurrent
// use, by several processes too. Use Open.
type Store struct {
	dir       string
	log       *slog.Logger
	now       func() time.Time
	retention time.Duration
	mint      tokens.Minter
	db        *sql.DB
	database  fs.FileInfo // the file that db has open
	issuer    string

	snapshot atomic.Pointer[tokens.Snapshot]
	part     tokens.Part // the store is one
	watching sync.Mutex  // guards watch
	watch    watch
}

var _ tokens.Store = (*Store)(nil)

// Open opens the data directory, and makes it and its database where they are
// missing. Errors say what is wrong with which file; a database that a newer
// version of the program has written is one. The caller must Close the Store.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Dir == "" {
		return nil, errors.New("the data directory is not set")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	s := &Store{dir: dir, log: o.Logger, now: o.Now, retention: o.Retention, mint: o.Mint}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.retention <= 0 {
		s.retention = DefaultRetention
	}
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Join(s.dir, keysName), 0o700); err != nil {
		return fmt.Errorf("data directory cannot be made: %w", err)
	}
	if err := matchOwner(filepath.Join(s.dir, keysName), s.dir); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if err := s.createDatabase(); err != nil {
		return err
	}
	info, err := os.Stat(s.path())
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("database %s is not a regular file; move it away", s.path())
	}
	s.database = info
	// mode=rw: SQLite itself never makes the file, and so never with other
	// permissions than ours.
	dsn := url.URL{Scheme: "file", Path: s.path(), RawQuery: url.Values{
		"mode":    {"rw"},
		"_txlock": {"immediate"},
		"_pragma": {
			fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()),
			"synchronous(FULL)", // a revocation outlives a power cut
			"trusted_schema(OFF)",
		},
	}.Encode()}
	if s.db, err = sql.Open("sqlite", dsn.String()); err != nil {
		return s.explain(err)
	}
	s.db.SetMaxOpenConns(4)
	if s.issuer, err = s.setUp(ctx); err != nil {
		return errors.Join(s.explain(err), s.db.Close())
	}
	return nil
}

// createDatabase makes the empty file if there is none. It never opens a file
// that may be in use: closing it would drop the locks that SQLite holds on it
// in this process. So the file is made under another name and then linked.
func (s *Store) createDatabase() error {
	_, err := os.Lstat(s.path())
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err = writeOnce(s.path(), nil, time.Time{})
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("database cannot be made: %w", err)
	}
	return nil
}

// writeOnce makes a file with mode 0600, whole or not at all. It returns an
// error that wraps fs.ErrExist where the file is there already. modified is
// its modification time, unless it is zero.
func writeOnce(path string, content []byte, modified time.Time) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(0o600) // whatever the umask is
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if !modified.IsZero() {
		if err := os.Chtimes(f.Name(), modified, modified); err != nil {
			return err
		}
	}
	if err := matchOwner(f.Name(), dir); err != nil {
		return err
	}
	return os.Link(f.Name(), path)
}

// Close writes the pending times of last use and closes the store. Run must
// have returned.
func (s *Store) Close() error {
	s.watching.Lock()
	defer s.watching.Unlock()
	var err error
	if s.watch.conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), busyTimeout)
		defer cancel()
		if err = s.watch.wait(ctx, busyTimeout); err == nil {
			err = s.explain(s.flush(ctx))
		}
		err = errors.Join(err, s.watch.conn.Close())
		s.watch.conn = nil
	}
	if err = errors.Join(err, s.db.Close()); err != nil {
		return fmt.Errorf("close the token store: %w", err)
	}
	return nil
}

// Issuer names this installation: "promgate:" and an id that was made at
// random when the database was.
func (s *Store) Issuer() string { return s.issuer }

func (s *Store) path() string { return filepath.Join(s.dir, databaseName) }

// write runs f in one transaction that holds the write lock from the start, and
// brings the own snapshot up to date once it is committed.
func (s *Store) write(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return s.explain(err)
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit
	if err := f(tx); err != nil {
		return s.explain(err)
	}
	if err := tx.Commit(); err != nil {
		return s.explain(err)
	}
	if s.snapshot.Load() != nil {
		// What is committed holds, also for a caller who has left.
		s.refresh(context.WithoutCancel(ctx))
	}
	return nil
}

// explain adds to an error of the database what to do about it.
func (s *Store) explain(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
		return fmt.Errorf("%s is damaged or not a database; restore it from a backup, or move it away to start "+
			"without tokens: %w", s.path(), err)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN:
		return fmt.Errorf("%s cannot be opened for writing; the data directory and all that is in it must belong to "+
			"the user who runs promgate: %w", s.path(), err)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("%s stayed locked by another process for %s; try again: %w", s.path(), busyTimeout, err)
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%s cannot grow; the disk is full: %w", s.path(), err)
	}
	return fmt.Errorf("%s: %w", s.path(), err)
}

func isBusy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY
}
