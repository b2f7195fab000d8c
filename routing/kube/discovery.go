package kube

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/promgate/promgate/routing"
)

const (
	// gather is how long changes are collected before they come into force
	// together.
	gather = 50 * time.Millisecond
	// settleTimeout is how long the first search may take before what was found
	// until then is published.
	settleTimeout = 20 * time.Second
	// recheckInterval is how often namespaces that are not watched are read.
	recheckInterval = 10 * time.Second
	// checkTimeout bounds one read of a namespace, or of what is installed.
	checkTimeout = 10 * time.Second
)

// CheckSelector tells whether a label selector is well formed. The empty one
// is.
func CheckSelector(selector string) error {
	if _, err := labels.Parse(selector); err != nil {
		return fmt.Errorf("not a label selector (%w); write one such as promgate.io/project=true", err)
	}
	return nil
}

// DiscoveryOptions say where a cluster is searched.
type DiscoveryOptions struct {
	// Names are the namespaces that are projects. Empty: Selector picks them by
	// their labels.
	Names    []string
	Selector string
	// Sources are the kinds of objects that make environments: services,
	// prometheuses, persesDatasources. Empty: all.
	Sources []string
	// Publish receives what was found, by project, first everything and then
	// what changed; an empty list takes a project away. Calls come one after
	// the other.
	Publish func(map[string][]routing.Candidate) `json:"-"`
}

// Discovery finds projects and environments in a cluster and follows their
// changes: a namespace is a project, and objects in it are environments. What
// was found stays while the API server cannot be reached.
type Discovery struct {
	cluster *Cluster
	options DiscoveryOptions
	sources []*source
	events  *announcer
	wake    chan struct{} // something is dirty, or a watch has got on
	settled chan struct{} // closed after the first publication

	mu     sync.Mutex
	spaces map[string]*space
	dirty  map[string]struct{} // names of spaces to publish anew
	// seen counts the objects seen so far: see space.verified.
	seen    uint64
	watches map[watchKey]*follower
	// kinds are those of the sources that have to be installed.
	kinds map[*source]*kind
	// narrow holds the sources that are watched namespace by namespace.
	narrow map[*source]bool
	// selecting is the watch of namespaces; nil where they are named.
	selecting *follower
	problems  map[problemKey]Problem
	checks    chan struct{} // places for reads of namespaces
}

// NewDiscovery prepares a search of the cluster. It connects to nothing before
// Run.
func (c *Cluster) NewDiscovery(o DiscoveryOptions) *Discovery {
	d := &Discovery{
		cluster: c, options: o, events: newAnnouncer(c),
		wake: make(chan struct{}, 1), settled: make(chan struct{}),
		spaces: map[string]*space{}, dirty: map[string]struct{}{}, watches: map[watchKey]*follower{}, kinds: map[*source]*kind{}, narrow: map[*source]bool{},
		problems: map[problemKey]Problem{}, checks: make(chan struct{}, 16),
	}
	for _, s := range sources {
		if len(o.Sources) == 0 || slices.Contains(o.Sources, s.name) {
			d.sources = append(d.sources, s)
			if !s.builtIn() {
				d.kinds[s] = &kind{installed: make(chan struct{})}
			}
		}
	}
	for _, name := range o.Names {
		d.spaces[name] = newSpace(name)
		d.spaces[name].selected = true
	}
	return d
}

// Settled is closed when everything was searched once, or could not be.
func (d *Discovery) Settled() <-chan struct{} { return d.settled }

// Namespaces are those that are projects now, sorted, also without an
// environment.
func (d *Discovery) Namespaces() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var names []string
	for name, sp := range d.spaces {
		if sp.selected {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Run searches, and follows what changes, until the context ends.
func (d *Discovery) Run(ctx context.Context) {
	var background sync.WaitGroup
	defer background.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	background.Go(func() { d.events.run(ctx) })
	for s := range d.kinds {
		background.Go(func() { d.awaitInstalled(ctx, s) })
	}
	if len(d.options.Names) == 0 {
		d.mu.Lock()
		d.selecting = d.startWatch(ctx, &background, namespaceSource(d.options.Selector), "")
		d.mu.Unlock()
	} else {
		for _, s := range d.sources {
			d.narrow[s] = true
		}
		background.Go(func() { d.recheck(ctx) })
	}
	d.awake()
	patience := time.NewTimer(settleTimeout)
	defer patience.Stop()
	pause := time.NewTimer(0)
	defer pause.Stop()
	settled := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-patience.C:
			settled = d.settle(settled, true)
		case <-d.wake:
			d.steer(ctx, &background)
			settled = d.settle(settled, false)
		}
		if settled {
			d.publish()
		}
		pause.Reset(gather)
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
	}
}

