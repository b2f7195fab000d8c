package local

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// maxFileBytes bounds a users file: some 30,000 users.
const maxFileBytes = 8 << 20

// Load reads and validates a users file. What is wrong inside is told by an
// error that is a *Faults, all at once. A file that does not exist is an error
// that wraps fs.ErrNotExist.
func Load(path string) (*Users, error) {
	data, info, err := read(path)
	if err != nil {
		return nil, err
	}
	d, err := parse(path, data)
	if err != nil {
		return nil, err
	}
	users := newUsers(d.accounts)
	users.warnings = d.warnings
	if mode := info.Mode().Perm(); openToOthers(mode) {
		users.warnings = append(users.warnings, fmt.Sprintf("%s can be read by everybody on this machine (mode %#o), and passwords "+
			"be guessed from it; run chmod 600 on it", path, mode))
	}
	return users, nil
}

// read reads the whole file, if it is one.
func read(path string) ([]byte, fs.FileInfo, error) {
	info, err := os.Stat(path) // first: opening a named pipe would wait for ever
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, missingError(path)
	case err != nil:
		return nil, nil, fmt.Errorf("the users file cannot be read: %w", err)
	case !info.Mode().IsRegular():
		return nil, nil, fmt.Errorf("the users file %s is not a regular file; correct the path", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("the users file cannot be read: %w", err)
	}
	defer func() { _ = f.Close() }()
	if info, err = f.Stat(); err != nil {
		return nil, nil, fmt.Errorf("the users file cannot be read: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("the users file cannot be read: %w", err)
	case len(data) > maxFileBytes:
		return nil, nil, fmt.Errorf("the users file %s has more than %d MiB; remove users, or use an identity provider", path, maxFileBytes>>20)
	}
	return data, info, nil
}

// missingError is the path of a users file that does not exist.
type missingError string

func (e missingError) Error() string {
	return fmt.Sprintf("the users file %s does not exist; make it with promgate user add NAME --file %[1]s", string(e))
}

func (e missingError) Unwrap() error { return fs.ErrNotExist }
