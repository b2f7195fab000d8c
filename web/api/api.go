// Package api is the gateway's own API, which the page and programs use:
// projects and environments, endpoint tokens, diagnoses, what to paste into
// clients, and signing in. docs/openapi.yaml describes it.
package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/auth/session"
	"github.com/promgate/promgate/gateway"
	"github.com/promgate/promgate/routing"
	"github.com/promgate/promgate/tokens"
)

// Gateway is what the API needs of the gateway that serves it.
type Gateway interface {
	Table() *routing.Table
	Find(ctx context.Context, id *auth.Identity, project, environment string) (*routing.Environment, error)
	Budget(*routing.Environment) gateway.Budget
	Probe(context.Context, *routing.Environment) (string, error)
	Diagnose(context.Context, *routing.Environment) gateway.Diagnosis
	BaseURL() string
	EnvironmentURL(*routing.Environment) string
}

// Options are what the API is made of. Tokens, Snapshot and Version are required.
type Options struct {
	Tokens tokens.Store
	// Snapshot holds the last uses that the store does not know yet. It may
	// return nil; required all the same.
	Snapshot func() *tokens.Snapshot
	// Clients knows what used a token last. Nil: nobody does.
	Clients *Clients
	// Sessions keeps who has signed in. Nil: nobody can.
	Sessions *session.Manager
	SignIn   SignIn
	// DashboardsPath is where dashboards are, below the gateway's URL. Empty: there
	// are none.
	DashboardsPath string
	// Description is docs/openapi.yaml, which is served as it is.
	Description []byte
	Version     string
	Logger      *slog.Logger
	Now         func() time.Time
}

// SignIn are the ways to sign in. What is nil is not offered.
type SignIn struct {
	// Local checks a name and a password. Errors wrap auth.ErrInvalid.
	Local func(ctx context.Context, name, password string) (session.User, error)
	// Kubernetes finds out whose token it is. Errors wrap auth.ErrInvalid or
	// auth.ErrUnavailable.
	Kubernetes func(context.Context, auth.Credential) (session.User, error)
	// KubernetesAudience is whom such a token has to be made for; empty: for the
	// API server, as tokens are by themselves.
	KubernetesAudience string
	OIDC               *OIDC
}

// OIDC is the sign-in at an OpenID provider.
type OIDC struct {
	// Name is what people call the provider.
	Name string
	// Begin returns what is kept until the browser comes back, as JSON, and where
	// to send it. Errors wrap auth.ErrUnavailable.
	Begin func(context.Context) (kept []byte, location string, err error)
	// Complete looks at what the browser comes back with. Errors wrap
	// auth.ErrInvalid or auth.ErrUnavailable.
	Complete func(ctx context.Context, kept []byte, query url.Values) (session.User, error)
}

// api serves the operations.
type api struct {
	Options
	gateway  Gateway
	health   *health
	doctor   *doctor
	throttle session.Throttle
}

// New makes the operations of the API for a gateway.
func New(g Gateway, o Options) []gateway.Operation {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	a := &api{Options: o, gateway: g, health: newHealth(g.Probe, o.Now, o.Logger), doctor: newDoctor(g.Diagnose, o.Now, o.Logger)}
	all := []gateway.Operation{
		{Name: "openapi", Method: http.MethodGet, Path: "openapi.yaml", Public: true, Do: a.description},
		{Name: "session", Method: http.MethodGet, Path: "session", Public: true, Do: a.session},
		{Name: "sign_out", Method: http.MethodDelete, Path: "session", Public: true, Do: a.signOut},
		{Name: "sign_out_everywhere", Method: http.MethodDelete, Path: "sessions", Public: true, Do: a.signOutEverywhere},
		{Name: "projects", Method: http.MethodGet, Path: "projects", Do: a.projects},
		{Name: "project", Method: http.MethodGet, Path: "projects/{project}", Do: a.project},
		{Name: "all_environments", Method: http.MethodGet, Path: "environments", Do: a.allEnvironments},
		{Name: "environments", Method: http.MethodGet, Path: "projects/{project}/environments", Do: a.environments},
		{Name: "environment", Method: http.MethodGet, Path: environmentPath, Do: a.environment},
		{Name: "doctor", Method: http.MethodGet, Path: environmentPath + "/doctor", Do: a.diagnose},
		{Name: "provisioning", Method: http.MethodGet, Path: environmentPath + "/provisioning", Do: a.provisioning},
		{Name: "tokens", Method: http.MethodGet, Path: "projects/{project}/tokens", Do: a.tokens},
		{Name: "create_token", Method: http.MethodPost, Path: "projects/{project}/tokens", Do: a.createToken},
		{Name: "token", Method: http.MethodGet, Path: tokenPath, Do: a.token},
		{Name: "revoke_token", Method: http.MethodDelete, Path: tokenPath, Do: a.revokeToken},
		{Name: "rotate_token", Method: http.MethodPost, Path: tokenPath + "/rotate", Do: a.rotateToken},
	}
	if a.SignIn.Local != nil {
		all = append(all, gateway.Operation{Name: "sign_in_local", Method: http.MethodPost, Path: "session/local", Public: true, Do: a.signInLocal})
	}
	if a.SignIn.Kubernetes != nil {
		all = append(all, gateway.Operation{Name: "sign_in_kubernetes", Method: http.MethodPost, Path: "session/kubernetes", Public: true, Do: a.signInKubernetes})
	}
	if a.SignIn.OIDC != nil {
		all = append(all,
			gateway.Operation{Name: "sign_in_oidc", Method: http.MethodPost, Path: "session/oidc", Public: true, Do: a.beginOIDC},
			gateway.Operation{Name: "sign_in_oidc_callback", Method: http.MethodGet, Path: CallbackPath, Public: true, Do: a.completeOIDC})
	}
	for i, o := range all {
		all[i].Do = timely(o.Do)
	}
	return all
}

// timely tells callers who have waited for as long as a request may take that
// they may ask again.
func timely(do func(context.Context, *gateway.Call) (*gateway.Reply, error)) func(context.Context, *gateway.Call) (*gateway.Reply, error) {
	return func(ctx context.Context, c *gateway.Call) (*gateway.Reply, error) {
		reply, err := do(ctx, c)
		var told *gateway.Error
		if err == nil || errors.As(err, &told) || errors.Is(err, auth.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			return reply, err
		}
		return nil, &gateway.Error{
			Status: http.StatusServiceUnavailable, Type: "timeout", Cause: err, RetryAfter: 5 * time.Second,
			Message: "this takes longer than a request may take: ask again in a moment",
		}
	}
}

// Paths below /api/v1/.
const (
	environmentPath = "projects/{project}/environments/{environment}"
	tokenPath       = "projects/{project}/tokens/{token}"
	// CallbackPath is where the browser comes back to from an OpenID provider.
	CallbackPath = "session/oidc/callback"
)

func (a *api) description(context.Context, *gateway.Call) (*gateway.Reply, error) {
	return &gateway.Reply{Body: gateway.Text{Type: "application/yaml", Content: a.Description}}, nil
}

// reply is a plain answer.
func reply(body any) (*gateway.Reply, error) { return &gateway.Reply{Body: body}, nil }

// fault is an error for the caller, of the data API's form.
func fault(status int, kind, message string) *gateway.Error {
	return &gateway.Error{Status: status, Type: kind, Message: message}
}

func badData(message string) *gateway.Error {
	return fault(http.StatusBadRequest, "bad_data", message)
}