// steer starts and stops watches, and reads namespaces, as the state asks.
func (d *Discovery) steer(ctx context.Context, background *sync.WaitGroup) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.sources {
		if !d.narrow[s] {
			if w := d.watches[watchKey{s, ""}]; w == nil {
				d.startWatch(ctx, background, s, "")
			} else if w.denied { // not over the whole cluster, but perhaps in each namespace
				w.cancel()
				delete(d.watches, w.key)
				d.narrow[s] = true
			}
		}
		if d.narrow[s] {
			for name, sp := range d.spaces {
				if w := d.watches[watchKey{s, name}]; sp.selected && w == nil {
					d.startWatch(ctx, background, s, name)
				} else if !sp.selected && w != nil {
					w.cancel()
					delete(d.watches, w.key)
					sp.drop(s)
				}
			}
		}
	}
	for _, sp := range d.spaces {
		if sp.wantsCheck() {
			sp.checking = true
			background.Go(func() { d.check(ctx, sp) })
		}
	}
}

// settle tells whether the first search is over; once it is it stays so.
func (d *Discovery) settle(settled, impatient bool) bool {
	if settled {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	done, some := d.selecting == nil || d.selecting.over(), false
	for _, w := range d.watches {
		done = done && w.over()
		some = some || w.synced
	}
	for _, sp := range d.spaces {
		done = done && sp.known()
	}
	// Watches of sources that are about to be narrowed are not there yet.
	for _, s := range d.sources {
		w := d.watches[watchKey{s, ""}]
		done = done && (d.narrow[s] || w != nil && !w.denied)
		for name, sp := range d.spaces {
			done = done && (!d.narrow[s] || !sp.selected || d.watches[watchKey{s, name}] != nil)
		}
	}
	if !done && !(impatient && some) {
		return false
	}
	for name := range d.spaces {
		d.dirty[name] = struct{}{}
	}
	return true
}

// publish hands on what the dirty namespaces hold now.
func (d *Discovery) publish() {
	d.mu.Lock()
	changed := make(map[string][]routing.Candidate, len(d.dirty))
	for name := range d.dirty {
		sp := d.spaces[name]
		if sp == nil {
			continue
		}
		changed[name] = sp.candidates(d.cluster)
		if !sp.selected && len(sp.objects) == 0 {
			delete(d.spaces, name)
		}
	}
	clear(d.dirty)
	d.mu.Unlock()
	select {
	case <-d.settled:
		if len(changed) > 0 {
			d.options.Publish(changed)
		}
	default:
		d.options.Publish(changed)
		close(d.settled)
	}
}

// Announce tells why candidates of a project are not served, as far as they
// come from this cluster: in the log, and as an Event on the object where the
// Role allows it. Each reason is told once.
func (d *Discovery) Announce(project string, unserved []routing.Candidate) {
	d.mu.Lock()
	objects := map[string]*object{}
	if sp := d.spaces[project]; sp != nil {
		for _, o := range sp.objects {
			objects[o.title(d.cluster.Name)] = o
		}
	}
	d.mu.Unlock()
	unserved = slices.DeleteFunc(slices.Clone(unserved), func(c routing.Candidate) bool { return objects[c.Source] == nil })
	slices.SortFunc(unserved, func(a, b routing.Candidate) int { return cmp.Compare(a.Source, b.Source) })
	d.events.announce(project, unserved, objects)
}

func (d *Discovery) awake() {
	select {
	case d.wake <- struct{}{}:
	default: // it is already
	}
}

// touch has a namespace published anew. The lock is held.
func (d *Discovery) touch(name string) {
	d.dirty[name] = struct{}{}
	d.awake()
}
