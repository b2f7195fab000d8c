package generator

import (
	"math"
	"strconv"
	"time"
)

// Kind is the type of a metric family, in the words of the exposition format.
type Kind string

// The kinds that a generator makes.
const (
	Counter   Kind = "counter"
	Gauge     Kind = "gauge"
	Histogram Kind = "histogram"
)

// Label is a name and a value.
type Label struct{ Name, Value string }

// Series is one line of the exposition.
type Series struct {
	Name   string
	Labels []Label
}

// Family is a run of series that share metadata.
type Family struct {
	Name string
	Help string
	Kind Kind
	// First and Count say which of Generator.Series belong to it.
	First, Count int
}

// Exemplar is an example of a request, for one series of a histogram.
type Exemplar struct {
	// Series is an index into Generator.Series.
	Series  int
	TraceID string
	// Value is a duration in seconds.
	Value float64
	Time  time.Time
}

// Generator makes the series of one profile. It has no state but its tables, and may be used by several goroutines.
type Generator struct {
	profile   Profile
	origin    time.Time
	clock     func() time.Time
	series    []Series
	families  []Family
	endpoints []endpoint
	queues    []queue
}

// codes are the status codes of each endpoint, in the order of its counters.
var codes = [...]string{"200", "404", "500", "503"}

// bounds are the upper bounds of the latency histogram in seconds, as Prometheus writes them.
var bounds = [...]struct {
	le    string
	value float64
}{
	{"0.005", .005}, {"0.01", .01}, {"0.025", .025}, {"0.05", .05}, {"0.1", .1}, {"0.25", .25},
	{"0.5", .5}, {"1.0", 1}, {"2.5", 2.5}, {"5.0", 5}, {"+Inf", math.Inf(1)},
}

// endpoint holds what flows through one route, and how long it takes: fast requests, slow ones, and failing ones.
type endpoint struct {
	Endpoint
	fast, slow, missing, failed flow
	burst                       bursts
	share                       [3][len(bounds)]float64
	mean                        [3]float64
}

type queue struct {
	seed  uint64
	size  float64
	burst bursts
}

// New makes a generator whose counters are zero at origin and before it. clock tells the time of a live scrape.
func New(profile Profile, origin time.Time, clock func() time.Time) *Generator {
	g := &Generator{profile: profile, origin: origin, clock: clock}
	day := profile.day()
	burstSeed := hash(profile.Seed, 99)
	var traffic float64
	for i, e := range profile.Endpoints {
		seed := hash(profile.Seed, uint64(i))
		ep := endpoint{
			Endpoint: e,
			fast:     newFlow(seed, e.Rate*0.82, day),
			slow:     newFlow(hash(seed, 1), e.Rate*0.15, day/1.6),
			missing:  newFlow(hash(seed, 2), e.Rate*0.03, day),
			failed:   newFlow(hash(seed, 3), e.Rate*profile.Errors, day),
			burst:    bursts{size: e.Rate * profile.Burst, period: profile.burstEvery(), seed: burstSeed},
		}
		for class, factor := range [...]float64{1, 6, 25} {
			ep.mean[class] = e.Latency.Seconds() * factor
			for b, bound := range bounds {
				ep.share[class][b] = within(bound.value, ep.mean[class])
			}
		}
		g.endpoints = append(g.endpoints, ep)
		traffic += e.Rate
	}
	for i := range profile.Queues {
		g.queues = append(g.queues, queue{
			seed: hash(profile.Seed, 1000+uint64(i)), size: 5 + traffic,
			burst: bursts{size: 1, period: profile.burstEvery(), seed: burstSeed},
		})
	}
	g.describe()
	return g
}

// within is the share of requests of a mean duration that take at most bound seconds.
func within(bound, mean float64) float64 {
	if math.IsInf(bound, 1) {
		return 1
	}
	return 1 - 1/(1+math.Pow(bound/mean, 2.2))
}

