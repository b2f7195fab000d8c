package kube

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"

	"github.com/promgate/promgate/kube"
	"github.com/promgate/promgate/tokens"
)

const (
	// A dead connection can stay silent for ever, so that a watch proves little
	// while it lasts. Each is asked to end soon, and the next one proves that
	// all is seen. With many watches each lasts longer, which spares the API
	// server; all stay well below what the verifier calls too old.
	minWatchSeconds  = 5
	maxWatchSeconds  = 15
	watchesPerSecond = 50
	// watchGrace is how much longer a watch may last than it was asked to.
	watchGrace = 5 * time.Second
	// listTimeout bounds the reading of everything that there is in one place.
	listTimeout = 30 * time.Second
	// maxGap is how old the place may be from which a watch goes on. What has
	// happened since arrives only after the watch has begun to count, so that
	// after a longer gap everything is listed again.
	maxGap = 25 * time.Second
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

// follower follows one resource in one namespace or in all, through client-go's
// reflector, and notes when its part of the store was seen. It is the
// reflector's store.
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

	// The reflector alone uses the following, one call after the other.
	sent      time.Time // when the last list was asked for
	streaming bool      // the last list is one that its watch goes on from
	current   time.Time // when what is held was all that there was
}

// stop ends a follower. The lock is held.
func (f *follower) stop() {
	if f != nil {
		f.over = true
		f.end()
	}
}

func (f *follower) run(ctx context.Context) {
	f.connection.Reflect(ctx, f.resource, &cache.ListWatch{ListWithContextFunc: f.list, WatchFuncWithContext: f.watch}, f)
}

func (f *follower) client() dynamic.ResourceInterface {
	return f.connection.Client.Resource(f.resource).Namespace(f.namespace)
}

func (f *follower) list(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	bounded, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	if o.Continue == "" {
		f.sent, f.streaming = f.s.now(), false
	}
	// What a cache of the API server holds may be of any age.
	o.ResourceVersion, o.ResourceVersionMatch = "", ""
	o.FieldSelector = f.selector
	list, err := f.client().List(bounded, o)
	if err != nil {
		f.note(ctx, err)
		return nil, err
	}
	return list, nil
}

var (
	errNoStream = errors.New("the API server ended a watch before it had sent all that there is")
	errNoAnswer = errors.New("the API server gave no answer to a watch, or broke the connection off")
)

func (f *follower) watch(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error) {
	initial := o.SendInitialEvents != nil && *o.SendInitialEvents
	sent := f.s.now()
	switch {
	case initial && f.streaming:
		// The reflector would ask the same again, at once. A list has more time.
		f.streaming = false
		return nil, errNoStream
	case initial:
		o.ResourceVersion = "" // all that there is now
	case sent.Sub(f.current) > maxGap:
		return nil, apierrors.NewResourceExpired("the last look at everything is too long ago")
	}
	w, err := f.begin(ctx, o)
	switch {
	case err == nil && initial:
		f.sent, f.streaming = sent, true
	case err == nil:
		f.seen(sent)
	case initial && !isPast(err):
		// The reflector goes on with a list, which tells what is wrong. It must
		// not know the error: after some it pauses here without an eye on ctx.
		return nil, errors.New(err.Error())
	default:
		f.note(ctx, err)
	}
	return w, err
}

// begin sends a watch request that ends soon.
func (f *follower) begin(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error) {
	seconds := f.s.watchSeconds()
	o.TimeoutSeconds, o.FieldSelector = &seconds, f.selector
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second+watchGrace)
	w, err := f.client().Watch(ctx, o)
	if err != nil {
		cancel()
		return nil, err
	}
	// Where a connection breaks, or no answer comes, client-go returns a watch
	// that is over, and no error.
	if _, ok := w.(*apiwatch.StreamWatcher); !ok {
		cancel()
		w.Stop()
		return nil, errNoAnswer
	}
	return &begun{w, cancel}, nil
}

// begun is a watch that gives its time limit back when it is stopped, which the
// reflector does with every watch.
type begun struct {
	apiwatch.Interface
	cancel context.CancelFunc
}

// Stop ends the watch.
func (b *begun) Stop() {
	b.Interface.Stop()
	b.cancel()
}

// watchSeconds is how long a watch lasts.
func (s *Store) watchSeconds() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return min(maxWatchSeconds, minWatchSeconds+int64(len(s.watch.spaces)+1)/watchesPerSecond)
}

// seen notes that what is held was all that there was at that time.
func (f *follower) seen(at time.Time) { f.change(at, func() {}) }

// change takes something in that was all that there was at that time, unless
// the follower was stopped.
func (f *follower) change(at time.Time, take func()) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	if f.over {
		return
	}
	take()
	f.current = at
	f.part.See(at)
	if f.fault != "" {
		f.fault = ""
		f.s.log.Info("endpoint tokens can be followed again", "cluster", f.connection.Name, "namespace", f.namespace,
			"resource", f.resource.GroupResource().String())
	}
}

// note logs what is wrong, if it is not what was wrong before.
func (f *follower) note(ctx context.Context, err error) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	if ctx.Err() != nil || f.over || isPast(err) {
		return // it was given up, or is done again from the start
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

// isPast tells of an API server that does not know, or not yet, the place that
// a watch is to go on from: the reflector then lists.
func isPast(err error) bool {
	return apierrors.IsResourceExpired(err) || apierrors.IsGone(err) || apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge)
}

// Add is part of the reflector's store.
func (f *follower) Add(o any) error { return f.Update(o) }

// Update is part of the reflector's store.
func (f *follower) Update(o any) error {
	if u, ok := o.(*unstructured.Unstructured); ok {
		f.change(f.s.now(), func() { f.holder.put(u) })
	}
	return nil
}

// Delete is part of the reflector's store.
func (f *follower) Delete(o any) error {
	if u, ok := o.(*unstructured.Unstructured); ok {
		f.change(f.s.now(), func() { f.holder.remove(u) })
	}
	return nil
}

// Bookmark is part of the reflector's store: nothing has happened.
func (f *follower) Bookmark(string) error {
	f.seen(f.s.now())
	return nil
}

// Replace is part of the reflector's store: everything that there is. A list
// alone does not count as seen: it may be that nothing can be watched.
func (f *follower) Replace(list []any, _ string) error {
	all := make([]*unstructured.Unstructured, 0, len(list))
	for _, o := range list {
		if u, ok := o.(*unstructured.Unstructured); ok {
			all = append(all, u)
		}
	}
	if f.streaming {
		f.streaming = false
		f.change(f.sent, func() { f.holder.replace(all) })
		return nil
	}
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	if !f.over {
		f.holder.replace(all)
		f.current = f.sent
	}
	return nil
}

// Resync is part of the reflector's store: nothing is kept back.
func (f *follower) Resync() error { return nil }
