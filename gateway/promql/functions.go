package promql

import (
	"strings"

	"github.com/prometheus/prometheus/promql/parser"
)

// The names below were read in Prometheus' source, in promql/functions.go and
// promql/engine.go: each of them computes from its arguments and the time of
// evaluation alone. What is on no list is refused, so that a function of a later
// Prometheus is not let through before somebody has read it.

// allowedFunctions see nothing but what the selectors in their arguments select.
var allowedFunctions = setOf(`
	abs acos acosh asin asinh atan atanh ceil clamp clamp_max clamp_min cos cosh
	deg exp floor ln log10 log2 max_of min_of pi rad round scalar sgn sin sinh
	sqrt tan tanh vector

	absent absent_over_time avg_over_time changes count_over_time delta deriv
	double_exponential_smoothing first_over_time idelta increase irate
	last_over_time mad_over_time max_over_time min_over_time predict_linear
	present_over_time quantile_over_time rate resets stddev_over_time
	stdvar_over_time sum_over_time ts_of_first_over_time ts_of_last_over_time
	ts_of_max_over_time ts_of_min_over_time

	histogram_avg histogram_count histogram_fraction histogram_quantile
	histogram_quantiles histogram_stddev histogram_stdvar histogram_sum

	day_of_month day_of_week day_of_year days_in_month end hour minute month range
	start start_timestamp step time timestamp year

	label_join label_replace sort sort_by_label sort_by_label_desc sort_desc`)

// refusedFunctions cannot be enforced, each for the reason that the user is told.
var refusedFunctions = map[string]string{
	// One argument: it reads target_info outside every selector. Two: what the
	// second names decides which labels are added, so that nothing can be put
	// into it.
	"info": "info() cannot be used where labels are enforced, because it reads series that no selector in the expression names; " +
		"join with target_info instead: … * on (instance, job) group_left (k8s_cluster_name) target_info",
}

// absentFunctions make labels of the matchers of their argument, where these
// are of the type =.
var absentFunctions = setOf("absent absent_over_time")

var allowedAggregations = itemsOf(
	parser.AVG, parser.BOTTOMK, parser.COUNT, parser.COUNT_VALUES, parser.GROUP, parser.LIMITK, parser.LIMIT_RATIO,
	parser.MAX, parser.MIN, parser.QUANTILE, parser.STDDEV, parser.STDVAR, parser.SUM, parser.TOPK,
)

var allowedOperators = itemsOf(
	parser.ADD, parser.ATAN2, parser.DIV, parser.EQLC, parser.GTE, parser.GTR, parser.LAND, parser.LOR, parser.LSS,
	parser.LTE, parser.LUNLESS, parser.MOD, parser.MUL, parser.NEQ, parser.POW, parser.SUB, parser.TRIM_LOWER, parser.TRIM_UPPER,
)

// allowCall returns a *RefusedError unless the function is allowed.
func allowCall(name string) error {
	if reason, found := refusedFunctions[name]; found {
		return &RefusedError{Message: reason}
	}
	if _, found := allowedFunctions[name]; !found {
		return &RefusedError{Message: name + "() cannot be used where labels are enforced, because this gateway does not know what it reads"}
	}
	return nil
}

func setOf(names string) map[string]struct{} {
	set := map[string]struct{}{}
	for _, name := range strings.Fields(names) {
		set[name] = struct{}{}
	}
	return set
}

func itemsOf(items ...parser.ItemType) map[parser.ItemType]struct{} {
	set := map[parser.ItemType]struct{}{}
	for _, item := range items {
		set[item] = struct{}{}
	}
	return set
}
