package kube

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/promgate/promgate/auth"
)

// MaxExpiry bounds how far in the future Caller.Expires is.
const MaxExpiry = 10 * 365 * 24 * time.Hour

// Caller is whose a token is.
type Caller struct {
	// Name is the user name that an API server gives.
	Name string
	// Groups are for display alone: what somebody may do, Access tells.
	Groups []string
	// Expires is when the token says that it ends, no later than MaxExpiry from
	// now, and zero where it says nothing. Nobody has verified it but the API
	// server, which accepts the token.
	Expires time.Time
}

// seen is what one cluster says of a token.
type seen struct {
	*cluster
	is   verdict
	err  error
	told bool
}

// Identify tells whose the token is on the clusters that accept it. Where they
// name several users it is that of the first of these clusters by name; one that
// cannot be asked is passed over while another accepts the token. The error
// wraps auth.ErrInvalid, or auth.ErrUnavailable where one that cannot be asked
// might accept it.
func (a *Authenticator) Identify(ctx context.Context, c auth.Credential) (Caller, error) {
	who, err := a.caller(c)
	if err != nil {
		return Caller{}, err
	}
	clusters := a.set()
	all := make([]*seen, 0, len(clusters))
	for _, name := range slices.Sorted(maps.Keys(clusters)) {
		all = append(all, &seen{cluster: clusters[name]})
	}
	user, err := who.first(ctx, all)
	if err != nil {
		return Caller{}, err
	}
	return Caller{Name: user.user.Username, Groups: slices.Clone(user.user.Groups), Expires: expiry(c.Secret(), time.Now())}, nil
}

// first asks all clusters at once, and is done as soon as the first that accepts
// the token is known to be that.
func (w *caller) first(ctx context.Context, all []*seen) (verdict, error) {
	var mu sync.Mutex
	settled := 0 // those before have told, and do not accept it
	err := each(ctx, all, func(ctx context.Context, s *seen) error {
		is, err := s.identify(ctx, w)
		mu.Lock()
		defer mu.Unlock()
		s.is, s.err, s.told = is.value, err, true
		for ; settled < len(all) && all[settled].told; settled++ {
			if all[settled].is.user != nil {
				return errGood // ends the wait for the others
			}
		}
		return nil
	})
	if err != nil {
		return all[settled].is, nil
	}
	var reasons []string
	for _, s := range all {
		if s.err != nil {
			return verdict{}, s.err
		}
		reasons = append(reasons, s.refusal(s.is))
	}
	return verdict{}, invalidEverywhere(reasons)
}

// expiry is when a JWT says that it ends, and zero for whatever says nothing of
// the kind. What makes no sense is taken for the nearest that does: a session
// may be made to last until then.
func expiry(token string, now time.Time) time.Time {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims map[string]json.RawMessage
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return time.Time{}
	}
	text := claims["exp"]
	// RFC 7519 has a number, which may have a fraction. Go would read null as 0.
	var seconds float64
	if len(text) == 0 || bytes.Equal(text, []byte("null")) || json.Unmarshal(text, &seconds) != nil {
		return time.Time{}
	}
	latest := now.Add(MaxExpiry).Truncate(time.Second)
	if seconds >= float64(latest.Unix()) {
		return latest.UTC()
	}
	return time.Unix(int64(max(seconds, 0)), 0).UTC()
}
