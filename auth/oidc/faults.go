package oidc

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"

	"golang.org/x/oauth2"

	"github.com/promgate/promgate/auth"
)

// Errors that Complete and Refresh return, wrapped. Both wrap auth.ErrInvalid,
// as all do that are neither of these nor wrap auth.ErrUnavailable.
var (
	// ErrAttempt means that the browser came back with what does not belong to
	// the sign-in that it began, such as one that is over: begin another one.
	ErrAttempt = fmt.Errorf("%w: the callback is of no sign-in that was begun here", auth.ErrInvalid)
	// ErrRefused means that the provider says no: the person declined, is
	// disabled, or the code or the refresh token is not good any more.
	ErrRefused = fmt.Errorf("%w: the OpenID provider refuses", auth.ErrInvalid)
)

const (
	maxCode = 64  // characters of an error's code that are repeated
	maxText = 300 // characters of other text of the provider
)

// refusal is the error for an OAuth error code. Codes that tell of the gateway
// as a client, or of the provider itself, are nobody's fault who signs in. Any
// other is a no, also those that no standard has.
func refusal(code, description string) error {
	kind := ErrRefused
	switch code {
	case "server_error", "temporarily_unavailable", "slow_down",
		"invalid_request", "invalid_client", "unauthorized_client", "unsupported_grant_type", "unsupported_response_type",
		"invalid_scope", "invalid_target", "request_not_supported", "request_uri_not_supported", "registration_not_supported":
		kind = fmt.Errorf("%w: the OpenID provider does not answer", auth.ErrUnavailable)
	}
	if description != "" {
		return fmt.Errorf("%w: %s (%s)", kind, clip(code, maxCode), clip(description, maxText))
	}
	return fmt.Errorf("%w: %s", kind, clip(code, maxCode))
}

// tokenFault is the error for what went wrong at the token endpoint. Its answer
// is not repeated, which may be a token that has a fault, but an error's code
// and description, and of these no secret.
func tokenFault(err error, secrets []string) error {
	var answer *oauth2.RetrieveError
	var network *url.Error
	switch {
	case errors.As(err, &answer):
		status := answer.Response.StatusCode
		if answer.ErrorCode == "" || status == 429 || status >= 500 {
			return fmt.Errorf("%w: the token endpoint answered %d", auth.ErrUnavailable, status)
		}
		return refusal(hide(answer.ErrorCode, secrets), hide(answer.ErrorDescription, secrets))
	case errors.As(err, &network):
		return unavailable(hide(network.Error(), secrets))
	}
	return fmt.Errorf("%w: the token endpoint's answer is cut off, too long or not one of OAuth 2.0", auth.ErrUnavailable)
}

// unavailable is the error for a provider that cannot be asked.
func unavailable(reason string) error {
	return fmt.Errorf("%w: %s", auth.ErrUnavailable, clip(reason, maxText))
}

// hide takes what is secret out of a text of the provider, which may repeat
// what it was sent.
func hide(text string, secrets []string) string {
	for _, s := range secrets {
		if s != "" {
			text = strings.NewReplacer(s, "[redacted]", url.QueryEscape(s), "[redacted]").Replace(text)
		}
	}
	return text
}

// clip bounds a text to so many characters, and replaces those that cannot be
// seen: it is another's, and is read in a log.
func clip(text string, limit int) string {
	var out strings.Builder
	for _, r := range text {
		if limit--; limit < 0 {
			out.WriteString("…")
			break
		}
		if !unicode.IsPrint(r) {
			r = '\uFFFD'
		}
		out.WriteRune(r)
	}
	return out.String()
}
