package promql

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
)

func decodeRules(t testing.TB, out []byte) (groups []ruleGroup, next string) {
	t.Helper()
	var v struct {
		Data struct {
			Groups []ruleGroup
			Next   string `json:"groupNextToken"`
		}
	}
	if err := json.Unmarshal(out, &v); err != nil {
		t.Fatal(err)
	}
	return v.Data.Groups, v.Data.Next
}

// filters are all that read answers, with the same arguments.
func filters(t testing.TB) map[string]func(in string, maxOutput int) ([]byte, error) {
	p := ofShop(t)
	return map[string]func(string, int) ([]byte, error){
		"rules":  func(in string, n int) ([]byte, error) { return p.FilterRules(strings.NewReader(in), RuleFilter{}, n) },
		"alerts": func(in string, n int) ([]byte, error) { return p.FilterAlerts(strings.NewReader(in), n) },
		"metadata": func(in string, n int) ([]byte, error) {
			return FilterMetadata(strings.NewReader(in), MetadataFilter{Names: []string{"up", "http_seconds_sum"}, Limit: -1}, n)
		},
		"names": func(in string, n int) ([]byte, error) {
			names, err := DecodeNames(strings.NewReader(in), n)
			return []byte(strings.Join(names, ",")), err
		},
	}
}

const promAlerts = `{"status":"success","data":{"alerts":[` +
	`{"labels":{"namespace":"billing"},"annotations":{"a":"b"},"state":"firing","activeAt":"2025-10-01T10:00:00Z","value":"1e+00"},` +
	`{"labels":{"namespace":"shop","a":"<b>"},"annotations":{"z":"1","a":"2"},"state":"firing","activeAt":"2025-10-01T10:00:00Z","keepFiringSince":"2025-10-01T10:00:00Z","value":"1e+00","partialResponseStrategy":"WARN"},` +
	`{"labels":{"namespace":""},"annotations":{},"state":"firing","value":"1e+00"},{"labels":null,"value":""},` +
	`{"labels":{"namespace":"shop"},"state":"pending","activeAt":null,"value":"+Inf"}]},"warnings":["secret","secret"]}`

var validAnswers = []string{
	promRules, promAlerts, promMetadata,
	`{"status":"success","data":["a","b","c"]}`,
	`{"data":{"groups":[],"more":{"a":[1,{}]}},"x":[null,true,1e5],"status":"success","infos":["a"]}`,
}

