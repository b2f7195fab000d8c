package promql

import (
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// nameless and manyNames are what an expression's series are called, where they do
// not all have the one name. No metric can be called so.
const (
	nameless  = ""
	manyNames = "\x00"
)

// mayCollide tells whether a call takes the names off series that may be told apart
// by them alone. Prometheus then refuses the whole range, although the series may
// never have been there at the same time, and so refuses no piece of it (evaluator.eval
// in promql/engine.go, case parser.Call).
func mayCollide(call *parser.Call) bool {
	switch call.Func.Name {
	case "last_over_time", "first_over_time", "absent_over_time":
		return false
	}
	return slices.ContainsFunc(call.Args, func(arg parser.Expr) bool {
		return arg.Type() == parser.ValueTypeMatrix && namesOf(arg) == manyNames
	})
}

// namesOf tells what an expression's series are called.
func namesOf(expr parser.Expr) string {
	switch e := expr.(type) {
	case *parser.VectorSelector:
		for _, m := range e.LabelMatchers {
			if m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual {
				return m.Value
			}
		}
		return manyNames
	case *parser.MatrixSelector:
		return namesOf(e.VectorSelector)
	case *parser.SubqueryExpr:
		return namesOf(e.Expr)
	case *parser.ParenExpr:
		return namesOf(e.Expr)
	case *parser.UnaryExpr:
		if e.Op == parser.SUB {
			return nameless
		}
		return namesOf(e.Expr)
	case *parser.AggregateExpr:
		return namesOfAggregation(e)
	case *parser.BinaryExpr:
		return namesOfOperation(e)
	case *parser.Call:
		return namesOfCall(e)
	}
	return nameless
}

func namesOfAggregation(e *parser.AggregateExpr) string {
	switch e.Op {
	case parser.TOPK, parser.BOTTOMK, parser.LIMITK, parser.LIMIT_RATIO:
		return namesOf(e.Expr)
	case parser.COUNT_VALUES:
		if label, ok := unwrapped(e.Param).(*parser.StringLiteral); ok && label.Val == model.MetricNameLabel {
			return manyNames
		}
	}
	if !e.Without && slices.Contains(e.Grouping, model.MetricNameLabel) {
		return namesOf(e.Expr)
	}
	return nameless
}

// namesOfOperation leaves open what it need not know: an operator that takes names
// off is seldom what a subquery is made of.
func namesOfOperation(e *parser.BinaryExpr) string {
	if e.LHS.Type() == parser.ValueTypeScalar {
		return namesOf(e.RHS)
	}
	left := namesOf(e.LHS)
	switch {
	case e.RHS.Type() == parser.ValueTypeScalar, e.Op == parser.LAND, e.Op == parser.LUNLESS, left == namesOf(e.RHS):
		return left
	}
	return manyNames
}

func namesOfCall(e *parser.Call) string {
	switch e.Func.Name {
	case "label_replace", "label_join":
		if label, ok := unwrapped(e.Args[1]).(*parser.StringLiteral); ok && label.Val == model.MetricNameLabel {
			return manyNames
		}
		return namesOf(e.Args[0])
	case "last_over_time", "first_over_time", "info", "sort", "sort_desc", "sort_by_label", "sort_by_label_desc":
		return namesOf(e.Args[0])
	}
	return nameless
}
