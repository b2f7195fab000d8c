package kube

import (
	"cmp"
	"context"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/promgate/promgate/kube"
)

// watchSeconds is how long a watch lasts.
const watchSeconds = 5

// watch is for following the sessions over a connection.
func (s *Store) watch(c *kube.Connection) *kube.FreshWatch {
	return &kube.FreshWatch{
		Connection: c, Resource: sessions, Namespace: s.namespace,
		Seconds: func() int64 { return watchSeconds }, Now: s.now, Holder: follower{s},
	}
}

// follower takes in what a watch tells.
type follower struct{ s *Store }

// change takes something in, after which is known what there was at that time
// (zero: it does not count as seen) and at that resource version; none: at the
// one before.
func (f follower) change(version string, at time.Time, take func()) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	take()
	f.s.version = cmp.Or(version, f.s.version)
	if at.IsZero() {
		return
	}
	f.s.asOf = at.Round(0) // by the clock: a machine that slept has seen nothing
	f.s.worksLocked(following)
}

// Replace takes in everything that there is.
func (f follower) Replace(all []*unstructured.Unstructured, version string, at time.Time) {
	f.change("", at, func() {
		f.s.replace(all)
		f.s.version = version
	})
}

// Put takes in an object that is new or has changed.
func (f follower) Put(u *unstructured.Unstructured, at time.Time) {
	f.change(u.GetResourceVersion(), at, func() { f.s.take(u) })
}

// Remove lets go of an object.
func (f follower) Remove(u *unstructured.Unstructured, at time.Time) {
	f.change(u.GetResourceVersion(), at, func() { f.s.remove(u) })
}

// Seen takes in that nothing has happened.
func (f follower) Seen(version string, at time.Time) { f.change(version, at, func() {}) }

// Failed logs what is wrong, if it is not what was wrong before.
func (f follower) Failed(ctx context.Context, err error) { _ = f.s.fails(ctx, following, err) }
