package conformance

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/route"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/storage"
	v1 "github.com/prometheus/prometheus/web/api/v1"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/gateway"
	"github.com/promgate/promgate/routing"
)

const patience = 10 * time.Second

// nothing is a Prometheus without data, targets and rules.
type nothing struct{}

func (nothing) Querier(int64, int64) (storage.Querier, error) { return storage.NoopQuerier(), nil }
func (nothing) ChunkQuerier(int64, int64) (storage.ChunkQuerier, error) {
	return storage.NoopChunkedQuerier(), nil
}
func (nothing) RuleGroups() []*rules.Group                            { return nil }
func (nothing) AlertingRules() []*rules.AlertingRule                  { return nil }
func (nothing) TargetsActive() map[string][]*scrape.Target            { return nil }
func (nothing) TargetsDropped() map[string][]*scrape.Target           { return nil }
func (nothing) TargetsDroppedCounts() map[string]int                  { return nil }
func (nothing) ScrapePoolConfig(string) (*config.ScrapeConfig, error) { return nil, nil }

// everySyntax has every experimental syntax on.
var everySyntax = parser.NewParser(parser.Options{
	EnableExperimentalFunctions: true, ExperimentalDurationExpr: true, EnableExtendedRangeSelectors: true, EnableBinopFillModifiers: true,
})

// realAPI is Prometheus' own API, with every experimental syntax on, as far as
// it looks at parameters.
func realAPI(t testing.TB) http.Handler {
	registry := prometheus.NewRegistry()
	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples: 1000, Timeout: patience, Parser: everySyntax, EnableAtModifier: true, EnableNegativeOffset: true, Reg: registry, Logger: slog.New(slog.DiscardHandler),
	})
	t.Cleanup(func() { _ = engine.Close() })
	return apiOf(engine, nothing{}, registry)
}

// apiOf is Prometheus' own API over an engine and a storage.
func apiOf(engine promql.QueryEngine, data storage.SampleAndChunkQueryable, registry *prometheus.Registry) http.Handler {
	api := v1.NewAPI(engine, data, nil, nil, nil,
		nil, func(context.Context) v1.TargetRetriever { return nothing{} }, nil,
		func() config.Config { return config.Config{} }, nil, v1.GlobalURLOptions{},
		func(f http.HandlerFunc) http.HandlerFunc { return f },
		nil, "", false, true, 0, slog.New(slog.DiscardHandler),
		func(context.Context) v1.RulesRetriever { return nothing{} },
		0, 0, 0, false, nil, nil, &v1.PrometheusVersion{}, nil, nil, registry, registry, nil,
		false, nil, false, false, false, false, 5*time.Minute, false, false, nil, nil, v1.OpenAPIOptions{}, everySyntax)
	router := route.New()
	api.Register(router.WithPrefix("/api/v1"))
	return router
}

