package promql

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
)

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestExperimentalSyntax: what some upstream may have switched on is for the
// upstream to refuse.
func TestExperimentalSyntax(t *testing.T) {
	var p Parser
	for _, expr := range []string{
		`sort_by_label(up, "job")`, `limitk(5, up)`, `limit_ratio(0.5, up)`, `mad_over_time(up[5m])`, `info(up)`, `info(up, {k8s_cluster="a"})`, `ts_of_max_over_time(up[5m])`,
		`rate(up[5m * 2])`, `rate(up[step() + 1m])`, `up offset (1h - 5m)`, `max_over_time(up[range()])`, `rate(up[5m] smoothed)`, `increase(up[5m] anchored)`, `a + fill(0) b`, `a + on(x) fill_left(1) b`,
		`{"utf8.name", "service.name"="größe"}`, `up @ end()`, `up offset -5m`, `rate(up[5m:1m] @ start())`, `histogram_quantile(0.9, sum(rate(x[5m])))`, `up # comment`, "up{job=`a`}", `0x1F`, `1_000`, `Inf`, `-NaN`, `5m`,
	} {
		if q, err := p.Query(nil, expr); err != nil || q.Text() != expr {
			t.Errorf("%s: %v", expr, err)
		}
	}
}

// TestEscaped: what goes upstream is the text with the policy in it, also of a
// query that is known.
func TestEscaped(t *testing.T) {
	var p Parser
	policy := policyOf(t, map[string][]string{"t": {"a"}})
	for range 2 {
		for _, policy := range []*Policy{nil, policy} {
			q, err := p.Query(policy, `sum(up{job=~"a|b & c"})`)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := url.QueryUnescape(q.Escaped()); err != nil || got != q.Text() {
				t.Errorf("%q is sent for %q, %v", got, q.Text(), err)
			}
		}
	}
}

// TestParseErrors: they are Prometheus' own, and the same under a policy.
func TestParseErrors(t *testing.T) {
	var p Parser
	policy := policyOf(t, map[string][]string{"t": {"a"}})
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
		for _, policy := range []*Policy{nil, policy} {
			q, err := p.Query(policy, expr)
			got := errorText(err)
			if q != nil || got == "" || want != "" && got != want { // "": in whatever words
				t.Errorf("%q: %s, want %s", expr, got, want)
			}
		}
	}
}

func TestCheckRange(t *testing.T) {
	var p Parser
	policy := policyOf(t, map[string][]string{"t": {"a"}})
	for expr, want := range map[string]string{
		"up": "", "1": "", "sum(rate(up[5m]))": "",
		"up[5m]":    `invalid expression type "range vector" for range query, must be Scalar or instant Vector`,
		"up[5m:1m]": `invalid expression type "range vector" for range query, must be Scalar or instant Vector`,
		`"a"`:       `invalid expression type "string" for range query, must be Scalar or instant Vector`,
	} {
		for _, policy := range []*Policy{nil, policy} {
			q, err := p.Query(policy, expr)
			if err != nil {
				t.Errorf("%s: %v", expr, err)
				continue
			}
			if got := errorText(q.CheckRange()); got != want {
				t.Errorf("%s: %s, want %s", expr, got, want)
			}
		}
	}
}

func TestSelectors(t *testing.T) {
	const narrow = "match[] must contain at least one non-empty matcher"
	policy := policyOf(t, map[string][]string{"t": {"a"}})
	for _, c := range []struct {
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
	} {
		for _, policy := range []*Policy{nil, policy} {
			for isNarrow, want := range map[bool]string{false: c.any, true: c.narrow} {
				got, err := Selectors(policy, c.selectors, isNarrow)
				if errorText(err) != want || err == nil && len(got) != len(c.selectors) {
					t.Errorf("%q, narrow %v: %q (%v), want %s", c.selectors, isNarrow, got, err, want)
				}
				if policy == nil && err == nil {
					for i := range got {
						if got[i] != c.selectors[i] {
							t.Errorf("%s became %s", c.selectors[i], got[i])
						}
					}
				}
			}
		}
	}
}

