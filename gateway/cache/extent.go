package cache

import (
	"slices"
	"sync"
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
	bytes  int64
}

// seriesOverhead is what a series costs beside its text, in bytes.
const seriesOverhead = 96

// NewExtent makes one for steps of so many milliseconds.
func NewExtent(step int64) *Extent {
	return &Extent{step: step, span: Span{0, -1}}
}

// Bytes is about what the extent holds in memory.
func (e *Extent) Bytes() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.bytes
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
func (e *Extent) Add(span Span, piece []Series) {
	if span.Empty() {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.span.Empty() || span.From > e.span.To+e.step:
		e.span, e.series = span, nil
		e.append(piece)
	case span.To < e.span.From-e.step:
		return
	default:
		if before := (Span{span.From, min(span.To, e.span.From-e.step)}); !before.Empty() {
			e.prepend(within(piece, before, span))
			e.span.From = before.From
		}
		if after := (Span{max(span.From, e.span.To+e.step), span.To}); !after.Empty() {
			e.append(within(piece, after, span))
			e.span.To = after.To
		}
	}
	e.count()
}

// Forget drops what is earlier than a time. The lock is not held.
func (e *Extent) Forget(before int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.span.Empty() || before <= e.span.From {
		return
	}
	steps := (before - e.span.From + e.step - 1) / e.step
	keep := Span{e.span.From + steps*e.step, e.span.To}
	if keep.Empty() {
		e.span, e.series, e.bytes = Span{0, -1}, nil, 0
		return
	}
	kept := within(e.series, keep, e.span)
	for i := range kept {
		kept[i] = kept[i].clone() // so that the text before is freed
	}
	e.span, e.series = keep, kept
	e.count()
}

func (e *Extent) count() {
	e.bytes = 0
	for _, s := range e.series {
		e.bytes += int64(len(s.Metric)+cap(s.Values)+cap(s.Histograms)) + seriesOverhead
	}
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
	return append(append(held, ','), samples...)
}

// before makes new text of samples and those that are held.
func before(samples, held []byte) []byte {
	switch {
	case len(samples) == 0:
		return held
	case len(held) == 0:
		return slices.Clone(samples)
	}
	text := make([]byte, 0, len(samples)+1+len(held))
	return append(append(append(text, samples...), ','), held...)
}
