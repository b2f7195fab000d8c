package e2e

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/promgate/promgate/cmd/demo/cluster"
)

// TestCheckConnect has the program try every target of a configuration, and say of each what is wrong.
func TestCheckConnect(t *testing.T) {
	t.Parallel()
	c, ctx, server := controlPlane(t), t.Context(), fixture(t)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	nobody := closed.Addr().String()
	must(t, closed.Close())
	other := startMoody(t)
	other.behave(plain(200, "text/html", "<html></html>"))

	kubeconfig := namespace(t, "check", server.Addr())
	for name, backends := range map[string][]string{"empty": nil, "stopped": {nobody}, "page": {other.address()}, "closed": {server.Addr()}} {
		must(t, c.Service(ctx, "check", name, "web", 9090, backends...))
	}
	names := []string{proxied, "http:prometheus:9999", "http:prometheus:http", "http:empty:web", "http:stopped:web", "http:page:web", "http:absent:web"}
	must(t, c.AllowServiceProxy(ctx, "check", cluster.ServiceAccount("check", account), names))

	const port = "service: {cluster: local, namespace: check, name: prometheus, port: PORT}"
	path := configuration(t, kubeconfig, "", "check/good: "+service("check", "prometheus"), "check/direct: url: \""+server.URL()+"\"")
	stdout, stderr, status := run(t, promgate(t), "check", "--config", path, "--connect")
	if status != 0 || stderr != "" || strings.Count(stdout, "\nok      check/") != 2 || strings.Count(stdout, ": Prometheus 3.15.0 answered in ") != 2 {
		t.Errorf("of good targets: status %d, %s%s", status, stdout, stderr)
	}

	path = configuration(t, kubeconfig, "", "check/good: "+service("check", "prometheus"), "check/empty: "+service("check", "empty"),
		"check/stopped: "+service("check", "stopped"), "check/page: "+service("check", "page"), "check/absent: "+service("check", "absent"),
		"check/numbered: "+strings.Replace(port, "PORT", "9999", 1), "check/named: "+strings.Replace(port, "PORT", "http", 1),
		"check/closed: "+service("check", "closed"), "check/nobody: url: \"http://"+nobody+"\"")
	stdout, stderr, status = run(t, promgate(t), "check", "--config", path, "--connect")
	if status != 1 || stderr != "promgate: 8 of 9 environments do not answer\n" || strings.Count(stdout, "FAILED  ") != 8 {
		t.Errorf("of bad targets: status %d, %s%s", status, stdout, stderr)
	}
	said := map[string]string{}
	for _, part := range strings.Split(stdout, "FAILED  check/")[1:] {
		name, text, _ := strings.Cut(part, " ")
		said[name], _, _ = strings.Cut(text, "\nok ")
	}
	for name, want := range map[string][2]string{
		"empty":    {"endpoints", "no endpoints available"},
		"stopped":  {"prometheus", "error trying to reach service"},
		"page":     {"prometheus", "text/html"},
		"absent":   {"service", "not found"},
		"numbered": {"service", "no service port 9999 found"},
		"named":    {"endpoints", `a port "http"`},
		"closed":   {"rbac", "cannot get resource"},
		"nobody":   {"prometheus", "connection refused"},
	} {
		if !strings.Contains(said[name], "failing hop: "+want[0]+"\n") || !strings.Contains(said[name], want[1]) {
			t.Errorf("of %s it says %s", name, said[name])
		}
	}
	// The Role that it prints can be applied as it stands there.
	_, role, _ := strings.Cut(said["closed"], "apply:\n")
	role, _, _ = strings.Cut(strings.TrimSpace(role), "\n\n")
	must(t, apply(ctx, role))
	path = configuration(t, kubeconfig, "", "check/closed: "+service("check", "closed"))
	eventually(t, func() error {
		if stdout, stderr, status := run(t, promgate(t), "check", "--config", path, "--connect"); status != 0 {
			return fmt.Errorf("with that Role: status %d, %s%s", status, stdout, stderr)
		}
		return nil
	})

	// An API server that does not answer, and one that does not know the gateway.
	text, err := os.ReadFile(kubeconfig)
	must(t, err)
	for what, changed := range map[string]string{
		"connection refused": strings.Replace(string(text), c.Server(), "https://"+nobody, 1),
		"own credentials":    strings.Replace(string(text), "token: ", "token: x", 1),
	} {
		other := t.TempDir() + "/kubeconfig"
		must(t, os.WriteFile(other, []byte(changed), 0o600))
		path := configuration(t, other, "", "check/good: "+service("check", "prometheus"))
		stdout, stderr, status := run(t, promgate(t), "check", "--config", path, "--connect")
		if status != 1 || !strings.Contains(stdout, "failing hop: api server\n") || !strings.Contains(stdout, what) {
			t.Errorf("%s: status %d, %s%s", what, status, stdout, stderr)
		}
	}
}
