package promql

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// FuzzEnforce: what is accepted under a policy is, parsed again, what the user
// wrote with the policy's matchers in each selector; and nothing else happens.
func FuzzEnforce(f *testing.F) {
	for i, c := range enforceCases {
		p := policyCases[i%len(policyCases)]
		for name, values := range p.enforced {
			f.Add(c.expr, name, values[0], values[len(values)-1], "")
		}
	}
	for _, c := range selectorCases {
		f.Add(c.selector, "t", "a", "", "x.y")
	}
	for _, c := range policyCases {
		f.Add(c.plain+" + "+c.absent, "t", "a|b", "(", "without")
	}
	for _, c := range originalCases {
		f.Add(c.expr, "t", "a", "\n", "")
	}
	for _, text := range []string{dashboardQuery, "info(up)", "info(up, {a=\"b\"})", "up{", "up # {"} {
		f.Add(text, "namespace", `"} or up{namespace="b`, "", "k8s.namespace.name")
	}
	for seed := range uint64(100) {
		f.Add(generator{rand.New(rand.NewPCG(seed, 3))}.expression(), "ns", "a", "b", "cluster")
	}
	f.Fuzz(func(t *testing.T, text, name, value, value2, name2 string) {
		enforced := map[string][]string{name: {value}}
		if value2 != "" {
			enforced[name] = append(enforced[name], value2)
		}
		if name2 != "" {
			enforced[name2] = []string{value}
		}
		policy, err := NewPolicy(enforced)
		if err != nil {
			return
		}
		fuzzQuery(t, policy, text)
		fuzzSelector(t, policy, text)
	})
}

func fuzzQuery(t *testing.T, policy *Policy, text string) {
	var p Parser
	q, err := p.Query(policy, text)
	expr, parseErr := everything.ParseExpr(text)
	if err != nil {
		var refused *RefusedError
		switch {
		case errors.Is(err, ErrEnforcement):
			t.Fatalf("%q: %v", text, err)
		case errors.As(err, &refused):
			if refused.Limit == "" && !strings.Contains(text, "info") && !strings.Contains(refused.Message, "more digits") {
				t.Fatalf("%q: %v", text, err)
			}
		case parseErr == nil || parseErr.Error() != err.Error():
			t.Fatalf("%q: %v, want %v", text, err, parseErr)
		}
		return
	}
	checkEnforced(t, policy, expr, q.Text())
	for at := 1; at < min(len(q.Text())+2, 300); at++ {
		message := q.Original(fmt.Sprintf("1:%d: parse error: x", at))
		var line, column int
		if n, _ := fmt.Sscanf(message, "%d:%d: parse error: x", &line, &column); n == 0 && message == "parse error: x" {
			continue
		}
		if lines := strings.Split(text, "\n"); line < 1 || line > len(lines) || column < 1 || column > len(lines[line-1])+1 {
			t.Fatalf("%q: %d of %q is %s", text, at, q.Text(), message)
		}
	}
}

func fuzzSelector(t *testing.T, policy *Policy, text string) {
	got, err := Selectors(policy, []string{text, text}, false)
	sets, parseErr := everything.ParseMetricSelectors([]string{text})
	if err != nil || parseErr != nil {
		var refused *RefusedError
		if !errors.As(err, &refused) && errorText(err) != errorText(parseErr) {
			t.Fatalf("%q: %v, want %v", text, err, parseErr)
		}
		return
	}
	again, err := everything.ParseMetricSelectors(got)
	if err != nil || len(again) != 2 {
		t.Fatalf("%q became %q: %v", text, got, err)
	}
	for _, set := range again {
		if rest := stripped(t, policy, set, false); dump(rest) != dump(sets[0]) {
			t.Fatalf("%q became %q", text, got)
		}
	}
}

// checkEnforced tells without the code that it tests, and as strictly, whether a
// text is an expression with a policy's matchers in each selector.
func checkEnforced(t testing.TB, policy *Policy, expr parser.Expr, text string) {
	t.Helper()
	again, err := everything.ParseExpr(text)
	if err != nil {
		t.Fatalf("%s became %q: %v", expr, text, err)
	}
	parser.Inspect(again, func(node parser.Node, path []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		absent := false
		for _, above := range path {
			call, ok := above.(*parser.Call)
			absent = absent || ok && strings.HasPrefix(call.Func.Name, "absent")
		}
		selector.LabelMatchers = stripped(t, policy, selector.LabelMatchers, absent)
		return nil
	})
	if got, want := dump(again), dump(expr); got != want {
		t.Fatalf("%s became %q, which is\n%s, want\n%s", expr, text, got, want)
	}
}

