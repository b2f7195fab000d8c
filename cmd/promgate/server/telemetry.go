package server

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/promgate/promgate/tokens/jwt"
)

func levelOf(name string) slog.Level {
	var level slog.Level
	// The configuration was validated; what is unknown all the same is info.
	_ = level.UnmarshalText([]byte(name))
	return level
}

// meters are the metrics of the program around the gateway.
type meters struct {
	reloadOK   prometheus.Gauge
	reloadTime prometheus.Gauge
	reloads    *prometheus.CounterVec
	routes     prometheus.Gauge
	checks     *prometheus.CounterVec
	pinned     *prometheus.CounterVec
	reviews    *prometheus.CounterVec
	hidden     *prometheus.CounterVec
}

func newMeters(r prometheus.Registerer, version, revision string) *meters {
	m := &meters{
		reloadOK: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "promgate_config_last_reload_successful", Help: "1 when the newest configuration is in force, 0 when it was bad and the last good one is.",
		}),
		reloadTime: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "promgate_config_last_reload_success_timestamp_seconds", Help: "When the configuration in force was loaded.",
		}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "promgate_config_reloads_total", Help: "Configurations loaded since the start, by result.",
		}, []string{"result"}),
		routes: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "promgate_environments", Help: "Environments that are served.",
		}),
		checks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "promgate_token_checks_total", Help: "Endpoint tokens checked, by result; ok_cached cost no signature check.",
		}, []string{"result"}),
	}
	m.pinned = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "promgate_pinned_requests_total", Help: "Questions to pinned environments, by who answered: pinned (the preferred pod), next (another one) or service (any, through the service proxy).",
	}, []string{"outcome"})
	m.reviews = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "promgate_kubernetes_reviews_total", Help: "Reviews of Kubernetes tokens and of what their users may query, by kind of review and result. Remembered ones are not counted.",
	}, []string{"review", "result"})
	m.hidden = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "promgate_perses_hidden_datasources_total", Help: "Data sources of Perses that were found to be shown to nobody or not to everybody, by reason; each once until it changes.",
	}, []string{"reason"})
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "promgate_build_info", Help: "Always 1; the labels tell what is running.",
		ConstLabels: prometheus.Labels{"version": version, "revision": revision, "goversion": runtime.Version()},
	})
	info.Set(1)
	r.MustRegister(m.reloadOK, m.reloadTime, m.reloads, m.routes, m.checks, m.pinned, m.reviews, m.hidden, info,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// tokenResults returns the verifier's hook. The counters are looked up here,
// once, and not for each request.
func (m *meters) tokenResults() func(jwt.Result) {
	counters := map[jwt.Result]prometheus.Counter{}
	for _, r := range []jwt.Result{jwt.ResultCached, jwt.ResultOK, jwt.ResultInvalid, jwt.ResultExpired, jwt.ResultRevoked, jwt.ResultUnavailable} {
		counters[r] = m.checks.WithLabelValues(string(r))
	}
	return func(r jwt.Result) { counters[r].Inc() }
}

// review counts a review.
func (m *meters) review(review, result string) { m.reviews.WithLabelValues(review, result).Inc() }

// tracesPath is where OTLP/HTTP takes spans, below its endpoint.
const tracesPath = "/v1/traces"

// newTracing sends spans to an OTLP endpoint over HTTP.
func newTracing(ctx context.Context, endpoint, version string) (*trace.TracerProvider, error) {
	endpoint = strings.TrimSuffix(endpoint, tracesPath) + tracesPath
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint))
	if err != nil {
		return nil, fmt.Errorf("tracing.otlpEndpoint: %w", err)
	}
	return trace.NewTracerProvider(
		trace.WithBatcher(exporter),
		trace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "promgate"), attribute.String("service.version", version))),
	), nil
}
