package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/promgate/promgate/auth"
)

// Options are what a Manager is made of. Store and Providers are required.
type Options struct {
	Store     Store
	Providers map[auth.Kind]Provider
	// Idle ends a session that is not used for so long. Zero: 8 hours.
	Idle time.Duration
	// Lifetime ends a session that long after the sign-in. Zero: 24 hours.
	Lifetime time.Duration
	// External is the URL by which clients reach the gateway. Nil: nobody knows.
	External func() string
	// Now is the clock. Nil: the system's.
	Now func() time.Time
	// Logger receives what concerns no single request; nil: nobody.
	Logger *slog.Logger
}

// Defaults of Options.
const (
	DefaultIdle     = 8 * time.Hour
	DefaultLifetime = 24 * time.Hour
)

// storeTimeout bounds a question to the store, and refreshTimeout what goes on
// apart from any request.
const (
	storeTimeout   = 5 * time.Second
	refreshTimeout = 15 * time.Second
)

// Manager signs people in and out, and knows them by their browsers' cookies. It
// implements auth.Browser.
type Manager struct {
	Options
	refreshes singleflight.Group
	touching  sync.Map // ids of sessions whose last use is being noted
}

// NewManager makes a Manager.
func NewManager(o Options) *Manager {
	o.Idle, o.Lifetime = cmp.Or(o.Idle, DefaultIdle), cmp.Or(o.Lifetime, DefaultLifetime)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.External == nil {
		o.External = func() string { return "" }
	}
	return &Manager{Options: o}
}

// content is what is sealed of a session.
type content struct {
	User User `json:"user"`
	// Secret is that of the User, whose own JSON does not hold it. It is set
	// while it is sealed and opened only.
	Secret string `json:"secret,omitempty"`
	// RefreshBy is set while one replica asks again who the user is: until then
	// the others go on with what they know.
	RefreshBy time.Time `json:"refreshBy,omitzero"`
}

// seal encrypts the content for the session of that owner.
func (c content) seal(k key, owner string) ([]byte, error) {
	c.Secret = string(c.User.Secret)
	return k.seal(owner, c)
}

// open decrypts what seal has encrypted.
func (c *content) open(k key, owner string, sealed []byte) error {
	err := k.open(owner, sealed, c)
	c.User.Secret, c.Secret = Secret(c.Secret), ""
	return err
}

// Active is a session that is in use. It prints as its owner.
type Active struct {
	User      User
	ExpiresAt time.Time
	key       key
	record    Record
	content   content
}

// Format keeps what opens the session out of formatted text, whatever the verb.
func (s Active) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "session of "+s.record.Owner) }

// LogValue writes the session as its owner.
func (s Active) LogValue() slog.Value { return slog.StringValue(s.record.Owner) }

// SignIn begins a session for somebody whom a provider vouches for, and returns
// its cookie. A session of the browser's from before ends: no cookie that was
// known before the sign-in opens anything after it.
func (m *Manager) SignIn(ctx context.Context, r *http.Request, u User) (*http.Cookie, *Active, error) {
	now := m.Now()
	if m.Providers[u.Kind] == nil {
		return nil, nil, fmt.Errorf("%w: nobody knows users of the kind %q", auth.ErrInvalid, u.Kind)
	}
	s := &Active{User: u, key: newKey(), ExpiresAt: now.Add(m.Lifetime), content: content{User: u}}
	if !u.Until.IsZero() && u.Until.Before(s.ExpiresAt) {
		s.ExpiresAt = u.Until
	}
	if !now.Before(s.ExpiresAt) {
		return nil, nil, fmt.Errorf("%w: it has ended at %s", auth.ErrInvalid, s.ExpiresAt.Format(time.RFC3339))
	}
	sealed, err := s.content.seal(s.key, u.owner())
	if err != nil {
		return nil, nil, err
	}
	s.record = Record{ID: s.key.id(), Owner: u.owner(), Sealed: sealed, SeenAt: now, ExpiresAt: s.ExpiresAt}
	if err := m.bounded(ctx, func(ctx context.Context) error { return m.Store.Create(ctx, s.record) }); err != nil {
		return nil, nil, err
	}
	if before, err := keyOf(r, cookieName); err == nil {
		if err := m.end(ctx, before.id()); err != nil {
			m.Logger.Warn("the browser's session from before could not be ended", "error", err)
		}
	}
	return cookie(cookieName, s.key.text(), s.ExpiresAt.Sub(now)), s, nil
}

