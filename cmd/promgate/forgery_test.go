package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gojwt "github.com/golang-jwt/jwt/v5"

	"github.com/promgate/promgate/gateway"
)

// forgeries are tokens that somebody might make of a good one, by name.
func forgeries(t *testing.T, good string) map[string]string {
	t.Helper()
	parts := strings.Split(good, ".")
	claims := gojwt.MapClaims{}
	parsed, _, err := gojwt.NewParser().ParseUnverified(good, claims)
	must(t, err)
	_, stranger, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	sign := func(method gojwt.SigningMethod, key any) string {
		token := gojwt.NewWithClaims(method, claims)
		token.Header["typ"], token.Header["kid"] = parsed.Header["typ"], parsed.Header["kid"]
		text, err := token.SignedString(key)
		must(t, err)
		return text
	}
	return map[string]string{
		"signature changed":     parts[0] + "." + parts[1] + "." + flip(parts[2]),
		"signature left out":    parts[0] + "." + parts[1] + ".",
		"no third part":         parts[0] + "." + parts[1],
		"header changed":        flip(parts[0]) + "." + parts[1] + "." + parts[2],
		"claims changed":        parts[0] + "." + longerLife(t, parts[1]) + "." + parts[2],
		"unsigned":              sign(gojwt.SigningMethodNone, gojwt.UnsafeAllowNoneSignatureType),
		"signed by a stranger":  sign(gojwt.SigningMethodEdDSA, stranger),
		"signed by a secret":    sign(gojwt.SigningMethodHS256, []byte("secret")),
		"oversized":             good + strings.Repeat("A", 9<<10),
		"beyond any credential": strings.Repeat("A", 16<<10),
		"no token at all":       "password",
	}
}

// flip changes one character in the middle.
func flip(s string) string {
	i := len(s) / 2
	c := byte('A')
	if s[i] == c {
		c = 'B'
	}
	return s[:i] + string(c) + s[i+1:]
}

// longerLife gives encoded claims ten years more.
func longerLife(t *testing.T, encoded string) string {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(encoded)
	must(t, err)
	var claims map[string]any
	must(t, json.Unmarshal(text, &claims))
	claims["exp"] = time.Now().AddDate(10, 0, 0).Unix()
	text, err = json.Marshal(claims)
	must(t, err)
	return base64.RawURLEncoding.EncodeToString(text)
}

// TestForgedTokens holds that what was not made here opens no row of the
// endpoint table, and that nobody upstream hears of it.
func TestForgedTokens(t *testing.T) {
	u := newUpstream(t)
	p := serve(t, configure(t, preamble+shop("production", u.URL)))
	good := createToken(t, p.config, "--project", "shop")
	p.within("production", good, http.StatusOK)
	forged := forgeries(t, good)
	// A token of another installation that has the same projects.
	forged["of another installation"] = createToken(t, configure(t, preamble+shop("production", u.URL)), "--project", "shop")

	var asked atomic.Int64
	u.answerWith(func(w http.ResponseWriter, r *http.Request) { asked.Add(1); answerQuickly(w, r) })
	base := strings.TrimSuffix(p.query("production"), "/api/v1/query?query=up")
	for _, e := range gateway.Endpoints() {
		url := base + "/" + strings.Replace(e.Path, "{name}", "job", 1)
		for _, method := range e.Methods {
			for name, token := range forged {
				request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
				must(t, err)
				got := ask(http.DefaultClient, request, token)
				if err := wantStatus(got, http.StatusUnauthorized); err != nil {
					t.Errorf("%s %s, %s: %v", method, e.Path, name, err)
				}
			}
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the upstream was asked %d times", n)
	}
}
