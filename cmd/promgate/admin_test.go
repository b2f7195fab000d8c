package main

import (
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

func TestAdminListener(t *testing.T) {
	u := newUpstream(t)
	p := serve(t, configure(t, preamble+shop("production", u.URL)))
	token := createToken(t, p.config)
	eventually(t, patience, func() error { return wantStatus(fetch(p.query("production"), token), http.StatusOK) })
	must(t, wantStatus(fetch(p.query("production"), token+"x"), http.StatusUnauthorized))

	must(t, wantAnswer(fetch(p.admin+"/healthz", ""), http.StatusOK, "ok\n"))
	must(t, wantAnswer(fetch(p.admin+"/readyz", ""), http.StatusOK, "ok\n"))
	must(t, wantStatus(fetch(p.admin+"/debug/pprof/", ""), http.StatusOK))
	must(t, wantStatus(fetch(p.admin+"/debug/pprof/heap", ""), http.StatusOK))
	must(t, wantStatus(fetch(p.admin+"/projects/shop/environments/production/api/v1/query?query=up", token), http.StatusNotFound))
	for _, path := range []string{"/metrics", "/healthz", "/readyz", "/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline", "/graph"} {
		got := fetch(p.url+path, token)
		if got.status != http.StatusNotFound || !strings.HasPrefix(got.body, `{"status":"error","errorType":"not_found"`) {
			t.Errorf("%s on the public listener: %d %q", path, got.status, got.body)
		}
	}
	metrics := fetch(p.admin+"/metrics", "")
	must(t, wantStatus(metrics, http.StatusOK))
	for _, series := range []string{
		`promgate_build_info{goversion="go[^"]+",revision="[^"]+",version="[^"]+"} 1`,
		`promgate_config_last_reload_successful 1`,
		`promgate_config_last_reload_success_timestamp_seconds 1\.\d+e\+09`,
		`promgate_environments 1`,
		`promgate_token_checks_total{result="ok"} 1`,
		`promgate_token_checks_total{result="ok_cached"} \d+`,
		`promgate_token_checks_total{result="invalid"} [1-9]\d*`,
		`promgate_token_checks_total{result="expired"} 0`,
		`promgate_token_checks_total{result="revoked"} \d+`,
		`promgate_token_checks_total{result="unavailable"} 0`,
		`promgate_requests_total{code="200",endpoint="query",environment="production",project="shop"} 1`,
		`promgate_requests_total{code="401",endpoint="query",environment="",project=""} [1-9]\d*`,
		`promgate_requests_total{code="404",endpoint="",environment="",project=""} 7`,
		`promgate_request_duration_seconds_count{endpoint="query"} [1-9]\d*`,
		`promgate_upstream_duration_seconds_count{endpoint="query",environment="production",project="shop"} 1`,
		`promgate_response_bytes_total{endpoint="query",environment="production",project="shop"} 63`,
		`promgate_requests_in_flight{environment="production",project="shop"} 0`,
		`go_goroutines \d+`,
		`process_resident_memory_bytes \S+`,
	} {
		if !regexp.MustCompile(`(?m)^` + series + `$`).MatchString(metrics.body) {
			t.Errorf("no series %s", series)
		}
	}
	if t.Failed() {
		t.Log(metrics.body)
	}
	checkMetrics(t, metrics.body)
}

// checkMetrics has promtool look at metrics, where the environment says where it is.
func checkMetrics(t *testing.T, metrics string) {
	t.Helper()
	promtool := os.Getenv("PROMGATE_PROMTOOL")
	if promtool == "" {
		return
	}
	check := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	check.Stdin = strings.NewReader(metrics)
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// TestServeTellsWhereItListens sees that port 0 takes a free one, which the log names.
func TestServeTellsWhereItListens(t *testing.T) {
	p := serve(t, configure(t, preamble))
	record := p.log.await(t, "serving", 1)
	address := regexp.MustCompile(`^127\.0\.0\.1:[1-9]\d*$`)
	for _, key := range []string{"listen", "admin"} {
		if text, _ := record[key].(string); !address.MatchString(text) {
			t.Errorf("the record's %s is %v", key, record[key])
		}
	}
	if record["tls"] != false || record["environments"] != 0.0 || record["listen"] == record["admin"] {
		t.Errorf("got %v", record)
	}
	must(t, wantStatus(fetch(p.url+"/other", ""), http.StatusNotFound))
}
