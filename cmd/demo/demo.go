package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	startLimit = time.Minute
	// stopLimit is what the gateway may take for its requests in flight, forceLimit what the servers may after a second
	// interrupt.
	stopLimit  = 30 * time.Second
	forceLimit = 3 * time.Second
)

// demo is one run of the program.
type demo struct {
	opts     options
	out      io.Writer
	progress io.Writer
	abandon  emergency
	dir      string
	// kubeconfig is the API server's administrator's; empty without one.
	kubeconfig string
}

// run starts everything, prints the page, and waits until the context ends, which is no error, or the gateway does.
func (d *demo) run(ctx context.Context) (err error) {
	program, err := filepath.Abs(d.opts.promgate)
	if err != nil {
		return err
	}
	if info, statErr := os.Stat(program); statErr != nil || info.IsDir() {
		return fmt.Errorf("there is no gateway at %s: build it, or name it with --promgate", d.opts.promgate)
	}
	if d.dir, err = os.MkdirTemp("", "promgate-demo-"); err != nil {
		return fmt.Errorf("no temporary directory: %w", err)
	}
	d.abandon.onRemove(func() { _ = os.RemoveAll(d.dir) })
	defer d.abandon.remove()

	started := time.Now()
	err = d.serve(ctx, program, started)
	if ctx.Err() != nil {
		// Asked to stop: what broke off on the way is no failure.
		return nil
	}
	return err
}

// serve runs the parts inside each other: servers, cluster, gateway.
func (d *demo) serve(ctx context.Context, program string, started time.Time) (err error) {
	listen, err := freeAddress(d.opts.addr, "--addr")
	if err != nil {
		return err
	}
	admin, err := freeAddress(d.opts.adminAddr, "--admin-addr")
	if err != nil {
		return err
	}
	environments, stop, err := startEnvironments(ctx, d.dir, started, d.logger())
	defer func() { d.abandon.orderly(func() { err = errors.Join(err, stop()) }) }()
	if err != nil {
		return err
	}
	cfg := newGatewayConfig(listen, admin, filepath.Join(d.dir, "data"))
	if d.opts.kubernetes {
		release, err := d.throughCluster(ctx, &cfg, environments)
		defer release()
		if err != nil {
			return err
		}
	} else {
		cfg.addEnvironments(environments)
	}
	password, err := cfg.addUser(d.dir, environments)
	if err != nil {
		return err
	}
	file := filepath.Join(d.dir, "promgate.yaml")
	if err := cfg.write(file); err != nil {
		return err
	}

	gw, err := startGateway(program, file, filepath.Join(d.dir, "gateway.log"))
	if err != nil {
		return err
	}
	d.abandon.onKill(gw.kill)
	defer func() { err = errors.Join(err, gw.stop(stopLimit)) }()
	if err := d.announce(ctx, gw, cfg, environments, password); err != nil {
		return err
	}
	fmt.Fprintf(d.progress, "Ready after %.1f s. Ctrl-C stops everything and removes it.\n", time.Since(started).Seconds())
	select {
	case <-ctx.Done():
		return nil
	case <-gw.done:
		return gw.failure()
	}
}

// announce waits for the gateway, makes the tokens, tries them, and tells about them.
func (d *demo) announce(ctx context.Context, gw *gateway, cfg gatewayConfig, environments []*environment, password string) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if err := gw.awaitReady(ctx, cfg.AdminListen); err != nil {
		return err
	}
	page := newPage(cfg.ExternalURL, d.dir)
	page.password, page.kubeconfig = password, d.kubeconfig
	if err := each(environments, func(i int, e *environment) error {
		token, err := gw.createToken(ctx, e.Project, e.Name)
		if err != nil {
			return err
		}
		page.entries[i] = entry{Project: e.Project, Environment: e.Name, URL: cfg.environmentURL(e), Token: token}
		return gw.tryQuery(ctx, page.entries[i])
	}); err != nil {
		return err
	}
	if err := page.writeProvisioning(); err != nil {
		return err
	}
	if d.opts.info != "" {
		d.abandon.onRemove(func() { _ = os.Remove(d.opts.info) })
		if err := page.writeInfo(d.opts.info); err != nil {
			return err
		}
	}
	return page.print(d.out)
}

func (d *demo) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(d.progress, &slog.HandlerOptions{Level: slog.LevelError}))
}

// each calls a function for every environment at once, and answers all errors.
func each(environments []*environment, f func(int, *environment) error) error {
	errs := make([]error, len(environments))
	var wg sync.WaitGroup
	for i, e := range environments {
		wg.Go(func() { errs[i] = f(i, e) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// freeAddress turns a wanted loopback address into one with a port that nobody holds.
func freeAddress(addr, flag string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("%s %q is no host:port: write for instance %s 127.0.0.1:8080", flag, addr, flag)
	}
	ips, err := net.LookupIP(host)
	if host == "" || err != nil || !ips[0].IsLoopback() {
		return "", fmt.Errorf("%s %q is not on loopback, where the demo stays: write %s 127.0.0.1:%s", flag, addr, flag, port)
	}
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return "", fmt.Errorf("%s is in use by another program: choose another port with %s, for instance %s 127.0.0.1:0 for a free one",
			addr, flag, flag)
	}
	if err != nil {
		return "", fmt.Errorf("cannot listen on %s: choose another address with %s: %w", addr, flag, err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}
