package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/promgate/promgate/auth"
)

// stubBrowser knows requests with the cookie "session".
type stubBrowser struct{ err error }

func (b *stubBrowser) Authenticate(_ context.Context, r *http.Request, _ auth.Surface) (*auth.Identity, auth.Credential, error) {
	if _, err := r.Cookie("session"); err != nil {
		return nil, auth.Credential{}, auth.ErrMissing
	}
	if b.err != nil {
		return nil, auth.Credential{}, b.err
	}
	return &auth.Identity{
		Principal: auth.Principal{Kind: auth.KindLocal, ID: "anna"},
		Grants:    []auth.Grant{{ProjectUID: "uid-shop", WholeProject: true}},
	}, auth.Credential{}, nil
}

// stubPage tells what it was asked for.
type stubPage struct{}

func (stubPage) ServePage(w http.ResponseWriter, r *http.Request, prefix string) {
	w.Header().Set("Content-Type", "text/html")
	fmt.Fprintf(w, "page %s below %q", r.URL.Path, prefix)
}

// newAPI starts a gateway with a few operations.
func newAPI(t *testing.T, change ...func(*Options)) (*harness, *stubBrowser) {
	browser := &stubBrowser{}
	operations := func(g *Gateway) []Operation {
		return []Operation{
			{Name: "thing", Method: http.MethodGet, Path: "projects/{project}/things/{token}", Do: func(_ context.Context, c *Call) (*Reply, error) {
				return &Reply{Body: map[string]string{"who": c.Identity.Principal.ID, "token": c.Names["token"]}}, nil
			}},
			{Name: "make", Method: http.MethodPost, Path: "projects/{project}/things/{token}", Do: func(_ context.Context, c *Call) (*Reply, error) {
				var body struct {
					Size int `json:"size"`
				}
				if err := c.Body(&body); err != nil {
					return nil, err
				}
				return &Reply{Status: http.StatusCreated, Body: body, Header: http.Header{"X-Made": {"yes"}}}, nil
			}},
			{Name: "open", Method: http.MethodGet, Path: "open", Public: true, Do: func(_ context.Context, c *Call) (*Reply, error) {
				c.Seen(auth.Principal{Kind: auth.KindLocal, ID: "boris"})
				return &Reply{Body: Text{Type: "text/plain", Content: []byte(fmt.Sprint(c.Identity == nil, c.Client))}}, nil
			}},
			{Name: "fails", Method: http.MethodGet, Path: "fails/{project}", Public: true, Do: func(_ context.Context, c *Call) (*Reply, error) {
				return nil, map[string]error{
					"told":    &Error{Status: http.StatusConflict, Type: "bad_data", Message: "no, since it is so"},
					"invalid": fmt.Errorf("%w: forged", auth.ErrInvalid),
					"down":    fmt.Errorf("%w: away", auth.ErrUnavailable),
					"secret":  errors.New("the inner cause"),
				}[c.Names["project"]]
			}},
		}
	}
	all := append([]func(*Options){func(o *Options) {
		o.API, o.Browser, o.Page, o.BaseURL = operations, browser, stubPage{}, "https://gateway.example"
	}}, change...)
	return newHarness(t, all...), browser
}

func TestOperations(t *testing.T) {
	h, _ := newAPI(t)
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/api/v1/projects/shop/things/A-1.b", "", 200, `{"token":"A-1.b","who":"id-shop"}`},
		{"POST", "/api/v1/projects/shop/things/1", `{"size": 7}`, 201, `{"size":7}`},
		{"POST", "/api/v1/projects/shop/things/1", `{"size": "7"}`, 400, "the body's size has the wrong type"},
		{"POST", "/api/v1/projects/shop/things/1", `{"sise": 7}`, 400, "no JSON of the form"},
		{"POST", "/api/v1/projects/shop/things/1", `{"size": 7} {}`, 400, "more than one JSON value"},
		{"POST", "/api/v1/projects/shop/things/1", `{"size": 7`, 400, "no JSON of the form"},
		{"POST", "/api/v1/projects/shop/things/1", `{"size": 7, "x": "` + strings.Repeat("x", maxOperationBody) + `"}`, 413, "larger than 65536 bytes"},
		{"DELETE", "/api/v1/projects/shop/things/1", "", 405, "takes GET, POST, not DELETE"},
		{"HEAD", "/api/v1/open", "", 405, ""},
		{"GET", "/api/v1/projects/Shop/things/1", "", 404, "no such route"},
		{"GET", "/api/v1/projects/shop/things", "", 404, "no such route"},
		{"GET", "/api/v1/projects/shop/things/1/", "", 404, "no such route"},
		{"GET", "/api/v1/projects/sh%6Fp/things/1", "", 404, "no such route"},
		{"GET", "/api/v1/open", "", 200, "true127.0.0.1"},
		{"GET", "/api/v1/fails/told", "", 409, "no, since it is so"},
		{"GET", "/api/v1/fails/invalid", "", 401, "the token is not valid"},
		{"GET", "/api/v1/fails/down", "", 503, "cannot check credentials right now"},
		{"GET", "/api/v1/fails/secret", "", 500, "its log says why"},
	} {
		r := h.request(c.method, c.path, c.body)
		if c.body != "" {
			r.Header.Set("Content-Type", "application/json; charset=utf-8")
		}
		got := h.do(r)
		if got.status != c.status || !strings.Contains(got.body, c.want) || strings.Contains(got.body, "inner cause") {
			t.Errorf("%s %s %.40s: got %d %s", c.method, c.path, c.body, got.status, got.body)
		}
		if c.status == 201 && (got.header.Get("X-Made") != "yes" || got.header.Get("Content-Type") != "application/json") ||
			got.header.Get("Cache-Control") != "no-store" || got.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: header %v", c.path, got.header)
		}
	}
	r := h.request("POST", "/api/v1/projects/shop/things/1", "size=7")
	if got := h.do(r); got.status != http.StatusUnsupportedMediaType {
		t.Errorf("a form: got %d %s", got.status, got.body)
	}
	if calls := h.up.take(); len(calls) != 0 {
		t.Errorf("the upstream saw %v", calls)
	}
}

