package routing

import (
	"net/url"
	"strings"
)

// Alias brings the URL of a server into the one form in which such URLs are
// compared: lower-case scheme and host, no port that the scheme implies, no dot
// at the end of the host and no slash at the end of the path. It says what is
// wrong with what is no such URL, without repeating it: it may hold a password.
func Alias(raw string) (alias, problem string) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", "is no http or https URL"
	}
	if u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return "", "has more than scheme, host, port and path"
	}
	if u.Path != "" && PathProblem(u.EscapedPath()) != "" {
		return "", "has a path that is not plain"
	}
	host, port := strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")), u.Port()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if host == "" || port == "0" {
		return "", "is no http or https URL"
	}
	if port != "" && !(u.Scheme == "http" && port == "80") && !(u.Scheme == "https" && port == "443") {
		host += ":" + port
	}
	return u.Scheme + "://" + host + strings.TrimSuffix(u.EscapedPath(), "/"), ""
}
