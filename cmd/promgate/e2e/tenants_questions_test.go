package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/storage/remote"
)

// hostileSelectors try to select what is others'.
var hostileSelectors = []string{
	`{namespace="zz-canary"}`, `{namespace=~".*",__name__!=""}`, `{namespace=~".+"}`, `{namespace!="shop"}`, `{namespace!~"shop|billing"}`, `{__name__=~".+"}`,
	`{namespace="shop",namespace="zz-canary"}`, `{namespace="zz-canary",namespace="shop"}`, `{namespace="billing"}`, `{namespace="shop"}`,
	`{namespace=~"shop|zz-canary|billing"}`,
	`{namespace=~"(?i)ZZ-CANARY"}`, `{namespace="",__name__=~".+"}`, `{cluster=~".+"}`, `{cluster="us"}`, `{cluster!="eu"}`, `{job=~".+"}`,
	`{job="api"}`, `{instance=~"canary.*"}`,
	"canary_only", "shopmark_only", "billingmark_only", `{"canary_only"}`, `{"canary.utf8 metric","canary.label"=~".+"}`, `{__name__=~"canary.*"}`,
	`{canary_label=~".+"}`,
	`{canary_label!=""}`, `{"canary_label"="canary-value-1"}`, `shared_requests_total`, `{'namespace'='zz-canary'}`, "shared_queue{namespace=`zz-canary`}",
	"shared_queue{namespace=\"zz-canary\"} # {namespace=\"shop\"}\n", "{__name__=~\".+\", # }\n}", `{__name__=~"canary.*",job!="}"}`,
	`{__name__!="",job!="\"} or {namespace=\"zz-canary\"}"}`,
	`{"__name__"="canary_only"}`, `{"shared_queue", "namespace"!="shop"}`, `shared_queue{namespace="shop-canary"}`,
	`shared_queue{namespace="shop|billing"}`, `shared_queue{exported_namespace="shop"}`,
	`ALERTS{alertname=~"Canary.*"}`, `{__name__=~"(?s:.*)"}`, `{namespace=~"zz-canary|"}`, `shared_queue{namespace="zz-canary" or namespace="shop"}`,
	`{namespace="zz-canary"} or {namespace="shop"}`,
	`{"canary\x00_only"}`, `canary_only{`, `canary_only{canary_label=~"("}`, `{}`, `{namespace=~".*"}`, `canary_only[5m]`, "canary:rate",
}

// hostileExpressions do so around a selector, for which S stands.
var hostileExpressions = []string{
	`count by (namespace, __name__) (S)`, `sum by (canary_label, instance) (count_over_time(S[5m]))`, `max_over_time(S[10m:1m])`, `S offset 1m`,
	`S @ end()`, `(S) or shared_queue`,
	`shared_queue or S`, `shared_queue unless S`, `topk(5, S)`, `count_values("value", S)`, `label_replace(S, "namespace", "shop", "", "")`,
	`label_replace(vector(1), "a", "canary-value-1", "", "")`,
	`absent(S)`, `absent_over_time(S[5m])`, `absent(sum(S))`, `label_join(S, "joined", "/", "namespace", "canary_label", "instance")`,
	`{__name__=~".+"} and on (job) S`,
	`shared_queue * on (cluster) group_left (canary_label, instance) S`, `up * ignoring (namespace, instance) group_right () S`, `info(shared_queue)`,
	`info(shared_queue, S)`, `sort_by_label(S, "namespace")`,
	`limitk(3, S)`, `-S`, `timestamp(S)`, `quantile(2, S)`, `rate(S[5m])`, `S[5m]`, `S[1m:30s]`, `histogram_quantile(0.9, S)`, `scalar(S)`,
	`group(S) by (k8s_cluster_name, instance)`, `S * on (job) S`,
	`# canary`, `"canary"`, `sum(S`, `canary_function(S)`,
}

// each are questions that begin alike, and params those that do not.
func each(before string, texts []string) (all []question) {
	for _, text := range texts {
		all = append(all, question{params: before + text})
	}
	return all
}

func params(texts ...string) []question { return each("", texts) }

