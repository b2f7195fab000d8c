package routing

import (
	"fmt"
	"strconv"
	"strings"
)

// IsLabel tells whether s is a DNS label as RFC 1123 and Kubernetes have it:
// 1 to 63 lower-case letters, digits and hyphens, the first and the last of
// them no hyphen. Projects and environments have such names.
func IsLabel(s string) bool {
	if s == "" || len(s) > 63 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case c == '-' && i > 0 && i < len(s)-1:
		default:
			return false
		}
	}
	return true
}

// PathProblem says what is wrong with a path that upstream URLs will start
// with, or nothing. Only paths that every server on the way reads alike pass.
func PathProblem(p string) string {
	if !strings.HasPrefix(p, "/") {
		return fmt.Sprintf("the path %q does not start with a slash", Clip(p))
	}
	if p == "/" {
		return ""
	}
	for segment := range strings.SplitSeq(strings.TrimSuffix(p[1:], "/"), "/") {
		switch {
		case segment == "":
			return "the path has an empty segment (//)"
		case segment == "." || segment == "..":
			return "the path has a segment . or .."
		case strings.ContainsFunc(segment, reserved):
			return "the path has characters other than letters, digits and - . _ ~"
		}
	}
	return ""
}

func reserved(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return false
	}
	return !strings.ContainsRune("-._~", r)
}

// PortProblem says what is wrong with the name or number of a Service's port,
// or nothing.
func PortProblem(port string) string {
	if port == "" {
		return "the service has no port"
	}
	if strings.Trim(port, "0123456789") == "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || port[0] == '0' {
			return strconv.Quote(Clip(port)) + " is not a port number"
		}
		return ""
	}
	if !IsLabel(port) {
		return strconv.Quote(Clip(port)) + " is not a port name"
	}
	return ""
}

// Clip bounds what a message repeats of somebody's text.
func Clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
