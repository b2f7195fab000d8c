package server

import (
	"context"
	"sync"
	"time"

	"github.com/promgate/promgate/cmd/promgate/config"
	"github.com/promgate/promgate/gateway"
	"github.com/promgate/promgate/routing"
	routingkube "github.com/promgate/promgate/routing/kube"
)

// Problem is a part of a cluster that could not be searched.
type Problem struct {
	Cluster string
	routingkube.Problem
}

// Found is the table of a configuration and of the clusters that it has
// searched.
type Found struct {
	Table *routing.Table
	// Problems are the parts of clusters that could not be searched.
	Problems []Problem

	searched  []string // clusters, in the configuration's order
	upstreams *upstreams
}

// Search makes the table as Routes does, with what is found in the clusters
// that are to be searched. What it finds there has its true identities. A part
// that cannot be searched is a Problem, not an error.
func Search(ctx context.Context, cfg *config.Config) (*Found, error) {
	u, err := new(upstreams).connect(cfg)
	if err != nil {
		return nil, err
	}
	candidates, err := u.build(cfg, ownNames)
	if err != nil {
		return nil, err
	}
	d := newDiscovery(func(_, _ *routing.Table, _ []string) {})
	d.quiet = true
	d.apply(cfg, u, candidates)
	defer d.close()
	if err := d.await(ctx); err != nil {
		return nil, err
	}
	found := &Found{upstreams: u}
	for _, c := range cfg.Clusters {
		if c.Discovery == nil {
			continue
		}
		found.searched = append(found.searched, c.Name)
		problems := d.searches[c.Name].Problems()
		for _, p := range problems {
			found.Problems = append(found.Problems, Problem{c.Name, p})
		}
		select {
		case <-d.searches[c.Name].Settled():
		default:
			if len(problems) == 0 {
				found.Problems = append(found.Problems, Problem{c.Name, routingkube.Problem{Text: "the API server does not answer in time: try again, or look at it with promgate doctor"}})
			}
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	found.Table = d.merger.Table()
	return found, nil
}

// await waits until all searches are over, or until those that are not have
// said why for some seconds: a person waits for the answer.
func (d *discovery) await(ctx context.Context) error {
	const patience = 3 * time.Second
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for {
		over, waited := true, time.Since(d.started)
		for _, s := range d.searches {
			select {
			case <-s.Settled():
			default:
				over = over && waited > patience && len(s.Problems()) > 0
			}
		}
		if over || waited > firstSearch {
			return nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Examine looks whether the clusters that were searched can be reached and know
// the gateway; the problems of the search are part of it.
func (f *Found) Examine(ctx context.Context) []gateway.Diagnosis {
	all := make([]gateway.Diagnosis, len(f.searched))
	var wait sync.WaitGroup
	for i, name := range f.searched {
		wait.Go(func() {
			all[i] = gateway.Diagnosis{Target: source(name), Hops: f.upstreams.byName[name].Examine(ctx)}
			if all[i].OK() {
				all[i].Hops = append(all[i].Hops, f.searching(name)...)
			}
		})
	}
	wait.Wait()
	return all
}

// searching is how the search of a cluster went.
func (f *Found) searching(cluster string) []routing.Hop {
	var hops []routing.Hop
	for _, p := range f.Problems {
		if p.Cluster == cluster {
			hops = append(hops, routing.Hop{Name: routing.HopDiscovery, Status: routing.HopFailed, Found: p.Text, Cause: p.Cause, Apply: p.Apply})
		}
	}
	if hops == nil {
		hops = []routing.Hop{{Name: routing.HopDiscovery, Status: routing.HopOK, Found: "all that is to be searched can be seen"}}
	}
	return hops
}
