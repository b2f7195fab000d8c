package promql

import (
	"time"

	"github.com/prometheus/prometheus/promql/parser"
)

// Timing is what the points of a range query depend on beside their own time and
// what is before it. With the zero Timing each point is the same in every range
// that has it, and stays the same once no sample comes any more for its time.
type Timing struct {
	// Whole tells that points depend on where the range begins or ends.
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
			// Experimental functions that tell of the query's own range.
			switch e.Func.Name {
			case "start", "end", "range":
				t.Whole = true
			}
		}
		return nil
	})
	return t
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
