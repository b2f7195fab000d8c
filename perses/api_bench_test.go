package perses

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/gateway"
	"github.com/promgate/promgate/routing"
)

// BenchmarkList lists 5,000 dashboards of 4 KB: as they come from a watch, which
// keeps the objects, and as they come with each request.
func BenchmarkList(b *testing.B) {
	const count, size = 5000, 4 << 10
	h := newAPIHarness(b)
	panel := `"panel-%d":{"kind":"Panel","spec":{"queries":[{"spec":{"plugin":{"spec":{"query":"sum(rate(http_requests_total{job=\"a\"}[5m]))"}}}}]}},`
	for i := range count {
		var spec strings.Builder
		spec.WriteString(`{"display":{"name":"A dashboard"},"panels":{`)
		for n := 0; spec.Len() < size; n++ {
			fmt.Fprintf(&spec, panel, n)
		}
		spec.WriteString(`"last":{}},"duration":"1h"}`)
		h.objects.last(Dashboards, "shop", fmt.Sprintf("dashboard-%05d", i), spec.String())
	}
	id := &auth.Identity{Principal: auth.Principal{Kind: auth.KindLocal, ID: "dora"}}
	call := func(query string) *visit {
		r, err := http.NewRequest(http.MethodGet, "/perses/api/v1/dashboards"+query, nil)
		if err != nil {
			b.Fatal(err)
		}
		return &visit{Call: &gateway.Call{Identity: id, Request: r}, viewer: Viewer{Identity: id}, objects: h.objects}
	}
	for _, live := range []bool{true, false} {
		for name, query := range map[string]string{"full": "", "metadata_only": "?metadata_only=true"} {
			b.Run(fmt.Sprintf("%s/live=%v", name, live), func(b *testing.B) {
				h.api.Live = func() bool { return live }
				v := call(query)
				do := h.api.all(Dashboards)
				b.ReportAllocs()
				for b.Loop() {
					reply, err := do(context.Background(), v)
					if err != nil || len(reply.Body.(gateway.Text).Content) < count*100 {
						b.Fatal("no list", err)
					}
				}
			})
		}
	}
	b.Run("page", func(b *testing.B) {
		v := call("")
		v.Names = map[string]string{"project": "shop"}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := h.api.pageList(context.Background(), v); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// last adds an object that comes after all others.
func (f *fakeObjects) last(k *Kind, namespace, name, spec string) {
	if f.all[k] == nil {
		f.all[k] = &Listing{}
	}
	f.all[k].Objects = append(f.all[k].Objects, &Object{Kind: k, Namespace: namespace, Name: name, Spec: json.RawMessage(spec)})
}

// BenchmarkIndex makes the index of 10,000 environments, which the first request
// after a change of the table waits for.
func BenchmarkIndex(b *testing.B) {
	h := newAPIHarness(b)
	var all []*routing.Environment
	for i := range 10000 {
		project := fmt.Sprint("project-", i/4)
		all = append(all, h.service(project, fmt.Sprint("environment-", i%4), "local", project, fmt.Sprintf("http:prometheus-%d:9090", i%4), ""))
	}
	h.set(all...)
	b.ReportAllocs()
	for b.Loop() {
		newEnvironmentIndex(h.routes.Load(), apiURL, "local")
	}
}
