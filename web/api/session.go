package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/auth/session"
	"github.com/promgate/promgate/gateway"
)

type sessionItem struct {
	User      *userItem    `json:"user"`
	Methods   []methodItem `json:"methods"`
	ExpiresAt *time.Time   `json:"expiresAt,omitempty"`
	Version   string       `json:"version"`
	// Dashboards is absent where there are none.
	Dashboards *dashboardsItem `json:"dashboards,omitempty"`
}

type dashboardsItem struct {
	// Path is below the gateway's URL.
	Path string `json:"path"`
}

type userItem struct {
	Kind   auth.Kind `json:"kind"`
	Name   string    `json:"name"`
	Groups []string  `json:"groups"`
}

type methodItem struct {
	Kind auth.Kind `json:"kind"`
	Name string    `json:"name,omitempty"`
	// Audience is whom a Kubernetes token has to be made for.
	Audience string `json:"audience,omitempty"`
}

// Bounds of what a sign-in is sent, in bytes.
const (
	maxName     = 256
	maxPassword = 4 << 10
	maxToken    = 8 << 10
)

var (
	errNotThePage = fault(http.StatusForbidden, "forbidden",
		"signing in and out is for the gateway's own page: open it in a browser; programs send a token instead")
	errWrongPassword = fault(http.StatusUnauthorized, "unauthorized", "the user name or the password is wrong")
	errWrongToken    = fault(http.StatusUnauthorized, "unauthorized",
		"no cluster accepts this token: it may be expired, cut off when it was copied, or meant for something else")
	errNoSignIn = fault(http.StatusNotFound, "not_found", "signing in is not configured")
)

// fromPage refuses what does not come from the page, so that no other site signs
// anybody in or out.
func (a *api) fromPage(c *gateway.Call) error {
	switch {
	case a.Sessions == nil:
		return errNoSignIn
	case !session.FromPage(c.Request, a.gateway.BaseURL()):
		return errNotThePage
	}
	return nil
}

// session tells who is signed in, and how one can sign in.
func (a *api) session(ctx context.Context, c *gateway.Call) (*gateway.Reply, error) {
	if a.Sessions == nil {
		return reply(a.describe(nil))
	}
	s, err := a.Sessions.Find(ctx, c.Request)
	switch {
	case err == nil:
		c.Seen(auth.Principal{Kind: s.User.Kind, ID: s.User.Name})
		return reply(a.describe(s))
	case errors.Is(err, auth.ErrMissing), errors.Is(err, auth.ErrInvalid):
		return reply(a.describe(nil))
	}
	return nil, err
}

// describe describes a session; nil: nobody is signed in.
func (a *api) describe(s *session.Active) sessionItem {
	item := sessionItem{Methods: []methodItem{}, Version: a.Version}
	if a.DashboardsPath != "" {
		item.Dashboards = &dashboardsItem{a.DashboardsPath}
	}
	if a.SignIn.OIDC != nil {
		item.Methods = append(item.Methods, methodItem{Kind: auth.KindOIDC, Name: a.SignIn.OIDC.Name})
	}
	if a.SignIn.Local != nil {
		item.Methods = append(item.Methods, methodItem{Kind: auth.KindLocal})
	}
	if a.SignIn.Kubernetes != nil {
		item.Methods = append(item.Methods, methodItem{Kind: auth.KindKubernetes, Audience: a.SignIn.KubernetesAudience})
	}
	if s != nil {
		item.User = &userItem{Kind: s.User.Kind, Name: s.User.Name, Groups: s.User.Groups}
		if item.User.Groups == nil {
			item.User.Groups = []string{}
		}
		item.ExpiresAt = &s.ExpiresAt
	}
	return item
}

func (a *api) signInLocal(ctx context.Context, c *gateway.Call) (*gateway.Reply, error) {
	var body struct {
		Name     string `json:"name"`
		Password string `json:"password"`
	}
	if err := a.signingIn(c, &body, func() string { return body.Name }); err != nil {
		return nil, err
	}
	if len(body.Name) > maxName || len(body.Password) > maxPassword {
		return nil, errWrongPassword
	}
	user, err := a.SignIn.Local(ctx, body.Name, body.Password)
	if errors.Is(err, auth.ErrInvalid) {
		return nil, refused(errWrongPassword, err)
	}
	if err != nil {
		return nil, err
	}
	return a.signIn(ctx, c, user)
}

func (a *api) signInKubernetes(ctx context.Context, c *gateway.Call) (*gateway.Reply, error) {
	var body struct {
		Token string `json:"token"`
	}
	if err := a.signingIn(c, &body, func() string { return "" }); err != nil {
		return nil, err
	}
	if body.Token == "" || len(body.Token) > maxToken {
		return nil, errWrongToken
	}
	user, err := a.SignIn.Kubernetes(ctx, auth.NewCredential(body.Token))
	if errors.Is(err, auth.ErrInvalid) {
		return nil, refused(errWrongToken, err)
	}
	if err != nil {
		return nil, err
	}
	reply, err := a.signIn(ctx, c, user)
	if errors.Is(err, auth.ErrInvalid) { // it has ended by now
		return nil, refused(errWrongToken, err)
	}
	return reply, err
}

