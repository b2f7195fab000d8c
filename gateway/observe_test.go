package gateway

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/promgate/promgate/gateway/limit"
)

const (
	traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	traceID     = "4bf92f3577b34da6a3ce929d0e0e4736"
)

func TestAccessRecord(t *testing.T) {
	h := newHarness(t)
	cases := map[string]struct {
		target string
		header http.Header
		want   map[string]any
	}{
		"an answer": {
			target: production + "api/v1/query?query=" + secretQuery,
			header: http.Header{"X-Grafana-Org-Id": {"1"}, "X-Dashboard-Uid": {"d\"1\n"[:3]}, "X-Panel-Id": {strings.Repeat("7", 100)}, "X-Datasource-Uid": {"ds"}, "Traceparent": {traceparent}},
			want: map[string]any{
				"level": "INFO", "msg": "request", "method": "GET", "endpoint": "query", "project": "shop", "environment": "production", "principal": "endpoint_token:id-shop",
				"status": 200.0, "bytes": 63.0, "client": "127.0.0.1", "grafana_org_id": "1", "grafana_dashboard_uid": `d"1`, "grafana_panel_id": strings.Repeat("7", 64) + "…", "grafana_datasource_uid": "ds",
				"trace_id": traceID, "duration_seconds": nil, "upstream_seconds": nil,
			},
		},
		"a bad parameter": {
			target: production + "api/v1/query?query=" + secretQuery + "(((",
			want: map[string]any{
				"level": "INFO", "msg": "request", "method": "GET", "endpoint": "query", "project": "shop", "environment": "production", "principal": "endpoint_token:id-shop",
				"status": 400.0, "bytes": nil, "client": "127.0.0.1", "duration_seconds": nil, "error_type": "bad_data", "error": "told to the client alone, for it may quote the query",
			},
		},
		"no such environment": {
			target: "/projects/made-up/environments/production/api/v1/query?query=up",
			want: map[string]any{
				"level": "INFO", "msg": "request", "method": "GET", "endpoint": "query", "principal": "endpoint_token:id-shop", "status": 403.0, "bytes": nil, "client": "127.0.0.1", "duration_seconds": nil,
				"error_type": "forbidden", "error": errNotYours.Message,
			},
		},
		"no route": {
			target: "/projects/" + secretQuery,
			want:   map[string]any{"level": "INFO", "msg": "request", "method": "GET", "status": 404.0, "bytes": nil, "client": "127.0.0.1", "duration_seconds": nil, "error_type": "not_found", "error": errNoRoute.Message},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := h.request(http.MethodGet, c.target, "")
			maps.Copy(r.Header, c.header)
			got := h.do(r)
			record := h.log.next(t)
			raw := record["raw"].(string)
			if strings.Contains(raw, "secret") || strings.Contains(raw, "token-") {
				t.Errorf("the log says too much: %s", raw)
			}
			delete(record, "raw")
			delete(record, "time")
			c.want["request_id"] = got.id
			for key, want := range c.want {
				if value, ok := record[key]; !ok || want != nil && value != want {
					t.Errorf("%s is %v, want %v", key, value, want)
				}
			}
			for key := range record {
				if _, ok := c.want[key]; !ok {
					t.Errorf("unexpected field %s: %v", key, record[key])
				}
			}
		})
	}
}

func TestRequestIDs(t *testing.T) {
	h := newHarness(t)
	seenIDs := map[string]bool{}
	for range 100 {
		r := h.request(http.MethodGet, "/", "")
		r.Header.Set("X-Request-Id", "chosen")
		id := h.do(r).id
		if len(id) != 16 || strings.Trim(id, "0123456789abcdef") != "" || seenIDs[id] {
			t.Fatalf("request id %q", id)
		}
		seenIDs[id] = true
	}
}

