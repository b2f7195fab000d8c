package e2e

import (
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

// journal collects what a program writes to standard error.
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

// await waits for a line that find takes.
func (j *journal) await(t testing.TB, what string, ended <-chan struct{}, find func(line string) bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		text, written := j.read()
		for line := range strings.Lines(text) {
			if find(line) {
				return
			}
		}
		select {
		case <-written:
		case <-ended:
			t.Fatalf("ended before %s:\n%s", what, j)
		case <-deadline:
			t.Fatalf("no %s in\n%s", what, j)
		}
	}
}

// record waits for the log record with a field of that value.
func (j *journal) record(t testing.TB, field, value string, ended <-chan struct{}) map[string]any {
	t.Helper()
	var record map[string]any
	j.await(t, field+" "+value, ended, func(line string) bool {
		record = nil
		return json.Unmarshal([]byte(line), &record) == nil && record[field] == value
	})
	return record
}

// process is a program that runs until its test ends.
type process struct {
	t     testing.TB
	name  string
	cmd   *exec.Cmd
	log   *journal
	ended chan struct{}
}

// spawn starts a program.
func spawn(t testing.TB, name string, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, name: name, cmd: cmd, log: newJournal(), ended: make(chan struct{})}
	cmd.Stderr = p.log
	stdin, err := cmd.StdinPipe()
	must(t, err)
	must(t, cmd.Start())
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // the status tells
	}()
	t.Cleanup(func() {
		p.stop()
		_ = stdin.Close()
	})
	return p
}

// stop asks the program to end; it has to, in good order. A data race makes another status.
func (p *process) stop() {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // ended already, perhaps
	select {
	case <-p.ended:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.ended
		p.t.Errorf("%s did not end:\n%s", p.name, p.log)
	}
	if status := p.cmd.ProcessState.ExitCode(); status != 0 {
		p.t.Errorf("%s ended with status %d:\n%s", p.name, status, p.log)
	}
}

// running is promgate serve.
type running struct {
	*process
	url, admin string
}

// serve runs the gateway with a configuration file.
func serve(t testing.TB, path string) *running {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), beGateway+"="+path)
	return await(t, spawn(t, "the gateway", cmd))
}

// await waits until a gateway is ready.
func await(t testing.TB, p *process) *running {
	t.Helper()
	g := &running{process: p}
	serving := g.log.record(t, "msg", "serving", g.ended)
	g.url = "http://" + serving["listen"].(string)
	g.admin = "http://" + serving["admin"].(string)
	eventually(t, func() error { return wantStatus(ask(get(g.admin+"/readyz")), http.StatusOK) })
	return g
}

// base is an environment's URL.
func (g *running) base(environment string) string {
	project, name, _ := strings.Cut(environment, "/")
	return g.url + "/projects/" + project + "/environments/" + name
}

// logged waits for the log record of an answer.
func (g *running) logged(t testing.TB, a answer) map[string]any {
	t.Helper()
	return g.log.record(t, "request_id", a.header.Get("X-Request-Id"), g.ended)
}

// wantLogged checks fields of an answer's log record.
func (g *running) wantLogged(t testing.TB, a answer, want map[string]any) map[string]any {
	t.Helper()
	record := g.logged(t, a)
	for field, value := range want {
		if record[field] != value {
			t.Errorf("the record's %s is %v, want %v; it is %v", field, record[field], value, record)
		}
	}
	return record
}

// roomy has no limit in the way of questions that are about something else.
const roomy = "limits: {maxQueryLength: 128KiB, maxEvaluations: 100000000, requestsPerSecond: 100000, burst: 100000}\n"

// configuration writes a configuration file in a directory of its own. The environments are lines such as "shop/production:
// service …", in the order of their projects.
func configuration(t testing.TB, kubeconfig, extra string, environments ...string) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("listen: 127.0.0.1:0\nadminListen: 127.0.0.1:0\ndataDir: data\nshutdown: {delay: 0s, timeout: 20s}\n" + extra)
	if !strings.Contains(extra, "limits:") {
		b.WriteString(roomy)
	}
	if kubeconfig != "" {
		fmt.Fprintf(&b, "clusters:\n  - {name: local, kubeconfig: %q}\n", kubeconfig)
	}
	b.WriteString("projects:\n")
	last := ""
	for _, e := range environments {
		path, settings, _ := strings.Cut(e, ": ")
		project, name, _ := strings.Cut(path, "/")
		if project != last {
			fmt.Fprintf(&b, "  - name: %s\n    environments:\n", project)
			last = project
		}
		fmt.Fprintf(&b, "      - {name: %s, %s}\n", name, settings)
	}
	path := filepath.Join(t.TempDir(), "promgate.yaml")
	must(t, os.WriteFile(path, []byte(b.String()), 0o600))
	return path
}

// service is an environment's setting for a Service of a namespace.
func service(namespace, name string) string {
	return fmt.Sprintf("service: {cluster: local, namespace: %s, name: %s, port: web}", namespace, name)
}

// must ends the test at an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until check has nothing to say any more, and returns how long that took.
func eventually(t testing.TB, check func() error) time.Duration {
	t.Helper()
	began := time.Now()
	deadline := time.After(patience)
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		err := check()
		if err == nil {
			return time.Since(began)
		}
		select {
		case <-look.C:
		case <-deadline:
			t.Fatalf("not within %s: %v", patience, err)
		}
	}
}

// run executes a program to its end and returns what it wrote to both outputs, and its status.
func run(t testing.TB, program string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, complaints strings.Builder
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Stdout, cmd.Stderr, cmd.Stdin = io.Writer(&out), io.Writer(&complaints), nil
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatalf("%s: %v", program, err)
	}
	return out.String(), complaints.String(), cmd.ProcessState.ExitCode()
}