// canaryLabels ask for the values of labels, by their path and by searching.
func canaryLabels(match, wide []question) (values, searchedValues []question) {
	names := []string{"namespace", "__name__", "canary_label", "U__canary_5f_label", "canary.label", "U__canary_2e_label", "U__namespace", "job",
		"instance", "shared.label", "k8s_cluster_name", "alertname", "cluster", "canary%2Flabel", "U__canary_zz_"}
	for i, name := range names {
		searchedValues = append(searchedValues, each("label="+name+"&", []string{"", "search[]=canary&include_score=true", "match[]=canary_only",
			`match[]={__name__=~".+"}&limit=1000`})...)
		for _, q := range slices.Concat(match[:1+len(match)*(i%2)/2], wide) {
			q.path = labelPath + name + "/values"
			values = append(values, q)
		}
	}
	return values, searchedValues
}

// canaryRules ask for rules as the server itself knows them: by their files and by the tokens of their pages.
func canaryRules(pages []groupsPage, tokens []string) []question {
	rules := params("type=alert", "type=record&group_limit=100", "exclude_alerts=true", "type=canary",
		"exclude_alerts=canary", "group_limit=canary", "group_limit=1", "group_limit=99999999999",
		"group_limit=1&group_next_token=canary", "group_next_token=canary", `match[]={canary_rule="canary-value-rule"}`,
		"file[]=canary-rules.yml&rule_name[]=CanaryUp&rule_group[]=canary-group")
	for _, p := range pages {
		rules = append(rules, params("file[]="+p.Data.Groups[0].File, "rule_group[]="+p.Data.Groups[0].Name, "rule_name[]="+p.Data.Groups[0].Rules[0].Name)...)
	}
	for _, token := range tokens {
		rules = append(rules, params("group_limit=2&group_next_token="+token)...)
	}
	return rules
}

// canaryQuestions are asked of every endpoint, by its name.
func canaryQuestions(at time.Time, pages []groupsPage, tokens []string) map[string][]question {
	span := fmt.Sprintf("start=%d&end=%d", at.Add(-time.Hour).Unix(), at.Unix())
	expressions := slices.Clone(hostileSelectors)
	for _, s := range hostileSelectors[:8] {
		for _, e := range hostileExpressions {
			expressions = append(expressions, strings.ReplaceAll(e, "S", s))
		}
	}
	few := expressions[:len(hostileSelectors)+2*len(hostileExpressions)]
	match := each("match[]=", hostileSelectors)
	wide := params("", span, span+"&limit=100000", "limit=1", "limit=99999999999999999999", "limit=canary", "start=canary", "end=canary",
		"match[]=&match[]=canary_only",
		`match[]={namespace="shop"}&match[]={namespace="zz-canary"}`, "start=canary&match[]=canary_only", "match[]={__name__=~\".+\"}&limit=3&canary=canary")
	search := slices.Concat(match, wide, params("search[]=canary", "search[]=canary&search[]=shop&include_score=true&sort_by=score",
		"search[]=CANARY&case_sensitive=false", "search[]=cnry&fuzz_threshold=1&fuzz_alg=subsequence",
		"search[]=kanary_only&fuzz_threshold=10&fuzz_alg=jarowinkler&include_score=1", "limit=9999&batch_size=1", "search[]=canary&limit=100000",
		"fuzz_alg=canary", "sort_by=canary", "sort_by=alpha&sort_dir=dsc&limit=2000",
		`search[]=canary&match[]={namespace="zz-canary"}`, "fuzz_threshold=canary", "batch_size=canary", "case_sensitive=canary"))
	values, searchedValues := canaryLabels(match, wide)
	federate := slices.Concat(match, params("", `match[]=shared_queue&match[]={namespace="zz-canary"}`))
	for i := range federate {
		federate[i].accept = []string{"", "application/openmetrics-text;version=1.0.0",
			protobufFamilies + ";proto=io.prometheus.client.MetricFamily;encoding=delimited", "text/plain;version=1.0.0;escaping=allow-utf-8"}[i%4]
	}
	return map[string][]question{
		"query": slices.Concat(each("query=", expressions), each("stats=all&limit=2&query=", expressions[:8]), each("query=up&", []string{"time=canary",
			"timeout=canary", "limit=canary", "lookback_delta=canary"}), []question{
			{path: "api/v1/query?query=canary_only", params: "query=up"}, {path: "api/v1/query?query=canary_only&query=up"},
			{path: "api/v1/query?Query=canary_only;query=up"}, {path: "api/v1/query?%71uery=canary_only"},
		}),
		"query_range": slices.Concat(each(span+"&step=600&query=", few), params("query=canary_only", span+"&step=canary&query=canary_only",
			"start=canary&end=canary&step=1&query=up", span+"&step=0.001&query=canary_only")),
		"query_exemplars": slices.Concat(each(span+"&query=", few), params("query=canary_only", "query=shared_requests_total", "start=canary&query=up")),
		"format_query":    each("query=", few),
		"parse_query":     each("query=", few),
		"labels":          slices.Concat(match, wide),
		"label_values":    values,
		"series": slices.Concat(match, each("match[]=up&", []string{"limit=canary", "start=canary", "end=canary", "match[]=canary_only",
			"limit=99999999999999999999", span}), params(""), []question{
			{path: "api/v1/series?match[]=canary_only", params: "match[]=up"},
			{path: "api/v1/series?match%5B%5D=canary_only&match[0]=canary_only&MATCH[]=canary_only"}, {path: "api/v1/series?match[]=up;match[]=canary_only"},
		}),
		"metadata": slices.Concat(wide, params("metric=canary_scraped", "metric=shopmark_orders", "metric=billingmark_scraped_total",
			"metric=canary_om_bytes&limit=5", "limit_per_metric=canary", "limit=-1&limit_per_metric=100")),
		"search_metric_names": slices.Concat(search, each("include_metadata=true&", []string{"", "limit=5000", "search[]=canary", "search[]=shopmark"}),
			params("include_metadata=canary")),
		"search_label_names": search,
		"search_label_values": slices.Concat(searchedValues, each("label=canary_label&", []string{"sort_by=canary", "limit=canary"}),
			params("search[]=canary")),
		"rules":  slices.Concat(match, wide, canaryRules(pages, tokens)),
		"alerts": wide, "buildinfo": wide, "healthy": wide, "ready": wide,
		"federate":    federate,
		"remote_read": canaryReads(at),
	}
}

