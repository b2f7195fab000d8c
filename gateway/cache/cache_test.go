package cache

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	v1 "github.com/prometheus/prometheus/web/api/v1"
)

// rounds is how often the tests try what is random.
var rounds = flag.Int("cache.rounds", 40, "how many random worlds the tests of the cache make")

// answer writes a matrix as Prometheus does.
func answer(series ...string) []byte {
	var b bytes.Buffer
	b.Write(matrixHead)
	for i, s := range series {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(s)
	}
	b.Write(matrixTail)
	return b.Bytes()
}

func TestScan(t *testing.T) {
	for _, c := range []struct {
		body string
		want string // series, or the error
	}{
		{string(answer()), "[]"},
		{string(answer(`{"metric":{},"values":[[1,"2"]]}`)), `[{} [1,"2"] ]`},
		{string(answer(`{"metric":{"a":"b\"}]"},"values":[[1.5,"NaN"],[2,"+Inf"]]}`, `{"metric":{"b":""},"histograms":[[1,{"count":"1","buckets":[[0,"1","2","3"],[1,"2","3","4"]]}]]}`)),
			`[{"a":"b\"}]"} [1.5,"NaN"],[2,"+Inf"]  {"b":""}  [1,{"count":"1","buckets":[[0,"1","2","3"],[1,"2","3","4"]]}]]`},
		{string(answer(`{"metric":{},"values":[[1,"2"]],"histograms":[[2,{"count":"1"}]]}`)), `[{} [1,"2"] [2,{"count":"1"}]]`},
		{string(answer()) + "\n", "[]"},
		{`{"status":"success","data":{"resultType":"matrix","result":[]},"warnings":["w"]}`, errNotes.Error()},
		{`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"2"]]}]},"infos":["i"]}`, errNotes.Error()},
		{`{"status":"success","data":{"resultType":"vector","result":[]}}`, errForm.Error()},
		{`{"status":"success","data":{"resultType":"matrix","result":[]},"stats":{}}`, errForm.Error()},
		{`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"2"]]}`, errForm.Error()},
		{`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"2"`, errForm.Error()},
		{`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{}}]}}`, errForm.Error()},
		{`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[]}]}}`, errForm.Error()},
		{`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":1},"values":[[1,"2"]]}]}}`, errForm.Error()},
		{`{"status": "success","data":{"resultType":"matrix","result":[]}}`, errForm.Error()},
		{string(answer(`{"metric":{},"values":[[1,"2"]]}{"metric":{"a":"b"},"values":[[1,"2"]]}`)), errForm.Error()},
		{string(answer()) + "x", errForm.Error()},
		// Label sets that could not be told apart from others.
		{string(answer(`{"metric":{,},"values":[[1,"2"]]}`)), errForm.Error()},
		{string(answer(`{"metric":{"a"},"values":[[1,"2"]]}`)), errForm.Error()},
		{string(answer(`{"metric":{"a":"b",},"values":[[1,"2"]]}`)), errForm.Error()},
		{string(answer(`{"metric":{"a":"b":"c"},"values":[[1,"2"]]}`)), errForm.Error()},
		{string(answer(`{"metric":{"a":"b"`)), errForm.Error()},
		{string(answer(`{"metric":{},"histograms":[[1,{}]}}`)), errForm.Error()},
		{"", errForm.Error()},
	} {
		series, err := Scan([]byte(c.body), nil)
		got := "["
		for i, s := range series {
			if i > 0 {
				got += " "
			}
			got += fmt.Sprintf("%s %s %s", s.Metric, s.Values, s.Histograms)
		}
		if got += "]"; err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.body, got, c.want)
		}
	}
}

