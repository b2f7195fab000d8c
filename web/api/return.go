package api

import (
	"net/url"
	"strings"
)

// maxReturn bounds the place to return to, in bytes. A shared question is long.
const maxReturn = 8 << 10

// returnTo makes a place below the page of what the page asks for, or the page's
// beginning: names of screens, projects and environments, and a query that is
// written again. Whatever else it is, it is never a way out of the page.
func returnTo(text string) string {
	if len(text) > maxReturn {
		return ""
	}
	path, query, _ := strings.Cut(text, "?")
	if path != "" { // the page's beginning has a query too
		segments := strings.Split(path, "/")
		for i, segment := range segments {
			if !isName(segment, i > 0 && segments[i-1] == "dashboards") {
				return ""
			}
		}
	}
	values, err := url.ParseQuery(query)
	if query = values.Encode(); err != nil || query == "" || len(path)+1+len(query) > maxReturn {
		return path // written again it is up to three times as long
	}
	return path + "?" + query
}

// isName tells whether a segment is one of the page's: what a DNS label is made
// of, and within the name of a dashboard also dots.
func isName(segment string, dots bool) bool {
	if segment == "" || segment[0] == '.' || segment[len(segment)-1] == '.' {
		return false
	}
	for i := range len(segment) {
		c := segment[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && (c != '.' || !dots) {
			return false
		}
	}
	return true
}
