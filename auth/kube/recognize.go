package kube

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
)

// ownPrefix is how typ begins, in whatever case, in the header of the gateway's
// own kinds of tokens.
const ownPrefix = "promgate-"

// isOwn tells whether the token is one of the gateway's own kinds: a JWT whose
// header says so, or what is left of one.
func isOwn(token string) bool {
	encoded, _, _ := strings.Cut(token, ".")
	var short [512]byte
	header := short[:]
	if need := base64.RawURLEncoding.DecodedLen(len(encoded)); need > len(short) {
		header = make([]byte, need)
	}
	// What comes before an error is looked at all the same.
	n, _ := base64.RawURLEncoding.Decode(header, []byte(encoded))
	header = header[:n]
	// This runs for every request. What holds neither the prefix nor an escape
	// that could spell it need not be parsed.
	marked := containsFold(header, ownPrefix)
	if !marked && bytes.IndexByte(header, '\\') < 0 {
		return false
	}
	var h struct {
		Type typ `json:"typ"`
	}
	if json.Unmarshal(bytes.Clone(header), &h) != nil {
		return marked // cut short, or changed
	}
	return bool(h.Type)
}

// typ tells whether any typ of a header is one of the gateway's own: a member
// that is there twice is read twice, and which of the two counts is not for a
// stranger to choose.
type typ bool

// UnmarshalJSON implements json.Unmarshaler.
func (t *typ) UnmarshalJSON(text []byte) error {
	var s string
	if json.Unmarshal(text, &s) == nil && len(s) >= len(ownPrefix) && strings.EqualFold(s[:len(ownPrefix)], ownPrefix) {
		*t = true
	}
	return nil
}

// containsFold is bytes.Contains for a text of lower-case ASCII, in whatever
// case it is found, without the heap.
func containsFold(b []byte, text string) bool {
	for i := range len(b) - len(text) + 1 {
		j := 0
		for j < len(text) && lower(b[i+j]) == text[j] {
			j++
		}
		if j == len(text) {
			return true
		}
	}
	return false
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}
