package promql

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

func policyOf(tb testing.TB, enforced map[string][]string) *Policy {
	tb.Helper()
	p, err := NewPolicy(enforced)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// enforceCases are under a policy of the one label t with the one value "a".
var enforceCases = []struct{ expr, want string }{
	// Selectors.
	{`up`, `up{t="a"}`},
	{`up{}`, `up{t="a"}`},
	{`up{job="x", code=~"2..",}`, `up{t="a",job="x",code=~"2.."}`},
	{`{job!="x",code!~"2..",b="c"}`, `{t="a",job!="x",code!~"2..",b="c"}`},
	{`{__name__=~"up|down"}`, `{t="a",__name__=~"up|down"}`},
	{`{__name__="up"}`, `{t="a",__name__="up"}`},
	{`up{t="a"}`, `up{t="a",t="a"}`},
	{`up{t="b"}`, `up{t="a",t="b"}`},
	{`up{t!="a"}`, `up{t="a",t!="a"}`},
	{`up{t=~"a|b"} or up{t=~".*"} or up{t=""}`, `up{t="a",t=~"a|b"} or up{t="a",t=~".*"} or up{t="a",t=""}`},
	{`{"http.requests", "k8s.pod"="größe", 'x'=~"y"}`, `{t="a",__name__="http.requests","k8s.pod"="größe",x=~"y"}`},
	{`a:b{}`, `a:b{t="a"}`},
	{`sum + by + fill + offset{x="1"}`, `sum{t="a"} + by{t="a"} + fill{t="a"} + offset{t="a",x="1"}`},
	{`fill{} + (fill_left)`, `fill{t="a"} + (fill_left{t="a"})`},
	{`Sum`, `Sum{t="a"}`},
	{"up{a=`\\d\n`}", `up{t="a",a="\\d\n"}`},
	{`up{a="\"}) or up{b=\"c"}`, `up{t="a",a="\"}) or up{b=\"c"}`},
	{`up{a='"'}`, `up{t="a",a="\""}`},
	{`up{a="\xff\u2028"}`, `up{t="a",a="\xff\u2028"}`},
	{`up{a="\ufffd"}`, `up{t="a",a="\ufffd"}`},
	{`{"\ufffd"="1", "a b"="2", ""="3", a="4"}`, `{t="a","\ufffd"="1","a b"="2",""="3",a="4"}`},

	// What follows a selector.
	{`up offset 5m`, `up{t="a"} offset 5m`},
	{`up offset -5m`, `up{t="a"} offset -5m`},
	{`up offset 0`, `up{t="a"}`},
	{`up offset 1.5`, `up{t="a"} offset 1s500ms`},
	{`up offset 0.0001`, `up{t="a"} offset 0.0001`},
	{`up offset -1.0001`, `up{t="a"} offset -1.0001`},
	{`up @ 1603774568`, `up{t="a"} @ 1603774568`},
	{`up @ -1.2345`, `up{t="a"} @ -1.235`},
	{`up @ 1e3 offset 1h`, `up{t="a"} @ 1000 offset 1h`},
	{`up offset 1h @ end()`, `up{t="a"} @ end() offset 1h`},
	{`up @ start()`, `up{t="a"} @ start()`},
	{`up smoothed`, `up{t="a"} smoothed`},
	{`up @ 1 smoothed offset 1m`, `up{t="a"} @ 1 smoothed offset 1m`},
	{`up[5m]`, `up{t="a"}[5m]`},
	{`up[300]`, `up{t="a"}[5m]`},
	{`up[1h30m5ms]`, `up{t="a"}[1h30m5ms]`},
	{`up[0.0001]`, `up{t="a"}[0.0001]`},
	{`up[0.00000000001]`, `up{t="a"}[1e-10]`},
	{`up[100y1ms]`, `up{t="a"}[3153600000.001]`},
	{`up[5m] @ 7 offset 1m`, `up{t="a"}[5m] @ 7 offset 1m`},
	{`rate(up[5m] anchored)`, `rate(up{t="a"}[5m] anchored)`},
	{`rate(up[5m] @ 7 smoothed offset 1m)`, `rate(up{t="a"}[5m] smoothed @ 7 offset 1m)`},
	{`up[5m:]`, `up{t="a"}[5m:]`},
	{`up[5m:1m] @ start() offset -1m`, `up{t="a"}[5m:1m] @ start() offset -1m`},
	{`(up + up)[5m:0.5]`, `(up{t="a"} + up{t="a"})[5m:500ms]`},
	{`up[5m:0.00000000001]`, `up{t="a"}[5m:]`},
	{`up offset 1m [5m:] offset 2m`, `up{t="a"} offset 1m[5m:] offset 2m`},
	{`max_over_time(rate(up[5m])[1h:1m])`, `max_over_time(rate(up{t="a"}[5m])[1h:1m])`},

	// Expressions of durations.
	{`up[5m * 2 + 1]`, `up{t="a"}[5m * 2 + 1]`},
	{`up[(5m)]`, `up{t="a"}[(5m)]`},
	{`up[step() + range()]`, `up{t="a"}[step() + range()]`},
	{`up[-step() ^ 2 / 3 % 4 - -1m]`, `up{t="a"}[-step() ^ 2 / 3 % 4 - -1m]`},
	{`up[min_of(5m, step()):max_of(1, (2s))]`, `up{t="a"}[min_of(5m, step()):max_of(1, (2s))]`},
	{`up offset step()`, `up{t="a"} offset step()`},
	{`up offset +step()`, `up{t="a"} offset +step()`},
	{`up offset -min_of(1m, 2m)`, `up{t="a"} offset -min_of(1m, 2m)`},
	{`up offset -(5m)`, `up{t="a"} offset -(5m)`},
	{`up offset (1h - 5m) + 1`, `up{t="a"} offset (1h - 5m) + 1`},
	{`up offset -2 ^ 2`, `up{t="a"} offset -2s ^ 2`},

	// Literals.
	{`0x1F + 1_000 + .5 + 1e3`, `31 + 1000 + 0.5 + 1000`},
	{`1e-400 + 5e-324 + 1e300 + 123456789012345678901234567890`, `0 + 5e-324 + 1e+300 + 1.2345678901234568e+29`},
	{`-0 + -0s + -5m + 1s1ms`, `-0 + -0s + -5m + 1s1ms`},
	{`Inf ^ up`, `Inf ^ up{t="a"}`},
	{`-inf + NaN + +Inf + -nan`, `-Inf + NaN + Inf + -NaN`},
	{`- -nan + -(NaN) + (a + fill(-NaN) b)`, `NaN + -(NaN) + (a{t="a"} + fill (-NaN) b{t="a"})`},
	{`"a\"b\\c\nd\xff\ufffd√"`, `"a\"b\\c\nd\xff\ufffd\u221a"`},
	{"`a\\b`", `"a\\b"`},
	{`'"√'`, `"\"√"`},

	// Operators.
	{`-up ^ 2`, `-up{t="a"} ^ 2`},
	{`(-up) ^ 2`, `(-up{t="a"}) ^ 2`},
	{`-2 ^ 2`, `-2 ^ 2`},
	{`- - 2 ^ -1 ^ 2`, `--2 ^ -1 ^ 2`},
	{`+up - -up`, `+up{t="a"} - -up{t="a"}`},
	{`a and b or c unless d`, `a{t="a"} and b{t="a"} or c{t="a"} unless d{t="a"}`},
	{`a == bool b != c`, `a{t="a"} == bool b{t="a"} != c{t="a"}`},
	{`1 < bool 2 <= bool 3 > bool 4 >= bool 5`, `1 < bool 2 <= bool 3 > bool 4 >= bool 5`},
	{`a * 2 / 3 % 4 atan2 b`, `a{t="a"} * 2 / 3 % 4 atan2 b{t="a"}`},
	{`a </ 1 >/ 2`, `a{t="a"} </ 1 >/ 2`},
	{`a * on () b`, `a{t="a"} * on () b{t="a"}`},
	{`a * ignoring () b`, `a{t="a"} * b{t="a"}`},
	{`a * on (x, "y.z", by) group_left (without_x, "without", "INF", "nan",) b`,
		`a{t="a"} * on (x, "y.z", by) group_left (without_x, "without", "INF", "nan") b{t="a"}`},
	{`a * ignoring (x) group_right b`, `a{t="a"} * ignoring (x) group_right () b{t="a"}`},
	{`a + fill(1) b`, `a{t="a"} + fill (1) b{t="a"}`},
	{`a + fill_left(0) fill_right(-0) b`, `a{t="a"} + fill_left (0) fill_right (-0) b{t="a"}`},
	{`a + fill_right(-5m) fill_left(NaN) b`, `a{t="a"} + fill_left (NaN) fill_right (-300) b{t="a"}`},
	{`a > bool on (x) group_left (y) fill (Inf) b`, `a{t="a"} > bool on (x) group_left (y) fill (Inf) b{t="a"}`},
	{`(((a)))`, `(((a{t="a"})))`},
	{"a # up{\n+ # t=\"b\"\nb # c", `a{t="a"} + b{t="a"}`},

	// Aggregations.
	{`sum(a)`, `sum(a{t="a"})`},
	{`sum(a) by ()`, `sum(a{t="a"})`},
	{`sum(a) by (x, without_y)`, `sum by (x, without_y) (a{t="a"})`},
	{`AVG without () (a)`, `avg without () (a{t="a"})`},
	{`sum without ("without", "Inf", "k8s.pod", le) (a)`, `sum without ("without", "Inf", "k8s.pod", le) (a{t="a"})`},
	{`topk by (x) (scalar(b), a)`, `topk by (x) (scalar(b{t="a"}), a{t="a"})`},
	{`count_values("v", a)`, `count_values("v", a{t="a"})`},
	{`quantile(0.9, a) + limitk(2, a) + limit_ratio(-0.5, a)`, `quantile(0.9, a{t="a"}) + limitk(2, a{t="a"}) + limit_ratio(-0.5, a{t="a"})`},

	// Functions.
	{`time() + pi()`, `time() + pi()`},
	{`step() + range() + start() + end() + max_of(1, 2)`, `step() + range() + start() + end() + max_of(1, 2)`},
	{`label_replace(up, "t", "b", "job", ".*")`, `label_replace(up{t="a"}, "t", "b", "job", ".*")`},
	{`label_join(a, "x", "-", "t", "u")`, `label_join(a{t="a"}, "x", "-", "t", "u")`},
	{`histogram_quantile(scalar(a), sum by (le) (rate(b[5m])))`, `histogram_quantile(scalar(a{t="a"}), sum by (le) (rate(b{t="a"}[5m])))`},
	{`hour()`, `hour()`},

	// absent() makes labels of matchers, in their order.
	{`absent(up{job="x",job!="y"})`, `absent(up{t=~"a",job="x",job!="y"})`},
	{`absent((up{t="b"}))`, `absent((up{t=~"a",t="b"}))`},
	{`absent_over_time(up[5m] @ 5) or up`, `absent_over_time(up{t=~"a"}[5m] @ 5) or up{t="a"}`},
	{`absent(sum(rate(up[5m])))`, `absent(sum(rate(up{t=~"a"}[5m])))`},
	{`scalar(absent(absent(up))) + up`, `scalar(absent(absent(up{t=~"a"}))) + up{t="a"}`},
}

func TestEnforce(t *testing.T) {
	policy := policyOf(t, map[string][]string{"t": {"a"}})
	for _, c := range enforceCases {
		expr, err := everything.ParseExpr(c.expr)
		if err != nil {
			t.Errorf("%s: %v", c.expr, err)
			continue
		}
		before := expr.String()
		got, err := policy.enforce(expr, 0)
		if err != nil || got != c.want {
			t.Errorf("%s:\n%s (%v), want\n%s", c.expr, got, err, c.want)
		}
		if expr.String() != before {
			t.Errorf("%s: the tree was changed", c.expr)
		}
	}
}

// policyCases are the policies that other tests go through, too.
var policyCases = []struct {
	enforced map[string][]string
	plain    string // up under the policy
	absent   string // absent(up) under the policy
}{
	{map[string][]string{"t": {"a", "b"}}, `up{t=~"a|b"}`, `absent(up{t=~"a|b"})`},
	{map[string][]string{"t": {"a.b"}}, `up{t="a.b"}`, `absent(up{t=~"a\\.b"})`},
	{map[string][]string{"t": {"a|b"}, "cluster": {"eu"}}, `up{cluster="eu",t="a|b"}`, `absent(up{cluster=~"eu",t=~"a\\|b"})`},
	{map[string][]string{"k8s.namespace.name": {"größe", "\"}\n\\"}}, `up{"k8s.namespace.name"=~"\"\\}\n\\\\|größe"}`, `absent(up{"k8s.namespace.name"=~"\"\\}\n\\\\|größe"})`},
	{map[string][]string{"t": {`"} or up{t="b`}}, `up{t="\"} or up{t=\"b"}`, `absent(up{t=~"\"\\} or up\\{t=\"b"})`},
	{map[string][]string{"t": {"\ufffd"}}, `up{t="\ufffd"}`, `absent(up{t=~"\ufffd"})`},
	{map[string][]string{"without": {"#"}}, `up{"without"="#"}`, `absent(up{"without"=~"#"})`},
}

func TestEnforcePolicies(t *testing.T) {
	for _, c := range policyCases {
		policy := policyOf(t, c.enforced)
		for expr, want := range map[string]string{"up": c.plain, "absent(up)": c.absent} {
			var p Parser
			q, err := p.Query(policy, expr)
			if err != nil || q.Text() != want {
				t.Errorf("%q: %+v (%v), want %s", c.enforced, q, err, want)
			}
		}
		sets := [][]*labels.Matcher{{labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, "up")}}
		want := strings.TrimSuffix(strings.TrimPrefix(c.plain, "up"), "}") + `,__name__="up"}`
		if got, err := policy.enforceSelectors(sets); err != nil || got[0] != want {
			t.Errorf("%q: %q (%v), want %s", c.enforced, got, err, want)
		}
	}
}

