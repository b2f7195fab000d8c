package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// answerMatrix answers a range query with a point for each step.
func answerMatrix(w http.ResponseWriter, r *http.Request) {
	number := func(name string) int {
		n, _ := strconv.Atoi(r.URL.Query().Get(name)) // what is no range query has no points
		return n
	}
	var points []string
	for t := number("start"); number("step") > 0 && t <= number("end"); t += number("step") {
		points = append(points, fmt.Sprintf(`[%d,"%d"]`, t, t%100))
	}
	answerText(w, http.StatusOK, "application/json",
		`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"job":"a"},"values":[`+strings.Join(points, ",")+`]}]}}`)
}

// wantOutcome asks a range query whose points are all settled, and tells how what
// became of it in the cache differs from what should.
func (p *program) wantOutcome(environment, token, outcome string) error {
	got := fetch(p.url+"/projects/shop/environments/"+environment+"/api/v1/query_range?query=up&start=1700000000&end=1700000600&step=15", token)
	if err := wantStatus(got, http.StatusOK); err != nil {
		return err
	}
	if now := got.header.Get("X-Promgate-Cache"); now != outcome {
		return fmt.Errorf("X-Promgate-Cache of %s is %q, not %q", environment, now, outcome)
	}
	if points := strings.Count(got.body, `"]`); points != 41 {
		return fmt.Errorf("%d points: %s", points, got.body)
	}
	return nil
}

// drop asks the admin listener to drop what is kept.
func (p *program) drop(what string) answer {
	p.t.Helper()
	request, err := http.NewRequest(http.MethodPost, p.admin+"/cache/drop"+what, nil)
	must(p.t, err)
	return ask(http.DefaultClient, request, "")
}

func TestDropCache(t *testing.T) {
	u := newUpstream(t)
	u.answerWith(answerMatrix)
	p := serve(t, configure(t, preamble+shop("production", u.URL, "staging", u.URL)))
	token := createToken(t, p.config)
	eventually(t, patience, func() error { return wantStatus(fetch(p.query("production"), token), http.StatusOK) })
	both := func(outcome string) {
		t.Helper()
		must(t, p.wantOutcome("production", token, outcome))
		must(t, p.wantOutcome("staging", token, outcome))
	}
	both("miss")
	both("hit")
	must(t, wantAnswer(p.drop("?project=shop&environment=staging"), http.StatusOK, "dropped 1\n"))
	must(t, p.wantOutcome("production", token, "hit"))
	must(t, p.wantOutcome("staging", token, "miss"))
	must(t, wantAnswer(p.drop("?project=shop"), http.StatusOK, "dropped 2\n"))
	both("miss")
	must(t, wantAnswer(p.drop(""), http.StatusOK, "dropped 2\n"))
	both("miss")
	both("hit")

	must(t, wantAnswer(p.drop("?project=nobody"), http.StatusNotFound, "there is no such project or environment\n"))
	must(t, wantAnswer(p.drop("?project=shop&environment=nothing"), http.StatusNotFound, "there is no such project or environment\n"))
	must(t, wantAnswer(p.drop("?environment=staging"), http.StatusBadRequest, "name the environment's project too: /cache/drop?project=PROJECT&environment=ENVIRONMENT\n"))
	must(t, wantAnswer(p.drop("?projekt=shop"), http.StatusBadRequest, "only project and environment say what to drop, not \"projekt\"\n"))
	must(t, wantStatus(fetch(p.admin+"/cache/drop", ""), http.StatusMethodNotAllowed))
	both("hit")

	eventually(t, patience, func() error { // the log is written a little later
		var logged []any
		for _, record := range p.log.records("request") {
			if record["endpoint"] == "query_range" {
				logged = append(logged, record["cache"])
			}
		}
		if len(logged) < 4 || fmt.Sprint(logged[:4]) != "[miss miss hit hit]" {
			return fmt.Errorf("the log says %v", logged)
		}
		return nil
	})
	metrics := fetch(p.admin+"/metrics", "").body
	for series, value := range map[string]string{
		`promgate_cache_requests_total{endpoint="query_range",environment="production",outcome="hit",project="shop"}`:  "4",
		`promgate_cache_requests_total{endpoint="query_range",environment="production",outcome="miss",project="shop"}`: "3",
		`promgate_cache_entries{project="shop"}`: "2",
		`promgate_cache_limit_bytes`:             "2.68435456e+08",
	} {
		if got := p.metric(series); got != value {
			t.Errorf("%s is %q, not %q", series, got, value)
		}
	}
	if bytes, err := strconv.ParseFloat(p.metric(`promgate_cache_bytes{project="shop"}`), 64); err != nil || bytes < 1000 || bytes > 10000 {
		t.Errorf("%g bytes are kept (%v)", bytes, err)
	}
	checkMetrics(t, metrics)
}

// TestReloadOfCache: SIGHUP alone drops nothing, and the cache's keys need no restart.
func TestReloadOfCache(t *testing.T) {
	u := newUpstream(t)
	u.answerWith(answerMatrix)
	good := preamble + shop("production", u.URL)
	p := spawn(t, configure(t, good), "")
	token := createToken(t, p.config)
	eventually(t, patience, func() error { return p.wantOutcome("production", token, "miss") })
	reload := func(text string) {
		t.Helper()
		write(t, p.config, text)
		p.signal(syscall.SIGHUP)
	}
	p.signal(syscall.SIGHUP)
	p.awaitMetric(`promgate_config_reloads_total{result="success"}`, "1")
	must(t, p.wantOutcome("production", token, "hit"))
	reload(strings.Replace(good, "\"}\n", "\", cache: false}\n", 1))
	eventually(t, patience, func() error { return p.wantOutcome("production", token, "bypass") })
	reload(good + "cache: {maxBytes: 0B}\n")
	eventually(t, patience, func() error { return p.wantOutcome("production", token, "") })
	p.awaitMetric("promgate_cache_limit_bytes", "0")
	reload(good + "cache: {maxBytes: 1MiB, freshness: 500000h}\n") // nothing is settled
	eventually(t, patience, func() error { return p.wantOutcome("production", token, "bypass") })
	reload(good)
	eventually(t, patience, func() error { return p.wantOutcome("production", token, "miss") })
	must(t, p.wantOutcome("production", token, "hit"))
}

// TestCacheOfOtherCredentials: what was answered to one credential of the gateway's is
// nothing for another one, although the server is the same.
func TestCacheOfOtherCredentials(t *testing.T) {
	u := newUpstream(t)
	u.answerWith(answerMatrix)
	secret := filepath.Join(t.TempDir(), "token")
	write(t, secret, "first")
	p := serve(t, configure(t, preamble+fmt.Sprintf("projects:\n  - name: shop\n    environments:\n"+
		"      - {name: production, url: %[1]q, bearerTokenFile: %[2]q}\n      - {name: staging, url: %[1]q}\n", u.URL, secret)))
	token := createToken(t, p.config)
	eventually(t, patience, func() error { return p.wantOutcome("production", token, "miss") })
	must(t, p.wantOutcome("staging", token, "miss"))
	must(t, p.wantOutcome("production", token, "hit"))
	replace(t, secret, "second")
	eventually(t, patience, func() error { return p.wantOutcome("production", token, "miss") })
	if got := u.last.Load().Get("Authorization"); got != "Bearer second" {
		t.Errorf("the upstream was asked with %q", got)
	}
	must(t, p.wantOutcome("production", token, "hit"))
	must(t, p.wantOutcome("staging", token, "hit"))
}
