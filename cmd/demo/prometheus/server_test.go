package prometheus_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/promgate/promgate/cmd/demo/prometheus"
)

// start runs a server for the time of a test.
func start(t *testing.T, opts prometheus.Options) *prometheus.Server {
	t.Helper()
	s, err := prometheus.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// get answers status and body of a route.
func get(t *testing.T, s *prometheus.Server, route string, params ...string) (int, string) {
	t.Helper()
	form := url.Values{}
	for i := 0; i < len(params); i += 2 {
		form.Add(params[i], params[i+1])
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport}).Get(s.URL() + route + "?" + form.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func atEnd() string { return strconv.FormatInt(prometheus.FixtureEnd().Unix(), 10) }

func TestFixtureAnswers(t *testing.T) {
	s := start(t, prometheus.Fixture())
	end, begin := atEnd(), strconv.FormatInt(prometheus.FixtureStart().Unix(), 10)
	rateAt := func(v string) string {
		return `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[` + end + `,"` + v + `"]}]}}`
	}
	for _, c := range []struct {
		name, route string
		params      []string
		want        string
	}{
		{"rate", "/api/v1/query", []string{"query", `round(sum(rate(http_requests_total{namespace="shop",handler="/"}[5m])), 0.1)`, "time", end}, rateAt("10.2")},
		{"classic histogram", "/api/v1/query",
			[]string{"query", `round(sum(rate(http_request_duration_seconds_count{namespace="billing"}[5m])), 0.1)`, "time", end}, rateAt("7.8")},
		{"native histogram", "/api/v1/query", []string{"query", `round(sum(histogram_count(rate(rpc_duration_seconds[1m]))) * 15, 0.1)`, "time", end}, rateAt("8")},
		{"UTF-8 name", "/api/v1/query", []string{"query", `sum({"http.status code","service.name"="größe"})`, "time", end}, rateAt("3600")},
		{"experimental function", "/api/v1/query", []string{"query", `sum(mad_over_time(up[5m]))`, "time", end}, rateAt("0")},
		{"stale series", "/api/v1/query", []string{"query", `ended`, "time", end},
			`{"status":"success","data":{"resultType":"vector","result":[]}}`},
		{"edge values", "/api/v1/query", []string{"query", `edge_value{kind="small"}`, "time", end},
			`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"edge_value","kind":"small"},"value":[` + end + `,"5e-324"]}]}}`},
		{"recorded", "/api/v1/query", []string{"query", `round(sum(namespace:http_requests:rate5m{namespace="shop"}), 0.1)`, "time", end}, rateAt("15.6")},
		{"range", "/api/v1/query_range", []string{"query", `queue_depth{namespace="shop"}`, "start", begin, "end", begin + ".5", "step", "15"},
			`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"queue_depth","job":"api","namespace":"shop"},"values":[[` + begin + `,"0"]]}]}}`},
		{"label values", "/api/v1/label/code/values", nil, `{"status":"success","data":["200","404","500"]}`},
		{"metadata", "/api/v1/metadata", []string{"metric", "queue_depth"},
			`{"status":"success","data":{"queue_depth":[{"type":"gauge","unit":"","help":"Jobs that wait."}]}}`},
		{"healthy", "/-/healthy", nil, "Prometheus Server is Healthy.\n"},
		{"ready", "/-/ready", nil, "Prometheus Server is Ready.\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if status, body := get(t, s, c.route, c.params...); status != http.StatusOK || body != c.want {
				t.Errorf("got %d %s\nwant 200 %s", status, body, c.want)
			}
		})
	}
}

