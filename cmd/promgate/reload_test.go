package main

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const reloadOK = "promgate_config_last_reload_successful"

func TestReloadOnHangup(t *testing.T) {
	u := newUpstream(t)
	p := spawn(t, configure(t, preamble+shop("production", u.URL)), "")
	before := p.metric(`promgate_config_reloads_total{result="success"}`)
	p.signal(syscall.SIGHUP)
	p.awaitMetric(`promgate_config_reloads_total{result="success"}`, "1")
	if before != "" {
		t.Errorf("%s reloads before the first", before)
	}
	p.log.await(t, "configuration loaded", 1)
	p.signal(syscall.SIGTERM)
	if status := p.awaitEnd(); status != 0 {
		t.Errorf("status %d:\n%s", status, p.log)
	}
}

// TestReloadOnReplacedFile renames a new file over the old one, and writes in place.
func TestReloadOnReplacedFile(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	p := serve(t, configure(t, preamble+shop("production", u.URL)))
	if got := p.metric("promgate_environments"); got != "1" {
		t.Errorf("%s environments at the start", got)
	}
	replace(t, p.config, preamble+shop("production", u.URL, "staging", u.URL))
	p.awaitMetric("promgate_environments", "2")
	write(t, p.config, preamble+shop("a", u.URL, "b", u.URL, "c", u.URL))
	p.awaitMetric("promgate_environments", "3")
}

// TestReloadOnSymlinkSwitch replaces files as a mounted ConfigMap is replaced:
// the names are links into ..data, which is itself a link that is switched.
func TestReloadOnSymlinkSwitch(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	dir, data := t.TempDir(), t.TempDir()
	publish := func(version, text string) {
		must(t, os.Mkdir(filepath.Join(dir, version), 0o700))
		write(t, filepath.Join(dir, version, "promgate.yaml"), text)
		must(t, os.Symlink(version, filepath.Join(dir, "..data_tmp")))
		must(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	}
	head := strings.Replace(preamble, "dataDir: data", "dataDir: "+data, 1)
	publish("..1", head+shop("production", u.URL))
	config := filepath.Join(dir, "promgate.yaml")
	must(t, os.Symlink("..data/promgate.yaml", config))
	p := serve(t, config)
	publish("..2", head+shop("production", u.URL, "staging", u.URL))
	must(t, os.RemoveAll(filepath.Join(dir, "..1")))
	p.awaitMetric("promgate_environments", "2")
	p.awaitMetric(reloadOK, "1")
}

func TestBadReloadKeepsLastGoodState(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	good := preamble + shop("production", u.URL)
	p := serve(t, configure(t, good))
	token := createToken(t, p.config)
	eventually(t, patience, func() error { return wantStatus(fetch(p.query("production"), token), http.StatusOK) })
	p.awaitMetric(reloadOK, "1")

	caFile := filepath.Join(filepath.Dir(p.config), "ca.pem")
	replace(t, p.config, good+"limitz: {}\ntracing: {otlpEndpoint: nonsense}\n")
	p.awaitMetric(reloadOK, "0")
	record := p.log.await(t, "the new configuration is bad: the last good one stays in force", 1)
	want := fmt.Sprintf("%[1]s:9: limitz: unknown key; did you mean limits?\n"+
		"%[1]s:10: tracing.otlpEndpoint: not an absolute http or https URL; write one such as https://prometheus.example:9090", p.config)
	if record["error"] != want || record["level"] != "ERROR" || record["file"] != p.config {
		t.Errorf("the record is %v, want the error\n%s", record, want)
	}
	must(t, wantAnswer(fetch(p.query("production"), token), http.StatusOK, emptyResult))
	must(t, wantAnswer(fetch(p.admin+"/readyz", ""), http.StatusOK, "ok\n"))

	// What only the bad file names is watched: it may be what is mended next.
	withCA := strings.Replace(good, `"}`, `", tls: {caFile: ca.pem}}`, 1)
	withCA = strings.Replace(withCA, "http://", "https://", 1)
	replace(t, p.config, withCA)
	p.log.await(t, "the new configuration is bad: the last good one stays in force", 2)
	must(t, wantStatus(fetch(p.query("production"), token), http.StatusOK))
	write(t, caFile, newCertificate(t, t.TempDir()).certPEM)
	p.awaitMetric(reloadOK, "1")

	replace(t, p.config, good)
	eventually(t, patience, func() error { return wantStatus(fetch(p.query("production"), token), http.StatusOK) })
	if got := p.metric(`promgate_config_reloads_total{result="failure"}`); got != "2" {
		t.Errorf("%s failed reloads", got)
	}
}

func TestReloadChangesLimitsAndLogLevel(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	held, release := make(chan struct{}, 2), make(chan struct{})
	u.answerWith(func(w http.ResponseWriter, r *http.Request) {
		held <- struct{}{}
		<-release
		answerQuickly(w, r)
	})
	p := serve(t, configure(t, preamble+shop("production", u.URL)))
	token := createToken(t, p.config)
	eventually(t, patience, func() error { return wantStatus(fetch(p.query("staging"), token), http.StatusForbidden) })
	replace(t, p.config, preamble+"log: {level: error}\n"+shop("production", u.URL))
	p.awaitMetric(`promgate_config_reloads_total{result="success"}`, "1")
	before := p.log.String()
	must(t, wantStatus(fetch(p.query("staging"), token), http.StatusForbidden))
	if got := p.log.String(); got != before {
		t.Errorf("logged at the level error: %s", strings.TrimPrefix(got, before))
	}
	replace(t, p.config, preamble+"limits: {maxConcurrent: 1, queue: {length: 0}}\n"+shop("production", u.URL))
	p.log.await(t, "configuration loaded", 1)
	requests := len(p.log.records("request"))
	answered := make(chan answer)
	go func() { answered <- fetch(p.query("production"), token) }()
	<-held
	got := fetch(p.query("production")+"2", token) // an equal one would share the first one's place
	must(t, wantStatus(got, http.StatusTooManyRequests))
	close(release)
	must(t, wantAnswer(<-answered, http.StatusOK, emptyResult))
	p.log.await(t, "request", requests+2)
}

func TestReloadFollowsCredentials(t *testing.T) {
	t.Parallel()
	u := startUpstream(t, (*httptest.Server).StartTLS)
	dir := t.TempDir()
	tokenFile, caFile := filepath.Join(dir, "token"), filepath.Join(dir, "ca.pem")
	write(t, tokenFile, "first")
	write(t, caFile, newCertificate(t, t.TempDir()).certPEM) // of somebody else
	p := serve(t, configure(t, preamble+shop("production", u.URL)[:len(shop("production", u.URL))-2]+
		fmt.Sprintf(", bearerTokenFile: %q, tls: {caFile: %q}}\n", tokenFile, caFile)))
	token := createToken(t, p.config)
	eventually(t, patience, func() error {
		return wantStatus(fetch(p.query("production"), token), http.StatusServiceUnavailable)
	})
	replace(t, caFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: u.Certificate().Raw})))
	eventually(t, patience, func() error { return wantStatus(fetch(p.query("production"), token), http.StatusOK) })
	if got := u.last.Load().Get("Authorization"); got != "Bearer first" {
		t.Errorf("the upstream saw %q", got)
	}
	replace(t, tokenFile, "second")
	eventually(t, patience, func() error {
		must(t, wantStatus(fetch(p.query("production"), token), http.StatusOK))
		if got := u.last.Load().Get("Authorization"); got != "Bearer second" {
			return fmt.Errorf("the upstream saw %q", got)
		}
		return nil
	})
}

