package gateway

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/promgate/promgate/gateway/promql"
)

// metadataWindow is how far back a metric counts as one that the tenant has:
// metadata is of what is scraped now.
const metadataWindow = time.Hour

// maxFiltered bounds what is kept of an answer that is filtered, in bytes.
const maxFiltered = 32 << 20

// named has the tenant's metric names at hand where an answer is filtered by
// them: metadata carries no labels. It costs a second question upstream, in the
// same place.
func (g *Gateway) named(next stage) stage {
	values, _ := g.endpoints.find("api/v1/label/__name__/values")
	return func(ctx context.Context, req *Request) (*Response, error) {
		if req.policy == nil || req.endpoint.Name != "metadata" {
			return next(ctx, req)
		}
		names := *req
		names.endpoint, names.label, names.gzip = values, "__name__", true
		names.enforced = everythingOf(req.policy, time.Now().Add(-metadataWindow))
		resp, err := next(ctx, &names)
		if err != nil {
			return nil, err
		}
		defer resp.Close()
		if resp.status != http.StatusOK {
			return nil, unavailable(req, "prometheus", fmt.Errorf("its metric names: status %d", resp.status), 0)
		}
		body, err := resp.plain()
		if err != nil {
			return nil, notPrometheus(req, err)
		}
		bound := &boundedReader{r: body, left: min(req.tenancy.MaxResponseBytes, maxFiltered)}
		req.params.metadata.Names, err = promql.DecodeNames(bound, math.MaxInt)
		switch {
		case bound.exceeded:
			return nil, tooLongAnswer(req.tenancy)
		case isLate(err):
			return nil, timeoutError(err)
		case err != nil:
			return nil, notPrometheus(req, fmt.Errorf("its metric names cannot be read: %w", err))
		}
		return next(ctx, req)
	}
}