func TestMetrics(t *testing.T) {
	h := newHarness(t, capped(1, 10, limit.Queue{}))
	for range 3 {
		h.get(production + "api/v1/query?query=up")
	}
	h.get(production + "api/v1/query?query=((")
	h.get("/projects/billing/environments/production/api/v1/labels")
	for _, name := range []string{"a", "b", "c"} {
		h.get("/projects/" + name + "/environments/" + name + "/api/v1/labels")
		h.get("/" + name)
	}
	entered, release := h.hold()
	first := h.begin(production + "api/v1/query?query=up")
	<-entered
	h.get(production + "api/v1/query?query=up")
	if err := testutil.GatherAndCompare(h.registry, strings.NewReader(metricsWanted), "promgate_requests_total", "promgate_requests_in_flight", "promgate_limit_refusals_total"); err != nil {
		t.Error(err)
	}
	close(release)
	<-first
	eventually(t, "nothing in flight", func() bool {
		e, _ := h.routes.Load().Lookup("shop", "production")
		return testutil.ToFloat64(h.gateway.metrics.flying.WithLabelValues(e.Project.Name, e.Name)) == 0
	})
	if got := testutil.ToFloat64(h.gateway.metrics.bytes.WithLabelValues("shop", "production", "query")); got < 4*63 {
		t.Errorf("%v bytes counted", got)
	}
	for name, want := range map[string]int{"promgate_upstream_duration_seconds": 1, "promgate_request_duration_seconds": 3} {
		if n, err := testutil.GatherAndCount(h.registry, name); n != want || err != nil {
			t.Errorf("%d series of %s (%v), want %d", n, name, err, want)
		}
	}
	if problems, err := testutil.GatherAndLint(h.registry); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}

	e, _ := h.routes.Load().Lookup("shop", "production")
	h.gateway.Forget(e)
	for name, want := range map[string]int{"promgate_requests_total": 2, "promgate_requests_in_flight": 0, "promgate_limit_refusals_total": 0, "promgate_upstream_duration_seconds": 0} {
		if n, err := testutil.GatherAndCount(h.registry, name); n != want || err != nil {
			t.Errorf("%d series of %s (%v) after its environment was forgotten, want %d", n, name, err, want)
		}
	}
}

// TestForgetUnderWay forgets an environment while it is asked.
func TestForgetUnderWay(t *testing.T) {
	h := newHarness(t, capped(1, 10, limit.Queue{}))
	e, _ := h.routes.Load().Lookup("shop", "production")
	entered, release := h.hold()
	first := h.begin(production + "api/v1/query?query=up")
	<-entered
	h.gateway.Forget(e)
	if got := h.get(production + "api/v1/query?query=(("); got.status != http.StatusBadRequest {
		t.Errorf("answer %d %s, want 400", got.status, got.body)
	}
	close(release)
	if got := <-first; got.status != http.StatusOK {
		t.Errorf("the one under way was answered %d %s", got.status, got.body)
	}
	// It came back under the same UID, with all its places and nothing in flight.
	if got := h.get(production + "api/v1/query?query=up"); got.status != http.StatusOK {
		t.Errorf("answer %d %s, want 200", got.status, got.body)
	}
	eventually(t, "nothing in flight", func() bool {
		return testutil.ToFloat64(h.gateway.metrics.flying.WithLabelValues("shop", "production")) == 0
	})
}

const metricsWanted = `
# HELP promgate_limit_refusals_total Requests refused by a limit of the gateway.
# TYPE promgate_limit_refusals_total counter
promgate_limit_refusals_total{environment="production",limit="maxConcurrent",project="shop"} 1
# HELP promgate_requests_in_flight Admitted requests that are not answered yet, those that wait for their place included.
# TYPE promgate_requests_in_flight gauge
promgate_requests_in_flight{environment="production",project="shop"} 1
# HELP promgate_requests_total Requests answered, by the environment that they were admitted to (empty: none), endpoint and status code. 499 is a client that went away.
# TYPE promgate_requests_total counter
promgate_requests_total{code="200",endpoint="query",environment="production",project="shop"} 3
promgate_requests_total{code="400",endpoint="query",environment="production",project="shop"} 1
promgate_requests_total{code="403",endpoint="labels",environment="",project=""} 4
promgate_requests_total{code="404",endpoint="",environment="",project=""} 3
promgate_requests_total{code="429",endpoint="query",environment="production",project="shop"} 1
`

