package generator_test

import (
	"bytes"
	"math"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/promgate/promgate/cmd/demo/generator"
)

var origin = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func profile(seed uint64) generator.Profile {
	return generator.Profile{
		Seed: seed, Version: "1.2.3", Errors: 0.004, Burst: 40,
		Endpoints: []generator.Endpoint{
			{Handler: "/", Method: "GET", Rate: 40, Latency: 12 * time.Millisecond},
			{Handler: `/odd"path\`, Method: "GET", Rate: 9, Latency: 40 * time.Millisecond},
			{Handler: "/cart", Method: "POST", Rate: 3, Latency: 90 * time.Millisecond},
			{Handler: "/rare", Method: "POST", Rate: 0.05, Latency: time.Second},
		},
		Queues: []string{"mail", "export"},
	}
}

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

// counts reports whether a series only ever grows.
func counts(s generator.Series) bool {
	for _, suffix := range []string{"_total", "_bucket", "_sum", "_count"} {
		if strings.HasSuffix(s.Name, suffix) {
			return true
		}
	}
	return false
}

func TestCountersNeverFall(t *testing.T) {
	for seed := range uint64(8) {
		g := generator.New(profile(seed), origin, time.Now)
		var last []float64
		for s := -60.0; s < 5*3600; s += 3.7 {
			values := g.Values(origin.Add(time.Duration(s*float64(time.Second))), nil)
			for i, v := range values {
				if math.IsNaN(v) || v < 0 {
					t.Fatalf("seed %d, %v: %v at %v s", seed, g.Series()[i], v, s)
				}
				if last != nil && counts(g.Series()[i]) && v < last[i] {
					t.Fatalf("seed %d, %v falls from %v to %v at %v s", seed, g.Series()[i], last[i], v, s)
				}
			}
			last = values
		}
	}
}

func TestBusyCountersRiseEveryStep(t *testing.T) {
	g := generator.New(profile(3), origin, time.Now)
	for step := range 1440 {
		now := origin.Add(time.Duration(step) * 15 * time.Second)
		if a, b := g.Values(now, nil)[0], g.Values(now.Add(15*time.Second), nil)[0]; b <= a {
			t.Fatalf("%v does not rise from %v at step %d", g.Series()[0], a, step)
		}
	}
}

func TestCountersAreZeroUntilTheOrigin(t *testing.T) {
	g := generator.New(profile(1), origin, time.Now)
	for _, when := range []time.Time{origin, origin.Add(-time.Hour)} {
		for i, v := range g.Values(when, nil) {
			if counts(g.Series()[i]) && v != 0 {
				t.Errorf("%v is %v at %v", g.Series()[i], v, when)
			}
		}
	}
}

// TestHistogramAgreesWithCounter compares each route's histogram with the sum of its counters.
func TestHistogramAgreesWithCounter(t *testing.T) {
	g := generator.New(profile(5), origin, time.Now)
	for _, after := range []time.Duration{time.Second, 17 * time.Minute, 6 * time.Hour, 48 * time.Hour} {
		requests, count, infinite := map[string]float64{}, map[string]float64{}, map[string]float64{}
		last := map[string]float64{}
		for i, v := range g.Values(origin.Add(after), nil) {
			s := g.Series()[i]
			key := label(s, "handler") + " " + label(s, "method")
			switch s.Name {
			case "http_requests_total":
				requests[key] += v
			case "http_request_duration_seconds_count":
				count[key] = v
			case "http_request_duration_seconds_bucket":
				if v < last[key] {
					t.Errorf("bucket %v is smaller than the one before", s)
				}
				last[key] = v
				if label(s, "le") == "+Inf" {
					infinite[key] = v
				}
			}
		}
		if len(requests) != 4 {
			t.Fatalf("routes are %v", requests)
		}
		for key, n := range requests {
			if count[key] != n || infinite[key] != n {
				t.Errorf("%s after %v: %v requests, count %v, +Inf %v", key, after, n, count[key], infinite[key])
			}
		}
	}
}

func label(s generator.Series, name string) string {
	for _, l := range s.Labels {
		if l.Name == name {
			return l.Value
		}
	}
	return ""
}

// TestLiveEqualsBackfill scrapes at an instant and compares every line with what backfilling would write then.
func TestLiveEqualsBackfill(t *testing.T) {
	now := origin.Add(3*time.Hour + 1234*time.Millisecond)
	live := generator.New(profile(7), origin, at(now))
	history := generator.New(profile(7), origin, time.Now)

	rec := httptest.NewRecorder()
	live.ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(rec.Body.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	samples, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{Timestamp: model.TimeFromUnixNano(now.UnixNano())}, values(families)...)
	if err != nil {
		t.Fatal(err)
	}
	scraped := map[string]float64{}
	for _, s := range samples {
		if le, ok := s.Metric["le"]; ok && le != "+Inf" && !strings.Contains(string(le), ".") {
			s.Metric["le"] = le + ".0"
		}
		scraped[s.Metric.String()] = float64(s.Value)
	}
	if len(scraped) != len(history.Series()) {
		t.Errorf("%d series scraped, %d backfilled", len(scraped), len(history.Series()))
	}
	for i, want := range history.Values(now, nil) {
		s := history.Series()[i]
		metric := model.Metric{model.MetricNameLabel: model.LabelValue(s.Name)}
		for _, l := range s.Labels {
			metric[model.LabelName(l.Name)] = model.LabelValue(l.Value)
		}
		if got, ok := scraped[metric.String()]; !ok || got != want {
			t.Errorf("%v is %v (found: %v), backfill has %v", metric, got, ok, want)
		}
	}
}

func values[K comparable, V any](m map[K]V) []V {
	var list []V
	for _, v := range m {
		list = append(list, v)
	}
	return list
}

func TestExpositionIsOpenMetricsOnlyWhereAccepted(t *testing.T) {
	g := generator.New(profile(2), origin, at(origin.Add(time.Hour)))
	for accept, want := range map[string]struct {
		contentType, family string
		exemplars, eof      bool
	}{
		"": {"text/plain; version=0.0.4; charset=utf-8", "# TYPE http_requests_total counter\n", false, false},
		"application/openmetrics-text;version=1.0.0;q=0.6,*/*": {
			"application/openmetrics-text; version=1.0.0; charset=utf-8", "# TYPE http_requests counter\n", true, true},
	} {
		req := httptest.NewRequest("GET", "/metrics", nil)
		req.Header.Set("Accept", accept)
		rec := httptest.NewRecorder()
		g.ServeHTTP(rec, req)
		body := rec.Body.String()
		if got := rec.Header().Get("Content-Type"); got != want.contentType {
			t.Errorf("Accept %q: content type %q", accept, got)
		}
		if !strings.Contains(body, want.family) {
			t.Errorf("Accept %q: no %q", accept, want.family)
		}
		if strings.Contains(body, " # {trace_id=") != want.exemplars || strings.HasSuffix(body, "# EOF\n") != want.eof {
			t.Errorf("Accept %q: exemplars or end wrong", accept)
		}
		if !strings.Contains(body, `handler="/odd\"path\\"`) {
			t.Errorf("Accept %q: label value is not escaped", accept)
		}
	}
}

func TestSeedsDiffer(t *testing.T) {
	when := origin.Add(time.Hour)
	a := generator.New(profile(1), origin, time.Now).Values(when, nil)
	b := generator.New(profile(2), origin, time.Now).Values(when, nil)
	if a[0] == b[0] {
		t.Errorf("both seeds have %v requests", a[0])
	}
}

func TestExemplarsLieInTheirBucket(t *testing.T) {
	g := generator.New(profile(4), origin, time.Now)
	when := origin.Add(90 * time.Minute).Add(20 * time.Second)
	list := g.Exemplars(when)
	if len(list) != 4 {
		t.Fatalf("%d exemplars", len(list))
	}
	for _, e := range list {
		s := g.Series()[e.Series]
		if s.Name != "http_request_duration_seconds_bucket" || len(e.TraceID) == 0 || e.Time.After(when) || when.Sub(e.Time) >= time.Minute {
			t.Errorf("exemplar %+v belongs to %v", e, s)
		}
		if le := label(s, "le"); le != "+Inf" {
			var v model.SampleValue
			if err := v.UnmarshalJSON([]byte(`"` + le + `"`)); err != nil || e.Value > float64(v) {
				t.Errorf("exemplar %+v lies above le=%s", e, le)
			}
		}
	}
}

// BenchmarkBackfill makes six hours at 15 s.
func BenchmarkBackfill(b *testing.B) {
	g := generator.New(profile(1), origin, time.Now)
	var dst []float64
	for b.Loop() {
		for step := range 1440 {
			dst = g.Values(origin.Add(time.Duration(step)*15*time.Second), dst[:0])
		}
	}
}
