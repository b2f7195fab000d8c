package gateway

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/routing"
)

// newMounted starts a gateway with an API of another form, whose data route
// leads to the environment of the caller's names.
func newMounted(t *testing.T, change ...func(*Options)) *harness {
	mounted := func(g *Gateway) *Mount {
		say := func(_ context.Context, c *Call) (*Reply, error) {
			who := "nobody"
			if c.Identity != nil {
				who = c.Identity.Principal.ID
			}
			return &Reply{Body: map[string]string{"who": who, "name": c.Names["name"]}}, nil
		}
		return &Mount{
			Path: "/perses",
			Operations: []Operation{
				{Name: "perses_config", Method: http.MethodGet, Path: "/api/config", Public: true, Do: say},
				{Name: "perses_thing", Method: http.MethodGet, Path: "/api/v1/things/{name}", Do: say},
				{Name: "perses_view", Method: http.MethodPost, Path: "/api/v1/view", Do: func(context.Context, *Call) (*Reply, error) { return &Reply{}, nil }},
			},
			Harmless: []string{"/api/v1/view"},
			Data: []DataRoute{{Path: "/proxy/projects/{project}/datasources/{name}", Choose: func(_ context.Context, c *Call) (*routing.Environment, error) {
				if e, found := g.Table().Lookup(c.Names["project"], c.Names["name"]); found {
					return e, nil
				}
				return nil, &Error{Status: http.StatusNotFound, Type: typeNotFound, Message: "document not found"}
			}}},
		}
	}
	return newHarness(t, append([]func(*Options){func(o *Options) { o.Mount = mounted }}, change...)...)
}

const (
	notAllowed = `{"message":"Method Not Allowed"}`
	noDocument = `{"message":"document not found"}`
)

func TestMount(t *testing.T) {
	h := newMounted(t)
	for _, c := range []struct {
		method, path, token string
		status              int
		body                string
	}{
		{"GET", "/perses/api/config", "", 200, `{"name":"","who":"nobody"}`},
		{"GET", "/perses/api/config", tokenShop, 200, `{"name":"","who":"id-shop"}`},
		{"GET", "/perses/api/v1/things/A_b.C-1", tokenShop, 200, `{"name":"A_b.C-1","who":"id-shop"}`},
		{"HEAD", "/perses/api/v1/things/a", tokenShop, 200, ""},
		{"POST", "/perses/api/v1/view", tokenShop, 200, ""},
		{"GET", "/perses/api/v1/view", tokenShop, 405, notAllowed},
		{"HEAD", "/perses/api/v1/view", tokenShop, 405, ""},
		{"POST", "/perses/api/v1/things/a", tokenShop, 405, notAllowed},
		{"POST", "/perses/api/v1/nothing", tokenShop, 405, notAllowed},
		{"PUT", "/perses/api/v1/view", tokenShop, 405, notAllowed},
		{"DELETE", "/perses/api/v1/things/a", "", 405, notAllowed},
		{"PATCH", "/perses", "", 405, notAllowed},
		{"OPTIONS", "/perses/api/config", "", 405, notAllowed},
		{"TRACE", "/perses/api/config", "", 405, notAllowed},
		{"MERGE", "/perses/api/v1/view", "", 405, notAllowed},
		{"GET", "/perses", tokenShop, 404, noDocument},
		{"GET", "/perses/", tokenShop, 404, noDocument},
		{"GET", "/perses/api/v1/things", tokenShop, 404, noDocument},
		{"GET", "/perses/api/v1/things/a/", tokenShop, 404, noDocument},
		{"GET", "/perses/api/v1/things/a%2Fb", tokenShop, 404, noDocument},
		{"GET", "/perses/api/v1/things/..%2Fa", tokenShop, 404, noDocument},
		{"GET", "/perses/api/v1/../config", tokenShop, 404, noDocument},
		{"GET", "/persesx/api/config", tokenShop, 404, "no such route"},
		{"GET", "/perses/proxy/projects/shop/datasources/production/api/v1/nothing", tokenShop, 404, noDocument},
		{"POST", "/perses/proxy/projects/shop/datasources/production/api/v1/nothing", tokenShop, 404, noDocument},
		{"PUT", "/perses/proxy/projects/shop/datasources/production/api/v1/query", tokenShop, 405, notAllowed},
		{"POST", "/perses/proxy/projects/shop/datasources/production/api/v1/metadata", tokenShop, 405, `{"message":"this endpoint takes GET, not POST"}`},
		{"GET", "/perses/proxy/projects/shop/datasources/nothing/api/v1/query?query=up", tokenShop, 404, noDocument},
		{"GET", "/perses/proxy/projects/shop/datasources/production/api/v1/query?query=up", "", 401, "carries no credential"},
		{"GET", "/perses/proxy/projects/shop/datasources/production/api/v1/query?query=up", "nobodys", 401, "the token is not valid"},
		{"GET", "/perses/api/config", "nobodys", 401, "the token is not valid"},
		{"GET", "/perses/api/v1/things/a", "", 401, "carries no credential"},
	} {
		r := h.request(c.method, c.path, "")
		r.Header.Del("Authorization")
		if c.token != "" {
			r.Header.Set("Authorization", "Bearer "+c.token)
		}
		got := h.do(r)
		if got.status != c.status || !strings.Contains(got.body, c.body) {
			t.Errorf("%s %s %.9s: got %d %s, want %d %s", c.method, c.path, c.token, got.status, got.body, c.status, c.body)
		}
		if strings.HasPrefix(got.body, "{") && got.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: the type is %q", c.path, got.header.Get("Content-Type"))
		}
		if c.status == 405 && strings.Contains(c.body, "Method") && got.header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s %s: Allow is %q", c.method, c.path, got.header.Get("Allow"))
		}
	}
	if calls := h.up.take(); len(calls) != 0 {
		t.Errorf("the upstream saw %v", calls)
	}
}