// sameAsPrometheus lists questions by endpoint. Whether each is refused, and
// in which words, is for Prometheus itself to say.
var sameAsPrometheus = map[string][]string{
	"query": {
		"query=up", "query=", "", "query=up%7B", "query=sum(", "query=1%2B", "query=rate(up)", "query=up%5B5m%5D%20offset%20", "query=%7B%7D", "query=nofunction(up)",
		"query=up%00", "query=%22unterminated", "query=up%20up", "query=a%20%2B%20on(x)%20group_left%20b%20%2B", "query=sum%20by%20(x)%20(up%20", "query=up%7Bjob%3D~%22(%22%7D",
		"query=%0A%0A%20up%7B%0Ax%3D%7D", "query=%C3%A4%C3%B6%20%2B", "query=%7B%22utf8.name%22%2C%20a%3D%22b%22%7D", "query=%F0%9F%94%A5%20%2B%20(", "query=up%20%23%20comment",
		"query=up&limit=x", "query=up&limit=-1", "query=up&limit=1.5", "query=up&limit=99999999999999999999", "query=up&limit=0", "query=up&limit=0x10", "query=up&limit=%2B5",
		"query=up&timeout=x", "query=up&timeout=5", "query=up&timeout=5m", "query=up&timeout=1e300", "query=up&timeout=-1e300", "query=up&timeout=1h30m", "query=up&timeout=1.5h", "query=up&timeout=5mm",
		"query=up&lookback_delta=x", "query=up&lookback_delta=5m", "query=up&lookback_delta=1e300", "query=up&lookback_delta=0", "query=up&stats=all", "query=up&stats=x", "query=up&time=x",
	},
	"query_range": {
		"query=up&start=0&end=1&step=1", "query=up&end=1&step=1", "query=up&start=0&step=1", "query=up&start=0&end=1", "start=0&end=1&step=1", "query=up&start=x&end=1&step=1", "query=up&start=0&end=x&step=1",
		"query=up&start=0&end=1&step=x", "query=up&start=0&end=1&step=0", "query=up&start=0&end=1&step=-1", "query=up&start=0&end=1&step=1e-12", "query=up&start=0&end=1&step=1e300", "query=up&start=2&end=1&step=1",
		"query=up&start=2&end=1&step=x", "query=up(&start=2&end=1&step=1", "query=up(&start=0&end=11001&step=1", "query=up&start=0&end=11000&step=1", "query=up&start=0&end=11001&step=1", "query=up&start=0&end=11000.9&step=1",
		"query=up&start=0&end=1&step=1&timeout=x", "query=up&start=0&end=1&step=1&limit=x", "query=up&start=0&end=1&step=1&lookback_delta=x", "query=up%5B5m%5D&start=0&end=1&step=1", "query=%22string%22&start=0&end=1&step=1", "query=up&start=0&end=1&step=1ms", "query=up&start=0&end=1&step=0.001",
	},
	"query_exemplars": {"query=up", "query=up(", "", "query=up&start=x", "query=up&end=x", "query=up&start=2&end=1", "query=up&start=1&end=1", "query=1"},
	"format_query":    {"query=up", "query=", "query=up(", "query=sum(a)by(b)"},
	"parse_query":     {"query=up", "query=", "query=up("},
	"labels":          {"", "limit=x", "limit=-1", "start=x", "end=x", "match[]=", "match[]=up&match[]=%7B", "match[]=%7B%7D", "match[]=%7Ba%3D~%22.*%22%7D", "match[]=%7Ba%3D~%22.%2B%22%7D", "match[]=up%5B5m%5D", "match[]=up%20%2B%20up", "start=5&end=1"},
	"label_values":    {"", "limit=x", "start=x", "end=x", "match[]=%7B%7D", "match[]=up("},
	"series":          {"", "match[]=up", "match[]=", "match[]=%7B%7D", "match[]=up(", "match[]=up&limit=-5", "match[]=up&start=x", "match[]=up&end=x"},
	"metadata":        {"", "limit=x", "limit=-1", "limit_per_metric=x", "limit_per_metric=-1", "metric=up", "limit=1.5"},
	"rules": {
		"", "type=alert", "type=ALERT", "type=x", "type=X", "match[]=up(", "match[]=%7B%7D", "exclude_alerts=x", "exclude_alerts=TRUE", "exclude_alerts=2", "group_limit=x", "group_limit=0", "group_limit=-1",
		"group_limit=99999999999", "group_limit=1", "group_next_token=x", "rule_name[]=a&rule_group[]=b&file[]=c",
	},
	"search_metric_names": append([]string{"include_metadata=x", "include_metadata=true"}, searchQuestions...),
	"search_label_names":  searchQuestions,
	"search_label_values": {"label=job", "", "label=", "label=job&limit=x", "label=job&sort_by=x"},
}

var searchQuestions = []string{
	"", "start=x", "end=x", "start=2&end=1", "start=1&end=1", "match[]=up(", "match[]=%7B%7D", "fuzz_threshold=x", "fuzz_threshold=-1", "fuzz_threshold=101", "fuzz_threshold=100",
	"case_sensitive=x", "include_score=x", "include_score=1", "sort_by=x", "sort_by=alpha", "sort_by=score", "sort_by=score&search[]=a", "sort_dir=asc", "sort_by=alpha&sort_dir=x", "sort_by=alpha&sort_dir=dsc",
	"sort_by=score&sort_dir=asc&search[]=a", "limit=x", "limit=0", "limit=-1", "limit=5", "batch_size=x", "batch_size=0", "batch_size=5", strings.Repeat("search[]=a&", 32), strings.Repeat("search[]=a&", 33),
}

