package promql

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

const typical = `histogram_quantile(0.99, sum by (le, route) (rate(http_request_duration_seconds_bucket{job="api",route!="",code=~"2.."}[5m])))`

// podNames are as many names of pods, as Grafana writes those of a variable.
func podNames(n int, suffix string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "checkout-%08x-%05x%s|", uint32(i)*2654435761, uint32(i*7919)%1048576, suffix)
	}
	return strings.TrimSuffix(b.String(), "|")
}

func TestGuardPasses(t *testing.T) {
	plain, grouped, dots := podNames(1000, ""), "("+podNames(1000, "")+")", "("+podNames(200, ".*")+")"
	repeated := func(pattern string, times int) string {
		return strings.TrimSuffix(strings.Repeat(`sum(rate(x_total{pod=~"`+pattern+`",job="api"}[5m])) + `, times), " + ")
	}
	for name, text := range map[string]string{
		"nothing":             "",
		"a typical one":       typical,
		"a long sum":          "a" + strings.Repeat(" + a", 190),
		"deep calls":          strings.Repeat("sum(", 100) + "a" + strings.Repeat(")", 100),
		"many selectors":      "a" + strings.Repeat(` or rate(x_total{job="api",code=~"5.."}[5m])`, 150),
		"one variable":        repeated(plain, 1),
		"one, ten times":      repeated(plain, 10),
		"in parentheses":      repeated(grouped, 1),
		"fewer, ten times":    repeated("("+podNames(130, "")+")", 10),
		"with wildcards":      repeated(dots, 2),
		"escaped":             repeated("("+strings.Repeat(`10\\.0\\.7\\.9:9100|`, 1200)+")", 1),
		"excluded characters": repeated(`/api/[^/]+/items/[0-9]+`, 5),
		"a name of a pod":     repeated(`[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?`, 10),
		"an address":          repeated(`([0-9]{1,3}\\.){3}[0-9]{1,3}:[0-9]+`, 10),
		"labels":              "a / on (a,b,c,d,e,f,g,h) group_left (i,j,k,l,m,n) b",
		"a long string":       `label_replace(a, "b", "` + strings.Repeat("x", 1<<19) + `", "c", "(.*)")`,
		"what does not parse": `sum by ( {a=~"(", b="\xyz"} ]]) 1e5e5 "`,
	} {
		if err := guard(text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGuardRefuses(t *testing.T) {
	pattern := func(s string) string { return "a{b=~`" + s + "`}" }
	for _, c := range []struct{ limit, text string }{
		{"nesting", strings.Repeat("(", 10_000) + "1" + strings.Repeat(")", 10_000)},
		{"nesting", strings.Repeat("(", 1<<20)},
		{"nesting", "a" + strings.Repeat("[5m:1m]", 600)},
		{"nesting", strings.Repeat("-", 600) + "a"},
		{"nesting", "a" + strings.Repeat(" or a", 600)},
		{"nesting", strings.Repeat("-", 300) + `"` + strings.Repeat("x", 500_000) + `"`},
		{"terms", "label_join(a" + strings.Repeat(`,"b"`, 3000) + ")"},
		{"terms", "a / on (" + strings.Repeat("b,", 200) + "c) group_left (" + strings.Repeat("b,", 200) + "c) d"},
		{"terms", "a{" + strings.Repeat(`b="",`, 3000) + "}"},
		{"terms", strings.Repeat("#\n", 5000) + "a"},
		{"terms", strings.Repeat("1", 1<<20)},
		{"terms", "`" + strings.Repeat("\x01", 1<<20) + "`"},
		{"regexp", pattern(strings.Repeat("[^/]+/", 20))},
		{"regexp", pattern("(?i)[" + strings.Repeat(`b-\x{10ffff}`, 10) + "]")},
		{"regexp", pattern("(" + strings.Repeat("abcde.", 20) + "){1000}")},
		{"regexp", pattern("((((.{10}){10}){10}){10}){10}")},
		{"regexp", pattern(strings.Repeat("[ab]", 8) + strings.Repeat("(a)", 200))},
		{"regexp", pattern(strings.Repeat("(?:a|", 300) + "." + strings.Repeat(")", 300))},
		{"regexp", pattern(`\Q[\E` + strings.Repeat("(ab|cd){500}", 20) + "]")},
		{"regexp", pattern("(" + podNames(4000, "") + ")")},
		{"regexp", "a{b=~ # why\n\t'" + strings.Repeat(`\\S`, 20) + "'}"},
		{"regexp", "a{b!~\"" + strings.Repeat(`\x5cS`, 20) + "\"}"},
		{"regexp", pattern(podNames(50_000, ""))},
	} {
		var refusal *RefusedError
		if err := guard(c.text); !errors.As(err, &refusal) || refusal.Limit != c.limit {
			t.Errorf("%.40s…: %v instead of %s", c.text, err, c.limit)
		} else if len(refusal.Message) > 250 || !strings.Contains(refusal.Message, "limit") {
			t.Errorf("%.40s…: %s", c.text, refusal.Message)
		}
	}
	if err := guard(strings.Repeat("a,", 1500), strings.Repeat("a,", 1500)); err == nil {
		t.Error("texts that are asked for together do not share the limits")
	}
}

// hostilePart is something hostile of some size.
type hostilePart func(size int) string

func runOf(before, unit, after string) hostilePart {
	return func(size int) string { return before + strings.Repeat(unit, size) + after }
}

func pairOf(open, inside, end string) hostilePart {
	return func(size int) string { return strings.Repeat(open, size) + inside + strings.Repeat(end, size) }
}

// optional is a part of a regular expression that leaves out each of so many
// characters.
func optional(size int) string {
	var b strings.Builder
	for i := range size {
		b.WriteString(string(rune(0x4e00+3*i)) + "?")
	}
	return "a{b=~`" + b.String() + "`}"
}

var hostileParts = []hostilePart{
	pairOf("(", "a", ")"), pairOf("(1<", "1", ")"), pairOf("sum(", "a", ")"), pairOf("max_over_time(", "a", "[5m:1m])"), runOf("", "-", "a"),
	runOf("a", "+a", ""), runOf("1", "<1", ""), runOf("1", "<bool 1", ""), runOf("1", "+1e308", ""), runOf("a", "^-a", ""), runOf("a", "[5m:1m]", ""),
	runOf("rate(a[1m", "+1e-300", "])"), runOf("rate(a[", "-", "step()])"), runOf("sum by (a", ",a", ") (b)"), runOf("a/on(b", ",b", ")group_left(b,b,b,b,b,b)c"), runOf("a/on(b", ",b", ")group_left(c,c,c,c,c,c)c"),
	runOf("label_join(a,'','','b'", ",`b`", ")"), runOf("(a", `)+f("b"`, ")"), runOf("a", " offset 1", ""), runOf("(a+a+a+a+a+a+a)", "[1]", ""),
	runOf("count_values(`", "\x01\x02\x03\x04", "`,a)"), runOf("1", "_1", ""), runOf("a #", "comment", "\n"), runOf("a", " \t\n", ""), runOf("{a='", `"`, "'}"), runOf("{b!=''", ",a=''", "}"),
	runOf("{b!=''", ",a=~'.'", "}"), runOf("{a=~`", "[^/]", "`}"), runOf("{a=~'(?i)", `\\PN`, "'}"), runOf("{a=~`(?i)[", `b-\x{10ffff}`, "]`}"),
	runOf("{a=~`", "(ab|cd){100}", "`}"), runOf("{a=~`", "[a-c][d-f](g)", "`}"), runOf("{a=~`", "a.b+", "`}"), runOf("{a=~`", "(a*)*", "`}"), runOf("{a=~`(", "pod.*|", "x)`}"),
	runOf("{a=~`", `\pL\pN`, "`}"), runOf("{a=~`(?i)", "kelvin|", "x`}"), runOf("{a=~`[", "[:a", "x]`}"), runOf("{b!=''", ",a=~'.{1000}'", "}"),
	func(size int) string { return "{a=~`(" + podNames(size, "") + ")`}" }, func(size int) string { return "{a=~`" + podNames(size, "") + "`}" }, optional,
}

// hostile joins one part of each size.
func hostile(sizes []int) string {
	var b strings.Builder
	b.WriteString("a")
	for i, size := range sizes {
		if size > 0 {
			b.WriteString("+" + hostileParts[i](size))
		}
	}
	return b.String()
}

// pipeline is a query under a policy that has been seen by nobody.
func pipeline(text string) {
	_, _ = new(Parser).Query(twoLabels, text)
}

// twoLabels is a policy as tenants have it.
var twoLabels = func() *Policy {
	p, err := NewPolicy(map[string][]string{"namespace": {"shop", "shop-batch"}, "cluster": {"eu1"}})
	if err != nil {
		panic(err)
	}
	return p
}()

// cpu is what this thread's processor needs for f, the least of some runs: a
// busy machine adds to it. The clock may tick but each 4 ms, so that f should take
// many of these where it matters. The thread must be locked.
func cpu(runs int, f func()) time.Duration {
	least := time.Hour
	var before, after syscall.Rusage
	const thread = 1
	for range runs {
		_ = syscall.Getrusage(thread, &before)
		f()
		_ = syscall.Getrusage(thread, &after)
		used := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
		if used < 0 {
			panic("the clocks of two threads were compared")
		}
		least = min(least, time.Duration(used))
	}
	return least
}

// allowed is 50 ms, or more where the machine takes longer for what the limits
// were measured by.
func allowed() time.Duration {
	const bound = 50 * time.Millisecond
	reference := cpu(5, func() {
		for range 10 {
			labels.MustNewMatcher(labels.MatchRegexp, "a", "[^/]")
		}
	})
	return time.Duration(float64(bound) * max(1, slowdown, float64(reference)/float64(10*wideTime)))
}

// TestGuardBoundsTime looks for text that is accepted and takes long: each part
// alone as large as may be, then mixtures of them.
func TestGuardBoundsTime(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const maxLength = 32 << 10
	accepted := func(text string) bool { return len(text) <= maxLength && guard(text) == nil }
	var worst []int
	var most time.Duration
	try := func(sizes []int) {
		if text := hostile(sizes); accepted(text) {
			work := func() { pipeline(text) }
			if used := cpu(1, work); used > most {
				if used = min(used, cpu(4, work)); used > most {
					worst, most = sizes, used
				}
			}
		}
	}
	for i := range hostileParts {
		sizes := make([]int, len(hostileParts))
		for bit := maxLength; bit > 0; bit /= 2 {
			sizes[i] += bit
			if len(hostileParts[i](1))+sizes[i] > 2*maxLength || !accepted(hostile(sizes)) {
				sizes[i] -= bit
			}
		}
		try(sizes)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range searches / slowdown {
		sizes := append([]int(nil), worst...)
		for range 1 + random.IntN(3) {
			i := random.IntN(len(sizes))
			sizes[i] = sizes[i]*random.IntN(5)/3 + random.IntN(1<<random.IntN(9))
		}
		try(sizes)
	}
	const batch = 10
	most = cpu(3, func() {
		for range batch {
			pipeline(hostile(worst))
		}
	}) / batch
	t.Logf("the worst of %d bytes takes %v: %.200s", len(hostile(worst)), most, hostile(worst))
	if allowed := allowed(); most > allowed {
		t.Errorf("%v, where %v is allowed", most, allowed)
	}
}

// TestGuardIsQuick has it refuse, or accept, a mebibyte of each part.
func TestGuardIsQuick(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	large := make([]string, 0, 2*len(hostileParts))
	for i := range hostileParts {
		one := make([]int, len(hostileParts))
		one[i] = 1
		long := strings.Repeat(hostile(one)+"+", (1<<20)/len(hostile(one)))
		large = append(large, long, hostileParts[i]((1<<20)/8))
	}
	allowed := allowed()
	for _, text := range large {
		if used := cpu(1, func() { _ = guard(text) }); used > allowed {
			t.Errorf("%v for %d bytes: %.80s…", used, len(text), text)
		}
	}
}

// searches is how many mixtures are tried.
const searches = 100

// FuzzGuard has guard agree with Prometheus' lexer on what is a regular
// expression, and keep what it accepts from taking long.
func FuzzGuard(f *testing.F) {
	f.Add(typical)
	for i := range hostileParts {
		f.Add(hostileParts[i](2))
	}
	f.Fuzz(func(t *testing.T, text string) {
		var s scanner
		s.scan(text)
		if s.check() != nil {
			return
		}
		tokens, patterns := lexed(text)
		if 2*s.terms < tokens {
			t.Errorf("%d terms, where the lexer finds %d", s.terms, tokens)
		}
		expr, err := everything.ParseExpr(text)
		if err != nil {
			return
		}
		if s.terms < tokens {
			t.Errorf("%d terms, where the lexer finds %d", s.terms, tokens)
		}
		if work := s.work - time.Duration(len(text))*readingTime; work < time.Duration(patterns)*patternTime || patterns == 0 && work > 0 {
			t.Errorf("%d patterns take %v", patterns, work)
		}
		if printed := expr.String(); len(printed) > s.printed+100 {
			t.Errorf("%d bytes are printed as %d, more than %d", len(text), len(printed), s.printed)
		}
		deepest := 0
		parser.Inspect(expr, func(_ parser.Node, path []parser.Node) error {
			deepest = max(deepest, len(path))
			return nil
		})
		if deepest > s.nesting+1 {
			t.Errorf("nests %d deep, more than %d", deepest, s.nesting)
		}
	})
}

// lexed counts the tokens and regular expressions before the first error.
func lexed(text string) (tokens, patterns int) {
	lexer := parser.Lex(text)
	var item parser.Item
	for {
		lexer.NextItem(&item)
		switch item.Typ {
		case parser.EOF, parser.ERROR:
			return tokens, patterns
		case parser.EQL_REGEX, parser.NEQ_REGEX:
			patterns++
		}
		tokens++
	}
}

func BenchmarkGuard(b *testing.B) {
	for name, text := range map[string]string{"typical": typical, "pods": `up{pod=~"(` + podNames(200, "") + `)"}`} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := guard(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
