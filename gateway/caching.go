package gateway

import (
	"context"
	"io"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/promgate/promgate/gateway/cache"
	"github.com/promgate/promgate/routing"
)

// Cache is what is kept of answers.
type Cache struct {
	// MaxBytes bounds all that is kept. 0: nothing is kept, and nothing is shared.
	MaxBytes int64
	// Freshness is how long ago a point of a range query must be for it to be kept:
	// later ones may still change, and are asked for again each time.
	Freshness time.Duration
}

// outcome is what became of a request in the cache, as X-Promgate-Cache tells it.
type outcome string

const (
	outcomeHit     outcome = "hit"     // all of it was kept
	outcomePartial outcome = "partial" // a part was kept, the rest was asked for
	outcomeMiss    outcome = "miss"    // all of it was asked for, and what can be kept is now
	outcomeBypass  outcome = "bypass"  // it is not for the cache
)

// keeper is the cache as it is configured.
type keeper struct {
	Cache
	store *cache.Store
	now   func() time.Time
	// held are the bytes of answers that are being put together, beside what is kept.
	held atomic.Int64
}

// SetCache replaces what is configured of the cache. What is kept stays, as far as
// there is room.
func (g *Gateway) SetCache(c Cache) {
	g.store.Resize(c.MaxBytes)
	g.keeper.Store(&keeper{Cache: c, store: g.store, now: g.now})
}

// DropCache drops what is kept of an environment, of a project (no environment is
// named) or of all (no project is named), and returns how many entries it were.
// found tells whether there is such a project or environment.
func (g *Gateway) DropCache(project, environment string) (entries int, found bool) {
	if project == "" {
		return g.store.Forget(cache.Owner{}), true
	}
	for e := range g.routes.Load().Project(project) {
		if environment == "" {
			return g.store.Forget(cache.Owner{Project: e.Project.UID}), true
		}
		if e.Name == environment {
			return g.store.Forget(ownerOf(e)), true
		}
	}
	return 0, false
}

// TendCache does what the cache needs now and then. It is to be called every some
// seconds.
func (g *Gateway) TendCache(now time.Time) { g.store.Tend(now) }

// cached has the answers of next kept, and questions under way shared, where the
// environment has that.
func (g *Gateway) cached(next stage) stage {
	kept := g.coalesced(g.compressed(g.ranged(g.brief(next))))
	return func(ctx context.Context, req *Request) (*Response, error) {
		k := g.keeper.Load()
		switch {
		case k.MaxBytes == 0:
			return next(ctx, req)
		case req.environment.NoCache && isKept(req.endpoint):
			return bypass(ctx, req, next)
		case req.environment.NoCache:
			return next(ctx, req)
		}
		req.keeper, req.scope = k, scopeOf(req)
		req.deadline = time.Now().Add(g.limits.Load().RequestTimeout)
		return kept(ctx, req)
	}
}

// isKept tells whether answers of an endpoint are kept at all.
func isKept(e *Endpoint) bool { return e.Name == rangeEndpoint || briefEndpoints[e.Name] }

// scopeOf is equal for requests that may have each other's answers: those of the
// same standing, and, where callers ask with their own credentials, with the same
// one.
func scopeOf(req *Request) string {
	if req.environment.Target.Caller == nil {
		return req.standing.scope
	}
	key := cache.KeyOf("caller", req.standing.scope, req.caller.Secret())
	return string(key[:])
}

// asks tells whether the upstream must be asked something each time, because it is
// the one that decides on callers.
func (req *Request) asks() bool { return req.environment.Target.Caller != nil }

// here is the same request with its answer uncompressed, to be put together here.
func (req *Request) here(query string) *Request {
	own, record := *req, *req.record
	own.record, own.gzip = &record, false
	if query != "" {
		own.enforced.query = query
	}
	return &own
}

// collector keeps a body while it passes, up to a number of bytes, and hands it over
// once it has come to its end as its sender meant it.
type collector struct {
	source io.Reader
	keeper *keeper
	limit  int
	body   []byte
	over   bool
	done   func(body []byte)
}

// collect has done called with the whole body, up to a number of bytes, before its
// reader sees the end of it.
func (r *Response) collect(k *keeper, limit int, done func(body []byte)) {
	c := &collector{source: r.body, keeper: k, limit: limit, done: done}
	r.body = c
	r.onClose(c.drop)
}

// Read is part of io.Reader.
func (c *collector) Read(p []byte) (int, error) {
	n, err := c.source.Read(p)
	if n > 0 && !c.over {
		c.add(p[:n])
	}
	if err == io.EOF && !c.over {
		c.done(c.body)
		c.drop()
	}
	return n, err
}

func (c *collector) add(text []byte) {
	if len(c.body)+len(text) > c.limit || !c.keeper.hold(len(text)) {
		c.drop()
		return
	}
	c.body = append(c.body, text...)
}

// drop gives up the body, if it is still there.
func (c *collector) drop() {
	c.keeper.held.Add(-int64(len(c.body)))
	c.body, c.over = nil, true
}

// maxHeldShare is the share of the cache's bytes that answers which are being put
// together may take in addition to it.
const maxHeldShare = 4

// maxAnswer is the longest answer that is kept, in bytes: no query takes more than
// a small part of the cache.
func (k *keeper) maxAnswer() int { return int(k.MaxBytes / 16) }

func ownerOf(e *routing.Environment) cache.Owner {
	return cache.Owner{Project: e.Project.UID, Environment: e.UID}
}

// hold takes so many bytes for an answer that is being put together.
func (k *keeper) hold(n int) bool {
	if k.held.Add(int64(n)) <= k.MaxBytes/maxHeldShare {
		return true
	}
	k.held.Add(-int64(n))
	return false
}

// kept tells how much is kept. It looks when it is asked.
type kept struct{ g *Gateway }

var (
	keptBytes = prometheus.NewDesc("promgate_cache_bytes",
		"Memory of what is kept of answers, by project.", []string{"project"}, nil)
	keptEntries = prometheus.NewDesc("promgate_cache_entries",
		"Queries of which answers are kept, by project.", []string{"project"}, nil)
	keptLimit = prometheus.NewDesc("promgate_cache_limit_bytes",
		"Memory that answers may take which are kept (cache.maxBytes).", nil, nil)
)

// Describe and Collect make kept a prometheus.Collector.
func (k kept) Describe(ch chan<- *prometheus.Desc) {
	ch <- keptBytes
	ch <- keptEntries
	ch <- keptLimit
}

func (k kept) Collect(ch chan<- prometheus.Metric) {
	names := map[string]string{}
	for e := range k.g.routes.Load().All() {
		names[e.Project.UID] = e.Project.Name
	}
	bytes, entries := map[string]int64{}, map[string]int64{}
	for _, u := range k.g.store.Use() {
		// Of a project that is gone nothing is told, and soon nothing is kept.
		if name, found := names[u.Project]; found {
			bytes[name] += u.Bytes
			entries[name] += int64(u.Entries)
		}
	}
	for name := range bytes {
		ch <- prometheus.MustNewConstMetric(keptBytes, prometheus.GaugeValue, float64(bytes[name]), name)
		ch <- prometheus.MustNewConstMetric(keptEntries, prometheus.GaugeValue, float64(entries[name]), name)
	}
	ch <- prometheus.MustNewConstMetric(keptLimit, prometheus.GaugeValue, float64(k.g.keeper.Load().MaxBytes))
}
