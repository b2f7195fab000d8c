package file

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// isLabel tells whether s is a DNS label as RFC 1123 and Kubernetes have it.
func isLabel(s string) bool {
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

// pathProblem says what is wrong with a path that upstream URLs will start
// with, or nothing. Only paths that every server on the way reads alike pass.
func pathProblem(p string) string {
	if !strings.HasPrefix(p, "/") {
		return fmt.Sprintf("the path %q does not start with a slash", clip(p))
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

// CheckURL checks the base URL of a server and returns it without a trailing
// slash: http or https, a host, perhaps a port and a plain path, and nothing
// else. The error says what to write instead and repeats none of the URL, for
// it may hold a password.
func CheckURL(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Opaque != "" || u.Host == "" {
		return "", errors.New("not an absolute http or https URL; write one such as https://prometheus.example:9090")
	}
	switch {
	case u.User != nil:
		return "", errors.New("a URL cannot carry a user name or password; use basicAuth with a passwordFile")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(raw, "#"):
		return "", errors.New("a base URL has no query and no fragment; remove what follows the path")
	case !isHost(u.Hostname()) || strings.Contains(u.Host, "%"):
		return "", errors.New("the URL's host is neither a name nor an address; write a host name of letters, digits and hyphens, or an IP address")
	}
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return "", errors.New("the URL's port is not a number from 1 to 65535; correct it, or remove it with its colon")
		}
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	if problem := pathProblem(path); problem != "" {
		return "", fmt.Errorf("%s; write a plain one such as https://prometheus.example/prometheus", problem)
	}
	return u.Scheme + "://" + u.Host + strings.TrimSuffix(path, "/"), nil
}

// isHost tells whether s is a host name or an IP address.
func isHost(s string) bool {
	if addr, err := netip.ParseAddr(s); err == nil {
		return addr.Zone() == ""
	}
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		// Underscores are not in the standard, but in use.
		if !isLabel(strings.ReplaceAll(strings.ToLower(label), "_", "x")) {
			return false
		}
	}
	return true
}

// clip bounds what an error repeats of the file.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
