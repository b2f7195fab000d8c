package promql

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// manyRules has 2,000 groups of 10 rules, of as many tenants as given.
func manyRules(tenants int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"status":"success","data":{"groups":[`)
	for i := range 2000 {
		namespace := "shop"
		if i%tenants != 0 {
			namespace = fmt.Sprint("team-", i%tenants)
		}
		fmt.Fprintf(&b, `{"name":"group-%d","file":"/etc/prometheus/rules/%s.yaml","rules":[`, i, namespace)
		for j := range 10 {
			query := fmt.Sprintf(`sum by (pod) (rate(http_requests_total{namespace=\"%s\",code=~\"5..\",job=\"api-%d\"}[5m])) / sum by (pod) (rate(http_requests_total{namespace=\"%[1]s\"}[5m])) \u003e 0.0%d`, namespace, i, j+1)
			fmt.Fprintf(&b, `{"state":"firing","name":"Errors%d","query":"%s","duration":300,"keepFiringFor":0,"labels":{"severity":"page"},`+
				`"annotations":{"summary":"{{ $labels.pod }} answers with errors","runbook":"https://runbooks.example/errors"},"alerts":[{"labels":{"alertname":"Errors","namespace":"%s","pod":"api-0"},`+
				`"annotations":{"summary":"api-0 answers with errors"},"state":"firing","activeAt":"2025-10-01T10:00:00.123Z","value":"2e-02"}],`+
				`"health":"ok","evaluationTime":0.000812,"lastEvaluation":"2025-10-01T10:00:00.123456789Z","type":"alerting"},`, j, query, namespace)
		}
		b.Truncate(b.Len() - 1)
		b.WriteString(`],"interval":30,"limit":0,"evaluationTime":0.01,"lastEvaluation":"2025-10-01T10:00:00.123456789Z"},`)
	}
	b.Truncate(b.Len() - 1)
	b.WriteString(`]}}`)
	return b.Bytes()
}

func BenchmarkFilterRules(b *testing.B) {
	for _, c := range []struct {
		name    string
		tenants int
		filter  RuleFilter
	}{
		{"one of 20 tenants", 20, RuleFilter{}},
		{"one of 20 tenants, a page", 20, RuleFilter{Limit: 10}},
		{"all", 1, RuleFilter{}},
	} {
		in := manyRules(c.tenants)
		p := ofShop(b)
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.FilterRules(bytes.NewReader(in), c.filter, 32<<20); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkFilterAlerts(b *testing.B) {
	item := `{"labels":{"alertname":"Errors","namespace":"team","pod":"api-0"},"annotations":{"summary":"api-0 answers with errors"},"state":"firing","activeAt":"2025-10-01T10:00:00.123Z","value":"2e-02"},`
	in := `{"status":"success","data":{"alerts":[` + strings.Repeat(strings.Repeat(item, 19)+strings.Replace(item, "team", "shop", 1), 1000)
	in = in[:len(in)-1] + `]}}`
	p := ofShop(b)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.FilterAlerts(strings.NewReader(in), 32<<20); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFilterMetadata(b *testing.B) {
	var in strings.Builder
	var names []string
	in.WriteString(`{"status":"success","data":{`)
	for i := range 10000 {
		if i > 0 {
			in.WriteString(",")
		}
		fmt.Fprintf(&in, `"service_%d_seconds":[{"type":"histogram","help":"How long requests to the service took, in seconds.","unit":""}]`, i)
		if i%20 == 0 {
			names = append(names, fmt.Sprintf("service_%d_seconds_bucket", i), fmt.Sprintf("service_%d_seconds_count", i))
		}
	}
	in.WriteString(`}}`)
	b.SetBytes(int64(in.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := FilterMetadata(strings.NewReader(in.String()), MetadataFilter{Names: names, Limit: -1}, 32<<20); err != nil {
			b.Fatal(err)
		}
	}
}
