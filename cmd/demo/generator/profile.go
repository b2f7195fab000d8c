// Package generator makes the metrics of an invented HTTP service as a pure function of time: the same function writes
// hours of history and answers the live scrape, so that a rate has no break where the two meet.
package generator

import "time"

// Endpoint is one route of the invented service.
type Endpoint struct {
	Handler string
	Method  string
	// Rate is the mean number of requests per second.
	Rate float64
	// Latency is the typical duration of a request.
	Latency time.Duration
}

// Profile describes an invented service. Equal profiles make equal series.
type Profile struct {
	// Seed moves every wave, burst and jitter.
	Seed uint64
	// Version appears in app_build_info.
	Version string
	// Endpoints are the routes; each makes about 17 series.
	Endpoints []Endpoint
	// Queues are names of work queues, one gauge each.
	Queues []string
	// Errors is the share of requests that fail all the time, for instance 0.002.
	Errors float64
	// Burst is how many seconds' worth of requests fail in each burst of errors.
	Burst float64
	// BurstEvery is the distance between bursts. Zero: 25 minutes.
	BurstEvery time.Duration
	// Day is the length of the rhythm of busy and quiet hours, compressed so that a few hours show it. Zero: 2 hours.
	Day time.Duration
}

func (p Profile) day() float64 {
	if p.Day <= 0 {
		return (2 * time.Hour).Seconds()
	}
	return p.Day.Seconds()
}

func (p Profile) burstEvery() float64 {
	if p.BurstEvery <= 0 {
		return (25 * time.Minute).Seconds()
	}
	return p.BurstEvery.Seconds()
}
