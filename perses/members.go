package perses

import (
	"bytes"
	"encoding/json"
)

// member is one of a JSON object: its name, and where it stands.
type member struct {
	key               []byte
	start, value, end int
}

// eachMember calls f for each member of the outermost object. It tells whether
// the text is an object to its end; what the values hold it only skips, for they
// are JSON wherever the text as a whole is.
func eachMember(text []byte, f func(member)) bool {
	i := skipSpace(text, 0)
	if i >= len(text) || text[i] != '{' {
		return false
	}
	if i = skipSpace(text, i+1); i < len(text) && text[i] == '}' {
		return skipSpace(text, i+1) == len(text)
	}
	for {
		start := i
		end := skipString(text, i)
		if end < 0 {
			return false
		}
		m := member{start: start}
		if m.key = text[start+1 : end-1]; bytes.IndexByte(m.key, '\\') >= 0 {
			var name string
			if json.Unmarshal(text[start:end], &name) != nil {
				return false
			}
			m.key = []byte(name)
		}
		if i = skipSpace(text, end); i >= len(text) || text[i] != ':' {
			return false
		}
		m.value = skipSpace(text, i+1)
		if m.end = skipValue(text, m.value); m.end < 0 {
			return false
		}
		f(m)
		if i = skipSpace(text, m.end); i >= len(text) {
			return false
		}
		if text[i] == '}' {
			return skipSpace(text, i+1) == len(text)
		}
		if text[i] != ',' {
			return false
		}
		i = skipSpace(text, i+1)
	}
}

func skipSpace(text []byte, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == '\n' || text[i] == '\t' || text[i] == '\r') {
		i++
	}
	return i
}

// skipString returns the end of the string that begins at i; negative: none does.
func skipString(text []byte, i int) int {
	if i >= len(text) || text[i] != '"' {
		return -1
	}
	for i++; ; {
		n := bytes.IndexByte(text[i:], '"')
		if n < 0 {
			return -1
		}
		escapes := 0
		for escapes < n && text[i+n-escapes-1] == '\\' {
			escapes++
		}
		if i += n + 1; escapes%2 == 0 {
			return i
		}
	}
}

// skipValue returns the end of the value that begins at i; negative: it has none.
func skipValue(text []byte, i int) int {
	for depth, begin := 0, i; i < len(text); {
		switch text[i] {
		case '"':
			if i = skipString(text, i); i < 0 {
				return -1
			}
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return filled(begin, i)
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',':
			if depth == 0 {
				return filled(begin, i)
			}
		}
		i++
	}
	return -1
}

// filled is the end of a value, unless there is none.
func filled(begin, end int) int {
	if begin == end {
		return -1
	}
	return end
}
