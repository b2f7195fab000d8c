package file

import (
	"maps"
	"net/textproto"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/promgate/promgate/routing"
)

// validateHeaders never repeats a value: it may be a secret all the same.
func (e *Environment) validateHeaders(at Path, report Report) {
	seen := map[string]Path{}
	for _, name := range slices.Sorted(maps.Keys(e.Headers)) {
		at := at.With(name)
		if !httpguts.ValidHeaderFieldName(name) {
			report(at, "%q is not a header name; write letters, digits and hyphens, such as X-Scope-OrgID", routing.Clip(name))
			continue
		}
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		if reason := routing.HeaderRefusal(canonical); reason != "" {
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