// canaryReads are remote reads, both sampled and in chunks.
func canaryReads(at time.Time) (all []question) {
	type m = prompb.LabelMatcher
	const eq, neq, re, nre = prompb.LabelMatcher_EQ, prompb.LabelMatcher_NEQ, prompb.LabelMatcher_RE, prompb.LabelMatcher_NRE
	for i, matchers := range [][]*m{
		{}, {{Type: eq, Name: "__name__", Value: "canary_only"}}, {{Type: re, Name: "__name__", Value: ".+"}}, {{Type: eq, Name: "namespace", Value: "zz-canary"}},
		{{Type: re, Name: "namespace", Value: ".*"}}, {{Type: neq, Name: "namespace", Value: "shop"}}, {{Type: nre, Name: "namespace", Value: "shop|billing"}},
		{{Type: eq, Name: "namespace"}}, {{Type: eq, Name: "replica", Value: "one"}}, {{Type: eq, Name: "cluster", Value: "eu"}},
		{{Type: eq, Name: "cluster", Value: "us"}}, {{Type: re, Name: "canary_label", Value: "("}}, {{Type: eq, Name: "canary.label", Value: "canary value ü"}},
		{{Type: 7, Name: "canary"}},
	} {
		for _, kind := range []prompb.ReadRequest_ResponseType{prompb.ReadRequest_SAMPLES, prompb.ReadRequest_STREAMED_XOR_CHUNKS} {
			q := &prompb.Query{StartTimestampMs: at.Add(-time.Hour).UnixMilli(), EndTimestampMs: at.UnixMilli(), Matchers: matchers}
			hinted := &prompb.Query{StartTimestampMs: q.StartTimestampMs, EndTimestampMs: q.EndTimestampMs, Matchers: matchers, Hints: &prompb.ReadHints{
				StartMs: q.StartTimestampMs, EndMs: q.EndTimestampMs, Func: "series", Grouping: []string{"canary_label"}, By: true,
			}}
			// The request has a field that nobody knows.
			read := &prompb.ReadRequest{AcceptedResponseTypes: []prompb.ReadRequest_ResponseType{kind}, Queries: []*prompb.Query{q, hinted},
				XXX_unrecognized: []byte("\x7a\x06canary")}
			message, err := read.Marshal()
			if err != nil {
				panic(err) // a message that this file wrote
			}
			name := fmt.Sprintf("%s of matchers %d: %v", kind, i, matchers)
			all = append(all, question{name: name, body: snappy.Encode(nil, message)})
			all = append(all, question{name: name + ", not compressed", body: append([]byte("canary"), message...)})
		}
	}
	return all
}

