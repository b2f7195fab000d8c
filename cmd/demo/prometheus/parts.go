package prometheus

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"time"

	"github.com/grafana/regexp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/notifier"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/features"
	"github.com/prometheus/prometheus/util/notifications"
	"github.com/prometheus/prometheus/web"
)

// Defaults of the Prometheus program, where the API of its packages has none.
const (
	maxConcurrentQueries = 20
	maxQuerySamples      = 50_000_000
	queryTimeout         = 2 * time.Minute
	lookback             = 5 * time.Minute
	remoteReadSamples    = 50_000_000
	remoteReadConcurrent = 10
	remoteReadFrame      = 1 << 20
	searchLimit          = 10_000
)

// parts are the pieces of one Prometheus, made but not yet running.
type parts struct {
	db      *tsdb.DB
	engine  *promql.Engine
	scrape  *scrape.Manager
	rules   *rules.Manager
	web     *web.Handler
	config  *config.Config
	sets    targetSets
	ruleset string
	frozen  bool
	started bool
}

// localStorage is the storage as the web API wants it.
type localStorage struct {
	*tsdb.DB
	stats *tsdb.DBStats
}

func (s localStorage) BlockMetas() ([]tsdb.BlockMeta, error) { return s.DB.BlockMetas(), nil }

func (s localStorage) Stats(label string, limit int) (*tsdb.Stats, error) {
	return s.Head().Stats(label, limit), nil
}

func (s localStorage) WALReplayStatus() (tsdb.WALReplayStatus, error) {
	return s.stats.Head.WALReplayStatus.GetWALReplayStatus(), nil
}

// build makes the pieces. ctx ends when the server closes.
func (s *Server) build(ctx context.Context, registry *prometheus.Registry) (*parts, error) {
	p := &parts{frozen: s.opts.frozen()}
	if err := p.configure(s); err != nil {
		return nil, err
	}
	stats := tsdb.NewDBStats()
	db, err := tsdb.Open(s.opts.Dir, s.opts.Logger, registry, storageOptions(), stats)
	if err != nil {
		return nil, fmt.Errorf("the embedded Prometheus cannot open its storage: %w", err)
	}
	p.db = db
	promqlParser := parser.NewParser(parser.Options{
		EnableExperimentalFunctions:  true,
		ExperimentalDurationExpr:     true,
		EnableExtendedRangeSelectors: true,
		EnableBinopFillModifiers:     true,
	})
	registered := features.NewRegistry()
	if err := p.makeEngine(s.opts, registry, registered, promqlParser); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if err := p.makeScraper(s.opts, registry, registered); err != nil {
		return nil, errors.Join(err, p.engine.Close(), db.Close())
	}
	external := &url.URL{Scheme: "http", Host: s.Addr(), Path: s.opts.RoutePrefix}
	p.makeRules(ctx, s.opts, registry, registered, promqlParser, external)
	p.makeWeb(ctx, s, registry, registered, promqlParser, external, localStorage{db, stats})
	return p, nil
}

// storageOptions keep a day in memory: a server lives for hours, and its history may be appended in one go.
func storageOptions() *tsdb.Options {
	o := tsdb.DefaultOptions()
	o.RetentionDuration = 0
	o.MinBlockDuration = int64(24 * time.Hour / time.Millisecond)
	o.MaxBlockDuration = o.MinBlockDuration
	o.EnableExemplarStorage = true
	o.MaxExemplars = 20_000
	o.StripeSize = 1 << 10
	return o
}

func (p *parts) makeEngine(o Options, reg prometheus.Registerer, f features.Collector, ps parser.Parser) error {
	tracker, err := promql.NewActiveQueryTracker(o.Dir, maxConcurrentQueries, o.Logger)
	if err != nil {
		return fmt.Errorf("the embedded Prometheus cannot make its query log: %w", err)
	}
	step := o.RuleInterval.Milliseconds()
	p.engine = promql.NewEngine(promql.EngineOpts{
		Logger:                   o.Logger,
		Reg:                      reg,
		MaxSamples:               maxQuerySamples,
		Timeout:                  queryTimeout,
		ActiveQueryTracker:       tracker,
		LookbackDelta:            lookback,
		NoStepSubqueryIntervalFn: func(int64) int64 { return step },
		EnableAtModifier:         true,
		EnableNegativeOffset:     true,
		EnablePerStepStats:       true,
		FeatureRegistry:          f,
		Parser:                   ps,
	})
	return nil
}

