package promql

import (
	"testing"
	"time"
)

func TestTiming(t *testing.T) {
	at := func(seconds int64) time.Time { return time.Unix(seconds, 0) }
	for text, want := range map[string]Timing{
		"up": {}, "sum by (a) (rate(x[5m] offset 1h))": {}, "max_over_time(x[1h:5m])": {}, "time()": {}, "1": {}, "vector(time())": {},
		"x offset -5m": {Ahead: true}, "sum(rate(x[5m] offset -1s))": {Ahead: true}, "max_over_time(x[1h:5m] offset -1m)": {Ahead: true},
		"x @ start()": {Whole: true}, "rate(x[5m] @ end())": {Whole: true}, "max_over_time(x[1h:5m] @ end())": {Whole: true},
		"x @ 100": {Fixed: at(100)}, "x @ 100 + y @ 300.5": {Fixed: time.UnixMilli(300500)}, "x @ 300 + y @ 100": {Fixed: at(300)},
		"max_over_time((x @ 100)[1h:5m] @ 50)": {Fixed: at(100)}, "x @ -100": {Fixed: at(-100)},
		"rate(x[range()])": {Whole: true}, "rate(x[step()])": {}, "rate(x[max_of(step(), range())])": {Whole: true}, "rate(x[5m * 2])": {},
		"x offset (5m * 2)": {Ahead: true}, "x offset (range())": {Whole: true, Ahead: true}, "max_over_time(x[1h:range()])": {Whole: true},
		"topk(1, x offset -1s) or y @ 7 or z @ start()":        {Whole: true, Ahead: true, Fixed: at(7)},
		"label_replace(x @ end(), \"a\", \"b\", \"c\", \"d\")": {Whole: true},
		"sort(x)": {Whole: true}, "sum(sort_by_label_desc(x, \"a\"))": {Whole: true}, "rate(x[5m] smoothed)": {Ahead: true}, "x smoothed": {Ahead: true}, "rate(x[5m] anchored)": {},
		"topk(1, x)": {}, "bottomk(-(1), x)": {}, "limitk(scalar(y), x)": {Whole: true}, "limit_ratio(1 - 0.5, x)": {Whole: true}, "quantile(scalar(y), x)": {}, "topk(time(), x)": {Whole: true},
	} {
		q, err := new(Parser).Query(nil, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := q.Timing(); got.Whole != want.Whole || got.Ahead != want.Ahead || !got.Fixed.Equal(want.Fixed) {
			t.Errorf("%s: got %+v, want %+v", text, got, want)
		}
	}
}

// TestTimingOfNames: what may collide over a range, and not in its pieces, is told.
func TestTimingOfNames(t *testing.T) {
	for text, whole := range map[string]bool{
		`rate({__name__=~"a|b"}[5m])`: true, `rate({job="a"}[5m])`: true, `rate(a[5m])`: false, `rate({__name__="a"}[5m])`: false, `rate({"a.b"}[5m])`: false,
		`last_over_time({job="a"}[5m])`: false, `absent_over_time({job="a"}[5m])`: false, `-{job="a"}`: false, `abs({job="a"})`: false, `{job="a"}`: false,
		`max_over_time({job="a"}[1h:])`: true, `max_over_time((a or b)[1h:])`: true, `max_over_time((a or a)[1h:])`: false, `max_over_time((a and {job="a"})[1h:])`: false, `max_over_time(({job="a"} unless a)[1h:])`: true,
		`max_over_time((a > 0)[1h:])`: false, `max_over_time(({job="a"} > 0)[1h:])`: true, `max_over_time((0 < {job="a"})[1h:])`: true, `max_over_time((a + b)[1h:])`: true, `max_over_time((a + a)[1h:])`: false,
		`max_over_time(sum({job="a"})[1h:])`: false, `max_over_time(sum by (__name__) ({job="a"})[1h:])`: true, `max_over_time(sum by (__name__) (a)[1h:])`: false, `max_over_time(sum without (__name__) ({job="a"})[1h:])`: false,
		`max_over_time(topk(1, {job="a"})[1h:])`: true, `max_over_time(count_values("__name__", a)[1h:])`: true, `max_over_time(count_values("v", {job="a"})[1h:])`: false,
		`max_over_time(label_replace(a, "__name__", "$1", "x", "(.*)")[1h:])`: true, `max_over_time(label_replace(a, "y", "$1", "x", "(.*)")[1h:])`: false, `max_over_time(label_join(a, "__name__", "-", "x")[1h:])`: true,
		`max_over_time(last_over_time({job="a"}[1h])[1h:])`: true, `max_over_time((-{job="a"})[1h:])`: false, `max_over_time((+{job="a"})[1h:])`: true, `max_over_time(abs({job="a"})[1h:])`: false, `max_over_time(vector(1)[1h:])`: false,
		`quantile_over_time(0.5, {job="a"}[5m])`: true, `sum(rate(({__name__=~"a|b"}[5m])))`: true, `max_over_time(rate({job="a"}[5m])[1h:])`: true, `rate(a[5m]) + rate({job="a"}[5m])`: true,
	} {
		q, err := new(Parser).Query(nil, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := q.Timing(); got.Whole != whole {
			t.Errorf("%s: got %+v, want %t", text, got, whole)
		}
	}
}
