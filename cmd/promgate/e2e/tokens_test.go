package e2e

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/promgate/promgate/cmd/promgate/config"
	"github.com/promgate/promgate/cmd/promgate/server"
	"github.com/promgate/promgate/tokens"
)

// withStore opens the token store of a configuration beside the gateway, as the token commands do.
func withStore(t testing.TB, path string, do func(context.Context, server.TokenStore)) {
	t.Helper()
	cfg, err := config.Load(path)
	must(t, err)
	store, err := server.OpenTokens(t.Context(), cfg, slog.New(slog.DiscardHandler))
	must(t, err)
	do(t.Context(), store)
	must(t, store.Close())
}

// token makes a token for a project ("shop") or one environment of it ("shop/production"), and returns its id too.
func token(t testing.TB, path, scopeName string) (secret, id string) {
	t.Helper()
	withStore(t, path, func(ctx context.Context, s server.TokenStore) {
		project, environment, _ := strings.Cut(scopeName, "/")
		names := []string{project}
		if environment != "" {
			names = append(names, scopeName)
		}
		uids, err := s.AssignUIDs(ctx, names, false)
		must(t, err)
		scope := tokens.Scope{Project: project, ProjectUID: uids[project], Environment: environment}
		if environment != "" {
			scope.EnvironmentUID = uids[scopeName]
		}
		record, made, err := s.Create(ctx, tokens.Draft{Scope: scope, Lifetime: time.Hour})
		must(t, err)
		secret, id = made, record.ID
	})
	return secret, id
}

// revoke ends a token.
func revoke(t testing.TB, path, id string) {
	t.Helper()
	withStore(t, path, func(ctx context.Context, s server.TokenStore) { must(t, s.Revoke(ctx, id)) })
}
