package promql

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// maxGrowth bounds by how many bytes a text may grow through what is enforced: a
// long list of values in thousands of selectors would be dear to parse again.
const maxGrowth = 256 << 10

// enforce returns the expression's text, of at most that many bytes, with the
// policy's matchers in each selector. The expression is not changed. A
// *RefusedError is for the user; any other error is a fault of this package, and
// quotes nothing of the user's.
func (p *Policy) enforce(expr parser.Expr, most int) (string, error) {
	w := printer{policy: p, text: make([]byte, 0, 512), most: most}
	w.expr(expr)
	if w.err != nil {
		return "", w.err
	}
	text := string(w.text)
	if err := p.check(expr, text, w.tildes); err != nil {
		return "", fmt.Errorf("enforcing labels in an expression: %w", err)
	}
	return text, nil
}

// enforceSelectors returns the text of selectors with the policy's matchers in
// each, in their order. Errors are as those of enforce.
func (p *Policy) enforceSelectors(sets [][]*labels.Matcher) ([]string, error) {
	texts := make([]string, len(sets))
	for i, set := range sets {
		var w printer
		w.matchers(p.matchers, set)
		if w.err != nil {
			return nil, w.err
		}
		texts[i] = string(w.text)
	}
	if err := p.checkSelectors(sets, texts); err != nil {
		return nil, fmt.Errorf("enforcing labels in selectors: %w", err)
	}
	return texts, nil
}

func isNarrow(set []*labels.Matcher) bool {
	for _, m := range set {
		if m != nil && !m.Matches("") {
			return true
		}
	}
	return false
}

// printer prints expressions. Prometheus' own printer will not do: it sorts the
// matchers, of which absent() makes labels by their order, and what it prints of
// some literals and names does not parse or is not the same; see the tests.
type printer struct {
	// policy adds its matchers to each selector; nil adds none.
	policy *Policy
	text   []byte
	// tildes are where the operators =~ and !~ have theirs.
	tildes []int
	// most is the text's greatest length; 0: any.
	most int
	// absent counts the calls of absent functions that are being written.
	absent int
	err    error
}

// errNode is a node that the parser does not return in such a place.
var errNode = errors.New("enforcing labels in an expression: it has a node that is not known")

func (w *printer) write(s string) { w.text = append(w.text, s...) }

