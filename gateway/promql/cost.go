package promql

import (
	"math"

	"github.com/prometheus/prometheus/promql/parser"
)

// defaultStep is what a subquery without one gets: the upstream's evaluation
// interval, which is a minute unless it is configured.
const defaultStep = 60_000

// shape is what an expression's cost follows from. It holds numbers alone, and
// duration expressions, which are numbers too. It follows promql/engine.go, which
// works in milliseconds: so does this, in floats, which do not overflow.
type shape struct {
	// terms are the selectors outside of subqueries. Where there are neither,
	// the expression itself is one: it is evaluated at each point all the same.
	terms int
	// back is how far back those reach that have nothing but literals.
	back float64
	// frames are the subqueries, each after the one that it is in. Those of the
	// same frame, at the same times, are one.
	frames []frame
	reads  []read
}

// frame is a subquery: when what is in it is evaluated. Number 0 is the query.
type frame struct {
	frameTimes
	terms int
}

type frameTimes struct {
	parent int
	// once has it evaluated for one point of the parent, and the result copied.
	once                 bool
	at                   instant
	length, offset, step length
}

// read is a selector.
type read struct {
	frame          int
	at             instant
	length, offset length
}

// instant is what an @ modifier says.
type instant struct {
	kind parser.ItemType // 0: nothing; START, END; AT: the time.
	time int64
}

func instantOf(kind parser.ItemType, at *int64) instant {
	if at != nil {
		return instant{parser.AT, *at}
	}
	return instant{kind, 0}
}

// shapeOf reads a syntax tree, of which it keeps duration expressions.
func shapeOf(expr parser.Expr) shape {
	var s shape
	if !s.add(expr, 0) {
		s.terms = 1
	}
	return s
}

// add adds what is in a frame, and tells whether there was a selector or a
// subquery.
func (s *shape) add(expr parser.Expr, frame int) (found bool) {
	switch e := expr.(type) {
	case *parser.VectorSelector:
		s.read(frame, e, length{})
		return true
	case *parser.MatrixSelector:
		if selector, ok := e.VectorSelector.(*parser.VectorSelector); ok {
			s.read(frame, selector, lengthOf(e.Range, e.RangeExpr))
		}
		return true
	case *parser.SubqueryExpr:
		s.subquery(frame, e, false)
		return true
	case *parser.Call:
		return s.call(frame, e)
	case *parser.AggregateExpr:
		found = s.add(e.Expr, frame)
		if e.Param != nil && s.add(e.Param, frame) {
			found = true
		}
	case *parser.BinaryExpr:
		left, right := s.add(e.LHS, frame), s.add(e.RHS, frame)
		return left || right
	case *parser.UnaryExpr:
		return s.add(e.Expr, frame)
	case *parser.ParenExpr:
		return s.add(e.Expr, frame)
	}
	return found
}

func (s *shape) call(frame int, e *parser.Call) (found bool) {
	for i, arg := range e.Args {
		if subquery, ok := unwrapped(arg).(*parser.SubqueryExpr); ok {
			s.subquery(frame, subquery, isInvariant(subquery) && isInvariant(e))
			found = true
		} else if s.add(e.Args[i], frame) {
			found = true
		}
	}
	if e.Func.Name == "info" && len(e.Args) == 1 {
		s.count(frame) // It selects target_info as well.
		found = true
	}
	return found
}

func (s *shape) count(frame int) {
	if frame == 0 {
		s.terms++
	} else {
		s.frames[frame-1].terms++
	}
}

func (s *shape) read(frame int, e *parser.VectorSelector, window length) {
	s.count(frame)
	r := read{frame, instantOf(e.StartOrEnd, e.Timestamp), window, lengthOf(e.OriginalOffset, e.OriginalOffsetExpr)}
	if r.length.expr != nil || r.offset.expr != nil {
		s.reads = append(s.reads, r)
		return
	}
	fixed := r.length.fixed + r.offset.fixed
	if frame == 0 && r.at.kind == 0 {
		s.back = max(s.back, fixed)
		return
	}
	r.length.fixed, r.offset.fixed = 0, fixed
	for i := range s.reads[max(0, len(s.reads)-maxCompared):] {
		known := &s.reads[len(s.reads)-1-i]
		if known.frame == frame && known.at == r.at && known.length.expr == nil && known.offset.expr == nil {
			known.offset.fixed = max(known.offset.fixed, fixed)
			return
		}
	}
	s.reads = append(s.reads, r)
}

