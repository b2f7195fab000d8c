package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/auth/session"
)

// people are the users of a file and of an OpenID provider.
type people struct {
	mu     sync.Mutex
	grants map[string][]auth.Grant
}

func newPeople() *people {
	whole := func(project string, manage bool) auth.Grant {
		return auth.Grant{ProjectUID: "uid-" + project, WholeProject: true, Manage: manage}
	}
	return &people{grants: map[string][]auth.Grant{
		"anna":  {whole("shop", true)},
		"boris": {whole("shop", false)},
		"dora":  {whole("shop", true), whole("billing", true), whole("shop-x", false)},
		"carl":  nil,
	}}
}

func passwordOf(name string) string { return "the-password-of-" + name }

func (p *people) set(name string, g ...auth.Grant) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.grants[name] = g
}

// signIn knows everybody by their password; "disabled" may not sign in.
func (p *people) signIn(_ context.Context, name, password string) (session.User, error) {
	p.mu.Lock()
	_, known := p.grants[name]
	p.mu.Unlock()
	switch {
	case name == "late":
		return session.User{}, fmt.Errorf("waiting to check a password: %w", context.DeadlineExceeded)
	case name == "disabled":
		return session.User{}, fmt.Errorf("%w: disabled", auth.ErrInvalid)
	case !known:
		return session.User{}, fmt.Errorf("%w: unknown", auth.ErrInvalid)
	case password != passwordOf(name):
		return session.User{}, fmt.Errorf("%w: wrong password", auth.ErrInvalid)
	}
	return session.User{Kind: auth.KindLocal, Name: name, Groups: []string{"staff"}}, nil
}

// Resume gives the grants that somebody has now.
func (p *people) Resume(u *session.User) (*auth.Identity, auth.Credential, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	g, known := p.grants[u.Name]
	if !known {
		return nil, auth.Credential{}, fmt.Errorf("%w: gone", auth.ErrInvalid)
	}
	return &auth.Identity{Principal: auth.Principal{Kind: u.Kind, ID: u.Name}, Grants: g}, auth.Credential{}, nil
}

func (*people) Due(*session.User) bool { return false }

func (*people) Refresh(_ context.Context, u *session.User) (*session.User, error) { return u, nil }

// kubeUsers are callers whose rights RBAC keeps. Their tokens begin with "user-".
type kubeUsers struct {
	mu sync.Mutex
	// opens holds namespace/name by token, and manages cluster/namespace.
	opens, manages map[string][]string
	asked          []string
	down           bool
	until          time.Time
}

func newKubeUsers() *kubeUsers {
	return &kubeUsers{
		opens: map[string][]string{
			"user-jane": {"shop/http:prometheus-production:web", "shop/http:prometheus-closed:web"},
			"user-mona": {"shop/http:prometheus-production:web", "shop-x/http:prometheus-production:web"}, "user-none": nil,
		},
		manages: map[string][]string{"user-mona": {"local/shop"}},
	}
}

func (u *kubeUsers) signIn(_ context.Context, c auth.Credential) (session.User, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, known := u.opens[c.Secret()]; !known {
		return session.User{}, fmt.Errorf("%w: no cluster knows it", auth.ErrInvalid)
	}
	if u.down {
		return session.User{}, fmt.Errorf("%w: no cluster answers", auth.ErrUnavailable)
	}
	name := strings.TrimPrefix(c.Secret(), "user-")
	return session.User{Kind: auth.KindKubernetes, Name: name, Secret: session.Secret(c.Secret()), Until: u.until}, nil
}

func (u *kubeUsers) Resume(user *session.User) (*auth.Identity, auth.Credential, error) {
	c := auth.NewCredential(string(user.Secret))
	id, err := u.Authenticate(context.Background(), c)
	return id, c, err
}

func (*kubeUsers) Due(*session.User) bool { return false }

func (*kubeUsers) Refresh(_ context.Context, u *session.User) (*session.User, error) { return u, nil }

