//go:build unix

package file

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// nobody is a user that owns nothing. Root may write everywhere, so that tests
// that run as root have this user look.
const nobody = 65534

// TestOpenWhereNothingCanBeWritten opens a directory in another process, as a
// user who may not write what is there.
func TestOpenWhereNothingCanBeWritten(t *testing.T) {
	for _, test := range []struct{ name, file, want string }{
		{"directory", "", "data directory cannot be made"},
		{"database", databaseName, "cannot be opened for writing; the data directory and all that is in it must belong to the user"},
	} {
		t.Run(test.name, func(t *testing.T) {
			base := openToAll(t)
			dir := filepath.Join(base, "data")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if test.file != "" {
				execute("SELECT 1")(t, dir)
			}
			readOnly(t, dir, filepath.Join(dir, test.file))
			cmd := exec.CommandContext(t.Context(), copyOfSelf(t, base))
			cmd.Env = append(os.Environ(), stepVariable+"=create", dirVariable+"="+dir, idVariable+"=x")
			if os.Geteuid() == 0 {
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
			}
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), test.want) {
				t.Errorf("got %v, %q, want %q", err, out, test.want)
			}
		})
	}
}

// openToAll is a temporary directory that every user may enter, unlike the
// test's own.
func openToAll(t *testing.T) string {
	t.Helper()
	base, err := os.MkdirTemp("", "promgate-read-only-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	return base
}

// readOnly gives all that is in dir to the user who will look, and takes the
// right to write the path away.
func readOnly(t *testing.T, dir, path string) {
	t.Helper()
	err := filepath.Walk(dir, func(name string, _ os.FileInfo, err error) error {
		if err != nil || os.Geteuid() != 0 {
			return err
		}
		return os.Chown(name, nobody, nobody)
	})
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, info.Mode().Perm()&^0o222); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(path, info.Mode().Perm()) })
}

// copyOfSelf is this test program where every user may execute it.
func copyOfSelf(t *testing.T, dir string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	from, err := os.Open(self)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	name := filepath.Join(dir, "program")
	to, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}
