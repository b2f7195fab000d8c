package gateway

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/promgate/promgate/gateway/limit"
	"github.com/promgate/promgate/routing"
)

// admitRate takes the request into the environment's rate before anything is
// done for it.
func admitRate(t *tenancy) error {
	wait, ok := t.rate.Allow(time.Now())
	if ok {
		return nil
	}
	return &Error{
		Status: http.StatusTooManyRequests, Type: typeTooMany, Limit: "requestsPerSecond",
		Message: "this environment is asked more than " + strconv.Itoa(t.RequestsPerSecond) +
			" times a second (requestsPerSecond), which is as often as it may be: try again in a moment, with fewer panels or a longer refresh interval",
		RetryAfter: wait,
	}
}

// limited has next called once the request has its places: the environment's,
// those of the cluster or URL that it shares with others, and the gateway's.
// They are given back when the answer is closed.
func (g *Gateway) limited(next stage) stage {
	return func(ctx context.Context, req *Request) (*Response, error) {
		gates := g.limits.Load()
		leave, err := gates.enter(ctx, req)
		if err != nil {
			return nil, err
		}
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

// enter takes the request's places, one after the other. Waiting for all of them
// together takes no longer than for one.
func (g *gates) enter(ctx context.Context, req *Request) (leave func(), err error) {
	own, shared := req.tenancy.places, g.target(req.environment.Target)
	who := limit.Caller{
		Project:   req.environment.Project.UID,
		Principal: string(req.record.principal.Kind) + ":" + req.record.principal.ID,
	}
	until := time.Now().Add(req.tenancy.Queue.Timeout)
	if err := own.Enter(ctx, who, until); err != nil {
		return nil, refused(err, "maxConcurrent", "this environment has "+strconv.Itoa(req.tenancy.MaxConcurrent)+" queries under way, as many as it may have at once")
	}
	if err := shared.Enter(ctx, who, until); err != nil {
		own.Leave()
		return nil, refused(err, "targets.maxConcurrent", "the cluster or server of this environment has as many queries under way as it may have at once")
	}
	if err := g.total.Enter(ctx, who, until); err != nil {
		shared.Leave()
		own.Leave()
		return nil, refused(err, "maxConcurrentTotal", "the gateway is busy")
	}
	return func() { g.total.Leave(); shared.Leave(); own.Leave() }, nil
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

// exceeded refuses what asks for more than a limit allows.
func exceeded(name, asked, allowed, advice string) *Error {
	return &Error{
		Status: http.StatusUnprocessableEntity, Type: typeExecution, Limit: name,
		Message: asked + ", and " + allowed + " is the limit (" + name + "): " + advice,
	}
}

func tooLongAnswer(t *tenancy) *Error {
	return exceeded("maxResponseBytes", "the answer is too long", formatBytes(t.MaxResponseBytes),
		"ask for fewer series, a shorter range or a larger step")
}

// Forget drops the metrics and the places of an environment that is no longer
// there. Requests under way keep theirs to their end.
func (g *Gateway) Forget(e *routing.Environment) {
	g.limits.Load().tenancies.Delete(e.UID)
	g.metrics.forget(e)
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
