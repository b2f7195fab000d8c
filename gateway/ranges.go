package gateway

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/promgate/promgate/gateway/cache"
	"github.com/promgate/promgate/gateway/promql"
)

// rangeEndpoint is the endpoint whose answers are kept point by point.
const rangeEndpoint = "query_range"

// avoidTime is how long a query is passed through whose answer could not be kept:
// because of warnings, its form or its length.
const avoidTime = 5 * time.Minute

// rangeQuery is a range query that can be answered point by point.
type rangeQuery struct {
	*Request
	next   stage
	shelf  *cache.Shelf
	key    cache.Key
	extent *cache.Extent
	// want are its steps; step is in milliseconds.
	want cache.Span
	step int64
	// settled is the time of the last step that may be kept.
	settled int64
}

// ranged answers range queries from what is kept of earlier ones, and asks next for
// the rest. No point is made up: each is one that the upstream evaluated at that
// very time.
func (g *Gateway) ranged(next stage) stage {
	return func(ctx context.Context, req *Request) (*Response, error) {
		if req.endpoint.Name != rangeEndpoint {
			return next(ctx, req)
		}
		q := newRangeQuery(req, next)
		if q == nil {
			return bypass(ctx, req, next)
		}
		if q.extent.Noted(req.keeper.now()) {
			return q.answerNoted(ctx)
		}
		return q.answer(ctx)
	}
}

// bypass passes a request on as it is.
func bypass(ctx context.Context, req *Request, next stage) (*Response, error) {
	resp, err := next(ctx, req)
	if err == nil {
		resp.outcome = outcomeBypass
	}
	return resp, err
}

// Times between which range queries are kept, in milliseconds: others are written
// in more than one way.
const (
	minKept = 0
	maxKept = 1 << 47 // in the year 6429
)

// newRangeQuery returns nil where the answer depends on more than each point's own
// time, or where nothing of it would be kept.
func newRangeQuery(req *Request, next stage) *rangeQuery {
	p := req.params
	if p.get("stats") != "" || p.get("limit") != "" && p.get("limit") != "0" || p.step%time.Millisecond != 0 {
		return nil
	}
	q := &rangeQuery{Request: req, next: next, step: p.step.Milliseconds()}
	start, end := p.start.UnixMilli(), p.end.UnixMilli()
	// A range that ends where it starts is in places evaluated as an instant is, with
	// other results.
	if start < minKept || end > maxKept || q.step <= 0 || end <= start {
		return nil
	}
	phase := start % q.step
	q.want = cache.Span{From: start, To: start + (end-start)/q.step*q.step}
	settled := req.keeper.now().Add(-req.keeper.Freshness).UnixMilli()
	q.settled = settled - mod(settled-phase, q.step)
	timing := p.query.Timing()
	if timing.Whole || timing.Ahead || timing.Fixed.UnixMilli() > settled && !timing.Fixed.IsZero() || q.settled < q.want.From {
		return nil
	}
	q.key = cache.KeyOf(req.scope, rangeEndpoint, p.query.Text(),
		strconv.FormatInt(q.step, 36), strconv.FormatInt(phase, 36), strconv.FormatInt(int64(p.lookback), 36))
	q.shelf = req.keeper.store.Open(ownerOf(req.environment))
	q.extent = q.shelf.Extent(q.key, q.step)
	if q.extent.Avoided(req.keeper.now()) {
		return nil
	}
	return q
}

func mod(a, b int64) int64 { return ((a % b) + b) % b }

// answer makes the answer of what is kept and what is not.
func (q *rangeQuery) answer(ctx context.Context) (*Response, error) {
	view := q.view()
	if view.Held.Empty() {
		if len(q.split(q.want)) == 1 {
			return q.ask(ctx)
		}
	}
	return q.join(ctx, view)
}

// nothing is no step at all.
var nothing = cache.Span{From: 0, To: -1}

