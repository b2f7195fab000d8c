package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/promgate/promgate/cmd/promgate/config"
	"github.com/promgate/promgate/gateway"
	"github.com/promgate/promgate/routing"
	"github.com/promgate/promgate/tokens"
	tokenfile "github.com/promgate/promgate/tokens/file"
	"github.com/promgate/promgate/tokens/jwt"
)

// wellPrometheus is an upstream with which nothing is wrong.
func wellPrometheus(t testing.TB) *upstream {
	u := newUpstream(t)
	u.answerWith(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/-/ready":
			answerText(w, http.StatusOK, "text/plain", "Prometheus Server is Ready.\n")
		case "/api/v1/status/buildinfo":
			answerText(w, http.StatusOK, "application/json", `{"status":"success","data":{"version":"3.15.0"}}`)
		default:
			answerText(w, http.StatusOK, "application/json", `{"status":"success","data":{"resultType":"scalar","result":[0,"2"]}}`)
		}
	})
	return u
}

func TestDoctorPrints(t *testing.T) {
	good, page, refused := wellPrometheus(t), newUpstream(t), closedPort(t)
	page.answerWith(func(w http.ResponseWriter, _ *http.Request) {
		answerText(w, http.StatusOK, "text/html", "<html>hello</html>")
	})
	config := configure(t, preamble+shop("a", good.URL, "b", "http://"+refused, "c", page.URL))
	stdout, stderr, status := command(t, "doctor", "--config", config)
	want := fmt.Sprintf(`shop/a (%[1]s)
  ok       connection   connected to %[2]s
  ok       prometheus   Prometheus 3.15.0 is ready and answers queries
shop/b (http://%[3]s)
  FAILED   connection   connection refused by %[3]s
                        Prometheus is stopped, or listens on another port or address (its --web.listen-address): compare that with url
shop/c (%[4]s)
  ok       connection   connected to %[5]s
  FAILED   prometheus   a web page (HTML, status 200) answers GET /api/v1/query
                        another program listens there, a login page stands before Prometheus, or the path is wrong: check url
`, good.URL, strings.TrimPrefix(good.URL, "http://"), refused, page.URL, strings.TrimPrefix(page.URL, "http://"))
	if status != 1 || stdout != want || stderr != "promgate: 2 of 3 environments have a hop that failed\n" {
		t.Errorf("got status %d, stderr %q, stdout\n%s\nwant\n%s", status, stderr, stdout, want)
	}
	if got := succeed(t, "doctor", "--config", config, "--project", "shop", "--environment", "a"); !strings.HasPrefix(want, got) || got == "" {
		t.Errorf("of one environment it prints %s", got)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(config), "data")); !os.IsNotExist(err) {
		t.Errorf("doctor made the data directory: %v", err)
	}
}

func TestDoctorJSON(t *testing.T) {
	good, refused := wellPrometheus(t), closedPort(t)
	config := configure(t, preamble+shop("a", good.URL, "b", "http://"+refused))
	stdout, stderr, status := command(t, "doctor", "-o", "json", "--config", config)
	want := fmt.Sprintf(`[
  {
    "project": "shop",
    "environment": "a",
    "target": "%[1]s",
    "hops": [
      {
        "hop": "connection",
        "status": "ok",
        "found": "connected to %[2]s"
      },
      {
        "hop": "prometheus",
        "status": "ok",
        "found": "Prometheus 3.15.0 is ready and answers queries"
      }
    ]
  },
  {
    "project": "shop",
    "environment": "b",
    "target": "http://%[3]s",
    "hops": [
      {
        "hop": "connection",
        "status": "failed",
        "found": "connection refused by %[3]s",
        "cause": "Prometheus is stopped, or listens on another port or address (its --web.listen-address): compare that with url"
      }
    ]
  }
]
`, good.URL, strings.TrimPrefix(good.URL, "http://"), refused)
	if status != 1 || stdout != want || stderr != "promgate: 1 of 2 environments have a hop that failed\n" {
		t.Errorf("got status %d, stderr %q, stdout\n%s\nwant\n%s", status, stderr, stdout, want)
	}
	empty := configure(t, preamble)
	stdout, stderr, status = command(t, "doctor", "-o", "json", "--config", empty)
	if status != 0 || stdout != "[]\n" || stderr != "promgate: there is no environment to examine: promgate routes lists them\n" {
		t.Errorf("of nothing: status %d, %q, %q", status, stdout, stderr)
	}
}

