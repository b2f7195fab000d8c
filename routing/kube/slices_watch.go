package kube

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

const (
	// firstSync is how long the first questions wait for the first list.
	firstSync = 2 * time.Second
	// idleAfter is when a watch ends that nobody has used.
	idleAfter = 30 * time.Minute
)

// sliceWatch follows the EndpointSlices of one namespace, through client-go's
// reflector. It is the reflector's store, and keeps the ready pods alone.
type sliceWatch struct {
	cluster   *Cluster
	namespace string
	end       context.CancelFunc
	ended     atomic.Bool
	used      atomic.Int64 // when it was last used, in Unix nanoseconds

	// services holds an immutable map by the Service's name; nil until
	// everything was seen once.
	services atomic.Pointer[map[string]*servicePods]
	fault    atomic.Pointer[watchFault]
	// watched tells that the last attempt to watch went well.
	watched atomic.Bool
	// settled is closed when it is known whether the slices can be had, or when
	// that took too long.
	settled chan struct{}
	settle  func()

	// slices are by the Service's name and their own. The reflector alone uses
	// them.
	slices map[string]map[string]*podSlice
}

// watchFault is why the last attempt to list or watch came to nothing.
type watchFault struct {
	forbidden bool
	text      string
}

// sliceWatchOf is the namespace's watch, which is started where there is none;
// nil once the cluster is closed.
func (c *Cluster) sliceWatchOf(namespace string) *sliceWatch {
	c.pins.mu.Lock()
	defer c.pins.mu.Unlock()
	if c.pins.closed {
		return nil
	}
	if w := c.pins.watches[namespace]; w != nil {
		return w
	}
	ctx, end := context.WithCancel(context.Background())
	w := &sliceWatch{cluster: c, namespace: namespace, end: end, settled: make(chan struct{})}
	w.settle = sync.OnceFunc(func() { close(w.settled) })
	w.touch()
	if c.pins.watches == nil {
		c.pins.watches = map[string]*sliceWatch{}
	}
	c.pins.watches[namespace] = w
	go w.run(ctx)
	return w
}

// touch notes that the watch is of use. It writes little: all requests share
// the word.
func (w *sliceWatch) touch() {
	if now := time.Now().UnixNano(); now-w.used.Load() > int64(time.Second) {
		w.used.Store(now)
	}
}

// run follows the slices until the watch is ended or nobody uses it any more.
func (w *sliceWatch) run(ctx context.Context) {
	patience := time.AfterFunc(firstSync, w.settle)
	idle := time.NewTimer(idleAfter)
	var following sync.WaitGroup
	following.Go(func() {
		w.cluster.Reflect(ctx, endpointSlices, &cache.ListWatch{ListWithContextFunc: w.list, WatchFuncWithContext: w.watch}, w)
	})
	defer func() {
		w.end()
		patience.Stop()
		idle.Stop()
		w.settle()
		following.Wait()
		if w.cluster.pins.isClosed() { // its connection was in use when the others were closed
			utilnet.CloseIdleConnectionsFor(w.cluster.Transport)
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case <-idle.C:
			again, over := w.stopIfIdle()
			if over {
				return
			}
			idle.Reset(again)
		}
	}
}

// stopIfIdle takes the watch out of use where it was not used for long, and
// tells when to look again otherwise.
func (w *sliceWatch) stopIfIdle() (again time.Duration, over bool) {
	pins := &w.cluster.pins
	pins.mu.Lock()
	defer pins.mu.Unlock()
	if again = idleAfter - time.Since(time.Unix(0, w.used.Load())); again > 0 {
		return again, false
	}
	if pins.watches[w.namespace] == w {
		delete(pins.watches, w.namespace)
	}
	w.ended.Store(true)
	return 0, true
}

func (w *sliceWatch) list(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	o.LabelSelector = serviceNameLabel
	list, err := w.cluster.Client.Resource(endpointSlices).Namespace(w.namespace).List(ctx, o)
	w.result(ctx, err)
	return list, err
}

