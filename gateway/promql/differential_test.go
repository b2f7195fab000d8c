package promql

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/teststorage"
)

var (
	differentialCount = flag.Int("differential.count", 20000, "how many random expressions TestDifferential evaluates")
	differentialSeed  = flag.Uint64("differential.seed", 1, "the seed of TestDifferential's first expression; the next ones follow")
)

// control: each eighth expression is evaluated as it is on the data of all, too.
const control = 8

var tenantPolicies = []map[string][]string{
	{"ns": {"a"}}, {"ns": {"a", "b"}}, {"ns": {"a"}, "cluster": {"eu"}}, {"ns": {"a|b"}}, {"ns": {"a", "a|b"}, "cluster": {"eu", "us"}},
}

// differential compares, for a policy, what an enforced expression gives on the
// data of all with what the expression gives on the tenant's alone.
type differential struct {
	engines  [2]*promql.Engine
	all      *teststorage.TestStorage
	policies []*Policy
	own      []*teststorage.TestStorage

	mu   sync.Mutex
	seen map[string]int // functions, aggregations and operators in what gave a result
	// How many expressions parsed, gave something, give something else on the
	// data of all, and give now this and now that on the same data.
	parsed, results, differs, varies int
}

// TestDifferential: an expression enforced on all data is the expression on the
// tenant's own, to the last bit; errors, warnings and their positions included.
func TestDifferential(t *testing.T) {
	d := differential{all: storageOf(t, func(labels.Labels) bool { return true }), seen: map[string]int{}}
	for _, enforced := range tenantPolicies {
		p := policyOf(t, enforced)
		d.policies = append(d.policies, p)
		d.own = append(d.own, storageOf(t, func(l labels.Labels) bool { return p.owns(l.Get) }))
	}
	for i := range d.engines {
		d.engines[i] = promql.NewEngine(promql.EngineOpts{
			MaxSamples: 1e6, Timeout: time.Minute, LookbackDelta: 2 * time.Minute, EnableAtModifier: true, EnableNegativeOffset: true,
			NoStepSubqueryIntervalFn: func(int64) int64 { return scrape.Milliseconds() }, EnableDelayedNameRemoval: i == 1, Parser: everything,
		})
	}
	var next, failures atomic.Int64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for failures.Load() < 5 {
				i := next.Add(1) - 1
				if i >= int64(*differentialCount) {
					return
				}
				seed := *differentialSeed + uint64(i)
				if err := d.run(t.Context(), seed); err != nil {
					failures.Add(1)
					t.Errorf("-differential.count 1 -differential.seed %d: %v", seed, err)
				}
			}
		})
	}
	workers.Wait()
	t.Logf("%d expressions: %d parsed, %d gave something, %d something else on the data of all; %d vary", *differentialCount, d.parsed, d.results, d.differs, d.varies)
	if *differentialCount < 10000 {
		return
	}
	if d.parsed < *differentialCount*9/10 || d.results < *differentialCount/3 || d.differs < *differentialCount/control/4 || d.varies > *differentialCount/20 {
		t.Error("the expressions are too poor")
	}
	for _, name := range everythingAllowed() {
		if d.seen[name] == 0 {
			t.Errorf("no expression with %s gave anything", name)
		}
	}
}

func everythingAllowed() []string {
	var names []string
	for name := range allowedFunctions {
		names = append(names, name)
	}
	for item := range allowedAggregations {
		names = append(names, item.String())
	}
	for item := range allowedOperators {
		names = append(names, item.String())
	}
	return names
}

