package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
)

// ranged is the question for an hour of points that are long settled, from minutes before the last of them.
func ranged(base string, from, to int) string {
	const last = 1767229200
	return base + "/api/v1/query_range?" + url.Values{
		"query": {"sum by (job) (rate(prometheus_http_requests_total[5m])) or up"}, "step": {"15"},
		"start": {fmt.Sprint(last - 60*from)}, "end": {fmt.Sprint(last - 60*to)},
	}.Encode()
}

// TestCache: through the service proxy, what one token was answered is not asked again for another one, and what is put together
// of kept and new points is what Prometheus answers itself.
func TestCache(t *testing.T) {
	t.Parallel()
	server := fixture(t)
	backend := record(t, server.URL(), nil)
	path := configuration(t, namespace(t, "cached", backend.Listener.Addr().String()), "",
		"cached/production: "+service("cached", "prometheus"), "cached/second: "+service("cached", "prometheus"))
	production, _ := token(t, path, "cached/production")
	whole, _ := token(t, path, "cached")
	g := serve(t, path)
	eventually(t, func() error {
		return wantStatus(ask(with(get(instant(g.base("cached/second"), "up")), whole)), http.StatusOK)
	})
	for _, c := range []struct {
		name, environment, token string
		from, to                 int // minutes before the last point
		outcome                  string
		asked                    int64
	}{
		{"first", "cached/production", production, 60, 10, "miss", 1},
		{"again", "cached/production", production, 60, 10, "hit", 0},
		{"another token", "cached/production", whole, 60, 10, "hit", 0},
		{"within", "cached/production", whole, 30, 20, "hit", 0},
		{"later", "cached/production", production, 50, 5, "partial", 1},
		{"earlier and later", "cached/production", whole, 70, 0, "partial", 2},
		{"all of it", "cached/production", production, 70, 0, "hit", 0},
		{"another environment of the same server", "cached/second", whole, 60, 10, "miss", 1},
	} {
		want := ask(get(ranged(server.URL(), c.from, c.to)))
		before := backend.seen.Load()
		a := ask(with(get(ranged(g.base(c.environment), c.from, c.to)), c.token, "Accept-Encoding", "gzip"))
		if a.status != http.StatusOK || a.body != want.body || len(a.body) < 1000 {
			t.Errorf("%s: got %s\nPrometheus answers %s", c.name, a, want)
		}
		if outcome := a.header.Get("X-Promgate-Cache"); outcome != c.outcome || backend.seen.Load()-before != c.asked {
			t.Errorf("%s: %s, and the server was asked %d times, want %s and %d", c.name, outcome, backend.seen.Load()-before, c.outcome, c.asked)
		}
	}
	for _, outcome := range []string{"miss", "hit"} {
		a := ask(with(get(g.base("cached/production")+"/api/v1/label/job/values"), whole))
		if a.status != http.StatusOK || a.header.Get("X-Promgate-Cache") != outcome {
			t.Errorf("label values: got %s, %s", a, a.header.Get("X-Promgate-Cache"))
		}
	}
}
