package promql

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

func mustParse(t testing.TB, text string) parser.Expr {
	t.Helper()
	expr, err := everything.ParseExpr(text)
	if err != nil {
		t.Fatal(err)
	}
	return expr
}

func costOf(t testing.TB, text string, span Span) Cost {
	t.Helper()
	s := shapeOf(mustParse(t, text))
	return s.cost(span)
}

const aDay = 24 * time.Hour

// Spans of one point, of 61, and of 6 that do not reach the end.
var (
	costStart  = time.Unix(1_700_000_000, 0)
	atOnce     = Span{Start: costStart, End: costStart}
	anHour     = Span{Start: costStart, End: costStart.Add(time.Hour), Step: time.Minute}
	unevenSpan = Span{Start: costStart, End: costStart.Add(59 * time.Second), Step: 10 * time.Second}
)

var costs = []struct {
	text        string
	span        Span
	back        time.Duration
	evaluations int64
}{
	{"a", atOnce, 0, 1},
	{"a", anHour, 0, 61},
	{"a", unevenSpan, 0, 6},
	{"a", Span{Start: costStart, End: costStart.Add(time.Hour)}, 0, 1},
	{"a", Span{Start: costStart, End: costStart.Add(-time.Hour), Step: time.Minute}, 0, 1},
	{"a", Span{Start: costStart, End: costStart.Add(time.Second), Step: time.Microsecond}, 0, 1001},
	{"a", Span{Start: costStart, End: costStart, Step: -1}, 0, 1},
	{"a", Span{Start: time.UnixMilli(math.MinInt64), End: time.UnixMilli(math.MaxInt64), Step: 1}, 0, math.MaxInt64},
	{typical, anHour, 5 * time.Minute, 61},
	{"a + b * a", anHour, 0, 183},
	{"1", anHour, 0, 61},
	{`"a"`, atOnce, 0, 1},
	{"vector(time()) + 1 + 2", anHour, 0, 61},
	{"a offset 1h", anHour, time.Hour, 61},
	{"a offset -1h", anHour, 0, 61},
	{"rate(a[5m] offset 1h)", anHour, 65 * time.Minute, 61},
	{"rate(a[5m] offset -1m)", anHour, 4 * time.Minute, 61},
	{"a @ 1699990000", atOnce, 10_000 * time.Second, 1},
	{"a @ 1700010000", atOnce, 0, 1},
	{"rate(a[5m] @ start())", anHour, 5 * time.Minute, 61},
	{"rate(a[5m] @ end())", anHour, 0, 61},
	{"rate(a[2h] @ end() offset 1h)", anHour, 2 * time.Hour, 61},
	{"max_over_time(a[1h:1m])", atOnce, time.Hour, 60},
	{"max_over_time(a[1h:1m])", anHour, time.Hour, 120},
	{"max_over_time(a[1h:])", anHour, time.Hour, 120},
	{"max_over_time(a[1h:7s])", unevenSpan, time.Hour, 522},
	{"max_over_time(a[1m:1h])", atOnce, time.Minute, 1},
	{"max_over_time(rate(a[5m])[1h:1m] offset 1d)", anHour, aDay + 65*time.Minute, 120},
	{"max_over_time(rate(a[5m] @ 1700000000)[1h:1m] offset 1d)", anHour, 5 * time.Minute, 120},
	{"max_over_time(rate(a[5m])[1h:1m] @ end())", anHour, 5 * time.Minute, 60},
	{"sum(max_over_time((rate(a[5m])[1h:1m] @ start())))", anHour, 65 * time.Minute, 60},
	{"predict_linear(a[1h:1m] @ 1699996400, 3600)", anHour, 2 * time.Hour, 120},
	{"quantile_over_time(scalar(b), a[1h:1m] @ start())", anHour, time.Hour, 61 + 120},
	{"quantile_over_time(0.5, a[1h:1m] @ start())", anHour, time.Hour, 60},
	{"max_over_time(max_over_time(a[1h:1m])[1d:1h])", atOnce, aDay + time.Hour, 23*60 + 60},
	{"max_over_time(max_over_time(a[1h:1m])[1d:1h]) + b + max_over_time(c[1h:])", atOnce, aDay + time.Hour, 1440 + 1 + 60},
	{"max_over_time(vector(1)[400d:1ms])", atOnce, 0, 400 * 86_400_000},
	{"max_over_time(vector(1)[1h:1m]) + a", atOnce, 0, 61},
	{"info(a)", anHour, 0, 122},
	{"info(a, {b='c'})", anHour, 0, 122},
	{"quantile_over_time(scalar(b), a[10m:] offset 1h)", atOnce, 70 * time.Minute, 11},
	{"rate(a[1h + 30m] offset -(1h / 2))", anHour, time.Hour, 61},
	{"rate(a[step() * 5])", anHour, 5 * time.Minute, 61},
	{"rate(a[step() * 5])", atOnce, 0, 1},
	{"rate(a[max_of(range(), 10m) ^ 1 % 1d])", anHour, time.Hour, 61},
	{"rate(a[min_of(range(), 10m)] offset (+5m))", anHour, 15 * time.Minute, 61},
	{"rate(a[1h / (5m - 5m)] offset 1m)", anHour, time.Minute, 61},
	{"rate(a[1h % (5m - 5m)] offset 1m)", anHour, time.Minute, 61},
	{"rate(a[5m - 1h])", anHour, 0, 61},
	{"rate(a[1000 ^ 1000])", anHour, 0, 61},
	{"a offset (-1000 ^ 1001 - 1)", anHour, 0, 61},
	{"max_over_time(a[2h - 1h:step() / 2] offset (1d))", anHour, 25 * time.Hour, 240},
	{"max_over_time(a[1h:step() - 1m])", anHour, time.Hour, 120},
	{strings.Repeat("max_over_time(", 5) + "a" + strings.Repeat("[290y:1])", 5), anHour, math.MaxInt64, 290 * 365 * 86400 * 5},
	{"max_over_time(a[290y:0.001]) " + strings.Repeat("+ max_over_time(b[290y:0.001])", 99), atOnce, 290 * 365 * aDay, 290 * 365 * 86_400_000 * 100},
	{"a @ -9e15", atOnce, math.MaxInt64, 1},
	{"a @ 9e15", atOnce, 0, 1},
}

