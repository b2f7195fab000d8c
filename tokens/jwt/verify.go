package jwt

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	gojwt "github.com/golang-jwt/jwt/v5"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/tokens"
)

const (
	// MaxStaleness is how old the snapshot may be, unless an option says
	// otherwise. Past it nobody can tell whether a token was revoked, and every
	// token is refused with auth.ErrUnavailable.
	MaxStaleness = 30 * time.Second
	// DefaultCacheSize is how many verified tokens are remembered, unless an
	// option says otherwise. Each takes about 500 bytes.
	DefaultCacheSize = 16384
)

// Result is how one check of a token ended, in the words of the metric.
type Result string

// The results of a check.
const (
	// ResultCached: accepted, the signature had been verified before.
	ResultCached Result = "ok_cached"
	// ResultOK: accepted after verifying the signature.
	ResultOK Result = "ok"
	// ResultInvalid: malformed, forged, or made for another installation.
	ResultInvalid Result = "invalid"
	// ResultExpired: well signed, but its time is over.
	ResultExpired Result = "expired"
	// ResultRevoked: well signed, but the store vouches for it no more, or
	// vouches for something else under its id.
	ResultRevoked Result = "revoked"
	// ResultUnavailable: not checked, because the snapshot is missing or stale.
	ResultUnavailable Result = "unavailable"
)

// Option changes a Verifier from its defaults.
type Option func(*Verifier)

// OnResult has f called once for each check, on the request's goroutine: f
// must be quick and safe for concurrent use.
func OnResult(f func(Result)) Option { return func(v *Verifier) { v.onResult = f } }

// WithMaxStaleness sets how old the snapshot may be, in place of MaxStaleness.
// A value that is not positive keeps the default.
func WithMaxStaleness(d time.Duration) Option {
	return func(v *Verifier) {
		if d > 0 {
			v.maxStaleness = d
		}
	}
}

// WithCacheSize sets how many verified tokens are remembered, in place of
// DefaultCacheSize. A value that is not positive keeps the default.
func WithCacheSize(n int) Option {
	return func(v *Verifier) {
		if n > 0 {
			v.cacheSize = n
		}
	}
}

// Verifier checks endpoint tokens against the store's snapshot, without I/O.
// It remembers the tokens whose signature it has verified; what can change
// (revocation, expiry, keys) is looked at on every request all the same. It is
// safe for concurrent use. Use NewVerifier.
type Verifier struct {
	snapshot     func() *tokens.Snapshot
	now          func() time.Time
	onResult     func(Result)
	maxStaleness time.Duration
	cacheSize    int
	parser       *gojwt.Parser
	validator    *gojwt.Validator
	// verified holds tokens by their SHA-256. Only tokens with a good signature
	// get in, so that nobody else can push them out.
	verified *lru.Cache[[sha256.Size]byte, *verified]
}

var _ auth.Authenticator = (*Verifier)(nil)

// NewVerifier makes a Verifier. snapshot is called once for each check and
// returns the store's present state; while it returns nil every token is
// refused with auth.ErrUnavailable. now is the clock.
func NewVerifier(snapshot func() *tokens.Snapshot, now func() time.Time, opts ...Option) *Verifier {
	v := &Verifier{
		snapshot:     snapshot,
		now:          now,
		onResult:     func(Result) {},
		maxStaleness: MaxStaleness,
		cacheSize:    DefaultCacheSize,
		parser: gojwt.NewParser(
			gojwt.WithValidMethods([]string{gojwt.SigningMethodEdDSA.Alg()}),
			gojwt.WithStrictDecoding(),
			gojwt.WithoutClaimsValidation(), // by the validator, after the form
		),
		validator: gojwt.NewValidator(
			gojwt.WithAudience(Audience),
			gojwt.WithExpirationRequired(),
			gojwt.WithNotBeforeRequired(),
			gojwt.WithTimeFunc(now),
		),
	}
	for _, o := range opts {
		o(v)
	}
	// The only error is a size that is not positive, and it is positive here.
	v.verified, _ = lru.New[[sha256.Size]byte, *verified](v.cacheSize)
	return v
}

