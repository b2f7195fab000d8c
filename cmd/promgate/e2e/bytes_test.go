package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"github.com/promgate/promgate/cmd/demo/cluster"
	"github.com/promgate/promgate/cmd/demo/prometheus"
	"github.com/promgate/promgate/gateway"
)

// TestByteForByte asks Prometheus itself and, through the API server, the gateway.
func TestByteForByte(t *testing.T) {
	t.Parallel()
	// Federation answers what is recent alone.
	server := prometheusServer(t, prometheus.Fixture())
	must(t, server.Append(t.Context(), func(app prometheus.Appender) error {
		for _, name := range []string{"fresh", "fresh_total", "fresh thing"} {
			if err := appendFloat(app, time.Now(), 1.25, model.MetricNameLabel, name, "job", "api"); err != nil {
				return err
			}
		}
		return nil
	}))
	kubeconfig := namespace(t, "bytes", server.Addr())
	// Remote read is a POST and needs a verb more, which nothing else is to depend on.
	namespace(t, "bytes-read", server.Addr())
	grant(t, "bytes-read", "bytes", "create")
	path := configuration(t, kubeconfig, "",
		"bytes/get: "+service("bytes", "prometheus")+", allow: [federate]",
		"bytes/create: "+service("bytes-read", "prometheus")+", allow: [remoteRead]",
	)
	secret, _ := token(t, path, "bytes")
	g := serve(t, path)
	c := comparison{direct: server.URL(), token: secret, through: func(e *gateway.Endpoint) string {
		if e.Name == "remote_read" {
			return g.base("bytes/create")
		}
		return g.base("bytes/get")
	}}
	for _, e := range gateway.Endpoints() {
		asked := questions[e.Name]
		if len(asked) == 0 {
			t.Errorf("the endpoint %s is asked nothing", e.Name)
		}
		if e.Name == "rules" {
			asked = append(asked, furtherRules(t, server.URL())...)
		}
		for _, q := range asked {
			t.Run(e.Name+"/"+q.name, func(t *testing.T) { c.compare(t, e, q) })
		}
	}
	t.Logf("%d answers compared, %d of them compressed", c.compared, c.compressed)
}

// furtherRules are questions that only an answer tells how to ask.
func furtherRules(t testing.TB, base string) []question {
	t.Helper()
	var page struct {
		Data struct {
			GroupNextToken string
			Groups         []struct{ File string }
		}
	}
	must(t, decode(ask(get(base+"/api/v1/rules?group_limit=1")), &page))
	if page.Data.GroupNextToken == "" || len(page.Data.Groups) != 1 {
		t.Fatalf("the first page is %v", page)
	}
	return []question{
		{name: "second page", params: "group_limit=1&group_next_token=" + page.Data.GroupNextToken},
		{name: "by the real file", params: "type=record&file[]=" + page.Data.Groups[0].File},
	}
}

// grant lets the gateway of another namespace use a Service of this one, with these verbs.
func grant(t testing.TB, namespace, gateway string, verbs ...string) {
	t.Helper()
	must(t, controlPlane(t).AllowServiceProxy(t.Context(), namespace, cluster.ServiceAccount(gateway, account), []string{proxied}, verbs...))
}

// comparison is of what two servers answer.
type comparison struct {
	direct  string
	through func(*gateway.Endpoint) string
	token   string

	compared, compressed int
}

// compare asks one question in every way in which clients may.
func (c *comparison) compare(t *testing.T, e *gateway.Endpoint, q question) {
	if q.status == 0 {
		q.status = http.StatusOK
	}
	for _, encoding := range []string{"identity", "gzip"} {
		for _, method := range e.Methods {
			direct := ask(q.request(e, c.direct, directMethod(e, method), encoding))
			through := ask(with(q.request(e, c.through(e), method, encoding), c.token))
			err := q.differ(e, direct, through)
			// Where Prometheus keeps no order, as in alerts, one of its answers has to be the same.
			for i := 0; err != nil && i < 200 && q.status == http.StatusOK && through.status == q.status; i++ {
				err = q.differ(e, ask(q.request(e, c.direct, directMethod(e, method), encoding)), through)
			}
			if err != nil {
				t.Errorf("%s, %s: %v\ndirect:  %s\nthrough: %s", method, encoding, err, direct, through)
			}
			c.compared++
			if through.encoding == "gzip" {
				c.compressed++
			}
		}
	}
}

