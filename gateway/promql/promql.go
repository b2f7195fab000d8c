// Package promql checks the expressions and selectors of a request before they
// leave the gateway. It is the only importer of Prometheus' parser.
package promql

import (
	"errors"
	"fmt"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"
)

// everything parses all syntax that some upstream may have switched on: what is
// experimental is for the upstream to refuse, not for the gateway.
var everything = parser.NewParser(parser.Options{
	EnableExperimentalFunctions:  true,
	ExperimentalDurationExpr:     true,
	EnableExtendedRangeSelectors: true,
	EnableBinopFillModifiers:     true,
})

// Checker checks expressions, and remembers those that passed. The zero value
// is ready, and may be used by many at once.
type Checker struct{ exprs, rangeExprs known }

// CheckExpr returns the parse error of a PromQL expression, in Prometheus'
// words and with positions in the given text, or nil.
func (c *Checker) CheckExpr(expr string) error {
	if c.exprs.has(expr) {
		return nil
	}
	_, err := everything.ParseExpr(expr)
	if err == nil {
		c.exprs.add(strings.Clone(expr)) // of a request, which is not to be kept whole
	}
	return err
}

// CheckRangeExpr is CheckExpr for a range query, which takes an instant vector
// or a scalar alone.
func (c *Checker) CheckRangeExpr(expr string) error {
	if c.rangeExprs.has(expr) {
		return nil
	}
	parsed, err := everything.ParseExpr(expr)
	if err != nil {
		return err
	}
	if t := parsed.Type(); t != parser.ValueTypeVector && t != parser.ValueTypeScalar {
		return fmt.Errorf("invalid expression type %q for range query, must be Scalar or instant Vector", parser.DocumentedType(t))
	}
	c.rangeExprs.add(strings.Clone(expr))
	return nil
}

// CheckSelectors returns the parse error of the match[] parameters of one
// request, in Prometheus' words, or nil.
func CheckSelectors(selectors []string) error {
	_, err := everything.ParseMetricSelectors(selectors)
	return err
}

// CheckNarrowSelectors is CheckSelectors for the endpoints on which, as in
// Prometheus, each selector needs one matcher that does not match the empty
// string.
func CheckNarrowSelectors(selectors []string) error {
	sets, err := everything.ParseMetricSelectors(selectors)
	if err != nil {
		return err
	}
sets:
	for _, set := range sets {
		for _, m := range set {
			if m != nil && !m.Matches("") {
				continue sets
			}
		}
		return errors.New("match[] must contain at least one non-empty matcher")
	}
	return nil
}
