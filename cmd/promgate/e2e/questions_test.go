package e2e

import (
	"regexp"
	"strings"
)

// The fixture's first and last instant, in the forms that the API takes.
const (
	start, end = "1767225600", "1767229200"
	endRFC     = "2026-01-01T01:00:00Z"
	span       = "start=" + start + "&end=" + end
)

// question is one request of the read API.
type question struct {
	name   string
	params string // as in a URL; spaces and the like are escaped when it is sent
	path   string // below the base URL; empty: the endpoint's own
	accept string // Accept
	status int    // what Prometheus answers; 0: 200
	// own tells that the gateway answers by itself, in Prometheus' words.
	own bool
	// varies matches what differs from one answer to the next.
	varies *regexp.Regexp
	body   []byte // instead of parameters
}

var (
	timings  = regexp.MustCompile(`"timings":\{[^}]*\}`)
	instants = regexp.MustCompile(`\[1[0-9]{9}(\.[0-9]+)?,`)
)

// questions are asked of every endpoint, by its name.
var questions = map[string][]question{
	"query": {
		{name: "vector", params: "time=" + end + `&query=sum by (handler, code) (rate(http_requests_total{namespace="shop"}[5m]))`},
		{name: "scalar", params: "time=" + end + "&query=scalar(sum(up)) / 3"},
		{name: "string", params: "time=" + end + `&query="ü \"quoted\" \n <b>%26amp;"`},
		{name: "matrix", params: "time=" + end + "&query=up[1m]"},
		{name: "nothing", params: "time=" + end + "&query=absent_metric"},
		{name: "classic histogram", params: "time=" + end + "&query=histogram_quantile(0.9, sum by (le, namespace) (rate(http_request_duration_seconds_bucket[5m])))"},
		{name: "native histogram", params: "time=" + end + "&query=rpc_duration_seconds"},
		{name: "native histogram range vector", params: "time=" + end + "&query=rpc_duration_seconds[45s]"},
		{name: "rate of native histograms", params: "time=" + end + "&query=sum(rate(rpc_duration_seconds[5m]))"},
		{name: "UTF-8 names", params: "time=" + end + `&query={"http.status code", "service.name"=~"grö.*"}`},
		{name: "edge values", params: "time=" + end + "&query=edge_value or -edge_value"},
		{name: "stale series", params: "time=" + end + "&query=ended"},
		{name: "stats", params: "time=" + end + "&query=sum(rate(http_requests_total[5m]))&stats=all", varies: timings},
		{name: "some stats", params: "time=" + end + "&query=up&stats=true", varies: timings},
		{name: "limit with a warning", params: "time=" + end + "&query=http_requests_total&limit=2"},
		{name: "lookback", params: "time=1767229209&query=up&lookback_delta=5s"},
		{name: "longer lookback", params: "time=1767229209&query=up&lookback_delta=1m"},
		{name: "timeout", params: "time=" + end + "&query=up&timeout=30s"},
		{name: "RFC 3339", params: "time=2026-01-01T00:59:59.5%2B00:00&query=up"},
		{name: "fraction", params: "time=1767229200.123&query=time()"},
		{name: "time before 1970", params: "time=-1&query=time()"},
		{name: "milliseconds as seconds", params: "time=1767229200000&query=vector(1)"},
		{name: "least time", params: "time=-292273086-05-16T16:47:06Z&query=vector(1)"},
		{name: "no time", params: "query=vector(1)", varies: instants},
		{name: "infos", params: "time=" + end + "&query=rate(queue_depth[5m])"},
		{name: "warnings", params: "time=" + end + "&query=quantile(2, up)"},
		{name: "experimental function", params: "time=" + end + `&query=sort_by_label(mad_over_time(queue_depth[5m]), "namespace")`},
		{name: "duration expression", params: "time=" + end + "&query=count_over_time(up[2m%2B1m])"},
		{name: "fill modifier", params: "time=" + end + "&query=queue_depth %2B on (namespace) fill(7) namespace:http_requests:rate5m{namespace=\"shop\"}"},
		{name: "extended range selectors", params: "time=" + end + "&query=increase(http_requests_total[1m] smoothed) or increase(queue_depth[1m] anchored)"},
		{name: "at and offsets", params: "time=" + end + "&query=up @ start() %2B up offset -15s %2B up @ " + start + " offset -1m"},
		{name: "subquery", params: "time=" + end + "&query=max_over_time(rate(http_requests_total[1m])[10m:1m])"},
		{name: "order kept", params: "time=" + end + "&query=topk(3, http_requests_total)"},
		{name: "comments and lines", params: "time=" + end + "&query=up # who is\n== 1 # up?\n"},
		{name: "long", params: "time=" + end + "&query=up" + strings.Repeat(` or up{job="`+strings.Repeat("x", 80)+`"}`, 400)},
		{name: "nearly too long for a URL", params: "time=" + end + `&query=up{job!~"` + strings.Repeat("x", 59_000) + `"}`},
		{name: "no query", params: "time=" + end, status: 400, own: true},
		{name: "parse error", params: "query=sum(rate(up[5m])", status: 400, own: true},
		{name: "parse error after UTF-8", params: `query={"höhe ü"} %2B%2B`, status: 400, own: true},
		{name: "two parse errors", params: "query=foo(up) %2B bar(up)", status: 400, own: true},
		{name: "type error", params: "query=rate(up)", status: 400, own: true},
		{name: "bad time", params: "query=up&time=yesterday", status: 400, own: true},
		{name: "bad timeout", params: "query=up&timeout=soon", status: 400, own: true},
		{name: "bad lookback", params: "query=up&lookback_delta=far", status: 400, own: true},
		{name: "bad limit", params: "query=up&limit=few", status: 400, own: true},
		{name: "negative limit", params: "query=up&limit=-1", status: 400, own: true},
		{name: "bad regular expression in a function", params: "time=" + end + `&query=label_replace(up, "a", "$1", "b", "(")`, status: 422},
		{name: "many to many", params: "time=" + end + "&query=http_requests_total %2B on (job) http_requests_total", status: 422},
		{name: "duplicate series", params: "time=" + end + `&query=label_replace(http_requests_total, "code", "", "", "") %2B 0`, status: 422},
		{name: "query timeout", params: "time=" + end + "&query=sum_over_time((up %2B up)[1h:5ms])&timeout=0.2", status: 503},
	},
	"query_range": {
		{name: "matrix", params: span + `&step=60&query=sum by (handler) (rate(http_requests_total{namespace="shop"}[5m]))`},
		{name: "scalar", params: span + "&step=10m&query=1.5"},
		{name: "native histograms", params: span + "&step=600&query=rate(rpc_duration_seconds[5m])"},
		{name: "histogram quantile", params: span + "&step=300&query=histogram_quantile(0.5, sum(rate(rpc_duration_seconds[5m])))"},
		{name: "edge values", params: span + "&step=900&query=edge_value"},
		{name: "stale series", params: span + "&step=60&query=ended"},
		{name: "UTF-8 names", params: span + `&step=900&query={"http.status code"}`},
		{name: "fractional step and start", params: "start=1767225600.25&end=1767225610&step=0.5&query=queue_depth"},
		{name: "RFC 3339", params: "start=2026-01-01T00:00:00Z&end=" + endRFC + "&step=1h&query=up"},
		{name: "one instant", params: "start=" + end + "&end=" + end + "&step=1&query=up"},
		{name: "at start and end", params: span + "&step=600&query=http_requests_total @ end() - http_requests_total @ start()"},
		{name: "stats", params: span + "&step=600&query=up&stats=all", varies: timings},
		{name: "limit with a warning", params: span + "&step=600&query=http_requests_total&limit=3"},
		{name: "lookback", params: span + "&step=7&query=up&lookback_delta=3"},
		{name: "infos", params: span + "&step=600&query=rate(queue_depth[5m])"},
		{name: "thousands of points", params: span + "&step=1&query=http_requests_total"},
		{name: "no query", params: span + "&step=1", status: 400, own: true},
		{name: "no start", params: "end=1&step=1&query=up", status: 400, own: true},
		{name: "no end", params: "start=1&step=1&query=up", status: 400, own: true},
		{name: "no step", params: span + "&query=up", status: 400, own: true},
		{name: "zero step", params: span + "&step=0&query=up", status: 400, own: true},
		{name: "bad step", params: span + "&step=wide&query=up", status: 400, own: true},
		{name: "too many points", params: span + "&step=0.1&query=up", status: 400, own: true},
		{name: "end before start", params: "start=2&end=1&step=1&query=up", status: 400, own: true},
		{name: "parse error", params: span + "&step=1&query=up{", status: 400, own: true},
		{name: "range vector", params: span + "&step=60&query=up[5m]", status: 400, own: true},
		{name: "string", params: span + `&step=600&query="text"`, status: 400, own: true},
		{name: "bad regular expression in a function", params: span + `&step=60&query=label_replace(up, "a", "$1", "b", "(")`, status: 422},
		{name: "query timeout", params: span + "&step=1&query=sum_over_time((up %2B up)[1h:5ms])&timeout=0.2", status: 503},
	},
	"query_exemplars": {
		{name: "some", params: span + "&query=rate(http_requests_total[5m])"},
		{name: "of some series", params: span + `&query=http_requests_total{code="500",namespace="shop"}`},
		{name: "none", params: span + "&query=queue_depth"},
		{name: "milliseconds", params: "start=1767225600000&end=1767229200000&query=http_requests_total"},
		{name: "no times", params: "query=http_requests_total"},
		{name: "no selector", params: span + "&query=1%2B1", status: 204},
		{name: "no query", params: span, status: 400, own: true},
		{name: "parse error", params: span + "&query=up{{", status: 400, own: true},
		{name: "end before start", params: "start=2&end=1&query=up", status: 400, own: true},
		{name: "bad time", params: "start=then&query=up", status: 400, own: true},
	},
	"format_query": {
		{name: "plain", params: "query=sum(rate(http_requests_total{job='api'}[5m]))by(code)/ on()group_left() up"},
		{name: "UTF-8", params: `query={"http.status code","größe"!~"ü|ö"}`},
		{name: "experimental", params: "query=mad_over_time(up[5m%2B1m])"},
		{name: "parse error", params: "query=sum by", status: 400, own: true},
		{name: "no query", status: 400, own: true},
	},
	"parse_query": {
		{name: "plain", params: "query=sum by (code) (rate(http_requests_total{job='api'}[5m] offset 1m))"},
		{name: "binary", params: `query=a > bool on (x) group_left (y) b or c @ end()`},
		{name: "string", params: `query="s"`},
		{name: "parse error", params: "query=1 %2B", status: 400, own: true},
	},
}
