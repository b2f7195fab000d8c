package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/promgate/promgate/auth"
)

// maxSkew is how far the provider's clock may be ahead; go-oidc's for nbf.
const maxSkew = 5 * time.Minute

// Complete ends the sign-in with what the browser has brought back: the query
// of the redirect URL. A code is good once, so an Attempt is forgotten whatever
// the outcome. Errors wrap auth.ErrInvalid, some of them by ErrAttempt or
// ErrRefused, or auth.ErrUnavailable.
func (p *Provider) Complete(ctx context.Context, a Attempt, callback url.Values) (*Login, error) {
	if err := a.matches(callback); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	m, err := p.discovery.get(ctx)
	if err != nil {
		return nil, err
	}
	// RFC 9207: whose answer it is, or else a provider that is not this one could
	// have its code tried here.
	iss := callback.Get("iss")
	if (m.issuerInCallback || callback.Has("iss")) && !equal(iss, p.options.Issuer) {
		return nil, fmt.Errorf("%w: it is another issuer's, or tells none", ErrAttempt)
	}
	if code := callback.Get("error"); code != "" {
		return nil, refusal(code, "") // the description may be anybody's, and is a sentence for people
	}
	code := callback.Get("code")
	if code == "" {
		return nil, fmt.Errorf("%w: it has no code", ErrAttempt)
	}
	now, verifier := p.options.Now().Round(0), a.verifier.Secret()
	token, err := p.token(ctx, m, []string{code, verifier}, func(ctx context.Context, c *oauth2.Config) (*oauth2.Token, error) {
		return c.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	})
	if err != nil {
		return nil, err
	}
	id, err := p.idToken(ctx, m, token)
	switch {
	case err != nil:
		return nil, err
	case id == nil:
		return nil, fmt.Errorf("%w: the provider gave no id token", auth.ErrInvalid)
	case !equal(id.Nonce, a.nonce.Secret()):
		return nil, fmt.Errorf("%w: the id token's nonce is of another sign-in", auth.ErrInvalid)
	}
	l := &Login{CheckedAt: now, nonce: a.nonce, refreshToken: auth.NewCredential(token.RefreshToken)}
	return p.describe(ctx, m, l, token, id)
}

// Refresh asks the provider about the person again, and returns the login that
// takes l's place: the provider may have given it a new refresh token, and the
// old one must not be used again. Only one Refresh of a login may run at a time
// therefore. It goes on when ctx is cancelled, so that its answer is not lost.
//
// Errors wrap auth.ErrInvalid where the login is over: the provider says no
// (ErrRefused), has not given anything to ask with, or tells of another person.
// They wrap auth.ErrUnavailable where the provider cannot be asked; if there is
// a Login beside, it is l with a new refresh token, as due as before.
func (p *Provider) Refresh(ctx context.Context, l *Login) (*Login, error) {
	if !l.Refreshable() {
		return nil, fmt.Errorf("%w: the provider gave no refresh token to ask about the person with; "+
			"have it list the scope offline_access, or give one to this client", auth.ErrInvalid)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.timeout)
	defer cancel()
	m, err := p.discovery.get(ctx)
	if err != nil {
		return nil, err
	}
	now, old := p.options.Now().Round(0), l.refreshToken.Secret()
	token, err := p.token(ctx, m, []string{old}, func(ctx context.Context, c *oauth2.Config) (*oauth2.Token, error) {
		return c.TokenSource(ctx, &oauth2.Token{RefreshToken: old}).Token()
	})
	if err != nil {
		return nil, err
	}
	kept := l.clone()
	kept.refreshToken = auth.NewCredential(token.RefreshToken) // the old one where there is no new one
	next, err := p.refreshed(ctx, m, kept, token, now)
	if errors.Is(err, auth.ErrUnavailable) && token.RefreshToken != old {
		return kept, err
	}
	return next, err
}

// refreshed is the login after its token was refreshed. OpenID Connect Core 1.0
// section 12.2 tells what the id token may say, if there is any.
func (p *Provider) refreshed(ctx context.Context, m *metadata, l *Login, token *oauth2.Token, now time.Time) (*Login, error) {
	id, err := p.idToken(ctx, m, token)
	switch {
	case err != nil:
		return nil, err
	case id == nil && m.userInfoURL == "":
		return nil, fmt.Errorf("%w: the provider refreshes the token, but tells nothing of the person", auth.ErrInvalid)
	case id != nil && id.Nonce != "" && !equal(id.Nonce, l.nonce.Secret()):
		return nil, fmt.Errorf("%w: the new id token's nonce is of another sign-in", auth.ErrInvalid)
	case id != nil && !equal(id.Subject, l.Subject):
		return nil, fmt.Errorf("%w: the new id token is of another subject", auth.ErrInvalid)
	}
	next := l.clone()
	next.CheckedAt = now
	return p.describe(ctx, m, next, token, id)
}

