package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/promgate/promgate/cmd/demo/cluster"
	"github.com/promgate/promgate/cmd/demo/prometheus"
)

const (
	kubernetesPage = "../../../docs/kubernetes.md"
	usersPage      = "../../../docs/users-and-tokens.md"
)

// fences are the blocks of a language in a page, in their order.
func fences(t testing.TB, page, language string) []string {
	t.Helper()
	text, err := os.ReadFile(page)
	must(t, err)
	var blocks []string
	for _, part := range strings.Split(string(text), "\n```"+language+"\n")[1:] {
		block, _, closed := strings.Cut(part, "\n```\n")
		if !closed {
			t.Fatalf("%s has a block without end: %s", page, part)
		}
		blocks = append(blocks, block+"\n")
	}
	return blocks
}

// shims stand in for what a control plane without nodes cannot do. What kubelets and controllers do, the test does (STAGE).
var shims = map[string]string{
	"kubectl": `case " $* " in
*" rollout status "*) exec "$CURL" --silent --show-error --fail-with-body --get "$STAGE" --data-urlencode "args=$*" ;;
*" exec "*" -- "*) while [ "$1" != -- ]; do shift; done; shift; cd "$POD" && exec "$@" ;;
*" port-forward "*) ;;
*) exec "$KUBECTL" "$@" ;;
esac`,
	// The port that the page forwards may be taken here; and a token is good a second after it was made, which no human notices.
	"curl":   `exec "$CURL" --connect-to "127.0.0.1:8080:$(cat "$POD/address")" --retry-all-errors "$@"`,
	"docker": `exit 0`,
}

// stage runs a page's commands, and in between does what kubelets and controllers would do.
type stage struct {
	t        *testing.T
	cluster  *cluster.Cluster
	dir, pod string // where the commands run; where the gateway's configuration is
	backend  string // the Prometheus that the page makes
	requests chan stageRequest
	gateway  *running // once it is rolled out
}

type stageRequest struct {
	args string
	done chan error
}

// ServeHTTP has the test's own goroutine do what is asked.
func (s *stage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	request := stageRequest{args: r.FormValue("args"), done: make(chan error, 1)}
	s.requests <- request
	if err := <-request.done; err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func newStage(t *testing.T, c *cluster.Cluster) *stage {
	t.Helper()
	s := &stage{t: t, cluster: c, dir: t.TempDir(), pod: t.TempDir(), requests: make(chan stageRequest)}
	server, err := prometheus.Start(t.Context(), prometheus.Options{Backfill: func(_ context.Context, app prometheus.Appender) error {
		return appendFloat(app, time.Now(), 1, model.MetricNameLabel, "up", "job", "prometheus", "instance", "localhost:9090")
	}})
	must(t, err)
	t.Cleanup(func() { check(t, server.Close()) })
	s.backend = server.Addr()
	must(t, os.CopyFS(filepath.Join(s.dir, "deploy", "kubernetes"), os.DirFS("../../../deploy/kubernetes")))
	return s
}

// run executes a script and returns what it wrote to standard output.
func (s *stage) run(script string) string {
	t := s.t
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	server := &http.Server{Handler: s}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	curl, err := exec.LookPath("curl")
	must(t, err)
	bin := t.TempDir()
	for name, text := range shims {
		must(t, os.WriteFile(filepath.Join(bin, name), []byte("#!/usr/bin/env bash\nset -euo pipefail\n"+text+"\n"), 0o700))
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+filepath.Dir(promgate(t))+":"+os.Getenv("PATH"), "KUBECONFIG="+s.cluster.Kubeconfig(),
		"STAGE=http://"+listener.Addr().String(), "POD="+s.pod, "KUBECTL="+kubectl(t), "CURL="+curl, "no_proxy=127.0.0.1")
	var complaints strings.Builder
	cmd.Stderr = &complaints
	type result struct {
		output []byte
		err    error
	}
	ended := make(chan result, 1)
	go func() {
		output, err := cmd.Output()
		ended <- result{output, err}
	}()
	for {
		select {
		case r := <-s.requests:
			r.done <- s.rollOut(r.args)
		case r := <-ended:
			if r.err != nil {
				if s.gateway != nil {
					t.Log(s.gateway.log)
				}
				t.Fatalf("the page's commands: %v\n%s\n%s", r.err, r.output, &complaints)
			}
			return string(r.output)
		}
	}
}

// rollOut makes the pods of a Deployment that is to be waited for.
func (s *stage) rollOut(args string) error {
	ctx := s.t.Context()
	switch args {
	case "-n shop rollout status deployment/prometheus":
		if _, err := s.cluster.Client().AppsV1().Deployments("shop").Get(ctx, "prometheus", metav1.GetOptions{}); err != nil {
			return err
		}
		return s.cluster.SetBackends(ctx, "shop", "prometheus", s.backend)
	case "-n promgate rollout status deployment/promgate":
		if _, err := s.cluster.Client().AppsV1().Deployments("promgate").Get(ctx, "promgate", metav1.GetOptions{}); err != nil {
			return err
		}
		settings, err := s.cluster.Client().CoreV1().ConfigMaps("promgate").Get(ctx, "promgate", metav1.GetOptions{})
		if err != nil {
			return err
		}
		kubeconfig, err := s.cluster.ServiceAccountKubeconfig(ctx, "promgate", "promgate")
		if err != nil {
			return err
		}
		if s.gateway != nil { // another one takes its place
			s.gateway.stop()
		}
		path := filepath.Join(s.pod, "promgate.yaml")
		if err := os.WriteFile(path, []byte(outside(settings.Data["promgate.yaml"], kubeconfig)), 0o600); err != nil {
			return err
		}
		s.gateway = serve(s.t, path)
		return os.WriteFile(filepath.Join(s.pod, "address"), []byte(strings.TrimPrefix(s.gateway.url, "http://")), 0o600)
	}
	return fmt.Errorf("this test does not know how to roll out: %s", args)
}

// outside changes a pod's configuration so that it can be used beside the cluster.
func outside(text, kubeconfig string) string {
	return strings.NewReplacer(
		"listen: :8080", "listen: 127.0.0.1:0", "adminListen: :8081", "adminListen: 127.0.0.1:0", "dataDir: /var/lib/promgate", "dataDir: data",
		"- name: local\n", fmt.Sprintf("- name: local\n    kubeconfig: %q\n", kubeconfig),
	).Replace(text)
}

// perform runs the commands of pages as they stand there, in their order, and returns what each of the last page's printed.
func (s *stage) perform(pages ...string) (said map[string]string) {
	var script strings.Builder
	var blocks []string
	for _, page := range pages {
		fmt.Fprintln(&script, "echo '<page>'")
		blocks = fences(s.t, page, "bash")
		for i, block := range blocks {
			fmt.Fprintf(&script, "%secho '<%d>'\n", block, i)
		}
	}
	output := s.run(script.String())
	s.t.Log(output)
	output = output[strings.LastIndex(output, "<page>\n")+len("<page>\n"):]
	said = map[string]string{}
	for i, block := range blocks {
		text, rest, _ := strings.Cut(output, fmt.Sprintf("<%d>\n", i))
		said[block], output = text, rest
	}
	return said
}

// wantSaid checks what the commands printed that have a text.
func wantSaid(t *testing.T, said map[string]string, command string, want ...string) {
	t.Helper()
	found := 0
	for block, text := range said {
		if !strings.Contains(block, command) {
			continue
		}
		found++
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%sprinted no %q:\n%s", block, w, text)
			}
		}
	}
	if found == 0 {
		t.Errorf("the page has no command %s", command)
	}
}

