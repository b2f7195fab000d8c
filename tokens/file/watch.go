package file

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/promgate/promgate/tokens"
)

const (
	pollInterval  = 200 * time.Millisecond
	flushInterval = 5 * time.Second
	cleanInterval = time.Hour
	// watchTimeout is how long the watching connection waits for a lock. It is
	// short, so that a write lock that another process holds does not delay the
	// next look at the records; reading needs no lock.
	watchTimeout = 100 * time.Millisecond
)

// watch is the state of following the database and the keys.
type watch struct {
	// conn is the one connection that asks whether others have changed the
	// database. The times of last use are written on it too, because a
	// connection's own writes do not count as changes.
	conn     *sql.Conn
	version  int64 // the database's data_version as conn saw it
	reload   bool  // read the records even if nobody has changed them
	keyNames []string
	keys     map[string]ed25519.PublicKey
	keyFault string // what is wrong with the keys, as it was logged
	failing  bool   // the last poll failed, as it was logged
	uses     map[string]*use
}

// use is the time of last use of one token, which outlives snapshots.
type use struct {
	last    *atomic.Int64
	flushed int64 // what the database has
}

// Snapshot returns the state that tokens are checked against, or nil before
// Load. It costs one atomic load.
func (s *Store) Snapshot() *tokens.Snapshot { return s.snapshot.Load() }

// Load reads the records and keys for the first time. Unlike later looks, it
// returns an error where any key file cannot be used.
func (s *Store) Load(ctx context.Context) error {
	s.watching.Lock()
	defer s.watching.Unlock()
	if _, err := s.readKeys(); err != nil {
		return err
	}
	if err := s.poll(ctx); err != nil {
		return fmt.Errorf("load token records: %w", s.explain(err))
	}
	return nil
}

// Run keeps the snapshot up to date until ctx is done: it follows what other
// processes change, writes the times of last use every few seconds, and deletes
// records and keys that are needed no more. It calls Load if nobody has, and
// returns an error only if that fails. What goes wrong later is logged once; as
// long as it lasts the snapshot's part is not seen.
func (s *Store) Run(ctx context.Context) error {
	if s.snapshot.Load() == nil {
		if err := s.Load(ctx); err != nil {
			return err
		}
	}
	s.clean(ctx)
	poll, flush, clean := time.NewTicker(pollInterval), time.NewTicker(flushInterval), time.NewTicker(cleanInterval)
	defer poll.Stop()
	defer flush.Stop()
	defer clean.Stop()
	// Looking and writing are brief and are seen through to their end: a
	// connection that is interrupted could not write the last uses at Close.
	whole := context.WithoutCancel(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-poll.C:
			s.refresh(whole)
		case <-flush.C:
			s.flushUses(whole)
		case <-clean.C:
			s.clean(ctx)
			s.forget()
		}
	}
}

// refresh looks for changes and reports a failure, or its end, once.
func (s *Store) refresh(ctx context.Context) {
	s.watching.Lock()
	defer s.watching.Unlock()
	err := s.poll(ctx)
	switch {
	case err != nil && !s.watch.failing:
		s.log.ErrorContext(ctx, "token records cannot be read; tokens are refused once the last reading is too old",
			"error", s.explain(err))
	case err == nil && s.watch.failing:
		s.log.InfoContext(ctx, "token records can be read again")
	}
	s.watch.failing = err != nil
}

// poll brings the snapshot up to date. After an error the next call starts
// over with a new connection.
func (s *Store) poll(ctx context.Context) (err error) {
	w := &s.watch
	asOf := s.now() // before looking: what comes in between counts as unseen
	if err := s.checkFile(); err != nil {
		return err
	}
	defer func() {
		if err != nil && w.conn != nil {
			// ErrBadConn has the pool close the connection, not keep it.
			_ = w.conn.Raw(func(any) error { return driver.ErrBadConn })
			w.conn = nil
		}
	}()
	if w.conn == nil {
		w.reload = true
		if w.conn, err = s.db.Conn(ctx); err != nil {
			return err
		}
		if err := w.wait(ctx, watchTimeout); err != nil {
			return err
		}
	}
	// Asked before reading, so that a change meanwhile is seen the next time.
	var version int64
	if err := w.conn.QueryRowContext(ctx, `PRAGMA data_version`).Scan(&version); err != nil {
		return err
	}
	if err := s.followKeys(ctx); err != nil {
		return err
	}
	next := tokens.Snapshot{Issuer: s.issuer, Keys: w.keys, Core: &s.part, Parts: []*tokens.Part{&s.part}}
	if last := s.snapshot.Load(); last != nil && !w.reload && version == w.version {
		next.Tokens = last.Tokens
	} else if next.Tokens, err = s.loadTokens(ctx); err != nil {
		return err
	}
	w.version, w.reload = version, false
	s.snapshot.Store(&next)
	s.part.See(asOf)
	return nil
}

// wait sets how long the watching connection waits for a lock.
func (w *watch) wait(ctx context.Context, d time.Duration) error {
	_, err := w.conn.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", d.Milliseconds()))
	return err
}

// checkFile makes sure that the database is still the file that was opened: a
// connection to a removed file answers as ever, and would miss revocations.
func (s *Store) checkFile() error {
	info, err := os.Stat(s.path())
	if err != nil {
		return fmt.Errorf("the database is gone: %w", err)
	}
	if !os.SameFile(info, s.database) {
		return fmt.Errorf("%s was replaced by another file; restart the program to use it", s.path())
	}
	return nil
}

