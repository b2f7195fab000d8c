package local

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

const (
	schemeArgon2id = "argon2id"
	schemeBcrypt   = "bcrypt"

	// MinPassword is how many characters a new password has at least.
	MinPassword = 12
	// MaxPasswordBytes bounds a password, so that nobody has long texts hashed.
	MaxPasswordBytes = 1024
	// bcryptLimit is how many bytes of a password bcrypt looks at.
	bcryptLimit = 72

	minMemory, maxMemory     = 8 << 10, 1 << 20 // KiB
	maxPasses, maxLanes      = 10, 16
	minSalt, minKey, maxPart = 8, 16, 64 // bytes
	minRounds, maxRounds     = 10, 16    // bcrypt's cost
)

// newCost is what new hashes cost: 19 MiB and 2 passes, of the OWASP Password
// Storage Cheat Sheet.
var newCost = cost{scheme: schemeArgon2id, memory: 19456, passes: 2, lanes: 1, salt: 16, key: 32}

// cost is all that decides how long a verification takes.
type cost struct {
	scheme         string
	memory, passes uint32 // argon2id; memory in KiB
	lanes          uint8  // argon2id
	salt, key      int    // argon2id; in bytes
	rounds         int    // bcrypt; a power of two
}

// passwordHash is a hash as the file has it. It prints as "[redacted]".
type passwordHash struct {
	cost cost
	salt []byte // argon2id
	// secret is the key of argon2id, or the whole of a bcrypt hash.
	secret hidden
}

// hidden keeps bytes where fmt does not look: it calls no methods of what is in
// unexported fields, and shows all but functions there.
type hidden func() []byte

func hide(b []byte) hidden { return func() []byte { return b } }

// Format keeps the hash out of text, whatever the verb.
func (h *passwordHash) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[redacted]") }

// equal tells whether both hashes are the same text.
func (h *passwordHash) equal(other *passwordHash) bool {
	return h.cost == other.cost && bytes.Equal(h.salt, other.salt) && bytes.Equal(h.secret(), other.secret())
}

// matches computes the hash of the password and compares it in constant time.
func (h *passwordHash) matches(password string) bool {
	if h.cost.scheme == schemeBcrypt {
		same := bcrypt.CompareHashAndPassword(h.secret(), []byte(password)) == nil
		// bcrypt looks at 72 bytes alone, and takes "a\x00a" for "a". Such a
		// password is never right, but is hashed all the same: how long it takes
		// is not to tell whose hash this is.
		return same && len(password) <= bcryptLimit && !strings.Contains(password, "\x00")
	}
	return subtle.ConstantTimeCompare(h.compute(password), h.secret()) == 1
}

// compute is argon2id's key of the password.
func (h *passwordHash) compute(password string) []byte {
	return argon2.IDKey([]byte(password), h.salt, h.cost.passes, h.cost.memory, h.cost.lanes, uint32(h.cost.key))
}

// phc writes an argon2id hash in the form of its reference implementation.
func (h *passwordHash) phc() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		h.cost.memory, h.cost.passes, h.cost.lanes, b64.EncodeToString(h.salt), b64.EncodeToString(h.secret()))
}

// decoy is a hash of that cost for names that nobody has. What it is compared
// with does not count.
func decoy(c cost) *passwordHash {
	if c.scheme == schemeBcrypt {
		return &passwordHash{cost: c, secret: hide(fmt.Appendf(nil, "$2b$%02d$%s", c.rounds, strings.Repeat(".", 53)))}
	}
	return &passwordHash{cost: c, salt: make([]byte, c.salt), secret: hide(make([]byte, c.key))}
}

// Hash makes the hash of a password for the users file: argon2id with a salt of
// its own. It takes 19 MiB of memory meanwhile. The password has 1 to
// MaxPasswordBytes bytes; whether it is good enough is for CheckPassword.
func Hash(password string) (string, error) {
	switch {
	case password == "":
		return "", errors.New("the password is empty")
	case len(password) > MaxPasswordBytes:
		return "", fmt.Errorf("the password has over %d bytes", MaxPasswordBytes)
	}
	h := passwordHash{cost: newCost, salt: make([]byte, newCost.salt)}
	if _, err := rand.Read(h.salt); err != nil {
		return "", fmt.Errorf("make a salt: %w", err)
	}
	h.secret = hide(h.compute(password))
	return h.phc(), nil
}

// CheckPassword tells what is wrong with a password that is to be the user's
// new one, and never repeats any of it.
func CheckPassword(name, password string) error {
	switch n := utf8.RuneCountInString(password); {
	case strings.EqualFold(name, password):
		return errors.New("the password is the user's name: choose another one")
	case !utf8.ValidString(password):
		return errors.New("the password is not UTF-8 text: no browser could send it; choose another one")
	case n < MinPassword:
		return fmt.Errorf("the password has %d characters: choose one of at least %d", n, MinPassword)
	case len(password) > MaxPasswordBytes:
		return fmt.Errorf("the password has over %d bytes: choose a shorter one", MaxPasswordBytes)
	}
	return nil
}

