package routing

import "strings"

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

// HeaderRefusal says why a header cannot be sent with every request to a
// target, and what to do instead; or nothing. The name is canonical.
func HeaderRefusal(name string) string {
	switch {
	case strings.HasPrefix(name, "Content-"), strings.HasPrefix(name, "Accept"):
		return removeNegotiation
	case strings.HasPrefix(name, "Impersonate-"), strings.HasPrefix(name, "X-Remote-"):
		return removeIdentity
	}
	return refusedHeaders[name]
}
