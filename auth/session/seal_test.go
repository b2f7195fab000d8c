package session

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/promgate/promgate/auth"
)

// TestSeal: what is sealed opens for its owner and its key alone, and as long as
// no bit of it is another.
func TestSeal(t *testing.T) {
	for range 200 {
		k, other := newKey(), newKey()
		text := make([]byte, rand.N(300))
		for i := range text {
			text[i] = byte(rand.N(256))
		}
		owner := []string{"", "local:anna", "oidc:" + string(text[:min(len(text), 20)])}[rand.N(3)]
		sealed, err := k.seal(owner, text)
		must(t, err)
		again, err := k.seal(owner, text)
		must(t, err)
		if bytes.Equal(sealed, again) {
			t.Fatal("sealed twice it is the same")
		}
		var opened []byte
		if err := k.open(owner, sealed, &opened); err != nil || !bytes.Equal(opened, text) {
			t.Fatalf("got %q, %v, want %q", opened, err, text)
		}
		for name, open := range map[string]func(any) error{
			"other key":    func(v any) error { return other.open(owner, sealed, v) },
			"other owner":  func(v any) error { return k.open(owner+"x", sealed, v) },
			"longer owner": func(v any) error { return k.open("\x00"+owner, sealed, v) },
			"cut off":      func(v any) error { return k.open(owner, sealed[:len(sealed)-1], v) },
			"begin":        func(v any) error { return k.open(owner, sealed[:rand.N(28)], v) },
			"longer":       func(v any) error { return k.open(owner, append(bytes.Clone(sealed), 0), v) },
			"nothing":      func(v any) error { return k.open(owner, nil, v) },
			"flipped bit": func(v any) error {
				flipped := bytes.Clone(sealed)
				flipped[rand.N(len(flipped))] ^= 1 << rand.N(8)
				return k.open(owner, flipped, v)
			},
			"of two": func(v any) error {
				return k.open(owner, append(bytes.Clone(sealed[:len(sealed)/2]), again[len(again)/2:]...), v)
			},
		} {
			var got []byte
			if err := open(&got); err == nil || got != nil || strings.Contains(err.Error(), k.text()) {
				t.Fatalf("%s: got %q, %v", name, got, err)
			}
		}
	}
}

// TestEveryBit: no bit of what is sealed is left out.
func TestEveryBit(t *testing.T) {
	k := newKey()
	sealed, err := content{User: user(auth.KindLocal, "anna")}.seal(k, "local:anna")
	must(t, err)
	for i := range len(sealed) * 8 {
		flipped := bytes.Clone(sealed)
		flipped[i/8] ^= 1 << (i % 8)
		var c content
		if err := c.open(k, "local:anna", flipped); err == nil || c.User.Name != "" || c.User.Secret != "" {
			t.Fatalf("bit %d: opened %+v", i, c.User)
		}
	}
}

// TestContent: what is sealed of a session comes back whole.
func TestContent(t *testing.T) {
	k := newKey()
	want := content{User: user(auth.KindOIDC, "anna"), RefreshBy: time.Now().UTC().Round(0)}
	want.User.Until = time.Now().UTC().Round(0)
	sealed, err := want.seal(k, want.User.owner())
	must(t, err)
	var got content
	if err := got.open(k, want.User.owner(), sealed); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if want.Secret != "" {
		t.Error("sealing has changed what was sealed")
	}
	sealed, err = k.seal("local:anna", "a text")
	must(t, err)
	if err := got.open(k, "local:anna", sealed); err == nil {
		t.Error("a text was opened as a session")
	}
}

// TestTooLong: what cannot be kept is refused when it is sealed.
func TestTooLong(t *testing.T) {
	w := newWorld(t)
	long := user(auth.KindLocal, "anna")
	long.Secret = Secret(strings.Repeat("x", maxSealed))
	_, _, err := w.SignIn(t.Context(), page(), long)
	if err == nil || !strings.Contains(err.Error(), "its groups or its token are too long") || strings.Contains(err.Error(), "xx") || w.store.count("create") != 0 {
		t.Errorf("got %v", err)
	}
	if _, err := newKey().seal("", func() {}); err == nil {
		t.Error("sealed a function")
	}
}

// TestID: the id tells nothing of the key, and is another for each.
func TestID(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		k := newKey()
		id := k.id()
		if len(id) != 64 || strings.Trim(id, "0123456789abcdef") != "" || seen[id] || seen[k.text()] {
			t.Fatalf("id %q of key %q", id, k.text())
		}
		seen[id], seen[k.text()] = true, true
		for n := 4; n < secretBytes; n++ {
			if strings.Contains(id, hex.EncodeToString(k[:n])) {
				t.Fatalf("the id %s holds %d bytes of the key", id, n)
			}
		}
		if again, err := parseKey(k.text()); err != nil || again != k || again.id() != id {
			t.Fatalf("the key does not come back: %v", err)
		}
		k[rand.N(secretBytes)] ^= 1 << rand.N(8)
		if k.id() == id {
			t.Fatal("two keys have one id")
		}
	}
	// It stays the same from release to release, or everybody would be signed out.
	if got := (key{1, 2, 3}).id(); got != "10278a45dd0f9745e0305bdb85b0221b32cc3e903232a0752566cd481fefbd3f" {
		t.Errorf("the id of a known key is %s", got)
	}
}

// TestMovedRecord: what was sealed for one session opens no other, wherever a
// writer puts it.
func TestMovedRecord(t *testing.T) {
	w := newWorld(t)
	anna, mallory := w.signIn(user(auth.KindLocal, "anna")), w.signIn(user(auth.KindLocal, "mallory"))
	w.want(anna, "local:anna")
	w.store.set(func() {
		from, to := w.store.records[idOf(t, anna)], w.store.records[idOf(t, mallory)]
		to.Owner, to.Sealed = from.Owner, from.Sealed
		w.store.records[to.ID] = to
	})
	w.want(mallory, auth.ErrInvalid)
	renamed := w.signIn(user(auth.KindLocal, "mallory"))
	w.store.set(func() {
		r := w.store.records[idOf(t, renamed)]
		r.Owner = "local:anna"
		w.store.records[r.ID] = r
	})
	w.want(renamed, auth.ErrInvalid)
	w.want(anna, "local:anna")
}
