package gateway

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/promgate/promgate/gateway/cache"
	"github.com/promgate/promgate/gateway/limit"
	"github.com/promgate/promgate/gateway/promql"
	"github.com/promgate/promgate/routing"
)

// Limits are the budgets of the gateway. Every number in them must be positive,
// but for the length of a queue.
type Limits struct {
	// Default is the budget of every environment that has no other.
	Default Budget
	// Projects, by name, and Environments, by project/environment, are the
	// budgets of those that have others; the environment's goes first.
	Projects, Environments map[string]Budget
	// MaxConcurrentTarget requests are under way at once in one cluster, whose
	// API server they all pass, or at one server that is reached by URL; no
	// project has more than MaxConcurrentTargetProject of them.
	MaxConcurrentTarget, MaxConcurrentTargetProject int
	// MaxConcurrentTotal requests of all environments are upstream at once.
	MaxConcurrentTotal int
	// MaxRequestBody and MaxRemoteReadBody are in bytes.
	MaxRequestBody    int64
	MaxRemoteReadBody int64
	// RequestBodyTimeout bounds the reading of a form.
	RequestBodyTimeout time.Duration
	// ResponseHeaderTimeout bounds the wait for the upstream's first byte.
	ResponseHeaderTimeout time.Duration
	// RequestTimeout bounds a whole request, the sending of its answer included.
	RequestTimeout time.Duration
}

// Budget is what may be asked of one environment.
type Budget struct {
	// MaxQueryLength is the longest expression, or list of selectors, in bytes.
	MaxQueryLength int64
	// MaxRange is the longest time from start to end of a range query.
	MaxRange time.Duration
	// MaxLookback is how far back before its start a query may read.
	MaxLookback time.Duration
	// MaxPoints is how many steps from start to end a range query may have.
	MaxPoints int
	// MaxEvaluations is what a query's points times its selectors may come to.
	MaxEvaluations int64
	// MaxResponseBytes is the longest body of an answer, as it is sent.
	MaxResponseBytes int64
	// MaxConcurrent requests are upstream at once.
	MaxConcurrent int
	// Queue is how many more may wait for their place, and for how long.
	Queue limit.Queue
	// RequestsPerSecond may begin, and Burst of them at once after a pause.
	RequestsPerSecond, Burst int
}

// budget is the one of an environment.
func (l *Limits) budget(e *routing.Environment) Budget {
	if b, own := l.Environments[e.Project.Name+"/"+e.Name]; own {
		return b
	}
	if b, own := l.Projects[e.Project.Name]; own {
		return b
	}
	return l.Default
}

// gates holds the places of one set of limits. When limits change it is
// replaced: what is under way keeps its old place.
type gates struct {
	Limits
	total     *limit.Gate
	targets   sync.Map // shared target → *limit.Gate
	parts     sync.Map // part → *limit.Gate
	tenancies sync.Map // environment UID → *tenancy
}

func newGates(l Limits) *gates {
	return &gates{Limits: l, total: limit.NewGate(l.MaxConcurrentTotal, l.Default.Queue)}
}

// tenancy is what the gateway keeps of one environment.
type tenancy struct {
	Budget
	project, environment string
	places               *limit.Gate
	rate                 *limit.Rate
	standing             atomic.Pointer[standing]
}

// standing is what follows from an environment as it stands in one table.
type standing struct {
	environment *routing.Environment
	policy      *promql.Policy // nil: nothing is enforced
	// scope is equal where answers are the same, but for callers' own credentials:
	// of the same upstream under the same rules, in the same environment.
	scope string
	// part is the project's own of what the environment shares with others,
	// which keeps a project whose servers hang from holding all places; shared
	// is the whole of it.
	part, shared *limit.Gate
}

func (g *gates) tenancy(e *routing.Environment) *tenancy {
	if t, ok := g.tenancies.Load(e.UID); ok {
		return t.(*tenancy)
	}
	b := g.budget(e)
	t, _ := g.tenancies.LoadOrStore(e.UID, &tenancy{
		Budget: b, project: e.Project.Name, environment: e.Name,
		places: limit.NewGate(b.MaxConcurrent, b.Queue), rate: limit.NewRate(float64(b.RequestsPerSecond), b.Burst),
	})
	return t.(*tenancy)
}

// standing costs more to make than a request, so that it is kept until the
// environment changes.
func (g *gates) standing(t *tenancy, e *routing.Environment) (*standing, error) {
	if known := t.standing.Load(); known != nil && known.environment == e {
		return known, nil
	}
	policy, err := promql.NewPolicy(e.Enforce)
	if err != nil {
		return nil, err
	}
	key, scope := targetKey(e.Target), cache.KeyOf(e.Target.UID, e.Project.UID, e.UID, policy.Key())
	s := &standing{
		environment: e, policy: policy, scope: string(scope[:]),
		part:   gateOf(&g.parts, part{key, e.Project.UID}, g.MaxConcurrentTargetProject, g.Default.Queue),
		shared: gateOf(&g.targets, key, g.MaxConcurrentTarget, g.Default.Queue),
	}
	t.standing.Store(s)
	return s, nil
}

// clusterKey begins the key of a cluster among the shared targets.
const clusterKey = "cluster "

// targetKey names what all environments share whose questions pass the same API
// server, or go to the same server.
func targetKey(t *routing.Target) string {
	if t.ServiceProxy != nil {
		return clusterKey + t.ServiceProxy.Cluster
	}
	return "server " + t.Base.Scheme + "://" + t.Base.Host
}

// part is a project's part of a target.
type part struct{ target, projectUID string }

func gateOf(all *sync.Map, key any, places int, queue limit.Queue) *limit.Gate {
	if gate, ok := all.Load(key); ok {
		return gate.(*limit.Gate)
	}
	gate, _ := all.LoadOrStore(key, limit.NewGate(places, queue))
	return gate.(*limit.Gate)
}

// forget drops what is kept of an environment; last tells that its project has no
// other.
func (g *gates) forget(e *routing.Environment, last bool) {
	g.tenancies.Delete(e.UID)
	if last {
		g.parts.Delete(part{targetKey(e.Target), e.Project.UID})
	}
}
