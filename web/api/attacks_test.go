package api

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// foreign are what other sites, and those who guess, make of a request of the
// page. None of them is one.
var foreign = map[string]func(http.Header){
	"from another site":            func(h http.Header) { h.Set("Sec-Fetch-Site", "cross-site") },
	"from a sibling":               func(h http.Header) { h.Set("Sec-Fetch-Site", "same-site") },
	"typed into the address":       func(h http.Header) { h.Set("Sec-Fetch-Site", "none") },
	"without fetch metadata":       func(h http.Header) { h.Del("Sec-Fetch-Site") },
	"empty fetch metadata":         func(h http.Header) { h["Sec-Fetch-Site"] = []string{""} },
	"fetch metadata twice":         func(h http.Header) { h["Sec-Fetch-Site"] = []string{"same-origin", "same-origin"} },
	"both fetch metadata":          func(h http.Header) { h["Sec-Fetch-Site"] = []string{"same-origin", "cross-site"} },
	"fetch metadata in a list":     func(h http.Header) { h.Set("Sec-Fetch-Site", "same-origin, cross-site") },
	"fetch metadata in capitals":   func(h http.Header) { h.Set("Sec-Fetch-Site", "Same-Origin") },
	"Origin null":                  func(h http.Header) { h.Set("Origin", "null") },
	"empty Origin":                 func(h http.Header) { h["Origin"] = []string{""} },
	"another Origin":               func(h http.Header) { h.Set("Origin", "https://evil.example") },
	"another scheme":               func(h http.Header) { h.Set("Origin", "http://gateway.example") },
	"another port":                 func(h http.Header) { h.Set("Origin", "https://gateway.example:8443") },
	"a longer host":                func(h http.Header) { h.Set("Origin", "https://gateway.example.evil.example") },
	"a host before":                func(h http.Header) { h.Set("Origin", "https://evilgateway.example") },
	"a user before the host":       func(h http.Header) { h.Set("Origin", "https://gateway.example@evil.example") },
	"a fragment after the host":    func(h http.Header) { h.Set("Origin", "https://evil.example#gateway.example") },
	"a backslash in the host":      func(h http.Header) { h.Set("Origin", `https://evil.example\gateway.example`) },
	"a file":                       func(h http.Header) { h.Set("Origin", "file://gateway.example") },
	"an extension":                 func(h http.Header) { h.Set("Origin", "chrome-extension://gateway.example") },
	"no scheme":                    func(h http.Header) { h.Set("Origin", "gateway.example") },
	"two Origins":                  func(h http.Header) { h["Origin"] = []string{baseURL, "https://evil.example"} },
	"two Origins in one":           func(h http.Header) { h.Set("Origin", baseURL+" https://evil.example") },
	"without the page's header":    func(h http.Header) { h.Del("X-Promgate-Page") },
	"the page's header empty":      func(h http.Header) { h["X-Promgate-Page"] = []string{""} },
	"the page's header 0":          func(h http.Header) { h.Set("X-Promgate-Page", "0") },
	"the page's header true":       func(h http.Header) { h.Set("X-Promgate-Page", "true") },
	"the page's header twice":      func(h http.Header) { h["X-Promgate-Page"] = []string{"1", "1"} },
	"the page's header in a list":  func(h http.Header) { h.Set("X-Promgate-Page", "1, 1") },
	"nothing of the page":          func(h http.Header) { h.Del("X-Promgate-Page"); h.Del("Sec-Fetch-Site") },
	"a link that names the page":   func(h http.Header) { h.Set("Sec-Fetch-Site", "cross-site"); h.Set("Referer", baseURL+"/ui/") },
	"a form of another site":       func(h http.Header) { asForm(h, "application/x-www-form-urlencoded") },
	"a text form of another site":  func(h http.Header) { asForm(h, "text/plain") },
	"a file form of another site":  func(h http.Header) { asForm(h, "multipart/form-data; boundary=x") },
	"a beacon of another site":     func(h http.Header) { asForm(h, "text/plain;charset=UTF-8"); h.Set("Origin", "https://evil.example") },
	"a sandboxed frame of our own": func(h http.Header) { h.Set("Sec-Fetch-Site", "cross-site"); h.Set("Origin", "null") },
	"another method by a header":   func(h http.Header) { h.Set("X-Http-Method-Override", "POST"); h.Del("X-Promgate-Page") },
	"forwarded for the page's host": func(h http.Header) {
		h.Set("X-Forwarded-Host", "evil.example")
		h.Set("Origin", "https://evil.example")
	},
}