func (w *printer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// expr writes an expression. The switch is closed: every type of Prometheus'
// syntax tree has its case.
func (w *printer) expr(e parser.Expr) {
	switch e := e.(type) {
	case *parser.AggregateExpr:
		w.aggregate(e)
	case *parser.BinaryExpr:
		w.expr(e.LHS)
		w.operator(e)
		w.expr(e.RHS)
	case *parser.Call:
		w.call(e)
	case *parser.MatrixSelector:
		w.matrix(e)
	case *parser.NumberLiteral:
		w.number(e)
	case *parser.ParenExpr:
		w.write("(")
		w.expr(e.Expr)
		w.write(")")
	case *parser.StringLiteral:
		w.quote(e.Val)
	case *parser.SubqueryExpr:
		w.subquery(e)
	case *parser.UnaryExpr:
		if e.Op != parser.ADD && e.Op != parser.SUB {
			w.fail(errNode)
		}
		w.write(e.Op.String())
		w.expr(e.Expr)
	case *parser.VectorSelector:
		w.selector(e)
		w.at(e.Timestamp, e.StartOrEnd)
		w.extended(e)
		w.offset(e.OriginalOffset, e.OriginalOffsetExpr)
	case *parser.DurationExpr, *parser.StepInvariantExpr:
		// The one stands in ranges and offsets alone, the other comes from the engine.
		w.fail(errNode)
	default:
		w.fail(errNode)
	}
}

func (w *printer) aggregate(e *parser.AggregateExpr) {
	if _, ok := allowedAggregations[e.Op]; !ok {
		w.fail(errNode)
		return
	}
	w.write(e.Op.String())
	if e.Without {
		w.write(" without ")
		w.names(e.Grouping)
		w.write(" ")
	} else if len(e.Grouping) > 0 {
		w.write(" by ")
		w.names(e.Grouping)
		w.write(" ")
	}
	w.write("(")
	if e.Param != nil {
		w.expr(e.Param)
		w.write(", ")
	}
	w.expr(e.Expr)
	w.write(")")
}

func (w *printer) operator(e *parser.BinaryExpr) {
	if _, ok := allowedOperators[e.Op]; !ok {
		w.fail(errNode)
		return
	}
	w.write(" " + e.Op.String() + " ")
	if e.ReturnBool {
		w.write("bool ")
	}
	m := e.VectorMatching
	if m == nil {
		return
	}
	grouped := m.Card == parser.CardManyToOne || m.Card == parser.CardOneToMany
	switch {
	case m.On:
		w.write("on ")
		w.names(m.MatchingLabels)
		w.write(" ")
	case len(m.MatchingLabels) > 0 || grouped:
		w.write("ignoring ")
		w.names(m.MatchingLabels)
		w.write(" ")
	}
	if grouped {
		if m.Card == parser.CardManyToOne {
			w.write("group_left ")
		} else {
			w.write("group_right ")
		}
		w.names(m.Include)
		w.write(" ")
	}
	left, right := m.FillValues.LHS, m.FillValues.RHS
	if left != nil && right != nil && sameNumber(*left, *right) {
		w.filled("fill", left)
		return
	}
	w.filled("fill_left", left)
	w.filled("fill_right", right)
}

func (w *printer) filled(keyword string, value *float64) {
	if value != nil {
		w.write(keyword + " (")
		w.float(*value)
		w.write(") ")
	}
}

func (w *printer) call(e *parser.Call) {
	if e.Func == nil {
		w.fail(errNode)
		return
	}
	if err := allowCall(e.Func.Name); err != nil {
		w.fail(err)
		return
	}
	_, absent := absentFunctions[e.Func.Name]
	if absent {
		w.absent++
		defer func() { w.absent-- }()
	}
	w.write(e.Func.Name)
	w.write("(")
	for i, arg := range e.Args {
		if i > 0 {
			w.write(", ")
		}
		w.expr(arg)
	}
	w.write(")")
}

// selector writes a name and matchers, without what follows them.
func (w *printer) selector(e *parser.VectorSelector) {
	own := e.LabelMatchers
	if e.Name != "" {
		// The parser puts the name at the end.
		last := len(own) - 1
		if last < 0 || own[last] == nil || own[last].Name != model.MetricNameLabel || own[last].Type != labels.MatchEqual || own[last].Value != e.Name {
			w.fail(errNode)
			return
		}
		own = own[:last]
	}
	w.write(e.Name)
	if w.most > 0 && len(w.text) > w.most {
		w.fail(&RefusedError{Limit: "terms", Message: fmt.Sprintf(
			"with the labels that are enforced the expression has more than %d bytes, which is the limit: use fewer selectors", w.most)})
		return
	}
	added := w.policy.added(w.absent > 0)
	if e.Name == "" || len(added)+len(own) > 0 {
		w.matchers(added, own)
	}
}

// added are the matchers that come before a selector's own. absent() makes
// labels of matchers of the type =, and takes away the label of any other; before
// all others a pattern leaves no trace.
func (p *Policy) added(absent bool) []*labels.Matcher {
	switch {
	case p == nil:
		return nil
	case absent:
		return p.patterns
	default:
		return p.matchers
	}
}

func (w *printer) matchers(added, own []*labels.Matcher) {
	w.write("{")
	for i := range len(added) + len(own) {
		if i > 0 {
			w.write(",")
		}
		var m *labels.Matcher
		if i < len(added) {
			m = added[i]
		} else {
			m = own[i-len(added)]
		}
		if m == nil || m.Type < labels.MatchEqual || m.Type > labels.MatchNotRegexp {
			w.fail(errNode)
			return
		}
		w.name(m.Name)
		w.write(m.Type.String())
		if m.Type == labels.MatchRegexp || m.Type == labels.MatchNotRegexp {
			w.tildes = append(w.tildes, len(w.text)-1)
		}
		w.quote(m.Value)
	}
	w.write("}")
}

// names writes a list of labels.
func (w *printer) names(names []string) {
	w.write("(")
	for i, name := range names {
		if i > 0 {
			w.write(", ")
		}
		w.name(name)
	}
	w.write(")")
}

// name writes a label's name, quoted where the parser takes none that is not:
// some keywords are no labels.
func (w *printer) name(name string) {
	plain := name != ""
	for i := 0; i < len(name) && plain; i++ {
		c := name[i]
		plain = c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || i > 0 && '0' <= c && c <= '9'
	}
	if plain && !strings.EqualFold(name, "without") && !strings.EqualFold(name, "inf") && !strings.EqualFold(name, "nan") {
		w.write(name)
		return
	}
	w.quote(name)
}

// quote writes a string. The lexer takes no literal U+FFFD, which Go does not
// escape.
func (w *printer) quote(s string) {
	if strings.ContainsRune(s, utf8.RuneError) {
		w.text = strconv.AppendQuoteToASCII(w.text, s)
		return
	}
	w.text = strconv.AppendQuote(w.text, s)
}

func (w *printer) matrix(e *parser.MatrixSelector) {
	selector, ok := e.VectorSelector.(*parser.VectorSelector)
	if !ok {
		w.fail(errNode)
		return
	}
	w.selector(selector)
	w.write("[")
	w.positive(e.Range, e.RangeExpr)
	w.write("]")
	w.extended(selector)
	w.at(selector.Timestamp, selector.StartOrEnd)
	w.offset(selector.OriginalOffset, selector.OriginalOffsetExpr)
}

func (w *printer) subquery(e *parser.SubqueryExpr) {
	w.expr(e.Expr)
	w.write("[")
	w.positive(e.Range, e.RangeExpr)
	w.write(":")
	if e.Step != 0 || e.StepExpr != nil {
		w.positive(e.Step, e.StepExpr)
	}
	w.write("]")
	w.at(e.Timestamp, e.StartOrEnd)
	w.offset(e.OriginalOffset, e.OriginalOffsetExpr)
}

func (w *printer) extended(e *parser.VectorSelector) {
	if e.Anchored {
		w.write(" anchored")
	}
	if e.Smoothed {
		w.write(" smoothed")
	}
}

func (w *printer) at(timestamp *int64, startOrEnd parser.ItemType) {
	switch {
	case timestamp != nil:
		near := float64(*timestamp) / 1000
		w.write(" @ ")
		w.read(near, func(v float64) bool { return int64(math.Round(v*1000)) == *timestamp })
	case startOrEnd == parser.START:
		w.write(" @ start()")
	case startOrEnd == parser.END:
		w.write(" @ end()")
	case startOrEnd != 0:
		w.fail(errNode)
	}
}

func (w *printer) offset(offset time.Duration, expr *parser.DurationExpr) {
	switch {
	case expr != nil:
		w.write(" offset ")
		w.duration(expr)
	case offset > 0:
		w.write(" offset ")
		w.positive(offset, nil)
	case offset < 0:
		w.write(" offset ")
		w.seconds(offset)
	}
}
