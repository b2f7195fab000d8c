package kube

import (
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promgate/promgate/kube"
)

// TestPinned asks one pod of three, always the same, for everything that was
// asked of the Service.
func TestPinned(t *testing.T) {
	for _, path := range []string{"", "/k8s/clusters/c%2F1", "/k8s"} {
		inBubble(t, newFleet("prometheus-0", "prometheus-1", "prometheus-2"), path, ref, func(p *pinnedTest) {
			first := p.preferred()[0]
			for range 20 {
				p.want(first)
			}
			r := p.request(http.MethodGet, "/api/v1/label/h%C3%B6he%2F1/values?match[]=up&a=b%20c", nil)
			r.Header.Set("X-Scope-OrgID", "shop")
			before := r.Clone(r.Context())
			_, body := p.do(r)
			want := first + " " + path + "/api/v1/namespaces/shop/pods/http:" + first + ":9090/proxy/api/v1/label/h%C3%B6he%2F1/values?match[]=up&a=b%20c "
			if body != want {
				t.Errorf("got  %s\nwant %s", body, want)
			}
			if !reflect.DeepEqual(r.URL, before.URL) || !reflect.DeepEqual(r.Header, before.Header) || r.Host != before.Host {
				t.Errorf("the request was changed: %+v", r)
			}
			if p.outcomes["pinned"] != 22 || len(p.outcomes) != 1 {
				t.Errorf("outcomes %v", p.outcomes)
			}
			if p.logged.Len() > 0 {
				t.Errorf("logged %s", p.logged)
			}
		})
	}
}

// TestPinnedElsewhere lets what is not addressed to the target's own service
// proxy alone.
func TestPinnedElsewhere(t *testing.T) {
	inBubble(t, newFleet("prometheus-0"), "", ref, func(p *pinnedTest) {
		r := p.request(http.MethodGet, "", nil)
		for _, path := range []string{"/version", r.URL.Path + "x/api", "/api/v1/namespaces/shop/services/http:other:web/proxy/a"} {
			r.URL.Path = path
			p.do(r)
			if p.take() != "service" || len(p.outcomes) > 0 || p.opened > 0 {
				t.Errorf("%s: %v", path, p.outcomes)
			}
		}
	})
}

// TestPenalty kills the preferred pod: one question in a while finds out
// whether it is back, and none fails.
func TestPenalty(t *testing.T) {
	inBubble(t, newFleet("prometheus-0", "prometheus-1"), "", ref, func(p *pinnedTest) {
		order := p.preferred()
		both := order[0] + " " + order[1]
		p.set(func() { p.answers[order[0]] = dead })
		p.want(both)
		for _, seconds := range []time.Duration{1, 2, 4, 8, 10, 10} {
			p.want(order[1])
			pass(seconds*time.Second - time.Millisecond)
			p.want(order[1])
			pass(time.Millisecond)
			p.want(both)
		}
		p.set(func() { delete(p.answers, order[0]) })
		pass(10*time.Second - time.Millisecond)
		p.want(order[1])
		pass(time.Millisecond)
		p.want(order[0])
		p.want(order[0])
		// It was forgotten.
		p.set(func() { p.answers[order[0]] = dead })
		p.want(both)
		pass(time.Second)
		p.want(both)
		if p.outcomes["next"] != 22 || p.outcomes["pinned"] != 3 || p.outcomes["service"] != 0 {
			t.Errorf("outcomes %v", p.outcomes)
		}
	})
}

// TestHalfOpen has many ask when a penalty is over: one of them tries the pod.
func TestHalfOpen(t *testing.T) {
	inBubble(t, newFleet("prometheus-0", "prometheus-1"), "", ref, func(p *pinnedTest) {
		order := p.preferred()
		slow := func(w http.ResponseWriter, r *http.Request) {
			<-time.After(100 * time.Millisecond)
			dead(w, r)
		}
		p.set(func() { p.answers[order[0]] = slow })
		crowd := func() string {
			p.take()
			var asking sync.WaitGroup
			for range 20 {
				asking.Go(func() {
					if code, body := p.do(p.request(http.MethodGet, "/", nil)); code != http.StatusOK {
						t.Errorf("got %d %s", code, body)
					}
				})
			}
			asking.Wait()
			return p.take()
		}
		// Those that fail together count as one failure.
		if n := strings.Count(crowd(), order[0]); n != 20 {
			t.Errorf("%d asked the pod", n)
		}
		pass(time.Second)
		if n := strings.Count(crowd(), order[0]); n != 1 {
			t.Errorf("%d tried the pod", n)
		}
	})
}