// TestOperationsInLog: by their own names, with who was found to call.
func TestOperationsInLog(t *testing.T) {
	h, _ := newAPI(t)
	h.get("/api/v1/open")
	if record := h.log.next(t); record["endpoint"] != "open" || record["principal"] != "local:boris" {
		t.Errorf("the record is %v", record["raw"])
	}
}

// TestHeaderDecidesAlone: a session counts only where there is no Authorization
// header at all, for the data API and for operations.
func TestHeaderDecidesAlone(t *testing.T) {
	h, browser := newAPI(t)
	for _, c := range []struct {
		header, cookie string
		status         int
	}{
		{"", "session=x", 200},
		{"", "other=x", 401},
		{"Bearer " + tokenShop, "session=x", 200},
		{"Bearer forged", "session=x", 401},
		{"Nonsense", "session=x", 401},
		{" ", "session=x", 401},
	} {
		for _, path := range []string{"/api/v1/projects/shop/things/1", production + question} {
			r := h.request(http.MethodGet, path, "")
			r.Header.Del("Authorization")
			if c.header != "" {
				r.Header["Authorization"] = []string{strings.TrimSpace(c.header)}
			}
			r.Header.Set("Cookie", c.cookie)
			if got := h.do(r); got.status != c.status {
				t.Errorf("%s with %q and %q: got %d %s", path, c.header, c.cookie, got.status, got.body)
			}
		}
	}
	for _, call := range h.up.take() {
		if call.header.Get("Cookie") != "" {
			t.Errorf("the upstream saw the cookie: %v", call.header)
		}
	}
	browser.err = fmt.Errorf("%w: expired", auth.ErrInvalid)
	r := h.request(http.MethodGet, production+question, "")
	r.Header.Del("Authorization")
	r.Header.Set("Cookie", "session=x")
	if got := h.do(r); got.status != http.StatusUnauthorized || !strings.Contains(got.body, "your session has ended: sign in again") {
		t.Errorf("an ended session: got %d %s", got.status, got.body)
	}
}

// TestPrefix: the gateway serves below its URL's path, whether a proxy takes the
// path off or not.
func TestPrefix(t *testing.T) {
	h, _ := newAPI(t, func(o *Options) { o.BaseURL = "https://example.com/some/promgate/" })
	if h.gateway.BaseURL() != "https://example.com/some/promgate" {
		t.Errorf("the base is %q", h.gateway.BaseURL())
	}
	for path, want := range map[string]struct {
		status int
		body   string
	}{
		"/some/promgate" + production + question:            {200, ""},
		production + question:                               {200, ""},
		"/some/promgate/api/v1/open":                        {200, "true"},
		"/api/v1/open":                                      {200, "true"},
		"/some/promgate":                                    {200, `page / below "/some/promgate"`},
		"/some/promgate/":                                   {200, `page / below "/some/promgate"`},
		"/some/promgate/ui/signin":                          {200, `page /ui/signin below "/some/promgate"`},
		"/ui":                                               {200, `page /ui below "/some/promgate"`},
		"/some/promgatex/api/v1/open":                       {404, "no such route"},
		"/some/promgate/some/promgate/api/v1/open":          {404, "no such route"},
		"/other/api/v1/open":                                {404, "no such route"},
		"/some/promgate/%2e%2e/projects/shop":               {404, "no such route"},
		"/some/promgate//api/v1/open":                       {404, "no such route"},
		"/some/promgate" + production + "api/v1/../metrics": {404, "no such route"},
	} {
		if got := h.get(path); got.status != want.status || !strings.Contains(got.body, want.body) {
			t.Errorf("%s: got %d %s", path, got.status, got.body)
		}
	}
}

// TestPage: only to read, below its own path, and with no page there is none.
func TestPage(t *testing.T) {
	h, _ := newAPI(t)
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
		if got := h.do(h.request(method, "/ui/", "")); got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: got %d %v", method, got.status, got.header)
		}
	}
	if got := h.get("/uix"); got.status != http.StatusNotFound {
		t.Errorf("/uix: got %d %s", got.status, got.body)
	}
	none := newHarness(t)
	if got := none.get("/ui/"); got.status != http.StatusNotFound || !strings.Contains(got.body, "no such route") {
		t.Errorf("without a page: got %d %s", got.status, got.body)
	}
}

// TestAdmitted: whoever waits for the first request of a token learns of it, and
// of no request that was refused before it was let in.
func TestAdmitted(t *testing.T) {
	var seen []string
	h, _ := newAPI(t, func(o *Options) {
		o.OnAdmitted = func(p auth.Principal, userAgent string) { seen = append(seen, p.ID+" "+userAgent) }
	})
	for _, path := range []string{production + question, prefixed("billing", "production") + question, "/api/v1/open"} {
		r := h.request(http.MethodGet, path, "")
		r.Header.Set("User-Agent", "Grafana/13.1")
		resp, err := h.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	if len(seen) != 1 || !strings.HasSuffix(seen[0], " Grafana/13.1") {
		t.Errorf("seen %q", seen)
	}
}

func prefixed(project, environment string) string {
	return "/projects/" + project + "/environments/" + environment + "/"
}
