package session

import (
	"crypto/sha256"
	"net/netip"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// How often somebody may try to sign in: at first a few times at once, then one
// time after another.
const (
	triesByAddress      = 20
	refillByAddress     = 3 * time.Second
	triesByName         = 10
	refillByName        = 6 * time.Second
	maxThrottled        = 16384
	sharedPrefixBitsIP6 = 64
)

// Throttle bounds tries to sign in, by the client's address and by the name that
// is tried, known or not. Of each it remembers the most recent 16,384. The zero
// Throttle is ready.
type Throttle struct {
	once      sync.Once
	mu        sync.Mutex
	addresses *lru.Cache[throttled, *rate.Limiter]
	names     *lru.Cache[throttled, *rate.Limiter]
}

// throttled is what tries are counted by, hashed: a name may be of any length,
// and now and then is a password.
type throttled [sha256.Size]byte

// Try counts a try, and returns how long to wait where it is one too many; such
// a try costs nothing of either. An empty name counts by the address alone.
func (t *Throttle) Try(now time.Time, address, name string) time.Duration {
	t.once.Do(func() {
		t.addresses, _ = lru.New[throttled, *rate.Limiter](maxThrottled)
		t.names, _ = lru.New[throttled, *rate.Limiter](maxThrottled)
	})
	t.mu.Lock()
	defer t.mu.Unlock()
	limiters := []*rate.Limiter{limiter(t.addresses, network(address), refillByAddress, triesByAddress)}
	if name != "" {
		limiters = append(limiters, limiter(t.names, name, refillByName, triesByName))
	}
	var wait time.Duration
	for _, l := range limiters {
		if l.TokensAt(now) < 1 {
			missing := 1 - l.TokensAt(now)
			wait = max(wait, time.Duration(missing/float64(l.Limit())*float64(time.Second)))
		}
	}
	if wait > 0 {
		return wait
	}
	for _, l := range limiters {
		l.AllowN(now, 1)
	}
	return 0
}

func limiter(of *lru.Cache[throttled, *rate.Limiter], who string, refill time.Duration, tries int) *rate.Limiter {
	key := throttled(sha256.Sum256([]byte(who)))
	l, found := of.Get(key)
	if !found {
		l = rate.NewLimiter(rate.Every(refill), tries)
		of.Add(key, l)
	}
	return l
}

// network is what one client is likely to have of addresses: one of IPv4, a
// network of IPv6. A port, which is another for each connection, does not count.
func network(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		with, err := netip.ParseAddrPort(address)
		if err != nil {
			return address
		}
		a = with.Addr()
	}
	if a = a.Unmap(); a.Is6() {
		p, err := a.WithZone("").Prefix(sharedPrefixBitsIP6)
		if err == nil {
			return p.String()
		}
	}
	return a.String()
}
