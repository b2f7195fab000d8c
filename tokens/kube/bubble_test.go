package kube

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/promgate/promgate/kube"
	"github.com/promgate/promgate/tokens"
)

// own is the gateway's own namespace.
const own = "promgate-system"

// pass lets the clock of a bubble go on.
func pass(d time.Duration) { <-time.After(d) }

// inBubble runs a test with an API server, in a bubble of its own time.
func inBubble(t *testing.T, test func(*testing.T, *plane)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newPlane(t)) })
}

// eachServer runs a test with API servers of both kinds.
func eachServer(t *testing.T, test func(*testing.T, *plane)) {
	for name, old := range map[string]bool{"watch list": false, "list": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, p *plane) {
				p.old.Store(old)
				test(t, p)
			})
		})
	}
}

func newPlane(t testing.TB) *plane {
	p := &plane{
		changed: make(chan struct{}), objects: map[string]map[string]any{}, refuse: map[string]int{}, asked: map[string]int{},
		stalled: map[string]bool{}, listener: newWires(),
	}
	p.server = &httptest.Server{Listener: p.listener, Config: &http.Server{Handler: p, ErrorLog: log.New(io.Discard, "", 0)}, EnableHTTP2: true}
	p.server.StartTLS()
	p.server.URL = "https://example.com"
	t.Cleanup(p.server.Close)
	return p
}

func (p *plane) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// refusing has requests refused with a status code; 0: no more.
func (p *plane) refusing(code int, what ...string) {
	p.set(func() {
		for _, w := range what {
			p.refuse[w] = code
		}
	})
}

// stall has requests never answered.
func (p *plane) stall(what ...string) {
	p.set(func() {
		for _, w := range what {
			p.stalled[w] = true
		}
	})
}

// heal ends all that is wrong.
func (p *plane) heal() {
	p.listener.mend()
	p.set(func() { clear(p.refuse); clear(p.stalled) })
}

// connect makes a connection of the gateway to the plane.
func (p *plane) connect(t testing.TB, cluster string) *kube.Connection {
	t.Helper()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw})
	subject := "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"system:serviceaccount:promgate-system:promgate"}`)) + ".c2ln"
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"c",
		"clusters":[{"name":"c","cluster":{"server":"%s","certificate-authority-data":"%s"}}],
		"contexts":[{"name":"c","context":{"cluster":"c","user":"c"}}],"users":[{"name":"c","user":{"token":"%s"}}]}`,
		p.server.URL, base64.StdEncoding.EncodeToString(ca), subject)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := kube.Connect(kube.Options{Name: cluster, Kubeconfig: file, Dial: p.listener.dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// gateway is a store with what it has logged.
type gateway struct {
	*Store
	t      testing.TB
	logged *logged
}

// gateway opens a store on the plane as its home cluster, local, and follows the
// namespaces there; none: all of the cluster.
func (p *plane) gateway(t testing.TB, namespaces ...string) *gateway {
	t.Helper()
	home := p.connect(t, "local")
	return openStore(t, home, Source{Connection: home, Namespaces: namespaces})
}

func openStore(t testing.TB, home *kube.Connection, sources ...Source) *gateway {
	t.Helper()
	g := &gateway{t: t, logged: &logged{}}
	var err error
	g.Store, err = Open(Options{
		Home: home, Namespace: own, Sources: sources,
		Logger: newLogger(g.logged),
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func newLogger(l *logged) *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// run runs the store until the returned function is called, or until the test's
// end. It returns when all is quiet.
func (g *gateway) run() (stop func()) {
	g.t.Helper()
	defer synctest.Wait()
	return g.start()
}

func (g *gateway) start() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			g.t.Errorf("run: %v", err)
		}
	})
	g.t.Cleanup(stop)
	return stop
}

// ids are those of the tokens in the snapshot.
func (g *gateway) ids() []string {
	s := g.Snapshot()
	if s == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(s.Tokens))
}

// want checks the ids of the tokens in the snapshot, once all is quiet.
func (g *gateway) want(ids ...string) {
	g.t.Helper()
	synctest.Wait()
	slices.Sort(ids)
	if got := g.ids(); !slices.Equal(got, ids) {
		g.t.Errorf("the snapshot holds %v, want %v", got, ids)
	}
}

// stale checks what the verifier makes of the snapshot's age.
func (g *gateway) stale(want bool) {
	g.t.Helper()
	synctest.Wait()
	s := g.Snapshot()
	if s == nil {
		g.t.Fatal("no snapshot")
	}
	if _, partly := s.Stale(time.Now(), 30*time.Second); partly != want {
		g.t.Errorf("stale %t, want %t: the keys were seen %v ago, the parts %v", partly, want, s.Core.Age(time.Now()), ages(s))
	}
}

func ages(s *tokens.Snapshot) (all []time.Duration) {
	for _, p := range s.Parts {
		all = append(all, p.Age(time.Now()))
	}
	return all
}

// logged collects what a store logs.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// take returns the records since the last call, without those of level DEBUG.
func (l *logged) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var kept []string
	for line := range strings.Lines(l.b.String()) {
		if !strings.HasPrefix(line, "level=DEBUG") {
			kept = append(kept, line)
		}
	}
	l.b.Reset()
	return strings.Join(kept, "")
}

func (l *logged) count(text string) int { return strings.Count(l.String(), text) }

// uidOf is the UID of an object in these tests.
func uidOf(n int) types.UID { return types.UID(fmt.Sprintf("00000000-0000-4000-8000-%012x", n)) }

// idOf is the id of a token of that object.
func idOf(n, generation int) string {
	return fmt.Sprintf("000000000000400080000%011x-%d", n, generation)
}

// tokenObject is an object with a token that is good for a day.
func tokenObject(namespace string, n int, changes ...func(*object)) *object {
	now := metav1.NewTime(time.Now().UTC().Truncate(time.Second))
	end := metav1.NewTime(now.Add(24 * time.Hour))
	o := &object{
		TypeMeta:   metav1.TypeMeta{APIVersion: "promgate.io/v1alpha1", Kind: "EndpointToken"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("token-%d", n), UID: uidOf(n)},
		Spec:       spec{ExpiresAt: &end, Description: "Grafana"},
		Status: status{
			issued:     issued{ID: idOf(n, 1), KeyID: "key-1", IssuedAt: &now, ExpiresAt: &end},
			ProjectUID: "uid-of-" + namespace, Phase: phaseActive,
		},
	}
	for _, change := range changes {
		change(o)
	}
	return o
}

// put adds or changes an object on the plane.
func (p *plane) put(o *object) {
	text, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		panic(err)
	}
	p.set(func() { p.record("MODIFIED", "endpointtokens", fields) })
}

// remove deletes an object on the plane.
func (p *plane) remove(resource, namespace, name string) {
	p.set(func() {
		p.record("DELETED", resource, p.objects[resource+"/"+namespace+"/"+name])
	})
}

// count tells how often something was asked since the last call.
func (p *plane) count(what string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.asked[what]
	p.asked[what] = 0
	return n
}