// originalCases are messages of an upstream: %s stands for the line and column of
// a part of the enforced text.
var originalCases = []struct {
	expr, part, message string
	at                  string // where it is in the user's text
}{
	{`up + down`, `down`, `invalid parameter "query": %s: parse error: x`, `1:6`},
	{`up + down`, `up`, `%s: parse error: x`, `1:1`},
	{`up + down`, `t="a"`, `%s: parse error: x`, `1:1`}, // ours, which the user did not write
	{`up + down{job="x"}`, `job="x"`, `%s: parse error: x`, `1:6`},
	{`up + down`, `+`, `%s: parse error: x`, `1:1`},
	{`up{a="ö"} or x`, `x`, `%s: parse error: x`, `1:15`}, // columns count bytes, as Prometheus has it
	{`sum(up) by (job) / limitk(2, b)`, `limitk`, `%s: parse error: limitk() is experimental`, `1:20`},
	{`sum(up) by (job) / limitk(2, b)`, `2`, `%s: parse error: x`, `1:27`},
	{`rate(up[(5m + step())])`, `step`, `%s: parse error: experimental duration expression is not enabled`, `1:15`},
	{`(up) - -(down offset (1m * 2))`, `1m`, `%s: parse error: x`, `1:23`},
	{`(up) - -(down offset (1m * 2))`, `-(`, `%s: parse error: x`, `1:8`},
}

func TestOriginal(t *testing.T) {
	policy := policyOf(t, map[string][]string{"t": {"a"}})
	for _, c := range originalCases {
		var p Parser
		q, err := p.Query(policy, c.expr)
		if err != nil {
			t.Errorf("%s: %v", c.expr, err)
			continue
		}
		message := fmt.Sprintf(c.message, fmt.Sprintf("1:%d", strings.Index(q.Text(), c.part)+1))
		if got, want := q.Original(message), fmt.Sprintf(c.message, c.at); got != want {
			t.Errorf("%s: %s became %s, want %s", c.expr, message, got, want)
		}
	}
}

func TestOriginalUnmapped(t *testing.T) {
	var p Parser
	q, err := p.Query(policyOf(t, map[string][]string{"t": {"a"}}), "  up offset (0 / step())")
	if err != nil || q.Text() != `up{t="a"} offset (0 / step())` {
		t.Fatalf("%+v, %v", q, err)
	}
	for message, want := range map[string]string{
		"": "", "x": "x", "1:1": "1:1", "unknown position: parse error: x": "unknown position: parse error: x",
		"expanding series: 1:1 (2:2) y":                  "expanding series: 1:1 (2:2) y",
		"1:1: parse error: x":                            "1:3: parse error: x",
		"1:1000: parse error: x":                         "parse error: x",
		"1:0: parse error: x":                            "parse error: x",
		"0:1: parse error: x":                            "parse error: x",
		"2:1: parse error: x":                            "parse error: x",
		`invalid parameter "query": 9:9: parse error: x`: `invalid parameter "query": parse error: x`,
		"99999999999999999999:1: parse error: x":         "parse error: x",
		// Bytes from and to, counted from 0.
		"18:28: division by zero": "13:23: division by zero",
		`invalid parameter "query": 18:28: duration is NaN or infinite`: `invalid parameter "query": 13:23: duration is NaN or infinite`,
		"1:2: duration is out of range":                                 "duration is out of range",
	} {
		if got := q.Original(message); got != want {
			t.Errorf("%s became %s, want %s", message, got, want)
		}
	}
	plain, err := p.Query(nil, "up")
	if err != nil {
		t.Fatal(err)
	}
	if got := plain.Original("1:5: parse error: x"); got != "1:5: parse error: x" {
		t.Error(got)
	}
}