// token asks the token endpoint. Whatever it answers, the error holds none of
// the secrets.
func (p *Provider) token(ctx context.Context, m *metadata, secrets []string,
	grant func(context.Context, *oauth2.Config) (*oauth2.Token, error),
) (*oauth2.Token, error) {
	secret, err := p.secret()
	if err != nil {
		return nil, err
	}
	token, err := grant(gooidc.ClientContext(ctx, p.client), p.config(m, secret))
	if err != nil {
		return nil, tokenFault(err, append(secrets, secret))
	}
	return token, nil
}

// recorder keeps the error of asking for keys, which the verifier makes text of.
type recorder struct {
	keys  gooidc.KeySet
	fault error
}

// VerifySignature implements gooidc.KeySet.
func (r *recorder) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := r.keys.VerifySignature(ctx, jwt)
	// A signature that no key verifies has no cause; keys that could not be had
	// have one. A test holds go-oidc to it.
	if errors.Unwrap(err) != nil {
		r.fault = err
	}
	return payload, err
}

// idToken is the id token that came with the token, verified in all but its
// nonce and subject; nil: there is none.
func (p *Provider) idToken(ctx context.Context, m *metadata, token *oauth2.Token) (*gooidc.IDToken, error) {
	raw, found := token.Extra("id_token").(string)
	if !found || raw == "" {
		return nil, nil
	}
	keys := &recorder{keys: m.keys}
	id, err := gooidc.NewVerifier(p.options.Issuer, keys, &gooidc.Config{
		ClientID: p.options.ClientID, SupportedSigningAlgs: m.algorithms, Now: p.options.Now,
	}).Verify(ctx, raw)
	switch {
	case keys.fault != nil:
		return nil, fmt.Errorf("%w: the provider's keys: %s", auth.ErrUnavailable, clip(keys.fault.Error(), maxText))
	case err != nil:
		return nil, fmt.Errorf("%w: the id token: %s", auth.ErrInvalid, clip(hide(err.Error(), []string{raw}), maxText))
	case id.IssuedAt.After(p.options.Now().Add(maxSkew)):
		return nil, fmt.Errorf("%w: the id token is of the future: compare the clocks of the provider and of this host", auth.ErrInvalid)
	}
	if id.AccessTokenHash != "" {
		if err := id.VerifyAccessToken(token.AccessToken); err != nil {
			return nil, fmt.Errorf("%w: the id token is of another access token (at_hash)", auth.ErrInvalid)
		}
	}
	return id, p.checkParty(id)
}

// checkParty follows OpenID Connect Core 1.0 section 3.1.3.7: a token for
// several is to say whom it was given to, and that is this client.
func (p *Provider) checkParty(id *gooidc.IDToken) error {
	var c claims
	if err := id.Claims(&c); err != nil {
		return fmt.Errorf("%w: the id token is not a JSON object", auth.ErrInvalid)
	}
	party, found, err := c.text("azp")
	switch {
	case err != nil:
		return fmt.Errorf("%w: the id token: %w", auth.ErrInvalid, err)
	case found && !equal(party, p.options.ClientID):
		return fmt.Errorf("%w: the id token was given to another client (azp)", auth.ErrInvalid)
	case !found && len(id.Audience) > 1:
		return fmt.Errorf("%w: the id token is for several clients, and does not tell whom it was given to (azp)", auth.ErrInvalid)
	}
	return nil
}

// describe completes the login by what the provider says of the person: in the
// id token, which may be nil, and for what that lacks in userinfo.
func (p *Provider) describe(ctx context.Context, m *metadata, l *Login, token *oauth2.Token, id *gooidc.IDToken) (*Login, error) {
	var documents []claims
	if id != nil {
		var c claims
		if err := id.Claims(&c); err != nil {
			return nil, fmt.Errorf("%w: the id token is not a JSON object", auth.ErrInvalid)
		}
		subject, err := c.subject()
		if err != nil {
			return nil, fmt.Errorf("%w: the id token: %w", auth.ErrInvalid, err)
		}
		l.Subject, documents = subject, append(documents, c)
	}
	where := "the id token"
	name, groups, missing, err := person(documents, p.options.UsernameClaim, p.options.GroupsClaim)
	if err == nil && len(missing) > 0 && m.userInfoURL != "" {
		var c claims
		if c, err = p.userInfo(ctx, m, token.AccessToken, l.Subject); err != nil {
			return nil, err
		}
		where = "the id token or userinfo"
		name, groups, missing, err = person(append(documents, c), p.options.UsernameClaim, p.options.GroupsClaim)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %s: %w", auth.ErrInvalid, where, err)
	case slices.Contains(missing, p.options.UsernameClaim):
		return nil, fmt.Errorf("%w: %s has no claim %q; ask for the scope that it is in, or name another claim",
			auth.ErrInvalid, where, p.options.UsernameClaim)
	}
	l.Name, l.Groups = name, groups
	return l, nil
}
