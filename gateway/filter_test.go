package gateway

import (
	"bytes"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/prompb"
)

// TestFilteredAnswers: what is not the tenant's does not come through, whatever
// the upstream did; compressed or not.
func TestFilteredAnswers(t *testing.T) {
	h := newHarness(t)
	h.enforce(shopAlone)
	const rule = `{"name":"%","query":"up{namespace=\"%\"} == 0","labels":{},"health":"ok","evaluationTime":0.1,"lastEvaluation":"2026-01-01T00:00:00Z","type":"recording"}`
	own, foreign := strings.ReplaceAll(rule, "%", "shop"), strings.ReplaceAll(rule, "%", "billing")
	const alert = `{"labels":{"namespace":"%"},"annotations":{},"state":"firing","activeAt":"2026-01-01T00:00:00Z","value":"1e+00"}`
	for path, c := range map[string]struct{ answer, want string }{
		"api/v1/rules": {
			`{"status":"success","data":{"groups":[{"name":"a","file":"/etc/billing.yml","rules":[` + foreign + `],"interval":1,"limit":0,"evaluationTime":0.1,"lastEvaluation":"2026-01-01T00:00:00Z"},` +
				`{"name":"b","file":"/etc/billing.yml","rules":[` + own + `,` + foreign + `],"interval":1,"limit":0,"evaluationTime":0.1,"lastEvaluation":"2026-01-01T00:00:00Z"}]},"warnings":["billing"]}`,
			`{"status":"success","data":{"groups":[{"name":"b","file":"rules-FILE","rules":[` + own + `],"interval":1,"limit":0,"evaluationTime":0.1,"lastEvaluation":"2026-01-01T00:00:00Z"}]},"warnings":["the upstream sent 1 warning; it may concern others and is not shown"]}`,
		},
		"api/v1/alerts": {
			`{"status":"success","data":{"alerts":[` + strings.ReplaceAll(alert, "%", "billing") + `,` + strings.ReplaceAll(alert, "%", "shop") + `]}}`,
			`{"status":"success","data":{"alerts":[` + strings.ReplaceAll(alert, "%", "shop") + `]}}`,
		},
		"api/v1/metadata?limit=1": {
			`{"status":"success","data":{"billing_total":[{"type":"counter","help":"x","unit":""}],"up":[{"type":"gauge","help":"y","unit":""}],"go_info":[{"type":"gauge","help":"z","unit":""}]}}`,
			`{"status":"success","data":{"up":[{"type":"gauge","help":"y","unit":""}]}}`,
		},
	} {
		for _, encoding := range []string{"", "gzip"} {
			h.up.answerWith(func(w http.ResponseWriter, r *http.Request) {
				body := c.answer
				if strings.HasSuffix(r.URL.Path, "/values") {
					body = `{"status":"success","data":["up","go_info"]}`
				}
				if r.Header.Get("Accept-Encoding") == "gzip" {
					w.Header().Set("Content-Encoding", "gzip")
					body = string(gzipped(body))
				}
				answerJSON(http.StatusOK, body)(w, r)
			})
			r := h.request(http.MethodGet, production+path, "")
			r.Header.Set("Accept-Encoding", encoding)
			got := h.do(r)
			if i := strings.Index(got.body, `"rules-`); i > 0 {
				got.body = got.body[:i+7] + "FILE" + got.body[i+19:]
			}
			if got.status != http.StatusOK || got.body != c.want || got.header.Get("Content-Encoding") != "" {
				t.Errorf("%s: answer %d %v\n%s, want\n%s", path, got.status, got.header, got.body, c.want)
			}
		}
	}
}

// TestMetadataNeedsNames: where the tenant's metrics cannot be told, none are
// shown.
func TestMetadataNeedsNames(t *testing.T) {
	h := newHarness(t)
	h.enforce(shopAlone)
	for answered, want := range map[string]int{
		"": http.StatusBadGateway, `{"status":"success","data":["up"`: http.StatusBadGateway, `{"status":"error","errorType":"execution","error":"too many"}`: http.StatusServiceUnavailable,
	} {
		status := http.StatusOK
		if want == http.StatusServiceUnavailable {
			status = http.StatusUnprocessableEntity
		}
		h.up.answerWith(answerJSON(status, answered))
		if got := h.get(production + "api/v1/metadata"); got.status != want {
			t.Errorf("%q: answer %d %s", answered, got.status, got.body)
		}
		if calls := h.up.take(); len(calls) != 1 {
			t.Errorf("%q: the upstream saw %v", answered, calls)
		}
	}
}