func (w *sliceWatch) watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	o.LabelSelector = serviceNameLabel
	watcher, err := w.cluster.Client.Resource(endpointSlices).Namespace(w.namespace).Watch(ctx, o)
	w.watched.Store(err == nil)
	// A list alone is of no use, and neither is a watch that has still to send
	// what there is.
	if err == nil && (o.SendInitialEvents == nil || !*o.SendInitialEvents) {
		w.fault.Store(nil)
	}
	w.result(ctx, err)
	return watcher, err
}

// result takes note of what is wrong.
func (w *sliceWatch) result(ctx context.Context, err error) {
	if err == nil || ctx.Err() != nil || apierrors.IsInvalid(err) || apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return // nothing is, or the reflector goes on in another way
	}
	w.fault.Store(&watchFault{forbidden: apierrors.IsForbidden(err), text: err.Error()})
	w.settle()
}

// Transformer has slices reduced before they are kept.
func (w *sliceWatch) Transformer() cache.TransformFunc {
	return func(o any) (any, error) { return reduceSlice(o), nil }
}

// Add takes a slice in.
func (w *sliceWatch) Add(o any) error { return w.Update(o) }

// Update takes a slice in.
func (w *sliceWatch) Update(o any) error {
	s := reduceSlice(o)
	changed := []string{s.service}
	for service, all := range w.slices { // its label may be another than before
		if service != s.service && all[s.Name] != nil {
			delete(all, s.Name)
			changed = append(changed, service)
		}
	}
	w.keep(s)
	w.publish(changed...)
	return nil
}

// Delete drops a slice.
func (w *sliceWatch) Delete(o any) error {
	s := reduceSlice(o)
	delete(w.slices[s.service], s.Name)
	w.publish(s.service)
	return nil
}

// Replace takes in all slices that there are.
func (w *sliceWatch) Replace(list []any, _ string) error {
	changed := slices.Collect(maps.Keys(w.slices))
	w.slices = map[string]map[string]*podSlice{}
	for _, o := range list {
		s := reduceSlice(o)
		w.keep(s)
		changed = append(changed, s.service)
	}
	w.publish(changed...)
	if w.watched.Load() {
		w.fault.Store(nil)
	}
	w.settle()
	return nil
}

// Resync has nothing to do: nothing is kept back.
func (w *sliceWatch) Resync() error { return nil }

func (w *sliceWatch) keep(s *podSlice) {
	if w.slices[s.service] == nil {
		w.slices[s.service] = map[string]*podSlice{}
	}
	w.slices[s.service][s.Name] = s
}

// publish makes the pods of Services anew.
func (w *sliceWatch) publish(changed ...string) {
	services := map[string]*servicePods{}
	if before := w.services.Load(); before != nil {
		maps.Copy(services, *before)
	}
	slices.Sort(changed)
	for _, name := range slices.Compact(changed) {
		if len(w.slices[name]) == 0 {
			delete(w.slices, name)
			delete(services, name)
		} else {
			services[name] = mergeSlices(w.slices[name], services[name])
		}
	}
	w.services.Store(&services)
}

// pods are the ready pods of a Service, or why they cannot be told. What was
// seen last holds while the API server cannot be reached, but not when it
// refuses: then it would hold for ever.
func (w *sliceWatch) pods(ctx context.Context, service string) (*servicePods, *trouble) {
	w.touch()
	select {
	case <-w.settled:
	default:
		select {
		case <-w.settled:
		case <-ctx.Done():
		}
	}
	fault, services := w.fault.Load(), w.services.Load()
	switch {
	case fault != nil && fault.forbidden:
		return nil, &trouble{kind: "slices denied", reason: "the Service's pods cannot be watched: " + fault.text, method: http.MethodGet}
	case services != nil:
		return (*services)[service], nil
	case fault != nil:
		return nil, &trouble{kind: "slices", reason: "the Service's pods cannot be watched: " + fault.text}
	}
	return nil, &trouble{kind: "slices", reason: fmt.Sprintf("the list of the Service's pods did not arrive within %s", firstSync)}
}
