package file

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/promgate/promgate/tokens"
)

const (
	keySuffix = ".pem"
	pemType   = "PRIVATE KEY"
	// mintingGrace is how long a key that is no longer the newest is kept for
	// whoever took it as the newest and has not stored the token's record yet.
	mintingGrace = time.Hour
)

// ActiveKey returns the key to sign with: the newest. It makes the first one
// where there is none. It is an error if any of the key files cannot be used.
func (s *Store) ActiveKey(ctx context.Context) (tokens.Key, error) {
	keys, err := s.readKeys()
	if err != nil {
		return tokens.Key{}, err
	}
	if len(keys) > 0 {
		return keys[len(keys)-1], nil
	}
	return s.createKey(ctx, time.Time{})
}

// RotateKeys makes a new key, which is the active one from now on, and returns
// it. Older keys verify as long as a token that they signed is good; those that
// are needed no more are removed.
func (s *Store) RotateKeys(ctx context.Context) (tokens.Key, error) {
	keys, err := s.readKeys()
	if err != nil {
		return tokens.Key{}, err
	}
	var newest time.Time
	if len(keys) > 0 {
		newest = keys[len(keys)-1].CreatedAt
	}
	key, err := s.createKey(ctx, newest)
	if err != nil {
		return tokens.Key{}, err
	}
	if err := s.removeUnusedKeys(ctx); err != nil {
		s.log.WarnContext(ctx, "signing keys that are no longer needed stay for now", "error", err)
	}
	return key, nil
}

// createKey writes a new key whose time is later than newest. Times are whole
// seconds, which every file system keeps.
func (s *Store) createKey(ctx context.Context, newest time.Time) (tokens.Key, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return tokens.Key{}, fmt.Errorf("make signing key: %w", err)
	}
	created := s.now().UTC().Truncate(time.Second)
	if !created.After(newest) {
		created = newest.UTC().Truncate(time.Second).Add(time.Second)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return tokens.Key{}, fmt.Errorf("make signing key: %w", err)
	}
	key := tokens.Key{ID: keyID(public), CreatedAt: created, Private: private}
	content := pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})
	if err := writeOnce(s.keyPath(key.ID), content, created); err != nil {
		return tokens.Key{}, fmt.Errorf("store signing key: %w", err)
	}
	if s.snapshot.Load() != nil {
		s.refresh(context.WithoutCancel(ctx))
	}
	return key, nil
}

// removeUnusedKeys removes the keys that no good token was signed with, but
// never the newest, and none that was the newest within mintingGrace.
func (s *Store) removeUnusedKeys(ctx context.Context) error {
	keys, err := s.readKeys()
	if err != nil || len(keys) < 2 {
		return err
	}
	return s.write(ctx, func(tx *sql.Tx) error {
		used, err := usedKeys(ctx, tx, s.now())
		if err != nil {
			return err
		}
		for i, key := range keys[:len(keys)-1] {
			superseded := keys[i+1].CreatedAt
			if used[key.ID] || s.now().Sub(superseded) < mintingGrace {
				continue
			}
			if err := os.Remove(s.keyPath(key.ID)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("remove signing key: %w", err)
			}
			s.log.InfoContext(ctx, "removed a signing key that is no longer needed", "key", key.ID)
		}
		return nil
	})
}

// usedKeys are the ids of the keys of tokens that are still good.
func usedKeys(ctx context.Context, tx *sql.Tx, now time.Time) (map[string]bool, error) {
	rows, err := tx.QueryContext(ctx, `SELECT DISTINCT key_id FROM tokens WHERE revoked_at = 0 AND expires_at > ?`, toUnix(now))
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	used := map[string]bool{}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		used[id] = true
	}
	return used, rows.Err()
}

// keyNames lists the ids of the keys in the directory, in order.
func (s *Store) keyNames() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, keysName))
	if err != nil {
		return nil, fmt.Errorf("signing keys: %w", err)
	}
	var names []string
	for _, e := range entries {
		if id, isKey := strings.CutSuffix(e.Name(), keySuffix); isKey && !strings.HasPrefix(id, ".") {
			names = append(names, id)
		}
	}
	return names, nil
}

// readKeys reads all keys, the newest last. Beside an error, which names every
// file that cannot be used, it returns the keys that can.
func (s *Store) readKeys() ([]tokens.Key, error) {
	names, err := s.keyNames()
	if err != nil {
		return nil, err
	}
	var keys []tokens.Key
	var faults []error
	for _, id := range names {
		key, err := readKey(s.keyPath(id), id)
		switch {
		case err == nil:
			keys = append(keys, key)
		case !errors.Is(err, fs.ErrNotExist): // removed since it was listed
			faults = append(faults, err)
		}
	}
	slices.SortFunc(keys, func(a, b tokens.Key) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return keys, errors.Join(faults...)
}

func readKey(path, id string) (tokens.Key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return tokens.Key{}, fmt.Errorf("signing key: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return tokens.Key{}, fmt.Errorf("signing key %s is open to others than its owner (mode %#o); "+
			"run chmod 600 on it, and rotate the keys if others may have read it", path, mode)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return tokens.Key{}, fmt.Errorf("signing key: %w", err)
	}
	block, rest := pem.Decode(content)
	if block == nil || block.Type != pemType || len(rest) > 0 {
		return tokens.Key{}, fmt.Errorf("signing key %s is not one PEM block of type %s; restore it or move it away", path, pemType)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	private, isEd25519 := parsed.(ed25519.PrivateKey)
	if err != nil || !isEd25519 {
		// The cause stays out: it is about bytes of a private key.
		return tokens.Key{}, fmt.Errorf("signing key %s holds no Ed25519 key; restore it or move it away", path)
	}
	if id != keyID(private.Public().(ed25519.PublicKey)) {
		return tokens.Key{}, fmt.Errorf("signing key %s holds the key of another id; restore it or move it away", path)
	}
	return tokens.Key{ID: id, CreatedAt: info.ModTime().UTC(), Private: private}, nil
}

func (s *Store) keyPath(id string) string { return filepath.Join(s.dir, keysName, id+keySuffix) }

// keyID is the first half of the public key's SHA-256, in hex.
func keyID(public ed25519.PublicKey) string {
	sum := sha256.Sum256(public)
	return hex.EncodeToString(sum[:16])
}
