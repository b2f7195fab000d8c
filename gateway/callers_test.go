package gateway

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/routing"
)

// stubUsers knows callers whose rights are kept elsewhere. Their tokens begin
// with "user-".
type stubUsers struct {
	// may holds what a token opens, by namespace/name. A token that is not a key
	// is nobody's.
	may map[string][]string
	// undecided leaves the decision to who is asked with the caller's token.
	undecided bool
	down      bool
	asked     []auth.Resource
}

func (*stubUsers) Recognizes(c auth.Credential) bool { return strings.HasPrefix(c.Secret(), "user-") }

func (s *stubUsers) Authenticate(_ context.Context, c auth.Credential) (*auth.Identity, error) {
	return &auth.Identity{Principal: auth.Principal{Kind: auth.KindKubernetes, ID: "sha256:0"}, Access: &stubAccess{s, c.Secret()}}, nil
}

type stubAccess struct {
	*stubUsers
	token string
}

func (a *stubAccess) Query(_ context.Context, r auth.Resource) (auth.Principal, error) {
	a.asked = append(a.asked, r)
	p := auth.Principal{Kind: auth.KindKubernetes, ID: a.token[len("user-"):]}
	opens, known := a.may[a.token]
	switch {
	case a.down:
		return p, fmt.Errorf("%w: no answer", auth.ErrUnavailable)
	case a.undecided && r != auth.Resource{}:
		return p, nil
	case !known:
		return p, fmt.Errorf("%w: nobody's", auth.ErrInvalid)
	}
	for _, o := range opens {
		if r.Cluster == "local" && o == r.Namespace+"/"+r.Name {
			return p, nil
		}
	}
	return p, fmt.Errorf("%w: by RBAC", auth.ErrForbidden)
}

func (a *stubAccess) Queryable(ctx context.Context, all []auth.Resource) ([]bool, error) {
	if _, known := a.may[a.token]; a.down {
		return nil, auth.ErrUnavailable
	} else if !known {
		return nil, auth.ErrInvalid
	}
	decides := &stubAccess{&stubUsers{may: a.may}, a.token}
	open := make([]bool, len(all))
	for i, r := range all {
		_, err := decides.Query(ctx, r)
		open[i] = err == nil && r != auth.Resource{}
	}
	return open, nil
}

func (*stubAccess) May(_ context.Context, all []auth.Action) ([]bool, error) {
	return make([]bool, len(all)), nil
}

// newUsers starts a gateway that knows endpoint tokens and users.
func newUsers(t *testing.T) (*harness, *stubUsers) {
	users := &stubUsers{may: map[string][]string{"user-jane": {"shop/http:prometheus:web"}, "user-nobody": nil}}
	return newHarness(t, func(o *Options) {
		o.Auth = append(o.Auth, users)
		o.BaseURL = "https://gateway.example"
	}), users
}

func (h *harness) as(token, target string) answer {
	h.t.Helper()
	r := h.request(http.MethodGet, target, "")
	r.Header.Set("Authorization", "Bearer "+token)
	return h.do(r)
}

const (
	nowhere  = "/projects/none/environments/production/"
	question = "api/v1/query?query=up"
)

// TestUsers: with the gateway's own credentials, whoever is asked about the
// caller decides, and the caller's token goes nowhere.
func TestUsers(t *testing.T) {
	h, users := newUsers(t)
	base, err := url.Parse(h.up.URL)
	if err != nil {
		t.Fatal(err)
	}
	direct := &routing.Environment{
		Project: &routing.Project{Name: "shop", UID: "uid-shop"}, Name: "direct", UID: "uid-shop-direct",
		Target: &routing.Target{UID: "d", Base: base, Transport: http.DefaultTransport, Description: "d"},
	}
	h.setEnvironments(append(environments(h.up), direct)...)
	for name, c := range map[string]struct {
		token, path string
		status      int
		same        string // whose answer it is, byte for byte
		says        string
		asked       auth.Resource
	}{
		"opens it":           {"user-jane", production, 200, "", "", auth.Resource{Cluster: "local", Namespace: "shop", Name: "http:prometheus:web"}},
		"another":            {"user-jane", staging, 403, "", "does not open this environment", auth.Resource{Cluster: "local", Namespace: "shop", Name: "http:prometheus-staging:web"}},
		"none":               {"user-jane", nowhere, 403, staging, "", auth.Resource{}},
		"without any right":  {"user-nobody", production, 403, staging, "", auth.Resource{Cluster: "local", Namespace: "shop", Name: "http:prometheus:web"}},
		"a URL":              {"user-jane", "/projects/shop/environments/direct/", 403, "", "reached by a URL and not through Kubernetes", auth.Resource{}},
		"nobody's":           {"user-forged", production, 401, "", "the token is not valid", auth.Resource{Cluster: "local", Namespace: "shop", Name: "http:prometheus:web"}},
		"nobody's, nowhere":  {"user-forged", nowhere, 401, "", "the token is not valid", auth.Resource{}},
		"nobody's, at a URL": {"user-forged", "/projects/shop/environments/direct/", 401, "", "the token is not valid", auth.Resource{}},
	} {
		t.Run(name, func(t *testing.T) {
			h.t, users.asked = t, nil
			h.up.take()
			got := h.as(c.token, c.path+question)
			if got.status != c.status || !strings.Contains(got.body, c.says) {
				t.Errorf("got %d %s, want %d %s", got.status, got.body, c.status, c.says)
			}
			if len(users.asked) != 1 || users.asked[0] != c.asked {
				t.Errorf("asked about %v, want %v", users.asked, c.asked)
			}
			if challenge := got.header.Get("WWW-Authenticate"); (challenge != "") != (c.status == 401) {
				t.Errorf("WWW-Authenticate is %q", challenge)
			}
			if c.same != "" {
				if like := h.as("user-jane", c.same+question); like.body != got.body || like.status != got.status {
					t.Errorf("got %s, but %s elsewhere", got.body, like.body)
				}
			}
			calls := h.up.take()
			if want := map[bool]int{true: 1}[c.status == 200]; len(calls) != want {
				t.Errorf("the upstream saw %d requests, want %d", len(calls), want)
			}
			for _, call := range calls {
				if a := call.header.Get("Authorization"); a != "" {
					t.Errorf("the upstream saw %q", a)
				}
			}
		})
	}
}

