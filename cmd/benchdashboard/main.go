// Command benchdashboard measures a dashboard that refreshes: Prometheus itself
// beside the built promgate in front of it, in the same run, with the time that
// a refresh takes and the CPU time of both processes. Every answer through the
// gateway is compared with Prometheus' own. Everything listens on loopback.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/promgate/promgate/cmd/internal/process"
)

func main() {
	b := bench{}
	flag.StringVar(&b.promgate, "promgate", "bin/promgate", "built promgate binary")
	flag.StringVar(&b.prometheus, "prometheus", "bin/prometheus", "built prometheus binary")
	flag.IntVar(&b.refreshes, "refreshes", 15, "refreshes of the dashboard; the range's end moves a step with each")
	flag.IntVar(&b.panels, "panels", len(panels), fmt.Sprintf("panels of the dashboard, at most %d", len(panels)))
	flag.DurationVar(&b.span, "range", 6*time.Hour, "range of the dashboard, at a step of 15 s")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := b.printAll(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "benchdashboard:", err)
		os.Exit(1)
	}
}

// bench is one run.
type bench struct {
	promgate, prometheus string // programs
	refreshes, panels    int
	span                 time.Duration
}

func (b *bench) printAll(ctx context.Context) error {
	if b.refreshes < 1 || b.panels < 1 || b.panels > len(panels) || b.span < time.Minute {
		return fmt.Errorf("there are 1 to %d panels, at least one refresh, and a range of a minute or more", len(panels))
	}
	runs, comparison, err := b.run(ctx)
	if err != nil {
		return err
	}
	if err := printRuns(os.Stdout, runs); err != nil {
		return err
	}
	printTargets(os.Stdout, runs)
	return comparison.print(os.Stdout)
}

// run measures everybody in turn and then compares the answers.
func (b *bench) run(ctx context.Context) ([]*measurement, *comparison, error) {
	dir, err := os.MkdirTemp("", "benchdashboard")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(dir)
	addr, server, err := b.startPrometheus(ctx, dir)
	if err != nil {
		return nil, nil, err
	}
	defer server.Stop()
	direct := &client{base: "http://" + addr, prometheus: server.PID}
	// Nobody pays for the first touch of the data.
	if err := b.warmUp(ctx, direct); err != nil {
		return nil, nil, err
	}
	var runs []*measurement
	for _, encoding := range []string{gzipped, identity} {
		alone, err := b.measure(ctx, direct, encoding)
		if err != nil {
			return nil, nil, fmt.Errorf("measure Prometheus: %w", err)
		}
		gate, err := b.measurePromgate(ctx, filepath.Join(dir, "promgate-"+encoding), direct, encoding)
		if err != nil {
			return nil, nil, fmt.Errorf("measure promgate: %w", err)
		}
		gate.alone = alone
		runs = append(runs, alone, gate)
	}
	c := &comparison{}
	for _, run := range runs {
		if run.alone == nil {
			continue
		}
		if err := c.addAll(ctx, run.answers, direct); err != nil {
			return nil, nil, err
		}
	}
	return runs, c, nil
}

// startPrometheus starts a server that scrapes nothing and has the history.
func (b *bench) startPrometheus(ctx context.Context, dir string) (addr string, server *process.Server, err error) {
	data := filepath.Join(dir, "prometheus")
	// An hour's increase and some more, before the range.
	h := history{now: time.Now(), span: b.span + 2*time.Hour}
	if err := h.write(ctx, data); err != nil {
		return "", nil, err
	}
	config := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(config, []byte("scrape_configs: []\n"), 0o600); err != nil {
		return "", nil, err
	}
	if addr, err = process.FreeAddr(); err != nil {
		return "", nil, err
	}
	command := exec.CommandContext(ctx, b.prometheus, "--config.file", config, "--storage.tsdb.path", data,
		"--web.listen-address", addr, "--log.level", "warn")
	server, err = process.Start(ctx, command, filepath.Join(dir, "prometheus.log"), process.Answers("http://"+addr+"/-/ready"))
	return addr, server, err
}

// measurePromgate measures a gateway that has just been started, and so has
// nothing in its cache.
func (b *bench) measurePromgate(ctx context.Context, dir string, direct *client, encoding string) (*measurement, error) {
	gate, err := process.Configure(b.promgate, dir, fmt.Sprintf(process.Unlimited+`projects:
  - name: shop
    environments:
      - {name: production, url: %q}
`, direct.base))
	if err != nil {
		return nil, err
	}
	token, err := gate.CreateToken(ctx, "shop")
	if err != nil {
		return nil, err
	}
	server, err := gate.Serve(ctx)
	if err != nil {
		return nil, err
	}
	defer server.Stop()
	through := &client{
		base: "http://" + gate.Addr + "/projects/shop/environments/production", token: token,
		prometheus: direct.prometheus, proxy: server.PID,
	}
	return b.measure(ctx, through, encoding)
}

// warmUp asks everything once, and sees that each panel shows something.
func (b *bench) warmUp(ctx context.Context, direct *client) error {
	for i, form := range questions(panels[:b.panels], b.span, firstEnd(time.Now())) {
		answer, err := direct.ask(ctx, direct.open(), form, identity)
		if err != nil {
			return err
		}
		m, err := decode(answer.body)
		if err != nil {
			return err
		}
		if len(m.Data.Result) == 0 {
			return fmt.Errorf("the panel %s shows nothing: it measures nothing", panels[i])
		}
	}
	return nil
}
