package gateway

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/promgate/promgate/routing"
)

// metrics are the gateway's own. Project and environment are those of admitted
// requests alone, so that nobody makes series by asking for names.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	upstream *prometheus.HistogramVec
	bytes    *prometheus.CounterVec
	flying   *prometheus.GaugeVec
	refusals *prometheus.CounterVec
}

var latencyBuckets = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "promgate_requests_total",
			Help: "Requests answered, by the environment that they were admitted to (empty: none), endpoint and status code. 499 is a client that went away.",
		}, []string{"project", "environment", "endpoint", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "promgate_request_duration_seconds",
			Help: "Time from a request's arrival to the end of its answer, by endpoint.", Buckets: latencyBuckets,
		}, []string{"endpoint"}),
		upstream: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "promgate_upstream_duration_seconds",
			Help: "Time from the call upstream to the beginning of its answer.", Buckets: latencyBuckets,
		}, []string{"project", "environment", "endpoint"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "promgate_response_bytes_total",
			Help: "Bytes of answers' bodies sent to clients, as sent.",
		}, []string{"project", "environment", "endpoint"}),
		flying: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "promgate_requests_in_flight",
			Help: "Admitted requests that are not answered yet, those that wait for their place included.",
		}, []string{"project", "environment"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "promgate_limit_refusals_total",
			Help: "Requests refused by a limit of the gateway.",
		}, []string{"project", "environment", "limit"}),
	}
	r.MustRegister(m.requests, m.duration, m.upstream, m.bytes, m.flying, m.refusals)
	return m
}

// inFlight is the gauge of an environment. A request holds on to it, so that one
// that outlives its environment does not count below zero in a new series.
func (m *metrics) inFlight(e *routing.Environment) prometheus.Gauge {
	return m.flying.WithLabelValues(e.Project.Name, e.Name)
}

func (m *metrics) observe(x *exchange, failure *Error) {
	endpoint, project, environment := "", "", ""
	if x.endpoint != nil {
		endpoint = x.endpoint.Name
	}
	if x.environment != nil {
		project, environment = x.environment.Project.Name, x.environment.Name
	}
	m.requests.WithLabelValues(project, environment, endpoint, statusText(x.status)).Inc()
	m.duration.WithLabelValues(endpoint).Observe(time.Since(x.start).Seconds())
	if x.bytes > 0 {
		m.bytes.WithLabelValues(project, environment, endpoint).Add(float64(x.bytes))
	}
	if x.upstream > 0 {
		m.upstream.WithLabelValues(project, environment, endpoint).Observe(x.upstream.Seconds())
	}
	if failure != nil && failure.Limit != "" {
		m.refusals.WithLabelValues(project, environment, failure.Limit).Inc()
	}
}

func statusText(status int) string {
	if status == 200 {
		return "200"
	}
	return strconv.Itoa(status)
}

// Forget drops the metrics and the places of an environment that is no longer
// there. Requests under way keep theirs to their end.
func (g *Gateway) Forget(e *routing.Environment) {
	g.limits.Load().environments.Delete(e.UID)
	m := g.metrics
	labels := prometheus.Labels{"project": e.Project.Name, "environment": e.Name}
	m.requests.DeletePartialMatch(labels)
	m.upstream.DeletePartialMatch(labels)
	m.bytes.DeletePartialMatch(labels)
	m.flying.DeletePartialMatch(labels)
	m.refusals.DeletePartialMatch(labels)
}
