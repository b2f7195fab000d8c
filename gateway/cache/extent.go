package cache

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// Span is a range of steps: the first and the last one, in milliseconds.
type Span struct{ From, To int64 }

// Extent holds what is settled of one query: all its points at the steps of one
// stretch of time. It is safe for concurrent use. Make it with NewExtent.
type Extent struct {
	step int64

	mu sync.Mutex
	// span is what is held; nothing where it ends before it begins.
	span   Span
	series []Series // in Prometheus' order; text is only ever appended to it
	// packed is the text of all series, which have none then; nil: nothing is packed.
	packed *block
	// changed since it was last tried to pack it.
	changed bool
	// asked is the earliest first step that was asked for in this turn and in the
	// one before; never: none was.
	asked [2]int64

	// bytes is about what is held in memory, and limit what it may come to; 0: no
	// limit. avoid is until when the query is to be asked directly, noted until when
	// its answers are taken to carry infos, and used when it was last asked for, all in
	// nanoseconds of Unix time.
	bytes, limit, avoid, noted, used atomic.Int64
}

const (
	// seriesOverhead is what a series costs beside its text, in bytes: its place in
	// the list.
	seriesOverhead = int64(unsafe.Sizeof(Series{}))
	never          = math.MaxInt64
)

// NewExtent makes one for steps of so many milliseconds.
func NewExtent(step int64) *Extent {
	return &Extent{step: step, span: Span{0, -1}, asked: [2]int64{never, never}}
}

// Bytes is about what the extent holds in memory.
func (e *Extent) Bytes() int64 { return e.bytes.Load() }

// Avoid marks the query as one whose answers cannot be kept: it is to be asked
// directly until a time. What was held is dropped.
func (e *Extent) Avoid(until time.Time) {
	e.avoid.Store(until.UnixNano())
	e.mu.Lock()
	defer e.mu.Unlock()
	e.empty()
}

// Avoided tells whether the query is to be asked directly, as Avoid said.
func (e *Extent) Avoided(now time.Time) bool { return now.UnixNano() < e.avoid.Load() }

// Note marks the query as one whose answers carry infos, until a time.
func (e *Extent) Note(until time.Time) { e.noted.Store(until.UnixNano()) }

// Noted tells whether the query's answers are taken to carry infos, as Note said.
func (e *Extent) Noted(now time.Time) bool { return now.UnixNano() < e.noted.Load() }

// Take has the extent hold what another one holds, which then holds nothing.
func (e *Extent) Take(other *Extent) {
	other.mu.Lock()
	span, series, packed := other.span, other.series, other.packed
	other.empty()
	other.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.span, e.series, e.packed, e.changed = span, series, packed, true
	e.count()
}

// View is what an extent holds of a request, and what is missing before and
// after it. It stays as it is while others add to the extent.
type View struct {
	// Held is the stretch that Series are of; nothing where it ends before it
	// begins.
	Held   Span
	Series []Series
	// Before and After are what is missing; nothing where they end before they
	// begin.
	Before, After Span
}

// Empty tells whether a span has no step.
func (s Span) Empty() bool { return s.To < s.From }

// View finds what is held of a request's steps. The request's first step must be
// of the extent's phase, and its last one too.
func (e *Extent) View(want Span) View {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked[0] = min(e.asked[0], want.From)
	e.unpack()
	held := Span{max(want.From, e.span.From), min(want.To, e.span.To)}
	if e.span.Empty() || held.Empty() {
		return View{Held: Span{0, -1}, Before: want, After: Span{0, -1}}
	}
	v := View{Held: held, Before: Span{want.From, held.From - e.step}, After: Span{held.To + e.step, want.To}}
	v.Series = make([]Series, 0, len(e.series))
	for _, s := range e.series {
		part := Series{Metric: s.Metric, Values: cut(s.Values, held, e.span), Histograms: cut(s.Histograms, held, e.span)}
		if len(part.Values) > 0 || len(part.Histograms) > 0 {
			v.Series = append(v.Series, part)
		}
	}
	return v
}

// cut is the part of samples within a span.
func cut(samples []byte, want, have Span) []byte {
	if len(samples) > 0 && want.From > have.From {
		samples = from(samples, want.From)
	}
	if len(samples) > 0 && want.To < have.To {
		samples = until(samples, want.To)
	}
	return samples[:len(samples):len(samples)]
}

