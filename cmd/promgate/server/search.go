package server

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/promgate/promgate/cmd/promgate/config"
	"github.com/promgate/promgate/gateway"
	"github.com/promgate/promgate/routing"
	"github.com/promgate/promgate/routing/kube"
)

// Problem is a part of a cluster that could not be searched.
type Problem struct {
	Cluster string
	kube.Problem
}

// Search makes the table as Routes does, with what is found in the clusters
// that are to be searched. What it finds there has its true identities. A part
// that cannot be searched is a Problem, not an error. It ends what it began
// when the context ends.
func Search(ctx context.Context, cfg *config.Config) (*routing.Table, []Problem, error) {
	u, candidates, err := new(upstreams).build(cfg, ownNames)
	if err != nil {
		return nil, nil, err
	}
	d := newDiscovery(func(_, _ *routing.Table, _ map[string][]routing.Candidate) {})
	d.quiet = true
	d.apply(cfg, u, candidates)
	defer d.close()
	if err := d.await(ctx); err != nil {
		return nil, nil, err
	}
	var problems []Problem
	for _, name := range slices.Sorted(maps.Keys(d.searches)) {
		found := d.searches[name].Problems()
		for _, p := range found {
			problems = append(problems, Problem{name, p})
		}
		select {
		case <-d.searches[name].Settled():
		default:
			if len(found) == 0 {
				problems = append(problems, Problem{name, kube.Problem{Text: "the API server does not answer in time"}})
			}
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.merger.Table(), problems, nil
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

// ExamineClusters looks whether the clusters that are searched can be reached
// and know the gateway; the problems that Search met there are part of it.
func ExamineClusters(ctx context.Context, cfg *config.Config, problems []Problem) ([]gateway.Diagnosis, error) {
	u, _, err := new(upstreams).build(cfg, ownNames)
	if err != nil {
		return nil, err
	}
	defer u.close()
	var all []gateway.Diagnosis
	var wait sync.WaitGroup
	for _, c := range cfg.Clusters {
		if c.Discovery == nil {
			continue
		}
		all = append(all, gateway.Diagnosis{Target: source(c.Name)})
		i, cluster := len(all)-1, u.byName[c.Name]
		wait.Go(func() { all[i].Hops = cluster.Examine(ctx) })
	}
	wait.Wait()
	for i := range all {
		if !all[i].OK() {
			continue
		}
		found := routing.Hop{Name: routing.HopDiscovery, Status: routing.HopOK, Found: "all that is to be searched can be seen"}
		for _, p := range problems {
			if source(p.Cluster) == all[i].Target {
				found = routing.Hop{Name: routing.HopDiscovery, Status: routing.HopFailed, Found: p.Text, Apply: p.Apply}
				all[i].Hops = append(all[i].Hops, found)
			}
		}
		if found.Status == routing.HopOK {
			all[i].Hops = append(all[i].Hops, found)
		}
	}
	return all, nil
}
