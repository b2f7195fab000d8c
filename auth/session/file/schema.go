package file

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/promgate/promgate/auth/session"
)

const (
	// schemaVersion is the database's user_version; a program opens no database
	// of a version above its own.
	schemaVersion = 1
	// applicationID marks the file as promgate's sessions; it spells "pmgs".
	applicationID = 0x706d6773
)

// Times are Unix nanoseconds.
const schema = `
CREATE TABLE sessions (
	id         TEXT PRIMARY KEY CHECK (length(id) = 64),
	owner      TEXT NOT NULL,
	sealed     BLOB NOT NULL,
	seen_at    INTEGER NOT NULL,
	expires_at INTEGER NOT NULL,
	version    INTEGER NOT NULL CHECK (version > 0)
) STRICT;
CREATE INDEX sessions_by_owner ON sessions (owner);
CREATE INDEX sessions_by_end ON sessions (expires_at);
`

// setUp brings the database to the present schema.
func (s *Store) setUp(ctx context.Context) error {
	// Before anything is written to a file that may be another program's.
	version, err := s.version(ctx)
	if err != nil {
		return err
	}
	var mode string
	if err := s.db.QueryRowContext(ctx, `PRAGMA journal_mode = WAL`).Scan(&mode); err != nil {
		return fmt.Errorf("turn on the write-ahead log: %w", err)
	}
	if mode != "wal" {
		return fmt.Errorf("%s cannot use a write-ahead log; the data directory must be on a local file system", s.path)
	}
	if version != 0 {
		return nil
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("create tables: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit
	marks := fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d;", applicationID, schemaVersion)
	if _, err := tx.ExecContext(ctx, schema+marks); err != nil {
		return fmt.Errorf("create tables: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("create tables: %w", err)
	}
	return nil
}

// version returns the schema's version, 0 for an empty database, or an error
// for one that is not ours or too new.
func (s *Store) version(ctx context.Context) (int, error) {
	var application, version, objects int
	err := s.db.QueryRowContext(ctx, `SELECT COUNT(*), (SELECT application_id FROM pragma_application_id),
		(SELECT user_version FROM pragma_user_version) FROM sqlite_schema`).Scan(&objects, &application, &version)
	switch {
	case err != nil:
		return 0, err
	case application == 0 && version == 0 && objects == 0:
		return 0, nil
	case application != applicationID || version < 1:
		return 0, fmt.Errorf("%s is the database of another program; move it away or use another data directory", s.path)
	case version > schemaVersion:
		return 0, fmt.Errorf("%s has version %d, this program knows versions up to %d; use the newer program that wrote it",
			s.path, version, schemaVersion)
	}
	return version, nil
}

// load reads everything into memory.
func (s *Store) load(ctx context.Context) error {
	rows, err := s.db.QueryContext(ctx, `SELECT id, owner, sealed, seen_at, expires_at, version FROM sessions`)
	if err != nil {
		return fmt.Errorf("read the sessions: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var r session.Record
		var seen, expires, version int64
		if err := rows.Scan(&r.ID, &r.Owner, &r.Sealed, &seen, &expires, &version); err != nil {
			return fmt.Errorf("read the sessions: %w", err)
		}
		r.SeenAt, r.ExpiresAt, r.Version = fromUnix(seen), fromUnix(expires), strconv.FormatInt(version, 10)
		s.keep(r)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the sessions: %w", err)
	}
	return nil
}

func fromUnix(n int64) time.Time { return time.Unix(0, n).UTC() }
