package conformance

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// scriptLine is a line of a test script that holds an expression.
var scriptLine = regexp.MustCompile(`^eval(?:_(?:fail|warn|ordered|info))?\s+(?:instant\s+(?:at\s+(?:.+?))?|range\s+from\s+(?:.+)\s+to\s+(?:.+)\s+step\s+(?:.+?))\s+(.+)$`)

// scriptExpressions are those of Prometheus' own test scripts.
func scriptExpressions(t testing.TB) []string {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/prometheus/prometheus").Output()
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "promql/promqltest/testdata/*.test"))
	if err != nil || len(scripts) == 0 {
		t.Fatal("there are no test scripts: ", err)
	}
	var all []string
	for _, script := range scripts {
		text, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if m := scriptLine.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
				if expr, err := everySyntax.ParseExpr(m[1]); err == nil && isForRanges(expr) {
					all = append(all, m[1])
				}
			}
		}
	}
	return all
}

func isForRanges(expr parser.Expr) bool {
	return expr.Type() == parser.ValueTypeVector || expr.Type() == parser.ValueTypeScalar
}

// generator makes expressions about a world.
type generator struct {
	*rand.Rand
	scripts []string
	world   *world
}

func (g *generator) of(choices ...string) string { return choices[g.IntN(len(choices))] }

var choosesByOrder = regexp.MustCompile(`\b(topk|bottomk|limitk)\b`)

// expression is one that Prometheus takes for a range query.
func (g *generator) expression() string {
	for {
		text := g.adapted(g.scripts[g.IntN(len(g.scripts))])
		if g.IntN(3) > 0 {
			text = g.vector(g.IntN(4))
		}
		if g.IntN(30) == 0 {
			text = g.scalar(g.IntN(3))
		}
		// Which of equals these choose follows from the order of series in storage,
		// which is another one in blocks.
		if g.world.compacts && choosesByOrder.MatchString(text) {
			continue
		}
		if expr, err := everySyntax.ParseExpr(text); err == nil && isForRanges(expr) {
			return text
		}
	}
}

// adapted is an expression of a script about the metrics and times of the world.
func (g *generator) adapted(text string) string {
	expr, err := everySyntax.ParseExpr(text)
	if err != nil {
		return ""
	}
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch e := node.(type) {
		case *parser.VectorSelector:
			g.adaptSelector(e)
			g.adaptTime(e.Timestamp)
			e.OriginalOffset = g.adaptedLength(e.OriginalOffset)
		case *parser.MatrixSelector:
			e.Range = g.adaptedLength(e.Range)
		case *parser.SubqueryExpr:
			g.adaptTime(e.Timestamp)
			e.Range, e.OriginalOffset = g.adaptedLength(e.Range), g.adaptedLength(e.OriginalOffset)
			if e.Step != 0 {
				e.Step = max(e.Range/20, g.adaptedLength(e.Step))
			}
		}
		return nil
	})
	return expr.String()
}

func (g *generator) adaptSelector(e *parser.VectorSelector) {
	if e.Name != "" {
		kind := "reqs_total errs_total up g mix"
		switch name := strings.ToLower(e.Name); {
		case strings.Contains(name, "bucket"):
			kind = "lat_bucket lat_bucket g"
		case strings.Contains(name, "hist"):
			kind = "nh nhcb mix lat_bucket"
		case strings.Contains(name, "info"):
			kind = "target_info"
		}
		e.Name = g.of(strings.Fields(kind)...)
	}
	e.LabelMatchers = slices.DeleteFunc(e.LabelMatchers, func(m *labels.Matcher) bool {
		if m.Name == model.MetricNameLabel && e.Name != "" {
			return true
		}
		switch m.Name {
		case "job", "instance", "le":
			return m.Type == labels.MatchEqual || m.Type == labels.MatchRegexp
		case model.MetricNameLabel:
			return false
		}
		return true
	})
	if e.Name != "" {
		e.LabelMatchers = append(e.LabelMatchers, labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, e.Name))
	}
}

func (g *generator) adaptTime(t *int64) {
	if t != nil {
		*t = g.moment()
	}
}

