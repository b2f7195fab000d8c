package local

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
)

// Store is a users file that may be read again. It is safe for concurrent use.
// The zero Store knows nobody.
type Store struct {
	path      string
	gate      gate // of all that the file ever held, so that a Reload admits no more
	current   atomic.Pointer[Users]
	nobody    Users
	reloading sync.Mutex // so that what was read last is what stays
}

// Open reads the users file. Errors are those of Load.
func Open(path string) (*Store, error) {
	s := &Store{path: path}
	if err := s.Reload(); err != nil {
		return nil, err
	}
	return s, nil
}

// Reload reads the file again. After an error, which is one of Load, the users
// stay as they were.
func (s *Store) Reload() error {
	if s.path == "" {
		return errors.New("no users file is open")
	}
	s.reloading.Lock()
	defer s.reloading.Unlock()
	users, err := Load(s.path)
	if err != nil {
		return err
	}
	users.shared = &s.gate
	s.current.Store(users)
	return nil
}

// Users returns the users as they were last read. It costs one atomic load.
func (s *Store) Users() *Users {
	if users := s.current.Load(); users != nil {
		return users
	}
	return &s.nobody
}

// Verify is Users.Verify of the users as they were last read.
func (s *Store) Verify(ctx context.Context, name, password string) (User, error) {
	return s.Users().Verify(ctx, name, password)
}

// Lookup is Users.Lookup of the users as they were last read.
func (s *Store) Lookup(name string) (User, bool) { return s.Users().Lookup(name) }
