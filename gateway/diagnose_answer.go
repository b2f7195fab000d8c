package gateway

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/promgate/promgate/routing"
)

// refused reports the API server's own refusal. Where the gateway may not look
// at Services and endpoints, this is the only word on them.
func (d *diagnosis) refused(answer *reply) {
	proxy, message := d.target.ServiceProxy, shorten(answer.failure.Message, 500)
	_, target, _ := strings.Cut(proxy.Name, ":")
	service, port, _ := strings.Cut(target, ":")
	found := fmt.Sprintf("the API server answers %d: %s", answer.status, message)
	describe := "kubectl -n " + proxy.Namespace + " describe service " + service
	switch {
	case answer.status == http.StatusUnauthorized:
		d.fail(routing.HopCredentials, found, "the gateway's own credentials for cluster "+proxy.Cluster+" are not accepted: make new ones")
	case answer.status == http.StatusForbidden:
		d.report(routing.Hop{
			Name: routing.HopRBAC, Status: routing.HopFailed, Found: found, Apply: proxy.Role("get"),
			Cause: "no Role lets the gateway get services/proxy " + proxy.Name + " in namespace " + proxy.Namespace + ", by this literal name: apply the Role below",
		})
	case answer.status == http.StatusNotFound:
		d.fail(routing.HopService, found, fmt.Sprintf("the namespace %s, or the Service %s in it, does not exist, or the Service is an ExternalName, behind which there is no pod: the name is mistyped, or it was deleted", proxy.Namespace, service))
	case strings.Contains(message, "no service port"):
		d.fail(routing.HopService, found, "the Service does not declare this port: kubectl -n "+proxy.Namespace+" get service "+service+" shows those that it does; write one by its name or number")
	case strings.Contains(message, "no endpoints available") && strings.Contains(message, `"`+proxy.Name+`"`):
		d.fail(routing.HopEndpoints, found, fmt.Sprintf(
			"there are endpoints, but none that can be used: no pod is ready, or the Service declares no port %q, or the endpoints were written by hand and name no pod: %s tells which", port, describe))
	case strings.Contains(message, "no endpoints available"):
		d.fail(routing.HopEndpoints, found, "no pod stands behind the Service: none runs that its selector matches, or it has no selector: "+describe+" tells which")
	case strings.Contains(message, "error trying to reach service"):
		_, problem, _ := strings.Cut(message, "error trying to reach service: ")
		d.fail(routing.HopConnection, found, d.unconnected(problem, port))
	default:
		d.fail(routing.HopAPIServer, found, "the API server cannot serve this now: try again; if it lasts, ask who runs the cluster")
	}
}

// unconnected is the likely cause of a connection from the API server to a pod
// that failed with that problem.
func (d *diagnosis) unconnected(problem, port string) string {
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(problem, w) {
				return true
			}
		}
		return false
	}
	switch {
	case has("server gave HTTP response to HTTPS client", "does not look like a TLS handshake"):
		return "the pod speaks plain HTTP: set scheme: http"
	case has("malformed HTTP response", "HTTP request to an HTTPS server"):
		return "the pod does not speak HTTP on this port: set scheme: https if it speaks TLS, or choose another port"
	case has("connection refused"):
		return "nobody listens on the pod's port: Prometheus is stopped, or the Service's targetPort for " + port + " is not the port of its --web.listen-address"
	case has("tls:", "x509:"):
		return "the TLS handshake with the pod failed: set scheme: http if it speaks plain HTTP; if it wants a client certificate, the service proxy cannot give one"
	case has("EOF", "connection reset"):
		return "the pod closed the connection: it is stopping, or speaks TLS on this port (then set scheme: https)"
	case has("timeout", "deadline"):
		return "the API server gets no connection to the pod: a NetworkPolicy or firewall drops it, or its node is gone"
	}
	return "the API server gets no connection to the pod: Prometheus is stopped or listens on another port than the Service's targetPort for " + port +
		", or a NetworkPolicy, firewall or tunnel is in the way"
}

