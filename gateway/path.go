package gateway

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/common/model"
)

// maxPath is longer than any path of the endpoint table with names of the
// greatest length and a label name of 1 kB.
const maxPath = 2048

// isCanonical tells whether the path, as the client sent it, is in canonical
// form: segments of unreserved characters, none of them empty, "." or "..", no
// trailing slash. Escapes are let through where a label name may stand; what
// else they hide is refused here, before anything is looked up.
func isCanonical(r *http.Request) bool {
	path := r.RequestURI
	if !strings.HasPrefix(path, "/") {
		path = r.URL.EscapedPath() // the absolute form that a proxy is sent
	} else if i := strings.IndexByte(path, '?'); i >= 0 {
		path = path[:i]
	}
	if len(path) < 2 || len(path) > maxPath || path[0] != '/' || path != r.URL.EscapedPath() {
		return false
	}
	segmentStart := 1
	for i := 1; i <= len(path); i++ {
		if i == len(path) || path[i] == '/' {
			if s := path[segmentStart:i]; s == "" || s == "." || s == ".." {
				return false
			}
			segmentStart = i + 1
			continue
		}
		if !isUnreserved(path[i]) && path[i] != '%' && path[i] != ':' {
			return false
		}
	}
	return !strings.Contains(path, "%") || isLabelPath(path)
}

// environmentOf takes the path of an environment's read API apart:
// /projects/{project}/environments/{environment}/{endpoint}.
func environmentOf(path string) (at place, endpoint string, ok bool) {
	path, ok = strings.CutPrefix(path, "/projects/")
	if !ok {
		return place{}, "", false
	}
	at.project, path, _ = strings.Cut(path, "/")
	path, ok = strings.CutPrefix(path, "environments/")
	at.environment, endpoint, _ = strings.Cut(path, "/")
	return at, endpoint, ok && endpoint != ""
}

// isLabelPath tells whether escapes stand in the label name alone, as in
// /projects/p/environments/e/api/v1/label/h%C3%B6he/values.
func isLabelPath(path string) bool {
	head, rest, found := strings.Cut(path, "/api/v1/label/")
	if !found || strings.Contains(head, "%") {
		return false
	}
	_, rest, _ = strings.Cut(rest, "/")
	return !strings.Contains(rest, "%")
}

func isUnreserved(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return c == '-' || c == '.' || c == '_' || c == '~'
}

// isDNSLabel tells whether s can be the name of a project or an environment:
// lower case letters, digits and inner hyphens, at most 63 (RFC 1123).
func isDNSLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// labelName turns the label segment of a path, as sent, into the segment that
// goes upstream: the name itself where it is a legacy one (or escaped by the
// client already), else in Prometheus' U__ form. Escaped slashes, dots,
// backslashes, percent signs and control characters are refused although a
// label name may hold them: a client that means them can send the U__ form.
func labelName(segment string) (string, bool) {
	name, err := url.PathUnescape(segment)
	if err != nil || name == "" || !utf8.ValidString(name) {
		return "", false
	}
	if name != segment {
		if strings.ContainsAny(name, `/\%;`) || strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
			return "", false
		}
		if strings.Count(name, ".") != strings.Count(segment, ".") {
			return "", false
		}
	}
	if model.LegacyValidation.IsValidLabelName(name) {
		return name, true
	}
	if strings.HasPrefix(name, "U__") {
		return "", false // neither escaped nor surely meant as it stands
	}
	return escapeName(name), true
}

// escapeName writes a name in Prometheus' U__ form. It is model.EscapeName but
// for colons: legal in a metric's name, they are left alone there, and no label
// name may hold them.
func escapeName(name string) string {
	var b strings.Builder
	b.WriteString("U__")
	for _, r := range name {
		switch {
		case r == '_':
			b.WriteString("__")
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			b.WriteByte(byte(r))
		default:
			b.WriteByte('_')
			b.WriteString(strconv.FormatInt(int64(r), 16))
			b.WriteByte('_')
		}
	}
	return b.String()
}
