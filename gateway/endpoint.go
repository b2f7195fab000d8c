package gateway

import (
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/promgate/promgate/gateway/promql"
	"github.com/promgate/promgate/routing"
)

// form is what an endpoint answers with: which upstream media types are its
// own, and how they are handed on.
type form struct {
	// accept is the Accept header that goes upstream. Nil: the client's own.
	accept []string
	// media lists the upstream media types that are an answer.
	media []string
	// contentType is sent to the client. Empty: the upstream's, which is one
	// of media.
	contentType string
	// flush sends every piece on as it comes.
	flush bool
	// textErrors tells that the upstream writes this endpoint's errors as text.
	textErrors bool
	// rewrite, where it is set, sees the whole (short) body of a 200.
	rewrite func([]byte) ([]byte, error)
}

var (
	formJSON = &form{accept: []string{"application/json"}, media: []string{"application/json"}, contentType: "application/json"}
	formInfo = &form{accept: []string{"application/json"}, media: []string{"application/json"}, contentType: "application/json", rewrite: withoutFeatures}
	formText = &form{accept: []string{"text/plain"}, media: []string{"text/plain", ""}, contentType: "text/plain; charset=utf-8"}
	// Prometheus names its search stream application/x-ndjson.
	formStream = &form{accept: []string{"application/x-ndjson, application/json"}, media: []string{"application/x-ndjson", "application/json"}, flush: true}
	formScrape = &form{media: []string{"text/plain", "application/openmetrics-text", "application/vnd.google.protobuf"}, textErrors: true}
	formRead   = &form{media: []string{"application/x-protobuf", "application/x-streamed-protobuf"}, flush: true, textErrors: true}
)

// Endpoint is one row of the read API.
type Endpoint struct {
	// Name names the endpoint in metrics and logs.
	Name string
	// Path is relative to the environment's URL; {name} in it stands for a
	// label name. It is also the path upstream, with the validated name in it.
	Path    string
	Methods []string
	Params  []Param
	// Check looks at the parameters together. Nil: nothing to look at.
	Check func(*Params) error
	// OptIn tells whether the environment allows the endpoint. Nil: always.
	OptIn func(routing.Allow) bool
	// OptInName is the word in the environment's allow list.
	OptInName string
	// MayBeMissing tells that not every upstream has the endpoint: its 404 is
	// then the client's.
	MayBeMissing bool
	// Body tells that the request's body is not a form but goes upstream.
	Body bool

	rule    rule
	form    *form
	escaped []string // the names of Params, escaped for a query
}

var (
	getPost = []string{http.MethodGet, http.MethodPost}
	getOnly = []string{http.MethodGet}
	getHead = []string{http.MethodGet, http.MethodHead}
)

var (
	paramLimit    = Param{Name: "limit", Check: checkLimit}
	paramTimeout  = Param{Name: "timeout", Check: checkTimeout}
	paramLookback = Param{Name: "lookback_delta", Check: checkLookback}
	paramStats    = Param{Name: "stats"}
	paramMatch    = Param{Name: "match[]", Multi: true}
	paramStart    = Param{Name: "start", Check: timeIn("start", false, noteStart)}
	paramEnd      = Param{Name: "end", Check: timeIn("end", false, noteEnd)}
)

// Endpoints is the read API: what is not in this table is a 404. The source is
// Prometheus' HTTP API (web/api/v1). The most frequent ones come first.
func Endpoints() []*Endpoint {
	all := slices.Concat(queryEndpoints(), seriesEndpoints(), searchEndpoints(), otherEndpoints())
	for _, e := range all {
		for _, p := range e.Params {
			e.escaped = append(e.escaped, url.QueryEscape(p.Name))
		}
		if e.form == nil {
			e.form = formJSON
		}
	}
	return all
}

func queryEndpoints() []*Endpoint {
	parser := new(promql.Parser)
	query := Param{Name: "query", Required: true, Check: queryIn(parser)}
	exemplarQuery := Param{Name: "query", Required: true, Check: bareQueryIn(parser)}
	text := Param{Name: "query", Required: true, Check: textIn(parser)}
	return []*Endpoint{
		{
			Name: "query_range", Path: "api/v1/query_range", Methods: getPost, Check: checkRangeCost, rule: byQuery,
			Params: []Param{
				paramLimit,
				{Name: "start", Required: true, Check: checkRangeStart},
				{Name: "end", Required: true, Check: checkRangeEnd},
				{Name: "step", Required: true, Check: checkStep},
				paramTimeout, paramLookback, paramStats, query,
			},
		},
		{
			Name: "query", Path: "api/v1/query", Methods: getPost, Check: checkInstantCost, rule: byQuery,
			Params: []Param{
				paramLimit,
				{Name: "time", Check: timeIn("time", false, noteAt)},
				paramTimeout, paramLookback, paramStats, query,
			},
		},
		{
			Name: "query_exemplars", Path: "api/v1/query_exemplars", Methods: getPost, Check: checkExemplars, rule: byQuery,
			Params: []Param{paramStart, paramEnd, exemplarQuery},
		},
		{Name: "format_query", Path: "api/v1/format_query", Methods: getPost, Params: []Param{text}, MayBeMissing: true, rule: asItIs},
		{Name: "parse_query", Path: "api/v1/parse_query", Methods: getPost, Params: []Param{text}, MayBeMissing: true, rule: asItIs},
	}
}