// TestDoctorManyAtOnce: environments are examined at once, and printed in order.
func TestDoctorManyAtOnce(t *testing.T) {
	u := wellPrometheus(t)
	var environments []string
	for i := range 30 {
		environments = append(environments, fmt.Sprintf("e%02d", i), u.URL)
	}
	stdout := succeed(t, "doctor", "--config", configure(t, preamble+shop(environments...)))
	last := -1
	for i := range 30 {
		at := strings.Index(stdout, fmt.Sprintf("shop/e%02d (", i))
		if at <= last {
			t.Fatalf("e%02d is out of order in\n%s", i, stdout)
		}
		last = at
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, complaints strings.Builder
	if status := run(ctx, []string{"doctor", "--config", configure(t, preamble+shop(environments...))}, &out, &complaints); status != 1 || out.String() != "" ||
		complaints.String() != "promgate: interrupted before every environment was examined\n" {
		t.Errorf("interrupted: status %d, %q, %q", status, out.String(), complaints.String())
	}
}

func TestDoctorMistakes(t *testing.T) {
	config := configure(t, preamble+shop("production", "http://127.0.0.1:9", "staging", "http://127.0.0.1:10"))
	none := filepath.Join(t.TempDir(), "none")
	blank := filepath.Join(t.TempDir(), "blank")
	write(t, blank, " \n")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--environment", "production"}, "--environment needs --project: write both"},
		{[]string{"--project", "shp"}, "there is no project shp: did you mean shop?"},
		{[]string{"--project", "shop", "--environment", "prodution"}, "there is no environment shop/prodution: did you mean shop/production?"},
		{[]string{"--project", "shop", "--environment", "zzz"}, "there is no environment shop/zzz: the project has production, staging"},
		{[]string{"--project", "zzzzzz"}, "there is no project zzzzzz: promgate routes lists those that are there"},
		{[]string{"-o", "xml"}, `--output "xml": write table or json`},
		{[]string{"--token", none}, "--token: open " + none + ": no such file or directory"},
		{[]string{"--token", blank}, "--token: there is no token to read"},
		{[]string{"--token", "eyJhbGciOiJFZERTQSJ9.secret.secret"}, "--token is the name of a file that holds the token, or - for standard input; it cannot be read as a file"},
	} {
		stdout, stderr, status := command(t, append([]string{"doctor", "--config", config}, c.args...)...)
		if want := "promgate: " + c.want + "\n"; status != 1 || stdout != "" || stderr != want {
			t.Errorf("%v: got status %d, stdout %q, stderr %q, want %q", c.args, status, stdout, stderr, want)
		}
	}
}

// TestDoctorNamesWhyUnserved: what is found but not served has a reason.
func TestDoctorNamesWhyUnserved(t *testing.T) {
	table := routing.NewMerger("file").Set("local", map[string][]routing.Candidate{"shop": {
		{Project: "shop", Name: "broken", Source: "Service shop/prometheus on cluster local", Reason: "it has no port; name one"},
	}})
	for _, environment := range []string{"broken", ""} {
		_, err := choose(table, "shop", environment)
		if err == nil || !strings.HasSuffix(err.Error(), " is not served: shop/broken (Service shop/prometheus on cluster local): it has no port; name one") {
			t.Errorf("of %q it says %v", environment, err)
		}
	}
}

// doctorsWord is the hop of a token, as the doctor finds it for shop/production.
func doctorsWord(t *testing.T, config, token string, args ...string) (routing.Hop, int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	write(t, file, token+"\n")
	stdout, stderr, status := command(t, append([]string{"doctor", "-o", "json", "--config", config, "--token", file}, args...)...)
	var all []gateway.Diagnosis
	if err := json.Unmarshal([]byte(stdout), &all); err != nil || len(all) == 0 {
		t.Fatalf("%v: status %d, %s%s", err, status, stdout, stderr)
	}
	if strings.Contains(stdout+stderr, token) || len(token) > 60 && strings.Contains(stdout+stderr, token[len(token)-40:]) {
		t.Errorf("it repeats the token: %s%s", stdout, stderr)
	}
	hops := all[0].Hops
	return hops[len(hops)-1], status
}

