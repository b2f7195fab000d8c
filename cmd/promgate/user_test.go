package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/term"

	"github.com/promgate/promgate/auth/local"
)

const goodPassword = "correct horse battery"

// commandWith runs promgate with that standard input.
func commandWith(t testing.TB, in io.Reader, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	root := rootCommand()
	var out, errs bytes.Buffer
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(&out)
	root.SetErr(&errs)
	err = root.ExecuteContext(t.Context())
	if text := out.String() + errs.String() + fmt.Sprint(err); strings.Contains(text, goodPassword) || strings.Contains(text, "argon2id$") {
		t.Errorf("%v prints a password or a hash:\n%s", args, text)
	}
	return out.String(), errs.String(), err
}

// addUser adds a user to the file with goodPassword.
func addUser(t testing.TB, path, name string, args ...string) {
	t.Helper()
	args = append([]string{"user", "add", name, "--file", path}, args...)
	if _, stderr, err := commandWith(t, strings.NewReader(goodPassword+"\n"), args...); err != nil || stderr != "" {
		t.Fatalf("%v, %s", err, stderr)
	}
}

// signsIn tells whether the user of the file has the password.
func signsIn(t testing.TB, path, name, password string) bool {
	t.Helper()
	users, err := local.Load(path)
	must(t, err)
	_, err = users.Verify(t.Context(), name, password)
	if err != nil && !errors.Is(err, local.ErrWrong) {
		t.Fatal(err)
	}
	return err == nil
}

func TestUserLife(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.yaml")
	stdout, stderr, err := commandWith(t, strings.NewReader(goodPassword), "user", "add", "anna", "--groups", "shop-team,operators", "-f", path)
	if want := "user anna is added to " + path + "\n"; stdout != want || stderr != "" || err != nil {
		t.Errorf("got %q, %q, %v", stdout, stderr, err)
	}
	addUser(t, path, "dora", "--disabled")
	if !signsIn(t, path, "anna", goodPassword) || signsIn(t, path, "dora", goodPassword) {
		t.Error("not anna alone can sign in")
	}
	want := "NAME  STATE     SCHEME    GROUPS\nanna  active    argon2id  shop-team,operators\ndora  disabled  argon2id  -\n"
	if got := succeed(t, "user", "list", "--file", path); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	var items []userItem
	must(t, json.Unmarshal([]byte(succeed(t, "user", "list", "-o", "json", "--file", path)), &items))
	if wantItems := []userItem{
		{Name: "anna", Groups: []string{"shop-team", "operators"}, State: "active", Scheme: "argon2id"},
		{Name: "dora", Groups: []string{}, State: "disabled", Scheme: "argon2id"},
	}; !reflect.DeepEqual(items, wantItems) {
		t.Errorf("got %+v", items)
	}
	for _, step := range []struct{ verb, name, said string }{
		{"disable", "anna", "user anna is disabled\n"}, {"enable", "dora", "user dora is enabled\n"},
	} {
		if got := succeed(t, "user", step.verb, step.name, "--file", path); got != step.said {
			t.Errorf("got %q", got)
		}
	}
	if signsIn(t, path, "anna", goodPassword) || !signsIn(t, path, "dora", goodPassword) {
		t.Error("not dora alone can sign in")
	}
	stdout, _, err = commandWith(t, strings.NewReader("another password\r\nand more\n"), "user", "password", "dora", "--file", path)
	if stdout != "the password of user dora is changed\n" || err != nil || !signsIn(t, path, "dora", "another password") || signsIn(t, path, "dora", goodPassword) {
		t.Errorf("got %q, %v", stdout, err)
	}
	if got := succeed(t, "user", "remove", "anna", "--file", path); got != "user anna is removed\n" {
		t.Errorf("got %q", got)
	}
	if got := succeed(t, "user", "list", "--file", path); strings.Contains(got, "anna") {
		t.Errorf("got %q", got)
	}
}

