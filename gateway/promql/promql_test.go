package promql

import "testing"

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestExperimentalSyntax: what some upstream may have switched on is for the
// upstream to refuse.
func TestExperimentalSyntax(t *testing.T) {
	var checker Checker
	for _, expr := range []string{
		`sort_by_label(up, "job")`, `limitk(5, up)`, `limit_ratio(0.5, up)`, `mad_over_time(up[5m])`, `info(up)`, `info(up, {k8s_cluster="a"})`, `ts_of_max_over_time(up[5m])`,
		`rate(up[5m * 2])`, `rate(up[step() + 1m])`, `up offset (1h - 5m)`, `max_over_time(up[range()])`, `rate(up[5m] smoothed)`, `increase(up[5m] anchored)`, `a + fill(0) b`, `a + on(x) fill_left(1) b`,
		`{"utf8.name", "service.name"="größe"}`, `up @ end()`, `up offset -5m`, `rate(up[5m:1m] @ start())`, `histogram_quantile(0.9, sum(rate(x[5m])))`, `up # comment`, "up{job=`a`}", `0x1F`, `1_000`, `Inf`, `-NaN`, `5m`,
	} {
		if err := checker.CheckExpr(expr); err != nil {
			t.Errorf("%s: %v", expr, err)
		}
	}
}

func TestCheckExpr(t *testing.T) {
	var checker Checker
	for expr, want := range map[string]string{
		"":               "unknown position: parse error: no expression found in input",
		"up{":            "1:4: parse error: unexpected end of input inside braces",
		"up{job=}":       `1:8: parse error: unexpected "}" in label matching, expected string`,
		"sum(up":         "1:7: parse error: unclosed left parenthesis",
		"nope(up)":       `1:1: parse error: unknown function with name "nope"`,
		"rate(up)":       `1:6: parse error: expected type range vector in call to function "rate", got instant vector`,
		`up{a=~"("}`:     "1:4: parse error: error parsing regexp: missing closing ): `(`",
		"{}":             "1:1: parse error: vector selector must contain at least one non-empty matcher",
		"\n\nup up":      `3:4: parse error: unexpected identifier "up"`,
		"größe + (":      `1:3: parse error: unexpected character: 'ö'`,
		"up offset x":    `1:11: parse error: unexpected identifier "x" in offset, expected number, duration, step(), or range()`,
		"sum by (a b) x": "",
	} {
		got := errorText(checker.CheckExpr(expr))
		if want == "" && got != "" {
			continue // refused, in whatever words
		}
		if got != want {
			t.Errorf("%q: %s, want %s", expr, got, want)
		}
	}
}

func TestCheckRangeExpr(t *testing.T) {
	var checker Checker
	for expr, want := range map[string]string{
		"up": "", "1": "", "sum(rate(up[5m]))": "",
		"up[5m]": `invalid expression type "range vector" for range query, must be Scalar or instant Vector`,
		`"a"`:    `invalid expression type "string" for range query, must be Scalar or instant Vector`,
		"up[":    checker.CheckExpr("up[").Error(),
	} {
		if got := errorText(checker.CheckRangeExpr(expr)); got != want {
			t.Errorf("%s: %s, want %s", expr, got, want)
		}
	}
}

func TestSelectors(t *testing.T) {
	const narrow = "match[] must contain at least one non-empty matcher"
	cases := []struct {
		selectors   []string
		any, narrow string
	}{
		{nil, "", ""},
		{[]string{"up", `{job="a"}`, `{"utf8.name"}`}, "", ""},
		{[]string{"up", `{a=~".*"}`}, "", narrow},
		{[]string{`{a=""}`}, "", narrow},
		{[]string{`{}`}, "", narrow},
		{[]string{""}, "unknown position: parse error: unexpected end of input", "unknown position: parse error: unexpected end of input"},
		{[]string{"up[5m]"}, `1:3: parse error: unexpected "["`, `1:3: parse error: unexpected "["`},
	}
	for _, c := range cases {
		if got := errorText(CheckSelectors(c.selectors)); got != c.any {
			t.Errorf("%q: %s, want %s", c.selectors, got, c.any)
		}
		if got := errorText(CheckNarrowSelectors(c.selectors)); got != c.narrow {
			t.Errorf("%q, narrow: %s, want %s", c.selectors, got, c.narrow)
		}
	}
}
