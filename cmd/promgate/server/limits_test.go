package server

import (
	"testing"
	"time"

	"github.com/promgate/promgate/cmd/promgate/config"
)

// TestLimits: an environment's limits go before its project's, and these before
// those of all; what is left out is as above.
func TestLimits(t *testing.T) {
	cfg, err := config.Parse("-", []byte(`dataDir: d
limits: {maxRange: 10d, queue: {length: 7}}
targets: {maxConcurrent: 9}
projects:
  - name: shop
    limits: {maxPoints: 20, maxQueryLength: 1KiB, queue: {timeout: 1s}}
    environments:
      - {name: a, url: "http://a", limits: {maxPoints: 30, maxLookback: 1d, maxEvaluations: 5, maxResponseBytes: 2KiB, maxConcurrent: 3, queue: {length: 0}, requestsPerSecond: 4, burst: 6}}
      - {name: b, url: "http://a"}
  - name: billing
    environments:
      - {name: a, url: "http://a", limits: {maxRange: 1d}}
`))
	if err != nil {
		t.Fatal(err)
	}
	got := Limits(cfg)
	if len(got.Projects) != 1 || len(got.Environments) != 2 || got.MaxConcurrentTarget != 9 || got.Default.MaxPoints != 11000 {
		t.Errorf("got %+v", got)
	}
	shop := got.Default
	shop.MaxPoints, shop.MaxQueryLength, shop.Queue.Timeout = 20, 1<<10, time.Second
	if got.Projects["shop"] != shop || shop.Queue.Length != 7 || shop.MaxRange != 240*time.Hour {
		t.Errorf("shop has %+v", got.Projects["shop"])
	}
	a := shop
	a.MaxPoints, a.MaxLookback, a.MaxEvaluations, a.MaxResponseBytes, a.MaxConcurrent = 30, 24*time.Hour, 5, 2<<10, 3
	a.Queue.Length, a.RequestsPerSecond, a.Burst = 0, 4, 6
	if got.Environments["shop/a"] != a {
		t.Errorf("shop/a has %+v", got.Environments["shop/a"])
	}
	billing := got.Default
	billing.MaxRange = 24 * time.Hour
	if got.Environments["billing/a"] != billing {
		t.Errorf("billing/a has %+v", got.Environments["billing/a"])
	}
}
