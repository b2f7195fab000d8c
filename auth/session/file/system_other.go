//go:build !unix

package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// lock makes the file, which is there as long as a process has the sessions open.
func lock(_ context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("another process has the sessions open, and one gateway alone may; remove %s if there is none", path)
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() {
		_ = f.Close()
		_ = os.Remove(path)
	}, nil
}

// matchOwner does nothing where files have no numeric owner.
func matchOwner(path, dir string) error { return nil }
