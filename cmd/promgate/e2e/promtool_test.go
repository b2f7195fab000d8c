package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestPromtool has Prometheus' own command line ask both, and compares what it prints.
func TestPromtool(t *testing.T) {
	t.Parallel()
	server, tool := fixture(t), promtool(t)
	path := configuration(t, namespace(t, "promtool", server.Addr()), "", "promtool/production: "+service("promtool", "prometheus"))
	secret, _ := token(t, path, "promtool/production")
	g := serve(t, path)
	credentials := filepath.Join(t.TempDir(), "http.yml")
	must(t, os.WriteFile(credentials, []byte("authorization: {credentials: "+secret+"}\n"), 0o600))

	for _, c := range []struct {
		name   string
		args   string // SERVER stands for the base URL
		prints string // somewhere in the output
		status int
	}{
		{"instant", "query|instant|--time=" + end + "|SERVER|sum by (code) (rate(http_requests_total[5m]))", `{code="500"} =>`, 0},
		{"instant as JSON", "query|-o|json|instant|--time=" + endRFC + "|SERVER|rpc_duration_seconds", `"histogram":`, 0},
		{"instant with UTF-8", "query|instant|--time=" + end + `|SERVER|{"http.status code"}`, `größe`, 0},
		{"range", "query|range|--start=" + start + "|--end=" + end + "|--step=10m|SERVER|queue_depth", "@[" + end + "]", 0},
		{"series", "query|series|--start=" + start + "|--end=" + end + "|--match=up|--match=queue_depth|SERVER", `instance="api-1:8080"`, 0},
		{"labels", "query|labels|--start=" + start + "|--end=" + end + "|SERVER|handler", "/cart\n", 0},
		{"labels with UTF-8", "query|labels|--start=" + start + "|--end=" + end + "|SERVER|service.name", "größe\n", 0},
		{"analyze classic", "query|analyze|--server=SERVER|--type=histogram|--time=" + end + "|--match=http_request_duration_seconds_bucket", "http_request_duration_seconds", 0},
		{"analyze native", "query|analyze|--server=SERVER|--type=histogram|--time=" + end + "|--match=rpc_duration_seconds", "rpc_duration_seconds", 0},
		{"parse error", "query|instant|SERVER|sum(", "bad_data: ", 1},
		{"execution error", "query|instant|--time=" + end + "|SERVER|http_requests_total + on () http_requests_total", "execution: ", 1},
		{"check healthy", "check|healthy|--url=SERVER", "SUCCESS:  Prometheus Server is Healthy.", 0},
		{"check ready", "check|ready|--url=SERVER", "SUCCESS:  Prometheus Server is Ready.", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			ask := func(base string) (string, int) {
				args := strings.Split(strings.ReplaceAll(c.args, "SERVER", base), "|")
				stdout, stderr, status := run(t, tool, append(args, "--http.config.file="+credentials)...)
				lines := strings.SplitAfter(eachRequestID.ReplaceAllString(stdout+stderr, ""), "\n")
				slices.Sort(lines) // Prometheus keeps no order of some
				return strings.Join(lines, ""), status
			}
			direct, status := ask(server.URL())
			if status != c.status || !strings.Contains(direct, c.prints) {
				t.Errorf("of Prometheus: status %d, %s", status, direct)
			}
			through, status := ask(g.base("promtool/production"))
			if status != c.status || through != direct {
				t.Errorf("of the gateway: status %d, %s\nwant %d, %s", status, through, c.status, direct)
			}
		})
	}
	must(t, os.WriteFile(credentials, []byte("authorization: {credentials: "+secret+"x}\n"), 0o600))
	for _, args := range [][]string{{"check", "healthy", "--url=" + g.base("promtool/production")}, {"query", "instant", g.base("promtool/production"), "up"}} {
		stdout, stderr, status := run(t, tool, append(args, "--http.config.file="+credentials)...)
		if status != 1 || !strings.Contains(stdout+stderr, "401") {
			t.Errorf("with a bad token: status %d, %s%s", status, stdout, stderr)
		}
	}
}