func (*kubeUsers) Recognizes(c auth.Credential) bool { return strings.HasPrefix(c.Secret(), "user-") }

func (u *kubeUsers) Authenticate(_ context.Context, c auth.Credential) (*auth.Identity, error) {
	return &auth.Identity{
		Principal: auth.Principal{Kind: auth.KindKubernetes, ID: strings.TrimPrefix(c.Secret(), "user-")}, Access: &kubeAccess{u, c.Secret()},
	}, nil
}

type kubeAccess struct {
	users *kubeUsers
	token string
}

// known tells whether the token is anybody's.
func (a *kubeAccess) known() ([]string, error) {
	a.users.mu.Lock()
	defer a.users.mu.Unlock()
	opens, known := a.users.opens[a.token]
	switch {
	case a.users.down:
		return nil, fmt.Errorf("%w: no answer", auth.ErrUnavailable)
	case !known:
		return nil, fmt.Errorf("%w: nobody's", auth.ErrInvalid)
	}
	return opens, nil
}

func (a *kubeAccess) Query(_ context.Context, r auth.Resource) (auth.Principal, error) {
	p := auth.Principal{Kind: auth.KindKubernetes, ID: strings.TrimPrefix(a.token, "user-")}
	opens, err := a.known()
	if err != nil {
		return p, err
	}
	for _, o := range opens {
		if r.Cluster == "local" && o == r.Namespace+"/"+r.Name {
			return p, nil
		}
	}
	return p, fmt.Errorf("%w: by RBAC", auth.ErrForbidden)
}

func (a *kubeAccess) Queryable(ctx context.Context, all []auth.Resource) ([]bool, error) {
	if _, err := a.known(); err != nil {
		return nil, err
	}
	open := make([]bool, len(all))
	for i, r := range all {
		_, err := a.Query(ctx, r)
		open[i] = err == nil
	}
	return open, nil
}

func (a *kubeAccess) May(_ context.Context, actions []auth.Action) ([]bool, error) {
	if _, err := a.known(); err != nil {
		return nil, err
	}
	a.users.mu.Lock()
	defer a.users.mu.Unlock()
	may := make([]bool, len(actions))
	for i, action := range actions {
		where := action.Cluster + "/" + action.Namespace
		a.users.asked = append(a.users.asked, where)
		creating := auth.Action{Cluster: action.Cluster, Verb: "create", Group: "promgate.io", Resource: "endpointtokens", Namespace: action.Namespace}
		may[i] = action == creating && slices.Contains(a.users.manages[a.token], where)
	}
	return may, nil
}

// idp is an OpenID provider.
type idp struct {
	mu    sync.Mutex
	began int
	down  bool
}

const idpLocation = "https://idp.example/authorize?client_id=promgate&state="

func (p *idp) begin(context.Context) (kept []byte, location string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		return nil, "", fmt.Errorf("%w: the provider does not answer", auth.ErrUnavailable)
	}
	p.began++
	state := "state-" + strconv.Itoa(p.began)
	kept, err = json.Marshal(map[string]string{"state": state})
	return kept, idpLocation + state, err
}

// complete takes the name of who has signed in for the code.
func (p *idp) complete(_ context.Context, kept []byte, query url.Values) (session.User, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var begun struct {
		State string `json:"state"`
	}
	if err := json.Unmarshal(kept, &begun); err != nil {
		return session.User{}, err
	}
	switch {
	case p.down:
		return session.User{}, fmt.Errorf("%w: the provider does not answer", auth.ErrUnavailable)
	case query.Get("state") != begun.State:
		return session.User{}, fmt.Errorf("%w: the state is that of another attempt", auth.ErrInvalid)
	case query.Get("code") == "ended":
		return session.User{Kind: auth.KindOIDC, Name: "anna", Until: time.Unix(1, 0)}, nil
	}
	return session.User{Kind: auth.KindOIDC, Name: query.Get("code")}, nil
}
