package perses

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/promgate/promgate/auth"
)

// Credentials of the tests.
const (
	anna      = "user-anna"  // a Kubernetes user who sees shop, and may query production and staging of it
	ben       = "user-ben"   // a Kubernetes user who sees billing
	carla     = "user-carla" // a Kubernetes user who sees everything, and may query nothing
	dora      = "local-dora" // a user of the users file who sees shop, and may query all of it
	ended     = "user-ended" // a Kubernetes token that nobody has looked at yet, and that is not good
	pasted    = "token-shop" // an endpoint token of shop
	unknown   = "nobody-s"
	unchecked = "token-nobody-can-vouch-for"
)

// fakeObjects are Objects in memory.
type fakeObjects struct {
	mu      sync.Mutex
	all     map[*Kind]*Listing
	sees    map[string][]string // the namespaces that a credential sees
	failure error
	asked   []string
}

func newFakeObjects() *fakeObjects {
	return &fakeObjects{all: map[*Kind]*Listing{}, sees: map[string][]string{
		anna: {"shop"}, ben: {"billing"}, carla: {"billing", "shop"}, "dora": {"shop"},
	}}
}

// put adds an object, and returns it.
func (f *fakeObjects) put(k *Kind, namespace, name, spec string, change ...func(*Object)) *Object {
	at := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
	o := &Object{
		Kind: k, Namespace: namespace, Name: name, Revision: "7", Version: 3, Created: at, Updated: at.Add(time.Hour),
		Spec: json.RawMessage(spec),
	}
	for _, c := range change {
		c(o)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all[k] == nil {
		f.all[k] = &Listing{}
	}
	l := f.all[k]
	l.Objects = slices.DeleteFunc(slices.Clone(l.Objects), func(old *Object) bool { return old.Namespace == namespace && old.Name == name })
	l.Objects = append(l.Objects, o)
	slices.SortFunc(l.Objects, func(a, b *Object) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return o
}

func (f *fakeObjects) skip(s Skipped) {
	if f.all[s.Kind] == nil {
		f.all[s.Kind] = &Listing{}
	}
	f.all[s.Kind].Skipped = append(f.all[s.Kind].Skipped, s)
}

// fail has every further question fail.
func (f *fakeObjects) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failure = err
}

// take returns what was asked since it was last called.
func (f *fakeObjects) take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	asked := f.asked
	f.asked = nil
	return asked
}

// viewer returns the namespaces that the viewer sees.
func (f *fakeObjects) viewer(v Viewer, question string) ([]string, error) {
	f.asked = append(f.asked, question)
	if f.failure != nil {
		return nil, f.failure
	}
	name := v.Identity.Principal.ID
	switch v.Identity.Principal.Kind {
	case auth.KindEndpointToken:
		return nil, auth.ErrForbidden
	case auth.KindKubernetes:
		name = v.Credential.Secret()
	default:
		if v.Credential.Secret() != "" {
			return nil, fmt.Errorf("somebody else's credential")
		}
	}
	if sees, known := f.sees[name]; known {
		return sees, nil
	}
	return nil, fmt.Errorf("%w: the API server does not know it", auth.ErrInvalid)
}

func (f *fakeObjects) Verify(_ context.Context, v Viewer) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := f.viewer(v, "verify")
	return err
}

func (f *fakeObjects) Projects(_ context.Context, v Viewer) ([]Project, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	sees, err := f.viewer(v, "projects")
	var all []Project
	for _, name := range sees {
		all = append(all, Project{Name: name, Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)})
	}
	return all, err
}

func (f *fakeObjects) List(_ context.Context, v Viewer, k *Kind, namespace string) (*Listing, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	sees, err := f.viewer(v, "list "+k.Resource+" "+namespace)
	if err != nil {
		return nil, err
	}
	list := &Listing{}
	if f.all[k] == nil {
		return list, nil
	}
	seen := func(at string) bool {
		return k.Global || slices.Contains(sees, at) && (namespace == "" || namespace == at)
	}
	for _, o := range f.all[k].Objects {
		if seen(o.Namespace) {
			list.Objects = append(list.Objects, o)
		}
	}
	for _, s := range f.all[k].Skipped {
		if seen(s.Namespace) {
			list.Skipped = append(list.Skipped, s)
		}
	}
	return list, nil
}

