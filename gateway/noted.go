package gateway

import (
	"context"
	"encoding/json"
	"math"
	"regexp"
	"slices"
	"time"

	"github.com/promgate/promgate/gateway/cache"
)

// Infos are of a whole range: in one sentence Prometheus tells of all steps on which
// it had something to remark, such as on a quantile of buckets that do not fit
// together for some minutes after a server was replaced. What is kept of a query that
// has infos are the steps before those, in an extent of its own, and the steps after
// them. What lies between is asked for each time as one piece, so that its infos are
// those of the whole range. Where that piece begins and ends is found by asking for
// several at first, where the infos do not tell.

const (
	// notedTime is how long a query is taken to have infos after it had.
	notedTime = time.Hour
	// maxNotedPieces are asked for where infos are looked for, none of which has less
	// than minNotedSteps.
	maxNotedPieces = 8
	minNotedSteps  = 4
	// stepsAfter are asked for after the last piece that has infos. In one of its
	// sentences Prometheus counts in a way that doubles with each further step, until
	// after 64 of them nothing is left of the number. So what is asked for must have as
	// many steps after the last of those as the whole range has, or these.
	stepsAfter = 64
)

// note has the query answered as one that has infos.
func (q *rangeQuery) note() {
	q.extent.Note(q.keeper.now().Add(notedTime))
	q.weigh()
}

// infoTimes finds the times between which Prometheus had something to remark.
var infoTimes = regexp.MustCompile(` from (\d[^ "]*Z) to (\d[^ "]*Z)[ "]`)

// notedIn is the stretch of time that infos are about, in milliseconds, where each of
// them tells.
func notedIn(infos []byte) (s cache.Span, ok bool) {
	var all []string
	if json.Unmarshal(infos[len(`,"infos":`):], &all) != nil {
		return s, false
	}
	s = cache.Span{From: math.MaxInt64, To: math.MinInt64}
	for _, info := range all {
		found := infoTimes.FindStringSubmatch(info)
		if found == nil {
			return s, false
		}
		from, err := time.Parse(time.RFC3339, found[1])
		to, err2 := time.Parse(time.RFC3339, found[2])
		if err != nil || err2 != nil {
			return s, false
		}
		s.From, s.To = min(s.From, from.UnixMilli()), max(s.To, to.UnixMilli()+999) // they are cut to seconds
	}
	return s, len(all) > 0
}

// keepAround keeps of a whole answer with infos what is before and after the steps
// that these are about, if they tell.
func (q *rangeQuery) keepAround(infos []byte, series []cache.Series) {
	if noted, ok := notedIn(infos); ok {
		if last := q.stepBefore(noted.From); last >= q.want.From {
			n := &notedQuery{rangeQuery: q}
			n.openEarly()
			n.addTo(n.early, cache.Span{From: q.want.From, To: last}, cache.Until(series, last))
			n.shelf.Weigh(n.key, n.early)
		}
		if first := q.stepBefore(noted.To+1) + q.step; first < min(q.want.To, q.settled) {
			q.add(cache.Span{From: first, To: q.want.To}, cache.Since(series, first))
		}
	}
	q.note()
}

// stepBefore is the last step before a time.
func (q *rangeQuery) stepBefore(t int64) int64 {
	return t - 1 - mod(t-1-q.want.From, q.step)
}

// notedQuery is a query that has infos.
type notedQuery struct {
	*rangeQuery
	key cache.Key
	// early is what is kept before the steps with infos, and extent what is after.
	early *cache.Extent
	// first, between and last are the pieces that were asked for: before what was held
	// early, before what was held late, and after that.
	first, between, last []*rangePiece
	heldEarly, heldLate  cache.View
	wasEarly, wasLate    bool
	// stretches are all parts of the answer in order: pieces that were asked for, and
	// what was held.
	stretches []*rangePiece
}

