package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"sync/atomic"

	"github.com/promgate/promgate/auth"
	authkube "github.com/promgate/promgate/auth/kube"
	"github.com/promgate/promgate/auth/local"
	"github.com/promgate/promgate/auth/oidc"
	"github.com/promgate/promgate/auth/session"
	"github.com/promgate/promgate/cmd/promgate/config"
	"github.com/promgate/promgate/routing"
	"github.com/promgate/promgate/routing/direct"
	"github.com/promgate/promgate/routing/file"
	"github.com/promgate/promgate/web/api"
)

// signIn are the ways in which people sign in, and what those may do who have.
type signIn struct {
	users     *local.Store            // nil: there is no users file
	oidc      *oidc.Provider          // nil: there is no provider
	kube      *authkube.Authenticator // nil: tokens are not for signing in
	usersFile string
	oidcName  string
	audience  string // of Kubernetes tokens

	projects atomic.Pointer[[]file.Project]
	routes   *routing.Current
}

func newSignIn(cfg *config.Config, users *authkube.Authenticator, routes *routing.Current, s *Server) (*signIn, error) {
	in := &signIn{routes: routes}
	in.setProjects(cfg)
	var err error
	if in.usersFile = cfg.SignIn.UsersFile; in.usersFile != "" {
		if in.users, err = local.Open(in.usersFile); err != nil {
			return nil, fmt.Errorf("signIn.usersFile: %w", err)
		}
		in.warn(s)
	}
	if cfg.SignIn.Kubernetes {
		in.kube, in.audience = users, audienceOf(cfg)
	}
	if o := cfg.SignIn.OIDC; o != nil {
		in.oidcName = o.Name
		options := oidc.Options{
			Issuer: o.Issuer, ClientID: o.ClientID, RedirectURL: cfg.BaseURL() + "/api/v1/" + api.CallbackPath,
			Scopes: o.Scopes, Prompt: o.Prompt, UsernameClaim: o.UsernameClaim, GroupsClaim: o.GroupsClaim,
			CAFile: o.CAFile, RefreshInterval: o.RefreshInterval, Logger: s.logger,
		}
		if secret := o.ClientSecretFile; secret != "" {
			options.ClientSecret = func() (string, error) { return direct.ReadSecret(secret) }
		}
		if in.oidc, err = oidc.New(options); err != nil {
			return nil, fmt.Errorf("signIn.oidc: %w", err)
		}
	}
	return in, nil
}

// audienceOf is the one that people are told to make a token for: it opens the
// first cluster that accepts tokens of users. Where one is asked with the token
// itself, tokens are as kubectl makes them.
func audienceOf(cfg *config.Config) string {
	audience := ""
	for _, c := range cfg.Clusters {
		switch {
		case c.Credentials == "user":
			return ""
		case audience == "" && len(c.Audiences) > 0:
			audience = c.Audiences[0]
		}
	}
	return audience
}

// setProjects puts the members of a configuration in force.
func (in *signIn) setProjects(cfg *config.Config) { in.projects.Store(&cfg.Projects) }

// reload reads the users file again. What is wrong with it was told already: the
// configuration is checked whole before.
func (in *signIn) reload(s *Server) {
	if in.users == nil {
		return
	}
	if err := in.users.Reload(); err != nil {
		s.logger.Error("the users file is bad: the users stay as they were", "file", in.usersFile, "error", err)
		return
	}
	in.warn(s)
}

func (in *signIn) warn(s *Server) {
	for _, w := range in.users.Users().Warnings() {
		s.logger.Warn("users file: "+w, "file", in.usersFile)
	}
}

// ways are those of the API.
func (in *signIn) ways() api.SignIn {
	var ways api.SignIn
	if in.users != nil {
		ways.Local = in.signInLocal
	}
	if in.kube != nil {
		ways.Kubernetes, ways.KubernetesAudience = in.signInKubernetes, in.audience
	}
	if in.oidc != nil {
		ways.OIDC = &api.OIDC{Name: in.oidcName, Begin: in.beginOIDC, Complete: in.completeOIDC}
	}
	return ways
}

// providers know those who have signed in.
func (in *signIn) providers() map[auth.Kind]session.Provider {
	all := map[auth.Kind]session.Provider{}
	if in.users != nil {
		all[auth.KindLocal] = localUsers{in}
	}
	if in.kube != nil {
		all[auth.KindKubernetes] = kubeUsers{in}
	}
	if in.oidc != nil {
		all[auth.KindOIDC] = oidcUsers{in}
	}
	return all
}

