package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/promgate/promgate/gateway"
	"github.com/promgate/promgate/routing"
)

const (
	// healthFor is how long an answer counts before somebody's look has the
	// environment asked again.
	healthFor = 10 * time.Second
	// probeTimeout bounds a probe.
	probeTimeout = 10 * time.Second
	// maxProbes are under way at once, and maxProbesProject of one project.
	maxProbes        = 16
	maxProbesProject = 4
	// giveUpAfter is when what nobody looks at any more is not asked about.
	giveUpAfter = 30 * time.Second
	// forgetAfter is when what nobody looks at any more is forgotten.
	forgetAfter = 10 * time.Minute
)

// healthItem is what is known of an environment's server.
type healthItem struct {
	Status    string     `json:"status"`
	Message   string     `json:"message,omitempty"`
	CheckedAt *time.Time `json:"checkedAt,omitempty"`
}

// health asks environments' servers whether they answer, while anybody looks.
type health struct {
	probe  func(context.Context, *routing.Environment) (string, error)
	now    func() time.Time
	logger *slog.Logger
	slots  chan struct{}

	mu    sync.Mutex
	known map[string]*pulse // by the environment's UID
	// shares are the slots that each project may have at once, so that one whose
	// servers hang holds up nobody else's.
	shares map[string]chan struct{}
	swept  time.Time
}

// pulse is what is known of one environment.
type pulse struct {
	target   *routing.Target // of which it is known
	item     healthItem
	checked  time.Time
	seen     time.Time
	checking bool
}

func newHealth(probe func(context.Context, *routing.Environment) (string, error), now func() time.Time, logger *slog.Logger) *health {
	return &health{probe: probe, now: now, logger: logger, slots: make(chan struct{}, maxProbes), known: map[string]*pulse{}, shares: map[string]chan struct{}{}}
}

// of tells what is known now, at once, and has asked again what is old.
func (h *health) of(e *routing.Environment) healthItem {
	if e.Target.Caller != nil {
		return healthItem{Status: "unknown", Message: "asked with each caller's own credentials alone"}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	h.sweep(now)
	p := h.known[e.UID]
	if p == nil || p.target != e.Target {
		p = &pulse{target: e.Target, item: healthItem{Status: "checking"}}
		h.known[e.UID] = p
	}
	p.seen = now
	if !p.checking && now.Sub(p.checked) >= healthFor {
		p.checking = true
		share := h.shares[e.Project.UID]
		if share == nil {
			share = make(chan struct{}, maxProbesProject)
			h.shares[e.Project.UID] = share
		}
		go h.check(e, p, share)
	}
	return p.item
}

func (h *health) check(e *routing.Environment, p *pulse, share chan struct{}) {
	share <- struct{}{}
	defer func() { <-share }()
	h.slots <- struct{}{}
	defer func() { <-h.slots }()
	if !h.wanted(p) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	item := healthItem{Status: "up"}
	message, err := h.guarded(ctx, e)
	if item.Message = message; err != nil {
		item = healthItem{Status: "down", Message: reason(ctx, err)}
	}
	h.mu.Lock()
	if busy(err) { // which tells nothing of the server
		if item = p.item; item.Status == "checking" {
			item.Status, item.Message = "unknown", "so many questions are under way that none is left to ask how it is"
		}
		err = nil
	}
	before := p.item.Status
	now := h.now()
	p.checked, p.checking = now, false
	item.CheckedAt = &now // a time of its own: answers with it are still being written
	p.item = item
	h.mu.Unlock()
	if err != nil && before != item.Status {
		h.log(e, err)
	}
}

// wanted tells whether anybody has looked since the probe was asked for not long
// ago. Else it is given up: it may have waited for its turn.
func (h *health) wanted(p *pulse) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.now().Sub(p.seen) <= giveUpAfter {
		return true
	}
	p.checking = false
	return false
}

// guarded is the probe, whose failures are its own: no request is there to fail.
func (h *health) guarded(ctx context.Context, e *routing.Environment) (message string, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return h.probe(ctx, e)
}

// busy tells whether a budget has refused the probe.
func busy(err error) bool {
	var told *gateway.Error
	return errors.As(err, &told) && told.Limit != ""
}

// reason is what people are told of a probe that failed.
func reason(ctx context.Context, err error) string {
	var told *gateway.Error
	switch {
	case errors.As(err, &told):
		return told.Message
	case ctx.Err() != nil:
		return "this environment's Prometheus did not answer within " + probeTimeout.String()
	}
	return "the gateway could not ask; its log says why"
}

// log tells the operator what people are not told of, once for as long as it
// lasts.
func (h *health) log(e *routing.Environment, err error) {
	attrs := []any{"project", e.Project.Name, "environment", e.Name, "error", err}
	var told *gateway.Error
	if errors.As(err, &told) && told.Hop != "" {
		attrs = append(attrs, "hop", told.Hop)
	}
	if told != nil && told.Advice != "" {
		attrs = append(attrs, "advice", told.Advice)
	}
	h.logger.Warn("an environment that somebody looks at does not answer", attrs...)
}

// sweep forgets what nobody looks at. The lock is held.
func (h *health) sweep(now time.Time) {
	if now.Sub(h.swept) < time.Minute {
		return
	}
	h.swept = now
	for uid, p := range h.known {
		if !p.checking && now.Sub(p.seen) > forgetAfter {
			delete(h.known, uid)
		}
	}
	for uid, share := range h.shares {
		if len(share) == 0 { // whoever waits for it has it in hand
			delete(h.shares, uid)
		}
	}
}
