package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

const (
	methodsJSON = `"methods":[{"kind":"oidc","name":"Company account"},{"kind":"local"},{"kind":"kubernetes"}]`
	signedOut   = `{"user":null,` + methodsJSON + `,"version":"v1.2.3"}`
	annaIn      = `{"user":{"kind":"local","name":"anna","groups":["staff"]},` + methodsJSON + `,"expiresAt":"2026-11-22T12:00:00Z","version":"v1.2.3"}`

	wrongPassword = "the user name or the password is wrong"
	wrongToken    = "no cluster accepts this token: it may be expired, cut off when it was copied, or meant for something else"
	notThePage    = "signing in and out is for the gateway's own page: open it in a browser; programs send a token instead"
	tooMany       = "too many tries to sign in: wait a moment, then try again"
	sessionEnded  = "your session has ended: sign in again"
	noCredential  = "this request carries no credential: send Authorization: Bearer TOKEN, or Basic with the token as password"
)

// TestSession: signed out, signed in, and ended in each of its ways.
func TestSession(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	check(t, "signed out", b.do("GET", "/api/v1/session", ""), 200, signedOut)
	got := b.do("POST", "/api/v1/session/local", `{"name":"anna","password":"the-password-of-anna"}`)
	check(t, "signing in", got, 200, annaIn)
	check(t, "signed in", b.do("GET", "/api/v1/session", ""), 200, annaIn)
	if c := got.header["Set-Cookie"]; len(c) != 1 || c[0] != "__Host-promgate="+b.cookies["__Host-promgate"]+"; Path=/; Max-Age=86400; HttpOnly; Secure; SameSite=Lax" {
		t.Errorf("the cookie is %q", c)
	}
	if len(b.cookies["__Host-promgate"]) != 43 {
		t.Errorf("the secret has %d characters", len(b.cookies["__Host-promgate"]))
	}
	check(t, "a wrong cookie", (&browser{h, map[string]string{"__Host-promgate": strings.Repeat("A", 43)}}).do("GET", "/api/v1/session", ""), 200, signedOut)
	ended := func(what string) {
		t.Helper()
		check(t, what, b.do("GET", "/api/v1/session", ""), 200, signedOut)
		check(t, what, b.do("GET", "/api/v1/projects", ""), 401, failed("unauthorized", sessionEnded))
		check(t, what, b.do("GET", production+question, ""), 401, failed("unauthorized", sessionEnded))
	}
	h.clock.advance(8*time.Hour + time.Second)
	ended("idle")
	b = h.signedIn("anna")
	for range 4 {
		h.clock.advance(6 * time.Hour)
		b.do("GET", "/api/v1/session", "")
		h.clock.advance(-time.Second) // just before its end it is in use
	}
	h.clock.advance(4 * time.Second)
	ended("after a day")
	b = h.signedIn("anna")
	delete(h.people.grants, "anna")
	check(t, "who is gone", b.do("GET", "/api/v1/projects", ""), 401, failed("unauthorized", sessionEnded))
	ended("who was gone")
}

// TestSessionDashboards: the page learns where dashboards are, signed in or not.
func TestSessionDashboards(t *testing.T) {
	h := newHarness(t, func(o *Options) { o.DashboardsPath = "/perses" })
	with := func(session string) string { return session[:len(session)-1] + `,"dashboards":{"path":"/perses"}}` }
	check(t, "signed out", h.browser().do("GET", "/api/v1/session", ""), 200, with(signedOut))
	check(t, "signed in", h.signedIn("anna").do("GET", "/api/v1/session", ""), 200, with(annaIn))
}