// answerNoted is answer for a query that has infos.
func (q *rangeQuery) answerNoted(ctx context.Context) (*Response, error) {
	n := &notedQuery{rangeQuery: q}
	n.openEarly()
	n.plan()
	all := slices.Concat(n.first, n.between, n.last)
	single := func(p *rangePiece) bool { return p.span.From == p.span.To } // see newRangeQuery
	if slices.ContainsFunc(all, single) || len(all) == 0 && q.asks() {
		return bypass(ctx, q.Request, q.next)
	}
	answered := false
	defer func() {
		if !answered {
			q.release(all)
		}
	}()
	if err := q.fetch(ctx, all); err != nil {
		return q.failed(ctx, err, all)
	}
	noted := nothing
	if from, to := n.infos(); from >= 0 {
		noted = n.stretches[from].span
		noted.To = n.stretches[to].span.To
		if from < to || !n.isWhole(n.stretches[to]) {
			whole := &rangePiece{span: cache.Span{From: noted.From, To: min(noted.To+stepsAfter*n.step, n.want.To)}}
			all = append(all, whole)
			if err := q.fetchOne(ctx, whole); err != nil {
				return q.failed(ctx, err, all)
			}
			n.replace(from, whole)
		}
	}
	n.keepNoted(noted)
	resp := n.respond(n.texts(), all, n.wasEarly || n.wasLate)
	answered = true
	return resp, nil
}

// openEarly finds what is kept before the steps with infos.
func (n *notedQuery) openEarly() {
	n.key = cache.KeyOf("early", string(n.rangeQuery.key[:]))
	n.early = n.shelf.Extent(n.key, n.step)
}

// plan finds what is held, and what is to be asked for.
func (n *notedQuery) plan() {
	n.heldLate = n.extent.View(n.want)
	n.wasLate = !n.heldLate.Held.Empty()
	before := n.heldLate.Before
	if !before.Empty() {
		n.heldEarly = n.early.View(before)
		n.wasEarly = !n.heldEarly.Held.Empty()
	}
	if n.wasEarly {
		n.first = n.parts(n.heldEarly.Before)
		before = n.heldEarly.After
	}
	if n.between = n.pieces(before, maxNotedPieces); n.wasLate && n.steps(before) > 0 && n.steps(before) <= stepsAfter {
		n.between = n.pieces(before, 1)
		n.overlap(n.between[0])
	}
	if n.wasLate {
		after := n.heldLate.After
		// What has become settled and is not kept has infos somewhere.
		settled := cache.Span{From: after.From, To: min(after.To, n.settled)}
		if n.steps(settled) > stepsAfter && after.To-settled.To >= 2*n.step {
			n.last = append(n.pieces(settled, maxNotedPieces/2), n.pieces(cache.Span{From: settled.To + n.step, To: after.To}, 1)...)
		} else {
			n.last = n.pieces(after, 1)
		}
	}
	n.stretches = slices.Clone(n.first)
	if n.wasEarly {
		n.stretches = append(n.stretches, &rangePiece{span: n.heldEarly.Held, series: n.heldEarly.Series})
	}
	n.stretches = append(n.stretches, n.between...)
	if n.wasLate {
		n.stretches = append(n.stretches, &rangePiece{span: n.heldLate.Held, series: n.heldLate.Series})
	}
	n.stretches = append(n.stretches, n.last...)
}

// overlap has a piece before what is held late have as many steps of that as it
// needs after its own.
func (n *notedQuery) overlap(p *rangePiece) {
	p.span.To = min(p.span.To+stepsAfter*n.step, n.want.To)
	rest := cache.Span{From: p.span.To + n.step, To: n.heldLate.Held.To}
	if n.steps(rest) < minNotedSteps { // the piece takes in all that comes after
		p.span.To = n.want.To
		n.heldLate, n.wasLate = cache.View{Held: nothing, After: nothing}, false
		return
	}
	n.heldLate.Held, n.heldLate.Series = rest, cache.Since(n.heldLate.Series, rest.From)
}

func (n *notedQuery) steps(s cache.Span) int64 {
	if s.Empty() {
		return 0
	}
	return (s.To-s.From)/n.step + 1
}

