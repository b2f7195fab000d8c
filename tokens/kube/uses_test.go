package kube

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// use notes a use of a token, as the verifier does.
func (g *gateway) use(id string) { g.Snapshot().Tokens[id].LastUsed.Store(time.Now().UnixNano()) }

// lastUsed is what the object on the plane says.
func (p *plane) lastUsed(namespace, name string) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	status := p.objects["endpointtokens/"+namespace+"/"+name]["status"].(map[string]any)
	text, _ := status["lastUsedAt"].(string)
	at, _ := time.Parse(time.RFC3339, text)
	return at
}

// TestLastUsed: with two gateways that see a token used all the time, its time
// is written once a minute, never back, and never lags by much more.
func TestLastUsed(t *testing.T) {
	eachServer(t, func(t *testing.T, p *plane) {
		p.put(tokenObject("shop", 1))
		p.put(tokenObject("shop", 2))
		a, b := p.gateway(t), p.gateway(t)
		a.run()
		pass(3 * time.Second)
		b.run()
		before := time.Time{}
		const minutes = 20
		for range minutes * 60 {
			a.use(idOf(1, 1))
			b.use(idOf(1, 1))
			pass(time.Second)
			at := p.lastUsed("shop", "token-1")
			if at.Before(before) {
				t.Fatalf("the time went back from %s to %s", before, at)
			}
			if age := time.Since(at); !at.IsZero() && age > useInterval+2*flushInterval {
				t.Fatalf("the time is %s old", age)
			}
			before = at
		}
		writes := p.count("patch endpointtokens")
		p.mu.Lock()
		changes := 0
		for _, e := range p.log {
			if e.kind == "MODIFIED" {
				changes++
			}
		}
		p.mu.Unlock()
		if changes > minutes || changes < minutes-5 || writes > changes+minutes/2 {
			t.Errorf("%d changes by %d writes in %d minutes", changes, writes, minutes)
		}
		if at := p.lastUsed("shop", "token-2"); !at.IsZero() {
			t.Errorf("an unused token was used at %s", at)
		}
		if text := a.logged.take() + b.logged.take(); text != "" {
			t.Errorf("logged\n%s", text)
		}
	})
}

// TestLastUsedAtClose: Close writes what Run has not.
func TestLastUsedAtClose(t *testing.T) {
	inBubble(t, func(t *testing.T, p *plane) {
		p.put(tokenObject("shop", 1))
		g := p.gateway(t)
		stop := g.run()
		pass(time.Second)
		g.use(idOf(1, 1))
		stop()
		if err := g.Close(); err != nil {
			t.Error(err)
		}
		if want := time.Now().Truncate(time.Second); !p.lastUsed("shop", "token-1").Equal(want) {
			t.Errorf("got %s, want %s", p.lastUsed("shop", "token-1"), want)
		}
		// Once more: it is stored, and the API server need not be there.
		p.listener.hole.Store(true)
		began := time.Now()
		if err := g.Close(); err != nil || time.Since(began) > 0 {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		pass(2 * useInterval)
		g.use(idOf(1, 1))
		began = time.Now()
		if err := g.Close(); err == nil || time.Since(began) > closeTimeout+time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

// TestLastUsedRefused: a write that fails is logged once a minute, and tried
// again. A conflict is no failure.
func TestLastUsedRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, p *plane) {
		p.put(tokenObject("shop", 1))
		p.put(tokenObject("shop", 2))
		g := p.gateway(t)
		g.run()
		p.refusing(403, "patch endpointtokens")
		for range 60 * 5 {
			g.use(idOf(1, 1))
			g.use(idOf(2, 1))
			pass(time.Second)
		}
		synctest.Wait()
		const want = `level=WARN msg="times of last use could not be written; trying again" error="2 times of last use were not written: ` +
			`grant the gateway patch on endpointtokens/status (API group promgate.io): cluster local, namespace shop: endpointtokens in shop: refused"` + "\n"
		if text := g.logged.take(); text != strings.Repeat(want, 5) {
			t.Errorf("logged\n%s", text)
		}
		p.refusing(409, "patch endpointtokens")
		pass(time.Minute)
		p.heal()
		pass(flushInterval)
		synctest.Wait()
		if at := p.lastUsed("shop", "token-1"); time.Since(at) > 2*time.Minute {
			t.Errorf("last used at %s", at)
		}
		if text := g.logged.take(); text != "" {
			t.Errorf("logged\n%s", text)
		}
	})
}