// TestFilteredLate: an answer that is not complete in time is late, and not
// another program's.
func TestFilteredLate(t *testing.T) {
	h := newHarness(t, timesOut(patience, 300*time.Millisecond))
	h.enforce(shopAlone)
	for _, path := range []string{"api/v1/rules", "api/v1/metadata"} {
		h.up.answerWith(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"status":"success","data":`)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})
		if got := h.get(production + path); got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, `"timeout"`) {
			t.Errorf("%s: answer %d %s", path, got.status, got.body)
		}
	}
}

func readBody(t *testing.T, req *prompb.ReadRequest) []byte {
	t.Helper()
	plain, err := req.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return snappy.Encode(nil, plain)
}

// TestRemoteReadEnforced: every query of the message carries the policy, and the
// answer streams as before.
func TestRemoteReadEnforced(t *testing.T) {
	h := newHarness(t)
	h.enforce(shopAlone)
	h.up.answerWith(answerAs(http.StatusOK, "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse", "chunks"))
	query := func(end int64) *prompb.Query {
		return &prompb.Query{StartTimestampMs: 1, EndTimestampMs: end, Matchers: []*prompb.LabelMatcher{{Name: "namespace", Value: "billing"}}}
	}
	ask := func(body []byte) answer {
		r := h.request(http.MethodPost, production+"api/v1/read", string(body))
		r.Header.Set("Content-Type", "application/x-protobuf")
		r.Header.Set("Content-Encoding", "snappy")
		return h.do(r)
	}
	if got := ask(readBody(t, &prompb.ReadRequest{Queries: []*prompb.Query{query(2), query(3)}})); got.status != http.StatusOK || got.body != "chunks" {
		t.Errorf("answer %d %s", got.status, got.body)
	}
	calls := h.up.take()
	if len(calls) != 1 {
		t.Fatalf("the upstream saw %v", calls)
	}
	plain, err := snappy.Decode(nil, []byte(calls[0].body))
	var sent prompb.ReadRequest
	if err != nil || sent.Unmarshal(plain) != nil || len(sent.Queries) != 2 {
		t.Fatalf("the upstream saw %q (%v)", plain, err)
	}
	for _, q := range sent.Queries {
		if len(q.Matchers) != 2 || q.Matchers[0].Value != "billing" || q.Matchers[1].Name != "namespace" || q.Matchers[1].Value != "shop" || q.Matchers[1].Type != prompb.LabelMatcher_RE {
			t.Errorf("the upstream saw %v", q)
		}
	}
	for name, c := range map[string]struct {
		body   []byte
		status int
	}{
		"no snappy": {[]byte("junk"), http.StatusBadRequest}, "no protobuf": {snappy.Encode(nil, []byte("junk")), http.StatusBadRequest},
		"too long a range": {readBody(t, &prompb.ReadRequest{Queries: []*prompb.Query{query(1 << 40)}}), http.StatusUnprocessableEntity},
		"all of time":      {readBody(t, &prompb.ReadRequest{Queries: []*prompb.Query{{StartTimestampMs: math.MinInt64, EndTimestampMs: math.MaxInt64}}}), http.StatusUnprocessableEntity},
		"a bomb":           {snappy.Encode(nil, bytes.Repeat([]byte{0}, 2<<20)), http.StatusRequestEntityTooLarge},
		"a long body":      {bytes.Repeat([]byte{0}, 2<<20), http.StatusRequestEntityTooLarge},
	} {
		if got := ask(c.body); got.status != c.status || !strings.HasPrefix(got.header.Get("Content-Type"), "text/plain") {
			t.Errorf("%s: answer %d %s", name, got.status, got.body)
		}
		h.silent(name)
	}
}
