package gateway

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/promgate/promgate/routing"
)

// noon is when points are settled in these tests, in seconds; the clock is ten
// minutes later.
const noon = 1767268800

// newKeeping is a harness that keeps answers, before an upstream that has a point at
// each step.
func newKeeping(t *testing.T, change ...func(*Options)) (h *harness, clock *atomic.Int64) {
	clock = new(atomic.Int64)
	clock.Store(noon + 600)
	h = newHarness(t, append([]func(*Options){func(o *Options) {
		o.Cache = Cache{MaxBytes: 16 << 20, Freshness: 10 * time.Minute}
		o.Now = func() time.Time { return time.Unix(clock.Load(), 0) }
	}}, change...)...)
	h.up.answerWith(everyStep)
	return h, clock
}

// everyStep answers with the points of two series, of which one is not always there.
func everyStep(w http.ResponseWriter, r *http.Request) {
	answerJSON(http.StatusOK, pointsFor(r.URL.Query()))(w, r)
}

func pointsFor(q url.Values) string {
	start, _ := parseTime(q.Get("start"))
	end, _ := parseTime(q.Get("end"))
	step, _ := parseDuration(q.Get("step"))
	var series [2][]string
	for t := start.UnixMilli(); t <= end.UnixMilli(); t += step.Milliseconds() {
		stamp := fmt.Sprint(t / 1000)
		if t%1000 != 0 {
			stamp = strings.TrimRight(fmt.Sprintf("%s.%03d", stamp, t%1000), "0")
		}
		for i := range series {
			if i == 0 || t/step.Milliseconds()%7 < 3 {
				series[i] = append(series[i], fmt.Sprintf(`[%s,"%d"]`, stamp, t))
			}
		}
	}
	var all []string
	for i, points := range series {
		if len(points) > 0 {
			all = append(all, fmt.Sprintf(`{"metric":{"__name__":"up","i":"%d"},"values":[%s]}`, i, strings.Join(points, ",")))
		}
	}
	return `{"status":"success","data":{"resultType":"matrix","result":[` + strings.Join(all, ",") + `]}}`
}

// asked are the parameters of the range queries that the upstream saw, sorted.
func (h *harness) asked() []string {
	h.t.Helper()
	var all []string
	for _, call := range h.up.take() {
		query, found := strings.CutPrefix(call.uri, prefixProduction+"/api/v1/query_range?")
		if !found {
			h.t.Errorf("the upstream saw %s", call.uri)
		}
		all = append(all, query)
	}
	slices.Sort(all)
	return all
}

// rangeCase is a question, and what the upstream is asked for it.
type rangeCase struct {
	query   string
	outcome outcome
	asked   []string
}

// from writes a question by its times relative to noon, in seconds.
func from(start, end int64, step, query string) string {
	return fmt.Sprintf("start=%d&end=%d&step=%s&query=%s", noon+start, noon+end, step, url.QueryEscape(query))
}

func (h *harness) checkRanges(cases []rangeCase) {
	h.t.Helper()
	for _, c := range cases {
		got := h.get(production + "api/v1/query_range?" + c.query)
		values, err := url.ParseQuery(c.query)
		if err != nil {
			h.t.Fatal(err)
		}
		if want := pointsFor(values); got.status != http.StatusOK || got.body != want {
			h.t.Errorf("%s: answer\n%d %s, want\n%s", c.query, got.status, got.body, want)
		}
		if got.header.Get("X-Promgate-Cache") != string(c.outcome) {
			h.t.Errorf("%s: it is a %q, want %q", c.query, got.header.Get("X-Promgate-Cache"), c.outcome)
		}
		if asked := h.asked(); !slices.Equal(asked, c.asked) {
			h.t.Errorf("%s: the upstream was asked\n%s, want\n%s", c.query, strings.Join(asked, "\n"), strings.Join(c.asked, "\n"))
		}
	}
}

// aDay is in seconds.
const aDay = 86400

