package gateway

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/promgate/promgate/routing"
)

const (
	notFormBody  = `{"status":"error","errorType":"bad_data","error":"the body must be application/x-www-form-urlencoded and not compressed (request id ID)"}`
	tooLargeBody = `{"status":"error","errorType":"bad_data","error":"the body is larger than the 256 KiB that this gateway accepts: shorten the query (request id ID)"}`
	slowBody     = `{"status":"error","errorType":"bad_data","error":"the body could not be read to its end in time (request id ID)"}`
)

func TestForms(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	big := "query=up&x=" + strings.Repeat("a", 256<<10)
	cases := map[string]struct {
		header  http.Header
		body    string
		chunked bool
		status  int
		want    string
	}{
		"form":                {header: http.Header{"Content-Type": {form}}, body: "query=up", status: 200},
		"form, charset":       {header: http.Header{"Content-Type": {form + "; charset=UTF-8"}}, body: "query=up", status: 200},
		"form, upper case":    {header: http.Header{"Content-Type": {"Application/X-WWW-Form-Urlencoded"}}, body: "query=up", status: 200},
		"form, chunked":       {header: http.Header{"Content-Type": {form}}, body: "query=up", chunked: true, status: 200},
		"form, at the limit":  {header: http.Header{"Content-Type": {form}}, body: big[:256<<10], status: 200},
		"no type":             {body: "query=up", status: 415, want: notFormBody},
		"two types":           {header: http.Header{"Content-Type": {form, "application/json"}}, body: "query=up", status: 415, want: notFormBody},
		"json":                {header: http.Header{"Content-Type": {"application/json"}}, body: `{"query":"up"}`, status: 415, want: notFormBody},
		"multipart":           {header: http.Header{"Content-Type": {"multipart/form-data; boundary=x"}}, body: "--x--", status: 415, want: notFormBody},
		"plain":               {header: http.Header{"Content-Type": {"text/plain"}}, body: "query=up", status: 415, want: notFormBody},
		"malformed type":      {header: http.Header{"Content-Type": {form + ";;;"}}, body: "query=up", status: 415, want: notFormBody},
		"gzip":                {header: http.Header{"Content-Type": {form}, "Content-Encoding": {"gzip"}}, body: "x", status: 415, want: notFormBody},
		"gzip, second header": {header: http.Header{"Content-Type": {form}, "Content-Encoding": {"", "gzip"}}, body: "x", status: 415, want: notFormBody},
		"over the limit":      {header: http.Header{"Content-Type": {form}}, body: big, status: 413, want: tooLargeBody},
		"over, chunked":       {header: http.Header{"Content-Type": {form}}, body: big, chunked: true, status: 413, want: tooLargeBody},
	}
	for _, h := range []*harness{newHarness(t), newHarness2(t)} {
		for name, c := range cases {
			t.Run(name, func(t *testing.T) {
				h.t = t
				target := production + "api/v1/query"
				var body io.Reader = strings.NewReader(c.body)
				if c.chunked {
					body = io.MultiReader(body)
				}
				r, _ := http.NewRequest(http.MethodPost, h.server.URL+target, body)
				r.Header = c.header.Clone()
				if r.Header == nil {
					r.Header = http.Header{}
				}
				r.Header.Set("Authorization", "Bearer "+tokenShop)
				got := h.do(r)
				calls := h.up.take()
				if c.status != http.StatusOK {
					checkError(t, name, got, c.status, c.want)
					if len(calls) != 0 {
						t.Errorf("the upstream saw %v", calls)
					}
				} else if got.status != 200 || len(calls) != 1 || calls[0].uri != prefixProduction+"/api/v1/query?query=up" {
					t.Errorf("answer %d %s; the upstream saw %v", got.status, got.body, calls)
				}
			})
		}
	}
}

