package oidc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/promgate/promgate/auth"
)

func TestComplete(t *testing.T) {
	i := newIssuer(t)
	p := i.provider(i.options())
	got := i.login(p)
	want := &Login{
		Subject: "1000", Name: "anna", Groups: []string{"team-shop"}, CheckedAt: i.now,
		refreshToken: auth.NewCredential("refresh-1"), nonce: auth.NewCredential("nonce"),
	}
	if !reflect.DeepEqual(got, want) || !got.Refreshable() {
		t.Errorf("got %+v", got)
	}
	if f := i.form; f.Get("grant_type") != "authorization_code" || f.Get("code") != "the-code" || f.Get("code_verifier") != "the-verifier" ||
		f.Get("redirect_uri") != redirectURL || f.Has("client_secret") {
		t.Errorf("the token endpoint was asked %v", f)
	}
	id, secret, _ := (&http.Request{Header: http.Header{"Authorization": {i.auth}}}).BasicAuth()
	if id != clientID || secret != url.QueryEscape(clientSecret) {
		t.Errorf("the client said %q, %q", id, secret)
	}
	if i.count("/userinfo") != 0 {
		t.Error("userinfo was asked for what the id token has")
	}
	noSecrets(t, i.logs.String())
}

// TestClientAuthentication: by what the provider lists, never by trying.
func TestClientAuthentication(t *testing.T) {
	for name, c := range map[string]struct {
		methods []string
		public  bool
		header  bool
		secret  string
		err     string
	}{
		"unlisted": {header: true},
		"both":     {methods: []string{"client_secret_post", "client_secret_basic"}, header: true},
		"post":     {methods: []string{"private_key_jwt", "client_secret_post"}, secret: clientSecret},
		"public":   {methods: []string{"private_key_jwt"}, public: true},
		"neither":  {methods: []string{"private_key_jwt"}, err: "neither by client_secret_basic nor"},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			if c.methods != nil {
				i.discovery = m{"token_endpoint_auth_methods_supported": c.methods}
			}
			o := i.options()
			if c.public {
				o.ClientSecret = nil
			}
			_, err := i.provider(o).Complete(t.Context(), attempt(), callback())
			if c.err != "" {
				wants(t, err, auth.ErrUnavailable, c.err)
				return
			}
			if err != nil || (i.auth != "") != c.header || i.form.Get("client_secret") != c.secret || i.form.Get("client_id") == clientID == c.header {
				t.Errorf("%v; Authorization %q, form %v", err, i.auth, i.form)
			}
		})
	}
}

// TestClientSecretIsReadEachTime: and what keeps it from being read is a fault
// of nobody who signs in.
func TestClientSecretIsReadEachTime(t *testing.T) {
	i := newIssuer(t)
	o := i.options()
	secret, fault := "first", error(nil)
	o.ClientSecret = func() (string, error) { return secret, fault }
	p := i.provider(o)
	for _, want := range []string{"first", "second"} {
		secret = want
		i.login(p)
		if _, got, _ := (&http.Request{Header: http.Header{"Authorization": {i.auth}}}).BasicAuth(); got != want {
			t.Errorf("sent %q, want %q", got, want)
		}
	}
	asked := i.count("/token")
	secret = ""
	_, err := p.Complete(t.Context(), attempt(), callback())
	wants(t, err, auth.ErrUnavailable, "secret is empty")
	fault = errors.New("no such file")
	_, err = p.Complete(t.Context(), attempt(), callback())
	wants(t, err, auth.ErrUnavailable, "no such file")
	if i.count("/token") != asked {
		t.Error("the code was sent without the secret")
	}
}

