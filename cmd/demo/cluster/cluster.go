// Package cluster gives tests and the demo a real Kubernetes API server on loopback, RBAC on, and fills it with the objects
// that promgate meets: Services whose Pods are loopback addresses, service accounts, users and what they may do. The server
// is the program in testdata/controlplane; no container engine and no nodes take part.
package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// stopTimeout is how long the control plane may take to end when it is asked to; it needs one or two seconds.
const stopTimeout = 10 * time.Second

// Options say how the control plane is started.
type Options struct {
	Binary string    // path of the control plane program, see Build
	Dir    string    // keeps all data for a later Start, short path; empty: a temporary one, removed by Stop
	Port   int       // loopback port of the API server; 0: a free one
	Stderr io.Writer // receives what the control plane has to say; nil: shown only in the error of a failed Start
	// Verbosity is the log level of the servers, at 0 they log nothing.
	Verbosity int
}

// Cluster is a running control plane. Its methods may be called by several goroutines at once.
type Cluster struct {
	temporary bool
	info      announcement
	port      int
	config    *rest.Config
	client    kubernetes.Interface

	command *exec.Cmd
	stdin   io.Closer
	done    chan struct{} // closed when the process is gone
	exit    error         // its result, to be read after done

	stop    sync.Once
	stopErr error
}

// announcement is the line that the control plane prints when it is ready.
type announcement struct {
	Kubeconfig string `json:"kubeconfig"`
	Dir        string `json:"dir"`
	Server     string `json:"server"`
	Mapping    string `json:"mapping"`
	CACert     string `json:"caCert"`
	CAKey      string `json:"caKey"`
}

// Start runs the control plane binary and returns when its API server is ready, which takes a few seconds. The context bounds
// the start only; what was started runs until Stop, or until this process ends, in whatever way. Start with the Dir and the
// Port of a stopped Cluster continues it: same objects, same certificates and tokens, same kubeconfigs.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	if o.Binary == "" {
		return nil, errors.New("cluster: no control plane program given: set Options.Binary to the path that Build returns")
	}
	arguments := []string{"--exit-with-stdin", "--secure-port=" + strconv.Itoa(o.Port), "--v=" + strconv.Itoa(o.Verbosity)}
	if o.Dir != "" {
		arguments = append(arguments, "--dir="+o.Dir)
	}
	// Not bound to the context, which would kill the process without giving it the time to clean up.
	command := exec.Command(o.Binary, arguments...)
	stdin, err := command.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("cluster: cannot make the pipe that ties the control plane to this process: %w", err)
	}
	stdout := &firstLine{line: make(chan []byte, 1)}
	stderr := &tail{forward: o.Stderr}
	command.Stdout, command.Stderr, command.WaitDelay = stdout, stderr, stopTimeout
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("cluster: cannot run the control plane %s: %w", o.Binary, err)
	}
	c := &Cluster{temporary: o.Dir == "", command: command, stdin: stdin, done: make(chan struct{})}
	go func() {
		c.exit = command.Wait()
		close(c.done)
	}()
	select {
	case line := <-stdout.line:
		if err := c.connect(line); err != nil {
			return nil, errors.Join(err, c.Stop())
		}
		return c, nil
	case <-c.done:
		return nil, fmt.Errorf("cluster: the control plane did not start (%w): %s", exitError(c.exit), stderr)
	case <-ctx.Done():
		return nil, errors.Join(fmt.Errorf("cluster: the control plane was not ready in time: %w", ctx.Err()), c.Stop())
	}
}

func exitError(err error) error {
	if err == nil {
		return errors.New("it ended without an error")
	}
	return err
}

