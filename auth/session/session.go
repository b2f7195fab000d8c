// Package session keeps those who have signed in to the page. A browser holds a
// random secret in a cookie; what is kept of the session is found by a hash of
// the secret and sealed with a key that is made of it: whoever reads the store
// learns neither secrets nor what is sealed, and forges nothing. Whoever writes
// to the store may sign in as anybody, with a secret of their own.
package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/promgate/promgate/auth"
)

// Errors of a Store.
var (
	// ErrNotFound means that there is no session of that id, or no longer.
	ErrNotFound = errors.New("no such session")
	// ErrConflict means that somebody has changed the session meanwhile.
	ErrConflict = errors.New("the session was changed meanwhile")
)

// Record is what is stored of a session. Nothing of it is secret.
type Record struct {
	// ID is made of the browser's secret, which cannot be found from it: 64
	// lower-case hexadecimal digits.
	ID string
	// Owner is who has signed in, as kind and name, such as "local:anna"; empty
	// while somebody is signing in.
	Owner string
	// Sealed is the rest, which only the browser's secret opens. 32 KiB at most.
	Sealed []byte
	// SeenAt is when the session was last used. It lags behind by up to a
	// sixteenth of the idle time.
	SeenAt time.Time
	// ExpiresAt is when it ends at the latest.
	ExpiresAt time.Time
	// Version is the store's own; Replace compares it.
	Version string
}

// Store keeps sessions, for every replica of the gateway. It removes by itself
// those that have expired. Errors that are neither ErrNotFound nor ErrConflict
// mean that it cannot be reached.
type Store interface {
	// Create keeps a new session.
	Create(context.Context, Record) error
	// Get returns a session from memory where it can, so that it is quick; what
	// another replica has just changed may be missing in it. A session that
	// another replica has just made is found.
	Get(ctx context.Context, id string) (Record, error)
	// Latest returns a session as it is.
	Latest(ctx context.Context, id string) (Record, error)
	// Replace changes a session if it is still of that Version: else ErrConflict,
	// or ErrNotFound where it is gone.
	Replace(context.Context, Record) error
	// Delete ends a session. ErrNotFound tells that somebody else has ended it,
	// so that of two who delete only one is told nil.
	Delete(ctx context.Context, id string) error
	// DeleteOwner ends all sessions of somebody.
	DeleteOwner(ctx context.Context, owner string) error
}

// User is somebody who has signed in, as the session keeps them. It holds
// secrets.
type User struct {
	Kind   auth.Kind `json:"kind"`
	Name   string    `json:"name"`
	Groups []string  `json:"groups,omitempty"`
	// Secret is what the kind needs to go on, such as a token. It prints nowhere,
	// and JSON of a User does not hold it.
	Secret Secret `json:"-"`
	// Until is when what they have signed in with ends; zero: by itself never.
	Until time.Time `json:"until,omitzero"`
}

func (u User) owner() string { return string(u.Kind) + ":" + u.Name }

// Secret is text that prints as "[redacted]", and is kept only sealed.
type Secret string

// String keeps the secret out of text.
func (Secret) String() string { return "[redacted]" }

// GoString keeps the secret out of text.
func (Secret) GoString() string { return "[redacted]" }

// Format keeps the secret out of formatted text, whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[redacted]") }

// MarshalText keeps the secret out of JSON and its like.
func (Secret) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// LogValue keeps the secret out of logs.
func (Secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Provider knows one kind of users. Errors wrap auth.ErrInvalid, for somebody
// who is not to stay, or auth.ErrUnavailable.
type Provider interface {
	// Resume tells what the user may do now, and the credential that goes
	// upstream where callers' own do. It does no I/O.
	Resume(*User) (*auth.Identity, auth.Credential, error)
	// Due tells whether the user has to be refreshed before they go on.
	Due(*User) bool
	// Refresh asks again who the user is. A user beside an error that wraps
	// auth.ErrUnavailable is kept, since what was kept before may be spent.
	Refresh(context.Context, *User) (*User, error)
}

// LogValue writes the user as kind and name.
func (u User) LogValue() slog.Value { return slog.StringValue(u.owner()) }
