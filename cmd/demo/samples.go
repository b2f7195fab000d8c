package main

import (
	"time"

	"github.com/promgate/promgate/cmd/demo/generator"
)

// sample describes one environment of the demonstration.
type sample struct {
	Project string
	Name    string
	Profile generator.Profile
}

// samples are the projects and environments that are shown.
func samples() []sample {
	return []sample{
		{"shop", "production", generator.Profile{
			Seed: 1, Version: "4.12.0", Errors: 0.002, Burst: 30, Endpoints: shop(1), Queues: []string{"mail", "thumbnails"},
		}},
		{"shop", "staging", generator.Profile{
			Seed: 2, Version: "4.13.0-rc.2", Errors: 0.02, Burst: 90, BurstEvery: 40 * time.Minute,
			Day: 3 * time.Hour, Endpoints: shop(0.06), Queues: []string{"mail", "thumbnails"},
		}},
		{"billing", "production", generator.Profile{
			Seed: 3, Version: "2.7.3", Errors: 0.001, Burst: 20, BurstEvery: 70 * time.Minute,
			Day: 90 * time.Minute, Endpoints: billing(1), Queues: []string{"export", "dunning"},
		}},
		{"billing", "staging", generator.Profile{
			Seed: 4, Version: "2.8.0-beta", Errors: 0.03, Burst: 60, Endpoints: billing(0.1), Queues: []string{"export", "dunning"},
		}},
	}
}

func shop(traffic float64) []generator.Endpoint {
	return []generator.Endpoint{
		{Handler: "/", Method: "GET", Rate: 42 * traffic, Latency: 11 * time.Millisecond},
		{Handler: "/products", Method: "GET", Rate: 28 * traffic, Latency: 24 * time.Millisecond},
		{Handler: "/products/{id}", Method: "GET", Rate: 55 * traffic, Latency: 16 * time.Millisecond},
		{Handler: "/cart", Method: "POST", Rate: 9 * traffic, Latency: 45 * time.Millisecond},
		{Handler: "/checkout", Method: "POST", Rate: 2.2 * traffic, Latency: 130 * time.Millisecond},
		{Handler: "/login", Method: "POST", Rate: 3 * traffic, Latency: 70 * time.Millisecond},
	}
}

func billing(traffic float64) []generator.Endpoint {
	return []generator.Endpoint{
		{Handler: "/invoices", Method: "GET", Rate: 7 * traffic, Latency: 35 * time.Millisecond},
		{Handler: "/invoices/{id}", Method: "GET", Rate: 12 * traffic, Latency: 14 * time.Millisecond},
		{Handler: "/payments", Method: "POST", Rate: 4 * traffic, Latency: 160 * time.Millisecond},
		{Handler: "/webhooks/bank", Method: "POST", Rate: 2.5 * traffic, Latency: 22 * time.Millisecond},
		{Handler: "/reports", Method: "GET", Rate: 0.6 * traffic, Latency: 420 * time.Millisecond},
	}
}

// sampleRules are evaluated by every server, so that its rules and alerts are not empty.
const sampleRules = `groups:
  - name: requests
    rules:
      - record: handler:http_requests:rate5m
        expr: sum by (job, handler) (rate(http_requests_total[5m]))
      - record: job:http_requests_errors:ratio_rate5m
        expr: sum by (job) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (job) (rate(http_requests_total[5m]))
      - record: handler:http_request_duration_seconds:p95
        expr: histogram_quantile(0.95, sum by (job, handler, le) (rate(http_request_duration_seconds_bucket[5m])))
  - name: alerts
    rules:
      - alert: Watchdog
        expr: vector(1)
        labels: {severity: none}
        annotations: {summary: "Always fires, to show that alerts are evaluated."}
      - alert: TargetDown
        expr: up == 0
        for: 1m
        labels: {severity: page}
        annotations: {summary: "{{ $labels.job }} {{ $labels.instance }} does not answer."}
      - alert: ManyErrors
        expr: job:http_requests_errors:ratio_rate5m > 0.05
        labels: {severity: ticket}
        annotations: {summary: "{{ $value | humanizePercentage }} of the requests to {{ $labels.job }} fail."}
`