func TestReloadFollowsListenTLS(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	dir := t.TempDir()
	first := newCertificate(t, dir)
	p := serve(t, configure(t, preamble+fmt.Sprintf("listenTLS: {certFile: %q, keyFile: %q}\n", first.certFile, first.keyFile)+shop("production", u.URL)))
	client := newClient(t, first, true)
	must(t, wantStatus(fetchBy(client, p.query("production"), ""), http.StatusUnauthorized))

	second := newCertificate(t, dir) // over the first one's files
	eventually(t, patience, func() error {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(p.url, "https://"), &tls.Config{RootCAs: second.pool, MinVersion: tls.VersionTLS12})
		if err != nil {
			return err
		}
		defer conn.Close()
		if serial := conn.ConnectionState().PeerCertificates[0].SerialNumber; serial.Cmp(second.serial) != 0 {
			return fmt.Errorf("the certificate's serial is %s", serial)
		}
		return nil
	})
	// The connection that was there goes on.
	must(t, wantStatus(fetchBy(client, p.query("production"), ""), http.StatusUnauthorized))
}

func TestReloadWarnsOfRestart(t *testing.T) {
	t.Parallel()
	p := serve(t, configure(t, preamble))
	replace(t, p.config, `listen: 127.0.0.1:1
adminListen: 127.0.0.1:2
dataDir: elsewhere
log: {format: text}
tracing: {otlpEndpoint: "http://127.0.0.1:4318"}
shutdown: {delay: 1s}
`)
	p.log.await(t, "configuration loaded", 1)
	var keys []string
	for _, record := range p.log.records("this key changed, but takes effect only after a restart") {
		keys = append(keys, record["key"].(string))
	}
	if got, want := strings.Join(keys, " "), "listen adminListen dataDir log.format tracing shutdown"; got != want {
		t.Errorf("warned of %s, want %s", got, want)
	}
}

// TestReloadKeepsConnections sees that a target that did not change is still
// asked over the same connection, and one that did is not.
func TestReloadKeepsConnections(t *testing.T) {
	t.Parallel()
	kept, changed := newUpstream(t), newUpstream(t)
	p := serve(t, configure(t, preamble+shop("production", kept.URL, "staging", changed.URL)))
	token := createToken(t, p.config)
	eventually(t, patience, func() error { return wantStatus(fetch(p.query("production"), token), http.StatusOK) })
	must(t, wantStatus(fetch(p.query("staging"), token), http.StatusOK))
	replace(t, p.config, preamble+shop("production", kept.URL, "staging", changed.URL+"/base", "testing", kept.URL))
	p.awaitMetric("promgate_environments", "3")
	for _, environment := range []string{"production", "staging", "testing"} {
		must(t, wantStatus(fetch(p.query(environment), token), http.StatusOK))
	}
	if got := kept.connections.Load(); got != 1 {
		t.Errorf("the unchanged target saw %d connections", got)
	}
	if got := changed.connections.Load(); got != 2 {
		t.Errorf("the changed target saw %d connections", got)
	}
}
