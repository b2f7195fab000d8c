// Package kube keeps endpoint tokens as Kubernetes objects: an EndpointToken in
// the namespace of each token's project, and the signing keys in one Secret of
// the gateway's own namespace. Any number of gateways may use them at once; each
// watches, and none holds what another needs.
package kube

import (
	"cmp"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/promgate/promgate/kube"
	"github.com/promgate/promgate/tokens"
)

// Options are what Open needs. Home, Mint, Lifetime and Overlap are required.
type Options struct {
	// Home is the cluster that the gateway belongs to.
	Home *kube.Connection
	// Namespace is the gateway's own, on Home; empty: that of the pod that the
	// process runs in.
	Namespace string
	// Sources are the clusters whose namespaces hold tokens.
	Sources []Source
	// Mint makes tokens.
	Mint tokens.Minter
	// Lifetime is that of tokens in Secrets, and Overlap how long one of them
	// stays good beside its successor.
	Lifetime, Overlap time.Duration
	// Identity tells processes apart that may mint tokens into Secrets; empty:
	// the name of the host and something random.
	Identity string
	// Logger is for what happens beside a call; nil discards it.
	Logger *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Source is a cluster whose namespaces hold tokens.
type Source struct {
	Connection *kube.Connection
	// Namespaces are those that hold tokens; nil: all of the cluster, which
	// needs a ClusterRole.
	Namespaces []string
}

// Store is the tokens of one installation. It is safe for concurrent use. Use
// Open.
type Store struct {
	options   Options
	namespace string
	home      string // the name of Home
	log       *slog.Logger
	now       func() time.Time

	snapshot atomic.Pointer[tokens.Snapshot]
	core     tokens.Part // the Secret of the keys

	mu    sync.Mutex // guards what follows
	watch watch
	keys  keys
	// changed is closed and made again whenever an object or the keys change.
	changed chan struct{}
}

var _ tokens.Store = (*Store)(nil)

// Open makes a Store. It connects to nothing. Load or Run must come before
// Snapshot has anything; the other methods need neither.
func Open(o Options) (*Store, error) {
	s := &Store{
		options: o, namespace: o.Namespace, home: o.Home.Name, now: o.Now, changed: make(chan struct{}),
		log:   cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
		watch: watch{spaces: map[spaceKey]*space{}, uses: map[types.UID]*use{}},
		keys:  keys{missing: make(chan struct{}, 1)},
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.namespace == "" {
		own, err := kube.PodNamespace()
		if err != nil {
			return nil, fmt.Errorf("the gateway's own namespace is not known: run it in a pod with a service account token mounted, or write it as tokens.namespace: %w", err)
		}
		s.namespace = own
	}
	return s, nil
}

// Snapshot returns the state that tokens are checked against, or nil before
// there is one. It costs one atomic load.
func (s *Store) Snapshot() *tokens.Snapshot { return s.snapshot.Load() }

// notify tells those who wait on changed. The lock is held.
func (s *Store) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}
