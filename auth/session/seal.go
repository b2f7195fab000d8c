package session

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// secretBytes is the length of what the browser holds.
const secretBytes = 32

// maxSealed bounds what is sealed, in bytes. A token has 8 KiB at most.
const maxSealed = 32 << 10

// key opens one session: what the browser's cookie holds.
type key [secretBytes]byte

func newKey() key {
	var k key
	_, _ = rand.Read(k[:]) // never fails: see crypto/rand
	return k
}

var errKey = errors.New("the cookie holds no session")

func parseKey(text string) (key, error) {
	var k key
	if len(text) != base64.RawURLEncoding.EncodedLen(secretBytes) {
		return k, errKey
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != secretBytes {
		return k, errKey
	}
	return key(raw), nil
}

func (k key) text() string { return base64.RawURLEncoding.EncodeToString(k[:]) }

// id is what the session is stored by. It tells nothing of the key.
func (k key) id() string {
	sum := sha256.Sum256(append([]byte("promgate session id\x00"), k[:]...))
	return hex.EncodeToString(sum[:])
}

func (k key) cipher() (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, k[:], nil, "promgate session content", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// seal encrypts a content for the session of that owner, and for no other.
func (k key) seal(owner string, content any) ([]byte, error) {
	plain, err := json.Marshal(content)
	if err != nil {
		return nil, fmt.Errorf("session content: %w", err)
	}
	aead, err := k.cipher()
	if err != nil {
		return nil, err
	}
	sealed := aead.Seal(nil, nil, plain, k.bound(owner))
	if len(sealed) > maxSealed {
		return nil, fmt.Errorf("a session of %d bytes is more than the %d that are kept: its groups or its token are too long", len(sealed), maxSealed)
	}
	return sealed, nil
}

// open decrypts what seal has encrypted.
func (k key) open(owner string, sealed []byte, content any) error {
	aead, err := k.cipher()
	if err != nil {
		return err
	}
	plain, err := aead.Open(nil, nil, sealed, k.bound(owner))
	if err != nil {
		return errors.New("the session cannot be opened: what is stored is not what was sealed")
	}
	if err := json.Unmarshal(plain, content); err != nil {
		return fmt.Errorf("session content: %w", err)
	}
	return nil
}

// bound is what a sealed content belongs to.
func (k key) bound(owner string) []byte { return []byte(k.id() + "\x00" + owner) }
