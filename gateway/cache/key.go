package cache

import (
	"crypto/sha256"
	"encoding/binary"
)

// Key names what is kept: a hash of everything that an answer depends on, and of
// who may see it.
type Key [sha256.Size]byte

// KeyOf hashes fields, each with its length before it, so that no two lists of
// fields run into one.
func KeyOf(fields ...string) Key {
	var space [1024]byte // most questions are shorter: nothing is allocated
	text := space[:0]
	for _, f := range fields {
		text = binary.AppendUvarint(text, uint64(len(f)))
		text = append(text, f...)
	}
	return sha256.Sum256(text)
}
