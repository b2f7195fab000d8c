package gateway

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/promgate/promgate/routing"
)

const noRouteBody = `{"status":"error","errorType":"not_found","error":"no such route: an environment's base URL is /projects/{project}/environments/{environment}, and below it stands Prometheus' read API, such as api/v1/query (request id ID)"}`

// errorHeader is what every error carries, with what is special to one.
func errorHeader(body string, extra ...string) http.Header {
	h := http.Header{
		"Content-Type": {"application/json"}, "Content-Length": {itoa(len(body) - len("ID") + 16)},
		"Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"}, "X-Request-Id": {"ID"},
		"Content-Security-Policy": {"default-src 'none'; frame-ancestors 'none'; sandbox"},
	}
	for i := 0; i+1 < len(extra); i += 2 {
		h.Set(extra[i], extra[i+1])
	}
	return h
}

func checkError(t *testing.T, what string, got answer, status int, body string, extra ...string) {
	t.Helper()
	if got.status != status || got.body != body {
		t.Errorf("%s: answer\n%d %s, want\n%d %s", what, got.status, got.body, status, body)
	}
	if len(got.body) > 1024 {
		t.Errorf("%s: an error of %d bytes", what, len(got.body))
	}
	sameHeader(t, what+": client", got.header, errorHeader(body, extra...))
}

func (h *harness) silent(what string) {
	h.t.Helper()
	if calls := h.up.take(); len(calls) != 0 {
		h.t.Errorf("%s: the upstream saw %v", what, calls)
	}
}

func TestWithheldRoutes(t *testing.T) {
	h := newHarness(t)
	withheld := []string{
		"", "api", "api/v1", "api/v2/query", "api/v1/targets", "api/v1/targets/metadata", "api/v1/targets/relabel_steps",
		"api/v1/scrape_pools", "api/v1/scrape_pools/config", "api/v1/alertmanagers", "api/v1/notifications", "api/v1/notifications/live",
		"api/v1/openapi.yaml", "api/v1/features", "api/v1/status/config", "api/v1/status/flags", "api/v1/status/runtimeinfo",
		"api/v1/status/tsdb", "api/v1/status/tsdb/blocks", "api/v1/status/self_metrics", "api/v1/status/walreplay", "api/v1/status",
		"api/v1/write", "api/v1/otlp/v1/metrics", "api/v1/admin/tsdb/delete_series", "api/v1/admin/tsdb/snapshot",
		"api/v1/admin/tsdb/clean_tombstones", "metrics", "debug/pprof/heap", "debug/pprof/cmdline", "-/quit", "-/reload", "-/other",
		"graph", "query", "alerts", "targets", "config", "consoles/index.html", "static/app.js", "user/x", "version", "service-discovery",
		"api/v1/label", "api/v1/label/job", "api/v1/label/job/value", "api/v1/label/job/values/x", "api/v1/label/a/b/values",
		"api/v1/query/x", "api/v1/queryx", "xapi/v1/query", "API/v1/query", "api/v1/Query", "healthy", "-/healthy/x",
	}
	for _, path := range withheld {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"} {
			got := h.do(h.request(method, production+path, ""))
			body := noRouteBody
			if method == http.MethodHead {
				got.body = body
			}
			checkError(t, method+" "+path, got, http.StatusNotFound, body)
		}
	}
	for _, target := range []string{"/", "/api/v1/query", "/projects", "/projects/shop", "/projects/shop/environments", "/projects/shop/environments/production", "/metrics", "/-/healthy", "/favicon.ico", "/robots.txt"} {
		checkError(t, target, h.get(target), http.StatusNotFound, noRouteBody)
	}
	h.silent("withheld routes")
}

func TestWrongMethod(t *testing.T) {
	h := newHarness(t)
	for _, e := range Endpoints() {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get", "QUERYQUERYQUERYQUERYQUERY"} {
			if slices.Contains(e.Methods, method) {
				continue
			}
			r := h.request(method, production+rows[e.Name].path, "")
			if method == http.MethodOptions { // as a browser's preflight has it
				r.Header.Set("Origin", "https://evil.example")
				r.Header.Set("Access-Control-Request-Method", "GET")
			}
			allow := strings.Join(e.Methods, ", ")
			text := "this endpoint takes " + allow + ", not " + shorten(method, 20) + " (request id ID)"
			body, contentType := `{"status":"error","errorType":"method_not_allowed","error":"`+text+`"}`, "application/json"
			if e.Body {
				body, contentType = text+"\n", "text/plain; charset=utf-8"
			}
			got := h.do(r)
			if method == http.MethodHead {
				if got.body != "" {
					t.Errorf("HEAD %s has a body: %s", e.Name, got.body)
				}
				got.body = body
			}
			checkError(t, method+" "+e.Name, got, http.StatusMethodNotAllowed, body, "Allow", allow, "Content-Type", contentType)
		}
	}
	h.silent("wrong methods")
}