func TestTraceparent(t *testing.T) {
	h := newHarness(t)
	for value, want := range map[string]string{
		traceparent: traceparent,
		strings.Replace(traceparent, "-01", "-00", 1): strings.Replace(traceparent, "-01", "-00", 1),
		"":                           "",
		"x":                          "",
		traceparent + "-more":        "",
		strings.ToUpper(traceparent): "",
		"ff" + traceparent[2:]:       "",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01": "",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01": "",
	} {
		r := h.request(http.MethodGet, production+"api/v1/query?query=up", "")
		r.Header.Set("Traceparent", value)
		r.Header.Set("Tracestate", "vendor=x")
		r.Header.Set("Baggage", "a=b")
		h.do(r)
		header := h.up.take()[0].header
		state := ""
		if want != "" {
			state = "vendor=x"
		}
		if header.Get("Traceparent") != want || header.Get("Tracestate") != state || header.Get("Baggage") != "" {
			t.Errorf("%q: the upstream saw %v", value, header)
		}
	}
	r := h.request(http.MethodGet, production+"api/v1/query?query=up", "")
	r.Header["Traceparent"] = []string{traceparent, traceparent}
	h.do(r)
	if header := h.up.take()[0].header; header["Traceparent"] != nil {
		t.Errorf("of two the upstream saw %v", header)
	}
}

func TestSpans(t *testing.T) {
	exporter := tracetest.NewInMemoryExporter()
	provider := trace.NewTracerProvider(trace.WithSyncer(exporter))
	h := newHarness(t, func(o *Options) { o.Tracer = provider.Tracer("test") })
	r := h.request(http.MethodGet, production+"api/v1/query?query="+secretQuery, "")
	r.Header.Set("Traceparent", traceparent)
	got := h.do(r)
	h.log.next(t)
	eventually(t, "two spans", func() bool { return len(exporter.GetSpans()) == 2 })
	client, server := exporter.GetSpans()[0], exporter.GetSpans()[1]
	if client.Name != "upstream query" || client.SpanKind != oteltrace.SpanKindClient || client.Parent.SpanID() != server.SpanContext.SpanID() {
		t.Errorf("the upstream's span is %+v", client)
	}
	if server.Name != "query" || server.SpanKind != oteltrace.SpanKindServer || server.Parent.SpanID().String() != "00f067aa0ba902b7" || server.SpanContext.TraceID().String() != traceID {
		t.Errorf("the request's span is %+v", server)
	}
	want := []attribute.KeyValue{
		attribute.String("promgate.project", "shop"), attribute.String("promgate.environment", "production"),
		attribute.Int("http.response.status_code", 200), attribute.Int64("http.response.body.size", 63), attribute.String("promgate.request_id", got.id),
	}
	if !slices.Equal(server.Attributes, want) || server.Status.Code != codes.Unset {
		t.Errorf("attributes %v, status %v", server.Attributes, server.Status)
	}
	if sent := h.up.take()[0].header.Get("Traceparent"); !strings.Contains(sent, traceID+"-"+client.SpanContext.SpanID().String()) {
		t.Errorf("the upstream saw traceparent %s", sent)
	}

	exporter.Reset()
	h.up.answerWith(answerAs(200, "text/html", "x"))
	h.get(production + "api/v1/query?query=up")
	eventually(t, "two spans", func() bool { return len(exporter.GetSpans()) == 2 })
	if failed := exporter.GetSpans()[1]; failed.Status.Code != codes.Error || failed.Status.Description != "bad_gateway" {
		t.Errorf("the failed request's status is %v", failed.Status)
	}
}

