package kube

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
)

const roleOfShop = `apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: "promgate:tokens"
  namespace: "shop"
rules:
  - apiGroups: ["promgate.io"]
    resources: ["endpointtokens"]
    verbs: ["list", "watch"]
  - apiGroups: ["promgate.io"]
    resources: ["endpointtokens/status"]
    verbs: ["patch"]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: "promgate:tokens"
  namespace: "shop"
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: "promgate:tokens"
subjects:
  - kind: ServiceAccount
    name: "promgate"
    namespace: "promgate-system"
`

const roleOfKeys = `rules:
  - apiGroups: [""]
    resources: ["secrets"]
    resourceNames: ["promgate-signing-keys"]
    verbs: ["get", "list", "watch", "patch"]
  - apiGroups: [""]
    resources: ["secrets"]
    verbs: ["create"]
---
`

const (
	tokensFail  = `level=WARN msg="endpoint tokens cannot be followed" cluster=local namespace=shop resource=endpointtokens.promgate.io problem=`
	tokensAgain = `level=INFO msg="endpoint tokens can be followed again" cluster=local namespace=shop resource=endpointtokens.promgate.io` + "\n"
)

// TestProblems: what is refused is logged once, with what to do, and once more
// when it works.
func TestProblems(t *testing.T) {
	forbidden := tokensFail + `"the gateway may not use endpoint tokens in namespace shop: grant it list and watch on endpointtokens and patch on endpointtokens/status" ` +
		`cause="endpointtokens in shop: refused" advice=` + fmt.Sprintf("%q", roleOfShop) + "\n"
	missing := tokensFail + `"the kind EndpointToken is not installed: apply deploy/kubernetes/crd" cause="endpointtokens in shop: refused"` + "\n"
	for name, test := range map[string]struct {
		what []string
		code int
		want string
	}{
		"forbidden":          {[]string{"list", "watch"}, 403, forbidden},
		"forbidden to watch": {[]string{"watch"}, 403, forbidden},
		"not installed":      {[]string{"list", "watch"}, 404, missing},
		"unauthorized": {[]string{"list", "watch"}, 401, tokensFail + `"the API server does not accept the gateway's credentials: renew them" ` +
			`cause="endpointtokens in shop: refused"` + "\n"},
		"out of order": {[]string{"list", "watch"}, 500, tokensFail + `"endpoint tokens in namespace shop cannot be read: check that the API server can be reached" ` +
			`cause="endpointtokens in shop: refused"` + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			eachServer(t, func(t *testing.T, p *plane) {
				refuse := func(code int) {
					for _, verb := range test.what {
						p.refusing(code, verb+" endpointtokens shop")
					}
				}
				refuse(test.code)
				p.put(tokenObject("shop", 1))
				p.put(tokenObject("bank", 2))
				g := p.gateway(t, "shop", "bank")
				g.run()
				pass(5 * time.Minute)
				synctest.Wait()
				if text := g.logged.take(); text != test.want {
					t.Errorf("logged\n%swant\n%s", text, test.want)
				}
				if s := g.Snapshot(); s.Tokens[idOf(2, 1)].Part.Age(time.Now()) > 6*time.Second {
					t.Error("the other namespace suffers")
				}
				refuse(0)
				pass(15 * time.Second)
				g.want(idOf(1, 1), idOf(2, 1))
				g.stale(false)
				if text := g.logged.take(); text != tokensAgain {
					t.Errorf("logged\n%swant\n%s", text, tokensAgain)
				}
				refuse(test.code) // while it is followed
				pass(time.Minute)
				g.stale(true)
				if text := g.logged.take(); text != test.want {
					t.Errorf("logged\n%swant\n%s", text, test.want)
				}
			})
		})
	}
}

// TestForbiddenKeys: without its Secret the store has no snapshot, and the log
// says how it gets it.
func TestForbiddenKeys(t *testing.T) {
	inBubble(t, func(t *testing.T, p *plane) {
		p.refusing(403, "get secrets", "list secrets", "watch secrets", "post secrets")
		g := p.gateway(t, "shop")
		g.run()
		pass(2 * time.Minute)
		const want = `level=WARN msg="endpoint tokens cannot be followed" cluster=local namespace=promgate-system resource=secrets ` +
			`problem="the gateway may not use the Secret promgate-signing-keys in namespace promgate-system: grant it get, list, watch and patch on it, ` +
			`and create on secrets in this namespace" cause="secrets in promgate-system: refused" advice="`
		if text := g.logged.take(); !strings.HasPrefix(text, want) || strings.Count(text, "\n") != 1 || !strings.Contains(text, strings.Trim(fmt.Sprintf("%q", roleOfKeys), `"`)) {
			t.Errorf("logged\n%swant\n%s", text, want)
		}
		if g.Snapshot() != nil {
			t.Error("there is a snapshot")
		}
		p.refusing(0, "get secrets", "list secrets", "watch secrets")
		pass(2 * time.Minute)
		text := g.logged.take()
		if strings.Count(text, "\n") != 2 || !strings.Contains(text, `msg="the signing keys cannot be made: until then no token can be made or used" cluster=local namespace=promgate-system`) ||
			!strings.Contains(text, "can be followed again") {
			t.Errorf("logged\n%s", text)
		}
		p.heal()
		pass(10 * time.Second)
		g.want()
		g.stale(false)
	})
}

// TestCause: what may quote an answer is not shown.
func TestCause(t *testing.T) {
	err := fmt.Errorf("list: %w", runtime.NewMissingKindErr(`{"data":{"a":"private"}}`))
	if got := cause(err); strings.Contains(got.Error(), "private") || !errors.Is(got, errUnreadable) {
		t.Errorf("got %v", got)
	}
}
