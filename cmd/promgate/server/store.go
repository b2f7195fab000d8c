package server

import (
	"context"
	"log/slog"

	sessionkube "github.com/promgate/promgate/auth/session/kube"
	"github.com/promgate/promgate/cmd/promgate/config"
	"github.com/promgate/promgate/kube"
	"github.com/promgate/promgate/tokens"
	tokenfile "github.com/promgate/promgate/tokens/file"
	"github.com/promgate/promgate/tokens/jwt"
	tokenkube "github.com/promgate/promgate/tokens/kube"
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
	u := &upstreams{logger: logger}
	if cfg.Tokens.InKubernetes() {
		var err error
		if u, err = u.connect(cfg); err != nil {
			return nil, err
		}
	}
	store, err := u.openTokens(ctx, cfg)
	if err != nil {
		u.close()
		return nil, err
	}
	return &ownStore{store, u}, nil
}

// ownStore is a store with connections of its own.
type ownStore struct {
	TokenStore
	upstreams *upstreams
}

func (s *ownStore) Close() error {
	err := s.TokenStore.Close()
	s.upstreams.close()
	return err
}

// openTokens opens the token store of a configuration, over the connections to
// its clusters.
func (u *upstreams) openTokens(ctx context.Context, cfg *config.Config) (TokenStore, error) {
	if !cfg.Tokens.InKubernetes() {
		store, err := tokenfile.Open(ctx, tokenfile.Options{Dir: cfg.DataDir, Logger: u.logger, Mint: jwt.Mint})
		if err != nil {
			return nil, err // no store, and not one that is nil
		}
		return store, nil
	}
	home, sources := u.tokenSources(cfg, cfg.Tokens.Cluster)
	store, err := tokenkube.Open(tokenkube.Options{
		Home: home, Namespace: cfg.Tokens.Namespace, Sources: sources, Mint: jwt.Mint,
		Lifetime: cfg.Tokens.Lifetime, Overlap: cfg.Tokens.Overlap, Logger: u.logger,
	})
	if err != nil {
		return nil, err
	}
	return store, nil
}

// tokenSources are the namespaces that hold tokens: those that are searched for
// environments, and on the gateway's own cluster those of the file's projects.
func (u *upstreams) tokenSources(cfg *config.Config, homeName string) (home *kube.Connection, sources []tokenkube.Source) {
	for i := range cfg.Clusters {
		c := &cfg.Clusters[i]
		source := tokenkube.Source{Connection: u.byName[c.Name].Connection, Namespaces: []string{}}
		if d := c.Discovery; d != nil && d.Namespaces.Selector != "" {
			source.Namespaces = nil
		} else if d != nil {
			source.Namespaces = append(source.Namespaces, d.Namespaces.Names...)
		}
		if c.Name == homeName {
			home = source.Connection
			if source.Namespaces != nil {
				source.Namespaces = addProjects(source.Namespaces, cfg)
			}
		}
		if source.Namespaces == nil || len(source.Namespaces) > 0 {
			sources = append(sources, source)
		}
	}
	return home, sources
}

// addProjects adds the namespaces of the file's projects.
func addProjects(namespaces []string, cfg *config.Config) []string {
	known := map[string]bool{}
	for _, n := range namespaces {
		known[n] = true
	}
	for _, p := range cfg.Projects {
		if !known[p.Name] {
			namespaces = append(namespaces, p.Name)
		}
	}
	return namespaces
}

// followTokens tells the stores in Kubernetes what a new configuration has changed.
// Which cluster is the gateway's own only a restart changes: without that one
// the store goes on as it was.
func (s *Server) followTokens(u *upstreams, cfg *config.Config) {
	store, ok := s.store.(*tokenkube.Store)
	if !ok {
		return
	}
	home, sources := u.tokenSources(cfg, s.config.Tokens.Cluster)
	if sessions, kept := s.sessions.(*sessionkube.Store); kept && home != nil {
		sessions.SetConnection(home)
	}
	if home == nil {
		s.logger.Warn("the cluster of the endpoint tokens is no longer in the configuration: they are followed as before until a restart", "cluster", s.config.Tokens.Cluster)
		return
	}
	store.SetSources(home, sources)
}