func (d *differential) run(ctx context.Context, seed uint64) error {
	g := generator{rand.New(rand.NewPCG(seed, 3))}
	i := g.IntN(len(d.policies))
	text := g.expression()
	expr, err := everything.ParseExpr(text)
	var p Parser
	q, enforceErr := p.Query(d.policies[i], text)
	if err != nil || enforceErr != nil {
		if errorText(err) == errorText(enforceErr) {
			return nil
		}
		return fmt.Errorf("%s\ncannot be enforced: %w", text, enforceErr)
	}
	e := evaluation{engine: d.engines[g.IntN(2)], start: time.Unix(g.Int64N(1300), 0)}
	if q.CheckRange() == nil && g.IntN(3) == 0 {
		e.step = time.Duration(1+g.IntN(100)) * time.Second
		e.end = e.start.Add(e.step * time.Duration(g.IntN(5)))
	}
	want := e.evaluate(ctx, d.own[i], text, asItIs)
	got := e.evaluate(ctx, d.all, q.Text(), q.Original)
	err = got.compare(want)
	varies := err != nil && e.alsoGives(ctx, d.own[i], text, want, got)
	if err != nil && !varies {
		return fmt.Errorf("%s\nat %d to %d each %v, became\n%s\n%w", text, e.start.Unix(), e.end.Unix(), e.step, q.Text(), err)
	}
	var everybody *outcome
	if seed%control == 0 {
		o := e.evaluate(ctx, d.all, text, asItIs)
		everybody = &o
	}
	d.count(expr, want, everybody, varies)
	return nil
}

func (d *differential) count(expr parser.Expr, want outcome, everybody *outcome, varies bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.parsed++
	if varies {
		d.varies++
	}
	if everybody != nil && everybody.compare(want) != nil {
		d.differs++
	}
	if want.err != nil || want.empty() {
		return
	}
	d.results++
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.Call:
			d.seen[n.Func.Name]++
		case *parser.AggregateExpr:
			d.seen[n.Op.String()]++
		case *parser.BinaryExpr:
			d.seen[n.Op.String()]++
		}
		return nil
	})
}

// evaluation is how an expression is evaluated: at start, or from start to end.
type evaluation struct {
	engine     *promql.Engine
	start, end time.Time
	step       time.Duration
}

// outcome is everything that a user is told.
type outcome struct {
	query    promql.Query
	expr     parser.Expr
	value    parser.Value
	err      error
	messages []string
}

func (e *evaluation) evaluate(ctx context.Context, storage *teststorage.TestStorage, text string, original func(string) string) outcome {
	var o outcome
	if e.step == 0 {
		o.query, o.err = e.engine.NewInstantQuery(ctx, storage, nil, text, e.start)
	} else {
		o.query, o.err = e.engine.NewRangeQuery(ctx, storage, nil, text, e.start, e.end, e.step)
	}
	if o.err == nil {
		o.expr = o.query.Statement().(*parser.EvalStmt).Expr
		result := o.query.Exec(ctx)
		o.value, o.err = result.Value, result.Err
		warnings, infos := result.Warnings.AsStrings(text, 0, 0)
		for _, message := range append(warnings, infos...) {
			o.messages = append(o.messages, where.ReplaceAllString(message, ""))
		}
		slices.Sort(o.messages)
	}
	if o.err != nil {
		o.err = errors.New(original(o.err.Error()))
	}
	return o
}

// where is the place of a warning or info in the text that was evaluated.
var where = regexp.MustCompile(` \([0-9]+:[0-9]+\)$`)

func asItIs(message string) string { return message }

// alsoGives tells whether an expression that gave an outcome gives another one,
// too. Some of the engine's orders are those of a map, on which depend the last
// bits of a sum, and which series an error names. Every point must be one that the
// expression gave, to the last bit, among the same points.
func (e *evaluation) alsoGives(ctx context.Context, storage *teststorage.TestStorage, text string, first, another outcome) bool {
	varies, missing := false, another.points()
	for try := 0; try < 50 || varies && try < 5000; try++ {
		again := e.evaluate(ctx, storage, text, asItIs)
		if another.compare(again) == nil {
			return true
		}
		varies = varies || first.compare(again) != nil
		given := again.points()
		if !slices.Equal(slices.Sorted(maps.Keys(another.points())), slices.Sorted(maps.Keys(given))) {
			continue
		}
		maps.DeleteFunc(missing, func(at, point string) bool { return given[at] == point })
		if len(missing) == 0 && slices.Equal(again.messages, another.messages) {
			return true
		}
	}
	return false
}

var labelSetInError = regexp.MustCompile(`\{[^{}]*\}`)

