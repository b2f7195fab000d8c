package kube

import (
	"slices"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/promgate/promgate/kube"
	"github.com/promgate/promgate/tokens"
)

// spaceKey is a namespace of a cluster; empty: all of its namespaces.
type spaceKey struct{ cluster, namespace string }

// space holds the objects of one namespace, or of all of a cluster. All of it
// is under the Store's lock.
type space struct {
	s          *Store
	connection *kube.Connection
	namespace  string
	part       tokens.Part
	follower   *follower // nil while it is not followed
	objects    map[types.NamespacedName]*known
	// unreadable are the resource versions of objects that cannot be decoded,
	// as they were logged.
	unreadable map[types.NamespacedName]string
}

// known is an object with the tokens that it vouches for.
type known struct {
	*object
	vouched []vouched
}

type vouched struct {
	id   string
	live *tokens.Live
}

// use is the time of last use of an object's tokens, which outlives snapshots.
type use struct {
	last    atomic.Int64 // in Unix nanoseconds
	written time.Time    // what was written last from here; under the Store's lock
}

func newSpace(s *Store, namespace string) *space {
	return &space{
		s: s, namespace: namespace,
		objects: map[types.NamespacedName]*known{}, unreadable: map[types.NamespacedName]string{},
	}
}

// replace takes in everything that there is.
func (sp *space) replace(all []*unstructured.Unstructured) {
	before := sp.objects
	sp.objects = make(map[types.NamespacedName]*known, len(all))
	unreadable := make(map[types.NamespacedName]string)
	changed := false
	for _, u := range all {
		name := nameOf(u)
		o := sp.decode(u)
		if o == nil {
			unreadable[name] = u.GetResourceVersion()
			continue
		}
		changed = sp.keep(name, o, before[name]) || changed
	}
	sp.unreadable = unreadable
	for name, k := range before {
		if sp.objects[name] == nil && len(k.vouched) > 0 {
			changed = true
		}
	}
	sp.note(changed)
}

// put takes in an object that is new or has changed.
func (sp *space) put(u *unstructured.Unstructured) {
	name := nameOf(u)
	o := sp.decode(u)
	if o == nil {
		sp.remove(u)
		sp.unreadable[name] = u.GetResourceVersion()
		return
	}
	delete(sp.unreadable, name)
	sp.note(sp.keep(name, o, sp.objects[name]))
}

// remove forgets an object.
func (sp *space) remove(u *unstructured.Unstructured) {
	name := nameOf(u)
	k := sp.objects[name]
	delete(sp.objects, name)
	delete(sp.unreadable, name)
	sp.note(k != nil && len(k.vouched) > 0)
}

func (sp *space) explain(err error) problem {
	return problemWithObjects(sp.connection, sp.namespace, err)
}

func nameOf(u *unstructured.Unstructured) types.NamespacedName {
	return types.NamespacedName{Namespace: u.GetNamespace(), Name: u.GetName()}
}

// note makes the snapshot anew where it has changed, and tells those who wait.
func (sp *space) note(changed bool) {
	if changed {
		sp.s.publish()
	}
	sp.s.notify()
}

// decode reads an object, or logs why it cannot be read and returns nil.
func (sp *space) decode(u *unstructured.Unstructured) *object {
	o, err := read(u, sp.s.clusterName(sp.connection))
	if err == nil {
		o.ManagedFields = nil
		return o
	}
	if sp.unreadable[nameOf(u)] != u.GetResourceVersion() {
		sp.s.log.Warn("an EndpointToken cannot be read and its tokens are refused: correct it, or delete it and make another",
			"cluster", sp.connection.Name, "namespace", u.GetNamespace(), "name", u.GetName(), "error", err)
	}
	return nil
}

// keep puts an object in place of the one that was there before, and tells
// whether it vouches for something else than that.
func (sp *space) keep(name types.NamespacedName, o *object, before *known) bool {
	k := &known{object: o, vouched: sp.vouch(o)}
	sp.objects[name] = k
	switch {
	case before == nil:
		return len(k.vouched) > 0
	case slices.EqualFunc(before.vouched, k.vouched, func(a, b vouched) bool { return a.id == b.id && *a.live == *b.live }):
		k.vouched = before.vouched // lets go of the copies
		return false
	}
	return true
}

// vouch is what an object vouches for.
func (sp *space) vouch(o *object) []vouched {
	if o.DeletionTimestamp != nil {
		return nil
	}
	var all []vouched
	for _, t := range o.tokens() {
		live := &tokens.Live{KeyID: t.KeyID, ExpiresAt: o.end(t), LastUsed: &sp.s.useOf(o.UID).last, Part: &sp.part}
		live.Scope = o.scope()
		if o.Cluster == "" {
			live.Also = o.also()
		}
		all = append(all, vouched{t.ID, live})
	}
	return all
}

// useOf is the one use of an object, by its UID. The lock is held.
func (s *Store) useOf(uid types.UID) *use {
	u := s.watch.uses[uid]
	if u == nil {
		u = &use{}
		s.watch.uses[uid] = u
	}
	return u
}