func TestFilterAlerts(t *testing.T) {
	got, err := ofShop(t).FilterAlerts(strings.NewReader(promAlerts), roomy)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"status":"success","data":{"alerts":[` +
		`{"labels":{"a":"\u003cb\u003e","namespace":"shop"},"annotations":{"a":"2","z":"1"},"state":"firing","activeAt":"2025-10-01T10:00:00Z","keepFiringSince":"2025-10-01T10:00:00Z","value":"1e+00"},` +
		`{"labels":{"namespace":"shop"},"annotations":{},"state":"pending","value":"+Inf"}]},` +
		`"warnings":["the upstream sent 2 warnings; they may concern others and are not shown"]}`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	two := enforcing(t, map[string][]string{"namespace": {"shop"}, "a": {"<b>", "c"}})
	if got, err := two.FilterAlerts(strings.NewReader(promAlerts), roomy); err != nil || strings.Count(string(got), "namespace") != 1 {
		t.Errorf("with two labels: %s %v", got, err)
	}
}

// TestShortenedAnswers: no part of an answer is taken for the whole.
func TestShortenedAnswers(t *testing.T) {
	for name, filter := range filters(t) {
		for _, in := range validAnswers {
			if _, err := filter(in, roomy); err != nil {
				continue
			}
			for n := range len(in) {
				if got, err := filter(in[:n], roomy); err == nil {
					t.Fatalf("%s: %q makes %q", name, in[:n], got)
				}
			}
		}
	}
}

// badAnswers are JSON or nearly so; SECRET is what must not get into an error.
var badAnswers = []string{
	``, ` `, `null`, `true`, `[]`, `"SECRET"`, `<html>SECRET</html>`, `{}`, `SECRET`,
	`{"status":"success"}`, `{"data":{"groups":[],"alerts":[]}}`,
	`{"status":"error","errorType":"SECRET","error":"SECRET"}`,
	`{"status":"SECRET","data":{"groups":[],"alerts":[]}}`,
	`{"Status":"success","data":{"groups":[],"alerts":[]}}`,
	`{"status":null,"data":{"groups":[],"alerts":[]}}`,
	`{"status":1,"data":{"groups":[],"alerts":[]}}`,
	`{"status":"success","data":null}`, `{"status":"success","data":"SECRET"}`, `{"status":"success","data":{"SECRET":1}}`,
	`{"status":"success","data":{"groups":null,"alerts":null}}`, `{"status":"success","data":{"groups":{},"alerts":{}}}`,
	`{"status":"success","data":{"Groups":[],"Alerts":[]},"SECRET":1}`,
	`{"status":"success","data":{"groups":[],"alerts":[]},"data":{"groups":[],"alerts":[]}}`,
	`{"status":"success","data":{"groups":[],"groups":[],"alerts":[],"alerts":[]}}`,
	`{"status":"success","status":"success","data":{"groups":[],"alerts":[]}}`,
	`{"status":"success","data":{"groups":[],"alerts":[]}}SECRET`, `{"status":"success","data":{"groups":[],"alerts":[]}}{}`,
	`{"status":"success","data":{"groups":[],"alerts":[]}}]`, `{"status":"success","data":{"groups":[],"alerts":[]},}`,
	`{"status":"success","data":{"groups":[],"alerts":[]},"warnings":"SECRET"}`,
	`{"status":"success","data":{"groups":[],"alerts":[]},"warnings":[{"SECRET":1}]}`,
	`{"status":"success","data":{"groups":[],"alerts":[]},"warnings":[],"warnings":[]}`,
	`{"status":"success","data":{"groups":[],"alerts":[]},"x":{SECRET}}`,
	`{"status":"success","data":{"groups":[],"alerts":[]},1:2}`, `{"status":"success" "data":{}}`, `{"status":"success",,"data":{}}`,
	`{"status":"success","data":{"groups":[null],"alerts":[null]}}`, `{"status":"success","data":{"groups":["SECRET"],"alerts":["SECRET"]}}`,
	`{"status":"success","data":{"groups":[{}{}],"alerts":[{}{}]}}`, `{"status":"success","data":{"groups":[{},],"alerts":[{},]}}`,
	`{"status":"success","data":{"groups":[],"alerts":[]` + strings.Repeat(`,"x":`+strings.Repeat("[", 20000), 1),
}

// badFields are wrong in a group, a rule or an alert.
var badFields = []string{
	`{"name":1}`, `{"file":["SECRET"]}`, `{"interval":"SECRET"}`, `{"interval":"1"}`, `{"interval":true}`, `{"limit":[]}`, `{"lastEvaluation":"SECRET"}`,
	`{"lastEvaluation":1}`, `{"rules":{}}`, `{"rules":[null]}`, `{"rules":["SECRET"]}`, `{"rules":[{}]}`, `{"rules":[{"type":"SECRET"}]}`, `{"interval":01}`,
	`{"rules":[{"type":"recording","labels":{"SECRET":1}}]}`, `{"rules":[{"type":"recording","labels":["SECRET"]}]}`, `{"rules":[{"type":"recording","query":null}, 5]}`,
	`{"rules":[{"type":"alerting","alerts":[null]}]}`, `{"rules":[{"type":"alerting","alerts":[{"value":1}]}]}`, `{"rules":[{"type":"alerting","alerts":[{"activeAt":"SECRET"}]}]}`,
	`{"rules":[{"type":"alerting","duration":"SECRET"}]}`, "{\"name\":\"SECRET\n\"}", `{"name":"SECRET\q"}`,
}

// TestBadAnswers: none passes, and no error quotes what may be others'.
func TestBadAnswers(t *testing.T) {
	answers := badAnswers
	for _, fields := range badFields {
		answers = append(answers, `{"status":"success","data":{"groups":[`+fields+`]}}`)
	}
	for _, v := range []string{`1`, `null`, `"SECRET"`, `{"labels":{"SECRET":2}}`, `{"state":1}`, `{"value":1.5}`, `{"activeAt":"SECRET"}`, `{"annotations":"SECRET"}`} {
		answers = append(answers, `{"status":"success","data":{"alerts":[`+v+`]}}`)
	}
	for name, filter := range filters(t) {
		for _, in := range answers {
			got, err := filter(in, roomy)
			switch {
			// Any name may be a metric's.
			case err == nil && (name != "metadata" || string(got) != `{"status":"success","data":{}}`):
				t.Errorf("%s: %.200q makes %q", name, in, got)
			case err != nil && (strings.Contains(err.Error(), "SECRET") || len(err.Error()) > 120):
				t.Errorf("%s: %.200q: %v", name, in, err)
			}
		}
	}
}

// TestBrokenReads: a fault of reading is told apart from a bad answer.
func TestBrokenReads(t *testing.T) {
	broken := errors.New("broken")
	for n := range len(promAlerts) + 1 {
		r := io.MultiReader(strings.NewReader(promAlerts[:n]), iotest.ErrReader(broken))
		if got, err := ofShop(t).FilterAlerts(r, roomy); !errors.Is(err, broken) || got != nil {
			t.Fatalf("after %d bytes: %v", n, err)
		}
	}
	for _, in := range validAnswers[:2] {
		for name, filter := range map[string]func(io.Reader) ([]byte, error){
			"rules":  func(r io.Reader) ([]byte, error) { return ofShop(t).FilterRules(r, RuleFilter{}, roomy) },
			"alerts": func(r io.Reader) ([]byte, error) { return ofShop(t).FilterAlerts(r, roomy) },
		} {
			whole, _ := filter(strings.NewReader(in))
			if slow, _ := filter(iotest.OneByteReader(strings.NewReader(in))); !bytes.Equal(whole, slow) {
				t.Errorf("%s: byte by byte it is\n%s\nnot\n%s", name, slow, whole)
			}
		}
	}
}

// writer makes random answers in which each string is marked as the tenant's or
// as foreign.
type writer struct {
	*rand.Rand
	n    int
	ours []string
}

func (w *writer) text(ours bool) string {
	w.n++
	if !ours {
		return fmt.Sprintf("FOREIGN-%d", w.n)
	}
	s := fmt.Sprintf("OURS-%d-", w.n)
	w.ours = append(w.ours, s)
	return s
}

// unknown is a field that no version of Prometheus has.
func (w *writer) unknown() any {
	return map[string]any{w.text(false): []any{w.text(false), 1.5, nil, map[string]any{"labels": w.text(false)}}}
}

func (w *writer) alert(ours bool) map[string]any {
	namespace := "shop"
	if !ours {
		namespace = w.text(false)
	}
	return map[string]any{
		"labels":      map[string]string{"namespace": namespace, w.text(ours): w.text(ours)},
		"annotations": map[string]string{w.text(ours): w.text(ours)}, "state": w.text(ours), "value": w.text(ours),
		"activeAt": "2025-10-01T10:00:00Z", "more": w.unknown(),
	}
}

func (w *writer) rule(ours bool) map[string]any {
	labels := map[string]string{w.text(ours): w.text(ours)}
	query := w.text(ours) // which does not parse
	quiet := false
	switch w.IntN(3) {
	case 0:
		labels["namespace"] = "shop"
		quiet = true // an error of what reads anything may quote anybody's series
	case 1:
		labels["namespace"] = "shop"
		fallthrough
	case 2:
		query = fmt.Sprintf(`up{namespace="shop",x=%q}`, query)
	}
	if !ours {
		delete(labels, "namespace")
		reads := w.IntN(4)
		if reads < 2 {
			labels["namespace"] = w.text(false)
		}
		other := fmt.Sprintf(`up{namespace=%q}`, w.text(false))
		query = []string{
			other, other + ` or up{namespace="shop"}`, other + ` # {namespace="shop"}`, `up{namespace="shop"} unless ` + other,
			`up{namespace=~"shop|FOREIGN"}`, `up{namespace!="FOREIGN"}`, `FOREIGN`, `label_replace(FOREIGN, "namespace", "shop", "", "")`,
		}[w.IntN(8)]
		if reads == 0 { // what it makes is another's all the same
			query = `up{namespace="shop"}`
		}
	}
	r := map[string]any{
		"name": w.text(ours), "query": query, "labels": labels, "health": w.text(ours), "lastError": w.text(ours && !quiet),
		"evaluationTime": 1, "lastEvaluation": "2025-10-01T10:00:00Z", "type": "recording", "more": w.unknown(),
	}
	if w.IntN(2) == 0 {
		alerts := []any{}
		for range w.IntN(4) {
			alerts = append(alerts, w.alert(ours && w.IntN(2) == 0))
		}
		r["type"], r["state"], r["annotations"], r["alerts"] = "alerting", w.text(ours), map[string]string{w.text(ours): w.text(ours)}, alerts
	}
	return r
}

