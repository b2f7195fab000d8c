package oidc

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"

	"github.com/promgate/promgate/auth"
)

const (
	// failureMemory is how long nobody asks again after a failure: a storm of
	// sign-ins is not to hold down a provider that is about to come back.
	failureMemory = 2 * time.Second
	// metadataAge is after how long the metadata are asked for again. A provider
	// that changes how it signs is followed without a restart.
	metadataAge = time.Hour
)

// metadata is what a provider says of itself.
type metadata struct {
	authURL, tokenURL string
	userInfoURL       string // empty: it has none
	style             oauth2.AuthStyle
	// offline: it lists the scope offline_access.
	offline bool
	// issuerInCallback: RFC 9207, each callback names the issuer.
	issuerInCallback bool
	algorithms       []string
	keysURL          string
	keys             *gooidc.RemoteKeySet
}

// document is the part of OpenID Connect Discovery 1.0 that counts here.
type document struct {
	AuthURL          string   `json:"authorization_endpoint"`
	TokenURL         string   `json:"token_endpoint"`
	UserInfoURL      string   `json:"userinfo_endpoint"`
	KeysURL          string   `json:"jwks_uri"`
	Algorithms       []string `json:"id_token_signing_alg_values_supported"`
	Scopes           []string `json:"scopes_supported"`
	AuthMethods      []string `json:"token_endpoint_auth_methods_supported"`
	IssuerInCallback bool     `json:"authorization_response_iss_parameter_supported"`
}

// discovery asks a provider for its metadata when they are needed, and
// remembers them.
type discovery struct {
	issuer  string
	public  bool // the client has no secret
	client  *http.Client
	timeout time.Duration
	now     func() time.Time
	logger  *slog.Logger

	flight singleflight.Group

	mu     sync.Mutex
	known  *metadata // nil: it has never answered
	learnt time.Time // when known was
	fault  error     // of the last question; nil: it was answered
	failed time.Time // when fault was
}

// get returns the metadata. Errors wrap auth.ErrUnavailable.
func (d *discovery) get(ctx context.Context) (*metadata, error) {
	m, fresh, err := d.remembered()
	if fresh {
		return m, err
	}
	// The answer is for all who wait, so nobody's context ends the question.
	flight := d.flight.DoChan("", func() (any, error) { return d.renew() })
	if m != nil { // what is old is good until there is something new
		return m, nil
	}
	select {
	case result := <-flight:
		m, _ = result.Val.(*metadata)
		return m, result.Err
	case <-ctx.Done():
		return nil, unavailable("waiting for the OpenID provider's discovery: " + context.Cause(ctx).Error())
	}
}

// remembered is what is known, and whether it will do for now.
func (d *discovery) remembered() (m *metadata, fresh bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	switch failed := d.fault != nil && within(now, d.failed, failureMemory); {
	case d.known != nil:
		return d.known, failed || within(now, d.learnt, metadataAge), nil
	case failed:
		return nil, true, d.fault
	}
	return nil, false, nil
}

// renew asks the provider.
func (d *discovery) renew() (*metadata, error) {
	old, fresh, err := d.remembered()
	if fresh { // the question before this one has ended meanwhile
		return old, err
	}
	m, err := d.ask(old)
	if err != nil {
		err = fmt.Errorf("%w: discovery of the OpenID provider %s: %s", auth.ErrUnavailable, d.issuer, clip(err.Error(), maxText))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case err != nil:
		d.fault, d.failed = err, d.now()
		d.logger.Warn("the OpenID provider cannot be discovered", "issuer", d.issuer, "error", err)
	default:
		if d.known == nil || d.fault != nil {
			d.logger.Info("the OpenID provider is discovered", "issuer", d.issuer, "offlineAccess", m.offline)
		}
		d.known, d.learnt, d.fault = m, d.now(), nil
	}
	return m, err
}

func (d *discovery) ask(old *metadata) (*metadata, error) {
	ctx, cancel := context.WithTimeout(context.Background(), d.timeout)
	defer cancel()
	ctx = gooidc.ClientContext(ctx, d.client)
	provider, err := gooidc.NewProvider(ctx, d.issuer) // which compares the issuer
	if err != nil {
		return nil, err
	}
	var doc document
	if err := provider.Claims(&doc); err != nil {
		return nil, fmt.Errorf("its document: %w", err)
	}
	m := &metadata{
		authURL: doc.AuthURL, tokenURL: doc.TokenURL, userInfoURL: doc.UserInfoURL, keysURL: doc.KeysURL,
		offline: slices.Contains(doc.Scopes, gooidc.ScopeOfflineAccess), issuerInCallback: doc.IssuerInCallback,
	}
	if err := d.checkEndpoints(m); err != nil {
		return nil, err
	}
	if m.style, err = authStyle(d.public, doc.AuthMethods); err != nil {
		return nil, err
	}
	for _, a := range doc.Algorithms {
		if isAsymmetric(a) {
			m.algorithms = append(m.algorithms, a)
		}
	}
	switch {
	case len(doc.Algorithms) == 0:
		m.algorithms = []string{gooidc.RS256} // which every provider has
	case len(m.algorithms) == 0:
		return nil, fmt.Errorf("it signs id tokens in none of the ways that are good here (RS, PS and ES with 256, 384 and 512, EdDSA)")
	}
	if old != nil && old.keysURL == m.keysURL {
		m.keys = old.keys // with the keys that it remembers
	} else {
		m.keys = gooidc.NewRemoteKeySet(ctx, m.keysURL)
	}
	return m, nil
}

// checkEndpoints wants URLs that secrets may go to. Of an issuer by https none
// leads to http, not even to this host.
func (d *discovery) checkEndpoints(m *metadata) error {
	issuer, err := url.Parse(d.issuer)
	if err != nil {
		return err
	}
	for name, text := range map[string]string{
		"authorization_endpoint": m.authURL, "token_endpoint": m.tokenURL, "jwks_uri": m.keysURL, "userinfo_endpoint": m.userInfoURL,
	} {
		if text == "" && name == "userinfo_endpoint" {
			continue
		}
		if err := checkURL(text); err != nil {
			return fmt.Errorf("its %s %w", name, err)
		}
		if u, _ := url.Parse(text); issuer.Scheme == "https" && u.Scheme != "https" {
			return fmt.Errorf("its %s is not https", name)
		}
	}
	return nil
}

// authStyle is how the client tells who it is. It is not found out by trying,
// for a code and a refresh token are good once: whoever sends one twice is
// taken for a thief.
func authStyle(public bool, methods []string) (oauth2.AuthStyle, error) {
	switch {
	case public, !slices.Contains(methods, "client_secret_basic") && slices.Contains(methods, "client_secret_post"):
		return oauth2.AuthStyleInParams, nil
	case len(methods) == 0, slices.Contains(methods, "client_secret_basic"):
		return oauth2.AuthStyleInHeader, nil // also what the standard says of a list that is missing
	}
	return 0, fmt.Errorf("it takes a client's secret neither by client_secret_basic nor by client_secret_post")
}

// isAsymmetric tells whether the algorithm is verified with a public key. The
// others are verified with what the gateway itself could sign with, or nothing.
func isAsymmetric(algorithm string) bool {
	switch algorithm {
	case gooidc.RS256, gooidc.RS384, gooidc.RS512, gooidc.PS256, gooidc.PS384, gooidc.PS512,
		gooidc.ES256, gooidc.ES384, gooidc.ES512, gooidc.EdDSA:
		return true
	}
	return false
}
