package file

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/promgate/promgate/tokens"
)

// Create makes a token, signed with the active key, and stores its record.
func (s *Store) Create(ctx context.Context, d tokens.Draft) (tokens.Record, string, error) {
	r, token, err := s.issue(ctx, d)
	if err != nil {
		return r, "", err
	}
	return r, token, s.Insert(ctx, r)
}

// Rotate makes a token's successor, and lets the old one end after the overlap
// if that is earlier than its own end. An old token that is not good any more,
// or was replaced already, is an error that says so.
func (s *Store) Rotate(ctx context.Context, id string, r tokens.Rotation) (next tokens.Record, token string, old tokens.Record, err error) {
	if old, err = s.Get(ctx, id); err != nil {
		return next, "", old, err
	}
	next, token, err = s.issue(ctx, tokens.Draft{
		Scope: old.Scope, Description: old.Description, CreatedBy: r.By, Lifetime: old.ExpiresAt.Sub(old.CreatedAt),
	})
	if err != nil {
		return next, "", old, err
	}
	if err = s.Replace(ctx, id, next, next.CreatedAt.Add(r.Overlap)); err != nil {
		return next, "", old, err
	}
	old, err = s.Get(ctx, id)
	return next, token, old, err
}

// issue signs a token that is not stored yet.
func (s *Store) issue(ctx context.Context, d tokens.Draft) (tokens.Record, string, error) {
	if d.Lifetime <= 0 {
		return tokens.Record{}, "", errors.New("a token needs a lifetime of more than nothing")
	}
	key, err := s.ActiveKey(ctx)
	if err != nil {
		return tokens.Record{}, "", err
	}
	now := s.now().UTC().Truncate(time.Second)
	r := tokens.Record{
		ID: randomID(), KeyID: key.ID, Scope: d.Scope, Description: d.Description,
		CreatedBy: tokens.CleanCreatedBy(d.CreatedBy), CreatedAt: now, ExpiresAt: now.Add(d.Lifetime),
	}
	token, err := s.mint(key, s.issuer, r)
	if err != nil {
		return r, "", fmt.Errorf("token: %w", err)
	}
	return r, token, nil
}
