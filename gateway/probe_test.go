package gateway

import (
	"errors"
	"net/http"
	"strings"
	"testing"
)

func TestProbe(t *testing.T) {
	h := newHarness(t)
	e, _ := h.routes.Load().Lookup("shop", "production")
	for body, want := range map[string]string{
		`{"status":"success","data":{"version":"3.15.0","features":{"a":"b"}}}`:          "Prometheus 3.15.0",
		`{"status":"success","data":{"application":"Grafana Mimir","version":"2.17.0"}}`: "Grafana Mimir 2.17.0",
	} {
		h.up.answerWith(answerJSON(http.StatusOK, body))
		if got, err := h.gateway.Probe(t.Context(), e); got != want || err != nil {
			t.Errorf("%s: %q, %v", body, got, err)
		}
		if calls := h.up.take(); len(calls) != 1 || calls[0].method != "GET" || calls[0].uri != prefixProduction+"/api/v1/status/buildinfo" {
			t.Errorf("the upstream saw %v", calls)
		}
	}
	for hop, answer := range map[string]http.HandlerFunc{
		"rbac":       kubernetesStatus(403, "Forbidden", forbidden),
		"endpoints":  kubernetesStatus(503, "ServiceUnavailable", "no endpoints available"),
		"prometheus": answerJSON(200, `{"status":"fine"}`),
	} {
		h.up.answerWith(answer)
		_, err := h.gateway.Probe(t.Context(), e)
		var failure *Error
		if !errors.As(err, &failure) || failure.Hop != hop || failure.Cause == nil || (hop == "rbac") != strings.HasPrefix(failure.Advice, "Role for get") {
			t.Errorf("%s: %+v", hop, failure)
		}
	}
}
