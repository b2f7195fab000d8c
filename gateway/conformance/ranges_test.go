package conformance

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/promgate/promgate/gateway/promql"
)

var (
	differentialCount = flag.Int("differential.count", 5000, "how many random range queries TestRanges asks")
	differentialSeed  = flag.Uint64("differential.seed", 1, "the seed of TestRanges' first world; the next ones follow")
)

// perWorld is how many questions a world is asked.
const perWorld = 500

// panel is a query of a dashboard, which is asked again and again.
type panel struct {
	environment int
	query       string
	step        time.Duration
	// phase is what its starts have in common, in milliseconds.
	phase    int64
	lookback string
	points   int
}

// question is one range query.
type question struct {
	panel
	params url.Values
	gzip   bool
}

// shares counts what became of questions.
type shares struct {
	mu                                  sync.Mutex
	asked, failed, noted, empty, varies int
	outcomes                            map[string]int
}

// TestRanges: whatever is kept, each answer of a range query is what Prometheus
// itself answers at that moment, byte for byte.
func TestRanges(t *testing.T) {
	s := &shares{outcomes: map[string]int{}}
	worlds := (*differentialCount + perWorld - 1) / perWorld
	var next, failures atomic.Int64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for failures.Load() < 5 {
				i := int(next.Add(1) - 1)
				if i >= worlds {
					return
				}
				seed := *differentialSeed + uint64(i)
				if err := s.run(t, seed, min(perWorld, *differentialCount-i*perWorld)); err != nil {
					failures.Add(1)
					t.Errorf("-differential.count %d -differential.seed %d: %v", perWorld, seed, err)
				}
			}
		})
	}
	workers.Wait()
	t.Logf("%d questions: %v; %d failed, %d with warnings or infos, %d empty, %d vary", s.asked, s.outcomes, s.failed, s.noted, s.empty, s.varies)
	if *differentialCount < 2000 {
		return
	}
	if kept := s.outcomes["hit"] + s.outcomes["partial"]; kept*10 < s.asked*3 {
		t.Errorf("of %d answers only %d were kept, in whole or in part", s.asked, kept)
	}
	if s.failed*4 > s.asked || s.empty*2 > s.asked || s.varies*20 > s.asked {
		t.Error("the questions are too poor")
	}
}

// run asks the questions of one world.
func (s *shares) run(t *testing.T, seed uint64, questions int) error {
	random := rand.New(rand.NewPCG(seed, 11))
	w := newWorld(t, random, questions)
	defer w.storage.Close()
	g := &generator{random, scripts(t), w}
	panels := make([]panel, 8)
	for i := range panels {
		panels[i] = g.panel()
	}
	for asked := 0; asked < questions; {
		if g.IntN(4) > 0 {
			w.pass(time.Duration(g.Int64N(int64(w.scale.tick))))
		}
		if w.compacts && g.IntN(100) == 0 {
			w.compact()
		}
		if g.IntN(30) == 0 {
			panels[g.IntN(len(panels))] = g.panel()
		}
		batch := make([]question, min(1+g.IntN(3), questions-asked))
		for i := range batch {
			batch[i] = g.question(panels[g.IntN(len(panels))])
		}
		asked += len(batch)
		found := make([]error, len(batch))
		var all sync.WaitGroup
		for i, q := range batch {
			all.Go(func() { found[i] = s.ask(w, q) })
		}
		all.Wait()
		if err := errors.Join(found...); err != nil {
			return fmt.Errorf("after %d questions: %w", asked, err)
		}
	}
	return nil
}

// isKept tells whether a query's points may be kept, so that enough of them are.
func isKept(query string) bool {
	q, err := new(promql.Parser).Query(nil, query)
	return err == nil && q.Timing() == promql.Timing{}
}

func (g *generator) panel() panel {
	p := panel{environment: max(0, g.IntN(5)-2), query: g.expression(), step: g.world.scale.steps[g.IntN(len(g.world.scale.steps))], points: 2 + g.IntN(60)}
	for g.IntN(3) > 0 && !isKept(p.query) {
		p.query = g.expression()
	}
	if g.IntN(30) == 0 {
		p.points = 400 // of several days
	}
	if p.phase = g.Int64N(p.step.Milliseconds()); g.IntN(2) == 0 {
		p.phase = 0
	}
	if g.IntN(6) == 0 {
		p.lookback = g.of("1m", "3600", "0", "90.5", "2h")
	}
	return p
}