func TestCost(t *testing.T) {
	for _, c := range costs {
		expected := Cost{c.back, c.evaluations}
		got := costOf(t, c.text, c.span)
		// 5 nested subqueries are counted in floats.
		if got.Lookback != expected.Lookback || math.Abs(float64(got.Evaluations)/float64(expected.Evaluations)-1) > 1e-6 && expected.Evaluations > 1<<32 ||
			expected.Evaluations <= 1<<32 && got.Evaluations != expected.Evaluations {
			t.Errorf("%s: %v, %d instead of %v, %d", c.text, got.Lookback, got.Evaluations, c.back, c.evaluations)
		}
	}
}

// recorder is a storage of one series with samples at so many milliseconds. It
// records what is selected, and how often the series is asked for its length.
type recorder struct {
	storage.LabelQuerier
	every int64
	hints []storage.SelectHints
	asked int64
}

func (r *recorder) Querier(_, _ int64) (storage.Querier, error) { return r, nil }
func (r *recorder) Close() error                                { return nil }

func (r *recorder) Select(_ context.Context, _ bool, hints *storage.SelectHints, _ ...*labels.Matcher) storage.SeriesSet {
	r.hints = append(r.hints, *hints)
	return &single{r, false}
}

// evaluations is how often an instant selector was evaluated, where samples are
// dense, and less otherwise: each time the iterator searches the sample before
// the one looked for, and goes on to that.
func (r *recorder) evaluations() int64 { return r.asked / (3 + delta.Milliseconds()) }

type single struct {
	r    *recorder
	done bool
}

