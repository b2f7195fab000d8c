package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promgate/promgate/routing"
)

const (
	two         = `{"status":"success","data":{"resultType":"scalar","result":[1435781451.781,"2"]}}`
	information = `{"status":"success","data":{"version":"3.15.0","revision":"x"}}`
)

// server answers the questions of a diagnosis, by path below the target's.
type server map[string]http.HandlerFunc

func (s server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, prefixProduction)
	answer, known := s[path]
	if !known {
		answer, known = s["*"]
	}
	if !known {
		answer = answerAs(404, "text/plain", "404 page not found\n")
	}
	answer(w, r)
}

// prometheusAt is a server that is well, below a path.
func prometheusAt(prefix string) server {
	return server{
		prefix + "/-/ready":                 answerAs(200, "text/plain", "Prometheus Server is Ready.\n"),
		prefix + "/api/v1/query":            answerJSON(200, two),
		prefix + "/api/v1/status/buildinfo": answerJSON(200, information),
	}
}

// but is a server with another answer at some paths.
func (s server) but(path string, h http.HandlerFunc) server {
	s[path] = h
	return s
}

func everywhere(h http.HandlerFunc) server { return server{"*": h} }

type diagnosisCase struct {
	direct bool   // the target is a URL, not a service proxy
	prefix string // of the target
	server server
	hop    string // that fails; empty: none
	found  string // part of what was found, or of the last hop's where none fails
	cause  string // part of it
	apply  string
}

