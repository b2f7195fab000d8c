package main

import (
	"github.com/spf13/cobra"

	"github.com/promgate/promgate/cmd/promgate/server"
)

func serveCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "serve", Short: "Run the gateway", Args: cobra.NoArgs,
		Long: `Runs the gateway until SIGTERM or SIGINT: then it first reports not ready, goes
on serving for shutdown.delay, and ends when nothing is in flight any more. A
second signal ends it at once.

SIGHUP, or a change of the configuration file or of a file that it names, loads
the configuration again. A bad file changes nothing: the log says what is wrong.`,
	}
	path := configFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		collectGarbage()
		name, revision := build()
		s, err := server.New(c.Context(), server.Options{
			Path: *path, Log: c.ErrOrStderr(), Version: name, Revision: revision,
		})
		if err != nil {
			return tellFaults(c, err)
		}
		return s.Run(c.Context())
	}
	return c
}
