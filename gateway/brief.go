package gateway

import (
	"bytes"
	"context"
	"encoding/json"
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
			resp.collect(k, min(maxBrief, k.maxAnswer()), func(body []byte) {
				if isWhole(body) {
					shelf.KeepAnswer(key, bytes.Clone(body), until)
				}
			})
		}
		return resp, nil
	}
}

// isWhole tells whether a body is a good answer in Prometheus' form with nothing to
// remark: neither warnings nor infos, and nothing that other servers add, such as
// that a part is missing.
func isWhole(body []byte) bool {
	var answer map[string]json.RawMessage
	if json.Unmarshal(body, &answer) != nil || len(answer) != 2 {
		return false
	}
	return string(answer["status"]) == `"success"` && answer["data"] != nil
}
