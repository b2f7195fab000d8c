package api

import (
	"strings"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/promgate/promgate/auth"
)

// maxClients is of how many tokens is known what used them last.
const maxClients = 16384

// Clients notes what programs endpoint tokens are used by, for people who wait
// for the first request of one. It knows what came through this gateway, since
// it was started. The zero Clients is ready.
type Clients struct {
	once sync.Once
	used *lru.Cache[string, string] // client names by token id
}

// Note takes down that a client has asked. What it calls itself is for people to
// read, and nothing depends on it.
func (c *Clients) Note(p auth.Principal, userAgent string) {
	if p.Kind != auth.KindEndpointToken {
		return
	}
	name := clientName(userAgent)
	if last, known := c.cache().Get(p.ID); !known || last != name {
		c.cache().Add(p.ID, strings.Clone(name)) // without the rest of a header of any length
	}
}

func (c *Clients) cache() *lru.Cache[string, string] {
	c.once.Do(func() { c.used, _ = lru.New[string, string](maxClients) })
	return c.used
}

// last names what used the token last; empty: nobody knows.
func (c *Clients) last(token string) string {
	name, _ := c.cache().Peek(token)
	return name
}

// clientName is the program that a User-Agent names first, without its version.
func clientName(userAgent string) string {
	name, _, _ := strings.Cut(userAgent, "/")
	switch name = strings.TrimSpace(name); {
	case name == "Go-http-client":
		return "A Go program"
	case name == "Mozilla":
		return "A browser"
	case len(name) > 40 || strings.ContainsFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' || r == ' ')
	}):
		return ""
	}
	return name
}