func TestRefused(t *testing.T) {
	const info = "info() cannot be used where labels are enforced, because it reads series that no selector in the expression names; " +
		"join with target_info instead: … * on (instance, job) group_left (k8s_cluster_name) target_info"
	policy := policyOf(t, map[string][]string{"t": {"a"}})
	for expr, want := range map[string]string{
		`info(up)`:                            info,
		`info(up, {k8s_cluster="a"})`:         info,
		`info(up, {__name__=~"target_info"})`: info,
		`absent(sum(1 + info(rate(up[5m]))))`: info,
		`max_over_time(info(up)[5m:])`:        info,
		`topk(scalar(info(up)), up)`:          info,
	} {
		var p Parser
		q, err := p.Query(policy, expr)
		var refused *RefusedError
		if q != nil || !errors.As(err, &refused) || refused.Limit != "" || err.Error() != want {
			t.Errorf("%s: %v (%v), want %s", expr, q, err, want)
		}
		if q, err := p.Query(nil, expr); err != nil || q.Text() != expr {
			t.Errorf("%s without a policy: %v", expr, err)
		}
	}
}

// TestEverythingReviewed fails when Prometheus has something that nobody has
// read: a function, an aggregation, an operator or a type of node.
func TestEverythingReviewed(t *testing.T) {
	for name, f := range parser.Functions {
		_, allowed := allowedFunctions[name]
		_, refused := refusedFunctions[name]
		if f.Name != name || allowed == refused {
			t.Errorf("the function %s (%s) is on both lists or on none", name, f.Name)
		}
	}
	for name := range allowedFunctions {
		if parser.Functions[name] == nil {
			t.Errorf("there is no function %s", name)
		}
	}
	matchOperators := []parser.ItemType{parser.EQL_REGEX, parser.NEQ_REGEX, parser.AT}
	for item, name := range parser.ItemTypeStr {
		_, aggregation := allowedAggregations[item]
		_, operator := allowedOperators[item]
		if aggregation != item.IsAggregator() || operator != (item.IsOperator() && !slices.Contains(matchOperators, item)) {
			t.Errorf("%s is on no list, or on the wrong one", name)
		}
	}
	if err := allowCall("new_function"); err == nil || err.Error() != "new_function() cannot be used where labels are enforced, because this gateway does not know what it reads" {
		t.Error(err)
	}
}

