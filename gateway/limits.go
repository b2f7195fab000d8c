package gateway

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/promgate/promgate/gateway/limit"
)

// Limits are the budgets of the gateway. Every one of them must be positive.
type Limits struct {
	// MaxConcurrent requests of one environment are upstream at once.
	MaxConcurrent int
	// MaxConcurrentTotal requests of all environments are upstream at once.
	MaxConcurrentTotal int
	// Queue is how many more may wait for their place, in each of the two.
	Queue limit.Queue
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

// gates holds the places of one set of limits. When limits change it is
// replaced: what is under way keeps its old place.
type gates struct {
	Limits
	total        *limit.Gate
	environments sync.Map // environment UID → *limit.Gate
}

func newGates(l Limits) *gates {
	return &gates{Limits: l, total: limit.NewGate(l.MaxConcurrentTotal, l.Queue)}
}

func (g *gates) environment(uid string) *limit.Gate {
	if gate, ok := g.environments.Load(uid); ok {
		return gate.(*limit.Gate)
	}
	gate, _ := g.environments.LoadOrStore(uid, limit.NewGate(g.MaxConcurrent, g.Queue))
	return gate.(*limit.Gate)
}

// limited has next called once the request has its places: the environment's,
// then the whole gateway's. They are given back when the answer is closed.
func (g *Gateway) limited(next stage) stage {
	return func(ctx context.Context, req *Request) (*Response, error) {
		gates := g.limits.Load()
		own := gates.environment(req.environment.UID)
		if err := own.Enter(ctx); err != nil {
			return nil, refused(err, "maxConcurrent", "this environment has "+strconv.Itoa(gates.MaxConcurrent)+" queries under way, as many as it may have at once")
		}
		if err := gates.total.Enter(ctx); err != nil {
			own.Leave()
			return nil, refused(err, "maxConcurrentTotal", "the gateway is busy")
		}
		leave := func() { gates.total.Leave(); own.Leave() }
		answered := false
		defer func() {
			if !answered { // an error, or a panic
				leave()
			}
		}()
		resp, err := next(ctx, req)
		if err != nil {
			return nil, err
		}
		answered = true
		resp.onClose(leave)
		return resp, nil
	}
}

func refused(err error, name, message string) error {
	if !errors.Is(err, limit.ErrQueueFull) && !errors.Is(err, limit.ErrQueueTimeout) {
		return err
	}
	return &Error{
		Status: http.StatusTooManyRequests, Type: typeTooMany, Limit: name, Cause: err,
		Message:    message + ": try again in a moment, with fewer panels or a longer refresh interval",
		RetryAfter: time.Second,
	}
}

func formatBytes(n int64) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return strconv.FormatInt(n>>20, 10) + " MiB"
	case n >= 1<<10 && n%(1<<10) == 0:
		return strconv.FormatInt(n>>10, 10) + " KiB"
	}
	return strconv.FormatInt(n, 10) + " bytes"
}
