package session

import (
	"fmt"
	"net/http"
	"time"

	"github.com/promgate/promgate/auth"
)

// The cookies. The prefix has the browser take them only from this very host,
// over TLS (or loopback), for every path: no other host of the domain sets them.
const (
	cookieName = "__Host-promgate"
	// attemptName is the cookie of a browser that is on its way through another
	// server's sign-in.
	attemptName = "__Host-promgate-signing-in"
)

// cookie makes one that scripts do not see and other sites do not send, but for
// following a link. No time to live ends it.
func cookie(name, value string, live time.Duration) *http.Cookie {
	c := &http.Cookie{Name: name, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if c.MaxAge = int(live / time.Second); c.MaxAge <= 0 {
		c.MaxAge = -1
	}
	return c
}

// keyOf reads the one cookie of that name.
func keyOf(r *http.Request, name string) (key, error) {
	switch all := r.CookiesNamed(name); len(all) {
	case 0:
		return key{}, fmt.Errorf("%w: no cookie %s", auth.ErrMissing, name)
	case 1:
		k, err := parseKey(all[0].Value)
		if err != nil {
			return key{}, fmt.Errorf("%w: %w", auth.ErrInvalid, err)
		}
		return k, nil
	}
	return key{}, fmt.Errorf("%w: several cookies %s", auth.ErrInvalid, name)
}