func TestUserMistakes(t *testing.T) {
	dir := t.TempDir()
	path, missing, broken := filepath.Join(dir, "users.yaml"), filepath.Join(dir, "missing.yaml"), filepath.Join(dir, "broken.yaml")
	addUser(t, path, "anna")
	addUser(t, path, "anna of the shop")
	write(t, broken, "users:\n  - name: anna\n")
	before, err := os.ReadFile(path)
	must(t, err)
	for _, c := range []struct {
		args  string // separated by commas
		stdin string
		want  string
	}{
		{"add,anna", goodPassword, "user anna exists already; use promgate user password anna to change the password"},
		{"password,Anna", goodPassword, `no user has the name "Anna": promgate user list shows the names`},
		{"disable,nobody", "", `no user has the name "nobody": promgate user list shows the names`},
		{"enable,nobody", "", `no user has the name "nobody": promgate user list shows the names`},
		{"remove,nobody", "", `no user has the name "nobody": promgate user list shows the names`},
		{"add", goodPassword, "promgate user add takes the name of one user; 0 were given"},
		{"add,bert," + goodPassword, "", "promgate user add takes the name of one user; 2 were given"},
		{"add,bert,--password=" + goodPassword, "", "unknown flag: --password"},
		{"add, bert", goodPassword, "the name has a space at an end; remove it"},
		{"add,bert,--groups=", "", "there is no password to read: write it to standard input as one line"},
		{"add,bert,--groups=a b ", goodPassword, "--groups: the name has a space at an end; remove it"},
		{"add,bert", "\n", "there is no password to read: write it to standard input as one line"},
		{"add,bert", "short", "the password has 5 characters: choose one of at least 12"},
		{"add,bert", strings.Repeat("x", 1025), "the password has over 1024 bytes: choose a shorter one"},
		{"add,bert", strings.Repeat("x", 1<<20), "the password has over 1024 bytes: choose a shorter one"},
		{"password,anna of the shop", "Anna of the Shop\n", "the password is the user's name: choose another one"},
		{"list,extra", "", `unknown command "extra" for "promgate user list"`},
		{"list,-o,xml", "", `--output "xml": write table or json`},
		{"lits", "", `unknown flag: --file`},
		{"list,--file=" + missing, "", "the users file " + missing + " does not exist; make it with promgate user add NAME --file " + missing},
		{"remove,anna,--file=" + missing, "", "the users file " + missing + " does not exist; make it with promgate user add NAME --file " + missing},
	} {
		args := append([]string{"user"}, strings.Split(c.args, ",")...)
		if !strings.Contains(c.args, "--file") {
			args = append(args, "--file", path)
		}
		stdout, stderr, err := commandWith(t, strings.NewReader(c.stdin), args...)
		if fmt.Sprint(err) != c.want || stdout != "" || stderr != "" {
			t.Errorf("%s: got %v, stdout %q, stderr %q; want %s", c.args, err, stdout, stderr, c.want)
		}
	}
	for _, args := range [][]string{{"list"}, {"add", "bert"}, {"password", "anna"}, {"disable", "anna"}, {"remove", "anna"}} {
		_, stderr, err := commandWith(t, strings.NewReader(goodPassword), append(append([]string{"user"}, args...), "--file", broken)...)
		want := broken + ":2: users[0]: the user has no passwordHash; write it, or remove the user and run promgate user add\n"
		if !errors.Is(err, errSaid) || stderr != want {
			t.Errorf("%v: got %v, %q", args, err, stderr)
		}
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file has changed: %v", err)
	}
	if _, err := os.Stat(missing); !os.IsNotExist(err) {
		t.Errorf("a mistake made the file: %v", err)
	}
}

func TestUserWarnsOfOpenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.yaml")
	addUser(t, path, "anna")
	must(t, os.Chmod(path, 0o644))
	_, stderr, err := commandWith(t, nil, "user", "list", "--file", path)
	if err != nil || !strings.HasPrefix(stderr, "warning: "+path+" can be read by everybody") {
		t.Errorf("got %v, %q", err, stderr)
	}
}

func TestUserHelp(t *testing.T) {
	if help := succeed(t, "--help"); !strings.Contains(help, "\n  user ") {
		t.Errorf("the help does not list user:\n%s", help)
	}
	help := succeed(t, "user", "--help")
	for _, text := range []string{"\n  add ", "\n  password ", "\n  list ", "\n  disable ", "\n  enable ", "\n  remove ", "at least 12 characters"} {
		if !strings.Contains(help, text) {
			t.Errorf("the help of user lacks %q:\n%s", text, help)
		}
	}
}

// pseudoTerminal is a terminal with whoever types at it. Linux alone makes it
// in this way; elsewhere it is nil.
func pseudoTerminal(t *testing.T) (typist, terminal *os.File) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return nil, nil
	}
	const unlockTerminal, terminalNumber = 0x40045431, 0x80045430 // TIOCSPTLCK, TIOCGPTN
	typist, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	must(t, err)
	t.Cleanup(func() { _ = typist.Close() })
	var zero, number int32
	for request, value := range map[uintptr]*int32{unlockTerminal: &zero, terminalNumber: &number} {
		if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, typist.Fd(), request, uintptr(unsafe.Pointer(value))); e != 0 {
			t.Fatal(e)
		}
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	must(t, err)
	t.Cleanup(func() { _ = terminal.Close() })
	return typist, terminal
}

