// Package file keeps the sessions of one gateway process in its data directory:
// all of them in memory, so that looking one up reads nothing, and each change
// also in an embedded SQL database, so that a restart signs nobody out.
package file

import (
	"cmp"
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
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/promgate/promgate/auth/session"
)

const (
	databaseName = "sessions.db"
	// lockName is a file beside the database: whoever opens and closes the
	// database itself drops the locks that SQLite has on it.
	lockName = "sessions.lock"

	// MaxSessions is how many sessions there may be, and MaxAttempts how many
	// sign-ins under way.
	MaxSessions = 100_000
	MaxAttempts = 10_000

	pruneInterval = time.Hour
	// lockTimeout is how long Open waits for a process that is about to end, and
	// lockInterval how often it looks.
	lockTimeout  = 5 * time.Second
	lockInterval = 20 * time.Millisecond
)

// Options are what Open needs.
type Options struct {
	// Dir is the data directory. It is made if it is missing.
	Dir string
	// Logger is for what happens beside a call; nil discards it.
	Logger *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Store is the sessions of one gateway. It is safe for concurrent use, by one
// process. Use Open.
type Store struct {
	path   string
	log    *slog.Logger
	now    func() time.Time
	db     *sql.DB
	unlock func()

	// writing holds something while somebody changes the database and what is in
	// memory, which goes together.
	writing                  chan struct{}
	maxSessions, maxAttempts int

	mu       sync.RWMutex // guards what follows; it is changed only while writing
	sessions map[string]session.Record
	attempts int // how many of them have no owner
}

var _ session.Store = (*Store)(nil)

// Open opens the sessions in the data directory, and makes the directory and the
// database where they are missing. What has expired is removed. It fails where
// another process has them open. The caller must Close the Store.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Dir == "" {
		return nil, errors.New("the data directory is not set")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	s := &Store{
		path: filepath.Join(dir, databaseName), now: o.Now, log: cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
		writing: make(chan struct{}, 1), maxSessions: MaxSessions, maxAttempts: MaxAttempts, sessions: map[string]session.Record{},
	}
	if s.now == nil {
		s.now = time.Now
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory cannot be made: %w", err)
	}
	if s.unlock, err = lock(ctx, filepath.Join(dir, lockName)); err != nil {
		return nil, err
	}
	if err := s.open(ctx); err != nil {
		s.unlock()
		return nil, err
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	if err := s.createDatabase(); err != nil {
		return err
	}
	// mode=rw: SQLite itself never makes the file, and so never with other
	// permissions than ours.
	dsn := url.URL{Scheme: "file", Path: s.path, RawQuery: url.Values{
		"mode":    {"rw"},
		"_txlock": {"immediate"},
		"_pragma": {
			"busy_timeout(5000)", // for whoever makes a backup
			"synchronous(FULL)",  // a session that was ended stays so after a power cut
			"trusted_schema(OFF)",
		},
	}.Encode()}
	var err error
	if s.db, err = sql.Open("sqlite", dsn.String()); err != nil {
		return s.explain(err)
	}
	s.db.SetMaxOpenConns(1) // all that is read is read once, and writes go one after the other
	if err := s.setUp(ctx); err != nil {
		return errors.Join(s.explain(err), s.db.Close())
	}
	if err := s.prune(ctx); err != nil {
		return errors.Join(err, s.db.Close())
	}
	if err := s.load(ctx); err != nil {
		return errors.Join(s.explain(err), s.db.Close())
	}
	return nil
}

// createDatabase makes the empty file if there is none.
func (s *Store) createDatabase() error {
	info, err := os.Lstat(s.path)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return fmt.Errorf("database %s is not a regular file; move it away", s.path)
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("database: %w", err)
	}
	f, err := os.OpenFile(s.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("database cannot be made: %w", err)
	}
	// Whatever the umask is.
	if err := errors.Join(f.Chmod(0o600), f.Close(), matchOwner(s.path, filepath.Dir(s.path))); err != nil {
		return fmt.Errorf("database cannot be made: %w", err)
	}
	return nil
}

// Run removes what has expired, every hour, until ctx is done, and returns nil
// then.
func (s *Store) Run(ctx context.Context) error {
	tick := time.NewTicker(pruneInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := s.change(ctx, s.prune); err != nil && ctx.Err() == nil {
				s.log.Warn("sessions that have expired cannot be removed", "error", err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// Close closes the store, for another process to open it. Run must have
// returned.
func (s *Store) Close() error {
	s.writing <- struct{}{}
	defer func() { <-s.writing }()
	err := s.db.Close()
	s.unlock()
	if err != nil {
		return fmt.Errorf("close the sessions: %w", s.explain(err))
	}
	return nil
}

// change runs what changes the database and the memory, one after the other. It
// is given up only before it begins: what has begun is done whole.
func (s *Store) change(ctx context.Context, do func(context.Context) error) error {
	select {
	case s.writing <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("waiting to write to %s: %w", s.path, ctx.Err())
	}
	defer func() { <-s.writing }()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("waiting to write to %s: %w", s.path, err)
	}
	return do(context.WithoutCancel(ctx))
}

// explain adds to an error of the database what to do about it.
func (s *Store) explain(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
		return fmt.Errorf("%s is damaged or not a database; move it away, after which everybody has to sign in again: %w", s.path, err)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN:
		return fmt.Errorf("%s cannot be opened for writing; the data directory and all that is in it must belong to "+
			"the user who runs promgate: %w", s.path, err)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("%s stays locked by another program: %w", s.path, err)
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%s cannot grow; the disk is full: %w", s.path, err)
	}
	return fmt.Errorf("%s: %w", s.path, err)
}
