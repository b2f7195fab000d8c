package api

import (
	"context"
	"testing"
	"time"

	"github.com/promgate/promgate/tokens"
)

// TestRotateToken: the successor opens the same for as long, and both open until
// the overlap ends.
func TestRotateToken(t *testing.T) {
	h := newHarness(t)
	anna := h.signedIn("anna")
	old, before := anna.create("shop", `{"description":"Grafana","environment":"production","lifetimeSeconds":3600}`)
	h.clock.advance(time.Minute)
	at := h.clock.now()
	next, after, replaced := h.secretOf(anna.do("POST", apiTokens+"/"+old.ID+"/rotate", `{"overlapSeconds":600}`))
	want := tokenItem{
		ID: next.ID, Description: "Grafana", Project: "shop", Environment: "production", State: tokens.StateActive,
		CreatedAt: at, CreatedBy: "local:anna", ExpiresAt: at.Add(time.Hour),
	}
	if next != want || next.ID == old.ID {
		t.Errorf("the successor is %+v, want %+v", next, want)
	}
	want = old
	want.State, want.ReplacedBy, want.ExpiresAt = tokens.StateRotated, next.ID, at.Add(10*time.Minute)
	if replaced == nil || *replaced != want {
		t.Errorf("replaced is %+v, want %+v", replaced, want)
	}
	if got := anna.tokenOf("shop", old.ID); got != want {
		t.Errorf("asked for alone: %+v", got)
	}
	opening := func(first, second int) {
		t.Helper()
		if a, b := h.opens(before, "shop", "production"), h.opens(after, "shop", "production"); a != first || b != second {
			t.Errorf("they open with %d and %d, want %d and %d", a, b, first, second)
		}
	}
	opening(200, 200)
	const again = "this token is rotated, and is rotated no more: make a new one"
	check(t, "rotated twice", anna.do("POST", apiTokens+"/"+old.ID+"/rotate", `{"overlapSeconds":600}`), 409, failed("bad_data", again))
	h.clock.advance(10*time.Minute - time.Nanosecond)
	opening(200, 200)
	h.clock.advance(time.Nanosecond)
	opening(401, 200)
	check(t, "expired", anna.do("POST", apiTokens+"/"+old.ID+"/rotate", `{"overlapSeconds":600}`), 409,
		failed("bad_data", "this token is expired, and is rotated no more: make a new one"))
	// At once.
	last, now, _ := h.secretOf(anna.do("POST", apiTokens+"/"+next.ID+"/rotate", `{"overlapSeconds":0}`))
	opening(401, 401)
	if got := h.opens(now, "shop", "production"); got != 200 {
		t.Errorf("the last one: %d", got)
	}
	h.clock.advance(2 * time.Hour)
	check(t, "expired by itself", anna.do("POST", apiTokens+"/"+last.ID+"/rotate", `{"overlapSeconds":0}`), 409,
		failed("bad_data", "this token is expired, and is rotated no more: make a new one"))
}

// TestRotationBounds: above all, nothing is rotated by a body that says nothing.
func TestRotationBounds(t *testing.T) {
	h := newHarness(t)
	anna := h.signedIn("anna")
	token, secret := anna.create("shop", `{"description":"Grafana","lifetimeSeconds":3600}`)
	path := apiTokens + "/" + token.ID + "/rotate"
	const (
		missing = "overlapSeconds is missing: write for how many seconds the old token stays good, or 0"
		bounds  = "overlapSeconds must be from 0 to 2678400"
		noJSON  = "the body is no JSON of the form that docs/openapi.yaml describes"
	)
	for body, want := range map[string]string{
		`{}`: missing, `null`: missing, `{"overlapSeconds":null}`: missing,
		`{"overlapSeconds":-1}`: bounds, `{"overlapSeconds":2678401}`: bounds,
		`{"overlap":1}`: noJSON, `{"overlapSeconds":1`: noJSON,
		`{"overlapSeconds":"1"}`: "the body's overlapSeconds has the wrong type: docs/openapi.yaml tells which one it takes",
	} {
		check(t, body, anna.do("POST", path, body), 400, failed("bad_data", want))
	}
	check(t, "no body", anna.do("POST", path, ""), 415, failed("bad_data", "send the body as JSON, with Content-Type: application/json"))
	if got := anna.tokenOf("shop", token.ID); got.State != tokens.StateActive || h.opens(secret, "shop", "production") != 200 {
		t.Errorf("it is %+v", got)
	}
	// The longest overlap never makes a token longer than it is.
	if _, _, replaced := h.secretOf(anna.do("POST", path, `{"overlapSeconds":2678400}`)); !replaced.ExpiresAt.Equal(token.ExpiresAt) {
		t.Errorf("replaced is %+v", replaced)
	}
}

// racingStore has somebody else change a token just before it is rotated.
type racingStore struct {
	tokens.Store
	before func(ctx context.Context, id string) error
}

func (s *racingStore) Rotate(ctx context.Context, id string, r tokens.Rotation) (a tokens.Record, secret string, b tokens.Record, err error) {
	if err := s.before(ctx, id); err != nil {
		return a, "", b, err
	}
	return s.Store.Rotate(ctx, id, r)
}

// TestRotatedMeanwhile: of two who rotate or revoke at once, the later is told
// so, and not that the store is away.
func TestRotatedMeanwhile(t *testing.T) {
	race := &racingStore{}
	h := newHarness(t, func(o *Options) { race.Store, o.Tokens = o.Tokens, race })
	anna := h.signedIn("anna")
	for want, before := range map[string]func(context.Context, string) error{
		"this token is revoked, and is rotated no more: make a new one": h.store.Revoke,
		"this token is rotated, and is rotated no more: make a new one": func(ctx context.Context, id string) error {
			_, _, _, err := h.store.Rotate(ctx, id, tokens.Rotation{Overlap: time.Minute})
			return err
		},
	} {
		race.before = before
		token, _ := anna.create("shop", `{"description":"Grafana","lifetimeSeconds":3600}`)
		check(t, want, anna.do("POST", apiTokens+"/"+token.ID+"/rotate", `{"overlapSeconds":0}`), 409, failed("bad_data", want))
	}
	token, _ := anna.create("shop", `{"description":"Grafana","lifetimeSeconds":3600}`)
	race.before = func(context.Context, string) error { return tokens.ErrNotFound }
	got := anna.do("POST", apiTokens+"/"+token.ID+"/rotate", `{"overlapSeconds":0}`)
	if got.status != 503 { // it is still there: the store contradicts itself
		t.Errorf("got %d %s", got.status, got.body)
	}
}
