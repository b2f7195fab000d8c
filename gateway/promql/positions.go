package promql

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/parser/posrange"
)

// How Prometheus tells where something is: of a syntax error by line and column,
// of a duration that cannot be computed by the first byte and the one after the
// last.
var (
	errorPosition    = regexp.MustCompile(`(?:^|: )(([0-9]+):([0-9]+): )parse error: `)
	durationPosition = regexp.MustCompile(`(?:^|: )(([0-9]+):([0-9]+): )(?:duration|division|modulo) `)
)

// Original rewrites an upstream's error message so that a
// position in it is one in the user's text. It is removed where the user's text
// has none that corresponds.
func (q *Query) Original(message string) string {
	if q.policy == nil || q.text == q.original {
		return message
	}
	for _, known := range []struct {
		pattern *regexp.Regexp
		mapped  func(q *Query, a, b int) string
	}{{errorPosition, mapLine}, {durationPosition, mapRange}} {
		found := known.pattern.FindStringSubmatchIndex(message)
		if found == nil {
			continue
		}
		replacement := ""
		a, errA := strconv.Atoi(message[found[4]:found[5]])
		b, errB := strconv.Atoi(message[found[6]:found[7]])
		if errA == nil && errB == nil {
			replacement = known.mapped(q, a, b)
		}
		if replacement != "" {
			replacement = message[found[2]:found[4]] + replacement + message[found[7]:found[3]]
		}
		return message[:found[2]] + replacement + message[found[3]:]
	}
	return message
}

// mapLine maps a line and column, both counted from 1, the latter in bytes, to
// where the smallest part starts that has something there.
func mapLine(q *Query, line, column int) string {
	start := 0
	for range line - 1 {
		n := strings.IndexByte(q.text[start:], '\n')
		if n < 0 {
			return ""
		}
		start += n + 1
	}
	if line < 1 || column < 1 || column > len(q.text)-start {
		return ""
	}
	at := posrange.Pos(start + column - 1)
	best, size := posrange.Pos(-1), posrange.Pos(0)
	q.walk(func(user, enforced posrange.PositionRange) {
		if at < enforced.Start || at >= enforced.End {
			return
		}
		if best < 0 || enforced.End-enforced.Start < size {
			best, size = user.Start, enforced.End-enforced.Start
		}
	})
	if best < 0 || int(best) > len(q.original) {
		return ""
	}
	return posrange.PositionRange{Start: best}.StartPosInput(q.original, 0)
}

// mapRange maps the range of an expression of durations.
func mapRange(q *Query, start, end int) string {
	mapped := ""
	q.walk(func(user, enforced posrange.PositionRange) {
		if enforced.Start == posrange.Pos(start) && enforced.End == posrange.Pos(end) {
			mapped = strconv.Itoa(int(user.Start)) + ":" + strconv.Itoa(int(user.End))
		}
	})
	return mapped
}

// walk calls f with where each node is in the user's text, and in the one that
// goes upstream.
func (q *Query) walk(f func(user, enforced posrange.PositionRange)) {
	user, err := everything.ParseExpr(q.original)
	if err != nil {
		return
	}
	enforced, err := everything.ParseExpr(q.text)
	if err != nil {
		return
	}
	t := twins{policy: q.policy, found: func(a, b parser.Expr) { f(a.PositionRange(), b.PositionRange()) }}
	t.same(user, enforced)
}
