package cache

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"
)

// kinds are values as queries have them.
var kinds = map[string]func(random *rand.Rand, before float64) float64{
	"rates":     func(r *rand.Rand, _ float64) float64 { return float64(r.IntN(40)) / 15 },
	"quantiles": func(r *rand.Rand, _ float64) float64 { return 0.05 + float64(r.IntN(40))*0.0025 + float64(r.IntN(3))/7 },
	"counters":  func(r *rand.Rand, v float64) float64 { return v + float64(r.IntN(5)) },
	"constants": func(*rand.Rand, float64) float64 { return 1 },
	"gauges":    func(r *rand.Rand, v float64) float64 { return v + r.NormFloat64() },
}

// panel is a query of some series at 15 s.
type panel struct {
	begin int64
	text  [][][]byte // of each series, each sample
}

func newPanel(kind string, series, points int) *panel {
	random := rand.New(rand.NewPCG(11, 12))
	p := &panel{begin: 1767225600000}
	for range series {
		v, samples := random.Float64()*100, make([][]byte, points)
		for i := range samples {
			v = kinds[kind](random, v)
			samples[i] = fmt.Appendf(nil, `[%d,"%s"]`, p.begin/1000+int64(i)*15, strconv.FormatFloat(v, 'f', -1, 64))
		}
		p.text = append(p.text, samples)
	}
	return p
}

// piece are the steps from one to another.
func (p *panel) piece(from, to int) (Span, []Series) {
	var all []Series
	for i, samples := range p.text {
		all = append(all, Series{
			Metric: fmt.Appendf(nil, `{"__name__":"queue_depth","i":"%02d","instance":"shop-%d:8080","job":"shop"}`, i, i),
			Values: bytes.Join(samples[from:to+1], []byte{','}),
		})
	}
	return Span{p.begin + int64(from)*15000, p.begin + int64(to)*15000}, all
}

// TestPack: what nobody asks for is kept in less, and is the same when it is asked
// for again.
func TestPack(t *testing.T) {
	for _, c := range []struct {
		kind  string
		least float64 // how many times less, at least
	}{{"rates", 6}, {"quantiles", 5}, {"counters", 4}, {"constants", 30}, {"gauges", 2.5}} {
		s := storeAt(256 << 20)
		p := newPanel(c.kind, 10, 1440)
		span, piece := p.piece(0, 1439)
		h, k := s.Open(shopA), key(shopA, 1)
		e := h.Extent(k, 15000)
		e.Add(span, piece)
		h.Weigh(k, e)
		held := e.View(span)
		whole := bytesOf(s, "shop")
		s.Tend(noon.Add(idle - 1))
		if bytesOf(s, "shop") != whole {
			t.Errorf("%s: packed too early", c.kind)
		}
		s.Tend(noon.Add(idle))
		packed := bytesOf(s, "shop")
		if times := float64(whole) / float64(packed); times < c.least {
			t.Errorf("%s: %d bytes become %d, %.1f times less", c.kind, whole, packed, times)
		}
		want := written(Join(nil, piece))
		if got := written(Join(nil, held.Series)); !bytes.Equal(got, want) {
			t.Errorf("%s: what a reader held has changed", c.kind)
		}
		e = h.Extent(k, 15000)
		if again := bytesOf(s, "shop"); again < whole || again > whole*120/100 {
			t.Errorf("%s: unpacked it is %d bytes, and was %d", c.kind, again, whole)
		}
		if got := written(Join(nil, e.View(span).Series)); !bytes.Equal(got, want) {
			t.Errorf("%s: it has changed", c.kind)
		}
	}
}

// TestPackHeld: a request that holds an extent while it is packed goes on.
func TestPackHeld(t *testing.T) {
	p := newPanel("rates", 5, 400)
	e := NewExtent(15000)
	e.Add(p.piece(0, 200))
	e.tend(neverUsed, true, true)
	if e.packed == nil {
		t.Fatal("not packed")
	}
	e.Add(p.piece(201, 300))
	e.tend(neverUsed, true, true)
	e.Forget(p.begin + 50*15000)
	span, want := p.piece(50, 300)
	v := e.View(Span{p.begin, p.begin + 399*15000})
	if v.Held != span || !bytes.Equal(written(Join(nil, v.Series)), written(Join(nil, want))) {
		t.Errorf("got %+v", v)
	}
	// What does not pay stays, and is not tried again each time.
	e = NewExtent(1000)
	e.Add(four, text(20000))
	if first, second := e.tend(neverUsed, true, true), e.tend(neverUsed, true, true); e.packed != nil || first < 19000 || second != 0 {
		t.Errorf("packed %v, looked at %d and %d", e.packed != nil, first, second)
	}
}

