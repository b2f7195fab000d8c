package server

import (
	"context"
	"log/slog"

	"github.com/promgate/promgate/cmd/promgate/config"
	"github.com/promgate/promgate/tokens"
	tokenfile "github.com/promgate/promgate/tokens/file"
	"github.com/promgate/promgate/tokens/jwt"
)

// TokenStore is where endpoint tokens are kept, and what gives projects and
// environments of the configuration file their identities.
type TokenStore interface {
	tokens.Store
	// AssignUIDs returns the identity of each name, which is "project" or
	// "project/environment". With retireOthers, what is not named loses its own.
	AssignUIDs(ctx context.Context, names []string, retireOthers bool) (map[string]string, error)
	// Snapshot is what requests are checked against; nil until there is one.
	Snapshot() *tokens.Snapshot
	// Load makes the first snapshot. Run keeps it up to date.
	Load(context.Context) error
	Run(context.Context) error
	// Close must follow Run.
	Close() error
}

// OpenTokens opens the token store of a configuration. The caller closes it.
func OpenTokens(ctx context.Context, cfg *config.Config, logger *slog.Logger) (TokenStore, error) {
	return tokenfile.Open(ctx, tokenfile.Options{Dir: cfg.DataDir, Logger: logger, Mint: jwt.Mint})
}
