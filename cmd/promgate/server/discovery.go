package server

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/promgate/promgate/cmd/promgate/config"
	"github.com/promgate/promgate/routing"
	"github.com/promgate/promgate/routing/file"
	routingkube "github.com/promgate/promgate/routing/kube"
)

// firstSearch is how long the gateway is not ready because clusters are still
// being searched. After that it serves what there is.
const firstSearch = 30 * time.Second

// discovery makes the table that requests see of the file and of the clusters
// that are searched.
type discovery struct {
	// install puts a table in force, in which these projects may have changed.
	install func(before, after *routing.Table, projects []string)

	mu       sync.Mutex
	merger   *routing.Merger
	searches map[string]*search // by cluster
	started  time.Time
	applied  bool // a configuration was
	running  sync.WaitGroup
	// quiet looks, and tells nobody what is wrong with objects.
	quiet bool
}

// search is one cluster that is searched.
type search struct {
	*routingkube.Discovery
	print fingerprint
	stop  func()
	// begun tells that it has published. Before, what an earlier search found
	// stays.
	begun bool
	// first tells that it began with the gateway, which waits for it.
	first bool
}

func newDiscovery(install func(before, after *routing.Table, projects []string)) *discovery {
	return &discovery{
		install: install, merger: routing.NewMerger(file.Source), searches: map[string]*search{}, started: time.Now(),
	}
}

// source is a cluster as a source of candidates.
func source(cluster string) string { return "cluster " + cluster }

// apply puts a configuration's environments and searches in force.
func (d *discovery) apply(cfg *config.Config, u *upstreams, candidates map[string][]routing.Candidate) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.merger.Table()
	d.merger.Replace(file.Source, candidates)
	wanted := map[string]bool{}
	for i := range cfg.Clusters {
		c := &cfg.Clusters[i]
		if c.Discovery == nil {
			continue
		}
		wanted[c.Name] = true
		cluster := u.byName[c.Name]
		print := fingerprintOf([]any{u.prints[c.Name], c.Discovery})
		if running := d.searches[c.Name]; running != nil {
			if running.print == print {
				continue
			}
			running.stop()
		}
		d.begin(cluster, c, print)
	}
	for name, s := range d.searches {
		if !wanted[name] {
			s.stop()
			delete(d.searches, name)
			d.merger.Replace(source(name), nil)
		}
	}
	after := d.merger.Table()
	d.applied = true
	d.publish(before, after, projectsOf(before, after))
}

// begin starts a search. The lock is held.
func (d *discovery) begin(cluster *routingkube.Cluster, c *file.Cluster, print fingerprint) {
	ctx, cancel := context.WithCancel(context.Background())
	s := &search{print: print, stop: cancel, first: !d.applied}
	s.Discovery = cluster.NewDiscovery(routingkube.DiscoveryOptions{
		Names: c.Discovery.Namespaces.Names, Selector: c.Discovery.Namespaces.Selector, Sources: c.Discovery.Sources,
		Publish: func(changed map[string][]routing.Candidate) { d.found(c.Name, s, changed) },
	})
	d.searches[c.Name] = s
	d.running.Go(func() { s.Run(ctx) })
}

// found takes what a search has found.
func (d *discovery) found(cluster string, s *search, changed map[string][]routing.Candidate) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.searches[cluster] != s {
		return // another one has taken its place
	}
	before := d.merger.Table()
	if s.begun {
		after := d.merger.Set(source(cluster), changed)
		d.publish(before, after, slices.Collect(maps.Keys(changed)))
		return
	}
	s.begun = true // it takes the place of an earlier search's
	after := d.merger.Replace(source(cluster), changed)
	d.publish(before, after, projectsOf(before, after))
}

// projectsOf names the projects of both tables.
func projectsOf(before, after *routing.Table) []string {
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(before.Projects(), after.Projects()))))
}

// publish puts a table in force, and has every search tell what is not served.
// The lock is held.
func (d *discovery) publish(before, after *routing.Table, projects []string) {
	d.install(before, after, projects)
	if d.quiet {
		return
	}
	for _, s := range d.searches {
		for _, name := range projects {
			s.Announce(name, after.UnservedIn(name))
		}
	}
}

// unsettled names a cluster whose first search is not over.
func (d *discovery) unsettled() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Since(d.started) > firstSearch {
		return nil
	}
	for name, s := range d.searches {
		if s.first && !s.begun {
			return fmt.Errorf("searching cluster %s for environments", name)
		}
	}
	return nil
}

// namespaces are those of a cluster that are projects.
func (d *discovery) namespaces(cluster string) []string {
	d.mu.Lock()
	s := d.searches[cluster]
	d.mu.Unlock()
	if s == nil {
		return nil
	}
	return s.Namespaces()
}

// close ends the searches.
func (d *discovery) close() {
	d.mu.Lock()
	for _, s := range d.searches {
		s.stop()
	}
	d.mu.Unlock()
	d.running.Wait()
}

var (
	unservedDesc = prometheus.NewDesc("promgate_discovery_unserved",
		"Objects and entries that make no environment, by what is wrong: invalid or conflict.", []string{"project", "cause"}, nil)
	sourceUpDesc = prometheus.NewDesc("promgate_discovery_source_up",
		"Whether all objects of the kind can be seen: 1, or 0 where the log says why not.", []string{"cluster", "source"}, nil)
)

// Describe is part of prometheus.Collector.
func (d *discovery) Describe(ch chan<- *prometheus.Desc) {
	ch <- unservedDesc
	ch <- sourceUpDesc
}

// Collect is part of prometheus.Collector.
func (d *discovery) Collect(ch chan<- prometheus.Metric) {
	d.mu.Lock()
	table, searches := d.merger.Table(), maps.Clone(d.searches)
	d.mu.Unlock()
	counts := map[[2]string]int{}
	for c := range table.Unserved() {
		counts[[2]string{c.Project, string(c.Cause)}]++
	}
	for labels, n := range counts {
		ch <- prometheus.MustNewConstMetric(unservedDesc, prometheus.GaugeValue, float64(n), labels[:]...)
	}
	for cluster, s := range searches {
		up := map[string]float64{}
		for _, source := range s.Sources() {
			up[source] = 1
		}
		for _, p := range s.Problems() {
			up[p.Source] = 0
		}
		for source, value := range up {
			ch <- prometheus.MustNewConstMetric(sourceUpDesc, prometheus.GaugeValue, value, cluster, source)
		}
	}
}
