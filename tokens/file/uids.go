package file

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
)

// AssignUIDs returns the UID of each name, and makes a random one for a name
// that has none. A name is "project" or "project/environment". With
// retireOthers, the names that are not in the list lose their UID for good:
// whoever comes back under such a name gets another, and inherits no token. It
// does all or nothing, and the same call again changes nothing.
func (s *Store) AssignUIDs(ctx context.Context, names []string, retireOthers bool) (map[string]string, error) {
	if slices.Contains(names, "") {
		return nil, errors.New("assign UIDs: a name is empty")
	}
	assigned := make(map[string]string, len(names))
	err := s.write(ctx, func(tx *sql.Tx) error {
		known, err := uids(ctx, tx)
		if err != nil {
			return err
		}
		for _, name := range names {
			if _, twice := assigned[name]; twice {
				continue
			}
			uid, found := known[name]
			if !found {
				uid = randomID()
				if _, err := tx.ExecContext(ctx, `INSERT INTO uids (name, uid) VALUES (?, ?)`, name, uid); err != nil {
					return err
				}
			}
			assigned[name] = uid
		}
		for name := range known {
			if _, listed := assigned[name]; listed || !retireOthers {
				continue
			}
			if _, err := tx.ExecContext(ctx, `DELETE FROM uids WHERE name = ?`, name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("assign UIDs: %w", err)
	}
	return assigned, nil
}

func uids(ctx context.Context, tx *sql.Tx) (map[string]string, error) {
	rows, err := tx.QueryContext(ctx, `SELECT name, uid FROM uids`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	known := map[string]string{}
	for rows.Next() {
		var name, uid string
		if err := rows.Scan(&name, &uid); err != nil {
			return nil, err
		}
		known[name] = uid
	}
	return known, rows.Err()
}
