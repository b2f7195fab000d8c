package file

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/promgate/promgate/tokens"
)

// schema1 is the schema of version 1, as programs of that version made it.
const schema1 = `
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
	CHECK ((environment = '') = (environment_uid = ''))
) STRICT, WITHOUT ROWID;

CREATE TABLE uids (
	name TEXT PRIMARY KEY CHECK (name <> ''),
	uid  TEXT NOT NULL UNIQUE
) STRICT, WITHOUT ROWID;

PRAGMA application_id = 0x706d6774;
PRAGMA user_version = 1;
PRAGMA journal_mode = WAL;
INSERT INTO meta VALUES ('installation_id', '0123456789abcdef0123456789abcdef');
INSERT INTO uids VALUES ('shop', 'p-uid');
`

// insert1 is how such a program stores a record.
const insert1 = `INSERT INTO tokens (id, key_id, project, project_uid, environment, environment_uid, description,
	created_at, expires_at, revoked_at, last_used_at, replaced_by) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)`

// raw opens a data directory's database behind the store's back.
func raw(t *testing.T, dir string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, databaseName))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// versionOne is a data directory that a program of version 1 has left, with two
// tokens; it returns their records, too.
func versionOne(t *testing.T) (dir string, records []tokens.Record) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, databaseName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	good, revoked := record("a"), record("b")
	revoked.RevokedAt, revoked.CreatedAt = good.CreatedAt, good.CreatedAt.Add(-time.Hour)
	db := raw(t, dir)
	_, err := db.ExecContext(t.Context(), schema1)
	for _, r := range []tokens.Record{good, revoked} {
		_, e := db.ExecContext(t.Context(), insert1, r.ID, r.KeyID, r.Scope.Project, r.Scope.ProjectUID, r.Scope.Environment,
			r.Scope.EnvironmentUID, r.Description, toUnix(r.CreatedAt), toUnix(r.ExpiresAt), toUnix(r.RevokedAt), toUnix(r.LastUsedAt), r.ReplacedBy)
		err = errors.Join(err, e)
	}
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return dir, []tokens.Record{good, revoked}
}

// TestMigrate: a database of version 1 is opened, keeps all that it has, and
// looks like one that was made today. Programs of version 1 open it no more.
func TestMigrate(t *testing.T) {
	dir, want := versionOne(t)
	for range 2 { // the second time there is nothing to do
		s := open(t, Options{Dir: dir})
		got, err := s.List(t.Context())
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
		if err := s.Load(t.Context()); err != nil || !has(s, "a")() || has(s, "b")() || s.Issuer() != "promgate:0123456789abcdef0123456789abcdef" {
			t.Errorf("got %+v of %s, %v", s.Snapshot().Tokens, s.Issuer(), err)
		}
		if uids, err := s.AssignUIDs(t.Context(), []string{"shop"}, false); err != nil || uids["shop"] != "p-uid" {
			t.Errorf("got %v, %v", uids, err)
		}
		if version, err := s.version(t.Context(), s.db); err != nil || version != 2 {
			t.Errorf("version %d, %v", version, err)
		}
	}
	s := open(t, Options{Dir: dir})
	made := record("c")
	made.CreatedBy = "local:anna"
	insertAll(t, s, made)
	if got, err := s.Get(t.Context(), "c"); err != nil || got.CreatedBy != "local:anna" {
		t.Errorf("got %+v, %v", got, err)
	}
	fresh := t.TempDir()
	open(t, Options{Dir: fresh})
	if migrated, made := columns(t, dir), columns(t, fresh); !reflect.DeepEqual(migrated, made) {
		t.Errorf("the tables are %v,\nthose of a new database %v", migrated, made)
	}
}

// columns describes the columns of all tables, whatever their order.
func columns(t *testing.T, dir string) map[string]string {
	t.Helper()
	rows, err := raw(t, dir).QueryContext(t.Context(), `SELECT m.name || '.' || c.name, concat_ws(' ', c.type, c."notnull", c.dflt_value, c.pk)
		FROM sqlite_schema m, pragma_table_xinfo(m.name) c WHERE m.type = 'table'`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	all := map[string]string{}
	for rows.Next() {
		var name, what string
		if err := rows.Scan(&name, &what); err != nil {
			t.Fatal(err)
		}
		all[name] = what
	}
	if err := rows.Err(); err != nil || len(all) != 17 {
		t.Fatalf("%d columns, %v", len(all), err)
	}
	return all
}

// TestMigrateTogether: processes that start at once change the tables once.
func TestMigrateTogether(t *testing.T) {
	dir, want := versionOne(t)
	var wait sync.WaitGroup
	for range 10 {
		wait.Go(func() {
			s, err := Open(context.Background(), Options{Dir: dir})
			if err != nil {
				t.Errorf("open: %v", err)
				return
			}
			defer func() { _ = s.Close() }()
			if got, err := s.List(context.Background()); err != nil || len(got) != len(want) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	wait.Wait()
}

// TestMigrateUnderOldServer: a program of version 1 that has the database open
// goes on with it: it names the columns that it knows.
func TestMigrateUnderOldServer(t *testing.T) {
	dir, _ := versionOne(t)
	old := raw(t, dir)
	old.SetMaxOpenConns(1)
	columns1 := strings.TrimSuffix(recordColumns, ", created_by")
	seen := func() (ids string) {
		t.Helper()
		var id, rest string
		if err := old.QueryRowContext(t.Context(), `SELECT group_concat(id), '' FROM (SELECT `+columns1+` FROM tokens ORDER BY id)`).Scan(&id, &rest); err != nil {
			t.Error(err)
		}
		return id
	}
	if got := seen(); got != "a,b" {
		t.Errorf("before: %s", got)
	}
	s := open(t, Options{Dir: dir})
	insertAll(t, s, record("c"))
	if got := seen(); got != "a,b,c" {
		t.Errorf("after: %s", got)
	}
	if _, err := old.ExecContext(t.Context(), insert1, "d", "key-1", "shop", "p-uid", "", "", "", 1, 2, 0, 0, ""); err != nil {
		t.Error(err)
	}
	if got, err := s.Get(t.Context(), "d"); err != nil || got.CreatedBy != "" {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestCreatedBy: who made a token is kept, also where another makes its
// successor.
func TestCreatedBy(t *testing.T) {
	mint := func(tokens.Key, string, tokens.Record) (string, error) { return "token", nil }
	s := open(t, Options{Dir: t.TempDir(), Mint: mint})
	scope := record("").Scope
	first, _, err := s.Create(t.Context(), tokens.Draft{Scope: scope, CreatedBy: "local:anna", Lifetime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	second, _, old, err := s.Rotate(t.Context(), first.ID, tokens.Rotation{Overlap: time.Minute, By: "oidc:" + strings.Repeat("b", 500)})
	if err != nil {
		t.Fatal(err)
	}
	if bob := "oidc:" + strings.Repeat("b", 248) + "…"; first.CreatedBy != "local:anna" || old.CreatedBy != "local:anna" || second.CreatedBy != bob {
		t.Errorf("made by %q, then %q, then %q", first.CreatedBy, old.CreatedBy, second.CreatedBy)
	}
	third, _, _, err := s.Rotate(t.Context(), second.ID, tokens.Rotation{})
	if err != nil || third.CreatedBy != "" {
		t.Errorf("got %+v, %v", third, err)
	}
	for _, want := range []tokens.Record{old, second, third} {
		if got, err := s.Get(t.Context(), want.ID); err != nil || got.CreatedBy != want.CreatedBy {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
	}
}
