package promql

import (
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// Bounds of what is remembered of the expressions in one answer: about 8 MiB.
const (
	maxOwned       = 4096
	maxOwnedLength = 2048
)

// owner tells which rules are the tenant's. It is for one answer, in which
// expressions repeat.
type owner struct {
	policy *Policy
	// known are, by expression, the enforced labels that it is confined by.
	known map[string]confined
}

// confined tells of each label of a policy, in their order, whether every
// selector of an expression requires one of its values. A nil one: of none.
type confined []bool

func (c confined) by(label int) bool { return c != nil && c[label] }

// owns tells whether a rule is the tenant's: each enforced label is on the rule
// itself, or what the rule reads is confined by it. A label whose text is a
// template equals no value; one with another value makes the rule another's,
// whatever it reads.
func (o *owner) owns(r *rule) bool {
	if o.policy == nil {
		return true
	}
	for i, name := range o.policy.names {
		value := r.Labels[name]
		if o.policy.has(name, value) {
			continue
		}
		if value != "" && !strings.Contains(value, "{{") || !o.confined(r.Query).by(i) {
			return false
		}
	}
	return true
}

// readsOwn tells whether all that a rule reads is the tenant's.
func (o *owner) readsOwn(r *rule) bool {
	return o.policy == nil || !slices.Contains(o.confined(r.Query), false) && o.confined(r.Query) != nil
}

// ownsAlert tells whether an alert of a rule of the tenant is its own: it may
// lack an enforced label only where what the rule reads is confined by it.
func (o *owner) ownsAlert(r *rule, a *alert) bool {
	if o.policy == nil {
		return true
	}
	for i, name := range o.policy.names {
		value := a.Labels[name]
		if value == "" && o.confined(r.Query).by(i) {
			continue
		}
		if !o.policy.has(name, value) {
			return false
		}
	}
	return true
}

func (o *owner) confined(query string) confined {
	if c, known := o.known[query]; known {
		return c
	}
	c := o.policy.confined(query)
	if len(query) > maxOwnedLength {
		return c
	}
	if o.known == nil {
		o.known = map[string]confined{}
	}
	if len(o.known) >= maxOwned {
		clear(o.known)
	}
	o.known[query] = c
	return c
}

// confined parses an expression only if some label of the policy may be in it.
// What does not parse, has no selector or reads what is in none is confined by
// nothing.
func (p *Policy) confined(query string) confined {
	if !slices.ContainsFunc(p.names, func(name string) bool { return p.mayConfine(name, query) }) || guard(query) != nil {
		return nil
	}
	expr, err := everything.ParseExpr(query)
	if err != nil {
		return nil
	}
	selectors, all := selectorsOf(expr)
	if !all || len(selectors) == 0 {
		return nil
	}
	c := make(confined, len(p.names))
	for i, name := range p.names {
		c[i] = !slices.ContainsFunc(selectors, func(s *parser.VectorSelector) bool {
			return !slices.ContainsFunc(s.LabelMatchers, func(m *labels.Matcher) bool { return m.Name == name && p.allows(m) })
		})
	}
	return c
}

// mayConfine is false only for texts in which no selector can require a value of
// the label. Names and values stand in a text as they are, but for escapes and
// regular expressions. Most of other tenants' rules need no parsing by it.
func (p *Policy) mayConfine(name, text string) bool {
	if strings.Contains(text, `\`) {
		return true
	}
	for _, value := range p.values[name] {
		if strings.Contains(text, value) {
			return strings.Contains(text, name)
		}
	}
	for rest, found := text, true; found; {
		if _, rest, found = strings.Cut(rest, name); found {
			// Between a name and its operator there may be a comment.
			operator := strings.TrimLeft(rest, "\"'` \t\r\n")
			if strings.HasPrefix(operator, "=~") || strings.HasPrefix(operator, "#") {
				return true
			}
		}
	}
	return false
}

// has tells whether a value is one of those of an enforced label.
func (p *Policy) has(name, value string) bool {
	_, found := slices.BinarySearch(p.values[name], value)
	return found
}

// allows tells whether a matcher of an enforced label matches none but its
// values.
func (p *Policy) allows(m *labels.Matcher) bool {
	switch m.Type {
	case labels.MatchEqual:
		return p.has(m.Name, m.Value)
	case labels.MatchRegexp:
		values := m.SetMatches()
		return len(values) > 0 && !slices.ContainsFunc(values, func(v string) bool { return !p.has(m.Name, v) })
	}
	return false
}

// selectorsOf are an expression's selectors. all is false where it may read
// something that is in none of them: info() does, and so may what is not known
// here.
func selectorsOf(expr parser.Expr) (selectors []*parser.VectorSelector, all bool) {
	all = true
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			selectors = append(selectors, n)
		case *parser.Call:
			all = all && n.Func != nil && allowCall(n.Func.Name) == nil
		case nil, parser.Expressions, *parser.AggregateExpr, *parser.BinaryExpr, *parser.MatrixSelector, *parser.NumberLiteral,
			*parser.ParenExpr, *parser.StringLiteral, *parser.SubqueryExpr, *parser.UnaryExpr:
		default:
			all = false
		}
		return nil
	})
	return selectors, all
}
