package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/promgate/promgate/routing"
	"github.com/promgate/promgate/tokens"
)

// secretOf reads the answer that shows a token.
func (h *harness) secretOf(got answer) (token tokenItem, secret string, replaced *tokenItem) {
	h.t.Helper()
	var body struct {
		Token    tokenItem
		Secret   string
		Replaced *tokenItem
	}
	if err := json.Unmarshal([]byte(got.body), &body); err != nil || got.status != http.StatusCreated || body.Secret == "" {
		h.t.Fatalf("got %d %s", got.status, got.body)
	}
	h.tokens = append(h.tokens, body.Secret)
	checkHeader(h.t, "a token", got)
	return body.Token, body.Secret, body.Replaced
}

// create makes a token through the API.
func (b *browser) create(project, body string) (tokenItem, string) {
	b.h.t.Helper()
	token, secret, replaced := b.h.secretOf(b.do("POST", "/api/v1/projects/"+project+"/tokens", body))
	if replaced != nil {
		b.h.t.Errorf("it has replaced %+v", replaced)
	}
	return token, secret
}

// tokenOf asks for a token.
func (b *browser) tokenOf(project, id string) (token tokenItem) {
	b.h.t.Helper()
	got := b.do("GET", "/api/v1/projects/"+project+"/tokens/"+id, "")
	if err := json.Unmarshal([]byte(got.body), &token); err != nil || got.status != 200 {
		b.h.t.Fatalf("got %d %s", got.status, got.body)
	}
	return token
}

// opens tells what the data API answers to a token.
func (h *harness) opens(secret, project, environment string) int {
	h.t.Helper()
	return h.as(secret, "GET", "/projects/"+project+"/environments/"+environment+"/"+question, "").status
}

func TestCreateToken(t *testing.T) {
	h := newHarness(t)
	anna := h.signedIn("anna")
	for _, c := range []struct {
		body, environment           string
		description                 string
		lifetime                    time.Duration
		production, staging, closed int
	}{
		{`{"description":"Grafana","environment":"production","lifetimeSeconds":3600}`, "production", "Grafana", time.Hour, 200, 403, 403},
		{`{"description":"  Perses, of the team \"Ünï\" ","lifetimeSeconds":60}`, "", `Perses, of the team "Ünï"`, time.Minute, 200, 200, 403},
		{`{"description":"five years","environment":"","lifetimeSeconds":158112000}`, "", "five years", 5 * 366 * 24 * time.Hour, 200, 200, 403},
		{`{"description":"` + strings.Repeat("ü", 200) + `","lifetimeSeconds":61}`, "", strings.Repeat("ü", 200), 61 * time.Second, 200, 200, 403},
	} {
		token, secret := anna.create("shop", c.body)
		want := tokenItem{
			ID: token.ID, Description: c.description, Project: "shop", Environment: c.environment, State: tokens.StateActive,
			CreatedAt: h.clock.now(), CreatedBy: "local:anna", ExpiresAt: h.clock.now().Add(c.lifetime),
		}
		if token != want || len(token.ID) != 32 {
			t.Errorf("%s: got %+v, want %+v", c.body, token, want)
		}
		if got := anna.tokenOf("shop", token.ID); got != want {
			t.Errorf("asked for alone: %+v, want %+v", got, want)
		}
		got := [3]int{h.opens(secret, "shop", "production"), h.opens(secret, "shop", "staging"), h.opens(secret, "shop", "closed")}
		if want := [3]int{c.production, c.staging, c.closed}; got != want || h.opens(secret, "billing", "production") != 403 {
			t.Errorf("%s: it opens %v, want %v", c.body, got, want)
		}
	}
	if !strings.Contains(h.log.text(), `"msg":"endpoint token made"`) || !strings.Contains(h.log.text(), `"by":"local:anna"`) {
		t.Error("the log does not tell of the tokens")
	}
}

