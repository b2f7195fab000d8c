package cache

import (
	"fmt"
	"testing"
	"time"
)

func BenchmarkKeyOf(b *testing.B) {
	fields := []string{"0b1e6a0c-6a4e-4b51-9d0c-1c5a3b7f9e10", `namespace="shop-production"`, "query_range",
		`histogram_quantile(0.99, sum by (le, route) (rate(http_request_duration_seconds_bucket{job="checkout",namespace="shop-production"}[5m])))`, "15000", "0", "5m"}
	b.ReportAllocs()
	for b.Loop() {
		KeyOf(fields...)
	}
}

// BenchmarkHit is all that a request of 50 series costs whose points are held.
func BenchmarkHit(b *testing.B) {
	for _, points := range []int{60, 1440} {
		b.Run(fmt.Sprint(points), func(b *testing.B) {
			s := storeAt(256 << 20)
			p := newPanel("gauges", 50, 1500)
			span, piece := p.piece(0, 1499)
			h, k := s.Open(shopA), KeyOf("shop", "1")
			e := h.Extent(k, 15000)
			e.Add(span, piece)
			h.Weigh(k, e)
			want := Span{span.To - int64(points)*15000, span.To - 15*15000}
			b.ReportAllocs()
			for b.Loop() {
				h := s.Open(shopA)
				v := h.Extent(KeyOf("shop", "1"), 15000).View(want)
				if v.Held != want || len(v.Series) != 50 {
					b.Fatal(v.Held)
				}
			}
		})
	}
}

// BenchmarkAdd is what keeping one more step of 50 series costs.
func BenchmarkAdd(b *testing.B) {
	p := newPanel("gauges", 50, 6000)
	s := storeAt(256 << 20)
	h, k := s.Open(shopA), KeyOf("shop", "1")
	at := 6000
	for b.Loop() {
		b.StopTimer()
		if at == 6000 {
			h.Extent(k, 15000).Forget(never)
			h.Extent(k, 15000).Add(p.piece(0, 1439))
			at = 1440
		}
		span, piece := p.piece(at, at)
		at++
		b.StartTimer()
		e := h.Extent(k, 15000)
		e.Add(span, piece)
		h.Weigh(k, e)
	}
}

func BenchmarkPack(b *testing.B) {
	for kind := range kinds {
		b.Run(kind, func(b *testing.B) {
			e := NewExtent(15000)
			span, piece := newPanel(kind, 50, 1440).piece(0, 1439)
			e.Add(span, piece)
			size, packing, unpacking := e.Bytes(), time.Duration(0), time.Duration(0)
			for b.Loop() {
				begin := time.Now()
				e.tend(neverUsed, false, true)
				packing += time.Since(begin)
				if e.packed == nil {
					b.Fatal("not packed")
				}
				b.ReportMetric(float64(size)/float64(e.Bytes()), "times-less")
				begin = time.Now()
				e.unpacked()
				unpacking += time.Since(begin)
			}
			b.ReportMetric(float64(packing.Microseconds())/float64(b.N), "µs-to-pack")
			b.ReportMetric(float64(unpacking.Microseconds())/float64(b.N), "µs-to-unpack")
		})
	}
}

// BenchmarkTend is what looking after a store of many entries costs.
func BenchmarkTend(b *testing.B) {
	s := storeAt(256 << 20)
	piece := text(2000)
	for i := range 20000 {
		ask(s, Owner{fmt.Sprint(i % 50), "a"}, i, piece)
	}
	for b.Loop() {
		s.Tend(noon)
	}
}

// BenchmarkFlood is what keeping costs when each entry drives out another.
func BenchmarkFlood(b *testing.B) {
	s := storeAt(16 << 20)
	piece := text(2000)
	i := 0
	for b.Loop() {
		ask(s, Owner{fmt.Sprint(i % 50), "a"}, i, piece)
		i++
	}
}
