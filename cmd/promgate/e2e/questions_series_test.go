package e2e

import (
	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/prompb"
)

func init() {
	for name, more := range seriesQuestions {
		questions[name] = append(questions[name], more...)
	}
}

const labelPath = "api/v1/label/"

// seriesQuestions are those of the endpoints that evaluate nothing.
var seriesQuestions = map[string][]question{
	"labels": {
		{name: "all"},
		{name: "matched", params: span + "&match[]=up&match[]=queue_depth"},
		{name: "UTF-8", params: `match[]={"http.status code"}&match[]={__name__="mountain"}`},
		{name: "limit with a warning", params: "limit=2"},
		{name: "out of range", params: "start=1&end=2"},
		{name: "bad match", params: "match[]=up{", status: 400, own: true},
		{name: "empty match", params: "match[]={}", status: 400, own: true},
		{name: "match of everything", params: "match[]={a=~\".*\"}", status: 400, own: true},
		{name: "bad start", params: "start=x", status: 400, own: true},
		{name: "bad end", params: "end=x", status: 400, own: true},
		{name: "bad limit", params: "limit=x", status: 400, own: true},
	},
	"label_values": {
		{name: "plain", path: labelPath + "code/values"},
		{name: "metric names", path: labelPath + "__name__/values", params: "limit=40000"},
		{name: "matched", path: labelPath + "handler/values", params: span + `&match[]=http_requests_total{code="404"}`},
		{name: "limit with a warning", path: labelPath + "__name__/values", params: "limit=1"},
		{name: "escaped", path: labelPath + "U__service_2e_name/values"},
		{name: "with a dot", path: labelPath + "service.name/values"},
		{name: "percent-encoded", path: labelPath + "h%C3%B6he/values"},
		{name: "escaped UTF-8", path: labelPath + "U__h_f6_he/values"},
		{name: "with a space", path: labelPath + "no%20such/values"},
		{name: "unknown", path: labelPath + "nobody/values"},
		{name: "bad match", path: labelPath + "code/values", params: "match[]=1", status: 400, own: true},
		{name: "bad start", path: labelPath + "code/values", params: "start=x", status: 400, own: true},
		{name: "bad limit", path: labelPath + "code/values", params: "limit=-2", status: 400, own: true},
	},
	"series": {
		{name: "one", params: "match[]=up"},
		{name: "several", params: span + `&match[]=up&match[]={__name__=~"http_.*",code="500"}`},
		{name: "UTF-8", params: `match[]={"http.status code"}&match[]=mountain`},
		{name: "limit with a warning", params: "match[]=http_requests_total&limit=3"},
		{name: "none", params: "match[]=nothing"},
		{name: "no match", status: 400, own: true},
		{name: "bad match", params: "match[]=up[5m]", status: 400, own: true},
		{name: "empty match", params: "match[]={}", status: 400, own: true},
		{name: "bad time", params: "match[]=up&start=x", status: 400, own: true},
	},
	"metadata": {
		{name: "all"},
		{name: "limit", params: "limit=2"},
		{name: "one", params: "metric=http_requests_total"},
		{name: "UTF-8", params: "metric=http.status code"},
		{name: "limit per metric", params: "limit_per_metric=1"},
		{name: "unknown", params: "metric=nothing"},
		{name: "bad limit", params: "limit=x", status: 400, own: true},
		{name: "bad limit per metric", params: "limit_per_metric=x", status: 400, own: true},
	},
	"search_metric_names": {
		{name: "all"},
		{name: "ranked", params: "search[]=http&search[]=rpc&include_score=true&include_metadata=true&sort_by=score"},
		{name: "fuzzy", params: "search[]=htprqst&fuzz_threshold=10&fuzz_alg=subsequence&case_sensitive=false&include_score=1"},
		{name: "other algorithm", params: "search[]=queue_dept&fuzz_threshold=80&fuzz_alg=jarowinkler"},
		{name: "batches", params: span + "&batch_size=2&limit=5&sort_by=alpha&sort_dir=dsc"},
		{name: "matched", params: `match[]={job="api"}`},
		{name: "bad threshold", params: "fuzz_threshold=200", status: 400, own: true},
		{name: "bad algorithm", params: "fuzz_alg=magic&search[]=a", status: 400},
		{name: "bad order", params: "sort_by=size", status: 400, own: true},
		{name: "direction alone", params: "sort_dir=asc", status: 400, own: true},
		{name: "score of nothing", params: "sort_by=score", status: 400, own: true},
		{name: "bad limit", params: "limit=0", status: 400, own: true},
		{name: "bad flag", params: "include_metadata=perhaps", status: 400, own: true},
		{name: "bad match", params: "match[]={", status: 400, own: true},
		{name: "end before start", params: "start=2&end=1", status: 400, own: true},
	},
	"search_label_names": {
		{name: "all"},
		{name: "some", params: "search[]=na&include_score=true"},
		{name: "matched", params: "match[]=mountain"},
		{name: "bad time", params: "start=x", status: 400, own: true},
	},
	"search_label_values": {
		{name: "all", params: "label=code"},
		{name: "some", params: "label=handler&search[]=ca"},
		{name: "UTF-8", params: "label=service.name"},
		{name: "no label", status: 400, own: true},
		{name: "bad batch size", params: "label=code&batch_size=x", status: 400, own: true},
	},
	"rules": {
		{name: "all"},
		{name: "alerts", params: "type=alert"},
		{name: "records", params: "type=RECORD"},
		{name: "by name", params: "rule_name[]=InstanceDown&rule_name[]=NeverFires"},
		{name: "by group", params: "rule_group[]=requests"},
		{name: "by file", params: "file[]=nowhere.yml"},
		{name: "by match", params: `match[]={severity="page"}`},
		{name: "without alerts", params: "exclude_alerts=True"},
		{name: "first page", params: "group_limit=1"},
		{name: "bad type", params: "type=other", status: 400, own: true},
		{name: "bad flag", params: "exclude_alerts=perhaps", status: 400, own: true},
		{name: "bad page", params: "group_limit=0", status: 400, own: true},
		{name: "bad page size", params: "group_limit=x", status: 400, own: true},
		{name: "token alone", params: "group_next_token=abc", status: 400, own: true},
		{name: "unknown token", params: "group_next_token=abc&group_limit=1", status: 400},
		{name: "bad match", params: "match[]=1", status: 400, own: true},
	},
	"alerts":    {{name: "all"}},
	"buildinfo": {{name: "all"}},
	"healthy":   {{name: "asked"}},
	"ready":     {{name: "asked"}},
	"federate": {
		{name: "recent", params: `match[]={__name__=~"fresh.*"}`},
		{name: "as OpenMetrics", params: `match[]=fresh`, accept: "application/openmetrics-text;version=1.0.0"},
		{name: "as protobuf", params: `match[]={__name__=~"fresh.*"}`,
			accept: "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"},
		{name: "stale", params: `match[]=up`},
		{name: "no match"},
		{name: "bad match", params: "match[]=up{", status: 400, own: true},
	},
	"remote_read": {
		{name: "samples", body: remoteRead(prompb.ReadRequest_SAMPLES, "http_requests_total", "up")},
		{name: "chunks", body: remoteRead(prompb.ReadRequest_STREAMED_XOR_CHUNKS, "http_requests_total", "rpc_duration_seconds")},
		{name: "nothing", body: remoteRead(prompb.ReadRequest_SAMPLES, "nothing")},
		{name: "not snappy", body: []byte("a body"), status: 400},
	},
}

// remoteRead is the body of a remote read of whole metrics.
func remoteRead(kind prompb.ReadRequest_ResponseType, metrics ...string) []byte {
	r := &prompb.ReadRequest{AcceptedResponseTypes: []prompb.ReadRequest_ResponseType{kind}}
	for _, m := range metrics {
		r.Queries = append(r.Queries, &prompb.Query{
			StartTimestampMs: 1767225600000, EndTimestampMs: 1767229200000,
			Matchers: []*prompb.LabelMatcher{{Type: prompb.LabelMatcher_EQ, Name: "__name__", Value: m}},
		})
	}
	message, err := r.Marshal()
	if err != nil {
		panic(err) // a message that this file wrote
	}
	return snappy.Encode(nil, message)
}
