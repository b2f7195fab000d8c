package kube

import (
	"context"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/promgate/promgate/auth"
)

// standing is what a token is on one cluster.
type standing struct {
	*cluster
	is   answer[verdict]
	good atomic.Bool
}

// part is the resources of one namespace of a cluster.
type part struct {
	on        *standing
	namespace string
	// at tells where in the list each name is.
	at map[string][]int
	// open is what is known of the whole namespace.
	open decision
}

// single is one name of a part.
type single struct {
	*part
	name string
}

// Queryable implements auth.Access. Clusters that have none of the resources are
// asked only where no other accepts the token.
func (w *caller) Queryable(ctx context.Context, resources []auth.Resource) ([]bool, error) {
	clusters := w.authenticator.set()
	standings, parts, err := divide(clusters, resources)
	if err != nil {
		return nil, err
	}
	// First whether it is good at all: a bad token costs each cluster one review,
	// however long the list.
	if err := w.meet(ctx, standings); err != nil {
		return nil, err
	}
	if err := each(ctx, parts, func(ctx context.Context, p *part) error { return w.askWhole(ctx, p) }); err != nil {
		return nil, err
	}
	list := make([]bool, len(resources))
	if err := each(ctx, settle(parts, list), func(ctx context.Context, s single) error { return w.askName(ctx, s, list) }); err != nil {
		return nil, err
	}
	for _, p := range parts {
		if !p.on.good.Load() {
			p.mark(list, false)
		}
	}
	if err := w.stillGood(ctx, clusters, standings); err != nil {
		return nil, err
	}
	return list, nil
}

// meet finds out on which of the clusters the token is good.
func (w *caller) meet(ctx context.Context, standings []*standing) error {
	return each(ctx, standings, func(ctx context.Context, s *standing) (err error) {
		s.is, err = s.identify(ctx, w)
		s.good.Store(err == nil && s.is.value.user != nil)
		return err
	})
}

// stillGood fails where the token is good on none of the clusters, those of the
// list and all others: it may have ended since the list was begun.
func (w *caller) stillGood(ctx context.Context, clusters map[string]*cluster, standings []*standing) error {
	for _, s := range standings {
		if s.good.Load() {
			return nil
		}
	}
	return w.goodAnywhere(ctx, clusters)
}

// divide sorts the resources by cluster and namespace, in the order in which
// they come.
func divide(clusters map[string]*cluster, resources []auth.Resource) ([]*standing, []*part, error) {
	type place struct {
		on        *cluster
		namespace string
	}
	var standings []*standing
	var parts []*part
	byCluster, byPlace := map[*cluster]*standing{}, map[place]*part{}
	for i, r := range resources {
		c := clusterOf(clusters, r)
		switch {
		case c == nil:
			continue
		case c.UserCredentials != r.AsCaller:
			return nil, nil, otherMode(r)
		}
		if byCluster[c] == nil {
			byCluster[c] = &standing{cluster: c}
			standings = append(standings, byCluster[c])
		}
		at := place{c, r.Namespace}
		if byPlace[at] == nil {
			byPlace[at] = &part{on: byCluster[c], namespace: r.Namespace, at: map[string][]int{}}
			parts = append(parts, byPlace[at])
		}
		byPlace[at].at[r.Name] = append(byPlace[at].at[r.Name], i)
	}
	return standings, parts, nil
}

// askWhole asks for all names of a namespace at once, where that saves reviews.
func (w *caller) askWhole(ctx context.Context, p *part) (err error) {
	switch {
	case !p.on.good.Load():
	case !p.on.UserCredentials && len(p.at) == 1:
		p.open.incomplete = true
	default:
		p.open, err = w.askOn(ctx, p, "")
	}
	return err
}

// askName asks for one name and notes the answer.
func (w *caller) askName(ctx context.Context, s single, list []bool) error {
	if !s.on.good.Load() {
		return nil
	}
	d, err := w.askOn(ctx, s.part, s.name)
	if err == nil && d.all {
		for _, i := range s.at[s.name] {
			list[i] = true
		}
	}
	return err
}

func (w *caller) askOn(ctx context.Context, p *part, name string) (decision, error) {
	d, err := p.on.decide(ctx, w, p.on.is, p.namespace, name)
	if d.invalid {
		p.on.good.Store(false)
	}
	return d, err
}

// settle notes what is open already and returns what is to be asked by name.
func settle(parts []*part, list []bool) []single {
	var rest []single
	for _, p := range parts {
		p.mark(list, true)
		for name := range p.at {
			if p.open.incomplete && !p.open.allows(name) {
				rest = append(rest, single{p, name})
			}
		}
	}
	return rest
}

// mark sets what is open in the list, or all of the part to false.
func (p *part) mark(list []bool, open bool) {
	for name, at := range p.at {
		for _, i := range at {
			list[i] = open && p.open.allows(name)
		}
	}
}

// each does something for all of a list, a bounded number at once. The first
// error ends it.
func each[T any](ctx context.Context, all []T, do func(context.Context, T) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(MaxListReviews)
	for item := range slices.Values(all) {
		group.Go(func() error { return do(ctx, item) })
	}
	return group.Wait()
}
