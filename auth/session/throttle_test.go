package session

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// tries counts how many of n tries are let through.
func tries(th *Throttle, now time.Time, n int, address, name string) (let int) {
	for range n {
		if th.Try(now, address, name) == 0 {
			let++
		}
	}
	return let
}

func TestThrottleByAddress(t *testing.T) {
	var th Throttle
	now := time.Now()
	if got := tries(&th, now, 100, "192.0.2.1", ""); got != triesByAddress {
		t.Errorf("%d tries at once, want %d", got, triesByAddress)
	}
	if wait := th.Try(now, "192.0.2.1", ""); wait != refillByAddress {
		t.Errorf("wait %s, want %s", wait, refillByAddress)
	}
	if got := tries(&th, now, 1, "192.0.2.2", ""); got != 1 {
		t.Error("another address waits too")
	}
	// Time brings one after the other back, and no more than at first.
	if wait := th.Try(now.Add(time.Second), "192.0.2.1", ""); wait < 2*time.Second-time.Millisecond || wait > 2*time.Second {
		t.Errorf("wait %s after a second", wait)
	}
	for n := range 5 {
		if got := tries(&th, now.Add(time.Duration(n+1)*refillByAddress), 10, "192.0.2.1", ""); got != 1 {
			t.Errorf("%d tries after %d refills", got, n+1)
		}
	}
	if got := tries(&th, now.Add(24*time.Hour), 100, "192.0.2.1", ""); got != triesByAddress {
		t.Errorf("%d tries after a day", got)
	}
}

func TestThrottleByName(t *testing.T) {
	var th Throttle
	now := time.Now()
	let := 0
	for n := range 100 {
		let += tries(&th, now, 1, fmt.Sprint("192.0.2.", n), "anna")
	}
	if let != triesByName {
		t.Errorf("%d tries for one name, want %d", let, triesByName)
	}
	if wait := th.Try(now, "192.0.2.200", "anna"); wait != refillByName {
		t.Errorf("wait %s, want %s", wait, refillByName)
	}
	// The longer of both, and a try that is refused costs nothing of either.
	for range triesByAddress {
		th.Try(now, "198.51.100.1", "")
	}
	if wait := th.Try(now, "198.51.100.1", "anna"); wait != refillByName {
		t.Errorf("wait %s", wait)
	}
	if got := tries(&th, now, 100, "192.0.2.200", "bert"); got != triesByName {
		t.Errorf("%d tries for another name", got)
	}
	if got := tries(&th, now, 100, "192.0.2.200", ""); got != triesByAddress-triesByName {
		t.Errorf("%d tries are left of the address", got)
	}
	if got := tries(&th, now.Add(refillByName), 10, "203.0.113.1", "anna"); got != 1 {
		t.Errorf("%d tries after a refill", got)
	}
	for n := range 20 { // whoever has no name shares none
		if got := tries(&th, now, 1, fmt.Sprint("203.0.113.", n+10), ""); got != 1 {
			t.Error("an empty name counts")
		}
	}
}

// TestThrottleNetworks: what one client may have of addresses counts as one.
func TestThrottleNetworks(t *testing.T) {
	for _, test := range []struct {
		a, b string
		same bool
	}{
		{"2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true},
		{"2001:db8:1:2::1", "2001:db8:1:3::1", false},
		{"fe80::1%eth0", "fe80::2%eth1", true},
		{"::ffff:192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1:4000", "192.0.2.1:4001", true},
		{"192.0.2.1:4000", "192.0.2.1", true},
		{"[2001:db8:1:2::1]:4000", "2001:db8:1:2::7", true},
		{"[::ffff:192.0.2.1]:4000", "192.0.2.1", true},
		{"unix socket", "unix socket", true},
		{"", "192.0.2.1", false},
	} {
		if same := network(test.a) == network(test.b); same != test.same {
			t.Errorf("%s and %s: the same is %t", test.a, test.b, same)
		}
		var th Throttle
		now := time.Now()
		tries(&th, now, triesByAddress, test.a, "")
		if got := tries(&th, now, 1, test.b, "") == 0; got != test.same {
			t.Errorf("%s waits for %s: %t", test.b, test.a, got)
		}
	}
}

// TestThrottleMemory: what is remembered is bounded, in number and in size.
func TestThrottleMemory(t *testing.T) {
	var th Throttle
	now := time.Now()
	long := strings.Repeat("x", 1<<20)
	for n := range maxThrottled + 1000 {
		th.Try(now, netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}).String(), fmt.Sprint("name ", n))
	}
	th.Try(now, "192.0.2.1", long)
	if th.addresses.Len() != maxThrottled || th.names.Len() != maxThrottled {
		t.Errorf("%d addresses and %d names", th.addresses.Len(), th.names.Len())
	}
	// A long name is one of its own all the same.
	if got := tries(&th, now, 100, "192.0.2.1", long); got != triesByName-1 {
		t.Errorf("%d tries", got)
	}
	if got := tries(&th, now, 1, "192.0.2.1", long+"x"); got != 1 {
		t.Error("another long name waits too")
	}
}

func TestThrottleAtOnce(t *testing.T) {
	var th Throttle // also its first use
	now := time.Now()
	var let atomic.Int64
	var wait sync.WaitGroup
	for range 50 {
		wait.Go(func() { let.Add(int64(tries(&th, now, 10, "192.0.2.1", "anna"))) })
	}
	wait.Wait()
	if let.Load() != triesByName {
		t.Errorf("%d tries, want %d", let.Load(), triesByName)
	}
}
