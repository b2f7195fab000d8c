package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/auth/session"
)

// rotating is a provider that gives a new secret at each refresh, and takes the
// use of an old one for theft.
type rotating struct {
	mu      sync.Mutex
	current int
	thefts  int
	wanted  atomic.Int64
}

func (p *rotating) Resume(u *session.User) (*auth.Identity, auth.Credential, error) {
	return &auth.Identity{Principal: auth.Principal{Kind: u.Kind, ID: u.Name}}, auth.Credential{}, nil
}

func (p *rotating) Due(u *session.User) bool {
	return string(u.Secret) != fmt.Sprint("hunter2-", p.wanted.Load())
}

func (p *rotating) Refresh(_ context.Context, u *session.User) (*session.User, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if string(u.Secret) != fmt.Sprint("hunter2-", p.current) {
		p.thefts++
		return nil, fmt.Errorf("%w: the secret was used before", auth.ErrInvalid)
	}
	p.current++
	next := *u
	next.Secret = session.Secret(fmt.Sprint("hunter2-", p.current))
	return &next, nil
}

// ofPage is a request of the page with cookies.
func ofPage(cookies ...*http.Cookie) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "https://gateway/", nil)
	r.Header.Set(session.PageHeader, "1")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return r
}

// TestManagers: people sign in on one replica and are known on the other, a
// secret is renewed by one of them alone, attempts count once, and what is
// stored holds nothing of it.
func TestManagers(t *testing.T) {
	namespace, kubeconfig := home(t, plane(t), true)
	a, b := running(t, namespace, kubeconfig), running(t, namespace, kubeconfig)
	p := &rotating{}
	var managers []*session.Manager
	for _, s := range []*replica{a, b} {
		managers = append(managers, session.NewManager(session.Options{Store: s, Providers: map[auth.Kind]session.Provider{auth.KindOIDC: p}}))
	}
	cookie, _, err := managers[0].SignIn(t.Context(), ofPage(), session.User{Kind: auth.KindOIDC, Name: "anna", Secret: "hunter2-0"})
	must(t, err)
	for n := range 10 {
		p.wanted.Store(int64(n + 1))
		var wait sync.WaitGroup
		for i := range 40 {
			wait.Go(func() {
				if id, _, err := managers[i%2].Authenticate(context.Background(), ofPage(cookie), auth.OwnPage); err != nil || id.Principal.ID != "anna" {
					t.Errorf("got %+v, %v", id, err)
				}
			})
		}
		wait.Wait()
		if p.current != n+1 || p.thefts > 0 {
			t.Fatalf("%d refreshes, want %d; %d thefts", p.current, n+1, p.thefts)
		}
	}
	for range 5 {
		attempt, err := managers[0].BeginAttempt(t.Context(), "hunter2-kept")
		must(t, err)
		var wait sync.WaitGroup
		var won, lost atomic.Int64
		for i := range 50 {
			wait.Go(func() {
				var kept string
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				r.AddCookie(attempt)
				switch _, err := managers[i%2].TakeAttempt(context.Background(), r, &kept); {
				case err == nil && kept == "hunter2-kept":
					won.Add(1)
				case errors.Is(err, auth.ErrInvalid):
					lost.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wait.Wait()
		if won.Load() != 1 || lost.Load() != 49 {
			t.Errorf("%d got it, %d did not", won.Load(), lost.Load())
		}
	}

	list, err := a.client().List(t.Context(), metav1.ListOptions{})
	must(t, err)
	text, err := list.MarshalJSON()
	must(t, err)
	if all := string(text) + a.logged.String() + b.logged.String(); len(list.Items) != 1 || strings.Contains(all, "hunter2") || strings.Contains(all, cookie.Value) {
		t.Errorf("%d objects: %s", len(list.Items), text)
	}
	if _, err := managers[1].SignOut(t.Context(), ofPage(cookie), true); err != nil {
		t.Error(err)
	}
	eventually(t, "that nobody is signed in", func() bool {
		_, _, err := managers[0].Authenticate(context.Background(), ofPage(cookie), auth.OwnPage)
		return errors.Is(err, auth.ErrInvalid)
	})
}
