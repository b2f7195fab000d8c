package kube

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promgate/promgate/auth"
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
		old, second := g.watch.spaces[spaceKey{"local", ""}].follower, p.connect(t, "local")
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

// TestAnotherHome: what the file's projects are opened with follows the home
// cluster.
func TestAnotherHome(t *testing.T) {
	inBubble(t, func(t *testing.T, p *plane) {
		there := newPlane(t)
		p.put(tokenObject("shop", 1))
		here, eu := p.connect(t, "local"), there.connect(t, "eu")
		g := openStore(t, here, Source{Connection: here}, Source{Connection: eu})
		g.run()
		issuer := g.Snapshot().Issuer
		if l := g.Snapshot().Tokens[idOf(1, 1)]; l.Also == (auth.Grant{}) || l.Scope.Cluster != "" {
			t.Errorf("got %+v", l)
		}
		g.SetSources(eu, []Source{{Connection: here}, {Connection: eu}})
		g.want(idOf(1, 1))
		if l := g.Snapshot().Tokens[idOf(1, 1)]; l.Also != (auth.Grant{}) || l.Scope.Cluster != "local" {
			t.Errorf("got %+v", l)
		}
		if s := g.Snapshot(); s.Issuer == issuer || s.Issuer != there.entries(t)["issuer"] {
			t.Errorf("issuer %s, was %s", s.Issuer, issuer)
		}
	})
}
