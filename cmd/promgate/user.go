package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/promgate/promgate/auth/local"
)

func userCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "user", Short: "Add, list, disable and remove the users of a users file",
		Long: fmt.Sprintf(`A users file holds the users of an installation without an identity provider:
their names, hashes of their passwords, and their groups. Names are compared
exactly, so that Anna and anna are two users.

A new password is asked for twice on a terminal, and is otherwise one line of
standard input; it has at least %d characters and is not the user's name.`, local.MinPassword),
	}
	c.AddCommand(userAddCommand(), userPasswordCommand(), userListCommand(),
		userDisableCommand("disable", "Keep a user from signing in", true),
		userDisableCommand("enable", "Let a disabled user sign in again", false),
		userRemoveCommand())
	return group(c)
}

// usersFlag gives a command --file.
func usersFlag(c *cobra.Command) *string {
	path := c.Flags().StringP("file", "f", "users.yaml", "users file")
	_ = c.MarkFlagFilename("file", "yaml", "yml") // fails for an unknown flag alone
	return path
}

// oneUser never repeats what was given: a password may be among it.
func oneUser(c *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%s takes the name of one user; %d were given", c.CommandPath(), len(args))
	}
	return nil
}

// loadUsers reads the users file, and tells its faults and its warnings.
func loadUsers(c *cobra.Command, path string) (*local.Users, error) {
	users, err := local.Load(path)
	if err != nil {
		return nil, tellUserFaults(c, err)
	}
	for _, w := range users.Warnings() {
		fmt.Fprintln(c.ErrOrStderr(), "warning:", w)
	}
	return users, nil
}

// tellUserFaults is tellFaults for a users file.
func tellUserFaults(c *cobra.Command, err error) error {
	var faults *local.Faults
	if errors.As(err, &faults) {
		fmt.Fprintln(c.ErrOrStderr(), faults)
		return errSaid
	}
	return err
}

// knows tells whether the file has the user, also a disabled one.
func knows(users *local.Users, name string) bool {
	for _, e := range users.All() {
		if e.Name == name {
			return true
		}
	}
	return false
}

// explainUser says in one sentence what an edit of that user's entry met.
func explainUser(c *cobra.Command, name string, err error) error {
	switch {
	case errors.Is(err, local.ErrExists):
		return fmt.Errorf("user %s exists already; use promgate user password %[1]s to change the password", name)
	case errors.Is(err, local.ErrUnknown):
		return fmt.Errorf("no user has the name %q: promgate user list shows the names", shortened(name))
	}
	return tellUserFaults(c, err)
}

func userAddCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "add NAME", Short: "Add a user, and make the file if there is none", Args: oneUser,
		Example: "  promgate user add anna --file users.yaml --groups shop-team",
	}
	path := usersFlag(c)
	groups := c.Flags().StringSlice("groups", nil, "groups of the user, such as shop-team,operators")
	disabled := c.Flags().Bool("disabled", false, "add the user disabled")
	c.RunE = func(c *cobra.Command, args []string) error {
		name := args[0]
		if err := local.CheckName(name); err != nil {
			return err
		}
		for _, g := range *groups {
			if err := local.CheckName(g); err != nil {
				return fmt.Errorf("--groups: %w", err)
			}
		}
		// Nobody is to think of a password for a user that cannot be added.
		if err := vacant(c, *path, name); err != nil {
			return err
		}
		hash, err := newPassword(c, name)
		if err != nil {
			return err
		}
		add, state := local.Add, ""
		if *disabled {
			add, state = local.AddDisabled, ", disabled"
		}
		if err := add(*path, local.User{Name: name, Groups: *groups}, hash); err != nil {
			return explainUser(c, name, err)
		}
		fmt.Fprintf(c.OutOrStdout(), "user %s is added to %s%s\n", name, *path, state)
		return nil
	}
	return c
}

// vacant sees that the file could take a user of that name.
func vacant(c *cobra.Command, path, name string) error {
	if info, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil
	}
	users, err := loadUsers(c, path)
	if err != nil {
		return err
	}
	if knows(users, name) {
		return explainUser(c, name, local.ErrExists)
	}
	return nil
}

func userPasswordCommand() *cobra.Command {
	c := &cobra.Command{Use: "password NAME", Short: "Change a user's password", Args: oneUser}
	path := usersFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		name := args[0]
		users, err := loadUsers(c, *path)
		if err != nil {
			return err
		}
		if !knows(users, name) {
			return explainUser(c, name, local.ErrUnknown)
		}
		hash, err := newPassword(c, name)
		if err != nil {
			return err
		}
		if err := local.SetPassword(*path, name, hash); err != nil {
			return explainUser(c, name, err)
		}
		fmt.Fprintf(c.OutOrStdout(), "the password of user %s is changed\n", name)
		return nil
	}
	return c
}

