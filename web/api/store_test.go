package api

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/promgate/promgate/tokens"
)

// brokenStore fails as a store does that cannot be reached, at what it writes.
type brokenStore struct{ tokens.Store }

// goneStore cannot be read either.
type goneStore struct{ brokenStore }

func (goneStore) ListProject(context.Context, tokens.Scope) ([]tokens.Record, error) {
	return nil, errors.New("no such disk")
}
func (brokenStore) Create(context.Context, tokens.Draft) (tokens.Record, string, error) {
	return tokens.Record{}, "", errors.New("no such disk")
}
func (brokenStore) Revoke(context.Context, string) error { return errors.New("no such disk") }
func (brokenStore) Rotate(context.Context, string, tokens.Rotation) (a tokens.Record, s string, b tokens.Record, err error) {
	return a, s, b, context.DeadlineExceeded
}

// TestTokenStoreDown: the caller may try again, and the log knows why.
func TestTokenStoreDown(t *testing.T) {
	storeDown(t, newHarness(t, func(o *Options) { o.Tokens = brokenStore{o.Tokens} }), "")
	storeDown(t, newHarness(t, func(o *Options) { o.Tokens = goneStore{brokenStore{o.Tokens}} }), "GET")
}

// storeDown: whatever writes fails, and what is of the other method too.
func storeDown(t *testing.T, h *harness, also string) {
	h.mint("shop", "")
	records, err := h.store.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	anna := h.signedIn("anna")
	for _, o := range []struct{ method, path, body string }{
		{"GET", apiTokens, ""},
		{"POST", apiTokens, `{"description":"x","lifetimeSeconds":3600}`},
		{"DELETE", apiTokens + "/" + records[0].ID, ""},
		{"POST", apiTokens + "/" + records[0].ID + "/rotate", `{"overlapSeconds":0}`},
	} {
		got := anna.do(o.method, o.path, o.body)
		if o.method == "GET" && also != "GET" {
			if got.status != 200 {
				t.Errorf("the list: %d %s", got.status, got.body)
			}
			continue
		}
		check(t, o.method+" "+o.path, got, 503,
			failed("unavailable", "the gateway cannot reach its endpoint tokens right now: try again in a moment; its log says why"))
		if got.header.Get("Retry-After") != "5" {
			t.Errorf("Retry-After is %q", got.header.Get("Retry-After"))
		}
	}
	if !strings.Contains(h.log.text(), `"cause":"no such disk"`) {
		t.Error("the log does not tell why")
	}
}