func (s *single) Next() bool {
	more := !s.done
	s.done = true
	return more
}
func (s *single) At() storage.Series                { return s }
func (s *single) Err() error                        { return nil }
func (s *single) Warnings() annotations.Annotations { return nil }
func (s *single) Labels() labels.Labels             { return labels.FromStrings("b", "c") }
func (s *single) Iterator(chunkenc.Iterator) chunkenc.Iterator {
	s.r.asked-- // By its first step, which is none of an evaluation.
	return storage.NewListSeriesIterator(s)
}
func (s *single) Get(i int) chunks.Sample { return millisecond(int64(i) * s.r.every) }
func (s *single) Len() int                { s.r.asked++; return 1 << 50 }

type millisecond int64

func (m millisecond) T() int64                      { return int64(m) }
func (m millisecond) ST() int64                     { return 0 }
func (m millisecond) F() float64                    { return 1 }
func (m millisecond) H() *histogram.Histogram       { return nil }
func (m millisecond) FH() *histogram.FloatHistogram { return nil }
func (m millisecond) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (m millisecond) Copy() chunks.Sample           { return m }

// delta is the engine's lookback delta in these tests: so short that each
// evaluation searches anew.
const delta = 2 * time.Millisecond

func newEngine() *promql.Engine {
	return promql.NewEngine(promql.EngineOpts{
		MaxSamples: 50_000_000, Timeout: time.Minute, LookbackDelta: delta, EnableAtModifier: true, EnableNegativeOffset: true,
		NoStepSubqueryIntervalFn: func(int64) int64 { return defaultStep }, Parser: everything,
	})
}

// execute has the engine evaluate an expression. It returns what was selected and
// evaluated.
func execute(engine *promql.Engine, text string, span Span, every int64) (back time.Duration, r *recorder, err error) {
	r = &recorder{every: every}
	ctx := context.Background()
	query, err := engine.NewInstantQuery(ctx, r, nil, text, span.Start)
	if span.Step > 0 {
		query, err = engine.NewRangeQuery(ctx, r, nil, text, span.Start, span.End, span.Step)
	}
	if err != nil {
		return 0, r, err
	}
	defer query.Close()
	err = query.Exec(ctx).Err
	for _, hints := range r.hints {
		reach := span.Start.UnixMilli() - hints.Start + 1
		if hints.Range == 0 {
			reach -= delta.Milliseconds()
		}
		back = max(back, time.Duration(reach)*time.Millisecond)
	}
	return back, r, err
}

// TestCostIsTheEngines compares with what the engine selects, and how often it
// evaluates selectors.
func TestCostIsTheEngines(t *testing.T) {
	engine := newEngine()
	random := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		text := randomVector(random, 3, true)
		span := randomSpan(random)
		back, r, err := execute(engine, text, span, 10_000)
		if len(r.hints) == 0 && err != nil {
			continue // A duration that is not positive.
		}
		got := costOf(t, text, span)
		if got.Lookback != back {
			t.Errorf("%s over %v: %v instead of %v", text, span, got.Lookback, back)
		}
		if evaluations := r.evaluations(); !strings.Contains(text, "rate") && got.Evaluations < evaluations {
			t.Errorf("%s over %v: %d evaluations instead of %d", text, span, got.Evaluations, evaluations)
		}
	}
}

// TestEvaluationsAreTheEngines has expressions without @, whose evaluations are
// as many as the engine's, but for what the alignment of subqueries leaves out.
func TestEvaluationsAreTheEngines(t *testing.T) {
	engine := newEngine()
	random := rand.New(rand.NewPCG(5, 6))
	var total, engines int64
	for range 500 {
		text := randomVector(random, 3, false)
		span := randomSpan(random)
		_, r, err := execute(engine, text, span, 1)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		got, least := costOf(t, text, span).Evaluations, r.evaluations()
		if got < least {
			t.Errorf("%s over %v: %d evaluations instead of %d", text, span, got, least)
		}
		total, engines = total+got, engines+least
	}
	t.Logf("%d evaluations, of which the engine makes %d", total, engines)
	if total > engines+engines/10 {
		t.Errorf("%d evaluations instead of %d", total, engines)
	}
}

