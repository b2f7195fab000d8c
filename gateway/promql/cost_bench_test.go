package promql

import (
	"testing"
	"time"
)

const nested = `max_over_time(sum by (job) (rate(a[5m] offset 1h))[1d:5m]) / on (job) max_over_time(sum by (job) (rate(b[5m] @ end()))[1d:5m])`

func BenchmarkShape(b *testing.B) {
	for name, text := range map[string]string{"typical": typical, "nested": nested} {
		expr := mustParse(b, text)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				shapeOf(expr)
			}
		})
	}
}

func BenchmarkCost(b *testing.B) {
	at := time.Unix(1_700_000_000, 0)
	span := Span{Start: at, End: at.Add(time.Hour), Step: 15 * time.Second}
	for name, text := range map[string]string{"typical": typical, "nested": nested} {
		s := shapeOf(mustParse(b, text))
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.cost(span)
			}
		})
	}
}
