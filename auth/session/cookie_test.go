package session

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/promgate/promgate/auth"
)

// idOf is the id of a cookie's session.
func idOf(t testing.TB, c *http.Cookie) string {
	t.Helper()
	k, err := parseKey(c.Value)
	must(t, err)
	return k.id()
}

// TestCookies: literally what browsers get. A cookie of the prefix __Host- they
// take only with Secure, with the path / and without a domain.
func TestCookies(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	w := newWorld(t, func(o *Options) { o.Now = func() time.Time { return now } })
	sent := func(c *http.Cookie, err error) string {
		t.Helper()
		must(t, err)
		w.know(c)
		if c.Value == "" {
			return c.String()
		}
		if k, err := parseKey(c.Value); err != nil || k.text() != c.Value {
			t.Errorf("the value %q: %v", c.Value, err)
		}
		return strings.Replace(c.String(), c.Value, "VALUE", 1)
	}
	in, _, err := w.SignIn(t.Context(), page(), user(auth.KindLocal, "anna"))
	begun, begin := w.BeginAttempt(t.Context(), "kept")
	short := user(auth.KindLocal, "anna")
	short.Until = now.Add(90*time.Second + time.Millisecond)
	brief, _, briefly := w.SignIn(t.Context(), page(), short)
	out, sign := w.SignOut(t.Context(), page(), false)
	taken, _ := w.TakeAttempt(t.Context(), page(), nil)
	for got, want := range map[string]string{
		sent(in, err):        "__Host-promgate=VALUE; Path=/; Max-Age=86400; HttpOnly; Secure; SameSite=Lax",
		sent(brief, briefly): "__Host-promgate=VALUE; Path=/; Max-Age=90; HttpOnly; Secure; SameSite=Lax",
		sent(begun, begin):   "__Host-promgate-signing-in=VALUE; Path=/; Max-Age=600; HttpOnly; Secure; SameSite=Lax",
		sent(out, sign):      "__Host-promgate=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax",
		sent(taken, nil):     "__Host-promgate-signing-in=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax",
	} {
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// TestOneCookie: of several nobody can tell which is the browser's own.
func TestOneCookie(t *testing.T) {
	w := newWorld(t)
	good := w.signIn(user(auth.KindLocal, "anna"))
	text := newKey().text()
	for name, c := range map[string]struct {
		header []string
		want   error
	}{
		"none":                {nil, auth.ErrMissing},
		"others":              {[]string{"promgate=" + good.Value + "; __host-promgate=" + good.Value + "; __Host-promgate2=" + good.Value}, auth.ErrMissing},
		"the attempt's":       {[]string{attemptName + "=" + good.Value}, auth.ErrMissing},
		"unknown":             {[]string{cookieName + "=" + text}, auth.ErrInvalid},
		"twice":               {[]string{cookieName + "=" + good.Value + "; " + cookieName + "=" + good.Value}, auth.ErrInvalid},
		"good, then bad":      {[]string{cookieName + "=" + good.Value + "; " + cookieName + "=x"}, auth.ErrInvalid},
		"bad, then good":      {[]string{cookieName + "=; " + cookieName + "=" + good.Value}, auth.ErrInvalid},
		"in two headers":      {[]string{cookieName + "=" + text, cookieName + "=" + good.Value}, auth.ErrInvalid},
		"empty":               {[]string{cookieName + "="}, auth.ErrInvalid},
		"padded":              {[]string{cookieName + "=" + good.Value + "="}, auth.ErrInvalid},
		"cut off":             {[]string{cookieName + "=" + good.Value[:42]}, auth.ErrInvalid},
		"longer":              {[]string{cookieName + "=" + good.Value + "A"}, auth.ErrInvalid},
		"very long":           {[]string{cookieName + "=" + strings.Repeat("A", 8000)}, auth.ErrInvalid},
		"of another alphabet": {[]string{cookieName + "=" + good.Value[:42] + "+"}, auth.ErrInvalid},
		"the id":              {[]string{cookieName + "=" + idOf(t, good)}, auth.ErrInvalid},
		"good":                {[]string{"a=b; " + cookieName + "=" + good.Value + "; c=d"}, nil},
	} {
		r := page()
		r.Header["Cookie"] = c.header
		_, _, err := w.Authenticate(t.Context(), r, auth.OwnPage)
		wantError(t, name, err, c.want)
		if err != nil && strings.Contains(err.Error(), good.Value) {
			t.Errorf("%s: the error shows the cookie: %v", name, err)
		}
	}
}

// FuzzKey: what parses prints and parses again as the same, there is one text
// for each key, and no header panics or yields a key that is not in it.
func FuzzKey(f *testing.F) {
	good := key{0xff, 1, 2, 3}.text()
	for _, seed := range []string{"", good, good + "=", good[:42], good[:42] + "B", strings.Repeat("A", 43), strings.Repeat("_", 43), "\n" + good[1:], "\"" + good + "\"", good + "; " + cookieName + "=" + good} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		k, err := parseKey(text)
		if err == nil {
			if k.text() != text {
				t.Errorf("%q is the key %q", text, k.text())
			}
			if raw, err := base64.RawURLEncoding.DecodeString(text); err != nil || key(raw) != k {
				t.Errorf("%q: %v", text, err)
			}
		} else if k != (key{}) || strings.Contains(err.Error(), text) && len(text) > 20 {
			t.Errorf("%q: a key beside %v", text, err)
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Cookie", cookieName+"="+text)
		got, err := keyOf(r, cookieName)
		switch {
		case err == nil && !strings.Contains(text, got.text()):
			t.Errorf("%q yields %q", text, got.text())
		case err != nil && (got != (key{}) || errors.Is(err, auth.ErrMissing) == errors.Is(err, auth.ErrInvalid)):
			t.Errorf("%q: %v", text, err)
		}
	})
}
