package cache

import (
	"bytes"
	"encoding/json"
	"strings"
)

// compare tells which of two label sets Prometheus writes first, as cmp.Compare
// does: labels are compared one after the other by name and then by value, and a
// set that ends first is first (labels.Compare in Prometheus' model/labels).
func compare(a, b []byte) int {
	n := common(a, b)
	if n == len(a) && n == len(b) {
		return 0
	}
	if bytes.IndexByte(a, '\\') >= 0 || bytes.IndexByte(b, '\\') >= 0 {
		return compareEscaped(a, b)
	}
	// Back to where the label begins that differs: the text before is the same,
	// and without escapes quotes are where strings begin and end.
	for n > 1 && !(a[n-1] == ',' && bytes.Count(a[:n-1], []byte{'"'})%4 == 0) {
		n--
	}
	return compareLabels(a[n:], b[n:])
}

// compareLabels compares what begins with a label or with the end of a set.
func compareLabels(a, b []byte) int {
	for {
		switch endA, endB := a[0] != '"', b[0] != '"'; {
		case endA && endB:
			return 0
		case endA:
			return -1
		case endB:
			return 1
		}
		for range 2 { // name, value
			i, j := bytes.IndexByte(a[1:], '"')+1, bytes.IndexByte(b[1:], '"')+1
			if c := bytes.Compare(a[1:i], b[1:j]); c != 0 {
				return c
			}
			a, b = a[i+2:], b[j+2:] // the quote and what follows: a colon, a comma or the brace
		}
		if len(a) == 0 || len(b) == 0 {
			return len(a) - len(b)
		}
	}
}

// compareEscaped compares sets that hold escapes, which stand for other bytes.
func compareEscaped(a, b []byte) int {
	x, y := pairs(a), pairs(b)
	for i := 0; i < len(x) && i < len(y); i++ {
		if c := strings.Compare(x[i], y[i]); c != 0 {
			return c
		}
	}
	return len(x) - len(y)
}

// pairs are the names and values of a set, one after the other.
func pairs(metric []byte) []string {
	var all []string
	decoder := json.NewDecoder(bytes.NewReader(metric))
	for {
		token, err := decoder.Token()
		if err != nil {
			return all
		}
		if text, ok := token.(string); ok {
			all = append(all, text)
		}
	}
}

// common is how many bytes two texts begin with alike.
func common(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}

// ascending tells whether series stand in Prometheus' order, none of them twice.
func ascending(series []Series) bool {
	for i := 1; i < len(series); i++ {
		if compare(series[i-1].Metric, series[i].Metric) >= 0 {
			return false
		}
	}
	return true
}
