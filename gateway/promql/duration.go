package promql

import (
	"math"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
)

// spanTimes is a span in milliseconds.
type spanTimes struct{ start, length, step, points float64 }

func newSpanTimes(at Span) spanTimes {
	s := spanTimes{start: float64(at.Start.UnixMilli()), points: 1}
	s.length = max(0, float64(at.End.UnixMilli())-s.start)
	if at.Step > 0 {
		s.step = max(1, milliseconds(at.Step))
		s.points = math.Floor(s.length/s.step) + 1
	}
	return s
}

// length is a duration: a number of milliseconds, or an expression that depends
// on the span.
type length struct {
	fixed float64
	expr  *parser.DurationExpr
}

func lengthOf(fixed time.Duration, expr *parser.DurationExpr) length {
	return length{milliseconds(fixed), expr}
}

// value is 0 where the upstream refuses the expression.
func (l length) value(span *spanTimes, negative bool) float64 {
	if l.expr == nil {
		return l.fixed
	}
	seconds, ok := evaluate(l.expr, span)
	const most = 1 << 63 / 1e9
	if !ok || math.IsNaN(seconds) || seconds > most || seconds < -most || seconds <= 0 && !negative {
		return 0
	}
	return math.Trunc(seconds * 1000)
}

// evaluate follows evaluateDurationExpr of promql/durations.go: the result is in
// seconds.
func evaluate(expr parser.Expr, span *spanTimes) (seconds float64, ok bool) {
	switch e := expr.(type) {
	case *parser.NumberLiteral:
		return e.Val, true
	case *parser.DurationExpr:
		left, right := 0.0, 0.0
		if e.LHS != nil {
			if left, ok = evaluate(e.LHS, span); !ok {
				return 0, false
			}
		}
		if e.RHS != nil {
			if right, ok = evaluate(e.RHS, span); !ok {
				return 0, false
			}
		}
		return calculate(e, left, right, span)
	}
	return 0, false
}

// calculate applies one operation. A sign has no left side, which is 0 then.
func calculate(e *parser.DurationExpr, left, right float64, span *spanTimes) (seconds float64, ok bool) {
	switch e.Op {
	case parser.STEP:
		return span.step / 1000, true
	case parser.RANGE:
		return span.length / 1000, true
	case parser.MIN_OF:
		return math.Min(left, right), true
	case parser.MAX_OF:
		return math.Max(left, right), true
	case parser.ADD:
		return left + right, true
	case parser.SUB:
		return left - right, true
	case parser.MUL:
		return left * right, true
	case parser.DIV:
		return left / right, right != 0
	case parser.MOD:
		return math.Mod(left, right), right != 0
	case parser.POW:
		return math.Pow(left, right), true
	}
	return 0, false
}

func milliseconds(d time.Duration) float64 { return float64(d / time.Millisecond) }

// duration takes negative numbers for 0, and those that are too large for the
// largest.
func duration(milliseconds float64) time.Duration {
	return time.Duration(integer(max(0, milliseconds) * float64(time.Millisecond)))
}

func integer(f float64) int64 {
	if f >= math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(f)
}