var selectorCases = []struct{ selector, want string }{
	{`up`, `{t="a",__name__="up"}`},
	{`{}`, `{t="a"}`},
	{`up{job=~"x.*",b!="c"}`, `{t="a",job=~"x.*",b!="c",__name__="up"}`},
	{`{"http.requests", t="b", "k8s.pod"!~"x"}`, `{t="a",__name__="http.requests",t="b","k8s.pod"!~"x"}`},
	{`up{__name__!="down"}`, `{t="a",__name__!="down",__name__="up"}`},
	{`{a="\"} or {b=\"\ufffd"}`, `{t="a",a="\"} or {b=\"\ufffd"}`},
}

func TestEnforceSelectors(t *testing.T) {
	policy := policyOf(t, map[string][]string{"t": {"a"}})
	var selectors, want []string
	for _, c := range selectorCases {
		selectors, want = append(selectors, c.selector), append(want, c.want)
	}
	if got, err := Selectors(policy, selectors, false); err != nil || !slices.Equal(got, want) {
		t.Errorf("%q (%v), want %q", got, err, want)
	}
	if got, err := Selectors(policy, nil, false); err != nil || len(got) != 0 {
		t.Errorf("%q (%v) of nothing", got, err)
	}
	if got, err := policy.enforceSelectors([][]*labels.Matcher{{nil}}); err == nil {
		t.Errorf("%q of a matcher that is none", got)
	}
}

