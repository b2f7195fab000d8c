package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/promgate/promgate/cmd/promgate/config"
	"github.com/promgate/promgate/cmd/promgate/server"
	"github.com/promgate/promgate/gateway"
	"github.com/promgate/promgate/routing"
)

// maxExaminations is how many environments are examined at once.
const maxExaminations = 8

func doctorCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "doctor", Short: "Find out why an environment does not answer", Args: cobra.NoArgs,
		Long: `Walks the way to each environment's Prometheus, hop by hop, and stops at the one
that fails: API server, credentials, RBAC, Service, endpoints, connection,
Prometheus. It says what it found, the likely cause and what to do; for RBAC it
prints the Role that is missing, ready for kubectl apply. What the gateway may
not look at is skipped: none of it is needed, and the later hops tell as much.

With --token it also tells what an endpoint token opens, or why it opens nothing.
The token is read from a file or from standard input, for a process's arguments
can be read by others.

Run it where the gateway runs, with its configuration. Exit status 1 when a hop
failed anywhere.`,
		Example: `  promgate doctor -c promgate.yaml
  promgate doctor -c promgate.yaml --project shop --environment production --token token.txt
  promgate doctor -c promgate.yaml -o json | jq -r '.[].hops[] | select(.status == "failed") | .apply // empty | "---\n" + .' | kubectl apply -f -`,
	}
	path := configFlag(c)
	output := outputFlag(c)
	project := c.Flags().String("project", "", "project to examine; without it all")
	environment := c.Flags().String("environment", "", "environment of the project to examine; without it all of them")
	token := c.Flags().String("token", "", "file with an endpoint token to check, or - for standard input")
	_ = c.MarkFlagFilename("token") // fails for an unknown flag alone
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *environment != "" && *project == "" {
			return errors.New("--environment needs --project: write both")
		}
		secret, err := readToken(c, *token)
		if err != nil {
			return err
		}
		return doctor(c, *path, *project, *environment, secret, *output == "json")
	}
	return c
}

// doctor examines what is chosen; secret is a token to check, or empty.
func doctor(c *cobra.Command, path, project, environment, secret string, asJSON bool) error {
	cfg, err := load(c, path)
	if err != nil {
		return err
	}
	found, err := server.Search(c.Context(), cfg)
	if err != nil {
		return err
	}
	chosen, unknown := choose(found.Table, project, environment)
	if unknown != nil && len(found.Problems) == 0 {
		return unknown
	}
	var opens func(*routing.Environment) routing.Hop
	if secret != "" {
		check, err := newTokenCheck(c.Context(), cfg, secret, chosen)
		if err != nil {
			return err
		}
		opens = func(e *routing.Environment) routing.Hop { return check.hop(e, environment != "") }
	}
	var clusters []gateway.Diagnosis
	if project == "" || unknown != nil { // it may be where the gateway cannot look
		clusters = found.Examine(c.Context())
	}
	err = diagnose(c, cfg, clusters, chosen, opens, asJSON)
	if unknown != nil {
		return fmt.Errorf("%w; what cannot be seen of the clusters may be why", unknown)
	}
	return err
}

// diagnose examines the environments and prints what it finds in their order,
// after what was found of clusters. opens, if not nil, adds the hop of a token.
func diagnose(c *cobra.Command, cfg *config.Config, clusters []gateway.Diagnosis, environments []*routing.Environment, opens func(*routing.Environment) routing.Hop, asJSON bool) error {
	ctx, out := c.Context(), c.OutOrStdout()
	all := make([]gateway.Diagnosis, 0, len(clusters)+len(environments))
	failed := 0
	add := func(d gateway.Diagnosis) {
		if !d.OK() {
			failed++
		}
		all = append(all, d)
		if !asJSON {
			printDiagnosis(out, d)
		}
	}
	for _, d := range clusters {
		add(d)
	}
	for d := range examineAll(ctx, newExaminer(cfg), environments, opens) {
		if ctx.Err() != nil { // what is found from here on is of no worth
			return errors.New("interrupted before every environment was examined")
		}
		add(d)
	}
	if asJSON {
		if err := printJSON(out, all); err != nil {
			return err
		}
	}
	switch {
	case failed > 0 && len(clusters) > 0:
		return fmt.Errorf("%d of %d clusters and environments have a hop that failed", failed, len(all))
	case len(environments) == 0:
		fmt.Fprintln(c.ErrOrStderr(), "promgate: there is no environment to examine: promgate routes lists them")
	case failed > 0:
		return fmt.Errorf("%d of %d environments have a hop that failed", failed, len(environments))
	}
	return nil
}

// newExaminer makes a gateway that serves nobody.
func newExaminer(cfg *config.Config) *gateway.Gateway {
	name, _ := build()
	return gateway.New(gateway.Options{
		Routes: &routing.Current{}, Limits: server.Limits(cfg), UserAgent: "promgate/" + name,
		Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
}

// examineAll examines several environments at once, and yields what it finds in
// their order.
func examineAll(ctx context.Context, g *gateway.Gateway, environments []*routing.Environment, opens func(*routing.Environment) routing.Hop) iter.Seq[gateway.Diagnosis] {
	return func(yield func(gateway.Diagnosis) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		found := make([]chan gateway.Diagnosis, len(environments))
		for i := range found {
			found[i] = make(chan gateway.Diagnosis, 1)
		}
		go func() {
			var group errgroup.Group
			group.SetLimit(maxExaminations)
			for i, e := range environments {
				group.Go(func() error {
					d := g.Diagnose(ctx, e)
					if opens != nil {
						d.Hops = append(d.Hops, opens(e))
					}
					found[i] <- d
					return nil
				})
			}
		}()
		for i := range found {
			if !yield(<-found[i]) {
				return
			}
		}
	}
}

// hopWidth is that of the longest name of a hop.
const hopWidth = len(routing.HopCredentials)

// printDiagnosis prints a line for each hop. YAML starts at the margin, so that
// it can be copied and applied as it stands.
func printDiagnosis(out io.Writer, d gateway.Diagnosis) {
	if d.Project == "" {
		fmt.Fprintln(out, printable(d.Target))
	} else {
		fmt.Fprintf(out, "%s/%s (%s)\n", d.Project, d.Environment, printable(d.Target))
	}
	for _, h := range d.Hops {
		status := string(h.Status)
		if h.Status == routing.HopFailed {
			status = "FAILED"
		}
		fmt.Fprintf(out, "  %-7s  %-*s  %s\n", status, hopWidth, h.Name, printable(h.Found))
		margin := strings.Repeat(" ", 13+hopWidth)
		if h.Cause != "" {
			fmt.Fprintf(out, "%s%s\n", margin, printable(h.Cause))
		}
		if h.Apply != "" {
			fmt.Fprintf(out, "%sapply:\n\n%s\n", margin, h.Apply)
		}
	}
}
