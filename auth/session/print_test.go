package session

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/promgate/promgate/auth"
)

// TestPrintsNowhere: whatever somebody does with a user or a session for people
// to read, what opens something is not in it.
func TestPrintsNowhere(t *testing.T) {
	w := newWorld(t)
	u := user(auth.KindLocal, "anna")
	cookie := w.signIn(u)
	active, err := w.Find(t.Context(), page(cookie))
	must(t, err)
	k, err := parseKey(cookie.Value)
	must(t, err)
	secrets := append(formsOf(hidden+"anna"), formsOf(cookie.Value)...)
	secrets = append(secrets, fmt.Sprintf("%x", k[:4]), fmt.Sprint(k[:4])[1:], fmt.Sprintf("%#v", k[:4])[7:20])
	check := func(how, text string) {
		t.Helper()
		for _, secret := range secrets {
			if strings.Contains(strings.ToLower(text), strings.ToLower(secret)) {
				t.Errorf("%s shows %q: %s", how, secret, text)
			}
		}
	}
	for name, v := range map[string]any{
		"secret": u.Secret, "secret by pointer": &u.Secret, "user": u, "user by pointer": &u, "users": []User{u}, "users by name": map[string]User{"a": u},
		"session": *active, "session by pointer": active, "sessions": []*Active{active}, "sessions by value": []Active{*active},
		"holder": struct {
			User   User
			Active *Active
		}{u, active},
		"error": fmt.Errorf("of %v and %+v", u, active),
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%c", "% x", "%08b", "%U"} {
			check(name+" with "+verb, fmt.Sprintf(verb, v))
		}
		check(name+" with Sprint", fmt.Sprint(v))
		var b bytes.Buffer
		for _, handler := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
			logger := slog.New(handler)
			logger.Info("x", "v", v, slog.Group("g", "v", v))
			logger.With("v", v).Info("x")
		}
		check(name+" in the log", b.String())
		if text, err := json.Marshal(v); err == nil {
			check(name+" in JSON", string(text))
		}
	}
	for v, want := range map[any]string{u.Secret: "[redacted]", u.Secret.String(): "[redacted]", u.Secret.GoString(): "[redacted]"} {
		if got := fmt.Sprint(v); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := fmt.Sprintf("%v %s", active, *active); got != "session of local:anna session of local:anna" {
		t.Errorf("got %q", got)
	}
	for v, want := range map[slog.LogValuer]string{&u: "local:anna", active: "local:anna", u.Secret: "[redacted]"} {
		if got := v.LogValue().String(); got != want {
			t.Errorf("logged %q, want %q", got, want)
		}
	}
}

// TestErrorsTellNoSecrets goes through what can go wrong with a cookie.
func TestErrorsTellNoSecrets(t *testing.T) {
	now := time.Now()
	w := newWorld(t, func(o *Options) { o.Now = func() time.Time { return now } })
	cookie := w.signIn(user(auth.KindLocal, "anna"))
	attempt := w.begin()
	var texts []string
	fails := func(err error) {
		t.Helper()
		if err == nil {
			t.Error("no error")
			return
		}
		texts = append(texts, err.Error())
	}
	_, _, err := w.SignIn(t.Context(), page(cookie), user("ldap", "anna"))
	fails(err)
	r := page(cookie)
	r.Header.Del(PageHeader)
	_, err = w.Find(t.Context(), r)
	fails(err)
	_, err = w.Find(t.Context(), page(cookie, cookie))
	fails(err)
	w.store.set(func() {
		r := w.store.records[idOf(t, cookie)]
		r.Sealed = append([]byte{1}, r.Sealed...)
		w.store.records[r.ID] = r
		r = w.store.records[idOf(t, attempt)]
		r.Sealed = r.Sealed[1:]
		w.store.records[r.ID] = r
	})
	_, err = w.Find(t.Context(), page(cookie))
	fails(err)
	_, err = w.TakeAttempt(t.Context(), page(attempt), &kept{})
	fails(err)
	_, err = w.TakeAttempt(t.Context(), page(attempt), &kept{})
	fails(err)
	now = now.Add(9 * time.Hour)
	_, err = w.Find(t.Context(), page(cookie))
	fails(err)
	now = now.Add(24 * time.Hour)
	_, err = w.Find(t.Context(), page(cookie))
	fails(err)
	for _, text := range texts {
		for _, secret := range append(formsOf(cookie.Value), append(formsOf(attempt.Value), hidden)...) {
			if strings.Contains(text, secret) {
				t.Errorf("an error shows %q: %s", secret, text)
			}
		}
	}
}