// samplesOf writes samples at times, floats or histograms.
func samplesOf(times []int64, histograms bool, random *rand.Rand) (text []byte, each [][]byte) {
	for i, at := range times {
		if i > 0 {
			text = append(text, ',')
		}
		// The time is written as Prometheus writes it.
		stamp := fmt.Sprint(at / 1000)
		if f := at % 1000; f != 0 {
			stamp += fmt.Sprintf(".%03d", f)
		}
		one := fmt.Sprintf(`[%s,"%v"]`, stamp, random.Float64()*float64(random.IntN(1000)))
		if histograms {
			one = fmt.Sprintf(`[%s,{"count":"7","sum":"1"`, stamp)
			if n := random.IntN(40); n > 0 {
				one += `,"buckets":[`
				for j := range n {
					if j > 0 {
						one += ","
					}
					one += fmt.Sprintf(`[%d,"%d","%d","3"]`, j%4, j, j+1)
				}
				one += "]"
			}
			one += "}]"
		}
		each = append(each, []byte(one))
		text = append(text, one...)
	}
	return text, each
}

// TestSearch finds every place, in samples of every kind and number.
func TestSearch(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 5 * *rounds {
		var times []int64
		at := int64(1767225600000) + random.Int64N(5)*250
		for range random.IntN(60) {
			times = append(times, at)
			at += 250 * (1 + random.Int64N(4))
		}
		text, each := samplesOf(times, round%2 == 1, random)
		for range 20 {
			bound := int64(1767225600000) + random.Int64N(at-1767225600000+2000) - 500
			var before, after [][]byte
			for i, s := range each {
				if times[i] <= bound {
					before = append(before, s)
				}
				if times[i] >= bound {
					after = append(after, s)
				}
			}
			comma := []byte{','}
			if got, want := until(text, bound), bytes.Join(before, comma); !bytes.Equal(got, want) {
				t.Fatalf("until %d of %s:\ngot  %s\nwant %s", bound, text, got, want)
			}
			if got, want := from(text, bound), bytes.Join(after, comma); !bytes.Equal(got, want) {
				t.Fatalf("from %d of %s:\ngot  %s\nwant %s", bound, text, got, want)
			}
		}
	}
}

// TestValid: pieces that are not of their span, or not in order, are not joined.
func TestValid(t *testing.T) {
	span := Span{-1500, 20500}
	for _, c := range []struct {
		series string
		want   bool
	}{
		{``, true},
		{`{"metric":{},"values":[[-1.5,"2"],[20.5,"3"]]}`, true},
		{`{"metric":{},"values":[[-1.501,"2"]]}`, false},
		{`{"metric":{},"values":[[1,"2"],[20.501,"3"]]}`, false},
		{`{"metric":{},"values":[[2,"2"],[1,"3"]]}`, false},
		{`{"metric":{},"values":[[1,"NaN"],[2,"+Inf"],[3,"-Inf"]]}`, true},
		{`{"metric":{},"histograms":[[1,{"count":"7","sum":"1","buckets":[[0,"1","2","3"],[3,"30","40","3"]]}],[2,{"count":"7","sum":"NaN"}]]}`, true},
		{`{"metric":{},"histograms":[[1,{"count":"7","sum":"1"}],[30,{"count":"7","sum":"1","buckets":[[0,"1","2","3"],[3,"30","40","3"]]}]]}`, false},
		{`{"metric":{},"values":[[1,"2"]],"histograms":[[-9,{"count":"7","sum":"1"}]]}`, false},
		{`{"metric":{"a":"1"},"values":[[1,"2"]]},{"metric":{"a":"2"},"values":[[1,"2"]]}`, true},
		{`{"metric":{"a":"2"},"values":[[1,"2"]]},{"metric":{"a":"1"},"values":[[1,"2"]]}`, false},
		{`{"metric":{"a":"1"},"values":[[1,"2"]]},{"metric":{"a":"1"},"values":[[2,"2"]]}`, false},
		{`{"metric":{"a":"],["},"values":[[1,"2"]]},{"metric":{"a":"]]}}"},"values":[[2,"2"]]}`, true},
	} {
		series, err := Scan(answer(c.series), nil)
		if err != nil {
			t.Fatalf("%s: %v", c.series, err)
		}
		if got := Valid(series, span); got != c.want {
			t.Errorf("%s: got %v", c.series, got)
		}
	}
}