// canaryFinds are what the questions find of the canary where nothing is enforced.
var canaryFinds = map[string][]string{
	"query": {"usmark-canary-0:80", "zz-canary", "canary_only", "canary_label", "canary-value-1", "canary.utf8 metric", "canary value ü",
		"canary:rate", "canary-value-rule", "CanaryUp", "shop-canary", "canary-lookalike-0", "canary-job", "canary-k8s"},
	"query_range": {"usmark-canary-0:80", "zz-canary", "canary_only", "canary_label", "canary-value-1", "canary.utf8 metric", "canary value ü",
		"shop-canary", "canary-lookalike-0", "canary-k8s"},
	"query_exemplars": {"usmark-canary-0:80", "canary-trace-40", "canary_span", "/canary", "zz-canary"},
	"labels":          {"canary_label", "canary.label", "canary_rule"},
	"label_values": {"usmark-canary-0:80", "zz-canary", "canary_only", "canary.utf8 metric", "canary-value-1", "canary value ü", "canary-k8s",
		"CanaryUp", "canary-lookalike-0:80", "canary-openmetrics"},
	"series": {"usmark-canary-0:80", "zz-canary", "canary_only", "canary_label", "canary-value-1", "canary.utf8 metric", "canary:rate",
		"canary_om_bytes", "CanaryUp", "canary-lookalike-0"},
	"metadata": {"canary_scraped", "What the canary says.", "canary_om_bytes", "Bytes of the canary.", "Not a family of the canary",
		"The canary's counter."},
	"search_metric_names": {"canary_only", "canary.utf8 metric", "canary_scraped", "What the canary says.", "canary:rate"},
	"search_label_names":  {"canary_label", "canary.label", "canary_rule"},
	"search_label_values": {"usmark-canary-0:80", "zz-canary", "canary-value-1", "canary value ü", "canary-k8s"},
	"rules": {"canary-group", "canary-rules.yml", "canary-more", "CanaryUp", "CanaryOther", "canary summary", "canary_annotation",
		"canary:mixed", "zz-canary", "found duplicate series for the match group", "canary-value-rule", "canary-0:80"},
	"alerts": {"usmark-canary-0:80", "CanaryUp", "CanaryOther", "canary summary canary-0:80", "canary annotation", "canary-value-1"},
	"federate": {"usmark-canary-0:80", "zz-canary", "canary_only", "canary_label", "canary-value-1", "canary.utf8 metric",
		"canary-lookalike-0", "canary_om_bytes"},
	"remote_read": {"usmark-canary-0:80", "zz-canary", "canary_only", "canary_label", "canary-value-1", "canary.utf8 metric", "canary-lookalike-0"},
}

