package jwt

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/tokens"
)

func TestMintedTokens(t *testing.T) {
	tests := []struct {
		name  string
		scope tokens.Scope
		want  auth.Grant
		claim string
	}{
		{
			"environment",
			tokens.Scope{Project: "shop", ProjectUID: "p", Environment: "production", EnvironmentUID: "e"},
			auth.Grant{ProjectUID: "p", EnvironmentUID: "e"},
			`"prj":"p","env":"e"}`,
		},
		{
			"whole project",
			tokens.Scope{Project: "shop", ProjectUID: "p"},
			auth.Grant{ProjectUID: "p", WholeProject: true},
			`"prj":"p","all":true}`,
		},
		{
			"characters that JSON escapes",
			tokens.Scope{Project: "shop", ProjectUID: `p<&>"\é`, Environment: "x", EnvironmentUID: "\u2028"},
			auth.Grant{ProjectUID: `p<&>"\é`, EnvironmentUID: "\u2028"},
			`"iss":"promgate:test"`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			r := w.record
			r.Scope = test.scope
			w.add(r)
			token := mint(t, w.key, testIssuer, r)

			header, _ := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
			if want := `{"alg":"EdDSA","kid":"key-1","typ":"promgate-endpoint+jwt"}`; string(header) != want {
				t.Errorf("header %s, want %s", header, want)
			}
			payload, _ := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
			if !strings.Contains(string(payload), test.claim) {
				t.Errorf("payload %s has no %s", payload, test.claim)
			}
			if !w.verifier.Recognizes(auth.NewCredential(token)) {
				t.Error("not recognised")
			}
			want := &auth.Identity{Principal: auth.Principal{Kind: auth.KindEndpointToken, ID: r.ID}, Grants: []auth.Grant{test.want}}
			for range 2 {
				id, err := w.authenticate(token)
				if err != nil || !reflect.DeepEqual(id, want) {
					t.Fatalf("got %+v, %v; want %+v", id, err, want)
				}
			}
			if want := []Result{ResultOK, ResultCached}; !reflect.DeepEqual(w.results, want) {
				t.Errorf("results %q, want %q", w.results, want)
			}
		})
	}
}

func TestMintRefuses(t *testing.T) {
	tests := map[string]func(*tokens.Key, *string, *tokens.Record){
		"empty key":                func(k *tokens.Key, _ *string, _ *tokens.Record) { k.Private = nil },
		"key without id":           func(k *tokens.Key, _ *string, r *tokens.Record) { k.ID, r.KeyID = "", "" },
		"key of another record":    func(_ *tokens.Key, _ *string, r *tokens.Record) { r.KeyID = "key-2" },
		"empty issuer":             func(_ *tokens.Key, iss *string, _ *tokens.Record) { *iss = "" },
		"no id":                    func(_ *tokens.Key, _ *string, r *tokens.Record) { r.ID = "" },
		"zero scope":               func(_ *tokens.Key, _ *string, r *tokens.Record) { r.Scope = tokens.Scope{} },
		"environment without UID":  func(_ *tokens.Key, _ *string, r *tokens.Record) { r.Scope.EnvironmentUID = "" },
		"environment without name": func(_ *tokens.Key, _ *string, r *tokens.Record) { r.Scope.Environment = "" },
		"never created":            func(_ *tokens.Key, _ *string, r *tokens.Record) { r.CreatedAt = time.Time{} },
		"ends as it begins":        func(_ *tokens.Key, _ *string, r *tokens.Record) { r.ExpiresAt = r.CreatedAt },
		"too long": func(_ *tokens.Key, _ *string, r *tokens.Record) {
			r.Scope.ProjectUID = strings.Repeat("x", MaxTokenBytes)
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			key, issuer, r := w.key, testIssuer, w.record
			change(&key, &issuer, &r)
			if token, err := Mint(key, issuer, r); err == nil || token != "" {
				t.Fatalf("got %q, %v; want an error", token, err)
			}
		})
	}
}

// change is what may happen to a world after a token was verified. The zero
// want is that the token stays good.
type change struct {
	name   string
	change func(*world)
	want   Result
	err    error
}