// TestNewTokenBounds: what is wrong is told, and nothing is made.
func TestNewTokenBounds(t *testing.T) {
	h := newHarness(t)
	anna := h.signedIn("anna")
	const (
		lifetime = "lifetimeSeconds must be from 60 to 158112000"
		noJSON   = "the body is no JSON of the form that docs/openapi.yaml describes"
		oneLine  = "description must stand on one line"
	)
	for body, want := range map[string]string{
		`{"description":"x","lifetimeSeconds":59}`:                              lifetime,
		`{"description":"x","lifetimeSeconds":0}`:                               lifetime,
		`{"description":"x","lifetimeSeconds":-60}`:                             lifetime,
		`{"description":"x","lifetimeSeconds":158112001}`:                       lifetime,
		`{"description":"x","lifetimeSeconds":9223372036854775807}`:             lifetime,
		`{"description":"x"}`:                                                   lifetime,
		`{"description":"x","lifetimeSeconds":9223372036854775808}`:             "the body's lifetimeSeconds has the wrong type: docs/openapi.yaml tells which one it takes",
		`{"description":"x","lifetimeSeconds":"3600"}`:                          "the body's lifetimeSeconds has the wrong type: docs/openapi.yaml tells which one it takes",
		`{"lifetimeSeconds":3600}`:                                              "description must say what the token is for, such as Grafana",
		`{"description":" \t ","lifetimeSeconds":3600}`:                         "description must say what the token is for, such as Grafana",
		`{"description":"` + strings.Repeat("ü", 201) + `"}`:                    "description must have at most 200 characters",
		`{"description":"a\nb","lifetimeSeconds":3600}`:                         oneLine,
		`{"description":"a\u0000b","lifetimeSeconds":3600}`:                     oneLine,
		`{"description":"a\u001b[2Jb","lifetimeSeconds":3600}`:                  oneLine,
		`{"description":"a\u0085b","lifetimeSeconds":3600}`:                     oneLine,
		`{"description":"a\u2028b","lifetimeSeconds":3600}`:                     oneLine,
		`{"description":"a\u2029b","lifetimeSeconds":3600}`:                     oneLine,
		`{"description":"x","environment":"none","lifetimeSeconds":3600}`:       "this project has no environment none: choose one of its environments, or leave it out for all",
		`{"description":"x","environment":"Production","lifetimeSeconds":3600}`: "this project has no environment Production: choose one of its environments, or leave it out for all",
		`{"description":"x","environment":"*","lifetimeSeconds":3600}`:          "this project has no environment *: choose one of its environments, or leave it out for all",
		`{"description":"x","lifetimeSeconds":3600,"project":"billing"}`:        noJSON,
		`{"description":"x","lifetimeSeconds":3600`:                             noJSON,
		`[]`:                          "the body is no JSON of the form that docs/openapi.yaml describes",
		`x`:                           noJSON,
		`{"description":"x"}{"a":1}`:  "the body holds more than one JSON value: send one",
		`{"description":["x"]}`:       "the body's description has the wrong type: docs/openapi.yaml tells which one it takes",
		`null`:                        "description must say what the token is for, such as Grafana",
		"\xff":                        noJSON,
		strings.Repeat("[", 60_000):   noJSON,
		`{"__proto__":{},"x":"<b>x"}`: noJSON,
	} {
		got := anna.do("POST", apiTokens, body)
		check(t, body[:min(len(body), 60)], got, 400, failed("bad_data", want))
	}
	check(t, "too long", anna.do("POST", apiTokens, `{"description":"`+strings.Repeat("x", 65536)+`"}`), 413, failed("bad_data", "the body is larger than 65536 bytes"))
	const media = "send the body as JSON, with Content-Type: application/json"
	for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/json, text/plain", "application/jsonx", "text/json"} {
		r := anna.request("POST", apiTokens, `{"description":"x","lifetimeSeconds":3600}`)
		r.Header.Set("Content-Type", contentType)
		check(t, contentType, anna.send(r), 415, failed("bad_data", media))
	}
	check(t, "the list", anna.do("GET", apiTokens, ""), 200, `{"tokens":[]}`)
}

// TestTokensAreForMaintainers: others neither see nor make, rotate or revoke.
func TestTokensAreForMaintainers(t *testing.T) {
	h := newHarness(t)
	anna, dora := h.signedIn("anna"), h.signedIn("dora")
	token, secret := anna.create("shop", `{"description":"Grafana","lifetimeSeconds":3600}`)
	foreign, _ := dora.create("billing", `{"description":"Grafana","lifetimeSeconds":3600}`)
	boris, carl := h.signedIn("boris"), h.signedIn("carl")
	notMaintainer := failed("forbidden", "only maintainers of this project may see and manage its endpoint tokens: ask one of them, or ask to become one")
	for _, o := range []struct{ method, path, body string }{
		{"GET", apiTokens, ""},
		{"POST", apiTokens, `{"description":"x","lifetimeSeconds":3600}`},
		{"GET", apiTokens + "/" + token.ID, ""},
		{"DELETE", apiTokens + "/" + token.ID, ""},
		{"POST", apiTokens + "/" + token.ID + "/rotate", `{"overlapSeconds":0}`},
		{"GET", apiTokens + "/none", ""},
	} {
		what := o.method + " " + o.path
		check(t, what+" as a viewer", boris.do(o.method, o.path, o.body), 403, notMaintainer)
		check(t, what+" with an endpoint token", h.as(secret, o.method, o.path, o.body), 403, notMaintainer)
		check(t, what+" as a reviewed viewer", h.as("user-jane", o.method, o.path, o.body), 403, notMaintainer)
		check(t, what+" as a stranger", carl.do(o.method, o.path, o.body), 403, failed("forbidden", errNotYours))
		check(t, what+" of no project", carl.do(o.method, strings.Replace(o.path, "shop", "none", 1), o.body), 403, failed("forbidden", errNotYours))
	}
	noToken := failed("not_found", "this project has no endpoint token of this id: it may have been removed")
	for _, id := range []string{foreign.ID, "none", strings.ToUpper(token.ID), token.ID + "x", "..x", strings.Repeat("a", 500)} {
		check(t, "GET "+id, anna.do("GET", apiTokens+"/"+id, ""), 404, noToken)
		check(t, "DELETE "+id, anna.do("DELETE", apiTokens+"/"+id, ""), 404, noToken)
		check(t, "rotate "+id, anna.do("POST", apiTokens+"/"+id+"/rotate", `{"overlapSeconds":0}`), 404, noToken)
	}
	if got := anna.tokenOf("shop", token.ID); got.State != tokens.StateActive {
		t.Errorf("it is %s", got.State)
	}
	if got := dora.tokenOf("billing", foreign.ID); got.State != tokens.StateActive || got.CreatedBy != "local:dora" {
		t.Errorf("it is %+v", got)
	}
	// A program with a Kubernetes token that may manage does it all.
	made, secret, _ := h.secretOf(h.as("user-mona", "POST", apiTokens, `{"description":"x","lifetimeSeconds":3600}`))
	if made.CreatedBy != "kubernetes:mona" || h.opens(secret, "shop", "production") != 200 {
		t.Errorf("it is %+v", made)
	}
}

