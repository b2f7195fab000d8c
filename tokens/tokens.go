// Package tokens holds the words for endpoint tokens: signed, read-only
// credentials for one project or for one environment of it. What is stored of
// a token is its Record; the token itself is shown once and kept nowhere.
package tokens

import (
	"context"
	"crypto/ed25519"
	"errors"
	"math"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/promgate/promgate/auth"
)

// ErrNotFound means that no token has the id.
var ErrNotFound = errors.New("no such token")

// MaxCreatedBy bounds Draft.CreatedBy, Rotation.By and Record.CreatedBy, in bytes.
const MaxCreatedBy = 256

// Scope is what a token opens: one environment, or every environment of a
// project. UIDs decide; names are for people.
type Scope struct {
	// Cluster is where the project's namespace is, in a store that keeps tokens
	// there; empty: the one that the gateway belongs to.
	Cluster        string
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
	// CreatedBy is who made the token, as a principal is logged, such as
	// "local:anna"; empty: unknown. It is for display alone: where a store keeps
	// tokens, others than the gateway may be able to write it.
	CreatedBy string
	CreatedAt time.Time
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

// CleanCreatedBy is what a store keeps of a text for Record.CreatedBy: valid
// UTF-8 within MaxCreatedBy, with "…" in place of what is cut off. Names come
// from elsewhere, and a long one is no reason to refuse a token.
func CleanCreatedBy(text string) string {
	const cut = "…"
	if len(text) > MaxCreatedBy {
		end := MaxCreatedBy - len(cut)
		for end > 0 && !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end] + cut
	}
	return strings.ToValidUTF8(text, "")
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
	// Also is what the token opens beside its scope; zero: nothing.
	Also auth.Grant
	// Part is the part of the store that holds the token.
	Part *Part
}

// Part is a part of a store that can be out of reach while others are not. The
// zero Part, and a nil one, was never seen.
type Part struct{ asOf atomic.Int64 }

// See notes that the snapshot holds what the part held at that time. Earlier
// times than noted change nothing.
func (p *Part) See(at time.Time) {
	for now := at.UnixNano(); ; {
		before := p.asOf.Load()
		if now <= before || p.asOf.CompareAndSwap(before, now) {
			return
		}
	}
}

// Age is how long ago the part was seen.
func (p *Part) Age(now time.Time) time.Duration {
	if p == nil {
		return math.MaxInt64
	}
	return now.Sub(time.Unix(0, p.asOf.Load()))
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
	// Core is the part of the store that holds issuer and keys.
	Core *Part
	// Parts are the parts that hold tokens.
	Parts []*Part
}

// Stale tells whether too long ago was seen what any token depends on, and
// whether any part was not seen for too long: then the snapshot says nothing of
// a token that it does not hold.
func (s *Snapshot) Stale(now time.Time, bound time.Duration) (whole, partly bool) {
	if s.Core.Age(now) > bound {
		return true, true
	}
	whole = len(s.Parts) > 0
	for _, p := range s.Parts {
		if p.Age(now) > bound {
			partly = true
		} else {
			whole = false
		}
	}
	return whole, partly
}

// Draft is a token to be made.
type Draft struct {
	Scope       Scope
	Description string
	// CreatedBy is who makes the token, as a principal is logged; empty: unknown.
	// Of what is longer than MaxCreatedBy the begin is stored.
	CreatedBy string
	// Lifetime is how long the token is good; more than zero.
	Lifetime time.Duration
}

// Rotation is how a token is to be replaced by its successor.
type Rotation struct {
	// Overlap is how long the old token stays good, unless its own end is
	// earlier; zero ends it at once.
	Overlap time.Duration
	// By is who rotates, and so the successor's CreatedBy.
	By string
}

// Minter makes the token of a record, signed with the key.
type Minter func(Key, string, Record) (string, error)

// Store keeps the records of tokens. Its methods do I/O and are never called
// on the request path. A token that one of them returns is the only copy.
type Store interface {
	// Create makes a token.
	Create(context.Context, Draft) (Record, string, error)
	// List returns all records, the newest first.
	List(context.Context) ([]Record, error)
	// ListProject returns the records of one project, the newest first: that of
	// the scope's Cluster, Project and ProjectUID, as Create takes them. Where
	// there are many tokens it costs much less than List.
	ListProject(context.Context, Scope) ([]Record, error)
	// Get returns the record with that id, or ErrNotFound.
	Get(ctx context.Context, id string) (Record, error)
	// Revoke ends a token at once. An unknown id is ErrNotFound.
	Revoke(ctx context.Context, id string) error
	// Rotate makes the successor of a token, with the same scope, description
	// and lifetime, and lets the old one end after the overlap, if that is
	// earlier than its own end. A token that is revoked, expired or replaced
	// already is an error that says so. It returns both records.
	Rotate(ctx context.Context, id string, r Rotation) (next Record, token string, old Record, err error)
	// RotateKeys makes a new signing key, which signs every token from now on.
	RotateKeys(context.Context) (Key, error)
}
