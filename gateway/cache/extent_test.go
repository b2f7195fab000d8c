package cache

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// neverUsed is later than any use that was noted.
var neverUsed = time.Unix(1<<33, 0)

// world is a query's whole truth: series with points at some steps.
type world struct {
	step   int64
	begin  int64
	points int
	series []truth
}

type truth struct {
	metric     string
	floats     []bool
	histograms []bool
}

func newWorld(random *rand.Rand) *world {
	w := &world{step: []int64{1, 250, 15000, 60000}[random.IntN(4)], begin: 1767225600000 + random.Int64N(1000), points: 200}
	for i := range random.IntN(6) {
		s := truth{metric: fmt.Sprintf(`{"__name__":"m","i":"%d"}`, i), floats: make([]bool, w.points), histograms: make([]bool, w.points)}
		kind, density := random.IntN(3), random.Float64()
		for j := range w.points {
			if random.Float64() < density {
				s.histograms[j] = kind == 1 || kind == 2 && random.IntN(2) == 0
				s.floats[j] = !s.histograms[j]
			}
			if random.IntN(50) == 0 { // it vanishes, or appears
				density = 1 - density
			}
		}
		w.series = append(w.series, s)
	}
	return w
}

// answer is what Prometheus would say of a span.
func (w *world) answer(span Span) []byte {
	var all []Joined
	for _, s := range w.series {
		j := Joined{Metric: []byte(s.metric)}
		for i := range w.points {
			at := w.begin + int64(i)*w.step
			if at < span.From || at > span.To {
				continue
			}
			stamp := fmt.Sprint(at / 1000)
			if f := at % 1000; f != 0 {
				stamp += fmt.Sprintf(".%03d", f)
			}
			if s.floats[i] {
				j.Values = append(j.Values, fmt.Appendf(nil, `[%s,"%d"]`, stamp, i))
			}
			if s.histograms[i] {
				j.Histograms = append(j.Histograms, fmt.Appendf(nil, `[%s,{"count":"%d","buckets":[[0,"1","2","3"],[0,"2","4","%d"]]}]`, stamp, i, i))
			}
		}
		all = append(all, j)
	}
	return written(all)
}

// ask answers through an extent, which keeps what is settled.
func (w *world) ask(t *testing.T, e *Extent, want Span, settled int64) []byte {
	t.Helper()
	v := e.View(want)
	var joined []Joined
	var pieces []Span
	add := func(span Span) []Series {
		if span.Empty() {
			return nil
		}
		series, err := Scan(w.answer(span), nil)
		if err != nil || !ascending(series) {
			t.Fatalf("scanning: %v", err)
		}
		pieces = append(pieces, span)
		return series
	}
	before, after := add(v.Before), add(v.After)
	joined = Join(joined, before)
	joined = Join(joined, v.Series)
	joined = Join(joined, after)
	for _, p := range []struct {
		span   Span
		series []Series
	}{{v.Before, before}, {v.After, after}} {
		kept := Span{p.span.From, min(p.span.To, settled)}
		e.Add(kept, within(p.series, kept, p.span))
	}
	return written(joined)
}

// TestExtent: through an extent, in whatever order, every answer is the one that
// Prometheus gives.
func TestExtent(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	asked, held := 0, 0
	for range *rounds {
		w := newWorld(random)
		e := NewExtent(w.step)
		now := w.points / 2
		for range 40 {
			from := random.IntN(w.points)
			to := from + random.IntN(w.points-from)
			want := Span{w.begin + int64(from)*w.step, w.begin + int64(to)*w.step}
			if now < w.points-1 {
				now += random.IntN(3)
			}
			settled := w.begin + int64(now)*w.step
			v := e.View(want)
			asked++
			if !v.Held.Empty() {
				held++
			}
			if got, direct := w.ask(t, e, want, settled), w.answer(want); !bytes.Equal(got, direct) {
				t.Fatalf("step %d, %+v:\ngot  %s\nwant %s", w.step, want, got, direct)
			}
			switch random.IntN(10) {
			case 0:
				e.limit.Store(random.Int64N(60000))
			case 1:
				e.limit.Store(0)
			case 2, 3:
				e.tend(neverUsed, random.IntN(3) == 0, true)
			case 4:
				e.Forget(w.begin + random.Int64N(int64(w.points))*w.step - 1)
			}
		}
	}
	if held*3 < asked {
		t.Errorf("of %d answers %d were held", asked, held)
	}
}

func BenchmarkRefresh(b *testing.B) {
	// 50 series of six hours at 15 s, of which ten minutes are new.
	w := &world{step: 15000, begin: 1767225600000, points: 1440}
	for i := range 50 {
		s := truth{metric: fmt.Sprintf(`{"__name__":"queue_depth","i":"%02d","instance":"shop-%d:8080","job":"shop"}`, i, i), floats: make([]bool, w.points), histograms: make([]bool, w.points)}
		for j := range s.floats {
			s.floats[j] = true
		}
		w.series = append(w.series, s)
	}
	whole := Span{w.begin, w.begin + 1439*w.step}
	recent := Span{w.begin + 1400*w.step, whole.To}
	e := NewExtent(w.step)
	series, err := Scan(w.answer(whole), nil)
	if err != nil {
		b.Fatal(err)
	}
	e.Add(Span{whole.From, recent.From - w.step}, within(series, Span{whole.From, recent.From - w.step}, whole))
	answer := w.answer(recent)
	var body []byte
	var joined []Joined
	for b.Loop() {
		v := e.View(whole)
		fresh, err := Scan(answer, nil)
		if err != nil || !ascending(fresh) {
			b.Fatal(err)
		}
		joined = Join(Join(joined[:0], v.Series), fresh)
		body = written(joined)
	}
	b.SetBytes(int64(len(body)))
}
