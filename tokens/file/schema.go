package file

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"fmt"
	"time"
)

const (
	// schemaVersion is the database's user_version; a program opens no database
	// of a version above its own.
	schemaVersion = 2
	// applicationID marks the file as promgate's; it spells "pmgt".
	applicationID = 0x706d6774
)

// Times are Unix nanoseconds, zero for never.
const schema = `
CREATE TABLE meta (
	key   TEXT PRIMARY KEY,
	value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
	id              TEXT PRIMARY KEY CHECK (id <> ''),
	key_id          TEXT NOT NULL CHECK (key_id <> ''),
	project         TEXT NOT NULL,
	project_uid     TEXT NOT NULL CHECK (project_uid <> ''),
	environment     TEXT NOT NULL,
	environment_uid TEXT NOT NULL,
	description     TEXT NOT NULL,
	created_at      INTEGER NOT NULL,
	expires_at      INTEGER NOT NULL,
	revoked_at      INTEGER NOT NULL DEFAULT 0,
	last_used_at    INTEGER NOT NULL DEFAULT 0,
	replaced_by     TEXT NOT NULL DEFAULT '',
	created_by      TEXT NOT NULL DEFAULT '',
	CHECK ((environment = '') = (environment_uid = ''))
) STRICT, WITHOUT ROWID;

CREATE TABLE uids (
	name TEXT PRIMARY KEY CHECK (name <> ''),
	uid  TEXT NOT NULL UNIQUE
) STRICT, WITHOUT ROWID;
`

// migrations bring a database from the version before to that of the key. The
// last one's result is what schema makes.
var migrations = map[int]string{
	2: `ALTER TABLE tokens ADD COLUMN created_by TEXT NOT NULL DEFAULT ''`,
}

// setUp brings the database to the present schema and returns the issuer. It
// is safe for processes that start at the same time.
func (s *Store) setUp(ctx context.Context) (issuer string, err error) {
	// Before anything is written to a file that may be another program's.
	if _, err := s.version(ctx, s.db); err != nil {
		return "", err
	}
	if err := s.useWAL(ctx); err != nil {
		return "", err
	}
	// Also where there is nothing to create: a database that cannot be written
	// fails here and now.
	if err := s.write(ctx, func(tx *sql.Tx) error { return s.bringUp(ctx, tx) }); err != nil {
		return "", err
	}
	var id string
	err = s.db.QueryRowContext(ctx, `SELECT value FROM meta WHERE key = 'installation_id'`).Scan(&id)
	if err != nil {
		return "", fmt.Errorf("read installation id: %w", err)
	}
	return "promgate:" + id, nil
}

// bringUp makes the tables, or changes those of an older program, unless another
// process was quicker.
func (s *Store) bringUp(ctx context.Context, tx *sql.Tx) error {
	version, err := s.version(ctx, tx)
	if err != nil {
		return err
	}
	if version == 0 {
		return create(ctx, tx)
	}
	// Deletes nothing, and fails on a file that cannot be written.
	if _, err := tx.ExecContext(ctx, `DELETE FROM meta WHERE key = ''`); err != nil {
		return err
	}
	for version < schemaVersion {
		version++
		mark := fmt.Sprintf("; PRAGMA user_version = %d", version)
		if _, err := tx.ExecContext(ctx, migrations[version]+mark); err != nil {
			return fmt.Errorf("change the tables to version %d: %w", version, err)
		}
	}
	return nil
}

func create(ctx context.Context, tx *sql.Tx) error {
	marks := fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d;", applicationID, schemaVersion)
	if _, err := tx.ExecContext(ctx, schema+marks); err != nil {
		return fmt.Errorf("create tables: %w", err)
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO meta (key, value) VALUES ('installation_id', ?)`, randomID())
	return err
}

// querier is a database or a transaction on it.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// version returns the schema's version, 0 for an empty database, or an error
// for one that is not ours or too new.
func (s *Store) version(ctx context.Context, q querier) (int, error) {
	var application, version, objects int
	// One statement sees one state, whatever another process is just making.
	err := q.QueryRowContext(ctx, `SELECT COUNT(*), (SELECT application_id FROM pragma_application_id),
		(SELECT user_version FROM pragma_user_version) FROM sqlite_schema`).Scan(&objects, &application, &version)
	switch {
	case err != nil:
		return 0, err
	case application == 0 && version == 0 && objects == 0:
		return 0, nil
	case application != applicationID || version < 1:
		return 0, fmt.Errorf("%s is the database of another program; move it away or use another data directory", s.path())
	case version > schemaVersion:
		return 0, fmt.Errorf("%s has version %d, this program knows versions up to %d; use the newer program that wrote it",
			s.path(), version, schemaVersion)
	}
	return version, nil
}

// useWAL turns on the write-ahead log, with which readers and a writer do not
// wait for each other. The change is not covered by the busy timeout where two
// processes make it at once, so it is tried again.
func (s *Store) useWAL(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*busyTimeout)
	defer cancel()
	for {
		var mode string
		err := s.db.QueryRowContext(ctx, `PRAGMA journal_mode = WAL`).Scan(&mode)
		switch {
		case err == nil && mode == "wal":
			return nil
		case err == nil:
			return fmt.Errorf("%s cannot use a write-ahead log; the data directory must be on a local file system", s.path())
		case !isBusy(err):
			return fmt.Errorf("turn on the write-ahead log: %w", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("turn on the write-ahead log: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// randomID is 128 random bits in hex.
func randomID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
