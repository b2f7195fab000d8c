package kube

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/tokens"
)

// TestSetSources: what is named goes on or begins, what is not ends.
func TestSetSources(t *testing.T) {
	eachServer(t, func(t *testing.T, p *plane) {
		for n, namespace := range []string{"shop", "bank", "farm"} {
			p.put(tokenObject(namespace, n))
		}
		home := p.connect(t, "local")
		g := openStore(t, home)
		g.SetSources(home, []Source{{Connection: home, Namespaces: []string{"shop"}}})
		stop := g.run()
		g.want(idOf(0, 1))
		pass(time.Minute)
		first := g.watch.spaces[spaceKey{"local", "shop"}].follower
		g.SetSources(home, []Source{{Connection: home, Namespaces: []string{"shop", "bank", "", "bank"}}})
		g.want(idOf(0, 1), idOf(1, 1))
		g.SetSources(home, []Source{{Connection: home, Namespaces: []string{"shop", "farm"}}})
		if g.Snapshot().Tokens[idOf(1, 1)] != nil {
			t.Error("a token of a namespace that is no longer named is there")
		}
		g.want(idOf(0, 1), idOf(2, 1))
		if now := g.watch.spaces[spaceKey{"local", "shop"}].follower; now != first || len(g.Snapshot().Parts) != 2 {
			t.Error("what is named as before did not go on")
		}
		p.put(tokenObject("bank", 7))
		p.put(tokenObject("farm", 8))
		g.want(idOf(0, 1), idOf(2, 1), idOf(8, 1))
		pass(time.Minute)
		g.stale(false)
		if n := p.watches.Load(); n != 3 {
			t.Errorf("%d watches", n)
		}
		g.SetSources(home, nil)
		g.want()
		stop()
		g.SetSources(home, []Source{{Connection: home}}) // is for the next Run
		synctest.Wait()
		if n := p.watches.Load(); n != 0 {
			t.Errorf("%d watches after Run", n)
		}
		g.run()
		g.want(idOf(0, 1), idOf(1, 1), idOf(2, 1), idOf(7, 1), idOf(8, 1))
	})
}

// TestRenewedConnection: with new credentials the objects stay in force until
// they were listed with these, or grow too old.
func TestRenewedConnection(t *testing.T) {
	eachServer(t, func(t *testing.T, p *plane) {
		p.put(tokenObject("shop", 1))
		first := p.connect(t, "local")
		g := openStore(t, first, Source{Connection: first})
		g.run()
		pass(time.Minute)
		before := g.Snapshot().Tokens[idOf(1, 1)]
		p.stall("list endpointtokens", "watch endpointtokens")
		old, second := g.watch.spaces[spaceKey{"local", ""}].follower.watch(), p.connect(t, "local")
		g.SetSources(second, []Source{{Connection: second}})
		g.want(idOf(1, 1))
		g.stale(false)
		// Whatever the old watch still brings is of no account.
		p.put(tokenObject("shop", 9))
		pass(time.Second)
		if err := old.Bookmark("9"); err != nil {
			t.Error(err)
		}
		if err := old.Replace(nil, "9"); err != nil {
			t.Error(err)
		}
		if age := before.Part.Age(time.Now()); age < time.Second {
			t.Errorf("the part was seen %s ago", age)
		}
		p.remove("endpointtokens", "shop", "token-9")
		g.want(idOf(1, 1))
		if g.Snapshot().Tokens[idOf(1, 1)] != before {
			t.Error("the token is another")
		}
		pass(31 * time.Second)
		g.stale(true) // the old watch does not speak for the part any more
		p.remove("endpointtokens", "shop", "token-1")
		p.put(tokenObject("shop", 2))
		g.want(idOf(1, 1))
		p.heal()
		pass(time.Minute)
		g.want(idOf(2, 1))
		g.stale(false)
		if l := g.located(); len(l) != 1 || l[0].connection != second || l[0].UID != uidOf(2) {
			t.Errorf("located %+v", l)
		}
		if n := p.watches.Load(); n != 2 {
			t.Errorf("%d watches", n)
		}
		p.remove("secrets", own, keysName) // the keys are followed through it too
		g.want(idOf(2, 1))
		if len(g.Snapshot().Keys) != 1 || !strings.Contains(g.logged.take(), "was deleted") {
			t.Error("the keys were not made anew")
		}
	})
}

// TestOtherCluster: a cluster's objects vouch for tokens of that cluster alone.
// Whoever runs another one may give objects whatever UIDs and statuses, and
// brings no token of this one back.
func TestOtherCluster(t *testing.T) {
	inBubble(t, func(t *testing.T, p *plane) {
		there := newPlane(t)
		p.put(tokenObject("shop", 1))
		there.put(tokenObject("shop", 2)) // as if it had been of this cluster
		there.put(tokenObject("shop", 3, func(o *object) { o.Status.ID = "eu." + o.Status.ID }))
		p.put(tokenObject("shop", 4, func(o *object) { o.Status.ID = "eu." + o.Status.ID }))
		here, eu := p.connect(t, "local"), there.connect(t, "eu")
		g := openStore(t, here, Source{Connection: here}, Source{Connection: eu})
		g.run()
		g.want(idOf(1, 1), "eu."+idOf(3, 1))
		if l := g.Snapshot().Tokens[idOf(1, 1)]; l.Also == (auth.Grant{}) || l.Scope.Cluster != "" {
			t.Errorf("at home: got %+v", l)
		}
		// Of the file's projects, which are namespaces of home, it opens none.
		if l := g.Snapshot().Tokens["eu."+idOf(3, 1)]; l.Also != (auth.Grant{}) || l.Scope.Cluster != "eu" {
			t.Errorf("elsewhere: got %+v", l)
		}
		for id, want := range map[string]bool{idOf(1, 1): true, "eu." + idOf(3, 1): true, idOf(2, 1): false, idOf(3, 1): false, "eu." + idOf(4, 1): false, "eu." + idOf(1, 1): false} {
			if _, err := g.Get(t.Context(), id); (err == nil) != want || err != nil && !errors.Is(err, tokens.ErrNotFound) {
				t.Errorf("%s: got %v", id, err)
			}
		}
	})
}