// Authenticate implements auth.Browser: the session counts for requests of the
// page itself alone.
func (m *Manager) Authenticate(ctx context.Context, r *http.Request, from auth.Surface) (*auth.Identity, auth.Credential, error) {
	s, err := m.find(ctx, r, from)
	if err != nil {
		return nil, auth.Credential{}, err
	}
	id, credential, err := m.Providers[s.User.Kind].Resume(&s.User)
	if errors.Is(err, auth.ErrInvalid) {
		if failed := m.end(ctx, s.record.ID); failed != nil {
			m.Logger.Warn("a session whose user may not stay could not be ended", "owner", s.record.Owner, "error", failed)
		}
	}
	return id, credential, err
}

// Find returns the session of a request of the page. Errors wrap auth.ErrMissing
// where there is none, auth.ErrInvalid where it has ended, or
// auth.ErrUnavailable.
func (m *Manager) Find(ctx context.Context, r *http.Request) (*Active, error) {
	return m.find(ctx, r, auth.OwnPage)
}

func (m *Manager) find(ctx context.Context, r *http.Request, from auth.Surface) (*Active, error) {
	k, err := keyOf(r, cookieName)
	if err != nil {
		return nil, err
	}
	if !FromPage(r, m.External()) && (from != auth.SameOrigin || !sameOrigin(r, m.External())) {
		return nil, fmt.Errorf("%w: there is a session, but the request does not come from the page", auth.ErrMissing)
	}
	s, err := m.load(ctx, k, m.Store.Get)
	if err != nil {
		return nil, err
	}
	if m.due(s) {
		if s, err = m.refresh(ctx, s); err != nil {
			return nil, err
		}
	}
	m.touch(s)
	return s, nil
}

// load reads a session and opens it.
func (m *Manager) load(ctx context.Context, k key, get func(context.Context, string) (Record, error)) (*Active, error) {
	s := &Active{key: k}
	err := m.bounded(ctx, func(ctx context.Context) (err error) {
		s.record, err = get(ctx, k.id())
		return err
	})
	if errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("%w: %w", auth.ErrInvalid, err)
	}
	if err != nil {
		return nil, err
	}
	now := m.Now()
	switch {
	case s.record.Owner == "":
		return nil, fmt.Errorf("%w: the cookie is that of a sign-in under way", auth.ErrInvalid)
	case !now.Before(s.record.ExpiresAt):
		return nil, fmt.Errorf("%w: the session of %s has expired", auth.ErrInvalid, s.record.Owner)
	case now.Sub(s.record.SeenAt) > m.Idle:
		return nil, fmt.Errorf("%w: the session of %s was not used for longer than %s", auth.ErrInvalid, s.record.Owner, m.Idle)
	}
	if err := s.content.open(k, s.record.Owner, s.record.Sealed); err != nil {
		return nil, fmt.Errorf("%w: %w", auth.ErrInvalid, err)
	}
	s.User, s.ExpiresAt = s.content.User, s.record.ExpiresAt
	if m.Providers[s.User.Kind] == nil {
		return nil, fmt.Errorf("%w: %s can no longer sign in here", auth.ErrInvalid, s.record.Owner)
	}
	return s, nil
}

// bounded asks the store, for a while. What it cannot tell is auth.ErrUnavailable.
func (m *Manager) bounded(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	err := ask(ctx)
	if err == nil || errors.Is(err, ErrNotFound) || errors.Is(err, ErrConflict) {
		return err
	}
	return fmt.Errorf("%w: sessions: %w", auth.ErrUnavailable, err)
}

// end ends a session; one that has ended already is none.
func (m *Manager) end(ctx context.Context, id string) error {
	err := m.bounded(ctx, func(ctx context.Context) error { return m.Store.Delete(ctx, id) })
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// SignOut ends the browser's session and returns the cookie that removes it from
// the browser. With everywhere, all sessions of the same user end. The request
// must come from the page, with a session that is still good for everywhere.
func (m *Manager) SignOut(ctx context.Context, r *http.Request, everywhere bool) (*http.Cookie, error) {
	gone := cookie(cookieName, "", 0)
	k, err := keyOf(r, cookieName)
	if err != nil {
		return gone, nil // there is nothing to end
	}
	if everywhere {
		s, err := m.load(ctx, k, m.Store.Get)
		if err != nil {
			return gone, err
		}
		return gone, m.bounded(ctx, func(ctx context.Context) error { return m.Store.DeleteOwner(ctx, s.record.Owner) })
	}
	return gone, m.end(ctx, k.id())
}
