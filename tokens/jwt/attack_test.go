package jwt

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/tokens"
)

// attack is a token that must be refused, in a world that may have changed.
type attack struct {
	name string
	make func(testing.TB, *world) string
	want Result
}

func allAttacks() [][]attack {
	return [][]attack{headerAttacks(), rawHeaderAttacks(), claimAttacks(), formAttacks(), keyAttacks()}
}

func headerAttacks() []attack {
	with := func(key string, value any) func(testing.TB, *world) string {
		return func(t testing.TB, w *world) string {
			h := w.header()
			if value == nil {
				delete(h, key)
			} else {
				h[key] = value
			}
			return w.sign(toJSON(h), w.rawPayload(t, "", ""))
		}
	}
	return []attack{
		{"alg none", with("alg", "none"), ResultInvalid},
		{"alg None", with("alg", "None"), ResultInvalid},
		{"alg HS256", with("alg", "HS256"), ResultInvalid},
		{"alg RS256", with("alg", "RS256"), ResultInvalid},
		{"alg ES256", with("alg", "ES256"), ResultInvalid},
		{"alg in other case", with("alg", "eddsa"), ResultInvalid},
		{"alg as number", with("alg", 1), ResultInvalid},
		{"alg missing", with("alg", nil), ResultInvalid},
		{"kid unknown", with("kid", "key-2"), ResultInvalid},
		{"kid missing", with("kid", nil), ResultInvalid},
		{"kid empty", with("kid", ""), ResultInvalid},
		{"kid a path", with("kid", "../../etc/passwd"), ResultInvalid},
		{"kid a list", with("kid", []string{"key-1"}), ResultInvalid},
		{"typ JWT", with("typ", "JWT"), ResultInvalid},
		{"typ in other case", with("typ", strings.ToUpper(Type)), ResultInvalid},
		{"typ missing", with("typ", nil), ResultInvalid},
		{"jwk", with("jwk", map[string]string{"kty": "OKP", "crv": "Ed25519", "x": "AA"}), ResultInvalid},
		{"jku", with("jku", "https://attacker.example/keys"), ResultInvalid},
		{"x5u", with("x5u", "https://attacker.example/cert"), ResultInvalid},
		{"x5c", with("x5c", []string{"AA"}), ResultInvalid},
		{"crit", with("crit", []string{"exp"}), ResultInvalid},
		{"b64 false", with("b64", false), ResultInvalid},
		{"unknown field", with("zip", "DEF"), ResultInvalid},
	}
}

func rawHeaderAttacks() []attack {
	return []attack{
		{"header with blanks", func(t testing.TB, w *world) string {
			return w.sign(`{"alg":"EdDSA", "kid":"key-1","typ":"`+Type+`"}`, w.rawPayload(t, "", ""))
		}, ResultInvalid},
		{"header key twice", func(t testing.TB, w *world) string {
			return w.sign(`{"alg":"none","alg":"EdDSA","kid":"key-1","typ":"`+Type+`"}`, w.rawPayload(t, "", ""))
		}, ResultInvalid},
		{"header in another order", func(t testing.TB, w *world) string {
			return w.sign(`{"typ":"`+Type+`","kid":"key-1","alg":"EdDSA"}`, w.rawPayload(t, "", ""))
		}, ResultInvalid},
		{"header null", func(t testing.TB, w *world) string { return w.sign("null", w.rawPayload(t, "", "")) }, ResultInvalid},
		{"HS256 keyed with the public key", func(t testing.TB, w *world) string {
			h := w.header()
			h["alg"] = "HS256"
			text := encode(toJSON(h)) + "." + encode(w.rawPayload(t, "", ""))
			mac := hmac.New(sha256.New, w.snapshot.Keys[w.key.ID])
			mac.Write([]byte(text))
			return text + "." + encode(string(mac.Sum(nil)))
		}, ResultInvalid},
		{"none without signature", func(t testing.TB, w *world) string {
			h := w.header()
			h["alg"] = "none"
			return encode(toJSON(h)) + "." + encode(w.rawPayload(t, "", "")) + "."
		}, ResultInvalid},
	}
}