func TestLongQueries(t *testing.T) {
	h := newHarness(t)
	form := longForm()
	explain := `{"status":"error","errorType":"bad_data","error":"the query is too long: encoded it has ` + itoa(len(form)) + ` bytes, and a URL holds 60000; shorten it, or have the environment's operator set allowPost: true (request id ID)"}`
	checkError(t, "without allowPost", h.do(h.request(http.MethodPost, production+"api/v1/query", form)), http.StatusRequestEntityTooLarge, explain)
	h.silent("too long for a URL")

	h.edit(func(e *routing.Environment) { e.AllowPost = true })
	got := h.do(h.request(http.MethodPost, production+"api/v1/query", form))
	calls := h.up.take()
	if got.status != 200 || len(calls) != 1 || calls[0].method != "POST" || calls[0].uri != prefixProduction+"/api/v1/query" || calls[0].body != form {
		t.Fatalf("answer %d %s; the upstream saw %.200v", got.status, got.body, calls)
	}
	sameHeader(t, "upstream", calls[0].header, http.Header{
		"Accept": {"application/json"}, "Accept-Encoding": {"identity"}, "User-Agent": {"promgate/test"},
		"Content-Type": {"application/x-www-form-urlencoded"}, "Content-Length": {itoa(len(form))},
	})

	tooLong := `{"status":"error","errorType":"bad_data","error":"the request is larger than the 60000 bytes that this gateway accepts: shorten the query (request id ID)"}`
	match := url.Values{"match[]": {`{x="` + strings.Repeat("a", maxUpstreamURL) + `"}`}}.Encode()
	checkError(t, "label_values", h.do(h.request(http.MethodPost, production+"api/v1/label/job/values", match)), http.StatusRequestEntityTooLarge, tooLong)
	checkError(t, "metadata", h.get(production+"api/v1/metadata?metric="+strings.Repeat("a", maxUpstreamURL)), http.StatusRequestEntityTooLarge, tooLong)
	checkError(t, "rules", h.get(production+"api/v1/rules?"+match), http.StatusRequestEntityTooLarge, tooLong)
	h.silent("never as POST")
}

func (h *harness) remoteRead(body io.Reader) *http.Request {
	r, _ := http.NewRequest(http.MethodPost, h.server.URL+production+"api/v1/read", body)
	r.Header = http.Header{"Authorization": {"Bearer " + tokenShop}, "Content-Type": {"application/x-protobuf"}, "Content-Encoding": {"snappy"}}
	return r
}

func TestRemoteReadBodies(t *testing.T) {
	for _, h := range []*harness{newHarness(t), newHarness2(t)} {
		const wrong = "the body must be application/x-protobuf, compressed by snappy, as Prometheus' remote read sends it (request id ID)\n"
		for name, header := range map[string]http.Header{
			"form": {"Content-Type": {"application/x-www-form-urlencoded"}}, "no type": {}, "not compressed": {"Content-Type": {"application/x-protobuf"}},
			"gzip": {"Content-Type": {"application/x-protobuf"}, "Content-Encoding": {"gzip"}}, "json": {"Content-Type": {"application/json"}, "Content-Encoding": {"snappy"}},
		} {
			r := h.remoteRead(strings.NewReader("x"))
			r.Header = header.Clone()
			r.Header.Set("Authorization", "Bearer "+tokenShop)
			checkError(t, name, h.do(r), http.StatusUnsupportedMediaType, wrong, "Content-Type", "text/plain; charset=utf-8")
		}
		h.silent("remote read of another type")

		const large = "the body is larger than the 1 MiB that this gateway accepts: shorten the query (request id ID)\n"
		body := bytes.Repeat([]byte("x"), 1<<20+1)
		checkError(t, "length", h.do(h.remoteRead(bytes.NewReader(body))), http.StatusRequestEntityTooLarge, large, "Content-Type", "text/plain; charset=utf-8")
		h.silent("remote read of a length over the limit")
		checkError(t, "chunked", h.do(h.remoteRead(io.MultiReader(bytes.NewReader(body)))), http.StatusRequestEntityTooLarge, large, "Content-Type", "text/plain; charset=utf-8")
		h.up.answerWith(with(answerAs(200, "application/x-protobuf", "samples"), "Content-Encoding", "snappy"))
		got := h.do(h.remoteRead(io.MultiReader(bytes.NewReader(body[1:]))))
		calls := h.up.take()
		if got.status != 200 || got.body != "samples" || got.header.Get("Content-Encoding") != "snappy" || got.header.Get("Content-Type") != "application/x-protobuf" {
			t.Errorf("answer %d %s %v", got.status, got.body, got.header)
		}
		last := calls[len(calls)-1] // the upstream may see the beginning of what was too large
		if last.body != string(body[1:]) || last.header["Accept-Encoding"][0] != "identity" {
			t.Errorf("the upstream saw %d requests", len(calls))
		}
	}
}

