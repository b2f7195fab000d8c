package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"

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
}

// flight is one call upstream and everybody who waits for its answer. The flights'
// lock guards it until it has landed; after that only staying changes.
type flight struct {
	key    flightKey
	cancel context.CancelFunc
	// principal is in whose places the call is made.
	principal auth.Principal
	// staying are those who have not left, and followed tells that there ever was
	// one beside the leader.
	staying  int
	followed bool
	landed   bool
	answered chan struct{} // closed when the flight has landed

	resp *Response
	err  error
	// text is the whole body of resp, where several share it. Where it is too long for
	// that, there is neither, and it is the leader's alone.
	text    []byte
	tooLong bool
	// release gives back what is held of the text.
	release func()
}

// errCallFailed is for those who shared a call that ended in a panic.
var errCallFailed = errors.New("the call that this request shared has failed")

// maxShared is the longest answer that is shared, in bytes. It is in memory before
// anybody gets it, so that nobody waits for a client that reads slowly.
const maxShared = 4 << 20

// coalesced has equal questions that are under way share one call of next. Whoever
// leaves harms nobody who stays; the last one to leave cancels the call.
func (g *Gateway) coalesced(next stage) stage {
	return func(ctx context.Context, req *Request) (*Response, error) {
		if req.body != nil {
			return next(ctx, req)
		}
		k := flightKeyOf(req)
		for again := false; ; again = true {
			f, first := g.flights.join(k)
			if first {
				return g.flights.lead(ctx, req, f, next)
			}
			select {
			case <-ctx.Done():
				g.flights.leave(f)
				return nil, ctx.Err()
			case <-f.answered:
			}
			switch {
			case f.tooLong:
				g.flights.leave(f)
				return next(ctx, req)
			case isCrowded(f.err) && (!again || f.principal != req.record.principal):
				// Places are divided between those who ask: it was somebody else
				// who found none.
				continue
			}
			g.metrics.coalesced.WithLabelValues(req.environment.Project.Name, req.environment.Name).Inc()
			return g.flights.share(f)
		}
	}
}

// isCrowded tells whether a request found no place among the gateway's own.
func isCrowded(err error) bool {
	var refused *Error
	return errors.As(err, &refused) && refused.Type == typeTooMany && refused.Limit != ""
}

// join finds the call that is under way, or begins one.
func (all *flights) join(k flightKey) (f *flight, first bool) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if f = all.all[k]; f != nil {
		f.staying++
		f.followed = true
		return f, false
	}
	f = &flight{key: k, staying: 1, answered: make(chan struct{})}
	if all.all == nil {
		all.all = map[flightKey]*flight{}
	}
	all.all[k] = f
	return f, true
}

// leave is for those who do not wait any longer, or have had their answer. The last
// one ends the call.
func (all *flights) leave(f *flight) {
	all.mu.Lock()
	f.staying--
	last, landed := f.staying == 0, f.landed
	if last && !landed {
		delete(all.all, f.key) // what is given up nobody may join
	}
	all.mu.Unlock()
	if last {
		f.cancel()
	}
	if last && landed && f.release != nil {
		f.release()
	}
}

// lead makes the call, for itself and for whoever joins meanwhile.
func (all *flights) lead(ctx context.Context, req *Request, f *flight, next stage) (resp *Response, err error) {
	calling, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f.cancel, f.principal = cancel, req.record.principal
	unwatch := context.AfterFunc(ctx, func() { all.leave(f) })
	completed := false
	defer func() {
		if completed {
			return
		}
		// A panic.
		if resp != nil {
			resp.Close()
		}
		cancel()
		all.land(f, errCallFailed)
	}()
	resp, err = next(calling, req)
	if err == nil && !all.alone(f) {
		err = f.read(calling, req, resp)
	}
	completed = true
	all.land(f, err)
	if f.resp == nil && err == nil {
		// It is nobody else's: it is read as it comes, and its client watched.
		resp.onClose(func() {
			if unwatch() {
				all.leave(f)
			}
		})
		return resp, nil
	}
	cancel()
	if !unwatch() { // it has left, and has no part in the answer any more
		return nil, ctx.Err()
	}
	return all.share(f)
}

// alone lands a flight that nobody follows: from then on nobody can.
func (all *flights) alone(f *flight) bool {
	all.mu.Lock()
	defer all.mu.Unlock()
	if !f.followed {
		all.clear(f)
	}
	return f.landed
}

// land lets everybody have the answer.
func (all *flights) land(f *flight, err error) {
	all.mu.Lock()
	all.clear(f)
	f.err = err
	abandoned := f.staying == 0
	all.mu.Unlock()
	close(f.answered)
	if abandoned && f.release != nil {
		f.release()
	}
}

// clear has nobody join any more.
func (all *flights) clear(f *flight) {
	f.landed = true
	if all.all[f.key] == f {
		delete(all.all, f.key)
	}
}

// read takes the body into memory, unless it is too long: then it stays the leader's.
func (f *flight) read(ctx context.Context, req *Request, resp *Response) error {
	text := &beginning{keeper: req.keeper}
	err := text.read(resp.body)
	switch {
	case err != nil:
		text.drop()
		resp.Close()
		return cutShort(ctx, req, err)
	case !text.whole:
		f.tooLong = true
		resp.body = io.MultiReader(text, resp.body)
		resp.onClose(text.drop)
		return nil
	}
	resp.Close()
	f.text = make([]byte, text.size)
	_, _ = io.ReadFull(text, f.text) // from memory
	f.resp, f.release = resp, text.drop
	resp.length = int64(text.size)
	return nil
}

// beginning is a body as far as it is no longer than what is shared, in buffers that
// are given back as they are read.
type beginning struct {
	keeper  *keeper
	buffers []*[]byte
	last    int // length of what is in the last one
	size    int // of all that was read, which the keeper holds
	at      int // where the first one is read next
	whole   bool
}

// read fills buffers until the body's end, or until there is no more room.
func (b *beginning) read(body io.Reader) error {
	for b.size < maxShared {
		buffer := buffers.Get().(*[]byte)
		n, err := 0, error(nil)
		for n < len(*buffer) && err == nil { // io.ReadFull does not tell the end from a lost one
			var more int
			more, err = body.Read((*buffer)[n:])
			n += more
		}
		if !b.keeper.hold(n) {
			// What was read is not lost, but no more is.
			b.keeper.held.Add(int64(n))
			b.add(buffer, n)
			return nil
		}
		b.add(buffer, n)
		if err == io.EOF {
			b.whole = true
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *beginning) add(buffer *[]byte, n int) {
	b.buffers, b.last = append(b.buffers, buffer), n
	b.size += n
}

// Read is part of io.Reader.
func (b *beginning) Read(p []byte) (int, error) {
	if len(b.buffers) == 0 {
		return 0, io.EOF
	}
	text := *b.buffers[0]
	if len(b.buffers) == 1 {
		text = text[:b.last]
	}
	n := copy(p, text[b.at:])
	if b.at += n; b.at == len(text) {
		buffers.Put(b.buffers[0])
		b.buffers, b.at = b.buffers[1:], 0
	}
	return n, nil
}

// drop gives back what is held.
func (b *beginning) drop() { b.keeper.held.Add(-int64(b.size)) }

// share is the answer for one of several.
func (all *flights) share(f *flight) (*Response, error) {
	if f.err != nil {
		return nil, f.err
	}
	own := *f.resp
	own.body = bytes.NewReader(f.text)
	own.onClose(func() { all.leave(f) })
	return &own, nil
}