// parseHash reads a hash. Errors say what to write instead, and repeat none of
// it but the figures that are out of bounds.
func parseHash(text string) (*passwordHash, error) {
	switch {
	case strings.HasPrefix(text, "$argon2id$"):
		return parseArgon2id(text)
	case strings.HasPrefix(text, "$2a$"), strings.HasPrefix(text, "$2b$"), strings.HasPrefix(text, "$2y$"):
		return parseBcrypt(text)
	}
	return nil, errors.New("not a hash of a kind that is known here; write one that starts with $argon2id$, $2a$, $2b$ or $2y$, " +
		"or have promgate user password make it")
}

var errArgon2id = errors.New("not an argon2id hash of version 19; write $argon2id$v=19$m=19456,t=2,p=1$SALT$HASH, " +
	"or have promgate user password make it")

func parseArgon2id(text string) (*passwordHash, error) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[2] != "v=19" {
		return nil, errArgon2id
	}
	var figures [3]uint64
	settings := strings.Split(parts[3], ",")
	if len(settings) != len(figures) {
		return nil, errArgon2id
	}
	for i, key := range []string{"m=", "t=", "p="} {
		digits, found := strings.CutPrefix(settings[i], key)
		n, err := strconv.ParseUint(digits, 10, 32)
		if !found || err != nil || strconv.FormatUint(n, 10) != digits {
			return nil, errArgon2id
		}
		figures[i] = n
	}
	salt, saltErr := decodePart(parts[4])
	key, keyErr := decodePart(parts[5])
	if saltErr != nil || keyErr != nil {
		return nil, errArgon2id
	}
	m, t, p := figures[0], figures[1], figures[2]
	const renew = "; have promgate user password make a new one"
	switch {
	case m < minMemory || m > maxMemory:
		return nil, fmt.Errorf("argon2id with m=%d is out of bounds: m is from %d to %d KiB"+renew, m, minMemory, maxMemory)
	case t < 1 || t > maxPasses:
		return nil, fmt.Errorf("argon2id with t=%d is out of bounds: t is from 1 to %d"+renew, t, maxPasses)
	case p < 1 || p > maxLanes:
		return nil, fmt.Errorf("argon2id with p=%d is out of bounds: p is from 1 to %d"+renew, p, maxLanes)
	case len(salt) < minSalt || len(salt) > maxPart:
		return nil, fmt.Errorf("argon2id with a salt of %d bytes is out of bounds: a salt has %d to %d"+renew, len(salt), minSalt, maxPart)
	case len(key) < minKey || len(key) > maxPart:
		return nil, fmt.Errorf("argon2id with a hash of %d bytes is out of bounds: a hash has %d to %d"+renew, len(key), minKey, maxPart)
	}
	c := cost{scheme: schemeArgon2id, memory: uint32(m), passes: uint32(t), lanes: uint8(p), salt: len(salt), key: len(key)}
	return &passwordHash{cost: c, salt: salt, secret: hide(key)}, nil
}

// decodePart reads base64 as the reference implementation writes it. Go's own
// reader would pass over line breaks.
func decodePart(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, errArgon2id
	}
	return base64.RawStdEncoding.Strict().DecodeString(text)
}

// bcryptBase64 is the alphabet of bcrypt.
var bcryptBase64 = base64.NewEncoding("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789").WithPadding(base64.NoPadding)

func parseBcrypt(text string) (*passwordHash, error) {
	const prefix, salt, length = len("$2b$10$"), 22, 60
	malformed := errors.New("not a whole bcrypt hash; write $2b$, two digits and $ with 53 characters after it, " +
		"or have promgate user password make a new one")
	if len(text) != length || text[prefix-1] != '$' || strings.ContainsAny(text, "\r\n") {
		return nil, malformed
	}
	tens, ones := text[4]-'0', text[5]-'0'
	if tens > 9 || ones > 9 {
		return nil, malformed
	}
	// Other programs leave random bits after the salt's last byte, which count
	// for nothing. After the hash's last there are none in any right one.
	if _, err := bcryptBase64.DecodeString(text[prefix : prefix+salt]); err != nil {
		return nil, malformed
	}
	if _, err := bcryptBase64.Strict().DecodeString(text[prefix+salt:]); err != nil {
		return nil, malformed
	}
	rounds := int(tens)*10 + int(ones)
	if rounds < minRounds || rounds > maxRounds {
		return nil, fmt.Errorf("bcrypt with cost %d is out of bounds: the cost is from %d to %d; have promgate user password make a new hash",
			rounds, minRounds, maxRounds)
	}
	return &passwordHash{cost: cost{scheme: schemeBcrypt, rounds: rounds}, secret: hide([]byte(text))}, nil
}
