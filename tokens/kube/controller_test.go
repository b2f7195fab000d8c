package kube

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// led runs a test beside a process that leads.
func led(t *testing.T, f func(w *mintWorld, m *minter)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newMintWorld(t)
		m := w.process("a")
		stop := w.run(m.lead)
		f(w, m)
		stop()
	})
}

// refusing answers requests that begin so with a status.
func refusing(status int, starts ...string) func(string, string) (int, bool) {
	return func(_, request string) (int, bool) {
		if slices.ContainsFunc(starts, func(s string) bool { return strings.HasPrefix(request, s) }) {
			return status, false
		}
		return 0, false
	}
}

func (w *mintWorld) setRefuse(f func(string, string) (int, bool)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refuse = f
}

// TestFirstToken comes at once, and then there is nothing to do.
func TestFirstToken(t *testing.T) {
	led(t, func(w *mintWorld, _ *minter) {
		elapse(3 * time.Second)
		w.requests()
		w.add("grafana", `{"environment": "production", "secretName": "grafana-token"}`)
		elapse(50 * time.Millisecond)
		o := w.good("grafana", "grafana-token")
		if end := o.Status.ExpiresAt.Sub(o.Status.IssuedAt.Time); end != mintLifetime || o.Status.Previous != nil {
			t.Errorf("status %+v", o.Status)
		}
		want := []string{
			"PATCH " + secretsPath + "/grafana-token", "POST " + secretsPath + "?dryRun", "GET /api/v1/namespaces/shop",
			"PATCH " + tokensPath + "/grafana/status", "POST " + secretsPath,
		}
		if got := w.requests(); !slices.Equal(got, want) {
			t.Errorf("asked %q", got)
		}
		elapse(time.Hour)
		asked := w.requests()
		if others := slices.DeleteFunc(slices.Clone(asked), func(r string) bool { return r == want[0] }); len(others) > 0 || len(asked) < 12 || len(asked) > 15 {
			t.Errorf("in an hour asked %d times, and %q", len(asked), others)
		}
		if got := w.good("grafana", "grafana-token"); got.ResourceVersion != o.ResourceVersion || w.secret("grafana-token").GetResourceVersion() == "" {
			t.Errorf("changed to %+v", got)
		}
		if n := w.logs.count("level=WARN"); n > 0 {
			t.Errorf("logged %s", w.logs.text())
		}
	})
}

// TestWatchBehind: what a process has done itself it knows before its watch does.
func TestWatchBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMintWorld(t)
		m := w.process("a")
		var seen []located
		var at time.Time
		m.located = func() []located {
			if time.Since(at) > 5*time.Second {
				seen, at = w.all(m.s.options.Home), time.Now()
			}
			return seen
		}
		w.add("grafana", `{"secretName": "s"}`)
		stop := w.run(m.lead)
		elapse(time.Second)
		w.requests()
		elapse(3 * time.Second)
		w.add("other", `{"expiresAt": "2099-01-01T00:00:00Z"}`)
		elapse(time.Second / 2)
		if got := w.requests(); len(got) > 0 {
			t.Errorf("asked %q", got)
		}
		stop()
		w.good("grafana", "s")
	})
}

