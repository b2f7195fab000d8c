package promql

import (
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// TestCheck: what was printed wrongly is not sent. The message goes to a log, and
// quotes nothing.
func TestCheck(t *testing.T) {
	policy := policyOf(t, map[string][]string{"t": {"a", "b"}, "u": {"c"}})
	const good = `sum by (x) (rate(up{t=~"a|b",u="c",job="x"}[5m])) + absent(up{t=~"a|b",u=~"c"} offset 1m) + 1`
	expr, err := everything.ParseExpr(`sum(rate(up{job="x"}[5m])) by (x) + absent(up offset 1m) + 1`)
	if err != nil {
		t.Fatal(err)
	}
	check := func(expr parser.Expr, text string) error { return policy.check(expr, text, tildesOf(text)) }
	if err := check(expr, good); err != nil {
		t.Fatal(err)
	}
	replacements := []string{
		`{t=~"a|b",u="c",job="x"}`, `{job="x"}`,
		`{t=~"a|b",u="c",job="x"}`, `{t=~"a|b",u="c"}`,
		`{t=~"a|b",u="c",job="x"}`, `{t=~"a|b",job="x"}`,
		`{t=~"a|b",u="c",job="x"}`, `{t=~"a|b",u="c",job="x"} or up`,
		`{t=~"a|b",u="c",job="x"}`, `{t=~"a|b",u="c",job="x",z="z"}`,
		`t=~"a|b",u="c",job="x"`, `t=~"a|b|.*",u="c",job="x"`,
		`t=~"a|b",u="c",job="x"`, `t!~"a|b",u="c",job="x"`,
		`t=~"a|b",u="c",job="x"`, `u="c",t=~"a|b",job="x"`,
		`t=~"a|b",u="c",job="x"`, `t=~"a|b",u=~"c",job="x"`,
		`t=~"a|b",u=~"c"`, `t=~"a|b",u="c"`,
		`t=~"a|b",u=~"c"`, ``,
		`[5m]`, `[6m]`, `[5m]`, `[5m] offset 1m`, `[5m]`, `[5m:]`, `[5m]`, `[5m] @ 1`, `[5m]`, `[5m] anchored`,
		`[5m]`, `[5m + 0]`, `rate`, `irate`, `sum`, `max`, `by (x)`, `by (y)`, `by (x)`, `without (x)`, `by (x)`, ``,
		`+ 1`, `- 1`, `+ 1`, `+ 2`, `+ 1`, `+ on (x) 1`, `+ 1`, `+ vector(1)`, `+ 1`, `+ (1)`, `+ 1`, `+`, `offset 1m`, `offset 2m`,
		`+ absent`, `+ on (x) absent`, `up{`, `down{`,
	}
	for i := 0; i < len(replacements); i += 2 {
		text := strings.Replace(good, replacements[i], replacements[i+1], 1)
		err := check(expr, text)
		var refused *RefusedError
		if text == good || err == nil || errors.As(err, &refused) || strings.ContainsAny(err.Error(), `{}"`) {
			t.Errorf("%s: %v", text, err)
		}
	}
	up := &parser.VectorSelector{Name: "up", LabelMatchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, "up")}}
	for _, empty := range []*Policy{{}, {names: []string{"t"}}} {
		if err := empty.check(up, "up", nil); err == nil {
			t.Error("a policy without matchers enforces something")
		}
		if texts, err := empty.enforceSelectors([][]*labels.Matcher{up.LabelMatchers}); err == nil {
			t.Errorf("a policy without matchers enforces %q", texts)
		}
	}
	// Each part of the check stands alone.
	for _, text := range []string{`up`, `up{t=~"a|b"}`, `up{t="a",u="c"}`, `up{t=~"a|b",u="c"} + up`, `absent(up) + up{t=~"a|b",u="c"}`, `up{t=~"a|b",u!="c"}`} {
		if again, err := everything.ParseExpr(strings.ReplaceAll(text, "=~", "=")); err != nil || policy.carried(again) {
			t.Errorf("%s (%v) is said to carry the matchers", text, err)
		}
	}
}

// tildesOf are the operators of a text with no such characters elsewhere.
func tildesOf(text string) (tildes []int) {
	for i := range text {
		if text[i] == '~' {
			tildes = append(tildes, i)
		}
	}
	return tildes
}

// TestCheckOperators: what is not parsed as it is sent is nothing but operators.
func TestCheckOperators(t *testing.T) {
	policy := policyOf(t, map[string][]string{"t": {"a", "b"}})
	const good = `up{t=~"a|b",x="=~"}`
	expr, err := everything.ParseExpr(`up{x="=~"}`)
	if err != nil {
		t.Fatal(err)
	}
	if err := policy.check(expr, good, []int{5}); err != nil {
		t.Error(err)
	}
	for _, tildes := range [][]int{nil, {0}, {4}, {-1}, {len(good)}, {5, 16}, {16}, {5, 5}} {
		if err := policy.check(expr, good, tildes); err == nil {
			t.Errorf("%v are taken for operators", tildes)
		}
	}
}

// TestCheckSelectors is TestCheck for selectors.
func TestCheckSelectors(t *testing.T) {
	policy := policyOf(t, map[string][]string{"t": {"a"}})
	sets, err := everything.ParseMetricSelectors([]string{"up", `{b="c"}`})
	if err != nil {
		t.Fatal(err)
	}
	if err := policy.checkSelectors(sets, []string{`{t="a",__name__="up"}`, `{t="a",b="c"}`}); err != nil {
		t.Error(err)
	}
	for _, texts := range [][]string{
		nil, {`{t="a",__name__="up"}`}, {`{t="a",b="c"}`, `{t="a",__name__="up"}`}, {`{t="a",__name__="up"}`, `{b="c"}`},
		{`{t="a",__name__="up"}`, `{t="a"}`}, {`{t="a",__name__="up"}`, `{t="a",b="c"`}, {`{t="a",__name__="up"}`, `{t=~"a",b="c"}`},
	} {
		if err := policy.checkSelectors(sets, texts); err == nil {
			t.Errorf("%q is taken", texts)
		}
	}
}