func (f *fakeObjects) Get(ctx context.Context, v Viewer, k *Kind, namespace, name string) (*Object, error) {
	l, err := f.List(ctx, v, k, namespace)
	if err != nil {
		return nil, err
	}
	for _, o := range l.Objects {
		if o.Name == name {
			return o, nil
		}
	}
	return nil, ErrNotFound
}

// apiUsers vouches for the credentials of the tests.
type apiUsers struct{ api *apiHarness }

func (apiUsers) Recognizes(c auth.Credential) bool { return c.Secret() != unknown }

func (u apiUsers) Authenticate(_ context.Context, c auth.Credential) (*auth.Identity, error) {
	whole := []auth.Grant{{ProjectUID: "uid-shop", WholeProject: true}}
	switch secret := c.Secret(); {
	case secret == unchecked:
		return nil, fmt.Errorf("%w: the store is closed", auth.ErrUnavailable)
	case secret == pasted:
		return &auth.Identity{Principal: auth.Principal{Kind: auth.KindEndpointToken, ID: "id-shop"}, Grants: whole}, nil
	case secret == dora:
		return &auth.Identity{Principal: auth.Principal{Kind: auth.KindLocal, ID: "dora"}, Grants: whole}, nil
	case strings.HasPrefix(secret, "user-"):
		return &auth.Identity{Principal: auth.Principal{Kind: auth.KindKubernetes, ID: "sha256:0"}, Access: &apiAccess{u.api, secret}}, nil
	}
	return nil, fmt.Errorf("%w: unknown", auth.ErrInvalid)
}

// apiAccess decides as RBAC would.
type apiAccess struct {
	api   *apiHarness
	token string
}

func (a *apiAccess) Query(_ context.Context, r auth.Resource) (auth.Principal, error) {
	p := auth.Principal{Kind: auth.KindKubernetes, ID: a.token}
	may, known := map[string][]string{
		anna: {"shop/http:prometheus:web", "shop/http:staging:9090", "shop/http:shared:9090"}, ben: {"billing/http:prometheus:web"}, carla: nil,
	}[a.token]
	switch {
	case !known:
		return p, fmt.Errorf("%w: nobody's", auth.ErrInvalid)
	case r.Cluster != "" && slices.Contains(may, r.Namespace+"/"+r.Name):
		return p, nil
	}
	return p, fmt.Errorf("%w: by RBAC", auth.ErrForbidden)
}

func (a *apiAccess) Queryable(ctx context.Context, all []auth.Resource) ([]bool, error) {
	a.api.reviews.Add(1)
	open := make([]bool, len(all))
	for i, r := range all {
		_, err := a.Query(ctx, r)
		if cannotTell := err != nil && !strings.Contains(err.Error(), "RBAC"); cannotTell {
			return nil, err
		}
		open[i] = err == nil
	}
	return open, nil
}

func (*apiAccess) May(_ context.Context, all []auth.Action) ([]bool, error) {
	return make([]bool, len(all)), nil
}

// apiUpstream stands behind all environments, and records what it is asked.
type apiUpstream struct {
	*httptest.Server
	mu     sync.Mutex
	calls  []string
	answer http.HandlerFunc
}

func newAPIUpstream(t testing.TB) *apiUpstream {
	u := &apiUpstream{}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		u.mu.Lock()
		u.calls = append(u.calls, r.Method+" "+r.RequestURI+" "+string(body))
		answer := u.answer
		u.mu.Unlock()
		if answer != nil {
			answer(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"status":"success","data":[]}`)
	}))
	t.Cleanup(u.Close)
	return u
}

func (u *apiUpstream) answerWith(h http.HandlerFunc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answer = h
}

func (u *apiUpstream) take() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	calls := u.calls
	u.calls = nil
	return calls
}
