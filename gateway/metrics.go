package gateway

import (
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/promgate/promgate/gateway/limit"
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
	// cache counts outcomes, coalesced the requests that shared another's call.
	cache, coalesced *prometheus.CounterVec
}

var latencyBuckets = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120}

func newMetrics(r prometheus.Registerer, limits func() *gates) *metrics {
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
	m.cache = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "promgate_cache_requests_total",
		Help: "Answers of endpoints whose answers are kept, by what became of the request in the cache: hit, partial, miss or bypass.",
	}, []string{"project", "environment", "endpoint", "outcome"})
	m.coalesced = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "promgate_coalesced_requests_total",
		Help: "Requests that shared the call upstream of an equal one that was under way.",
	}, []string{"project", "environment"})
	r.MustRegister(m.requests, m.duration, m.upstream, m.bytes, m.flying, m.refusals, m.cache, m.coalesced)
	r.MustRegister(use{limits})
	return m
}

// use tells how much of its budgets each environment uses. It looks when it is
// asked, so that requests do nothing for it.
type use struct{ limits func() *gates }

var (
	usedRatio = prometheus.NewDesc("promgate_limit_used_ratio",
		"Used share of a limit at this moment, from 0 to 1, of each environment that was asked something (empty: of the whole gateway): requests in flight (maxConcurrent, maxConcurrentTotal), those that wait (queue), the burst that is used up (requestsPerSecond).",
		[]string{"project", "environment", "limit"}, nil)
	clusterUsedRatio = prometheus.NewDesc("promgate_cluster_used_ratio",
		"Used share of the requests that may be in flight in a cluster (targets.maxConcurrent) at this moment, from 0 to 1.",
		[]string{"cluster"}, nil)
)

// Describe and Collect make use a prometheus.Collector.
func (u use) Describe(ch chan<- *prometheus.Desc) {
	ch <- usedRatio
	ch <- clusterUsedRatio
}

func (u use) Collect(ch chan<- prometheus.Metric) {
	// An environment that was made again may be there twice for a moment.
	shares := map[[3]string]float64{}
	gates := u.limits()
	gates.tenancies.Range(func(_, value any) bool {
		t := value.(*tenancy)
		places := t.places.Use()
		for limit, share := range map[string]float64{
			"maxConcurrent": ratio(places.Taken, t.MaxConcurrent), "queue": ratio(places.Waiting, t.Queue.Length),
			"requestsPerSecond": t.rate.Used(),
		} {
			key := [3]string{t.project, t.environment, limit}
			shares[key] = max(shares[key], share)
		}
		return true
	})
	shares[[3]string{"", "", "maxConcurrentTotal"}] = ratio(gates.total.Use().Taken, gates.MaxConcurrentTotal)
	for key, share := range shares {
		ch <- prometheus.MustNewConstMetric(usedRatio, prometheus.GaugeValue, share, key[:]...)
	}
	gates.targets.Range(func(key, value any) bool {
		if cluster, ok := strings.CutPrefix(key.(string), clusterKey); ok {
			ch <- prometheus.MustNewConstMetric(clusterUsedRatio, prometheus.GaugeValue, ratio(value.(*limit.Gate).Use().Taken, gates.MaxConcurrentTarget), cluster)
		}
		return true
	})
}

func ratio(used, of int) float64 {
	if of == 0 {
		return 0
	}
	return float64(used) / float64(of)
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
	if x.cache != "" {
		m.cache.WithLabelValues(project, environment, endpoint, string(x.cache)).Inc()
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

// forget drops the series of an environment that is no longer there.
func (m *metrics) forget(e *routing.Environment) {
	labels := prometheus.Labels{"project": e.Project.Name, "environment": e.Name}
	m.requests.DeletePartialMatch(labels)
	m.upstream.DeletePartialMatch(labels)
	m.bytes.DeletePartialMatch(labels)
	m.flying.DeletePartialMatch(labels)
	m.refusals.DeletePartialMatch(labels)
	m.cache.DeletePartialMatch(labels)
	m.coalesced.DeletePartialMatch(labels)
}
