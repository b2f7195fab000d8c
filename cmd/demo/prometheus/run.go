package prometheus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/scrape"
	"go.yaml.in/yaml/v3"
)

// targetSets are the targets of each job, as service discovery would hand them over.
type targetSets map[string][]*targetgroup.Group

// staticConfig and scrapeConfig are the part of Prometheus' configuration file that is written here.
type staticConfig struct {
	Targets []string          `yaml:"targets"`
	Labels  map[string]string `yaml:"labels,omitempty"`
}

type scrapeConfig struct {
	Job     string         `yaml:"job_name"`
	Scheme  string         `yaml:"scheme"`
	Targets []staticConfig `yaml:"static_configs"`
}

type configFile struct {
	Global struct {
		ScrapeInterval     string            `yaml:"scrape_interval"`
		EvaluationInterval string            `yaml:"evaluation_interval"`
		ExternalLabels     map[string]string `yaml:"external_labels,omitempty"`
	} `yaml:"global"`
	RuleFiles     []string       `yaml:"rule_files,omitempty"`
	ScrapeConfigs []scrapeConfig `yaml:"scrape_configs,omitempty"`
}

// configure writes the rule file, and turns the options into Prometheus' configuration and target sets.
func (p *parts) configure(s *Server) error {
	var file configFile
	file.Global.ScrapeInterval = model.Duration(s.opts.ScrapeInterval).String()
	file.Global.EvaluationInterval = model.Duration(s.opts.RuleInterval).String()
	file.Global.ExternalLabels = s.opts.ExternalLabels
	if s.opts.Rules != "" {
		p.ruleset = filepath.Join(s.opts.Dir, "rules.yml")
		if err := os.WriteFile(p.ruleset, []byte(s.opts.Rules), 0o600); err != nil {
			return fmt.Errorf("the embedded Prometheus cannot write its rule file: %w", err)
		}
		file.RuleFiles = []string{p.ruleset}
	}
	file.ScrapeConfigs, p.sets = scrapeConfigs(s.allTargets())
	text, err := yaml.Marshal(file)
	if err != nil {
		return err
	}
	if p.config, err = config.Load(string(text), s.opts.Logger); err != nil {
		return fmt.Errorf("the options make no valid Prometheus configuration: %w", err)
	}
	return nil
}

// allTargets are the given targets and, where asked for, the server itself. A frozen server needs one to hang its
// metadata on.
func (s *Server) allTargets() []Target {
	targets := append([]Target(nil), s.opts.Targets...)
	if s.telemetry != nil {
		targets = append(targets, Target{
			Job: SelfJob, Address: s.telemetry.addr, Labels: map[string]string{"instance": cmp.Or(s.opts.SelfInstance, s.Addr())},
		})
	}
	if s.opts.frozen() && len(targets) == 0 && len(s.opts.Metadata) > 0 {
		targets = append(targets, Target{Job: SelfJob, Address: s.Addr()})
	}
	return targets
}

// scrapeConfigs groups targets by job, in the order in which jobs first appear.
func scrapeConfigs(targets []Target) ([]scrapeConfig, targetSets) {
	var configs []scrapeConfig
	index, sets := map[string]int{}, targetSets{}
	for _, t := range targets {
		at, known := index[t.Job]
		if !known {
			at = len(configs)
			index[t.Job] = at
			configs = append(configs, scrapeConfig{Job: t.Job, Scheme: "http"})
		}
		configs[at].Targets = append(configs[at].Targets, staticConfig{Targets: []string{t.Address}, Labels: t.Labels})
		group := &targetgroup.Group{
			Source:  fmt.Sprint(len(sets[t.Job])),
			Targets: []model.LabelSet{{model.AddressLabel: model.LabelValue(t.Address)}},
			Labels:  model.LabelSet{},
		}
		for name, value := range t.Labels {
			group.Labels[model.LabelName(name)] = model.LabelValue(value)
		}
		sets[t.Job] = append(sets[t.Job], group)
	}
	return configs, sets
}