// connect reads the announcement and makes the client.
func (c *Cluster) connect(line []byte) error {
	if err := json.Unmarshal(line, &c.info); err != nil {
		return fmt.Errorf("cluster: the control plane's first line is not what this package expects, build both from one source: %w", err)
	}
	server, err := url.Parse(c.info.Server)
	if err != nil {
		return fmt.Errorf("cluster: the API server's address: %w", err)
	}
	if c.port, err = strconv.Atoi(server.Port()); err != nil {
		return fmt.Errorf("cluster: the API server's address has no port: %w", err)
	}
	if c.config, err = LoadConfig(c.info.Kubeconfig); err != nil {
		return err
	}
	if c.client, err = kubernetes.NewForConfig(c.config); err != nil {
		return fmt.Errorf("cluster: cannot make a client: %w", err)
	}
	return nil
}

// LoadConfig reads a kubeconfig written by this package, for a client without limits of its own.
func LoadConfig(kubeconfig string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("cluster: cannot read the kubeconfig: %w", err)
	}
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{} // Endpoints are deprecated, yet they are what the service proxy reads
	return config, nil
}

// Stop ends the control plane and waits until its process is gone. Nothing is left but the directory, if one was given.
// Calling it again returns the same result. It is an error if the control plane had ended before, or had to be killed.
func (c *Cluster) Stop() error {
	c.stop.Do(func() { c.stopErr = c.end() })
	return c.stopErr
}

func (c *Cluster) end() error {
	defer func() {
		// Usually done by the process itself, unless it was killed.
		if c.temporary && c.info.Dir != "" {
			_ = os.RemoveAll(c.info.Dir)
		}
	}()
	select {
	case <-c.done:
		return fmt.Errorf("cluster: the control plane had ended before it was stopped: %w", exitError(c.exit))
	default:
	}
	if err := c.command.Process.Signal(syscall.SIGTERM); err != nil {
		_ = c.stdin.Close() // the other way to ask, for systems without signals
	}
	timeout := time.NewTimer(stopTimeout)
	defer timeout.Stop()
	select {
	case <-c.done:
		_ = c.stdin.Close()
	case <-timeout.C:
		_ = c.command.Process.Kill()
		<-c.done
		return fmt.Errorf("cluster: the control plane did not stop within %s and was killed", stopTimeout)
	}
	if c.exit != nil {
		return fmt.Errorf("cluster: the control plane ended with an error: %w", c.exit)
	}
	return nil
}

// Done is closed when the control plane's process is gone, for whatever reason.
func (c *Cluster) Done() <-chan struct{} { return c.done }

// PID is the control plane's process id.
func (c *Cluster) PID() int { return c.command.Process.Pid }

// Kubeconfig is the path of the administrator's kubeconfig.
func (c *Cluster) Kubeconfig() string { return c.info.Kubeconfig }

// Server is the API server's URL.
func (c *Cluster) Server() string { return c.info.Server }

// Dir is where the control plane keeps its data.
func (c *Cluster) Dir() string { return c.info.Dir }

// Port is the API server's port, to be given to the next Start on the same Dir.
func (c *Cluster) Port() int { return c.port }

// Client is the administrator's client.
func (c *Cluster) Client() kubernetes.Interface { return c.client }

// RESTConfig is a copy of the administrator's configuration.
func (c *Cluster) RESTConfig() *rest.Config { return rest.CopyConfig(c.config) }

// firstLine passes on the first line written to it and swallows the rest.
type firstLine struct {
	buffer bytes.Buffer
	sent   bool
	line   chan []byte // capacity 1
}

// Write implements io.Writer.
func (f *firstLine) Write(p []byte) (int, error) {
	if f.sent {
		return len(p), nil
	}
	f.buffer.Write(p)
	if line, _, found := bytes.Cut(f.buffer.Bytes(), []byte("\n")); found {
		f.line <- bytes.Clone(line)
		f.sent = true
	}
	return len(p), nil
}

// tailSize is how many bytes of the control plane's complaints an error shows.
const tailSize = 8 << 10

// tail keeps the end of what is written to it, and passes it on if it is told where.
type tail struct {
	mu      sync.Mutex
	kept    []byte
	forward io.Writer
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - tailSize; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	if t.forward != nil {
		_, _ = t.forward.Write(p) // a closed destination must not stop the control plane
	}
	return len(p), nil
}

// String returns what was kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.kept))
}