func TestUsersUnavailable(t *testing.T) {
	h, users := newUsers(t)
	users.down = true
	for _, path := range []string{production + question, nowhere + question} {
		if got := h.as("user-jane", path); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" || len(h.up.take()) != 0 {
			t.Errorf("%s: got %d %s", path, got.status, got.body)
		}
	}
}

func TestUserInLog(t *testing.T) {
	h, _ := newUsers(t)
	h.as("user-jane", production+question)
	if record := h.log.next(t); record["principal"] != "kubernetes:jane" || strings.Contains(record["raw"].(string), "user-jane") {
		t.Errorf("the record is %v", record["raw"])
	}
}

// byCaller has every environment of a harness asked with the caller's token.
func byCaller(h *harness) {
	all := environments(h.up)
	for _, e := range all {
		e.Target.Caller, e.Target.NoEndpointTokens = e.Target.Transport, true
		e.Target.Transport = failing{h.t}
		e.Target.Header = http.Header{"X-Scope-Orgid": {"shop"}}
	}
	h.setEnvironments(all...)
}

// failing is a transport that nothing may go through.
type failing struct{ t testing.TB }

func (f failing) RoundTrip(r *http.Request) (*http.Response, error) {
	f.t.Errorf("%s went out with the gateway's credentials", r.URL)
	return nil, http.ErrNotSupported
}

// TestCaller: on every endpoint the caller's token goes upstream, alone, however
// it was sent; and nothing else of the client's headers.
func TestCaller(t *testing.T) {
	h, users := newUsers(t)
	users.undecided = true
	byCaller(h)
	for _, e := range Endpoints() {
		want := rows[e.Name]
		media := want.media
		if media == "" {
			media = "application/json"
		}
		h.up.answerWith(answerAs(http.StatusOK, media, emptyResult))
		for _, method := range e.Methods {
			for _, r := range spread(h, e, want, method) {
				maps.Copy(r.Header, hostileHeaders.Clone())
				r.Header.Set("Authorization", "Bearer user-jane")
				if got := h.do(r); got.status != http.StatusOK {
					t.Errorf("%s %s: got %d %s", method, e.Name, got.status, got.body)
				}
				calls := h.up.take()
				if len(calls) != 1 {
					t.Fatalf("%s %s: the upstream saw %d requests", method, e.Name, len(calls))
				}
				header := calls[0].header
				if a := header["Authorization"]; len(a) != 1 || a[0] != "Bearer user-jane" {
					t.Errorf("%s %s: the upstream saw Authorization %q", method, e.Name, a)
				}
				for name := range header {
					if strings.HasPrefix(name, "Impersonate-") || strings.HasPrefix(name, "X-Remote-") || name == "Cookie" {
						t.Errorf("%s %s: the upstream saw %s", method, e.Name, name)
					}
				}
			}
		}
	}
	basic := h.request(http.MethodGet, production+question, "")
	basic.SetBasicAuth("anyone", "user-jane")
	h.up.answerWith(answerJSON(http.StatusOK, emptyResult))
	if got := h.do(basic); got.status != http.StatusOK {
		t.Errorf("Basic: got %d %s", got.status, got.body)
	}
	if calls := h.up.take(); len(calls) != 1 || calls[0].header.Get("Authorization") != "Bearer user-jane" {
		t.Errorf("Basic: the upstream saw %v", calls)
	}
}

