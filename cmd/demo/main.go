// Command demo starts a built promgate with embedded Prometheus servers behind it, two projects with two environments
// each, and prints what to paste into Grafana, Perses or a shell. Everything listens on loopback; everything it makes
// lies in one temporary directory, which goes when it ends.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// options are the command line.
type options struct {
	promgate     string
	addr         string
	adminAddr    string
	info         string
	kubernetes   bool
	controlplane string
}

func main() {
	opts, err := parse(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		os.Exit(2)
	}
	d := &demo{opts: opts, out: os.Stdout, progress: os.Stderr}

	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// A closed pipe is a failed write, which stops everything in order, and not a signal that leaves the gateway running.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-signals
		cancel()
		<-signals
		d.abandon.force()
		os.Exit(130)
	}()
	if err := d.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "demo: "+err.Error())
		os.Exit(1)
	}
}

// parse reads the flags; what is wrong with them is printed to w.
func parse(args []string, w io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(w)
	flags.StringVar(&o.promgate, "promgate", "bin/promgate", "the built gateway")
	flags.StringVar(&o.addr, "addr", "127.0.0.1:8080", "loopback `host:port` of the gateway; port 0 takes a free one")
	flags.StringVar(&o.adminAddr, "admin-addr", "127.0.0.1:0", "loopback `host:port` of the gateway's metrics and health; port 0 takes a free one")
	flags.StringVar(&o.info, "info", "", "`file` to write URLs and tokens to, as JSON, when everything answers")
	flags.BoolVar(&o.kubernetes, "kubernetes", false, "put a real Kubernetes API server between the gateway and the Prometheus servers")
	flags.StringVar(&o.controlplane, "controlplane", "", "the built control plane for --kubernetes; built first if none is named")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		err := fmt.Errorf("unexpected argument %q: everything is given by flags, see --help", flags.Arg(0))
		fmt.Fprintln(w, "demo: "+err.Error())
		return o, err
	}
	return o, nil
}