var diagnoses = map[string]diagnosisCase{
	"good":            {server: prometheusAt(""), found: "Prometheus 3.15.0 is ready and answers queries"},
	"good, direct":    {direct: true, server: prometheusAt(""), found: "Prometheus 3.15.0 is ready and answers queries"},
	"good, below":     {prefix: "/prom", server: prometheusAt("/prom"), found: "Prometheus 3.15.0 is ready and answers queries"},
	"Mimir":           {server: server{"/api/v1/query": answerJSON(200, two), "/api/v1/status/buildinfo": answerJSON(200, `{"status":"success","data":{"application":"Grafana Mimir","version":"2.17.0"}}`)}, found: "Grafana Mimir 2.17.0 answers queries; it has no /-/ready"},
	"no buildinfo":    {server: server{"/api/v1/query": answerJSON(200, two)}, found: "a server of Prometheus' query API answers queries; it has no /-/ready"},
	"ready elsewhere": {server: prometheusAt("").but("/-/ready", answerAs(401, "text/plain", "")), found: "Prometheus 3.15.0 answers queries, but /-/ready with status 401"},

	"k8s 401":              {server: everywhere(kubernetesStatus(401, "Unauthorized", "Unauthorized")), hop: "credentials", found: "401", cause: "cluster local"},
	"k8s 403":              {server: everywhere(kubernetesStatus(403, "Forbidden", forbidden)), hop: "rbac", found: "403: services", cause: "http:prometheus:web in namespace shop", apply: "Role for get on shop/http:prometheus:web"},
	"k8s 404":              {server: everywhere(kubernetesStatus(404, "NotFound", `services \"prometheus\" not found`)), hop: "service", found: "not found", cause: "Service prometheus"},
	"k8s no endpoints":     {server: everywhere(kubernetesStatus(503, "ServiceUnavailable", `no endpoints available for service \"prometheus\"`)), hop: "endpoints", found: "no endpoints available", cause: "no pod stands behind"},
	"k8s no good endpoint": {server: everywhere(kubernetesStatus(503, "ServiceUnavailable", `no endpoints available for service \"http:prometheus:web\"`)), hop: "endpoints", found: "no endpoints available", cause: `declares no port "web"`},
	"k8s no port":          {server: everywhere(kubernetesStatus(503, "ServiceUnavailable", `no service port 9999 found for service \"prometheus\"`)), hop: "service", found: "no service port", cause: "does not declare this port"},
	"k8s refused":          {server: everywhere(kubernetesStatus(503, "ServiceUnavailable", `error trying to reach service: dial tcp 10.0.0.1:9090: connect: connection refused`)), hop: "connection", found: "connection refused", cause: "nobody listens on the pod's port"},
	"k8s refused, old":     {server: everywhere(kubernetesStatus(500, "", `error trying to reach service: dial tcp 10.0.0.1:9090: i/o timeout`)), hop: "connection", found: "i/o timeout", cause: "NetworkPolicy"},
	"k8s plain":            {server: everywhere(kubernetesStatus(503, "ServiceUnavailable", `error trying to reach service: http: server gave HTTP response to HTTPS client`)), hop: "connection", found: "HTTP response", cause: "set scheme: http"},
	"k8s TLS":              {server: everywhere(kubernetesStatus(503, "ServiceUnavailable", `error trying to reach service: remote error: tls: bad certificate`)), hop: "connection", found: "bad certificate", cause: "client certificate"},
	"k8s malformed":        {server: everywhere(kubernetesStatus(503, "ServiceUnavailable", `error trying to reach service: net/http: HTTP/1.x transport connection broken: malformed HTTP response \"x\"`)), hop: "connection", found: "malformed", cause: "does not speak HTTP"},
	"k8s 429":              {server: everywhere(kubernetesStatus(429, "TooManyRequests", "slow down")), hop: "api server", found: "429: slow down", cause: "try again"},
	"k8s later":            {server: prometheusAt("").but("/api/v1/query", kubernetesStatus(503, "ServiceUnavailable", "no endpoints available for service \\\"prometheus\\\"")), hop: "endpoints", found: "no endpoints available", cause: "no pod"},
	"k8s of a URL":         {direct: true, server: everywhere(kubernetesStatus(403, "Forbidden", "no")), hop: "prometheus", found: "refuses GET /api/v1/query with status 403", cause: "bearerTokenFile"},

	"wants TLS":             {server: everywhere(answerAs(400, "text/plain", "Client sent an HTTP request to an HTTPS server.\n")), hop: "connection", found: "wants TLS", cause: "scheme: https"},
	"wants TLS, direct":     {direct: true, server: everywhere(answerAs(400, "text/plain", "Client sent an HTTP request to an HTTPS server.\n")), hop: "connection", found: "wants TLS", cause: "begin url with https://"},
	"closes":                {direct: true, server: everywhere(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), hop: "connection", found: "closed the connection", cause: "https://"},
	"API server closes":     {server: everywhere(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), hop: "api server", found: "closed the connection", cause: "restarting"},
	"starting":              {server: everywhere(answerAs(503, "text/plain", "Service Unavailable")), hop: "prometheus", found: "503, and /-/ready with 503", cause: "is starting"},
	"no API":                {server: prometheusAt("").but("/api/v1/query", answerAs(404, "text/plain", "")), hop: "prometheus", found: "is ready, but has no GET /api/v1/query", cause: "Alertmanager"},
	"nothing":               {server: server{}, hop: "prometheus", found: "404 at everything below /", cause: "pathPrefix is not the path"},
	"nothing, direct":       {direct: true, prefix: "/x", server: server{}, hop: "prometheus", found: "404 at everything below /x", cause: "the path of url is not"},
	"superfluous prefix":    {prefix: "/x/y", server: prometheusAt(""), hop: "prometheus", found: "404 at everything below /x/y", cause: "Prometheus answers without the path /x/y: remove pathPrefix"},
	"superfluous path":      {direct: true, prefix: "/x", server: prometheusAt(""), hop: "prometheus", found: "404", cause: "take it out of url"},
	"missing prefix":        {server: prometheusAt("/prom").but("/", redirect(prefixProduction+"/prom")), hop: "prometheus", found: "404", cause: "set pathPrefix: /prom"},
	"other prefix":          {prefix: "/x", server: prometheusAt("/prom").but("/", redirect("/prom/")), hop: "prometheus", found: "404", cause: "set pathPrefix: /prom"},
	"missing path":          {direct: true, server: prometheusAt("/prom").but("/", redirect("/prom")), hop: "prometheus", found: "404", cause: "end url with /prom"},
	"home leads to nothing": {server: server{"/": redirect("/login")}, hop: "prometheus", found: "404", cause: "pathPrefix is not the path"},
	"redirect":              {server: everywhere(redirect("https://login.example/in?token=secret")), hop: "prometheus", found: "(status 302) to the path /in", cause: "pathPrefix or scheme is wrong"},
	"redirect, direct":      {direct: true, server: everywhere(redirect("https://login.example/in?token=secret")), hop: "prometheus", found: "(status 302) to the path /in", cause: "correct url"},
	"redirect to nowhere":   {server: everywhere(redirect("http://[")), hop: "prometheus", found: "(not readable)", cause: "pathPrefix"},
	"unauthorized":          {server: everywhere(answerAs(401, "text/plain", "who?")), hop: "prometheus", found: "refuses GET /api/v1/query with status 401", cause: "passes none on"},
	"page":                  {server: everywhere(answerAs(200, "text/html; charset=utf-8", "<html>")), hop: "prometheus", found: "a web page (HTML, status 200)", cause: "login page"},
	"page of an error":      {server: everywhere(answerAs(500, "text/html", "<html>")), hop: "prometheus", found: "a web page (HTML, status 500)", cause: "login page"},
	"proxy":                 {server: everywhere(answerAs(502, "text/html", "<html>")), hop: "prometheus", found: "status 502", cause: "a proxy stands before"},
	"error":                 {server: prometheusAt("").but("/api/v1/query", answerJSON(422, `{"status":"error","errorType":"execution","error":"unavailable with Prometheus Agent"}`)), hop: "prometheus", found: "execution: unavailable with Prometheus Agent", cause: "its own words"},
	"other JSON":            {server: everywhere(answerJSON(200, `{"status":"fine"}`)), hop: "prometheus", found: "is no Prometheus: status 200", cause: "another program"},
	"other arithmetic":      {server: prometheusAt("").but("/api/v1/query", answerJSON(200, strings.Replace(two, `"2"`, `"3"`, 1))), hop: "prometheus", found: "is no Prometheus", cause: "another program"},
}

