// Command controlplane runs a real Kubernetes API server and its etcd in one process, for tests and for trying things out
// on a machine without a cluster. RBAC is on. There are no nodes: what stands for a Pod is a loopback address, and requests
// to a Pod's made-up address are led there (see proxy.go).
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// The whole shutdown takes at most the sum of these; what has not ended by then ends with the process.
const (
	apiServerStopTimeout = 2 * time.Second
	etcdStopTimeout      = time.Second
)

// settings are the command line.
type settings struct {
	dir           string
	securePort    int
	exitWithStdin bool
	verbosity     int
	readyTimeout  time.Duration
}

// announcement is the one line on standard output. It is printed when the API server is ready.
type announcement struct {
	Kubeconfig string `json:"kubeconfig"` // client certificate in system:masters
	Dir        string `json:"dir"`
	Server     string `json:"server"`
	Mapping    string `json:"mapping"` // directory, one file for each made-up Pod address
	CACert     string `json:"caCert"`  // signs the API server's and the clients' certificates
	CAKey      string `json:"caKey"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "controlplane:", err)
		os.Exit(1)
	}
}

func parseFlags() (settings, error) {
	var s settings
	flag.StringVar(&s.dir, "dir", "", "directory for all data, kept at exit; empty: a temporary one, removed at exit")
	flag.IntVar(&s.securePort, "secure-port", 0, "loopback port of the API server; 0: a free one")
	flag.BoolVar(&s.exitWithStdin, "exit-with-stdin", false,
		"stop when standard input ends, and leave an interrupt from the terminal to the parent process")
	flag.IntVar(&s.verbosity, "v", 0, "0: no logs unless the start fails; 1 and more: logs of the servers at this level")
	flag.DurationVar(&s.readyTimeout, "ready-timeout", 2*time.Minute, "how long the API server may take to become ready")
	flag.Parse()
	if flag.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q: only flags are accepted, see --help", flag.Arg(0))
	}
	return s, nil
}

func run() (err error) {
	s, err := parseFlags()
	if err != nil {
		return err
	}
	// Listen for the end first, so that no start is too short to be interrupted cleanly.
	stop := stopRequests(s.exitWithStdin)

	logs := newLogs(s.verbosity)
	defer func() {
		if err != nil {
			logs.dump(os.Stderr)
		}
	}()
	d, err := openDir(s.dir)
	if err != nil {
		return err
	}
	defer d.close()

	p := &plane{}
	defer p.stop()
	ready := make(chan error, 1)
	go func() { ready <- p.start(s, d, logs) }()
	select {
	case err := <-ready:
		if err != nil {
			return err
		}
	case <-stop:
		return nil
	}
	if err := json.NewEncoder(os.Stdout).Encode(p.announcement); err != nil {
		return fmt.Errorf("cannot write the line with the addresses to standard output: %w", err)
	}
	select {
	case <-stop:
		return nil
	case err := <-p.apiServer.done:
		return fmt.Errorf("the API server ended by itself: %w", orUnknown(err))
	case err := <-p.etcd.Err():
		return fmt.Errorf("etcd ended by itself: %w", orUnknown(err))
	}
}

func orUnknown(err error) error {
	if err == nil {
		return errors.New("it gave no reason; run again with --v=2")
	}
	return err
}

// stopRequests returns a channel that is closed when the process is asked to end. With withStdin the end of standard
// input counts, so that no process is left when the parent is killed; an interrupt then does not, because a terminal sends
// it to the parent too, which may want to finish its requests before its API server goes.
func stopRequests(withStdin bool) <-chan struct{} {
	stop := make(chan struct{})
	var once sync.Once
	end := func() { once.Do(func() { close(stop) }) }

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	if withStdin {
		signal.Ignore(os.Interrupt)
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			end()
		}()
	} else {
		signal.Notify(signals, os.Interrupt)
	}
	go func() {
		<-signals
		end()
	}()
	return stop
}

// plane is the running parts, in the order in which they start.
type plane struct {
	mu           sync.Mutex
	stopped      bool
	etcd         *etcdServer
	proxy        *connectProxy
	apiServer    *apiServer
	announcement announcement
}

// start brings everything up and returns when /readyz answers ok.
func (p *plane) start(s settings, d *dir, logs *logs) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.readyTimeout)
	defer cancel()

	pki, err := openPKI(d)
	if err != nil {
		return err
	}
	err = p.step(func() (err error) { p.etcd, err = startEtcd(ctx, d, logs); return err })
	if err != nil {
		return err
	}
	err = p.step(func() (err error) { p.proxy, err = startConnectProxy(d); return err })
	if err != nil {
		return err
	}
	err = p.step(func() (err error) { p.apiServer, err = startAPIServer(d, s.securePort); return err })
	if err != nil {
		return err
	}
	if err := writeAdminKubeconfig(d, pki, p.apiServer.url); err != nil {
		return err
	}
	p.announcement = announcement{
		Kubeconfig: d.adminKubeconfig(), Dir: d.path, Server: p.apiServer.url, Mapping: d.mapping(),
		CACert: d.caCert(), CAKey: d.caKey(),
	}
	return p.apiServer.waitReady(ctx, pki)
}

// step runs one part's start, unless the end was asked for in the meantime.
func (p *plane) step(start func() error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return errors.New("stopped while starting")
	}
	return start()
}

// stop ends the parts, the last started first. A watch or a proxied request that a client keeps open does not hold it up.
func (p *plane) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	if p.apiServer != nil {
		p.apiServer.stop(apiServerStopTimeout)
	}
	if p.proxy != nil {
		p.proxy.stop()
	}
	if p.etcd != nil {
		p.etcd.stop(etcdStopTimeout)
	}
}
