package gateway

import (
	"bytes"
	"context"
	"net/http"
	"time"

	"github.com/promgate/promgate/gateway/cache"
)

const (
	// briefTime is how long the answers of briefEndpoints are kept.
	briefTime = 30 * time.Second
	// maxBrief is the longest of them that is kept, in bytes.
	maxBrief = 1 << 20
)

// briefEndpoints tell what there is. A page asks them of each of its variables, and
// the answer changes seldom.
var briefEndpoints = map[string]bool{"labels": true, "label_values": true, "series": true, "metadata": true}

// brief keeps whole answers for a short time.
func (g *Gateway) brief(next stage) stage {
	return func(ctx context.Context, req *Request) (*Response, error) {
		if !briefEndpoints[req.endpoint.Name] {
			return next(ctx, req)
		}
		if req.asks() {
			return bypass(ctx, req, next)
		}
		k, shelf := req.keeper, req.keeper.store.Open(ownerOf(req.environment))
		key := cache.KeyOf("brief", req.scope, req.endpoint.Name, req.label, req.enforced.query, req.enforced.asked)
		if body, kept := shelf.Answer(key, k.now()); kept {
			return &Response{
				status: http.StatusOK, contentType: req.endpoint.form.contentType, length: int64(len(body)), ours: true,
				body: bytes.NewReader(body), deadline: req.deadline, outcome: outcomeHit,
			}, nil
		}
		until := k.now().Add(briefTime)
		here := req.here("")
		resp, err := next(ctx, here)
		req.record.upstream = here.record.upstream
		if err != nil {
			return nil, err
		}
		resp.outcome, resp.ours = outcomeMiss, true
		if resp.status == http.StatusOK {
			c := &collector{source: resp.body, keeper: k, limit: min(maxBrief, k.maxAnswer())}
			c.done = func(body []byte) {
				if !hasNotes(body) {
					shelf.KeepAnswer(key, bytes.Clone(body), until)
				}
			}
			resp.body = c
			resp.onClose(c.drop)
		}
		return resp, nil
	}
}

// hasNotes tells whether an answer carries warnings or infos. In a string the quotes
// would be escaped; a metric that is called so is not kept either, which harms
// nobody.
func hasNotes(body []byte) bool {
	return bytes.Contains(body, []byte(`"warnings":[`)) || bytes.Contains(body, []byte(`"infos":[`))
}