// adaptedLength has the magnitude of the world's scrapes.
func (g *generator) adaptedLength(d time.Duration) time.Duration {
	switch {
	case d == 0:
		return 0
	case d < 0:
		return -time.Duration(1+g.IntN(5)) * g.world.scale.scrape / 2
	}
	return time.Duration(1+g.IntN(12)) * g.world.scale.scrape / 2
}

// moment is a time that an @ may name: most are settled.
func (g *generator) moment() int64 {
	now, history := g.world.now.Load(), g.world.scale.history.Milliseconds()
	return now - g.Int64N(history) + g.Int64N(history)/int64(1+g.IntN(40))
}

func (g *generator) vector(depth int) string {
	if depth <= 0 {
		return g.selector() + g.modifiers(true)
	}
	depth--
	switch g.IntN(18) {
	case 0:
		return g.selector() + g.modifiers(true)
	case 1:
		return g.of("-", "", "sort", "sort_desc") + "(" + g.vector(depth) + ")"
	case 2, 3, 4:
		return g.aggregation(depth)
	case 5:
		return g.vector(depth) + " " + g.of("+", "-", "*", "/", "%", "==", "> bool", "<", ">", "</", ">/") + " " + g.scalar(depth)
	case 6, 7:
		return g.vector(depth) + " " + g.operator() + " " + g.vector(depth)
	case 8:
		return g.of("absent("+g.selector()+g.modifiers(false)+")", "absent_over_time("+g.matrix(depth)+")", "vector("+g.scalar(depth)+")")
	case 9:
		return g.of("label_replace("+g.floats()+`, "`+g.of("job", "new", "instance", "__name__")+`", "`+g.of("$1", "x", "")+`", "`+g.of("instance", "ns", "odd")+`", "(.*)")`,
			"label_join("+g.floats()+`, "`+g.of("job", "new")+`", "-", "ns", "instance")`)
	case 10:
		return g.of("histogram_quantile(0.9, sum by (le, job) (rate(lat_bucket["+g.length()+"])))", "histogram_quantile("+g.scalar(0)+", "+g.of("nh", "nhcb", "lat_bucket")+")",
			"histogram_"+g.of("count", "sum", "avg", "stddev", "stdvar")+"("+g.of("nh", "nhcb", "rate(nh["+g.length()+"])", "sum(nh)")+")", "histogram_fraction(0, 2, nh)", "sum(rate(nh["+g.length()+"]))", "avg by (job) (nhcb)")
	case 11:
		return g.of("abs", "ceil", "floor", "sgn", "timestamp", "exp", "ln", "sqrt", "round", "day_of_week", "hour", "start_timestamp") + "(" + g.vector(depth) + ")"
	case 12:
		return g.of("count_values(\"v\", up)", "count_values by (job) (\"v\", up)", "info("+g.vector(depth)+")", "clamp("+g.vector(depth)+", -100, 1000)", "info(reqs_total, {version=~\".+\"})")
	default:
		return g.of("rate", "increase", "irate", "delta", "idelta", "deriv", "changes", "resets", "avg_over_time", "max_over_time", "min_over_time", "sum_over_time", "count_over_time",
			"last_over_time", "first_over_time", "present_over_time", "stddev_over_time", "mad_over_time", "ts_of_max_over_time", "ts_of_last_over_time", "rate", "rate", "increase") + "(" + g.matrix(depth) + ")"
	}
}

// floats has no histograms. Where labels are replaced, series that become equal are
// joined; Prometheus then loses what comes after a float and a histogram of one time.
func (g *generator) floats() string {
	return g.of("up", "reqs_total", `{__name__=~"reqs.*|errs.*"}`, "rate(errs_total["+g.length()+"])", "sum by (instance) (up)", "topk(2, up)", "target_info")
}

func (g *generator) scalar(depth int) string {
	if depth <= 0 {
		return g.of("0", "1", "2", "-1", "0.5", "100", "NaN", "Inf", "time()", "pi()", "step()")
	}
	return g.of("scalar("+g.vector(depth-1)+")", g.scalar(0)+" "+g.of("+", "-", "*", "/", "> bool")+" "+g.scalar(depth-1), "start()", "end()", "range()", g.scalar(0), g.scalar(0))
}