// asForm is what a browser sends of a form of another site.
func asForm(h http.Header, contentType string) {
	h.Del("X-Promgate-Page")
	h.Set("Sec-Fetch-Site", "cross-site")
	h.Set("Origin", "https://evil.example")
	h.Set("Content-Type", contentType)
}

// changing are the operations that change something, and reading those that do
// not; TOKEN is the id of a token.
var (
	changing = []struct{ method, path, body string }{
		{"DELETE", "/api/v1/session", ""},
		{"DELETE", "/api/v1/sessions", ""},
		{"POST", "/api/v1/session/local", `{"name":"boris","password":"the-password-of-boris"}`},
		{"POST", "/api/v1/session/kubernetes", `{"token":"user-jane"}`},
		{"POST", "/api/v1/session/oidc", `{"returnTo":"projects"}`},
		{"POST", apiTokens, `{"description":"stolen","lifetimeSeconds":3600}`},
		{"POST", apiTokens + "/TOKEN/rotate", `{"overlapSeconds":0}`},
		{"DELETE", apiTokens + "/TOKEN", ""},
	}
	reading = []string{
		"/api/v1/projects", "/api/v1/environments", apiShop, apiShop + "/environments", apiProduction, apiProduction + "/doctor",
		apiProduction + "/provisioning", apiTokens, apiTokens + "/TOKEN", production + question, production + "api/v1/labels",
	}
)

// TestForeign: with a session's cookie, no request of another site changes
// anything, learns anything or gets a cookie.
func TestForeign(t *testing.T) {
	h := newHarness(t)
	anna := h.signedIn("anna")
	token, secret := anna.create("shop", `{"description":"Grafana","lifetimeSeconds":3600}`)
	before, sessions := anna.do("GET", apiTokens, "").body, h.sessions.len()
	h.up.take()
	send := func(what, method, path, body string, change func(http.Header)) answer {
		r := asMalformed(anna.request(method, strings.Replace(path, "TOKEN", token.ID, 1), body))
		change(r.Header)
		got := h.do(r)
		if got.header["Set-Cookie"] != nil {
			t.Errorf("%s: a cookie %v", what, got.header)
		}
		checkHeader(t, what, got)
		return got
	}
	for name, change := range foreign {
		for _, o := range changing {
			what := fmt.Sprintf("%s %s %s", o.method, o.path, name)
			want, status := failed("unauthorized", noCredential), 401
			if strings.HasPrefix(o.path, "/api/v1/session") {
				want, status = failed("forbidden", notThePage), 403
			}
			check(t, what, send(what, o.method, o.path, o.body, change), status, want)
		}
		for _, path := range reading {
			what := "GET " + path + " " + name
			check(t, what, send(what, "GET", path, "", change), 401, failed("unauthorized", noCredential))
		}
		what := "GET session " + name
		check(t, what, send(what, "GET", "/api/v1/session", "", change), 200, signedOut)
	}
	if asked := h.up.take(); len(asked) != 0 {
		t.Errorf("the upstream saw %v", asked)
	}
	check(t, "the tokens afterwards", anna.do("GET", apiTokens, ""), 200, before)
	check(t, "the session afterwards", anna.do("GET", "/api/v1/session", ""), 200, annaIn)
	if n := h.sessions.len(); n != sessions {
		t.Errorf("%d sessions, before %d", n, sessions)
	}
	if got := h.opens(secret, "shop", "production"); got != 200 {
		t.Errorf("the token: %d", got)
	}
}

