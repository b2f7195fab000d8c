package e2e

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"

	"github.com/promgate/promgate/cmd/demo/prometheus"
)

// owners are the namespaces on the shared server, each with the mark that its names and values carry. What is in cluster us
// carries usMark besides.
var owners = []struct{ namespace, mark string }{{"shop", "shopmark"}, {"billing", "billingmark"}, {"zz-canary", "canary"}}

const usMark = "usmark"

// lookalikes are namespaces that a matcher might take for another one, and "", which is none.
var lookalikes = []string{"", "SHOP", "Shop", "shop ", " shop", "shop\n", "shopx", "xshop", "shop|billing", "shop-canary", "canary.shop", "^shop$", ".*", "billing-"}

// viewer is an environment of the shared server: what it enforces, and what must never show in it.
type viewer struct {
	project, enforce string
	labels           map[string][]string
	hidden           []string
	secret           string
	// groups, alerts and families are all the rules, alerts and metadata that are its own.
	groups, alerts, families []string
}

func tenantViewers() []*viewer {
	return []*viewer{
		{
			project: "shop", enforce: "{namespace: [shop]}", labels: map[string][]string{"namespace": {"shop"}}, hidden: []string{"canary", "billingmark"},
			groups: []string{"mixed mixed:shopmark mixed:fails", "shopmark-group shopmark:rate ShopmarkUp ShopmarkPending", "shopmark-fails shopmark:fails"},
			alerts: []string{
				"Everybody shopmark-0:80", "Everybody usmark-shopmark-0:80", "ShopmarkPending usmark-shopmark-0:80", "ShopmarkUp shopmark-0:80", "ShopmarkUp shopmark-0:80",
			},
			families: []string{"shared_om_seconds", "shared_scraped_seconds", "shared_scraped_total", "shopmark_om", "shopmark_orders_count", "shopmark_scraped"},
		},
		{
			project: "billing", enforce: "{namespace: billing}", labels: map[string][]string{"namespace": {"billing"}}, hidden: []string{"canary", "shopmark"},
			groups: []string{"mixed Templated", "billingmark-group billingmark:rate BillingmarkUp BillingmarkPending", "billingmark-fails billingmark:fails"},
			alerts: []string{
				"BillingmarkPending usmark-billingmark-0:80", "BillingmarkUp billingmark-0:80", "BillingmarkUp billingmark-0:80",
				"Everybody billingmark-0:80", "Everybody usmark-billingmark-0:80", "Templated billingmark-0:80",
			},
			families: []string{"billingmark_scraped", "shared_om_seconds", "shared_scraped_seconds", "shared_scraped_total"},
		},
		{
			project: "both", enforce: "{namespace: [shop, billing], cluster: eu}", hidden: []string{"canary", usMark},
			labels: map[string][]string{"namespace": {"shop", "billing"}, "cluster": {"eu"}},
			groups: []string{"mixed mixed:shopmark mixed:fails Templated", "shopmark-group shopmark:rate ShopmarkUp", "billingmark-group billingmark:rate BillingmarkUp"},
			alerts: []string{
				"BillingmarkUp billingmark-0:80", "BillingmarkUp billingmark-0:80", "Everybody billingmark-0:80", "Everybody shopmark-0:80",
				"ShopmarkUp shopmark-0:80", "ShopmarkUp shopmark-0:80", "Templated billingmark-0:80",
			},
			families: []string{
				"billingmark_scraped", "shared_om_seconds", "shared_scraped_seconds", "shared_scraped_total", "shopmark_om", "shopmark_orders_count", "shopmark_scraped",
			},
		},
	}
}

// base is the URL of a viewer's environment.
func (v *viewer) base(g *running) string { return g.base(v.project + "/production") }

// tenantGateway serves the viewers, and open, where nothing is enforced, on one server.
func tenantGateway(t testing.TB, address string, viewers ...*viewer) (*running, *viewer) {
	t.Helper()
	open := &viewer{project: "open"}
	all := append(slices.Clone(viewers), open)
	var environments []string
	for _, v := range all {
		settings := fmt.Sprintf("url: %q, allow: [federate, remoteRead]", address)
		if v.enforce != "" {
			settings += ", enforce: " + v.enforce
		}
		environments = append(environments, v.project+"/production: "+settings)
	}
	path := configuration(t, "", "", environments...)
	for _, v := range all {
		v.secret, _ = token(t, path, v.project)
	}
	return serve(t, path), open
}

