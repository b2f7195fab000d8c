package promql

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

const roomy = 1 << 20

func enforcing(t testing.TB, enforced map[string][]string) *Policy {
	t.Helper()
	p, err := NewPolicy(enforced)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func ofShop(t testing.TB) *Policy { return enforcing(t, map[string][]string{"namespace": {"shop"}}) }

// As Prometheus 3.15 writes it, with HTML's signs escaped.
const promRules = `{"status":"success","data":{"groups":[` +
	`{"name":"shop","file":"/etc/prometheus/rules/shop.yaml","rules":[` +
	`{"state":"firing","name":"Slow","query":"rate(http_seconds_sum{namespace=\"shop\"}[5m]) \u003e 0.5","duration":300,"keepFiringFor":1.5e-1,` +
	`"labels":{"severity":"page"},"annotations":{"summary":"{{ $labels.pod }} is slow"},"alerts":[` +
	`{"labels":{"alertname":"Slow","namespace":"shop","pod":"a"},"annotations":{"summary":"a is slow"},"state":"firing","activeAt":"2025-10-01T10:00:00.123456789Z","keepFiringSince":"2025-10-01T10:05:00Z","value":"7.5e-01"},` +
	`{"labels":{"alertname":"Slow","namespace":"billing","pod":"b"},"annotations":{},"state":"pending","activeAt":"2025-10-01T10:00:00Z","value":"6e-01"},` +
	`{"labels":{"alertname":"Slow"},"annotations":{},"state":"pending","activeAt":"2025-10-01T10:00:00Z","value":"NaN"}],` +
	`"health":"ok","evaluationTime":0.000123456789012345678,"lastEvaluation":"2025-10-01T10:00:00.5+02:00","type":"alerting"},` +
	`{"name":"up:sum","query":"sum(up)","labels":{"namespace":"shop"},"health":"err","lastError":"a \u0026 b","evaluationTime":0.1,"lastEvaluation":"2025-10-01T10:00:00Z","type":"recording"},` +
	`{"name":"others","query":"sum(up)","labels":{"namespace":"billing"},"health":"ok","evaluationTime":0.1,"lastEvaluation":"2025-10-01T10:00:00Z","type":"recording"}],` +
	`"interval":30,"limit":5,"evaluationTime":0.2,"lastEvaluation":"2025-10-01T10:00:00Z"},` +
	`{"name":"billing","file":"/etc/prometheus/rules/billing.yaml","rules":[` +
	`{"state":"inactive","name":"Down","query":"up{namespace=\"billing\"} == 0","duration":0,"keepFiringFor":0,"labels":{},"annotations":{},"alerts":[],"health":"ok","evaluationTime":0,"lastEvaluation":"0001-01-01T00:00:00Z","type":"alerting"}],` +
	`"interval":30,"limit":0,"evaluationTime":0.2,"lastEvaluation":"2025-10-01T10:00:00Z"},` +
	`{"name":"shop-2","file":"/etc/prometheus/rules/shop.yaml","rules":[` +
	`{"state":"inactive","name":"Down","query":"up{namespace=\"shop\"} == 0","duration":0,"keepFiringFor":0,"labels":{},"annotations":{},"alerts":null,"health":"unknown","evaluationTime":0,"lastEvaluation":"0001-01-01T00:00:00Z","type":"alerting"}],` +
	`"interval":15,"limit":0,"evaluationTime":0,"lastEvaluation":"0001-01-01T00:00:00Z"}]}}`

const shopGroup = `{"name":"shop","file":"FILE","rules":[` +
	`{"state":"firing","name":"Slow","query":"rate(http_seconds_sum{namespace=\"shop\"}[5m]) \u003e 0.5","duration":300,"keepFiringFor":1.5e-1,` +
	`"labels":{"severity":"page"},"annotations":{"summary":"{{ $labels.pod }} is slow"},"alerts":[` +
	`{"labels":{"alertname":"Slow","namespace":"shop","pod":"a"},"annotations":{"summary":"a is slow"},"state":"firing","activeAt":"2025-10-01T10:00:00.123456789Z","keepFiringSince":"2025-10-01T10:05:00Z","value":"7.5e-01"},` +
	`{"labels":{"alertname":"Slow"},"annotations":{},"state":"pending","activeAt":"2025-10-01T10:00:00Z","value":"NaN"}],` +
	`"health":"ok","evaluationTime":0.000123456789012345678,"lastEvaluation":"2025-10-01T10:00:00.5+02:00","type":"alerting"},` +
	`{"name":"up:sum","query":"sum(up)","labels":{"namespace":"shop"},"health":"err","lastError":"the rule failed; its error may concern others and is not shown","evaluationTime":0.1,"lastEvaluation":"2025-10-01T10:00:00Z","type":"recording"}],` +
	`"interval":30,"limit":5,"evaluationTime":0.2,"lastEvaluation":"2025-10-01T10:00:00Z"}`

const shopGroup2 = `{"name":"shop-2","file":"FILE","rules":[` +
	`{"state":"inactive","name":"Down","query":"up{namespace=\"shop\"} == 0","duration":0,"keepFiringFor":0,"labels":{},"annotations":{},"alerts":null,"health":"unknown","evaluationTime":0,"lastEvaluation":"0001-01-01T00:00:00Z","type":"alerting"}],` +
	`"interval":15,"limit":0,"evaluationTime":0,"lastEvaluation":"0001-01-01T00:00:00Z"}`

func rulesAnswer(file, rest string, groups ...string) string {
	return strings.ReplaceAll(`{"status":"success","data":{"groups":[`+strings.Join(groups, ",")+`]`+rest+`}`, "FILE", file)
}

func TestFilterRules(t *testing.T) {
	const file = "rules-bf43135a5a13"
	mimir := `{"status":"success","data":{"groups":[{"name":"g","file":"ns","rules":[` +
		`{"state":"inactive","name":"A","query":"up{namespace=\"shop\"} # text","duration":60,"labels":null,"annotations":{},"alerts":[],"health":"ok","lastError":"","type":"alerting","lastEvaluation":"2025-10-01T10:00:00Z","evaluationTime":0.5},` +
		`{"name":"r","query":"up{namespace=\"shop\"}","labels":{},"health":"ok","lastError":"","type":"recording","lastEvaluation":"2025-10-01T10:00:00Z","evaluationTime":0.5}],` +
		`"interval":60,"lastEvaluation":"2025-10-01T10:00:00Z","evaluationTime":1,"sourceTenants":["secret"]}]},"errorType":"","error":""}` + "\n"
	thanos := `{"status":"success","data":{"groups":[{"name":"g","file":"ns","rules":[` +
		`{"state":"firing","name":"A","query":"up{namespace=\"shop\"}","durationSeconds":1,"duration":60,"labels":{"replica":"0"},"annotations":{},"alerts":[` +
		`{"labels":{"namespace":"shop"},"annotations":null,"state":"firing","activeAt":"2025-10-01T10:00:00Z","value":"1e+00","partialResponseStrategy":"WARN"}],` +
		`"health":"ok","evaluationTime":0.5,"lastEvaluation":"2025-10-01T10:00:00Z","keepFiringFor":0,"type":"alerting"}],` +
		`"interval":60,"evaluationTime":1,"lastEvaluation":"2025-10-01T10:00:00Z","limit":0,"partialResponseStrategy":"ABORT"}]},"warnings":["secret","secret"],"infos":["secret"]}`
	for name, c := range map[string]struct {
		in     string
		filter RuleFilter
		want   string
	}{
		"prometheus":      {promRules, RuleFilter{}, rulesAnswer(file, "}", shopGroup, shopGroup2)},
		"a file":          {promRules, RuleFilter{Files: []string{"x", file}}, rulesAnswer(file, "}", shopGroup, shopGroup2)},
		"another file":    {promRules, RuleFilter{Files: []string{"/etc/prometheus/rules/shop.yaml"}}, rulesAnswer(file, "}")},
		"room for all":    {promRules, RuleFilter{Limit: 2}, rulesAnswer(file, "}", shopGroup, shopGroup2)},
		"none":            {`{"data":{"groups":[]},"status":"success"}`, RuleFilter{}, rulesAnswer(file, "}")},
		"a group of none": {`{"data":{"groups":[{"name":"x"},{"rules":null},{"rules":[]}]},"status":"success"}`, RuleFilter{Limit: 1}, rulesAnswer(file, "}")},
		"one warning": {
			`{"status":"success","data":{"groups":[]},"infos":["secret"],"warnings":null}`, RuleFilter{},
			rulesAnswer(file, `},"warnings":["the upstream sent 1 warning; it may concern others and is not shown"]`),
		},
		"mimir": {mimir, RuleFilter{}, rulesAnswer("rules-e864797ff404", "}", `{"name":"g","file":"FILE","rules":[`+
			`{"state":"inactive","name":"A","query":"up{namespace=\"shop\"} # text","duration":60,"keepFiringFor":0,"labels":{},"annotations":{},"alerts":[],"health":"ok","evaluationTime":0.5,"lastEvaluation":"2025-10-01T10:00:00Z","type":"alerting"},`+
			`{"name":"r","query":"up{namespace=\"shop\"}","labels":{},"health":"ok","evaluationTime":0.5,"lastEvaluation":"2025-10-01T10:00:00Z","type":"recording"}],`+
			`"interval":60,"limit":0,"evaluationTime":1,"lastEvaluation":"2025-10-01T10:00:00Z"}`)},
		"thanos": {thanos, RuleFilter{}, rulesAnswer("rules-e864797ff404", `},"warnings":["the upstream sent 3 warnings; they may concern others and are not shown"]`, `{"name":"g","file":"FILE","rules":[`+
			`{"state":"firing","name":"A","query":"up{namespace=\"shop\"}","duration":60,"keepFiringFor":0,"labels":{"replica":"0"},"annotations":{},"alerts":[`+
			`{"labels":{"namespace":"shop"},"annotations":{},"state":"firing","activeAt":"2025-10-01T10:00:00Z","value":"1e+00"}],`+
			`"health":"ok","evaluationTime":0.5,"lastEvaluation":"2025-10-01T10:00:00Z","type":"alerting"}],`+
			`"interval":60,"limit":0,"evaluationTime":1,"lastEvaluation":"2025-10-01T10:00:00Z"}`)},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ofShop(t).FilterRules(strings.NewReader(c.in), c.filter, roomy)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// ruleList is an answer with one recording rule a group; groups are
// "namespace/name".
func ruleList(groups ...string) string {
	var b strings.Builder
	for i, g := range groups {
		namespace, name, _ := strings.Cut(g, "/")
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, `{"name":%q,"file":"f","rules":[{"name":"r","query":"1","labels":{"namespace":%q},"type":"recording"}]}`, name, namespace)
	}
	return `{"status":"success","data":{"groups":[` + b.String() + `]}}`
}

func groupsOf(t *testing.T, p *Policy, in string, f RuleFilter) (names []string, next string, err error) {
	t.Helper()
	out, err := p.FilterRules(strings.NewReader(in), f, roomy)
	if err != nil {
		return nil, "", err
	}
	groups, next := decodeRules(t, out)
	for _, g := range groups {
		names = append(names, g.Name)
	}
	return names, next, nil
}

func TestRulePages(t *testing.T) {
	p := ofShop(t)
	// b is there twice, as no Prometheus has it.
	in := ruleList("billing/x", "shop/a", "billing/y", "shop/b", "shop/b", "shop/c", "billing/z")
	f := RuleFilter{Limit: 1}
	var seen []string
	for range 4 {
		names, next, err := groupsOf(t, p, in, f)
		if err != nil || len(names) != 1 {
			t.Fatal(names, err)
		}
		seen, f.Token = append(seen, names[0]), next
		// Nothing of others shows in a token.
		if _, alone, _ := groupsOf(t, p, ruleList("shop/a", "shop/b", "shop/b", "shop/c"), RuleFilter{Limit: len(seen)}); alone != next {
			t.Errorf("after %v: token %q, and %q without other tenants", seen, next, alone)
		}
	}
	if got := strings.Join(seen, ""); got != "abbc" || f.Token != "" {
		t.Errorf("pages %q, then token %q", got, f.Token)
	}

	_, token, _ := groupsOf(t, p, in, RuleFilter{Limit: 1})
	if _, _, err := groupsOf(t, enforcing(t, map[string][]string{"namespace": {"billing"}}), in, RuleFilter{Limit: 1, Token: token}); err == nil {
		t.Error("another tenant's token leads to a page")
	}
	for _, f := range []RuleFilter{{Limit: 1, Token: "x"}, {Token: token}} {
		_, _, err := groupsOf(t, p, in, f)
		var bad *BadTokenError
		if !errors.As(err, &bad) {
			t.Fatalf("%+v: %v", f, err)
		}
		want := `invalid parameter "group_next_token": invalid group_next_token 'x'. were rule groups changed?`
		if f.Limit == 0 {
			want = `invalid parameter "group_next_token": group_limit needs to be present in order to paginate over the groups`
		}
		if err.Error() != want {
			t.Errorf("got %s", err)
		}
	}
}

func TestRuleFileNames(t *testing.T) {
	shop, both := ofShop(t), enforcing(t, map[string][]string{"namespace": {"shop", "billing"}})
	if shop.fileName("a") != ofShop(t).fileName("a") {
		t.Error("a file's name changes")
	}
	if shop.fileName("a") == shop.fileName("b") || shop.fileName("a") == both.fileName("a") {
		t.Error("two files have one name")
	}
}

// TestFilterBounds: each answer has room in as many bytes as it has, and in no
// fewer.
func TestFilterBounds(t *testing.T) {
	for name, filter := range filters(t) {
		for _, in := range validAnswers {
			out, err := filter(in, roomy)
			if err != nil || name == "names" {
				continue
			}
			if _, err := filter(in, len(out)); err != nil {
				t.Errorf("%s: %v in %d bytes", name, err, len(out))
			}
			for limit := range len(out) {
				if got, err := filter(in, limit); !errors.Is(err, ErrTooLarge) || got != nil {
					t.Fatalf("%s: %v of %d bytes in %d", name, err, len(out), limit)
				}
			}
		}
	}
}

func TestFilterRulesOfNoPolicy(t *testing.T) {
	var none *Policy
	names, _, err := groupsOf(t, none, ruleList("shop/a", "billing/b"), RuleFilter{})
	if err != nil || strings.Join(names, "") != "ab" {
		t.Error(names, err)
	}
}
