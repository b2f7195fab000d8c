package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/promgate/promgate/cmd/demo/generator"
	"github.com/promgate/promgate/cmd/demo/prometheus"
)

const (
	historyLength  = 6 * time.Hour
	historyStep    = 15 * time.Second
	scrapeInterval = 5 * time.Second
)

// environment is one Prometheus server of a project, with the invented service that it scrapes.
type environment struct {
	sample
	service *http.Server
	server  *prometheus.Server
}

// startEnvironments starts all samples. stop is to be called in any case.
func startEnvironments(ctx context.Context, dir string, now time.Time, logger *slog.Logger) (list []*environment, stop func() error, err error) {
	for _, s := range samples() {
		list = append(list, &environment{sample: s})
	}
	err = each(list, func(_ int, e *environment) error {
		if err := e.start(ctx, filepath.Join(dir, e.Project+"-"+e.Name), now, logger); err != nil {
			return fmt.Errorf("%s %s: %w", e.Project, e.Name, err)
		}
		return nil
	})
	return list, func() error {
		return each(list, func(_ int, e *environment) error { return e.stop() })
	}, err
}

// start serves the invented service's metrics and starts a Prometheus that has scraped them for hours already.
func (e *environment) start(ctx context.Context, dir string, now time.Time, logger *slog.Logger) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("the sample service cannot listen: %w", err)
	}
	g := generator.New(e.Profile, now.Add(-historyLength), time.Now)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", g)
	e.service = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = e.service.Serve(listener) }()

	e.server, err = prometheus.Start(ctx, prometheus.Options{
		Dir: dir,
		Targets: []prometheus.Target{{
			Job: e.Project, Address: listener.Addr().String(), Labels: map[string]string{"instance": e.instance()},
		}},
		ScrapeInterval: scrapeInterval,
		ScrapeSelf:     true,
		SelfInstance:   e.selfInstance(),
		Rules:          sampleRules,
		RuleInterval:   scrapeInterval,
		ExternalLabels: map[string]string{"project": e.Project, "environment": e.Name},
		Backfill:       history{generator: g, environment: e, from: now.Add(-historyLength), to: now}.write,
		Logger:         logger,
	})
	return err
}

func (e *environment) instance() string     { return e.Project + "-0:8080" }
func (e *environment) selfInstance() string { return "prometheus-" + e.Name + ":9090" }

// stop ends what start began, as far as it came.
func (e *environment) stop() error {
	var errs []error
	if e.server != nil {
		errs = append(errs, e.server.Close())
	}
	if e.service != nil {
		errs = append(errs, e.service.Close())
	}
	return errors.Join(errs...)
}