// signingIn reads the body of a sign-in and counts the try. The name that is
// tried counts whether there is such a user or not.
func (a *api) signingIn(c *gateway.Call, body any, name func() string) error {
	if err := a.fromPage(c); err != nil {
		return err
	}
	if err := c.Body(body); err != nil {
		return err
	}
	return a.try(c, name())
}

func (a *api) try(c *gateway.Call, name string) error {
	if len(name) > maxName {
		name = name[:maxName]
	}
	if wait := a.throttle.Try(a.Now(), c.Client, name); wait > 0 {
		return &gateway.Error{
			Status: http.StatusTooManyRequests, Type: "too_many_requests", RetryAfter: wait,
			Message: "too many tries to sign in: wait a moment, then try again",
		}
	}
	return nil
}

// refused is an answer with its cause for the log.
func refused(e *gateway.Error, cause error) error {
	told := *e
	told.Cause = cause
	return &told
}

// signIn begins a session.
func (a *api) signIn(ctx context.Context, c *gateway.Call, u session.User) (*gateway.Reply, error) {
	cookie, active, err := a.Sessions.SignIn(ctx, c.Request, u)
	if err != nil {
		return nil, err
	}
	c.Seen(auth.Principal{Kind: u.Kind, ID: u.Name})
	a.Logger.Info("signed in", "user", u, "client", c.Client)
	return &gateway.Reply{Body: a.describe(active), Header: setCookie(cookie)}, nil
}

func (a *api) signOut(ctx context.Context, c *gateway.Call) (*gateway.Reply, error) {
	return a.endSession(ctx, c, false)
}

func (a *api) signOutEverywhere(ctx context.Context, c *gateway.Call) (*gateway.Reply, error) {
	return a.endSession(ctx, c, true)
}

func (a *api) endSession(ctx context.Context, c *gateway.Call, everywhere bool) (*gateway.Reply, error) {
	if err := a.fromPage(c); err != nil {
		return nil, err
	}
	cookie, err := a.Sessions.SignOut(ctx, c.Request, everywhere)
	if err != nil && !errors.Is(err, auth.ErrInvalid) {
		return nil, err
	}
	return &gateway.Reply{Body: a.describe(nil), Header: setCookie(cookie)}, nil
}

func setCookie(all ...*http.Cookie) http.Header {
	h := http.Header{}
	for _, c := range all {
		h.Add("Set-Cookie", c.String())
	}
	return h
}

// attempt is what is kept of a sign-in at an OpenID provider.
type attempt struct {
	Kept json.RawMessage `json:"kept"`
	// ReturnTo is where to go on, below the page.
	ReturnTo string `json:"returnTo"`
}

func (a *api) beginOIDC(ctx context.Context, c *gateway.Call) (*gateway.Reply, error) {
	var body struct {
		ReturnTo string `json:"returnTo"`
	}
	if err := a.signingIn(c, &body, func() string { return "" }); err != nil {
		return nil, err
	}
	kept, location, err := a.SignIn.OIDC.Begin(ctx)
	if err != nil {
		return nil, err
	}
	cookie, err := a.Sessions.BeginAttempt(ctx, attempt{kept, returnTo(body.ReturnTo)})
	if err != nil {
		return nil, err
	}
	return &gateway.Reply{Header: setCookie(cookie), Body: struct {
		URL string `json:"url"`
	}{location}}, nil
}

// completeOIDC is where the provider sends the browser back to. It answers with
// the page in any case: it is a person who comes.
func (a *api) completeOIDC(ctx context.Context, c *gateway.Call) (*gateway.Reply, error) {
	var kept attempt
	gone, err := a.Sessions.TakeAttempt(ctx, c.Request, &kept)
	if err != nil {
		return a.backTo("signin?error="+problem(err, "expired"), err, gone)
	}
	user, err := a.SignIn.OIDC.Complete(ctx, kept.Kept, c.Request.URL.Query())
	if err != nil {
		return a.backTo("signin?error="+problem(err, "refused"), err, gone)
	}
	cookie, _, err := a.Sessions.SignIn(ctx, c.Request, user)
	if err != nil {
		return a.backTo("signin?error="+problem(err, "notAllowed"), err, gone)
	}
	c.Seen(auth.Principal{Kind: user.Kind, ID: user.Name})
	a.Logger.Info("signed in", "user", user, "client", c.Client)
	return a.backTo(kept.ReturnTo, nil, gone, cookie)
}

// problem is what the page says of an error.
func problem(err error, otherwise string) string {
	if errors.Is(err, auth.ErrUnavailable) {
		return "unavailable"
	}
	return otherwise
}

// backTo sends the browser to a place below the page.
func (a *api) backTo(place string, cause error, cookies ...*http.Cookie) (*gateway.Reply, error) {
	switch {
	case cause == nil:
	case errors.Is(cause, auth.ErrMissing): // whoever likes can do that
		a.Logger.Info("somebody came back from the OpenID provider who had not begun", "cause", cause)
	default:
		a.Logger.Warn("a sign-in at the OpenID provider failed", "cause", cause)
	}
	h := setCookie(cookies...)
	h.Set("Location", a.gateway.BaseURL()+"/ui/"+place)
	return &gateway.Reply{Status: http.StatusSeeOther, Header: h}, nil
}