// TestCallbacks: what the browser may bring back. None of these reaches the
// token endpoint.
func TestCallbacks(t *testing.T) {
	for name, c := range map[string]struct {
		attempt  Attempt
		change   func(url.Values)
		required bool // RFC 9207
		kind     error
		text     string
	}{
		"another state":       {attempt(), func(v url.Values) { v.Set("state", "statf") }, false, ErrAttempt, "state"},
		"no state":            {attempt(), func(v url.Values) { v.Del("state") }, false, ErrAttempt, "state"},
		"two states":          {attempt(), func(v url.Values) { v.Add("state", "state") }, false, ErrAttempt, "state twice"},
		"two codes":           {attempt(), func(v url.Values) { v.Add("code", "x") }, false, ErrAttempt, "code twice"},
		"no code":             {attempt(), func(v url.Values) { v.Del("code") }, false, ErrAttempt, "no code"},
		"no attempt":          {Attempt{}, func(v url.Values) { v.Set("state", "") }, false, ErrAttempt, "there is none"},
		"half an attempt":     {Attempt{State: "state"}, func(url.Values) {}, false, ErrAttempt, "there is none"},
		"another issuer":      {attempt(), func(v url.Values) { v.Set("iss", "https://evil.example") }, false, ErrAttempt, "issuer"},
		"empty issuer":        {attempt(), func(v url.Values) { v.Set("iss", "") }, false, ErrAttempt, "issuer"},
		"no issuer":           {attempt(), func(url.Values) {}, true, ErrAttempt, "issuer"},
		"refused":             {attempt(), func(v url.Values) { v.Set("error", "access_denied"); v.Set("error_description", "call 555") }, false, ErrRefused, "refuses: access_denied"},
		"refused, other":      {attempt(), func(v url.Values) { v.Set("state", "x"); v.Set("error", "access_denied") }, false, ErrAttempt, "state"},
		"a long error":        {attempt(), func(v url.Values) { v.Set("error", strings.Repeat("\n<", 5000)) }, false, ErrRefused, "\uFFFD<"},
		"the provider's woes": {attempt(), func(v url.Values) { v.Set("error", "server_error") }, false, auth.ErrUnavailable, "server_error"},
		"the client's fault":  {attempt(), func(v url.Values) { v.Set("error", "invalid_scope") }, false, auth.ErrUnavailable, "invalid_scope"},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			if c.required {
				i.discovery = m{"authorization_response_iss_parameter_supported": true}
			}
			query := callback()
			c.change(query)
			l, err := i.provider(i.options()).Complete(t.Context(), c.attempt, query)
			wants(t, err, c.kind, c.text)
			if l != nil || i.count("/token") != 0 || strings.Contains(err.Error(), "555") {
				t.Errorf("%v, %v, %d", l, err, i.count("/token"))
			}
		})
	}
	i := newIssuer(t)
	i.discovery = m{"authorization_response_iss_parameter_supported": true}
	query := callback()
	query.Set("iss", i.server.URL)
	if _, err := i.provider(i.options()).Complete(t.Context(), attempt(), query); err != nil {
		t.Error(err)
	}
}

// TestIDTokens: each change of a good id token makes it a bad one, or keeps it.
func TestIDTokens(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for name, c := range map[string]struct {
		claims m
		err    string // empty: it is good
	}{
		"another nonce":           {m{"nonce": "noncf"}, "nonce"},
		"no nonce":                {m{"nonce": nil}, "nonce"},
		"another audience":        {m{"aud": "other"}, "audience"},
		"no audience":             {m{"aud": nil}, "audience"},
		"a list of one":           {m{"aud": []string{clientID}}, ""},
		"several, no party":       {m{"aud": []string{clientID, "other"}}, "azp"},
		"several, another party":  {m{"aud": []string{clientID, "other"}, "azp": "other"}, "azp"},
		"several, this party":     {m{"aud": []string{clientID, "other"}, "azp": clientID}, ""},
		"one, another party":      {m{"azp": "other"}, "azp"},
		"a party that is no text": {m{"azp": 7}, "azp"},
		"another issuer":          {m{"iss": "https://evil.example"}, "different provider"},
		"no issuer":               {m{"iss": nil}, "different provider"},
		"expired":                 {m{"exp": now.Add(-time.Second).Unix()}, "expired"},
		"no expiry":               {m{"exp": nil}, "expired"},
		"of the far future":       {m{"iat": now.Add(time.Hour).Unix()}, "compare the clocks"},
		"of the near future":      {m{"iat": now.Add(4 * time.Minute).Unix()}, ""},
		"not yet":                 {m{"nbf": now.Add(time.Hour).Unix()}, "nbf"},
		"another access token":    {m{"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, "at_hash"},
		"no access token's hash":  {m{"at_hash": nil}, ""},
		"no subject":              {m{"sub": nil}, `"sub" is missing`},
		"a numeric subject":       {m{"sub": 7}, "unmarshal"},
		"a long subject":          {m{"sub": strings.Repeat("x", 256)}, "256 bytes"},
		"an unseen subject":       {m{"sub": "10\u200b00"}, "cannot be seen"},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			i.claims = c.claims
			l, err := i.provider(i.options()).Complete(t.Context(), attempt(), callback())
			if c.err == "" {
				if err != nil || l.Name != "anna" {
					t.Errorf("%v, %v", l, err)
				}
				return
			}
			wants(t, err, auth.ErrInvalid, c.err)
			if l != nil || errors.Is(err, ErrRefused) {
				t.Errorf("%v, %v", l, err)
			}
		})
	}
}

