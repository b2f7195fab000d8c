package file

import (
	"maps"
	"net/textproto"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

const (
	removeHop         = "it belongs to a single connection, and the gateway's own decides; remove it"
	removeNegotiation = "the gateway sets it for each request; remove it"
	removeIdentity    = "it would act as somebody else towards the API server, which the gateway never does; remove it and grant the gateway's own identity what it needs"
	removeTrace       = "the gateway sets it for each request's trace; remove it"
)

// refusedHeaders are the headers that nobody can fix for all requests, each
// with the reason and what to do instead.
var refusedHeaders = map[string]string{
	"Authorization": "use bearerTokenFile or basicAuth with url; with service the API server takes the header for itself",
	"Cookie":        "the gateway sends no cookies; use bearerTokenFile or basicAuth",
	"Set-Cookie":    "the gateway sends no cookies; use bearerTokenFile or basicAuth",
	"Host":          "it follows from the target; write the name in url, or the certificate's name in tls.serverName",
	"Expect":        removeNegotiation,
	"Traceparent":   removeTrace,
	"Tracestate":    removeTrace,

	"Connection":          removeHop,
	"Keep-Alive":          removeHop,
	"Proxy-Authenticate":  removeHop,
	"Proxy-Authorization": removeHop,
	"Proxy-Connection":    removeHop,
	"Te":                  removeHop,
	"Trailer":             removeHop,
	"Transfer-Encoding":   removeHop,
	"Upgrade":             removeHop,
	"Http2-Settings":      removeHop,
}

// refusal says why a header cannot be fixed, or nothing. The name is canonical.
func refusal(name string) string {
	switch {
	case strings.HasPrefix(name, "Content-"), strings.HasPrefix(name, "Accept"):
		return removeNegotiation
	case strings.HasPrefix(name, "Impersonate-"), strings.HasPrefix(name, "X-Remote-"):
		return removeIdentity
	}
	return refusedHeaders[name]
}

// validateHeaders never repeats a value: it may be a secret all the same.
func (e *Environment) validateHeaders(at Path, report Report) {
	seen := map[string]Path{}
	for _, name := range slices.Sorted(maps.Keys(e.Headers)) {
		at := at.With(name)
		if !httpguts.ValidHeaderFieldName(name) {
			report(at, "%q is not a header name; write letters, digits and hyphens, such as X-Scope-OrgID", clip(name))
			continue
		}
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		if reason := refusal(canonical); reason != "" {
			report(at, "the header %s cannot be set here: %s", canonical, reason)
		}
		if first, taken := seen[canonical]; taken {
			report(at, "the header %s is written twice, also in %v; header names are the same in upper and lower case, keep one", canonical, first)
		}
		seen[canonical] = at
		value := e.Headers[name]
		switch {
		case strings.TrimSpace(value) == "":
			report(at, "the header %s has an empty value; write the value, or remove the header", canonical)
		case !httpguts.ValidHeaderFieldValue(value) || value != strings.TrimSpace(value):
			report(at, "the value of the header %s has control characters or spaces at an end; write it as plain text on one line", canonical)
		}
	}
}
