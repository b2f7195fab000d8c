package kube

import (
	"fmt"
	"slices"
	"testing"

	"github.com/promgate/promgate/kube"
)

func orderedTarget(namespace string) *pinned {
	return &pinned{
		cluster: &Cluster{Connection: &kube.Connection{Name: "local", Base: mustURL("https://example.com")}},
		pinKey:  pinKey{namespace: namespace, name: "prometheus", port: "web", scheme: "http"},
	}
}

func ordered(p *pinned, pods ...string) []string {
	var names []string
	for _, s := range p.newOrder(merged(nil, webSlice(pods...)), nil).pods {
		names = append(names, s.pod.name)
	}
	return names
}

// TestOrderSpreads: targets share pods out evenly, for the first place and for
// the second.
func TestOrderSpreads(t *testing.T) {
	pods := []string{"prometheus-0", "prometheus-1", "prometheus-2"}
	const targets = 3000
	counts := map[string]int{}
	for i := range targets {
		o := ordered(orderedTarget(fmt.Sprintf("namespace-%d", i)), pods...)
		counts[o[0]+" "+o[1]]++
	}
	for pair, n := range counts {
		if n < targets/6*4/5 || n > targets/6*6/5 {
			t.Errorf("%s: %d of %d", pair, n, targets)
		}
	}
	if len(counts) != 6 {
		t.Errorf("got %v", counts)
	}
}

// TestOrderStable: when a pod goes, the others keep their order, and the order
// does not depend on that of the slices.
func TestOrderStable(t *testing.T) {
	pods := []string{"prometheus-0", "prometheus-1", "prometheus-2", "prometheus-3"}
	for i := range 100 {
		p := orderedTarget(fmt.Sprintf("namespace-%d", i))
		all := ordered(p, pods...)
		for j, gone := range pods {
			rest := slices.Delete(slices.Clone(pods), j, j+1)
			slices.Reverse(rest)
			want := slices.DeleteFunc(slices.Clone(all), func(name string) bool { return name == gone })
			if got := ordered(p, rest...); !slices.Equal(got, want) {
				t.Errorf("without %s: got %v, want %v", gone, got, want)
			}
		}
	}
	// Every version of the gateway must choose alike.
	if got := ordered(orderedTarget("shop"), pods...); fmt.Sprint(got) != "[prometheus-2 prometheus-3 prometheus-0 prometheus-1]" {
		t.Errorf("the order is %v", got)
	}
}
