package kube

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promgate/promgate/auth"
)

// identify asks whose a token is.
func (w *world) identify(t testing.TB, token string) (Caller, error) {
	t.Helper()
	c, err := w.Identify(t.Context(), auth.NewCredential(token))
	w.check(t, err)
	if err != nil && (c.Name != "" || c.Groups != nil || !c.Expires.IsZero()) {
		t.Errorf("got %+v beside %v", c, err)
	}
	return c, err
}

func TestIdentify(t *testing.T) {
	s := newServer(t)
	connection := s.connect(t, "local")
	for mode, c := range map[string]struct {
		cluster Cluster
		groups  []string
		asked   string
	}{
		"dedicated": {dedicated(connection), []string{"g1", "g2"}, "tokenreviews"},
		"user":      {user(connection), []string{"g1"}, "selfsubjectreviews"},
	} {
		w := newWorld(c.cluster)
		for range 2 { // the second is remembered
			got, err := w.identify(t, annas)
			if err != nil || got.Name != "anna" || !slices.Equal(got.Groups, c.groups) || !got.Expires.IsZero() {
				t.Errorf("%s: got %+v, %v", mode, got, err)
			}
			got.Groups[0] = "the caller's own slice is not ours"
		}
		s.want(t, c.asked)
		for range 2 {
			if got, err := w.identify(t, bad); !errors.Is(err, auth.ErrInvalid) {
				t.Errorf("%s: got %+v, %v", mode, got, err)
			}
		}
		s.want(t, c.asked)
	}
}

