package kube

import (
	"cmp"
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"

	"github.com/promgate/promgate/kube"
)

const (
	// A dead connection can stay silent for ever, so that a watch proves little
	// while it lasts. Each is asked to end soon, and the next one proves that all
	// is seen.
	watchSeconds = 5
	// watchGrace is how much longer a watch may last than it was asked to.
	watchGrace = 5 * time.Second
	// listTimeout bounds the reading of everything that there is.
	listTimeout = 30 * time.Second
	// maxGap is how old the place may be from which a watch goes on. What has
	// happened since arrives only after the watch has begun to count, so that
	// after a longer gap everything is listed again.
	maxGap = 25 * time.Second
)

// follower follows the sessions over one connection, through client-go's
// reflector, whose store it is.
type follower struct {
	s          *Store
	connection *kube.Connection

	// The reflector alone uses the following, one call after the other.
	sent      time.Time // when the last list was asked for
	streaming bool      // the last list is one that its watch goes on from
	current   time.Time // when what is held was all that there was
}

func (f *follower) run(ctx context.Context) {
	f.connection.Reflect(ctx, sessions, &cache.ListWatch{ListWithContextFunc: f.list, WatchFuncWithContext: f.watch}, f)
}

func (f *follower) client() dynamic.ResourceInterface {
	return f.connection.Client.Resource(sessions).Namespace(f.s.namespace)
}

func (f *follower) list(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	bounded, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	if o.Continue == "" {
		f.sent, f.streaming = f.s.now(), false
	}
	// What a cache of the API server holds may be of any age.
	o.ResourceVersion, o.ResourceVersionMatch = "", ""
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
		f.change(sent, "", func() {})
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
	seconds := int64(watchSeconds)
	o.TimeoutSeconds = &seconds
	ctx, cancel := context.WithTimeout(ctx, watchSeconds*time.Second+watchGrace)
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

// change takes something in, after which is known what there was at that time
// and at that resource version; none: at the one before.
func (f *follower) change(at time.Time, version string, take func()) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	take()
	f.current = at
	f.s.version = cmp.Or(version, f.s.version)
	f.s.asOf = at.Round(0) // by the clock: a machine that slept has seen nothing
	f.s.worksLocked(following)
}

// note logs what is wrong, if it is not what was wrong before.
func (f *follower) note(ctx context.Context, err error) {
	if !isPast(err) { // that is done again from the start
		_ = f.s.fails(ctx, following, err)
	}
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
		f.change(f.s.now(), u.GetResourceVersion(), func() { f.s.take(u) })
	}
	return nil
}

// Delete is part of the reflector's store.
func (f *follower) Delete(o any) error {
	if u, ok := o.(*unstructured.Unstructured); ok {
		f.change(f.s.now(), u.GetResourceVersion(), func() { f.s.remove(u) })
	}
	return nil
}

// Bookmark is part of the reflector's store: nothing has happened.
func (f *follower) Bookmark(version string) error {
	f.change(f.s.now(), version, func() {})
	return nil
}

// Replace is part of the reflector's store: everything that there is. A list
// alone does not count as seen: it may be that nothing can be watched.
func (f *follower) Replace(list []any, version string) error {
	all := make([]*unstructured.Unstructured, 0, len(list))
	for _, o := range list {
		if u, ok := o.(*unstructured.Unstructured); ok {
			all = append(all, u)
		}
	}
	if f.streaming {
		f.streaming = false
		f.change(f.sent, version, func() { f.s.replace(all) })
		return nil
	}
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	f.s.replace(all)
	f.s.version = version
	f.current = f.sent
	return nil
}

// Resync is part of the reflector's store: nothing is kept back.
func (f *follower) Resync() error { return nil }