// directMethod is how Prometheus itself is asked: by GET, where that is possible.
func directMethod(e *gateway.Endpoint, method string) string {
	if method == http.MethodHead || e.Body {
		return method
	}
	return http.MethodGet
}

// request is the question as a request.
func (q question) request(e *gateway.Endpoint, base, method, encoding string) *http.Request {
	path := q.path
	if path == "" {
		path = e.Path
	}
	address := base + "/" + path
	form := q.form()
	var r *http.Request
	switch {
	case e.Body:
		r = with(request(method, address, bytes.NewReader(q.body)), "", "Content-Type", "application/x-protobuf",
			"Content-Encoding", "snappy", "X-Prometheus-Remote-Read-Version", "0.1.0")
	case method == http.MethodPost:
		r = post(address, form)
	case len(form) > 0:
		r = request(method, address+"?"+form.Encode(), nil)
	default:
		r = request(method, address, nil)
	}
	if q.accept != "" {
		r.Header.Set("Accept", q.accept)
	}
	r.Header.Set("Accept-Encoding", encoding)
	return r
}

// form reads the parameters. Only what has a meaning in a URL is escaped in them.
func (q question) form() url.Values {
	form := url.Values{}
	for pair := range strings.SplitSeq(q.params, "&") {
		if name, value, found := strings.Cut(pair, "="); found {
			value = strings.NewReplacer("%2B", "+", "%26", "&").Replace(value)
			form.Add(name, value)
		}
	}
	return form
}

// differ tells how the gateway's answer differs from Prometheus'.
func (q question) differ(e *gateway.Endpoint, direct, through answer) error {
	switch {
	case direct.err != nil || through.err != nil:
		return fmt.Errorf("no answer: %w, %w", direct.err, through.err)
	case direct.status != q.status:
		return fmt.Errorf("Prometheus answers %d, not %d", direct.status, q.status)
	case through.status != q.status:
		return fmt.Errorf("the gateway answers %d, not %d", through.status, q.status)
	case q.status >= 400:
		return q.differInError(e, direct, through)
	case through.media() != direct.media() && direct.media() != "": // which Prometheus leaves out of a HEAD
		return fmt.Errorf("media types %q and %q", direct.media(), through.media())
	// Build information is looked into, which takes a plain text. What is kept is compressed by the gateway, where that is worth it.
	case through.encoding != direct.encoding && e.Name != "buildinfo" && q.status != http.StatusNoContent &&
		!(through.encoding == "" && through.header.Get("X-Promgate-Cache") != "" && len(through.body) < 1400):
		return fmt.Errorf("content encodings %q and %q", direct.encoding, through.encoding)
	}
	was, is := direct.body, through.body
	if q.varies != nil {
		was, is = q.varies.ReplaceAllString(was, "-"), q.varies.ReplaceAllString(is, "-")
	}
	if was != is {
		return fmt.Errorf("bodies of %d and %d bytes", len(was), len(is))
	}
	return nil
}

func (q question) differInError(e *gateway.Endpoint, direct, through answer) error {
	if through.encoding != "" {
		return fmt.Errorf("an error with content encoding %q", through.encoding)
	}
	switch e.Name {
	case "federate": // whose errors Prometheus writes as text
		got, err := through.ownError()
		if err == nil && got.Error != strings.TrimSuffix(direct.body, "\n") {
			err = fmt.Errorf("other words")
		}
		return err
	case "remote_read": // whose clients read errors as text
		text := strings.TrimSuffix(through.body, "\n")
		if id := requestID.FindStringSubmatch(text); id == nil || through.media() != "text/plain" {
			return fmt.Errorf("not an error in text")
		}
		if requestID.ReplaceAllString(text, "") != strings.TrimSuffix(direct.body, "\n") {
			return fmt.Errorf("other words")
		}
		return nil
	}
	if !q.own {
		if through.body != direct.body || through.media() != direct.media() {
			return fmt.Errorf("Prometheus' own error is changed")
		}
		return nil
	}
	got, err := through.ownError()
	if err != nil {
		return err
	}
	var want failure
	if err := decode(direct, &want); err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("other words")
	}
	return nil
}
