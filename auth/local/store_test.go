package local

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestZeroStore(t *testing.T) {
	var s Store
	if _, err := s.Verify(t.Context(), "anna", "anna's password"); !errors.Is(err, ErrWrong) {
		t.Errorf("verify: %v", err)
	}
	if _, ok := s.Lookup(""); ok || len(s.Users().All()) != 0 || len(s.Users().Warnings()) != 0 {
		t.Error("the zero Store knows somebody")
	}
	if s.Reload() == nil {
		t.Error("reload of nothing")
	}
}

func TestReload(t *testing.T) {
	if _, err := Open(t.TempDir() + "/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	path := three(t)
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	const changed = "users: [{name: carl, passwordHash: '$2b$10$abcdefghijklmnopqrstuuCj7fyLDJytXL.TfOiOeiv0fQvSOK1/2'}]"
	for _, step := range []struct {
		what       string
		do         func() error
		want       string
		anna, carl bool
	}{
		{"half a file", func() error { return os.WriteFile(path, []byte("users:\n  - name: carl\n"), 0o600) }, "has no passwordHash", true, false},
		{"an empty file", func() error { return os.WriteFile(path, nil, 0o600) }, "is empty", true, false},
		{"no file", func() error { return os.Remove(path) }, "does not exist", true, false},
		{"a directory", func() error { return os.Mkdir(path, 0o700) }, "is not a regular file", true, false},
		{"others", func() error {
			return errors.Join(os.Remove(path), os.WriteFile(path, []byte(changed), 0o600))
		}, "", false, true},
		{"disabled", func() error { return SetDisabled(path, "carl", true) }, "", false, false},
		{"nobody", func() error { return os.WriteFile(path, []byte("users: []"), 0o600) }, "", false, false},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		err := s.Reload()
		if (err == nil) != (step.want == "") || err != nil && !strings.Contains(err.Error(), step.want) {
			t.Errorf("%s: got %v, want %q", step.what, err, step.want)
		}
		if _, ok := s.Lookup("anna"); ok != step.anna {
			t.Errorf("%s: anna is known: %v", step.what, ok)
		}
		if _, ok := s.Lookup("carl"); ok != step.carl {
			t.Errorf("%s: carl is known: %v", step.what, ok)
		}
	}
}

// TestVerifyWhileReloading has one user come and go: whoever is right is right
// throughout.
func TestVerifyWhileReloading(t *testing.T) {
	path := three(t)
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 8 {
				if u, err := s.Verify(t.Context(), "anna", "anna's password"); err != nil || u.Name != "anna" {
					t.Errorf("got %+v, %v", u, err)
				}
				if _, err := s.Verify(t.Context(), "dora", "dora's password"); !errors.Is(err, ErrWrong) {
					t.Errorf("got %v", err)
				}
				if _, ok := s.Lookup("bert"); !ok {
					t.Error("bert is gone")
				}
			}
		})
		wait.Go(func() {
			for range 20 {
				if err := s.Reload(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Go(func() {
		for range 10 {
			err := Add(path, User{Name: "carl"}, hashed(cheap, "carl's password"))
			if err := errors.Join(err, Remove(path, "carl")); err != nil {
				t.Error(err)
			}
		}
	})
	wait.Wait()
}

// TestStamp: it changes with the password, and with nothing else.
func TestStamp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.yaml")
	hash := func(password string) string {
		h, err := Hash(password)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	if err := Add(path, User{Name: "anna"}, hash("correct horse battery")); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	first := s.Users().Stamp("anna")
	if first == "" || s.Users().Stamp("boris") != "" {
		t.Errorf("stamps %q, %q", first, s.Users().Stamp("boris"))
	}
	for _, c := range []struct {
		edit    func() error
		changes bool
	}{
		{func() error { return SetDisabled(path, "anna", true) }, false},
		{func() error { return SetDisabled(path, "anna", false) }, false},
		{func() error { return SetPassword(path, "anna", hash("another horse battery")) }, true},
		{func() error { return SetPassword(path, "anna", hash("correct horse battery")) }, true},
	} {
		before := s.Users().Stamp("anna")
		if err := errors.Join(c.edit(), s.Reload()); err != nil {
			t.Fatal(err)
		}
		if changed := s.Users().Stamp("anna") != before; changed != c.changes {
			t.Errorf("changed: %v, want %v", changed, c.changes)
		}
	}
	if s.Users().Stamp("anna") == first {
		t.Error("the same password made again has the same stamp")
	}
}