// TestKubernetesPage goes from an empty cluster to a graph.
func TestKubernetesPage(t *testing.T) {
	t.Parallel()
	said := newStage(t, emptyCluster(t)).perform(kubernetesPage)
	wantSaid(t, said, "promgate routes\n", "shop", "production", "Service shop/prometheus")
	wantSaid(t, said, "query=up", `{"status":"success"`, `"instance":"localhost:9090"`)
	wantSaid(t, said, "promgate doctor", "shop/production", "Prometheus 3.")
}

// TestUsersPage goes on where that page ends.
func TestUsersPage(t *testing.T) {
	t.Parallel()
	s := newStage(t, emptyCluster(t))
	said := s.perform(kubernetesPage, usersPage)
	wantSaid(t, said, "query=up", `{"status":"success"`, `"instance":"localhost:9090"`)
	wantSaid(t, said, "/api/v1/projects -H", `{"projects":[{"name":"shop","environments":1}]}`, `"name":"production"`)
	wantSaid(t, said, "get endpointtokens", "production", "Active")
	wantSaid(t, said, "describe endpointtoken grafana", "Phase:", "Active", "Issued")
	wantSaid(t, said, "delete endpointtoken grafana", "deleted")
	wantSaid(t, said, "promgate keys rotate", "new tokens are signed by key")
}

// TestPagesYAML has the API server judge the pages' objects, and promgate their configurations.
func TestPagesYAML(t *testing.T) {
	t.Parallel()
	c := emptyCluster(t)
	must(t, c.InstallCRDs(t.Context()))
	must(t, c.Namespace(t.Context(), "shop"))
	for _, block := range slices.Concat(fences(t, kubernetesPage, "yaml"), fences(t, usersPage, "yaml")) {
		if strings.HasPrefix(block, "apiVersion: ") {
			check(t, c.Apply(t.Context(), []byte(block)))
			continue
		}
		path := filepath.Join(t.TempDir(), "promgate.yaml")
		must(t, os.WriteFile(path, []byte("dataDir: data\n"+outside(block, c.Kubeconfig())), 0o600))
		if stdout, stderr, status := run(t, promgate(t), "check", "--config", path); status != 0 {
			t.Errorf("promgate check: status %d, %s%s\n%s", status, stdout, stderr, block)
		}
	}
}
