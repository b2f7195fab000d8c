package generator

import "math"

// hash mixes a seed and an index into 64 evenly distributed bits.
func hash(seed, n uint64) uint64 {
	x := seed ^ (n+1)*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// unit turns a hash into a number in [0, 1).
func unit(seed, n uint64) float64 { return float64(hash(seed, n)>>11) / (1 << 53) }

// noise wanders in [0, 1), with a new direction every period; its slope never exceeds 1.5/period.
func noise(seed uint64, t, period float64) float64 {
	at := math.Floor(t / period)
	a, b := unit(seed, uint64(int64(at))), unit(seed, uint64(int64(at)+1))
	x := t/period - at
	return a + (b-a)*x*x*(3-2*x)
}

// wave is one sine of a rate, relative to the mean.
type wave struct {
	amplitude float64
	period    float64
	phase     float64
}

// flow is a rate that is never negative, and the exact integral of it.
type flow struct {
	rate  float64
	waves []wave
	seed  uint64
}

// jitterPeriod and jitterShare say how much a flow wanders besides its waves. The waves leave at least 15 % of the
// mean rate, of which the jitter takes at most two thirds, so the integral always rises.
const (
	jitterPeriod = 40.0
	jitterShare  = 0.1
)

// newFlow makes a flow with the rhythm of the day and some shorter waves.
func newFlow(seed uint64, rate, day float64) flow {
	phase := func(n uint64) float64 { return 2 * math.Pi * unit(seed, n) }
	return flow{rate: rate, seed: seed, waves: []wave{
		{0.45, day, -math.Pi/2 + 0.4*unit(seed, 1)},
		{0.15, day / 3.7, phase(2)},
		{0.15, 11 * 60, phase(3)},
		{0.10, 173, phase(4)},
	}}
}

// at is the rate t seconds after the origin, per second, without jitter.
func (f flow) at(t float64) float64 {
	v := 1.0
	for _, w := range f.waves {
		v += w.amplitude * math.Sin(2*math.Pi*t/w.period+w.phase)
	}
	return f.rate * v
}

// total is how many there were from the origin until t.
func (f flow) total(t float64) float64 {
	if t <= 0 {
		return 0
	}
	v := t
	for _, w := range f.waves {
		k := 2 * math.Pi / w.period
		v += w.amplitude / k * (math.Cos(w.phase) - math.Cos(k*t+w.phase))
	}
	jitter := noise(f.seed, t, jitterPeriod) - noise(f.seed, 0, jitterPeriod)
	return max(0, f.rate*(v+jitterShare*jitterPeriod/1.5*jitter))
}

// bursts come once in every period, at a time and of a width that differ; each brings the same number.
type bursts struct {
	size   float64
	period float64
	seed   uint64
}

// window answers start and width of the burst in the n-th period, both in seconds after the origin.
func (b bursts) window(n float64) (start, width float64) {
	i := uint64(int64(n))
	width = b.period * (0.08 + 0.17*unit(b.seed, 2*i))
	return b.period*n + (b.period-width)*unit(b.seed, 2*i+1), width
}

// at is the rate t seconds after the origin, per second: a smooth hill over the burst's width.
func (b bursts) at(t float64) float64 {
	start, width := b.window(math.Floor(t / b.period))
	x := (t - start) / width
	if x <= 0 || x >= 1 {
		return 0
	}
	return b.size / width * (1 - math.Cos(2*math.Pi*x))
}

// total is how many there were from the origin until t.
func (b bursts) total(t float64) float64 {
	if t <= 0 {
		return 0
	}
	n := math.Floor(t / b.period)
	start, width := b.window(n)
	x := min(max((t-start)/width, 0), 1)
	return b.size * (n + x - math.Sin(2*math.Pi*x)/(2*math.Pi))
}
