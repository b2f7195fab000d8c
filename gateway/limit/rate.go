package limit

import (
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Rate allows so many requests per second on average, and a burst of them at
// once after a rest.
type Rate struct {
	mu     sync.Mutex
	tokens *rate.Limiter
	// latest is the latest instant seen. Callers read the clock before they get
	// here, so instants come out of order; each step back would be paid twice.
	latest time.Time
}

// NewRate makes a full one. Both numbers must be positive.
func NewRate(perSecond float64, burst int) *Rate {
	return &Rate{tokens: rate.NewLimiter(rate.Limit(perSecond), burst)}
}

// Allow takes one token, or tells after how long one will be there. Who is
// refused takes nothing, so asking too often does not make the wait longer.
func (r *Rate) Allow(now time.Time) (wait time.Duration, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Before(r.latest) {
		now = r.latest
	}
	r.latest = now
	if r.tokens.AllowN(now, 1) {
		return 0, true
	}
	missing := 1 - r.tokens.TokensAt(now)
	nanoseconds := math.Ceil(missing / float64(r.tokens.Limit()) * float64(time.Second))
	if nanoseconds >= math.MaxInt64 {
		return math.MaxInt64, false
	}
	return time.Duration(nanoseconds), false
}

// Used is the share of the burst that is used up now: 0 after a rest, 1 when
// none of it is left.
func (r *Rate) Used() float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if now.Before(r.latest) {
		now = r.latest
	}
	return 1 - r.tokens.TokensAt(now)/float64(r.tokens.Burst())
}
