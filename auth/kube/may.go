package kube

import (
	"context"

	"github.com/promgate/promgate/auth"
)

// deed is one action of a list.
type deed struct {
	on *standing
	auth.Action
	// at is its place in the list.
	at int
}

// May implements auth.Access. Also where the API server decides on queries
// itself it is asked here: what follows is done with the gateway's own
// credentials, so that nobody would decide after it. Clusters that have none of
// the actions are asked only where no other accepts the token.
func (w *caller) May(ctx context.Context, actions []auth.Action) ([]bool, error) {
	clusters := w.authenticator.set()
	standings, deeds := deedsOf(clusters, actions)
	if err := w.meet(ctx, standings); err != nil {
		return nil, err
	}
	list := make([]bool, len(actions))
	var rest []deed // what is not remembered
	for _, d := range deeds {
		if !d.on.good.Load() {
			continue
		}
		m, q := d.on.remembers(w, d.Action)
		if a, found := m.get(q); found {
			list[d.at] = a.value.all
			continue
		}
		rest = append(rest, d)
	}
	if err := each(ctx, rest, func(ctx context.Context, d deed) error { return w.askDeed(ctx, d, list) }); err != nil {
		return nil, err
	}
	for _, d := range deeds {
		list[d.at] = list[d.at] && d.on.good.Load()
	}
	if err := w.stillGood(ctx, clusters, standings); err != nil {
		return nil, err
	}
	return list, nil
}

// deedsOf are the actions that some cluster decides on.
func deedsOf(clusters map[string]*cluster, actions []auth.Action) ([]*standing, []deed) {
	var standings []*standing
	byCluster := map[*cluster]*standing{}
	deeds := make([]deed, 0, len(actions))
	for i, a := range actions {
		c := clusters[a.Cluster]
		if c == nil || a.Verb == "" || a.Resource == "" {
			continue
		}
		if byCluster[c] == nil {
			byCluster[c] = &standing{cluster: c}
			standings = append(standings, byCluster[c])
		}
		deeds = append(deeds, deed{byCluster[c], a, i})
	}
	return standings, deeds
}

// askDeed asks for one action and notes the answer.
func (w *caller) askDeed(ctx context.Context, d deed, list []bool) error {
	if !d.on.good.Load() { // another review has just told
		return nil
	}
	m, q := d.on.remembers(w, d.Action)
	answer, err := d.on.ask(ctx, w, d.on.is, m, q, does(d.Action))
	if answer.invalid {
		d.on.good.Store(false)
	}
	list[d.at] = err == nil && answer.all
	return err
}

// remembers tells where the answer for an action is kept, and as what. Those for
// single objects are apart: their names may be anybody's invention, and no
// flood of them displaces the others.
func (c *cluster) remembers(who *caller, a auth.Action) (*memory[decision], question) {
	q := question{token: who.hash, verb: a.Verb, group: a.Group, resource: a.Resource, namespace: a.Namespace, name: a.Name}
	if a.Name != "" {
		return c.single, q
	}
	return c.actions, q
}

// does is what RBAC is asked for an action.
func does(a auth.Action) *attributes {
	return &attributes{Verb: a.Verb, Group: a.Group, Resource: a.Resource, Namespace: a.Namespace, Name: a.Name}
}
