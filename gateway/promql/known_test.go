package promql

import (
	"strconv"
	"strings"
	"sync"
	"testing"
)

func TestKnown(t *testing.T) {
	var k known
	if k.has("a") {
		t.Error("an empty set has something")
	}
	long := strings.Repeat("a", maxKnownLength+1)
	k.add(long)
	if k.has(long) {
		t.Error("a long expression is kept")
	}
	k.add("often")
	for i := range 10 * maxKnown {
		k.add(strconv.Itoa(i))
		if !k.has("often") { // which is asked again and again
			t.Fatalf("forgotten after %d", i)
		}
		if len(k.young) > maxKnown || len(k.old) > maxKnown {
			t.Fatalf("%d and %d are kept", len(k.young), len(k.old))
		}
	}
	if k.has("0") {
		t.Error("what nobody asked again is kept")
	}
}

func TestKnownConcurrently(t *testing.T) {
	var k known
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 2 * maxKnown {
				k.add(strconv.Itoa(i))
				k.has(strconv.Itoa(i / 2))
			}
		})
	}
	all.Wait()
}

// TestChecksTwice: the second answer is the first.
func TestChecksTwice(t *testing.T) {
	var checker Checker
	for range 3 {
		for expr, want := range map[string]bool{"up": true, "up{": false, "up[5m]": false, "rate(up[5m])": true} {
			if got := checker.CheckRangeExpr(expr) == nil; got != want {
				t.Errorf("%s: %v", expr, got)
			}
		}
		if err := checker.CheckExpr("up[5m]"); err != nil {
			t.Error(err)
		}
		if err := checker.CheckExpr("up{"); err == nil {
			t.Error("up{ is taken")
		}
	}
}
