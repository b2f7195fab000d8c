package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/promgate/promgate/cmd/demo/cluster"
)

// TestAPIServerRestarts stops the API server under a running gateway. It is not parallel: all other tests need that server.
func TestAPIServerRestarts(t *testing.T) {
	c := controlPlane(t)
	path := configuration(t, namespace(t, "restart", fixture(t).Addr()), "", "restart/production: "+service("restart", "prometheus"))
	secret, _ := token(t, path, "restart")
	g := serve(t, path)
	query := func() answer { return ask(with(get(instant(g.base("restart/production"), "up")), secret)) }
	want := query()
	check(t, wantStatus(want, http.StatusOK))
	searching, found := beginSearch(t, "restart")

	must(t, c.Stop())
	check(t, wantError(found(), http.StatusServiceUnavailable, "unavailable")) // it is still known
	for range 3 {
		a := query()
		check(t, wantError(a, http.StatusServiceUnavailable, "unavailable"))
		if a.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		g.wantLogged(t, a, map[string]any{"hop": "api server"})
	}
	binary, err := cluster.Build(t.Context(), "")
	must(t, err)
	began := time.Now()
	shared.control, err = cluster.Start(t.Context(), cluster.Options{Binary: binary, Dir: c.Dir(), Port: c.Port()})
	must(t, err)
	ready := time.Since(began)
	took := eventually(t, func() error {
		a := query()
		if a.status == http.StatusOK && a.body != want.body {
			t.Fatalf("got %s, want %s", a, want)
		}
		return wantStatus(a, http.StatusOK)
	})
	t.Logf("the API server was ready after %s, the gateway answered %s later", ready.Round(time.Millisecond), took.Round(time.Millisecond))
	check(t, wantStatus(found(), http.StatusOK))
	// What changes from now on is seen again.
	annotate(t, "restart-found", "prometheus", environmentLabel("renamed"), nil)
	took = eventually(t, func() error { return wantError(found(), http.StatusForbidden, "forbidden") })
	t.Logf("a change was seen %s later", took.Round(time.Millisecond))
	check(t, wantMetric(searching, `promgate_discovery_source_up{cluster="local",source="services"} 1`))
}

// beginSearch runs a gateway that finds the environment production in a namespace of its own, and returns what asks it.
func beginSearch(t *testing.T, name string) (*running, func() answer) {
	t.Helper()
	namespace := name + "-found"
	kubeconfig := searcher(t, name+"-home")
	must(t, controlPlane(t).Namespace(t.Context(), namespace))
	must(t, controlPlane(t).Service(t.Context(), namespace, "prometheus", "web", 9090, fixture(t).Addr()))
	annotate(t, namespace, "prometheus", environmentLabel("production"), nil)
	applied(t, namespace, name+"-home", projectRole)
	path := searchConfiguration(t, kubeconfig, "{namespaces: {names: ["+namespace+"]}, sources: [services]}", "")
	g := serve(t, path)
	secret := created(t, g, path, namespace)
	query := func() answer { return ask(with(get(instant(g.base(namespace+"/production"), "up")), secret)) }
	check(t, wantStatus(query(), http.StatusOK))
	return g, query
}

// wantMetric checks that a gateway has a metric of that value.
func wantMetric(g *running, line string) error {
	if metrics := ask(get(g.admin + "/metrics")).body; !strings.Contains(metrics, line+"\n") {
		return fmt.Errorf("there is no metric %s", line)
	}
	return nil
}

// refused waits until the API server refuses the gateway itself, and checks that this is no matter of the client's token.
func refused(t *testing.T, g *running, query func() answer) {
	t.Helper()
	var a answer
	eventually(t, func() error { // the API server believes a token for some seconds more
		a = query()
		return wantError(a, http.StatusServiceUnavailable, "unavailable")
	})
	if a.header.Get("WWW-Authenticate") != "" {
		t.Error("the client is asked for credentials")
	}
	logged := g.wantLogged(t, a, map[string]any{"hop": "api server"})
	if cause, _ := logged["cause"].(string); !strings.Contains(cause, `the gateway's own credentials for cluster "local" are not accepted`) {
		t.Errorf("the cause is %q", cause)
	}
}