// TestWrongAlike: nobody learns which names there are.
func TestWrongAlike(t *testing.T) {
	h := newHarness(t)
	want := failed("unauthorized", wrongPassword)
	var header http.Header
	for _, body := range []string{
		`{"name":"anna","password":"wrong"}`, `{"name":"nobody","password":"wrong"}`, `{"name":"disabled","password":"the-password-of-disabled"}`,
		`{"name":"","password":""}`, `{}`, `null`, `{"name":"anna"}`, `{"name":"` + strings.Repeat("a", 257) + `","password":"x"}`,
		`{"name":"anna","password":"` + strings.Repeat("a", 4097) + `"}`, `{"name":"anna\u0000","password":"the-password-of-anna"}`,
		`{"name":"Anna","password":"the-password-of-anna"}`, `{"name":" anna","password":"the-password-of-anna"}`,
	} {
		got := h.browser().do("POST", "/api/v1/session/local", body)
		check(t, body[:min(len(body), 80)], got, 401, want)
		for _, varies := range []string{"Date", "X-Request-Id"} {
			got.header.Del(varies)
		}
		if header == nil {
			header = got.header
		}
		if len(got.header) != len(header) || got.header.Get("Content-Length") != header.Get("Content-Length") || got.header["Set-Cookie"] != nil {
			t.Errorf("%.60s: header %v, want %v", body, got.header, header)
		}
		h.clock.advance(time.Minute)
	}
	if h.sessions.len() != 0 {
		t.Errorf("%d sessions", h.sessions.len())
	}
	for _, cause := range []string{"wrong password", "unknown", "disabled"} { // which the log knows
		if !strings.Contains(h.log.text(), `"cause":"invalid credential: `+cause+`"`) {
			t.Errorf("the log does not tell of %s", cause)
		}
	}
}

// TestSignInBody: JSON alone, of the form that is described.
func TestSignInBody(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	const good = `{"name":"anna","password":"the-password-of-anna"}`
	for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain; application/json"} {
		r := b.request("POST", "/api/v1/session/local", good)
		r.Header.Set("Content-Type", contentType)
		check(t, contentType, b.send(r), 415, failed("bad_data", "send the body as JSON, with Content-Type: application/json"))
	}
	for body, want := range map[string]string{
		`name=anna&password=x`: "the body is no JSON of the form that docs/openapi.yaml describes",
		`{"name":"anna","password":"the-password-of-anna","remember":true}`: "the body is no JSON of the form that docs/openapi.yaml describes",
		`{"name":["anna"]}`: "the body's name has the wrong type: docs/openapi.yaml tells which one it takes",
		good + good:         "the body holds more than one JSON value: send one",
	} {
		check(t, body, b.do("POST", "/api/v1/session/local", body), 400, failed("bad_data", want))
	}
	check(t, "too long", b.do("POST", "/api/v1/session/local", `{"name":"`+strings.Repeat("a", 1<<16)+`"}`), 413, failed("bad_data", "the body is larger than 65536 bytes"))
	if h.sessions.len() != 0 {
		t.Errorf("%d sessions", h.sessions.len())
	}
}

// TestThrottle: by the name that is tried, known or not, and by the address.
func TestThrottle(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	try := func(name string, status int, wait string) {
		t.Helper()
		got := b.do("POST", "/api/v1/session/local", `{"name":"`+name+`","password":"wrong"}`)
		want := failed("unauthorized", wrongPassword)
		if status == 429 {
			want = failed("too_many_requests", tooMany)
		}
		check(t, name, got, status, want)
		if got.header.Get("Retry-After") != wait {
			t.Errorf("%s: Retry-After is %q, want %q", name, got.header.Get("Retry-After"), wait)
		}
	}
	for _, name := range []string{"anna", "nobody"} {
		for range 10 {
			try(name, 401, "")
		}
		try(name, 429, map[string]string{"anna": "6", "nobody": "6"}[name])
	}
	try("dora", 429, "3") // by the address
	check(t, "a right password too", b.do("POST", "/api/v1/session/local", `{"name":"dora","password":"the-password-of-dora"}`), 429, failed("too_many_requests", tooMany))
	check(t, "a Kubernetes token too", b.do("POST", "/api/v1/session/kubernetes", `{"token":"user-jane"}`), 429, failed("too_many_requests", tooMany))
	check(t, "the provider too", b.do("POST", "/api/v1/session/oidc", `{}`), 429, failed("too_many_requests", tooMany))
	h.clock.advance(3 * time.Second)
	try("anna", 429, "3")
	try("dora", 401, "")
	h.clock.advance(3 * time.Second)
	try("anna", 401, "")
	h.clock.advance(time.Minute)
	for _, name := range []string{strings.Repeat("x", 300), strings.Repeat("x", 256) + "y"} { // are tried as one
		for range 5 {
			try(name, 401, "")
		}
	}
	try(strings.Repeat("x", 256)+"z", 429, "6")
}

