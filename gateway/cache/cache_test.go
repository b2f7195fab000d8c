package cache

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/common/model"
)

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
	for round := range 2000 {
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
