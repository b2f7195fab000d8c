//go:build unix

package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lock takes the file for this process alone. The system gives it free when its
// holder ends in any way.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the lock of the sessions cannot be opened; the data directory and all that is in it must belong to "+
			"the user who runs promgate: %w", err)
	}
	if err := errors.Join(f.Chmod(0o600), matchOwner(path, filepath.Dir(path))); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	retry := time.NewTicker(lockInterval)
	defer retry.Stop()
	deadline := time.NewTimer(lockTimeout)
	defer deadline.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
		select {
		case <-retry.C:
			continue
		case <-deadline.C:
		case <-ctx.Done():
		}
		return nil, errors.Join(fmt.Errorf("another process has the sessions in %s open; one gateway alone may use a data directory, "+
			"more than one keep their sessions in Kubernetes", filepath.Dir(path)), f.Close())
	}
}

// matchOwner gives a file that root has just made to the owner of the
// directory, so that it does not matter who starts the gateway first.
func matchOwner(path, dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	stat, known := info.Sys().(*syscall.Stat_t)
	if !known {
		return nil
	}
	return os.Lchown(path, int(stat.Uid), int(stat.Gid))
}
