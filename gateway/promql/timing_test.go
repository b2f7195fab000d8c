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
