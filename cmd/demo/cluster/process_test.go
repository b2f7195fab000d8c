package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

func TestRestart(t *testing.T) {
	directory := t.TempDir()
	c, temporary := start(t, Options{Dir: directory})
	ctx := t.Context()
	must(t, c.Namespace(ctx, "shop"))
	must(t, c.Service(ctx, "shop", "prometheus", "web", 9090, backend(t, "one")))
	must(t, c.AllowServiceProxy(ctx, "shop", ServiceAccount("shop", "gateway"), []string{"http:prometheus:web"}))
	must(t, c.AllowServiceProxy(ctx, "shop", User("alice"), []string{"http:prometheus:web"}))
	gateway := as(t, value(c.ServiceAccountKubeconfig(ctx, "shop", "gateway"))(t))
	alice := as(t, value(c.UserKubeconfig(ctx, "alice"))(t))
	admin := as(t, c.Kubeconfig())
	before, err := c.Client().CoreV1().Namespaces().Get(ctx, "shop", metav1.GetOptions{})
	must(t, err)

	must(t, c.Stop())
	wantGone(t, c)
	wantEmpty(t, temporary)
	again, _ := start(t, Options{Dir: directory, Port: c.Port()})
	if again.Server() != c.Server() || again.Kubeconfig() != c.Kubeconfig() {
		t.Errorf("again on %s with %s, before on %s with %s", again.Server(), again.Kubeconfig(), c.Server(), c.Kubeconfig())
	}
	after, err := again.Client().CoreV1().Namespaces().Get(ctx, "shop", metav1.GetOptions{})
	must(t, err)
	if after.UID != before.UID {
		t.Errorf("the namespace is another one: UID %s, before %s", after.UID, before.UID)
	}
	for _, who := range []caller{gateway, alice, admin} {
		who.want("GET", proxied("shop")+"/hello?x=1", 200, "one GET /hello?x=1")
	}
	must(t, again.SetBackends(ctx, "shop", "prometheus", backend(t, "two")))
	gateway.want("GET", proxied("shop")+"/", 200, "two GET /")
	must(t, again.RevokeServiceProxy(ctx, "shop", User("alice")))
	alice.want("GET", proxied("shop")+"/", 403, "services/proxy")
}

func TestKilledAndStartedAgain(t *testing.T) {
	directory := t.TempDir()
	o := Options{Binary: binary(t), Dir: directory}
	c, err := Start(t.Context(), o)
	must(t, err)
	must(t, c.Namespace(t.Context(), "shop"))
	must(t, c.command.Process.Kill())
	<-c.Done()
	if err := c.Stop(); err == nil || !strings.Contains(err.Error(), "had ended before") {
		t.Errorf("stop after a kill: got error %v", err)
	}
	o.Port = c.Port()
	again, _ := start(t, o)
	if _, err := again.Client().CoreV1().Namespaces().Get(t.Context(), "shop", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
}

// TestStopLeavesNothing stops while a watch and a proxied request are open, which a graceful end would wait for.
func TestStopLeavesNothing(t *testing.T) {
	var complaints bytes.Buffer
	c, temporary := start(t, Options{Stderr: &complaints})
	ctx := t.Context()
	reached, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	hanging := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		once.Do(func() { close(reached) })
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer hanging.Close()
	defer close(release)
	must(t, c.Namespace(ctx, "shop"))
	must(t, c.Service(ctx, "shop", "prometheus", "web", 9090, hanging.Listener.Addr().String()))
	watch, err := c.Client().CoreV1().Namespaces().Watch(ctx, metav1.ListOptions{})
	must(t, err)
	defer watch.Stop()
	answered := make(chan error, 1)
	config := c.RESTConfig()
	client, err := rest.HTTPClientFor(config)
	must(t, err)
	go func() {
		response, err := client.Get(config.Host + proxied("shop") + "/")
		if err == nil {
			err = errors.Join(errors.New(response.Status), response.Body.Close())
		}
		answered <- err
	}()
	<-reached

	before := time.Now()
	must(t, c.Stop())
	if took := time.Since(before); took > goneTimeout {
		t.Errorf("stopping took %s", took)
	}
	must(t, c.Stop())
	<-answered
	wantGone(t, c)
	wantEmpty(t, temporary)
	if complaints.Len() > 0 {
		t.Errorf("the control plane complained: %s", &complaints)
	}
}

func wantGone(t *testing.T, c *Cluster) {
	t.Helper()
	process, err := os.FindProcess(c.PID())
	if err == nil {
		err = process.Signal(syscall.Signal(0))
	}
	if !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("the process %d is still there: %v", c.PID(), err)
	}
	conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(c.Port())))
	if err == nil {
		_ = conn.Close()
		t.Error("the API server's port still answers")
	}
}