// TestCallerRefused: what the API server says of the caller's token is said to
// the caller, in words that tell no more than without it; what Prometheus or a
// proxy says is not.
func TestCallerRefused(t *testing.T) {
	h, users := newUsers(t)
	users.undecided = true
	byCaller(h)
	status := func(code int, reason string) string {
		return fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"shop is secret","reason":%q,"code":%d}`, reason, code)
	}
	notYours := h.as("user-jane", nowhere+question)
	if notYours.status != http.StatusForbidden {
		t.Fatalf("got %d %s", notYours.status, notYours.body)
	}
	for name, c := range map[string]struct {
		code int
		body string
		want int
		says string
	}{
		"the API server, 401": {401, status(401, "Unauthorized"), 401, "the token is not valid"},
		"the API server, 403": {403, status(403, "Forbidden"), 403, "does not open this environment"},
		"Prometheus, 401":     {401, "no", 503, "the gateway is not allowed to reach"},
		"Prometheus, 403":     {403, "no", 503, "the gateway is not allowed to reach"},
		"the API server, 404": {404, status(404, "NotFound"), 503, "not available"},
	} {
		h.up.answerWith(answerJSON(c.code, c.body))
		got := h.as("user-jane", production+question)
		if got.status != c.want || !strings.Contains(got.body, c.says) || strings.Contains(got.body, "secret") {
			t.Errorf("%s: got %d %s, want %d %s", name, got.status, got.body, c.want, c.says)
		}
		if c.want == 403 && got.body != notYours.body {
			t.Errorf("%s: got %s, and %s where there is none", name, got.body, notYours.body)
		}
		if c.want == 401 && got.header.Get("WWW-Authenticate") != `Bearer error="invalid_token"` {
			t.Errorf("%s: challenge %q", name, got.header.Get("WWW-Authenticate"))
		}
	}
}

// TestCallerConcealed: what the gateway itself refuses before anybody has
// decided about the caller is told to those alone who may query the environment.
func TestCallerConcealed(t *testing.T) {
	h, users := newUsers(t)
	users.undecided = true
	byCaller(h)
	off := environments(h.up)
	for _, e := range off {
		e.Target.Caller, e.Target.NoEndpointTokens, e.Allow = e.Target.Transport, true, routing.Allow{}
	}
	h.setEnvironments(off...)
	none := h.as("user-jane", nowhere+question)
	for name, c := range map[string]struct {
		request string
		status  int
	}{
		"bad query":    {"api/v1/query?query=up{", http.StatusBadRequest},
		"switched off": {"federate?match[]=up", http.StatusNotFound},
		"too long":     {"api/v1/query?query=up&time=1&timeout=1s&stats=" + strings.Repeat("x", 61_000), http.StatusRequestEntityTooLarge},
	} {
		h.up.take()
		if got := h.as("user-jane", production+c.request); got.status != c.status {
			t.Errorf("%s: who may query it got %d %.200s, want %d", name, got.status, got.body, c.status)
		}
		if got := h.as("user-nobody", production+c.request); got.status != http.StatusForbidden || got.body != none.body {
			t.Errorf("%s: who may not query it got %d %.200s, want %s", name, got.status, got.body, none.body)
		}
		if got := h.as("user-forged", production+c.request); got.status != http.StatusUnauthorized {
			t.Errorf("%s: nobody got %d %.200s", name, got.status, got.body)
		}
		if calls := h.up.take(); len(calls) != 0 {
			t.Errorf("%s: the upstream saw %d requests", name, len(calls))
		}
	}
	users.down = true
	if got := h.as("user-jane", production+"api/v1/query?query=up{"); got.status != http.StatusServiceUnavailable {
		t.Errorf("without a review: got %d %s", got.status, got.body)
	}
}

// TestEndpointTokensOff: a good token is told that it is of the wrong kind; one
// that would not open the environment anyway is told nothing.
func TestEndpointTokensOff(t *testing.T) {
	h, _ := newUsers(t)
	byCaller(h)
	if got := h.as(tokenShop, production+question); got.status != http.StatusForbidden || !strings.Contains(got.body, "endpoint tokens are switched off") {
		t.Errorf("got %d %s", got.status, got.body)
	}
	other, none := h.as(tokenBilling, production+question), h.as(tokenBilling, nowhere+question)
	if other.status != http.StatusForbidden || other.body != none.body {
		t.Errorf("got %d %s, want %s", other.status, other.body, none.body)
	}
	if calls := h.up.take(); len(calls) != 0 {
		t.Errorf("the upstream saw %v", calls)
	}
}

// TestCallerDiagnosis: nobody is asked who could only be asked with a caller's
// token.
func TestCallerDiagnosis(t *testing.T) {
	h, _ := newUsers(t)
	byCaller(h)
	e, _ := h.routes.Load().Lookup("shop", "production")
	d := h.gateway.Diagnose(t.Context(), e)
	if !d.OK() || len(d.Hops) != 1 || d.Hops[0].Status != routing.HopSkipped || !strings.Contains(d.Hops[0].Found, "caller's own Kubernetes token") {
		t.Errorf("got %+v", d)
	}
	if _, err := h.gateway.Probe(t.Context(), e); err == nil || !strings.Contains(err.Error(), "not asked") {
		t.Errorf("got %v", err)
	}
}
