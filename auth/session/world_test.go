package session

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/promgate/promgate/auth"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantError checks the class of an error, and that it is of no other.
func wantError(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
	for _, other := range []error{auth.ErrMissing, auth.ErrInvalid, auth.ErrUnavailable, auth.ErrForbidden} {
		if want != nil && other != want && errors.Is(err, other) {
			t.Errorf("%s: got %v, which is %v too", what, err, other)
		}
	}
}

// shelf is a Store in memory.
type shelf struct {
	mu      sync.Mutex
	records map[string]Record
	version int
	calls   map[string]int
	stored  [][]byte // all that ever was sealed
	// down is the error of all calls, and before is called before each.
	down   error
	before func(ctx context.Context, call, id string)
}

func newShelf() *shelf { return &shelf{records: map[string]Record{}, calls: map[string]int{}} }

func (s *shelf) call(ctx context.Context, name, id string) error {
	s.mu.Lock()
	s.calls[name]++
	before := s.before
	s.mu.Unlock()
	if before != nil {
		before(ctx, name, id)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.down, ctx.Err())
}

func (s *shelf) put(r Record) {
	s.version++
	s.calls["put"]++
	r.Version = strconv.Itoa(s.version)
	r.Sealed = bytes.Clone(r.Sealed)
	s.records[r.ID] = r
	s.stored = append(s.stored, fmt.Appendf(nil, "%+v", r), r.Sealed)
}

func (s *shelf) Create(ctx context.Context, r Record) error {
	if err := s.call(ctx, "create", r.ID); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.records[r.ID]; taken {
		return errors.New("the id is taken")
	}
	s.put(r)
	return nil
}

func (s *shelf) Get(ctx context.Context, id string) (Record, error) {
	return s.read(ctx, "get", id)
}

func (s *shelf) Latest(ctx context.Context, id string) (Record, error) {
	return s.read(ctx, "latest", id)
}

func (s *shelf) read(ctx context.Context, call, id string) (Record, error) {
	if err := s.call(ctx, call, id); err != nil {
		return Record{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, found := s.records[id]
	if !found {
		return r, fmt.Errorf("in memory: %w", ErrNotFound)
	}
	return r, nil
}

func (s *shelf) Replace(ctx context.Context, r Record) error {
	if err := s.call(ctx, "replace", r.ID); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch before, found := s.records[r.ID]; {
	case !found:
		return ErrNotFound
	case before.Version != r.Version:
		return fmt.Errorf("in memory: %w", ErrConflict)
	}
	s.put(r)
	return nil
}

func (s *shelf) Delete(ctx context.Context, id string) error {
	if err := s.call(ctx, "delete", id); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, found := s.records[id]; !found {
		return ErrNotFound
	}
	delete(s.records, id)
	return nil
}

func (s *shelf) DeleteOwner(ctx context.Context, owner string) error {
	if err := s.call(ctx, "delete owner", owner); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.records, func(_ string, r Record) bool { return r.Owner == owner })
	return nil
}

// set changes how the store behaves.
func (s *shelf) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// count tells how often something was called since the last time.
func (s *shelf) count(call string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.calls[call]
	delete(s.calls, call)
	return n
}

// owners are those of all records.
func (s *shelf) owners() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, r := range s.records {
		all = append(all, r.Owner)
	}
	slices.Sort(all)
	return all
}

// provider lets everybody stay, unless it is told otherwise.
type provider struct {
	resume    func(*User) error
	due       func(*User) bool
	refresh   func(context.Context, *User) (*User, error)
	refreshes atomic.Int64
}

func (p *provider) Resume(u *User) (*auth.Identity, auth.Credential, error) {
	if p.resume != nil {
		if err := p.resume(u); err != nil {
			return nil, auth.Credential{}, err
		}
	}
	return &auth.Identity{Principal: auth.Principal{Kind: u.Kind, ID: u.Name}}, auth.NewCredential(string(u.Secret)), nil
}

func (p *provider) Due(u *User) bool { return p.due != nil && p.due(u) }

