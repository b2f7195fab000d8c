package kube

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/promgate/promgate/tokens"
)

// TestRenewal comes at two thirds of the token's own lifetime.
func TestRenewal(t *testing.T) {
	led(t, func(w *mintWorld, _ *minter) {
		w.add("grafana", `{"secretName": "s"}`)
		elapse(time.Second)
		first := w.good("grafana", "s").Status
		elapse(mintLifetime*2/3 - 2*time.Second)
		if got := w.good("grafana", "s").Status; got.ID != first.ID {
			t.Errorf("too early: %+v", got)
		}
		elapse(lookInterval + 2*time.Second)
		second := w.good("grafana", "s").Status
		if p := second.Previous; second.ID == first.ID || p == nil || p.ID != first.ID || p.ExpiresAt.Sub(second.IssuedAt.Time) != mintOverlap {
			t.Fatalf("got %+v", second)
		}
		elapse(mintOverlap - time.Minute)
		if got := w.good("grafana", "s").Status; got.Previous == nil {
			t.Error("the old one ended too early")
		}
		elapse(time.Minute + lookInterval)
		if got := w.good("grafana", "s").Status; got.Previous != nil || got.ID != second.ID {
			t.Errorf("after the overlap %+v", got)
		}
		elapse(3 * mintLifetime)
		w.good("grafana", "s")
	})
}

// TestObjectEnds: nothing outlasts spec.expiresAt, and no token is made that
// would not last longer than the one of before.
func TestObjectEnds(t *testing.T) {
	led(t, func(w *mintWorld, _ *minter) {
		end := time.Now().Add(4 * time.Hour).UTC()
		w.add("short", `{"secretName": "s", "expiresAt": "`+end.Format(time.RFC3339)+`"}`)
		w.add("late", `{"secretName": "l", "expiresAt": "`+end.Add(-20*time.Hour).Format(time.RFC3339)+`"}`)
		w.add("shown", `{"expiresAt": "`+end.Add(-20*time.Hour).Format(time.RFC3339)+`"}`)
		elapse(4*time.Hour - time.Minute)
		o := w.good("short", "s")
		if !strings.HasSuffix(o.Status.ID, "-1") || !o.Status.ExpiresAt.Time.Equal(end) {
			t.Errorf("status %+v", o.Status)
		}
		elapse(time.Minute + lookInterval)
		for name, advice := range map[string]string{"short": "set a later expiresAt", "late": "set a later expiresAt", "shown": "make another EndpointToken"} {
			o := w.object(name)
			if o.Status.Phase != phaseExpired || !strings.HasPrefix(readyOf(o), "False Expired: it ended at ") || !strings.Contains(readyOf(o), advice) {
				t.Errorf("%s: %s, %s", name, o.Status.Phase, readyOf(o))
			}
		}
		if w.secret("l") != nil || w.object("late").Status.ID != "" || len(w.made.all) != 1 {
			t.Error("a token was made for an object that had ended")
		}
		moved := o.Status.Conditions[0].LastTransitionTime
		w.edit(tokensPath+"/short", `{"spec": {"expiresAt": null}}`)
		elapse(time.Second)
		o = w.good("short", "s")
		if o.Status.Previous != nil || !strings.HasSuffix(o.Status.ID, "-2") || !o.Status.Conditions[0].LastTransitionTime.After(moved.Time) {
			t.Errorf("status %+v", o.Status)
		}
	})
}

// TestEarlierEnd of the object is one of its token, too, and is said.
func TestEarlierEnd(t *testing.T) {
	led(t, func(w *mintWorld, m *minter) {
		w.add("grafana", `{"secretName": "s"}`)
		r, _, err := m.create(t.Context(), draft(""))
		if err != nil {
			t.Fatal(err)
		}
		l, _ := m.find(t.Context(), r.ID)
		end := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
		elapse(time.Second)
		moved := w.object("grafana").Status.Conditions[0].LastTransitionTime
		for _, name := range []string{"grafana", l.Name} {
			w.edit(tokensPath+"/"+name, `{"spec": {"expiresAt": "`+end+`"}}`)
			elapse(time.Second)
			if o := w.object(name); readyOf(o) != "True Issued: the token is good until "+end || !o.Status.Conditions[0].LastTransitionTime.Equal(&moved) {
				t.Errorf("%s: %s", name, readyOf(o))
			}
		}
		elapse(time.Hour)
		elapse(lookInterval)
		for _, name := range []string{"grafana", l.Name} {
			if o := w.object(name); o.Status.Phase != phaseExpired {
				t.Errorf("%s: %s", name, o.Status.Phase)
			}
		}
	})
}