// tenantSeries is one series of the shared server.
type tenantSeries struct {
	labels.Labels
	value             func(step int) float64
	native, exemplars bool
	mark              string
}

const (
	tenantStep  = 30 * time.Second
	tenantSteps = 120
)

// allSeries is everything on the shared server.
func allSeries() []tenantSeries {
	var all []tenantSeries
	for i, o := range owners {
		for j, cluster := range []string{"eu", "us"} {
			mark := o.mark
			if cluster == "us" {
				mark = usMark + "-" + mark
			}
			all = append(all, seriesOf(o.mark, float64(3*i+j+1), "namespace", o.namespace, "cluster", cluster, "job", "api", "instance", mark+"-0:80")...)
		}
	}
	for i, namespace := range lookalikes {
		pairs := []string{"__name__", "shared_queue", "cluster", "eu", "job", "api", "exported_namespace", "shop", "instance", fmt.Sprintf("canary-lookalike-%d:80", i)}
		if namespace != "" {
			pairs = append(pairs, "namespace", namespace)
		}
		all = append(all, tenantSeries{Labels: labels.FromStrings(pairs...), value: func(int) float64 { return 77 }})
	}
	return all
}

// seriesOf are a tenant's in one cluster: some with the names that all have, and some of its own.
func seriesOf(mark string, factor float64, base ...string) []tenantSeries {
	var all []tenantSeries
	add := func(name string, value func(int) float64, pairs ...string) *tenantSeries {
		all = append(all, tenantSeries{Labels: labels.FromStrings(append(append([]string{"__name__", name}, base...), pairs...)...), value: value, mark: mark})
		return &all[len(all)-1]
	}
	per := func(n float64) func(int) float64 { return func(step int) float64 { return n * factor * float64(step) } }
	for i, code := range []string{"200", "500"} {
		add("shared_requests_total", per(float64(30/(i+1))), "code", code, "path", "/"+mark).exemplars = true
	}
	for i, le := range []string{"0.1", "1", "+Inf"} {
		add("shared_latency_seconds_bucket", per(float64(i+1)), "le", le)
	}
	add("shared_latency_seconds_count", per(3))
	add("shared_latency_seconds_sum", per(2))
	add("shared_native_seconds", per(1)).native = true
	add("shared_queue", func(step int) float64 { return factor + float64(step%7) })
	add("up", func(int) float64 { return 1 })
	add("target_info", func(int) float64 { return 1 }, "k8s_cluster_name", mark+"-k8s")
	add("shared.utf8 metric", per(4), "shared.label", mark+" größe")
	add("shared_ended", func(step int) float64 {
		if step > tenantSteps/2 {
			return math.Float64frombits(value.StaleNaN)
		}
		return factor
	})
	add(mark+"_only", per(1), mark+"_label", mark+"-value-1")
	add(mark+"_only", per(2), mark+"_label", mark+"-value-2")
	add(mark+".utf8 metric", per(5), mark+".label", mark+" value ü")
	return all
}

