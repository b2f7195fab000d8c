package file

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/auth/session"
)

func TestPermissions(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lib", "promgate data?#%")
	s := open(t, Options{Dir: dir})
	create(t, s, record("a"))
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
	for _, name := range []string{"sessions.db", "sessions.db-wal", "sessions.db-shm", "sessions.lock"} {
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
		shut(t, open(t, Options{Dir: dir}))
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

func TestOpenSaysWhatIsWrong(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*testing.T, string)
		want  string
	}{
		{"garbage", write(strings.Repeat("garbage ", 1000)), "sessions.db is damaged or not a database; move it away, after which everybody has to sign in again"},
		{"newer", execute("PRAGMA user_version = 2"), "has version 2, this program knows versions up to 1; use the newer program"},
		{"of another program", execute("PRAGMA application_id = 7"), "is the database of another program"},
		{"tables of another program", execute("PRAGMA application_id = 0; PRAGMA user_version = 0"), "is the database of another program"},
		{"without its table", execute("DROP TABLE sessions"), "no such table: sessions"},
		{"a directory", func(t *testing.T, dir string) {
			if err := os.Mkdir(filepath.Join(dir, databaseName), 0o700); err != nil {
				t.Fatal(err)
			}
		}, "sessions.db is not a regular file"},
		{"a link", func(t *testing.T, dir string) {
			if err := os.Symlink("elsewhere", filepath.Join(dir, databaseName)); err != nil {
				t.Fatal(err)
			}
		}, "sessions.db is not a regular file"},
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
			// What failed keeps nobody out.
			if err := os.RemoveAll(filepath.Join(dir, databaseName)); err != nil {
				t.Fatal(err)
			}
			create(t, open(t, Options{Dir: dir}), record("a"))
		})
	}
	if _, err := Open(t.Context(), Options{}); err == nil {
		t.Error("opened without a directory")
	}
}

// TestOneProcess: whoever opens a second time is told so, and gets in when the
// first has left.
func TestOneProcess(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	create(t, s, record("a"))
	const want = "open; one gateway alone may use a data directory, more than one keep their sessions in Kubernetes"
	soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Open(soon, Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v", err)
	}
	if out, err := process(t, dir, "open"); err == nil || !strings.Contains(out, want) {
		t.Errorf("another process: %v, %s", err, out)
	}
	have(t, s, "a") // none the worse for it
	create(t, s, record("b"))
	waiting := make(chan error, 1)
	began := make(chan struct{})
	go func() {
		close(began)
		next, err := Open(context.Background(), Options{Dir: dir})
		if err == nil {
			err = next.Close()
		}
		waiting <- err
	}()
	<-began
	shut(t, s)
	if err := <-waiting; err != nil {
		t.Errorf("after the first has left: %v", err)
	}
}

// TestOpenAtOnce: of many who meet in an empty directory one after the other
// gets in.
func TestOpenAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			s, err := Open(context.Background(), Options{Dir: dir})
			if err != nil {
				t.Errorf("open: %v", err)
				return
			}
			if err := errors.Join(s.Create(context.Background(), record(string(rune('a'+i)))), s.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	have(t, open(t, Options{Dir: dir}), "a", "b", "c", "d", "e", "f", "g", "h")
}

// anybody is a provider that knows everybody.
type anybody struct{}

func (anybody) Resume(u *session.User) (*auth.Identity, auth.Credential, error) {
	return &auth.Identity{Principal: auth.Principal{Kind: u.Kind, ID: u.Name}}, auth.NewCredential(string(u.Secret)), nil
}
func (anybody) Due(*session.User) bool { return false }
func (anybody) Refresh(_ context.Context, u *session.User) (*session.User, error) {
	return u, nil
}

// TestSignedInAcrossRestart: whoever has signed in stays so, and what is stored
// holds nothing of it.
func TestSignedInAcrossRestart(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	manager := func() *session.Manager {
		return session.NewManager(session.Options{Store: s, Providers: map[auth.Kind]session.Provider{auth.KindLocal: anybody{}}})
	}
	request := httptest.NewRequest(http.MethodGet, "https://gateway/", nil)
	cookie, _, err := manager().SignIn(t.Context(), request, session.User{Kind: auth.KindLocal, Name: "anna", Secret: "hunter2hunter2"})
	if err != nil {
		t.Fatal(err)
	}
	shut(t, s)
	for _, name := range []string{"sessions.db", "sessions.db-wal"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if strings.Contains(string(content), cookie.Value) || strings.Contains(string(content), "hunter2") {
			t.Errorf("%s holds the secret", name)
		}
	}
	s = open(t, Options{Dir: dir})
	request.AddCookie(cookie)
	request.Header = http.Header{"Cookie": request.Header["Cookie"], session.PageHeader: {"1"}, "Sec-Fetch-Site": {"same-origin"}}
	who, credential, err := manager().Authenticate(t.Context(), request, auth.OwnPage)
	if err != nil || who.Principal.ID != "anna" || credential.Secret() != "hunter2hunter2" {
		t.Errorf("got %+v, %v", who, err)
	}
}
