package file

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/promgate/promgate/routing"
)

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
	if problem := routing.PathProblem(path); problem != "" {
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
		if !routing.IsLabel(strings.ReplaceAll(strings.ToLower(label), "_", "x")) {
			return false
		}
	}
	return true
}