func (p *parts) makeScraper(o Options, reg prometheus.Registerer, f features.Collector) error {
	opts := &scrape.Options{
		DiscoveryReloadOnStartup: true,
		DiscoveryReloadInterval:  model.Duration(time.Hour),
		FeatureRegistry:          f,
	}
	if p.frozen {
		opts.InitialScrapeOffset = 100_000 * time.Hour
	}
	var err error
	if p.scrape, err = scrape.NewManager(opts, o.Logger, nil, nil, p.db, reg); err != nil {
		return fmt.Errorf("the embedded Prometheus cannot make its scraper: %w", err)
	}
	return nil
}

func (p *parts) makeRules(
	ctx context.Context, o Options, reg prometheus.Registerer, f features.Collector, ps parser.Parser, external *url.URL,
) {
	p.rules = rules.NewManager(&rules.ManagerOptions{
		NameValidationScheme:   model.UTF8Validation,
		Appendable:             p.db,
		Queryable:              p.db,
		QueryFunc:              rules.EngineQueryFunc(p.engine, p.db),
		NotifyFunc:             func(context.Context, string, ...*rules.Alert) {},
		Context:                ctx,
		ExternalURL:            external,
		Registerer:             reg,
		Logger:                 o.Logger,
		OutageTolerance:        time.Hour,
		ForGracePeriod:         10 * time.Minute,
		ResendDelay:            time.Minute,
		MaxConcurrentEvals:     4,
		DefaultRuleQueryOffset: func() time.Duration { return 0 },
		FeatureRegistry:        f,
		Parser:                 ps,
	})
}

func (p *parts) makeWeb(
	ctx context.Context, s *Server, reg *prometheus.Registry, f features.Collector, ps parser.Parser,
	external *url.URL, local localStorage,
) {
	notify := notifier.NewManager(&notifier.Options{QueueCapacity: 1, Registerer: reg}, model.UTF8Validation, s.opts.Logger)
	p.web = web.New(s.opts.Logger, &web.Options{
		Context:         ctx,
		TSDBDir:         s.opts.Dir,
		LocalStorage:    local,
		Storage:         local,
		ExemplarStorage: p.db,
		QueryEngine:     p.engine,
		LookbackDelta:   lookback,
		ScrapeManager:   p.scrape,
		RuleManager:     p.rules,
		Notifier:        notify,
		Version: &web.PrometheusVersion{
			Version: Version, Revision: "embedded", Branch: "HEAD", BuildUser: "promgate", GoVersion: runtime.Version(),
		},
		NotificationsGetter: func() []notifications.Notification { return nil },
		NotificationsSub: func() (<-chan notifications.Notification, func(), bool) {
			return nil, func() {}, false
		},
		Flags:                      map[string]string{"web.route-prefix": s.opts.RoutePrefix},
		ListenAddresses:            []string{s.Addr()},
		CORSOrigin:                 regexp.MustCompile("^(?:.*)$"),
		ReadTimeout:                5 * time.Minute,
		MaxConnections:             512,
		ExternalURL:                external,
		RoutePrefix:                s.opts.RoutePrefix,
		EnableSearch:               true,
		MaxSearchLimit:             searchLimit,
		PageTitle:                  "Prometheus",
		RemoteReadSampleLimit:      remoteReadSamples,
		RemoteReadConcurrencyLimit: remoteReadConcurrent,
		RemoteReadBytesInFrame:     remoteReadFrame,
		AppName:                    "Prometheus Server",
		Gatherer:                   reg,
		Registerer:                 reg,
		FeatureRegistry:            f,
		Parser:                     ps,
	})
}

// stop ends scraping and rules, if they run.
func (p *parts) stop() {
	if p.started {
		p.scrape.Stop()
		p.rules.Stop()
	}
}

// close lets go of the storage; nothing may use it any more.
func (p *parts) close() error {
	return errors.Join(p.engine.Close(), p.db.Close())
}
