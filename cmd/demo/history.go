package main

import (
	"context"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"github.com/promgate/promgate/cmd/demo/generator"
	"github.com/promgate/promgate/cmd/demo/prometheus"
)

// history writes what a Prometheus would hold that had scraped the generator before.
type history struct {
	generator   *generator.Generator
	environment *environment
	from, to    time.Time
}

// write appends every step from the oldest to the newest, in the form in which live scrapes continue it.
func (h history) write(ctx context.Context, app prometheus.Appender) error {
	series, up := h.labels()
	refs := make([]storage.SeriesRef, len(series)+len(up))
	put := func(i int, ls labels.Labels, at time.Time, v float64, opts storage.AppendV2Options) (err error) {
		refs[i], err = app.Append(refs[i], ls, 0, at.UnixMilli(), v, nil, nil, opts)
		return err
	}
	var values []float64
	for at := h.from; !at.After(h.to); at = at.Add(historyStep) {
		if err := ctx.Err(); err != nil {
			return err
		}
		examples := h.exemplars(at)
		values = h.generator.Values(at, values[:0])
		for i, v := range values {
			if err := put(i, series[i], at, v, storage.AppendV2Options{Exemplars: examples[i]}); err != nil {
				return err
			}
		}
		for i, ls := range up {
			if err := put(len(series)+i, ls, at, 1, storage.AppendV2Options{}); err != nil {
				return err
			}
		}
	}
	return nil
}

// labels are those that a scrape would give to the generator's series, and to the health of both jobs.
func (h history) labels() (series, up []labels.Labels) {
	job, instance := h.environment.Project, h.environment.instance()
	for _, s := range h.generator.Series() {
		b := labels.NewBuilder(labels.FromStrings(model.MetricNameLabel, s.Name, "job", job, "instance", instance))
		for _, l := range s.Labels {
			b.Set(l.Name, l.Value)
		}
		series = append(series, b.Labels())
	}
	return series, []labels.Labels{
		labels.FromStrings(model.MetricNameLabel, "up", "job", job, "instance", instance),
		labels.FromStrings(model.MetricNameLabel, "up", "job", prometheus.SelfJob, "instance", h.environment.selfInstance()),
	}
}

// exemplars are those that are new at this step, by series.
func (h history) exemplars(at time.Time) map[int][]exemplar.Exemplar {
	if !at.Truncate(time.Minute).After(at.Add(-historyStep)) {
		return nil
	}
	list := map[int][]exemplar.Exemplar{}
	for _, e := range h.generator.Exemplars(at) {
		list[e.Series] = []exemplar.Exemplar{{
			Labels: labels.FromStrings("trace_id", e.TraceID), Value: e.Value, Ts: e.Time.UnixMilli(), HasTs: true,
		}}
	}
	return list
}
