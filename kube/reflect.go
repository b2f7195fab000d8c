package kube

import (
	"context"
	"math/rand/v2"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

const (
	// The pause after a failed watch doubles from the first to the second: an
	// outage of the API server ends for the routes soon after it ends, and a
	// Role that is granted has its effect soon.
	firstPause = 200 * time.Millisecond
	maxPause   = 10 * time.Second
	// steady is how long a watch went well whose failure counts as the first.
	steady = time.Minute
)

// Reflect keeps a store up to date with a resource through client-go's
// reflector, until the context ends: it lists, watches, resumes, and lists
// again where the API server no longer knows where it was (410). What the store
// holds stays meanwhile. The reflector's own loop would write each failure into
// the log; here the list and watch functions take note of them.
func (c *Connection) Reflect(ctx context.Context, gvr schema.GroupVersionResource, lw *cache.ListWatch, store cache.ReflectorStore) {
	reflector := cache.NewReflectorWithOptions(cache.ToListWatcherWithWatchListSemantics(lw, c.Client), &unstructured.Unstructured{}, store,
		cache.ReflectorOptions{
			Name: gvr.Resource, TypeDescription: gvr.String(),
			Backoff: &wait.Backoff{Duration: firstPause, Factor: 2, Jitter: 0.3, Steps: 10, Cap: maxPause},
		})
	ctx = klog.NewContext(ctx, klog.Logger{})
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, maxPause) {
		began := time.Now()
		_ = reflector.ListAndWatchWithContext(ctx) // noted already
		if time.Since(began) > steady {
			pause = firstPause
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause + rand.N(pause/3)):
		}
	}
}
