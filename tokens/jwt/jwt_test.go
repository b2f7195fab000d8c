package jwt

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/tokens"
)

const testIssuer = "promgate:test"

// start is when the world's clock begins.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// world is a store with one key and one token, its clock, and a Verifier.
type world struct {
	key      tokens.Key
	record   tokens.Record
	token    string
	now      time.Time
	snapshot *tokens.Snapshot
	results  []Result
	verifier *Verifier
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{key: testKey("key-1", 1), now: start}
	w.record = tokens.Record{
		ID:        "0123456789abcdef0123456789abcdef",
		KeyID:     w.key.ID,
		Scope:     tokens.Scope{Project: "shop", ProjectUID: "p-uid", Environment: "production", EnvironmentUID: "e-uid"},
		CreatedAt: start,
		ExpiresAt: start.Add(720 * time.Hour),
	}
	w.token = mint(t, w.key, testIssuer, w.record)
	w.snapshot = &tokens.Snapshot{
		Issuer: testIssuer,
		Keys:   map[string]ed25519.PublicKey{w.key.ID: w.key.Private.Public().(ed25519.PublicKey)},
		Tokens: map[string]*tokens.Live{},
		Core:   new(tokens.Part),
	}
	w.snapshot.Parts = []*tokens.Part{w.snapshot.Core}
	w.snapshot.Core.See(start)
	w.add(w.record)
	w.verifier = NewVerifier(
		func() *tokens.Snapshot { return w.snapshot },
		func() time.Time { return w.now },
		OnResult(func(r Result) { w.results = append(w.results, r) }),
	)
	return w
}

func testKey(id string, seed byte) tokens.Key {
	return tokens.Key{ID: id, CreatedAt: start, Private: ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune(seed)), 32)))}
}

func mint(t testing.TB, key tokens.Key, issuer string, r tokens.Record) string {
	t.Helper()
	token, err := Mint(key, issuer, r)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (w *world) add(r tokens.Record) {
	w.snapshot.Tokens[r.ID] = &tokens.Live{Scope: r.Scope, KeyID: r.KeyID, ExpiresAt: r.ExpiresAt, LastUsed: new(atomic.Int64), Part: w.snapshot.Core}
}

// at moves the clock, with a store that was just read.
func (w *world) at(now time.Time) {
	w.now = now
	w.snapshot.Core.See(now)
}

func (w *world) authenticate(token string) (*auth.Identity, error) {
	return w.verifier.Authenticate(context.Background(), auth.NewCredential(token))
}

func (w *world) lastResult() Result {
	if len(w.results) == 0 {
		return ""
	}
	return w.results[len(w.results)-1]
}

// header and payload are what the world's token says, to be changed and signed
// again with sign.
func (w *world) header() map[string]any {
	return map[string]any{"alg": "EdDSA", "kid": w.key.ID, "typ": Type}
}

func (w *world) payload() map[string]any {
	return map[string]any{
		"iss": testIssuer, "aud": Audience, "jti": w.record.ID, "prj": "p-uid", "env": "e-uid",
		"iat": start.Unix(), "nbf": start.Add(-clockSkew).Unix(), "exp": w.record.ExpiresAt.Unix(),
	}
}

// sign signs any text with the world's own key, so that what refuses the token
// is not the signature.
func (w *world) sign(header, payload string) string {
	text := encode(header) + "." + encode(payload)
	return text + "." + encode(string(ed25519.Sign(w.key.Private, []byte(text))))
}

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func toJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// rawPayload is the payload in Mint's order of claims, with the given text in
// place of its part.
func (w *world) rawPayload(t testing.TB, old, new string) string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(w.token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(raw), old) {
		t.Fatalf("payload %s has no %s", raw, old)
	}
	return strings.Replace(string(raw), old, new, 1)
}