// describe lists the series in the order in which Values fills them.
func (g *Generator) describe() {
	g.family("http_requests_total", Counter, "Requests answered, by route and status code.", func() {
		for _, e := range g.endpoints {
			for _, code := range codes {
				g.add("http_requests_total", Label{"code", code}, Label{"handler", e.Handler}, Label{"method", e.Method})
			}
		}
	})
	g.family("http_request_duration_seconds", Histogram, "Time from the request to the end of its answer.", func() {
		for _, e := range g.endpoints {
			labels := []Label{{"handler", e.Handler}, {"method", e.Method}}
			for _, b := range bounds {
				g.add("http_request_duration_seconds_bucket", append(labels[:2:2], Label{"le", b.le})...)
			}
			g.add("http_request_duration_seconds_sum", labels...)
			g.add("http_request_duration_seconds_count", labels...)
		}
	})
	g.family("http_requests_in_flight", Gauge, "Requests being answered.", func() {
		for _, e := range g.endpoints {
			g.add("http_requests_in_flight", Label{"handler", e.Handler}, Label{"method", e.Method})
		}
	})
	g.family("queue_depth", Gauge, "Jobs that wait.", func() {
		for _, q := range g.profile.Queues {
			g.add("queue_depth", Label{"queue", q})
		}
	})
	g.family("app_build_info", Gauge, "Always 1; the labels tell the version that runs.", func() {
		g.add("app_build_info", Label{"version", g.profile.Version})
	})
}

func (g *Generator) family(name string, kind Kind, help string, add func()) {
	first := len(g.series)
	add()
	if n := len(g.series) - first; n > 0 {
		g.families = append(g.families, Family{Name: name, Help: help, Kind: kind, First: first, Count: n})
	}
}

func (g *Generator) add(name string, labels ...Label) {
	g.series = append(g.series, Series{Name: name, Labels: labels})
}

// Series lists what the generator makes, labels sorted by name. The caller must not change it.
func (g *Generator) Series() []Series { return g.series }

// Families groups Series by metric.
func (g *Generator) Families() []Family { return g.families }

// Values appends the value of each of Series at an instant to dst.
func (g *Generator) Values(at time.Time, dst []float64) []float64 {
	t := at.Sub(g.origin).Seconds()
	counts := make([][3]float64, len(g.endpoints))
	for i := range g.endpoints {
		dst, counts[i] = g.endpoints[i].requests(t, dst)
	}
	for i := range g.endpoints {
		dst = g.endpoints[i].durations(counts[i], dst)
	}
	for i := range g.endpoints {
		dst = append(dst, g.endpoints[i].inFlight(t))
	}
	for _, q := range g.queues {
		dst = append(dst, q.depth(t))
	}
	return append(dst, 1)
}

// requests appends the counter of each code, and answers how many requests were fast, slow and failing.
func (e *endpoint) requests(t float64, dst []float64) ([]float64, [3]float64) {
	fast, slow := math.Floor(e.fast.total(t)), math.Floor(e.slow.total(t))
	missing, failed := math.Floor(e.missing.total(t)), math.Floor(e.failed.total(t))
	burst := math.Floor(e.burst.total(t))
	return append(dst, fast+slow, missing, failed, burst), [3]float64{fast + missing, slow, failed + burst}
}

// durations appends buckets, sum and count. Each bucket grows with the counters, and the last equals their sum.
func (e *endpoint) durations(counts [3]float64, dst []float64) []float64 {
	var sum, count float64
	for b := range bounds {
		count = 0
		for class, n := range counts {
			count += n * e.share[class][b]
		}
		dst = append(dst, math.Floor(count))
	}
	for class, n := range counts {
		sum += n * e.mean[class]
	}
	return append(dst, sum, math.Floor(count))
}

func (e *endpoint) inFlight(t float64) float64 {
	busy := e.fast.at(t)*e.mean[0] + e.slow.at(t)*e.mean[1] + (e.failed.at(t)+e.burst.at(t))*e.mean[2]
	return math.Round(busy * (0.6 + 0.8*noise(e.fast.seed, t, 20)))
}

// depth swings slowly, and grows while a burst of errors holds the work up.
func (q queue) depth(t float64) float64 {
	slow := noise(q.seed, t, 900) * noise(hash(q.seed, 1), t, 75)
	return math.Round(q.size * (slow + 200*q.burst.at(t-60)))
}

// Exemplars answers one example request for each endpoint, the latest before an instant; a new one comes each minute.
func (g *Generator) Exemplars(at time.Time) []Exemplar {
	minute := at.Truncate(time.Minute)
	list := make([]Exemplar, 0, len(g.endpoints))
	first := len(codes) * len(g.endpoints)
	for i, e := range g.endpoints {
		draw := hash(e.fast.seed, uint64(minute.Unix()))
		value := math.Round(1e5*e.mean[draw%3]*(0.5+unit(draw, 1))) / 1e5
		bucket := 0
		for bounds[bucket].value < value {
			bucket++
		}
		list = append(list, Exemplar{
			Series: first + i*(len(bounds)+2) + bucket, Value: value, Time: minute,
			TraceID: strconv.FormatUint(draw, 16),
		})
	}
	return list
}
