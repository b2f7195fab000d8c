package kube

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/promgate/promgate/auth/session"
	"github.com/promgate/promgate/cmd/demo/cluster"
	"github.com/promgate/promgate/kube"
)

// The manifests that are shipped are those that are tested.
const (
	definitionFile = "../../../deploy/kubernetes/crd/sessions.yaml"
	roleFile       = "../../../deploy/kubernetes/components/sessions/role.yaml"
)

// shared is the API server of all tests but those that need one of their own.
var shared struct {
	once  sync.Once
	plane *cluster.Cluster
	err   error
	dirs  []string
}

func TestMain(m *testing.M) {
	status := m.Run()
	var err error
	if shared.plane != nil {
		err = shared.plane.Stop()
	}
	for _, dir := range shared.dirs {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// planeBinary is the control plane's program, which may have to be built.
func planeBinary(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	return cluster.Build(ctx, "")
}

// plane is an API server that has the kind.
func plane(t testing.TB) *cluster.Cluster {
	t.Helper()
	shared.once.Do(func() {
		ctx := context.Background()
		var binary string
		if binary, shared.err = planeBinary(ctx); shared.err != nil {
			return
		}
		if shared.plane, shared.err = cluster.Start(ctx, cluster.Options{Binary: binary}); shared.err == nil {
			shared.err = install(ctx, shared.plane)
		}
	})
	must(t, shared.err)
	return shared.plane
}

// install makes the kind.
func install(ctx context.Context, c *cluster.Cluster) error {
	text, err := os.ReadFile(definitionFile)
	if err != nil {
		return err
	}
	return c.Apply(ctx, text)
}

// home is a namespace for a gateway, with its service account and, unless it is
// to have none, its Role as it is shipped.
func home(t testing.TB, c *cluster.Cluster, granted bool) (namespace, kubeconfig string) {
	t.Helper()
	namespace = "home-" + strings.ToLower(rand.Text()[:8])
	must(t, c.Namespace(t.Context(), namespace))
	kubeconfig, err := c.ServiceAccountKubeconfig(t.Context(), namespace, "promgate")
	must(t, err)
	if granted {
		text, err := os.ReadFile(roleFile)
		must(t, err)
		grant(t, c, strings.NewReplacer("namespace: promgate", "namespace: "+namespace).Replace(string(text)), kubeconfig, namespace)
	}
	return namespace, kubeconfig
}

// grant applies a Role and waits until it is in force.
func grant(t testing.TB, c *cluster.Cluster, role, kubeconfig, namespace string) {
	t.Helper()
	must(t, c.Apply(t.Context(), []byte(role)))
	connection := connect(t, kubeconfig, nil)
	eventually(t, "the Role is in force", func() bool {
		_, err := connection.Client.Resource(sessions).Namespace(namespace).List(t.Context(), metav1.ListOptions{})
		return err == nil
	})
}

// connect connects, with something that stands between if there is something.
func connect(t testing.TB, kubeconfig string, between *between) *kube.Connection {
	t.Helper()
	c, err := kube.Connect(kube.Options{Name: "local", Kubeconfig: kubeconfig})
	must(t, err)
	t.Cleanup(c.Close)
	if between != nil {
		between.next = c.Transport
		c.Client, err = dynamic.NewForConfigAndClient(&rest.Config{Host: c.Base.String(), QPS: -1}, &http.Client{Transport: between})
		must(t, err)
	}
	return c
}

// between stands between a replica and the API server.
type between struct {
	next http.RoundTripper
	// answer decides on a request, by its verb; nil passes it on.
	answer atomic.Pointer[func(verb string, r *http.Request) (*http.Response, error)]

	mu    sync.Mutex
	asked map[string]int
	now   int // GETs of single objects under way
	most  int
}

// RoundTrip implements http.RoundTripper.
func (b *between) RoundTrip(r *http.Request) (*http.Response, error) {
	verb := strings.ToLower(r.Method)
	switch collection := strings.HasSuffix(r.URL.Path, "/sessions"); {
	case r.URL.Query().Get("watch") != "":
		verb = "watch"
	case verb == "get" && collection:
		verb = "list"
	case verb == "delete" && collection:
		verb = "deletecollection"
	}
	b.mu.Lock()
	if b.asked == nil {
		b.asked = map[string]int{}
	}
	b.asked[verb]++
	if verb == "get" {
		b.now++
		b.most = max(b.most, b.now)
		defer func() { b.mu.Lock(); b.now--; b.mu.Unlock() }()
	}
	b.mu.Unlock()
	if answer := b.answer.Load(); answer != nil {
		if response, err := (*answer)(verb, r); response != nil || err != nil {
			return response, err
		}
	}
	return b.next.RoundTrip(r)
}

// count tells how often something was asked since the last call.
func (b *between) count(verb string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.asked[verb]
	delete(b.asked, verb)
	return n
}

// hole swallows what follows the sessions.
func hole(verb string, r *http.Request) (*http.Response, error) {
	if verb == "watch" || verb == "list" {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return nil, nil
}

// replica is a store with what it has logged, and a clock that can be put ahead.
type replica struct {
	*Store
	between *between
	logged  *logged
	ahead   atomic.Int64
	stop    func()
}

// replicaOf opens a store, and runs it until stop is called or the test ends.
func replicaOf(t testing.TB, namespace, kubeconfig string) *replica {
	t.Helper()
	p := &replica{between: &between{}, logged: &logged{}, stop: func() {}}
	var err error
	p.Store, err = Open(Options{
		Connection: connect(t, kubeconfig, p.between), Namespace: namespace, Logger: slog.New(slog.NewTextHandler(p.logged, nil)),
		Now: func() time.Time { return time.Now().Add(time.Duration(p.ahead.Load())) },
	})
	must(t, err)
	t.Cleanup(func() {
		p.stop()
		check(t, p.Close())
	})
	return p
}

// running is replicaOf that runs, and knows all that there is.
func running(t testing.TB, namespace, kubeconfig string) *replica {
	t.Helper()
	p := replicaOf(t, namespace, kubeconfig)
	p.run(t)
	eventually(t, "all sessions are seen", func() bool { return p.Age() < maxAge })
	return p
}

func (p *replica) run(t testing.TB) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	p.stop = sync.OnceFunc(func() {
		cancel()
		check(t, <-ended)
	})
}

// put puts the clock ahead.
func (p *replica) put(ahead time.Duration) { p.ahead.Add(int64(ahead)) }

// has tells whether memory has the session.
func (p *replica) has(id string) bool {
	_, found, _, _ := p.known(id)
	return found
}

// eventually waits for what is to be seen soon, and returns how long it took.
func eventually(t testing.TB, what string, seen func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !seen() {
		if time.Since(began) > 30*time.Second {
			t.Fatalf("not seen: %s", what)
		}
		<-tick.C
	}
	return time.Since(began)
}

// randomID is the id of a session.
func randomID() string {
	var b [idBytes]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// record is a session that ends in an hour.
func record(owner string, changes ...func(*session.Record)) session.Record {
	now := time.Now().UTC().Truncate(time.Second)
	r := session.Record{ID: randomID(), Owner: owner, Sealed: []byte("sealed\x00\xff"), SeenAt: now, ExpiresAt: now.Add(time.Hour)}
	for _, change := range changes {
		change(&r)
	}
	return r
}

// create makes a session on a replica.
func (p *replica) create(t testing.TB, owner string, changes ...func(*session.Record)) session.Record {
	t.Helper()
	r := record(owner, changes...)
	must(t, p.Create(t.Context(), r))
	return r
}

// want checks what Get and Latest tell of a session. A nil error is one that is
// found.
func (p *replica) want(t testing.TB, id string, want error) {
	t.Helper()
	for what, get := range map[string]func(context.Context, string) (session.Record, error){"Get": p.Get, "Latest": p.Latest} {
		if r, err := get(t.Context(), id); !errors.Is(err, want) || err == nil && r.ID != id {
			t.Errorf("%s: got %v, want %v", what, err, want)
		}
	}
}

// logged collects what a store logs.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

// String is all that was logged.
func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logged) count(text string) int { return strings.Count(l.String(), text) }

// status is an answer of the API server.
func status(code int, reason, message string) *http.Response {
	text := fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","message":%q,"reason":%q,"code":%d}`, message, reason, code)
	return &http.Response{
		StatusCode: code, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(text)),
	}
}
