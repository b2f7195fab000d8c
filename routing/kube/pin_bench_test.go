package kube

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/promgate/promgate/kube"
)

// canned answers without a network.
type canned struct{ body string }

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Request: r, Body: io.NopCloser(strings.NewReader(c.body))}, nil
}

// BenchmarkPinned compares a pinned target with one that is not.
func BenchmarkPinned(b *testing.B) {
	c := NewCluster(&kube.Connection{Name: "local", Base: mustURL("https://example.com"), Transport: canned{}}, Options{})
	p := &pinned{cluster: c, pinKey: pinKey{"shop", "prometheus", "web", "http"}, path: "/api/v1/namespaces/shop/services/http:prometheus:web/proxy"}
	w := &sliceWatch{cluster: c, settled: make(chan struct{}), slices: map[string]map[string]*podSlice{}}
	close(w.settled)
	w.settle = func() {}
	w.keep(reduceSlice(unstructuredSlice(webSlice("prometheus-0", "prometheus-1"))))
	w.publish("prometheus")
	p.watch.Store(w)
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://example.com"+p.path+"/api/v1/query_range?query=up", nil)
	if err != nil {
		b.Fatal(err)
	}
	for _, way := range []struct {
		name      string
		transport http.RoundTripper
	}{{"service", c.Transport}, {"pinned", p}} {
		b.Run(way.name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := way.transport.RoundTrip(r); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// BenchmarkSliceChange decodes one change of a Service in a namespace of 200.
func BenchmarkSliceChange(b *testing.B) {
	w := &sliceWatch{settle: func() {}}
	var all []any
	for i := range 200 {
		name := "service-" + strings.Repeat("x", i)
		all = append(all, unstructuredSlice(slice(name, name, `[{"name":"web","port":9090}]`, "pod-0", "pod-1", "pod-2")))
	}
	_ = w.Replace(all, "")
	changed := unstructuredSlice(slice("service-x", "service-x", `[{"name":"web","port":9090}]`, "pod-0", "!pod-1", "pod-2"))
	b.ReportAllocs()
	for b.Loop() {
		_ = w.Update(changed)
	}
}
