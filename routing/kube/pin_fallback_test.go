package kube

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promgate/promgate/kube"
)

func timeoutContext(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}

func mustURL(text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil {
		panic(err)
	}
	return u
}

// lines are the log's records since the last call.
func (p *pinnedTest) lines() []string {
	synctest.Wait()
	text := strings.TrimSpace(p.logged.String())
	p.logged.Reset()
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// wantLog checks that there is one record for each list of words.
func (p *pinnedTest) wantLog(records ...[]string) {
	p.t.Helper()
	lines := p.lines()
	if len(lines) != len(records) {
		p.t.Errorf("%d records, want %d: %q", len(lines), len(records), lines)
		return
	}
	for i, words := range records {
		for _, w := range words {
			if !strings.Contains(lines[i], w) {
				p.t.Errorf("no %q in %s", w, lines[i])
			}
		}
	}
}

// TestPodsDenied: without the right to ask pods the service proxy is asked, in
// the same request, and pods again when the right is there.
func TestPodsDenied(t *testing.T) {
	f := newFleet("prometheus-0", "prometheus-1")
	f.denied["pods"] = true
	inBubble(t, f, "", ref, func(p *pinnedTest) {
		first := ""
		if asked := strings.Fields(p.query()); len(asked) == 2 && asked[1] == "service" {
			first = asked[0]
		} else {
			t.Fatalf("asked %s", asked)
		}
		p.wantLog([]string{"level=WARN", "service shop/prometheus:web on cluster local", "may not get pods/proxy in namespace shop",
			`promgate:get:pods`, "endpointslices", "name: \\\"promgate\\\""})
		pass(deniedFor - time.Millisecond)
		p.want("service")
		pass(time.Millisecond)
		p.want(first + " service")
		p.want("service")
		p.wantLog() // it was told
		p.set(func() { p.denied["pods"] = false })
		pass(deniedFor)
		p.want(first)
		p.want(first)
		p.wantLog([]string{"level=INFO", "pinned to one pod again", "service shop/prometheus:web on cluster local"})
		p.set(func() { p.denied["pods"] = true })
		p.want(first + " service")
		p.wantLog([]string{"level=WARN"})
	})
}

// TestPostDenied: POST needs a verb of its own, and GET is not held back by it.
func TestPostDenied(t *testing.T) {
	f := newFleet("prometheus-0", "prometheus-1")
	f.denied["create pods"] = true
	inBubble(t, f, "", ref, func(p *pinnedTest) {
		first := p.preferred()[0]
		post := func(body io.Reader, want string) {
			t.Helper()
			p.take()
			code, answer := p.do(p.request(http.MethodPost, "/api/v1/read", body))
			if got := p.take(); code != http.StatusOK || !strings.HasSuffix(answer, "query") || got != want {
				t.Errorf("got %d %.100s of %s, want %s", code, answer, got, want)
			}
		}
		stream := func() io.Reader { return io.MultiReader(strings.NewReader("query")) }
		long := func() io.Reader { return strings.NewReader(strings.Repeat("x", 2*maxKeptBody) + "query") }
		longStream := func() io.Reader { return io.MultiReader(long()) }
		post(longStream(), "service") // it could not be sent again
		p.wantLog()
		post(stream(), first+" service")
		p.wantLog([]string{"level=WARN", "may not create pods/proxy", "promgate:create:pods"})
		p.want(first)
		post(stream(), "service")
		pass(deniedFor)
		post(strings.NewReader("query"), first+" service")
		pass(deniedFor)
		post(long(), first+" service")
		pass(deniedFor)
		post(longStream(), "service")
		p.set(func() { p.denied["create pods"] = false })
		pass(deniedFor)
		post(stream(), first)
		post(longStream(), first)
		p.wantLog([]string{"level=INFO"})
	})
}

// TestSlicesDenied: without the right to watch slices the service proxy is asked
// at once.
func TestSlicesDenied(t *testing.T) {
	f := newFleet("prometheus-0")
	f.denied["endpointslices"] = true
	inBubble(t, f, "", ref, func(p *pinnedTest) {
		began := time.Now()
		p.want("service")
		if took := time.Since(began); took > 0 {
			t.Errorf("it waited %s", took)
		}
		p.wantLog([]string{"level=WARN", "pods cannot be watched", "endpointslices is forbidden", "promgate:get:pods"})
		pass(time.Minute)
		p.want("service")
		p.wantLog()
		p.set(func() { p.denied["endpointslices"], p.held = false, true })
		pass(15 * time.Second) // at most ten and their jitter
		p.want("service")
		p.wantLog() // it was told why, and nothing else is wrong
		p.set(func() { p.held = false })
		p.put(webSlice("prometheus-0"))
		synctest.Wait()
		p.want("prometheus-0")
		p.wantLog([]string{"level=INFO", "pinned to one pod again"})
	})
}

// TestSlicesLate: the first questions wait for the slices, but not for long.
func TestSlicesLate(t *testing.T) {
	f := newFleet("prometheus-0")
	f.mute = true
	inBubble(t, f, "", ref, func(p *pinnedTest) {
		began := time.Now()
		p.want("service")
		if took := time.Since(began); took != firstSync {
			t.Errorf("it waited %s", took)
		}
		p.want("service")
		if took := time.Since(began); took != firstSync {
			t.Errorf("the second waited, %s in all", took)
		}
		p.wantLog([]string{"level=WARN", "did not arrive within 2s"})
		if p.outcomes["service"] != 2 {
			t.Errorf("outcomes %v", p.outcomes)
		}
	})
}

// TestNoPod: without a pod that can be told, the service proxy is asked.
func TestNoPod(t *testing.T) {
	numbered := ref
	numbered.Port = "9090"
	two := `[{"name":"web","port":9090},{"name":"reload","port":8080}]`
	for _, c := range []struct {
		name   string
		ref    ServiceRef
		slice  map[string]any
		reason string
	}{
		{"no slices", ref, nil, "no ready pod of the Service is known"},
		{"of another Service", ref, slice("a", "other", two, "prometheus-0"), "no ready pod of the Service is known"},
		{"none is ready", ref, webSlice("!prometheus-0"), "no ready pod of the Service is known"},
		{"another port", ref, slice("a", "prometheus", `[{"name":"http","port":9090}]`, "prometheus-0"), "have no port web: they have http"},
		{"one of several ports by number", numbered, slice("a", "prometheus", two, "prometheus-0"), "several ports (web, reload)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFleet()
			if c.slice != nil {
				f.put(c.slice)
			}
			inBubble(t, f, "", c.ref, func(p *pinnedTest) {
				p.want("service")
				p.want("service")
				lines := p.lines()
				if len(lines) != 1 || !strings.Contains(lines[0], c.reason) || strings.Contains(lines[0], "advice") {
					t.Errorf("logged %q", lines)
				}
				if c.slice != nil {
					p.remove(c.slice)
				}
				p.put(webSlice("prometheus-0"))
				synctest.Wait()
				p.want("prometheus-0")
				p.wantLog([]string{"level=INFO"})
			})
		})
	}
}

func TestPodsRole(t *testing.T) {
	c := &Cluster{Connection: &kube.Connection{Name: "local", Subject: kube.Subject{Namespace: "promgate-system", Account: "promgate"}}}
	const want = `# For all pods of the namespace: their names change, so that resourceNames cannot name them.
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: "promgate:get:pods"
  namespace: "shop"
rules:
  - apiGroups: [""]
    resources: ["pods/proxy"]
    verbs: ["get"]
  - apiGroups: ["discovery.k8s.io"]
    resources: ["endpointslices"]
    verbs: ["list", "watch"]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: "promgate:get:pods"
  namespace: "shop"
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: "promgate:get:pods"
subjects:
  - kind: ServiceAccount
    name: "promgate"
    namespace: "promgate-system"
`
	if got := podsRole("shop", "get", c.Subject); got != want {
		t.Errorf("got\n%s", got)
	}
	if got := podsRole("shop", "create", c.Subject); strings.Contains(got, "endpointslices") || !strings.Contains(got, `verbs: ["create"]`) {
		t.Errorf("got\n%s", got)
	}
}
