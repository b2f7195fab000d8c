package cache

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
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
	for a, b = a[1:], b[1:]; ; {
		switch endA, endB := len(a) == 0 || a[0] != '"', len(b) == 0 || b[0] != '"'; {
		case endA && endB:
			return 0
		case endA:
			return -1
		case endB:
			return 1
		}
		for range 2 { // name, value
			i, j := endOfString(a, 1), endOfString(b, 1)
			if c := bytes.Compare(unescaped(a[1:i-1]), unescaped(b[1:j-1])); c != 0 {
				return c
			}
			a, b = a[i+1:], b[j+1:] // without what follows: a colon, a comma or the brace
		}
	}
}

// escapes are what stands for one byte after a backslash.
var escapes = map[byte]byte{'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// unescaped are the bytes that a string's text stands for. Bytes that are no UTF-8
// stay as they are, for Prometheus writes and orders them so.
func unescaped(text []byte) []byte {
	if bytes.IndexByte(text, '\\') < 0 {
		return text
	}
	plain := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			plain = append(plain, text[i])
			continue
		}
		i++
		if text[i] == 'u' {
			r := codeUnit(text[i:])
			i += 4
			if utf16.IsSurrogate(r) {
				if pair := utf16.DecodeRune(r, codeUnit(text[min(i+2, len(text)):])); pair != utf8.RuneError {
					r = pair
					i += 6
				}
			}
			plain = utf8.AppendRune(plain, r)
		} else if c, ok := escapes[text[i]]; ok {
			plain = append(plain, c)
		} else {
			plain = append(plain, text[i])
		}
	}
	return plain
}

// codeUnit reads u and four hexadecimal digits.
func codeUnit(text []byte) rune {
	if len(text) < 5 || text[0] != 'u' {
		return utf8.RuneError
	}
	n, err := strconv.ParseUint(string(text[1:5]), 16, 16)
	if err != nil {
		return utf8.RuneError
	}
	return rune(n)
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
