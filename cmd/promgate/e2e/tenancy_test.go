package e2e

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/promgate/promgate/cmd/demo/cluster"
	"github.com/promgate/promgate/gateway"
)

// recorder counts the requests that pass it on their way to another server.
type recorder struct {
	*httptest.Server
	seen atomic.Int64
}

func record(t testing.TB, to string, transport http.RoundTripper) *recorder {
	t.Helper()
	target, err := url.Parse(to)
	must(t, err)
	proxy := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Header.Del("Authorization")
	}}
	r := &recorder{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.seen.Add(1)
		proxy.ServeHTTP(w, req)
	}))
	t.Cleanup(r.Close)
	return r
}

// TestTenancy holds that a credential opens what it was made for, and that nothing tells what else there is.
func TestTenancy(t *testing.T) {
	t.Parallel()
	backend := record(t, fixture(t).URL(), nil)
	kubeconfig := namespace(t, "tenancy", backend.Listener.Addr().String())
	apiServer, path := recordedConfiguration(t, kubeconfig)
	production, _ := token(t, path, "mine/production")
	whole, wholeID := token(t, path, "mine")
	g := serve(t, path)
	seen := func() [2]int64 { return [2]int64{apiServer.seen.Load(), backend.seen.Load()} }

	for _, c := range []struct{ secret, environment string }{
		{production, "mine/production"}, {whole, "mine/production"}, {whole, "mine/staging"},
	} {
		before := seen()
		check(t, wantStatus(ask(with(get(instant(g.base(c.environment), "up")), c.secret)), http.StatusOK))
		if after := seen(); after != [2]int64{before[0] + 1, before[1] + 1} {
			t.Errorf("API server and Prometheus have seen %v requests, after %v before", after, before)
		}
	}

	before := seen()
	for _, e := range gateway.Endpoints() {
		t.Run(e.Name, func(t *testing.T) {
			q := questions[e.Name][0]
			for _, method := range e.Methods {
				var first answer
				for i, environment := range []string{"mine/staging", "theirs/production", "mine/nothing", "nobody/production"} {
					a := ask(with(q.request(e, g.base(environment), method, "gzip"), production))
					a.body = eachRequestID.ReplaceAllString(a.body, "")
					a.header.Del("X-Request-Id")
					a.header.Del("Date")
					if i == 0 {
						first = a
					}
					if a.err != nil || a.status != http.StatusForbidden || a.body != first.body || !sameHeader(a.header, first.header) {
						t.Errorf("%s %s answers %s, %v\nwant %s, %v", method, environment, a, a.header, first, first.header)
					}
				}
				check(t, wantStatus(ask(with(q.request(e, g.base("mine/production"), method, "gzip"), production+"x")), http.StatusUnauthorized))
				check(t, wantStatus(ask(q.request(e, g.base("mine/production"), method, "gzip")), http.StatusUnauthorized))
			}
		})
	}
	for _, withheld := range []string{"/api/v1/targets", "/api/v1/status/config", "/api/v1/admin/tsdb/snapshot", "/api/v1/write", "/metrics", "/-/quit"} {
		check(t, wantError(ask(with(get(g.base("mine/production")+withheld), whole)), http.StatusNotFound, "not_found"))
	}
	for _, environment := range []string{"theirs/production", "mine/nothing"} {
		check(t, wantError(ask(with(get(instant(g.base(environment), "up")), whole)), http.StatusForbidden, "forbidden"))
	}
	if after := seen(); after != before {
		t.Errorf("API server and Prometheus have seen %v requests, after %v before", after, before)
	}

	revoke(t, path, wholeID)
	took := eventually(t, func() error {
		return wantError(ask(with(get(instant(g.base("mine/production"), "up")), whole)), http.StatusUnauthorized, "unauthorized")
	})
	t.Logf("a revoked token was refused after %s", took)
	if took > time.Second {
		t.Errorf("a revoked token was good for %s", took)
	}
	check(t, wantStatus(ask(with(get(instant(g.base("mine/production"), "up")), production)), http.StatusOK))
}

// recordedConfiguration has the gateway reach the API server through a recorder, which has the gateway's credentials.
func recordedConfiguration(t testing.TB, kubeconfig string) (*recorder, string) {
	t.Helper()
	credentials, err := cluster.LoadConfig(kubeconfig)
	must(t, err)
	transport, err := rest.TransportFor(credentials)
	must(t, err)
	apiServer := record(t, credentials.Host, transport)
	config := clientcmdapi.NewConfig()
	config.Clusters["recorded"] = &clientcmdapi.Cluster{Server: apiServer.URL}
	config.AuthInfos["nobody"] = &clientcmdapi.AuthInfo{}
	config.Contexts["recorded"] = &clientcmdapi.Context{Cluster: "recorded", AuthInfo: "nobody"}
	config.CurrentContext = "recorded"
	path := t.TempDir() + "/kubeconfig"
	must(t, clientcmd.WriteToFile(*config, path))
	const allow = ", allow: [federate, remoteRead]"
	prometheus := service("tenancy", "prometheus") + allow
	return apiServer, configuration(t, path, "", "mine/production: "+prometheus, "mine/staging: "+prometheus, "theirs/production: "+prometheus)
}

func sameHeader(a, b http.Header) bool {
	if len(a) != len(b) {
		return false
	}
	for name, values := range a {
		if !slices.Equal(values, b[name]) {
			return false
		}
	}
	return true
}
