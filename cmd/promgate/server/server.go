// Package server puts the parts together that promgate serve runs: listeners,
// gateway, token store, reloading and an orderly end.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/promgate/promgate/auth"
	authkube "github.com/promgate/promgate/auth/kube"
	"github.com/promgate/promgate/cmd/promgate/config"
	"github.com/promgate/promgate/gateway"
	"github.com/promgate/promgate/kube"
	"github.com/promgate/promgate/routing"
	"github.com/promgate/promgate/routing/direct"
	"github.com/promgate/promgate/routing/file"
	routingkube "github.com/promgate/promgate/routing/kube"
	"github.com/promgate/promgate/tokens/jwt"
	"github.com/promgate/promgate/web"
	"github.com/promgate/promgate/web/api"
)

// Bounds of the public listener that nobody needs to configure.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	// maxHeaderBytes holds a URL of 64 KiB and a token of 8 KiB.
	maxHeaderBytes = 96 << 10
	// writeGrace is what the server waits beyond requestTimeout before it
	// cuts a client that does not read.
	writeGrace = 10 * time.Second
)

// Options are what a Server is made of. All are required.
type Options struct {
	// Path is the configuration file.
	Path string
	// Log is where log records go.
	Log io.Writer
	// Version and Revision tell what is running.
	Version, Revision string
}

// Server is a gateway with its listeners.
type Server struct {
	path   string
	config *config.Config
	logger *slog.Logger
	// accessLog is the gateway's logger, log what both write through.
	accessLog *slog.Logger
	log       *gatherer
	level     slog.LevelVar
	registry  *prometheus.Registry
	meters    *meters
	tracing   *trace.TracerProvider // nil: none

	store       TokenStore
	users       *authkube.Authenticator
	signIn      *signIn
	sessions    SessionStore // nil: nobody can sign in
	routes      routing.Current
	discovery   *discovery
	dashboards  *dashboards // nil: there are none
	gateway     *gateway.Gateway
	upstreams   *upstreams
	watcher     *file.Watcher
	files       []string // that the configuration in force was made of
	certificate atomic.Pointer[tls.Certificate]

	public   *lingerer
	admin    net.Listener
	draining atomic.Bool
}

// logKube guards the Kubernetes client library's log, of which a process has one.
var logKube sync.Once

// New loads the configuration, opens the token store and the listeners, and
// puts the configuration in force. Run must follow. The error is a
// *config.Faults where the file is bad.
func New(ctx context.Context, o Options) (*Server, error) {
	s := &Server{
		path: o.Path, registry: prometheus.NewRegistry(), upstreams: &upstreams{},
		// Files are watched before they are read for use, so that no change is missed.
		watcher: file.NewWatcher(o.Path),
	}
	var err error
	if s.config, err = config.Load(o.Path); err != nil {
		return nil, err
	}
	s.watcher.Watch(append(s.config.Files(), o.Path)...)
	s.logger, s.accessLog, s.log = newLoggers(o.Log, s.config.Log, &s.level)
	logKube.Do(func() { kube.LogTo(s.logger) })
	s.meters = newMeters(s.registry, o.Version, o.Revision)
	s.upstreams.logger = s.logger
	s.upstreams.options = routingkube.Options{
		OnPinned: func(outcome string) { s.meters.pinned.WithLabelValues(outcome).Inc() },
	}
	s.discovery = newDiscovery(s.install)
	s.registry.MustRegister(s.discovery)
	if err := s.open(ctx, o); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *Server) open(ctx context.Context, o Options) error {
	var err error
	if s.upstreams, err = s.upstreams.connect(s.config); err != nil {
		return err
	}
	if s.store, err = s.upstreams.openTokens(ctx, s.config); err != nil {
		return err
	}
	// A file that cannot be read is a fault of the installation. A cluster that
	// cannot be reached may come back, and is followed as soon as it does.
	if !s.config.Tokens.InKubernetes() {
		if err = s.store.Load(ctx); err != nil {
			return err
		}
	}
	s.users = authkube.NewAuthenticator(authkube.Options{Logger: s.logger, OnReview: s.meters.review})
	browser, operations, err := s.openSignIn(ctx, o.Version)
	if err != nil {
		return err
	}
	s.openDashboards(o.Version)
	clients := &api.Clients{}
	options := gateway.Options{
		Routes: &s.routes, Limits: Limits(s.config), Logger: s.accessLog, Registerer: s.registry,
		UserAgent: "promgate/" + o.Version, TrustedProxies: s.config.TrustedProxies,
		Auth:  auth.Union{jwt.NewVerifier(s.store.Snapshot, time.Now, jwt.OnResult(s.meters.tokenResults())), s.users},
		Cache: Cache(s.config), BaseURL: s.config.BaseURL(), Browser: browser, Page: web.NewHandler(), OnAdmitted: clients.Note,
		API: func(g *gateway.Gateway) []gateway.Operation {
			operations.Clients = clients
			if s.dashboards != nil {
				operations.DashboardsPath = s.dashboards.path
			}
			return append(api.New(g, operations), s.dashboards.operations(g)...)
		},
	}
	if s.dashboards != nil {
		options.Mount = func(*gateway.Gateway) *gateway.Mount { return s.dashboards.api.Mount() }
	}
	if endpoint := s.config.Tracing.OTLPEndpoint; endpoint != "" {
		if s.tracing, err = newTracing(ctx, endpoint, o.Version); err != nil {
			return err
		}
		options.Tracer = s.tracing.Tracer("promgate")
	}
	s.gateway = gateway.New(options)
	if err := s.apply(ctx, s.config); err != nil {
		return err
	}
	public, err := listen("listen", s.config.Listen)
	if err != nil {
		return err
	}
	s.public = newLingerer(public)
	s.admin, err = listen("adminListen", s.config.AdminListen)
	return err
}