// TestCredentialsRevoked takes the gateway's service account away, and gives it another one in a new kubeconfig.
func TestCredentialsRevoked(t *testing.T) {
	t.Parallel()
	c, ctx := controlPlane(t), t.Context()
	path := configuration(t, namespace(t, "revoked", fixture(t).Addr()), "", "revoked/production: "+service("revoked", "prometheus"))
	secret, _ := token(t, path, "revoked")
	g := serve(t, path)
	query := func() answer { return ask(with(get(instant(g.base("revoked/production"), "up")), secret)) }
	check(t, wantStatus(query(), http.StatusOK))
	must(t, c.Client().CoreV1().ServiceAccounts("revoked").Delete(ctx, account, metav1.DeleteOptions{}))
	began := time.Now()
	refused(t, g, query)
	t.Logf("a deleted service account was refused after %s", time.Since(began).Round(time.Millisecond))
	_, err := c.ServiceAccountKubeconfig(ctx, "revoked", account)
	must(t, err)
	took := eventually(t, func() error { return wantStatus(query(), http.StatusOK) })
	t.Logf("a new kubeconfig was in use after %s", took.Round(time.Millisecond))
}

// TestTokenFileFollowed replaces the token file that a kubeconfig names, an invalid one at first. The Kubernetes client library
// reads such files once a minute.
func TestTokenFileFollowed(t *testing.T) {
	t.Parallel()
	kubeconfig := namespace(t, "followed", fixture(t).Addr())
	good, err := controlPlane(t).ServiceAccountToken(t.Context(), "followed", account)
	must(t, err)
	file := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(file, []byte("not-a-token"), 0o600))
	config, err := clientcmd.LoadFromFile(kubeconfig)
	must(t, err)
	for _, who := range config.AuthInfos {
		who.Token, who.TokenFile = "", file
	}
	must(t, clientcmd.WriteToFile(*config, kubeconfig))
	path := configuration(t, kubeconfig, "", "followed/production: "+service("followed", "prometheus"))
	secret, _ := token(t, path, "followed")
	g := serve(t, path)
	query := func() answer { return ask(with(get(instant(g.base("followed/production"), "up")), secret)) }
	refused(t, g, query)
	must(t, os.WriteFile(file, []byte(good), 0o600))
	took := eventually(t, func() error { return wantStatus(query(), http.StatusOK) })
	t.Logf("a new token file was in use after %s", took.Round(time.Millisecond))
}

// TestCancellation has a client go away, before an answer and in its middle: Prometheus learns of it.
func TestCancellation(t *testing.T) {
	t.Parallel()
	server := startMoody(t)
	path := configuration(t, namespace(t, "cancel", server.address()), "", "cancel/service: "+service("cancel", "prometheus"),
		"cancel/url: url: \""+server.URL+"\"")
	secret, _ := token(t, path, "cancel")
	g := serve(t, path)
	arrived, left := make(chan struct{}), make(chan struct{})
	waiting := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if body != "" {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, body)
				_ = http.NewResponseController(w).Flush()
			}
			arrived <- struct{}{}
			<-r.Context().Done()
			left <- struct{}{}
		}
	}
	for name, body := range map[string]string{"before the answer": "", "within the answer": `{"status":"success","data":["` + strings.Repeat("x", 100<<10)} {
		for _, environment := range []string{"cancel/service", "cancel/url"} {
			t.Run(name+"/"+environment, func(t *testing.T) {
				server.behave(waiting(body))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				r := with(get(g.base(environment)+"/api/v1/labels"), secret).WithContext(ctx)
				ended := make(chan error, 1)
				go func() {
					response, err := client.Do(r)
					if err == nil {
						_, err = io.Copy(io.Discard, response.Body)
						_ = response.Body.Close()
					}
					ended <- err
				}()
				within(t, "Prometheus was not asked", arrived)
				cancel()
				began := time.Now()
				within(t, "Prometheus was not told", left)
				took := time.Since(began)
				t.Logf("Prometheus knew after %s", took.Round(100*time.Microsecond))
				if took > 5*time.Second {
					t.Errorf("it took %s", took)
				}
				if err := <-ended; err == nil {
					t.Error("the client has seen a whole answer")
				}
			})
		}
	}
	g.log.await(t, "the records of four clients that went away", g.ended, func(string) bool {
		return strings.Count(g.log.String(), `"error_type":"canceled"`) == 4 && strings.Count(g.log.String(), fmt.Sprintf(`"status":%d`, 499)) == 4
	})
}