func (w *writer) answer() map[string]any {
	groups := []any{}
	for range w.IntN(10) {
		rules, ours := []any{}, false
		for range w.IntN(6) {
			mine := w.IntN(2) == 0
			rules, ours = append(rules, w.rule(mine)), ours || mine
		}
		w.Shuffle(len(rules), func(i, j int) { rules[i], rules[j] = rules[j], rules[i] })
		groups = append(groups, map[string]any{
			"name": w.text(ours), "file": w.text(false), "rules": rules, "interval": 1, "evaluationTime": 1, "more": w.unknown(), "sourceTenants": []string{w.text(false)},
		})
	}
	return map[string]any{
		"status": "success", "data": map[string]any{"groups": groups, "groupNextToken": w.text(false), "more": w.unknown()},
		"warnings": []string{w.text(false)}, "infos": []string{w.text(false)}, "error": w.text(false), "more": w.unknown(),
	}
}

// TestNothingForeignShows: of random answers of two tenants nothing of the other
// comes out, and all of ours does.
func TestNothingForeignShows(t *testing.T) {
	p := ofShop(t)
	for seed := range uint64(300) {
		w := &writer{Rand: rand.New(rand.NewPCG(seed, 1))}
		in, err := json.Marshal(w.answer())
		if err != nil {
			t.Fatal(err)
		}
		out, err := p.FilterRules(bytes.NewReader(in), RuleFilter{}, roomy)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(out, []byte("FOREIGN")) {
			t.Fatalf("foreign text in\n%s", out)
		}
		for _, s := range w.ours {
			if !bytes.Contains(out, []byte(s)) {
				t.Fatalf("%s is missing in\n%s\nof\n%s", s, out, in)
			}
		}
		for f := (RuleFilter{Limit: 2}); ; {
			page, err := p.FilterRules(bytes.NewReader(in), f, roomy)
			if err != nil || bytes.Contains(page, []byte("FOREIGN")) {
				t.Fatalf("page %q: %v\n%s", f.Token, err, page)
			}
			if _, f.Token = decodeRules(t, page); f.Token == "" {
				break
			}
		}
	}
}