func TestFederateAccept(t *testing.T) {
	h := newHarness(t)
	for accept, media := range map[string]string{
		"application/openmetrics-text;version=1.0.0,text/plain;q=0.5":                   "application/openmetrics-text; version=1.0.0; charset=utf-8",
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;q=0.7": "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
		"":                        "text/plain; version=0.0.4; charset=utf-8",
		strings.Repeat("a", 1025): "text/plain; version=0.0.4; charset=utf-8",
	} {
		h.up.answerWith(answerAs(200, media, "up 1\n"))
		r := h.request(http.MethodGet, production+"federate?match[]=up", "")
		want := []string{accept}
		if accept == "" || len(accept) > 1024 {
			want = nil
		}
		if accept != "" {
			r.Header.Set("Accept", accept)
		}
		got, calls := h.do(r), h.up.take()
		if got.status != 200 || got.header.Get("Content-Type") != media || len(calls) != 1 || len(calls[0].header["Accept"]) != len(want) || len(want) > 0 && calls[0].header["Accept"][0] != want[0] {
			t.Errorf("Accept %.80q: answer %d, %v; the upstream saw %.300v", accept, got.status, got.header, calls)
		}
	}
	for _, media := range []string{"text/html", "application/json", "text/plain; a=\"" + strings.Repeat("b", 300) + `"`, "text/plain; ="} {
		h.up.answerWith(answerAs(200, media, "up 1\n"))
		if got := h.get(production + "federate?match[]=up"); got.status != http.StatusBadGateway {
			t.Errorf("%.40q: answer %d, want 502", media, got.status)
		}
	}
}

// TestSlowRequestBody: whoever does not send what he announced is answered in
// time, on every endpoint, for every reason, and holds no place.
func TestSlowRequestBody(t *testing.T) {
	h := newHarness(t, func(o *Options) { o.Limits.RequestBodyTimeout = 100 * time.Millisecond })
	authorization := "Authorization: Bearer " + tokenShop + "\r\n"
	form := "Content-Type: application/x-www-form-urlencoded\r\n"
	post := func(path, header string) string {
		return "POST " + production + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n" + header + "\r\nquery="
	}
	for name, c := range map[string]struct {
		text   string
		status int
	}{
		"form":          {post("api/v1/query", authorization+form), 400},
		"no credential": {post("api/v1/query", form), 401},
		"no route":      {post("api/v1/targets", authorization+form), 404},
		"wrong method":  {post("api/v1/alerts", authorization+form), 405},
		"wrong type":    {post("api/v1/query", authorization), 415},
		"get":           {"GET" + strings.TrimPrefix(post("api/v1/query", authorization+form), "POST"), 400},
		"get, chunked":  {"GET " + production + "api/v1/query HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" + authorization + form + "\r\n", 400},
		"remote read":   {post("api/v1/read", authorization+"Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n"), 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			started := time.Now()
			resp, body := h.raw(t, c.text)
			if resp.StatusCode != c.status {
				t.Errorf("answer %d %s, want %d", resp.StatusCode, body, c.status)
			}
			if id := resp.Header.Get("X-Request-Id"); name == "form" && strings.ReplaceAll(body, id, "ID") != slowBody {
				t.Errorf("answer %s, want %s", body, slowBody)
			}
			if took := time.Since(started); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}
