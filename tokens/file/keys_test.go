package file

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/promgate/promgate/tokens"
)

func TestActiveKey(t *testing.T) {
	dir := t.TempDir()
	one, two := open(t, Options{Dir: dir}), open(t, Options{Dir: dir})
	first, err := one.ActiveKey(t.Context())
	if err != nil || len(first.Private) != ed25519.PrivateKeySize || first.ID != keyID(first.Private.Public().(ed25519.PublicKey)) {
		t.Fatalf("got key %q, %v", first.ID, err)
	}
	same, err := two.ActiveKey(t.Context())
	if err != nil || same.ID != first.ID || !same.Private.Equal(first.Private) || !same.CreatedAt.Equal(first.CreatedAt) {
		t.Errorf("another process gets key %q of %s, %v; want %q of %s", same.ID, same.CreatedAt, err, first.ID, first.CreatedAt)
	}
	// Half a key of a process that died is no key.
	if err := os.WriteFile(filepath.Join(dir, keysName, ".new-1"), []byte("-----BEGIN"), 0o600); err != nil {
		t.Fatal(err)
	}
	if again, err := two.ActiveKey(t.Context()); err != nil || again.ID != first.ID {
		t.Errorf("beside a temporary file: key %q, %v", again.ID, err)
	}
}

// TestRotateKeys also rotates twice within a second, and with a clock that has
// been set back: the last key made is the active one all the same.
func TestRotateKeys(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 500, time.UTC)
	s := open(t, Options{Dir: t.TempDir(), Now: func() time.Time { return now }})
	if err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(s.Snapshot().Keys) != 0 {
		t.Fatal("a key before anybody needs one")
	}
	var made []string
	for _, step := range []time.Duration{0, 0, time.Minute, -time.Hour} {
		now = now.Add(step)
		key, err := s.RotateKeys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, key.ID)
		if active, err := s.ActiveKey(t.Context()); err != nil || active.ID != key.ID {
			t.Errorf("active key is %q, %v; want the new one, %q", active.ID, err, key.ID)
		}
		for _, id := range made {
			if s.Snapshot().Keys[id] == nil {
				t.Errorf("key %q does not verify any more", id)
			}
		}
	}
}

func TestUnusedKeysAreRemoved(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := open(t, Options{Dir: t.TempDir(), Now: func() time.Time { return now }})
	if err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	rotate := func() string {
		t.Helper()
		key, err := s.RotateKeys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return key.ID
	}
	add := func(id, key string, change func(*tokens.Record)) {
		r := record(id)
		r.KeyID, r.ExpiresAt = key, now.Add(24*time.Hour)
		change(&r)
		insertAll(t, s, r)
	}
	want := func(ids ...string) {
		t.Helper()
		if got, err := s.keyNames(); err != nil || !slices.Equal(got, slices.Sorted(slices.Values(ids))) {
			t.Errorf("keys %q, %v; want %q", got, err, ids)
		}
		if len(s.Snapshot().Keys) != len(ids) {
			t.Errorf("%d keys verify, want %d", len(s.Snapshot().Keys), len(ids))
		}
	}
	used, revoked, unused := rotate(), rotate(), rotate()
	add("good", used, func(*tokens.Record) {})
	add("revoked", revoked, func(r *tokens.Record) { r.RevokedAt = now })
	add("expired", revoked, func(r *tokens.Record) { r.ExpiresAt = now })
	last := rotate()
	want(used, revoked, unused, last)

	// unused was the newest until a moment ago: a token may be in the making.
	now = now.Add(mintingGrace - time.Second)
	s.clean(t.Context())
	want(used, revoked, unused, last)
	now = now.Add(10 * time.Second)
	s.clean(t.Context())
	want(used, last)
	now = now.Add(48 * time.Hour)
	s.clean(t.Context())
	want(last)
}

// badKeyFile is a way to spoil the file of a good key.
type badKeyFile struct {
	name    string
	mode    os.FileMode
	content func([]byte) []byte
	want    string
}

func badKeyFiles(t *testing.T) []badKeyFile {
	t.Helper()
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(other)
	if err != nil {
		t.Fatal(err)
	}
	foreign := pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})
	return []badKeyFile{
		{"readable by the group", 0o640, func(b []byte) []byte { return b }, "is open to others than its owner (mode 0640); run chmod 600"},
		{"readable by all", 0o604, func(b []byte) []byte { return b }, "is open to others than its owner (mode 0604)"},
		{"empty", 0o600, func([]byte) []byte { return nil }, "is not one PEM block"},
		{"half", 0o600, func(b []byte) []byte { return b[:len(b)/2] }, "is not one PEM block"},
		{"twice", 0o600, func(b []byte) []byte { return append(bytes.Clone(b), b...) }, "is not one PEM block"},
		{"of another type", 0o600, func(b []byte) []byte {
			return bytes.ReplaceAll(b, []byte("PRIVATE"), []byte("PUBLIC"))
		}, "is not one PEM block"},
		{"damaged", 0o600, func(b []byte) []byte {
			b = bytes.Clone(b)
			copy(b[28:], "AAAA")
			return b
		}, "holds no Ed25519 key"},
		{"of another algorithm", 0o600, func([]byte) []byte { return foreign }, "holds no Ed25519 key"},
	}
}

func TestBadKeyFiles(t *testing.T) {
	for _, test := range badKeyFiles(t) {
		t.Run(test.name, func(t *testing.T) {
			s := open(t, Options{Dir: t.TempDir()})
			key, err := s.ActiveKey(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			content, err := os.ReadFile(s.keyPath(key.ID))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(s.keyPath(key.ID), test.content(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(s.keyPath(key.ID), test.mode); err != nil {
				t.Fatal(err)
			}
			_, active := s.ActiveKey(t.Context())
			_, rotated := s.RotateKeys(t.Context())
			for what, err := range map[string]error{"active": active, "rotate": rotated, "load": s.Load(t.Context())} {
				switch {
				case err == nil || !strings.Contains(err.Error(), test.want):
					t.Errorf("%s: got %v, want %q", what, err, test.want)
				case strings.Contains(err.Error(), string(content[40:60])):
					t.Errorf("%s: error %q holds a part of the key", what, err)
				}
			}
		})
	}
}

func TestKeyFileUnderAnotherID(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir()})
	key, err := s.ActiveKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(s.keyPath(key.ID), s.keyPath("0")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ActiveKey(t.Context()); err == nil || !strings.Contains(err.Error(), "holds the key of another id") {
		t.Errorf("got %v", err)
	}
}
