package session

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/promgate/promgate/auth"
)

// AttemptLifetime is how long somebody may take to sign in at another server.
const AttemptLifetime = 10 * time.Minute

// BeginAttempt keeps what is needed when the browser comes back from another
// server's sign-in, such as where to go on, and returns the cookie by which it
// is found then.
func (m *Manager) BeginAttempt(ctx context.Context, kept any) (*http.Cookie, error) {
	k, now := newKey(), m.Now()
	sealed, err := k.seal("", kept)
	if err != nil {
		return nil, err
	}
	record := Record{ID: k.id(), Sealed: sealed, SeenAt: now, ExpiresAt: now.Add(AttemptLifetime)}
	if err := m.bounded(ctx, func(ctx context.Context) error { return m.Store.Create(ctx, record) }); err != nil {
		return nil, err
	}
	return cookie(attemptName, k.text(), AttemptLifetime), nil
}

// TakeAttempt returns what BeginAttempt has kept for this browser, once: whoever
// comes again finds nothing. It always returns the cookie that removes the
// browser's. Errors wrap auth.ErrMissing, auth.ErrInvalid or auth.ErrUnavailable.
func (m *Manager) TakeAttempt(ctx context.Context, r *http.Request, kept any) (*http.Cookie, error) {
	gone := cookie(attemptName, "", 0)
	k, err := keyOf(r, attemptName)
	if err != nil {
		return gone, err
	}
	var record Record
	err = m.bounded(ctx, func(ctx context.Context) (err error) {
		if record, err = m.Store.Get(ctx, k.id()); err != nil || record.Owner != "" {
			return err // a session is no attempt, and goes on
		}
		return m.Store.Delete(ctx, record.ID)
	})
	switch {
	case errors.Is(err, ErrNotFound):
		return gone, fmt.Errorf("%w: this sign-in is over: it took too long, or was finished before", auth.ErrInvalid)
	case err != nil:
		return gone, err
	case record.Owner != "" || !m.Now().Before(record.ExpiresAt):
		return gone, fmt.Errorf("%w: this is no sign-in that is under way", auth.ErrInvalid)
	}
	if err := k.open("", record.Sealed, kept); err != nil {
		return gone, fmt.Errorf("%w: %w", auth.ErrInvalid, err)
	}
	return gone, nil
}