func (p *provider) Refresh(ctx context.Context, u *User) (*User, error) {
	p.refreshes.Add(1)
	return p.refresh(ctx, u)
}

const (
	// hidden begins the secrets of all users in these tests.
	hidden   = "hunter2-"
	external = "https://gateway.example"
)

// world is a Manager and what is around it.
type world struct {
	*Manager
	t      testing.TB
	store  *shelf
	local  *provider
	oidc   *provider
	logged *bytes.Buffer
	mu     sync.Mutex // guards cookies and logged
	// cookies are the values of all that were given out.
	cookies []string
}

// Write implements io.Writer, for the log.
func (w *world) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.logged.Write(b)
}

func newWorld(t testing.TB, changes ...func(*Options)) *world {
	w := &world{t: t, store: newShelf(), local: &provider{}, oidc: &provider{}, logged: &bytes.Buffer{}}
	o := Options{
		Store: w.store, Providers: map[auth.Kind]Provider{auth.KindLocal: w.local, auth.KindOIDC: w.oidc},
		External: func() string { return external }, Logger: slog.New(slog.NewJSONHandler(w, nil)),
	}
	for _, change := range changes {
		change(&o)
	}
	w.Manager = NewManager(o)
	t.Cleanup(w.leakCheck)
	return w
}

// leakCheck finds what opens a session where it may not be: in what is stored
// and what is logged.
func (w *world) leakCheck() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	places := append(slices.Clone(w.store.stored), w.logged.Bytes())
	for _, place := range places {
		for _, secret := range append(w.cookies, hidden) {
			for _, form := range formsOf(secret) {
				if bytes.Contains(place, []byte(form)) {
					w.t.Errorf("%q is in what is stored or logged:\n%q", form, place)
				}
			}
		}
	}
}

// formsOf are the forms in which a secret may be found.
func formsOf(secret string) []string {
	raw := []byte(secret)
	forms := []string{secret, hex.EncodeToString(raw), base64.StdEncoding.EncodeToString(raw), fmt.Sprint(raw)}
	if k, err := parseKey(secret); err == nil {
		forms = append(forms, string(k[:]), hex.EncodeToString(k[:]), strings.ToUpper(hex.EncodeToString(k[:])), base64.StdEncoding.EncodeToString(k[:]), fmt.Sprint(k[:]))
	}
	return forms
}

// page is a request of the page itself, with cookies.
func page(cookies ...*http.Cookie) *http.Request {
	r := httptest.NewRequest(http.MethodGet, external+"/api/v1/projects", nil)
	r.Header.Set(PageHeader, "1")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return r
}

// user is somebody with a secret.
func user(kind auth.Kind, name string) User {
	return User{Kind: kind, Name: name, Groups: []string{"team"}, Secret: Secret(hidden + name)}
}

func (w *world) know(c *http.Cookie) *http.Cookie {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.Value != "" {
		w.cookies = append(w.cookies, c.Value)
	}
	return c
}

// signIn begins a session, and returns its cookie.
func (w *world) signIn(u User, before ...*http.Cookie) *http.Cookie {
	w.t.Helper()
	c, s, err := w.SignIn(w.t.Context(), page(before...), u)
	must(w.t, err)
	if s.User.Name != u.Name || s.User.Kind != u.Kind {
		w.t.Errorf("signed in as %v", s.User)
	}
	return w.know(c)
}

// want checks who is signed in with a cookie; an error: nobody, for that one.
func (w *world) want(c *http.Cookie, want any) {
	w.t.Helper()
	id, credential, err := w.Authenticate(w.t.Context(), page(c), auth.OwnPage)
	if class, ok := want.(error); ok {
		wantError(w.t, "authenticate", err, class)
		if id != nil || credential.Secret() != "" {
			w.t.Errorf("got %+v beside %v", id, err)
		}
		return
	}
	if err != nil || string(id.Principal.Kind)+":"+id.Principal.ID != want || !strings.HasPrefix(credential.Secret(), hidden) {
		w.t.Errorf("got %+v, %v, want %v", id, err, want)
	}
}

// pass lets time go by, in a bubble.
func pass(d time.Duration) { <-time.After(d) }