// TestDeletedObject is left alone.
func TestDeletedObject(t *testing.T) {
	led(t, func(w *mintWorld, _ *minter) {
		w.change(func() {
			w.put(tokensPath+"/grafana", map[string]any{
				"apiVersion": "promgate.io/v1alpha1", "kind": "EndpointToken", "spec": map[string]any{"secretName": "s"},
				"metadata": map[string]any{"name": "grafana", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": []any{"x/y"}},
			})
		})
		elapse(time.Hour)
		if got := w.requests(); len(got) > 0 {
			t.Errorf("asked %q", got)
		}
	})
}

// TestObjectGoes while its token is made: nothing is said, and nothing is left
// to be tried.
func TestObjectGoes(t *testing.T) {
	led(t, func(w *mintWorld, m *minter) {
		w.delay = func() time.Duration { return time.Second }
		w.add("grafana", `{"secretName": "s"}`)
		elapse(3 * time.Second)
		w.change(func() { delete(w.objects, tokensPath+"/grafana") })
		elapse(time.Minute)
		w.requests()
		elapse(time.Hour)
		if got := w.requests(); len(got) > 0 || w.logs.count("level=WARN") > 0 || w.secret("s") != nil {
			t.Errorf("asked %q, logged %s", got, w.logs.text())
		}
	})
}

// TestBackoff: tries come ever more seldom, the log has one line for each error,
// and the condition says what is wrong until it is not.
func TestBackoff(t *testing.T) {
	led(t, func(w *mintWorld, _ *minter) {
		w.setRefuse(refusing(http.StatusInternalServerError, "GET /api/v1/namespaces/shop"))
		w.add("grafana", `{"secretName": "s"}`)
		tries := func(d time.Duration) int {
			w.requests()
			elapse(d)
			return len(slices.DeleteFunc(w.requests(), func(r string) bool { return !strings.HasPrefix(r, "GET ") }))
		}
		if n := tries(10 * time.Second); n != 4 { // at 0, 1, 3 and 7 seconds
			t.Errorf("%d tries", n)
		}
		if n := tries(time.Hour); n < 12 || n > 20 {
			t.Errorf("%d tries", n)
		}
		o := w.object("grafana")
		if !strings.HasPrefix(readyOf(o), "False IssueFailed: no token could be made, and the gateway goes on trying: ") || o.Status.Phase != phasePending {
			t.Errorf("got %+v", o.Status)
		}
		w.setRefuse(refusing(-1, "GET /api/v1/namespaces/shop"))
		elapse(time.Hour)
		if o := w.object("grafana"); strings.Contains(readyOf(o), "reset") {
			t.Errorf("what the network says is in the condition: %s", readyOf(o))
		}
		w.setRefuse(refusing(http.StatusInternalServerError, "GET /api/v1/namespaces/shop"))
		elapse(time.Hour)
		if n := w.logs.count("level=WARN"); n != 2 {
			t.Errorf("%d lines\n%s", n, w.logs.text())
		}
		w.setRefuse(nil)
		elapse(maxRetry + time.Second)
		w.good("grafana", "s")
	})
}

// TestAtOnce: no more than a few objects are in work, none of them twice, and a
// cluster that hangs is given up.
func TestAtOnce(t *testing.T) {
	led(t, func(w *mintWorld, _ *minter) {
		w.mu.Lock()
		w.delay = func() time.Duration { return rand.N(200 * time.Millisecond) }
		w.mu.Unlock()
		for i := range 40 {
			w.add(fmt.Sprint("t-", i), fmt.Sprintf(`{"secretName": "s-%d"}`, i))
		}
		elapse(20 * time.Second)
		for i := range 40 {
			if o := w.good(fmt.Sprint("t-", i), fmt.Sprint("s-", i)); !strings.HasSuffix(o.Status.ID, "-1") {
				t.Errorf("%d has %s", i, o.Status.ID)
			}
		}
		if w.most > maxAtOnce || w.most < 2 {
			t.Errorf("%d requests at once", w.most)
		}
		w.mu.Lock()
		w.hang = func(request string) bool { return strings.HasPrefix(request, "GET ") }
		w.mu.Unlock()
		w.add("hangs", `{"secretName": "h"}`)
		elapse(attemptTimeout + 5*time.Second)
		if o := w.object("hangs"); !strings.Contains(readyOf(o), "False IssueFailed: the API server of cluster local did not answer in time") {
			t.Errorf("got %s", readyOf(o))
		}
		w.mu.Lock()
		w.hang = nil
		w.mu.Unlock()
		elapse(time.Minute)
		w.good("hangs", "h")
	})
}

// TestEndOfTerm: what is between status and Secret gets there before the end.
func TestEndOfTerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMintWorld(t)
		w.delay = func() time.Duration { return 100 * time.Millisecond }
		stop := w.run(w.process("a").lead)
		w.add("grafana", `{"secretName": "s"}`)
		elapse(time.Second - 150*time.Millisecond) // the status is written, the Secret is not
		if w.object("grafana").Status.ID == "" || w.secret("s") != nil {
			t.Fatalf("the moment is not the one meant: %+v", w.requests())
		}
		stop()
		w.good("grafana", "s")
		w.hang = func(string) bool { return true }
		stop = w.run(w.process("b").lead)
		w.add("hangs", `{"secretName": "h"}`)
		elapse(time.Second)
		began := time.Now()
		stop()
		if took := time.Since(began); took > lingerTime {
			t.Errorf("the end took %s", took)
		}
		if w.logs.count("level=WARN") > 0 {
			t.Errorf("logged\n%s", w.logs.text())
		}
	})
}
