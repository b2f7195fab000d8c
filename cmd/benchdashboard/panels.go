package main

import (
	"net/url"
	"strconv"
	"time"
)

// lag is how far behind the clock the first refresh ends; the 15th ends half a
// minute behind it, so that all that is asked for is past.
const lag = 240 * time.Second

// panels are the expressions of the dashboard. The first few are of every kind,
// for a short run.
var panels = []string{
	// Requests by handler, the slowest of each, how long shards wait.
	`sum by (handler) (rate(http_requests_total{job="shop"}[5m]))`,
	`histogram_quantile(0.99, sum by (le, handler) (rate(http_request_duration_seconds_bucket{job="shop"}[5m])))`,
	`queue_wait_seconds{job="worker"}`,
	// The busiest, whoever they are at each instant.
	`topk(5, sum by (instance, handler) (rate(http_requests_total{job="shop"}[5m])))`,
	`max by (instance) (max_over_time(http_requests_in_flight{job="shop"}[10m]))`,
	// Errors: their share of all, and of each handler's requests; an hour's number.
	`sum(rate(http_requests_total{job="shop",code=~"5.."}[5m])) / sum(rate(http_requests_total{job="shop"}[5m]))`,
	`sum by (handler) (rate(http_requests_total{job="shop",code=~"5.."}[5m])) / sum by (handler) (rate(http_requests_total{job="shop"}[5m]))`,
	`sum by (handler) (increase(http_requests_total{job="shop",code=~"5.."}[1h]))`,
	`sum by (code) (rate(http_requests_total{job="shop"}[5m]))`,
	`histogram_quantile(0.5, sum by (le) (rate(http_request_duration_seconds_bucket{job="shop"}[5m])))`,
	`sum by (handler) (rate(http_request_duration_seconds_sum{job="shop"}[5m])) / sum by (handler) (rate(http_request_duration_seconds_count{job="shop"}[5m]))`,
	`process_resident_memory_bytes{job="shop"}`,
}

// questions are the forms that Grafana posts for one refresh: the panels over
// the span until an end.
func questions(panels []string, span time.Duration, end time.Time) []string {
	forms := make([]string, len(panels))
	for i, expression := range panels {
		forms[i] = url.Values{
			"query": {expression},
			"start": {strconv.FormatInt(end.Add(-span).Unix(), 10)},
			"end":   {strconv.FormatInt(end.Unix(), 10)},
			"step":  {strconv.Itoa(int(scrapeInterval / time.Second))},
		}.Encode()
	}
	return forms
}

// firstEnd is where the range of the first refresh ends; each later one ends a
// step after the one before.
func firstEnd(now time.Time) time.Time { return now.Truncate(scrapeInterval).Add(-lag) }
