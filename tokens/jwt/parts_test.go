package jwt

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/tokens"
)

// TestParts: a token depends on the part of the store that holds it, and on the
// one that holds the keys. Where any part is out of sight, a token that is not
// there may be in it, and nobody is told that it was revoked.
func TestParts(t *testing.T) {
	for name, c := range map[string]struct {
		stale func(w *world, other *tokens.Part) []*tokens.Part // which parts are not seen again
		gone  bool
		want  Result
		err   error
	}{
		"all seen":                      {func(*world, *tokens.Part) []*tokens.Part { return nil }, false, ResultOK, nil},
		"all seen, revoked":             {func(*world, *tokens.Part) []*tokens.Part { return nil }, true, ResultRevoked, auth.ErrInvalid},
		"another part unseen":           {func(_ *world, o *tokens.Part) []*tokens.Part { return []*tokens.Part{o} }, false, ResultOK, nil},
		"another part unseen, not here": {func(_ *world, o *tokens.Part) []*tokens.Part { return []*tokens.Part{o} }, true, ResultUnavailable, auth.ErrUnavailable},
		"its part unseen":               {func(w *world, _ *tokens.Part) []*tokens.Part { return []*tokens.Part{w.live().Part} }, false, ResultUnavailable, auth.ErrUnavailable},
		"keys unseen":                   {func(w *world, _ *tokens.Part) []*tokens.Part { return []*tokens.Part{w.snapshot.Core} }, false, ResultUnavailable, auth.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			for _, warm := range []bool{true, false} {
				w := newWorld(t)
				own, other := new(tokens.Part), new(tokens.Part)
				w.live().Part, w.snapshot.Parts = own, []*tokens.Part{own, other}
				own.See(start)
				other.See(start)
				want := c.want
				if warm {
					if _, err := w.authenticate(w.token); err != nil {
						t.Fatal(err)
					}
					if want == ResultOK {
						want = ResultCached
					}
				}
				stale := c.stale(w, other)
				if c.gone {
					delete(w.snapshot.Tokens, w.record.ID)
				}
				w.now = start.Add(time.Minute)
				for _, p := range []*tokens.Part{w.snapshot.Core, own, other} {
					if len(stale) == 0 || p != stale[0] {
						p.See(w.now)
					}
				}
				if _, err := w.authenticate(w.token); !errors.Is(err, c.err) || w.lastResult() != want {
					t.Errorf("warm %v: got %v, %s; want %v, %s", warm, err, w.lastResult(), c.err, want)
				}
			}
		})
	}
}

// TestAlso: what a record opens beside its scope follows the record.
func TestAlso(t *testing.T) {
	w := newWorld(t)
	own := auth.Grant{ProjectUID: "p-uid", EnvironmentUID: "e-uid"}
	also := auth.Grant{ProjectUID: "namespace/shop", EnvironmentUID: "namespace/shop/production"}
	for i, grant := range []auth.Grant{{}, also, also, {}, also} {
		live := *w.live()
		live.Also = grant
		w.snapshot.Tokens[w.record.ID] = &live
		id, err := w.authenticate(w.token)
		want := []auth.Grant{own}
		if grant != (auth.Grant{}) {
			want = append(want, grant)
		}
		if err != nil || !reflect.DeepEqual(id.Grants, want) {
			t.Errorf("%d: got %v, %v; want %v", i, id, err, want)
		}
	}
}