func TestFixtureRulesAlertsExemplars(t *testing.T) {
	s := start(t, prometheus.Fixture())
	var alerts struct {
		Data struct {
			Alerts []struct {
				Labels map[string]string
				State  string
			}
		}
	}
	decode(t, s, &alerts, "/api/v1/alerts")
	states := map[string]int{}
	for _, a := range alerts.Data.Alerts {
		states[a.Labels["alertname"]+" "+a.State]++
	}
	if states["InstanceDown firing"] != 1 || states["ErrorsHigh pending"] != 2 || len(states) != 2 {
		t.Errorf("alerts are %v", states)
	}

	var rules struct {
		Data struct {
			Groups []struct {
				Name  string
				Rules []struct{ Name, Health, Type string }
			}
		}
	}
	decode(t, s, &rules, "/api/v1/rules")
	var seen []string
	for _, g := range rules.Data.Groups {
		for _, r := range g.Rules {
			seen = append(seen, g.Name+"/"+r.Name+"/"+r.Type+"/"+r.Health)
		}
	}
	want := "alerts/InstanceDown/alerting/ok alerts/ErrorsHigh/alerting/ok alerts/NeverFires/alerting/ok " +
		"requests/namespace:http_requests:rate5m/recording/ok"
	if got := strings.Join(seen, " "); got != want {
		t.Errorf("rules are %s\nwant      %s", got, want)
	}

	var exemplars struct {
		Data []struct {
			SeriesLabels map[string]string
			Exemplars    []struct{ Labels map[string]string }
		}
	}
	decode(t, s, &exemplars, "/api/v1/query_exemplars", "query", `http_requests_total{code="404",namespace="shop"}`,
		"start", strconv.FormatInt(prometheus.FixtureStart().Unix(), 10), "end", atEnd())
	if len(exemplars.Data) != 1 || len(exemplars.Data[0].Exemplars) != 12 ||
		exemplars.Data[0].Exemplars[0].Labels["trace_id"] != "trace-shop-404-20" {
		t.Errorf("exemplars are %+v", exemplars.Data)
	}
}

func decode(t *testing.T, s *prometheus.Server, into any, route string, params ...string) {
	t.Helper()
	status, body := get(t, s, route, params...)
	if status != http.StatusOK {
		t.Fatalf("%s: %d %s", route, status, body)
	}
	if err := json.Unmarshal([]byte(body), into); err != nil {
		t.Fatalf("%s: %v", route, err)
	}
}