// Recognizes tells whether the credential is a JWT whose header has the typ of
// endpoint tokens. It checks nothing else.
func (v *Verifier) Recognizes(c auth.Credential) bool { return hasType(c.Secret()) }

// Authenticate checks an endpoint token and returns the principal, with the
// token's id, and its one grant. Errors wrap auth.ErrInvalid or
// auth.ErrUnavailable and never hold any part of a token that is not well
// signed; of one that is, they name the id.
func (v *Verifier) Authenticate(_ context.Context, c auth.Credential) (*auth.Identity, error) {
	id, result, err := v.authenticate(c.Secret())
	v.onResult(result)
	return id, err
}

func (v *Verifier) authenticate(token string) (*auth.Identity, Result, error) {
	s, now := v.snapshot(), v.now()
	if s == nil {
		return nil, ResultUnavailable, fmt.Errorf("%w: the token records are not loaded yet", auth.ErrUnavailable)
	}
	whole, partly := s.Stale(now, v.maxStaleness)
	if whole {
		return nil, ResultUnavailable, fmt.Errorf("%w: the token records were last read more than %s ago", auth.ErrUnavailable, v.maxStaleness)
	}
	if len(token) > MaxTokenBytes {
		return nil, ResultInvalid, refused("the token is over %d bytes", MaxTokenBytes)
	}
	result := ResultCached
	sum := digest(token)
	t, found := v.verified.Get(sum)
	if !found {
		var err error
		if t, result, err = v.verify(s, token); err != nil {
			return nil, result, err
		}
	}
	live, bad, err := t.check(s, now)
	switch {
	case bad == ResultRevoked && partly, err == nil && live.Part.Age(now) > v.maxStaleness:
		return nil, ResultUnavailable, fmt.Errorf("%w: the part of the token records that would hold token %s was last read more than %s ago",
			auth.ErrUnavailable, t.claims.ID, v.maxStaleness)
	case err != nil:
		v.verified.Remove(sum)
		return nil, bad, err
	case live.Also != t.also:
		t, found = t.opening(live.Also), false
	}
	if !found {
		v.verified.Add(sum, t)
	}
	forward(live.LastUsed, now.UnixNano())
	return t.identity, result, nil
}

// verified is what stays true of a token once its signature has been verified.
type verified struct {
	identity  *auth.Identity
	claims    *claims
	expiresAt time.Time
	keyID     string
	key       ed25519.PublicKey
	also      auth.Grant
}

// opening is the same token with another grant beside its own.
func (t *verified) opening(also auth.Grant) *verified {
	next := *t
	next.also = also
	next.identity = &auth.Identity{Principal: t.identity.Principal, Grants: t.identity.Grants[:1:1]}
	if also != (auth.Grant{}) {
		next.identity.Grants = append(next.identity.Grants, also)
	}
	return &next
}

// verify checks all that a token says of itself: its form, signature and
// claims. The header's kid picks one of the loaded keys; no other field of the
// header is acted on, and none but alg, kid and typ may be there.
func (v *Verifier) verify(s *tokens.Snapshot, token string) (*verified, Result, error) {
	t := &verified{claims: &claims{}}
	parsed, err := v.parser.ParseWithClaims(token, t.claims, func(p *gojwt.Token) (any, error) {
		t.keyID, _ = p.Header["kid"].(string)
		t.key = s.Keys[t.keyID]
		if t.key == nil {
			return nil, errUnknownKey
		}
		return t.key, nil
	})
	if err == nil && !canonical(token, t, parsed.Signature) {
		err = errForm
	}
	if err == nil {
		err = v.validator.Validate(t.claims)
	}
	if err != nil {
		result, cause := explain(err)
		return nil, result, refused("%s", cause)
	}
	t.expiresAt = time.Unix(t.claims.ExpiresAt, 0)
	t.identity = &auth.Identity{
		Principal: auth.Principal{Kind: auth.KindEndpointToken, ID: t.claims.ID},
		Grants: []auth.Grant{{
			ProjectUID:     t.claims.ProjectUID,
			EnvironmentUID: t.claims.EnvironmentUID,
			WholeProject:   t.claims.WholeProject,
		}},
	}
	return t, ResultOK, nil
}

