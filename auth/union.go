package auth

import (
	"context"
	"fmt"
	"net/http"
)

// Union authenticates requests by exactly one of several kinds of credentials.
// Which kind decides is read from the credential's own marker; a credential
// that its kind refuses is never offered to another.
type Union []Authenticator

// Authenticate finds the request's one credential and has its kind check it.
// The Credential is returned also beside an error, for what it tells of the
// scheme. Errors wrap ErrMissing, ErrInvalid or ErrUnavailable.
func (u Union) Authenticate(ctx context.Context, h http.Header) (*Identity, Credential, error) {
	c, err := FromHeader(h)
	if err != nil {
		return nil, c, err
	}
	for _, a := range u {
		if a.Recognizes(c) {
			id, err := a.Authenticate(ctx, c)
			return id, c, err
		}
	}
	return nil, c, fmt.Errorf("%w: of no kind that this gateway accepts", ErrInvalid)
}
