package promql

import (
	"strconv"
	"strings"
	"sync"
	"testing"
)

func remember(m *memo, policy, text string) {
	m.add(memoKey{policy, text}, &Query{original: text, text: text})
}

func remembers(m *memo, policy, text string) bool { return m.get(memoKey{policy, text}) != nil }

func TestMemo(t *testing.T) {
	var m memo
	if remembers(&m, "", "a") {
		t.Error("an empty memo has something")
	}
	long := strings.Repeat("a", maxKnownLength+1)
	remember(&m, "", long)
	if remembers(&m, "", long) {
		t.Error("a long expression is kept")
	}
	m.add(memoKey{"", "a"}, &Query{original: "a", text: strings.Repeat("a", 4*maxKnownLength+1)})
	if remembers(&m, "", "a") {
		t.Error("an expression that became long is kept")
	}
	remember(&m, "p", "often")
	if remembers(&m, "", "often") || remembers(&m, "q", "often") {
		t.Error("what is known under one policy is known under another")
	}
	for i := range 10 * maxKnown {
		remember(&m, "p", strconv.Itoa(i))
		if !remembers(&m, "p", "often") { // which is asked again and again
			t.Fatalf("forgotten after %d", i)
		}
		if len(m.young) > maxKnown || len(m.old) > maxKnown {
			t.Fatalf("%d and %d are kept", len(m.young), len(m.old))
		}
	}
	if remembers(&m, "p", "0") {
		t.Error("what nobody asked again is kept")
	}
}

func TestMemoConcurrently(t *testing.T) {
	var m memo
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 2 * maxKnown {
				remember(&m, "", strconv.Itoa(i))
				remembers(&m, "", strconv.Itoa(i/2))
			}
		})
	}
	all.Wait()
}

// TestQueryTwice: the second answer is the first.
func TestQueryTwice(t *testing.T) {
	var p Parser
	policies := []*Policy{nil, policyOf(t, map[string][]string{"t": {"a"}}), policyOf(t, map[string][]string{"t": {"b"}})}
	for range 3 {
		for expr, want := range map[string]bool{"up": true, "up{": false, "up[5m]": false, "rate(up[5m])": true} {
			for _, policy := range policies {
				q, err := p.Query(policy, expr)
				if got := err == nil && q.CheckRange() == nil; got != want {
					t.Errorf("%s: %v", expr, got)
				}
			}
		}
		for i, want := range []string{"up", `up{t="a"}`, `up{t="b"}`} {
			if q, err := p.Query(policies[i], "up"); err != nil || q.Text() != want {
				t.Errorf("%v (%v), want %s", q, err, want)
			}
		}
		if _, err := p.Query(nil, "up[5m]"); err != nil {
			t.Error(err)
		}
		if _, err := p.Query(nil, "up{"); err == nil {
			t.Error("up{ is taken")
		}
	}
}
