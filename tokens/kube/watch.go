package kube

import (
	"context"
	"crypto/ed25519"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/promgate/promgate/kube"
	"github.com/promgate/promgate/tokens"
)

// tidyInterval is how often what has expired leaves the memory.
const tidyInterval = time.Hour

// watch is the state of following the objects.
type watch struct {
	// start starts a follower; nil while Run is not on.
	start  func(*follower)
	spaces map[spaceKey]*space
	// uses are by the objects' UIDs, whichever space they are in.
	uses map[types.UID]*use
}

// Run keeps the snapshot up to date until ctx is done, and returns nil then: it
// follows the objects and the keys, writes the times of last use, and makes
// tokens where objects ask for one. What goes wrong is logged once; as long as
// it lasts the part of the store that it concerns is not seen. Run once at a
// time.
func (s *Store) Run(ctx context.Context) error {
	var running sync.WaitGroup
	s.mu.Lock()
	s.watch.start = func(f *follower) {
		following, end := context.WithCancel(ctx)
		f.end = end
		running.Go(func() {
			defer end()
			f.watch().Run(following)
		})
	}
	s.reconcile()
	s.mu.Unlock()
	running.Go(func() { s.makingKeys(ctx) })
	running.Go(func() { s.flushing(ctx) })
	running.Go(func() { s.minting(ctx) })

	tidy := time.NewTicker(tidyInterval)
	defer tidy.Stop()
	for {
		select {
		case <-tidy.C:
			s.tidy()
		case <-ctx.Done():
			s.rest()
			running.Wait()
			return nil
		}
	}
}

// rest ends all followers. What was seen stays, and grows old.
func (s *Store) rest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watch.start = nil
	s.keys.follower.stop()
	s.keys.follower = nil
	for _, sp := range s.watch.spaces {
		sp.follower.stop()
		sp.follower = nil
	}
}

// SetSources takes in a new configuration, also while Run is on. home is the
// cluster that it was before, perhaps over another connection. What is
// followed through the same connection goes on. Where a cluster has another
// connection the objects that are known stay in force until they were listed
// through it, or are too old. What is no longer named ends.
func (s *Store) SetSources(home *kube.Connection, sources []Source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.options.Home, s.options.Sources = home, sources
	s.reconcile()
}

// reconcile has spaces and followers be those of the configuration. The lock is
// held.
func (s *Store) reconcile() {
	wanted := s.wanted()
	for key, sp := range s.watch.spaces {
		if wanted[key] == nil {
			sp.follower.stop()
			delete(s.watch.spaces, key)
		}
	}
	for key, connection := range wanted {
		sp := s.watch.spaces[key]
		if sp == nil {
			sp = newSpace(s, key.namespace)
			s.watch.spaces[key] = sp
		}
		if sp.connection != connection {
			sp.connection = connection
			sp.follower.stop()
			sp.follower = nil
		}
	}
	if s.keys.connection != s.options.Home {
		s.keys.connection = s.options.Home
		s.keys.follower.stop()
		s.keys.follower = nil
	}
	s.publish()
	if s.watch.start != nil {
		s.startAll()
	}
	s.notify()
}

// startAll starts the followers that are missing. The lock is held.
func (s *Store) startAll() {
	if s.keys.follower == nil {
		s.keys.follower = &follower{
			s: s, connection: s.keys.connection, resource: secrets, namespace: s.namespace, selector: "metadata.name=" + keysName,
			holder: &keysHolder{s}, part: &s.core,
		}
		s.watch.start(s.keys.follower)
	}
	for _, sp := range s.watch.spaces {
		if sp.follower == nil {
			sp.follower = &follower{
				s: s, connection: sp.connection, resource: endpointTokens, namespace: sp.namespace, holder: sp, part: &sp.part,
			}
			s.watch.start(sp.follower)
		}
	}
}

// wanted are the places that the configuration names. The lock is held.
func (s *Store) wanted() map[spaceKey]*kube.Connection {
	all := map[spaceKey]*kube.Connection{}
	for _, source := range s.options.Sources {
		if source.Namespaces == nil {
			all[spaceKey{source.Connection.Name, ""}] = source.Connection
		}
		for _, namespace := range source.Namespaces {
			if namespace != "" { // that would be all of them
				all[spaceKey{source.Connection.Name, namespace}] = source.Connection
			}
		}
	}
	return all
}

// publish makes the snapshot of what is known. There is none before the keys
// were known. The lock is held.
func (s *Store) publish() {
	if !s.keys.read {
		return
	}
	now := s.now()
	next := &tokens.Snapshot{
		Issuer: s.keys.issuer, Keys: make(map[string]ed25519.PublicKey, len(s.keys.known)), Core: &s.core,
		Parts: make([]*tokens.Part, 0, len(s.watch.spaces)),
	}
	for _, key := range s.keys.known {
		next.Keys[key.ID] = key.Private.Public().(ed25519.PublicKey)
	}
	size := 0
	for _, sp := range s.watch.spaces {
		size += len(sp.objects)
	}
	next.Tokens = make(map[string]*tokens.Live, size)
	for _, sp := range s.watch.spaces {
		next.Parts = append(next.Parts, &sp.part)
		for _, k := range sp.objects {
			for _, v := range k.vouched {
				if now.Before(v.live.ExpiresAt) {
					next.Tokens[v.id] = v.live
				}
			}
		}
	}
	s.snapshot.Store(next)
	s.log.Debug("the snapshot of the endpoint tokens was made anew", "tokens", len(next.Tokens), "keys", len(next.Keys))
}

// tidy lets go of what has expired and of what is gone.
func (s *Store) tidy() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.publish()
	there := map[types.UID]bool{}
	for _, sp := range s.watch.spaces {
		for _, k := range sp.objects {
			there[k.UID] = true
		}
	}
	for uid := range s.watch.uses {
		if !there[uid] {
			delete(s.watch.uses, uid)
		}
	}
}

// located are the objects that are known, which nobody may change.
func (s *Store) located() []located {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []located
	for _, sp := range s.watch.spaces {
		for _, k := range sp.objects {
			all = append(all, located{k.object, sp.connection})
		}
	}
	return all
}

// shownTimeout is how long await waits.
const shownTimeout = 2 * time.Second

// await waits for a moment until what was just written has come back, where Run
// is on, so that it holds in this process when the caller learns of it. shown is
// called with the lock held.
func (s *Store) await(ctx context.Context, shown func() bool) {
	patience := time.NewTimer(shownTimeout)
	defer patience.Stop()
	for {
		s.mu.Lock()
		over, changed := s.watch.start == nil || shown(), s.changed
		s.mu.Unlock()
		if over {
			return
		}
		select {
		case <-changed:
		case <-patience.C:
			return
		case <-ctx.Done():
			return
		}
	}
}
