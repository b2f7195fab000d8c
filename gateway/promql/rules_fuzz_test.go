package promql

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
)

// withoutNames takes away what is not the same after filtering twice: the name
// of a file is made of the name before, and one warning of ours replaces all.
func withoutNames(t *testing.T, out []byte) (any, []ruleGroup) {
	t.Helper()
	var whole map[string]any
	if err := json.Unmarshal(out, &whole); err != nil {
		t.Fatalf("%v in\n%s", err, out)
	}
	delete(whole, "warnings")
	for _, g := range whole["data"].(map[string]any)["groups"].([]any) {
		delete(g.(map[string]any), "file")
	}
	groups, _ := decodeRules(t, out)
	return whole, groups
}

// FuzzFilterRules: whatever the upstream sends, what comes out is the tenant's
// alone, and filtering it again takes nothing more away.
func FuzzFilterRules(f *testing.F) {
	for _, in := range validAnswers {
		f.Add([]byte(in))
	}
	for _, in := range badAnswers {
		f.Add([]byte(in))
	}
	for _, fields := range badFields {
		f.Add([]byte(`{"status":"success","data":{"groups":[` + fields + `]}}`))
	}
	p := ofShop(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := p.FilterRules(bytes.NewReader(in), RuleFilter{}, roomy)
		if err != nil {
			if out != nil || len(err.Error()) > 120 {
				t.Fatalf("%q and %v", out, err)
			}
			return
		}
		if !json.Valid(in) {
			t.Fatalf("%q passes, and is no JSON", in)
		}
		first, groups := withoutNames(t, out)
		for _, g := range groups {
			for _, r := range g.Rules {
				if c := p.confinedSlowly(r.Query); r.Labels["namespace"] != "shop" && !c.by(0) {
					t.Fatalf("a rule that is not the tenant's in\n%s", out)
				}
				for _, a := range r.Alerts {
					if n := a.Labels["namespace"]; n != "shop" && n != "" {
						t.Fatalf("an alert that is not the tenant's in\n%s", out)
					}
				}
			}
		}
		again, err := p.FilterRules(bytes.NewReader(out), RuleFilter{}, roomy)
		if err != nil {
			t.Fatalf("%v when filtered again\n%s", err, out)
		}
		if second, _ := withoutNames(t, again); !reflect.DeepEqual(first, second) {
			t.Fatalf("filtered twice it is\n%s\nnot\n%s", again, out)
		}
	})
}

// FuzzAnswers: the other filters read nothing that is no JSON, and write JSON.
func FuzzAnswers(f *testing.F) {
	for _, in := range validAnswers {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		for name, filter := range filters(t) {
			out, err := filter(string(in), roomy)
			if err == nil && (!json.Valid(in) || name != "names" && !json.Valid(out)) {
				t.Fatalf("%s: %q makes %q", name, in, out)
			}
		}
	})
}