func claimAttacks() []attack {
	replaced := func(old, new string) func(testing.TB, *world) string {
		return func(t testing.TB, w *world) string {
			return w.sign(toJSON(w.header()), w.rawPayload(t, old, new))
		}
	}
	payload := func(p string) func(testing.TB, *world) string {
		return func(_ testing.TB, w *world) string { return w.sign(toJSON(w.header()), p) }
	}
	return []attack{
		{"iss of another installation", replaced(`"iss":"promgate:test"`, `"iss":"promgate:other"`), ResultInvalid},
		{"iss missing", replaced(`"iss":"promgate:test",`, ``), ResultInvalid},
		{"iss empty", replaced(`"iss":"promgate:test"`, `"iss":""`), ResultInvalid},
		{"aud of another", replaced(`"aud":"promgate"`, `"aud":"grafana"`), ResultInvalid},
		{"aud missing", replaced(`"aud":"promgate",`, ``), ResultInvalid},
		{"aud empty", replaced(`"aud":"promgate"`, `"aud":""`), ResultInvalid},
		{"aud a list", replaced(`"aud":"promgate"`, `"aud":["promgate"]`), ResultInvalid},
		{"aud a list with another", replaced(`"aud":"promgate"`, `"aud":["promgate","grafana"]`), ResultInvalid},
		{"aud in other case", replaced(`"aud":"promgate"`, `"aud":"Promgate"`), ResultInvalid},
		{"jti unknown", replaced(`"jti":"0`, `"jti":"1`), ResultRevoked},
		{"jti missing", replaced(`"jti":"0123456789abcdef0123456789abcdef",`, ``), ResultInvalid},
		{"jti empty", replaced(`"jti":"0123456789abcdef0123456789abcdef"`, `"jti":""`), ResultInvalid},
		{"iat missing", replaced(`"iat":1772366400,`, ``), ResultInvalid},
		{"iat zero", replaced(`"iat":1772366400`, `"iat":0`), ResultInvalid},
		{"nbf missing", replaced(`"nbf":1772366340,`, ``), ResultInvalid},
		{"nbf in the future", replaced(`"nbf":1772366340`, `"nbf":1772366401`), ResultInvalid},
		{"exp missing", replaced(`"exp":1774958400,`, ``), ResultInvalid},
		{"exp now", replaced(`"exp":1774958400`, `"exp":1772366400`), ResultExpired},
		{"exp negative", replaced(`"exp":1774958400`, `"exp":-1`), ResultExpired},
		{"exp a string", replaced(`"exp":1774958400`, `"exp":"1774958400"`), ResultInvalid},
		{"exp a fraction", replaced(`"exp":1774958400`, `"exp":1774958400.5`), ResultInvalid},
		{"exp with exponent", replaced(`"exp":1774958400`, `"exp":1e30`), ResultInvalid},
		{"exp twice", replaced(`"exp":1774958400`, `"exp":1,"exp":1774958400`), ResultInvalid},
		{"exp twice in other case", replaced(`"exp":1774958400`, `"exp":1774958400,"EXP":1774958400`), ResultInvalid},
		{"jti twice", replaced(`"jti":"0`, `"jti":"x","jti":"0`), ResultInvalid},
		{"prj of another", replaced(`"prj":"p-uid"`, `"prj":"q-uid"`), ResultRevoked},
		{"prj missing", replaced(`"prj":"p-uid",`, ``), ResultInvalid},
		{"env of another", replaced(`"env":"e-uid"`, `"env":"f-uid"`), ResultRevoked},
		{"env missing", replaced(`,"env":"e-uid"`, ``), ResultInvalid},
		{"env and all", replaced(`"env":"e-uid"`, `"env":"e-uid","all":true`), ResultInvalid},
		{"all beyond the record", replaced(`"env":"e-uid"`, `"all":true`), ResultRevoked},
		{"all false", replaced(`"env":"e-uid"`, `"env":"e-uid","all":false`), ResultInvalid},
		{"all a string", replaced(`"env":"e-uid"`, `"all":"true"`), ResultInvalid},
		{"unknown claim", replaced(`"env":"e-uid"`, `"env":"e-uid","role":"admin"`), ResultInvalid},
		{"claims in another order", payload(toJSON(newWorldPayload())), ResultInvalid},
		{"payload null", payload(`null`), ResultInvalid},
		{"payload empty object", payload(`{}`), ResultInvalid},
		{"payload a list", payload(`[]`), ResultInvalid},
		{"payload empty", payload(``), ResultInvalid},
		{"payload with a second value", replaced(`"env":"e-uid"}`, `"env":"e-uid"}{}`), ResultInvalid},
		{"payload with trailing blank", replaced(`"env":"e-uid"}`, `"env":"e-uid"} `), ResultInvalid},
	}
}

