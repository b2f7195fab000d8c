package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promgate/promgate/tokens"
)

// TestLostSecret is made anew, with another token.
func TestLostSecret(t *testing.T) {
	for name, lose := range map[string]func(w *mintWorld){
		"deleted": func(w *mintWorld) { w.change(func() { delete(w.objects, secretsPath+"/s") }) },
		"another token": func(w *mintWorld) {
			w.edit(secretsPath+"/s", `{"metadata": {"annotations": {"promgate.io/token-id": "x"}}, "data": {"token": "eA=="}}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			led(t, func(w *mintWorld, _ *minter) {
				w.add("grafana", `{"secretName": "s"}`)
				elapse(time.Minute)
				first := w.good("grafana", "s").Status.ID
				lose(w)
				elapse(verifyInterval + lookInterval)
				if got := w.good("grafana", "s").Status; got.ID == first || got.Previous.ID != first || got.Previous.ExpiresAt.Sub(got.IssuedAt.Time) != mintOverlap {
					t.Errorf("got %+v", got)
				}
			})
		})
	}
}

// TestForeignSecret is left as it is.
func TestForeignSecret(t *testing.T) {
	led(t, func(w *mintWorld, _ *minter) {
		w.change(func() {
			w.put(secretsPath+"/s", map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "s"}, "data": map[string]any{"token": "dGhlaXJz"}})
		})
		before := fmt.Sprint(w.secret("s"))
		w.add("grafana", `{"secretName": "s"}`)
		w.add("other", `{"secretName": "o"}`)
		elapse(time.Hour)
		o := w.object("grafana")
		if want := "False SecretExists: there is a Secret s already that does not belong to this EndpointToken: delete it, or make another EndpointToken with another secretName"; readyOf(o) != want || o.Status.ID != "" || o.Status.Phase != phasePending {
			t.Errorf("got %s in %+v", readyOf(o), o.Status)
		}
		if got := fmt.Sprint(w.secret("s")); got != before || len(w.made.all) != 1 {
			t.Errorf("the Secret became %s of %s", got, before)
		}
		if n := w.logs.count("level=WARN"); n != 1 || w.logs.count("level=WARN", "object=grafana", "reason=SecretExists") != 1 {
			t.Errorf("logged\n%s", w.logs.text())
		}
		w.good("other", "o")
		w.change(func() { delete(w.objects, secretsPath+"/s") })
		elapse(maxRetry + time.Second)
		w.good("grafana", "s")
		if w.logs.count("level=INFO", "served again", "object=grafana") != 1 {
			t.Errorf("logged\n%s", w.logs.text())
		}
		// Our own that somebody took over in the end.
		w.edit(secretsPath+"/s", `{"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "x"}]}}`)
		before = fmt.Sprint(w.secret("s"))
		elapse(verifyInterval + lookInterval)
		if o := w.object("grafana"); !strings.HasPrefix(readyOf(o), "False SecretExists") || o.Status.Phase != phaseActive || fmt.Sprint(w.secret("s")) != before {
			t.Errorf("got %s in %+v", readyOf(o), o.Status)
		}
	})
}

// TestSecretForbidden says what to grant, and makes no token that has no place
// to go.
func TestSecretForbidden(t *testing.T) {
	for _, request := range []string{"PATCH " + secretsPath, "POST " + secretsPath} {
		t.Run(request, func(t *testing.T) {
			led(t, func(w *mintWorld, _ *minter) {
				w.setRefuse(refusing(http.StatusForbidden, request))
				w.add("grafana", `{"secretName": "s"}`)
				elapse(time.Hour)
				o := w.object("grafana")
				if want := "the Secret s: grant it create on secrets, and patch on secrets of this name, in namespace shop"; !strings.HasPrefix(readyOf(o), "False SecretForbidden: the gateway may not ") || !strings.Contains(readyOf(o), want) || len(w.made.all) > 0 {
					t.Errorf("got %s, %d tokens", readyOf(o), len(w.made.all))
				}
				advice := `resources: [\"secrets\"]\n    verbs: [\"create\"]\n  - apiGroups: [\"\"]\n    resources: [\"secrets\"]\n    resourceNames: [\"s\"]\n    verbs: [\"patch\"]`
				if text := strings.ReplaceAll(w.logs.text(), `\\"`, `\"`); strings.Count(text, "level=WARN") != 1 || !strings.Contains(strings.ReplaceAll(text, `\\n`, `\n`), advice) {
					t.Errorf("logged\n%s", text)
				}
				w.setRefuse(nil)
				elapse(maxRetry + time.Second)
				w.good("grafana", "s")
			})
		})
	}
}

// TestImmutableSecret is said to be one. Where that can be told beforehand the
// token in it lives its whole life; and where it cannot, tries are few.
func TestImmutableSecret(t *testing.T) {
	for name, test := range map[string]struct {
		refuse func(string, string) (int, bool)
		most   int
	}{
		"told beforehand": {nil, 1},
		"not told":        {refusing(http.StatusBadRequest, "PATCH "+secretsPath+"/s?dryRun"), 40},
	} {
		t.Run(name, func(t *testing.T) {
			led(t, func(w *mintWorld, _ *minter) {
				w.setRefuse(test.refuse)
				w.add("grafana", `{"secretName": "s"}`)
				elapse(time.Second)
				w.edit(secretsPath+"/s", `{"immutable": true}`)
				elapse(mintLifetime*2/3 + mintOverlap - time.Minute)
				o := w.object("grafana")
				if want := "False IssueFailed: the API server does not let the Secret s be changed, perhaps because it is immutable: delete it, and it is made anew: "; !strings.HasPrefix(readyOf(o), want) || len(w.made.all) > test.most {
					t.Errorf("%d tokens, %s", len(w.made.all), readyOf(o))
				}
				if !w.vouched("grafana", "s") || w.logs.count("level=WARN") != 1 {
					t.Errorf("the token in use is no longer good, or it was said too often: %+v\n%s", o.Status, w.logs.text())
				}
				w.change(func() { delete(w.objects, secretsPath+"/s") })
				elapse(maxRetry + time.Second)
				w.good("grafana", "s")
			})
		})
	}
}

// TestSecretOutOfReach: while the successor cannot be written, the token that the
// Secret holds stays good for its overlap.
func TestSecretOutOfReach(t *testing.T) {
	led(t, func(w *mintWorld, _ *minter) {
		w.add("grafana", `{"secretName": "s"}`)
		elapse(time.Minute)
		first := w.good("grafana", "s").Status.ID
		elapse(mintLifetime*2/3 - 2*time.Minute)
		issued := false
		w.setRefuse(func(_, request string) (int, bool) {
			if request == "PATCH "+tokensPath+"/grafana/status" {
				issued = true
			} else if issued && request == "PATCH "+secretsPath+"/s" {
				issued = false
				return http.StatusInternalServerError, false
			}
			return 0, false
		})
		for range 10 {
			elapse(mintOverlap / 12)
			if o := w.object("grafana"); o.Status.Previous == nil || o.Status.Previous.ID != first || !strings.Contains(readyOf(o), "IssueFailed") {
				t.Fatalf("the Secret holds %s, the status is %+v", first, o.Status)
			}
		}
		w.setRefuse(nil)
		elapse(maxRetry + time.Second)
		if got := w.good("grafana", "s").Status; got.Previous.ID != first {
			t.Errorf("got %+v", got)
		}
	})
}

// TestAnswerWithTheToken is not passed on; leakCheck looks.
func TestAnswerWithTheToken(t *testing.T) {
	w := newMintWorld(t)
	w.made.all["the-token"] = tokens.Record{}
	for _, text := range []string{"x the-token y", "dGhlLXRva2Vu"} {
		if err := withoutToken(fmt.Errorf("answer: %s", text), "the-token"); err == nil || strings.Contains(err.Error(), text) {
			t.Errorf("got %v", err)
		}
	}
	if err := withoutToken(context.Canceled, "the-token"); err != context.Canceled {
		t.Errorf("got %v", err)
	}
	if withoutToken(nil, "t") != nil {
		t.Error("no error became one")
	}
}

// TestRotateASecret: the Secret has the successor before the caller has it, and
// a process that minds the Secrets does not come between.
func TestRotateASecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMintWorld(t)
		w.delay = func() time.Duration { return 50 * time.Millisecond }
		leader, cli := w.process("leader"), w.process("cli")
		defer w.run(leader.lead)()
		w.add("grafana", `{"environment": "production", "secretName": "grafana-token"}`)
		elapse(time.Second)
		first := w.good("grafana", "grafana-token").Status
		elapse(time.Hour)
		now := time.Now().UTC()
		next, token, old, err := cli.rotate(t.Context(), first.ID, tokens.Rotation{Overlap: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		held, _ := w.secretToken("grafana-token")
		o := w.good("grafana", "grafana-token")
		if held != token || o.Status.ID != next.ID || next.ExpiresAt.Sub(next.CreatedAt) != mintLifetime || o.Spec.ExpiresAt != nil {
			t.Errorf("next %+v, status %+v", next, o.Status)
		}
		if old.ID != first.ID || old.ReplacedBy != next.ID || old.ExpiresAt.Sub(now) > time.Hour || o.Status.Previous.ID != first.ID {
			t.Errorf("old %+v, previous %+v", old, o.Status.Previous)
		}
		elapse(time.Hour + lookInterval)
		if got := w.good("grafana", "grafana-token").Status; got.ID != next.ID || got.Previous != nil {
			t.Errorf("an hour later %+v", got)
		}
		w.edit(secretsPath+"/grafana-token", `{"metadata": {"ownerReferences": null}}`)
		if _, _, _, err := cli.rotate(t.Context(), next.ID, tokens.Rotation{}); err == nil || !strings.Contains(err.Error(), "there is a Secret grafana-token already") {
			t.Errorf("got %v", err)
		}
		if got := w.object("grafana").Status.ID; got != next.ID {
			t.Errorf("a token was made that the Secret cannot hold: %s", got)
		}
	})
}

// TestSecretIsWhole is what the Secret of an object looks like.
func TestSecretIsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMintWorld(t)
		defer w.run(w.process("a").lead)()
		long := strings.Repeat("a", 64)
		w.add("grafana", `{"secretName": "grafana-token"}`)
		w.add(long, `{"secretName": "long"}`)
		elapse(time.Second)
		o := w.good("grafana", "grafana-token")
		s := w.secret("grafana-token")
		owner, _ := json.Marshal(s.GetOwnerReferences())
		if got, want := string(owner), `[{"apiVersion":"promgate.io/v1alpha1","kind":"EndpointToken","name":"grafana","uid":"`+string(o.UID)+`","controller":true}]`; got != want {
			t.Errorf("owner %s, want %s", got, want)
		}
		if l := s.GetLabels(); s.Object["type"] != "Opaque" || len(l) != 2 || l[managedByLabel] != "promgate" || l[objectLabel] != "grafana" {
			t.Errorf("got %+v", s.Object)
		}
		w.good(long, "long")
		if l := w.secret("long").GetLabels(); len(l) != 1 {
			t.Errorf("labels %+v", l)
		}
		// What is taken away comes back with the next token, and what was put in goes.
		w.edit(secretsPath+"/grafana-token", `{"metadata": {"labels": null, "annotations": null}, "data": {"more": "eA=="}}`)
		elapse(verifyInterval + time.Second)
		if got := w.good("grafana", "grafana-token"); got.Status.ID == o.Status.ID {
			t.Error("the token is the same")
		}
		s = w.secret("grafana-token")
		if data := s.Object["data"].(map[string]any); len(data) != 1 || !slices.Equal([]string{s.GetLabels()[objectLabel]}, []string{"grafana"}) {
			t.Errorf("got %+v", s.Object)
		}
	})
}
