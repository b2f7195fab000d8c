package gateway

import (
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/promgate/promgate/gateway/limit"
)

// budgeted gives production a budget of its own.
func budgeted(change func(*Budget)) func(*Options) {
	return func(o *Options) {
		b := o.Limits.Default
		change(&b)
		o.Limits.Environments = map[string]Budget{"shop/production": b}
	}
}

const day = 24 * time.Hour

// TestCostLimits: what asks for more than a limit allows is told which, and what
// it asked; what asks for just as much is sent.
func TestCostLimits(t *testing.T) {
	h := newHarness(t, budgeted(func(b *Budget) {
		b.MaxQueryLength, b.MaxRange, b.MaxLookback, b.MaxPoints, b.MaxEvaluations = 60, 2*day, 10*day, 100, 150
	}))
	long := strings.Repeat("a", 60)
	for _, c := range []struct{ name, good, bad, limit, message string }{
		{
			"a long query", "api/v1/query?query=" + long, "api/v1/query?query=" + long + "a",
			"maxQueryLength", "the query has 61 bytes, and 60 bytes is the limit (maxQueryLength): shorten it, or record a part of it by a rule",
		},
		{
			"a long query in exemplars", "api/v1/query_exemplars?query=" + long, "api/v1/query_exemplars?query=" + long + "a",
			"maxQueryLength", "the query has 61 bytes, and 60 bytes is the limit (maxQueryLength): shorten it, or record a part of it by a rule",
		},
		{
			"a long query to parse", "api/v1/parse_query?query=" + long, "api/v1/parse_query?query=" + long + "a",
			"maxQueryLength", "the query has 61 bytes, and 60 bytes is the limit (maxQueryLength): shorten it, or record a part of it by a rule",
		},
		{
			"many selectors", "api/v1/series?match[]=" + long[:30] + "&match[]=" + long[:30], "api/v1/series?match[]=" + long[:30] + "&match[]=" + long[:31],
			"maxQueryLength", "the query has 61 bytes, and 60 bytes is the limit (maxQueryLength): shorten it, or record a part of it by a rule",
		},
		{
			"a long range", "api/v1/query_range?start=0&step=7200&query=up&end=172800", "api/v1/query_range?start=0&step=7200&query=up&end=172801",
			"maxRange", "the query spans 2d1s, and 2d is the limit (maxRange): ask for a shorter range",
		},
		{
			"many points", "api/v1/query_range?start=0&step=36&query=up&end=3600", "api/v1/query_range?start=0&step=36&query=up&end=3636",
			"maxPoints", "the query has 101 points for each series, and 100 is the limit (maxPoints): use a larger step or a shorter range",
		},
		{
			"a long way back", "api/v1/query?query=" + url.QueryEscape("rate(up[3d] offset 1w)"), "api/v1/query?query=" + url.QueryEscape("rate(up[3d] offset 8d)"),
			"maxLookback", "the query reads 11d back from its start, and 10d is the limit (maxLookback): use shorter ranges and offsets, or record a part of it by a rule",
		},
		{
			"a long lookback delta", "api/v1/query?query=up&lookback_delta=10d", "api/v1/query?query=up&lookback_delta=11d",
			"maxLookback", "the query reads 11d back from its start, and 10d is the limit (maxLookback): use shorter ranges and offsets, or record a part of it by a rule",
		},
		{
			"many evaluations", "api/v1/query_range?start=0&step=3600&end=144000&query=a%2Bb%2Bc", "api/v1/query_range?start=0&step=3600&end=144000&query=a%2Bb%2Bc%2Bd",
			"maxEvaluations", "the query evaluates its selectors 164 times, and 150 is the limit (maxEvaluations): use a larger step, a shorter range, fewer selectors, or larger steps in its subqueries",
		},
		{
			"a fine subquery", "api/v1/query?query=" + url.QueryEscape("max_over_time(up[2h:1m])"), "api/v1/query?query=" + url.QueryEscape("max_over_time(up[2h:10s])"),
			"maxEvaluations", "the query evaluates its selectors 720 times, and 150 is the limit (maxEvaluations): use a larger step, a shorter range, fewer selectors, or larger steps in its subqueries",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			h.t = t
			if got := h.get(production + c.good); got.status != http.StatusOK || len(h.up.take()) != 1 {
				t.Errorf("what is within the limit is answered %d %s", got.status, got.body)
			}
			checkError(t, "over the limit", h.get(production+c.bad), http.StatusUnprocessableEntity,
				`{"status":"error","errorType":"execution","error":"`+c.message+` (request id ID)"}`)
			if calls := h.up.take(); len(calls) != 0 {
				t.Errorf("the upstream saw %v", calls)
			}
			if got := h.get(staging + c.bad); got.status != http.StatusOK { // whose budget is larger
				t.Errorf("the neighbour is answered %d %s", got.status, got.body)
			}
			h.up.take()
			if n := testutil.ToFloat64(h.gateway.metrics.refusals.WithLabelValues("shop", "production", c.limit)); n == 0 {
				t.Errorf("no refusal by %s is counted", c.limit)
			}
		})
	}
}

