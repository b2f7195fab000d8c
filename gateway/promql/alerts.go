package promql

import (
	"io"
	"strings"
	"time"
)

// FilterAlerts reads an upstream's answer to api/v1/alerts and returns those
// alerts that carry every enforced label with one of its values, in at most
// maxOutput bytes. Errors are as those of FilterRules.
func (p *Policy) FilterAlerts(r io.Reader, maxOutput int) ([]byte, error) {
	out := output{max: maxOutput}
	out.text(`{"status":"success","data":{"alerts":[`)
	hidden, err := readAnswer(r, func(a *answer) error {
		return a.onlyList("alerts", func() error {
			v, err := decodeItem[alert](a)
			if err != nil || p != nil && !p.owns(v.label) {
				return err
			}
			return out.item(v.complete())
		})
	})
	if err != nil {
		return nil, err
	}
	return out.finish("]}", hidden)
}

// alert is an Alert of web/api/v1/api.go.
type alert struct {
	Labels          labelSet  `json:"labels"`
	Annotations     labelSet  `json:"annotations"`
	State           string    `json:"state"`
	ActiveAt        timestamp `json:"activeAt,omitempty"`
	KeepFiringSince timestamp `json:"keepFiringSince,omitempty"`
	Value           string    `json:"value"`
}

func (a *alert) label(name string) string { return a.Labels[name] }

func (a *alert) complete() *alert {
	a.Labels, a.Annotations = a.Labels.complete(), a.Annotations.complete()
	return a
}

// labelSet is labels.Labels, which Prometheus writes as an object, never as null.
type labelSet map[string]string

func (l labelSet) complete() labelSet {
	if l == nil {
		return labelSet{}
	}
	return l
}

// number is the text of a JSON number, so that none loses precision here. An
// absent one is 0.
type number string

func (n *number) UnmarshalJSON(b []byte) error {
	switch {
	case b[0] == '-' || '0' <= b[0] && b[0] <= '9':
		*n = number(b)
	case string(b) != "null":
		return errWrongType
	}
	return nil
}

// MarshalJSON writes the text as it came.
func (n number) MarshalJSON() ([]byte, error) {
	if n == "" {
		return []byte("0"), nil
	}
	return []byte(n), nil
}

// timestamp is the text of an RFC 3339 time.
type timestamp string

// never is what Go writes for the zero time.
const never timestamp = "0001-01-01T00:00:00Z"

// UnmarshalJSON takes no escapes: a time has no need of any.
func (t *timestamp) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	text := strings.Trim(string(b), `"`)
	if _, err := time.Parse(time.RFC3339, text); err != nil || b[0] != '"' {
		return errWrongType
	}
	*t = timestamp(text)
	return nil
}

func (t timestamp) complete() timestamp {
	if t == "" {
		return never
	}
	return t
}
