package kube

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/promgate/promgate/tokens"
)

// rotated gives an object a second token.
func rotated(o *object) {
	before, now := o.Status.issued, metav1.NewTime(o.Status.IssuedAt.Add(time.Minute))
	o.Status.ID, o.Status.IssuedAt, o.Status.Previous = strings.TrimSuffix(before.ID, "1")+"2", &now, &before
}

// TestRecords: records of all sources, the newest first, and each by its id.
func TestRecords(t *testing.T) {
	inBubble(t, func(t *testing.T, p *plane) {
		there := newPlane(t)
		home, other := p.connect(t, "local"), there.connect(t, "eu")
		used := metav1.NewTime(time.Now().Add(time.Minute))
		p.put(tokenObject("shop", 1, rotated, func(o *object) { o.Spec.Environment, o.Status.LastUsedAt = "production", &used }))
		p.put(tokenObject("bank", 2, func(o *object) { o.Status.ID = idOf(1, 1) })) // not its own
		p.set(func() {
			p.record("", "endpointtokens", map[string]any{"apiVersion": "promgate.io/v1alpha1", "kind": "EndpointToken",
				"metadata": map[string]any{"namespace": "shop", "name": "x"}, "spec": "?"})
		})
		deleted := metav1.NewTime(time.Now().UTC())
		pass(2 * time.Minute)
		there.put(tokenObject("shop", 3, func(o *object) { o.DeletionTimestamp, o.Status.ID = &deleted, "eu."+o.Status.ID }))
		g := openStore(t, home, Source{Connection: home}, Source{Connection: other, Namespaces: []string{"shop", "none"}})
		got, err := g.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		began := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
		end := began.Add(24 * time.Hour)
		scope := tokens.Scope{Project: "shop", ProjectUID: "uid-of-shop", Environment: "production", EnvironmentUID: "uid-of-shop/production"}
		want := []tokens.Record{
			{ID: "eu." + idOf(3, 1), Scope: tokens.Scope{Cluster: "eu", Project: "shop", ProjectUID: "uid-of-shop"}, CreatedAt: began.Add(2 * time.Minute),
				ExpiresAt: end.Add(2 * time.Minute), RevokedAt: began},
			{ID: idOf(1, 2), Scope: scope, CreatedAt: began.Add(time.Minute), ExpiresAt: end, LastUsedAt: began.Add(time.Minute)},
			{ID: idOf(1, 1), Scope: scope, CreatedAt: began, ExpiresAt: end, ReplacedBy: idOf(1, 2)},
		}
		for i := range want {
			want[i].KeyID, want[i].Description = "key-1", "Grafana"
			one, err := g.Get(t.Context(), want[i].ID)
			if len(got) <= i || got[i] != want[i] || err != nil || one != want[i] {
				t.Errorf("got  %+v\nand  %+v, %v\nwant %+v", got, one, err, want[i])
			}
		}
		for _, id := range []string{idOf(2, 1), idOf(1, 3), idOf(7, 1), "", "x", "x-1", "000000000000400080000" + "00000000001"} {
			if _, err := g.Get(t.Context(), id); !errors.Is(err, tokens.ErrNotFound) {
				t.Errorf("%q: %v", id, err)
			}
			if err := g.Revoke(t.Context(), id); !errors.Is(err, tokens.ErrNotFound) {
				t.Errorf("revoke %q: %v", id, err)
			}
		}
	})
}

// TestRecordsOutOfReach: what cannot be listed is named, and an id that may be
// there is not called unknown.
func TestRecordsOutOfReach(t *testing.T) {
	inBubble(t, func(t *testing.T, p *plane) {
		p.put(tokenObject("shop", 1))
		g := p.gateway(t, "shop", "bank", "farm")
		p.refusing(403, "list endpointtokens bank")
		p.refusing(404, "list endpointtokens farm")
		const want = "cluster local: the gateway may not use endpoint tokens in namespace bank: " +
			"grant it list and watch on endpointtokens and patch on endpointtokens/status: endpointtokens in bank: refused\n" +
			"cluster local: the kind EndpointToken is not installed: apply deploy/kubernetes/crd: endpointtokens in farm: refused"
		if _, err := g.List(t.Context()); err == nil || err.Error() != "list tokens: "+want {
			t.Errorf("got %v", err)
		}
		if _, err := g.Get(t.Context(), idOf(1, 1)); err != nil {
			t.Error(err)
		}
		if _, err := g.Get(t.Context(), idOf(2, 1)); err == nil || errors.Is(err, tokens.ErrNotFound) ||
			err.Error() != fmt.Sprintf("token %q: it is not where tokens could be looked for, and not everything could be read: %s", idOf(2, 1), want) {
			t.Errorf("got %v", err)
		}
		err := g.Load(t.Context())
		if err == nil || err.Error() != "load the endpoint tokens: "+want {
			t.Errorf("got %v", err)
		}
		g.want(idOf(1, 1)) // the rest
		g.stale(true)
	})
}