// question asks a panel for some time: mostly for the last one.
func (g *generator) question(p panel) question {
	step := p.step.Milliseconds()
	now := g.world.now.Load()
	end := now
	switch g.IntN(10) {
	case 0, 1, 2:
		end -= g.Int64N(g.world.scale.history.Milliseconds())
	case 3:
		end += g.Int64N(10 * step)
	case 4:
		end -= freshness.Milliseconds() + g.Int64N(2*step+1) - step
	}
	end -= ((end-p.phase)%step + step) % step
	n := int64(p.points)
	if g.IntN(3) == 0 {
		n = int64(g.IntN(p.points))
	}
	start := end - n*step
	if g.IntN(10) == 0 {
		end += g.Int64N(step)
	}
	if g.IntN(30) == 0 {
		start += g.Int64N(step)
	}
	q := question{panel: p, params: url.Values{"query": {p.query}, "start": {g.time(start)}, "end": {g.time(max(start, end))}}, gzip: g.IntN(3) == 0}
	q.params.Set("step", g.of(strconv.FormatFloat(p.step.Seconds(), 'f', -1, 64), strconv.FormatInt(step, 10)+"ms"))
	if p.lookback != "" {
		q.params.Set("lookback_delta", p.lookback)
	}
	switch g.IntN(40) {
	case 0:
		q.params.Set("limit", g.of("0", "1", "3"))
	case 1:
		q.params.Set("stats", g.of("all", "x"))
	case 2:
		q.params.Set("timeout", "50s")
	}
	return q
}

// time writes a time in one of the ways that there are.
func (g *generator) time(t int64) string {
	switch g.IntN(3) {
	case 0:
		return time.UnixMilli(t).In(time.FixedZone("", 7200)).Format(time.RFC3339Nano)
	case 1:
		return strconv.FormatFloat(float64(t)/1000, 'f', 3, 64)
	}
	return strconv.FormatFloat(float64(t)/1000, 'g', -1, 64)
}

// reply is an answer as its client reads it.
type reply struct {
	status               int
	contentType, outcome string
	body                 string
}

// ask compares the gateway's answer with Prometheus' own.
func (s *shares) ask(w *world, q question) error {
	through, err := w.get(w.gateway, fmt.Sprintf("/projects/p/environments/e%d/api/v1/query_range", q.environment), q.params, q.gzip)
	if err != nil {
		return err
	}
	text, original, err := enforced(q)
	if err != nil {
		return err
	}
	params := maps.Clone(q.params)
	params.Set("query", text)
	direct, err := w.get(w.api, "/api/v1/query_range", params, false)
	if err != nil {
		return err
	}
	varies := false
	if err := through.compare(direct, original); err != nil {
		if varies = w.alsoGives(params, direct, through); !varies {
			return fmt.Errorf("at %d, %s\n%+v of e%d, each %v, lookback %q, became %s: %w", w.now.Load(), q.query, q.params, q.environment, q.step, q.lookback, text, err)
		}
	}
	s.count(through, direct, varies)
	return nil
}

func enforced(q question) (text string, original func(string) string, err error) {
	policy, err := promql.NewPolicy(policies[q.environment])
	if err != nil || policy == nil {
		return q.query, func(message string) string { return message }, err
	}
	query, err := new(promql.Parser).Query(policy, q.query)
	if err != nil {
		// Prometheus is asked for what the gateway refuses, too; see compare.
		return q.query, nil, nil
	}
	return query.Text(), query.Original, nil
}

func (w *world) get(h http.Handler, path string, params url.Values, compressed bool) (reply, error) {
	r := httptest.NewRequest(http.MethodGet, path+"?"+params.Encode(), nil)
	r.Header.Set("Authorization", "Bearer x")
	if compressed {
		r.Header.Set("Accept-Encoding", "gzip")
	}
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, r)
	got := reply{answer.Code, answer.Header().Get("Content-Type"), answer.Header().Get("X-Promgate-Cache"), answer.Body.String()}
	if answer.Header().Get("Content-Encoding") == "gzip" {
		if !compressed {
			return got, errors.New("the answer is compressed although gzip is not accepted")
		}
		decoder, err := gzip.NewReader(answer.Body)
		if err != nil {
			return got, err
		}
		body, err := io.ReadAll(decoder)
		if err != nil {
			return got, err
		}
		got.body = string(body)
	}
	return got, nil
}

