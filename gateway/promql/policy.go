// Package promql reads the expressions and selectors of a request, has them
// carry the labels that an environment enforces, tells what they cost, and takes
// out of answers what is not the tenant's. It is the only importer of
// Prometheus' parser.
package promql

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"
)

// Policy is what is enforced: labels that every selector carries, each with the
// exact values that are the tenant's own. It is immutable; nil enforces nothing.
type Policy struct {
	names  []string
	values map[string][]string // by name, sorted
	// matchers and patterns select the same; patterns have none of the type =.
	matchers, patterns []*labels.Matcher
	key                string
}

// NewPolicy makes a policy of labels with their values. No label at all makes
// nil.
func NewPolicy(enforced map[string][]string) (*Policy, error) {
	if len(enforced) == 0 {
		return nil, nil
	}
	p := &Policy{names: slices.Sorted(maps.Keys(enforced)), values: map[string][]string{}}
	var key strings.Builder
	for _, name := range p.names {
		values := slices.Compact(slices.Sorted(slices.Values(enforced[name])))
		if name == "" || strings.HasPrefix(name, "__") || !utf8.ValidString(name) {
			return nil, fmt.Errorf("%q is no label that can be enforced", name)
		}
		if len(values) == 0 || slices.ContainsFunc(values, func(v string) bool { return v == "" || !utf8.ValidString(v) }) {
			return nil, fmt.Errorf("the label %q is enforced without a value, or with one that is empty or not UTF-8", name)
		}
		p.values[name] = values
		quoted := make([]string, len(values))
		for i, v := range values {
			quoted[i] = regexp.QuoteMeta(v)
			key.WriteString(strconv.Quote(v) + ",")
		}
		key.WriteString(strconv.Quote(name) + ";")
		pattern, err := labels.NewMatcher(labels.MatchRegexp, name, strings.Join(quoted, "|"))
		if err != nil {
			return nil, fmt.Errorf("the label %q: %w", name, err)
		}
		matcher := pattern
		if len(values) == 1 {
			matcher = labels.MustNewMatcher(labels.MatchEqual, name, values[0])
		}
		p.matchers, p.patterns = append(p.matchers, matcher), append(p.patterns, pattern)
	}
	p.key = key.String()
	return p, nil
}

// Key is equal for policies that enforce the same, and for no others. It is
// empty for nil.
func (p *Policy) Key() string {
	if p == nil {
		return ""
	}
	return p.key
}

// Selector selects everything that is the tenant's.
func (p *Policy) Selector() string {
	var w printer
	w.matchers(p.matchers, nil)
	return string(w.text)
}

// owns tells whether a label set carries every enforced label with one of its
// values.
func (p *Policy) owns(label func(name string) string) bool {
	for _, name := range p.names {
		if !p.has(name, label(name)) {
			return false
		}
	}
	return true
}