// identity is somebody of the users file or of the OpenID provider, with what
// the members of projects may do.
func (in *signIn) identity(kind auth.Kind, name string, groups []string) *auth.Identity {
	who := &auth.Identity{Principal: auth.Principal{Kind: kind, ID: name}}
	table := in.routes.Load()
	for _, p := range *in.projects.Load() {
		is, manages := false, false
		for _, m := range p.Members {
			if m.Is(kind == auth.KindOIDC, name, groups) {
				is, manages = true, manages || m.Maintainer()
			}
		}
		if !is {
			continue
		}
		// Several clusters may have a namespace of the name: each is a project.
		for e := range table.Project(p.Name) {
			g := auth.Grant{ProjectUID: e.Project.UID, WholeProject: true, Manage: manages}
			if n := len(who.Grants); n == 0 || who.Grants[n-1] != g {
				who.Grants = append(who.Grants, g)
			}
		}
	}
	return who
}

func (in *signIn) signInLocal(ctx context.Context, name, password string) (session.User, error) {
	stamp := in.users.Users().Stamp(name) // before: a password that changes meanwhile ends the session
	u, err := in.users.Verify(ctx, name, password)
	if err != nil {
		return session.User{}, err
	}
	return session.User{Kind: auth.KindLocal, Name: u.Name, Groups: u.Groups, Secret: session.Secret(stamp)}, nil
}

// localUsers are those of the users file.
type localUsers struct{ *signIn }

func (p localUsers) Resume(u *session.User) (*auth.Identity, auth.Credential, error) {
	users := p.users.Users()
	now, found := users.Lookup(u.Name)
	switch {
	case !found:
		return nil, auth.Credential{}, fmt.Errorf("%w: %q is no longer in the users file, or is disabled", auth.ErrInvalid, u.Name)
	case users.Stamp(u.Name) != string(u.Secret):
		return nil, auth.Credential{}, fmt.Errorf("%w: the password of %q was changed", auth.ErrInvalid, u.Name)
	}
	u.Groups = now.Groups
	return p.identity(auth.KindLocal, u.Name, now.Groups), auth.Credential{}, nil
}

func (localUsers) Due(*session.User) bool { return false }

func (localUsers) Refresh(_ context.Context, u *session.User) (*session.User, error) { return u, nil }

func (in *signIn) signInKubernetes(ctx context.Context, c auth.Credential) (session.User, error) {
	who, err := in.kube.Identify(ctx, c)
	if err != nil {
		return session.User{}, err
	}
	return session.User{
		Kind: auth.KindKubernetes, Name: who.Name, Groups: who.Groups, Secret: session.Secret(c.Secret()), Until: who.Expires,
	}, nil
}

// kubeUsers are those of Kubernetes, by their own tokens.
type kubeUsers struct{ *signIn }

func (p kubeUsers) Resume(u *session.User) (*auth.Identity, auth.Credential, error) {
	c := auth.NewCredential(string(u.Secret))
	id, err := p.kube.Authenticate(context.Background(), c) // without I/O: what it may is asked where it counts
	return id, c, err
}

func (kubeUsers) Due(*session.User) bool { return false }

func (kubeUsers) Refresh(_ context.Context, u *session.User) (*session.User, error) { return u, nil }

func (in *signIn) beginOIDC(ctx context.Context) ([]byte, string, error) {
	attempt, location, err := in.oidc.Begin(ctx)
	if err != nil {
		return nil, "", err
	}
	kept, err := json.Marshal(attempt)
	return kept, location, err
}

func (in *signIn) completeOIDC(ctx context.Context, kept []byte, query url.Values) (session.User, error) {
	var attempt oidc.Attempt
	if err := json.Unmarshal(kept, &attempt); err != nil {
		return session.User{}, err
	}
	login, err := in.oidc.Complete(ctx, attempt, query)
	if err != nil {
		return session.User{}, err
	}
	return oidcUser(login)
}

func oidcUser(l *oidc.Login) (session.User, error) {
	kept, err := json.Marshal(l)
	return session.User{Kind: auth.KindOIDC, Name: l.Name, Groups: l.Groups, Secret: session.Secret(kept)}, err
}

// oidcUsers are those of the OpenID provider.
type oidcUsers struct{ *signIn }

func (p oidcUsers) Resume(u *session.User) (*auth.Identity, auth.Credential, error) {
	return p.identity(auth.KindOIDC, u.Name, u.Groups), auth.Credential{}, nil
}

func (p oidcUsers) Due(u *session.User) bool {
	var l oidc.Login
	return json.Unmarshal([]byte(u.Secret), &l) != nil || p.oidc.Due(&l)
}

func (p oidcUsers) Refresh(ctx context.Context, u *session.User) (*session.User, error) {
	var l oidc.Login
	if err := json.Unmarshal([]byte(u.Secret), &l); err != nil {
		return nil, fmt.Errorf("%w: what is kept of the sign-in cannot be read: %w", auth.ErrInvalid, err)
	}
	next, err := p.oidc.Refresh(ctx, &l)
	if next == nil {
		return nil, err
	}
	// Beside an error it holds what the provider gave in place of what is spent.
	user, failed := oidcUser(next)
	return &user, errors.Join(err, failed)
}