// fillTenants appends the series that are kept, whose last sample is at the given time.
func fillTenants(at time.Time, keep func(labels.Labels) bool) func(context.Context, prometheus.Appender) error {
	return func(_ context.Context, app prometheus.Appender) error {
		for step := range tenantSteps + 1 {
			ms := at.Add(time.Duration(step-tenantSteps) * tenantStep).UnixMilli()
			for _, s := range allSeries() {
				if !keep(s.Labels) {
					continue
				}
				var h *histogram.Histogram
				if s.native {
					n := int64(s.value(step))
					h = &histogram.Histogram{
						ZeroThreshold: 0.001, ZeroCount: uint64(n), Count: uint64(4 * n), Sum: 7 * float64(n),
						PositiveSpans: []histogram.Span{{Length: 3}}, PositiveBuckets: []int64{n, 0, 0},
					}
				}
				if _, err := app.Append(0, s.Labels, 0, ms, s.value(step), h, nil, s.options(step, ms)); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

func (s tenantSeries) options(step int, ms int64) storage.AppendV2Options {
	if !s.exemplars || step == 0 || step%40 != 0 {
		return storage.AppendV2Options{}
	}
	trace := labels.FromStrings("trace_id", s.mark+"-trace-"+strconv.Itoa(step), s.mark+"_span", "a")
	return storage.AppendV2Options{Exemplars: []exemplar.Exemplar{{Labels: trace, Value: 0.25, Ts: ms, HasTs: true}}}
}

// keepAll, keepNothing and keepOf choose the series of a server.
func keepAll(labels.Labels) bool     { return true }
func keepNothing(labels.Labels) bool { return false }

func keepOf(enforced map[string][]string) func(labels.Labels) bool {
	return func(ls labels.Labels) bool {
		for name, values := range enforced {
			found := false
			for _, v := range values {
				found = found || ls.Get(name) == v
			}
			if !found {
				return false
			}
		}
		return true
	}
}

// experiments are the features that a server has switched on, and all that an expression may need.
const experiments = "exemplar-storage,promql-experimental-functions,promql-extended-range-selectors,promql-binop-fill-modifiers,search-api"

// tenantServer runs the whole Prometheus server with the series that are kept. What it scrapes is in config, and
// its rules are files by their name.
func tenantServer(t testing.TB, at time.Time, keep func(labels.Labels) bool, features, config string, rules map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	filled, err := prometheus.Start(t.Context(), prometheus.Options{Dir: data, FrozenAt: at, Backfill: fillTenants(at, keep)})
	must(t, err)
	must(t, filled.Close())
	config = "global: {scrape_interval: 1s, evaluation_interval: 1s, external_labels: {replica: one, cluster: eu}}\n" + config
	if len(rules) > 0 {
		config += "rule_files:\n"
	}
	for name, text := range rules {
		config += "  - " + name + "\n"
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	path := filepath.Join(dir, "prometheus.yml")
	must(t, os.WriteFile(path, []byte(config), 0o600))
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self, wholePrometheus(t), "--config.file="+path, "--storage.tsdb.path="+data, "--web.listen-address=127.0.0.1:0",
		"--query.lookback-delta=30m", "--enable-feature="+features)
	cmd.Env = append(os.Environ(), beKeeper+"=1")
	p := spawn(t, "Prometheus", cmd)
	address := ""
	p.log.await(t, "address", p.ended, func(line string) bool {
		found := listening.FindStringSubmatch(line)
		if found != nil {
			address = "http://" + found[1]
		}
		return found != nil
	})
	eventually(t, func() error { return wantStatus(ask(get(address+"/-/ready")), http.StatusOK) })
	return address
}

// tenantScrape has a server scrape what a tenant could export; the series say themselves whose they are.
const tenantScrape = `scrape_configs:
  - job_name: canary-job
    honor_labels: true
    static_configs: [{targets: [ADDRESS]}]
  - job_name: canary-openmetrics
    honor_labels: true
    metrics_path: /openmetrics
    static_configs: [{targets: [ADDRESS]}]
`

// exported is a family on the scraped target: who has it, and how its series ends.
type exported struct{ family, kind, help, series, unit string }

// families are what the scraped target says, by the mark of whoever has it alone.
var families = map[string][]exported{
	"": {
		{"shared_scraped_total", "counter", "Of everybody.", "shared_scraped_total", ""},
		{"shared_scraped_seconds", "histogram", "Of everybody, too.", "shared_scraped_seconds_count", ""},
	},
	"shopmark": {
		{"shopmark_scraped", "gauge", "Of shopmark.", "shopmark_scraped", ""},
		{"shopmark_orders_count", "gauge", "Of shopmark.", "shopmark_orders_count", ""},
	},
	"billingmark": {{"billingmark_scraped", "gauge", "Of billingmark.", "billingmark_scraped", ""}},
	"canary": {
		{"canary_scraped", "gauge", "What the canary says.", "canary_scraped", ""},
		{"shopmark_orders", "gauge", "Not a family of the canary's neighbour.", "shopmark_orders", ""},
		{"billingmark_scraped_total", "counter", "The canary's counter.", "billingmark_scraped_total", ""},
	},
}

// openFamilies are those in the format of OpenMetrics.
var openFamilies = map[string][]exported{
	"":         {{"shared_om_seconds", "counter", "Seconds of everybody.", "shared_om_seconds_total", "seconds"}},
	"shopmark": {{"shopmark_om", "unknown", "Of shopmark.", "shopmark_om", ""}},
	"canary":   {{"canary_om_bytes", "gauge", "Bytes of the canary.", "canary_om_bytes", "bytes"}},
}

// scraped is the target.
func scraped(t testing.TB) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/openmetrics" {
			w.Header().Set("Content-Type", "application/openmetrics-text; version=1.0.0")
			_, _ = w.Write([]byte(exposition(openFamilies) + "# EOF\n"))
			return
		}
		_, _ = w.Write([]byte(exposition(families)))
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func exposition(families map[string][]exported) string {
	var b strings.Builder
	for mark, list := range families {
		for _, f := range list {
			fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", f.family, f.help, f.family, f.kind)
			if f.unit != "" {
				fmt.Fprintf(&b, "# UNIT %s %s\n", f.family, f.unit)
			}
			for _, o := range owners {
				if mark == "" || mark == o.mark {
					fmt.Fprintf(&b, "%s{namespace=%q,cluster=\"eu\",job=\"api\",instance=\"%s-0:80\"} 1\n", f.series, o.namespace, o.mark)
				}
			}
		}
	}
	return b.String()
}

// tenantRules are rule files of each tenant, and one of the platform's.
var tenantRules = map[string]string{
	"shopmark.yml":      groupsOf("shopmark", "Shopmark", "shop"),
	"billingmark.yml":   groupsOf("billingmark", "Billingmark", "billing"),
	"canary-rules.yml":  groupsOf("canary", "Canary", "zz-canary"),
	"canary-second.yml": strings.ReplaceAll(groupsOf("canary", "CanarySecond", "zz-canary"), "-group", "-more"),
	"common.yml": `groups:
  - name: nobody
    rules:
      - {record: "all:canary", expr: count(shared_queue)}
      - {record: "all:queue", expr: "sum by (namespace, cluster) (shared_queue)"}
  - name: mixed
    rules:
      - {record: "canary:mixed", expr: 'sum(shared_queue{namespace="zz-canary"})'}
      - {record: "mixed:shopmark", expr: 'sum by (namespace, cluster) (shared_queue{namespace="shop",cluster="eu"})'}
      - {record: "mixed:fails", labels: {namespace: shop, cluster: eu}, expr: 'shared_queue{namespace=~"zz-.*"} * on (job) shared_queue{namespace=~"zz-.*"}'}
      - {alert: CanaryOther, expr: 'shared_queue{namespace="shop",cluster="eu"} > 0', labels: {namespace: zz-canary}, annotations: {text: canary annotation}}
      - {alert: Templated, expr: 'shared_queue{namespace="billing",cluster="eu"} > 0', labels: {namespace: "{{ $labels.namespace }}"}}
      - {alert: Everybody, expr: 'up{instance=~".+-0:80"} == 1', labels: {severity: ticket}, annotations: {text: "{{ $labels.instance }} of {{ $labels.namespace }}"}}
`,
}

// groupsOf are a tenant's own: one that records, two that alert in one cluster each, and one that fails and says why.
func groupsOf(mark, title, namespace string) string {
	return strings.NewReplacer("MARK", mark, "TITLE", title, "NAMESPACE", namespace).Replace(`groups:
  - name: MARK-group
    rules:
      - {record: "MARK:rate", expr: 'sum by (namespace, cluster) (rate(shared_requests_total{namespace="NAMESPACE",cluster="eu"}[5m]))', labels: {MARK_rule: MARK-value-rule}}
      - {alert: TITLEUp, expr: 'MARK_only{namespace="NAMESPACE",cluster="eu"} > 0', labels: {severity: page}, annotations: {summary: "MARK summary {{ $labels.instance }}"}}
      - {alert: TITLEPending, expr: 'up{namespace="NAMESPACE",cluster="us"} == 1', for: 10h, annotations: {MARK_annotation: "usmark {{ $value }}"}}
  - name: MARK-fails
    rules:
      - {record: "MARK:fails", expr: 'shared_queue{namespace="NAMESPACE"} * on (job) shared_requests_total{namespace="NAMESPACE"}'}
`)
}