// tenantExpressions are asked by tenants of their own data, and of what is not theirs. What begins with "ordered " has an order.
var tenantExpressions = []string{
	`shared_queue`, `sum by (namespace) (shared_queue)`, `sum without (instance) (rate(shared_requests_total[5m]))`,
	`rate(shared_requests_total{code="500"}[10m])`,
	`increase(shared_requests_total[7m] offset 3m)`, `histogram_quantile(0.9, sum by (le) (rate(shared_latency_seconds_bucket[5m])))`,
	`histogram_quantile(0.5, sum(rate(shared_native_seconds[5m])))`,
	`shared_native_seconds`, `histogram_avg(rate(shared_native_seconds[5m]))`, `ordered topk(2, shared_queue)`, `bottomk by (cluster) (1, shared_queue)`,
	`ordered sort_desc(shared_queue)`,
	`ordered sort_by_label(up, "cluster", "namespace")`, `count_values("v", shared_queue)`, `quantile(0.5, shared_queue)`, `quantile(2, shared_queue)`,
	`rate(shared_queue[5m])`, `absent(canary_only)`,
	`absent(canary_only{canary_label="x",namespace="zz-canary"})`, `absent_over_time(canary_only[5m])`, `absent(shared_queue)`,
	`absent(shared_queue{namespace="zz-canary"})`, `absent({namespace="shop",job="none"})`,
	`absent(sum(canary_only))`, `canary_only`, `{namespace="zz-canary"}`, `{namespace=~".+",job="api"}`, `{namespace=~".+",namespace!="shop"}`,
	`shared_queue or canary_only`, `up unless on (instance) canary_only`,
	`shared_queue * on (instance) group_left (k8s_cluster_name) target_info`, `shared_queue + on (instance, cluster) up`,
	`shared_queue + fill(0) canary_only`, `up * on (job) up`, `label_replace(up, "namespace", "zz-canary", "", "")`,
	`label_replace(up, "a", "$1", "instance", "(")`, `label_join(up, "a", "/", "namespace", "cluster")`, `max_over_time(shared_queue[20m:1m])`,
	`max_over_time(rate(shared_requests_total[5m])[10m:1m] offset 2m)`,
	`shared_queue @ start() + shared_queue @ end() offset 2m`, `-shared_queue ^ 2`, `shared_queue > bool 3`, `timestamp(shared_queue)`, `vector(1)`,
	`scalar(sum(up))`, `"text"`, `shared_queue[5m]`, `{"shared.utf8 metric"}`,
	`{"shared.utf8 metric","shared.label"=~"shop.*"}`, `shared_ended`, `stddev by (cluster) (shared_queue)`, `limitk(1, shared_queue)`,
	`limit_ratio(0.5, up)`, `count by (__name__) ({__name__=~".+"})`, `predict_linear(shared_queue[10m], 60)`,
	`changes(shared_queue[10m])`, `mad_over_time(shared_queue[10m])`, `ts_of_max_over_time(shared_queue[10m])`,
	`increase(shared_requests_total[5m] smoothed)`, `shared_queue and on () vector(1)`, `group by (k8s_cluster_name) (target_info)`,
	`sum by (code) (shared_requests_total) / ignoring (code) group_left () sum(shared_requests_total)`,
	`avg(shared_native_seconds) + on () sum(shared_queue)`, `sum(shared_native_seconds) + sum(shared_queue)`, `up{`, `rate(up)`, `up[-5m]`,
}

// tenantQuestions are asked of the endpoints that answer with data.
func tenantQuestions(at time.Time) map[string][]question {
	all := map[string][]question{"remote_read": canaryReads(at)}
	add := func(endpoint, path string, params ...string) {
		for _, p := range params {
			all[endpoint] = append(all[endpoint], question{path: path, params: p})
		}
	}
	span := fmt.Sprintf("start=%d&end=%d", at.Add(-time.Hour).Unix(), at.Unix())
	for _, text := range tenantExpressions {
		name := ""
		text, found := strings.CutPrefix(text, ordered+" ")
		if found {
			name = ordered
		}
		all["query"] = append(all["query"], question{name: name, params: fmt.Sprintf("time=%d&query=%s", at.Unix(), text)})
		add("query_range", "", span+"&step=300&query="+text)
	}
	add("query", "", fmt.Sprintf("time=%d&stats=all&query=sum(shared_queue)", at.Unix()),
		fmt.Sprintf("time=%d&limit=1&query=sum by (code) (shared_requests_total)", at.Unix()))
	add("query_exemplars", "", span+"&query=shared_requests_total", span+`&query=rate(shared_requests_total{code="200"}[5m]) or canary_only`,
		"query=canary_only", `query={job="api"}`, "query=1+1")
	selectors := []string{"match[]=shared_queue", "match[]=canary_only", `match[]={namespace="zz-canary"}`, `match[]={namespace=~".+"}`,
		`match[]={__name__=~".+",cluster="us"}`, `match[]=up&match[]={"shared.utf8 metric"}`}
	add("labels", "", append(selectors, "", span, "limit=3", "match[]={", "match[]={}")...)
	for _, name := range []string{"namespace", "__name__", "instance", "canary_label", "U__shared_2e_label", "shared.label", "cluster"} {
		add("label_values", labelPath+name+"/values", append(selectors, "", span, "limit=2")...)
		add("search_label_values", "", "label="+name, "label="+name+"&search[]=mark&include_score=true")
	}
	add("series", "", append(selectors, "", "limit=3&match[]=up", span+`&match[]={job="api"}`)...)
	for _, endpoint := range []string{"search_metric_names", "search_label_names"} {
		add(endpoint, "", append(selectors, "", "search[]=canary", "search[]=shrd&fuzz_threshold=20&include_score=true",
			"search[]=e&sort_by=alpha&sort_dir=dsc&limit=2", "limit=3&sort_by=alpha", "limit=100000")...)
	}
	add("federate", "", append(selectors, "", "match[]={", `match[]={job="api",__name__!="shared_native_seconds"}`)...)
	return all
}

