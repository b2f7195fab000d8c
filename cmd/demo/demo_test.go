package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// fakeEnv makes the test binary behave like promgate: "good", or "dies" after it became ready.
const fakeEnv = "PROMGATE_DEMO_FAKE"

func TestMain(m *testing.M) {
	if mode := os.Getenv(fakeEnv); mode != "" {
		os.Exit(fakeGateway(mode, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// fakeGateway knows as much of promgate as the demonstration relies on.
func fakeGateway(mode string, args []string) int {
	if args[0] == "token" {
		if len(args) != 12 || args[1] != "create" {
			fmt.Fprintln(os.Stderr, "unexpected arguments", args)
			return 1
		}
		fmt.Println("token-" + args[5] + "-" + args[7])
		return 0
	}
	text, err := os.ReadFile(args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var cfg gatewayConfig
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&cfg); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	mux := http.NewServeMux()
	for _, p := range cfg.Projects {
		for _, e := range p.Environments {
			prefix := "/projects/" + p.Name + "/environments/" + e.Name
			target, _ := url.Parse(e.URL)
			proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
			mux.Handle(prefix+"/", http.StripPrefix(prefix, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "Bearer token-"+p.Name+"-"+e.Name {
					http.Error(w, "wrong token", http.StatusUnauthorized)
					return
				}
				proxy.ServeHTTP(w, r)
			})))
		}
	}
	admin := http.NewServeMux()
	admin.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	go func() { _ = http.ListenAndServe(cfg.AdminListen, admin) }()
	if mode == "dies" {
		fmt.Fprintln(os.Stderr, "the database is gone")
		return 3
	}
	_ = http.ListenAndServe(cfg.Listen, mux)
	return 1
}

// newDemo is a demonstration of the fake gateway whose temporary files can be looked for.
func newDemo(t *testing.T, mode string) (d *demo, temp string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	temp = t.TempDir()
	t.Setenv("TMPDIR", temp)
	t.Setenv(fakeEnv, mode)
	return &demo{
		opts: options{
			promgate: self, addr: "127.0.0.1:0", adminAddr: "127.0.0.1:0", info: filepath.Join(t.TempDir(), "info.json"),
		},
		out: &bytes.Buffer{}, progress: &bytes.Buffer{},
	}, temp
}

func TestRunAnnouncesWhatAnswers(t *testing.T) {
	d, temp := newDemo(t, "good")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.run(ctx) }()
	content := awaitInfo(t, d.opts.info, ended)

	var got []string
	for _, p := range content.Projects {
		for _, e := range p.Environments {
			got = append(got, p.Name+" "+e.Name+" "+strings.TrimPrefix(e.URL, content.URL)+" "+e.Token)
		}
	}
	want := `shop production /projects/shop/environments/production token-shop-production
shop staging /projects/shop/environments/staging token-shop-staging
billing production /projects/billing/environments/production token-billing-production
billing staging /projects/billing/environments/staging token-billing-staging`
	if strings.Join(got, "\n") != want {
		t.Errorf("info tells\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	if stat, err := os.Stat(d.opts.info); err != nil || stat.Mode().Perm() != 0o600 {
		t.Errorf("info file: %v, %v", stat.Mode(), err)
	}

	cancel()
	if err := <-ended; err != nil {
		t.Errorf("asked to stop, it answers %v", err)
	}
	for _, name := range []string{d.opts.info, temp} {
		if left, _ := filepath.Glob(filepath.Join(name, "*")); len(left) > 0 {
			t.Errorf("it left %v", left)
		}
	}
	if _, err := os.Stat(d.opts.info); err == nil {
		t.Error("it left the info file with its tokens")
	}
	if conn, err := net.Dial("tcp", strings.TrimPrefix(content.URL, "http://")); err == nil {
		conn.Close()
		t.Error("the gateway still listens")
	}
	if printed := d.out.(*bytes.Buffer).String(); strings.Count(printed, "  Try    curl ") != 4 ||
		!strings.Contains(printed, "Value: Bearer token-shop-production\n") {
		t.Errorf("the page is\n%s", printed)
	}
}

// awaitInfo waits for the info file, which appears whole.
func awaitInfo(t *testing.T, file string, ended <-chan error) (content info) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(2 * time.Minute)
	for {
		text, err := os.ReadFile(file)
		if err == nil {
			if err := json.Unmarshal(text, &content); err != nil {
				t.Fatal(err)
			}
			return content
		}
		select {
		case err := <-ended:
			t.Fatalf("it ended: %v", err)
		case <-deadline:
			t.Fatal("no info file")
		case <-tick.C:
		}
	}
}

func TestRunShowsWhyTheGatewayEnded(t *testing.T) {
	d, temp := newDemo(t, "dies")
	err := d.run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "promgate ended by itself with exit status 3; its last lines:\nthe database is gone") {
		t.Errorf("error is %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(temp, "*")); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
}

func TestRunWithoutGateway(t *testing.T) {
	d, _ := newDemo(t, "good")
	d.opts.promgate = filepath.Join(t.TempDir(), "missing")
	if err := d.run(t.Context()); err == nil || !strings.Contains(err.Error(), "build it, or name it with --promgate") {
		t.Errorf("error is %v", err)
	}
}

func TestFreeAddress(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for addr, want := range map[string]string{
		taken.Addr().String(): "choose another port with --addr",
		"0.0.0.0:8080":        "not on loopback",
		":8080":               "write --addr 127.0.0.1:8080",
		"8080":                "no host:port",
	} {
		if _, err := freeAddress(addr, "--addr"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", addr, err, want)
		}
	}
	got, err := freeAddress("127.0.0.1:0", "--addr")
	if err != nil || !strings.HasPrefix(got, "127.0.0.1:") || strings.HasSuffix(got, ":0") {
		t.Errorf("a free port is %q, %v", got, err)
	}
}

func TestCurlLineIsOneForAShell(t *testing.T) {
	e := entry{Project: "shop", Environment: "staging", URL: "http://127.0.0.1:1/projects/shop/environments/staging", Token: "abc.def-_"}
	// A function in place of the program shows the words that the shell makes of the line.
	out, err := exec.CommandContext(t.Context(), "sh", "-c", `curl() { printf '%s\n' "$@"; }; `+e.curl()).Output()
	want := "-sSG\n-H\nAuthorization: Bearer abc.def-_\n--data-urlencode\nquery=" + exampleQuery + "\n" + e.URL + "/api/v1/query\n"
	if err != nil || string(out) != want {
		t.Errorf("the shell reads\n%swant\n%s%v", out, want, err)
	}
}

func TestForceWaitsForServersThatClose(t *testing.T) {
	var e emergency
	var steps []string
	e.onKill(func() { steps = append(steps, "kill") })
	e.onRemove(func() { steps = append(steps, "remove") })
	entered, release := make(chan struct{}), make(chan struct{})
	go e.orderly(func() {
		close(entered)
		<-release
		steps = append(steps, "closed")
	})
	<-entered
	e.onKill(func() { close(release) })
	e.force()
	if got := strings.Join(steps, " "); got != "kill closed remove" {
		t.Errorf("steps are %s", got)
	}
}

func TestTailKeepsTheLastLines(t *testing.T) {
	var l tail
	for i := range 100 {
		fmt.Fprintf(&l, "line %d\nli", i)
		fmt.Fprintf(&l, "ne %d and a half\n", i)
	}
	fmt.Fprint(&l, "cut")
	lines := strings.Split(l.String(), "\n")
	if len(lines) != tailLines+1 || lines[0] != "line 85" || lines[tailLines] != "cut" {
		t.Errorf("%d lines, from %q to %q", len(lines), lines[0], lines[len(lines)-1])
	}
}