// fill backfills a storage that is still empty.
func (p *parts) fill(ctx context.Context, o Options) error {
	if o.Backfill == nil || p.db.Head().NumSeries() > 0 || len(p.db.Blocks()) > 0 {
		return nil
	}
	app := p.db.AppenderV2(ctx)
	if err := o.Backfill(ctx, app); err != nil {
		return errors.Join(fmt.Errorf("the embedded Prometheus was not filled: %w", err), app.Rollback())
	}
	if err := app.Commit(); err != nil {
		return fmt.Errorf("the embedded Prometheus was not filled: %w", err)
	}
	return nil
}

// run applies the configuration, evaluates the rules once and starts scraping and rules. The storage is filled.
func (p *parts) run(ctx context.Context, running *sync.WaitGroup, o Options) error {
	if err := p.web.ApplyConfig(p.config); err != nil {
		return err
	}
	if err := p.scrape.ApplyConfig(p.config); err != nil {
		return fmt.Errorf("the embedded Prometheus cannot scrape: %w", err)
	}
	if err := p.loadRules(ctx, o); err != nil {
		return err
	}
	sets := make(chan map[string][]*targetgroup.Group, 1)
	sets <- p.sets
	p.started = true
	running.Go(func() { _ = p.scrape.Run(sets) })
	running.Go(p.rules.Run)
	return p.awaitTargets(ctx, o)
}

// loadRules evaluates every group once before the rule manager runs, so that rules and alerts have a state from the
// first request on. A frozen server's groups do nothing afterwards.
func (p *parts) loadRules(ctx context.Context, o Options) error {
	if p.ruleset == "" {
		return nil
	}
	iterate, at := rules.DefaultEvalIterationFunc, time.Now()
	if p.frozen {
		iterate, at = func(context.Context, *rules.Group, time.Time) {}, o.FrozenAt
	}
	err := p.rules.Update(o.RuleInterval, []string{p.ruleset}, labels.FromMap(o.ExternalLabels), "", iterate)
	if err != nil {
		return fmt.Errorf("the embedded Prometheus cannot load its rules: %w", err)
	}
	for _, group := range p.rules.RuleGroups() {
		rules.DefaultEvalIterationFunc(ctx, group, at)
	}
	return nil
}

// awaitTargets waits until the scraper knows every target, and gives those of a frozen server their metadata.
func (p *parts) awaitTargets(ctx context.Context, o Options) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	want := 0
	for _, groups := range p.sets {
		want += len(groups)
	}
	var active []*scrape.Target
	err := poll(ctx, "the embedded Prometheus did not take up its targets", func() bool {
		active = active[:0]
		for _, targets := range p.scrape.TargetsActive() {
			active = append(active, targets...)
		}
		return len(active) == want
	})
	if err != nil || !p.frozen {
		return err
	}
	for _, t := range active {
		t.SetMetadataStore(metadataStore(o.Metadata))
	}
	return nil
}

// metadataStore answers a fixed list where a scrape would have collected one.
type metadataStore []Metadata

func (m metadataStore) ListMetadata() []scrape.MetricMetadata {
	list := make([]scrape.MetricMetadata, 0, len(m))
	for _, e := range m {
		list = append(list, scrape.MetricMetadata{MetricFamily: e.Family, Type: e.Type, Help: e.Help, Unit: e.Unit})
	}
	return list
}

func (m metadataStore) GetMetadata(family string) (scrape.MetricMetadata, bool) {
	for _, e := range m.ListMetadata() {
		if e.MetricFamily == family {
			return e, true
		}
	}
	return scrape.MetricMetadata{}, false
}

func (m metadataStore) SizeMetadata() (size int) {
	for _, e := range m {
		size += len(e.Family) + len(e.Type) + len(e.Help) + len(e.Unit)
	}
	return size
}

func (m metadataStore) LengthMetadata() int { return len(m) }