// maxCompared is with how many others each is compared, so that building does
// not take quadratic time.
const maxCompared = 16

func (s *shape) subquery(parent int, e *parser.SubqueryExpr, once bool) {
	times := frameTimes{
		parent, once, instantOf(e.StartOrEnd, e.Timestamp),
		lengthOf(e.Range, e.RangeExpr), lengthOf(e.OriginalOffset, e.OriginalOffsetExpr), lengthOf(e.Step, e.StepExpr),
	}
	number := 0
	for i := len(s.frames); i > max(0, len(s.frames)-maxCompared) && number == 0; i-- {
		if s.frames[i-1].frameTimes == times {
			number = i
		}
	}
	if number == 0 {
		s.frames = append(s.frames, frame{frameTimes: times})
		number = len(s.frames)
	}
	if !s.add(e.Expr, number) {
		s.count(number)
	}
}

func unwrapped(expr parser.Expr) parser.Expr {
	for {
		paren, ok := expr.(*parser.ParenExpr)
		if !ok {
			return expr
		}
		expr = paren.Expr
	}
}

// placed is when a frame is evaluated: at so many points, the first of them back
// before the span's start.
type placed struct{ points, interval, back float64 }

// cost is what the expression asks for over a span. It counts what the engine
// evaluates, or more: a selector with @ at each point, although it is evaluated
// once and copied. A subquery is evaluated over all of its windows together,
// whose steps are aligned upwards, so that none reaches further back.
func (s *shape) cost(at Span) Cost {
	span := newSpanTimes(at)
	back, evaluations := s.back, float64(s.terms)*span.points
	var few [8]placed
	known := append(few[:0], placed{span.points, span.step, 0})
	for i := range s.frames {
		f := &s.frames[i]
		parent := known[f.parent]
		if f.once {
			parent.points = 1
		}
		length, step := f.length.value(&span, false), f.step.value(&span, false)
		if step == 0 {
			step = defaultStep
		}
		step = max(1, step)
		here := placed{
			points:   max(1, math.Ceil(((parent.points-1)*parent.interval+length)/step)),
			interval: step,
			back:     f.at.back(&span, parent.back) + length + f.offset.value(&span, true),
		}
		known = append(known, here)
		evaluations += float64(f.terms) * here.points
	}
	for i := range s.reads {
		r := &s.reads[i]
		back = max(back, r.at.back(&span, known[r.frame].back)+r.length.value(&span, false)+r.offset.value(&span, true))
	}
	return Cost{Lookback: duration(back), Evaluations: integer(evaluations)}
}

// back is how far before the span's start the time is that @ tells, or else the
// frame.
func (i instant) back(span *spanTimes, frame float64) float64 {
	switch i.kind {
	case parser.START:
		return 0
	case parser.END:
		return -span.length
	case parser.AT:
		return span.start - float64(i.time)
	}
	return frame
}

// isInvariant tells whether the engine evaluates an expression for one point
// alone, as preprocessExprHelper has it: then subqueries in it do not grow with
// the query's range.
func isInvariant(expr parser.Expr) bool {
	switch e := expr.(type) {
	case *parser.VectorSelector:
		return e.Timestamp != nil || e.StartOrEnd != 0
	case *parser.MatrixSelector:
		return isInvariant(e.VectorSelector)
	case *parser.SubqueryExpr:
		return e.Timestamp != nil || e.StartOrEnd != 0
	case *parser.Call:
		switch e.Func.Name {
		case "time", "timestamp", "predict_linear", "minute", "hour", "day_of_week", "day_of_month", "day_of_year", "days_in_month", "month", "year":
			return false
		}
		for _, arg := range e.Args {
			if !isInvariant(arg) {
				return false
			}
		}
		return true
	case *parser.AggregateExpr:
		return isInvariant(e.Expr)
	case *parser.BinaryExpr:
		return isInvariant(e.LHS) && isInvariant(e.RHS)
	case *parser.UnaryExpr:
		return isInvariant(e.Expr)
	case *parser.ParenExpr:
		return isInvariant(e.Expr)
	}
	return true // Numbers and strings.
}