// times are put in place of every time of every endpoint.
var times = []string{
	"0", "1", "-1", "1767225600.123456789", "1e3", "0x10", "1_000", "1767225600000", "1516639660800", "253402300800", "-62135596801", "9e15", "-9e15", ".5", "5.", "+5",
	"1970-01-01T00:00:00Z", "2026-01-01T00:00:00.123456789%2B02:00", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01T00:00:00+02:00", "2026-13-01T00:00:00Z", "now", "5m", "1 ", " 1", "1s",
	"-292273086-05-16T16:47:06Z", "292277025-08-18T07:12:54.999999999Z", "-292273086-05-16T16:47:07Z", "50000-01-01T00:00:00Z",
}

func timeQuestions() map[string][]string {
	out := map[string][]string{}
	for _, v := range times {
		v = strings.NewReplacer(" ", "%20", "+", "%2B").Replace(v)
		out["query"] = append(out["query"], "query=up&time="+v)
		out["query_range"] = append(out["query_range"], "query=up&step=100d&start="+v+"&end="+v)
		out["labels"] = append(out["labels"], "start="+v, "end="+v)
		out["search_label_names"] = append(out["search_label_names"], "start="+v+"&end="+v)
	}
	return out
}

// words are what the gateway says to a question; empty where it lets it pass.
type words struct {
	Error string `json:"error"`
}

// passed answers every question that the gateway lets through.
type passed struct{}

func (passed) RoundTrip(r *http.Request) (*http.Response, error) {
	body := "{}"
	return &http.Response{
		StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, Request: r, ContentLength: int64(len(body)),
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)),
	}, nil
}

// everybody may query the only project.
type everybody struct{}

func (everybody) Recognizes(auth.Credential) bool { return true }
func (everybody) Authenticate(context.Context, auth.Credential) (*auth.Identity, error) {
	return &auth.Identity{Grants: []auth.Grant{{ProjectUID: "p", WholeProject: true}}}, nil
}

func newGateway() *gateway.Gateway {
	routes := &routing.Current{}
	routes.Store(routing.NewTable([]*routing.Environment{{
		Project: &routing.Project{Name: "p", UID: "p"}, Name: "e", UID: "e",
		Target: &routing.Target{Base: &url.URL{Scheme: "http", Host: "upstream"}, Transport: passed{}},
	}}))
	return gateway.New(gateway.Options{
		Routes: routes, Auth: auth.Union{everybody{}}, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
		Limits: gateway.Limits{
			Default: gateway.Budget{
				MaxQueryLength: 1 << 20, MaxRange: math.MaxInt64, MaxLookback: math.MaxInt64, MaxPoints: 11000, MaxEvaluations: math.MaxInt64,
				MaxResponseBytes: 1 << 20, MaxConcurrent: 10, RequestsPerSecond: 1e6, Burst: 1e6,
			},
			MaxConcurrentTarget: 10, MaxConcurrentTargetProject: 10, MaxConcurrentTotal: 10, MaxRequestBody: 1 << 20, MaxRemoteReadBody: 1 << 20,
			RequestBodyTimeout: patience, ResponseHeaderTimeout: patience, RequestTimeout: patience,
		},
	})
}

// ask returns the words of a refusal with 400, without the request id.
func ask(t *testing.T, h http.Handler, target string) string {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Header.Set("Authorization", "Bearer x")
	w := httptest.NewRecorder()
	func() {
		defer func() { _ = recover() }() // of an answer from no data: the question was good
		h.ServeHTTP(w, r)
	}()
	if w.Code != http.StatusBadRequest {
		return ""
	}
	var body words
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatal(err)
	}
	message, _, _ := strings.Cut(body.Error, " (request id "+w.Header().Get("X-Request-Id"))
	return message
}

func TestSameWordsAsPrometheus(t *testing.T) {
	api, ours := realAPI(t), newGateway()
	paths := map[string]string{}
	for _, e := range gateway.Endpoints() {
		paths[e.Name] = "/" + strings.Replace(e.Path, "{name}", "job", 1)
	}
	asked, refused := 0, 0
	for _, questions := range []map[string][]string{sameAsPrometheus, timeQuestions()} {
		for name, queries := range questions {
			for _, q := range queries {
				want := ask(t, api, paths[name]+"?"+q)
				got := ask(t, ours, "/projects/p/environments/e"+paths[name]+"?"+q)
				if got != want {
					t.Errorf("%s?%s:\n got %s\nwant %s", name, q, got, want)
				}
				asked++
				if want != "" {
					refused++
				}
			}
		}
	}
	t.Logf("%d questions, of which Prometheus refuses %d", asked, refused)
}