// canonical tells whether the token is byte for byte what Mint writes. That
// leaves no room for other header fields or typ, unknown or repeated claims,
// blanks, line breaks or a second spelling of the same base64.
func canonical(token string, t *verified, signature []byte) bool {
	want, err := unsigned(t.keyID, t.claims).SigningString()
	return err == nil && token == want+"."+base64.RawURLEncoding.EncodeToString(signature)
}

// check looks at all that can change after a token was verified. It runs for
// remembered tokens and for new ones alike.
func (t *verified) check(s *tokens.Snapshot, now time.Time) (*tokens.Live, Result, error) {
	c := t.claims
	if c.Issuer != s.Issuer {
		return nil, ResultInvalid, refused("token %s was made by another installation", c.ID)
	}
	if !bytes.Equal(t.key, s.Keys[t.keyID]) {
		return nil, ResultInvalid, refused("token %s was signed with a key that is no longer in use", c.ID)
	}
	if !now.Before(t.expiresAt) {
		return nil, ResultExpired, refused("token %s has expired", c.ID)
	}
	live := s.Tokens[c.ID]
	if live == nil {
		return nil, ResultRevoked, refused("token %s is revoked or was cut short, or its record is gone", c.ID)
	}
	if !now.Before(live.ExpiresAt) {
		return nil, ResultExpired, refused("token %s has expired", c.ID)
	}
	if live.KeyID != t.keyID || live.Scope.ProjectUID != c.ProjectUID ||
		live.Scope.EnvironmentUID != c.EnvironmentUID || (live.Scope.Environment == "") != c.WholeProject {
		return nil, ResultRevoked, refused("token %s says something else than its record", c.ID)
	}
	return live, "", nil
}

// digest is the token's SHA-256. Minted tokens fit the buffer, which stays off
// the heap, as a plain conversion would not.
func digest(token string) [sha256.Size]byte {
	var buffer [768]byte
	return sha256.Sum256(append(buffer[:0], token...))
}

// forward sets the time of last use, never back.
func forward(lastUsed *atomic.Int64, now int64) {
	if lastUsed == nil {
		return
	}
	for {
		old := lastUsed.Load()
		if now <= old || lastUsed.CompareAndSwap(old, now) {
			return
		}
	}
}

var (
	errUnknownKey = errors.New("the token names a key that is not in use here")
	errForm       = errors.New("the token is not in the form in which tokens are made")
)

func refused(format string, args ...any) error {
	return fmt.Errorf("%w: %s", auth.ErrInvalid, fmt.Sprintf(format, args...))
}

// explain puts the library's error into words of our own: its text may quote
// what a stranger has sent.
func explain(err error) (Result, string) {
	switch {
	case errors.Is(err, errUnknownKey):
		return ResultInvalid, errUnknownKey.Error()
	case errors.Is(err, errForm):
		return ResultInvalid, errForm.Error()
	case errors.Is(err, gojwt.ErrTokenSignatureInvalid):
		return ResultInvalid, "the token's signature or algorithm is not good"
	case errors.Is(err, gojwt.ErrTokenRequiredClaimMissing):
		return ResultInvalid, "the token lacks a required claim"
	case errors.Is(err, gojwt.ErrTokenInvalidAudience):
		return ResultInvalid, "the token is meant for another audience"
	case errors.Is(err, errScope):
		return ResultInvalid, errScope.Error()
	case errors.Is(err, gojwt.ErrTokenExpired):
		return ResultExpired, "the token has expired"
	case errors.Is(err, gojwt.ErrTokenNotValidYet):
		return ResultInvalid, "the token is not valid yet"
	case errors.Is(err, gojwt.ErrTokenUnverifiable):
		return ResultInvalid, "the token names no algorithm that is known"
	default:
		return ResultInvalid, "the token is malformed"
	}
}
