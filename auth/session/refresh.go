package session

import (
	"context"
	"errors"
	"fmt"

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
		own := *landed.Val.(*Active) // others have waited for the same one
		return &own, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: waiting to refresh a session: %w", auth.ErrUnavailable, ctx.Err())
	}
}

func (m *Manager) refreshAlone(ctx context.Context, k key) (*Active, error) {
	s, claimed, err := m.claim(ctx, k)
	if err != nil || !claimed { // another replica has done it, or does it
		return s, err
	}
	before := s.User
	user, err := m.Providers[s.User.Kind].Refresh(ctx, &before)
	if err == nil && user.owner() != s.record.Owner {
		err = fmt.Errorf("%w: %s is now somebody else", auth.ErrInvalid, s.record.Owner)
	}
	// What came of it is kept also where it took all the time that there was.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	switch {
	case errors.Is(err, auth.ErrInvalid):
		m.Logger.Info("a session ends, for its user may not stay", "owner", s.record.Owner, "cause", err)
		if failed := m.end(ctx, s.record.ID); failed != nil {
			m.Logger.Warn("a session whose user may not stay could not be ended", "owner", s.record.Owner, "error", failed)
		}
		return nil, err
	case err != nil:
		// Without the claim the next request tries again at once.
		kept := s.User
		if user != nil && user.owner() == s.record.Owner {
			kept = *user
		}
		if _, failed := m.settle(ctx, k, kept); failed != nil {
			m.Logger.Warn("a session that could not be refreshed is not tried again for a while", "owner", s.record.Owner, "error", failed)
		}
		return nil, err
	}
	return m.settle(ctx, k, *user)
}

// claim has the other replicas leave the refresh to this one. It is not claimed
// where it is no longer due. Whoever noted a use meanwhile is no reason to go on
// without it.
func (m *Manager) claim(ctx context.Context, k key) (s *Active, claimed bool, err error) {
	for ctx.Err() == nil {
		s, err := m.load(ctx, k, m.Store.Latest)
		if err != nil || !m.due(s) {
			return s, false, err
		}
		c := s.content
		c.RefreshBy = m.Now().Add(refreshTimeout + storeTimeout)
		if err = m.replace(ctx, s, c); err == nil {
			return s, true, nil
		}
		if !errors.Is(err, ErrConflict) {
			return nil, false, err
		}
	}
	return nil, false, fmt.Errorf("%w: claiming to refresh a session: %w", auth.ErrUnavailable, ctx.Err())
}

// settle keeps what a refresh has brought, and gives the claim up. Whoever noted
// a use meanwhile is no reason to lose it.
func (m *Manager) settle(ctx context.Context, k key, user User) (*Active, error) {
	for ctx.Err() == nil {
		s, err := m.load(ctx, k, m.Store.Latest)
		if err != nil {
			return nil, err
		}
		err = m.replace(ctx, s, content{User: user})
		if err == nil {
			return m.load(ctx, k, m.Store.Latest)
		}
		if !errors.Is(err, ErrConflict) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w: keeping a refreshed session: %w", auth.ErrUnavailable, ctx.Err())
}

// replace seals another content for the session. Errors wrap ErrConflict, or
// auth.ErrInvalid where the session is gone.
func (m *Manager) replace(ctx context.Context, s *Active, c content) error {
	sealed, err := c.seal(s.key, s.record.Owner)
	if err != nil {
		return err
	}
	record := s.record
	record.Sealed, record.SeenAt = sealed, m.Now()
	if !c.User.Until.IsZero() && c.User.Until.Before(record.ExpiresAt) {
		record.ExpiresAt = c.User.Until
	}
	err = m.bounded(ctx, func(ctx context.Context) error { return m.Store.Replace(ctx, record) })
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("%w: %w", auth.ErrInvalid, err)
	}
	return err
}
