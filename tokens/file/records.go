package file

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/promgate/promgate/tokens"
)

const recordColumns = `id, key_id, project, project_uid, environment, environment_uid, description,
	created_at, expires_at, revoked_at, last_used_at, replaced_by, created_by`

// Insert adds the records of tokens that were just made: all of them or, on an
// error, none. It refuses a record without id, key id, project UID or end, one
// of an environment without its UID, one with a CreatedBy that is too long, and
// an id that is taken.
func (s *Store) Insert(ctx context.Context, records ...tokens.Record) error {
	for _, r := range records {
		if err := validate(r); err != nil {
			return fmt.Errorf("store token: %w", err)
		}
	}
	if len(records) == 0 {
		return nil
	}
	at := 0
	err := s.write(ctx, func(tx *sql.Tx) error {
		for at = range records {
			if err := insert(ctx, tx, records[at]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store token %s: %w", records[at].ID, err)
	}
	return nil
}

func validate(r tokens.Record) error {
	switch {
	case r.ID == "" || r.KeyID == "":
		return errors.New("the record has no id or no key id")
	case r.Scope.ProjectUID == "":
		return errors.New("the record's scope has no project UID")
	case (r.Scope.Environment == "") != (r.Scope.EnvironmentUID == ""):
		return errors.New("the record's scope needs both name and UID of the environment, or neither")
	case r.ExpiresAt.IsZero():
		return errors.New("the record has no end")
	case len(r.CreatedBy) > tokens.MaxCreatedBy:
		return fmt.Errorf("who made the token takes more than %d bytes", tokens.MaxCreatedBy)
	}
	return nil
}

func insert(ctx context.Context, tx *sql.Tx, r tokens.Record) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO tokens (`+recordColumns+`) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)`,
		r.ID, r.KeyID, r.Scope.Project, r.Scope.ProjectUID, r.Scope.Environment, r.Scope.EnvironmentUID, r.Description,
		toUnix(r.CreatedAt), toUnix(r.ExpiresAt), toUnix(r.RevokedAt), toUnix(r.LastUsedAt), r.ReplacedBy, r.CreatedBy)
	return err
}

// List returns all records, the newest first.
func (s *Store) List(ctx context.Context) ([]tokens.Record, error) { return s.list(ctx, "") }

// ListProject returns the records of the project with the scope's ProjectUID,
// the newest first.
func (s *Store) ListProject(ctx context.Context, p tokens.Scope) ([]tokens.Record, error) {
	return s.list(ctx, "WHERE project_uid = ?", p.ProjectUID)
}

func (s *Store) list(ctx context.Context, where string, args ...any) ([]tokens.Record, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT `+recordColumns+` FROM tokens `+where+` ORDER BY created_at DESC, id`, args...)
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", s.explain(err))
	}
	defer func() { _ = rows.Close() }()
	var records []tokens.Record
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("list tokens: %w", s.explain(err))
		}
		records = append(records, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list tokens: %w", s.explain(err))
	}
	return records, nil
}

// Get returns the record with that id, or tokens.ErrNotFound.
func (s *Store) Get(ctx context.Context, id string) (tokens.Record, error) {
	r, err := get(ctx, s.db, id)
	if err != nil {
		return tokens.Record{}, fmt.Errorf("token %q: %w", id, s.explain(err))
	}
	return r, nil
}

func get(ctx context.Context, q querier, id string) (tokens.Record, error) {
	r, err := scan(q.QueryRowContext(ctx, `SELECT `+recordColumns+` FROM tokens WHERE id = ?`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return tokens.Record{}, tokens.ErrNotFound
	}
	return r, err
}

// Revoke ends a token at once. A token that is revoked keeps its first time; an
// unknown id is tokens.ErrNotFound.
func (s *Store) Revoke(ctx context.Context, id string) error {
	err := s.write(ctx, func(tx *sql.Tx) error {
		if _, err := get(ctx, tx, id); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE tokens SET revoked_at = ? WHERE id = ? AND revoked_at = 0`, toUnix(s.now()), id)
		return err
	})
	if err != nil {
		return fmt.Errorf("revoke token %q: %w", id, err)
	}
	return nil
}

// Replace inserts next and lets the token with the old id end at oldEnds, if
// that is earlier than its own end; it does both or neither. It returns
// tokens.ErrNotFound for an unknown id, and an error that says so for an old
// token that is revoked, expired or replaced already.
func (s *Store) Replace(ctx context.Context, oldID string, next tokens.Record, oldEnds time.Time) error {
	if err := validate(next); err != nil {
		return fmt.Errorf("replace token %q: %w", oldID, err)
	}
	err := s.write(ctx, func(tx *sql.Tx) error {
		old, err := get(ctx, tx, oldID)
		if err != nil {
			return err
		}
		switch old.State(s.now()) {
		case tokens.StateRevoked:
			return errors.New("it is revoked; create a new token instead")
		case tokens.StateExpired:
			return errors.New("it has expired; create a new token instead")
		case tokens.StateRotated:
			return fmt.Errorf("it was replaced already, by token %s", old.ReplacedBy)
		}
		if err := insert(ctx, tx, next); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE tokens SET expires_at = MIN(expires_at, ?), replaced_by = ? WHERE id = ?`,
			toUnix(oldEnds), next.ID, oldID)
		return err
	})
	if err != nil {
		return fmt.Errorf("replace token %q: %w", oldID, err)
	}
	return nil
}

// deleteEnded deletes the records of tokens that ended before the retention.
func (s *Store) deleteEnded(ctx context.Context) error {
	before := toUnix(s.now().Add(-s.retention))
	return s.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM tokens WHERE expires_at < ? OR (revoked_at > 0 AND revoked_at < ?)`, before, before)
		return err
	})
}

func scan(row interface{ Scan(...any) error }) (tokens.Record, error) {
	var r tokens.Record
	var created, expires, revoked, lastUsed int64
	err := row.Scan(&r.ID, &r.KeyID, &r.Scope.Project, &r.Scope.ProjectUID, &r.Scope.Environment, &r.Scope.EnvironmentUID,
		&r.Description, &created, &expires, &revoked, &lastUsed, &r.ReplacedBy, &r.CreatedBy)
	r.CreatedAt, r.ExpiresAt = fromUnix(created), fromUnix(expires)
	r.RevokedAt, r.LastUsedAt = fromUnix(revoked), fromUnix(lastUsed)
	return r, err
}

// toUnix turns a time into nanoseconds, and the zero time into 0.
func toUnix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromUnix(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}
