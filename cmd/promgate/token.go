package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/user"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/prometheus/common/model"
	"github.com/spf13/cobra"

	"github.com/promgate/promgate/cmd/promgate/config"
	"github.com/promgate/promgate/cmd/promgate/server"
	"github.com/promgate/promgate/tokens"
)

// maxDescription keeps a line of token list readable.
const maxDescription = 200

// maxName is how much of a name a line of token list has room for, in letters.
const maxName = 40

func tokenCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "token", Short: "Make, list, rotate and revoke endpoint tokens",
		Long: `An endpoint token reads the metrics of one environment, or of every environment
of one project, and nothing else, until it expires or is revoked. What these
commands do holds in a running server within a second.`,
	}
	c.AddCommand(tokenCreateCommand(), tokenListCommand(), tokenRevokeCommand(), tokenRotateCommand())
	return group(c)
}

func keysCommand() *cobra.Command {
	c := &cobra.Command{Use: "keys", Short: "Manage the keys that sign endpoint tokens"}
	rotate := &cobra.Command{
		Use: "rotate", Short: "Make a new signing key", Args: cobra.NoArgs,
		Long: `Makes a new key, which signs every token from now on. Tokens that older keys have
signed stay good until they expire; a key that no such token needs is deleted.`,
	}
	path := configFlag(rotate)
	rotate.RunE = func(c *cobra.Command, _ []string) error {
		return withStore(c, *path, func(s server.TokenStore, _ *config.Config) error {
			key, err := s.RotateKeys(c.Context())
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "new tokens are signed by key %s\n", key.ID)
			return nil
		})
	}
	c.AddCommand(rotate)
	return group(c)
}

// withStore opens the token store of the configuration for one command.
func withStore(c *cobra.Command, path string, do func(server.TokenStore, *config.Config) error) error {
	cfg, err := load(c, path)
	if err != nil {
		return err
	}
	store, err := server.OpenTokens(c.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return errors.Join(do(store, cfg), store.Close())
}

func tokenCreateCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "create", Short: "Make a token and print it, this once", Args: cobra.NoArgs,
		Example: `  promgate token create -c promgate.yaml --project shop --environment production --expires 720h --description "Grafana"`,
	}
	path := configFlag(c)
	project := c.Flags().String("project", "", "project to read (required)")
	environment := c.Flags().String("environment", "", "environment to read; without it every environment of the project, later ones too")
	expires := c.Flags().String("expires", "720h", "how long the token is good, such as 720h or 30d")
	description := c.Flags().String("description", "", "what the token is for")
	_ = c.MarkFlagRequired("project")
	c.RunE = func(c *cobra.Command, _ []string) error {
		lifetime, err := parseLifetime("--expires", *expires)
		if err != nil {
			return err
		}
		if lifetime <= 0 {
			return errors.New("a token needs a lifetime of more than nothing: write --expires 720h")
		}
		if len(*description) > maxDescription {
			return fmt.Errorf("--description has %d bytes: shorten it to %d", len(*description), maxDescription)
		}
		return withStore(c, *path, func(s server.TokenStore, cfg *config.Config) error {
			scope, err := scopeOf(c, s, cfg, *project, *environment)
			if err != nil {
				return err
			}
			record, token, err := s.Create(c.Context(), tokens.Draft{Scope: scope, Description: *description, CreatedBy: operator(), Lifetime: lifetime})
			if err != nil {
				return err
			}
			fmt.Fprintf(c.ErrOrStderr(), "token %s opens %s until %s; it is shown this once\n", record.ID, scopeText(scope), record.ExpiresAt.Format(time.RFC3339))
			fmt.Fprintln(c.OutOrStdout(), token)
			return nil
		})
	}
	return c
}

// operator is who runs the program, as it is noted beside a token.
func operator() string {
	u, err := user.Current()
	if err != nil || u.Username == "" {
		return "cli" // such as in a container, whose user has no name
	}
	return "cli:" + u.Username
}

// parseLifetime reads a positive duration in Go's form (720h) or Prometheus' (30d).
func parseLifetime(flag, text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		var p model.Duration
		if p, err = model.ParseDuration(text); err == nil {
			d = time.Duration(p)
		}
	}
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%s %q is not a duration: write it as 720h or 30d", flag, text)
	}
	return d, nil
}

func scopeText(s tokens.Scope) string {
	if s.Environment == "" {
		return "project " + s.Project
	}
	return "environment " + s.Project + "/" + s.Environment
}

func tokenRevokeCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "revoke ID", Short: "End a token at once", Args: oneID,
		Long: "Ends a token at once. Its id is in token list, and in the server's log as the principal.",
	}
	path := configFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return withStore(c, *path, func(s server.TokenStore, _ *config.Config) error {
			if err := s.Revoke(c.Context(), args[0]); err != nil {
				return unknownToken(args[0], err)
			}
			fmt.Fprintf(c.OutOrStdout(), "token %s is revoked\n", args[0])
			return nil
		})
	}
	return c
}

