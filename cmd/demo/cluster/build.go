package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// BinaryEnv names the environment variable with the path of a control plane that was built before.
const BinaryEnv = "PROMGATE_CONTROLPLANE"

const modulePath = "github.com/promgate/promgate"

// Build builds the control plane with the go command and returns the path of the program, bin/controlplane in the module. The
// first build takes some minutes, a later one about a second. Several processes may call it at once: one builds, the others
// wait. An empty moduleRoot means the module around the working directory, which suits tests. If the environment variable
// PROMGATE_CONTROLPLANE is set, the program that it names is used and nothing is built.
func Build(ctx context.Context, moduleRoot string) (string, error) {
	if binary := os.Getenv(BinaryEnv); binary != "" {
		if info, err := os.Stat(binary); err != nil || info.IsDir() {
			return "", fmt.Errorf("cluster: %s names %s, which is not a program: correct it, or unset it to have the control plane built",
				BinaryEnv, binary)
		}
		return binary, nil
	}
	if moduleRoot == "" {
		var err error
		if moduleRoot, err = findModuleRoot(); err != nil {
			return "", err
		}
	}
	bin, err := filepath.Abs(filepath.Join(moduleRoot, "bin"))
	if err != nil {
		return "", fmt.Errorf("cluster: cannot resolve the module's directory: %w", err)
	}
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", fmt.Errorf("cluster: cannot make the directory for programs: %w", err)
	}
	unlock, err := lock(filepath.Join(bin, ".controlplane.lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	target := filepath.Join(bin, "controlplane")
	return target, build(ctx, filepath.Join(moduleRoot, "testdata", "controlplane"), target)
}

// build lets the go command work on a second name of the present program: when that is up to date it is not linked again, and
// when it is not, the new one takes its place in one step, so that nobody runs half a program.
func build(ctx context.Context, source, target string) error {
	next := target + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cluster: cannot remove what an interrupted build left: %w", err)
	}
	_ = os.Link(target, next) // not there yet, or a file system without links: built anew
	defer os.Remove(next)

	command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", next, ".")
	command.Dir = source
	// The module stands alone, and flags meant for the tests around (a race detector, a module mode) are not for it.
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if output, err := command.CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("%w: the first build takes some minutes, build it beforehand or allow more time", ctx.Err())
		}
		return fmt.Errorf("cluster: cannot build the control plane in %s: %w\n%s", source, err, output)
	}
	if err := os.Rename(next, target); err != nil {
		return fmt.Errorf("cluster: cannot put the control plane in place: %w", err)
	}
	return nil
}

// findModuleRoot goes up from the working directory, which for a test is its package's directory.
func findModuleRoot() (string, error) {
	directory, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("cluster: cannot tell the working directory: %w", err)
	}
	for {
		content, err := os.ReadFile(filepath.Join(directory, "go.mod"))
		if err == nil && strings.HasPrefix(string(content), "module "+modulePath+"\n") {
			return directory, nil
		}
		parent := filepath.Dir(directory)
		if parent == directory {
			return "", fmt.Errorf("cluster: the working directory is not inside the module %s: give the module's directory", modulePath)
		}
		directory = parent
	}
}
