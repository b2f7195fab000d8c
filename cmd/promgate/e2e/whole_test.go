package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/promgate/promgate/cmd/demo/prometheus"
	"github.com/promgate/promgate/gateway"
)

// wholeConfig has the server evaluate rules at once, and scrape nothing.
const wholeConfig = `global: {evaluation_interval: 1s}
rule_files: [rules.yml]
`

const wholeRules = `groups:
  - name: watch
    rules:
      - alert: Watchdog
        expr: vector(1)
        labels: {severity: none}
      - record: never
        expr: absent_metric
`

var listening = regexp.MustCompile(`msg="Listening on" component=web address=(\S+)`)

// startWhole runs the whole Prometheus server with the fixture's data.
func startWhole(t testing.TB) (address string) {
	t.Helper()
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	o := prometheus.Fixture()
	o.Dir, o.Rules = data, ""
	filled, err := startFixture(t.Context(), o)
	must(t, err)
	must(t, filled.Close())
	must(t, os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(wholeConfig), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "rules.yml"), []byte(wholeRules), 0o600))
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self, wholePrometheus(t), "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+data, "--storage.tsdb.retention.time=100y", "--web.listen-address=127.0.0.1:0",
		"--enable-feature=exemplar-storage,promql-experimental-functions,promql-extended-range-selectors,promql-binop-fill-modifiers,search-api")
	cmd.Env = append(os.Environ(), beKeeper+"=1")
	p := spawn(t, "Prometheus", cmd)
	p.log.await(t, "address", p.ended, func(line string) bool {
		found := listening.FindStringSubmatch(line)
		if found != nil {
			address = found[1]
		}
		return found != nil
	})
	eventually(t, func() error {
		a := ask(get("http://" + address + "/api/v1/alerts"))
		if a.status != http.StatusOK || !strings.Contains(a.body, "Watchdog") {
			return fmt.Errorf("no alert yet: %s\n%s", a, p.log)
		}
		return nil
	})
	return address
}

// sampled are the questions that the whole server is asked, of each endpoint.
var sampled = regexp.MustCompile(`^(vector|scalar|matrix|all|asked|some|plain|one|native histograms?|classic histogram|UTF-8.*|stats|` +
	`limit with a warning|experimental function|stale series|no selector|parse error|bad match|many to many|query timeout|` +
	`no query|escaped|percent-encoded|ranked|without alerts|first page|samples|chunks|not snappy|stale|bad limit)$`)

// evaluations are what changes with each evaluation of the rules.
var evaluations = regexp.MustCompile(`"(evaluationTime|lastEvaluation)":("[^"]*"|[0-9.e-]+)|"timings":\{[^}]*\}`)

// TestWholeServer has Prometheus' own program behind the service proxy and at a URL, both in one project.
func TestWholeServer(t *testing.T) {
	t.Parallel()
	address := startWhole(t)
	kubeconfig := namespace(t, "whole", address)
	grant(t, "whole", "whole", "get", "create")
	const allow = ", allow: [federate, remoteRead]"
	path := configuration(t, kubeconfig, "", "whole/service: "+service("whole", "prometheus")+allow, "whole/url: url: \"http://"+address+"\""+allow)
	secret, _ := token(t, path, "whole")
	g := serve(t, path)
	for _, environment := range []string{"whole/service", "whole/url"} {
		c := comparison{direct: "http://" + address, token: secret, through: func(*gateway.Endpoint) string { return g.base(environment) }}
		for _, e := range gateway.Endpoints() {
			asked := 0
			for _, q := range questions[e.Name] {
				if sampled.MatchString(q.name) {
					q.varies = evaluations
					asked++
					t.Run(environment+"/"+e.Name+"/"+q.name, func(t *testing.T) { c.compare(t, e, q) })
				}
			}
			if asked == 0 {
				t.Errorf("the endpoint %s is asked nothing", e.Name)
			}
		}
		t.Logf("%s: %d answers compared, %d of them compressed", environment, c.compared, c.compressed)
	}
}
