package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// pollEvery is how often a condition is asked for while starting.
const pollEvery = 20 * time.Millisecond

// exampleQuery is what the printed curl line asks, and what is tried before it is printed.
const exampleQuery = "sum by (code) (rate(http_requests_total[5m]))"

// gateway is a running promgate process.
type gateway struct {
	program string
	config  string
	process *exec.Cmd
	log     *os.File
	tail    *tail
	client  *http.Client
	done    chan struct{} // closed when the process has ended
	ended   error         // valid once done is closed
}

// startGateway runs promgate with a configuration; what it writes goes to a log file.
func startGateway(program, config, logFile string) (*gateway, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot write the gateway's log: %w", err)
	}
	g := &gateway{
		program: program, config: config, log: log, tail: &tail{}, done: make(chan struct{}),
		client:  &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second},
		process: exec.Command(program, "serve", "--config", config),
	}
	output := io.MultiWriter(log, g.tail)
	g.process.Stdout, g.process.Stderr = output, output
	// A group of its own, so that Ctrl-C in the terminal reaches the gateway only through stop.
	g.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := g.process.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot start %s: %w", program, err), log.Close())
	}
	go func() {
		g.ended = g.process.Wait()
		close(g.done)
	}()
	return g, nil
}

// stop asks the process to end, waits, and kills it when it takes too long. It may have ended before.
func (g *gateway) stop(limit time.Duration) error {
	defer g.log.Close()
	_ = g.process.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-g.done:
		return nil
	case <-timer.C:
		g.kill()
		<-g.done
		return fmt.Errorf("promgate did not stop within %s and was killed", limit)
	}
}

func (g *gateway) kill() { _ = g.process.Process.Kill() }

// failure says how the process ended, with its last lines.
func (g *gateway) failure() error {
	how := "without an error"
	if g.ended != nil {
		how = "with " + g.ended.Error()
	}
	return fmt.Errorf("promgate ended by itself %s; its last lines:\n%s", how, g.tail.String())
}

// awaitReady asks the admin listener until it says that the gateway is ready.
func (g *gateway) awaitReady(ctx context.Context, admin string) error {
	return g.until(ctx, "promgate did not become ready", func() error {
		return g.get(ctx, "http://"+admin+"/readyz", "", func(io.Reader) error { return nil })
	})
}

// until repeats an attempt until it succeeds, the gateway ends or the context does.
func (g *gateway) until(ctx context.Context, failure string, attempt func() error) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := attempt()
		if err == nil {
			return nil
		}
		select {
		case <-g.done:
			return g.failure()
		case <-ctx.Done():
			return fmt.Errorf("%s: %w; its last lines:\n%s", failure, err, g.tail.String())
		case <-tick.C:
		}
	}
}

// get reads a URL that must answer 200.
func (g *gateway) get(ctx context.Context, address, token string, read func(io.Reader) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := g.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return fmt.Errorf("it answers %s: %s", resp.Status, bytes.TrimSpace(body))
	}
	return read(resp.Body)
}

// createToken has promgate make a token for one environment.
func (g *gateway) createToken(ctx context.Context, project, environment string) (string, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, g.program, "token", "create", "--config", g.config,
		"--project", project, "--environment", environment, "--expires", "24h", "--description", "make run")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("promgate made no token for %s %s: %w\n%s", project, environment, err, bytes.TrimSpace(stderr.Bytes()))
	}
	token := strings.TrimSpace(string(out))
	if token == "" || strings.ContainsAny(token, " \t\r\n'") {
		return "", fmt.Errorf("promgate token create printed something else than a token for %s %s", project, environment)
	}
	return token, nil
}

// tryQuery sends the request of the curl line until it is answered with data.
func (g *gateway) tryQuery(ctx context.Context, e entry) error {
	address := e.URL + "/api/v1/query?" + url.Values{"query": {exampleQuery}}.Encode()
	return g.until(ctx, e.Project+" "+e.Environment+" does not answer a query", func() error {
		return g.get(ctx, address, e.Token, func(body io.Reader) error {
			var answer struct {
				Status string
				Data   struct{ Result []json.RawMessage }
			}
			if err := json.NewDecoder(body).Decode(&answer); err != nil {
				return fmt.Errorf("it answers no JSON: %w", err)
			}
			if answer.Status != "success" || len(answer.Data.Result) == 0 {
				return errors.New("it answers no data")
			}
			return nil
		})
	})
}

// tailLines is how much of the gateway's output is shown when it fails.
const tailLines = 30

// tail keeps the last lines written to it.
type tail struct {
	mu    sync.Mutex
	lines []string
	open  string
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	parts := strings.Split(t.open+string(p), "\n")
	t.open = parts[len(parts)-1]
	t.lines = append(t.lines, parts[:len(parts)-1]...)
	if extra := len(t.lines) - tailLines; extra > 0 {
		t.lines = append(t.lines[:0:0], t.lines[extra:]...)
	}
	return len(p), nil
}

// String is what was kept, without a newline at its end.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimRight(strings.Join(append(t.lines[:len(t.lines):len(t.lines)], t.open), "\n"), "\n")
}
