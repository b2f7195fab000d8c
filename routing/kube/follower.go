package kube

import (
	"context"
	"maps"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
)

// watchKey is a watch by its source and its namespace; empty: all.
type watchKey struct {
	source    *source
	namespace string
}

// follower follows the objects of one source in one namespace or in all. It is
// the reflector's store: nothing is kept twice.
type follower struct {
	d      *Discovery
	key    watchKey
	client dynamic.ResourceInterface
	cancel context.CancelFunc
	// The following are under the Discovery's lock.
	synced  bool // everything that there is was seen once
	denied  bool // it may not
	missing bool // the kind is no longer installed
}

// over tells whether the first look is over. The lock is held.
func (w *follower) over() bool {
	k := w.d.kinds[w.key.source]
	return w.synced || w.denied || w.missing || k != nil && k.absent
}

// startWatch starts a watch. The lock is held.
func (d *Discovery) startWatch(ctx context.Context, background *sync.WaitGroup, s *source, namespace string) *follower {
	ctx, cancel := context.WithCancel(ctx)
	w := &follower{d: d, key: watchKey{s, namespace}, cancel: cancel, client: d.cluster.Client.Resource(s.gvr).Namespace(namespace)}
	if namespace == "" {
		w.client = d.cluster.Client.Resource(s.gvr)
	}
	if s.read != nil {
		d.watches[w.key] = w
	}
	background.Go(func() {
		defer cancel()
		w.run(ctx)
	})
	return w
}

func (w *follower) run(ctx context.Context) {
	if k := w.d.kinds[w.key.source]; k != nil {
		select {
		case <-ctx.Done():
			return
		case <-k.installed:
		}
	}
	w.d.cluster.Reflect(ctx, w.key.source.gvr, &cache.ListWatch{ListWithContextFunc: w.list, WatchFuncWithContext: w.watch}, w)
}

// note changes the watch's state.
func (w *follower) note(change func()) {
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	change()
	w.d.awake()
}

func (w *follower) list(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	o.LabelSelector = w.key.source.selector
	list, err := w.client.List(ctx, o)
	w.result(ctx, err)
	return list, err
}

func (w *follower) watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	o.LabelSelector = w.key.source.selector
	watcher, err := w.client.Watch(ctx, o)
	w.result(ctx, err)
	return watcher, err
}

// result takes note of what the API server said.
func (w *follower) result(ctx context.Context, err error) {
	if ctx.Err() != nil || apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return // it was given up, or is done again from the start
	}
	w.note(func() {
		if !w.current() {
			return
		}
		w.denied = apierrors.IsForbidden(err)
		w.missing = apierrors.IsNotFound(err)
		if w.missing || w.denied && w.key.namespace == "" && w.key.source.read != nil {
			err = nil // it is no fault, or goes on namespace by namespace
		}
		w.d.report(problemKey{w.key.source.name, w.key.namespace}, err)
	})
}

// Transformer has objects reduced before they are kept.
func (w *follower) Transformer() cache.TransformFunc {
	return func(o any) (any, error) { return w.reduced(o), nil }
}

func (w *follower) reduced(o any) *object {
	switch o := o.(type) {
	case *object:
		return o
	case *unstructured.Unstructured:
		return reduce(w.key.source, o)
	case cache.DeletedFinalStateUnknown:
		return w.reduced(o.Obj)
	}
	return nil
}

// Add is part of the reflector's store.
func (w *follower) Add(o any) error { return w.Update(o) }

// Update is part of the reflector's store.
func (w *follower) Update(o any) error {
	if reduced := w.reduced(o); reduced != nil {
		w.locked(func() { w.put(reduced) })
	}
	return nil
}

// Delete is part of the reflector's store.
func (w *follower) Delete(o any) error {
	if reduced := w.reduced(o); reduced != nil {
		w.locked(func() { w.remove(reduced) })
	}
	return nil
}

// Replace is part of the reflector's store: everything that there is now.
func (w *follower) Replace(list []any, _ string) error {
	w.locked(func() {
		current := make(map[objectName]bool, len(list))
		for _, o := range list {
			if reduced := w.reduced(o); reduced != nil {
				current[objectName{reduced.Namespace, reduced.Name}] = true
				w.put(reduced)
			}
		}
		for _, o := range w.known() {
			if !current[objectName{o.Namespace, o.Name}] {
				w.remove(o)
			}
		}
		w.synced, w.denied, w.missing = true, false, false
		w.d.awake()
	})
	return nil
}

type objectName struct{ namespace, name string }

// Resync is part of the reflector's store.
func (w *follower) Resync() error { return nil }

// locked changes what is known, unless the watch was stopped.
func (w *follower) locked(change func()) {
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	if w.current() {
		change()
	}
}

// current tells whether the watch was not stopped. The lock is held.
func (w *follower) current() bool { return w.d.watches[w.key] == w || w.d.selecting == w }

// known are the objects that the watch answers for. The lock is held.
func (w *follower) known() []*object {
	var all []*object
	for name, sp := range w.d.spaces {
		if w.key.source.read == nil {
			if sp.selected {
				all = append(all, &object{ObjectMeta: metav1.ObjectMeta{Name: name}})
			}
			continue
		}
		if w.key.namespace != "" && name != w.key.namespace {
			continue
		}
		for key, o := range sp.objects {
			if key.source == w.key.source {
				all = append(all, o)
			}
		}
	}
	return all
}

// put takes an object in. The lock is held.
func (w *follower) put(o *object) {
	if w.key.source.read == nil {
		w.d.selectSpace(o)
		return
	}
	sp := w.d.space(o.Namespace)
	if sp.put(o, func() uint64 { w.d.seen++; return w.d.seen }) {
		w.d.touch(o.Namespace)
	}
}

// remove forgets an object. The lock is held.
func (w *follower) remove(o *object) {
	if w.key.source.read == nil {
		w.d.deselectSpace(o.Name)
		return
	}
	if sp := w.d.spaces[o.Namespace]; sp != nil {
		delete(sp.objects, objectKey{w.key.source, o.Name})
		w.d.touch(o.Namespace)
	}
}

// namespaceSource is what the watch of namespaces follows. It makes no
// environments: what it sees selects spaces.
func namespaceSource(selector string) *source {
	return &source{name: "namespaces", kind: "Namespace", gvr: namespaces, selector: selector}
}

func (d *Discovery) space(name string) *space {
	sp := d.spaces[name]
	if sp == nil {
		sp = newSpace(name)
		d.spaces[name] = sp
	}
	return sp
}

// selectSpace makes a namespace a project. A UID that is not the known one
// has it read: the watch may lag behind what was read already.
func (d *Discovery) selectSpace(namespace *object) {
	sp := d.space(namespace.Name)
	if !sp.selected || sp.project != nil && sp.project.UID != string(namespace.UID) {
		sp.selected, sp.stale, sp.notUntil = true, true, time.Time{}
		d.awake()
	}
}

func (d *Discovery) deselectSpace(name string) {
	if sp := d.spaces[name]; sp != nil {
		sp.selected, sp.project, sp.checked = false, nil, false
		maps.DeleteFunc(d.problems, func(key problemKey, _ Problem) bool { return key.namespace == name })
		d.touch(name)
	}
}
