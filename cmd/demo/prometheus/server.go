package prometheus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/prometheus/web"
)

// startLimit bounds the wait for a server that does not become ready.
const startLimit = 30 * time.Second

// Server is one running Prometheus. Its methods may be called from several goroutines.
type Server struct {
	opts      Options
	ownsDir   bool
	listener  *connListener
	telemetry *telemetry
	parts     *parts
	cancel    context.CancelFunc
	running   sync.WaitGroup
	closing   sync.Once
	closeErr  error
}

// Start opens the storage, fills it, and starts scraping, rules and the web API. It returns once /-/ready answers 200,
// or with an error after which nothing is left running. The server runs until Close; ctx bounds only the start.
func Start(ctx context.Context, opts Options) (*Server, error) {
	opts, ownsDir, err := opts.complete()
	if err != nil {
		return nil, fmt.Errorf("no directory for the embedded Prometheus: %w", err)
	}
	s := &Server{opts: opts, ownsDir: ownsDir, cancel: func() {}}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Server) start(ctx context.Context) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	raw, err := listen(s.opts.Addr)
	if err != nil {
		return fmt.Errorf("the embedded Prometheus cannot listen: %w", err)
	}
	s.listener = newConnListener(raw)
	if s.opts.ScrapeSelf {
		if s.telemetry, err = startTelemetry(registry); err != nil {
			return fmt.Errorf("the embedded Prometheus cannot serve its own metrics: %w", err)
		}
	}

	// The server outlives the context it was started with.
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	if s.parts, err = s.build(run, registry); err != nil {
		return err
	}
	if err := s.parts.fill(ctx, s.opts); err != nil {
		return err
	}
	s.serve(run)
	if err := s.parts.run(ctx, &s.running, s.opts); err != nil {
		return err
	}
	s.parts.web.SetReady(web.Ready)
	return s.awaitReady(ctx)
}

// serve answers HTTP until the context ends.
func (s *Server) serve(ctx context.Context) {
	s.running.Go(func() {
		if err := s.parts.web.Run(ctx, []net.Listener{s.listener}, ""); err != nil {
			s.opts.Logger.Error("embedded Prometheus stopped serving", "err", err)
		}
	})
}

// awaitReady asks /-/ready until it answers 200.
func (s *Server) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	return poll(ctx, "the embedded Prometheus did not become ready", func() bool {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL()+"/-/ready", nil)
		if err != nil {
			return false
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// poll asks a condition every few milliseconds until it holds or the context ends.
func poll(ctx context.Context, failure string, condition func() bool) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", failure, ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

// Addr is the host:port that the server listens on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// URL is the base of every route, with the route prefix and without a slash at its end.
func (s *Server) URL() string {
	return strings.TrimSuffix("http://"+s.Addr()+s.opts.RoutePrefix, "/")
}

// Append hands an appender to fill and commits what it put in, or nothing of it if fill answers an error. Samples
// must be later than those their series already has, and within twelve hours of the newest sample of the server.
func (s *Server) Append(ctx context.Context, fill func(Appender) error) error {
	app := s.parts.db.AppenderV2(ctx)
	if err := fill(app); err != nil {
		return errors.Join(err, app.Rollback())
	}
	return app.Commit()
}

// Close cuts open connections, waits for their requests to end, stops everything and, where Start made the directory,
// removes it. It leaves no goroutine behind. Further calls answer the first one's error.
func (s *Server) Close() error {
	s.closing.Do(func() { s.closeErr = s.close() })
	return s.closeErr
}

func (s *Server) close() error {
	var errs []error
	s.cancel()
	if s.listener != nil {
		s.listener.shutdown()
	}
	if s.parts != nil {
		s.parts.stop()
	}
	s.running.Wait()
	if s.telemetry != nil {
		errs = append(errs, s.telemetry.close())
	}
	if s.parts != nil {
		errs = append(errs, s.parts.close())
	}
	if s.ownsDir {
		errs = append(errs, os.RemoveAll(s.opts.Dir))
	}
	return errors.Join(errs...)
}