const (
	missingBody = `{"status":"error","errorType":"unauthorized","error":"this request carries no credential: send Authorization: Bearer TOKEN, or Basic with the token as password (request id ID)"}`
	invalidBody = `{"status":"error","errorType":"unauthorized","error":"the token is not valid: it may be mistyped, expired or revoked; ask the project's owner for a new one (request id ID)"}`
	uncheckBody = `{"status":"error","errorType":"unavailable","error":"the gateway cannot check credentials right now: try again in a moment (request id ID)"}`
)

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func TestCredentials(t *testing.T) {
	bearer, basicChallenge := `Bearer error="invalid_token"`, `Basic realm="promgate", charset="UTF-8"`
	cases := map[string]struct {
		header    http.Header
		query     string
		status    int
		body      string
		challenge string
	}{
		"bearer":                   {header: http.Header{"Authorization": {"Bearer " + tokenShop}}, status: 200},
		"bearer, lower case":       {header: http.Header{"Authorization": {"bearer " + tokenShop}}, status: 200},
		"bearer, two spaces":       {header: http.Header{"Authorization": {"BEARER  " + tokenShop}}, status: 200},
		"basic":                    {header: http.Header{"Authorization": {basic("anyone", tokenShop)}}, status: 200},
		"basic, no user":           {header: http.Header{"Authorization": {basic("", tokenShop)}}, status: 200},
		"beside a cookie":          {header: http.Header{"Authorization": {"Bearer " + tokenShop}, "Cookie": {"token=" + tokenBilling}}, status: 200},
		"none":                     {status: 401, body: missingBody, challenge: bearer},
		"cookie only":              {header: http.Header{"Cookie": {"token=" + tokenShop + "; __Host-session=" + tokenShop}}, status: 401, body: missingBody, challenge: bearer},
		"in the url":               {query: "&access_token=" + tokenShop + "&token=" + tokenShop, status: 401, body: missingBody, challenge: bearer},
		"in other headers":         {header: http.Header{"X-Auth-Token": {tokenShop}, "Proxy-Authorization": {"Bearer " + tokenShop}, "X-Forwarded-Access-Token": {tokenShop}}, status: 401, body: missingBody, challenge: bearer},
		"two headers":              {header: http.Header{"Authorization": {"Bearer " + tokenShop, "Bearer " + tokenShop}}, status: 401, body: invalidBody, challenge: bearer},
		"two in one header":        {header: http.Header{"Authorization": {"Bearer " + tokenShop + ", Bearer " + tokenShop}}, status: 401, body: invalidBody, challenge: bearer},
		"bad bearer, good cookie":  {header: http.Header{"Authorization": {"Bearer token-bad"}, "Cookie": {"token=" + tokenShop}}, status: 401, body: invalidBody, challenge: bearer},
		"empty":                    {header: http.Header{"Authorization": {""}}, status: 401, body: invalidBody, challenge: bearer},
		"bearer, empty":            {header: http.Header{"Authorization": {"Bearer "}}, status: 401, body: invalidBody, challenge: bearer},
		"bearer, tab":              {header: http.Header{"Authorization": {"Bearer\t" + tokenShop}}, status: 401, body: invalidBody, challenge: bearer},
		"no scheme":                {header: http.Header{"Authorization": {tokenShop}}, status: 401, body: invalidBody, challenge: bearer},
		"other scheme":             {header: http.Header{"Authorization": {"Digest " + tokenShop}}, status: 401, body: invalidBody, challenge: bearer},
		"quoted":                   {header: http.Header{"Authorization": {`Bearer "` + tokenShop + `"`}}, status: 401, body: invalidBody, challenge: bearer},
		"unknown":                  {header: http.Header{"Authorization": {"Bearer token-unknown"}}, status: 401, body: invalidBody, challenge: bearer},
		"of no kind":               {header: http.Header{"Authorization": {"Bearer xyz"}}, status: 401, body: invalidBody, challenge: bearer},
		"oversized":                {header: http.Header{"Authorization": {"Bearer token-" + strings.Repeat("a", 13000)}}, status: 401, body: invalidBody, challenge: bearer},
		"basic, unknown":           {header: http.Header{"Authorization": {basic("anyone", "token-unknown")}}, status: 401, body: invalidBody, challenge: basicChallenge},
		"basic, token as the user": {header: http.Header{"Authorization": {basic(tokenShop, "")}}, status: 401, body: invalidBody, challenge: basicChallenge},
		"basic, not base64":        {header: http.Header{"Authorization": {"Basic %%%"}}, status: 401, body: invalidBody, challenge: basicChallenge},
		"basic, no colon":          {header: http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(tokenShop))}}, status: 401, body: invalidBody, challenge: basicChallenge},
		"nobody can vouch":         {header: http.Header{"Authorization": {"Bearer " + tokenUnchecked}}, status: 503, body: uncheckBody},
	}
	for _, h := range []*harness{newHarness(t), newHarness2(t)} {
		for name, c := range cases {
			t.Run(name, func(t *testing.T) {
				h.t = t
				r := h.request(http.MethodGet, production+"api/v1/query?query=up"+c.query, "")
				r.Header = c.header.Clone()
				got := h.do(r)
				calls, record := h.up.take(), h.log.next(t)
				if strings.Contains(record["raw"].(string), "token-") {
					t.Errorf("the token is in the log: %s", record["raw"])
				}
				if c.status == http.StatusOK {
					if got.status != c.status || len(calls) != 1 || calls[0].uri != prefixProduction+"/api/v1/query?query=up" || calls[0].header["Authorization"] != nil {
						t.Errorf("answer %d %s; the upstream saw %v", got.status, got.body, calls)
					}
					return
				}
				extra := []string{"Www-Authenticate", c.challenge}
				if c.status == http.StatusServiceUnavailable {
					extra = []string{"Retry-After", "5"}
				}
				checkError(t, name, got, c.status, c.body, extra...)
				if len(calls) != 0 {
					t.Errorf("the upstream saw %v", calls)
				}
			})
		}
	}
}