func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusFound)
	}
}

func TestDiagnose(t *testing.T) {
	h := newHarness(t)
	for name, c := range diagnoses {
		t.Run(name, func(t *testing.T) {
			h.up.answerWith(c.server.ServeHTTP)
			e := environments(h.up)[0]
			if c.direct {
				e.Target.ServiceProxy, e.Target.Base.Path = nil, ""
			}
			e.Target.Base.Path += c.prefix
			d := h.gateway.Diagnose(t.Context(), e)
			last := d.Hops[len(d.Hops)-1]
			failed, bad := routing.FailedHop(d.Hops)
			if bad == d.OK() || bad != (c.hop != "") || bad && failed != last {
				t.Fatalf("got %+v", d.Hops)
			}
			if !strings.Contains(last.Found, c.found) || !strings.Contains(last.Cause, c.cause) || last.Apply != c.apply || bad && last.Name != c.hop {
				t.Errorf("got %+v", last)
			}
			if text, _ := json.Marshal(d); strings.Contains(string(text), "secret") {
				t.Errorf("it tells a secret: %s", text)
			}
			for _, call := range h.up.take() {
				if call.method != "GET" || call.header.Get("User-Agent") != "promgate/test" || call.header.Get("Accept-Encoding") != "identity" {
					t.Errorf("the server saw %v", call)
				}
			}
		})
	}
}

// TestDiagnoseAfterTarget: what the target finds comes first, and a hop that
// fails there is the last.
func TestDiagnoseAfterTarget(t *testing.T) {
	h := newHarness(t)
	h.up.answerWith(prometheusAt("").ServeHTTP)
	e := environments(h.up)[0]
	e.Allow, e.Target.Header = routing.Allow{}, http.Header{"X-Scope-Orgid": {"shop"}}
	var post bool
	hops := []routing.Hop{{Name: "rbac", Status: routing.HopOK, Found: "may"}, {Name: "endpoints", Status: routing.HopSkipped, Found: "may not look"}}
	e.Target.Examine = func(_ context.Context, needed bool) []routing.Hop {
		post = needed
		return hops
	}
	const want = `{"project":"shop","environment":"production","target":"service shop/http:prometheus:web","hops":[` +
		`{"hop":"rbac","status":"ok","found":"may"},{"hop":"endpoints","status":"skipped","found":"may not look"},` +
		`{"hop":"connection","status":"ok","found":"a server answers through the service proxy"},` +
		`{"hop":"prometheus","status":"ok","found":"Prometheus 3.15.0 is ready and answers queries"}]}`
	if got, _ := json.Marshal(h.gateway.Diagnose(t.Context(), e)); string(got) != want || post {
		t.Errorf("got %s, want %s", got, want)
	}
	if calls := h.up.take(); len(calls) != 3 || calls[0].header.Get("X-Scope-Orgid") != "shop" {
		t.Errorf("the server saw %v", calls)
	}
	for _, change := range []func(){func() { e.AllowPost = true }, func() { e.AllowPost, e.Allow.RemoteRead = false, true }} {
		change()
		if h.gateway.Diagnose(t.Context(), e); !post {
			t.Error("the examination is not told of POST")
		}
	}
	h.up.take()
	// What the server tells of a hop takes the place of what was found there.
	h.up.answerWith(kubernetesStatus(403, "Forbidden", forbidden))
	if d := h.gateway.Diagnose(t.Context(), e); len(d.Hops) != 1 || d.Hops[0].Name != "rbac" || d.OK() {
		t.Errorf("got %+v", d)
	}
	h.up.take()
	hops = append(hops, routing.Hop{Name: "endpoints", Status: routing.HopFailed})
	if d := h.gateway.Diagnose(t.Context(), e); len(d.Hops) != 3 || d.OK() || len(h.up.take()) != 0 {
		t.Errorf("got %+v", d)
	}
}

// hanging is a server that is connected to and never answers.
type hanging struct{}

func (hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestDiagnoseHangs(t *testing.T) {
	h := newHarness(t)
	proxied, direct := environments(h.up)[0], environments(h.up)[1]
	direct.Target.ServiceProxy = nil
	proxied.Target.Transport, direct.Target.Transport = hanging{}, hanging{}
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		d := h.gateway.Diagnose(t.Context(), proxied)
		if took := time.Since(began); took != diagnoseTimeout {
			t.Errorf("it took %s", took)
		}
		const found = "timeout: no answer to GET /-/ready within 10s"
		if len(d.Hops) != 2 || d.Hops[0].Name != "connection" || d.Hops[0].Status != routing.HopSkipped || d.Hops[1].Name != "prometheus" || d.Hops[1].Found != found {
			t.Errorf("got %+v", d.Hops)
		}
		d = h.gateway.Diagnose(t.Context(), direct)
		if len(d.Hops) != 1 || d.Hops[0].Name != "prometheus" || d.Hops[0].Found != found || !strings.Contains(d.Hops[0].Cause, "the server hangs") {
			t.Errorf("got %+v", d.Hops)
		}
	})
}