// ended makes a token whose time was over an hour ago.
func ended(t *testing.T, path string) string {
	t.Helper()
	cfg, err := config.Load(path)
	must(t, err)
	s, err := tokenfile.Open(t.Context(), tokenfile.Options{
		Dir: cfg.DataDir, Mint: jwt.Mint, Now: func() time.Time { return time.Now().Add(-2 * time.Hour) },
	})
	must(t, err)
	uids, err := s.AssignUIDs(t.Context(), []string{"shop", "shop/production"}, false)
	must(t, err)
	scope := tokens.Scope{Project: "shop", ProjectUID: uids["shop"], Environment: "production", EnvironmentUID: uids["shop/production"]}
	_, token, err := s.Create(t.Context(), tokens.Draft{Scope: scope, Description: "old", Lifetime: time.Hour})
	must(t, err)
	must(t, s.Close())
	return token
}

func TestDoctorToken(t *testing.T) {
	u := wellPrometheus(t)
	config := configure(t, preamble+shop("production", u.URL, "staging", u.URL))
	other := configure(t, preamble+shop("production", u.URL))
	one := []string{"--project", "shop", "--environment", "production"}

	good := createToken(t, config, "--environment", "production", "--description", "good")
	whole := createToken(t, config, "--description", "whole")
	staging := createToken(t, config, "--environment", "staging", "--description", "staging")
	revoked := createToken(t, config, "--environment", "production", "--description", "revoked")
	succeed(t, "token", "revoke", idOf(t, config, "revoked"), "--config", config)
	rotated := createToken(t, config, "--environment", "production", "--description", "rotated")
	succeed(t, "token", "rotate", idOf(t, config, "rotated"), "--overlap", "0s", "--config", config)
	parts := strings.Split(good, ".")
	flipped := strings.Map(func(r rune) rune {
		if r == 'A' {
			return 'B'
		}
		return 'A'
	}, parts[2][:1]) + parts[2][1:]

	for _, c := range []struct {
		name, token   string
		args          []string
		status        routing.HopStatus
		found, advice string
	}{
		{"good", good, one, routing.HopOK, "opens environment shop/production until ", ""},
		{"good, unnamed", good, nil, routing.HopOK, "opens environment shop/production until ", ""},
		{"of the project", whole, one, routing.HopOK, "opens project shop until ", ""},
		{"of another environment", staging, one, routing.HopFailed, "is for environment shop/staging, not for shop/production", "make a token for shop/production"},
		{"of another, unnamed", staging, nil, routing.HopSkipped, "is for environment shop/staging alone", ""},
		{"revoked", revoked, one, routing.HopFailed, "was revoked at ", "make another"},
		{"expired", ended(t, config), one, routing.HopFailed, "expired at ", "make another"},
		{"rotated", rotated, one, routing.HopFailed, "after it was rotated", "use its successor"},
		{"tampered signature", parts[0] + "." + parts[1] + "." + flipped, one, routing.HopFailed, "signature", "copy it again"},
		{"tampered claims", parts[0] + "." + strings.Split(staging, ".")[1] + "." + parts[2], one, routing.HopFailed, "signature", "copy it again"},
		{"cut off", good[:len(good)-20], one, routing.HopFailed, "signature or form is not good", "copy it again, whole"},
		{"without its end", parts[0] + "." + parts[1], one, routing.HopFailed, "signature or form is not good", "copy it again, whole"},
		{"of another installation", createToken(t, other, "--environment", "production"), one, routing.HopFailed, "another installation", "each data directory"},
		{"no token", "glsa_abcdefghijklmnopqrstuvwxyz", one, routing.HopFailed, "this is no promgate token", "promgate token create prints"},
		{"with its scheme", "Bearer " + good, one, routing.HopFailed, "this is no promgate token", "without Bearer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, status := doctorsWord(t, config, c.token, c.args...)
			if h.Name != routing.HopToken || h.Status != c.status || !strings.Contains(h.Found, c.found) || !strings.Contains(h.Cause, c.advice) || (h.Cause == "") != (c.advice == "") {
				t.Errorf("got %+v", h)
			}
			if (status == 0) != (c.status != routing.HopFailed) {
				t.Errorf("the status is %d", status)
			}
		})
	}
	// To look at a token is no use of it.
	if item := listTokens(t, config)[idOf(t, config, "good")]; item.LastUsed != nil {
		t.Errorf("the doctor has used the token: %+v", item)
	}
	// A gateway that never made a token gets no data directory by this.
	fresh := configure(t, preamble+shop("production", u.URL))
	if h, _ := doctorsWord(t, fresh, good, one...); !strings.Contains(h.Found, "has no token store") {
		t.Errorf("without a store it says %+v", h)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(fresh), "data")); !os.IsNotExist(err) {
		t.Errorf("doctor made the data directory: %v", err)
	}
}

