package conformance

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"github.com/prometheus/prometheus/util/teststorage"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/gateway"
	"github.com/promgate/promgate/routing"
)

// freshness is how late samples come at most, and what the gateway takes for
// settled.
const freshness = 10 * time.Minute

// scale is how long a world's history is, and how often it is scraped.
type scale struct {
	scrape, history, lookback time.Duration
	// tick is how far the clock moves on between two questions, at most.
	tick  time.Duration
	steps []time.Duration
}

var scales = []scale{
	{15 * time.Second, 50 * time.Minute, time.Minute, 20 * time.Second, []time.Duration{
		time.Millisecond, 7 * time.Millisecond, 250 * time.Millisecond, 1500 * time.Millisecond, 15 * time.Second, 30 * time.Second, 37001 * time.Millisecond, time.Minute, 7 * time.Minute, time.Hour}},
	{2 * time.Minute, 30 * time.Hour, 5 * time.Minute, 3 * time.Minute, []time.Duration{
		time.Second, 30 * time.Second, time.Minute, 5 * time.Minute, 333*time.Second + 333*time.Millisecond, 10 * time.Minute, time.Hour, 6 * time.Hour}},
	{20 * time.Minute, 11 * 24 * time.Hour, 45 * time.Minute, 30 * time.Minute, []time.Duration{
		5 * time.Minute, 7 * time.Minute, 10 * time.Minute, 15 * time.Minute, 47 * time.Minute, time.Hour, 3 * time.Hour, 12 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour}},
}

// policies are what the environments e0, e1, … enforce.
var policies = []map[string][]string{nil, {"ns": {"a"}}, {"ns": {"a", "b"}}}

// sample is one that comes to Prometheus at some time, at once or late.
type sample struct {
	arrives, at int64
	series      labels.Labels
	value       float64
	histogram   *histogram.Histogram
}

// world is a Prometheus server to which samples come, and a gateway before it.
type world struct {
	t       testing.TB
	scale   scale
	begin   int64
	storage *teststorage.TestStorage
	coming  []sample // in the order in which they arrive
	// compacts tells that parts of the history move into blocks meanwhile.
	compacts bool
	api      http.Handler
	gateway  *gateway.Gateway
	now      atomic.Int64
}

func newWorld(t testing.TB, random *rand.Rand, questions int) *world {
	w := &world{t: t, scale: scales[random.IntN(len(scales))], compacts: random.IntN(2) == 0}
	w.begin = 1767225600000 + random.Int64N(86400000)
	if random.IntN(2) == 0 {
		w.begin -= w.begin % 1000
	}
	w.storage = teststorage.New(t, func(o *tsdb.Options) { o.OutOfOrderTimeWindow = (2 * freshness).Milliseconds() })
	w.storage.DisableCompactions()
	start := w.begin + w.scale.history.Milliseconds()
	w.make(random, start+int64(questions)*w.scale.tick.Milliseconds())
	w.now.Store(start)
	w.arrive()
	registry := prometheus.NewRegistry()
	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples: 5e6, Timeout: time.Minute, LookbackDelta: w.scale.lookback, Parser: everySyntax, EnableAtModifier: true, EnableNegativeOffset: true,
		NoStepSubqueryIntervalFn: func(int64) int64 { return w.scale.scrape.Milliseconds() }, EnableDelayedNameRemoval: random.IntN(4) == 0,
		Reg: registry, Logger: slog.New(slog.DiscardHandler),
	})
	t.Cleanup(func() { _ = engine.Close() })
	w.api = apiOf(engine, w.storage, registry)
	w.gateway = w.newGateway()
	return w
}

func (w *world) newGateway() *gateway.Gateway {
	var environments []*routing.Environment
	for i, p := range policies {
		environments = append(environments, &routing.Environment{
			Project: &routing.Project{Name: "p", UID: "p"}, Name: fmt.Sprint("e", i), UID: fmt.Sprint("e", i), Enforce: p,
			Target: &routing.Target{UID: "t", Base: &url.URL{Scheme: "http", Host: "upstream"}, Transport: w},
		})
	}
	routes := &routing.Current{}
	routes.Store(routing.NewTable(environments))
	return gateway.New(gateway.Options{
		Routes: routes, Auth: auth.Union{everybody{}}, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
		Cache: gateway.Cache{MaxBytes: 256 << 20, Freshness: freshness}, Now: func() time.Time { return time.UnixMilli(w.now.Load()) },
		Limits: gateway.Limits{
			Default: gateway.Budget{
				MaxQueryLength: 1 << 20, MaxRange: math.MaxInt64, MaxLookback: math.MaxInt64, MaxPoints: 11000, MaxEvaluations: math.MaxInt64,
				MaxResponseBytes: 1 << 28, MaxConcurrent: 100, RequestsPerSecond: 1e6, Burst: 1e6,
			},
			MaxConcurrentTarget: 100, MaxConcurrentTargetProject: 100, MaxConcurrentTotal: 100, MaxRequestBody: 1 << 20, MaxRemoteReadBody: 1 << 20,
			RequestBodyTimeout: time.Minute, ResponseHeaderTimeout: time.Minute, RequestTimeout: 2 * time.Minute,
		},
	})
}