func changes() []change {
	end := start.Add(720 * time.Hour)
	return []change{
		{"nothing", func(*world) {}, "", nil},
		{"project and environment are renamed", func(w *world) {
			w.live().Scope.Project, w.live().Scope.Environment = "store", "live"
		}, "", nil},
		{"revoked", func(w *world) { delete(w.snapshot.Tokens, w.record.ID) }, ResultRevoked, auth.ErrInvalid},
		{"a moment before its end", func(w *world) { w.at(end.Add(-time.Nanosecond)) }, "", nil},
		{"expired by exp", func(w *world) {
			w.at(end)
			w.live().ExpiresAt = end.Add(time.Hour)
		}, ResultExpired, auth.ErrInvalid},
		{"cut short by a rotation", func(w *world) {
			w.live().ExpiresAt = start.Add(time.Hour)
			w.at(start.Add(time.Hour))
		}, ResultExpired, auth.ErrInvalid},
		{"key removed", func(w *world) { delete(w.snapshot.Keys, w.key.ID) }, ResultInvalid, auth.ErrInvalid},
		{"key replaced under its id", func(w *world) {
			w.snapshot.Keys[w.key.ID] = testKey("key-1", 2).Private.Public().(ed25519.PublicKey)
		}, ResultInvalid, auth.ErrInvalid},
		{"issuer changed", func(w *world) { w.snapshot.Issuer = "promgate:other" }, ResultInvalid, auth.ErrInvalid},
		{"record of another project", func(w *world) { w.live().Scope.ProjectUID = "other" }, ResultRevoked, auth.ErrInvalid},
		{"record of another environment", func(w *world) { w.live().Scope.EnvironmentUID = "other" }, ResultRevoked, auth.ErrInvalid},
		{"record of the whole project", func(w *world) {
			w.live().Scope.Environment, w.live().Scope.EnvironmentUID = "", ""
		}, ResultRevoked, auth.ErrInvalid},
		{"record empty", func(w *world) { w.snapshot.Tokens[w.record.ID] = &tokens.Live{} }, ResultExpired, auth.ErrInvalid},
		{"record nil", func(w *world) { w.snapshot.Tokens[w.record.ID] = nil }, ResultRevoked, auth.ErrInvalid},
		{"record of another key", func(w *world) { w.live().KeyID = "key-2" }, ResultRevoked, auth.ErrInvalid},
		{"snapshot at the bound of its age", func(w *world) { w.now = start.Add(MaxStaleness) }, "", nil},
		{"snapshot stale", func(w *world) { w.now = start.Add(MaxStaleness + 1) }, ResultUnavailable, auth.ErrUnavailable},
		{"snapshot empty", func(w *world) { w.snapshot = &tokens.Snapshot{} }, ResultUnavailable, auth.ErrUnavailable},
		{"no snapshot", func(w *world) { w.snapshot = nil }, ResultUnavailable, auth.ErrUnavailable},
	}
}

// TestChangesReachVerifiedTokens verifies a token, changes the world and asks
// again: with a token that is remembered, and with one that is not.
func TestChangesReachVerifiedTokens(t *testing.T) {
	for _, test := range changes() {
		for _, warm := range []bool{true, false} {
			name := map[bool]string{true: " (remembered)", false: " (new)"}[warm]
			t.Run(test.name+name, func(t *testing.T) {
				w := newWorld(t)
				want := ResultOK
				if warm {
					want = ResultCached
					if _, err := w.authenticate(w.token); err != nil {
						t.Fatal(err)
					}
				}
				if test.want != "" {
					want = test.want
				}
				test.change(w)
				id, err := w.authenticate(w.token)
				if (id == nil) != (test.err != nil) || !errors.Is(err, test.err) || w.lastResult() != want {
					t.Fatalf("got %v, %v, %q; want %v, %q", id, err, w.lastResult(), test.err, want)
				}
			})
		}
	}
}

func (w *world) live() *tokens.Live { return w.snapshot.Tokens[w.record.ID] }

// TestRevokedTokenIsForgotten makes sure that a token that was refused once is
// verified from the start if it ever comes back.
func TestRevokedTokenIsForgotten(t *testing.T) {
	w := newWorld(t)
	live := w.live()
	for _, present := range []bool{true, true, false, true} {
		delete(w.snapshot.Tokens, w.record.ID)
		if present {
			w.snapshot.Tokens[w.record.ID] = live
		}
		_, _ = w.authenticate(w.token)
	}
	if want := []Result{ResultOK, ResultCached, ResultRevoked, ResultOK}; !reflect.DeepEqual(w.results, want) {
		t.Errorf("results %q, want %q", w.results, want)
	}
}

func TestReplicaWithClockBehind(t *testing.T) {
	w := newWorld(t)
	w.at(start.Add(-clockSkew))
	if _, err := w.authenticate(w.token); err != nil {
		t.Errorf("within the allowance: %v", err)
	}
	w = newWorld(t)
	w.at(start.Add(-clockSkew - time.Second))
	if _, err := w.authenticate(w.token); !errors.Is(err, auth.ErrInvalid) {
		t.Errorf("beyond the allowance: got %v, want ErrInvalid", err)
	}
}

