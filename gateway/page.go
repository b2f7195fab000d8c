package gateway

import (
	"net/http"
	"net/url"
	"strings"
)

// pageEndpoint is the page, as log and metrics name it.
var pageEndpoint = &Endpoint{Name: "page", Methods: []string{http.MethodGet, http.MethodHead}}

// pagePath is where the page stands.
const pagePath = "/ui"

func isPagePath(path string) bool {
	return path == "/" || path == "" || path == pagePath || strings.HasPrefix(path, pagePath+"/")
}

func (g *Gateway) servePage(x *exchange, r *http.Request, prefix string) error {
	x.endpoint = pageEndpoint
	if !allows(pageEndpoint.Methods, r.Method) {
		return methodError(pageEndpoint.Methods, r.Method)
	}
	boundRest(x, r)
	g.page.ServePage(x, r, prefix)
	return nil
}

// below takes the prefix off the request's path, where it stands before it. A
// path that does not begin with it is as a proxy has left it.
func below(prefix string, r *http.Request) *http.Request {
	if prefix == "" {
		return r
	}
	uri, found := strings.CutPrefix(r.RequestURI, prefix)
	if !found || uri != "" && uri[0] != '/' && uri[0] != '?' {
		return r
	}
	if uri == "" || uri[0] == '?' {
		uri = "/" + uri
	}
	// What does not parse without its prefix would not have parsed with it.
	u, err := url.ParseRequestURI(uri)
	if err != nil {
		return r
	}
	inner := new(http.Request)
	*inner = *r
	inner.RequestURI, inner.URL = uri, u
	return inner
}
