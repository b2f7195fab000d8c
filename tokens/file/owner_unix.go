//go:build unix

package file

import (
	"os"
	"syscall"
)

// matchOwner gives a file that root has just made to the owner of the
// directory, so that the server can read what an administrator's command made.
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
