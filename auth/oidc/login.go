package oidc

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"time"

	"github.com/promgate/promgate/auth"
)

// Attempt is a sign-in that was begun: what is kept, for this browser alone,
// until it comes back. Its JSON holds secrets; nothing else that is made of it
// does.
type Attempt struct {
	// State comes back with the browser. It is in the authorization URL too.
	State           string
	nonce, verifier auth.Credential
}

type attemptJSON struct {
	State    string `json:"state"`
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"`
}

// MarshalJSON writes the attempt with its secrets.
func (a Attempt) MarshalJSON() ([]byte, error) {
	return json.Marshal(attemptJSON{a.State, a.nonce.Secret(), a.verifier.Secret()})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (a *Attempt) UnmarshalJSON(data []byte) error {
	var j attemptJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	*a = Attempt{State: j.State, nonce: auth.NewCredential(j.Nonce), verifier: auth.NewCredential(j.Verifier)}
	return nil
}

// String tells nothing of the attempt.
func (a Attempt) String() string { return "[redacted]" }

// Format keeps the secrets out of formatted text, whatever the verb.
func (a Attempt) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, a.String()) }

// LogValue keeps the secrets out of logs.
func (a Attempt) LogValue() slog.Value { return slog.StringValue(a.String()) }

// matches is the error of a callback that does not belong to the attempt.
func (a Attempt) matches(callback url.Values) error {
	for _, name := range []string{"state", "code", "iss", "error"} {
		if len(callback[name]) > 1 { // RFC 6749 section 3.1: at most once
			return fmt.Errorf("%w: it has the parameter %s twice", ErrAttempt, name)
		}
	}
	switch {
	case a.State == "" || a.nonce.Secret() == "" || a.verifier.Secret() == "":
		return fmt.Errorf("%w: there is none", ErrAttempt) // nothing equals nothing
	case !equal(a.State, callback.Get("state")):
		return fmt.Errorf("%w: its state is another one's", ErrAttempt)
	}
	return nil
}

// Login is who has signed in, and what it takes to ask about them again. It is
// never changed. Its JSON holds secrets; nothing else that is made of it does.
type Login struct {
	// Subject is who it is for the provider, and never another person.
	Subject string
	// Name is of the username claim: 1 to 128 printable characters. The provider
	// may give the person another one.
	Name string
	// Groups are in the order of the provider.
	Groups []string
	// CheckedAt is when the provider was last asked.
	CheckedAt time.Time

	// refreshToken is empty where the provider gave none.
	refreshToken auth.Credential
	// nonce is of the sign-in: a later id token has the same or none.
	nonce auth.Credential
}

type loginJSON struct {
	Subject      string    `json:"subject"`
	Name         string    `json:"name"`
	Groups       []string  `json:"groups,omitempty"`
	CheckedAt    time.Time `json:"checkedAt"`
	RefreshToken string    `json:"refreshToken,omitempty"`
	Nonce        string    `json:"nonce,omitempty"`
}

// MarshalJSON writes the login with its secrets.
func (l Login) MarshalJSON() ([]byte, error) {
	return json.Marshal(loginJSON{l.Subject, l.Name, l.Groups, l.CheckedAt, l.refreshToken.Secret(), l.nonce.Secret()})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (l *Login) UnmarshalJSON(data []byte) error {
	var j loginJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	*l = Login{
		Subject: j.Subject, Name: j.Name, Groups: j.Groups, CheckedAt: j.CheckedAt,
		refreshToken: auth.NewCredential(j.RefreshToken), nonce: auth.NewCredential(j.Nonce),
	}
	return nil
}

// String names the person.
func (l Login) String() string { return fmt.Sprintf("login of %q", l.Name) }

// Format keeps the secrets out of formatted text, whatever the verb.
func (l Login) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, l.String()) }

// LogValue keeps the secrets out of logs.
func (l Login) LogValue() slog.Value { return slog.StringValue(l.String()) }

// Refreshable tells whether the provider can be asked about the person again.
// Where it cannot, the login ends when it is Due.
func (l *Login) Refreshable() bool { return l.refreshToken.Secret() != "" }

// Due tells whether RefreshInterval has passed since CheckedAt. A login that
// was checked in the future is due: one of two clocks was wrong.
func (p *Provider) Due(l *Login) bool {
	return !within(p.options.Now(), l.CheckedAt, p.options.RefreshInterval)
}

// clone is a copy that shares nothing.
func (l *Login) clone() *Login {
	c := *l
	c.Groups = slices.Clone(l.Groups)
	return &c
}

// within tells whether now is less than d after then, and not before it.
func within(now, then time.Time, d time.Duration) bool {
	age := now.Sub(then)
	return 0 <= age && age < d
}

// equal compares in constant time.
func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
