package promql

import (
	"testing"
)

const dashboardQuery = `histogram_quantile(0.99, sum by (le, route) (rate(http_request_duration_seconds_bucket{job="api",route!="",code=~"2.."}[5m])))`

func benchmarkPolicy(tb testing.TB) *Policy {
	return policyOf(tb, map[string][]string{"cluster": {"eu-1"}, "namespace": {"shop", "shop-staging"}})
}

// BenchmarkQueryNew is a query that nobody asked before: it is looked at, parsed
// and enforced.
func BenchmarkQueryNew(b *testing.B) {
	policy := benchmarkPolicy(b)
	b.ReportAllocs()
	for b.Loop() {
		var p Parser // remembers nothing
		if _, err := p.Query(policy, dashboardQuery); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEnforce is what enforcing adds to that: printing, parsing again,
// comparing.
func BenchmarkEnforce(b *testing.B) {
	policy := benchmarkPolicy(b)
	expr, err := everything.ParseExpr(dashboardQuery)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := policy.enforce(expr, 0); err != nil {
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