// Add takes in a piece, whose series are in Prometheus' order. What is held
// already of its steps stays as it is. A piece that does not touch what is held
// takes its place where it is later, and is left out where it is earlier.
//
// Where there is more than the extent may hold, it keeps the newest. False tells
// that this was too little to be of use: then nothing is held, and the query had
// better be avoided.
func (e *Extent) Add(span Span, piece []Series) bool {
	if span.Empty() {
		return true
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.unpack()
	e.changed = true
	switch {
	case e.span.Empty() || span.From > e.span.To+e.step:
		e.empty()
		useful := span.steps(e.step) / 8
		if e.span, piece = e.newest(span, piece, e.room()); e.span.steps(e.step) < useful || e.span.Empty() {
			e.span = Span{0, -1}
			return false
		}
		e.append(piece)
	case span.To < e.span.From-e.step:
		return true
	default:
		if after := (Span{max(span.From, e.span.To+e.step), span.To}); !after.Empty() {
			e.append(within(piece, after, span))
			e.span.To = after.To
			e.count()
		}
		if before := (Span{span.From, min(span.To, e.span.From-e.step)}); !before.Empty() {
			if before, part := e.newest(before, within(piece, before, span), e.room()-e.Bytes()); !before.Empty() {
				e.prepend(part)
				e.span.From = before.From
			}
		}
	}
	e.count()
	return e.fit()
}

// Forget drops what is earlier than a time, in milliseconds.
func (e *Extent) Forget(before int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.forget(before)
}

func (e *Extent) forget(before int64) {
	if e.span.Empty() || before <= e.span.From {
		return
	}
	e.unpack()
	steps := (before - e.span.From + e.step - 1) / e.step
	keep := Span{e.span.From + steps*e.step, e.span.To}
	if keep.Empty() {
		e.empty()
		return
	}
	e.keep(keep, within(e.series, keep, e.span))
}

// keep holds no more than a part of what is held.
func (e *Extent) keep(span Span, part []Series) {
	kept := make([]Series, len(part))
	for i := range part {
		kept[i] = part[i].clone() // so that the text before is freed
	}
	e.span, e.series, e.changed = span, kept, true
	e.count()
}

// empty drops everything.
func (e *Extent) empty() {
	e.span, e.series, e.packed = Span{0, -1}, nil, nil
	e.bytes.Store(0)
}

// room is how much the extent may come to when a piece is taken in, so that there
// is some left for what is newer.
func (e *Extent) room() int64 {
	if limit := e.limit.Load(); limit > 0 {
		return limit - limit/8
	}
	return never
}

// fit drops what is oldest where the extent is larger than it may be. False: there
// is nothing left.
func (e *Extent) fit() bool {
	limit := e.limit.Load()
	if limit <= 0 || e.Bytes() <= limit {
		return true
	}
	e.unpack()
	// Some more than need be, so that it is not done each time.
	if span, part := e.newest(e.span, e.series, limit-limit/4); !span.Empty() {
		e.keep(span, part)
	}
	if e.Bytes() > limit {
		e.empty()
		return false
	}
	return true
}

// newest is as much of the end of a piece as there is room for, in bytes.
func (e *Extent) newest(span Span, piece []Series, room int64) (Span, []Series) {
	for tries := 0; tries < 4 && room > 0; tries++ { // label sets do not get shorter: it may be that nothing fits
		size := int64(0)
		for _, s := range piece {
			size += int64(len(s.Metric)+len(s.Values)+len(s.Histograms)) + seriesOverhead
		}
		if size <= room {
			return span, piece
		}
		steps := int64(float64(span.steps(e.step)) * float64(room) / float64(size))
		newer := Span{span.To - (steps-1)*e.step, span.To}
		if newer.Empty() {
			break
		}
		span, piece = newer, within(piece, newer, span)
	}
	return Span{0, -1}, nil
}

// steps is how many steps a span has.
func (s Span) steps(step int64) int64 {
	if s.Empty() {
		return 0
	}
	return (s.To-s.From)/step + 1
}

// count takes the weight of what is held anew.
func (e *Extent) count() {
	bytes := int64(cap(e.series)) * seriesOverhead
	for _, s := range e.series {
		bytes += int64(cap(s.Metric) + cap(s.Values) + cap(s.Histograms))
	}
	if e.packed != nil {
		bytes += e.packed.bytes()
	}
	e.bytes.Store(bytes)
}

// within is the part of series within a span, without those that have none there.
func within(series []Series, want, have Span) []Series {
	if want == have {
		return series
	}
	part := make([]Series, 0, len(series))
	for _, s := range series {
		s.Values, s.Histograms = cut(s.Values, want, have), cut(s.Histograms, want, have)
		if len(s.Values) > 0 || len(s.Histograms) > 0 {
			part = append(part, s)
		}
	}
	return part
}

// append adds samples that are later than all that is held.
func (e *Extent) append(piece []Series) {
	e.merge(piece, func(held *Series, s Series) {
		held.Values, held.Histograms = after(held.Values, s.Values), after(held.Histograms, s.Histograms)
	})
}

// prepend adds samples that are earlier than all that is held.
func (e *Extent) prepend(piece []Series) {
	e.merge(piece, func(held *Series, s Series) {
		held.Values, held.Histograms = before(s.Values, held.Values), before(s.Histograms, held.Histograms)
	})
}

// merge joins a piece's series with those that are held. Readers have slices of
// both: the list of series is a new one, and their text is only appended to.
func (e *Extent) merge(piece []Series, join func(held *Series, s Series)) {
	merged := make([]Series, 0, max(len(e.series), len(piece)))
	i := 0
	for _, s := range piece {
		order := 1
		for i < len(e.series) {
			if order = compare(e.series[i].Metric, s.Metric); order >= 0 {
				break
			}
			merged = append(merged, e.series[i])
			i++
		}
		if i < len(e.series) && order == 0 {
			held := e.series[i]
			join(&held, s)
			merged = append(merged, held)
			i++
			continue
		}
		merged = append(merged, s.clone())
	}
	e.series = append(merged, e.series[i:]...)
}

// clone copies the text out of the answer that it is a part of.
func (s Series) clone() Series {
	return Series{slices.Clone(s.Metric), slices.Clone(s.Values), slices.Clone(s.Histograms)}
}

// after appends samples to those that are held. What readers hold is before.
func after(held, samples []byte) []byte {
	switch {
	case len(samples) == 0:
		return held
	case len(held) == 0:
		return slices.Clone(samples)
	}
	if size := len(held) + 1 + len(samples); size > cap(held) {
		held = append(slices.Grow([]byte(nil), size+spare(size)), held...)
	}
	return append(append(held, ','), samples...)
}

// spare is how much more than there is in a text it gets room for, in bytes: it is
// copied now and then instead of with every sample, and wastes little.
func spare(size int) int { return size / 16 }

// before makes new text of samples and those that are held.
func before(samples, held []byte) []byte {
	switch {
	case len(samples) == 0:
		return held
	case len(held) == 0:
		return slices.Clone(samples)
	}
	text := slices.Grow([]byte(nil), len(samples)+1+len(held))
	return append(append(append(text, samples...), ','), held...)
}
