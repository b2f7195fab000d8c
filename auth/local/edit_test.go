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

func content(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

const commented = `# Who may sign in.
# Ask the shop team before you change it.
users:
  # the first of all
  - name: anna # of the shop
    passwordHash: ` + bcryptHash + ` # since May
    groups: [shop-team, operators]
  # on leave
  - name: dora
    passwordHash: ` + bcryptHash + `
    disabled: true # until June
  - name: "null"
    passwordHash: ` + bcryptHash + `
    groups:
      - a # b
# the end
`

const argonHash = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"

// TestEditsKeepTheRest states each edit as what it replaces in the file's text.
func TestEditsKeepTheRest(t *testing.T) {
	for name, c := range map[string]struct {
		edit     func(path string) error
		old, new string
	}{
		"password": {func(p string) error { return SetPassword(p, "anna", argonHash) }, bcryptHash + " # since", argonHash + " # since"},
		"enable":   {func(p string) error { return SetDisabled(p, "dora", false) }, "disabled: true", "disabled: false"},
		"disable": {
			func(p string) error { return SetDisabled(p, "anna", true) },
			"operators]\n", "operators]\n    disabled: true\n",
		},
		"disabled already": {func(p string) error { return SetDisabled(p, "dora", true) }, "", ""},
		"remove": {
			func(p string) error { return Remove(p, "dora") },
			"  # on leave\n  - name: dora\n    passwordHash: " + bcryptHash + "\n    disabled: true # until June\n", "",
		},
		"remove the first": {
			func(p string) error { return Remove(p, "anna") },
			commented[strings.Index(commented, "  # the first"):strings.Index(commented, "  # on leave")], "",
		},
		"add": {
			func(p string) error { return Add(p, User{Name: "1e3", Groups: []string{"a: b", "c"}}, argonHash) },
			"      - a # b\n", "      - a # b\n  - name: \"1e3\"\n    passwordHash: " + argonHash + "\n    groups: ['a: b', c]\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := file(t, commented)
			if err := c.edit(path); err != nil {
				t.Fatal(err)
			}
			want := commented
			if c.old != c.new {
				want = strings.Replace(commented, c.old, c.new, 1)
			}
			if got := content(t, path); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestAddMakesTheFile(t *testing.T) {
	for name, before := range map[string]string{"missing": "-", "empty": "", "without users": "users: []\n"} {
		path := filepath.Join(t.TempDir(), "users.yaml")
		if before != "-" {
			write(t, path, before)
		}
		if err := Add(path, User{Name: "anna", Groups: []string{"a"}}, argonHash); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := AddDisabled(path, User{Name: "dora"}, bcryptHash); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := "users:\n  - name: anna\n    passwordHash: " + argonHash + "\n    groups: [a]\n" +
			"  - name: dora\n    passwordHash: " + bcryptHash + "\n    disabled: true\n"
		if got := content(t, path); !strings.HasSuffix(got, want) {
			t.Errorf("%s: got\n%s", name, got)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
		if err := errors.Join(Remove(path, "anna"), Remove(path, "dora")); err != nil || len(load(t, path).All()) != 0 {
			t.Errorf("%s: without users again: %v", name, err)
		}
	}
}

// TestStrangeNames: what a name is must not depend on how YAML reads it.
func TestStrangeNames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.yaml")
	names := []string{"null", "~", "true", "1e3", "0x1F", "2026-01-01", "<<", "=", "- a", "#x", "a #b", "a: b", "&a", "*a", "!a", "|", ">", "%a",
		"@a", "`a", "'a'", `"a"`, `a\n`, "[a]", "{a}", "?", ":", "Anna Müller", "安娜", "😀", "users", strings.Repeat("x", 128)}
	for _, name := range names {
		if err := Add(path, User{Name: name, Groups: []string{name, "g"}}, bcryptHash); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	users := load(t, path)
	for _, name := range names {
		if u, ok := users.Lookup(name); !ok || u.Groups[0] != name {
			t.Errorf("%q is read as %+v, %v", name, u, ok)
		}
	}
}

func TestEditsThatAreRefused(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "users.yaml")
	broken := "users: [{name: anna, passwordHash: x}]\n"
	for name, c := range map[string]struct {
		text string
		edit func(path string) error
		want error
		said string
	}{
		"taken":                {commented, func(p string) error { return Add(p, User{Name: "anna"}, argonHash) }, ErrExists, ""},
		"taken by a disabled":  {commented, func(p string) error { return Add(p, User{Name: "dora"}, argonHash) }, ErrExists, ""},
		"bad name":             {commented, func(p string) error { return Add(p, User{Name: " x"}, argonHash) }, nil, "has a space at an end"},
		"bad group":            {commented, func(p string) error { return Add(p, User{Name: "x", Groups: []string{""}}, argonHash) }, nil, "group: the name is empty"},
		"group twice":          {commented, func(p string) error { return Add(p, User{Name: "x", Groups: []string{"a", "a"}}, argonHash) }, nil, "stays as it was"},
		"bad hash":             {commented, func(p string) error { return Add(p, User{Name: "x"}, "secret") }, nil, "not a hash"},
		"bad hash of anna":     {commented, func(p string) error { return SetPassword(p, "anna", "secret") }, nil, "not a hash"},
		"password of nobody":   {commented, func(p string) error { return SetPassword(p, "Anna", argonHash) }, ErrUnknown, ""},
		"disable nobody":       {commented, func(p string) error { return SetDisabled(p, "nobody", true) }, ErrUnknown, ""},
		"remove nobody":        {commented, func(p string) error { return Remove(p, "") }, ErrUnknown, ""},
		"broken file":          {broken, func(p string) error { return Remove(p, "anna") }, nil, "not a hash"},
		"missing file":         {commented, func(string) error { return Remove(missing, "anna") }, fs.ErrNotExist, "does not exist; make it"},
		"file that would grow": {commented + "#" + strings.Repeat("x", maxFileBytes-len(commented)-1), func(p string) error { return Add(p, User{Name: "x"}, argonHash) }, nil, "would have more than 8 MiB"},
	} {
		path := file(t, c.text)
		err := c.edit(path)
		if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.said) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v", name, err)
		}
		if content(t, path) != c.text {
			t.Errorf("%s: the file has changed", name)
		}
	}
}

// TestFailedRename leaves the old file, and nothing beside it but the lock.
func TestFailedRename(t *testing.T) {
	path := file(t, commented)
	broken := errors.New("the disk is gone")
	e := editor{rename: func(from, _ string) error {
		if got := content(t, from); !strings.Contains(got, "name: x") {
			t.Errorf("the new file is not whole before it is renamed:\n%s", got)
		}
		return broken
	}}
	if err := e.add(path, User{Name: "x"}, argonHash, false); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || content(t, path) != commented || len(entries) != 2 {
		t.Errorf("%v, %v; the file is\n%s", entries, err, content(t, path))
	}
	if err := Add(path, User{Name: "x"}, argonHash); err != nil {
		t.Errorf("the next edit: %v", err)
	}
}

func TestEditKeepsModeAndLink(t *testing.T) {
	path := file(t, commented)
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link.yaml")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if err := Remove(link, "anna"); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o640 || strings.Contains(content(t, path), "anna") {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link is replaced: %v", err)
	}
}

// TestWritersAtOnce: no edit is lost, and of two equal ones one wins.
func TestWritersAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.yaml")
	var wait sync.WaitGroup
	var mu sync.Mutex
	refused := 0
	for i := range 16 {
		wait.Go(func() {
			err := Add(path, User{Name: string(rune('a' + i/2))}, argonHash)
			if errors.Is(err, ErrExists) {
				mu.Lock()
				refused++
				mu.Unlock()
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if got := len(load(t, path).All()); got != 8 || refused != 8 {
		t.Errorf("%d users, %d refused", got, refused)
	}
}