// TestSignInAgain: no cookie from before a sign-in opens anything after it.
func TestSignInAgain(t *testing.T) {
	h := newHarness(t)
	b := h.signedIn("anna")
	old := b.copy()
	check(t, "again", b.do("POST", "/api/v1/session/local", `{"name":"boris","password":"the-password-of-boris"}`), 200,
		strings.Replace(annaIn, "anna", "boris", 1))
	if b.cookies["__Host-promgate"] == old.cookies["__Host-promgate"] {
		t.Error("the cookie is the same")
	}
	check(t, "the old cookie", old.do("GET", "/api/v1/projects", ""), 401, failed("unauthorized", sessionEnded))
	// A cookie that somebody has planted is no session, and becomes none.
	planted := &browser{h, map[string]string{"__Host-promgate": strings.Repeat("B", 43)}}
	victim := planted.copy()
	victim.do("POST", "/api/v1/session/local", `{"name":"anna","password":"the-password-of-anna"}`)
	check(t, "the planted cookie", planted.do("GET", "/api/v1/projects", ""), 401, failed("unauthorized", sessionEnded))
	check(t, "the victim", victim.do("GET", "/api/v1/session", ""), 200, annaIn)
	// A sign-in that fails leaves the session as it is.
	victim.do("POST", "/api/v1/session/local", `{"name":"boris","password":"wrong"}`)
	check(t, "after a wrong password", victim.do("GET", "/api/v1/session", ""), 200, annaIn)
}

// TestSignOut: here, and everywhere.
func TestSignOut(t *testing.T) {
	h := newHarness(t)
	one, two, boris := h.signedIn("anna"), h.signedIn("anna"), h.signedIn("boris")
	const gone = "__Host-promgate=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"
	old := one.copy()
	for range 2 { // and once more
		got := one.do("DELETE", "/api/v1/session", "")
		check(t, "signing out", got, 200, signedOut)
		if c := got.header["Set-Cookie"]; len(c) != 1 || c[0] != gone {
			t.Errorf("the cookie is %q", c)
		}
	}
	check(t, "the old cookie", old.do("GET", "/api/v1/projects", ""), 401, failed("unauthorized", sessionEnded))
	check(t, "the old cookie signs out", old.do("DELETE", "/api/v1/session", ""), 200, signedOut)
	check(t, "the other browser", two.do("GET", "/api/v1/session", ""), 200, annaIn)
	old = h.signedIn("anna")
	ended := old.copy()
	old.do("DELETE", "/api/v1/session", "")
	check(t, "an ended session ends no other", ended.do("DELETE", "/api/v1/sessions", ""), 200, signedOut)
	check(t, "the other browser still", two.do("GET", "/api/v1/session", ""), 200, annaIn)
	three := h.signedIn("anna")
	got := three.do("DELETE", "/api/v1/sessions", "")
	check(t, "everywhere", got, 200, signedOut)
	if c := got.header["Set-Cookie"]; len(c) != 1 || c[0] != gone {
		t.Errorf("the cookie is %q", c)
	}
	check(t, "the other browser then", two.do("GET", "/api/v1/projects", ""), 401, failed("unauthorized", sessionEnded))
	if got := boris.do("GET", "/api/v1/projects", ""); got.status != 200 {
		t.Errorf("somebody else: %d %s", got.status, got.body)
	}
	h.sessions.setDown(true)
	for _, o := range [][2]string{{"GET", "session"}, {"DELETE", "session"}, {"DELETE", "sessions"}} {
		got := boris.do(o[0], "/api/v1/"+o[1], "")
		check(t, o[1]+" without the store", got, 503, failed("unavailable", "the gateway cannot check credentials right now: try again in a moment"))
		if got.header.Get("Retry-After") != "5" || got.header["Set-Cookie"] != nil {
			t.Errorf("header %v", got.header)
		}
	}
	check(t, "signing in without the store", h.browser().do("POST", "/api/v1/session/local", `{"name":"anna","password":"the-password-of-anna"}`), 503,
		failed("unavailable", "the gateway cannot check credentials right now: try again in a moment"))
}

