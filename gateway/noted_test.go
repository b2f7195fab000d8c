package gateway

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var notedRounds = flag.Int("noted.rounds", 40, "worlds of TestNotedRandom")

// remarks is an upstream that has something to remark on some steps, by their times
// in milliseconds. What it says depends on all of them that are in the range, and on
// how many steps come after, up to 64.
type remarks struct {
	noted func(t int64) bool
	times bool // whether it says when
	asked atomic.Int64
}

func (u *remarks) serve(w http.ResponseWriter, r *http.Request) {
	answerJSON(http.StatusOK, u.answer(r.URL.Query()))(w, r)
	u.asked.Add(stepsOf(r.URL.Query()))
}

func stepsOf(q url.Values) int64 {
	start, _ := parseTime(q.Get("start"))
	end, _ := parseTime(q.Get("end"))
	step, _ := parseDuration(q.Get("step"))
	return int64(end.Sub(start)/step) + 1
}

func (u *remarks) answer(q url.Values) string {
	body := pointsFor(q)
	start, _ := parseTime(q.Get("start"))
	end, _ := parseTime(q.Get("end"))
	step, _ := parseDuration(q.Get("step"))
	first, last, count, after := int64(0), int64(0), 0, 0
	for t := start.UnixMilli(); t <= end.UnixMilli(); t += step.Milliseconds() {
		switch {
		case u.noted(t) && count == 0:
			first, last, count, after = t, t, 1, 0
		case u.noted(t):
			last, count, after = t, count+1, 0
		default:
			after++
		}
	}
	if count == 0 {
		return body
	}
	info := fmt.Sprintf("PromQL info: %d steps of %d to %d, and %d after", count, first, last, min(after, 64))
	if u.times {
		info += fmt.Sprintf(", from %s to %s (1:1)", time.UnixMilli(first).UTC().Format(time.RFC3339), time.UnixMilli(last).UTC().Format(time.RFC3339))
	}
	return body[:len(body)-1] + `,"infos":["` + info + `"]}`
}

// TestNoted: a dashboard whose query has infos for some minutes gets them each time,
// and the points that it was given are not asked for again.
func TestNoted(t *testing.T) {
	for _, times := range []bool{true, false} {
		t.Run(fmt.Sprint("times ", times), func(t *testing.T) {
			h, clock := newKeeping(t)
			up := &remarks{times: times, noted: func(t int64) bool { return t >= (noon-7200)*1000 && t <= (noon-7140)*1000 }}
			h.up.answerWith(up.serve)
			asked := make([]int64, 20)
			for i := range asked {
				clock.Store(noon + 600 + int64(i)*15)
				q := from(-21600+int64(i)*15, 600+int64(i)*15, "15", "up")
				values, _ := url.ParseQuery(q)
				up.asked.Store(0)
				got := h.get(production + "api/v1/query_range?" + q)
				if want := up.answer(values); got.status != http.StatusOK || got.body != want || !strings.Contains(want, "infos") {
					t.Fatalf("refresh %d: answer %d, %d bytes of %d, ends in %.200s", i, got.status, len(got.body), len(want), got.body[max(0, len(got.body)-200):])
				}
				asked[i] = up.asked.Load()
			}
			// The whole once, and where the infos do not tell, once more to find them.
			total, most := int64(0), int64(1481*3/2)
			if !times {
				most = 1481 * 3
			}
			for _, n := range asked[:5] {
				total += n
			}
			if last := asked[len(asked)-1]; total > most || last > 41+2*64+20 {
				t.Errorf("steps that were asked for: %v", asked)
			}
			h.wantNothingLeft()
		})
	}
}

