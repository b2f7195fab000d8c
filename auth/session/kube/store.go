// Package kube keeps sessions as Kubernetes objects in the gateway's own
// namespace, for any number of replicas: each watches them, so that looking one
// up asks nobody, and a session that ends on one replica ends on all.
package kube

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
	"k8s.io/client-go/dynamic"

	"github.com/promgate/promgate/auth/session"
	"github.com/promgate/promgate/kube"
)

const (
	// MaxSessions is how many sessions there may be, and MaxAttempts how many
	// sign-ins under way.
	MaxSessions = 100_000
	MaxAttempts = 10_000

	// maxAge is for how long what was seen last counts: then the API server is
	// asked for each session, until all of them are seen again.
	maxAge = 30 * time.Second
	// absence is for how long a session is taken for absent that the API server
	// did not have, and maxAbsent how many are: they are what somebody guesses.
	absence   = 2 * time.Second
	maxAbsent = 8192
	// maxEnded is how many sessions that ended here are remembered, until the
	// watch tells so too.
	maxEnded = 8192
	// maxAsking bounds the questions about single sessions that are under way.
	maxAsking = 32
	// askTimeout bounds such a question; those who wait for it may go earlier.
	askTimeout = 4 * time.Second
)

// Options are what Open needs. Connection is required.
type Options struct {
	// Connection leads to the cluster that the gateway belongs to.
	Connection *kube.Connection
	// Namespace is the gateway's own there; empty: that of the pod that the
	// process runs in.
	Namespace string
	// Logger is for what happens beside a call; nil discards it.
	Logger *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Store is the sessions of one installation. It is safe for concurrent use. Use
// Open.
type Store struct {
	namespace                string
	log                      *slog.Logger
	now                      func() time.Time
	maxSessions, maxAttempts int

	// life ends with Close.
	life       context.Context
	end        context.CancelFunc
	connection atomic.Pointer[kube.Connection]
	flights    singleflight.Group
	asking     chan struct{}
	absent     *lru.Cache[string, time.Time]
	sweeping   chan struct{} // holds something when there may be much to sweep

	mu      sync.RWMutex // guards what follows
	records map[string]session.Record
	// attempts is how many records have no owner.
	attempts int
	// asOf is when the records were all that there were; zero: never. version is
	// the resource version up to which they are what the watch told.
	asOf    time.Time
	version string
	// ended are sessions that this process has ended. An id never comes back.
	ended *lru.Cache[string, struct{}]
	// faults are the kinds of problems that there are now, by what fails.
	faults map[string]string
	// unreadable tells that an object that cannot be read was logged.
	unreadable bool
	// restart ends the watch, for one over another connection; nil while Run is
	// not on.
	restart context.CancelFunc
}

var _ session.Store = (*Store)(nil)

// Open makes a Store. It connects to nothing. While Run is not on, each look at
// a session asks the API server.
func Open(o Options) (*Store, error) {
	s := &Store{
		namespace: o.Namespace, log: cmp.Or(o.Logger, slog.New(slog.DiscardHandler)), now: o.Now, maxSessions: MaxSessions, maxAttempts: MaxAttempts,
		asking: make(chan struct{}, maxAsking), sweeping: make(chan struct{}, 1),
		records: map[string]session.Record{}, faults: map[string]string{},
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.namespace == "" {
		own, err := kube.PodNamespace()
		if err != nil {
			return nil, fmt.Errorf("the gateway's own namespace, which is to hold the sessions, is not known: run it in a pod with a service account token mounted, or name it: %w", err)
		}
		s.namespace = own
	}
	// The only error is a size that is not positive.
	s.absent, _ = lru.New[string, time.Time](maxAbsent)
	s.ended, _ = lru.New[string, struct{}](maxEnded)
	s.life, s.end = context.WithCancel(context.Background())
	s.connection.Store(o.Connection)
	return s, nil
}

// SetConnection has the store go on over another connection to the same
// cluster, also while Run is on. What is known stays in force until it was seen
// through it, or is too old.
func (s *Store) SetConnection(c *kube.Connection) {
	if s.connection.Swap(c) == c {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.restart != nil {
		s.restart()
	}
}

// Run follows the sessions and removes those that have expired until ctx is
// done, and returns nil then. What goes wrong is logged once; as long as it
// lasts each look at a session asks the API server. Run once at a time.
func (s *Store) Run(ctx context.Context) error {
	var running sync.WaitGroup
	running.Go(func() { s.sweepAll(ctx) })
	for ctx.Err() == nil {
		following, restart := context.WithCancel(ctx)
		s.mu.Lock()
		s.restart = restart
		s.mu.Unlock()
		// Read after restart is set: SetConnection does it the other way round.
		s.watch(s.connection.Load()).Run(following)
		restart()
	}
	s.mu.Lock()
	s.restart = nil
	s.mu.Unlock()
	running.Wait()
	return nil
}

// Close ends what is under way. Run must have returned.
func (s *Store) Close() error {
	s.end()
	return nil
}

// Age is how long ago all sessions were seen, and longer than any time where
// they never were.
func (s *Store) Age() time.Duration {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.age()
}

// age is Age. The lock is held.
func (s *Store) age() time.Duration { return s.now().Round(0).Sub(s.asOf) }

// client is for the sessions of the gateway's namespace.
func (s *Store) client() dynamic.ResourceInterface {
	return s.connection.Load().Client.Resource(sessions).Namespace(s.namespace)
}

// errClosed tells of a store that is closed.
var errClosed = errors.New("the sessions are closed")
