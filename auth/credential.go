package auth

import (
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
)

// maxCredentialBytes bounds the Authorization header: 8 KiB of token and as
// much again as Basic's base64 adds.
const maxCredentialBytes = 12 << 10

// Credential is what a request presents, before anybody has vouched for it. It
// prints as "[redacted]" wherever it is formatted or logged.
type Credential struct {
	// secret is a pointer because fmt looks into unexported fields of what
	// holds a Credential, where it calls no methods.
	secret *string
	basic  bool
}

// NewCredential wraps a bearer secret.
func NewCredential(secret string) Credential { return Credential{secret: &secret} }

// Secret is the token itself: the bearer token, or the password of Basic.
func (c Credential) Secret() string {
	if c.secret == nil {
		return ""
	}
	return *c.secret
}

// Basic tells whether the client sent the credential by Basic authentication.
func (c Credential) Basic() bool { return c.basic }

// String keeps the secret out of text.
func (c Credential) String() string { return "[redacted]" }

// Format keeps the secret out of formatted text, whatever the verb.
func (c Credential) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue keeps the secret out of logs.
func (c Credential) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// FromHeader reads the one credential of a request from its Authorization
// header: Bearer with the token, or Basic with the token as password and any
// user name. It returns ErrMissing where there is none, and ErrInvalid where
// there are several or the header is malformed; nothing else of the request is
// ever taken for a credential. Where the header is malformed, the Credential
// still tells whether it was Basic.
func FromHeader(h http.Header) (Credential, error) {
	values := h["Authorization"]
	switch {
	case len(values) == 0:
		return Credential{}, ErrMissing
	case len(values) > 1:
		return Credential{}, fmt.Errorf("%w: %d Authorization headers", ErrInvalid, len(values))
	case len(values[0]) > maxCredentialBytes:
		return Credential{}, fmt.Errorf("%w: Authorization header over %d bytes", ErrInvalid, maxCredentialBytes)
	}
	scheme, rest, found := strings.Cut(values[0], " ")
	switch {
	case found && strings.EqualFold(scheme, "Bearer"):
		secret := strings.Trim(rest, " ")
		if !isToken68(secret) {
			return Credential{}, fmt.Errorf("%w: bearer token has characters that no token has", ErrInvalid)
		}
		return NewCredential(secret), nil
	case found && strings.EqualFold(scheme, "Basic"):
		return fromBasic(rest)
	}
	return Credential{}, fmt.Errorf("%w: Authorization header is neither Bearer nor Basic", ErrInvalid)
}

func fromBasic(encoded string) (Credential, error) {
	c := Credential{basic: true}
	decoded, err := base64.StdEncoding.DecodeString(strings.Trim(encoded, " "))
	if err != nil {
		return c, fmt.Errorf("%w: Basic credentials are not base64", ErrInvalid)
	}
	_, password, found := strings.Cut(string(decoded), ":")
	if !found || !isToken68(password) {
		return c, fmt.Errorf("%w: Basic credentials hold no token as password", ErrInvalid)
	}
	c.secret = &password
	return c, nil
}

// isToken68 tells whether s is a token as RFC 9110 section 11.2 has it.
func isToken68(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '.', c == '_', c == '~', c == '+', c == '/', c == '=':
		default:
			return false
		}
	}
	return true
}
