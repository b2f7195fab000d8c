package gateway

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"
)

// Error types of Prometheus' API, and those that the gateway adds.
const (
	typeBadData      = "bad_data"
	typeExecution    = "execution"
	typeUnauthorized = "unauthorized"
	typeForbidden    = "forbidden"
	typeNotFound     = "not_found"
	typeMethod       = "method_not_allowed"
	typeTooMany      = "too_many_requests"
	typeUnavailable  = "unavailable"
	typeTimeout      = "timeout"
	typeBadGateway   = "bad_gateway"
	typeCanceled     = "canceled"
	typeInternal     = "internal"
)

// statusClientGone is what the log and the metrics say of a request whose
// client went away; nobody is there to read it.
const statusClientGone = 499

// maxErrorMessage keeps a whole error body under 1 KiB, which is what Grafana
// shows of it.
const maxErrorMessage = 800

// Error is a request that failed: what the client is told and, apart from it,
// what the operator's log says.
type Error struct {
	Status  int
	Type    string
	Message string
	// Quotes tells that Message may quote the query, which is not logged.
	Quotes bool
	// Cause is for the log alone.
	Cause error
	// Hop names the failing hop for the log: api server, rbac, service,
	// endpoints, prometheus. Empty where the request itself is at fault.
	Hop string
	// Advice is what the operator can apply, such as a missing Role. For the
	// log alone.
	Advice string
	// RetryAfter is sent as Retry-After in whole seconds. Zero: not sent.
	RetryAfter time.Duration
	// Allow is sent with a 405.
	Allow string
	// Limit names the budget that refused the request. Empty: none did.
	Limit string
}

func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Message + ": " + e.Cause.Error()
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

func badData(message string) *Error {
	return &Error{Status: http.StatusBadRequest, Type: typeBadData, Message: message}
}

type errorBody struct {
	Status    string `json:"status"`
	ErrorType string `json:"errorType"`
	Error     string `json:"error"`
}

// messageBody is an error in the form of a mount's clients.
type messageBody struct {
	Message string `json:"message"`
}

// writeError writes the error in Prometheus' own form; as text to
// clients of remote read, which read nothing else, and as Perses does below a
// mount. It is called by ServeHTTP alone.
func writeError(x *exchange, e *Error) {
	h := x.Header()
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((e.RetryAfter+time.Second-1)/time.Second)))
	}
	if e.Allow != "" {
		h.Set("Allow", e.Allow)
	}
	if e.Status == http.StatusUnauthorized {
		// Perses hands a Basic challenge on to the browser, so it is sent
		// only to a client that used Basic itself.
		if x.basic {
			h.Set("WWW-Authenticate", `Basic realm="promgate", charset="UTF-8"`)
		} else {
			h.Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		}
	}
	message := shorten(e.Message, maxErrorMessage) + " (request id " + x.id + ")"
	body, contentType := []byte(message+"\n"), "text/plain; charset=utf-8"
	switch {
	case x.plain:
		contentType = "application/json"
		body, _ = json.Marshal(messageBody{shorten(e.Message, maxErrorMessage)}) // a string always makes JSON
	case x.endpoint == nil || !x.endpoint.Body:
		contentType = "application/json"
		// Three strings always make JSON.
		body, _ = json.Marshal(errorBody{Status: "error", ErrorType: e.Type, Error: message})
	}
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	x.WriteHeader(e.Status)
	_, _ = x.Write(body) // a client that is gone needs no answer
}

// shorten cuts text so that its JSON form stays within the given bytes.
func shorten(text string, limit int) string {
	size := 0
	for i, r := range text {
		n := utf8.RuneLen(r)
		if r < 0x20 || r == '<' || r == '>' || r == '&' || r == utf8.RuneError || r == '\u2028' || r == '\u2029' {
			n = 6
		} else if r == '"' || r == '\\' {
			n = 2
		}
		if size += n; size > limit {
			return text[:i] + "…"
		}
	}
	return text
}
