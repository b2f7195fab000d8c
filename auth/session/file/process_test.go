package file

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// What a second process is told by its environment.
const (
	dirVariable  = "PROMGATE_TEST_DIR"
	stepVariable = "PROMGATE_TEST_STEP"
)

// TestMain lets the test program also be the second process.
func TestMain(m *testing.M) {
	if os.Getenv(stepVariable) == "" {
		os.Exit(m.Run())
	}
	if err := step(os.Getenv(stepVariable), os.Getenv(dirVariable)); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// step is what the second process does. What it crashes at the end of is no
// Close.
func step(name, dir string) error {
	ctx := context.Background()
	s, err := Open(ctx, Options{Dir: dir})
	if err != nil || name == "open" {
		return err
	}
	for _, what := range []string{"kept", "ended", "changed"} {
		if err := s.Create(ctx, record(what)); err != nil {
			return err
		}
	}
	r, err := s.Get(ctx, id("changed"))
	if err != nil {
		return err
	}
	r.Sealed = []byte("changed")
	if err := s.Replace(ctx, r); err != nil {
		return err
	}
	if err := s.Delete(ctx, id("ended")); err != nil {
		return err
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	return self.Kill()
}

func process(t *testing.T, dir, name string) (out string, err error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), stepVariable+"="+name, dirVariable+"="+dir)
	text, err := cmd.CombinedOutput()
	return string(text), err
}

// TestCrash: what a process was told is kept outlives it, also where it had no
// time to close anything.
func TestCrash(t *testing.T) {
	dir := t.TempDir()
	if out, err := process(t, dir, "crash"); err == nil || out != "" {
		t.Fatalf("the process did not crash: %v, %s", err, out)
	}
	s := open(t, Options{Dir: dir})
	have(t, s, "kept", "changed")
	if r, err := s.Get(t.Context(), id("changed")); err != nil || string(r.Sealed) != "changed" || r.Version != "2" {
		t.Errorf("got %+v, %v", r, err)
	}
}