// explain tells why what answered is no Prometheus that can be queried.
func (d *diagnosis) explain(ctx context.Context, ready, answer *reply) (found, cause string) {
	const path = "GET /api/v1/query"
	below := d.prefix()
	switch code := answer.status; {
	case code >= 300 && code < 400:
		return fmt.Sprintf("%s is redirected (status %d) to the path %s", path, code, d.pathOf(answer.location)),
			d.setting("pathPrefix or scheme is wrong, or a login page stands before Prometheus: correct them, so that the server answers itself",
				"the path or the scheme of url is wrong, or a login page stands before Prometheus: correct url, or set its credentials")
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return fmt.Sprintf("the server itself refuses %s with status %d", path, code),
			d.setting("it wants credentials of its own, and the API server's proxy passes none on: let it answer without (a NetworkPolicy can guard it), or give the environment a url with credentials",
				"the credentials are missing or wrong: set bearerTokenFile or basicAuth")
	case code == http.StatusNotFound && ready.status != http.StatusOK:
		return fmt.Sprintf("the server answers 404 at everything below %s", below), d.misplaced(ctx)
	case code == http.StatusNotFound:
		return "the server is ready, but has no " + path,
			"it is another program, such as Alertmanager or Pushgateway: give the environment the Service or url of Prometheus itself"
	case code == http.StatusServiceUnavailable && !answer.failure.isPrometheus():
		return fmt.Sprintf("the server answers 503, and /%s with %d", readyPath, ready.status),
			"Prometheus is starting and reads its write-ahead log, or it is stopping: wait until it is ready; if it lasts, look at its log"
	case code == http.StatusBadGateway || code == http.StatusGatewayTimeout:
		return fmt.Sprintf("%s is answered with status %d", path, code), "a proxy stands before Prometheus and does not reach it: look at that proxy"
	case answer.isPage():
		return fmt.Sprintf("a web page (HTML, status %d) answers %s", code, path),
			d.setting("another program listens there, a login page stands before Prometheus, or pathPrefix is wrong: check the Service's port and pathPrefix",
				"another program listens there, a login page stands before Prometheus, or the path is wrong: check url")
	case answer.failure.isPrometheus():
		return fmt.Sprintf("Prometheus answers the query 1+1 with status %d, %s: %s", code, shorten(answer.failure.ErrorType, 100), shorten(answer.failure.Error, 500)),
			"the server cannot answer queries now: its own words above tell why, and its log more"
	}
	return fmt.Sprintf("what answers %s is no Prometheus: status %d, content type %q", path, answer.status, shorten(answer.contentType, 100)),
		d.setting("another program listens there: check the Service's port, scheme and pathPrefix", "another program listens there: check url")
}

// root is the path of the server's own root in the target's URL.
func (d *diagnosis) root() string {
	base := d.target.Base.Path
	if d.target.ServiceProxy == nil {
		return ""
	}
	if i := strings.Index(base, "/"+d.target.ServiceProxy.Name+"/proxy"); i >= 0 {
		return base[:i] + "/" + d.target.ServiceProxy.Name + "/proxy"
	}
	return base
}

// prefix is the path prefix of the target as the server sees it.
func (d *diagnosis) prefix() string {
	return "/" + strings.Trim(strings.TrimPrefix(d.target.Base.Path, d.root()), "/")
}

// misplaced looks for Prometheus elsewhere on a server that has nothing at the
// path that it is asked for.
func (d *diagnosis) misplaced(ctx context.Context) string {
	answersAt := func(prefix string) bool {
		answer, err := d.get(ctx, d.root()+prefix, queryPath)
		return err == nil && answer.isTwo()
	}
	if prefix := d.prefix(); prefix != "/" && answersAt("") {
		return fmt.Sprintf("Prometheus answers without the path %s: ", prefix) + d.setting("remove pathPrefix", "take it out of url")
	}
	// With --web.route-prefix Prometheus redirects its root there.
	if home, err := d.get(ctx, d.root(), ""); err == nil && home.location != "" {
		if prefix := strings.TrimSuffix(d.pathOf(home.location), "/"); routing.PathProblem(prefix) == "" && answersAt(prefix) {
			return "Prometheus serves below " + prefix + " (its --web.route-prefix): " + d.setting("set pathPrefix: "+prefix, "end url with "+prefix)
		}
	}
	return d.setting("pathPrefix is not the path below which Prometheus serves (its --web.route-prefix, or that of --web.external-url), or another program listens on this port",
		"the path of url is not the one below which Prometheus serves (its --web.route-prefix, or that of --web.external-url), or another program listens there")
}

// pathOf is the path of a redirect as the server means it: the API server
// writes its own way before it. Host and query are left out: they may say more
// than is meant for everybody.
func (d *diagnosis) pathOf(location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return "(not readable)"
	}
	path := u.Path
	if d.target.ServiceProxy != nil {
		if _, rest, proxied := strings.Cut(path, "/proxy/"); proxied && strings.Contains(path, "/api/v1/namespaces/") {
			path = "/" + rest
		}
	}
	return shorten("/"+strings.TrimPrefix(path, "/"), 200)
}
