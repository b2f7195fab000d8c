package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/promgate/promgate/tokens"
)

const (
	// mintingGrace is how long a key that is no longer the newest is kept for
	// whoever took it as the newest and has not stored the token's record yet.
	mintingGrace = time.Hour
	// maxConflicts is how often a change is tried again that others got ahead of.
	maxConflicts = 8
)

// RotateKeys makes a new signing key, which signs every token from now on, and
// returns it. Older keys verify as long as a token that they signed is good;
// those that are needed no more are removed, if all tokens can be listed.
func (s *Store) RotateKeys(ctx context.Context) (tokens.Key, error) {
	used, listed := s.usedKeys(ctx)
	if listed != nil {
		s.log.WarnContext(ctx, "signing keys that are no longer needed stay for now", "error", listed)
	}
	for try := 0; ; try++ {
		r, err := s.readKeys(ctx)
		if err == nil && r.issuer == "" {
			err = r.usable()
		}
		if err != nil {
			return tokens.Key{}, fmt.Errorf("rotate signing keys: %w", err)
		}
		var unused []tokens.Key
		if listed == nil {
			unused = r.unused(used, s.now())
		}
		key, err := s.addKey(ctx, r, unused)
		if apierrors.IsConflict(err) && try < maxConflicts {
			continue
		}
		if err != nil {
			return tokens.Key{}, fmt.Errorf("rotate signing keys: %w", err)
		}
		for _, k := range unused {
			s.log.InfoContext(ctx, "removed a signing key that is no longer needed", "key", k.ID)
		}
		s.await(ctx, func() bool {
			return slices.ContainsFunc(s.keys.known, func(k tokens.Key) bool { return k.ID == key.ID })
		})
		return key, nil
	}
}

// addKey adds a new key to the Secret, and removes those that are unused. It
// fails with a conflict where the Secret is no longer the one that was read.
func (s *Store) addKey(ctx context.Context, r *ring, unused []tokens.Key) (tokens.Key, error) {
	key, name, content, err := r.newKey(s.now())
	if err != nil {
		return key, err
	}
	data := map[string]any{name: content}
	for _, k := range unused {
		data[entryOf(k)] = nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": r.uid, "resourceVersion": r.version}, "data": data})
	if err != nil {
		return key, err
	}
	home, client := s.secret()
	_, err = client.Patch(ctx, keysName, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
	if err != nil && !apierrors.IsConflict(err) {
		err = problemWithKeys(home, s.namespace, err).of(home, err)
	}
	return key, err
}

// unused are the keys that sign and verify nothing any more.
func (r *ring) unused(used map[string]bool, now time.Time) []tokens.Key {
	var all []tokens.Key
	for i := range len(r.keys) - 1 {
		superseded := r.keys[i+1].CreatedAt
		if !used[r.keys[i].ID] && now.Sub(superseded) >= mintingGrace {
			all = append(all, r.keys[i])
		}
	}
	return all
}

// usedKeys are the ids of the keys of tokens that are still good. An object that
// cannot be read is an error too: nobody knows what it needs.
func (s *Store) usedKeys(ctx context.Context) (map[string]bool, error) {
	lists, err := s.listAll(ctx)
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for _, l := range lists {
		objects, unreadable := l.objects()
		if unreadable > 0 {
			return nil, errors.New("there are EndpointTokens that cannot be read: correct or delete them")
		}
		for _, o := range objects {
			for _, t := range o.tokens() {
				if s.now().Before(o.end(t)) {
					used[t.KeyID] = true
				}
			}
		}
	}
	return used, nil
}
