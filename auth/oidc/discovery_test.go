package oidc

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/promgate/promgate/auth"
)

const wellKnown = "/.well-known/openid-configuration"

// TestDiscoveryRefuses what is not the issuer's or not safe.
func TestDiscoveryRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change m
		text   string
	}{
		"another issuer":       {m{"issuer": "https://evil.example"}, "did not match"},
		"a slash more":         {m{"issuer": "https://evil.example/"}, "did not match"},
		"no token endpoint":    {m{"token_endpoint": nil}, "token_endpoint is not a URL"},
		"a token endpoint":     {m{"token_endpoint": "http://evil.example/token"}, "token_endpoint is not https"},
		"keys of a file":       {m{"jwks_uri": "file:///etc/passwd"}, "jwks_uri is not a URL"},
		"a script":             {m{"authorization_endpoint": "javascript:alert(1)"}, "authorization_endpoint is not a URL"},
		"userinfo, a password": {m{"userinfo_endpoint": "https://u:p@x.example/"}, "userinfo_endpoint has a user name"},
		"symmetric alone":      {m{"id_token_signing_alg_values_supported": []string{"HS256", "none"}}, "none of the ways"},
		"a list of numbers":    {m{"scopes_supported": []int{1}}, "cannot unmarshal"},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			i.discovery = c.change
			_, _, err := i.provider(i.options()).Begin(t.Context())
			wants(t, err, auth.ErrUnavailable, c.text)
			if !strings.Contains(i.logs.String(), "cannot be discovered") {
				t.Errorf("logged %s", i.logs.String())
			}
		})
	}
	for name, c := range map[string]struct {
		status int
		body   string
		text   string
	}{
		"broken":    {500, "sorry\n\x1b[31m", "500 Internal Server Error: sorry\uFFFD"},
		"elsewhere": {302, "", "302"},
		"a page":    {200, "<html>", "unmarshal"},
		"endless":   {200, `{"issuer":"` + strings.Repeat("x", 2<<20) + `"}`, "over 1 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			i.answer(wellKnown, c.status, c.body)
			_, _, err := i.provider(i.options()).Begin(t.Context())
			wants(t, err, auth.ErrUnavailable, c.text)
		})
	}
}

// TestHTTPSStays: no endpoint of an https issuer is http, not even of loopback.
func TestHTTPSStays(t *testing.T) {
	d := &discovery{issuer: "https://issuer.example"}
	good := metadata{authURL: "https://a.example/a?p=1", tokenURL: "https://a.example/t", keysURL: "https://b.example/k"}
	if err := d.checkEndpoints(&good); err != nil {
		t.Error(err)
	}
	bad := good
	bad.keysURL = "http://127.0.0.1:8080/keys"
	if err := d.checkEndpoints(&bad); err == nil || err.Error() != "its jwks_uri is not https" {
		t.Error(err)
	}
}

// TestDownAtStart: nothing is asked before it is needed, a failure is
// remembered for two seconds, and then the provider has come up.
func TestDownAtStart(t *testing.T) {
	i := newIssuer(t)
	i.answer(wellKnown, 503, "")
	p := i.provider(i.options())
	if i.count(wellKnown) != 0 {
		t.Error("New has asked")
	}
	for range 10 {
		_, _, err := p.Begin(t.Context())
		wants(t, err, auth.ErrUnavailable, "503")
	}
	i.heal(wellKnown)
	i.now = i.now.Add(failureMemory - 1)
	_, err := p.Complete(t.Context(), attempt(), callback())
	wants(t, err, auth.ErrUnavailable, "503")
	_, err = p.Refresh(t.Context(), &Login{refreshToken: auth.NewCredential("refresh-1")})
	wants(t, err, auth.ErrUnavailable, "503")
	if n := i.count(wellKnown); n != 1 {
		t.Errorf("asked %d times", n)
	}
	i.now = i.now.Add(1)
	for range 10 {
		i.login(p)
	}
	if n := i.count(wellKnown); n != 2 {
		t.Errorf("asked %d times", n)
	}
	if text := i.logs.String(); strings.Count(text, "cannot be discovered") != 1 || strings.Count(text, "is discovered") != 1 {
		t.Errorf("logged %s", text)
	}
}

func TestNobodyListens(t *testing.T) {
	i := newIssuer(t)
	p := i.provider(i.options())
	i.server.Close()
	_, _, err := p.Begin(t.Context())
	wants(t, err, auth.ErrUnavailable, "refused")
}

