//go:build unix

package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	lockTimeout  = 5 * time.Second
	lockInterval = 20 * time.Millisecond
)

// lock waits until nobody else edits the file. The lock is on a file beside it,
// because the file itself is replaced, and ends with its holder in any way.
func lock(target string) (unlock func(), err error) {
	path := filepath.Join(filepath.Dir(target), "."+filepath.Base(target)+".lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := keepOwner(path, filepath.Dir(target), nil); err != nil {
		return nil, errors.Join(err, f.Close())
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
		case <-deadline.C:
			return nil, errors.Join(fmt.Errorf("%s stayed locked by another process for %s; try again", path, lockTimeout), f.Close())
		}
	}
}

// keepOwner gives a new file the owner of the one that it replaces. Where there
// is none, root gives it to the owner of the directory, so that the server can
// read what an administrator's command made.
func keepOwner(path, dir string, old fs.FileInfo) error {
	now, err := os.Stat(path)
	if err != nil {
		return err
	}
	if old == nil {
		if os.Geteuid() != 0 {
			return nil
		}
		if old, err = os.Stat(dir); err != nil {
			return err
		}
	}
	want, known := old.Sys().(*syscall.Stat_t)
	has, alsoKnown := now.Sys().(*syscall.Stat_t)
	if !known || !alsoKnown || want.Uid == has.Uid && want.Gid == has.Gid {
		return nil
	}
	if err := os.Lchown(path, int(want.Uid), int(want.Gid)); err != nil {
		return fmt.Errorf("its owner and group cannot be kept; run the command as its owner: %w", err)
	}
	return nil
}

// openToOthers tells whether everybody may read a file of that mode.
func openToOthers(mode fs.FileMode) bool { return mode&0o004 != 0 }

// syncDir has a rename outlive a power cut. Not every file system can do it,
// and the rename holds all the same.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}
