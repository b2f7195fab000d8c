package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/promgate/promgate/cmd/promgate/config"
	"github.com/promgate/promgate/cmd/promgate/server"
	"github.com/promgate/promgate/gateway"
	"github.com/promgate/promgate/routing"
)

// probeTimeout bounds how long check waits for one target.
const probeTimeout = 10 * time.Second

func checkCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "check", Short: "Validate the configuration file, and try its targets", Args: cobra.NoArgs,
		Long: `Validates the configuration file as serve would and prints every fault with its
line. With --connect it also asks each environment's Prometheus who it is, and
says which hop fails where none answers.

Exit status 1 when anything is wrong.`,
	}
	path := configFlag(c)
	connect := c.Flags().Bool("connect", false, "ask each environment's Prometheus who it is")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := load(c, *path)
		if err != nil {
			return err
		}
		table, err := server.Routes(cfg)
		if err != nil {
			return err
		}
		out := c.OutOrStdout()
		fmt.Fprintf(out, "%s is valid: %d projects, %d environments\n", *path, len(cfg.Projects), table.Len())
		if !*connect {
			return nil
		}
		if table, err = search(c, cfg); err != nil {
			return err
		}
		return probeAll(c.Context(), out, cfg, table)
	}
	return c
}

// loadRoutes reads the configuration for a command, and makes the table that
// serve would make of it, with what is found in clusters.
func loadRoutes(c *cobra.Command, path string) (*config.Config, *routing.Table, error) {
	cfg, err := load(c, path)
	if err != nil {
		return nil, nil, err
	}
	table, err := search(c, cfg)
	return cfg, table, err
}

// search makes the table of a configuration and of the clusters that it has
// searched, and warns of what could not be seen there.
func search(c *cobra.Command, cfg *config.Config) (*routing.Table, error) {
	found, err := server.Search(c.Context(), cfg)
	if err != nil {
		return nil, err
	}
	for _, p := range found.Problems {
		fmt.Fprintf(c.ErrOrStderr(), "warning: cluster %s: %s\n", p.Cluster, p.Text)
		if p.Cause != "" {
			fmt.Fprintf(c.ErrOrStderr(), "        %s\n", p.Cause)
		}
		if p.Apply != "" {
			fmt.Fprintf(c.ErrOrStderr(), "        apply:\n\n%s\n", p.Apply)
		}
	}
	return found.Table, nil
}

// probeAll asks every environment's Prometheus and prints what answered.
func probeAll(ctx context.Context, out io.Writer, cfg *config.Config, table *routing.Table) error {
	name, _ := build()
	g := gateway.New(gateway.Options{
		Routes: &routing.Current{}, Limits: server.Limits(cfg), UserAgent: "promgate/" + name,
		Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
	failed := 0
	for e := range table.All() {
		started := time.Now()
		probeCtx, cancel := context.WithTimeout(ctx, probeTimeout)
		product, err := g.Probe(probeCtx, e)
		cancel()
		where := fmt.Sprintf("%s/%s (%s)", e.Project.Name, e.Name, e.Target.Description)
		if err == nil {
			fmt.Fprintf(out, "ok      %s: %s answered in %s\n", where, product, time.Since(started).Round(time.Millisecond))
			continue
		}
		failed++
		fmt.Fprintf(out, "FAILED  %s\n", where)
		explain(out, err)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d environments do not answer", failed, table.Len())
	}
	return nil
}

func explain(out io.Writer, err error) {
	var e *gateway.Error
	if !errors.As(err, &e) {
		fmt.Fprintf(out, "        %s\n", err)
		return
	}
	if e.Hop != "" {
		fmt.Fprintf(out, "        failing hop: %s\n", e.Hop)
	}
	if e.Cause != nil {
		fmt.Fprintf(out, "        %s\n", e.Cause)
	} else {
		fmt.Fprintf(out, "        %s\n", e.Message)
	}
	if e.Advice != "" {
		// At the margin, so that it can be applied as it stands.
		fmt.Fprintf(out, "        apply:\n\n%s\n", e.Advice)
	}
}

// route is one line of the table that routes prints.
type route struct {
	Project     string `json:"project"`
	Environment string `json:"environment"`
	// URL and Target are empty where there is a Reason.
	URL    string `json:"url,omitempty"`
	Target string `json:"target,omitempty"`
	// Enforce are the labels that are enforced, with their values.
	Enforce map[string][]string `json:"enforce,omitempty"`
	Source  string              `json:"source"`
	// Reason is why it is not served.
	Reason string `json:"reason,omitempty"`
}

func routesCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "routes", Short: "Print projects, environments and targets", Args: cobra.NoArgs,
		Long: `Prints the table of projects, environments and targets as serve makes it, from
the configuration file and from the clusters that it has searched. Objects that
make no route are in it too, with the reason.`,
	}
	path := configFlag(c)
	output := outputFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, table, err := loadRoutes(c, *path)
		if err != nil {
			return err
		}
		routes := routesOf(cfg.BaseURL(), table)
		if *output == "json" {
			return printJSON(c.OutOrStdout(), routes)
		}
		w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "PROJECT\tENVIRONMENT\tTARGET\tURL\tSOURCE\tREASON")
		for _, r := range routes {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Project, r.Environment, dash(r.Target)+narrowed(r.Enforce), dash(r.URL), r.Source, dash(r.Reason))
		}
		return w.Flush()
	}
	return c
}

// routesOf lists what is served and what is not, by name.
func routesOf(base string, table *routing.Table) []route {
	routes := []route{}
	for e := range table.All() {
		routes = append(routes, route{
			Project: e.Project.Name, Environment: e.Name, Target: e.Target.Description, Enforce: e.Enforce, Source: e.Source,
			URL: base + "/projects/" + e.Project.Name + "/environments/" + e.Name,
		})
	}
	for c := range table.Unserved() {
		routes = append(routes, route{Project: c.Project, Environment: c.Name, Source: c.Source, Reason: c.Reason})
	}
	slices.SortStableFunc(routes, func(a, b route) int {
		return cmp.Or(cmp.Compare(a.Project, b.Project), cmp.Compare(a.Environment, b.Environment))
	})
	return routes
}

// narrowed says to what part of a target an environment is narrowed.
func narrowed(enforced map[string][]string) string {
	if len(enforced) == 0 {
		return ""
	}
	var labels []string
	for _, name := range slices.Sorted(maps.Keys(enforced)) {
		labels = append(labels, name+"="+strings.Join(enforced[name], "|"))
	}
	return printable(" {" + strings.Join(labels, ", ") + "}")
}

// dash stands for nothing in a table.
func dash(s string) string { return cmp.Or(s, "-") }

// outputFlag gives a command -o table or -o json.
func outputFlag(c *cobra.Command) *string {
	output := c.Flags().StringP("output", "o", "table", "table or json")
	c.PreRunE = func(*cobra.Command, []string) error {
		if *output != "table" && *output != "json" {
			return fmt.Errorf("--output %q: write table or json", *output)
		}
		return nil
	}
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return output
}

func printJSON(out io.Writer, v any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}
