package gateway

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/promgate/promgate/auth"
)

// flightKey is what equal requests have in common: they get the same answer. It is
// compared whole, so that no two questions are ever taken for one.
type flightKey struct {
	scope         string
	endpoint      *Endpoint
	label, accept string
	query, asked  string
	gzip          bool
}

func flightKeyOf(req *Request) flightKey {
	k := flightKey{
		scope: req.scope, endpoint: req.endpoint, label: req.label,
		query: req.enforced.query, asked: req.enforced.asked, gzip: req.gzip,
	}
	if accept := req.header["Accept"]; len(accept) > 0 {
		k.accept = accept[0] // admit takes one
	}
	return k
}

// flights are the questions that are under way, so that equal ones share one call
// upstream. The zero value has none.
type flights struct {
	mu  sync.Mutex
	all map[flightKey]*flight
	// patience is how long the readers of one answer wait for slower ones; zero:
	// maxStall.
	patience time.Duration
}

// flight is one call upstream and everybody who waits for its answer. The flights'
// lock guards it until it has landed; after that it does not change any more.
type flight struct {
	key    flightKey
	cancel context.CancelFunc
	// principal is in whose places the call is made.
	principal auth.Principal
	leader    sharedReader
	followers []*sharedReader
	// staying are those who have not left before the answer came.
	staying int
	landed  bool
	// answered is closed when the flight has landed; nil where nobody followed.
	answered chan struct{}

	resp *Response
	err  error
	// Where several share the answer, body is what all of them read of resp, which is
	// closed with it, and head is the rest of it.
	body *sharedBody
	head Response
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
		k := flightKeyOf(req)
		for again := false; ; again = true {
			f, me := g.flights.join(k)
			if me == &f.leader {
				return g.flights.lead(ctx, req, f, next)
			}
			select {
			case <-ctx.Done():
				g.flights.leave(f, me)
				return nil, ctx.Err()
			case <-f.answered:
			}
			if isCrowded(f.err) && (!again || f.principal != req.record.principal) {
				// Places are divided between those who ask: it was somebody else
				// who found none.
				continue
			}
			g.metrics.coalesced.WithLabelValues(req.environment.Project.Name, req.environment.Name).Inc()
			if f.err != nil {
				return nil, f.err
			}
			return f.share(me, context.AfterFunc(ctx, func() { f.body.leave(me) })), nil
		}
	}
}

// isCrowded tells whether a request found no place among the gateway's own.
func isCrowded(err error) bool {
	var refused *Error
	return errors.As(err, &refused) && refused.Type == typeTooMany && refused.Limit != ""
}

// join finds the call that is under way, or begins one as its leader.
func (all *flights) join(k flightKey) (*flight, *sharedReader) {
	all.mu.Lock()
	defer all.mu.Unlock()
	f := all.all[k]
	if f == nil {
		f = &flight{key: k, staying: 1}
		if all.all == nil {
			all.all = map[flightKey]*flight{}
		}
		all.all[k] = f
		return f, &f.leader
	}
	if f.answered == nil {
		f.answered = make(chan struct{})
	}
	me := new(sharedReader)
	f.followers = append(f.followers, me)
	f.staying++
	return f, me
}

// leave is for those who do not wait any longer. The last one ends the call.
func (all *flights) leave(f *flight, who *sharedReader) {
	all.mu.Lock()
	landed := f.landed
	if !landed {
		who.out = true
		f.staying--
	}
	last := f.staying == 0
	if last && !landed {
		delete(all.all, f.key) // what is given up nobody may join
	}
	all.mu.Unlock()
	switch {
	case landed && f.body != nil:
		f.body.leave(who)
	case landed || last:
		f.cancel()
	}
}

// lead makes the call, for itself and for whoever joins meanwhile.
func (all *flights) lead(ctx context.Context, req *Request, f *flight, next stage) (*Response, error) {
	calling, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f.cancel, f.principal = cancel, req.record.principal
	unwatch := context.AfterFunc(ctx, func() { all.leave(f, &f.leader) })
	end := func() {
		unwatch()
		cancel()
	}
	f.err = errCallFailed // what stays of it after a panic
	defer func() {
		if !f.landed {
			all.land(f)
			end()
		}
	}()
	f.resp, f.err = next(calling, req)
	switch abandoned := all.land(f); {
	case f.err != nil:
		end()
		return nil, f.err
	case abandoned:
		f.resp.Close()
		end()
		return nil, ctx.Err()
	case f.body != nil:
		return f.share(&f.leader, unwatch), nil
	}
	f.resp.onClose(end)
	return f.resp, nil
}

// land lets everybody have the answer. Nobody joins after that. It tells whether
// nobody is there any more.
func (all *flights) land(f *flight) (abandoned bool) {
	all.mu.Lock()
	defer all.mu.Unlock()
	f.landed = true
	if all.all[f.key] == f {
		delete(all.all, f.key)
	}
	if f.staying > 0 && f.err == nil && len(f.followers) > 0 {
		f.head = *f.resp
		f.body = newSharedBody(f.resp, f.cancel, append(f.followers, &f.leader))
		if all.patience > 0 {
			f.body.patience = all.patience
		}
	}
	if f.answered != nil {
		close(f.answered)
	}
	return f.staying == 0
}

// share is the answer for one of several. unwatch ends the watch for their leaving.
func (f *flight) share(me *sharedReader, unwatch func() bool) *Response {
	own := f.head
	own.body, own.close = me, []func(){func() {
		unwatch()
		f.body.leave(me)
	}}
	return &own
}
