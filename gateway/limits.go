package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
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
// its project's in the cluster or server, that of the cluster or server itself,
// and the gateway's. They are given back when the answer is closed.
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
	who := limit.Caller{
		Project:   req.environment.Project.UID,
		Principal: string(req.record.principal.Kind) + ":" + req.record.principal.ID,
	}
	until := time.Now().Add(req.tenancy.Queue.Timeout)
	var gates [4]*limit.Gate
	taken := gates[:0]
	leave = func() {
		for _, gate := range slices.Backward(taken) {
			gate.Leave()
		}
	}
	for _, gate := range [...]struct {
		*limit.Gate
		name, whose string
	}{
		{req.tenancy.places, "maxConcurrent", "this environment has"},
		{req.part, "targets.maxConcurrentProject", "this project has in the environment's cluster or server"},
		{req.shared, "targets.maxConcurrent", "the environment's cluster or server has"},
		{g.total, "maxConcurrentTotal", "the gateway has"},
	} {
		if err := gate.Enter(ctx, who, until); err != nil {
			leave()
			return nil, refused(err, gate.name, gate.whose, gate.Use().Places)
		}
		taken = append(taken, gate.Gate)
	}
	return leave, nil
}

func refused(err error, name, whose string, places int) error {
	if !errors.Is(err, limit.ErrQueueFull) && !errors.Is(err, limit.ErrQueueTimeout) {
		return err
	}
	return &Error{
		Status: http.StatusTooManyRequests, Type: typeTooMany, Limit: name, Cause: err,
		Message: fmt.Sprintf("%s %d queries under way, as many as it may have at once (%s): try again in a moment, with fewer panels or a longer refresh interval",
			whose, places, name),
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
	last := true
	for other := range g.routes.Load().Project(e.Project.Name) {
		last = last && other.Project.UID != e.Project.UID
	}
	g.limits.Load().forget(e, last)
	g.store.Forget(ownerOf(e))
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
