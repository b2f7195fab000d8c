package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/promgate/promgate/auth"
)

func TestDue(t *testing.T) {
	i := newIssuer(t)
	p := i.provider(i.options())
	l := i.login(p)
	start := i.now
	for after, want := range map[time.Duration]bool{
		0: false, 5*time.Minute - 1: false, 5 * time.Minute: true, time.Hour: true, -1: true, -time.Hour: true,
	} {
		if i.now = start.Add(after); p.Due(l) != want {
			t.Errorf("after %v: due is %v", after, !want)
		}
	}
	if !p.Due(&Login{}) {
		t.Error("a login that was never checked is not due")
	}
}

func TestRefresh(t *testing.T) {
	i := newIssuer(t)
	p := i.provider(i.options())
	first := i.login(p)
	i.now = i.now.Add(10 * time.Minute)
	i.token = m{"refresh_token": "refresh-2"}
	i.claims = m{"nonce": nil, "preferred_username": "anna-maria", "groups": []string{"team-search", "x"}}
	got, err := p.Refresh(t.Context(), first)
	want := &Login{
		Subject: "1000", Name: "anna-maria", Groups: []string{"team-search", "x"}, CheckedAt: i.now,
		refreshToken: auth.NewCredential("refresh-2"), nonce: auth.NewCredential("nonce"),
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if i.form.Get("grant_type") != "refresh_token" || i.form.Get("refresh_token") != "refresh-1" {
		t.Errorf("asked %v", i.form)
	}
	if first.Name != "anna" || first.refreshToken.Secret() != "refresh-1" {
		t.Error("the old login was changed")
	}
	i.token = m{"refresh_token": nil} // it stays good
	i.claims = nil                    // with the nonce of the sign-in
	if got, err = p.Refresh(t.Context(), got); err != nil || got.refreshToken.Secret() != "refresh-2" || got.Name != "anna" {
		t.Errorf("%+v, %v", got, err)
	}
	i.token = m{"id_token": nil, "refresh_token": nil}
	i.userInfo = m{"sub": "1000", "preferred_username": "anna-by-userinfo"}
	if got, err = p.Refresh(t.Context(), got); err != nil || got.Name != "anna-by-userinfo" || got.Groups != nil || got.Subject != "1000" {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestRefreshRefused: the login is over.
func TestRefreshRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*issuer)
		kind   error
		text   string
	}{
		"disabled": {func(i *issuer) {
			i.answer("/token", 400, `{"error":"invalid_grant","error_description":"of refresh-1"}`)
		}, ErrRefused, "invalid_grant (of [redacted])"},
		"another subject": {func(i *issuer) { i.claims = m{"sub": "1001"} }, auth.ErrInvalid, "another subject"},
		"another sign-in": {func(i *issuer) { i.claims = m{"nonce": "noncf"} }, auth.ErrInvalid, "nonce"},
		"another client":  {func(i *issuer) { i.claims = m{"aud": "other"} }, auth.ErrInvalid, "audience"},
		"another's userinfo": {func(i *issuer) {
			i.token = m{"id_token": nil}
			i.userInfo = m{"sub": "1001", "preferred_username": "anna"}
		}, auth.ErrInvalid, "another subject"},
		"nobody's userinfo":     {func(i *issuer) { i.token = m{"id_token": nil}; i.userInfo = m{"preferred_username": "anna"} }, auth.ErrInvalid, "another subject"},
		"userinfo refuses":      {func(i *issuer) { i.claims = m{"groups": nil}; i.answer("/userinfo", 401, "") }, ErrRefused, "userinfo answered 401"},
		"nothing of the person": {func(i *issuer) { i.token = m{"id_token": nil}; i.discovery = m{"userinfo_endpoint": nil} }, auth.ErrInvalid, "tells nothing of the person"},
		"a name no more":        {func(i *issuer) { i.claims = m{"preferred_username": ""} }, auth.ErrInvalid, "is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			l := i.login(i.provider(i.options()))
			c.change(i)
			next, err := i.provider(i.options()).Refresh(t.Context(), l)
			wants(t, err, c.kind, c.text)
			if next != nil {
				t.Error(next)
			}
		})
	}
}

