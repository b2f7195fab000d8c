package promql

import "testing"

const dashboardQuery = `histogram_quantile(0.99, sum by (le, route) (rate(http_request_duration_seconds_bucket{job="api",route!="",code=~"2.."}[5m])))`

func benchmarkPolicy(tb testing.TB) *Policy {
	return policyOf(tb, map[string][]string{"cluster": {"eu-1"}, "namespace": {"shop", "shop-staging"}})
}

// BenchmarkEnforce is a query that nobody asked before: it is parsed, enforced,
// printed, parsed again and compared.
func BenchmarkEnforce(b *testing.B) {
	policy := benchmarkPolicy(b)
	b.ReportAllocs()
	for b.Loop() {
		var p Parser // remembers nothing
		if _, err := p.Query(policy, dashboardQuery); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEnforceOwn is the part of it that is not Prometheus' parser.
func BenchmarkEnforceOwn(b *testing.B) {
	policy := benchmarkPolicy(b)
	expr, err := everything.ParseExpr(dashboardQuery)
	if err != nil {
		b.Fatal(err)
	}
	text, err := policy.enforce(expr, 0)
	if err != nil {
		b.Fatal(err)
	}
	again, err := everything.ParseExpr(text)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		w := printer{policy: policy, text: make([]byte, 0, 512)}
		if w.expr(expr); w.err != nil || string(w.text) != text {
			b.Fatal(w.err)
		}
		if err := policy.compare(expr, again, text); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParse is what Prometheus' parser takes alone, for the same query.
func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := everything.ParseExpr(dashboardQuery); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkQueryKnown is a query that was asked before.
func BenchmarkQueryKnown(b *testing.B) {
	policy := benchmarkPolicy(b)
	var p Parser
	if _, err := p.Query(policy, dashboardQuery); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Query(policy, dashboardQuery); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEnforceSelectors(b *testing.B) {
	policy := benchmarkPolicy(b)
	selectors := []string{`http_requests_total{job="api",code=~"2.."}`}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Selectors(policy, selectors, true); err != nil {
			b.Fatal(err)
		}
	}
}
