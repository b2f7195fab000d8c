// Package process runs the servers that a benchmark measures, each as a process
// of its own on loopback, and reads from /proc what they have used.
package process

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds the wait until a server answers.
const patience = 30 * time.Second

// pollEvery is how often a server that starts is tried.
const pollEvery = 5 * time.Millisecond

// Build builds a program as the Makefile does: without cgo, and so without the
// race detector. The module is a directory.
func Build(ctx context.Context, module, binary, from string, flags ...string) error {
	arguments := slices.Concat([]string{"build", "-C", module, "-trimpath", "-o", binary}, flags, []string{from})
	command := exec.CommandContext(ctx, "go", arguments...)
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", from, err, out)
	}
	return nil
}

// Server is a program that runs.
type Server struct {
	// PID is its process id.
	PID int
	// StartTime is how long it took from its start until it was ready.
	StartTime time.Duration
	command   *exec.Cmd
	ended     chan struct{} // closed when it has
}

// Start starts a server and waits until ready returns nil. What the server
// writes goes to a file, whose end is in the error of one that does not come up.
func Start(ctx context.Context, c *exec.Cmd, log string, ready func(context.Context) error) (*Server, error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer out.Close() // the process has its own
	c.Stdout, c.Stderr = out, out
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	began := time.Now()
	if err := c.Start(); err != nil {
		return nil, err
	}
	s := &Server{PID: c.Process.Pid, command: c, ended: make(chan struct{})}
	go func() {
		_ = c.Wait() // its status says nothing about the figures
		close(s.ended)
	}()
	if err := s.await(ctx, ready); err != nil {
		s.Stop()
		return nil, fmt.Errorf("%s does not come up: %w; its last words:\n%s", filepath.Base(c.Path), err, lastWords(log))
	}
	s.StartTime = time.Since(began)
	return s, nil
}

func (s *Server) await(ctx context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.ended:
			return fmt.Errorf("it ended by itself (%w)", err)
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// Stop ends the server and waits until it is gone.
func (s *Server) Stop() {
	_ = s.command.Process.Signal(syscall.SIGTERM) // gone already is as good
	<-s.ended
}

// lastWords are the last bytes of a log; empty where there are none.
func lastWords(log string) string {
	const most = 2000
	text, err := os.ReadFile(log)
	if err != nil {
		return ""
	}
	return string(text[max(0, len(text)-most):])
}

// Listens is a condition for Start: the address takes connections.
func Listens(addr string) func(context.Context) error {
	return func(ctx context.Context) error {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}

// FreeAddr is a loopback address that nobody listened on a moment ago.
func FreeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// CPUTime is the user and system time that the processes have used so far, as
// Linux has it for each.
func CPUTime(pids ...int) (time.Duration, error) {
	var total time.Duration
	for _, pid := range pids {
		const schedClock = 2 // CPUCLOCK_SCHED, as clock_getcpuclockid makes it of a process
		var t unix.Timespec
		if err := unix.ClockGettime(int32(^pid<<3|schedClock), &t); err != nil {
			return 0, fmt.Errorf("the CPU time of process %d cannot be read, as it can on Linux: %w", pid, err)
		}
		total += time.Duration(t.Nano())
	}
	return total, nil
}

// PeakMemory is the largest resident set that a process has had, in bytes.
func PeakMemory(pid int) (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("the memory of a process is read from /proc, as Linux has it: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		if value, found := strings.CutPrefix(line, "VmHWM:"); found {
			kilobytes, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			return kilobytes << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no VmHWM", pid)
}

// WithChildren is a process and those that it started.
func WithChildren(pid int) ([]int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil, err
	}
	pids := []int{pid}
	for _, field := range strings.Fields(string(text)) {
		child, err := strconv.Atoi(field)
		if err != nil {
			return nil, err
		}
		pids = append(pids, child)
	}
	return pids, nil
}
