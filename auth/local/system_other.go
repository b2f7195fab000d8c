//go:build !unix

package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// lock takes the file that is beside target as long as somebody edits it.
func lock(target string) (unlock func(), err error) {
	path := target + ".lock"
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("another process is changing it; try again, or remove %s if there is none", path)
	}
	if err != nil {
		return nil, err
	}
	return func() {
		_ = f.Close()
		_ = os.Remove(path)
	}, nil
}

// keepOwner does nothing where files have no numeric owner.
func keepOwner(path, dir string, old fs.FileInfo) error { return nil }

// openToOthers knows nothing where modes do not tell who may read.
func openToOthers(fs.FileMode) bool { return false }

// syncDir does nothing where directories cannot be synced.
func syncDir(string) {}