func listen(key, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s; choose another address for %s in the configuration, or stop what uses it: %w", address, key, err)
	}
	return l, nil
}

// Addr is the address of the public listener.
func (s *Server) Addr() net.Addr { return s.public.Addr() }

// AdminAddr is the address of the admin listener.
func (s *Server) AdminAddr() net.Addr { return s.admin.Addr() }

// Run serves until the context ends, and then drains: it reports not ready,
// goes on serving for the configured delay, and returns when nothing is in
// flight. It returns nil after an orderly end.
func (s *Server) Run(ctx context.Context) error {
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	var background sync.WaitGroup
	defer s.close()
	defer background.Wait()
	defer stopWork()
	failed := make(chan error, 4)
	background.Go(func() {
		if err := s.store.Run(work); err != nil && work.Err() == nil {
			failed <- fmt.Errorf("token store: %w", err)
		}
	})
	if s.sessions != nil {
		background.Go(func() {
			if err := s.sessions.Run(work); err != nil && work.Err() == nil {
				failed <- fmt.Errorf("session store: %w", err)
			}
		})
	}
	// From here on, before anybody can know that it runs, SIGHUP ends nothing.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	background.Go(func() { s.reloadOnChange(work, hangups) })
	background.Go(func() { s.tendCache(work) })

	public, admin := s.publicServer(), &http.Server{
		Handler: adminHandler(s.registry, s.readiness, s.gateway.DropCache), ReadHeaderTimeout: readHeaderTimeout,
		ErrorLog: slog.NewLogLogger(s.logger.Handler(), slog.LevelWarn),
	}
	background.Go(func() { failed <- serve(admin, s.admin, false) })
	background.Go(func() { failed <- serve(public, s.public, s.config.ListenTLS != nil) })
	defer admin.Close()
	defer public.Close()
	s.logger.Info("serving", "listen", s.public.Addr().String(), "admin", s.admin.Addr().String(),
		"tls", s.config.ListenTLS != nil, "environments", s.routes.Load().Len())

	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	return s.drain(public)
}

// drain ends the public server without losing a request. Load balancers see
// not ready first, and clients of HTTP/1 are asked to connect elsewhere. Clients
// of HTTP/2 are asked after half the delay: what they send while the word is on
// its way goes unanswered, and is theirs to repeat. Then what is in flight ends.
func (s *Server) drain(public *http.Server) error {
	delay, timeout := s.config.Shutdown.Delay, s.config.Shutdown.Timeout
	s.public.begin(time.Now().Add(delay + timeout))
	s.draining.Store(true)
	s.gateway.Drain(1)
	s.logger.Info("stopping: not ready from now on", "delay", delay.String())
	time.Sleep(delay / 2)
	s.gateway.Drain(2)
	time.Sleep(delay - delay/2)
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := public.Shutdown(ctx); err != nil {
		s.logger.Error("requests are cut that were still in flight after shutdown.timeout", "timeout", timeout.String())
		return fmt.Errorf("requests were still in flight after shutdown.timeout of %s and are cut: %w", timeout, err)
	}
	if err := s.public.wait(ctx); err != nil {
		s.logger.Warn("connections are cut whose clients did not close them, nor read their answers in time", "timeout", timeout.String())
	}
	s.logger.Info("stopped: nothing is in flight")
	return nil
}

// readiness tells why the gateway should get no requests now.
func (s *Server) readiness() error {
	if s.draining.Load() {
		return errors.New("stopping")
	}
	snapshot := s.store.Snapshot()
	if snapshot == nil {
		return errors.New("the token store was not read yet")
	}
	if stale, _ := snapshot.Stale(time.Now(), jwt.MaxStaleness); stale {
		return errors.New("the token store cannot be read; the log says why")
	}
	return errors.Join(s.discovery.unsettled(), s.dashboards.unsettled())
}

func (s *Server) publicServer() *http.Server {
	return &http.Server{
		Handler:           s.gateway,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// OPTIONS * is a route that there is not, like every other.
		DisableGeneralOptionsHandler: true,
		WriteTimeout:                 s.config.Limits.RequestTimeout + writeGrace,
		ErrorLog:                     slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
		TLSConfig: &tls.Config{
			MinVersion: tls.VersionTLS12,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				return s.certificate.Load(), nil
			},
		},
	}
}

func serve(server *http.Server, l net.Listener, secure bool) error {
	var err error
	if secure {
		err = server.ServeTLS(l, "", "")
	} else {
		err = server.Serve(l)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("listener %s: %w", l.Addr(), err)
}

func loadCertificate(t *config.ListenTLS) (*tls.Certificate, error) {
	if t == nil {
		return nil, nil
	}
	pair, err := direct.ReadKeyPair(t.CertFile, t.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("listenTLS: %w", err)
	}
	return &pair, nil
}

// close gives back what New opened. It may find only a part of it.
func (s *Server) close() {
	defer s.log.flush()
	s.discovery.close()
	s.dashboards.close()
	s.upstreams.close()
	if s.public != nil {
		_ = s.public.Close() // closed by the server already, as a rule
	}
	if s.admin != nil {
		_ = s.admin.Close()
	}
	if s.tracing != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.tracing.Shutdown(ctx); err != nil {
			s.logger.Warn("the last spans could not be sent", "error", err)
		}
	}
	if s.sessions != nil {
		if err := s.sessions.Close(); err != nil {
			s.logger.Error("the session store did not close properly", "error", err)
		}
	}
	if s.store != nil {
		if err := s.store.Close(); err != nil {
			s.logger.Error("the token store did not close properly", "error", err)
		}
	}
}