func randomSpan(random *rand.Rand) Span {
	start := time.UnixMilli(1_700_000_000_000 + random.Int64N(10_000_000))
	if random.IntN(3) == 0 {
		return Span{Start: start, End: start}
	}
	return Span{Start: start, End: start.Add(time.Duration(random.IntN(7_200_000)) * time.Millisecond), Step: time.Duration(60+random.IntN(600)) * time.Second}
}

// randomVector makes an instant vector. Without everything it has neither @, nor
// ranges, which are searched once for more than one evaluation, nor expressions.
func randomVector(random *rand.Rand, depth int, everything bool) string {
	duration := func(most int) string {
		seconds := 30 + random.IntN(most)
		if everything && random.IntN(8) == 0 {
			return fmt.Sprintf([]string{"%d + step()", "max_of(%d, range() / 3)", "(%d * 2 - 20)", "-3 ^ 2 + %d"}[random.IntN(4)], seconds)
		}
		return fmt.Sprintf("%ds", seconds)
	}
	modifiers := func() (text string) {
		if everything && random.IntN(4) == 0 {
			text += []string{" @ start()", " @ end()", fmt.Sprintf(" @ %d.5", 1_699_990_000+random.IntN(20_000))}[random.IntN(3)]
		}
		if random.IntN(3) == 0 {
			text += fmt.Sprintf(" offset %s", duration(5000))
		} else if random.IntN(8) == 0 {
			text += fmt.Sprintf(" offset -%ds", 1+random.IntN(5000))
		}
		return text
	}
	inner := func() string { return randomVector(random, depth-1, everything) }
	switch choice := random.IntN(8); {
	case depth == 0 || choice == 0:
		return "a" + modifiers()
	case choice == 1 && everything:
		return fmt.Sprintf("rate(a[%s]%s)", duration(3000), modifiers())
	case choice == 2:
		return fmt.Sprintf("sum(%s) + on () (%s)", inner(), inner())
	case choice == 3 && everything:
		return fmt.Sprintf("predict_linear((%s)[%s:1m]%s, 60)", inner(), duration(500), modifiers())
	case choice == 4 && everything:
		return fmt.Sprintf("quantile_over_time(scalar(sum(%s)), (%s)[%s:]%s)", inner(), inner(), duration(1000), modifiers())
	case choice == 5:
		return fmt.Sprintf("-(%s)", inner())
	}
	return fmt.Sprintf("max_over_time((%s)[%s:%ds]%s)", inner(), duration(2000), 30+random.IntN(300), modifiers())
}

func FuzzCost(f *testing.F) {
	f.Add(typical, int64(1_700_000_000), int64(3600), int64(60))
	f.Add("max_over_time(rate(a[step()] @ end() offset -1h)[range() / 2:1m] @ 5) + vector(1)[1d:1ms]", int64(-1), int64(math.MaxInt64), int64(1))
	random := rand.New(rand.NewPCG(7, 8))
	for range 30 {
		f.Add(randomVector(random, 3, true), random.Int64(), random.Int64(), random.Int64())
	}
	f.Fuzz(func(t *testing.T, text string, start, length, step int64) {
		if guard(text) != nil {
			return
		}
		expr, err := everything.ParseExpr(text)
		if err != nil {
			return
		}
		s := shapeOf(expr)
		from := time.UnixMilli(start)
		cost := s.cost(Span{Start: from, End: from.Add(time.Duration(length)), Step: time.Duration(step)})
		if cost.Lookback < 0 || cost.Evaluations < 1 {
			t.Fatalf("%+v", cost)
		}
		if strings.Contains(strings.ToLower(text), "range") {
			return // A longer span may be a shorter duration.
		}
		longer := s.cost(Span{Start: from, End: from.Add(time.Duration(length)).Add(time.Hour), Step: time.Duration(step)})
		if longer.Evaluations < cost.Evaluations {
			t.Fatalf("%+v for a longer span than %+v", longer, cost)
		}
	})
}
