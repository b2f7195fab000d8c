package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for something that is about to happen.
const patience = 30 * time.Second

// beProgram has the test binary run as promgate.
const beProgram = "PROMGATE_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(beProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// journal collects what a program writes to standard error: log records, and
// plain lines.
type journal struct {
	mu      sync.Mutex
	text    []byte
	written chan struct{} // closed by the next write
}

func newJournal() *journal { return &journal{written: make(chan struct{})} }

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.text = append(j.text, p...)
	close(j.written)
	j.written = make(chan struct{})
	return len(p), nil
}

// read returns the text so far, and what tells that there is more.
func (j *journal) read() (string, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return string(j.text), j.written
}

func (j *journal) String() string {
	text, _ := j.read()
	return text
}

// records are the log records with that message.
func (j *journal) records(message string) []map[string]any {
	text, _ := j.read()
	var found []map[string]any
	for line := range strings.Lines(text) {
		var record map[string]any
		if json.Unmarshal([]byte(line), &record) == nil && record["msg"] == message {
			found = append(found, record)
		}
	}
	return found
}

// await waits until there are so many records with the message and returns the
// last of them.
func (j *journal) await(t testing.TB, message string, count int) map[string]any {
	t.Helper()
	deadline := time.After(patience)
	for {
		_, written := j.read()
		if found := j.records(message); len(found) >= count {
			return found[count-1]
		}
		select {
		case <-written:
		case <-deadline:
			t.Fatalf("log record %d of %q did not come; the log is\n%s", count, message, j)
		}
	}
}

// program is promgate serve, running in this process or as one of its own.
type program struct {
	t          testing.TB
	config     string // path of its configuration file
	url, admin string // base URLs of its listeners
	log        *journal
	process    *os.Process // nil in this process
	cancel     context.CancelFunc
	ended      chan struct{} // closed when it has ended
	status     int           // exit status, once it has
}

// serve runs promgate serve in this process until the test's end.
func serve(t testing.TB, config string) *program {
	t.Helper()
	p := newProgram(t, config)
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	go func() {
		defer close(p.ended)
		p.status = run(ctx, []string{"serve", "--config", config}, io.Discard, p.log)
	}()
	t.Cleanup(func() { p.stop() })
	p.awaitReady()
	return p
}

// spawn runs promgate serve as a process until the test's end. An empty binary
// is the test binary itself.
func spawn(t testing.TB, config, binary string, environment ...string) *program {
	t.Helper()
	p := newProgram(t, config)
	if binary == "" {
		binary = testBinary(t)
		environment = append(environment, beProgram+"=1")
	}
	command := exec.Command(binary, "serve", "--config", config)
	command.Env = append(os.Environ(), environment...)
	command.Stderr = p.log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	p.process = command.Process
	go func() {
		defer close(p.ended)
		_ = command.Wait() // the status tells
		p.status = command.ProcessState.ExitCode()
	}()
	t.Cleanup(func() {
		_ = p.process.Kill() // ended, as a rule
		<-p.ended
	})
	p.awaitReady()
	return p
}

func testBinary(t testing.TB) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func newProgram(t testing.TB, config string) *program {
	return &program{t: t, config: config, log: newJournal(), ended: make(chan struct{})}
}

// awaitReady learns from the log where the program listens, and waits until it
// says that it is ready.
func (p *program) awaitReady() {
	p.t.Helper()
	deadline := time.After(patience)
	for {
		_, written := p.log.read()
		if serving := p.log.records("serving"); len(serving) > 0 {
			scheme := "http://"
			if serving[0]["tls"] == true {
				scheme = "https://"
			}
			p.url = scheme + serving[0]["listen"].(string)
			p.admin = "http://" + serving[0]["admin"].(string)
			break
		}
		select {
		case <-written:
		case <-p.ended:
			p.t.Fatalf("promgate serve ended with status %d:\n%s", p.status, p.log)
		case <-deadline:
			p.t.Fatalf("promgate serve did not start:\n%s", p.log)
		}
	}
	eventually(p.t, patience, func() error {
		return wantAnswer(fetch(p.admin+"/readyz", ""), http.StatusOK, "ok\n")
	})
}

// stop ends a program of this process and returns its exit status.
func (p *program) stop() int {
	p.cancel()
	return p.awaitEnd()
}

