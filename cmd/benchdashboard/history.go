package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/promgate/promgate/cmd/demo/generator"
)

const (
	// scrapeInterval is the distance of two samples, and the step of the panels.
	scrapeInterval = 15 * time.Second
	instances      = 5
	shards         = 50
	// lateShards are the last ones, of which one begins in each minute that is
	// refreshed: the series of an answer change from refresh to refresh.
	lateShards = 5
)

// endpoints are the routes of the service on the dashboard.
var endpoints = []generator.Endpoint{
	{Handler: "/", Method: "GET", Rate: 42, Latency: 11 * time.Millisecond},
	{Handler: "/products", Method: "GET", Rate: 28, Latency: 24 * time.Millisecond},
	{Handler: "/products/{id}", Method: "GET", Rate: 55, Latency: 16 * time.Millisecond},
	{Handler: "/search", Method: "GET", Rate: 17, Latency: 85 * time.Millisecond},
	{Handler: "/cart", Method: "POST", Rate: 9, Latency: 45 * time.Millisecond},
	{Handler: "/checkout", Method: "POST", Rate: 2.2, Latency: 130 * time.Millisecond},
	{Handler: "/login", Method: "POST", Rate: 3, Latency: 70 * time.Millisecond},
	{Handler: "/orders", Method: "GET", Rate: 6, Latency: 38 * time.Millisecond},
}

// history is what a Prometheus would hold that had scraped the service.
type history struct {
	now  time.Time
	span time.Duration // from its begin until now
}

// target is one scrape target, from an instant until another.
type target struct {
	from, to time.Time
	offset   time.Duration // of its scrapes: they are not at the same instant
	series   []labels.Labels
	values   func(at time.Time, dst []float64) []float64
	refs     []storage.SeriesRef
}

// write makes one block in the directory. It ends ten minutes after now, so that
// nobody who asks a little later finds that nothing is scraped.
func (h history) write(ctx context.Context, dir string) (err error) {
	from, to := h.now.Add(-h.span), h.now.Add(10*time.Minute)
	blockSize := 2 * to.Sub(from).Milliseconds() // all of it, in one block
	w, err := tsdb.NewBlockWriter(slog.New(slog.DiscardHandler), dir, blockSize)
	if err != nil {
		return fmt.Errorf("the history cannot be written: %w", err)
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	targets := h.targets(from, to)
	for at := from; !at.After(to); at = at.Add(scrapeInterval) {
		if err := ctx.Err(); err != nil {
			return err
		}
		app := w.Appender(ctx)
		for _, t := range targets {
			if err := t.scrape(app, at); err != nil {
				return errors.Join(fmt.Errorf("the history cannot be written: %w", err), app.Rollback())
			}
		}
		if err := app.Commit(); err != nil {
			return fmt.Errorf("the history cannot be written: %w", err)
		}
	}
	_, err = w.Flush(ctx)
	return err
}

// scrape appends the values of an instant, and marks the series stale after the
// target's end.
func (t *target) scrape(app storage.Appender, at time.Time) error {
	if at.Before(t.from) || !at.Before(t.to.Add(scrapeInterval)) {
		return nil
	}
	at = at.Add(t.offset)
	values := t.values(at, nil)
	for i, ls := range t.series {
		v := values[i]
		if !at.Before(t.to.Add(t.offset)) {
			v = math.Float64frombits(value.StaleNaN)
		}
		ref, err := app.Append(t.refs[i], ls, at.UnixMilli(), v)
		if err != nil {
			return err
		}
		t.refs[i] = ref
	}
	return nil
}

// targets are the instances, of which one was replaced during the dashboard's
// range, and the shards.
func (h history) targets(from, to time.Time) []*target {
	end := to.Add(time.Hour) // after all
	deploy := h.now.Add(-h.span / 3)
	var all []*target
	for i := range instances {
		lives := [2]time.Time{from, end}
		if i == instances-1 {
			lives[1] = deploy
		}
		all = append(all, instance(i, lives, from))
	}
	// Its counters are as high as those of the others: with those that begin at zero
	// a quantile makes Prometheus tell of buckets that do not fit together.
	all = append(all, instance(instances, [2]time.Time{deploy, end}, from))
	for i := range shards {
		begin := from
		if late := i - (shards - lateShards); late >= 0 {
			begin = firstEnd(h.now).Add(time.Duration(late)*time.Minute + 2*scrapeInterval)
		}
		all = append(all, shard(i, begin, end))
	}
	return all
}

// instance is one process of the service. Its counters are zero at the origin.
func instance(n int, lives [2]time.Time, origin time.Time) *target {
	g := generator.New(generator.Profile{
		Seed: uint64(100 + n), Version: "4.12.0", Errors: 0.002, Burst: 30, Endpoints: endpoints,
	}, origin, time.Now)
	t := &target{from: lives[0], to: lives[1], offset: time.Duration(n*2713%15000) * time.Millisecond}
	name := fmt.Sprintf("shop-%d:8080", n)
	for _, s := range g.Series() {
		b := labels.NewBuilder(labels.FromStrings(model.MetricNameLabel, s.Name, "job", "shop", "instance", name))
		for _, l := range s.Labels {
			b.Set(l.Name, l.Value)
		}
		t.series = append(t.series, b.Labels())
	}
	t.series = append(t.series, labels.FromStrings(model.MetricNameLabel, "process_resident_memory_bytes", "job", "shop", "instance", name))
	memory := newWalk(uint64(n), 420e6, 9e6)
	t.values = func(at time.Time, dst []float64) []float64 {
		// The kernel counts pages.
		return append(g.Values(at, dst), math.Floor(memory.next()/4096)*4096)
	}
	t.refs = make([]storage.SeriesRef, len(t.series))
	return t
}

// shard is a gauge with milliseconds, as a queue would tell it.
func shard(n int, from, to time.Time) *target {
	wait := newWalk(uint64(1000+n), 2+float64(n%7)*9, 0.4)
	return &target{
		from: from, to: to, offset: 4219 * time.Millisecond,
		series: []labels.Labels{labels.FromStrings(model.MetricNameLabel, "queue_wait_seconds", "job", "worker", "shard", fmt.Sprintf("%02d", n))},
		refs:   make([]storage.SeriesRef, 1),
		values: func(_ time.Time, dst []float64) []float64 { return append(dst, math.Round(wait.next()*1000)/1000) },
	}
}

// walk wanders around a level.
type walk struct {
	random      *rand.Rand
	level, size float64
	at          float64
}

func newWalk(seed uint64, level, size float64) *walk {
	return &walk{random: rand.New(rand.NewPCG(seed, 1)), level: level, size: size, at: level}
}

func (w *walk) next() float64 {
	w.at += w.size*w.random.NormFloat64() + 0.02*(w.level-w.at)
	return max(0, w.at)
}