// TestNotedAlways: a query that has infos everywhere is passed through.
func TestNotedAlways(t *testing.T) {
	h, _ := newKeeping(t)
	up := &remarks{noted: func(int64) bool { return true }}
	h.up.answerWith(up.serve)
	q := from(-21600, 600, "15", "up")
	values, _ := url.ParseQuery(q)
	var outcomes []string
	for range 6 {
		got := h.get(production + "api/v1/query_range?" + q)
		if got.body != up.answer(values) {
			t.Fatalf("got %.300s", got.body)
		}
		outcomes = append(outcomes, got.header.Get(outcomeHeader))
	}
	if want := []string{"miss", "miss", "bypass", "bypass", "bypass", "bypass"}; !slices.Equal(outcomes, want) {
		t.Errorf("outcomes %v, want %v", outcomes, want)
	}
	if most := 5 * stepsOf(values) * 3 / 2; up.asked.Load() > most {
		t.Errorf("%d steps were asked for, %d in the range", up.asked.Load(), stepsOf(values))
	}
}

// TestNotedRandom asks for random ranges of data on which there are remarks here and
// there: every answer is the upstream's own.
func TestNotedRandom(t *testing.T) {
	kept := 0
	for round := range *notedRounds {
		t.Run(fmt.Sprint(round), func(t *testing.T) { kept += randomRemarks(t, rand.New(rand.NewPCG(uint64(round), 1))) })
	}
	if asked := 25 * *notedRounds; kept < asked/3 {
		t.Errorf("of %d answers %d were made of what is kept", asked, kept)
	}
}

// randomRemarks returns how many of 25 answers were made of what is kept.
func randomRemarks(t *testing.T, random *rand.Rand) (kept int) {
	h, clock := newKeeping(t)
	step := []int64{15, 60, 7}[random.IntN(3)]
	var areas [][2]int64
	for range random.IntN(4) {
		begin := (noon - random.Int64N(1200)*step) * 1000
		areas = append(areas, [2]int64{begin, begin + random.Int64N(30)*step*1000})
	}
	up := &remarks{times: random.IntN(2) == 0, noted: func(t int64) bool {
		return slices.ContainsFunc(areas, func(a [2]int64) bool { return t >= a[0] && t <= a[1] })
	}}
	h.up.answerWith(up.serve)
	length, end := 20+random.Int64N(800), int64(0)
	for range 25 {
		switch random.IntN(6) {
		case 0: // somewhere else
			end, length = -random.Int64N(900), 20+random.Int64N(800)
		case 1:
			end += random.Int64N(200)
		default:
			end += random.Int64N(3)
		}
		clock.Store(max(clock.Load(), noon+600+end*step-random.Int64N(900)))
		q := from((end-length)*step, end*step, fmt.Sprint(step), "up")
		values, _ := url.ParseQuery(q)
		got := h.get(production + "api/v1/query_range?" + q)
		if want := up.answer(values); got.status != http.StatusOK || got.body != want {
			t.Fatalf("%s (%s), remarks %v: answer %d, %d bytes of %d:\n%.400s\nwant\n%.400s", q, got.header.Get(outcomeHeader), areas,
				got.status, len(got.body), len(want), got.body[max(0, len(got.body)-400):], want[max(0, len(want)-400):])
		}
		if o := got.header.Get(outcomeHeader); o == "hit" || o == "partial" {
			kept++
		}
	}
	h.wantNothingLeft()
	return kept
}

// TestAvoided: a query whose answer carries a warning is passed through for five
// minutes, and then tried again.
func TestAvoided(t *testing.T) {
	h, clock := newKeeping(t)
	warned := func(w http.ResponseWriter, r *http.Request) {
		body := pointsFor(r.URL.Query())
		answerJSON(http.StatusOK, body[:len(body)-1]+`,"warnings":["PromQL warning: w"]}`)(w, r)
	}
	h.up.answerWith(warned)
	q := "api/v1/query_range?" + from(-600, 600, "15", "up")
	ask := func(outcome string) {
		t.Helper()
		got := h.get(production + q)
		if calls := len(h.up.take()); got.status != http.StatusOK || got.header.Get(outcomeHeader) != outcome || calls != 1 {
			t.Errorf("answer %d, %q, %d calls; want %q and one", got.status, got.header.Get(outcomeHeader), calls, outcome)
		}
	}
	ask("miss")
	ask("bypass")
	clock.Add(299)
	ask("bypass")
	h.up.answerWith(everyStep)
	ask("bypass")
	clock.Add(1)
	ask("miss")
	ask("partial")
}