func (g *generator) length() string {
	scrape := g.world.scale.scrape
	if g.IntN(12) == 0 {
		return g.of("range()", "step()", "max_of(step(), "+model.Duration(3*scrape).String()+")", "2 * "+model.Duration(scrape).String(), "range() / 2")
	}
	return model.Duration(time.Duration(1+g.IntN(16)) * scrape / 2).String()
}

func (g *generator) matrix(depth int) string {
	if depth <= 0 || g.IntN(4) > 0 {
		return g.selector() + "[" + g.length() + "]" + g.of("", "", "", "", "", "", "", "", " anchored", " smoothed") + g.modifiers(false)
	}
	return "(" + g.vector(depth-1) + ")[" + g.length() + ":" + g.of("", model.Duration(g.world.scale.scrape).String(), model.Duration(g.world.scale.scrape*3/4).String()) + "]" + g.modifiers(false)
}

func (g *generator) selector() string {
	name := g.of("reqs_total", "reqs_total", "errs_total", "g", "g", "lat_bucket", "nh", "mix", "nhcb", "up", "target_info", "", "")
	var matchers []string
	if name == "" {
		matchers = append(matchers, g.of(`"http.requests"`, `__name__="g"`, `__name__=~"reqs.*|errs.*"`, `__name__=~"g|up"`, `__name__=~".*_total|up",job="api"`, `job="api",__name__!~"nh.*|lat.*|mix"`))
	}
	for range g.IntN(2) {
		matchers = append(matchers, g.of(`job="api"`, `instance!="0"`, `ns="a"`, `ns=~"a|b"`, `odd=""`, `odd!=""`, `none="x"`))
	}
	if name != "" && len(matchers) == 0 {
		return name
	}
	return name + "{" + strings.Join(matchers, ",") + "}"
}

func (g *generator) modifiers(extended bool) string {
	s, scrape := "", g.world.scale.scrape
	if extended && g.IntN(60) == 0 {
		s += " smoothed"
	}
	if g.IntN(20) == 0 {
		s += " @ " + g.of("start()", "end()", fmt.Sprintf("%.3f", float64(g.moment())/1000), fmt.Sprintf("%.3f", float64(g.moment())/1000))
	}
	if g.IntN(10) == 0 {
		s += " offset " + g.of("", "", "", "-") + g.of(model.Duration(scrape).String(), model.Duration(scrape*5/2).String(), model.Duration(scrape*30).String(), "step()", "(1 * "+model.Duration(scrape).String()+")")
	}
	return s
}

func (g *generator) labels() string {
	return "(" + g.of("job", "instance", "ns", "job, instance", "job, le", "ns, job, instance, le", "") + ")"
}

func (g *generator) operator() string {
	switch g.IntN(4) {
	case 0:
		return g.of("and", "or", "or", "unless") + g.of("", " on "+g.labels(), " ignoring "+g.labels())
	case 1:
		return g.of("+", "-", "*", "/", ">", "==", "> bool")
	}
	s := g.of("+", "-", "*", "/", ">", "<= bool") + g.of(" on ", " ignoring ") + g.labels() + g.of("", "", " group_left", " group_right", " group_left (ns)")
	return s + g.of("", "", "", " fill (0)", " fill_left (-1)")
}

func (g *generator) aggregation(depth int) string {
	grouping := g.of("", " by "+g.labels(), " without "+g.labels())
	switch op := g.of("avg", "count", "group", "max", "min", "stddev", "sum", "sum", "sum", "sum", "bottomk", "topk", "topk", "quantile", "limitk", "limit_ratio"); op {
	case "bottomk", "topk", "limitk":
		return op + grouping + " (" + g.of("1", "2", "3", g.scalar(depth)) + ", " + g.of(g.vector(0), "rate("+g.matrix(0)+")", g.vector(depth)) + ")"
	case "quantile", "limit_ratio":
		return op + grouping + " (" + g.of("0.5", "-0.3", "0.9", g.scalar(depth)) + ", " + g.vector(depth) + ")"
	default:
		return op + grouping + " (" + g.vector(depth) + ")"
	}
}

// scripts are the expressions of Prometheus' test scripts, read once.
var scripts = func() func(testing.TB) []string {
	var once sync.Once
	var all []string
	return func(t testing.TB) []string {
		once.Do(func() { all = scriptExpressions(t) })
		return all
	}
}()
