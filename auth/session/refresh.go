package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/promgate/promgate/auth"
)

// touchParts is how often in its idle time a session's use is noted.
const touchParts = 16

// touch notes that the session was used, apart from the request, and not each
// time.
func (m *Manager) touch(s *Active) {
	now := m.Now()
	if now.Sub(s.record.SeenAt) < m.Idle/touchParts {
		return
	}
	if _, busy := m.touching.LoadOrStore(s.record.ID, true); busy {
		return
	}
	record := s.record
	record.SeenAt = now
	go func() {
		defer m.touching.Delete(record.ID)
		err := m.bounded(context.Background(), func(ctx context.Context) error { return m.Store.Replace(ctx, record) })
		// Who changed it meanwhile has noted a use too; what is gone needs none.
		if err != nil && !errors.Is(err, ErrConflict) && !errors.Is(err, ErrNotFound) {
			m.Logger.Warn("the last use of a session could not be noted", "owner", record.Owner, "error", err)
		}
	}()
}

// due tells whether the user has to be asked about before they go on. While one
// replica does so, the others go on.
func (m *Manager) due(s *Active) bool {
	return m.Providers[s.User.Kind].Due(&s.User) && !m.Now().Before(s.content.RefreshBy)
}

// refresh asks again who the user is: once for all requests that wait for it,
// and on one replica alone, since a provider may give a new secret each time and
// take the use of an old one for theft.
func (m *Manager) refresh(ctx context.Context, s *Active) (*Active, error) {
	flight := m.refreshes.DoChan(s.record.ID, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.Background(), refreshTimeout)
		defer cancel()
		return m.refreshAlone(ctx, s.key)
	})
	select {
	case landed := <-flight:
		if landed.Err != nil {
			return nil, landed.Err
		}
		return landed.Val.(*Active), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: waiting to refresh a session: %w", auth.ErrUnavailable, ctx.Err())
	}
}

func (m *Manager) refreshAlone(ctx context.Context, k key) (*Active, error) {
	s, err := m.load(ctx, k, m.Store.Latest)
	if err != nil || !m.due(s) { // another replica has done it, or does it
		return s, err
	}
	claimed := s.content
	claimed.RefreshBy = m.Now().Add(refreshTimeout)
	switch err := m.replace(ctx, s, claimed); {
	case errors.Is(err, ErrConflict):
		return m.load(ctx, k, m.Store.Latest)
	case errors.Is(err, ErrNotFound):
		return nil, fmt.Errorf("%w: %w", auth.ErrInvalid, err)
	case err != nil:
		return nil, err
	}
	user, err := m.Providers[s.User.Kind].Refresh(ctx, &s.User)
	if errors.Is(err, auth.ErrInvalid) {
		m.Logger.Info("a session ends, for its user may not stay", "owner", s.record.Owner, "cause", err)
		return nil, errors.Join(err, m.end(ctx, s.record.ID))
	}
	if err != nil {
		return nil, errors.Join(err, m.release(ctx, k))
	}
	if user.owner() != s.record.Owner {
		return nil, errors.Join(fmt.Errorf("%w: %s is now somebody else", auth.ErrInvalid, s.record.Owner), m.end(ctx, s.record.ID))
	}
	return m.settle(ctx, k, *user)
}

// settle keeps what a refresh has brought. Whoever noted a use meanwhile is no
// reason to lose it.
func (m *Manager) settle(ctx context.Context, k key, user User) (*Active, error) {
	for {
		s, err := m.load(ctx, k, m.Store.Latest)
		if err != nil {
			return nil, err
		}
		switch err := m.replace(ctx, s, content{User: user}); {
		case err == nil:
			return m.load(ctx, k, m.Store.Latest)
		case errors.Is(err, ErrNotFound):
			return nil, fmt.Errorf("%w: %w", auth.ErrInvalid, err)
		case !errors.Is(err, ErrConflict):
			return nil, err
		}
	}
}

// release lets the next request try again at once.
func (m *Manager) release(ctx context.Context, k key) error {
	s, err := m.load(ctx, k, m.Store.Latest)
	if err != nil {
		return err
	}
	free := s.content
	free.RefreshBy = time.Time{}
	if err := m.replace(ctx, s, free); err != nil && !errors.Is(err, ErrConflict) {
		return err
	}
	return nil
}

// replace seals another content for the session.
func (m *Manager) replace(ctx context.Context, s *Active, c content) error {
	sealed, err := s.key.seal(s.record.Owner, c)
	if err != nil {
		return err
	}
	record := s.record
	record.Sealed, record.SeenAt = sealed, m.Now()
	if !c.User.Until.IsZero() && c.User.Until.Before(record.ExpiresAt) {
		record.ExpiresAt = c.User.Until
	}
	return m.bounded(ctx, func(ctx context.Context) error { return m.Store.Replace(ctx, record) })
}