// rangeCases are asked one after the other, each group of a gateway that keeps
// nothing yet.
var rangeCases = map[string][]rangeCase{
	"pieces": {
		{from(-3600, 600, "60", "up"), outcomeMiss, []string{from(-3600, 600, "60", "up")}},
		{from(-3600, 0, "60", "up"), outcomeHit, nil},
		{from(-1800, -60, "60", "up"), outcomeHit, nil},
		{from(-3600, 600, "60", "up"), outcomePartial, []string{from(60, 600, "60", "up")}},
		{from(-7200, -60, "60", "up"), outcomePartial, []string{from(-7200, -3660, "60", "up")}},
		{from(-7500, 120, "60", "up"), outcomePartial, []string{from(-7500, -7260, "60", "up"), from(60, 120, "60", "up")}},
		{from(-7500, 0, "60", "up"), outcomeHit, nil},
		// The last step of the question is what counts, not where it ends.
		{from(-7500, 59, "60", "up"), outcomeHit, nil},
	},
	"never one step alone": {
		{from(-3600, 600, "60", "up"), outcomeMiss, []string{from(-3600, 600, "60", "up")}},
		{from(-3600, 60, "60", "up"), outcomePartial, []string{from(0, 60, "60", "up")}},
		{from(-3660, 0, "60", "up"), outcomePartial, []string{from(-3660, -3600, "60", "up")}},
		{from(-3720, 60, "60", "up"), outcomePartial, []string{from(-3720, -3660, "60", "up"), from(0, 60, "60", "up")}},
		{from(0, 60, "60", "up"), outcomeMiss, []string{from(0, 60, "60", "up")}},
		{from(-60, -60, "60", "up"), outcomeBypass, []string{from(-60, -60, "60", "up")}},
		{from(-60, -1, "60", "up"), outcomeHit, nil},
	},
	"one key each": {
		{from(-3600, 0, "60", "up"), outcomeMiss, []string{from(-3600, 0, "60", "up")}},
		{from(-3600, 0, "120", "up"), outcomeMiss, []string{from(-3600, 0, "120", "up")}},
		{from(-3570, 0, "60", "up"), outcomeMiss, []string{from(-3570, 0, "60", "up")}},
		{from(-3600, 0, "60", "up{}"), outcomeMiss, []string{from(-3600, 0, "60", "up{}")}},
		{from(-3600, 0, "60", "up") + "&lookback_delta=60", outcomeMiss, []string{strings.Replace(from(-3600, 0, "60", "up"), "&query", "&lookback_delta=60&query", 1)}},
		// Steps and times that are written in another way, and what is not of the answer.
		{from(-3600, 0, "1m", "up") + "&limit=0&timeout=5s", outcomeHit, nil},
		{fmt.Sprintf("start=2026-01-01T12:30:00%%2B02:00&end=%d.0&step=60.000&query=up", noon), outcomePartial, []string{fmt.Sprintf("start=%d&end=%d&step=60.000&query=up", noon-5400, noon-3660)}},
	},
	"fractions": {
		{"start=1767265200.25&end=1767268800.25&step=1.5&query=up", outcomeMiss, []string{"start=1767265200.25&end=1767268800.25&step=1.5&query=up"}},
		{"start=1767265200.25&end=1767268803.999&step=1.5&query=up", outcomePartial, []string{
			"start=2026-01-01T12%3A00%3A00.25Z&end=2026-01-01T12%3A00%3A03.25Z&step=1.5&query=up",
		}},
		{"start=1767265197.25&end=1767268798.75&step=1.5&query=up", outcomePartial, []string{"start=2026-01-01T10%3A59%3A57.25Z&end=2026-01-01T10%3A59%3A58.75Z&step=1.5&query=up"}},
	},
	"days": {
		{from(-3*aDay, 0, "300", "up"), outcomeMiss, []string{
			from(-3*aDay, -5*aDay/2-300, "300", "up"), from(-5*aDay/2, -3*aDay/2-300, "300", "up"), from(-3*aDay/2, -aDay/2-300, "300", "up"), from(-aDay/2, 0, "300", "up"),
		}},
		{from(-3*aDay, 0, "300", "up"), outcomeHit, nil},
		{from(-4*aDay, 600, "300", "up"), outcomePartial, []string{from(-4*aDay, -3*aDay-300, "300", "up"), from(300, 600, "300", "up")}},
		{from(-aDay, 0, "300", "rate(up[1m])"), outcomeMiss, []string{from(-aDay, 0, "300", "rate(up[1m])")}},
		// No piece is shorter than what is read before it, nor than 200 steps.
		{from(-5*aDay, 0, "300", "rate(up[2d])"), outcomeMiss, []string{
			from(-5*aDay, -9*aDay/2-300, "300", "rate(up[2d])"), from(-9*aDay/2, -5*aDay/2-300, "300", "rate(up[2d])"),
			from(-5*aDay/2, -aDay/2-300, "300", "rate(up[2d])"), from(-aDay/2, 0, "300", "rate(up[2d])"),
		}},
		{from(-8*aDay, 0, "3600", "up"), outcomeMiss, []string{from(-8*aDay, 0, "3600", "up")}},
		// A piece of one step goes with the next one, or with the one before.
		{from(-3*aDay/2-60, -aDay/2, "60", "up"), outcomeMiss, []string{from(-3*aDay/2-60, -aDay/2, "60", "up")}},
	},
}

// TestRangePieces: of a range query the upstream is asked what is not kept.
func TestRangePieces(t *testing.T) {
	for name, cases := range rangeCases {
		t.Run(name, func(t *testing.T) {
			h, _ := newKeeping(t)
			h.checkRanges(cases)
		})
	}
}

