package oidc

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/promgate/promgate/auth"
)

// realRedirect is where the browser of these tests stops.
const realRedirect = "http://127.0.0.1:1/auth/callback"

// real is a provider that nobody here wrote: testdata/provider.mjs.
type real struct {
	Issuer, Control string

	t       *testing.T
	command *exec.Cmd
	stdin   io.Closer
}

// startReal starts a provider with that client secret; empty: a public client.
func startReal(t *testing.T, secret string, arguments ...string) *real {
	t.Helper()
	modules, err := filepath.Abs("../../web/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(modules, "oidc-provider")); err != nil {
		t.Fatalf("there is no OpenID provider to test with: run make web (%v)", err)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatalf("there is no node to run an OpenID provider with: install Node.js and run make web (%v)", err)
	}
	arguments = append([]string{"testdata/provider.mjs", "--modules", modules, "--client-id", clientID, "--redirect", realRedirect}, arguments...)
	if secret != "" {
		arguments = append(arguments, "--client-secret", secret)
	}
	r := &real{t: t, command: exec.Command(node, arguments...)}
	var stderr bytes.Buffer
	r.command.Stderr = &stderr
	if r.stdin, err = r.command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := r.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.stop)
	line := make(chan []byte, 1)
	go func() {
		text, _ := bufio.NewReader(stdout).ReadBytes('\n')
		line <- text
	}()
	select {
	case text := <-line:
		if err := json.Unmarshal(text, r); err != nil {
			r.stop()
			t.Fatalf("the provider did not start: %s", stderr.String())
		}
	case <-time.After(time.Minute):
		t.Fatal("the provider does not start")
	}
	return r
}

// stop ends the provider as the end of the test does: by its stdin.
func (r *real) stop() {
	_ = r.stdin.Close()
	_ = r.command.Wait()
}

// change changes an account.
func (r *real) change(name, change string) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodPut, r.Control+"/accounts/"+name, strings.NewReader(change))
	if err != nil {
		r.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		r.t.Fatal(resp.Status)
	}
}

// provider is the gateway's side.
func (r *real) provider(secret string, change func(*Options)) *Provider {
	r.t.Helper()
	o := Options{
		Issuer: r.Issuer, ClientID: clientID, RedirectURL: realRedirect, Scopes: []string{"profile", "email", "groups"},
		UsernameClaim: "preferred_username", GroupsClaim: "groups", RefreshInterval: time.Minute,
	}
	if secret != "" {
		o.ClientSecret = func() (string, error) { return secret, nil }
	}
	if change != nil {
		change(&o)
	}
	p, err := New(o)
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

var (
	action = regexp.MustCompile(`<form method="post" action="([^"]+)">`)
	cancel = regexp.MustCompile(`<a id="cancel" href="([^"]+)">`)
)

// browser follows redirects up to the gateway's own.
type browser struct {
	t      *testing.T
	client *http.Client
}

func newBrowser(t *testing.T) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t: t, client: &http.Client{Jar: jar, Timeout: time.Minute, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), realRedirect) {
			return http.ErrUseLastResponse
		}
		return nil
	}}}
}

// see is the page that an answer is, or the query that the gateway gets.
func (b *browser) see(resp *http.Response, err error) (page string, back url.Values) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	if location, err := resp.Location(); err == nil {
		return "", location.Query()
	}
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		b.t.Fatalf("%s: %s, %v", resp.Status, data, err)
	}
	return string(data), nil
}

// link is where a page leads.
func (b *browser) link(resp *http.Response, page string, pattern *regexp.Regexp) string {
	b.t.Helper()
	found := pattern.FindStringSubmatch(page)
	if found == nil {
		b.t.Fatalf("no %v in %s", pattern, page)
	}
	u, err := resp.Request.URL.Parse(html.UnescapeString(found[1]))
	if err != nil {
		b.t.Fatal(err)
	}
	return u.String()
}

// signIn fills in the form with each of the passwords, and returns the query of
// the callback, nil if there is none. Without passwords it declines.
func (b *browser) signIn(start, name string, passwords ...string) url.Values {
	b.t.Helper()
	resp, err := b.client.Get(start)
	page, back := b.see(resp, err)
	if len(passwords) == 0 {
		resp, err = b.client.Get(b.link(resp, page, cancel))
		_, back = b.see(resp, err)
	}
	for _, password := range passwords {
		if back != nil {
			b.t.Fatalf("no form, but %v", back)
		}
		resp, err = b.client.PostForm(b.link(resp, page, action), url.Values{"login": {name}, "password": {password}})
		page, back = b.see(resp, err)
	}
	return back
}