// RoundTrip is part of http.RoundTripper: the gateway's way to Prometheus.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := httptest.NewRecorder()
	w.api.ServeHTTP(answer, r)
	return &http.Response{
		StatusCode: answer.Code, ProtoMajor: 1, ProtoMinor: 1, Request: r, ContentLength: int64(answer.Body.Len()),
		Header: answer.Header(), Body: io.NopCloser(bytes.NewReader(answer.Body.Bytes())),
	}, nil
}

// pass moves the clock on, and has come what comes meanwhile.
func (w *world) pass(d time.Duration) {
	w.now.Add(d.Milliseconds())
	w.arrive()
}

func (w *world) arrive() {
	n, _ := slices.BinarySearchFunc(w.coming, w.now.Load()+1, func(s sample, t int64) int { return cmp.Compare(s.arrives, t) })
	if n == 0 {
		return
	}
	appender := w.storage.Appender(context.Background())
	for _, s := range w.coming[:n] {
		var err error
		if s.histogram != nil {
			_, err = appender.AppendHistogram(0, s.series, s.at, s.histogram, nil)
		} else {
			_, err = appender.Append(0, s.series, s.at, s.value)
		}
		if err != nil {
			w.t.Fatalf("%s at %d: %v", s.series, s.at, err)
		}
	}
	if err := appender.Commit(); err != nil {
		w.t.Fatal(err)
	}
	w.coming = w.coming[n:]
}

// compact has a part of the history move into blocks.
func (w *world) compact() {
	if err := w.storage.Compact(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

// make makes all samples that ever come.
func (w *world) make(random *rand.Rand, until int64) {
	names := []string{"reqs_total", "errs_total", "g", "lat_bucket", "nh", "mix", "nhcb", "up", "http.requests", "target_info"}
	for _, name := range names {
		for i := range 2 + random.IntN(3) {
			b := labels.NewBuilder(labels.EmptyLabels())
			b.Set("__name__", name).Set("job", []string{"api", "db"}[i%2]).Set("instance", fmt.Sprint(random.IntN(3)))
			b.Set("ns", []string{"a", "b", "c"}[random.IntN(3)])
			if random.IntN(3) == 0 {
				b.Set("odd", []string{"\"q\\", "<&>", "é\u2028", "}]", "\x01\n", "],["}[random.IntN(6)])
			}
			if name == "target_info" {
				b.Set("version", fmt.Sprint(random.IntN(2)))
			}
			bounds := []string{""}
			if name == "lat_bucket" {
				bounds = []string{"0.1", "1", "+Inf"}
			}
			at := w.begin + random.Int64N(w.scale.scrape.Milliseconds())
			life := w.lives(random, at, until)
			for j, bound := range bounds {
				w.scrapes(random, b.Set("le", bound).Labels(), name, float64(j+1), life)
			}
		}
	}
	w.coming = unique(w.coming)
}

// unique has the order of arrival, and one sample of each series and time alone.
func unique(all []sample) []sample {
	slices.SortStableFunc(all, func(a, b sample) int { return cmp.Compare(a.arrives, b.arrives) })
	type point struct {
		series string
		at     int64
	}
	seen := map[point]bool{}
	return slices.DeleteFunc(all, func(s sample) bool {
		p := point{s.series.String(), s.at}
		known := seen[p]
		seen[p] = true
		return known
	})
}

// moment is a scrape: when it was and when it arrives, and whether the series is
// there, has just vanished, or is missing.
type moment struct {
	at, arrives int64
	stale       bool
}

// lives are the scrapes of a series, which comes and goes, some of them late.
func (w *world) lives(random *rand.Rand, at, until int64) (all []moment) {
	there, scrape, delay := random.IntN(3) > 0, w.scale.scrape.Milliseconds(), int64(0)
	for ; at < until; at += scrape {
		switch random.IntN(60) {
		case 0:
			if there && random.IntN(2) == 0 {
				all = append(all, moment{at, at + delay, true})
			}
			there = !there
		case 1:
			delay = random.Int64N(freshness.Milliseconds() + 1)
		case 2:
			delay = freshness.Milliseconds()
		case 3, 4, 5, 6:
			delay = 0
		case 7:
			continue // one scrape failed
		}
		if there {
			all = append(all, moment{at, at + delay, false})
		} else if random.IntN(40) == 0 {
			there = true
		}
	}
	return all
}

// scrapes gives the scrapes of a series their values.
func (w *world) scrapes(random *rand.Rand, series labels.Labels, name string, factor float64, life []moment) {
	total, level := 0.0, random.Int64N(50)
	for i, m := range life {
		s := sample{arrives: m.arrives, at: m.at, series: series}
		if total += float64(random.IntN(100)) * factor; random.IntN(30) == 0 {
			total, level = 0, random.Int64N(50) // a counter is reset
		}
		if level++; random.IntN(500) == 0 {
			total += 0.1
		}
		switch s.value = total; {
		case m.stale:
			s.value = math.Float64frombits(value.StaleNaN)
		case name == "g" && random.IntN(30) == 0:
			s.value = []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1), 1e300, 1e-300, 0.1}[random.IntN(8)]
		case name == "g" || name == "http.requests":
			s.value = float64(random.IntN(2000) - 1000)
		case name == "up" || name == "target_info":
			s.value = float64(random.IntN(2))
		case name == "nh" || name == "mix" && i/20%2 == 1:
			s.histogram = tsdbutil.GenerateTestHistogram(level)
		case name == "nhcb":
			s.histogram = tsdbutil.GenerateTestCustomBucketsHistogram(level)
		}
		w.coming = append(w.coming, s)
	}
}