func newWorldPayload() map[string]any {
	w := &world{}
	w.record.ID, w.record.ExpiresAt = "0123456789abcdef0123456789abcdef", start.Add(720*time.Hour)
	return w.payload()
}

func formAttacks() []attack {
	parts := func(f func(p []string) string) func(testing.TB, *world) string {
		return func(_ testing.TB, w *world) string { return f(strings.Split(w.token, ".")) }
	}
	whole := func(f func(string) string) func(testing.TB, *world) string {
		return func(_ testing.TB, w *world) string { return f(w.token) }
	}
	return []attack{
		{"empty", whole(func(string) string { return "" }), ResultInvalid},
		{"dots", whole(func(string) string { return ".." }), ResultInvalid},
		{"not a JWT", whole(func(string) string { return "glsa_abcdefghijklmnop" }), ResultInvalid},
		{"two segments", parts(func(p []string) string { return p[0] + "." + p[1] }), ResultInvalid},
		{"four segments", whole(func(s string) string { return s + ".AA" }), ResultInvalid},
		{"five segments as in JWE", parts(func(p []string) string { return strings.Join([]string{p[0], p[1], p[2], p[1], p[2]}, ".") }), ResultInvalid},
		{"signature empty", parts(func(p []string) string { return p[0] + "." + p[1] + "." }), ResultInvalid},
		{"signature short", whole(func(s string) string { return s[:len(s)-4] }), ResultInvalid},
		{"signature of other text", parts(func(p []string) string { return p[0] + "." + p[0] + "." + p[2] }), ResultInvalid},
		{"signature with trailing bits", whole(func(s string) string { return s[:len(s)-1] + nextBase64(s[len(s)-1]) }), ResultInvalid},
		{"padding", whole(func(s string) string { return s + "==" }), ResultInvalid},
		{"header with padding", parts(func(p []string) string { return p[0] + "=." + p[1] + "." + p[2] }), ResultInvalid},
		{"standard alphabet", whole(func(s string) string { return strings.NewReplacer("-", "+", "_", "/").Replace(s) + "+" }), ResultInvalid},
		{"leading blank", whole(func(s string) string { return " " + s }), ResultInvalid},
		{"trailing blank", whole(func(s string) string { return s + " " }), ResultInvalid},
		{"trailing newline", whole(func(s string) string { return s + "\n" }), ResultInvalid},
		{"newline in the signature", whole(func(s string) string { return s[:len(s)-4] + "\r\n" + s[len(s)-4:] }), ResultInvalid},
		{"newline in the payload", parts(func(p []string) string { return p[0] + "." + p[1][:8] + "\n" + p[1][8:] + "." + p[2] }), ResultInvalid},
		{"NUL at the end", whole(func(s string) string { return s + "\x00" }), ResultInvalid},
		{"with Bearer", whole(func(s string) string { return "Bearer " + s }), ResultInvalid},
		{"two tokens", whole(func(s string) string { return s + "," + s }), ResultInvalid},
		{"oversized", whole(func(s string) string { return s + strings.Repeat("A", MaxTokenBytes+1-len(s)) }), ResultInvalid},
		{"oversized but well signed", func(_ testing.TB, w *world) string {
			h := w.header()
			h["pad"] = strings.Repeat("x", MaxTokenBytes)
			return w.sign(toJSON(h), "{}")
		}, ResultInvalid},
	}
}