// view is what is kept. Where the upstream has to be asked each time, the last steps
// are left to it.
func (q *rangeQuery) view() cache.View {
	v := q.extent.View(q.want)
	if v.Held.Empty() {
		return v
	}
	held := v.Held
	if q.asks() && v.Before.Empty() && v.After.Empty() {
		held.To -= q.step
	}
	// Nothing is asked for one step alone: see newRangeQuery.
	if !v.Before.Empty() && v.Before.From == v.Before.To {
		held.From += q.step
	}
	if last := held.To + q.step; last == q.want.To {
		held.To -= q.step
	}
	switch {
	case held == v.Held:
		return v
	case held.Empty():
		return cache.View{Held: nothing, Before: q.want, After: nothing}
	}
	part := q.extent.View(held)
	if part.Held != held { // somebody else's answer took its place
		return cache.View{Held: nothing, Before: q.want, After: nothing}
	}
	part.Before = cache.Span{From: q.want.From, To: held.From - q.step}
	part.After = cache.Span{From: held.To + q.step, To: q.want.To}
	return part
}

// ask passes the whole question on, and keeps of the answer what is settled.
func (q *rangeQuery) ask(ctx context.Context) (*Response, error) {
	here := q.here("")
	resp, err := q.next(ctx, here)
	q.record.upstream = here.record.upstream
	if err != nil {
		return nil, err
	}
	resp.outcome, resp.ours = outcomeMiss, true
	if resp.status != http.StatusOK {
		return resp, nil
	}
	resp.collect(q.keeper, q.keeper.maxAnswer(), q.keep)
	return resp, nil
}

// keep keeps what is settled of a whole answer.
func (q *rangeQuery) keep(body []byte) {
	series, infos, err := cache.ScanInfos(body, nil)
	switch {
	case err != nil || !cache.Valid(series, q.want):
		q.avoid()
	case infos != nil:
		q.keepAround(infos, series)
	case !q.add(q.want, series):
		q.avoid()
	default:
		q.weigh()
	}
}

// add keeps the settled part of a piece. False tells that there is not enough room
// for it to be of use.
func (q *rangeQuery) add(span cache.Span, series []cache.Series) bool {
	return q.addTo(q.extent, span, series)
}

func (q *rangeQuery) addTo(e *cache.Extent, span cache.Span, series []cache.Series) bool {
	if span.To > q.settled {
		span.To = q.settled
		series = cache.Until(series, q.settled)
	}
	return e.Add(span, series)
}

func (q *rangeQuery) weigh() { q.shelf.Weigh(q.key, q.extent) }

// avoid has the query passed through for some time.
func (q *rangeQuery) avoid() {
	q.extent.Avoid(q.keeper.now().Add(avoidTime))
	q.weigh()
}

// Bounds of splitting a long question.
const (
	wholeDay = 24 * int64(time.Hour/time.Millisecond)
	// minPieceSteps is how many steps make a piece worth asking for alone.
	minPieceSteps = 200
)

// split divides a long stretch at midnights (UTC), so that its pieces can be asked
// for at the same time. A piece is no shorter than what it reads before its start:
// else the upstream would read most of it again and again.
func (q *rangeQuery) split(s cache.Span) (spans []cache.Span) {
	if s.Empty() {
		return nil
	}
	lookback := q.params.query.Cost(promql.Span{Start: time.UnixMilli(s.From), End: time.UnixMilli(s.To), Step: q.params.step}).Lookback
	length := max(wholeDay, lookback.Milliseconds(), minPieceSteps*q.step)
	length = int64(math.Ceil(float64(length)/float64(wholeDay))) * wholeDay
	for s.To-s.From > length {
		// The boundary after the second step: nothing is asked for one step alone.
		midnight := ((s.From+q.step)/length + 1) * length
		last := s.From + (midnight-1-s.From)/q.step*q.step
		if last+q.step >= s.To {
			break
		}
		spans = append(spans, cache.Span{From: s.From, To: last})
		s.From = last + q.step
	}
	return append(spans, s)
}