// pieces divides a stretch into some of about the same length.
func (n *notedQuery) pieces(s cache.Span, most int64) (all []*rangePiece) {
	for ; most > 0 && !s.Empty(); most-- {
		steps := n.steps(s) / max(min(most, n.steps(s)/minNotedSteps), 1)
		p := &rangePiece{span: cache.Span{From: s.From, To: s.From + (steps-1)*n.step}}
		all = append(all, p)
		s.From = p.span.To + n.step
	}
	return all
}

// infos are the places of the first and the last stretch that has infos; negative:
// none has.
func (n *notedQuery) infos() (from, to int) {
	from, to = -1, -1
	for i, s := range n.stretches {
		if s.infos != nil {
			if to = i; from < 0 {
				from = i
			}
		}
	}
	return from, to
}

// isWhole tells whether a piece has enough steps after those that have infos: it
// lasts to the end of the range, or is all that lies before what is held late.
func (n *notedQuery) isWhole(p *rangePiece) bool {
	return p.span.To == n.want.To || n.wasLate && len(n.between) == 1 && p == n.between[0]
}

// replace has a piece take the place of all within it, from a stretch on.
func (n *notedQuery) replace(from int, whole *rangePiece) {
	after := whole.span.To + n.step
	later := slices.Clone(n.stretches[from:])
	later = slices.DeleteFunc(later, func(p *rangePiece) bool { return p.span.To < after })
	if len(later) > 0 && later[0].span.From < after {
		later[0] = &rangePiece{span: cache.Span{From: after, To: later[0].span.To}, series: cache.Since(later[0].series, after)}
	}
	n.stretches = slices.Concat(n.stretches[:from], []*rangePiece{whole}, later)
}

// texts are those of the answer.
func (n *notedQuery) texts() [][]byte {
	var joined []cache.Joined
	var infos []byte
	for _, s := range n.stretches {
		joined = cache.Join(joined, s.series)
		if s.infos != nil {
			infos = s.infos
		}
	}
	return cache.Texts(joined, infos)
}

// keepNoted keeps what came without infos: noted is the stretch that has all of them.
// What touches what is held is taken in first, and what touches nothing is left out.
func (n *notedQuery) keepNoted(noted cache.Span) {
	none := noted.Empty()
	left := func(p *rangePiece) bool { return none || p.span.To < noted.From }
	right := func(p *rangePiece) bool { return none || p.span.From > noted.To }
	for _, p := range slices.Backward(n.first) {
		if !right(p) {
			break
		}
		n.addTo(n.early, p.span, p.series)
	}
	if n.wasLate && (none || noted.From > n.heldLate.Held.To) {
		for _, p := range slices.Backward(n.between) {
			n.add(p.span, p.series)
		}
	} else {
		n.keepBetween(left, right)
	}
	taken := false
	for _, p := range n.last {
		switch {
		case left(p):
			n.add(p.span, p.series)
		case right(p) && p.span.From <= n.settled:
			// What was held late is before them. Where infos are on both sides of it, it
			// is given up.
			if !taken && noted.From > n.heldLate.Held.To {
				n.early.Take(n.extent)
				taken = true
			}
			n.add(p.span, p.series)
		}
	}
	n.shelf.Weigh(n.key, n.early)
	switch settled := n.steps(cache.Span{From: n.want.From, To: min(n.want.To, n.settled)}); {
	case none:
		n.weigh()
	case 2*n.steps(cache.Span{From: noted.From, To: min(noted.To, n.settled)}) > settled:
		n.avoid() // there is little that has none
	default:
		n.note()
	}
}

// keepBetween keeps pieces on both sides of those that have infos.
func (n *notedQuery) keepBetween(left, right func(*rangePiece) bool) {
	for _, p := range n.between {
		if left(p) {
			n.addTo(n.early, p.span, p.series)
		} else if right(p) && !n.wasLate {
			n.add(p.span, p.series)
		}
	}
	for _, p := range slices.Backward(n.between) {
		if n.wasLate && right(p) {
			n.add(p.span, p.series)
		}
	}
}