func seriesEndpoints() []*Endpoint {
	labels := []Param{paramLimit, paramStart, paramEnd, paramMatch}
	return []*Endpoint{
		{Name: "labels", Path: "api/v1/labels", Methods: getPost, Params: labels, Check: checkMatch, rule: bySelectors},
		{Name: "label_values", Path: "api/v1/label/{name}/values", Methods: getPost, Params: labels, Check: checkMatch, rule: bySelectors},
		{Name: "series", Path: "api/v1/series", Methods: getPost, Params: labels, Check: checkSeries, rule: bySelectors},
		{
			Name: "metadata", Path: "api/v1/metadata", Methods: getOnly, rule: filteredMetadata,
			Params: []Param{
				{Name: "limit", Check: numberIn("limit")},
				{Name: "limit_per_metric", Check: numberIn("limit_per_metric")},
				{Name: "metric"},
			},
		},
	}
}

func searchEndpoints() []*Endpoint {
	common := []Param{
		{Name: "start", Check: searchTimeIn("start", noteStart)},
		{Name: "end", Check: searchTimeIn("end", noteEnd)},
		paramMatch,
		{Name: "search[]", Multi: true},
		{Name: "fuzz_threshold", Check: wholeIn("fuzz_threshold", 0, 100, "0-100")},
		{Name: "fuzz_alg"},
		{Name: "case_sensitive", Check: boolIn("case_sensitive")},
		{Name: "include_score", Check: boolIn("include_score")},
		{Name: "sort_by"},
		{Name: "sort_dir"},
		{Name: "limit", Check: wholeIn("limit", 1, math.MaxInt, "a positive integer")},
		{Name: "batch_size", Check: wholeIn("batch_size", 1, math.MaxInt, "a positive integer")},
	}
	endpoint := func(name string, extra ...Param) *Endpoint {
		return &Endpoint{
			Name: "search_" + name, Path: "api/v1/search/" + name, Methods: getPost,
			Params: slices.Concat(common, extra), Check: checkSearch(name), MayBeMissing: true, form: formStream, rule: bySelectors,
		}
	}
	return []*Endpoint{
		endpoint("metric_names", Param{Name: "include_metadata", Check: boolIn("include_metadata")}),
		endpoint("label_names"),
		endpoint("label_values", Param{Name: "label", Required: true, Check: checkSearchLabel}),
	}
}

func otherEndpoints() []*Endpoint {
	return []*Endpoint{
		{
			Name: "rules", Path: "api/v1/rules", Methods: getOnly, Check: checkRules, rule: filteredRules,
			Params: []Param{
				{Name: "type", Check: checkRuleType},
				{Name: "rule_name[]", Multi: true},
				{Name: "rule_group[]", Multi: true},
				{Name: "file[]", Multi: true},
				paramMatch,
				{Name: "exclude_alerts", Check: checkExcludeAlerts},
				{Name: "group_limit", Check: checkGroupLimit},
				{Name: "group_next_token"},
			},
		},
		{Name: "alerts", Path: "api/v1/alerts", Methods: getOnly, rule: filteredAlerts},
		{Name: "buildinfo", Path: "api/v1/status/buildinfo", Methods: getOnly, form: formInfo, rule: asItIs},
		{Name: "healthy", Path: "-/healthy", Methods: getHead, form: formText, rule: asItIs},
		{Name: "ready", Path: "-/ready", Methods: getHead, form: formText, rule: asItIs},
		{
			Name: "federate", Path: "federate", Methods: getOnly, form: formScrape,
			Params: []Param{paramMatch}, Check: checkFederate, rule: byGivenSelectors,
			OptIn: func(a routing.Allow) bool { return a.Federate }, OptInName: "federate",
		},
		{
			Name: "remote_read", Path: "api/v1/read", Methods: []string{http.MethodPost}, form: formRead, Body: true, rule: byBody,
			OptIn: func(a routing.Allow) bool { return a.RemoteRead }, OptInName: "remoteRead",
		},
	}
}

// endpointTable finds endpoints by their path below an environment's URL.
type endpointTable struct {
	constant map[string]*Endpoint
	named    []namedEndpoint
}

// namedEndpoint is one whose path has a label name between two constants.
type namedEndpoint struct {
	before, after string
	endpoint      *Endpoint
}

func newEndpointTable(endpoints []*Endpoint) endpointTable {
	t := endpointTable{constant: make(map[string]*Endpoint, len(endpoints))}
	for _, e := range endpoints {
		if before, after, named := strings.Cut(e.Path, "{name}"); named {
			t.named = append(t.named, namedEndpoint{before, after, e})
		} else {
			t.constant[e.Path] = e
		}
	}
	return t
}

// find returns the endpoint of a path, and the label name in it as sent. It
// returns nil where there is none.
func (t *endpointTable) find(path string) (*Endpoint, string) {
	if e, ok := t.constant[path]; ok {
		return e, ""
	}
	for _, n := range t.named {
		rest, ok := strings.CutPrefix(path, n.before)
		if !ok {
			continue
		}
		if label, ok := strings.CutSuffix(rest, n.after); ok && label != "" && !strings.Contains(label, "/") {
			return n.endpoint, label
		}
	}
	return nil, ""
}