// TestStorm: who come while the provider is asked wait for that answer, and who
// leaves takes it from nobody.
func TestStorm(t *testing.T) {
	i := newIssuer(t)
	asked, answer := make(chan struct{}), make(chan struct{})
	i.handle[wellKnown] = func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-answer
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	p := i.provider(i.options())
	ctx, cancel := context.WithCancel(t.Context())
	var first, others sync.WaitGroup
	first.Go(func() {
		_, _, err := p.Begin(ctx)
		wants(t, err, auth.ErrUnavailable, "context canceled")
	})
	<-asked
	cancel()
	first.Wait()
	for range 50 {
		others.Go(func() {
			_, _, err := p.Begin(t.Context())
			wants(t, err, auth.ErrUnavailable, "503")
		})
	}
	close(answer)
	others.Wait()
	if n := i.count(wellKnown); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// TestMetadataAge: an hour later the provider is asked again, while the old
// metadata are used, and go on being used where it does not answer.
func TestMetadataAge(t *testing.T) {
	i := newIssuer(t)
	p := i.provider(i.options())
	i.login(p)
	i.now = i.now.Add(metadataAge)
	i.answer(wellKnown, 500, "")
	i.login(p)
	settle(p)
	i.login(p) // within the memory of the failure
	settle(p)
	if n := i.count(wellKnown); n != 2 {
		t.Errorf("asked %d times", n)
	}
	i.heal(wellKnown)
	i.discovery = m{"authorization_endpoint": i.server.URL + "/new"}
	i.now = i.now.Add(failureMemory)
	i.login(p)
	settle(p)
	if _, u, err := p.Begin(t.Context()); err != nil || !strings.Contains(u, "/new?") {
		t.Errorf("%s, %v", u, err)
	}
	i.login(p) // with the keys that are known
	if i.count(wellKnown) != 3 || i.count("/keys") != 1 {
		t.Errorf("asked %v", i.asked)
	}
}

// settle waits for a question that is under way.
func settle(p *Provider) {
	<-p.discovery.flight.DoChan("", func() (any, error) { return nil, nil })
}

func TestBegin(t *testing.T) {
	i := newIssuer(t)
	i.discovery = m{"authorization_endpoint": i.server.URL + "/authorize?policy=1"}
	o := i.options()
	o.Scopes, o.Prompt = []string{"email", "openid", "email"}, "consent"
	p := i.provider(o)
	seen := map[string]bool{}
	for range 3 {
		a, text, err := p.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		for name, want := range map[string]string{
			"policy": "1", "client_id": clientID, "response_type": "code", "redirect_uri": redirectURL, "scope": "openid email offline_access",
			"state": a.State, "nonce": a.nonce.Secret(), "code_challenge_method": "S256", "prompt": "consent",
		} {
			if len(q[name]) != 1 || q.Get(name) != want {
				t.Errorf("%s is %q, want %q", name, q[name], want)
			}
		}
		if strings.Contains(text, a.verifier.Secret()) || q.Get("code_challenge") == "" {
			t.Errorf("the URL is %s", text)
		}
		for _, secret := range []string{a.State, a.nonce.Secret(), a.verifier.Secret()} {
			if len(secret) != 43 || seen[secret] { // 256 bits in base64
				t.Errorf("%q is no secret", secret)
			}
			seen[secret] = true
		}
	}
	i = newIssuer(t)
	i.discovery = m{"scopes_supported": nil}
	_, text, err := i.provider(i.options()).Begin(t.Context())
	if err != nil || strings.Contains(text, "offline_access") || strings.Contains(text, "prompt") {
		t.Errorf("%s, %v", text, err)
	}
}

func TestNewRefuses(t *testing.T) {
	_, err := New(Options{Scopes: []string{"a b", ""}, CAFile: "missing.pem"})
	for _, want := range []string{
		"the issuer is not a URL", "the redirect URL is not a URL", "client id is missing", `scope "a b"`, `scope ""`, "username claim", "refresh interval", "CA file",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q too", err, want)
		}
	}
	good := Options{
		Issuer: "https://issuer.example", ClientID: clientID, RedirectURL: redirectURL, UsernameClaim: "sub", RefreshInterval: time.Minute,
	}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
	for issuer, want := range map[string]string{
		"http://issuer.example":         "is not https",
		"http://localhost.evil.example": "is not https",
		"ftp://127.0.0.1":               "is not https",
		"//issuer.example":              "is not https",
		"https://u:hunter2@x.example":   "has a user name",
		"https://x.example/#a":          "has a fragment",
		"https://x.example/?a":          "has a query",
		"https://:443/":                 "is not a URL",
		"https:x.example":               "is not a URL",
		"http://127.1.2.3:8080/realm":   "",
		"http://[::1]:8080":             "",
		"http://localhost:8080":         "",
	} {
		o := good
		o.Issuer = issuer
		_, err := New(o)
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%s: %v; want %q", issuer, err, want)
		}
	}
	good.CAFile = "oidc.go"
	if _, err := New(good); err == nil || !strings.Contains(err.Error(), "has no certificate") {
		t.Error(err)
	}
}
