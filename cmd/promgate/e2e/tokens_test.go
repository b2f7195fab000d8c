package e2e

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/promgate/promgate/cmd/promgate/config"
	"github.com/promgate/promgate/tokens"
	tokenfile "github.com/promgate/promgate/tokens/file"
	"github.com/promgate/promgate/tokens/jwt"
)

// withStore opens the token store of a configuration beside the gateway, as the token commands do.
func withStore(t testing.TB, path string, do func(context.Context, *tokenfile.Store)) {
	t.Helper()
	cfg, err := config.Load(path)
	must(t, err)
	store, err := tokenfile.Open(t.Context(), tokenfile.Options{Dir: cfg.DataDir, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	do(t.Context(), store)
	must(t, store.Close())
}

// token makes a token for a project ("shop") or one environment of it ("shop/production"), and returns its id too.
func token(t testing.TB, path, scope string) (secret, id string) {
	t.Helper()
	withStore(t, path, func(ctx context.Context, s *tokenfile.Store) {
		project, environment, _ := strings.Cut(scope, "/")
		names := []string{project}
		if environment != "" {
			names = append(names, scope)
		}
		uids, err := s.AssignUIDs(ctx, names, false)
		must(t, err)
		var random [16]byte
		_, _ = rand.Read(random[:]) // never fails
		now := time.Now().UTC().Truncate(time.Second)
		r := tokens.Record{
			ID:        hex.EncodeToString(random[:]),
			Scope:     tokens.Scope{Project: project, ProjectUID: uids[project], Environment: environment},
			CreatedAt: now, ExpiresAt: now.Add(time.Hour),
		}
		if environment != "" {
			r.Scope.EnvironmentUID = uids[scope]
		}
		key, err := s.ActiveKey(ctx)
		must(t, err)
		r.KeyID, id = key.ID, r.ID
		secret, err = jwt.Mint(key, s.Issuer(), r)
		must(t, err)
		must(t, s.Insert(ctx, r))
	})
	return secret, id
}

// revoke ends a token.
func revoke(t testing.TB, path, id string) {
	t.Helper()
	withStore(t, path, func(ctx context.Context, s *tokenfile.Store) { must(t, s.Revoke(ctx, id, time.Now())) })
}