func TestLastUsedOnlyMovesForward(t *testing.T) {
	w := newWorld(t)
	for _, step := range []struct{ now, want time.Duration }{
		{time.Second, time.Second}, {3 * time.Second, 3 * time.Second}, {2 * time.Second, 3 * time.Second},
	} {
		w.now = start.Add(step.now)
		if _, err := w.authenticate(w.token); err != nil {
			t.Fatal(err)
		}
		if got := w.live().LastUsed.Load(); got != start.Add(step.want).UnixNano() {
			t.Errorf("at %s: last used %s, want %s", step.now, time.Unix(0, got).Sub(start), step.want)
		}
	}
	before := w.live().LastUsed.Load()
	w.now = start.Add(time.Minute)
	if _, err := w.authenticate(w.token); err == nil {
		t.Fatal("accepted on a stale snapshot")
	}
	if w.live().LastUsed.Load() != before {
		t.Error("a refused token counts as used")
	}
}

func TestRecognizes(t *testing.T) {
	w := newWorld(t)
	tests := []struct {
		name, token string
		want        bool
	}{
		{"minted", w.token, true},
		{"header in another order", encode(`{"typ":"`+Type+`","alg":"none"}`) + ".e30.", true},
		{"long header", encode(`{"x":"`+strings.Repeat("x", 1000)+`","typ":"`+Type+`"}`) + ".e30.", true},
		{"another typ", encode(`{"alg":"EdDSA","typ":"JWT"}`) + ".e30.AA", false},
		{"typ inside of another value", encode(`{"x":{"typ":"`+Type+`"},"alg":"EdDSA"}`) + ".e30.AA", false},
		{"no typ", encode(`{}`) + ".e30.AA", false},
		{"typ not a string", encode(`{"typ":["`+Type+`"]}`) + ".e30.AA", false},
		{"no JSON", encode(`typ`) + ".e30.AA", false},
		{"no base64", "!!.e30.AA", false},
		{"no dot", encode(toJSON(w.header())), false},
		{"empty", "", false},
		{"oversized", w.token + strings.Repeat("A", MaxTokenBytes), false},
	}
	for _, test := range tests {
		if got := w.verifier.Recognizes(auth.NewCredential(test.token)); got != test.want {
			t.Errorf("%s: got %t, want %t", test.name, got, test.want)
		}
	}
}

// TestCacheIsBounded has more tokens than the cache has places.
func TestCacheIsBounded(t *testing.T) {
	w := newWorld(t)
	var count int
	w.verifier = NewVerifier(func() *tokens.Snapshot { return w.snapshot }, func() time.Time { return w.now },
		WithCacheSize(2), WithMaxStaleness(0), OnResult(func(Result) { count++ }))
	for i := range 10 {
		r := w.record
		r.ID = strings.Repeat(string(rune('a'+i)), 32)
		w.add(r)
		if _, err := w.authenticate(mint(t, w.key, testIssuer, r)); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.verifier.verified.Len(); n != 2 || count != 10 {
		t.Errorf("%d tokens remembered after %d checks, want 2 after 10", n, count)
	}
}

func BenchmarkVerifyCold(b *testing.B) {
	w := newWorld(b)
	w.verifier.onResult = func(Result) {}
	b.ReportAllocs()
	for b.Loop() {
		w.verifier.verified.Purge()
		if _, err := w.authenticate(w.token); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyForged(b *testing.B) {
	w := newWorld(b)
	w.verifier.onResult = func(Result) {}
	forged := mint(b, testKey("key-1", 2), testIssuer, w.record)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.authenticate(forged); err == nil {
			b.Fatal("accepted")
		}
	}
}

// warm makes a Verifier that remembers 1,000 tokens of a store of 10,000.
func warm(b *testing.B) (*Verifier, []auth.Credential) {
	w := newWorld(b)
	w.verifier.onResult = func(Result) {}
	var known []auth.Credential
	for i := range 10000 {
		r := w.record
		r.ID = strings.Repeat("0", 27) + string([]byte{byte('0' + i/10000), byte('0' + i/1000%10), byte('0' + i/100%10), byte('0' + i/10%10), byte('0' + i%10)})
		w.add(r)
		if i < 1000 {
			c := auth.NewCredential(mint(b, w.key, testIssuer, r))
			known = append(known, c)
			if _, err := w.verifier.Authenticate(b.Context(), c); err != nil {
				b.Fatal(err)
			}
		}
	}
	return w.verifier, known
}

func BenchmarkVerifyWarm(b *testing.B) {
	v, known := warm(b)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		c := known[i%len(known)]
		i++
		if !v.Recognizes(c) {
			b.Fatal("not recognised")
		}
		if _, err := v.Authenticate(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyWarmParallel(b *testing.B) {
	v, known := warm(b)
	b.ReportAllocs()
	var next atomic.Int64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		i := int(next.Add(500))
		for pb.Next() {
			c := known[i%len(known)]
			i++
			if !v.Recognizes(c) {
				b.Error("not recognised")
			}
			if _, err := v.Authenticate(b.Context(), c); err != nil {
				b.Error(err)
			}
		}
	})
}