// TestKeyGone: a token whose key verifies nothing any more is replaced, once the
// Secret of the keys says so, too.
func TestKeyGone(t *testing.T) {
	led(t, func(w *mintWorld, m *minter) {
		w.add("grafana", `{"secretName": "s"}`)
		r, _, err := m.create(t.Context(), draft(""))
		if err != nil {
			t.Fatal(err)
		}
		elapse(time.Minute)
		first := w.good("grafana", "s").Status
		m.s.snapshot.Store(&tokens.Snapshot{}) // it is behind
		w.tell([]*Store{m.s})
		elapse(time.Minute)
		if got := w.good("grafana", "s").Status; got.ID != first.ID {
			t.Errorf("a token was replaced whose key is there: %+v", got)
		}
		w.setKeys("key-2")
		elapse(time.Minute)
		if got := w.good("grafana", "s").Status; got.ID == first.ID || got.KeyID != "key-2" {
			t.Errorf("got %+v", got)
		}
		l, _ := m.find(t.Context(), r.ID)
		if !strings.HasPrefix(readyOf(l.object), "False KeyGone: ") {
			t.Errorf("got %s", readyOf(l.object))
		}
	})
}

// TestNoToken: an object without secretName gets none by itself.
func TestNoToken(t *testing.T) {
	led(t, func(w *mintWorld, _ *minter) {
		w.add("bare", `{"expiresAt": "2099-01-01T00:00:00Z"}`)
		elapse(noTokenAfter - time.Second)
		if o := w.object("bare"); o.Status.Phase != "" || readyOf(o) != "" {
			t.Errorf("too early: %+v", o.Status)
		}
		elapse(lookInterval + 2*time.Second)
		want := "False NoToken: nobody holds this token: set secretName in a new EndpointToken, or make tokens with promgate token create"
		if o := w.object("bare"); o.Status.Phase != phasePending || readyOf(o) != want || len(w.made.all) > 0 {
			t.Errorf("got %+v", o.Status)
		}
		w.requests()
		elapse(time.Hour)
		if got := w.requests(); len(got) > 0 {
			t.Errorf("asked %q", got)
		}
	})
}

// TestStatusForbidden is said once for a namespace, and harms no token.
func TestStatusForbidden(t *testing.T) {
	led(t, func(w *mintWorld, m *minter) {
		for range 20 {
			if _, _, err := m.create(t.Context(), draft("")); err != nil {
				t.Fatal(err)
			}
		}
		w.setRefuse(refusing(http.StatusForbidden, "PATCH "+tokensPath))
		for _, l := range w.all(nil) {
			w.edit(tokensPath+"/"+l.Name, `{"spec": {"expiresAt": "`+time.Now().Add(time.Hour).UTC().Format(time.RFC3339)+`"}}`)
		}
		elapse(30 * time.Minute)
		if w.logs.count("level=WARN") != 1 || w.logs.count("level=WARN", "the status of EndpointTokens is not up to date", "namespace=shop", "endpointtokens/status") != 1 {
			t.Errorf("logged\n%s", w.logs.text())
		}
		w.setRefuse(nil)
		elapse(maxRetry + time.Second)
		for _, l := range w.all(nil) {
			if readyOf(l.object) != "True Issued: "+goodUntil(l.Spec.ExpiresAt.Time) {
				t.Errorf("%s: %s", l.Name, readyOf(l.object))
			}
		}
	})
}

// TestNamespaceRemade: an object made in the new one has the new UID, and no
// token is made where the namespace is about to end.
func TestNamespaceRemade(t *testing.T) {
	led(t, func(w *mintWorld, _ *minter) {
		w.add("grafana", `{"secretName": "s"}`)
		elapse(time.Second)
		first := w.good("grafana", "s")
		w.change(func() {
			w.namespaces["shop"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
			delete(w.objects, secretsPath+"/s")
		})
		elapse(verifyInterval + lookInterval)
		if o := w.object("grafana"); !strings.HasPrefix(readyOf(o), "False IssueFailed: the namespace shop on cluster local is being deleted") || o.Status.ID != first.Status.ID {
			t.Errorf("got %+v", o.Status)
		}
		w.change(func() {
			delete(w.objects, tokensPath+"/grafana")
			w.namespaces["shop"] = map[string]any{"name": "shop", "uid": "uid-of-new"}
		})
		w.add("grafana", `{"secretName": "s"}`)
		elapse(time.Second)
		second := w.good("grafana", "s")
		if second.Status.ProjectUID != "uid-of-new" || strings.HasPrefix(second.Status.ID, first.idPrefix()) || second.Status.Previous != nil {
			t.Errorf("got %+v", second.Status)
		}
		// A status that was copied along is none of this object's.
		w.edit(tokensPath+"/grafana", `{"status": {"id": "`+first.Status.ID+`", "projectUID": "uid-of-shop"}}`)
		elapse(time.Second)
		if third := w.good("grafana", "s"); third.Status.ProjectUID != "uid-of-new" || !strings.HasPrefix(third.Status.ID, third.idPrefix()) {
			t.Errorf("got %+v", third.Status)
		}
	})
}