// points are the points of a value by their labels and time, or the label sets
// in an error by their place in it.
func (o outcome) points() map[string]string {
	points := map[string]string{}
	if o.err != nil {
		rest := labelSetInError.ReplaceAllString(o.err.Error(), "{}")
		points[rest] = ""
		for i, set := range labelSetInError.FindAllString(o.err.Error(), -1) {
			points[fmt.Sprint(rest, i)] = set
		}
		return points
	}
	switch v := o.value.(type) {
	case promql.Scalar:
		points[fmt.Sprint(v.T)] = fmt.Sprintf("%x", math.Float64bits(v.V))
	case promql.String:
		points[fmt.Sprint(v.T)] = v.V
	case promql.Vector:
		for _, s := range v {
			points[fmt.Sprint(s.Metric, s.T)] = fmt.Sprintf("%x %+v", math.Float64bits(s.F), s.H)
		}
	case promql.Matrix:
		for _, s := range v {
			for _, p := range s.Floats {
				points[fmt.Sprint(s.Metric, p.T)] = fmt.Sprintf("%x", math.Float64bits(p.F))
			}
			for _, p := range s.Histograms {
				points[fmt.Sprint(s.Metric, p.T)] = fmt.Sprintf("%+v", p.H)
			}
		}
	}
	return points
}

func (o outcome) empty() bool {
	switch v := o.value.(type) {
	case promql.Vector:
		return len(v) == 0
	case promql.Matrix:
		return len(v) == 0
	default:
		return v == nil
	}
}

func (o outcome) compare(want outcome) error {
	if errorText(o.err) != errorText(want.err) {
		return fmt.Errorf("%w, want %w", o.err, want.err)
	}
	if !slices.Equal(o.messages, want.messages) {
		return fmt.Errorf("%q, want %q", o.messages, want.messages)
	}
	if a, ok := o.value.(promql.Vector); ok && !sorts(o.expr) {
		byLabels := func(a, b promql.Sample) int { return labels.Compare(a.Metric, b.Metric) }
		slices.SortFunc(a, byLabels)
		if b, ok := want.value.(promql.Vector); ok {
			slices.SortFunc(b, byLabels)
		}
	}
	if o.err == nil && !sameValue(o.value, want.value) {
		return fmt.Errorf("%v, want\n%v", o.value, want.value)
	}
	return nil
}

// sorts tells whether an instant vector has an order that the user asked for.
func sorts(expr parser.Expr) bool {
	switch e := expr.(type) {
	case *parser.ParenExpr:
		return sorts(e.Expr)
	case *parser.StepInvariantExpr:
		return sorts(e.Expr)
	case *parser.AggregateExpr:
		return e.Op == parser.TOPK || e.Op == parser.BOTTOMK
	case *parser.Call:
		return strings.HasPrefix(e.Func.Name, "sort")
	default:
		return false
	}
}

func sameValue(a, b parser.Value) bool {
	switch a := a.(type) {
	case promql.Vector:
		b, ok := b.(promql.Vector)
		return ok && slices.EqualFunc(a, b, func(a, b promql.Sample) bool {
			return a.T == b.T && labels.Equal(a.Metric, b.Metric) && sameSample(a.F, b.F, a.H, b.H)
		})
	case promql.Matrix:
		b, ok := b.(promql.Matrix)
		return ok && slices.EqualFunc(a, b, func(a, b promql.Series) bool {
			return labels.Equal(a.Metric, b.Metric) &&
				slices.EqualFunc(a.Floats, b.Floats, func(a, b promql.FPoint) bool { return a.T == b.T && sameSample(a.F, b.F, nil, nil) }) &&
				slices.EqualFunc(a.Histograms, b.Histograms, func(a, b promql.HPoint) bool { return a.T == b.T && sameSample(0, 0, a.H, b.H) })
		})
	case promql.Scalar:
		b, ok := b.(promql.Scalar)
		return ok && a.T == b.T && sameSample(a.V, b.V, nil, nil)
	default:
		return a == b // strings
	}
}

// sameSample compares all bits.
func sameSample(a, b float64, h, g *histogram.FloatHistogram) bool {
	if h != nil && g != nil && h.CounterResetHint != g.CounterResetHint {
		return false
	}
	return math.Float64bits(a) == math.Float64bits(b) && h.Equals(g)
}
