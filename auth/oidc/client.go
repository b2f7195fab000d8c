package oidc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"time"

	"github.com/promgate/promgate/auth"
)

// maxBodyBytes bounds what is read of an answer. golang.org/x/oauth2 has the
// same bound.
const maxBodyBytes = 1 << 20

// newClient makes the client for all that a provider is asked.
func newClient(caFile string, timeout time.Duration) (*http.Client, error) {
	var roots *x509.CertPool // nil: the system's
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("the CA file cannot be read: %w", err)
		}
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("the CA file %s has no certificate; write PEM", caFile)
		}
	}
	transport := &http.Transport{
		// Unlike an upstream, a provider may be outside, and then a proxy is often
		// the only way there. OpenID clients follow the environment.
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: timeout}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout:    timeout,
		MaxResponseHeaderBytes: 64 << 10,
		IdleConnTimeout:        30 * time.Second,
		ForceAttemptHTTP2:      true,
	}
	return &http.Client{
		Transport: bounded{transport},
		// No code, token or secret goes where the discovered URLs do not lead.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       timeout, // also of the keys, which go-oidc asks for without a context
	}, nil
}

// bounded is a transport whose answers end in an error at maxBodyBytes.
type bounded struct{ base http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.base.RoundTrip(r)
	if err == nil {
		resp.Body = &body{ReadCloser: resp.Body, left: maxBodyBytes}
	}
	return resp, err
}

var errTooLong = fmt.Errorf("the answer has over %d MiB", maxBodyBytes>>20)

type body struct {
	io.ReadCloser
	left int
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, errTooLong
	}
	return n, err
}

// checkURL tells what is wrong with a URL that secrets go to. It does not
// repeat it, which may hold a password.
func checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "":
		return errors.New("is not a URL; write https://, a host and the path")
	case u.User != nil:
		return errors.New("has a user name; remove it")
	case u.Fragment != "":
		return errors.New("has a fragment; remove it")
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	}
	return errors.New("is not https; write https://, for secrets go there (http:// is good for a loopback host alone)")
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// userInfo asks the provider for the claims of whoever the access token is of.
func (p *Provider) userInfo(ctx context.Context, m *metadata, accessToken, subject string) (claims, error) {
	secrets := []string{accessToken}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, m.userInfoURL, nil)
	if err != nil {
		return nil, unavailable(hide(err.Error(), secrets))
	}
	r.Header.Set("Authorization", "Bearer "+accessToken)
	r.Header.Set("Accept", "application/json")
	resp, err := p.client.Do(r)
	if err != nil {
		return nil, unavailable(hide(err.Error(), secrets))
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, fmt.Errorf("%w: userinfo answered %d", ErrRefused, resp.StatusCode)
	default:
		return nil, fmt.Errorf("%w: userinfo answered %d", auth.ErrUnavailable, resp.StatusCode)
	}
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, unavailable("userinfo: " + hide(err.Error(), secrets))
	}
	if media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); media == "application/jwt" {
		return nil, fmt.Errorf("%w: userinfo is a signed token; have the provider send this client plain JSON", auth.ErrUnavailable)
	}
	var c claims
	if err := json.Unmarshal(data, &c); err != nil || c == nil {
		return nil, fmt.Errorf("%w: userinfo is not a JSON object", auth.ErrUnavailable)
	}
	// OpenID Connect Core 1.0 section 5.3.2: what is of another is not used.
	if sub, _, err := c.text("sub"); err != nil || !equal(sub, subject) {
		return nil, fmt.Errorf("%w: userinfo is of another subject than the id token", auth.ErrInvalid)
	}
	return c, nil
}