// TestSignatures: of keys that are not the provider's, and of none.
func TestSignatures(t *testing.T) {
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	for name, sign := range map[string]func(*issuer, []byte) string{
		"another key": func(i *issuer, p []byte) string {
			return signed(t, jose.ES256, jose.JSONWebKey{Key: other, KeyID: i.kid}, p)
		},
		"none": func(_ *issuer, p []byte) string { return b64([]byte(`{"alg":"none"}`)) + "." + b64(p) + "." },
		"HS256 with the client secret": func(_ *issuer, p []byte) string {
			return signed(t, jose.HS256, []byte(strings.Repeat(clientSecret, 2)), p)
		},
		"HS256 with the public key": func(i *issuer, p []byte) string {
			raw, _ := jose.JSONWebKey{Key: i.key.Public()}.MarshalJSON()
			return signed(t, jose.HS256, raw, p)
		},
		"an algorithm that is not listed": func(i *issuer, p []byte) string {
			key, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
			return signed(t, jose.ES384, jose.JSONWebKey{Key: key, KeyID: i.kid}, p)
		},
		"a changed payload": func(i *issuer, p []byte) string {
			parts := strings.Split(signed(t, jose.ES256, jose.JSONWebKey{Key: i.key, KeyID: i.kid}, p), ".")
			return parts[0] + "." + b64([]byte(strings.Replace(string(p), "anna", "root", 1))) + "." + parts[2]
		},
		"no token at all": func(*issuer, []byte) string { return "eyJ.not.good" },
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			i.sign = func(payload []byte) string { return sign(i, payload) }
			l, err := i.provider(i.options()).Complete(t.Context(), attempt(), callback())
			wants(t, err, auth.ErrInvalid, "the id token")
			if l != nil {
				t.Error(l)
			}
		})
	}
	i := newIssuer(t)
	i.token = m{"id_token": nil}
	_, err = i.provider(i.options()).Complete(t.Context(), attempt(), callback())
	wants(t, err, auth.ErrInvalid, "no id token")
}

func TestKeyRotation(t *testing.T) {
	i := newIssuer(t)
	p := i.provider(i.options())
	i.login(p)
	i.login(p)
	if n := i.count("/keys"); n != 1 {
		t.Errorf("the keys were fetched %d times", n)
	}
	i.rotate()
	i.login(p)
	if n := i.count("/keys"); n != 2 {
		t.Errorf("the keys were fetched %d times", n)
	}
	// Keys that cannot be had make nobody's token a bad one.
	i.rotate()
	i.answer("/keys", 500, strings.Repeat("x", 100_000))
	_, err := p.Complete(t.Context(), attempt(), callback())
	wants(t, err, auth.ErrUnavailable, "keys")
	i.heal("/keys")
	i.login(p)
}

// TestTokenEndpoint: what it answers in place of tokens.
func TestTokenEndpoint(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		kind   error
		text   string
	}{
		"a no":            {400, `{"error":"invalid_grant","error_description":"code the-code of client, verifier the-verifier, ` + clientSecret + `"}`, ErrRefused, "invalid_grant (code [redacted] of client, verifier [redacted], [redacted])"},
		"a no with 200":   {200, `{"error":"invalid_grant"}`, ErrRefused, "invalid_grant"},
		"an unknown no":   {403, `{"error":"user_disabled"}`, ErrRefused, "user_disabled"},
		"a wrong client":  {401, `{"error":"invalid_client"}`, auth.ErrUnavailable, "invalid_client"},
		"broken":          {500, `the-code`, auth.ErrUnavailable, "answered 500"},
		"broken, a no":    {503, `{"error":"invalid_grant"}`, auth.ErrUnavailable, "answered 503"},
		"too many":        {429, `{"error":"invalid_grant"}`, auth.ErrUnavailable, "answered 429"},
		"a page":          {200, `<html>the-code</html>`, auth.ErrUnavailable, "not one of OAuth 2.0"},
		"no access token": {200, `{"token_type":"Bearer"}`, auth.ErrUnavailable, "not one of OAuth 2.0"},
		"a wrong form":    {200, `{"access_token":["` + accessToken + `"]}`, auth.ErrUnavailable, "not one of OAuth 2.0"},
		"endless":         {200, `{"access_token":"` + strings.Repeat("x", 2<<20) + `"}`, auth.ErrUnavailable, "not one of OAuth 2.0"},
		"an endless no":   {400, `{"error":"a` + strings.Repeat("\\n", 5000) + `"}`, ErrRefused, "a\uFFFD"},
		"a redirect":      {307, ``, auth.ErrUnavailable, "answered 307"},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			i.answer("/token", c.status, c.body)
			if c.status == 307 {
				i.handle["/token"] = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/thief", c.status) }
			}
			_, err := i.provider(i.options()).Complete(t.Context(), attempt(), callback())
			wants(t, err, c.kind, c.text)
			if i.count("/thief") != 0 {
				t.Error("the code went elsewhere")
			}
			if i.count("/token") != 1 {
				t.Errorf("the code was sent %d times", i.count("/token"))
			}
		})
	}
}

func TestSlowProvider(t *testing.T) {
	for _, path := range []string{"/.well-known/openid-configuration", "/token", "/keys", "/userinfo"} {
		t.Run(path, func(t *testing.T) {
			i := newIssuer(t)
			i.claims = m{"groups": nil}
			i.hang(path)
			p, err := newProvider(i.options(), 100*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			_, err = p.Complete(t.Context(), attempt(), callback())
			wants(t, err, auth.ErrUnavailable, "")
		})
	}
}