// TestPrometheusForm: what Prometheus' own writer makes is scanned, found valid and
// joined to the same bytes.
func TestPrometheusForm(t *testing.T) {
	span := &histogram.Span{Offset: 0, Length: 2}
	native := &histogram.FloatHistogram{Schema: 0, ZeroThreshold: 0.001, ZeroCount: 2, Count: 9, Sum: math.NaN(),
		PositiveSpans: []histogram.Span{*span}, PositiveBuckets: []float64{3, 1},
		NegativeSpans: []histogram.Span{*span}, NegativeBuckets: []float64{2, 1}}
	matrix := promql.Matrix{
		{Metric: labels.EmptyLabels(), Floats: []promql.FPoint{{T: -61001, F: math.Inf(-1)}, {T: -1, F: 0}, {T: 0, F: math.NaN()}, {T: 7, F: 1e-7}}},
		{Metric: labels.FromStrings("a", "\"],[{}\\"), Floats: []promql.FPoint{{T: 1, F: 1}}, Histograms: []promql.HPoint{{T: 2, H: native}, {T: 1005, H: native}}},
		{Metric: labels.FromStrings("a", "\n\x01\u2028<é\xff"), Histograms: []promql.HPoint{{T: 2, H: &histogram.FloatHistogram{}}, {T: 1010, H: native}}},
	}
	sort.Sort(matrix)
	body, err := v1.JSONCodec{}.Encode(&v1.Response{Status: "success", Data: &v1.QueryData{ResultType: parser.ValueTypeMatrix, Result: matrix}})
	if err != nil {
		t.Fatal(err)
	}
	series, err := Scan(body, nil)
	if err != nil || !Valid(series, Span{-61001, 1010}) || Valid(series, Span{-61000, 1010}) || Valid(series, Span{-61001, 1009}) {
		t.Fatalf("%s: %v", body, err)
	}
	for cut := int64(-61002); cut < 1012; cut++ {
		if cut == -60900 {
			cut = -100
		}
		early, late := make([]Series, len(series)), make([]Series, len(series))
		for i, s := range series {
			early[i] = Series{s.Metric, until(s.Values, cut), until(s.Histograms, cut)}
			late[i] = Series{s.Metric, from(s.Values, cut+1), from(s.Histograms, cut+1)}
		}
		if got := written(Join(Join(nil, early), late)); !bytes.Equal(got, body) {
			t.Fatalf("cut at %d:\ngot  %s\nwant %s", cut, got, body)
		}
	}
}

// TestCompare orders label sets as Prometheus does.
func TestCompare(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	words := []string{"", "a", "aa", "b", `"`, `\`, ",", "{", "}", "é", "<", "\n", ":", "a,b", `a"b`, "\u2028", "z"}
	set := func() (model.Metric, []byte) {
		m := model.Metric{}
		for range random.IntN(4) {
			m[model.LabelName("l"+words[random.IntN(len(words))])] = model.LabelValue(words[random.IntN(len(words))])
		}
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return m, text
	}
	order := func(a, b model.Metric) int {
		x, y := sorted(a), sorted(b)
		for i := 0; i < len(x) && i < len(y); i++ {
			if x[i] != y[i] {
				if x[i] < y[i] {
					return -1
				}
				return 1
			}
		}
		return len(x) - len(y)
	}
	for range 20000 {
		a, x := set()
		b, y := set()
		if got, want := compare(x, y), order(a, b); sign(got) != sign(want) {
			t.Fatalf("%s and %s: got %d, want %d", x, y, got, want)
		}
	}
}

func sign(n int) int { return min(max(n, -1), 1) }

// sorted are names and values, by names.
func sorted(m model.Metric) []string {
	var all []string
	for name := range m {
		all = append(all, string(name))
	}
	for i := range all {
		for j := i; j > 0 && all[j] < all[j-1]; j-- {
			all[j], all[j-1] = all[j-1], all[j]
		}
	}
	var flat []string
	for _, name := range all {
		flat = append(flat, name, string(m[model.LabelName(name)]))
	}
	return flat
}

// written is an answer as it is sent.
func written(joined []Joined) []byte { return bytes.Join(Texts(joined, nil), nil) }
