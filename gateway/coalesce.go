package gateway

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/promgate/promgate/gateway/cache"
)

// flights are the questions that are under way, so that equal ones share one call
// upstream. The zero value has none.
type flights struct {
	mu  sync.Mutex
	all map[cache.Key]*flight
}

// flight is one call upstream and everybody who waits for its answer, each by the
// place in which they came. The flights' lock guards it; what is below answered
// does not change any more once that is closed.
type flight struct {
	key    cache.Key
	cancel context.CancelFunc
	// joined is how many there ever were, gone are those that left.
	joined int
	gone   []int
	landed bool

	answered chan struct{}
	resp     *Response
	err      error
	upstream time.Duration
	// body is what of resp all of them read; nil where there is one alone.
	body *sharedBody
}

// errCallFailed is for those who shared a call that ended in a panic.
var errCallFailed = errors.New("the call that this request shared has failed")

// coalesced has equal questions that are under way share one call of next. Whoever
// leaves harms nobody who stays; the last one to leave cancels the call.
func (g *Gateway) coalesced(next stage) stage {
	return func(ctx context.Context, req *Request) (*Response, error) {
		if req.body != nil {
			return next(ctx, req)
		}
		f, place := g.flights.join(req.flightKey())
		if place == 0 {
			return g.flights.lead(ctx, req, f, next)
		}
		g.metrics.coalesced.WithLabelValues(req.environment.Project.Name, req.environment.Name).Inc()
		select {
		case <-ctx.Done():
			g.flights.leave(f, place)
			return nil, ctx.Err()
		case <-f.answered:
		}
		req.record.upstream = f.upstream
		var refused *Error
		if errors.As(f.err, &refused) && refused.Status == http.StatusTooManyRequests {
			// Places are divided between those who ask: it was somebody else who
			// found none.
			g.flights.leave(f, place)
			return next(ctx, req)
		}
		return g.flights.share(f, place)
	}
}

// join finds the call that is under way, or begins one: then the place is 0.
func (all *flights) join(k cache.Key) (f *flight, place int) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if f = all.all[k]; f == nil {
		f = &flight{key: k, answered: make(chan struct{})}
		if all.all == nil {
			all.all = map[cache.Key]*flight{}
		}
		all.all[k] = f
	}
	f.joined++
	return f, f.joined - 1
}

// leave gives up a place. The last one to leave ends the call, and the answer.
func (all *flights) leave(f *flight, place int) {
	all.mu.Lock()
	f.gone = append(f.gone, place)
	last, landed := len(f.gone) == f.joined, f.landed
	if last && !landed {
		delete(all.all, f.key) // what is given up nobody may join
	}
	all.mu.Unlock()
	switch {
	case !landed && last:
		f.cancel()
	case landed && last:
		f.end()
	case landed && f.body != nil:
		f.body.leave(place)
	}
}

// end gives back what a landed flight holds.
func (f *flight) end() {
	if f.resp != nil {
		f.resp.Close()
	}
	f.cancel()
}

// lead makes the call, for itself and for whoever joins meanwhile.
func (all *flights) lead(ctx context.Context, req *Request, f *flight, next stage) (*Response, error) {
	calling, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f.cancel = cancel
	stays := context.AfterFunc(ctx, func() { all.leave(f, 0) })
	own, record := *req, *req.record
	own.record = &record
	f.err = errCallFailed // what stays of it after a panic
	defer func() {
		if !f.landed {
			all.land(f)
		}
	}()
	f.resp, f.err = next(calling, &own)
	f.upstream = record.upstream
	req.record.upstream = record.upstream
	all.land(f)
	switch {
	case !stays():
		return nil, ctx.Err()
	case f.body != nil:
		return all.share(f, 0)
	case f.err != nil:
		all.leave(f, 0)
		return nil, f.err
	}
	f.resp.onClose(cancel) // nobody else can have it
	return f.resp, nil
}

// land lets everybody have the answer. Nobody joins after that.
func (all *flights) land(f *flight) {
	all.mu.Lock()
	f.landed = true
	if all.all[f.key] == f {
		delete(all.all, f.key)
	}
	left := len(f.gone) == f.joined
	if f.resp != nil && f.joined > 1 && !left {
		f.body = newSharedBody(f.resp.body, f.joined, f.gone)
	}
	all.mu.Unlock()
	close(f.answered)
	if left {
		f.end()
	}
}

// share is the answer for one of several.
func (all *flights) share(f *flight, place int) (*Response, error) {
	if f.err != nil {
		all.leave(f, place)
		return nil, f.err
	}
	own := *f.resp
	own.body, own.close = f.body.reader(place), nil
	own.onClose(func() { all.leave(f, place) })
	return &own, nil
}

// flightKey is equal for requests that get the same answer: same upstream, rules
// and question, and, where callers are asked about with their own credentials,
// the same credential.
func (req *Request) flightKey() cache.Key {
	encoding := "identity"
	if req.gzip {
		encoding = "gzip"
	}
	return cache.KeyOf(req.scope, req.endpoint.Name, req.label, req.header.Get("Accept"), encoding, req.enforced.query, req.enforced.asked)
}