func TestRevokeToken(t *testing.T) {
	h := newHarness(t)
	anna := h.signedIn("anna")
	token, secret := anna.create("shop", `{"description":"Grafana","lifetimeSeconds":3600}`)
	if got := h.opens(secret, "shop", "production"); got != 200 {
		t.Fatalf("it does not open: %d", got)
	}
	h.clock.advance(time.Minute)
	at := h.clock.now()
	for range 3 {
		got := anna.do("DELETE", apiTokens+"/"+token.ID, "")
		var body struct{ Token tokenItem }
		if err := json.Unmarshal([]byte(got.body), &body); err != nil || got.status != 200 || body.Token.State != tokens.StateRevoked || !body.Token.RevokedAt.Equal(at) {
			t.Errorf("got %d %s", got.status, got.body)
		}
		if got := h.opens(secret, "shop", "production"); got != 401 {
			t.Errorf("it still opens: %d", got)
		}
		h.clock.advance(time.Minute)
	}
	if got := anna.tokenOf("shop", token.ID); got.State != tokens.StateRevoked || !got.RevokedAt.Equal(at) {
		t.Errorf("it is %+v", got)
	}
	check(t, "rotated", anna.do("POST", apiTokens+"/"+token.ID+"/rotate", `{"overlapSeconds":0}`), 409,
		failed("bad_data", "this token is revoked, and is rotated no more: make a new one"))
}

// TestTokenInUse: the first use is told at once, with what has used it.
func TestTokenInUse(t *testing.T) {
	h := newHarness(t)
	anna := h.signedIn("anna")
	token, secret := anna.create("shop", `{"description":"Grafana","lifetimeSeconds":3600}`)
	if got := anna.tokenOf("shop", token.ID); !got.LastUsedAt.IsZero() || got.LastClient != "" {
		t.Errorf("before it is used: %+v", got)
	}
	for _, c := range []struct{ userAgent, want string }{
		{"Grafana/13.1", "Grafana"}, {"Grafana/13.1", "Grafana"}, {"curl/8.1", "curl"}, {"Go-http-client/2.0", "A Go program"},
		{"Mozilla/5.0 (X11)", "A browser"}, {"perses", "perses"}, {"<script>alert(1)</script>", ""}, {strings.Repeat("a", 41), ""},
		{strings.Repeat("a", 40) + "/1 " + strings.Repeat("b", 10_000), strings.Repeat("a", 40)}, {"", ""}, {"ä/1", ""}, {"my client 1.0/x", "my client 1.0"},
	} {
		h.clock.advance(time.Second)
		r := h.request("GET", production+question, "")
		r.Header.Set("Authorization", "Bearer "+secret)
		r.Header["User-Agent"] = []string{c.userAgent}
		if got := h.do(r); got.status != 200 {
			t.Fatalf("got %d %s", got.status, got.body)
		}
		if got := anna.tokenOf("shop", token.ID); !got.LastUsedAt.Equal(h.clock.now()) || got.LastClient != c.want {
			t.Errorf("%.40s: got %v %q, want %v %q", c.userAgent, got.LastUsedAt, got.LastClient, h.clock.now(), c.want)
		}
	}
	// One that is refused has not used it.
	used := h.clock.now()
	h.clock.advance(2 * time.Hour)
	if got := h.opens(secret, "shop", "production"); got != 401 {
		t.Errorf("after its end: %d", got)
	}
	if got := anna.tokenOf("shop", token.ID); got.State != tokens.StateExpired || !got.LastUsedAt.Equal(used) {
		t.Errorf("got %+v", got)
	}
}

