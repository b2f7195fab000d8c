package server

import (
	"context"
	"os"
	"runtime/debug"
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

// memoryBeside is what the process may hold beside its cache, in bytes, before
// garbage is collected more often than GOGC says.
const memoryBeside = 256 << 20

// limitMemory keeps the garbage within bounds: what is collected at five times the
// memory that lives costs little while little lives, and too much with a full cache.
func limitMemory(cfg *config.Config) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(cfg.Cache.MaxBytes)*3/2 + memoryBeside)
	}
}
