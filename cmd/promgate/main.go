// Command promgate is a query gateway in front of many Prometheus servers.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/promgate/promgate/cmd/promgate/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		// The first signal asks for an orderly end; from then on signals kill.
		<-ctx.Done()
		stop()
	}()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// errSaid ends a command that has told the user what is wrong already.
var errSaid = errors.New("said already")

// run executes the command line and returns the exit status: 0, or 1.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case !errors.Is(err, errSaid):
		fmt.Fprintln(stderr, "promgate:", err)
	}
	return 1
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "promgate",
		Short: "One gateway in front of many Prometheus servers",
		Long: `promgate serves Prometheus' read API for every environment of every project,
each under its own URL and with its own read-only tokens, and reaches the
Prometheus servers through the Kubernetes API server's service proxy or by URL.

Start here:
  promgate check --config promgate.yaml      is the file right?
  promgate routes --config promgate.yaml     what is served, and what is not and why?
  promgate doctor --config promgate.yaml     does every Prometheus answer, and if not, why?
  promgate serve --config promgate.yaml      run the gateway
  promgate token create --config promgate.yaml --project shop --environment production --expires 720h`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(serveCommand(), checkCommand(), doctorCommand(), routesCommand(), tokenCommand(), keysCommand(), userCommand(), versionCommand())
	root.CompletionOptions.HiddenDefaultCmd = false
	return group(root)
}

// group has a command that only holds others show its help, and name in one
// line what is none of them.
func group(c *cobra.Command) *cobra.Command {
	c.Args, c.DisableFlagsInUseLine, c.SuggestionsMinimumDistance = cobra.ArbitraryArgs, true, 2
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.Help()
		}
		advice := c.CommandPath() + " --help lists the commands"
		if near := c.SuggestionsFor(args[0]); len(near) > 0 {
			advice = "did you mean " + near[0] + "?"
		}
		return fmt.Errorf("unknown command %q for %q; %s", args[0], c.CommandPath(), advice)
	}
	return c
}

// configFlag gives a command the --config that all but version have.
func configFlag(c *cobra.Command) *string {
	path := c.Flags().StringP("config", "c", "promgate.yaml", "configuration file")
	_ = c.MarkFlagFilename("config", "yaml", "yml") // fails for an unknown flag alone
	return path
}

// load reads the configuration for a command.
func load(c *cobra.Command, path string) (*config.Config, error) {
	cfg, err := config.Load(path)
	return cfg, tellFaults(c, err)
}

// tellFaults tells the faults of a configuration line by line, as compilers do.
// Any other error it returns as it is.
func tellFaults(c *cobra.Command, err error) error {
	var faults *config.Faults
	if errors.As(err, &faults) {
		fmt.Fprintln(c.ErrOrStderr(), faults)
		return errSaid
	}
	return err
}