// login signs in with the account's right password.
func (b *browser) login(p *Provider, name string) (*Login, error) {
	b.t.Helper()
	a, start, err := p.Begin(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return p.Complete(b.t.Context(), a, b.signIn(start, name, name+"-password"))
}

func mustLogin(t *testing.T, p *Provider, name string) *Login {
	t.Helper()
	l, err := newBrowser(t).login(p, name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestRealProvider(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state.json")
	r := startReal(t, clientSecret, "--state", state)
	p := r.provider(clientSecret, nil)

	b := newBrowser(t)
	a, start, err := p.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	back := b.signIn(start, "anna", "wrong", "anna-password")
	if back.Get("iss") != r.Issuer {
		t.Errorf("came back with %v: RFC 9207 is not tested", back)
	}
	anna, err := p.Complete(t.Context(), a, back)
	if err != nil || anna.Subject != "anna" || anna.Name != "anna" || !slices.Equal(anna.Groups, []string{"team-shop"}) {
		t.Fatalf("%+v, %v", anna, err)
	}
	// Once signed in there, there is no form.
	if a, start, err = p.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	resp, err := b.client.Get(start)
	_, back = b.see(resp, err)
	if again, err := p.Complete(t.Context(), a, back); err != nil || again.Name != "anna" {
		t.Errorf("%+v, %v", again, err)
	}

	r.change("anna", `{"groups":["team-search"]}`)
	next, err := p.Refresh(t.Context(), anna)
	if err != nil || !slices.Equal(next.Groups, []string{"team-search"}) || next.refreshToken.Secret() == anna.refreshToken.Secret() {
		t.Fatalf("%+v, %v", next, err)
	}
	boris := mustLogin(t, p, "boris")
	r.change("boris", `{"disabled":true}`)
	_, err = p.Refresh(t.Context(), boris)
	wants(t, err, ErrRefused, "invalid_grant")

	r.stop()
	_, err = p.Refresh(t.Context(), next)
	wants(t, err, auth.ErrUnavailable, "/token")
	u, err := url.Parse(r.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	// It comes back with other keys, and knows the refresh token still.
	startReal(t, clientSecret, "--state", state, "--port", u.Port())
	if next, err = p.Refresh(t.Context(), next); err != nil || next.Name != "anna" {
		t.Errorf("%+v, %v", next, err)
	}
	if l := mustLogin(t, p, "dora"); l.Groups != nil {
		t.Errorf("%+v", l)
	}
}

// TestRealProviderRefuses what was used before, and who declines.
func TestRealProviderRefuses(t *testing.T) {
	r := startReal(t, clientSecret)
	p := r.provider(clientSecret, nil)
	a, start, err := p.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Complete(t.Context(), a, newBrowser(t).signIn(start, "anna"))
	wants(t, err, ErrRefused, "access_denied")

	if a, start, err = p.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	back := newBrowser(t).signIn(start, "anna", "anna-password")
	other := a
	other.verifier = auth.NewCredential(random())
	_, err = p.Complete(t.Context(), other, back)
	wants(t, err, ErrRefused, "invalid_grant")
	_, err = r.provider("another secret", nil).Complete(t.Context(), a, back)
	wants(t, err, auth.ErrUnavailable, "invalid_client")

	if a, start, err = p.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	back = newBrowser(t).signIn(start, "anna", "anna-password")
	if _, err := p.Complete(t.Context(), a, back); err != nil {
		t.Fatal(err)
	}
	_, err = p.Complete(t.Context(), a, back)
	wants(t, err, ErrRefused, "invalid_grant")

	first := mustLogin(t, p, "anna")
	second, err := p.Refresh(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []*Login{first, second} { // a thief used one of them, so neither is good
		_, err = p.Refresh(t.Context(), l)
		wants(t, err, ErrRefused, "invalid_grant")
	}
	r.change("anna", `{"disabled":true}`)
	if _, start, err = p.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if back := newBrowser(t).signIn(start, "anna", "anna-password"); back != nil {
		t.Errorf("came back with %v", back)
	}
}

// TestRealPublicClient: PKCE alone, and the claims in the id token.
func TestRealPublicClient(t *testing.T) {
	r := startReal(t, "", "--groups-in-token")
	p := r.provider("", func(o *Options) { o.UsernameClaim = "email" })
	l := mustLogin(t, p, "boris")
	if l.Name != "boris@example.com" || l.Subject != "boris" || !slices.Equal(l.Groups, []string{"team-shop", "team-search"}) {
		t.Errorf("%+v", l)
	}
	if next, err := p.Refresh(t.Context(), l); err != nil || next.Name != l.Name {
		t.Errorf("%+v, %v", next, err)
	}
	_, err := newBrowser(t).login(p, "carla")
	wants(t, err, auth.ErrInvalid, "not verified")
	if errors.Is(err, ErrRefused) {
		t.Error(err)
	}
}

// TestRealOfflineAccess: section 11 of OpenID Connect Core 1.0 to the letter.
func TestRealOfflineAccess(t *testing.T) {
	r := startReal(t, clientSecret, "--strict-offline")
	for prompt, want := range map[string]bool{"": false, "consent": true} {
		t.Run(fmt.Sprintf("prompt %q", prompt), func(t *testing.T) {
			p := r.provider(clientSecret, func(o *Options) { o.Prompt = prompt })
			l := mustLogin(t, p, "anna")
			_, err := p.Refresh(t.Context(), l)
			if l.Refreshable() != want || (err == nil) != want {
				t.Errorf("refreshable is %v: %v", l.Refreshable(), err)
			}
		})
	}
}