func TestRefreshWithoutRefreshToken(t *testing.T) {
	i := newIssuer(t)
	i.token = m{"refresh_token": nil}
	p := i.provider(i.options())
	l := i.login(p)
	asked := i.count("/token")
	_, err := p.Refresh(t.Context(), l)
	wants(t, err, auth.ErrInvalid, "offline_access")
	if l.Refreshable() || i.count("/token") != asked {
		t.Error("something was asked")
	}
}

// TestRefreshUnavailable: the login goes on, and the new refresh token is never
// lost, for the old one is not good any more.
func TestRefreshUnavailable(t *testing.T) {
	i := newIssuer(t)
	p := i.provider(i.options())
	l := i.login(p)
	i.answer("/token", 500, "")
	next, err := p.Refresh(t.Context(), l)
	wants(t, err, auth.ErrUnavailable, "answered 500")
	if next != nil {
		t.Error("there is a new login, but nothing new")
	}
	i.heal("/token")

	i.now = i.now.Add(10 * time.Minute)
	i.token, i.claims = m{"refresh_token": "refresh-2"}, m{"groups": nil, "preferred_username": "other"}
	i.answer("/userinfo", 502, "")
	next, err = p.Refresh(t.Context(), l)
	wants(t, err, auth.ErrUnavailable, "userinfo answered 502")
	if next == nil || next.refreshToken.Secret() != "refresh-2" || next.Name != "anna" || !p.Due(next) || !next.CheckedAt.Equal(l.CheckedAt) {
		t.Fatalf("%+v", next)
	}
	i.token = nil // as before: refresh-1 again
	next, err = p.Refresh(t.Context(), l)
	wants(t, err, auth.ErrUnavailable, "userinfo answered 502")
	if next != nil {
		t.Errorf("%+v", next)
	}
}

// TestRefreshGoesOn when whoever asked has left.
func TestRefreshGoesOn(t *testing.T) {
	i := newIssuer(t)
	p := i.provider(i.options())
	l := i.login(p)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	i.token = m{"refresh_token": "refresh-2"}
	if next, err := p.Refresh(ctx, l); err != nil || next.refreshToken.Secret() != "refresh-2" {
		t.Errorf("%v, %v", next, err)
	}
	_, err := p.Complete(ctx, attempt(), callback())
	wants(t, err, auth.ErrUnavailable, "context canceled")
}

// TestJSON: what the server keeps is what it was.
func TestJSON(t *testing.T) {
	i := newIssuer(t)
	p := i.provider(i.options())
	a, _, err := p.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(map[string]any{"a": a})
	if err != nil {
		t.Fatal(err)
	}
	var kept map[string]Attempt
	if err := json.Unmarshal(raw, &kept); err != nil || !reflect.DeepEqual(kept["a"], a) {
		t.Errorf("%s, %v", raw, err)
	}
	l := i.login(p)
	var restored Login
	raw, err = json.Marshal(l)
	if err = errors.Join(err, json.Unmarshal(raw, &restored)); err != nil || !restored.CheckedAt.Equal(l.CheckedAt) {
		t.Fatal(err)
	}
	restored.CheckedAt = l.CheckedAt
	if !reflect.DeepEqual(&restored, l) {
		t.Errorf("%s", raw)
	}
	if _, err := p.Refresh(t.Context(), &restored); err != nil {
		t.Error(err)
	}
	if json.Unmarshal([]byte(`7`), &a) == nil || json.Unmarshal([]byte(`{"subject":7}`), &restored) == nil {
		t.Error("what is none was read")
	}
}

// TestRaces: one Provider serves all.
func TestRaces(t *testing.T) {
	i := newIssuer(t)
	p := i.provider(i.options())
	done := make(chan error)
	for range 20 {
		go func() {
			l, err := p.Complete(t.Context(), attempt(), callback())
			if err == nil {
				_, err = p.Refresh(t.Context(), l)
			}
			done <- err
		}()
	}
	for range 20 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := i.count("/.well-known/openid-configuration"); n != 1 {
		t.Errorf("the provider was discovered %d times", n)
	}
	if n := i.count("/token"); n != 40 {
		t.Errorf("%d tokens", n)
	}
}
