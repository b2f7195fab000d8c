package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// What a second process is told by its environment.
const (
	dirVariable  = "PROMGATE_TEST_DIR"
	stepVariable = "PROMGATE_TEST_STEP"
	idVariable   = "PROMGATE_TEST_ID"
)

// TestMain lets the test program also be the second process.
func TestMain(m *testing.M) {
	if os.Getenv(stepVariable) == "" {
		os.Exit(m.Run())
	}
	if err := step(os.Getenv(stepVariable), os.Getenv(dirVariable), os.Getenv(idVariable)); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// step is what the second process does.
func step(name, dir, id string) (err error) {
	ctx := context.Background()
	s, err := Open(ctx, Options{Dir: dir})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	switch name {
	case "create":
		key, err := s.ActiveKey(ctx)
		if err != nil {
			return err
		}
		r := record(id)
		r.KeyID = key.ID
		return s.Insert(ctx, r)
	case "revoke":
		return s.Revoke(ctx, id)
	case "rotate":
		_, err := s.RotateKeys(ctx)
		return err
	}
	return fmt.Errorf("no step %q", name)
}

func process(t *testing.T, name, dir, id string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Error(err)
		return
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), stepVariable+"="+name, dirVariable+"="+dir, idVariable+"="+id)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("process %s: %v\n%s", name, err, out)
	}
}

func TestAnotherProcessIsSeenWithinASecond(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	run(t, s)
	steps := []struct {
		name, id string
		seen     func() bool
	}{
		{"create", "a", has(s, "a")},
		{"create", "b", has(s, "b")},
		{"revoke", "a", hasNot(s, "a")},
		{"rotate", "", func() bool { return len(s.Snapshot().Keys) == 2 }},
		{"revoke", "b", hasNot(s, "b")},
	}
	for _, step := range steps {
		process(t, step.name, dir, step.id)
		took := eventually(t, step.name, step.seen)
		if took > time.Second {
			t.Errorf("%s was seen after %s, want a second at most", step.name, took)
		}
		t.Logf("%s was seen %s after the process had ended", step.name, took.Round(time.Millisecond))
	}
}

// TestProcessesStartAtOnce has processes meet in an empty directory while this
// one opens it too and goes on writing.
func TestProcessesStartAtOnce(t *testing.T) {
	dir := t.TempDir()
	const n = 8
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() { process(t, "create", dir, strings.Repeat("p", i+1)) })
	}
	s := open(t, Options{Dir: dir})
	run(t, s)
	for i := range n {
		insertAll(t, s, record(strings.Repeat("s", i+1)))
	}
	wait.Wait()
	eventually(t, "all tokens and their keys", func() bool {
		snapshot := s.Snapshot()
		if len(snapshot.Tokens) != 2*n {
			return false
		}
		for id, live := range snapshot.Tokens {
			if strings.HasPrefix(id, "p") && snapshot.Keys[live.KeyID] == nil {
				return false
			}
		}
		return true
	})
}
