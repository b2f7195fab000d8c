package oidc

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/promgate/promgate/auth"
)

const (
	clientID     = "promgate"
	clientSecret = "s3cret/+ of the client"
	redirectURL  = "https://gateway.example/auth/callback"
	accessToken  = "the-access-token"
)

// m is a JSON object.
type m = map[string]any

// issuer is a provider whose every answer a test can change.
type issuer struct {
	t      *testing.T
	server *httptest.Server
	now    time.Time // of the provider and of the gateway
	logs   bytes.Buffer

	mu    sync.Mutex
	asked map[string]int
	form  url.Values // of the last token request
	auth  string     // its Authorization header

	key       *ecdsa.PrivateKey
	kid       string
	discovery m // changes of the document; nil: takes a member out
	claims    m // changes of the id token
	userInfo  m
	token     m                           // changes of the token endpoint's answer
	sign      func(payload []byte) string // in place of the key
	handle    map[string]http.HandlerFunc // in place of an endpoint
}

func newIssuer(t *testing.T) *issuer {
	i := &issuer{t: t, now: time.Unix(1_800_000_000, 0), asked: map[string]int{}, handle: map[string]http.HandlerFunc{}}
	i.rotate()
	i.server = httptest.NewServer(http.HandlerFunc(i.serve))
	t.Cleanup(i.server.Close)
	return i
}

func (i *issuer) rotate() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		i.t.Fatal(err)
	}
	i.key, i.kid = key, fmt.Sprintf("key of %p", key)
}

func (i *issuer) count(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked[path]
}

func (i *issuer) serve(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asked[r.URL.Path]++
	if h := i.handle[r.URL.Path]; h != nil {
		i.mu.Unlock() // it may block
		h(w, r)
		i.mu.Lock()
		return
	}
	var out any
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		out = changed(m{
			"issuer": i.server.URL, "authorization_endpoint": i.server.URL + "/authorize", "token_endpoint": i.server.URL + "/token",
			"jwks_uri": i.server.URL + "/keys", "userinfo_endpoint": i.server.URL + "/userinfo",
			"id_token_signing_alg_values_supported": []string{"RS256", "ES256", "HS256", "none"}, "scopes_supported": []string{"openid", "offline_access"},
		}, i.discovery)
	case "/keys":
		out = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: i.key.Public(), KeyID: i.kid, Algorithm: "ES256", Use: "sig"}}}
	case "/userinfo":
		if r.Header.Get("Authorization") != "Bearer "+accessToken {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		out = i.userInfo
	case "/token":
		_ = r.ParseForm()
		i.form, i.auth = r.PostForm, r.Header.Get("Authorization")
		out = changed(m{"access_token": accessToken, "token_type": "Bearer", "refresh_token": "refresh-1", "id_token": i.idToken()}, i.token)
	default:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out)
}

// idToken is anna's, with the changes.
func (i *issuer) idToken() string {
	hash := sha256.Sum256([]byte(accessToken))
	payload, err := json.Marshal(changed(m{
		"iss": i.server.URL, "sub": "1000", "aud": clientID, "exp": i.now.Add(time.Hour).Unix(), "iat": i.now.Unix(), "nonce": "nonce",
		"at_hash": base64.RawURLEncoding.EncodeToString(hash[:16]), "preferred_username": "anna", "groups": []string{"team-shop"},
	}, i.claims))
	if err != nil {
		i.t.Error(err)
	}
	if i.sign != nil {
		return i.sign(payload)
	}
	return signed(i.t, jose.ES256, jose.JSONWebKey{Key: i.key, KeyID: i.kid}, payload)
}

func signed(t *testing.T, algorithm jose.SignatureAlgorithm, key any, payload []byte) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// changed is base with the members of changes; one that is nil is taken out.
func changed(base, changes m) m {
	for k, v := range changes {
		if v == nil {
			delete(base, k)
		} else {
			base[k] = v
		}
	}
	return base
}

// answer has an endpoint answer so.
func (i *issuer) answer(path string, status int, body string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.handle[path] = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// hang has an endpoint answer nothing while the test runs.
func (i *issuer) hang(path string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	end := make(chan struct{})
	i.t.Cleanup(func() { close(end) }) // before the server's, which waits for it
	i.handle[path] = func(_ http.ResponseWriter, r *http.Request) { <-end }
}

func (i *issuer) heal(path string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.handle, path)
}

func (i *issuer) options() Options {
	return Options{
		Issuer: i.server.URL, ClientID: clientID, ClientSecret: func() (string, error) { return clientSecret, nil }, RedirectURL: redirectURL,
		Scopes: []string{"profile"}, UsernameClaim: "preferred_username", GroupsClaim: "groups", RefreshInterval: 5 * time.Minute,
		Now: func() time.Time { return i.now }, Logger: slog.New(slog.NewTextHandler(&i.logs, nil)),
	}
}

func (i *issuer) provider(o Options) *Provider {
	i.t.Helper()
	p, err := New(o)
	if err != nil {
		i.t.Fatal(err)
	}
	return p
}

// attempt is what Begin makes, with secrets that tests know.
func attempt() Attempt {
	return Attempt{State: "state", nonce: auth.NewCredential("nonce"), verifier: auth.NewCredential("the-verifier")}
}

func callback() url.Values { return url.Values{"state": {"state"}, "code": {"the-code"}} }

// login signs anna in.
func (i *issuer) login(p *Provider) *Login {
	i.t.Helper()
	l, err := p.Complete(i.t.Context(), attempt(), callback())
	if err != nil {
		i.t.Fatal(err)
	}
	return l
}

// wants tells whether the error is of one kind alone, and tells no secret.
func wants(t *testing.T, err, kind error, text string) {
	t.Helper()
	if err == nil || !errors.Is(err, kind) || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v; want %v and %q", err, kind, text)
		return
	}
	if errors.Is(err, auth.ErrInvalid) == errors.Is(err, auth.ErrUnavailable) {
		t.Errorf("%v is not of one kind", err)
	}
	noSecrets(t, err.Error())
}

func noSecrets(t *testing.T, text string) {
	t.Helper()
	for _, secret := range []string{
		clientSecret, url.QueryEscape(clientSecret), accessToken, "the-code", "the-verifier", "refresh-1", "refresh-2", "eyJ",
	} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in %q", secret, text)
		}
	}
	if len(text) > 1500 {
		t.Errorf("the error has %d bytes: %s", len(text), text[:200])
	}
}
