package local

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const bcryptHash = "$2b$10$abcdefghijklmnopqrstuuCj7fyLDJytXL.TfOiOeiv0fQvSOK1/2"

func TestAllFaultsAtOnce(t *testing.T) {
	name := file(t, `users:
  - name: anna
    passwordHash: $argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc
    group: [shop-team]
  - passwordHash: `+bcryptHash+`
  - name: anna
    passwordHash: $apr1$abcdefgh$secret
    groups: shop-team
    disabled: yes
  - name: ""
    password: hunter2hunter2
  - {name: `+bcryptHash+`, passwordHash: `+bcryptHash+`, name: b}
  - anna:`+bcryptHash+`
  - name: [a]
    passwordHash:
    groups: [a, a, "b ", {c: d}]
  - {name: !!binary aGVsbG8=, passwordHash: "a\nb", `+bcryptHash+`: x}
`+"  - name: \"a\\u202eb\"\n    passwordHash: "+bcryptHash+"\nuserz: []\n")
	const renew = "; have promgate user password make a new one"
	want := strings.Split(`3: users[0].passwordHash: argon2id with m=64 is out of bounds: m is from 8192 to 1048576 KiB`+renew+`
4: unknown key group; write one of name, passwordHash, groups, disabled
5: users[1]: the user has no name; write it, or remove the user and run promgate user add
6: users[2].name: the name "anna" is taken already in line 2; remove one of the two users
7: users[2].passwordHash: not a hash of a kind that is known here; write one that starts with $argon2id$, $2a$, $2b$ or $2y$, or have promgate user password make it
8: users[2].groups: a single value stands where a list belongs; write [first, second], or remove groups for none
9: users[2].disabled: neither true nor false; write one of them
10: users[3].name: the name is empty; write one
10: users[3]: the user has no passwordHash; write it, or remove the user and run promgate user add
11: users[3].password: passwords are not written here; remove it, and have promgate user password make a passwordHash
12: users[4].name: the name looks like the hash of a password; write the name alone
12: users[4]: the key name is written twice, first in line 12; keep one of them
13: users[5]: a single value stands where a mapping belongs; write keys with values below it
14: users[6].name: a list stands where a single value belongs; write it on one line after the key
15: users[6].passwordHash: there is no value; write one
16: users[6].groups[1]: the group "a" is written twice; keep one
16: users[6].groups[2]: the name has a space at an end; remove it
16: users[6].groups[3]: a mapping stands where a single value belongs; write it on one line after the key
17: users[7].name: the YAML tag before the value is not understood; remove it, or put the value in quotes
17: users[7].passwordHash: the value holds line breaks or control characters; write it as plain text on one line
17: unknown key; write one of name, passwordHash, groups, disabled
18: users[8].name: the name has characters that cannot be seen; write letters, digits, signs and plain spaces
20: unknown key userz; users is the only one at the margin`, "\n")
	_, err := Load(name)
	var faults *Faults
	if !errors.As(err, &faults) {
		t.Fatalf("got %v", err)
	}
	got := strings.Split(err.Error(), "\n")
	for i := range max(len(got), len(want)) {
		g, w := "", ""
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = name + ":" + want[i]
		}
		if g != w {
			t.Errorf("got  %s\nwant %s", g, w)
		}
	}
	for _, secret := range []string{"abcdef", "CTFh", "secret", "hunter2"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the faults repeat %q", secret)
		}
	}
}

func TestFaultsOfTheWholeFile(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "1: the file is empty; write users: [] for no users",
		"# nobody\n":                "1: the file is empty",
		"{}":                        "1: there is no key users",
		"users:\n":                  "1: users: a single value stands where a list belongs",
		"users: {}":                 "1: users: a mapping stands where a list belongs",
		"- name: anna":              "1: a list stands where a mapping belongs",
		"anna:" + bcryptHash:        "1: a single value stands where a mapping belongs",
		"users: []\n---\nusers: []": "2: the file holds more than one YAML document",
		"users: []\nusers: []":      "2: the key users is written twice, first in line 1",
		"users: [":                  "this is not YAML",
		"users: [*" + "secret123]":  "this is not YAML: an alias (*name) refers to nothing",
		"users: [&a {name: x, passwordHash: '" + bcryptHash + "'}, *a]": "1: users[1]: an alias (*name) stands where a mapping belongs",
		"users: [{<<: {name: x}}]":                                      "1: users[0]: merge keys (<<) are not understood",
		"users: [{? [a] : b}]":                                          "1: users[0]: a list stands where a key belongs",
		"users: []\n\x00":                                               "this is not YAML: control characters",
		"users: []\n\xff":                                               "this is not YAML: invalid",
		"users: [{name: x, passwordHash: '" + bcryptHash + "', groups: [" + strings.Repeat("a,", 1001) + "]}]": "there are 1001 groups; a user has 1000 at most",
		"users: [{name: " + strings.Repeat("x", 129) + ", passwordHash: '" + bcryptHash + "'}]":                "the name has 129 characters; shorten it to 128",
	} {
		path := file(t, text)
		_, err := Load(path)
		if err == nil || !strings.HasPrefix(err.Error(), path+":") || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: got %v, want %s", text, err, want)
			continue
		}
		if strings.Contains(err.Error(), "abcdef") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%.60q: the error repeats a secret: %v", text, err)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "users.yaml")
	_, err := Load(path)
	want := "the users file " + path + " does not exist; make it with promgate user add NAME --file " + path
	if !errors.Is(err, fs.ErrNotExist) || err.Error() != want {
		t.Errorf("got %v", err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "is not a regular file") {
		t.Errorf("got %v", err)
	}
	write(t, path, "users: [] #"+strings.Repeat("x", maxFileBytes-11))
	if _, err := Load(path); err != nil {
		t.Errorf("the largest file: %v", err)
	}
	write(t, path, "users: [] #"+strings.Repeat("x", maxFileBytes-10))
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "has more than 8 MiB") {
		t.Errorf("got %v", err)
	}
}

