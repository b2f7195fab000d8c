package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/promgate/promgate/routing"
)

// errCallersOnly is no fault: there is nobody to ask for.
var errCallersOnly = &Error{
	Status: http.StatusForbidden, Type: typeForbidden,
	Message: "not asked: its cluster has credentials: user, so that only a caller's own Kubernetes token opens it",
}

// Probe asks an environment's Prometheus who it is, on the same way as a
// request, and returns what it says, such as "Prometheus 3.15.0". The error is
// an *Error whose Hop, Cause and Advice tell the operator what to do.
func (g *Gateway) Probe(ctx context.Context, e *routing.Environment) (string, error) {
	if e.Target.Caller != nil {
		return "", errCallersOnly
	}
	endpoint := buildinfo()
	gates := g.limits.Load()
	req := &Request{endpoint: endpoint, tenancy: gates.tenancy(e), record: &record{}, params: &Params{endpoint: endpoint}}
	var err error
	if req.standing, err = gates.standing(req.tenancy, e); err != nil {
		return "", err
	}
	resp, err := g.chain(ctx, req)
	if err != nil {
		return "", err
	}
	defer resp.Close()
	body, err := io.ReadAll(io.LimitReader(resp.body, maxShortBody))
	if err != nil {
		return "", cutShort(ctx, req, err)
	}
	var info struct {
		Status string `json:"status"`
		Data   struct {
			Application string `json:"application"`
			Version     string `json:"version"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &info); err != nil || info.Status != "success" {
		return "", notPrometheus(req, fmt.Errorf("%s does not answer as Prometheus does", endpoint.Path))
	}
	if info.Data.Application == "" {
		info.Data.Application = "Prometheus"
	}
	return shorten(info.Data.Application+" "+info.Data.Version, 100), nil
}

func buildinfo() *Endpoint {
	for _, e := range Endpoints() {
		if e.Name == "buildinfo" {
			return e
		}
	}
	panic("the endpoint table has no buildinfo")
}
