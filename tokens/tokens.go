// Package tokens holds the words for endpoint tokens: signed, read-only
// credentials for one project or for one environment of it. What is stored of
// a token is its Record; the token itself is shown once and kept nowhere.
package tokens

import (
	"context"
	"crypto/ed25519"
	"errors"
	"sync/atomic"
	"time"
)

// ErrNotFound means that no token has the id.
var ErrNotFound = errors.New("no such token")

// Scope is what a token opens: one environment, or every environment of a
// project. UIDs decide; names are for people.
type Scope struct {
	Project        string
	ProjectUID     string
	Environment    string // empty: every environment of the project
	EnvironmentUID string
}

// Record is what is stored of a token.
type Record struct {
	// ID is the token's jti: 128 random bits, safe to show and to log.
	ID          string
	KeyID       string
	Scope       Scope
	Description string
	CreatedAt   time.Time
	// ExpiresAt is when the token ends; never later than the token's own exp,
	// earlier when a rotation has cut it short.
	ExpiresAt time.Time
	// RevokedAt is zero while the token is not revoked.
	RevokedAt time.Time
	// LastUsedAt is zero while the token has not been used. It lags behind by
	// up to the store's flush interval.
	LastUsedAt time.Time
	// ReplacedBy is the id of the token that a rotation made, or empty.
	ReplacedBy string
}

// State is a token's standing at one moment.
type State string

// The states of a token. A rotated token is still good, until its ExpiresAt.
const (
	StateActive  State = "active"
	StateRotated State = "rotated"
	StateExpired State = "expired"
	StateRevoked State = "revoked"
)

// State tells the token's standing at that time.
func (r *Record) State(now time.Time) State {
	switch {
	case !r.RevokedAt.IsZero():
		return StateRevoked
	case !now.Before(r.ExpiresAt):
		return StateExpired
	case r.ReplacedBy != "":
		return StateRotated
	default:
		return StateActive
	}
}

// Key is one signing key. Its ID is the kid of the tokens that it signed.
type Key struct {
	ID        string
	CreatedAt time.Time
	Private   ed25519.PrivateKey
}

// Live is a token that the store vouches for, as the request path sees it.
type Live struct {
	Scope     Scope
	KeyID     string
	ExpiresAt time.Time
	// LastUsed is in Unix nanoseconds. It is shared by all snapshots, so that
	// a use is never lost between two of them.
	LastUsed *atomic.Int64
}

// Snapshot is the immutable state that requests are checked against: no I/O is
// needed to verify a token.
type Snapshot struct {
	// Issuer names this installation: the iss of every token that it made.
	Issuer string
	// Keys verify signatures, by key id.
	Keys map[string]ed25519.PublicKey
	// Tokens holds what is neither revoked nor expired, by token id. What is
	// not in here is refused, whatever its signature says.
	Tokens map[string]*Live
	// AsOf is when the store was last seen to be in this state.
	AsOf time.Time
}

// Store keeps the records of tokens. Its methods do I/O and are never called
// on the request path.
type Store interface {
	// Insert adds the record of a token that was just made.
	Insert(context.Context, Record) error
	// List returns all records, the newest first.
	List(context.Context) ([]Record, error)
	// Get returns the record with that id, or ErrNotFound.
	Get(ctx context.Context, id string) (Record, error)
	// Revoke ends a token at once. Revoking twice keeps the first time;
	// an unknown id is ErrNotFound.
	Revoke(ctx context.Context, id string, at time.Time) error
	// Replace inserts next and, in the same transaction, lets the token with
	// the old id end at the given time, if that is earlier than its own end. An old token
	// that is revoked, expired or replaced already is an error that says so.
	Replace(ctx context.Context, oldID string, next Record, oldEnds time.Time) error
}
