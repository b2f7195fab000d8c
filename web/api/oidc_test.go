package api

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/promgate/promgate/auth/session"
)

const callback = "/api/v1/" + CallbackPath

// begin begins to sign in at the provider, and returns the attempt's state.
func (b *browser) begin(returnTo string) (state string) {
	b.h.t.Helper()
	body, _ := json.Marshal(map[string]string{"returnTo": returnTo}) // a map of texts is always JSON
	got := b.do("POST", "/api/v1/session/oidc", string(body))
	var answer struct{ URL string }
	if err := json.Unmarshal([]byte(got.body), &answer); err != nil || got.status != 200 {
		b.h.t.Fatalf("got %d %s", got.status, got.body)
	}
	state, is := strings.CutPrefix(answer.URL, idpLocation)
	if !is {
		b.h.t.Fatalf("the provider's page is %s", answer.URL)
	}
	return state
}

// comeBack is the browser's way back from the provider: a navigation from
// another site, without the page's marks.
func (b *browser) comeBack(query string) answer {
	b.h.t.Helper()
	r := b.h.request("GET", callback+"?"+query, "")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	b.addCookies(r)
	return b.send(r)
}

func checkBack(t *testing.T, what string, got answer, place string, cookies ...string) {
	t.Helper()
	if got.status != 303 || got.header.Get("Location") != "https://gateway.example/ui/"+place || got.body != "" {
		t.Errorf("%s: got %d %v %s", what, got.status, got.header, got.body)
	}
	var names []string
	for _, c := range got.header["Set-Cookie"] {
		name, rest, _ := strings.Cut(c, "=")
		if strings.HasPrefix(rest, ";") {
			name = "-" + name
		}
		names = append(names, name)
	}
	if strings.Join(names, " ") != strings.Join(cookies, " ") {
		t.Errorf("%s: cookies %q", what, got.header["Set-Cookie"])
	}
	if got.header.Get("Cache-Control") != "no-store" || got.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%s: header %v", what, got.header)
	}
}

const (
	newSession = "__Host-promgate"
	noAttempt  = "-__Host-promgate-signing-in"
)

// TestOIDC: there and back, once.
func TestOIDC(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	state := b.begin("projects/shop/environments/production/explore?g0=up")
	if h.sessions.len() != 1 || len(b.cookies["__Host-promgate-signing-in"]) != 43 {
		t.Fatalf("kept are %d, cookies %v", h.sessions.len(), b.cookies)
	}
	check(t, "an attempt is no session", (&browser{h, map[string]string{"__Host-promgate": b.cookies["__Host-promgate-signing-in"]}}).do("GET", "/api/v1/projects", ""),
		401, failed("unauthorized", sessionEnded))
	again := b.copy()
	checkBack(t, "back", b.comeBack("code=anna&state="+state), "projects/shop/environments/production/explore?g0=up", noAttempt, newSession)
	want := strings.Replace(strings.Replace(annaIn, `"local","name"`, `"oidc","name"`, 1), `"staff"`, "", 1)
	check(t, "signed in", b.do("GET", "/api/v1/session", ""), 200, want)
	if h.sessions.len() != 1 {
		t.Errorf("kept are %d", h.sessions.len())
	}
	checkBack(t, "again", again.comeBack("code=anna&state="+state), "signin?error=expired", noAttempt)
	checkBack(t, "without an attempt", h.browser().comeBack("code=anna&state="+state), "signin?error=expired", noAttempt)
	session := &browser{h, map[string]string{"__Host-promgate-signing-in": b.cookies["__Host-promgate"]}}
	checkBack(t, "a session is no attempt", session.comeBack("code=anna&state="+state), "signin?error=expired", noAttempt)
	check(t, "and goes on", b.do("GET", "/api/v1/session", ""), 200, want)
}

