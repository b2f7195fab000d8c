package server

import (
	"context"
	"time"

	"github.com/promgate/promgate/cmd/promgate/config"
	"github.com/promgate/promgate/gateway"
)

// Cache is what is kept of answers, as configured.
func Cache(cfg *config.Config) gateway.Cache {
	return gateway.Cache{MaxBytes: int64(cfg.Cache.MaxBytes), Freshness: cfg.Cache.Freshness}
}

// tendInterval is how often the cache is looked after.
const tendInterval = 15 * time.Second

func (s *Server) tendCache(ctx context.Context) {
	ticker := time.NewTicker(tendInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			s.gateway.TendCache(now)
		}
	}
}
