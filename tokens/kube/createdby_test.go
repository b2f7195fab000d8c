package kube

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promgate/promgate/tokens"
)

// TestCreatedBy: the object says who had it made, its status who rotated, and
// each of the two tokens that there are at most has its own.
func TestCreatedBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMintWorld(t)
		m := w.process("cli")
		d := draft("production")
		d.CreatedBy = "local:anna"
		first, _, err := m.create(t.Context(), d)
		if err != nil || first.CreatedBy != "local:anna" {
			t.Fatalf("got %+v, %v", first, err)
		}
		if o := w.all(nil)[0]; o.Annotations["promgate.io/created-by"] != "local:anna" || o.Status.CreatedBy != "" {
			t.Errorf("annotations %v, status %+v", o.Annotations, o.Status)
		}
		id := first.ID
		for _, step := range []struct{ by, newest, before string }{
			{"oidc:bob", "oidc:bob", "local:anna"},
			{"", "", "oidc:bob"},
			{"local:carl", "local:carl", ""}, // nor the maker of one that is gone
			{strings.Repeat("ä", 200), strings.Repeat("ä", 126) + "…", "local:carl"},
		} {
			elapse(time.Hour)
			next, _, old, err := m.rotate(t.Context(), id, tokens.Rotation{Overlap: time.Hour, By: step.by})
			if err != nil || next.CreatedBy != step.newest || old.CreatedBy != step.before {
				t.Errorf("rotated by %q: made by %q, before by %q, %v", step.by, next.CreatedBy, old.CreatedBy, err)
			}
			o := w.all(nil)[0].object
			if got := o.record(newest(o)); got != next {
				t.Errorf("stored %+v, returned %+v", got, next)
			}
			if got := o.record(before(o)); got != old {
				t.Errorf("stored %+v, returned %+v", got, old)
			}
			if o.Annotations["promgate.io/created-by"] != "local:anna" {
				t.Errorf("annotations %v", o.Annotations)
			}
			id = next.ID
		}
	})
}

// TestCreatedByNobody: an object that was made with kubectl has no maker, and
// neither has a token that the gateway renews by itself.
func TestCreatedByNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newMintWorld(t)
		leader, cli := w.process("leader"), w.process("cli")
		defer w.run(leader.lead)()
		w.add("grafana", `{"secretName": "s"}`)
		elapse(time.Minute)
		o := w.good("grafana", "s")
		if got := o.record(newest(o)).CreatedBy; got != "" {
			t.Errorf("made by %q", got)
		}
		next, _, old, err := cli.rotate(t.Context(), o.Status.ID, tokens.Rotation{Overlap: time.Hour, By: "local:anna"})
		if err != nil || next.CreatedBy != "local:anna" || old.CreatedBy != "" {
			t.Fatalf("got %+v, %+v, %v", next, old, err)
		}
		elapse(mintLifetime * 3 / 4)
		o = w.good("grafana", "s")
		if by, was := o.record(newest(o)).CreatedBy, o.record(before(o)).CreatedBy; by != "" || was != "local:anna" {
			t.Errorf("after the renewal: made by %q, before by %q", by, was)
		}
		elapse(mintLifetime * 3 / 4)
		o = w.good("grafana", "s")
		if by, was := o.record(newest(o)).CreatedBy, o.record(before(o)).CreatedBy; by != "" || was != "" {
			t.Errorf("after two: made by %q, before by %q", by, was)
		}
	})
}

// TestCreatedByOthers: whoever may write the object may write whatever they like
// there; it is shown no longer than it may be, and lends nothing.
func TestCreatedByOthers(t *testing.T) {
	w := newMintWorld(t)
	m := w.process("cli")
	r, _, err := m.create(t.Context(), draft(""))
	if err != nil || r.CreatedBy != "" {
		t.Fatalf("got %+v, %v", r, err)
	}
	if o := w.all(nil)[0]; o.Annotations != nil {
		t.Errorf("annotations %v", o.Annotations)
	}
	w.edit(tokensPath+"/"+w.all(nil)[0].Name, `{"metadata": {"annotations": {"promgate.io/created-by": "`+strings.Repeat("x", 100_000)+`"}}}`)
	o := w.all(nil)[0].object
	got := o.record(newest(o))
	if len(got.CreatedBy) != tokens.MaxCreatedBy {
		t.Errorf("made by %d bytes", len(got.CreatedBy))
	}
	got.CreatedBy = ""
	if got != r {
		t.Errorf("got %+v, want %+v", got, r)
	}
}

// TestCreatedByOldSchema: where the object's schema is an older program's, the
// API server drops who rotated; the rotation is none the worse.
func TestCreatedByOldSchema(t *testing.T) {
	w := newMintWorld(t)
	m := w.process("cli")
	d := draft("")
	d.CreatedBy = "local:anna"
	first, _, err := m.create(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	w.prune = func(o map[string]any) {
		status, _ := o["status"].(map[string]any)
		delete(status, "createdBy")
		if p, _ := status["previous"].(map[string]any); p != nil {
			delete(p, "createdBy")
		}
	}
	for range 2 {
		next, token, old, err := m.rotate(t.Context(), first.ID, tokens.Rotation{Overlap: time.Hour, By: "local:bob"})
		if err != nil || token == "" || next.CreatedBy != "" || old.CreatedBy != first.CreatedBy {
			t.Errorf("got %+v, %+v, %v", next, old, err)
		}
		first = next
	}
}