// TestOIDCErrors: the page is told what became of it, and each attempt is used
// up.
func TestOIDCErrors(t *testing.T) {
	h := newHarness(t)
	for name, c := range map[string]struct {
		query, place string
		before       func()
	}{
		"another state":     {"code=anna&state=forged", "signin?error=refused", nil},
		"no state":          {"code=anna", "signin?error=refused", nil},
		"refused there":     {"error=access_denied&state=x", "signin?error=refused", nil},
		"ended already":     {"code=ended&state=STATE", "signin?error=notAllowed", nil},
		"provider down":     {"code=anna&state=STATE", "signin?error=unavailable", func() { h.idp.down = true }},
		"store down":        {"code=anna&state=STATE", "signin?error=unavailable", func() { h.sessions.setDown(true) }},
		"too late":          {"code=anna&state=STATE", "signin?error=expired", func() { h.clock.advance(session.AttemptLifetime) }},
		"script in a query": {"code=anna&state=<script>&error_description=<script>", "signin?error=refused", nil},
	} {
		b := h.browser()
		state := b.begin("projects")
		if c.before != nil {
			c.before()
		}
		old := b.copy()
		checkBack(t, name, b.comeBack(strings.ReplaceAll(c.query, "STATE", state)), c.place, noAttempt)
		h.idp.down = false
		h.sessions.setDown(false)
		if name != "store down" {
			checkBack(t, name+", again", old.comeBack("code=anna&state="+state), "signin?error=expired", noAttempt)
		}
		if b.cookies["__Host-promgate"] != "" {
			t.Errorf("%s: there is a session", name)
		}
		h.clock.advance(time.Minute)
	}
	h.idp.down = true
	check(t, "begin without the provider", h.browser().do("POST", "/api/v1/session/oidc", `{}`), 503,
		failed("unavailable", "the gateway cannot check credentials right now: try again in a moment"))
	h.idp.down = false
	h.sessions.setDown(true)
	check(t, "begin without the store", h.browser().do("POST", "/api/v1/session/oidc", `{}`), 503,
		failed("unavailable", "the gateway cannot check credentials right now: try again in a moment"))
}

// TestOIDCNotStarted: another browser's attempt signs nobody in here, and nobody
// begins one but the page.
func TestOIDCNotStarted(t *testing.T) {
	h := newHarness(t)
	attacker, victim := h.browser(), h.browser()
	forged := attacker.begin("")
	state := victim.begin("")
	checkBack(t, "the attacker's state", victim.comeBack("code=mallory&state="+forged), "signin?error=refused", noAttempt)
	if victim.cookies["__Host-promgate"] != "" {
		t.Error("the victim has a session")
	}
	checkBack(t, "afterwards", victim.comeBack("code=anna&state="+state), "signin?error=expired", noAttempt)
	r := h.request("POST", "/api/v1/session/oidc", `{}`)
	check(t, "not the page", h.do(asMalformed(r)), 403, failed("forbidden", notThePage))
	// Two cookies of the name are nobody's.
	state = attacker.begin("")
	r = h.request("GET", callback+"?code=anna&state="+state, "")
	attacker.addCookies(r)
	r.AddCookie(&http.Cookie{Name: "__Host-promgate-signing-in", Value: strings.Repeat("A", 43)})
	checkBack(t, "two cookies", h.do(r), "signin?error=expired", noAttempt)
}

// TestReturnTo: places of the page are gone back to, with their query, and
// whatever else leads to its beginning.
func TestReturnTo(t *testing.T) {
	long := strings.Repeat("a", maxReturn-2)
	for text, want := range map[string]string{
		"": "", "projects": "projects", "projects/shop/tokens": "projects/shop/tokens", "?search=shop+x": "?search=shop+x", "?": "", "a?": "a",
		"projects/shop/environments/production/explore?g0.expr=sum%28up%29+%3E+1&g0.tab=1": "projects/shop/environments/production/explore?g0.expr=sum%28up%29+%3E+1&g0.tab=1",
		"a?b=c&a=d": "a?a=d&b=c", "a?x=//evil.example": "a?x=%2F%2Fevil.example", "a?x=%0d%0aSet-Cookie:%20a": "a?x=%0D%0ASet-Cookie%3A+a",
		"a?x=%": "a", "a?x=1;y=2": "a", "a#b": "", "a?x#b": "a?x%23b=", "/a": "", "a/": "", "a//b": "", "a/../b": "", "A": "", "a.b": "", "dashboards/a.b": "dashboards/a.b", "dashboards/.a": "", "dashboards/a.": "", "dashboards/..": "", "dashboards/a/b.c": "", "a%2fb": "", "ä": "",
		long: long, long + "aaa": "", "?x=" + strings.Repeat("é", maxReturn/3): "", "a?" + strings.Repeat("&a", maxReturn/2-2): "a",
	} {
		if got := returnTo(text); got != want {
			t.Errorf("%.60q: got %.60q, want %.60q", text, got, want)
		}
	}
	// The longest that is kept can be kept.
	h := newHarness(t)
	b := h.browser()
	query := "a?" + strings.Repeat("=&", maxReturn/2-3) + "="
	state := b.begin(query)
	got := b.comeBack("code=anna&state=" + state)
	if u, err := url.Parse(got.header.Get("Location")); err != nil || got.status != 303 || u.Path != "/ui/a" {
		t.Errorf("got %d %.100s", got.status, got.header.Get("Location"))
	}
}