// TestRate: who asks too often is told when to come again; others are not.
func TestRate(t *testing.T) {
	h := newHarness(t, budgeted(func(b *Budget) { b.RequestsPerSecond, b.Burst = 1, 3 }))
	started := time.Now()
	served := 0
	var refused answer
	for range 10 {
		if got := h.get(production + "api/v1/query?query=up"); got.status == http.StatusOK {
			served++
		} else {
			refused = got
		}
		if got := h.get(staging + "api/v1/query?query=up"); got.status != http.StatusOK {
			t.Errorf("the neighbour is answered %d %s", got.status, got.body)
		}
	}
	if most := 3 + int(time.Since(started)/time.Second) + 1; served < 3 || served > most {
		t.Errorf("%d were served, want 3 to %d", served, most)
	}
	checkError(t, "one too many", refused, http.StatusTooManyRequests,
		`{"status":"error","errorType":"too_many_requests","error":"this environment is asked more than 1 times a second (requestsPerSecond), which is as often as it may be: try again in a moment, with fewer panels or a longer refresh interval (request id ID)"}`,
		"Retry-After", "1")
	if n := testutil.ToFloat64(h.gateway.metrics.refusals.WithLabelValues("shop", "production", "requestsPerSecond")); int(n) != 10-served {
		t.Errorf("%v refusals are counted of %d", n, 10-served)
	}
}

// TestRateBeforeWork: what comes too often is not even read.
func TestRateBeforeWork(t *testing.T) {
	h := newHarness(t, budgeted(func(b *Budget) { b.RequestsPerSecond, b.Burst = 1, 1 }))
	h.get(production + "api/v1/query?query=up")
	for range 3 { // one of them may come a second later, on a slow machine
		got := h.get(production + "api/v1/query?query=up{")
		if got.status == http.StatusTooManyRequests {
			return
		}
	}
	t.Error("three bad queries in a row were parsed")
}

func TestBudgetOf(t *testing.T) {
	l := Limits{
		Default:      Budget{MaxPoints: 1},
		Projects:     map[string]Budget{"shop": {MaxPoints: 2}},
		Environments: map[string]Budget{"shop/production": {MaxPoints: 3}},
	}
	var got []int
	for _, e := range environments(newRecorder(t)) { // shop/production, shop/staging, billing/production
		b := l.budget(e)
		got = append(got, b.MaxPoints)
	}
	if got[0] != 3 || got[1] != 2 || got[2] != 1 {
		t.Errorf("got %v", got)
	}
}

// TestResponseBytes: an answer that is known to be too long is refused, and one
// that turns out to be breaks off.
func TestResponseBytes(t *testing.T) {
	const limit = 100_000
	h := newHarness(t, budgeted(func(b *Budget) { b.MaxResponseBytes = limit }))
	answer := func(size int, known bool) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if known {
				w.Header().Set("Content-Length", strconv.Itoa(size))
			} else {
				_ = http.NewResponseController(w).Flush()
			}
			_, _ = io.WriteString(w, strings.Repeat(" ", size))
		}
	}
	for _, known := range []bool{true, false} {
		h.up.answerWith(answer(limit, known))
		if got := h.get(production + "api/v1/query?query=up"); got.status != http.StatusOK || got.err != nil || len(got.body) != limit {
			t.Errorf("just as long: %d, %d bytes, %v", got.status, len(got.body), got.err)
		}
		h.log.next(t)
	}
	h.up.answerWith(answer(limit+1, true))
	checkError(t, "one byte too long", h.get(production+"api/v1/query?query=up"), http.StatusUnprocessableEntity,
		`{"status":"error","errorType":"execution","error":"the answer is too long, and 100000 bytes is the limit (maxResponseBytes): ask for fewer series, a shorter range or a larger step (request id ID)"}`)
	h.log.next(t)
	h.up.answerWith(answer(limit+1, false))
	if got := h.get(production + "api/v1/query?query=up"); got.err == nil || len(got.body) > limit {
		t.Errorf("an answer that turns out too long: %d, %d bytes, %v", got.status, len(got.body), got.err)
	}
	if record := h.log.next(t); record["aborted"] != true || record["error_type"] != "execution" {
		t.Errorf("the log says %s", record["raw"])
	}
	if n := testutil.ToFloat64(h.gateway.metrics.refusals.WithLabelValues("shop", "production", "maxResponseBytes")); n != 2 {
		t.Errorf("%v refusals are counted, want 2", n)
	}
}