// TestUserTypesPassword types at a terminal what a person would, once it is
// asked for, and looks at what the terminal shows.
func TestUserTypesPassword(t *testing.T) {
	for name, c := range map[string]struct {
		typed []string
		want  string
		asked int
	}{
		"twice":     {[]string{goodPassword, goodPassword}, "", 2},
		"different": {[]string{goodPassword, goodPassword + "x"}, "the two passwords differ: nothing is changed", 2},
		"too short": {[]string{"short"}, "the password has 5 characters: choose one of at least 12", 1},
		"nothing":   {[]string{""}, "the password has 0 characters: choose one of at least 12", 1},
	} {
		t.Run(name, func(t *testing.T) {
			typist, terminal := pseudoTerminal(t)
			if terminal == nil {
				return
			}
			path := filepath.Join(t.TempDir(), "users.yaml")
			root := rootCommand()
			before, err := term.GetState(int(terminal.Fd()))
			must(t, err)
			said := &prompts{typist: typist, terminal: terminal, before: before, typed: c.typed, fail: t.Errorf}
			root.SetArgs([]string{"user", "add", "anna", "--file", path})
			root.SetIn(terminal)
			root.SetErr(said)
			root.SetOut(io.Discard)
			err = root.ExecuteContext(t.Context())
			if err == nil && c.want != "" || err != nil && err.Error() != c.want {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if _, statErr := os.Stat(path); (statErr == nil) != (c.want == "") {
				t.Errorf("the file: %v", statErr)
			}
			if said.asked != c.asked {
				t.Errorf("asked %d times: %q", said.asked, said.text)
			}
			must(t, terminal.Close())
			must(t, typist.SetReadDeadline(time.Now().Add(patience)))
			shown, _ := io.ReadAll(typist) // ends with an error where the terminal is closed
			if strings.Contains(string(shown)+said.text, c.typed[0]) && c.typed[0] != "" {
				t.Errorf("the terminal shows the password: %q", shown)
			}
		})
	}
}

// prompts types the next line at each prompt.
type prompts struct {
	typist, terminal *os.File
	before           *term.State
	typed            []string
	fail             func(string, ...any)
	asked            int
	text             string
}

func (p *prompts) Write(b []byte) (int, error) {
	p.text += string(b)
	if !strings.HasSuffix(string(b), ": ") {
		return len(b), nil
	}
	if p.asked == len(p.typed) {
		p.fail("asked once too often: %q", p.text)
		return 0, io.ErrClosedPipe
	}
	line := p.typed[p.asked]
	p.asked++
	onceHidden(p.terminal, p.before, func() {
		if _, err := p.typist.WriteString(line + "\n"); err != nil {
			p.fail("type: %v", err)
		}
	})
	return len(b), nil
}

// onceHidden does what a person does who takes longer to type than the terminal
// takes to hide it.
func onceHidden(terminal *os.File, before *term.State, do func()) {
	fd := int(terminal.Fd())
	go func() {
		for range time.Tick(time.Millisecond) {
			if now, err := term.GetState(fd); err != nil || !reflect.DeepEqual(before, now) {
				do()
				return
			}
		}
	}()
}

// TestUserInterruptsPassword sees that the terminal shows again what is typed
// once nobody waits for a password any more.
func TestUserInterruptsPassword(t *testing.T) {
	_, terminal := pseudoTerminal(t)
	if terminal == nil {
		return
	}
	before, err := term.GetState(int(terminal.Fd()))
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	interrupt := interrupter{cancel: cancel, terminal: terminal, before: before}
	root := rootCommand()
	path := filepath.Join(t.TempDir(), "users.yaml")
	root.SetArgs([]string{"user", "add", "anna", "--file", path})
	root.SetIn(terminal)
	root.SetErr(&interrupt)
	if err := root.ExecuteContext(ctx); fmt.Sprint(err) != "interrupted: nothing is changed" {
		t.Errorf("got %v", err)
	}
	if after, err := term.GetState(int(terminal.Fd())); err != nil || !reflect.DeepEqual(before, after) {
		t.Errorf("the terminal is not as it was: %v", err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the file was made: %v", err)
	}
}

// interrupter ends the context once the terminal hides what is typed.
type interrupter struct {
	cancel   context.CancelFunc
	terminal *os.File
	before   *term.State
}

func (i *interrupter) Write(b []byte) (int, error) {
	if strings.HasSuffix(string(b), ": ") {
		onceHidden(i.terminal, i.before, i.cancel)
	}
	return len(b), nil
}