// TestIdentifyNotOurs: what is none of Kubernetes' reaches no API server.
func TestIdentifyNotOurs(t *testing.T) {
	s := newServer(t)
	w := newWorld(user(s.direct("local")))
	for name, token := range map[string]string{
		"endpoint token": jwt(`{"alg":"EdDSA","kid":"k","typ":"promgate-endpoint+jwt"}`), "cut short": jwt(`{"typ":"promgate-endpo`),
		"empty": "", "too long": strings.Repeat("a", MaxTokenBytes+1),
	} {
		if got, err := w.identify(t, token); !errors.Is(err, auth.ErrInvalid) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	s.want(t, "")
	if got, err := newWorld().identify(t, annas); !errors.Is(err, auth.ErrInvalid) {
		t.Errorf("without clusters: %+v, %v", got, err)
	}
}

// TestIdentifyAmong: the first cluster by name that accepts the token names the
// user, and one that is down keeps nobody out.
func TestIdentifyAmong(t *testing.T) {
	const invalid, down = "invalid", "down"
	for _, c := range []struct {
		a, b, c string // whose the token is there
		name    string
		err     error
	}{
		{"anna", "berta", "carla", "anna", nil}, {invalid, "berta", "carla", "berta", nil}, {down, "berta", "carla", "berta", nil},
		{invalid, down, "carla", "carla", nil}, {down, down, "carla", "carla", nil}, {"anna", down, down, "anna", nil},
		{invalid, invalid, invalid, "", auth.ErrInvalid}, {invalid, down, invalid, "", auth.ErrUnavailable}, {down, down, down, "", auth.ErrUnavailable},
	} {
		clusters := map[string]*server{}
		for name, is := range map[string]string{"a": c.a, "b": c.b, "c": c.c} {
			s := newServer(t)
			clusters[name] = s
			switch is {
			case invalid:
				s.tokens = nil
			case down:
				s.answers["tokenreviews"], s.answers["selfsubjectreviews"] = failure(500, "no"), failure(500, "no")
			default:
				s.tokens[annas] = is
			}
		}
		w := newWorld(user(clusters["c"].direct("c")), dedicated(clusters["a"].direct("a")), user(clusters["b"].direct("b")))
		for range 20 {
			if got, err := w.identify(t, annas); got.Name != c.name || !errors.Is(err, c.err) {
				t.Errorf("%+v: got %+v, %v", c, got, err)
			}
		}
	}
	w := newWorld(user(newServer(t).direct("b")), dedicated(newServer(t).direct("a")))
	if _, err := w.identify(t, bad); err == nil || err.Error() != "invalid credential: no cluster that Kubernetes tokens open accepts it; "+
		"cluster a: the API server does not accept it: [invalid bearer token]; cluster b: the API server does not accept it" {
		t.Errorf("got %v", err)
	}
}

// TestIdentifyWaits: as long as it takes to know the first, and never longer than
// for a review.
func TestIdentifyWaits(t *testing.T) {
	for _, c := range []struct {
		hangs, name string
		wait        time.Duration
	}{{"a", "berta", ReviewTimeout}, {"b", "anna", 0}} {
		synctest.Test(t, func(t *testing.T) {
			a, b := newServer(t), newServer(t)
			b.tokens[annas] = "berta"
			map[string]*server{"a": a, "b": b}[c.hangs].answers["selfsubjectreviews"] = hang
			var clusters []Cluster
			for i := range 3 * MaxListReviews { // more than are asked at once
				clusters = append(clusters, user(b.direct(fmt.Sprint("c", i))))
			}
			w := newWorld(append(clusters, user(a.direct("a")), user(b.direct("b")))...)
			began := time.Now()
			if got, err := w.identify(t, annas); err != nil || got.Name != c.name || time.Since(began) != c.wait {
				t.Errorf("%s hangs: got %+v, %v after %s", c.hangs, got, err, time.Since(began))
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			a.set(func() { a.answers["selfsubjectreviews"] = hang })
			b.set(func() { b.answers["selfsubjectreviews"] = hang })
			began = time.Now()
			if got, err := newWorldOf(w).Identify(ctx, auth.NewCredential(annas)); !errors.Is(err, auth.ErrUnavailable) || time.Since(began) != time.Second {
				t.Errorf("who leaves got %+v, %v after %s", got, err, time.Since(began))
			}
			pass(2 * ReviewTimeout)
		})
	}
}

// claims makes a JWT with that payload.
func claims(payload string) string {
	return jwt(`{"alg":"RS256"}`)[:20] + "." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".c2ln"
}

func TestExpiry(t *testing.T) {
	now := time.Date(2026, 7, 1, 12, 0, 0, 500, time.UTC)
	latest, epoch := now.Add(MaxExpiry).Truncate(time.Second), time.Unix(0, 0).UTC()
	for name, c := range map[string]struct {
		token string
		want  time.Time
	}{
		"opaque":           {annas, time.Time{}},
		"two dots":         {"a.b.c", time.Time{}},
		"two parts":        {strings.TrimSuffix(claims(`{"exp":1782910800}`), ".c2ln"), time.Time{}},
		"four parts":       {claims(`{"exp":1782910800}`) + ".x", time.Time{}},
		"no exp":           {claims(`{"iat":1782910800}`), time.Time{}},
		"no object":        {claims(`[1782910800]`), time.Time{}},
		"no JSON":          {claims(`{"exp":1782910800`), time.Time{}},
		"exp":              {claims(`{"sub":"anna","exp":1782910800}`), time.Unix(1782910800, 0).UTC()},
		"in the past":      {claims(`{"exp":1}`), time.Unix(1, 0).UTC()},
		"with a fraction":  {claims(`{"exp":1782910800.9}`), time.Unix(1782910800, 0).UTC()},
		"with an exponent": {claims(`{"exp":1.7829108e9}`), time.Unix(1782910800, 0).UTC()},
		"text":             {claims(`{"exp":"1782910800"}`), time.Time{}},
		"null":             {claims(`{"exp":null}`), time.Time{}},
		"another case":     {claims(`{"exp":1782910800,"EXP":9}`), time.Unix(1782910800, 0).UTC()},
		"latest":           {claims(fmt.Sprintf(`{"exp":%d}`, latest.Unix())), latest},
		"too late":         {claims(fmt.Sprintf(`{"exp":%d}`, latest.Unix()+1)), latest},
		"milliseconds":     {claims(`{"exp":1782910800000}`), latest},
		"absurd":           {claims(`{"exp":1e300}`), latest},
		"nought":           {claims(`{"exp":0}`), epoch},
		"before all":       {claims(`{"exp":-1e300}`), epoch},
	} {
		if got := expiry(c.token, now); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
	s := newServer(t)
	token := claims(`{"exp":1782910800}`)
	s.tokens[token] = "anna"
	if got, err := newWorld(user(s.direct("local"))).identify(t, token); err != nil || got.Expires.Unix() != 1782910800 {
		t.Errorf("got %+v, %v", got, err)
	}
}
