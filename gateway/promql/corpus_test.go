package promql

import (
	"errors"
	"fmt"
	"go/ast"
	goparser "go/parser"
	"go/token"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"github.com/prometheus/prometheus/util/teststorage"
)

// prometheusDir is where the source is of the Prometheus that is built against.
func prometheusDir(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/prometheus/prometheus").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// TestEveryNodeNamed reads Prometheus' syntax tree from its source.
func TestEveryNodeNamed(t *testing.T) {
	file, err := goparser.ParseFile(token.NewFileSet(), filepath.Join(prometheusDir(t), "promql/parser/ast.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var nodes []string
	for _, decl := range file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Name.Name == "PromQLExpr" {
			nodes = append(nodes, f.Recv.List[0].Type.(*ast.StarExpr).X.(*ast.Ident).Name)
		}
	}
	slices.Sort(nodes)
	known := []string{
		"AggregateExpr", "BinaryExpr", "Call", "DurationExpr", "MatrixSelector", "NumberLiteral", "ParenExpr",
		"StepInvariantExpr", "StringLiteral", "SubqueryExpr", "UnaryExpr", "VectorSelector",
	}
	if !slices.Equal(nodes, known) {
		t.Errorf("the syntax tree has %q, of which %q are known", nodes, known)
	}
}

// Lines of a test script that hold an expression, as in
// promql/promqltest/test.go.
var (
	instantLine = regexp.MustCompile(`^eval(?:_(?:fail|warn|ordered|info))?\s+instant\s+(?:at\s+(?:.+?))?\s+(.+)$`)
	rangeLine   = regexp.MustCompile(`^eval(?:_(?:fail|warn|info))?\s+range\s+from\s+(?:.+)\s+to\s+(?:.+)\s+step\s+(?:.+?)\s+(.+)$`)
)

// scriptExpressions are those of Prometheus' own PromQL test scripts.
func scriptExpressions(t testing.TB) []string {
	t.Helper()
	scripts, err := filepath.Glob(filepath.Join(prometheusDir(t), "promql/promqltest/testdata/*.test"))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, script := range scripts {
		text, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			if m := instantLine.FindStringSubmatch(line); m != nil {
				all = append(all, m[1])
			} else if m := rangeLine.FindStringSubmatch(line); m != nil {
				all = append(all, m[1])
			} else if strings.HasPrefix(line, "eval") {
				t.Errorf("%s: no expression is found in %s", filepath.Base(script), line)
			}
		}
	}
	return all
}

// parserInputs are the expressions in the tests of Prometheus' parser.
func parserInputs(t testing.TB) []string {
	t.Helper()
	file, err := goparser.ParseFile(token.NewFileSet(), filepath.Join(prometheusDir(t), "promql/parser/parse_test.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	ast.Inspect(file, func(n ast.Node) bool {
		field, ok := n.(*ast.KeyValueExpr)
		if !ok {
			return true
		}
		key, isKey := field.Key.(*ast.Ident)
		value, isValue := field.Value.(*ast.BasicLit)
		if isKey && isValue && key.Name == "input" && value.Kind == token.STRING {
			if input, err := strconv.Unquote(value.Value); err == nil {
				all = append(all, input)
			}
		}
		return true
	})
	return all
}

// TestCorpus: whatever Prometheus' own tests have as an expression is enforced,
// unless it has info().
func TestCorpus(t *testing.T) {
	policy := policyOf(t, map[string][]string{"namespace": {"a", "b.c"}, "k8s.cluster": {"eu"}})
	for _, corpus := range []struct {
		name            string
		texts           []string
		parsed, refused int // at least
	}{
		{"scripts", scriptExpressions(t), 2000, 60},
		{"parser", parserInputs(t), 200, 2},
	} {
		parsed, refused := 0, 0
		for _, text := range corpus.texts {
			var p Parser
			expr, err := everything.ParseExpr(text)
			q, got := p.Query(policy, text)
			if err != nil {
				if got == nil || got.Error() != err.Error() {
					t.Errorf("%s: %v, want %v", text, got, err)
				}
				continue
			}
			parsed++
			var refusal *RefusedError
			switch {
			case errors.As(got, &refusal) && strings.Contains(text, "info("):
				refused++
			case got != nil:
				t.Errorf("%s: %v", text, got)
			case strings.Contains(q.Text(), "info("):
				t.Errorf("%s is let through", text)
			default:
				checkEnforced(t, policy, expr, q.Text())
			}
		}
		t.Logf("%s: %d texts, %d parsed, %d refused", corpus.name, len(corpus.texts), parsed, refused)
		if parsed < corpus.parsed || refused < corpus.refused {
			t.Errorf("%s: of %d texts %d are parsed and %d refused", corpus.name, len(corpus.texts), parsed, refused)
		}
	}
}

// The data: a sample each half minute, twenty minutes long.
const (
	scrape  = 30 * time.Second
	scrapes = 40
)

// series makes the series of all tenants, always the same ones in the same order.
func series(add func(l labels.Labels, sample func(i int) (float64, *histogram.FloatHistogram))) {
	r := rand.New(rand.NewPCG(7, 7))
	for _, tenant := range []string{"a|eu", "b|eu", "a|us", "c|eu", "b|us", "c|us", "a|b|eu", ""} {
		b := labels.NewBuilder(labels.EmptyLabels())
		if cut := strings.LastIndexByte(tenant, '|'); cut > 0 {
			b.Set("ns", tenant[:cut]).Set("cluster", tenant[cut+1:])
		}
		for _, name := range []string{"reqs_total", "g", "lat_bucket", "nh", "mix", "nhcb", "http.requests", "up", "secret"} {
			for _, job := range []string{"api", "db"} {
				for _, instance := range []string{"0", "1"} {
					missing := r.IntN(5) == 0 || name == "secret" && tenant != "c|eu"
					l := b.Set("__name__", name).Set("job", job)
					bounds := []string{""}
					if name == "lat_bucket" {
						bounds = []string{"0.1", "1", "+Inf"}
					}
					for i, bound := range bounds {
						l := l.Set("le", bound).Set("instance", instance).Labels()
						if sample := samples(r, name, job, float64(i+1)); !missing {
							add(l, sample)
						}
					}
				}
			}
		}
	}
}

// samples makes the samples of one series. What it returns is a stale marker
// for a gap, and a NaN of another kind for one that was not scraped.
func samples(r *rand.Rand, name, job string, factor float64) func(i int) (float64, *histogram.FloatHistogram) {
	total, gap, seed := 0.0, r.IntN(2*scrapes), r.Int64N(50)
	values := make([]float64, scrapes)
	for i := range values {
		switch total += r.Float64() * 100 * factor; {
		case r.IntN(15) == 0:
			total = 0 // a counter is reset
		case name == "g" && r.IntN(20) == 0:
			values[i] = []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1)}[r.IntN(5)]
			continue
		case name == "g" || name == "http.requests":
			total = r.NormFloat64() * 1000
		case name == "up":
			total = float64(r.IntN(2))
		}
		values[i] = total
	}
	return func(i int) (float64, *histogram.FloatHistogram) {
		at := seed + int64(i)%23 // with resets
		switch {
		case i == gap:
			return math.Float64frombits(value.StaleNaN), nil
		case i > gap && i < gap+5:
			return math.NaN(), nil
		case name == "nh" && job == "api":
			return 0, tsdbutil.GenerateTestFloatHistogram(at)
		case name == "nh":
			return 0, tsdbutil.GenerateTestGaugeFloatHistogram(at)
		case name == "nhcb" || name == "mix" && i%7 == 0:
			return 0, tsdbutil.GenerateTestCustomBucketsFloatHistogram(at)
		case name == "mix" && job == "api":
			return 0, tsdbutil.GenerateTestFloatHistogram(at)
		default:
			return values[i], nil
		}
	}
}

