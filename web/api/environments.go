package api

import (
	"context"
	"slices"

	"github.com/promgate/promgate/gateway"
	"github.com/promgate/promgate/routing"
)

type environmentList struct {
	Environments []environmentItem `json:"environments"`
	Next         string            `json:"next,omitempty"`
}

type environmentItem struct {
	Project string `json:"project"`
	Name    string `json:"name"`
	// URL is the environment's base URL for clients of Prometheus' API.
	URL string `json:"url"`
	// Allow names the opt-in endpoints that are switched on.
	Allow    []string            `json:"allow"`
	Target   targetItem          `json:"target"`
	Replicas string              `json:"replicas"`
	Enforced map[string][]string `json:"enforced"`
	Limits   limitsItem          `json:"limits"`
	Health   healthItem          `json:"health"`
	// Role and EndpointTokens are told where one environment is asked for.
	Role           role  `json:"role,omitempty"`
	EndpointTokens *bool `json:"endpointTokens,omitempty"`
}

type targetItem struct {
	Kind string `json:"kind"`
	// Description is for maintainers alone: it may name what others run.
	Description string `json:"description,omitempty"`
}

// limitsItem has sizes in bytes and times in seconds.
type limitsItem struct {
	MaxQueryLength     int64   `json:"maxQueryLength"`
	MaxRangeSeconds    float64 `json:"maxRangeSeconds"`
	MaxLookbackSeconds float64 `json:"maxLookbackSeconds"`
	MaxPoints          int     `json:"maxPoints"`
	MaxEvaluations     int64   `json:"maxEvaluations"`
	MaxResponseBytes   int64   `json:"maxResponseBytes"`
	MaxConcurrent      int     `json:"maxConcurrent"`
	RequestsPerSecond  int     `json:"requestsPerSecond"`
	Burst              int     `json:"burst"`
}

func (a *api) allEnvironments(ctx context.Context, c *gateway.Call) (*gateway.Reply, error) {
	l, err := newListing(c.Request.URL.Query())
	if err != nil {
		return nil, err
	}
	// What is not searched for is not asked about.
	var wanted []*routing.Environment
	for e := range a.gateway.Table().All() {
		if l.matches(e.Project.Name, e.Name) {
			wanted = append(wanted, e)
		}
	}
	all, err := open(ctx, c.Identity, wanted)
	if err != nil {
		return nil, err
	}
	return a.list(l, all)
}

func (a *api) environments(ctx context.Context, c *gateway.Call) (*gateway.Reply, error) {
	l, err := newListing(c.Request.URL.Query())
	if err != nil {
		return nil, err
	}
	all, err := open(ctx, c.Identity, slices.Collect(a.gateway.Table().Project(c.Names["project"])))
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, errNotYourProject
	}
	all = slices.DeleteFunc(all, func(e *routing.Environment) bool { return !l.matches(e.Name) })
	return a.list(l, all)
}

// list answers with a page of environments. The key is as they are sorted, since a
// space comes before every character of a name.
func (a *api) list(l listing, all []*routing.Environment) (*gateway.Reply, error) {
	part, next := page(l, all, func(e *routing.Environment) string { return e.Project.Name + " " + e.Name })
	items := make([]environmentItem, len(part))
	for i, e := range part {
		items[i] = a.item(e, viewer)
	}
	return reply(environmentList{items, next})
}

func (a *api) environment(ctx context.Context, c *gateway.Call) (*gateway.Reply, error) {
	e, r, err := a.openEnvironment(ctx, c)
	if err != nil {
		return nil, err
	}
	item := a.item(e, r)
	tokens := !e.Target.NoEndpointTokens
	item.Role, item.EndpointTokens = r, &tokens
	return reply(item)
}

// openEnvironment finds the environment of a call, if the caller may query it,
// and tells what they are in its project.
func (a *api) openEnvironment(ctx context.Context, c *gateway.Call) (*routing.Environment, role, error) {
	e, err := a.gateway.Find(ctx, c.Identity, c.Names["project"], c.Names["environment"])
	if err != nil {
		return nil, "", err
	}
	manages, err := manages(ctx, c.Identity, slices.Collect(a.gateway.Table().Project(e.Project.Name)))
	if err != nil {
		return nil, "", err
	}
	if manages {
		return e, maintainer, nil
	}
	return e, viewer, nil
}

func (a *api) item(e *routing.Environment, r role) environmentItem {
	b := a.gateway.Budget(e)
	item := environmentItem{
		Project: e.Project.Name, Name: e.Name, URL: a.gateway.EnvironmentURL(e), Allow: []string{},
		Target: targetItem{Kind: "url"}, Replicas: "any", Enforced: e.Enforce, Health: a.health.of(e),
		Limits: limitsItem{
			MaxQueryLength: b.MaxQueryLength, MaxRangeSeconds: b.MaxRange.Seconds(), MaxLookbackSeconds: b.MaxLookback.Seconds(),
			MaxPoints: b.MaxPoints, MaxEvaluations: b.MaxEvaluations, MaxResponseBytes: b.MaxResponseBytes,
			MaxConcurrent: b.MaxConcurrent, RequestsPerSecond: b.RequestsPerSecond, Burst: b.Burst,
		},
	}
	if item.Enforced == nil {
		item.Enforced = map[string][]string{}
	}
	if e.Allow.Federate {
		item.Allow = append(item.Allow, "federate")
	}
	if e.Allow.RemoteRead {
		item.Allow = append(item.Allow, "remoteRead")
	}
	if p := e.Target.ServiceProxy; p != nil {
		item.Target.Kind = "service"
		if p.Pinned {
			item.Replicas = "pin"
		}
	}
	if r == maintainer {
		item.Target.Description = e.Target.Description
	}
	return item
}
