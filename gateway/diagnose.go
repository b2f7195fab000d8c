package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/promgate/promgate/routing"
)

const (
	// diagnoseTimeout bounds each question of a diagnosis.
	diagnoseTimeout = 10 * time.Second
	// maxDiagnosed bounds what is read of an answer, in bytes.
	maxDiagnosed = 64 << 10
)

// Diagnosis is the way to one environment's Prometheus, hop by hop, up to the
// first that fails; or, without project and environment, to a cluster. It holds
// no secret.
type Diagnosis struct {
	Project     string `json:"project"`
	Environment string `json:"environment"`
	// Target is where the Prometheus is, in words.
	Target string        `json:"target"`
	Hops   []routing.Hop `json:"hops"`
}

// OK tells whether no hop failed.
func (d Diagnosis) OK() bool {
	_, failed := routing.FailedHop(d.Hops)
	return !failed
}

// Diagnose walks the way to an environment's Prometheus: what the target itself
// knows of it, then the questions that clients ask first. It stops at the first
// hop that fails. Each hop takes 10 seconds at the most. It takes no place in
// the queues of the gateway's limits.
func (g *Gateway) Diagnose(ctx context.Context, e *routing.Environment) Diagnosis {
	d := &diagnosis{gateway: g, environment: e, target: e.Target}
	if examine := e.Target.Examine; examine != nil {
		d.hops = examine(ctx, e.AllowPost || e.Allow.RemoteRead)
	}
	switch _, failed := routing.FailedHop(d.hops); {
	case failed:
	case e.Target.Caller != nil:
		d.report(routing.Hop{Name: routing.HopPrometheus, Status: routing.HopSkipped, Found: errCallersOnly.Message})
	default:
		d.ask(ctx)
	}
	return Diagnosis{Project: e.Project.Name, Environment: e.Name, Target: e.Target.Description, Hops: d.hops}
}

// diagnosis is a Diagnosis in the making.
type diagnosis struct {
	gateway     *Gateway
	environment *routing.Environment
	target      *routing.Target
	hops        []routing.Hop
}

// report adds a hop. An answer that tells of an earlier hop takes the place of
// what was found there by looking, and of all that came after.
func (d *diagnosis) report(h routing.Hop) {
	if i := slices.IndexFunc(d.hops, func(before routing.Hop) bool { return before.Name == h.Name }); i >= 0 {
		d.hops = d.hops[:i]
	}
	d.hops = append(d.hops, h)
}

func (d *diagnosis) pass(name, found string) {
	d.report(routing.Hop{Name: name, Status: routing.HopOK, Found: found})
}

func (d *diagnosis) fail(name, found, cause string) {
	d.report(routing.Hop{Name: name, Status: routing.HopFailed, Found: found, Cause: cause})
}

// ask walks the hops that only an answer of the server can tell of.
func (d *diagnosis) ask(ctx context.Context) {
	ready, fine := d.question(ctx, readyPath)
	if !fine {
		return
	}
	if d.target.ServiceProxy != nil {
		d.pass(routing.HopConnection, "a server answers through the service proxy")
	}
	answer, fine := d.question(ctx, queryPath)
	if !fine {
		return
	}
	if !answer.isTwo() {
		found, cause := d.explain(ctx, ready, answer)
		d.fail(routing.HopPrometheus, found, cause)
		return
	}
	product := "a server of Prometheus' query API"
	if info, err := d.get(ctx, d.target.Base.Path, buildinfoPath); err == nil {
		product = info.product(product)
	}
	switch {
	case ready.status == http.StatusOK:
		d.pass(routing.HopPrometheus, product+" is ready and answers queries")
	case ready.status == http.StatusNotFound:
		d.pass(routing.HopPrometheus, product+" answers queries; it has no /"+readyPath)
	default:
		d.pass(routing.HopPrometheus, fmt.Sprintf("%s answers queries, but /%s with status %d", product, readyPath, ready.status))
	}
}

// What is asked. The query has one answer, whatever data there is.
const (
	readyPath     = "-/ready"
	queryPath     = "api/v1/query?query=1%2B1"
	buildinfoPath = "api/v1/status/buildinfo"
)

// reply is a server's answer to a question of a diagnosis.
type reply struct {
	status      int
	contentType string
	location    string
	body        []byte
	// status of the API server itself, or an error of Prometheus' form.
	failure upstreamError
}

// isTwo tells whether the reply is Prometheus' answer to 1+1.
func (r *reply) isTwo() bool {
	var answer struct {
		Status string `json:"status"`
		Data   struct {
			ResultType string `json:"resultType"`
			Result     []any  `json:"result"`
		} `json:"data"`
	}
	return r.status == http.StatusOK && json.Unmarshal(r.body, &answer) == nil && answer.Status == "success" &&
		answer.Data.ResultType == "scalar" && len(answer.Data.Result) == 2 && answer.Data.Result[1] == "2"
}

