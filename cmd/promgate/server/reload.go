package server

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"time"

	"github.com/promgate/promgate/cmd/promgate/config"
	"github.com/promgate/promgate/routing"
)

// watchInterval is how often files are looked at for changes.
const watchInterval = time.Second

// reloadOnChange loads the configuration again on SIGHUP and whenever the file,
// or one that it names, changes.
func (s *Server) reloadOnChange(ctx context.Context, hangups <-chan os.Signal) {
	changes := make(chan struct{}, 1)
	go s.watcher.Run(ctx, watchInterval, func() {
		select {
		case changes <- struct{}{}:
		default: // one is due already
		}
	})
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
		case <-changes:
		}
		s.reload(ctx)
	}
}

// reload puts the file's configuration in force, or keeps what is.
func (s *Server) reload(ctx context.Context) {
	cfg, err := config.Load(s.path)
	if err == nil {
		err = s.apply(ctx, cfg)
	}
	if err != nil {
		// A file that only the bad configuration names may be what is mended next.
		var faults *config.Faults
		if errors.As(err, &faults) {
			s.watcher.Watch(slices.Concat(faults.Files, s.files)...)
		}
		s.meters.reloads.WithLabelValues("failure").Inc()
		s.meters.reloadOK.Set(0)
		s.logger.Error("the new configuration is bad: the last good one stays in force", "file", s.path, "error", err)
		return
	}
	s.meters.reloads.WithLabelValues("success").Inc()
	s.logger.Info("configuration loaded", "file", s.path, "environments", s.routes.Load().Len())
}

// apply puts a configuration in force: all of it, or nothing on an error.
func (s *Server) apply(ctx context.Context, cfg *config.Config) error {
	certificate, err := loadCertificate(cfg.ListenTLS)
	if err != nil {
		return err
	}
	next, err := s.upstreams.connect(cfg)
	if err != nil {
		return err
	}
	var served []string
	candidates, err := next.build(cfg, func(names []string) (map[string]string, error) {
		served = names
		return s.store.AssignUIDs(ctx, names, false)
	})
	if err != nil {
		return err
	}
	// Only a configuration that comes into force ends the identities of what
	// it does not name: their tokens are dead for good.
	if _, err := s.store.AssignUIDs(ctx, served, true); err != nil {
		return err
	}
	s.gateway.SetLimits(Limits(cfg))
	s.gateway.SetCache(Cache(cfg))
	s.gateway.SetTrustedProxies(cfg.TrustedProxies)
	s.gateway.SetBaseURL(cfg.BaseURL())
	s.certificate.Store(certificate)
	s.level.Set(levelOf(cfg.Log.Level))
	s.followTokens(next, cfg)
	s.users.SetClusters(next.usersOf(cfg))
	s.signIn.setProjects(cfg)
	s.signIn.reload(s)
	s.discovery.apply(cfg, next, candidates)
	s.dashboards.apply(cfg, next, s)
	s.upstreams.closeUnused(next)
	s.upstreams = next
	warnRestart(s.logger, s.config, cfg)
	s.files = append(cfg.Files(), s.path)
	s.watcher.Watch(s.files...)
	s.meters.reloadOK.Set(1)
	s.meters.reloadTime.SetToCurrentTime()
	return nil
}

// install puts a table in force. Of environments that are no longer there, or
// have become others, nothing is kept.
func (s *Server) install(before, after *routing.Table, projects []string) {
	s.routes.Store(after)
	for _, name := range projects {
		for e := range before.Project(name) {
			switch now, still := after.Lookup(name, e.Name); {
			case !still || now.UID != e.UID:
				s.gateway.Forget(e)
			case now.Target.Transport != e.Target.Transport:
				// It is asked with other credentials, or elsewhere under the same name.
				s.gateway.DropCache(name, e.Name)
			}
		}
	}
	s.meters.routes.Set(float64(after.Len()))
	s.dashboards.changed()
}

// warnRestart names the keys whose new value only a restart puts in force.
func warnRestart(logger *slog.Logger, running, next *config.Config) {
	for _, k := range []struct {
		key     string
		changed bool
	}{
		{"listen", running.Listen != next.Listen},
		{"listenTLS (switched on or off)", (running.ListenTLS == nil) != (next.ListenTLS == nil)},
		{"adminListen", running.AdminListen != next.AdminListen},
		{"dataDir", running.DataDir != next.DataDir},
		{"tokens", running.Tokens != next.Tokens},
		{"signIn", !reflect.DeepEqual(running.SignIn, next.SignIn)},
		{"dashboards (but for visibility)", placeOf(running.Dashboards) != placeOf(next.Dashboards)},
		{"log.format", running.Log.Format != next.Log.Format},
		{"tracing", running.Tracing != next.Tracing},
		{"shutdown", running.Shutdown != next.Shutdown},
	} {
		if k.changed {
			logger.Warn("this key changed, but takes effect only after a restart", "key", k.key)
		}
	}
}

// placeOf is what of the dashboards is settled when the gateway starts.
func placeOf(d *config.Dashboards) config.Dashboards {
	if d == nil {
		return config.Dashboards{}
	}
	return config.Dashboards{Cluster: d.Cluster, Path: d.Path}
}