// TestMountData: below a data route stands the environment's own API, with its
// answers, its errors and what the caller may.
func TestMountData(t *testing.T) {
	h := newMounted(t)
	for _, rest := range []string{
		"/api/v1/query?query=up&time=1", "/api/v1/query?query=up%7B", "/api/v1/label/h%C3%B6he/values", "/api/v1/labels", "/-/ready", "/federate?match[]=up", "/api/v1/read",
	} {
		for _, method := range []string{"GET", "POST"} {
			for _, project := range []string{"shop", "billing"} {
				own := h.do(h.request(method, "/projects/"+project+"/environments/production"+rest, ""))
				direct := h.up.take()
				got := h.do(h.request(method, "/perses/proxy/projects/"+project+"/datasources/production"+rest, ""))
				through := h.up.take()
				if own.status == http.StatusMethodNotAllowed {
					if got.status != own.status {
						t.Errorf("%s %s %s: got %d, want %d", method, project, rest, got.status, own.status)
					}
					continue
				}
				if got.status != own.status || got.body != own.body || got.header.Get("Content-Type") != own.header.Get("Content-Type") {
					t.Errorf("%s %s %s: got %d %s, want %d %s", method, project, rest, got.status, got.body, own.status, own.body)
				}
				if fmt.Sprint(len(direct)) != fmt.Sprint(len(through)) {
					t.Errorf("%s %s %s: the upstream saw %v, and without the mount %v", method, project, rest, through, direct)
				}
			}
		}
	}
	if record := h.log.next(t); record["endpoint"] != "query" || record["project"] != "shop" {
		t.Errorf("the record is %v", record["raw"])
	}
}

// surfaceBrowser notes what requests are for.
type surfaceBrowser struct{ seen []auth.Surface }

func (b *surfaceBrowser) Authenticate(_ context.Context, _ *http.Request, from auth.Surface) (*auth.Identity, auth.Credential, error) {
	b.seen = append(b.seen, from)
	return nil, auth.Credential{}, auth.ErrMissing
}

// TestMountSurface: scripts of other pages of the origin reach the mount alone.
func TestMountSurface(t *testing.T) {
	browser := &surfaceBrowser{}
	h := newMounted(t, func(o *Options) { o.Browser = browser })
	for _, path := range []string{
		"/perses/api/v1/things/a", "/perses/proxy/projects/shop/datasources/production/api/v1/query?query=up",
		"/projects/shop/environments/production/api/v1/query?query=up",
	} {
		r := h.request("GET", path, "")
		r.Header.Del("Authorization")
		if got := h.do(r); got.status != http.StatusUnauthorized {
			t.Errorf("%s: got %d %s", path, got.status, got.body)
		}
	}
	if got := fmt.Sprint(browser.seen); got != fmt.Sprint([]auth.Surface{auth.SameOrigin, auth.SameOrigin, auth.OwnPage}) {
		t.Errorf("the surfaces are %s", got)
	}
}
