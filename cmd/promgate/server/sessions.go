package server

import (
	"context"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/auth/session"
	sessionfile "github.com/promgate/promgate/auth/session/file"
	sessionkube "github.com/promgate/promgate/auth/session/kube"
	"github.com/promgate/promgate/docs"
	"github.com/promgate/promgate/web/api"
)

// SessionStore is where sessions of the page are kept.
type SessionStore interface {
	session.Store
	// Run keeps it up to date, until the context ends.
	Run(context.Context) error
	// Close must follow Run.
	Close() error
}

// openSessions opens the session store of a configuration: where the endpoint
// tokens are kept, sessions are kept too.
func (s *Server) openSessions(ctx context.Context) (SessionStore, error) {
	if !s.config.Tokens.InKubernetes() {
		store, err := sessionfile.Open(ctx, sessionfile.Options{Dir: s.config.DataDir, Logger: s.logger})
		if err != nil {
			return nil, err // no store, and not one that is nil
		}
		return store, nil
	}
	home, _ := s.upstreams.tokenSources(s.config, s.config.Tokens.Cluster)
	store, err := sessionkube.Open(sessionkube.Options{Connection: home, Namespace: s.config.Tokens.Namespace, Logger: s.logger})
	if err != nil {
		return nil, err
	}
	return store, nil
}

// openSignIn makes what lets people sign in, and the rest of the gateway's own
// API. browser is nil where nobody can sign in.
func (s *Server) openSignIn(ctx context.Context, version string) (browser auth.Browser, o api.Options, err error) {
	o = api.Options{
		Tokens: s.store, Snapshot: s.store.Snapshot, Description: docs.OpenAPI, Version: version, Logger: s.logger,
	}
	if s.signIn, err = newSignIn(s.config, s.users, &s.routes, s); err != nil || !s.config.SignIn.On() {
		return nil, o, err
	}
	if s.sessions, err = s.openSessions(ctx); err != nil {
		return nil, o, err
	}
	manager := session.NewManager(session.Options{
		Store: s.sessions, Providers: s.signIn.providers(), Idle: s.config.SignIn.IdleTimeout, Lifetime: s.config.SignIn.Lifetime,
		External: func() string { return s.gateway.BaseURL() }, Logger: s.logger,
	})
	o.Sessions, o.SignIn = manager, s.signIn.ways()
	return manager, o, nil
}
