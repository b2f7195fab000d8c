package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"github.com/promgate/promgate/cmd/demo/cluster"
	"github.com/promgate/promgate/cmd/demo/prometheus"
)

// account is the gateway's service account in each test's namespace.
const account = "promgate"

// proxied is the one name by which a Role lets the gateway reach the Service prometheus.
var proxied = cluster.ProxyName("http", "prometheus", "web")

// namespace makes a namespace with the Service prometheus and a service account that may "get" it through the service proxy, and
// nothing else. It returns the account's kubeconfig.
func namespace(t testing.TB, name string, backends ...string) (kubeconfig string) {
	t.Helper()
	c, ctx := controlPlane(t), t.Context()
	must(t, c.Namespace(ctx, name))
	must(t, c.Service(ctx, name, "prometheus", "web", 9090, backends...))
	kubeconfig, err := c.ServiceAccountKubeconfig(ctx, name, account)
	must(t, err)
	must(t, c.AllowServiceProxy(ctx, name, cluster.ServiceAccount(name, account), []string{proxied}))
	return kubeconfig
}

// prometheusServer starts an embedded server of its own for a test.
func prometheusServer(t testing.TB, o prometheus.Options) *prometheus.Server {
	t.Helper()
	s, err := startFixture(t.Context(), o)
	must(t, err)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func appendFloat(app prometheus.Appender, at time.Time, v float64, pairs ...string) error {
	_, err := app.Append(0, labels.FromStrings(pairs...), 0, at.UnixMilli(), v, nil, nil, storage.AppendV2Options{})
	return err
}

// builds are programs that are built at most once.
type builds struct {
	once sync.Once
	err  error
	dir  string
}

// build runs the go command for programs of a module and returns the directory where they are.
func (b *builds) build(t testing.TB, module string, args ...string) string {
	t.Helper()
	b.once.Do(func() {
		if b.dir, b.err = os.MkdirTemp(shared.dir, "bin"); b.err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
		defer cancel()
		arguments := append([]string{"build", "-C", module, "-trimpath", "-ldflags", "-s -w", "-o", b.dir + "/"}, args...)
		cmd := exec.CommandContext(ctx, "go", arguments...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
		var output []byte
		if output, b.err = cmd.CombinedOutput(); b.err != nil {
			os.Stderr.Write(output)
		}
	})
	must(t, b.err)
	return b.dir
}

// promgate is the built program.
func promgate(t testing.TB) string {
	t.Helper()
	return filepath.Join(shared.promgate.build(t, "../../..", "./cmd/promgate", "./cmd/demo"), "promgate")
}

// promtool and wholePrometheus are Prometheus' own programs: those that the environment names, or else built.
func promtool(t testing.TB) string { return serverProgram(t, "PROMGATE_PROMTOOL", "promtool") }

func wholePrometheus(t testing.TB) string {
	return serverProgram(t, "PROMGATE_PROMETHEUS", "prometheus")
}

func serverProgram(t testing.TB, variable, name string) string {
	t.Helper()
	if path := os.Getenv(variable); path != "" {
		return path
	}
	const from = "github.com/prometheus/prometheus/cmd/"
	return filepath.Join(shared.servers.build(t, "../../../testdata/prometheus", "-tags", "remove_all_sd", from+"prometheus", from+"promtool"), name)
}

// within waits for a signal.
func within(t testing.TB, otherwise string, signal <-chan struct{}) {
	t.Helper()
	select {
	case <-signal:
	case <-time.After(patience):
		t.Fatal(otherwise)
	}
}