func TestForeignEnvironments(t *testing.T) {
	const text = "this credential does not open this environment: check project and environment in the URL, or use a token that was made for them (request id ID)"
	h := newHarness(t)
	cases := []struct{ token, environment string }{
		{tokenShop, "/projects/billing/environments/production/"},
		{tokenShop, "/projects/billing/environments/none/"},
		{tokenShop, "/projects/shop/environments/none/"},
		{tokenShop, "/projects/none/environments/production/"},
		{tokenShop, "/projects/uid-shop/environments/uid-shop-production/"},
		{tokenProduction, "/projects/shop/environments/staging/"},
		{tokenBilling, "/projects/shop/environments/production/"},
	}
	for _, c := range cases {
		for _, e := range Endpoints() {
			for _, method := range e.Methods {
				r := h.request(method, c.environment+rows[e.Name].path+"?query=((", "")
				r.Header.Set("Authorization", "Bearer "+c.token)
				body, contentType := `{"status":"error","errorType":"forbidden","error":"`+text+`"}`, "application/json"
				if e.Body {
					body, contentType = text+"\n", "text/plain; charset=utf-8"
				}
				got := h.do(r)
				if method == http.MethodHead {
					got.body = body
				}
				checkError(t, c.token+" "+c.environment+" "+e.Name, got, http.StatusForbidden, body, "Content-Type", contentType)
			}
		}
	}
	h.silent("foreign environments")
}

// TestReplacedProject: what was made again under an old name is another thing.
func TestReplacedProject(t *testing.T) {
	h := newHarness(t)
	h.edit(func(e *routing.Environment) {
		e.Project = &routing.Project{Name: "shop", UID: "uid-of-the-second-shop"}
	})
	if got := h.get(production + "api/v1/query?query=up"); got.status != http.StatusForbidden {
		t.Errorf("answer %d %s, want 403", got.status, got.body)
	}
	h.silent("a replaced project")
}

func TestOptIn(t *testing.T) {
	h := newHarness(t)
	h.edit(func(e *routing.Environment) { e.Allow = routing.Allow{} })
	for _, e := range Endpoints() {
		if e.OptIn == nil {
			continue
		}
		got := h.do(h.request(e.Methods[0], production+rows[e.Name].path+"?match[]=up", ""))
		message := "this endpoint is switched off for this environment; its operator can switch it on with allow: [" + e.OptInName + "] (request id ID)"
		if e.Body {
			checkError(t, e.Name, got, http.StatusNotFound, message+"\n", "Content-Type", "text/plain; charset=utf-8")
		} else {
			checkError(t, e.Name, got, http.StatusNotFound, `{"status":"error","errorType":"not_found","error":"`+message+`"}`)
		}
	}
	h.silent("opt-in endpoints")
}
