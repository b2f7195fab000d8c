// Package oidc signs people in by OpenID Connect: the authorization code flow
// with PKCE, state and nonce. It asks the provider again about whoever has
// signed in, so that a person who is disabled there is out here too.
package oidc

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/promgate/promgate/auth"
)

// Timeout bounds Begin, Complete and Refresh, whatever they ask for meanwhile.
const Timeout = 10 * time.Second

// Options are what a Provider is made of.
type Options struct {
	// Issuer is the provider's URL, exactly as its tokens have it: https, or
	// http with a loopback host.
	Issuer string
	// ClientID is the name under which the provider knows the gateway.
	ClientID string
	// ClientSecret is read whenever it is needed, so that a changed file counts.
	// nil: a public client, which PKCE alone protects.
	ClientSecret func() (string, error)
	// RedirectURL is where the browser comes back: https, or http with a
	// loopback host.
	RedirectURL string
	// Scopes are asked for beside openid, and offline_access where the provider
	// lists it.
	Scopes []string
	// Prompt is sent as the parameter of that name; empty: none is. Providers
	// that follow OpenID Connect Core 1.0 section 11 to the letter give a refresh
	// token only where it is "consent".
	Prompt string
	// UsernameClaim holds a person's name, such as email, preferred_username or
	// sub. Of email, email_verified must not be false.
	UsernameClaim string
	// GroupsClaim holds a list of names of groups, or one; empty: nobody has
	// groups. Tokens may lack it.
	GroupsClaim string
	// CAFile is a PEM file of the authorities that the provider's certificate is
	// verified with, in place of the system's; empty: the system's. New reads it.
	CAFile string
	// RefreshInterval is after how long a Login is Due.
	RefreshInterval time.Duration
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Logger is told when the provider cannot be discovered, and when it can;
	// nil: nobody is.
	Logger *slog.Logger
}

// Provider is an OpenID provider and the gateway's place as its client. It is
// safe for concurrent use.
type Provider struct {
	options   Options
	client    *http.Client
	timeout   time.Duration
	discovery *discovery
}

// New makes a Provider. It connects to nothing: a provider that is down keeps
// nobody from starting. The error tells all that is wrong with the options.
func New(o Options) (*Provider, error) { return newProvider(o, Timeout) }

func newProvider(o Options, timeout time.Duration) (*Provider, error) {
	client, caErr := newClient(o.CAFile, timeout)
	if err := errors.Join(o.check(), caErr); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Scopes = slices.Clone(o.Scopes)
	return &Provider{
		options: o, client: client, timeout: timeout,
		discovery: &discovery{
			issuer: o.Issuer, public: o.ClientSecret == nil, client: client, timeout: timeout, now: o.Now, logger: o.Logger,
		},
	}, nil
}

// check tells all that is wrong with the options.
func (o *Options) check() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if err := checkURL(o.Issuer); err != nil {
		fault("the issuer %w", err)
	} else if strings.ContainsAny(o.Issuer, "?#") {
		fault("the issuer has a query or a fragment; remove it")
	}
	if err := checkURL(o.RedirectURL); err != nil {
		fault("the redirect URL %w", err)
	}
	if o.ClientID == "" {
		fault("the client id is missing; write the one that the provider gave")
	}
	for _, s := range o.Scopes {
		if !isScope(s) {
			fault("the scope %q is none; write one word each", s)
		}
	}
	if o.UsernameClaim == "" {
		fault("the username claim is missing; write the claim that holds a person's name, such as email")
	}
	if o.RefreshInterval <= 0 {
		fault("the refresh interval is %v; write how long a disabled person may stay, such as 5m", o.RefreshInterval)
	}
	return errors.Join(faults...)
}

// isScope tells whether s is a scope-token of RFC 6749 section 3.3.
func isScope(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' })
}

// Begin starts a sign-in. It returns what Complete needs and the URL that the
// browser is sent to. Errors wrap auth.ErrUnavailable.
func (p *Provider) Begin(ctx context.Context) (Attempt, string, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	m, err := p.discovery.get(ctx)
	if err != nil {
		return Attempt{}, "", err
	}
	nonce, verifier := random(), random()
	a := Attempt{State: random(), nonce: auth.NewCredential(nonce), verifier: auth.NewCredential(verifier)}
	options := []oauth2.AuthCodeOption{gooidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)}
	if p.options.Prompt != "" {
		options = append(options, oauth2.SetAuthURLParam("prompt", p.options.Prompt))
	}
	return a, p.config(m, "").AuthCodeURL(a.State, options...), nil
}

// config is the gateway's part as a client.
func (p *Provider) config(m *metadata, secret string) *oauth2.Config {
	wanted := slices.Clone(p.options.Scopes)
	if m.offline { // Google has access_type=offline in its place, and does not list it
		wanted = append(wanted, gooidc.ScopeOfflineAccess)
	}
	scopes := []string{gooidc.ScopeOpenID}
	for _, s := range wanted {
		if !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	return &oauth2.Config{
		ClientID: p.options.ClientID, ClientSecret: secret, RedirectURL: p.options.RedirectURL, Scopes: scopes,
		Endpoint: oauth2.Endpoint{AuthURL: m.authURL, TokenURL: m.tokenURL, AuthStyle: m.style},
	}
}

// secret is the client's own, empty for a public client.
func (p *Provider) secret() (string, error) {
	if p.options.ClientSecret == nil {
		return "", nil
	}
	secret, err := p.options.ClientSecret()
	switch {
	case err != nil:
		return "", fmt.Errorf("%w: the client secret cannot be read: %w", auth.ErrUnavailable, err)
	case secret == "":
		return "", fmt.Errorf("%w: the client secret is empty", auth.ErrUnavailable)
	}
	return secret, nil
}

// random is text of 256 random bits, of characters that URLs have. As a
// verifier it is what RFC 7636 section 4.1 recommends.
func random() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // ends the program rather than to fail
	return base64.RawURLEncoding.EncodeToString(b[:])
}
