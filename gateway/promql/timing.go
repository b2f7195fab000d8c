package promql

import (
	"time"

	"github.com/prometheus/prometheus/promql/parser"
)

// Timing is what the points of a range query depend on beside their own time and
// what is before it. With the zero Timing each point is the same in every range
// that has it, and stays the same once no sample comes any more for its time.
type Timing struct {
	// Whole tells that points depend on where the range begins or ends, or that the
	// answer tells of the range as a whole.
	Whole bool
	// Ahead tells that points may read samples later than their own time.
	Ahead bool
	// Fixed is the latest time that an @ names; zero: there is none.
	Fixed time.Time
}

// Timing tells what the query's points depend on.
func (q *Query) Timing() Timing { return q.timing }

// timingOf reads a syntax tree.
func timingOf(expr parser.Expr) Timing {
	var t Timing
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch e := node.(type) {
		case *parser.VectorSelector:
			t.modifiers(e.StartOrEnd, e.Timestamp, e.OriginalOffset, e.OriginalOffsetExpr)
			// What is smoothed also reads the first sample after its time.
			t.Ahead = t.Ahead || e.Smoothed
		case *parser.MatrixSelector:
			t.length(e.RangeExpr)
		case *parser.SubqueryExpr:
			t.modifiers(e.StartOrEnd, e.Timestamp, e.OriginalOffset, e.OriginalOffsetExpr)
			t.length(e.RangeExpr)
			t.length(e.StepExpr)
		case *parser.Call:
			t.call(e)
		case *parser.AggregateExpr:
			switch e.Op {
			case parser.TOPK, parser.BOTTOMK, parser.LIMITK, parser.LIMIT_RATIO:
				// They look at their parameter's points all at once, and refuse
				// the whole range for one of them.
				t.Whole = t.Whole || !isNumber(e.Param)
			}
		}
		return nil
	})
	return t
}

func (t *Timing) call(e *parser.Call) {
	switch e.Func.Name {
	case "start", "end", "range":
		// Experimental functions that tell of the query's own range.
		t.Whole = true
	case "sort", "sort_desc", "sort_by_label", "sort_by_label_desc":
		// Prometheus warns of them in ranges, but not in those of one step.
		t.Whole = true
	default:
		t.Whole = t.Whole || mayCollide(e)
	}
}

// isNumber tells whether a parameter is the same at each point, whatever it is.
func isNumber(expr parser.Expr) bool {
	switch e := unwrapped(expr).(type) {
	case *parser.NumberLiteral:
		return true
	case *parser.UnaryExpr:
		return isNumber(e.Expr)
	}
	return false
}

func (t *Timing) modifiers(startOrEnd parser.ItemType, at *int64, offset time.Duration, offsetExpr *parser.DurationExpr) {
	t.Whole = t.Whole || startOrEnd != 0
	// What an expression comes to may be negative.
	t.Ahead = t.Ahead || offset < 0 || offsetExpr != nil
	t.length(offsetExpr)
	if at != nil {
		if fixed := time.UnixMilli(*at); fixed.After(t.Fixed) {
			t.Fixed = fixed
		}
	}
}

// length looks at a duration that is an expression. A nil one is none.
func (t *Timing) length(expr *parser.DurationExpr) {
	if expr == nil {
		return
	}
	if expr.Op == parser.RANGE {
		t.Whole = true
	}
	for _, side := range []parser.Expr{expr.LHS, expr.RHS} {
		if inner, ok := side.(*parser.DurationExpr); ok {
			t.length(inner)
		}
	}
}
