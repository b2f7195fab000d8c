// Package jwt mints endpoint tokens and verifies them. A token is a JWT that is
// signed with Ed25519; it is accepted only as the very bytes that Mint makes of
// what it says, and only while the store's snapshot vouches for its id.
package jwt

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	gojwt "github.com/golang-jwt/jwt/v5"

	"github.com/promgate/promgate/tokens"
)

const (
	// Type is the typ of an endpoint token's header. It tells the gateway's own
	// tokens from every other JWT.
	Type = "promgate-endpoint+jwt"
	// Audience is the aud of every endpoint token.
	Audience = "promgate"
	// MaxTokenBytes bounds a token's length. Minted tokens have some 500 bytes.
	MaxTokenBytes = 8 << 10
)

// clockSkew is how far the clocks of two replicas may differ. A token holds
// this long before it was made, so that a replica whose clock is behind accepts
// it at once; nothing is added at its end.
const clockSkew = time.Minute

// claims are what a token says. Each is a plain string or whole number, so that
// there is one way to write each token.
type claims struct {
	Issuer    string `json:"iss"`
	Audience  string `json:"aud"`
	ID        string `json:"jti"`
	IssuedAt  int64  `json:"iat"`
	NotBefore int64  `json:"nbf"`
	ExpiresAt int64  `json:"exp"`

	ProjectUID     string `json:"prj"`
	EnvironmentUID string `json:"env,omitempty"`
	// WholeProject is said aloud: a token without environment and without this
	// opens nothing.
	WholeProject bool `json:"all,omitempty"`
}

// Mint makes the token of a record: signed with the key, good from the record's
// CreatedAt to its ExpiresAt. The record needs an ID, the key's id as KeyID and
// a scope of a project UID with either both name and UID of an environment, or
// neither. The token is the only copy; the caller shows it once.
func Mint(key tokens.Key, issuer string, r tokens.Record) (string, error) {
	switch {
	case len(key.Private) != ed25519.PrivateKeySize || key.ID == "":
		return "", errors.New("mint token: the signing key is empty or damaged")
	case issuer == "":
		return "", errors.New("mint token: the issuer is empty")
	case r.ID == "":
		return "", errors.New("mint token: the record has no id")
	case r.KeyID != key.ID:
		return "", fmt.Errorf("mint token: the record names key %q, the signing key is %q", r.KeyID, key.ID)
	case r.Scope.ProjectUID == "":
		return "", errors.New("mint token: the scope has no project UID")
	case (r.Scope.Environment == "") != (r.Scope.EnvironmentUID == ""):
		return "", errors.New("mint token: the scope needs both name and UID of the environment, or neither")
	case r.CreatedAt.IsZero() || !r.ExpiresAt.After(r.CreatedAt):
		return "", errors.New("mint token: the token would end before it begins")
	}
	c := &claims{
		Issuer:         issuer,
		Audience:       Audience,
		ID:             r.ID,
		IssuedAt:       r.CreatedAt.Unix(),
		NotBefore:      r.CreatedAt.Add(-clockSkew).Unix(),
		ExpiresAt:      ceilSecond(r.ExpiresAt),
		ProjectUID:     r.Scope.ProjectUID,
		EnvironmentUID: r.Scope.EnvironmentUID,
		WholeProject:   r.Scope.Environment == "",
	}
	token, err := unsigned(key.ID, c).SignedString(key.Private)
	if err != nil {
		return "", fmt.Errorf("mint token: %w", err)
	}
	if len(token) > MaxTokenBytes {
		return "", fmt.Errorf("mint token: it would have %d bytes, over the bound of %d: names or UIDs are too long",
			len(token), MaxTokenBytes)
	}
	return token, nil
}

// unsigned is the token that says c, before it is signed. Minting and
// verification both write tokens with it, and it writes the same bytes for the
// same claims: encoding/json sorts the header's keys and keeps the order of the
// claims' fields.
func unsigned(keyID string, c *claims) *gojwt.Token {
	t := gojwt.NewWithClaims(gojwt.SigningMethodEdDSA, c)
	t.Header["typ"] = Type
	t.Header["kid"] = keyID
	return t
}

// ceilSecond rounds up, because a record must not end later than its token.
func ceilSecond(t time.Time) int64 {
	if t.Nanosecond() > 0 {
		return t.Unix() + 1
	}
	return t.Unix()
}

// Validate checks what the JWT library does not know of: it is called after
// the signature and the form, beside the library's own checks of aud, nbf and exp.
func (c *claims) Validate() error {
	switch {
	case c.ID == "" || c.IssuedAt == 0:
		return gojwt.ErrTokenRequiredClaimMissing
	case c.ProjectUID == "" || c.WholeProject != (c.EnvironmentUID == ""):
		return errScope
	}
	return nil
}

var errScope = errors.New("the token's scope is neither one environment nor a whole project")

// The methods below make claims a gojwt.Claims. A zero time is a missing claim.

// GetIssuer returns iss.
func (c *claims) GetIssuer() (string, error) { return c.Issuer, nil }

// GetSubject returns nothing: endpoint tokens have no sub.
func (c *claims) GetSubject() (string, error) { return "", nil }

// GetAudience returns the one aud.
func (c *claims) GetAudience() (gojwt.ClaimStrings, error) {
	return gojwt.ClaimStrings{c.Audience}, nil
}

// GetIssuedAt returns iat.
func (c *claims) GetIssuedAt() (*gojwt.NumericDate, error) { return numericDate(c.IssuedAt), nil }

// GetNotBefore returns nbf.
func (c *claims) GetNotBefore() (*gojwt.NumericDate, error) { return numericDate(c.NotBefore), nil }

// GetExpirationTime returns exp.
func (c *claims) GetExpirationTime() (*gojwt.NumericDate, error) {
	return numericDate(c.ExpiresAt), nil
}

func numericDate(seconds int64) *gojwt.NumericDate {
	if seconds == 0 {
		return nil
	}
	return gojwt.NewNumericDate(time.Unix(seconds, 0))
}