// TestTokenPages: the newest first, whatever the size of the pages, and also
// where a page's last token has been removed meanwhile.
func TestTokenPages(t *testing.T) {
	h := newHarness(t)
	var want []string
	for i := range 7 {
		if i%2 == 0 { // two of the same second each
			h.clock.advance(time.Second)
		}
		for _, project := range []string{"billing", "shop"} {
			r, _, err := h.store.Create(t.Context(), tokens.Draft{Scope: tokens.Scope{Project: project, ProjectUID: "uid-" + project}, Lifetime: time.Hour, Description: "x"})
			if err != nil {
				t.Fatal(err)
			}
			if project == "shop" {
				want = append(want, fmt.Sprintf("%02d%s", 99-i/2, r.ID))
			}
		}
	}
	slices.Sort(want)
	for i := range want {
		want[i] = want[i][2:]
	}
	anna := h.signedIn("anna")
	for limit := 1; limit <= 8; limit++ {
		if got := anna.walk(apiTokens, limit); !slices.Equal(got, want) {
			t.Errorf("by %d:\n got %v\nwant %v", limit, got, want)
		}
	}
	records, err := h.store.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if i := slices.Index(want, r.ID); i >= 0 {
			r.ID += "-removed"
			got, _ := names(t, anna.do("GET", apiTokens+"?after="+newestFirst(r), ""))
			if !slices.Equal(got, want[i+1:]) {
				t.Errorf("after %s, which is gone: got %v", want[i], got)
			}
		}
	}
	check(t, "a bad limit", anna.do("GET", apiTokens+"?limit=0", ""), 400, failed("bad_data", "limit must be a whole number from 1 on, such as 100"))
}

// TestProjectMadeAgain: under the same name it is another project, and has none
// of the old one's tokens.
func TestProjectMadeAgain(t *testing.T) {
	h := newHarness(t)
	dora := h.signedIn("dora")
	token, secret := dora.create("billing", `{"description":"Grafana","lifetimeSeconds":3600}`)
	again := h.direct("billing", "production")
	again.Project = &routing.Project{Name: "billing", UID: "uid-billing-again"}
	again.UID = "uid-billing-again-production"
	h.set(again)
	g := h.people.grants["anna"][0]
	g.ProjectUID = "uid-billing-again"
	h.people.set("dora", g)
	check(t, "the list", dora.do("GET", "/api/v1/projects/billing/tokens", ""), 200, `{"tokens":[]}`)
	for _, method := range []string{"GET", "DELETE"} {
		if got := dora.do(method, "/api/v1/projects/billing/tokens/"+token.ID, ""); got.status != 404 {
			t.Errorf("%s: got %d %s", method, got.status, got.body)
		}
	}
	if got := h.opens(secret, "billing", "production"); got != 403 {
		t.Errorf("the old token: %d", got)
	}
}

// TestWhereTokensDoNotOpen: no token is made that would open nothing, or more
// than one project.
func TestWhereTokensDoNotOpen(t *testing.T) {
	h := newHarness(t)
	const off = "endpoint tokens are switched off where this token would be used: query with your own Kubernetes token"
	check(t, "one environment", h.as("user-mona", "POST", apiTokens, `{"description":"x","environment":"closed","lifetimeSeconds":3600}`), 409, failed("bad_data", off))
	all := h.environments()
	for _, e := range all {
		e.Target.NoEndpointTokens = true
	}
	h.set(all...)
	check(t, "every environment", h.as("user-mona", "POST", apiTokens, `{"description":"x","lifetimeSeconds":3600}`), 409, failed("bad_data", off))

	twin := h.service("shop", "twin")
	twin.Project = &routing.Project{Name: "shop", UID: "uid-twin", Cluster: "west"}
	h.set(append(h.environments(), twin)...)
	g := h.people.grants["anna"][0]
	other := g
	other.ProjectUID = "uid-twin"
	h.people.set("anna", g, other)
	anna := h.signedIn("anna")
	check(t, "two projects of one name", anna.do("POST", apiTokens, `{"description":"x","lifetimeSeconds":3600}`), 409,
		failed("bad_data", "several clusters have a namespace shop, and each is a project of its own: make a token for one environment"))
	_, secret := anna.create("shop", `{"description":"x","environment":"twin","lifetimeSeconds":3600}`)
	if a, b := h.opens(secret, "shop", "twin"), h.opens(secret, "shop", "production"); a != 200 || b != 403 {
		t.Errorf("the twin's token: %d, %d", a, b)
	}
}
