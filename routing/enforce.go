package routing

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// EnforceProblem says what is wrong with a label that is to be enforced with
// these values, and what to do; empty: nothing. An empty value would match what
// lacks the label, and so what is nobody's.
func EnforceProblem(label string, values []string) string {
	switch {
	case label == "" || !isPlain(label):
		return "a label that is enforced needs a name without control characters; write the label that tells the tenants apart, such as namespace"
	case strings.HasPrefix(label, "__"):
		return fmt.Sprintf("the label %s is Prometheus' own and cannot be enforced; write one that the series carry, such as namespace", Clip(label))
	case len(values) == 0:
		return fmt.Sprintf("the label %s is enforced without a value, so that nothing could be seen; write its values, or remove it", Clip(label))
	}
	for i, v := range values {
		switch {
		case v == "":
			return fmt.Sprintf("a value of the label %s is empty, which would show what lacks the label; write the tenant's own value", Clip(label))
		case !isPlain(v):
			return fmt.Sprintf("a value of the label %s is no plain text; correct it", Clip(label))
		case slices.Index(values, v) < i:
			return fmt.Sprintf("the label %s has the value %q twice; remove one", Clip(label), Clip(v))
		}
	}
	return ""
}

func isPlain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}
