package session

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/promgate/promgate/auth"
)

// TestFromPage: which requests a browser vouches for as the page's own.
func TestFromPage(t *testing.T) {
	good := http.Header{PageHeader: {"1"}, "Sec-Fetch-Site": {"same-origin"}}
	tests := []struct {
		name           string
		host, external string
		change         map[string][]string // nil removes
		want           bool
	}{
		{"no origin, as of GET", "gateway.example", external, nil, true},
		{"its own origin", "gateway.example", external, map[string][]string{"Origin": {"https://gateway.example"}}, true},
		{"in other letters", "gateway.example", external, map[string][]string{"Origin": {"https://GateWay.Example"}}, true},
		{"behind a proxy that changes the host", "promgate:8080", external, map[string][]string{"Origin": {"https://gateway.example"}}, true},
		{"on loopback, nothing configured", "127.0.0.1:8080", "", map[string][]string{"Origin": {"http://127.0.0.1:8080"}}, true},
		{"with a port, nothing configured", "gateway.example:8443", "", map[string][]string{"Origin": {"https://gateway.example:8443"}}, true},
		{"behind TLS that ends before it, nothing configured", "gateway.example", "", map[string][]string{"Origin": {"https://gateway.example"}}, true},

		{"no header of the page", "gateway.example", external, map[string][]string{PageHeader: nil}, false},
		{"header twice", "gateway.example", external, map[string][]string{PageHeader: {"1", "1"}}, false},
		{"header of another value", "gateway.example", external, map[string][]string{PageHeader: {"0"}}, false},
		{"header joined", "gateway.example", external, map[string][]string{PageHeader: {"1, 1"}}, false},
		{"empty header", "gateway.example", external, map[string][]string{PageHeader: {""}}, false},

		{"no fetch metadata", "gateway.example", external, map[string][]string{"Sec-Fetch-Site": nil}, false},
		{"of another site", "gateway.example", external, map[string][]string{"Sec-Fetch-Site": {"cross-site"}}, false},
		{"of another host of the site", "gateway.example", external, map[string][]string{"Sec-Fetch-Site": {"same-site"}}, false},
		{"typed by the user", "gateway.example", external, map[string][]string{"Sec-Fetch-Site": {"none"}}, false},
		{"metadata twice", "gateway.example", external, map[string][]string{"Sec-Fetch-Site": {"same-origin", "same-origin"}}, false},
		{"metadata of two kinds", "gateway.example", external, map[string][]string{"Sec-Fetch-Site": {"same-origin", "cross-site"}}, false},
		{"metadata joined", "gateway.example", external, map[string][]string{"Sec-Fetch-Site": {"same-origin, cross-site"}}, false},
		{"metadata in other letters", "gateway.example", external, map[string][]string{"Sec-Fetch-Site": {"Same-Origin"}}, false},
		{"empty metadata", "gateway.example", external, map[string][]string{"Sec-Fetch-Site": {""}}, false},

		{"origin null", "gateway.example", external, map[string][]string{"Origin": {"null"}}, false},
		{"empty origin", "gateway.example", external, map[string][]string{"Origin": {""}}, false},
		{"another origin", "gateway.example", external, map[string][]string{"Origin": {"https://evil.example"}}, false},
		{"origin that ends so", "gateway.example", external, map[string][]string{"Origin": {"https://evilgateway.example"}}, false},
		{"origin that begins so", "gateway.example", external, map[string][]string{"Origin": {"https://gateway.example.evil.example"}}, false},
		{"another port", "gateway.example", external, map[string][]string{"Origin": {"https://gateway.example:8443"}}, false},
		{"another port than the host's", "gateway.example:8443", "", map[string][]string{"Origin": {"https://gateway.example"}}, false},
		{"another scheme, behind a proxy", "promgate:8080", external, map[string][]string{"Origin": {"http://gateway.example"}}, false},
		{"neither host nor external", "promgate:8080", "", map[string][]string{"Origin": {"https://gateway.example"}}, false},
		{"of a file", "gateway.example", external, map[string][]string{"Origin": {"file://"}}, false},
		{"of an extension", "gateway.example", external, map[string][]string{"Origin": {"chrome-extension://gateway.example"}}, false},
		{"no URL", "gateway.example", external, map[string][]string{"Origin": {"https://%zz"}}, false},
		{"origin twice", "gateway.example", external, map[string][]string{"Origin": {external, external}}, false},
		{"of two origins", "gateway.example", external, map[string][]string{"Origin": {external, "https://evil.example"}}, false},
		{"external that is no URL", "promgate:8080", "https://%zz", map[string][]string{"Origin": {"https://gateway.example"}}, false},
		{"no host at all", "", "", map[string][]string{"Origin": {"https://"}}, false},
	}
	w := newWorld(t)
	cookie := w.signIn(user(auth.KindLocal, "anna"))
	for _, test := range tests {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host, r.Header = test.host, good.Clone()
		for name, values := range test.change {
			r.Header[http.CanonicalHeaderKey(name)] = values
			if values == nil {
				r.Header.Del(name)
			}
		}
		if got := FromPage(r, test.external); got != test.want {
			t.Errorf("%s: got %t", test.name, got)
		}
		// The session counts then, and only then.
		r.AddCookie(cookie)
		w.Options.External = func() string { return test.external }
		want := auth.ErrMissing
		if test.want {
			want = nil
		}
		_, _, err := w.Authenticate(t.Context(), r, auth.OwnPage)
		wantError(t, test.name, err, want)
		// Where every script of the origin may ask, the page's header is not needed,
		// and all else is.
		if _, header := test.change[PageHeader]; header {
			want = nil
		}
		_, _, err = w.Authenticate(t.Context(), r, auth.SameOrigin)
		wantError(t, test.name+", of the same origin", err, want)
	}
	if PageHeader != http.CanonicalHeaderKey(PageHeader) {
		t.Error("the header is never found")
	}
}
