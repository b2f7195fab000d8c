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
)

const (
	// watchGrace is how much longer a watch may last than it was asked to.
	watchGrace = 5 * time.Second
	// listTimeout bounds the reading of everything that there is in one place.
	listTimeout = 30 * time.Second
	// maxGap is how old the place may be from which a watch goes on. What has
	// happened since arrives only after the watch has begun to count, so that
	// after a longer gap everything is listed again.
	maxGap = 25 * time.Second
)

// FreshWatch follows one resource in one namespace or in all, through Reflect,
// and tells when what is held was all that there was. A dead connection can stay
// silent for ever, so that a watch proves little while it lasts. Each is asked to
// end soon, and the next one proves that all is seen. All fields are required
// but those that say otherwise. It is the reflector's store, which calls its
// methods one after the other. Use Run.
type FreshWatch struct {
	Connection *Connection
	Resource   schema.GroupVersionResource
	Namespace  string // empty: all
	Selector   string // of fields; empty: everything
	// Seconds tells, at the beginning of each watch, how long it lasts.
	Seconds func() int64
	// Now is the clock.
	Now func() time.Time
	// Holder keeps what is seen.
	Holder Holder

	sent      time.Time // when the last list was asked for
	streaming bool      // the last list is one that its watch goes on from
	current   time.Time // when what is held was all that there was
}

// Holder keeps what a FreshWatch sees. at is when what is then held was all that
// there was, and version the resource version up to which it goes; empty: not
// told.
type Holder interface {
	// Replace takes in everything that there is. A list alone does not count as
	// seen, and at is zero: it may be that nothing can be watched.
	Replace(all []*unstructured.Unstructured, version string, at time.Time)
	// Put takes in an object that is new or has changed.
	Put(u *unstructured.Unstructured, at time.Time)
	// Remove lets go of an object.
	Remove(u *unstructured.Unstructured, at time.Time)
	// Seen tells that nothing else has happened.
	Seen(version string, at time.Time)
	// Failed tells what goes wrong, again and again as long as it lasts. It may
	// be because ctx has ended.
	Failed(ctx context.Context, err error)
}

// Run follows the resource until ctx is done. Run once.
func (w *FreshWatch) Run(ctx context.Context) {
	w.Connection.Reflect(ctx, w.Resource, &cache.ListWatch{ListWithContextFunc: w.list, WatchFuncWithContext: w.watch}, w)
}

func (w *FreshWatch) client() dynamic.ResourceInterface {
	return w.Connection.Client.Resource(w.Resource).Namespace(w.Namespace)
}

func (w *FreshWatch) list(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	bounded, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	if o.Continue == "" {
		w.sent, w.streaming = w.Now(), false
	}
	// What a cache of the API server holds may be of any age.
	o.ResourceVersion, o.ResourceVersionMatch = "", ""
	o.FieldSelector = w.Selector
	list, err := w.client().List(bounded, o)
	if err != nil {
		w.note(ctx, err)
		return nil, err
	}
	return list, nil
}

// ErrNoAnswer tells a Holder of a watch that got no answer.
var ErrNoAnswer = errors.New("the API server gave no answer to a watch, or broke the connection off")

var errNoStream = errors.New("the API server ended a watch before it had sent all that there is")

func (w *FreshWatch) watch(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error) {
	initial := o.SendInitialEvents != nil && *o.SendInitialEvents
	sent := w.Now()
	switch {
	case initial && w.streaming:
		// The reflector would ask the same again, at once. A list has more time.
		w.streaming = false
		return nil, errNoStream
	case initial:
		o.ResourceVersion = "" // all that there is now
	case sent.Sub(w.current) > maxGap:
		return nil, apierrors.NewResourceExpired("the last look at everything is too long ago")
	}
	events, err := w.begin(ctx, o)
	switch {
	case err == nil && initial:
		w.sent, w.streaming = sent, true
	case err == nil:
		w.seen("", sent)
	case initial && !isPast(err):
		// The reflector goes on with a list, which tells what is wrong. It must
		// not know the error: after some it pauses here without an eye on ctx.
		return nil, errors.New(err.Error())
	default:
		w.note(ctx, err)
	}
	return events, err
}

// begin sends a watch request that ends soon.
func (w *FreshWatch) begin(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error) {
	seconds := w.Seconds()
	o.TimeoutSeconds, o.FieldSelector = &seconds, w.Selector
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second+watchGrace)
	events, err := w.client().Watch(ctx, o)
	if err != nil {
		cancel()
		return nil, err
	}
	// Where a connection breaks, or no answer comes, client-go returns a watch
	// that is over, and no error.
	if _, ok := events.(*apiwatch.StreamWatcher); !ok {
		cancel()
		events.Stop()
		return nil, ErrNoAnswer
	}
	return &begun{events, cancel}, nil
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

// note tells what is wrong.
func (w *FreshWatch) note(ctx context.Context, err error) {
	if !isPast(err) { // that is done again from the start
		w.Holder.Failed(ctx, err)
	}
}

// isPast tells of an API server that does not know, or not yet, the place that
// a watch is to go on from: the reflector then lists.
func isPast(err error) bool {
	return apierrors.IsResourceExpired(err) || apierrors.IsGone(err) || apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge)
}

// seen tells that what is held was all that there was at that time.
func (w *FreshWatch) seen(version string, at time.Time) {
	w.Holder.Seen(version, at)
	w.current = at
}

// Add is part of the reflector's store.
func (w *FreshWatch) Add(o any) error { return w.Update(o) }

// Update is part of the reflector's store.
func (w *FreshWatch) Update(o any) error {
	if u, ok := o.(*unstructured.Unstructured); ok {
		at := w.Now()
		w.Holder.Put(u, at)
		w.current = at
	}
	return nil
}

// Delete is part of the reflector's store.
func (w *FreshWatch) Delete(o any) error {
	if u, ok := o.(*unstructured.Unstructured); ok {
		at := w.Now()
		w.Holder.Remove(u, at)
		w.current = at
	}
	return nil
}

// Bookmark is part of the reflector's store: nothing has happened.
func (w *FreshWatch) Bookmark(version string) error {
	w.seen(version, w.Now())
	return nil
}

// Replace is part of the reflector's store: everything that there is.
func (w *FreshWatch) Replace(list []any, version string) error {
	all := make([]*unstructured.Unstructured, 0, len(list))
	for _, o := range list {
		if u, ok := o.(*unstructured.Unstructured); ok {
			all = append(all, u)
		}
	}
	var at time.Time
	if w.streaming {
		w.streaming, at = false, w.sent
	}
	w.Holder.Replace(all, version, at)
	w.current = w.sent
	return nil
}

// Resync is part of the reflector's store: nothing is kept back.
func (w *FreshWatch) Resync() error { return nil }