// followKeys reads the keys anew if the directory has other files than before.
// A file that cannot be used is logged and leaves the other keys in use; it is
// tried again each time, until it can be used or is gone.
func (s *Store) followKeys(ctx context.Context) error {
	w := &s.watch
	names, err := s.keyNames()
	if err != nil {
		return err
	}
	if w.keys != nil && w.keyFault == "" && slices.Equal(names, w.keyNames) {
		return nil
	}
	keys, err := s.readKeys()
	fault := ""
	if err != nil {
		fault = err.Error()
	}
	if fault != "" && fault != w.keyFault {
		s.log.ErrorContext(ctx, "a signing key cannot be used; its tokens are refused", "error", err)
	}
	w.keyNames, w.keyFault = names, fault
	w.keys = make(map[string]ed25519.PublicKey, len(keys))
	for _, key := range keys {
		w.keys[key.ID] = key.Private.Public().(ed25519.PublicKey)
	}
	return nil
}

// loadTokens reads the tokens that are neither revoked nor expired.
func (s *Store) loadTokens(ctx context.Context) (map[string]*tokens.Live, error) {
	var last map[string]*tokens.Live
	if snapshot := s.snapshot.Load(); snapshot != nil {
		last = snapshot.Tokens
	}
	rows, err := s.watch.conn.QueryContext(ctx, `SELECT id, key_id, project, project_uid, environment, environment_uid,
		expires_at, last_used_at FROM tokens WHERE revoked_at = 0 AND expires_at > ?`, toUnix(s.now()))
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	live := make(map[string]*tokens.Live, len(last))
	same := shared{}
	for rows.Next() {
		var id string
		var t tokens.Live
		var expires, lastUsed int64
		if err := rows.Scan(&id, &t.KeyID, &t.Scope.Project, &t.Scope.ProjectUID, &t.Scope.Environment,
			&t.Scope.EnvironmentUID, &expires, &lastUsed); err != nil {
			return nil, err
		}
		t.ExpiresAt, t.LastUsed, t.Part = fromUnix(expires), s.lastUse(id, lastUsed), &s.part
		if old := last[id]; old != nil && *old == t {
			live[id] = old // lets go of the copy
			continue
		}
		same.in(&t)
		live[id] = &t
	}
	return live, rows.Err()
}

// shared are texts that many tokens have in common: the names and UIDs of their
// scopes, and their keys. Each token would hold a copy of its own.
type shared map[string]string

func (s shared) in(t *tokens.Live) {
	for _, text := range []*string{&t.KeyID, &t.Scope.Project, &t.Scope.ProjectUID, &t.Scope.Environment, &t.Scope.EnvironmentUID} {
		if known, found := s[*text]; found {
			*text = known
		} else {
			s[*text] = *text
		}
	}
}

// lastUse returns the time of last use that all snapshots share, no earlier
// than what is stored: another server may have written that.
func (s *Store) lastUse(id string, stored int64) *atomic.Int64 {
	if s.watch.uses == nil {
		s.watch.uses = map[string]*use{}
	}
	u := s.watch.uses[id]
	if u == nil {
		u = &use{last: new(atomic.Int64)}
		s.watch.uses[id] = u
	}
	u.flushed = max(u.flushed, stored)
	for {
		old := u.last.Load()
		if stored <= old || u.last.CompareAndSwap(old, stored) {
			return u.last
		}
	}
}

// flushUses writes the times of last use. What fails is tried again the next
// time; the watch reports a database that fails for good.
func (s *Store) flushUses(ctx context.Context) {
	s.watching.Lock()
	defer s.watching.Unlock()
	if err := s.flush(ctx); err != nil {
		s.log.WarnContext(ctx, "times of last use could not be stored; trying again later", "error", s.explain(err))
	}
}

// flush writes the times of last use that have changed, in one transaction.
func (s *Store) flush(ctx context.Context) error {
	w := &s.watch
	current := s.snapshot.Load()
	if w.conn == nil || current == nil {
		return nil
	}
	dirty := map[string]int64{}
	for id, u := range w.uses {
		if last := u.last.Load(); last > u.flushed {
			dirty[id] = last
		} else if current.Tokens[id] == nil {
			delete(w.uses, id) // the token has ended, and all is stored
		}
	}
	if len(dirty) == 0 {
		return nil
	}
	tx, err := w.conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	update, err := tx.PrepareContext(ctx, `UPDATE tokens SET last_used_at = MAX(last_used_at, ?) WHERE id = ?`)
	if err != nil {
		return err
	}
	defer func() { _ = update.Close() }()
	for id, last := range dirty {
		if _, err := update.ExecContext(ctx, last, id); err != nil {
			return err
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	for id, last := range dirty {
		w.uses[id].flushed = last
	}
	return nil
}

// clean deletes what is needed no more.
func (s *Store) clean(ctx context.Context) {
	err := errors.Join(s.deleteEnded(ctx), s.removeUnusedKeys(ctx))
	if err != nil && ctx.Err() == nil {
		s.log.WarnContext(ctx, "old token records and signing keys could not be removed; trying again later", "error", err)
	}
}

// forget has the next poll read all records, so that expired tokens leave the
// memory too where nobody changes any.
func (s *Store) forget() {
	s.watching.Lock()
	defer s.watching.Unlock()
	s.watch.reload = true
}
