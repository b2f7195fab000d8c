package api

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/promgate/promgate/gateway"
	"github.com/promgate/promgate/routing"
)

// diagnosisFor is how long a diagnosis counts for those who ask again: it costs
// its servers several questions.
const diagnosisFor = 2 * time.Second

type diagnosis struct {
	Project     string `json:"project"`
	Environment string `json:"environment"`
	// Target is empty for those who are no maintainers, as what hops have found.
	Target string `json:"target"`
	Hops   []hop  `json:"hops"`
}

type hop struct {
	Name   string            `json:"name"`
	Status routing.HopStatus `json:"status"`
	Found  string            `json:"found"`
	Cause  string            `json:"cause,omitempty"`
	Apply  string            `json:"apply,omitempty"`
}

// doctor makes diagnoses: of each environment one at a time, for all who ask.
type doctor struct {
	examine func(context.Context, *routing.Environment) gateway.Diagnosis
	now     func() time.Time
	logger  *slog.Logger
	mu      sync.Mutex
	running map[string]*examination // by the environment's UID
}

// examination is a diagnosis under way, or just made.
type examination struct {
	target *routing.Target
	done   chan struct{}
	found  gateway.Diagnosis
	until  time.Time // zero: under way
}

func newDoctor(examine func(context.Context, *routing.Environment) gateway.Diagnosis, now func() time.Time, logger *slog.Logger) *doctor {
	return &doctor{examine: examine, now: now, logger: logger, running: map[string]*examination{}}
}

// ask returns a diagnosis, or the context's error. It goes on to its end when
// the caller leaves.
func (d *doctor) ask(ctx context.Context, e *routing.Environment) (gateway.Diagnosis, error) {
	d.mu.Lock()
	x := d.running[e.UID]
	if x == nil || x.target != e.Target || !x.until.IsZero() && d.now().After(x.until) {
		x = &examination{target: e.Target, done: make(chan struct{})}
		d.running[e.UID] = x
		go d.run(e, x)
	}
	d.mu.Unlock()
	select {
	case <-x.done:
		return x.found, nil
	case <-ctx.Done():
		return gateway.Diagnosis{}, ctx.Err()
	}
}

func (d *doctor) run(e *routing.Environment, x *examination) {
	found := d.guarded(e)
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	x.found, x.until = found, now.Add(diagnosisFor)
	close(x.done)
	for uid, old := range d.running {
		if !old.until.IsZero() && now.After(old.until) {
			delete(d.running, uid)
		}
	}
}

// guarded is the examination, whose failures are its own: no request is there to
// fail.
func (d *doctor) guarded(e *routing.Environment) (found gateway.Diagnosis) {
	defer func() {
		if p := recover(); p != nil {
			d.logger.Error("a diagnosis failed", "project", e.Project.Name, "environment", e.Name, "cause", fmt.Sprintf("panic: %v\n%s", p, debug.Stack()))
			found = gateway.Diagnosis{Project: e.Project.Name, Environment: e.Name, Target: e.Target.Description, Hops: []routing.Hop{{
				Name: routing.HopPrometheus, Status: routing.HopFailed, Found: "the gateway failed while it looked; its log says why",
			}}}
		}
	}()
	return d.examine(context.Background(), e)
}

// diagnose answers with the way to an environment's server. What is found on it
// is for maintainers: others are told where it ends.
func (a *api) diagnose(ctx context.Context, c *gateway.Call) (*gateway.Reply, error) {
	e, r, err := a.openEnvironment(ctx, c)
	if err != nil {
		return nil, err
	}
	found, err := a.doctor.ask(ctx, e)
	if err != nil {
		return nil, err
	}
	answer := diagnosis{Project: found.Project, Environment: found.Environment, Hops: []hop{}}
	if r == maintainer {
		answer.Target = found.Target
	}
	for _, h := range found.Hops {
		told := hop{Name: h.Name, Status: h.Status}
		if r == maintainer {
			told = hop{h.Name, h.Status, h.Found, h.Cause, h.Apply}
		}
		answer.Hops = append(answer.Hops, told)
	}
	return reply(answer)
}