// TestRangeBypass: what is not for the cache goes upstream as it came, each time.
func TestRangeBypass(t *testing.T) {
	h, _ := newKeeping(t)
	for _, query := range []string{
		from(-3600, 0, "60", "up @ start()"), from(-3600, 0, "60", "up @ end()"), from(-3600, 0, "60", "up offset -5m"), from(-3600, 0, "60", "up offset (5m)"),
		from(-3600, 0, "60", "rate(up[5m] smoothed)"), from(-3600, 0, "60", "rate(up[range()])"), from(-3600, 0, "60", "up @ 1767268801"), from(-3600, 0, "60", "sort(up)"),
		from(-3600, 0, "60", "topk(scalar(up), up)"), from(-3600, 0, "60", `rate({job="api"}[5m])`), from(1, 600, "60", "up"), from(-noon-600, -noon+600, "60", "up"), from(0, 0, "60", "up"),
		"limit=5&" + from(-3600, 0, "60", "up"), strings.Replace(from(-3600, 0, "60", "up"), "&query", "&stats=all&query", 1),
	} {
		c := rangeCase{query, outcomeBypass, []string{query}}
		h.checkRanges([]rangeCase{c, c})
	}
	// A step that is not of whole milliseconds has the upstream's own meaning.
	for range 2 {
		query := fmt.Sprintf("start=%d&end=%d&step=0.0015&query=up", noon-1, noon)
		got := h.get(production + "api/v1/query_range?" + query)
		if asked := h.asked(); got.header.Get("X-Promgate-Cache") != "bypass" || !slices.Equal(asked, []string{query}) {
			t.Errorf("%s: it is a %q, and the upstream was asked %q", query, got.header.Get("X-Promgate-Cache"), asked)
		}
	}
	// What is fixed and settled is kept.
	kept := from(-3600, 0, "60", "up @ 1767268800")
	h.checkRanges([]rangeCase{{kept, outcomeMiss, []string{kept}}, {kept, outcomeHit, nil}})
}

// TestRangeSettles: what was too late to be kept is, once it is old enough.
func TestRangeSettles(t *testing.T) {
	h, clock := newKeeping(t)
	whole := from(-3600, 600, "60", "up")
	h.checkRanges([]rangeCase{{whole, outcomeMiss, []string{whole}}, {whole, outcomePartial, []string{from(60, 600, "60", "up")}}})
	clock.Add(179)
	h.checkRanges([]rangeCase{
		{whole, outcomePartial, []string{from(60, 600, "60", "up")}},
		{whole, outcomePartial, []string{from(180, 600, "60", "up")}},
	})
	clock.Add(600)
	h.checkRanges([]rangeCase{{whole, outcomePartial, []string{from(180, 600, "60", "up")}}, {whole, outcomeHit, nil}})
}

// TestRangeKeepsNothing: where nothing is to be kept, nothing is.
func TestRangeKeepsNothing(t *testing.T) {
	whole := from(-3600, 0, "60", "up")
	h, _ := newKeeping(t)
	h.edit(func(e *routing.Environment) { e.NoCache = true })
	h.checkRanges([]rangeCase{{whole, outcomeBypass, []string{whole}}, {whole, outcomeBypass, []string{whole}}})
	h, _ = newKeeping(t, func(o *Options) { o.Cache.MaxBytes = 0 })
	h.checkRanges([]rangeCase{{whole, "", []string{whole}}, {whole, "", []string{whole}}})
}