// awaitEnd waits for the program's end and returns its exit status.
func (p *program) awaitEnd() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(2 * patience):
		p.t.Fatalf("promgate serve did not end:\n%s", p.log)
	}
	return p.status
}

func (p *program) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// query is the URL of a question to an environment.
func (p *program) query(environment string) string {
	return p.url + "/projects/shop/environments/" + environment + "/api/v1/query?query=up"
}

// metric is the value of one series on the admin listener, as it is written;
// empty if it is not there.
func (p *program) metric(series string) string {
	for line := range strings.Lines(fetch(p.admin+"/metrics", "").body) {
		if value, found := strings.CutPrefix(line, series+" "); found {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// awaitMetric waits until a series has the value.
func (p *program) awaitMetric(series, value string) {
	p.t.Helper()
	eventually(p.t, patience, func() error {
		if got := p.metric(series); got != value {
			return fmt.Errorf("%s is %q, not %q; the log is\n%s", series, got, value, p.log)
		}
		return nil
	})
}

// eventually waits until check has nothing to say any more.
func eventually(t testing.TB, within time.Duration, check func() error) {
	t.Helper()
	deadline := time.After(within)
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-look.C:
		case <-deadline:
			t.Fatalf("not within %s: %v", within, err)
		}
	}
}

// answer is what a server answered, or why there is none.
type answer struct {
	status int
	header http.Header
	body   string
	err    error
}

// fetch gets a URL, with a bearer token if there is one.
func fetch(url, token string) answer { return fetchBy(http.DefaultClient, url, token) }

func fetchBy(client *http.Client, url, token string) answer {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return answer{err: err}
	}
	return ask(client, request, token)
}

// ask sends a request and reads the whole answer.
func ask(client *http.Client, request *http.Request, token string) answer {
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client.Do(request)
	if err != nil {
		return answer{err: err}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(body), err}
}

// wantAnswer tells how an answer differs from what it should be.
func wantAnswer(got answer, status int, body string) error {
	if got.err != nil || got.status != status || got.body != body {
		return fmt.Errorf("got status %d, body %q, error %v; want %d, %q", got.status, got.body, got.err, status, body)
	}
	return nil
}

// wantStatus tells how an answer's status differs from what it should be.
func wantStatus(got answer, status int) error {
	if got.err != nil || got.status != status {
		return fmt.Errorf("got status %d, body %q, error %v; want %d", got.status, got.body, got.err, status)
	}
	return nil
}

// must ends the test at an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// preamble is what configurations of tests begin with.
const preamble = `listen: 127.0.0.1:0
adminListen: 127.0.0.1:0
dataDir: data
shutdown: {delay: 0s, timeout: 20s}
`

// shop is a project with environments, each at a URL.
func shop(environments ...string) string {
	var b strings.Builder
	b.WriteString("projects:\n  - name: shop\n    environments:\n")
	for i := 0; i < len(environments); i += 2 {
		fmt.Fprintf(&b, "      - {name: %s, url: %q}\n", environments[i], environments[i+1])
	}
	return b.String()
}

// configure writes a configuration file in a directory of its own and returns
// its path.
func configure(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "promgate.yaml")
	write(t, path, text)
	return path
}

// unhurried are limits for tests that ask as often as they can.
const unhurried = "limits: {requestsPerSecond: 100000, burst: 100000}\n"

// write replaces a file's content in place.
func write(t testing.TB, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o600))
}

// replace renames a new file over the old one.
func replace(t testing.TB, path, text string) {
	t.Helper()
	write(t, path+".new", text)
	must(t, os.Rename(path+".new", path))
}

// command runs the command line and returns what it wrote.
func command(t testing.TB, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, errors bytes.Buffer
	status = run(t.Context(), args, &out, &errors)
	return out.String(), errors.String(), status
}

// succeed runs a command that must succeed and returns its standard output.
func succeed(t testing.TB, args ...string) string {
	t.Helper()
	stdout, stderr, status := command(t, args...)
	if status != 0 {
		t.Fatalf("promgate %s: status %d, %s", strings.Join(args, " "), status, stderr)
	}
	return stdout
}

// createToken makes a token of project shop and returns it.
func createToken(t testing.TB, config string, args ...string) string {
	t.Helper()
	args = append([]string{"token", "create", "--config", config, "--project", "shop"}, args...)
	return strings.TrimSuffix(succeed(t, args...), "\n")
}