func TestRoutesOfTheWholeServer(t *testing.T) {
	s := start(t, prometheus.Fixture())
	for route, want := range map[string]int{
		"/api/v1/status/buildinfo":        http.StatusOK,
		"/api/v1/status/config":           http.StatusOK,
		"/api/v1/status/flags":            http.StatusOK,
		"/api/v1/status/runtimeinfo":      http.StatusOK,
		"/api/v1/status/tsdb":             http.StatusOK,
		"/api/v1/status/walreplay":        http.StatusOK,
		"/api/v1/targets":                 http.StatusOK,
		"/api/v1/alertmanagers":           http.StatusOK,
		"/api/v1/features":                http.StatusOK,
		"/api/v1/openapi.yaml":            http.StatusOK,
		"/api/v1/search/metric_names":     http.StatusOK,
		"/api/v1/search/label_names":      http.StatusOK,
		"/api/v1/search/label_values":     http.StatusBadRequest,
		"/api/v1/series":                  http.StatusBadRequest,
		"/api/v1/query_exemplars":         http.StatusBadRequest,
		"/api/v1/format_query?query=a":    http.StatusOK,
		"/api/v1/notifications":           http.StatusOK,
		"/federate?match[]=up":            http.StatusOK,
		"/metrics":                        http.StatusOK,
		"/api/v1/nothing":                 http.StatusNotFound,
		"/api/v1/label/http.route/values": http.StatusOK,
	} {
		path, query, _ := strings.Cut(route, "?")
		name, val, _ := strings.Cut(query, "=")
		if status, body := get(t, s, path, name, val); status != want {
			t.Errorf("%s answers %d %.200s, want %d", route, status, body, want)
		}
	}
	resp, err := http.Post(s.URL()+"/api/v1/admin/tsdb/snapshot", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		t.Error("the admin API is on")
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestTwoServersAtOnce(t *testing.T) {
	a := start(t, prometheus.Options{
		RoutePrefix: "/a/", ScrapeSelf: true, ScrapeInterval: time.Second, ExternalLabels: map[string]string{"replica": "a"},
	})
	b := start(t, prometheus.Fixture())
	if !strings.HasSuffix(a.URL(), "/a") {
		t.Errorf("URL is %s", a.URL())
	}
	now := time.Now()
	err := a.Append(t.Context(), func(app prometheus.Appender) error {
		_, err := app.Append(0, labels.FromStrings(model.MetricNameLabel, "only_a"), 0, now.UnixMilli(), 7, nil, nil, storage.AppendV2Options{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	instant := strconv.FormatFloat(float64(now.UnixMilli())/1000, 'f', -1, 64)
	if _, body := get(t, a, "/api/v1/query", "query", "only_a", "time", instant); !strings.Contains(body, `"7"`) {
		t.Errorf("a answers %s", body)
	}
	if _, body := get(t, b, "/api/v1/label/__name__/values"); strings.Contains(body, "only_a") {
		t.Errorf("b knows the series of a: %s", body)
	}

	// The own metrics, under the server's address, and answered by a successful scrape.
	own := `count(prometheus_tsdb_head_series{job="prometheus"} and on (instance) up{instance="` + a.Addr() + `"} == 1)`
	deadline := time.Now().Add(time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		_, body := get(t, a, "/api/v1/query", "query", own)
		if strings.Contains(body, `"1"`) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("a never scraped itself: %s", body)
		}
		<-tick.C
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	s, err := prometheus.Start(t.Context(), prometheus.Options{
		ScrapeSelf: true, ScrapeInterval: 50 * time.Millisecond, RuleInterval: 50 * time.Millisecond,
		Rules: "groups: [{name: g, rules: [{record: r, expr: vector(1)}, {alert: a, expr: vector(1)}]}]",
	})
	if err != nil {
		t.Fatal(err)
	}
	idle, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	if status, body := get(t, s, "/api/v1/rules"); status != http.StatusOK || !strings.Contains(body, `"health":"ok"`) {
		t.Errorf("rules right after start: %d %s", status, body)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	idle.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for runtime.NumGoroutine() > before {
		select {
		case <-ctx.Done():
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines before, %d after\n%s", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
		case <-time.After(10 * time.Millisecond):
		}
	}
	if _, err := net.Dial("tcp", s.Addr()); err == nil {
		t.Error("something still listens")
	}
}

func TestRestartKeepsData(t *testing.T) {
	opts := prometheus.Fixture()
	opts.Dir = filepath.Join(t.TempDir(), "data")
	s, err := prometheus.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	query := []string{"query", `count(http_requests_total)`, "time", atEnd()}
	_, want := get(t, s, "/api/v1/query", query...)
	opts.Addr = s.Addr()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(opts.Dir); err != nil {
		t.Fatalf("Close removed a directory it did not make: %v", err)
	}
	again := start(t, opts)
	if _, got := get(t, again, "/api/v1/query", query...); got != want || !strings.Contains(got, `"10"`) {
		t.Errorf("after the restart %s, before %s", got, want)
	}
	if again.Addr() != opts.Addr {
		t.Errorf("listens on %s, want %s", again.Addr(), opts.Addr)
	}
}

func TestStartRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		opts prometheus.Options
		want string
	}{
		"not loopback": {prometheus.Options{Addr: "0.0.0.0:0"}, "loopback only"},
		"bad rules":    {prometheus.Options{Rules: "groups: [{name: g, rules: [{record: r, expr: '('}]}]"}, "cannot load its rules"},
		"bad target":   {prometheus.Options{Targets: []prometheus.Target{{Job: "", Address: "127.0.0.1:1"}}}, "no valid Prometheus configuration"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := prometheus.Start(t.Context(), c.opts)
			if err == nil {
				s.Close()
				t.Fatal("it started")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %q, want %q in it", err, c.want)
			}
		})
	}
}

func TestVersionIsTheModules(t *testing.T) {
	mod, err := os.ReadFile("../../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(prometheus.Version, ".")
	if want := "github.com/prometheus/prometheus v0." + parts[0] + parts[1] + "." + parts[2]; !strings.Contains(string(mod), want) {
		t.Errorf("Version is %s, but go.mod does not require %s", prometheus.Version, want)
	}
}

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		s, err := prometheus.Start(b.Context(), prometheus.Fixture())
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