// ordered is the name of questions whose answer has an order.
const ordered = "ordered"

// settled is an answer without what changes from one to the next: what has no order is sorted.
func settled(q question, a answer) (string, error) {
	var lines []string
	var err error
	switch media := a.media(); {
	case a.err != nil:
		return "", a.err
	case a.status >= 400 && q.body != nil: // which the gateway tells by itself
		return "refused", nil
	case a.status != http.StatusOK:
		return said(a), nil
	case strings.Contains(media, "protobuf"):
		lines, err = readSeries(a)
		return strings.Join(lines, "\n"), err
	case media == "text/plain":
		lines = slices.Sorted(strings.Lines(a.body))
		return strings.Join(lines, ""), nil
	}
	rest := ""
	for line := range strings.Lines(timings.ReplaceAllString(a.body, `"timings":0`)) {
		var m struct {
			Status          string
			Data            json.RawMessage
			Results         []json.RawMessage
			HasMore         bool `json:"has_more"`
			Warnings, Infos []string
		}
		var query struct {
			ResultType string
			Result     []json.RawMessage
			Stats      json.RawMessage
		}
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			return "", err
		}
		if len(m.Data) > 0 && m.Data[0] == '[' {
			err = json.Unmarshal(m.Data, &m.Results)
		} else if len(m.Data) > 0 {
			err = json.Unmarshal(m.Data, &query)
		}
		if err != nil {
			return "", err
		}
		for _, r := range append(m.Results, query.Result...) {
			lines = append(lines, string(r))
		}
		slices.Sort(m.Warnings)
		slices.Sort(m.Infos)
		rest += fmt.Sprintf("%s %v %s %s %q %q", m.Status, m.HasMore, query.ResultType, query.Stats, m.Warnings, m.Infos)
	}
	if q.name != ordered {
		slices.Sort(lines)
	}
	return strings.Join(lines, "\n") + "\n" + rest, nil
}

// hear sends a request and returns the answer, and all that a client can read in it: status and headers, and the body, decompressed and
// decoded. The reason after the status is the HTTP server's own.
func hear(r *http.Request) (a answer, head, body string) {
	a = ask(r)
	head, body = fmt.Sprint(a.status, a.header), a.body
	if a.err == nil && a.status == http.StatusOK && a.media() != protobufFamilies && strings.Contains(a.media(), "protobuf") {
		var series []string
		series, a.err = readSeries(a)
		body += strings.Join(series, "\n")
	}
	return a, head, body
}

const protobufFamilies = "application/vnd.google.protobuf"

// readSeries decodes the answer of a remote read, and sorts what is in it.
func readSeries(a answer) ([]string, error) {
	var lines []string
	if a.media() == "application/x-protobuf" {
		var message prompb.ReadResponse
		plain, err := snappy.Decode(nil, []byte(a.body))
		if err == nil {
			err = message.Unmarshal(plain)
		}
		for i, result := range message.Results {
			for _, s := range result.Timeseries {
				lines = append(lines, fmt.Sprint(i, s.String()))
			}
		}
		slices.Sort(lines)
		return lines, err
	}
	frames := remote.NewChunkedReader(strings.NewReader(a.body), 1<<26, nil)
	for {
		var message prompb.ChunkedReadResponse
		err := frames.NextProto(&message)
		if errors.Is(err, io.EOF) {
			slices.Sort(lines)
			return lines, nil
		}
		if err != nil {
			return nil, err
		}
		for _, s := range message.ChunkedSeries {
			lines = append(lines, fmt.Sprint(message.QueryIndex, s.String()))
		}
	}
}

// said is the part of an answer that does not change from one to the next.
func said(a answer) string {
	body := eachRequestID.ReplaceAllString(a.body, "")
	var f failure
	if a.status >= 400 && decode(a, &f) == nil {
		body = requestID.ReplaceAllString(f.Error, "")
	}
	return fmt.Sprint(a.status, " ", strings.TrimSpace(instants.ReplaceAllString(body, "[now,")))
}
