package promql

import (
	"errors"
	"math"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// check tells what is wrong with a text that is to be sent in an expression's
// place: parsed again, it must be that expression with the policy's matchers in
// each selector. tildes are where the text has the second character of the
// operators =~ and !~.
//
// Compiling the regular expressions once more would take longer than all the
// rest. So what is parsed is the text with = and != in the place of these
// operators: a plain text. A change at any place that is not an operator's would
// make another string, and so another expression, or none.
func (p *Policy) check(expr parser.Expr, text string, tildes []int) error {
	plain := []byte(text)
	for _, at := range tildes {
		switch {
		case at < 1 || at >= len(plain) || plain[at] != '~':
			return errors.New("what was printed has no operator where it should")
		case plain[at-1] == '=':
			plain[at] = ' '
		default:
			plain[at] = '='
		}
	}
	again, err := everything.ParseExpr(string(plain))
	if err != nil {
		return errors.New("what was printed does not parse")
	}
	return p.compare(expr, again, text, tildes)
}

// compare is check with the plain text as it was parsed.
func (p *Policy) compare(expr, again parser.Expr, text string, tildes []int) error {
	t := twins{policy: p, plain: true}
	if !t.same(expr, again) || len(t.patterns) != len(tildes) {
		return errors.New("what was printed is another expression")
	}
	var w printer
	for i, at := range tildes {
		w.text = w.text[:0]
		if w.quote(t.patterns[i]); !strings.HasPrefix(text[at+1:], string(w.text)) {
			return errors.New("what was printed has another operator")
		}
	}
	if !p.carried(again) {
		return errors.New("what was printed has a selector without the enforced matchers")
	}
	return nil
}

// carried tells whether every selector of a plain text has a matcher of each
// enforced label. It shares nothing with the code that writes and compares them.
func (p *Policy) carried(expr parser.Expr) bool {
	all := true
	parser.Inspect(expr, func(node parser.Node, path []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		if haveAll(selector.LabelMatchers, p.matchers, samePlain) {
			return nil
		}
		for _, above := range path {
			if call, ok := above.(*parser.Call); ok && (call.Func.Name == "absent" || call.Func.Name == "absent_over_time") {
				if haveAll(selector.LabelMatchers, p.patterns, samePlain) {
					return nil
				}
			}
		}
		all = false
		return nil
	})
	return all
}

// haveAll tells whether all of wanted are among the matchers. It wants something: a
// policy that enforces nothing is none.
func haveAll(matchers, wanted []*labels.Matcher, same func(m, wanted *labels.Matcher) bool) bool {
	if len(wanted) == 0 {
		return false
	}
wanted:
	for _, w := range wanted {
		for _, m := range matchers {
			if same(m, w) {
				continue wanted
			}
		}
		return false
	}
	return true
}

// checkSelectors does for selectors what check does for an expression.
func (p *Policy) checkSelectors(sets [][]*labels.Matcher, texts []string) error {
	again, err := everything.ParseMetricSelectors(texts)
	if err != nil || len(again) != len(sets) {
		return errors.New("what was printed does not parse")
	}
	for i, set := range again {
		if !sameMatchers(p.matchers, sets[i], set, sameMatcher) || !haveAll(set, p.matchers, sameMatcher) {
			return errors.New("what was printed selects something else")
		}
	}
	return nil
}

// twins walks two trees in parallel: a user's expression, and what goes upstream
// in its place.
type twins struct {
	policy *Policy
	// found is called with each node and its twin, where it is not nil.
	found func(user, enforced parser.Expr)
	// plain tells that the second tree is of a plain text.
	plain bool
	// patterns are the regular expressions of the matchers, in their order.
	patterns []string
	// absent counts the calls of absent functions around the nodes.
	absent int
}

// same tells whether the second tree is the first with the policy's matchers in
// each selector.
func (t *twins) same(user, enforced parser.Expr) bool {
	if t.found != nil {
		t.found(user, enforced)
	}
	switch a := user.(type) {
	case *parser.AggregateExpr:
		b, ok := enforced.(*parser.AggregateExpr)
		return ok && a.Op == b.Op && a.Without == b.Without && slices.Equal(a.Grouping, b.Grouping) &&
			(a.Param == nil) == (b.Param == nil) && (a.Param == nil || t.same(a.Param, b.Param)) && t.same(a.Expr, b.Expr)
	case *parser.BinaryExpr:
		b, ok := enforced.(*parser.BinaryExpr)
		return ok && a.Op == b.Op && a.ReturnBool == b.ReturnBool && sameMatching(a.VectorMatching, b.VectorMatching) &&
			t.same(a.LHS, b.LHS) && t.same(a.RHS, b.RHS)
	case *parser.Call:
		b, ok := enforced.(*parser.Call)
		return ok && t.sameCall(a, b)
	case *parser.MatrixSelector:
		b, ok := enforced.(*parser.MatrixSelector)
		return ok && a.Range == b.Range && t.sameDuration(a.RangeExpr, b.RangeExpr) && t.same(a.VectorSelector, b.VectorSelector)
	case *parser.NumberLiteral:
		b, ok := enforced.(*parser.NumberLiteral)
		return ok && sameNumber(a.Val, b.Val) && a.Duration == b.Duration
	case *parser.ParenExpr:
		b, ok := enforced.(*parser.ParenExpr)
		return ok && t.same(a.Expr, b.Expr)
	case *parser.StringLiteral:
		b, ok := enforced.(*parser.StringLiteral)
		return ok && a.Val == b.Val
	case *parser.SubqueryExpr:
		b, ok := enforced.(*parser.SubqueryExpr)
		return ok && a.Range == b.Range && a.Step == b.Step && a.OriginalOffset == b.OriginalOffset && a.StartOrEnd == b.StartOrEnd &&
			samePointer(a.Timestamp, b.Timestamp) && t.sameDuration(a.RangeExpr, b.RangeExpr) && t.sameDuration(a.StepExpr, b.StepExpr) &&
			t.sameDuration(a.OriginalOffsetExpr, b.OriginalOffsetExpr) && t.same(a.Expr, b.Expr)
	case *parser.UnaryExpr:
		b, ok := enforced.(*parser.UnaryExpr)
		return ok && a.Op == b.Op && t.same(a.Expr, b.Expr)
	case *parser.VectorSelector:
		b, ok := enforced.(*parser.VectorSelector)
		return ok && a.Name == b.Name && a.OriginalOffset == b.OriginalOffset && a.StartOrEnd == b.StartOrEnd &&
			a.Anchored == b.Anchored && a.Smoothed == b.Smoothed && a.BypassEmptyMatcherCheck == b.BypassEmptyMatcherCheck &&
			samePointer(a.Timestamp, b.Timestamp) && t.sameDuration(a.OriginalOffsetExpr, b.OriginalOffsetExpr) &&
			t.sameMatchers(a.LabelMatchers, b.LabelMatchers)
	case *parser.DurationExpr:
		b, ok := enforced.(*parser.DurationExpr)
		return ok && a.Op == b.Op && a.Wrapped == b.Wrapped &&
			(a.LHS == nil) == (b.LHS == nil) && (a.LHS == nil || t.same(a.LHS, b.LHS)) &&
			(a.RHS == nil) == (b.RHS == nil) && (a.RHS == nil || t.same(a.RHS, b.RHS))
	default: // StepInvariantExpr, which the parser does not return, and what is not known
		return false
	}
}

func (t *twins) sameCall(a, b *parser.Call) bool {
	if a.Func == nil || b.Func == nil || a.Func.Name != b.Func.Name || len(a.Args) != len(b.Args) {
		return false
	}
	if _, absent := absentFunctions[a.Func.Name]; absent {
		t.absent++
		defer func() { t.absent-- }()
	}
	for i := range a.Args {
		if !t.same(a.Args[i], b.Args[i]) {
			return false
		}
	}
	return true
}

func (t *twins) sameDuration(a, b *parser.DurationExpr) bool {
	if a == nil || b == nil {
		return a == b
	}
	return t.same(a, b)
}

func sameMatching(a, b *parser.VectorMatching) bool {
	if a == nil || b == nil {
		return a == b
	}
	sameFill := func(a, b *float64) bool {
		return (a == nil) == (b == nil) && (a == nil || sameNumber(*a, *b))
	}
	return a.Card == b.Card && a.On == b.On && slices.Equal(a.MatchingLabels, b.MatchingLabels) && slices.Equal(a.Include, b.Include) &&
		sameFill(a.FillValues.LHS, b.FillValues.LHS) && sameFill(a.FillValues.RHS, b.FillValues.RHS)
}

// sameMatchers tells whether the last are the first followed by the second.
func sameMatchers(added, own, all []*labels.Matcher, same func(m, wanted *labels.Matcher) bool) bool {
	return len(all) == len(added)+len(own) &&
		slices.EqualFunc(all[:len(added)], added, same) && slices.EqualFunc(all[len(added):], own, same)
}

func (t *twins) sameMatchers(own, all []*labels.Matcher) bool {
	added := t.policy.added(t.absent > 0)
	if !t.plain {
		return sameMatchers(added, own, all, sameMatcher)
	}
	for _, list := range [...][]*labels.Matcher{added, own} {
		for _, m := range list {
			if m.Type == labels.MatchRegexp || m.Type == labels.MatchNotRegexp {
				t.patterns = append(t.patterns, m.Value)
			}
		}
	}
	return sameMatchers(added, own, all, samePlain)
}

// samePlain tells whether a matcher of a plain text stands for the one that is
// wanted.
func samePlain(m, wanted *labels.Matcher) bool {
	if m == nil || wanted == nil {
		return false
	}
	kind := labels.MatchEqual
	if wanted.Type == labels.MatchNotEqual || wanted.Type == labels.MatchNotRegexp {
		kind = labels.MatchNotEqual
	}
	return m.Type == kind && m.Name == wanted.Name && m.Value == wanted.Value
}

func sameMatcher(a, b *labels.Matcher) bool {
	return a != nil && b != nil && a.Type == b.Type && a.Name == b.Name && a.Value == b.Value
}

func samePointer(a, b *int64) bool {
	return (a == nil) == (b == nil) && (a == nil || *a == *b)
}

func sameNumber(a, b float64) bool {
	return math.Float64bits(a) == math.Float64bits(b)
}
