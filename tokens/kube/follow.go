package kube

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/promgate/promgate/kube"
	"github.com/promgate/promgate/tokens"
)

// With many watches each lasts longer, which spares the API server; all stay
// well below what the verifier calls too old.
const (
	minWatchSeconds  = 5
	maxWatchSeconds  = 15
	watchesPerSecond = 50
)

// holder keeps what a follower sees. Its methods are called with the Store's
// lock held.
type holder interface {
	replace([]*unstructured.Unstructured)
	put(*unstructured.Unstructured)
	remove(*unstructured.Unstructured)
	// explain puts into words what an error means.
	explain(error) problem
}

// follower follows one resource in one namespace or in all, and notes when its
// part of the store was seen.
type follower struct {
	s          *Store
	connection *kube.Connection
	resource   schema.GroupVersionResource
	namespace  string // empty: all
	selector   string // of fields; empty: everything
	holder     holder
	part       *tokens.Part
	end        context.CancelFunc

	// The following are under the Store's lock.
	over  bool   // it was stopped, and says nothing any more
	fault string // the kind of problem that was noted last
}

// stop ends a follower. The lock is held.
func (f *follower) stop() {
	if f != nil {
		f.over = true
		f.end()
	}
}

// watch is what tells the follower.
func (f *follower) watch() *kube.FreshWatch {
	return &kube.FreshWatch{
		Connection: f.connection, Resource: f.resource, Namespace: f.namespace, Selector: f.selector,
		Seconds: f.s.watchSeconds, Now: f.s.now, Holder: f,
	}
}

// watchSeconds is how long a watch lasts.
func (s *Store) watchSeconds() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return min(maxWatchSeconds, minWatchSeconds+int64(len(s.watch.spaces)+1)/watchesPerSecond)
}

// change takes something in that was all that there was at that time (zero: it
// does not count as seen), unless the follower was stopped.
func (f *follower) change(at time.Time, take func()) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	if f.over {
		return
	}
	take()
	if at.IsZero() {
		return
	}
	f.part.See(at)
	if f.fault != "" {
		f.fault = ""
		f.s.log.Info("endpoint tokens can be followed again", "cluster", f.connection.Name, "namespace", f.namespace,
			"resource", f.resource.GroupResource().String())
	}
}

// Replace takes in everything that there is.
func (f *follower) Replace(all []*unstructured.Unstructured, _ string, at time.Time) {
	f.change(at, func() { f.holder.replace(all) })
}

// Put takes in an object that is new or has changed.
func (f *follower) Put(u *unstructured.Unstructured, at time.Time) {
	f.change(at, func() { f.holder.put(u) })
}

// Remove lets go of an object.
func (f *follower) Remove(u *unstructured.Unstructured, at time.Time) {
	f.change(at, func() { f.holder.remove(u) })
}

// Seen takes in that nothing has happened.
func (f *follower) Seen(_ string, at time.Time) { f.change(at, func() {}) }

// Failed logs what is wrong, if it is not what was wrong before.
func (f *follower) Failed(ctx context.Context, err error) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	if ctx.Err() != nil || f.over {
		return // it was given up
	}
	p := f.holder.explain(err)
	if p.kind == f.fault {
		return
	}
	f.fault = p.kind
	attributes := []any{"cluster", f.connection.Name, "namespace", f.namespace, "resource", f.resource.GroupResource().String(),
		"problem", p.text, "cause", cause(err)}
	if p.advice != "" {
		attributes = append(attributes, "advice", p.advice)
	}
	f.s.log.Warn("endpoint tokens cannot be followed", attributes...)
}