// storageOf has the series that are wanted.
func storageOf(t *testing.T, wanted func(l labels.Labels) bool) *teststorage.TestStorage {
	t.Helper()
	storage := teststorage.New(t)
	appender := storage.Appender(t.Context())
	series(func(l labels.Labels, sample func(i int) (float64, *histogram.FloatHistogram)) {
		if !wanted(l) {
			return
		}
		for i := range scrapes {
			v, h := sample(i)
			var err error
			switch at := int64(i) * scrape.Milliseconds(); {
			case h != nil:
				_, err = appender.AppendHistogram(0, l, at, nil, h)
			case !math.IsNaN(v) || value.IsStaleNaN(v) || l.Get("__name__") == "g":
				_, err = appender.Append(0, l, at, v)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	})
	if err := appender.Commit(); err != nil {
		t.Fatal(err)
	}
	return storage
}

// dump prints all of a tree that has a meaning, which is all but positions.
func dump(v any) string {
	var b strings.Builder
	dumpTo(&b, reflect.ValueOf(v))
	return b.String()
}

func dumpTo(b *strings.Builder, v reflect.Value) {
	switch v.Kind() {
	case reflect.Invalid:
		b.WriteString("nil")
	case reflect.Interface, reflect.Pointer:
		if v.IsNil() {
			b.WriteString("nil")
			return
		}
		switch x := v.Interface().(type) {
		case *labels.Matcher:
			fmt.Fprintf(b, "%d %q %q", x.Type, x.Name, x.Value)
		case *parser.Function:
			b.WriteString(x.Name)
		default:
			dumpTo(b, v.Elem())
		}
	case reflect.Struct:
		b.WriteString(v.Type().Name() + "{")
		for i := range v.NumField() {
			switch field := v.Type().Field(i); field.Name {
			case "PosRange", "StartPos", "EndPos":
			default:
				b.WriteString(field.Name + ": ")
				dumpTo(b, v.Field(i))
				b.WriteString("; ")
			}
		}
		b.WriteString("}")
	case reflect.Slice:
		b.WriteString("[")
		for i := range v.Len() {
			dumpTo(b, v.Index(i))
			b.WriteString(", ")
		}
		b.WriteString("]")
	case reflect.Float64:
		fmt.Fprintf(b, "%x", math.Float64bits(v.Float()))
	default:
		fmt.Fprintf(b, "%q", fmt.Sprint(v))
	}
}
