package kube

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// described are the pods of a Service by port, for comparisons.
func described(s *servicePods) string {
	var b strings.Builder
	for _, p := range s.ports {
		fmt.Fprintf(&b, "%s:", p.name)
		for _, pod := range p.pods {
			fmt.Fprintf(&b, " %s/%d", pod.name, pod.port)
		}
		b.WriteString("; ")
	}
	return strings.TrimSuffix(b.String(), "; ")
}

func unstructuredSlice(o map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: o}
}

func merged(before *servicePods, objects ...map[string]any) *servicePods {
	all := map[string]*podSlice{}
	for _, o := range objects {
		s := reduceSlice(unstructuredSlice(o))
		all[s.Name] = s
	}
	return mergeSlices(all, before)
}

// endpoint is a slice with one endpoint as it is written.
func endpoint(text string) map[string]any {
	return sliceJSON(`{"metadata":{"name":"a","namespace":"shop","labels":{"kubernetes.io/service-name":"prometheus"}},
		"ports":[{"name":"web","port":9090}],"endpoints":[` + text + `]}`)
}

func TestReadyPods(t *testing.T) {
	const web, two = `[{"name":"web","port":9090}]`, `[{"name":"web","port":9090},{"name":"reload","port":8080,"protocol":"TCP"},{"name":"gossip","port":1,"protocol":"UDP"},{"name":"any"}]`
	pod := func(conditions, reference string) map[string]any {
		return endpoint(`{"addresses":["10.0.0.1"],"conditions":` + conditions + `,"targetRef":` + reference + `}`)
	}
	const reference = `{"kind":"Pod","namespace":"shop","name":"p"}`
	for _, c := range []struct {
		name   string
		slices []map[string]any
		want   string
	}{
		{"ready", []map[string]any{pod(`{"ready":true}`, reference)}, "web: p/9090"},
		{"readiness not told", []map[string]any{pod(`{}`, reference)}, "web: p/9090"},
		{"conditions not told", []map[string]any{pod(`null`, reference)}, "web: p/9090"},
		{"not ready", []map[string]any{pod(`{"ready":false}`, reference)}, "web:"},
		{"terminating", []map[string]any{pod(`{"ready":true,"serving":true,"terminating":true}`, reference)}, "web:"},
		{"no pod", []map[string]any{pod(`{"ready":true}`, `{"kind":"Node","name":"p"}`)}, "web:"},
		{"nothing", []map[string]any{pod(`{"ready":true}`, `null`)}, "web:"},
		{"of another namespace", []map[string]any{pod(`{"ready":true}`, `{"kind":"Pod","namespace":"other","name":"p"}`)}, "web:"},
		{"a path for a name", []map[string]any{pod(`{"ready":true}`, `{"kind":"Pod","namespace":"shop","name":"x/../../../secrets"}`)}, "web:"},
		{"a scheme for a name", []map[string]any{pod(`{"ready":true}`, `{"kind":"Pod","namespace":"shop","name":"a:b"}`)}, "web:"},
		{"no name", []map[string]any{pod(`{"ready":true}`, `{"kind":"Pod","namespace":"shop"}`)}, "web:"},
		{"not a slice", []map[string]any{endpoint(`"x"`)}, ""},
		{"ports", []map[string]any{slice("a", "prometheus", two, "p", "!q", "r")}, "web: p/9090 r/9090; reload: p/8080 r/8080"},
		{"dual stack", []map[string]any{slice("a-v4", "prometheus", web, "p", "q"), slice("a-v6", "prometheus", web, "q", "p")}, "web: p/9090 q/9090"},
		{"several", []map[string]any{slice("b", "prometheus", web, "r"), slice("a", "prometheus", web, "p", "!r")}, "web: p/9090 r/9090"},
		{"other numbers", []map[string]any{slice("a", "prometheus", web, "p"), slice("b", "prometheus", `[{"name":"web","port":9091}]`, "q")}, "web: p/9090 q/9091"},
	} {
		if got := described(merged(nil, c.slices...)); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// TestReadyAgain tells a pod that is ready again from one that stayed so.
func TestReadyAgain(t *testing.T) {
	first := merged(nil, webSlice("p", "q"))
	second := merged(first, webSlice("p", "!q"), slice("b", "prometheus", `[{"name":"other","port":1}]`, "p"))
	third := merged(second, webSlice("p", "q"))
	of := func(s *servicePods, i int) *readyPod { return s.ports[s.index("web")].pods[i] }
	if of(first, 0) != of(second, 0) || of(first, 0) != of(third, 0) {
		t.Error("a pod that stayed ready is another")
	}
	if of(first, 1) == of(third, 1) {
		t.Error("a pod that was not ready is the same")
	}
	again := webSlice("p")
	again["endpoints"].([]any)[0].(map[string]any)["targetRef"].(map[string]any)["uid"] = "other"
	if of(merged(third, again), 0) == of(third, 0) {
		t.Error("a pod that was made again is the same")
	}
}

func TestPortOf(t *testing.T) {
	one := merged(nil, slice("a", "prometheus", `[{"name":"web","port":19090}]`, "p"))
	unnamed := merged(nil, slice("a", "prometheus", `[{"port":19090}]`, "p"))
	two := merged(nil, slice("a", "prometheus", `[{"name":"web","port":9090},{"name":"","port":8080}]`, "p"))
	for _, c := range []struct {
		of            *servicePods
		port, trouble string
	}{
		{one, "web", ""}, {one, "9090", ""}, {one, "http", "port"}, {unnamed, "9090", ""}, {unnamed, "web", "port"},
		{two, "web", ""}, {two, "9090", "port"}, {nil, "web", "no pods"}, {&servicePods{}, "9090", "no pods"},
		{merged(nil, webSlice("!p")), "web", "no pods"},
	} {
		pods, trouble := portOf(c.of, c.port)
		kind := ""
		if trouble != nil {
			kind = trouble.kind
		}
		if kind != c.trouble || (len(pods) == 1) != (kind == "") {
			t.Errorf("port %s of %+v: %d pods, %q", c.port, c.of, len(pods), kind)
		}
	}
}

// TestSlicesFollowed follows what becomes of slices, with API servers that send
// what there is in a watch and those that cannot.
func TestSlicesFollowed(t *testing.T) {
	for _, old := range []bool{false, true} {
		f := newFleet("a")
		f.old = old
		f.put(slice("other", "other", `[{"name":"web","port":9090}]`, "x"))
		inBubble(t, f, "", ref, func(p *pinnedTest) {
			p.want("a")
			for _, c := range []struct {
				change func()
				want   string
			}{
				{func() { p.put(webSlice("!a", "b")) }, "b"},
				{func() { p.put(slice("other", "other", `[{"name":"web","port":9090}]`, "y")) }, "b"},
				{func() { p.put(webSlice()) }, "service"},
				{func() { p.put(slice("second", "prometheus", `[{"name":"web","port":9090}]`, "c")) }, "c"},
				{func() { p.remove(webSlice()) }, "c"},
				{func() { p.put(slice("second", "moved", `[{"name":"web","port":9090}]`, "c")) }, "service"},
				{func() { p.put(slice("second", "prometheus", `[{"name":"web","port":9090}]`, "c")) }, "c"},
				{func() { p.remove(slice("second", "prometheus", `[]`)) }, "service"},
			} {
				c.change()
				synctest.Wait()
				p.want(c.want)
			}
			if p.opened != 1 {
				t.Errorf("%d watches", p.opened)
			}
		})
	}
}

// TestIdleWatch ends when nobody asks, and begins again with a question.
func TestIdleWatch(t *testing.T) {
	inBubble(t, newFleet("a"), "", ref, func(p *pinnedTest) {
		watches := func() int {
			synctest.Wait()
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.watches
		}
		if n := watches(); n != 0 {
			t.Errorf("%d watches before the first question", n)
		}
		p.want("a")
		pass(idleAfter - time.Minute)
		p.want("a")
		pass(idleAfter - time.Minute)
		if n := watches(); n != 1 {
			t.Errorf("%d watches in use", n)
		}
		pass(2 * time.Minute)
		if n := watches(); n != 0 || len(p.cluster.pins.watches) != 0 {
			t.Errorf("%d watches that nobody uses", n)
		}
		p.put(webSlice("b"))
		p.want("b")
		if n := watches(); n != 1 {
			t.Errorf("%d watches in use again", n)
		}
		p.cluster.Close()
		if n := watches(); n != 0 {
			t.Errorf("%d watches after Close", n)
		}
		// What is asked all the same is answered, and no watch begins.
		p.want("b")
		pass(2 * idleAfter)
		p.want("b")
		if n := watches(); n != 0 {
			t.Errorf("%d watches after Close", n)
		}
	})
}

// TestClosedBefore: a target of a closed cluster is reached by the service proxy.
func TestClosedBefore(t *testing.T) {
	inBubble(t, newFleet("a"), "", ref, func(p *pinnedTest) {
		p.cluster.Close()
		p.want("service")
		p.wantLog()
	})
}

// TestWatchLost: what was seen last holds while the API server's watch cannot be
// had for other reasons than rights.
func TestWatchLost(t *testing.T) {
	inBubble(t, newFleet("a", "b"), "", ref, func(p *pinnedTest) {
		first := p.preferred()[0]
		p.set(func() { p.mute = true })
		p.server.CloseClientConnections()
		pass(time.Minute)
		p.want(first)
		p.set(func() { p.mute = false })
		pass(10 * time.Minute)
		p.put(webSlice("c"))
		synctest.Wait()
		p.want("c")
		// A right that was taken away ends the pinning.
		p.set(func() { p.denied["endpointslices"] = true })
		p.server.CloseClientConnections()
		pass(time.Minute)
		p.want("service")
		p.wantLog([]string{"level=WARN", "promgate:get:pods"})
	})
}