// TestDoctorTokenOfAnEarlierEnvironment: a token does not open what was made
// again under an old name.
func TestDoctorTokenOfAnEarlierEnvironment(t *testing.T) {
	u := wellPrometheus(t)
	config := configure(t, preamble+shop("production", u.URL))
	token := createToken(t, config, "--environment", "production")
	replace(t, config, preamble+shop("staging", u.URL))
	serve(t, config).stop() // it sees that production is gone
	replace(t, config, preamble+shop("production", u.URL))
	h, status := doctorsWord(t, config, token)
	if status != 1 || !strings.Contains(h.Found, "is for an earlier environment shop/production") {
		t.Errorf("status %d, %+v", status, h)
	}
}

func TestDoctorTokenFromStandardInput(t *testing.T) {
	u := wellPrometheus(t)
	config := configure(t, preamble+shop("production", u.URL))
	token := createToken(t, config)
	root := rootCommand()
	var out strings.Builder
	root.SetArgs([]string{"doctor", "--config", config, "--token", "-"})
	root.SetIn(strings.NewReader(token + "\n"))
	root.SetOut(&out)
	if err := root.ExecuteContext(t.Context()); err != nil || !strings.Contains(out.String(), "  ok       token        the token ") {
		t.Errorf("%v: %s", err, out.String())
	}
}

// TestClusterOutOfReach searches a cluster whose API server is not there.
func TestClusterOutOfReach(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address := closed.Addr().String()
	must(t, closed.Close())
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	must(t, os.WriteFile(kubeconfig, fmt.Appendf(nil, `{apiVersion: v1, kind: Config, current-context: c,
clusters: [{name: c, cluster: {server: "https://%s"}}], contexts: [{name: c, context: {cluster: c, user: u}}], users: [{name: u, user: {token: hunter2}}]}`, address), 0o600))
	config := configure(t, preamble+fmt.Sprintf("clusters:\n  - {name: local, kubeconfig: %q, discovery: {namespaces: {names: [shop]}}}\n", kubeconfig)+
		strings.ReplaceAll(shop("production", "http://prometheus.example"), "name: shop", "name: static"))

	stdout, stderr, status := command(t, "routes", "--config", config)
	if status != 0 || !strings.Contains(stdout, "static") || !strings.Contains(stderr, "warning: cluster local: the namespace shop cannot be read right now") || !strings.Contains(stderr, "connection refused") {
		t.Errorf("routes: status %d, %s%s", status, stdout, stderr)
	}
	stdout, stderr, status = command(t, "doctor", "--config", config, "--project", "shop", "--environment", "production")
	if status != 1 || !strings.HasPrefix(stdout, "cluster local\n  FAILED   api server   connection refused by https://"+address) ||
		stderr != "promgate: there is no environment shop/production: promgate routes lists those that are there; what cannot be seen of the clusters may be why\n" {
		t.Errorf("doctor: status %d, %s%s", status, stdout, stderr)
	}
	_, stderr, status = command(t, "token", "create", "--config", config, "--project", "shop")
	if status != 1 || !strings.Contains(stderr, "project shop is not known") || !strings.Contains(stderr, "warning: cluster local") {
		t.Errorf("token create: status %d, %s", status, stderr)
	}
}