func TestClientAddress(t *testing.T) {
	cases := []struct {
		trusted   []string
		peer      string
		forwarded []string
		want      string
	}{
		{nil, "192.0.2.1:1", []string{"203.0.113.9"}, "192.0.2.1"},
		{[]string{"192.0.2.0/24"}, "192.0.2.1:1", nil, "192.0.2.1"},
		{[]string{"192.0.2.0/24"}, "192.0.2.1:1", []string{"203.0.113.9"}, "203.0.113.9"},
		{[]string{"192.0.2.0/24"}, "192.0.2.1:1", []string{"10.9.9.9, 203.0.113.9"}, "203.0.113.9"},
		{[]string{"192.0.2.0/24"}, "192.0.2.1:1", []string{"10.9.9.9, 203.0.113.9, 192.0.2.7"}, "203.0.113.9"},
		{[]string{"192.0.2.0/24"}, "192.0.2.1:1", []string{"10.9.9.9", "203.0.113.9"}, "203.0.113.9"},
		{[]string{"192.0.2.0/24"}, "192.0.2.1:1", []string{"192.0.2.3, 192.0.2.4"}, "192.0.2.3"},
		{[]string{"192.0.2.0/24"}, "192.0.2.1:1", []string{"<script>"}, "192.0.2.1"},
		{[]string{"192.0.2.0/24"}, "198.51.100.1:1", []string{"203.0.113.9"}, "198.51.100.1"},
		{[]string{"2001:db8::/32"}, "[2001:db8::1]:1", []string{"203.0.113.9"}, "203.0.113.9"},
		{[]string{"192.0.2.0/24"}, "[::ffff:192.0.2.1]:1", []string{"203.0.113.9"}, "203.0.113.9"},
		{[]string{"192.0.2.0/24"}, "@", nil, "@"},
	}
	g := benchGateway(nil)
	for _, c := range cases {
		var prefixes []netip.Prefix
		for _, p := range c.trusted {
			prefixes = append(prefixes, netip.MustParsePrefix(p))
		}
		g.SetTrustedProxies(prefixes)
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.forwarded}}
		if got := g.clientAddress(r); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestDrain(t *testing.T) {
	h := newHarness(t)
	if got := h.get(production + "api/v1/query?query=up"); got.header.Get("Connection") != "" {
		t.Errorf("before: %v", got.header)
	}
	h.gateway.Drain(1)
	for _, target := range []string{production + "api/v1/query?query=up", production + "api/v1/query", "/"} {
		resp, err := h.client.Do(h.request(http.MethodGet, target, ""))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if !resp.Close {
			t.Errorf("%s: the connection stays open", target)
		}
	}

	h2 := newHarness2(t)
	h2.gateway.Drain(1)
	for range 2 { // HTTP/2 is not asked yet: the same connection goes on
		h2.get(production + "api/v1/query?query=up")
	}
	reused := false
	r := h2.request(http.MethodGet, production+"api/v1/query?query=up", "")
	got := h2.do(r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		GotConn: func(c httptrace.GotConnInfo) { reused = c.Reused },
	})))
	if got.status != http.StatusOK || !reused {
		t.Errorf("answer %d, connection reused: %t", got.status, reused)
	}

	entered, release := h2.hold()
	first := h2.begin(production + "api/v1/query?query=up")
	<-entered
	h2.gateway.Drain(2)
	if got := h2.get(staging + "api/v1/query?query=up"); got.status != http.StatusOK || got.header.Get("Connection") != "" {
		t.Errorf("answer %d %v", got.status, got.header)
	}
	close(release)
	if got := <-first; got.status != http.StatusOK || got.err != nil { // what was under way before GOAWAY ends well
		t.Errorf("answer %d %v", got.status, got.err)
	}
}

func TestErrorText(t *testing.T) {
	cause := errors.New("cause")
	if got := (&Error{Message: "message", Cause: cause}); got.Error() != "message: cause" || !errors.Is(got, cause) {
		t.Errorf("%v", got)
	}
	if got := (&Error{Message: "message"}); got.Error() != "message" {
		t.Errorf("%v", got)
	}
	h := newHarness(t)
	got := h.get(production + "api/v1/query?query=up&time=" + strings.Repeat("%22%3C%E2%80%A8%C3%A9", 200))
	if got.status != 400 || len(got.body) > 1024 || !strings.Contains(got.body, "… (request id ID)") {
		t.Errorf("answer %d of %d bytes: %s", got.status, len(got.body), got.body)
	}
}
