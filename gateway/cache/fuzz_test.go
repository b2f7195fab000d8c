package cache

import (
	"bytes"
	"testing"
)

// FuzzScan: whatever an upstream says, nothing panics, and what is taken for a
// matrix is written as it was.
func FuzzScan(f *testing.F) {
	for _, s := range []string{
		``, `{"metric":{},"values":[[1,"2"]]}`,
		`{"metric":{"a":"b\"}]"},"values":[[1.5,"NaN"],[2,"+Inf"]]},{"metric":{"b":""},"histograms":[[1,{"count":"1","buckets":[[0,"1","2","3"]]}],[2,{}]]}`,
		`{"metric":{"a":"\u12"},"values":[[1,"2"]]},{"metric":{"a":"\ud800\u00e9"},"values":[[-1,"2"]],"histograms":[[-1.5,{}]]}`,
		`{"metric":{"a":"b","c":"d"},"values":[[]]},{"metric":{"a":"b","c":"\\"},"values":[[[[1]]}`,
	} {
		f.Add(answer(s), int64(1000))
	}
	f.Add([]byte(`{"status":"success","data":{"resultType":"matrix","result":[]},"warnings":["w"]}`), int64(0))
	f.Fuzz(func(t *testing.T, body []byte, at int64) {
		series, err := Scan(body, nil)
		if err != nil {
			return
		}
		joined := make([]Joined, 0, len(series))
		for _, s := range series {
			j := Joined{Metric: s.Metric}
			if len(s.Values) > 0 {
				j.Values = [][]byte{s.Values}
			}
			if len(s.Histograms) > 0 {
				j.Histograms = [][]byte{s.Histograms}
			}
			joined = append(joined, j)
		}
		if got := written(joined); !bytes.Equal(got, bytes.TrimRight(body, "\n")) {
			t.Errorf("got  %s\nwant %s", got, body)
		}
		span := Span{at - 1000, at + 1000}
		if !Valid(series, span) {
			return
		}
		e := NewExtent(1)
		e.Add(span, series)
		v := e.View(Span{at, at + 500})
		e.View(span) // so that nothing of it is dropped
		e.tend(neverUsed, true, true)
		if got := written(Join(nil, e.View(span).Series)); !bytes.Equal(got, bytes.TrimRight(body, "\n")) {
			t.Errorf("of the extent: got  %s\nwant %s", got, body)
		}
		written(Join(Join(nil, v.Series), series))
	})
}

// FuzzCompare: the order is one, whatever label sets hold.
func FuzzCompare(f *testing.F) {
	f.Add(`{"a":"b\n"}`, `{"a":"b\u000a"}`)
	f.Add(`{"a":"b","c":"\\"}`, `{"a":"b"}`)
	f.Fuzz(func(t *testing.T, x, y string) {
		for _, set := range []string{x, y} {
			if len(set) == 0 || set[0] != '{' || endOfLabels([]byte(set), 1) != len(set) {
				return
			}
		}
		a, b := []byte(x), []byte(y)
		if ab, ba := compare(a, b), compare(b, a); sign(ab) != -sign(ba) {
			t.Errorf("%s and %s: %d and %d", x, y, ab, ba)
		}
		if compare(a, a) != 0 || sign(compareEscaped(a, b)) != sign(compare(a, b)) {
			t.Errorf("%s and %s: %d and %d", x, y, compareEscaped(a, b), compare(a, b))
		}
	})
}
