package jwt

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
)

// typeSuffix is how the header of every minted token ends.
var typeSuffix = []byte(`,"typ":"` + Type + `"}`)

// hasType tells whether the token's header says that it is an endpoint token.
// A token over the size bound, or one whose header cannot be read, is nobody's.
func hasType(token string) bool {
	if len(token) > MaxTokenBytes {
		return false
	}
	encoded, _, found := strings.Cut(token, ".")
	if !found {
		return false
	}
	// Minted headers are short and end with typ: they are told without parsing
	// JSON and without the heap, since this runs for every request.
	var short [256]byte
	header := short[:]
	if need := base64.RawURLEncoding.DecodedLen(len(encoded)); need > len(short) {
		header = make([]byte, need)
	}
	n, err := base64.RawURLEncoding.Decode(header, []byte(encoded))
	if err != nil {
		return false
	}
	if bytes.HasSuffix(header[:n], typeSuffix) {
		return true
	}
	return parsedType(bytes.Clone(header[:n])) == Type
}

// parsedType reads typ from a header that nobody here has written.
func parsedType(header []byte) string {
	var h struct {
		Type string `json:"typ"`
	}
	if json.Unmarshal(header, &h) != nil {
		return ""
	}
	return h.Type
}