// TestOwnOrigin: what the page itself sends is taken, by the name that clients
// know the gateway by and by the one that this request is for.
func TestOwnOrigin(t *testing.T) {
	h := newHarness(t)
	anna := h.signedIn("anna")
	for _, origin := range []string{baseURL, "https://GATEWAY.example", h.server.URL} {
		r := anna.request("GET", "/api/v1/projects", "")
		r.Header.Set("Origin", origin)
		if got := anna.send(r); got.status != 200 {
			t.Errorf("%s: got %d %s", origin, got.status, got.body)
		}
	}
}

// TestNotJSON: whoever could send the page's marks still cannot have a form do
// what JSON does; with a program's credential neither.
func TestNotJSON(t *testing.T) {
	h := newHarness(t)
	anna := h.signedIn("anna")
	token, _ := anna.create("shop", `{"description":"Grafana","lifetimeSeconds":3600}`)
	before := anna.do("GET", apiTokens, "").body
	for _, o := range changing {
		if o.body == "" {
			continue
		}
		path := strings.Replace(o.path, "TOKEN", token.ID, 1)
		for contentType, body := range map[string]string{
			"text/plain": o.body, "text/plain; charset=utf-8": o.body, "application/x-www-form-urlencoded": o.body + "=",
			"multipart/form-data; boundary=x": "--x\r\nContent-Disposition: form-data; name=\"x\"\r\nContent-Type: application/json\r\n\r\n" + o.body + "\r\n--x--",
			"application/json, text/plain":    o.body, "application/json\x0c": o.body, "application/csp-report": o.body, "": o.body,
		} {
			for _, header := range []string{"", "Bearer user-mona"} {
				r := anna.request("POST", path, body)
				r.Header["Content-Type"] = []string{contentType}
				if header != "" {
					r.Header.Set("Authorization", header)
				}
				if contentType == "application/json\x0c" {
					continue // no client sends it
				}
				check(t, o.path+" as "+contentType, h.do(r), 415, failed("bad_data", "send the body as JSON, with Content-Type: application/json"))
			}
		}
	}
	check(t, "the tokens afterwards", anna.do("GET", apiTokens, ""), 200, before)
}

// TestCookies: of several of the name none counts, and cookies of other names or
// forms are nobody's.
func TestCookies(t *testing.T) {
	h := newHarness(t)
	anna, boris := h.signedIn("anna"), h.signedIn("boris")
	good, other := anna.cookies["__Host-promgate"], boris.cookies["__Host-promgate"]
	for name, c := range map[string]struct {
		cookie string
		status int
		says   string
	}{
		"good":             {"__Host-promgate=" + good, 200, `"projects"`},
		"among others":     {"a=b; __Host-promgate=" + good + "; promgate=x", 200, `"projects"`},
		"twice":            {"__Host-promgate=" + good + "; __Host-promgate=" + good, 401, sessionEnded},
		"two people's":     {"__Host-promgate=" + other + "; __Host-promgate=" + good, 401, sessionEnded},
		"without prefix":   {"promgate=" + good, 401, noCredential},
		"in small letters": {"__host-promgate=" + good, 401, noCredential},
		"cut off":          {"__Host-promgate=" + good[:42], 401, sessionEnded},
		"longer":           {"__Host-promgate=" + good + "A", 401, sessionEnded},
		"padded":           {"__Host-promgate=" + good + "=", 401, sessionEnded},
		"another alphabet": {"__Host-promgate=" + strings.Repeat("+", 43), 401, sessionEnded},
		"empty":            {"__Host-promgate=", 401, sessionEnded},
		"its id":           {"__Host-promgate=" + h.ids()[0], 401, sessionEnded},
	} {
		r := h.browser().request("GET", "/api/v1/projects", "")
		r.Header.Set("Cookie", c.cookie)
		if got := h.do(r); got.status != c.status || !strings.Contains(got.body, c.says) {
			t.Errorf("%s: got %d %s", name, got.status, got.body)
		}
	}
	// The last bits of base64 have one spelling.
	last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", good[42])
	r := h.browser().request("GET", "/api/v1/projects", "")
	r.Header.Set("Cookie", "__Host-promgate="+good[:42]+string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last^1]))
	if got := h.do(r); got.status != 401 {
		t.Errorf("another spelling: got %d", got.status)
	}
}