// TestKubernetesSignIn: the token stays on the gateway's side, and ends the
// session when it ends.
func TestKubernetesSignIn(t *testing.T) {
	h := newHarness(t)
	const token = "user-a-token-that-nobody-may-see"
	h.secrets = append(h.secrets, token)
	h.users.opens[token] = h.users.opens["user-jane"]
	h.users.until = h.clock.now().Add(time.Hour)
	b := h.browser()
	got := b.do("POST", "/api/v1/session/kubernetes", `{"token":"`+token+`"}`)
	if got.status != 200 || !strings.HasSuffix(got.header.Get("Set-Cookie"), "; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax") {
		t.Fatalf("got %d %v %s", got.status, got.header, got.body)
	}
	var s sessionItem
	if err := json.Unmarshal([]byte(b.do("GET", "/api/v1/session", "").body), &s); err != nil || s.User == nil || s.User.Kind != "kubernetes" ||
		s.ExpiresAt == nil || !s.ExpiresAt.Equal(h.users.until) {
		t.Errorf("the session is %+v", s)
	}
	check(t, "the projects", b.do("GET", "/api/v1/projects", ""), 200, `{"projects":[{"name":"shop","environments":2}]}`)
	for _, r := range h.sessions.records {
		if strings.Contains(string(r.Sealed), "nobody-may-see") {
			t.Error("the store holds the token in the clear")
		}
	}
	h.clock.advance(time.Hour)
	check(t, "after the token's end", b.do("GET", "/api/v1/projects", ""), 401, failed("unauthorized", sessionEnded))
	for body, want := range map[string]string{`{"token":"user-forged"}`: wrongToken, `{"token":""}`: wrongToken, `{}`: wrongToken,
		`{"token":"user-` + strings.Repeat("a", 8<<10) + `"}`: wrongToken, `{"token":"` + token + `"}`: wrongToken /* it has ended */} {
		got := b.do("POST", "/api/v1/session/kubernetes", body)
		check(t, body[:min(len(body), 40)], got, 401, failed("unauthorized", want))
	}
	h.users.down = true
	check(t, "no cluster answers", b.do("POST", "/api/v1/session/kubernetes", `{"token":"user-jane"}`), 503,
		failed("unavailable", "the gateway cannot check credentials right now: try again in a moment"))
}

// TestNoSignIn: what is not offered is no route, or says so.
func TestNoSignIn(t *testing.T) {
	h := newHarness(t, func(o *Options) { o.Sessions, o.SignIn = nil, SignIn{} })
	b := h.browser()
	check(t, "the session", b.do("GET", "/api/v1/session", ""), 200, `{"user":null,"methods":[],"version":"v1.2.3"}`)
	for _, path := range []string{"session", "sessions"} {
		check(t, path, b.do("DELETE", "/api/v1/"+path, ""), 404, failed("not_found", "signing in is not configured"))
	}
	for _, path := range []string{"local", "kubernetes", "oidc"} {
		if got := b.do("POST", "/api/v1/session/"+path, `{}`); got.status != 404 || !strings.Contains(got.body, "no such route") {
			t.Errorf("%s: got %d %s", path, got.status, got.body)
		}
	}
	b.cookies["__Host-promgate"] = strings.Repeat("A", 43)
	if got := b.do("GET", "/api/v1/projects", ""); got.status != 401 {
		t.Errorf("a cookie: got %d %s", got.status, got.body)
	}
	h = newHarness(t, func(o *Options) { o.SignIn = SignIn{Kubernetes: o.SignIn.Kubernetes, KubernetesAudience: "promgate"} })
	check(t, "an audience", h.browser().do("GET", "/api/v1/session", ""), 200,
		`{"user":null,"methods":[{"kind":"kubernetes","audience":"promgate"}],"version":"v1.2.3"}`)
	// Ways without a place for sessions are of no use.
	h = newHarness(t, func(o *Options) { o.Sessions = nil })
	check(t, "without sessions", h.browser().do("POST", "/api/v1/session/local", `{"name":"anna","password":"the-password-of-anna"}`), 404,
		failed("not_found", "signing in is not configured"))
}

// TestSignInTakesLong: who waits too long for their password to be checked is
// told to try again.
func TestSignInTakesLong(t *testing.T) {
	h := newHarness(t)
	got := h.browser().do("POST", "/api/v1/session/local", `{"name":"late","password":"x"}`)
	check(t, "late", got, 503, failed("timeout", "this takes longer than a request may take: ask again in a moment"))
	if got.header.Get("Retry-After") != "5" {
		t.Errorf("Retry-After is %q", got.header.Get("Retry-After"))
	}
}