func wantEmpty(t *testing.T, directory string) {
	t.Helper()
	left, err := os.ReadDir(directory)
	must(t, err)
	if len(left) > 0 {
		t.Errorf("left behind in the temporary directory: %v", left)
	}
}

// TestEnds runs the program without this package, and ends it in every other way that it knows.
func TestEnds(t *testing.T) {
	path := binary(t)
	for name, test := range map[string]struct {
		arguments []string
		end       func(*exec.Cmd, io.Closer) error
	}{
		"terminated":  {nil, func(c *exec.Cmd, _ io.Closer) error { return c.Process.Signal(syscall.SIGTERM) }},
		"interrupted": {nil, func(c *exec.Cmd, _ io.Closer) error { return c.Process.Signal(os.Interrupt) }},
		"parent gone": {[]string{"--exit-with-stdin"}, func(_ *exec.Cmd, stdin io.Closer) error { return stdin.Close() }},
	} {
		t.Run(name, func(t *testing.T) {
			temporary := t.TempDir()
			command := exec.Command(path, test.arguments...)
			command.Env = append(os.Environ(), "TMPDIR="+temporary)
			stdin, err := command.StdinPipe()
			must(t, err)
			out := &firstLine{line: make(chan []byte, 1)}
			command.Stdout = out
			must(t, command.Start())
			done := make(chan error, 1)
			go func() { done <- command.Wait() }()
			var line []byte
			select {
			case line = <-out.line:
			case err := <-done:
				t.Fatalf("ended before it was ready: %v", err)
			}
			var info announcement
			must(t, json.Unmarshal(line, &info))
			if _, err := url.Parse(info.Server); err != nil || filepath.Dir(info.Dir) != temporary {
				t.Errorf("announced %s", line)
			}
			must(t, test.end(command, stdin))
			select {
			case err := <-done:
				must(t, err)
			case <-time.After(goneTimeout):
				_ = command.Process.Kill()
				t.Fatalf("still there %s after it was asked to end", goneTimeout)
			}
			wantEmpty(t, temporary)
		})
	}
}

func TestStartGivenUp(t *testing.T) {
	path := binary(t)
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Start(ctx, Options{Binary: path}); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want one that says canceled", err)
	}
	wantEmpty(t, temporary)
}

func TestBuildTakesTheProgramNamed(t *testing.T) {
	path := binary(t)
	t.Setenv(BinaryEnv, path)
	if got, err := Build(t.Context(), "nowhere"); err != nil || got != path {
		t.Errorf("got %s, error %v; want %s", got, err, path)
	}
	t.Setenv(BinaryEnv, filepath.Join(t.TempDir(), "none"))
	if _, err := Build(t.Context(), ""); err == nil || !strings.Contains(err.Error(), BinaryEnv) {
		t.Errorf("got error %v, want one that names the variable", err)
	}
}

func TestBuildTwiceAtOnce(t *testing.T) {
	t.Setenv(BinaryEnv, "")
	ctx, cancel := context.WithTimeout(t.Context(), buildTimeout)
	defer cancel()
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			path, err := Build(ctx, "")
			if err != nil {
				t.Error(err)
				return
			}
			if output, err := exec.CommandContext(ctx, path, "--unknown").CombinedOutput(); !strings.Contains(string(output), "exit-with-stdin") {
				t.Errorf("the program does not run: %v: %s", err, output)
			}
		})
	}
	both.Wait()
	left, err := filepath.Glob(filepath.Join("..", "..", "..", "bin", "controlplane.*"))
	must(t, err)
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