// TestRangeOfCallers: who asks with their own credential is let in by the upstream
// alone, and has nobody else's answers.
func TestRangeOfCallers(t *testing.T) {
	h, _ := newKeeping(t, func(o *Options) { o.Auth = append(o.Auth, &stubUsers{undecided: true}) })
	byCaller(h)
	whole, last := from(-3600, 0, "60", "up"), from(-60, 0, "60", "up")
	for _, c := range []struct {
		token, query string
		outcome      outcome
		asked        string
	}{
		{"user-jane", whole, outcomeMiss, whole}, {"user-jane", whole, outcomePartial, last}, {"user-jane", whole, outcomePartial, last},
		{"user-john", whole, outcomeMiss, whole}, {"user-john", whole, outcomePartial, last},
		{"user-jane", last, outcomeMiss, last},
	} {
		got := h.as(c.token, production+"api/v1/query_range?"+c.query)
		calls := h.up.take()
		if got.status != http.StatusOK || got.header.Get("X-Promgate-Cache") != string(c.outcome) || len(calls) != 1 {
			t.Fatalf("%s: got %d, a %q; the upstream saw %d calls", c.query, got.status, got.header.Get("X-Promgate-Cache"), len(calls))
		}
		if values, _ := url.ParseQuery(c.query); got.body != pointsFor(values) {
			t.Errorf("%s: got %s", c.query, got.body)
		}
		if call := calls[0]; !strings.HasSuffix(call.uri, "?"+c.asked) || call.header.Get("Authorization") != "Bearer "+c.token {
			t.Errorf("%s of %s: the upstream saw %s with %s", c.query, c.token, call.uri, call.header.Get("Authorization"))
		}
	}
	// A right that was taken away is missed at once.
	h.up.answerWith(answerJSON(http.StatusForbidden, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"no","reason":"Forbidden","code":403}`))
	if got := h.as("user-jane", production+"api/v1/query_range?"+whole); got.status != http.StatusForbidden || strings.Contains(got.body, "matrix") {
		t.Errorf("without a right: got %d %s", got.status, got.body)
	}
}

// TestRangeWholeAfterAll: what a piece says of the question, and not of its points, is
// asked for as a whole; and an answer is never made of what is not one.
func TestRangeWholeAfterAll(t *testing.T) {
	const noted = `{"status":"success","data":{"resultType":"matrix","result":[]},"infos":["PromQL info: x"]}`
	const refused = `{"status":"error","errorType":"execution","error":"many-to-many matching"}`
	const late = `{"status":"error","errorType":"timeout","error":"query timed out in expression evaluation"}`
	whole, rest := from(-3600, 600, "60", "up"), from(60, 600, "60", "up")
	for _, c := range []struct {
		name, piece, whole string
		status             int
		asked              []string
	}{
		{"notes", noted, noted, http.StatusOK, []string{whole, rest}},
		{"another form", `{"status":"success","data":{"resultType":"vector","result":[]}}`, emptyResult, http.StatusOK, []string{whole, rest}},
		{"out of order", `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"b":"1"},"values":[[1767268860,"1"]]},{"metric":{"a":"1"},"values":[[1767268860,"1"]]}]}}`, emptyResult, http.StatusOK, []string{whole, rest}},
		{"an error", refused, strings.Replace(refused, "many", "one", 1), http.StatusUnprocessableEntity, []string{whole, rest}},
		{"no time", late, late, http.StatusServiceUnavailable, []string{rest}},
	} {
		h, _ := newKeeping(t)
		h.checkRanges([]rangeCase{{whole, outcomeMiss, []string{whole}}})
		h.up.answerWith(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.RawQuery == whole {
				answerJSON(c.status, c.whole)(w, r)
			} else {
				answerJSON(c.status, c.piece)(w, r)
			}
		})
		got := h.get(production + "api/v1/query_range?" + whole)
		slices.Sort(c.asked)
		if asked := h.asked(); got.status != c.status || got.body != c.whole || !slices.Equal(asked, c.asked) {
			t.Errorf("%s: got %d %s, asked for by %q", c.name, got.status, got.body, asked)
		}
	}
}

// TestRangeCompressed: who takes gzip gets it, of the same answer.
func TestRangeCompressed(t *testing.T) {
	h, _ := newKeeping(t)
	whole := from(-36000, 600, "60", "up")
	values, _ := url.ParseQuery(whole)
	for _, outcome := range []outcome{outcomeMiss, outcomePartial} {
		r := h.request(http.MethodGet, production+"api/v1/query_range?"+whole, "")
		r.Header.Set("Accept-Encoding", "gzip")
		got := h.do(r)
		decoder, err := gzip.NewReader(strings.NewReader(got.body))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(decoder)
		if err != nil || string(body) != pointsFor(values) || got.header.Get("X-Promgate-Cache") != string(outcome) {
			t.Errorf("a %q: got %s, %v", got.header.Get("X-Promgate-Cache"), body, err)
		}
		for _, call := range h.up.take() {
			if call.header.Get("Accept-Encoding") != "identity" {
				t.Errorf("the upstream was asked for %q", call.header.Get("Accept-Encoding"))
			}
		}
	}
}

// TestRangeTooLong: what is put together has the same limit as what passes, and is
// refused before its first byte.
func TestRangeTooLong(t *testing.T) {
	h, _ := newKeeping(t, func(o *Options) { o.Limits.Default.MaxResponseBytes = 3000 })
	for _, c := range []struct {
		start  int64
		status int
	}{{-600, 200}, {-900, 200}, {-1500, 422}, {-600, 200}} {
		got := h.get(production + "api/v1/query_range?" + from(c.start, 0, "15", "up"))
		if got.status != c.status || got.err != nil || c.status == 422 && !strings.Contains(got.body, "maxResponseBytes") {
			t.Errorf("%d: answer %d, %d bytes, %v", c.start, got.status, len(got.body), got.err)
		}
	}
}
