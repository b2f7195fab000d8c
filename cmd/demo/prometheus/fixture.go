package prometheus

import (
	"context"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
)

// FixtureStep is the distance between two samples of the fixture.
const FixtureStep = 15 * time.Second

// FixtureStart and FixtureEnd are the instants of the fixture's first and last samples, both 2026-01-01, one hour apart.
func FixtureStart() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

// FixtureEnd is the instant of the newest samples, and of the rules' only evaluation.
func FixtureEnd() time.Time { return FixtureStart().Add(time.Hour) }

// Fixture is a server with a small data set that is the same at every start: one hour of
//
//   - http_requests_total{job="api",instance,namespace,handler,code}, counters whose rate is FixtureRates, with exemplars
//   - http_request_duration_seconds, a classic histogram; rpc_duration_seconds, a native one
//   - queue_depth{namespace}, gauges that go up by one each step in namespace "shop", and down from 240 in "billing"
//   - "http.status code"{"service.name"}, a name that only UTF-8 allows
//   - edge_value{kind="nan"|"inf"|"small"}, and ended, a gauge whose series was marked stale after half an hour
//   - up{job="api",instance}, 1 for api-0:8080 and 0 for api-1:8080
//
// and a rule file with a recording rule, a firing and a pending alert. The caller may change any field before Start.
func Fixture() Options {
	return Options{
		Rules:    fixtureRules,
		FrozenAt: FixtureEnd(),
		Backfill: appendFixture,
		Metadata: []Metadata{
			{Family: "http_requests_total", Type: model.MetricTypeCounter, Help: "Requests by handler and status code."},
			{Family: "http_request_duration_seconds", Type: model.MetricTypeHistogram, Help: "Request latency.", Unit: "seconds"},
			{Family: "rpc_duration_seconds", Type: model.MetricTypeHistogram, Help: "Call latency.", Unit: "seconds"},
			{Family: "queue_depth", Type: model.MetricTypeGauge, Help: "Jobs that wait."},
			{Family: "http.status code", Type: model.MetricTypeCounter, Help: "Responses by service."},
		},
	}
}

// FixtureRates are the requests per second of http_requests_total in namespace "shop", by handler and code; those of
// "billing" are half of it.
func FixtureRates() map[[2]string]float64 {
	return map[[2]string]float64{
		{"/", "200"}: 10, {"/", "500"}: 0.2, {"/cart", "200"}: 4, {"/cart", "404"}: 0.4, {"/cart", "500"}: 1,
	}
}

const fixtureRules = `groups:
  - name: requests
    rules:
      - record: namespace:http_requests:rate5m
        expr: sum by (namespace) (rate(http_requests_total[5m]))
        labels: {source: fixture}
  - name: alerts
    rules:
      - alert: InstanceDown
        expr: up == 0
        labels: {severity: page}
        annotations: {summary: "{{ $labels.instance }} is down"}
      - alert: ErrorsHigh
        expr: sum by (namespace, handler) (rate(http_requests_total{code="500"}[5m])) > 0.4
        for: 10m
        labels: {severity: ticket}
      - alert: NeverFires
        expr: vector(0) > 1
`

// fixtureSeries is a float series whose value at each step a function tells.
type fixtureSeries struct {
	labels labels.Labels
	value  func(step int) float64
}

func appendFixture(_ context.Context, app Appender) error {
	series := fixtureFloats()
	steps := int(FixtureEnd().Sub(FixtureStart()) / FixtureStep)
	for step := range steps + 1 {
		at := FixtureStart().Add(time.Duration(step) * FixtureStep).UnixMilli()
		for _, s := range series {
			v := s.value(step)
			if s.labels.Get(model.MetricNameLabel) == "ended" && step > steps/2 {
				if step > steps/2+1 {
					continue
				}
				v = math.Float64frombits(value.StaleNaN)
			}
			if _, err := app.Append(0, s.labels, 0, at, v, nil, nil, fixtureOptions(s.labels, step, at)); err != nil {
				return err
			}
		}
		for _, namespace := range []string{"shop", "billing"} {
			ls := labels.FromStrings(model.MetricNameLabel, "rpc_duration_seconds", "namespace", namespace, "job", "api")
			if _, err := app.Append(0, ls, 0, at, 0, nativeHistogram(step), nil, appendOptions{}); err != nil {
				return err
			}
		}
	}
	return nil
}

