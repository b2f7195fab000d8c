package gateway

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/common/model"

	"github.com/promgate/promgate/gateway/promql"
)

// prometheusPoints is how many steps Prometheus itself allows
// (web/api/v1/api.go), in whose words more of them are refused.
const prometheusPoints = 11000

// checkPoints sees to the number of points that a range query has for a series.
func (p *Params) checkPoints() error {
	limit := p.tenancy.MaxPoints
	points := int64(p.end.Sub(p.start) / p.step)
	switch {
	case points <= int64(limit):
		return nil
	case limit == prometheusPoints:
		return errors.New("exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)")
	}
	return exceeded("maxPoints", fmt.Sprintf("the query has %d points for each series", points), strconv.Itoa(limit),
		"use a larger step or a shorter range")
}

// checkLength sees to the length of an expression, or of all selectors of a
// request, before they are parsed.
func (p *Params) checkLength(texts ...string) error {
	length := 0
	for _, t := range texts {
		length += len(t)
	}
	if limit := p.tenancy.MaxQueryLength; int64(length) > limit {
		return exceeded("maxQueryLength", fmt.Sprintf("the query has %d bytes", length), formatBytes(limit),
			"shorten it, or record a part of it by a rule")
	}
	return nil
}

// checkRangeCost and checkInstantCost see to what the query costs, which is known
// before it is run.
func checkRangeCost(p *Params) error {
	if err := p.query.CheckRange(); err != nil {
		return invalidParam("query", err)
	}
	if asked := p.end.Sub(p.start); asked > p.tenancy.MaxRange {
		return rangeTooLong(asked, p.tenancy)
	}
	return p.checkCost(promql.Span{Start: p.start, End: p.end, Step: p.step})
}

func rangeTooLong(asked time.Duration, t *tenancy) error {
	return exceeded("maxRange", "the query spans "+formatDuration(asked), formatDuration(t.MaxRange), "ask for a shorter range")
}

func checkInstantCost(p *Params) error {
	at := p.at
	if at.IsZero() {
		at = time.Now()
	}
	return p.checkCost(promql.Span{Start: at, End: at})
}

func (p *Params) checkCost(s promql.Span) error {
	cost, t := p.query.Cost(s), p.tenancy
	if asked := max(cost.Lookback, p.lookback); asked > t.MaxLookback {
		return exceeded("maxLookback", "the query reads "+formatDuration(asked)+" back from its start", formatDuration(t.MaxLookback),
			"use shorter ranges and offsets, or record a part of it by a rule")
	}
	if cost.Evaluations > t.MaxEvaluations {
		return exceeded("maxEvaluations", fmt.Sprintf("the query evaluates its selectors %d times", cost.Evaluations), strconv.FormatInt(t.MaxEvaluations, 10),
			"use a larger step, a shorter range, fewer selectors, or larger steps in its subqueries")
	}
	return nil
}

// formatDuration writes a duration as Prometheus does, and so as configurations
// have it.
func formatDuration(d time.Duration) string { return model.Duration(d).String() }