func TestWarnings(t *testing.T) {
	path := file(t, "users:\n- {name: Anna, passwordHash: '"+bcryptHash+"'}\n- {name: anna, passwordHash: '"+bcryptHash+"'}\n")
	for mode, more := range map[fs.FileMode]string{
		0o600: "", 0o640: "",
		0o644: path + " can be read by everybody on this machine (mode 0644), and passwords be guessed from it; run chmod 600 on it",
	} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		want := path + `:3: the name "anna" differs from that in line 2 in case alone; they are two users`
		if more != "" {
			want += "\n" + more
		}
		users := load(t, path)
		if got := strings.Join(users.Warnings(), "\n"); got != want || len(users.All()) != 2 {
			t.Errorf("%#o: got %s, want %s", mode, got, want)
		}
	}
}

func TestCheckName(t *testing.T) {
	for name, good := range map[string]bool{
		"a": true, "anna": true, "Anna Müller": true, "anna@shop.example": true, "安娜": true, "1": true, "null": true, "a$b": true,
		strings.Repeat("ä", 128): true, strings.Repeat("ä", 129): false, "": false, " ": false, " a": false, "a ": false, "a\tb": false,
		"a\nb": false, "a\x00": false, "a\u00a0b": false, "a\u200bb": false, "a\u202eb": false, "\ufeffa": false, "\xff": false,
		bcryptHash: false, "anna:" + bcryptHash: false, "$argon2id$x": false,
	} {
		err := CheckName(name)
		if (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestManyFaults(t *testing.T) {
	_, err := Load(file(t, "users:\n"+strings.Repeat("- a\n", 5000)))
	var faults *Faults
	if !errors.As(err, &faults) || len(faults.All) != maxFaults || faults.All[maxFaults-1].Line != 1001 ||
		faults.All[maxFaults-1].Message != "there are more faults from here on; correct these first" {
		t.Errorf("got %.200v", err)
	}
}

// FuzzParse states that whatever parses can be written again with its comments,
// which all edits do, and then says the same.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"", "users: []", "users:\n  - name: anna\n    passwordHash: " + bcryptHash + "\n    groups: [a, b] # why\n# end\n",
		"# top\n\nusers:\n# of anna\n- {name: 'an na', passwordHash: \"" + bcryptHash + "\", disabled: TRUE}\n# of null\n- name: \"null\"\n" +
			"  passwordHash: >-\n    " + hashed(cheap, "x") + "\n  groups:\n    - 0x1F\n    - ~b\n",
		"{users: [{name: a, passwordHash: '" + bcryptHash + "'}]}", "%YAML 1.1\n---\nusers: []\n...\n", "users: &a []\n", "users: [*a]", "---\nusers: !!seq []",
		"users: [{name: a, name: b, <<: c}]\n---\n", "\ufeffusers: []\r\n", "? users\n: - name: a\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := parse("users.yaml", data)
		if err != nil {
			var faults *Faults
			if !errors.As(err, &faults) || len(faults.All) == 0 || strings.Contains(err.Error(), "abcdefghijklmnopqrstuu") {
				t.Fatalf("got %v", err)
			}
			for _, fault := range faults.All {
				if fault.Line < 1 || strings.ContainsAny(fault.Message, "\n\r") {
					t.Fatalf("got %+v", fault)
				}
			}
			return
		}
		users := newUsers(d.accounts)
		if len(users.byName) != len(d.accounts) || len(d.list.Content) != len(d.accounts) {
			t.Fatal("a name twice")
		}
		for _, e := range users.All() {
			if _, ok := users.Lookup(e.Name); ok == e.Disabled || CheckName(e.Name) != nil {
				t.Fatalf("%q", e.Name)
			}
		}
		text, err := d.encode("users.yaml")
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if _, err := parse("users.yaml", text); err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
	})
}