func fixtureFloats() []fixtureSeries {
	var series []fixtureSeries
	add := func(v func(int) float64, pairs ...string) {
		series = append(series, fixtureSeries{labels.FromStrings(pairs...), v})
	}
	perSecond := func(rate float64) func(int) float64 {
		return func(step int) float64 { return rate * FixtureStep.Seconds() * float64(step) }
	}
	constant := func(v float64) func(int) float64 { return func(int) float64 { return v } }

	for i, namespace := range []string{"shop", "billing"} {
		share := 1 / float64(i+1)
		rates := FixtureRates()
		byHandler := func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }
		for _, key := range slices.SortedFunc(maps.Keys(rates), byHandler) {
			add(perSecond(rates[key]*share), model.MetricNameLabel, "http_requests_total", "job", "api", "instance", "api-0:8080",
				"namespace", namespace, "handler", key[0], "code", key[1])
		}
		base := []string{"job", "api", "instance", "api-0:8080", "namespace", namespace}
		for _, b := range []struct {
			le   float64
			rate float64
		}{{0.1, 6}, {0.5, 12}, {1, 15}, {math.Inf(1), 15.6}} {
			le := strconv.FormatFloat(b.le, 'f', -1, 64)
			if b.le == 1 {
				le = "1.0"
			}
			add(perSecond(b.rate*share), append([]string{model.MetricNameLabel, "http_request_duration_seconds_bucket", "le", le}, base...)...)
		}
		add(perSecond(15.6*share), append([]string{model.MetricNameLabel, "http_request_duration_seconds_count"}, base...)...)
		add(perSecond(3.9*share), append([]string{model.MetricNameLabel, "http_request_duration_seconds_sum"}, base...)...)
	}
	add(func(step int) float64 { return float64(step) }, model.MetricNameLabel, "queue_depth", "job", "api", "namespace", "shop")
	add(func(step int) float64 { return 240 - float64(step) }, model.MetricNameLabel, "queue_depth", "job", "api", "namespace", "billing")
	add(perSecond(2), model.MetricNameLabel, "http.status code", "job", "api", "service.name", "checkout")
	add(perSecond(1), model.MetricNameLabel, "http.status code", "job", "api", "service.name", "größe")
	add(constant(math.NaN()), model.MetricNameLabel, "edge_value", "kind", "nan")
	add(constant(math.Inf(1)), model.MetricNameLabel, "edge_value", "kind", "inf")
	add(constant(5e-324), model.MetricNameLabel, "edge_value", "kind", "small")
	add(constant(1), model.MetricNameLabel, "ended", "job", "api")
	add(constant(1), model.MetricNameLabel, "up", "job", "api", "instance", "api-0:8080")
	add(constant(0), model.MetricNameLabel, "up", "job", "api", "instance", "api-1:8080")
	return series
}

// fixtureOptions attach one exemplar every five minutes to the requests of "/cart".
func fixtureOptions(ls labels.Labels, step int, at int64) appendOptions {
	if step == 0 || step%20 != 0 || ls.Get(model.MetricNameLabel) != "http_requests_total" || ls.Get("handler") != "/cart" {
		return appendOptions{}
	}
	return appendOptions{Exemplars: []exemplar.Exemplar{{
		Labels: labels.FromStrings("trace_id", "trace-"+ls.Get("namespace")+"-"+ls.Get("code")+"-"+strconv.Itoa(step)),
		Value:  0.25, Ts: at, HasTs: true,
	}}}
}

// nativeHistogram has four observations more at each step: one at zero, one in each of three buckets.
func nativeHistogram(step int) *histogram.Histogram {
	n := int64(step)
	return &histogram.Histogram{
		Schema: 0, ZeroThreshold: 0.001, ZeroCount: uint64(n), Count: uint64(4 * n), Sum: 7 * float64(n),
		PositiveSpans:   []histogram.Span{{Offset: 0, Length: 3}},
		PositiveBuckets: []int64{n, 0, 0},
	}
}