// TestReadinessForgives: what was held against a pod does not outlive its being
// ready.
func TestReadinessForgives(t *testing.T) {
	inBubble(t, newFleet("prometheus-0", "prometheus-1"), "", ref, func(p *pinnedTest) {
		order := p.preferred()
		p.set(func() { p.answers[order[0]] = dead })
		p.query()
		p.set(func() { delete(p.answers, order[0]) })
		p.want(order[1])
		p.put(webSlice("!"+order[0], order[1]))
		synctest.Wait()
		p.want(order[1])
		p.put(webSlice(order[0], order[1]))
		synctest.Wait()
		p.want(order[0])
	})
}

// TestTargetsShare: what is known of pods outlives a reload of the table, and no
// longer than the targets.
func TestTargetsShare(t *testing.T) {
	c := NewCluster(&kube.Connection{Base: mustURL("https://example.com")}, Options{})
	pinnedRef := ref
	pinnedRef.Pin = true
	first := c.pin(pinnedRef)
	other := pinnedRef
	other.PathPrefix, other.Headers = "/x", http.Header{"A": {"b"}}
	if c.pin(other) != first {
		t.Error("the same port of a Service has two")
	}
	other.Port = "other"
	if c.pin(other) == first {
		t.Error("two ports have one")
	}
	runtime.KeepAlive(first)
	left := func() int {
		runtime.GC()
		c.pins.mu.Lock()
		defer c.pins.mu.Unlock()
		return len(c.pins.targets)
	}
	deadline := time.After(10 * time.Second)
	for left() > 0 {
		select {
		case <-deadline:
			t.Fatalf("%d targets are left", left())
		case <-time.After(time.Millisecond):
		}
	}
}

// TestConcurrentQuestions has many ask while pods come, go, fail and are back.
func TestConcurrentQuestions(t *testing.T) {
	inBubble(t, newFleet("prometheus-0", "prometheus-1", "prometheus-2"), "", ref, func(p *pinnedTest) {
		order := p.preferred()
		done := make(chan struct{})
		var asking sync.WaitGroup
		for range 8 {
			asking.Go(func() {
				for {
					select {
					case <-done:
						return
					case <-time.After(10 * time.Millisecond):
					}
					if code, body := p.do(p.request(http.MethodGet, "/", nil)); code != http.StatusOK {
						t.Errorf("got %d %s", code, body)
					}
				}
			})
		}
		for i := range 50 {
			p.set(func() { p.answers[order[0]] = []http.HandlerFunc{nil, dead}[i%2] })
			pods := []string{"prometheus-0", "prometheus-1", "prometheus-2"}
			pods[i%3] = "!" + pods[i%3]
			p.put(webSlice(pods...))
			<-time.After(300 * time.Millisecond)
		}
		close(done)
		asking.Wait()
		if p.outcomes["pinned"] == 0 || p.outcomes["next"] == 0 || p.outcomes["service"] > 0 {
			t.Errorf("outcomes %v", p.outcomes)
		}
	})
}

// TestCanceled: a caller that goes away says nothing of the pod.
func TestCanceled(t *testing.T) {
	inBubble(t, newFleet("prometheus-0", "prometheus-1"), "", ref, func(p *pinnedTest) {
		order := p.preferred()
		p.take()
		p.set(func() { p.answers[order[0]] = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() } })
		r := p.request(http.MethodGet, "/", nil)
		ctx, cancel := timeoutContext(p.t, time.Minute)
		defer cancel()
		if code, body := p.do(r.WithContext(ctx)); code != 0 {
			t.Errorf("got %d %s", code, body)
		}
		p.set(func() { delete(p.answers, order[0]) })
		if got := p.take(); got != order[0] {
			t.Errorf("asked %s", got)
		}
		p.want(order[0])
	})
}
