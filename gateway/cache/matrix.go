// Package cache keeps the answers of range queries as Prometheus wrote them:
// the bytes of label sets and samples, never their numbers. It knows nothing of
// requests and their callers.
package cache

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
)

// errForm tells that an answer is not in the one form in which Prometheus writes
// matrices. It may be a good answer all the same, but it is not kept.
var errForm = errors.New("the answer is not a matrix in the form that Prometheus writes")

// errNotes tells that an answer carries warnings, or infos where there may be none.
// They are of one evaluation and never kept.
var errNotes = errors.New("the answer carries warnings or infos")

// Series is one series of a matrix, as the bytes that stand in the answer.
type Series struct {
	// Metric is the label set, with its braces.
	Metric []byte
	// Values and Histograms are samples, [time,"value"] or [time,{…}], in the
	// order of time and with a comma between two of them. Either may be empty.
	Values, Histograms []byte
}

// Parts of an answer, as web/api/v1/json_codec.go of Prometheus writes them.
var (
	matrixHead     = []byte(`{"status":"success","data":{"resultType":"matrix","result":[`)
	matrixTail     = []byte(`]}}`)
	dataEnd        = []byte(`]}`)
	infosHead      = []byte(`,"infos":[`)
	metricHead     = []byte(`{"metric":{`)
	valuesHead     = []byte(`,"values":[`)
	histogramsHead = []byte(`,"histograms":[`)
	arrayEnd       = []byte(`]]`)
)

// Scan finds the series of an answer without remarks. They are slices of the body,
// and added to those given.
func Scan(body []byte, series []Series) ([]Series, error) {
	series, infos, err := ScanInfos(body, series)
	if infos != nil {
		return nil, errNotes
	}
	return series, err
}

// ScanInfos is Scan for answers that may carry infos, but no warnings. Those are
// returned as they stand after the answer's data; nil: there are none.
func ScanInfos(body []byte, series []Series) (_ []Series, infos []byte, err error) {
	series, rest, err := scanMatrix(body, series)
	if err != nil {
		return nil, nil, err
	}
	tail, ok := bytes.CutPrefix(rest, matrixTail)
	switch {
	case ok && len(bytes.TrimRight(tail, "\n")) == 0:
		return series, nil, nil
	case bytes.HasPrefix(rest, []byte(`]},"warnings":[`)):
		return nil, nil, errNotes
	}
	infos, ok = bytes.CutPrefix(bytes.TrimRight(rest, "\n"), dataEnd)
	if !ok || !bytes.HasPrefix(infos, infosHead) || !onlyInfos(infos) {
		return nil, nil, errForm
	}
	return series, infos[: len(infos)-1 : len(infos)-1], nil
}

// onlyInfos tells whether the end of an answer is a list of infos and nothing else.
func onlyInfos(text []byte) bool {
	var end map[string]json.RawMessage
	var infos []string
	whole := append([]byte{'{'}, text[1:]...)
	return json.Unmarshal(whole, &end) == nil && len(end) == 1 && json.Unmarshal(end["infos"], &infos) == nil
}

// scanMatrix finds the series, and what comes after them.
func scanMatrix(body []byte, series []Series) (_ []Series, rest []byte, err error) {
	rest, ok := bytes.CutPrefix(body, matrixHead)
	if !ok {
		return nil, nil, errForm
	}
	for len(rest) > 0 && rest[0] == '{' {
		var s Series
		if s, rest, ok = scanSeries(rest); !ok {
			return nil, nil, errForm
		}
		series = append(series, s)
		if len(rest) > 1 && rest[0] == ',' && rest[1] == '{' {
			rest = rest[1:]
		} else if len(rest) > 0 && rest[0] == '{' {
			return nil, nil, errForm
		}
	}
	return series, rest, nil
}

// scanSeries takes one series off the text.
func scanSeries(text []byte) (s Series, rest []byte, ok bool) {
	if !bytes.HasPrefix(text, metricHead) {
		return s, nil, false
	}
	end := endOfLabels(text, len(metricHead))
	if end < 0 {
		return s, nil, false
	}
	s.Metric, rest = text[len(metricHead)-1:end], text[end:]
	if after, found := bytes.CutPrefix(rest, valuesHead); found {
		// Values are numbers in quotes: no bracket but those of samples.
		n := bytes.Index(after, arrayEnd)
		if n < 0 || after[0] != '[' {
			return s, nil, false
		}
		s.Values, rest = after[:n+1], after[n+2:]
	}
	if after, found := bytes.CutPrefix(rest, histogramsHead); found {
		n := endOfArray(after)
		if n < 1 || after[0] != '[' || after[n] != ']' {
			return s, nil, false
		}
		s.Histograms, rest = after[:n], after[n+1:]
	}
	if len(rest) == 0 || rest[0] != '}' || s.Values == nil && s.Histograms == nil {
		return s, nil, false
	}
	return s, rest[1:], true
}

// endOfLabels returns the place after the brace that ends a label set; negative:
// it is none. i is the place after the one that begins it. What it takes for a
// label set can be compared with others.
func endOfLabels(text []byte, i int) int {
	if i < len(text) && text[i] == '}' {
		return i + 1
	}
	for {
		for _, after := range [...]string{":", ",}"} { // of a name, of a value
			if i >= len(text) || text[i] != '"' {
				return -1
			}
			if i = endOfString(text, i+1); i < 0 || i >= len(text) || strings.IndexByte(after, text[i]) < 0 {
				return -1
			}
			i++
		}
		if text[i-1] == '}' {
			return i
		}
	}
}

// endOfString returns the place after the quote that ends a string; negative:
// none does.
func endOfString(text []byte, i int) int {
	for {
		n := bytes.IndexByte(text[i:], '"')
		if n < 0 {
			return -1
		}
		backslashes := 0
		for j := i + n - 1; j >= i && text[j] == '\\'; j-- {
			backslashes++
		}
		if i += n + 1; backslashes%2 == 0 {
			return i
		}
	}
}

// endOfArray returns the place of the bracket that ends an array whose first
// element begins the text; negative: none does.
func endOfArray(text []byte) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '[', '{':
			depth++
		case ']', '}':
			if depth == 0 {
				return i
			}
			depth--
		case '"':
			if i = endOfString(text, i+1) - 1; i < 0 {
				return -1
			}
		}
	}
	return -1
}