// stripped are a selector's matchers without the policy's, which must be there.
func stripped(t testing.TB, policy *Policy, matchers []*labels.Matcher, absent bool) []*labels.Matcher {
	t.Helper()
	if len(matchers) < len(policy.names) {
		t.Fatalf("%s lacks enforced matchers", matchers)
	}
	for i, name := range policy.names {
		m := matchers[i]
		exact := m.Type == labels.MatchEqual && len(policy.values[name]) == 1 && !absent
		if m.Name != name || m.Type != labels.MatchRegexp && !exact || m.Matches("") || m.Matches(policy.values[name][0]+"x") && len(policy.values[name]) == 1 {
			t.Fatalf("%s is no matcher of %q", m, name)
		}
		for _, value := range policy.values[name] {
			if !m.Matches(value) {
				t.Fatalf("%s does not match %q", m, value)
			}
		}
	}
	return matchers[len(policy.names):]
}

// generator makes random expressions over the data of TestDifferential.
type generator struct{ *rand.Rand }

func (g generator) of(choices ...string) string { return choices[g.IntN(len(choices))] }

// space is where a user may break a line.
func (g generator) space() string {
	if g.IntN(40) == 0 {
		return g.of("\n", "\t ", " # up{ns=\"c\"}\n  ")
	}
	return " "
}

// expression has count_values outermost alone: the order of what it gives is
// another one each time.
func (g generator) expression() string {
	switch depth := g.IntN(4); g.IntN(16) {
	case 0:
		return g.scalar(depth)
	case 1:
		return g.matrix(depth)
	case 2:
		return "count_values" + g.of("", " by"+g.labels(), " without"+g.labels()) + "(" + g.of(`"v"`, `"ns"`) + ", " + g.vector(depth) + ")"
	default:
		return g.vector(depth)
	}
}

func (g generator) vector(depth int) string {
	if depth <= 0 {
		return g.selector() + g.modifiers(true)
	}
	depth--
	switch g.IntN(14) {
	case 0:
		return g.selector() + g.modifiers(true)
	case 1:
		return "(" + g.vector(depth) + ")"
	case 2:
		return g.of("-", "+") + g.vector(depth)
	case 3, 4:
		return g.aggregation(depth)
	case 5:
		operator := g.of("+", "-", "*", "/", "%", "^", "atan2", "==", "> bool", "<", ">= bool", "</", ">/")
		if g.IntN(2) == 0 {
			return g.scalar(depth) + g.space() + operator + g.space() + g.vector(depth)
		}
		return g.vector(depth) + g.space() + operator + g.space() + g.scalar(depth)
	case 6, 7, 8:
		return g.vector(depth) + g.space() + g.operator() + g.space() + g.vector(depth)
	case 9:
		if g.IntN(2) == 0 {
			return "absent(" + g.selector() + g.modifiers(false) + ")"
		}
		return "absent_over_time(" + g.matrix(depth) + ")"
	default:
		return g.call(depth, parser.ValueTypeVector)
	}
}

func (g generator) scalar(depth int) string {
	if depth <= 0 {
		return g.of("0", "1", "2", "-1", "0.5", "0.9", "3e2", "0x1F", "NaN", "-Inf", "Inf", "5m", "-0", "1e-7", "1.0000001")
	}
	depth--
	switch g.IntN(5) {
	case 0:
		return "scalar(" + g.vector(depth) + ")"
	case 1:
		return g.scalar(depth) + " " + g.of("+", "-", "*", "/", "^", "%", "< bool", "== bool") + " " + g.scalar(depth)
	case 2:
		return g.scalar(0)
	default:
		return g.call(depth, parser.ValueTypeScalar)
	}
}

func (g generator) matrix(depth int) string {
	if depth <= 0 || g.IntN(3) > 0 {
		return g.selector() + "[" + g.duration() + "]" + g.of("", "", "", "", " anchored", " smoothed") + g.modifiers(false)
	}
	return "(" + g.vector(depth-1) + ")[" + g.duration() + ":" + g.of("", "30s", "1m", "45", "20s + 1", "(step() + 30s)") + "]" + g.modifiers(false)
}

func (g generator) duration() string {
	return g.of("1m", "2m", "90", "2m30s", "5m", "1m * 2", "(30s + step())", "max_of(1m, range())", "min_of(5m, 100)", "-step() + 3m", "31.5001")
}

// selector names the enforced labels, too, and other tenants.
func (g generator) selector() string {
	name := g.of("reqs_total", "g", "lat_bucket", "nh", "mix", "nhcb", "up", "secret", "g", "reqs_total", "", "")
	var matchers []string
	if name == "" {
		matchers = append(matchers, g.of(`"http.requests"`, `__name__="g"`, `__name__=~"g|up"`, `__name__=~"reqs.*"`, `__name__!~"nh.*|lat.*|mix",__name__!=""`, `job="api"`, `ns="a"`, `cluster=~".+"`))
	}
	for range g.IntN(3) {
		matchers = append(matchers, g.of("job", "instance", "ns", "ns", "ns", "cluster", `"ns"`, "le", "none")+
			g.of("=", "!=", "=~", "!~")+
			g.of(`"a"`, `"b"`, `"c"`, `"a|b"`, `"a\\|b"`, `".*"`, `".+"`, `""`, `"eu"`, `"api"`, `"0"`, "`[^a]`", `'"} or up{ns="c'`, `"0.1"`))
	}
	if name != "" && len(matchers) == 0 {
		return name
	}
	return name + "{" + strings.Join(matchers, ",") + "}"
}