func keyAttacks() []attack {
	return []attack{
		{"foreign key under our kid", func(t testing.TB, w *world) string {
			return mint(t, testKey(w.key.ID, 2), testIssuer, w.record)
		}, ResultInvalid},
		{"foreign key under its own kid", func(t testing.TB, w *world) string {
			r := w.record
			r.KeyID = "key-2"
			return mint(t, testKey("key-2", 2), testIssuer, r)
		}, ResultInvalid},
		{"another good key than the record's", func(t testing.TB, w *world) string {
			other := testKey("key-2", 2)
			w.snapshot.Keys["key-2"] = other.Private.Public().(ed25519.PublicKey)
			r := w.record
			r.KeyID = "key-2"
			return mint(t, other, testIssuer, r)
		}, ResultRevoked},
	}
}

// nextBase64 is the base64url character whose lowest bit differs. In the last
// character of a signature that bit is none of the signature's.
func nextBase64(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	i := strings.IndexByte(alphabet, c)
	return alphabet[i^1 : (i^1)+1]
}

func TestAttacksAreRefused(t *testing.T) {
	for _, group := range allAttacks() {
		for _, a := range group {
			t.Run(a.name, func(t *testing.T) {
				w := newWorld(t)
				token := a.make(t, w)
				for range 2 { // a refusal must not be forgotten, nor turn into a hit
					id, err := w.authenticate(token)
					if id != nil || !errors.Is(err, auth.ErrInvalid) || w.lastResult() != a.want {
						t.Fatalf("got %v, %v, %q; want nil, ErrInvalid, %q", id, err, w.lastResult(), a.want)
					}
					checkCause(t, err, token)
				}
				if strings.Trim(token, " ") != token {
					return // HTTP trims blanks around a header's value
				}
				// The same through the front door: nobody else may accept it.
				h := http.Header{"Authorization": {"Bearer " + token}}
				if id, _, err := (auth.Union{w.verifier}).Authenticate(t.Context(), h); id != nil || !errors.Is(err, auth.ErrInvalid) {
					t.Fatalf("union: got %v, %v; want nil, ErrInvalid", id, err)
				}
			})
		}
	}
}

// checkCause makes sure that the log gets no part of the token.
func checkCause(t *testing.T, err error, token string) {
	t.Helper()
	for part := range strings.SplitSeq(token, ".") {
		if len(part) > 8 && strings.Contains(err.Error(), part[:8]) {
			t.Fatalf("error %q holds a part of the token", err)
		}
	}
}

func TestEveryFlippedBitIsRefused(t *testing.T) {
	w := newWorld(t)
	if _, err := w.authenticate(w.token); err != nil {
		t.Fatal(err)
	}
	for i := range len(w.token) {
		for _, bit := range []byte{1, 2, 32} {
			b := []byte(w.token)
			b[i] ^= bit
			if id, err := w.authenticate(string(b)); id != nil || !errors.Is(err, auth.ErrInvalid) {
				t.Fatalf("byte %d with bit %d flipped: got %v, %v; want ErrInvalid", i, bit, id, err)
			}
		}
	}
}

func FuzzAuthenticate(f *testing.F) {
	w := newWorld(f)
	whole := w.record
	whole.ID, whole.Scope.Environment, whole.Scope.EnvironmentUID = "fedcba9876543210fedcba9876543210", "", ""
	w.add(whole)
	minted := map[string]tokens.Record{w.token: w.record, mint(f, w.key, testIssuer, whole): whole}
	for token := range minted {
		f.Add(token)
	}
	for _, group := range allAttacks() {
		for _, a := range group {
			f.Add(a.make(f, newWorld(f)))
		}
	}
	f.Fuzz(func(t *testing.T, token string) {
		w.results = w.results[:0]
		id, err := w.authenticate(token)
		r, isMinted := minted[token]
		switch {
		case isMinted && (err != nil || id.Principal.ID != r.ID):
			t.Fatalf("a minted token was refused: %v", err)
		case isMinted && !hasType(token):
			t.Fatal("a minted token is not recognised")
		case !isMinted && (id != nil || !errors.Is(err, auth.ErrInvalid)):
			t.Fatalf("got %v, %v; want ErrInvalid", id, err)
		}
	})
}