// ids are what the store has of sessions.
func (h *harness) ids() (all []string) {
	for id := range h.sessions.records {
		all = append(all, id)
	}
	return all
}

// TestHeaderBesideCookie: an Authorization header decides alone, for better and
// for worse.
func TestHeaderBesideCookie(t *testing.T) {
	h := newHarness(t)
	anna := h.signedIn("anna")
	billing := h.mint("billing", "")
	for _, c := range []struct {
		header []string
		path   string
		status int
	}{
		{nil, production + question, 200},
		{nil, "/projects/billing/environments/production/" + question, 403},
		{nil, "/projects/none/environments/production/" + question, 403},
		{[]string{"Bearer " + billing}, production + question, 403},
		{[]string{"Bearer " + billing}, "/projects/billing/environments/production/" + question, 200},
		{[]string{"Bearer forged"}, production + question, 401},
		{[]string{"Nonsense"}, production + question, 401},
		{[]string{""}, production + question, 401},
		{[]string{"Bearer user-jane", "Bearer user-jane"}, production + question, 401},
		{[]string{"Bearer " + billing}, apiShop, 403},
		{[]string{"Bearer forged"}, apiShop, 401},
		{[]string{"Bearer " + billing}, apiTokens, 403},
		{[]string{""}, apiTokens, 401},
		{nil, apiTokens, 200},
	} {
		r := anna.request("GET", c.path, "")
		if c.header != nil {
			r.Header["Authorization"] = c.header
		}
		if got := h.do(r); got.status != c.status {
			t.Errorf("%s with %.20q: got %d %s", c.path, c.header, got.status, got.body)
		}
	}
}

// TestForeignMarkup: what an upstream says is data, wherever it comes up.
func TestForeignMarkup(t *testing.T) {
	h := newHarness(t)
	anna := h.signedIn("anna")
	const script = `<script>alert(1)</script>`
	for name, answer := range map[string]http.HandlerFunc{
		"a page":   answerAs(200, "text/html", script),
		"an error": answerAs(400, "text/html", `{"status":"error","errorType":"`+script+`","error":"`+script+`"}`),
		"a server error": answerAs(500, "text/html; charset=utf-7",
			`{"status":"error","errorType":"internal","error":"`+script+`"}`),
		"values": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Content-Security-Policy", "script-src *")
			body := `{"status":"success","data":["` + script + `"]}`
			if strings.HasSuffix(r.URL.Path, "/buildinfo") {
				body = `{"status":"success","data":{"application":"` + script + `","version":"` + script + `"}}`
			}
			_, _ = io.WriteString(w, body)
		},
		"a redirect": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "javascript:alert(1)")
			w.Header().Set("Set-Cookie", "__Host-promgate=x; Path=/; Secure")
			w.WriteHeader(302)
		},
	} {
		h.up.answerWith(answer)
		h.clock.advance(healthFor)
		for _, path := range []string{apiProduction, apiProduction + "/doctor", "/api/v1/environments", production + "api/v1/labels", production + question,
			production + "api/v1/status/buildinfo", apiShop + "/environments/" + url.PathEscape(script), production + "api/v1/label/" + url.PathEscape(script) + "/values"} {
			got := anna.do("GET", path, "")
			checkHeader(t, name+" at "+path, got)
			if got.header["Set-Cookie"] != nil || got.header["Location"] != nil {
				t.Errorf("%s at %s: %v", name, path, got.header)
			}
			if strings.HasPrefix(path, "/api/v1/") && strings.Contains(got.body, "<script") {
				t.Errorf("%s at %s: %s", name, path, got.body)
			}
		}
		eventually(t, name, func() bool { return anna.healthOf("shop", "production").Status != "checking" })
	}
}