// timings are what no two evaluations have in common.
var timings = regexp.MustCompile(`"timings":\{[^}]*\}`)

func (r reply) compare(want reply, original func(string) string) error {
	if original == nil { // it cannot be enforced
		if r.status != http.StatusBadRequest || r.outcome != "" {
			return fmt.Errorf("%+v, want a refusal", r)
		}
		return nil
	}
	got := r.body
	if r.status == want.status && r.contentType == want.contentType && timings.ReplaceAllString(got, "") == timings.ReplaceAllString(want.body, "") {
		return nil
	}
	if r.status == want.status && r.status != http.StatusOK {
		var a, b struct{ Status, ErrorType, Error string }
		if json.Unmarshal([]byte(got), &a) == nil && json.Unmarshal([]byte(want.body), &b) == nil {
			// The gateway adds to an error that it words itself.
			a.Error, _, _ = strings.Cut(a.Error, " (request id ")
			if b.Error = original(b.Error); a == b {
				return nil
			}
		}
	}
	return fmt.Errorf("\n got %d %s %s %s\nwant %d %s %s", r.status, r.contentType, r.outcome, around(got, want.body), want.status, want.contentType, around(want.body, got))
}

// around is where a text begins to be another one.
func around(text, other string) string {
	if len(text) < 1500 {
		return text
	}
	i := 0
	for i < min(len(text), len(other)) && text[i] == other[i] {
		i++
	}
	return fmt.Sprintf("%s … from %d of %d … %s", text[:100], i, len(text), text[max(0, i-300):min(len(text), i+300)])
}

// alsoGives tells whether Prometheus gives now one answer and now another one, of
// the points of which the gateway's consists. Some of its orders are those of a map:
// on them depend the last bits of a sum, what is chosen among equals, and the order of
// warnings, which is seldom another one where there are few.
func (w *world) alsoGives(params url.Values, first, another reply) bool {
	varies, seen := false, map[string]bool{}
	missing := pointsOf(another.body)
	if missing == nil {
		missing = map[string]bool{another.body: true}
	}
	for try := 0; try < 200 || varies && try < 1000; try++ {
		again, err := w.get(w.api, "/api/v1/query_range", params, false)
		if err != nil || again.status != another.status {
			return false
		}
		varies = varies || again.body != first.body
		given := pointsOf(again.body)
		if given == nil {
			given = map[string]bool{again.body: true}
		}
		for p := range given {
			seen[p] = true
			delete(missing, p)
		}
		if varies && len(missing) == 0 {
			return true
		}
	}
	return false
}

// pointsOf are the points of a matrix by their series and time; nil: it is none.
func pointsOf(body string) map[string]bool {
	var matrix struct {
		Data struct {
			Result []struct {
				Metric             json.RawMessage
				Values, Histograms []json.RawMessage
			}
		}
		Warnings, Infos []string
	}
	if json.Unmarshal([]byte(body), &matrix) != nil {
		return nil
	}
	points := map[string]bool{fmt.Sprint("notes ", len(matrix.Warnings), len(matrix.Infos)): true}
	for _, note := range append(matrix.Warnings, matrix.Infos...) {
		points[note] = true
	}
	for _, s := range matrix.Data.Result {
		for _, p := range append(s.Values, s.Histograms...) {
			points[string(bytes.Join([][]byte{s.Metric, p}, []byte{' '}))] = true
		}
	}
	return points
}

func (s *shares) count(through, direct reply, varies bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	s.outcomes[through.outcome]++
	if varies {
		s.varies++
	}
	switch {
	case direct.status != http.StatusOK:
		s.failed++
	case strings.Contains(direct.body, `"result":[]`):
		s.empty++
	}
	if strings.Contains(direct.body, `"warnings":[`) || strings.Contains(direct.body, `"infos":[`) {
		s.noted++
	}
}