// TestUnknownNodes: what the parser does not return is a fault, not a refusal.
func TestUnknownNodes(t *testing.T) {
	policy := policyOf(t, map[string][]string{"t": {"a"}})
	one := &parser.NumberLiteral{Val: 1}
	for _, expr := range []parser.Expr{
		nil, &parser.DurationExpr{Op: parser.STEP}, &parser.StepInvariantExpr{Expr: one}, &parser.UnaryExpr{Op: parser.MUL, Expr: one},
		&parser.BinaryExpr{Op: parser.AT, LHS: one, RHS: one}, &parser.AggregateExpr{Op: parser.ADD, Expr: one}, &parser.Call{},
		&parser.MatrixSelector{VectorSelector: one}, &parser.VectorSelector{Name: "up"}, &parser.VectorSelector{LabelMatchers: []*labels.Matcher{nil}},
		&parser.VectorSelector{StartOrEnd: parser.STEP}, &parser.VectorSelector{OriginalOffsetExpr: &parser.DurationExpr{Op: parser.EQLC}},
		&parser.VectorSelector{OriginalOffsetExpr: &parser.DurationExpr{Op: parser.ADD, RHS: &parser.StringLiteral{}}},
	} {
		text, err := policy.enforce(expr, 0)
		var refused *RefusedError
		if text != "" || err == nil || errors.As(err, &refused) {
			t.Errorf("%T: %q, %v", expr, text, err)
		}
		if (&twins{policy: policy}).same(expr, one) {
			t.Errorf("%T is said to be a number", expr)
		}
	}
}

// TestGrowthIsBounded: many selectors times many values are refused before they
// are parsed again.
func TestGrowthIsBounded(t *testing.T) {
	values := make([]string, 1000)
	for i := range values {
		values[i] = fmt.Sprintf("namespace-%d", i)
	}
	policy, err := NewPolicy(map[string][]string{"namespace": values})
	if err != nil {
		t.Fatal(err)
	}
	var parser Parser
	if _, err := parser.Query(policy, "a"+strings.Repeat("+a", 9)); err != nil {
		t.Error(err)
	}
	var refused *RefusedError
	if _, err := parser.Query(policy, "a"+strings.Repeat("+a", 200)); !errors.As(err, &refused) || refused.Limit != "terms" {
		t.Errorf("it is %v", err)
	}
}