// TestSharedTarget: environments of one cluster share its places.
func TestSharedTarget(t *testing.T) {
	h := newHarness(t, func(o *Options) { o.Limits.MaxConcurrentTarget, o.Limits.Default.Queue = 1, limit.Queue{} })
	entered, release := h.hold()
	first := h.begin(production + "api/v1/query?query=up")
	<-entered
	checkError(t, "neighbour", h.get(staging+"api/v1/query?query=up"), http.StatusTooManyRequests,
		`{"status":"error","errorType":"too_many_requests","error":"the environment's cluster or server has 1 queries under way, as many as it may have at once (targets.maxConcurrent): try again in a moment, with fewer panels or a longer refresh interval (request id ID)"}`,
		"Retry-After", "1")
	want := map[string]float64{
		`{cluster="local"}`: 1, `{environment="production",limit="maxConcurrent",project="shop"}`: 0.05,
		`{environment="staging",limit="maxConcurrent",project="shop"}`: 0, `{environment="production",limit="queue",project="shop"}`: 0,
		`{environment="",limit="maxConcurrentTotal",project=""}`: 0.02,
	}
	got := h.ratios()
	for labels, value := range want {
		if share, there := got[labels]; !there || share != value {
			t.Errorf("%s is %v, want %v", labels, share, value)
		}
	}
	close(release)
	<-first
	if got := h.get(staging + "api/v1/query?query=up"); got.status != http.StatusOK {
		t.Errorf("answer %d %s", got.status, got.body)
	}
}

// TestPartOfTarget: a project whose server hangs leaves places to others.
func TestPartOfTarget(t *testing.T) {
	h := newHarness(t, func(o *Options) {
		o.Limits.MaxConcurrentTarget, o.Limits.MaxConcurrentTargetProject, o.Limits.Default.Queue = 2, 1, limit.Queue{}
	})
	entered, release := h.hold()
	first := h.begin(production + "api/v1/query?query=up")
	<-entered
	checkError(t, "the same project", h.get(staging+"api/v1/query?query=up"), http.StatusTooManyRequests,
		`{"status":"error","errorType":"too_many_requests","error":"this project has in the environment's cluster or server 1 queries under way, as many as it may have at once (targets.maxConcurrentProject): try again in a moment, with fewer panels or a longer refresh interval (request id ID)"}`,
		"Retry-After", "1")
	r := h.request(http.MethodGet, "/projects/billing/environments/production/api/v1/query?query=up", "")
	r.Header.Set("Authorization", "Bearer "+tokenBilling)
	if got := h.do(r); got.status != http.StatusOK {
		t.Errorf("the neighbour is answered %d %s", got.status, got.body)
	}
	close(release)
	<-first
}

// TestForget: what is kept of environments goes with them, and a project's part
// with the last of its own.
func TestForget(t *testing.T) {
	h := newHarness(t)
	all := environments(h.up)
	for _, path := range []string{production, staging} {
		if got := h.get(path + "api/v1/query?query=up"); got.status != http.StatusOK {
			t.Fatalf("answer %d %s", got.status, got.body)
		}
	}
	count := func() (tenancies, parts int) {
		gates := h.gateway.limits.Load()
		gates.tenancies.Range(func(_, _ any) bool { tenancies++; return true })
		gates.parts.Range(func(_, _ any) bool { parts++; return true })
		return tenancies, parts
	}
	for i, want := range [][2]int{{2, 1}, {1, 1}, {0, 0}} {
		if tenancies, parts := count(); tenancies != want[0] || parts != want[1] {
			t.Errorf("after %d: %d tenancies and %d parts, want %v", i, tenancies, parts, want)
		}
		h.setEnvironments(all[i+1:]...)
		h.gateway.Forget(all[i])
	}
}

// ratios are the used shares of limits, by labels.
func (h *harness) ratios() map[string]float64 {
	families, err := h.registry.Gather()
	if err != nil {
		h.t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		if !strings.HasSuffix(f.GetName(), "_used_ratio") {
			continue
		}
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+strconv.Quote(l.GetValue()))
			}
			all["{"+strings.Join(labels, ",")+"}"] = m.GetGauge().GetValue()
		}
	}
	return all
}
