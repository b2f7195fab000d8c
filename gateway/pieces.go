package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/promgate/promgate/gateway/cache"
)

// piecesAtOnce is how many pieces of one question are asked for at the same time.
// Each takes its own place in the budgets.
const piecesAtOnce = 4

// Why a question is asked as a whole after all.
var (
	errNotJoinable = errors.New("a piece of the answer cannot be joined with others")
	errNoRoom      = errors.New("there is no room to put one more answer together")
)

// refusedPiece is an upstream's own error, which is the answer to the whole question.
type refusedPiece struct{ resp *Response }

func (*refusedPiece) Error() string { return "the upstream refused a piece of the question" }

// rangePiece is one piece of an answer.
type rangePiece struct {
	span   cache.Span
	body   *bytes.Buffer
	series []cache.Series
	// infos are those of the piece; nil: it has none.
	infos []byte
	took  time.Duration
}

// join asks for what is missing, and makes the answer of it and of what is kept.
func (q *rangeQuery) join(ctx context.Context, v cache.View) (*Response, error) {
	before := q.parts(v.Before)
	after := q.parts(v.After)
	all := slices.Concat(before, after)
	answered := false
	defer func() {
		if !answered { // an error, or a panic
			q.release(all)
		}
	}()
	if err := q.fetch(ctx, all); err != nil {
		return q.failed(ctx, err, all)
	}
	if slices.ContainsFunc(all, (*rangePiece).hasInfos) {
		q.note()
		q.release(all)
		return bypass(ctx, q.Request, q.next)
	}
	q.keepParts(v, before, after)
	resp := q.joined(v, before, after)
	answered = true
	return resp, nil
}

// hasInfos tells whether Prometheus had something to remark on the piece.
func (p *rangePiece) hasInfos() bool { return p.infos != nil }

// failed is the answer where a piece did not come as it should have.
func (q *rangeQuery) failed(ctx context.Context, err error, all []*rangePiece) (*Response, error) {
	var refused *refusedPiece
	switch {
	case errors.As(err, &refused) && refused.resp.status >= http.StatusInternalServerError:
		refused.resp.outcome = outcomeMiss
		return refused.resp, nil
	case errors.Is(err, errNoRoom):
		q.release(all)
		return bypass(ctx, q.Request, q.next)
	case errors.Is(err, errNotJoinable), refused != nil:
		// An error names what was evaluated first: the whole question may have another
		// one than its pieces.
		q.release(all)
		q.avoid()
		return bypass(ctx, q.Request, q.next)
	}
	return nil, err
}

// keepParts keeps what is settled of the pieces. What touches what is held comes
// first, so that there is never a hole.
func (q *rangeQuery) keepParts(v cache.View, before, after []*rangePiece) {
	if v.Held.Empty() {
		slices.Reverse(before)
	}
	kept := true
	for _, p := range slices.Backward(before) {
		kept = q.add(p.span, p.series) && kept
	}
	if v.Held.Empty() {
		slices.Reverse(before)
	}
	for _, p := range after {
		kept = q.add(p.span, p.series) && kept
	}
	if !kept {
		q.avoid()
	}
	if len(before)+len(after) > 0 {
		q.weigh()
	}
}

// joined is the answer of pieces in the order of time.
func (q *rangeQuery) joined(v cache.View, before, after []*rangePiece) *Response {
	var joined []cache.Joined
	for _, p := range before {
		joined = cache.Join(joined, p.series)
	}
	if !v.Held.Empty() {
		joined = cache.Join(joined, v.Series)
	}
	for _, p := range after {
		joined = cache.Join(joined, p.series)
	}
	return q.respond(cache.Texts(joined, nil), slices.Concat(before, after), !v.Held.Empty())
}

// respond makes the answer of texts and of the pieces that they are of, beside what
// was held, if anything was.
func (q *rangeQuery) respond(text [][]byte, all []*rangePiece, held bool) *Response {
	resp := &Response{
		status: http.StatusOK, contentType: q.endpoint.form.contentType, ours: true, outcome: outcomePartial,
		body: &texts{rest: text}, deadline: q.deadline,
	}
	for _, t := range text {
		resp.length += int64(len(t))
	}
	switch {
	case len(all) == 0:
		resp.outcome = outcomeHit
	case !held:
		resp.outcome = outcomeMiss
	}
	for _, p := range all {
		q.record.upstream = max(q.record.upstream, p.took)
	}
	resp.onClose(func() { q.release(all) })
	return resp
}

func (q *rangeQuery) parts(s cache.Span) []*rangePiece {
	var all []*rangePiece
	for _, s := range q.split(s) {
		all = append(all, &rangePiece{span: s})
	}
	return all
}

// fetch asks for pieces. One that fails fails them all.
func (q *rangeQuery) fetch(ctx context.Context, all []*rangePiece) error {
	if len(all) == 1 {
		return q.fetchOne(ctx, all[0])
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(piecesAtOnce)
	for _, p := range all {
		group.Go(func() (err error) {
			defer func() {
				// Nobody else would stop it here, and it would end the program.
				if p := recover(); p != nil {
					err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
				}
			}()
			return q.fetchOne(ctx, p)
		})
	}
	return group.Wait()
}

// bodies are buffers for pieces.
var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxPooled is the largest buffer that is kept for the next piece.
const maxPooled = 1 << 20

func (q *rangeQuery) fetchOne(ctx context.Context, p *rangePiece) error {
	here := q.here(q.params.between(p.span).query)
	resp, err := q.next(ctx, here)
	p.took = here.record.upstream
	if err != nil {
		return err
	}
	defer resp.Close()
	if resp.status != http.StatusOK {
		return &refusedPiece{resp} // whose body is in memory
	}
	p.body = bodies.Get().(*bytes.Buffer)
	limit := min(int64(q.keeper.maxAnswer()), q.tenancy.MaxResponseBytes)
	for {
		p.body.Grow(16 << 10)
		free := p.body.AvailableBuffer()
		n, err := resp.body.Read(free[:cap(free)])
		switch {
		case int64(p.body.Len()+n) > limit:
			return errNotJoinable
		case !q.keeper.hold(n):
			return errNoRoom
		}
		p.body.Write(free[:n])
		if err == io.EOF {
			break
		}
		if err != nil {
			return cutShort(ctx, here, err)
		}
	}
	if p.series, p.infos, err = cache.ScanInfos(p.body.Bytes(), nil); err != nil || !cache.Valid(p.series, p.span) {
		return errNotJoinable
	}
	return nil
}

// release gives back the buffers of pieces.
func (q *rangeQuery) release(all []*rangePiece) {
	for _, p := range all {
		if p.body == nil {
			continue
		}
		q.keeper.held.Add(-int64(p.body.Len()))
		if p.body.Cap() <= maxPooled {
			p.body.Reset()
			bodies.Put(p.body)
		}
		p.body, p.series, p.infos = nil, nil, nil
	}
}

// texts reads one text after the other.
type texts struct{ rest [][]byte }

// Read is part of io.Reader.
func (t *texts) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) && len(t.rest) > 0 {
		copied := copy(p[n:], t.rest[0])
		n += copied
		if t.rest[0] = t.rest[0][copied:]; len(t.rest[0]) == 0 {
			t.rest = t.rest[1:]
		}
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}