// TestRevoke: a token ends at once, and no other does.
func TestRevoke(t *testing.T) {
	for name, runs := range map[string]bool{"running": true, "not running": false} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, p *plane) {
				p.put(tokenObject("shop", 1, rotated))
				p.put(tokenObject("shop", 2, rotated))
				p.put(tokenObject("bank", 3))
				g, other := p.gateway(t, "shop", "bank"), p.gateway(t, "shop", "bank")
				if runs {
					g.run()
				}
				other.run()
				for _, step := range []struct {
					id   string
					left []string
				}{
					{idOf(1, 1), []string{idOf(1, 2), idOf(2, 1), idOf(2, 2), idOf(3, 1)}},
					{idOf(2, 2), []string{idOf(1, 2), idOf(3, 1)}},
					{idOf(3, 1), []string{idOf(1, 2)}},
				} {
					if err := g.Revoke(t.Context(), step.id); err != nil {
						t.Error(err)
					}
					if s := g.Snapshot(); runs && s.Tokens[step.id] != nil {
						t.Errorf("%s is in the snapshot", step.id)
					}
					other.want(step.left...)
					if err := g.Revoke(t.Context(), step.id); !errors.Is(err, tokens.ErrNotFound) {
						t.Errorf("again: %v", err)
					}
				}
			})
		})
	}
}

// TestRevokeReadsLittle: what the watches have seen is found without a list of
// everything, and an object made anew under its name is not touched.
func TestRevokeReadsLittle(t *testing.T) {
	inBubble(t, func(t *testing.T, p *plane) {
		p.put(tokenObject("shop", 1))
		g := p.gateway(t)
		g.run()
		p.count("list endpointtokens")
		if _, err := g.Get(t.Context(), idOf(1, 1)); err != nil {
			t.Error(err)
		}
		if n := p.count("list endpointtokens"); n != 1 {
			t.Errorf("%d lists", n)
		}
		p.refusing(403, "watch endpointtokens")
		pass(time.Minute) // the store lives in the past
		p.remove("endpointtokens", "shop", "token-1")
		p.put(tokenObject("shop", 1, func(o *object) { o.UID, o.Status.ID = uidOf(8), idOf(8, 1) }))
		if err := g.Revoke(t.Context(), idOf(1, 1)); !errors.Is(err, tokens.ErrNotFound) {
			t.Error(err)
		}
		if _, err := g.Get(t.Context(), idOf(8, 1)); err != nil {
			t.Error(err)
		}
	})
}

// TestRevokeConflict: a token that was rotated meanwhile is revoked alone.
func TestRevokeConflict(t *testing.T) {
	inBubble(t, func(t *testing.T, p *plane) {
		p.put(tokenObject("shop", 1))
		g := p.gateway(t)
		l, err := g.find(t.Context(), idOf(1, 1))
		if err != nil {
			t.Fatal(err)
		}
		p.put(tokenObject("shop", 1, rotated))
		if err := g.end(t.Context(), l, idOf(1, 1)); err == nil {
			t.Error("the object that was read is ended, not the one that is there")
		}
		if err := g.Revoke(t.Context(), idOf(1, 1)); err != nil {
			t.Error(err)
		}
		if _, err := g.Get(t.Context(), idOf(1, 2)); err != nil {
			t.Error(err)
		}
		p.refusing(403, "delete endpointtokens")
		const want = "the gateway may not do that in namespace shop of cluster local: grant it delete on endpointtokens (API group promgate.io): endpointtokens in shop: refused"
		if err := g.Revoke(t.Context(), idOf(1, 2)); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("got %v", err)
		}
	})
}

func TestAssignUIDs(t *testing.T) {
	var s Store
	got, err := s.AssignUIDs(t.Context(), []string{"shop", "shop/production", "shop"}, true)
	if err != nil || len(got) != 2 || got["shop"] != "namespace/shop" || got["shop/production"] != "namespace/shop/production" {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := s.AssignUIDs(t.Context(), []string{"shop", ""}, false); err == nil || err.Error() != "assign UIDs: a name is empty" {
		t.Errorf("got %v", err)
	}
}

// TestLoad: a first snapshot without Run, fresh at first, and in bounded time.
func TestLoad(t *testing.T) {
	inBubble(t, func(t *testing.T, p *plane) {
		p.put(tokenObject("shop", 1))
		g := p.gateway(t, "shop", "bank")
		if err := g.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		g.want(idOf(1, 1))
		g.stale(false)
		pass(31 * time.Second)
		g.stale(true)
		p.put(tokenObject("bank", 2))
		p.remove("endpointtokens", "shop", "token-1")
		if err := g.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		g.want(idOf(2, 1))
		g.run() // goes on from there
		p.remove("endpointtokens", "bank", "token-2")
		g.want()
		if err := g.Load(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()

		p.stall("list endpointtokens")
		began := time.Now()
		if err := p.gateway(t, "shop").Load(t.Context()); err == nil || time.Since(began) > loadTimeout+time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}
