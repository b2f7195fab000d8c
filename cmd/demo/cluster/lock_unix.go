//go:build unix

package cluster

import (
	"fmt"
	"os"
	"syscall"
)

// lock waits until no other process holds the file. The system gives it free when its holder ends in any way.
func lock(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cluster: cannot open the build's lock: %w", err)
	}
	for {
		if err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("cluster: cannot take the build's lock: %w", err)
	}
	return func() { _ = file.Close() }, nil
}
