package perses

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/promgate/promgate/kube"
)

// followSeconds is how long a watch lasts before another one proves that all is
// seen. It is less than what a FreshWatch goes on from.
const followSeconds = 20

// rack is what is known of a kind. All of it is under the lock of the
// DedicatedObjects.
type rack struct {
	kind *Kind
	// narrow tells that the gateway may not follow the kind over the whole
	// cluster: it is followed namespace by namespace.
	narrow  bool
	follows map[string]*follow // by namespace; empty: all of them
	shelves map[string]*shelf  // by namespace; without empty ones
}

// source is what a namespace's objects come from; nil: nothing follows it yet.
func (r *rack) source(namespace string) *follow {
	if r.narrow {
		return r.follows[namespace]
	}
	return r.follows[""]
}

// settled tells whether it is known what the namespace has of the kind.
func (r *rack) settled(namespace string) bool {
	f := r.source(namespace)
	switch {
	case f == nil:
		return false
	case f.missing:
		return true
	case f.denied: // over the cluster: it goes on namespace by namespace
		return r.narrow || r.kind.Global
	}
	return f.synced
}

// on is what the namespace has of the kind.
func (r *rack) on(namespace string) *shelf {
	if f := r.source(namespace); f == nil || f.denied || f.missing {
		return nil
	}
	return r.shelves[namespace]
}

// drop forgets what a follow has seen.
func (r *rack) drop(namespace string) {
	if namespace == "" {
		clear(r.shelves)
	} else {
		delete(r.shelves, namespace)
	}
}

// follow follows a kind in one namespace or in all. It is a kube.Holder.
type follow struct {
	d         *DedicatedObjects
	rack      *rack
	namespace string // empty: all
	end       context.CancelFunc

	// The following are under the lock of the DedicatedObjects.
	over    bool   // it was stopped, and says nothing any more
	synced  bool   // everything that there is was seen once
	denied  bool   // the gateway may not
	missing bool   // the kind is not installed
	fault   string // what was logged last
}

// startFollow starts a follow. The lock is held.
func (d *DedicatedObjects) startFollow(ctx context.Context, running *sync.WaitGroup, r *rack, namespace string) {
	ctx, end := context.WithCancel(ctx)
	f := &follow{d: d, rack: r, namespace: namespace, end: end}
	r.follows[namespace] = f
	running.Go(func() {
		defer end()
		d.options.Cluster.Follow(ctx, &kube.FreshWatch{
			Resource: resourceOf(r.kind), Namespace: namespace, Holder: f, Now: d.now,
			Seconds: func() int64 { return followSeconds },
		})
	})
}

// stop ends a follow. The lock is held.
func (f *follow) stop() {
	f.over = true
	f.end()
	delete(f.rack.follows, f.namespace)
	f.rack.drop(f.namespace)
}

// reads makes objects ready to be shown, without the lock.
func (f *follow) reads(all ...*unstructured.Unstructured) []readObject {
	ready := make([]readObject, 0, len(all))
	for _, u := range all {
		if f.namespace != "" && u.GetNamespace() != f.namespace {
			continue
		}
		r := readOf(f.rack.kind, u)
		if r.skipped != nil && (f.rack.kind.Global || inScope(f.d.options.Scope, u.GetNamespace())) {
			f.d.skips.note(r.skipped, u)
		}
		ready = append(ready, r)
	}
	return ready
}

// change takes something in, unless the follow was stopped. at is zero where
// nothing is proved by it.
func (f *follow) change(at time.Time, take func()) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.over {
		return
	}
	take()
	if at.IsZero() { // who may list may not watch, perhaps
		return
	}
	f.denied, f.missing = false, false
	if f.fault != "" {
		f.fault = ""
		f.log().Info("dashboards can be followed again")
	}
}

// Replace takes in everything that there is.
func (f *follow) Replace(all []*unstructured.Unstructured, _ string, at time.Time) {
	shelves := shelvesOf(f.reads(all...))
	f.change(at, func() {
		f.synced, f.missing = true, false
		if f.namespace == "" {
			f.rack.shelves = shelves
			return
		}
		f.set(f.namespace, shelves[f.namespace])
	})
}

// set replaces a shelf. The lock is held.
func (f *follow) set(namespace string, s *shelf) {
	if s == nil {
		delete(f.rack.shelves, namespace)
	} else {
		f.rack.shelves[namespace] = s
	}
}

// Put takes in an object that is new or has changed.
func (f *follow) Put(u *unstructured.Unstructured, at time.Time) {
	ready := f.reads(u)
	f.change(at, func() {
		for _, r := range ready {
			namespace := u.GetNamespace()
			f.set(namespace, f.rack.shelves[namespace].with(r, u.GetName()))
		}
	})
}

// Remove lets go of an object.
func (f *follow) Remove(u *unstructured.Unstructured, at time.Time) {
	f.change(at, func() {
		namespace := u.GetNamespace()
		f.set(namespace, f.rack.shelves[namespace].without(u.GetName()))
	})
}

// Seen takes in that nothing has happened.
func (f *follow) Seen(_ string, at time.Time) { f.change(at, func() {}) }

// Failed takes in what goes wrong. Unless that is for good, what was seen stays.
func (f *follow) Failed(ctx context.Context, err error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if ctx.Err() != nil || f.over {
		return // it was given up
	}
	fault := "failed" // for now: what is known stays
	switch {
	case apierrors.IsForbidden(err):
		fault, f.denied, f.missing = "denied", true, false
	case apierrors.IsNotFound(err):
		fault, f.denied, f.missing = "missing", false, true
	}
	if fault != "failed" {
		f.synced = false
		f.rack.drop(f.namespace)
	}
	if f.denied && f.namespace == "" && !f.rack.kind.Global {
		f.d.Awake() // it may be allowed in each namespace
		return
	}
	if fault != f.fault {
		f.fault = fault
		f.tell(fault, err)
	}
}