func (g generator) modifiers(extended bool) string {
	s := ""
	if extended && g.IntN(40) == 0 {
		s += " smoothed"
	}
	if g.IntN(6) == 0 {
		s += " @ " + g.of("600", "700.25", "start()", "end()", "-1", "1.2e3")
	}
	if g.IntN(6) == 0 {
		s += " offset " + g.of("1m", "-1m", "150", "-0.001", "(1m + 1)", "-step()", "+range()", "min_of(1m, 2m)")
	}
	return s
}

func (g generator) labels() string {
	var names []string
	for range g.IntN(3) {
		names = append(names, g.of("job", "instance", "ns", "cluster", "le", `"ns"`, `"without"`, "__name__"))
	}
	return " (" + strings.Join(names, ", ") + ") "
}

func (g generator) operator() string {
	if g.IntN(3) == 0 {
		return g.of("and", "or", "unless") + g.of("", " on"+g.labels(), " ignoring"+g.labels())
	}
	s := g.of("+", "-", "*", "/", "%", "^", "atan2", "==", "!=", ">", "<", ">=", "<=", "== bool", "< bool")
	switch g.IntN(5) {
	case 0:
	case 1:
		s += " on (job, instance, ns, cluster, le)"
	default:
		s += g.of(" on", " ignoring") + g.labels()
		s += g.of("", " group_left", " group_right", " group_left (ns)", " group_right (instance, cluster)")
	}
	return s + g.of("", "", "", "", " fill (0)", " fill_left (-1)", " fill_right (NaN)", " fill_left (0) fill_right (-0)")
}

func (g generator) aggregation(depth int) string {
	grouping := g.of("", " by"+g.labels(), " without"+g.labels())
	switch op := g.of("avg", "count", "group", "max", "min", "stddev", "stdvar", "sum", "sum", "bottomk", "topk", "quantile", "limitk", "limit_ratio"); op {
	case "bottomk", "topk", "limitk": // of something that has an order
		return op + grouping + "(" + g.of("1", "2", "5", g.scalar(depth)) + "," + g.space() + g.ordered() + ")"
	case "stddev", "stdvar": // whose last bits depend much on it
		return op + "(" + g.space() + g.ordered() + ")" + grouping
	case "quantile", "limit_ratio":
		return op + "(" + g.of("0.5", "-0.3", g.scalar(depth)) + ", " + g.vector(depth) + ")" + grouping
	default:
		return op + "(" + g.space() + g.vector(depth) + ")" + grouping
	}
}

// ordered is a vector that has the same order each time: over a range, what most
// functions and operators give has that of a map.
func (g generator) ordered() string {
	return g.of(g.vector(0), g.of("rate", "delta", "max_over_time", "last_over_time")+"("+g.matrix(0)+")")
}

// call calls any function of a type, with arguments that suit it.
func (g generator) call(depth int, returns parser.ValueType) string {
	var names []string
	for name, f := range parser.Functions {
		if _, allowed := allowedFunctions[name]; allowed && f.ReturnType == returns {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	f := parser.Functions[g.of(names...)]
	types := slices.Clone(f.ArgTypes)
	if f.Variadic != 0 {
		types = types[:len(types)-1]
		for range g.IntN(3) {
			if f.Variadic < 0 || len(types) < len(f.ArgTypes)-1+f.Variadic {
				types = append(types, f.ArgTypes[len(f.ArgTypes)-1])
			}
		}
	}
	args := make([]string, len(types))
	for i, t := range types {
		switch t {
		case parser.ValueTypeVector:
			args[i] = g.vector(depth)
			if strings.HasPrefix(f.Name, "histogram_") && g.IntN(2) == 0 {
				args[i] = g.of("nh", "nhcb", "lat_bucket", "rate(lat_bucket[3m])", "sum without (instance) (nh)", "sum by (le, ns) (lat_bucket)")
			}
		case parser.ValueTypeMatrix:
			args[i] = g.matrix(depth)
		case parser.ValueTypeString:
			args[i] = g.of(`"ns"`, `"job"`, `"instance"`, `"new"`, `"cluster"`, "`(.*)`", `"$1-c"`, `"c"`, `"\u00f6"`)
		default:
			args[i] = g.scalar(min(depth, g.IntN(3)))
		}
	}
	return f.Name + "(" + strings.Join(args, ","+g.space()) + ")"
}
