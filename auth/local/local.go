// Package local knows users from a file: their names, hashes of their
// passwords, and their groups. It checks passwords, follows the file, and
// edits it. Names are compared exactly: Anna and anna are two users.
package local

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/promgate/promgate/auth"
)

// ErrWrong means that no enabled user has that name and password. It does not
// tell which of the two is wrong, and neither does the time that it takes. It
// wraps auth.ErrInvalid.
var ErrWrong = fmt.Errorf("%w: wrong user name or password", auth.ErrInvalid)

// User is somebody who may sign in.
type User struct {
	// Name has 1 to 128 printable characters.
	Name string
	// Groups are in the order of the file.
	Groups []string
}

// Entry is a user as the file has it.
type Entry struct {
	User
	// Disabled users cannot sign in.
	Disabled bool
	// Scheme is how the password is hashed: argon2id or bcrypt.
	Scheme string
}

// account is what is known of a user.
type account struct {
	user     User
	disabled bool
	hash     *passwordHash
}

// Users are the users of a file at one time. They never change and are safe for
// concurrent use. The zero Users knows nobody.
type Users struct {
	accounts []*account // in the order of the file
	byName   map[string]*account
	warnings []string
	// decoy is what the password for an unknown name is verified against.
	decoy *passwordHash

	own    gate
	shared *gate // of the Store; nil: own
	// run is passwordHash.matches, unless a test stands in for it.
	run func(*passwordHash, string) bool
}

// newUsers makes Users of accounts whose names differ.
func newUsers(accounts []*account) *Users {
	u := &Users{accounts: accounts, byName: make(map[string]*account, len(accounts)), decoy: decoy(usual(accounts))}
	for _, a := range accounts {
		u.byName[a.user.Name] = a
	}
	return u
}

// Verify returns the user of that name if the password is right. Errors are
// ErrWrong alike for an unknown name, a wrong password and a disabled user, or
// wrap the context's. At most GOMAXPROCS verifications run at once, for each
// takes a processor and much memory; others wait, as long as ctx lets them.
func (u *Users) Verify(ctx context.Context, name, password string) (User, error) {
	if password == "" || len(password) > MaxPasswordBytes {
		return User{}, ErrWrong // whatever the name is
	}
	g := &u.own
	if u.shared != nil {
		g = u.shared
	}
	leave, err := g.enter(ctx)
	if err != nil {
		return User{}, fmt.Errorf("waiting to check a password: %w", err)
	}
	defer leave()
	a, hash := u.byName[name], u.decoy
	switch {
	case a != nil:
		hash = a.hash
	case hash == nil: // the zero Users
		hash = decoy(newCost)
	}
	run := u.run
	if run == nil {
		run = (*passwordHash).matches
	}
	matches := run(hash, password)
	if !matches || a == nil || a.disabled {
		return User{}, ErrWrong
	}
	return a.user.clone(), nil
}

// usual is the cost that most hashes have, the first of them where several are
// as many. An unknown name is to take as long as most known ones.
func usual(accounts []*account) cost {
	if len(accounts) == 0 {
		return newCost
	}
	count := map[cost]int{}
	for _, a := range accounts {
		count[a.hash.cost]++
	}
	return slices.MaxFunc(accounts, func(a, b *account) int {
		return cmp.Compare(count[a.hash.cost], count[b.hash.cost])
	}).hash.cost
}

// Lookup returns the user of that name, and false where there is none or it is
// disabled. Whoever has signed in loses access with that.
func (u *Users) Lookup(name string) (User, bool) {
	a := u.byName[name]
	if a == nil || a.disabled {
		return User{}, false
	}
	return a.user.clone(), true
}

// All lists the users in the order of the file, the disabled too.
func (u *Users) All() []Entry {
	all := make([]Entry, len(u.accounts))
	for i, a := range u.accounts {
		all[i] = Entry{User: a.user.clone(), Disabled: a.disabled, Scheme: a.hash.cost.scheme}
	}
	return all
}

// Warnings are what is doubtful about the file, but no reason to refuse it.
func (u *Users) Warnings() []string { return slices.Clone(u.warnings) }

// clone keeps callers from changing what all share.
func (u User) clone() User { return User{Name: u.Name, Groups: slices.Clone(u.Groups)} }

// gate lets so many in as there are processors for Go. The zero gate is open.
type gate struct {
	once   sync.Once
	places chan struct{}
}

// enter waits for a place. It is an error if ctx ends first.
func (g *gate) enter(ctx context.Context) (leave func(), err error) {
	g.once.Do(func() { g.places = make(chan struct{}, max(1, runtime.GOMAXPROCS(0))) })
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case g.places <- struct{}{}:
		return func() { <-g.places }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Stamp changes with the password of the user of that name: whoever signed in
// with another one is to sign in again. It tells nothing of the password, and is
// empty where there is no such user.
func (u *Users) Stamp(name string) string {
	a := u.byName[name]
	if a == nil {
		return ""
	}
	sum := sha256.Sum256(append([]byte(a.hash.cost.scheme+"\x00"+string(a.hash.salt)), a.hash.secret()...))
	return hex.EncodeToString(sum[:8])
}