func userDisableCommand(use, short string, disabled bool) *cobra.Command {
	c := &cobra.Command{Use: use + " NAME", Short: short, Args: oneUser}
	path := usersFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := local.SetDisabled(*path, args[0], disabled); err != nil {
			return explainUser(c, args[0], err)
		}
		fmt.Fprintf(c.OutOrStdout(), "user %s is %sd\n", args[0], use)
		return nil
	}
	return c
}

func userRemoveCommand() *cobra.Command {
	c := &cobra.Command{Use: "remove NAME", Short: "Remove a user", Args: oneUser}
	path := usersFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := local.Remove(*path, args[0]); err != nil {
			return explainUser(c, args[0], err)
		}
		fmt.Fprintf(c.OutOrStdout(), "user %s is removed\n", args[0])
		return nil
	}
	return c
}

// userItem is a user as user list shows it.
type userItem struct {
	Name   string   `json:"name"`
	Groups []string `json:"groups"`
	State  string   `json:"state"`
	Scheme string   `json:"scheme"`
}

func userListCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "list", Short: "List the users", Args: cobra.NoArgs,
		Long: "Lists the users in the order of the file. SCHEME is how the password is hashed: a\npassword that bcrypt hashes has 72 bytes at most.",
	}
	path := usersFlag(c)
	output := outputFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		users, err := loadUsers(c, *path)
		if err != nil {
			return err
		}
		items := []userItem{}
		for _, e := range users.All() {
			item := userItem{Name: e.Name, Groups: append([]string{}, e.Groups...), State: "active", Scheme: e.Scheme}
			if e.Disabled {
				item.State = "disabled"
			}
			items = append(items, item)
		}
		if *output == "json" {
			return printJSON(c.OutOrStdout(), items)
		}
		w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "NAME\tSTATE\tSCHEME\tGROUPS")
		for _, u := range items {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", u.Name, u.State, u.Scheme, dash(strings.Join(u.Groups, ",")))
		}
		return w.Flush()
	}
	return c
}

// newPassword asks for a user's new password and returns its hash.
func newPassword(c *cobra.Command, name string) (string, error) {
	password, err := readPassword(c, name)
	if err != nil {
		return "", err
	}
	if err := local.CheckPassword(name, password); err != nil {
		return "", err
	}
	return local.Hash(password)
}

// readPassword reads a password: twice from a terminal, once from anything else.
func readPassword(c *cobra.Command, name string) (string, error) {
	in := c.InOrStdin()
	f, isFile := in.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return readLine(in)
	}
	first, err := askHidden(c.Context(), f, c.ErrOrStderr(), fmt.Sprintf("New password of %s: ", name))
	if err != nil {
		return "", err
	}
	// Said before it is typed again in vain.
	if err := local.CheckPassword(name, first); err != nil {
		return "", err
	}
	second, err := askHidden(c.Context(), f, c.ErrOrStderr(), "The same once more: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", errors.New("the two passwords differ: nothing is changed")
	}
	return first, nil
}

// readLine reads a password that a program writes. Only the end of its line is
// cut off.
func readLine(in io.Reader) (string, error) {
	// One byte over the longest, and the line's end.
	line, err := bufio.NewReader(io.LimitReader(in, local.MaxPasswordBytes+3)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("the password cannot be read from standard input: %w", err)
	}
	password := strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	if password == "" {
		return "", errors.New("there is no password to read: write it to standard input as one line")
	}
	return password, nil
}

// askHidden reads a line that the terminal does not show. Where ctx ends before
// it is there, the terminal shows again what is typed.
func askHidden(ctx context.Context, terminal *os.File, out io.Writer, prompt string) (string, error) {
	fd := int(terminal.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("the password cannot be asked for: %w", err)
	}
	fmt.Fprint(out, prompt)
	type answer struct {
		line []byte
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		line, err := term.ReadPassword(fd)
		answers <- answer{line, err}
	}()
	select {
	case a := <-answers:
		fmt.Fprintln(out) // the one that was typed is not shown either
		if a.err != nil {
			return "", fmt.Errorf("the password cannot be read: %w", a.err)
		}
		return string(a.line), nil
	case <-ctx.Done():
		fmt.Fprintln(out)
		return "", errors.Join(errors.New("interrupted: nothing is changed"), term.Restore(fd, before))
	}
}