func oneID(c *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%s takes the id of one token, as token list shows it; %d were given", c.CommandPath(), len(args))
	}
	return nil
}

func unknownToken(id string, err error) error {
	if errors.Is(err, tokens.ErrNotFound) {
		return fmt.Errorf("no token has the id %q: promgate token list shows the ids", shortened(id))
	}
	return err
}

// shortened keeps a token that was given in place of its id off the terminal.
func shortened(id string) string {
	if len(id) > 40 {
		return id[:8] + "…"
	}
	return id
}

func tokenRotateCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "rotate ID", Short: "Make a token's successor and let the old one end", Args: oneID,
		Long: `Makes a token of the same scope, description and lifetime and prints it, this
once. The old token stays good for the overlap, so that both can be in use while
the new one is put in place.`,
	}
	path := configFlag(c)
	overlap := c.Flags().String("overlap", "24h", "how long the old token stays good; 0s ends it at once")
	c.RunE = func(c *cobra.Command, args []string) error {
		stay, err := parseLifetime("--overlap", *overlap)
		if err != nil {
			return err
		}
		return withStore(c, *path, func(s server.TokenStore, _ *config.Config) error {
			next, token, old, err := s.Rotate(c.Context(), args[0], tokens.Rotation{Overlap: stay, By: operator()})
			if err != nil {
				return unknownToken(args[0], err)
			}
			fmt.Fprintf(c.ErrOrStderr(), "token %s opens %s until %s; it is shown this once\ntoken %s ends %s\n",
				next.ID, scopeText(next.Scope), next.ExpiresAt.Format(time.RFC3339), old.ID, old.ExpiresAt.Format(time.RFC3339))
			fmt.Fprintln(c.OutOrStdout(), token)
			return nil
		})
	}
	return c
}

func tokenListCommand() *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List the tokens that were made", Args: cobra.NoArgs}
	path := configFlag(c)
	output := outputFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return withStore(c, *path, func(s server.TokenStore, _ *config.Config) error {
			records, err := s.List(c.Context())
			if err != nil {
				return err
			}
			if *output == "json" {
				return printJSON(c.OutOrStdout(), tokenItems(records))
			}
			return printTokens(c.OutOrStdout(), tokenItems(records))
		})
	}
	return c
}

// tokenItem is a token as token list shows it. Times that never came are absent.
type tokenItem struct {
	ID          string     `json:"id"`
	Project     string     `json:"project"`
	Environment string     `json:"environment,omitempty"`
	Description string     `json:"description"`
	CreatedBy   string     `json:"createdBy,omitempty"`
	Created     time.Time  `json:"created"`
	Expires     time.Time  `json:"expires"`
	LastUsed    *time.Time `json:"lastUsed,omitempty"`
	State       string     `json:"state"`
	ReplacedBy  string     `json:"replacedBy,omitempty"`
}

func tokenItems(records []tokens.Record) []tokenItem {
	items := make([]tokenItem, 0, len(records))
	for _, r := range records {
		item := tokenItem{
			ID: r.ID, Project: r.Scope.Project, Environment: r.Scope.Environment, Description: r.Description, CreatedBy: r.CreatedBy,
			Created: r.CreatedAt.UTC(), Expires: r.ExpiresAt.UTC(), State: string(r.State(time.Now())), ReplacedBy: r.ReplacedBy,
		}
		if !r.LastUsedAt.IsZero() {
			used := r.LastUsedAt.UTC()
			item.LastUsed = &used
		}
		items = append(items, item)
	}
	return items
}

func printTokens(out io.Writer, items []tokenItem) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tSCOPE\tSTATE\tCREATED\tEXPIRES\tLAST USED\tCREATED BY\tDESCRIPTION")
	for _, t := range items {
		scope, used, by := t.Project+"/*", "never", "unknown"
		if t.Environment != "" {
			scope = t.Project + "/" + t.Environment
		}
		if t.LastUsed != nil {
			used = t.LastUsed.Format(time.RFC3339)
		}
		if t.CreatedBy != "" {
			by = brief(printable(t.CreatedBy))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", t.ID, scope, t.State, t.Created.Format(time.RFC3339), t.Expires.Format(time.RFC3339), used, by, printable(t.Description))
	}
	return w.Flush()
}

// printable keeps what others wrote from moving the cursor of whoever lists it,
// and from being read in another order.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}

// brief keeps one long name from making every line of token list as long.
func brief(s string) string {
	if all := []rune(s); len(all) > maxName {
		return string(all[:maxName-1]) + "…"
	}
	return s
}