// product is what build information calls the server; servers without it go by
// the other words.
func (r *reply) product(otherwise string) string {
	var info struct {
		Data struct {
			Application string `json:"application"`
			Version     string `json:"version"`
		} `json:"data"`
	}
	if r.status != http.StatusOK || json.Unmarshal(r.body, &info) != nil || info.Data.Version == "" {
		return otherwise
	}
	if info.Data.Application == "" {
		info.Data.Application = "Prometheus"
	}
	return shorten(info.Data.Application+" "+info.Data.Version, 100)
}

func (r *reply) isPage() bool {
	media, _, _ := strings.Cut(strings.ToLower(r.contentType), ";")
	return strings.TrimSpace(media) == "text/html"
}

// question asks the target and reports what fails before its server answers.
func (d *diagnosis) question(ctx context.Context, path string) (*reply, bool) {
	answer, err := d.get(ctx, d.target.Base.Path, path)
	switch {
	case err != nil:
		d.unanswered(err, path)
	case d.target.ServiceProxy != nil && answer.failure.isKubernetes():
		d.refused(answer)
	case answer.status == http.StatusBadRequest && strings.Contains(string(answer.body), "HTTP request to an HTTPS server"):
		d.fail(routing.HopConnection, "the server is asked in plain HTTP and wants TLS", d.setting("set scheme: https", "begin url with https://"))
	default:
		return answer, true
	}
	return nil, false
}

// setting words an advice for either kind of target.
func (d *diagnosis) setting(proxied, direct string) string {
	if d.target.ServiceProxy != nil {
		return proxied
	}
	return direct
}

// get asks the server for a path below another. It follows no redirect.
func (d *diagnosis) get(ctx context.Context, base, path string) (*reply, error) {
	ctx, cancel := context.WithTimeout(ctx, diagnoseTimeout)
	defer cancel()
	u := *d.target.Base
	path, u.RawQuery, _ = strings.Cut(path, "?")
	if u.RawPath != "" && base == u.Path {
		u.RawPath = joinPath(u.RawPath, path, "")
	} else {
		u.RawPath = ""
	}
	u.Path = joinPath(base, path, "")
	header := make(http.Header, len(d.target.Header)+2)
	for name, values := range d.target.Header {
		header[name] = values
	}
	header["User-Agent"], header["Accept-Encoding"] = d.gateway.userAgent, identityOnly
	request := &http.Request{
		Method: http.MethodGet, URL: &u, Host: u.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	resp, err := d.target.Transport.RoundTrip(request.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer := &reply{status: resp.StatusCode, contentType: resp.Header.Get("Content-Type"), location: resp.Header.Get("Location")}
	if answer.body, err = io.ReadAll(io.LimitReader(resp.Body, maxDiagnosed)); err != nil {
		return nil, err
	}
	if json.Unmarshal(answer.body, &answer.failure) != nil {
		answer.failure = upstreamError{}
	}
	return answer, nil
}

// unanswered reports a question that nobody answered.
func (d *diagnosis) unanswered(err error, path string) {
	address := d.target.Base.Host
	trouble, found := routing.TroubleOf(err, address)
	proxy := d.target.ServiceProxy
	if trouble == routing.TroubleTimeout {
		path, _, _ = strings.Cut(path, "?")
		found = fmt.Sprintf("timeout: no answer to GET /%s within %s", path, diagnoseTimeout)
		if proxy == nil {
			d.fail(routing.HopPrometheus, found, "the connection stands, but the server hangs: look at its log, CPU and memory")
			return
		}
		if path == readyPath {
			d.report(routing.Hop{
				Name: routing.HopConnection, Status: routing.HopSkipped,
				Found: "through the service proxy, a pod that cannot be connected to looks like one that does not answer",
			})
		}
		d.fail(routing.HopPrometheus, found, "the server hangs: look at its log, CPU and memory; or a NetworkPolicy or firewall drops what the API server sends to the pod")
		return
	}
	if proxy != nil {
		d.fail(routing.HopAPIServer, found, "the API server answered a moment ago: it is restarting, or a load balancer before it is; try again")
		return
	}
	cause := "the server wants TLS there (begin url with https://), speaks another protocol, or ends while it answers: look at its log"
	if trouble == routing.TroubleRejected {
		cause = "the server wants a client certificate, or does not take this one: set or renew tls.certFile and tls.keyFile"
	}
	d.fail(routing.HopConnection, found, cause)
}
