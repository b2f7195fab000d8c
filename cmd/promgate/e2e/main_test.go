package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"github.com/promgate/promgate/cmd/demo/cluster"
	"github.com/promgate/promgate/cmd/demo/prometheus"
	"github.com/promgate/promgate/cmd/promgate/server"
)

// patience bounds every wait for something that is about to happen.
const patience = 90 * time.Second

// beGateway names the configuration file of a gateway as which the test binary is to run: a process of its own, with its own
// signals and its own global state, and under the race detector where the tests are.
const beGateway = "PROMGATE_E2E_SERVE"

// beKeeper has the test binary run the program that its arguments name, and end it when the tests are gone in whatever way.
const beKeeper = "PROMGATE_E2E_KEEP"

func TestMain(m *testing.M) {
	if os.Getenv(beKeeper) != "" {
		os.Exit(keep(os.Args[1:]))
	}
	if path := os.Getenv(beGateway); path != "" {
		if err := runGateway(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(runTests(m))
}

// runGateway serves until SIGTERM, or until the process that started it is gone.
func runGateway(path string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	s, err := server.New(ctx, server.Options{Path: path, Log: os.Stderr, Version: "e2e", Revision: "e2e"})
	if err != nil {
		return err
	}
	return s.Run(ctx)
}

// keep runs a program until it ends, SIGTERM comes or standard input is closed, and returns its exit status.
func keep(command []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	err := cmd.Run()
	if cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return cmd.ProcessState.ExitCode()
}

// shared is what tests have in common. Each part is started by the first test that asks for it.
var shared world

type world struct {
	dir string // temporary

	once    sync.Once
	err     error
	control *cluster.Cluster // replaced where a test stops it and starts it again

	fixtureOnce sync.Once
	fixtureErr  error
	fixture     *prometheus.Server

	promgate, servers builds
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	shared.dir = dir
	status := m.Run()
	if err := shared.end(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return status
}

func (w *world) end() error {
	var errs []error
	if w.control != nil {
		errs = append(errs, w.control.Stop())
	}
	if w.fixture != nil {
		errs = append(errs, w.fixture.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(w.dir))...)
}

// controlPlane is the one API server of all tests.
func controlPlane(t testing.TB) *cluster.Cluster {
	t.Helper()
	shared.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute) // it may have to be built
		defer cancel()
		var binary string
		if binary, shared.err = cluster.Build(ctx, ""); shared.err == nil {
			shared.control, shared.err = cluster.Start(ctx, cluster.Options{Binary: binary, Dir: shared.dir + "/cp"})
		}
	})
	must(t, shared.err)
	return shared.control
}

// umlaut is a label name that has to be percent-encoded in a path.
const umlaut = "höhe"

// fixture is a Prometheus whose answers do not change. No test may change it.
func fixture(t testing.TB) *prometheus.Server {
	t.Helper()
	shared.fixtureOnce.Do(func() { shared.fixture, shared.fixtureErr = startFixture(context.Background(), prometheus.Fixture()) })
	must(t, shared.fixtureErr)
	return shared.fixture
}

// startFixture starts a server with the fixture's data and some series more.
func startFixture(ctx context.Context, o prometheus.Options) (*prometheus.Server, error) {
	fill := o.Backfill
	o.Backfill = func(ctx context.Context, app prometheus.Appender) error {
		if err := fill(ctx, app); err != nil {
			return err
		}
		return appendFloat(app, prometheus.FixtureEnd(), 3, model.MetricNameLabel, "mountain", umlaut, "2962 m")
	}
	return prometheus.Start(ctx, o)
}
