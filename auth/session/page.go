package session

import (
	"net/http"
	"net/url"
	"strings"
)

// PageHeader marks the page's own requests. No form and no link carries it, and
// a script of another site only where CORS allows it, which it never does.
const PageHeader = "X-Promgate-Page"

// FromPage tells whether a browser vouches that the request comes from the page
// itself: it carries the page's header, its fetch metadata say same-origin, and
// its Origin, if it has one, is the gateway's own: that of external, the URL by
// which clients reach the gateway, or the host that the request is for. See
// https://www.w3.org/TR/fetch-metadata/.
func FromPage(r *http.Request, external string) bool {
	v := r.Header[PageHeader]
	return len(v) == 1 && v[0] == "1" && sameOrigin(r, external)
}

// sameOrigin is FromPage without the page's header.
func sameOrigin(r *http.Request, external string) bool {
	if v := r.Header["Sec-Fetch-Site"]; len(v) != 1 || v[0] != "same-origin" {
		return false
	}
	origins := r.Header["Origin"]
	if len(origins) == 0 {
		return true
	}
	origin, err := url.Parse(origins[0])
	if len(origins) > 1 || err != nil || origin.Scheme != "http" && origin.Scheme != "https" || origin.Host == "" {
		return false
	}
	own, err := url.Parse(external)
	return strings.EqualFold(origin.Host, r.Host) ||
		err == nil && origin.Scheme == own.Scheme && strings.EqualFold(origin.Host, own.Host)
}