// TestTrim: a window of six hours that is refreshed for three days does not grow.
func TestTrim(t *testing.T) {
	const window, days = 1440, 3 * 5760 // steps
	p := newPanel("gauges", 1, window+days)
	s := storeAt(64 << 20)
	h, k := s.Open(shopA), key(shopA, 1)
	span, piece := p.piece(0, window-1)
	e := h.Extent(k, 15000)
	e.Add(span, piece)
	h.Weigh(k, e)
	first, most, asked, copies := e.Bytes(), int64(0), 0, 0
	for i := 1; i <= days; i++ {
		e := h.Extent(k, 15000)
		want := Span{span.From + int64(i)*15000, span.To + int64(i)*15000}
		v := e.View(want)
		if v.Held.From != want.From {
			t.Fatalf("after %d steps the first held is at %d and not %d", i, v.Held.From, want.From)
		}
		_, fresh := p.piece(window-1+i, window-1+i)
		e.Add(v.After, fresh)
		h.Weigh(k, e)
		if asked++; i%2 == 0 {
			before := e.span.From
			s.Tend(noon.Add(time.Duration(i) * 15 * time.Second))
			if e.span.From != before {
				copies++
			}
		}
		most = max(most, bytesOf(s, "shop"))
	}
	if most*2 > first*3 {
		t.Errorf("%d bytes, and %d at first", most, first)
	}
	if copies > 100 {
		t.Errorf("it was copied %d times", copies)
	}
}

// TestGrowth: text that grows by a sample each time wastes little.
func TestGrowth(t *testing.T) {
	p := newPanel("gauges", 1, 3000)
	e := NewExtent(15000)
	for i := range 3000 {
		e.Add(p.piece(i, i))
		held := e.series[0].Values
		if waste := cap(held) - len(held); waste > 64 && waste > len(held)/4 {
			t.Fatalf("%d bytes have room for %d", len(held), cap(held))
		}
	}
}

// TestLimit: of what is too large, the newest is held.
func TestLimit(t *testing.T) {
	p := newPanel("gauges", 4, 4000)
	limit := int64(100 << 10) // of about 500 kB
	fresh := func() *Extent {
		e := NewExtent(15000)
		e.limit.Store(limit)
		return e
	}
	whole := Span{p.begin, p.begin + 3999*15000}
	check := func(e *Extent, last int, least int64) {
		t.Helper()
		v := e.View(whole)
		from := int((v.Held.From - p.begin) / 15000)
		if v.Held.Empty() || v.Held.To != p.begin+int64(last)*15000 || e.Bytes() > limit || e.Bytes() < least {
			t.Fatalf("%d bytes held, of %v", e.Bytes(), v.Held)
		}
		if _, want := p.piece(from, last); !bytes.Equal(written(Join(nil, want)), written(Join(nil, v.Series))) {
			t.Errorf("got other text from %d on", from)
		}
	}
	e := fresh()
	if !e.Add(p.piece(0, 2000)) {
		t.Error("the newest fits")
	}
	check(e, 2000, limit/2)
	for i := 2001; i < 2500; i++ { // newer ones drive out older ones
		if !e.Add(p.piece(i, i)) {
			t.Error("a new sample fits")
		}
		check(e, i, limit/2)
	}
	if held := e.View(whole).Held; !e.Add(p.piece(0, 2498)) || e.View(whole).Held.From < held.From-200*15000 {
		t.Error("older ones drive out newer ones")
	}
	check(e, 2499, limit/2)

	e = fresh()
	e.Add(p.piece(2990, 2999))
	if !e.Add(p.piece(0, 2989)) {
		t.Error("what is before fits in part")
	}
	check(e, 2999, limit/2)

	limit = 20 << 10
	if e = fresh(); e.Add(p.piece(0, 3999)) || !e.View(whole).Held.Empty() || e.Bytes() != 0 {
		t.Error("what is of no use is held")
	}
	limit = 200
	if e = fresh(); e.Add(p.piece(0, 0)) || e.Bytes() != 0 {
		t.Error("what does not fit is held")
	}
	e = NewExtent(15000)
	e.Add(p.piece(0, 100))
	e.limit.Store(200)
	if e.Add(p.piece(101, 101)) || e.Bytes() != 0 {
		t.Error("what does not fit any more is held")
	}
}

func TestAvoid(t *testing.T) {
	s := storeAt(1 << 20)
	ask(s, shopA, 1, text(10000))
	h, k := s.Open(shopA), key(shopA, 1)
	e := h.Extent(k, 1000)
	if e.Avoided(noon) {
		t.Error("avoided before")
	}
	e.Avoid(noon.Add(time.Minute))
	h.Weigh(k, e)
	if got := bytesOf(s, "shop"); got != entryOverhead {
		t.Errorf("it costs %d", got)
	}
	s.Tend(noon.Add(30 * time.Second))
	e = h.Extent(k, 1000)
	if !e.Avoided(noon.Add(time.Minute-1)) || e.Avoided(noon.Add(time.Minute)) {
		t.Error("avoided for another time")
	}
	if v := e.View(four); !v.Held.Empty() || v.Before != four {
		t.Errorf("got %+v", v)
	}
}
