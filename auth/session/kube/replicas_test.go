package kube

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/promgate/promgate/auth/session"
)

// TestTwoReplicas: what is made on one replica is found on the other at once, as
// it is.
func TestTwoReplicas(t *testing.T) {
	namespace, kubeconfig := home(t, plane(t), true)
	a, b := running(t, namespace, kubeconfig), running(t, namespace, kubeconfig)
	for range 20 {
		want := a.create(t, "local:anna")
		got, err := b.Get(t.Context(), want.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got.Version == "" || got.Version == "0" {
			t.Errorf("version %q", got.Version)
		}
		eventually(t, "the session in memory", func() bool { return b.has(want.ID) })
		remembered, err := b.Get(t.Context(), want.ID)
		want.Version = got.Version
		if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(remembered, want) || err != nil {
			t.Errorf("got %+v, then %+v, %v; want %+v", got, remembered, err, want)
		}
	}
	// What is known costs no request, and what was made here is known at once.
	own := a.create(t, "local:anna")
	a.between.count("get")
	for range 100 {
		if _, err := a.Get(t.Context(), own.ID); err != nil {
			t.Error(err)
		}
	}
	if n := a.between.count("get"); n != 0 {
		t.Errorf("%d requests for what is in memory", n)
	}
	// A replica that comes later knows all.
	if c := running(t, namespace, kubeconfig); !c.has(own.ID) {
		t.Error("what was there before is not in memory")
	}
}

// TestDeletedEverywhere: what ends on one replica is refused there at once, and
// on the other within a second.
func TestDeletedEverywhere(t *testing.T) {
	namespace, kubeconfig := home(t, plane(t), true)
	a, b := running(t, namespace, kubeconfig), running(t, namespace, kubeconfig)
	var took []time.Duration
	for range 50 {
		r := a.create(t, "local:anna")
		eventually(t, "the session in memory", func() bool { return b.has(r.ID) })
		must(t, a.Delete(t.Context(), r.ID))
		took = append(took, eventually(t, "the end on the other replica", func() bool {
			_, err := b.Get(t.Context(), r.ID)
			return errors.Is(err, session.ErrNotFound)
		}))
		a.want(t, r.ID, session.ErrNotFound)
		b.want(t, r.ID, session.ErrNotFound)
		for _, p := range []*replica{a, b} {
			if err := p.Delete(t.Context(), r.ID); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("again: %v", err)
			}
		}
	}
	slices.Sort(took)
	t.Logf("refused on the other replica after %s (median), %s (longest)", took[len(took)/2], took[len(took)-1])
	if took[len(took)-1] > time.Second {
		t.Errorf("it took up to %s", took[len(took)-1])
	}
}

// TestDeleteOnce: of all who end a session, on two replicas, one alone is told
// so.
func TestDeleteOnce(t *testing.T) {
	namespace, kubeconfig := home(t, plane(t), true)
	a, b := running(t, namespace, kubeconfig), running(t, namespace, kubeconfig)
	for range 10 {
		r := a.create(t, "")
		var wait sync.WaitGroup
		var won, late atomic.Int64
		for i := range 20 {
			p := []*replica{a, b}[i%2]
			wait.Go(func() {
				switch err := p.Delete(context.Background(), r.ID); {
				case err == nil:
					won.Add(1)
				case errors.Is(err, session.ErrNotFound):
					late.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wait.Wait()
		if won.Load() != 1 || late.Load() != 19 {
			t.Errorf("%d were told that they ended it, %d that it was over", won.Load(), late.Load())
		}
	}
}

// TestReplace: of two replicas that have read the same one alone changes it.
func TestReplace(t *testing.T) {
	namespace, kubeconfig := home(t, plane(t), true)
	a, b := running(t, namespace, kubeconfig), running(t, namespace, kubeconfig)
	r := a.create(t, "local:anna")
	first, err := a.Latest(t.Context(), r.ID)
	must(t, err)
	second, err := b.Latest(t.Context(), r.ID)
	must(t, err)
	first.Sealed, first.SeenAt = []byte("from a"), first.SeenAt.Add(time.Minute)
	must(t, a.Replace(t.Context(), first))
	second.Sealed = []byte("from b")
	if err := b.Replace(t.Context(), second); !errors.Is(err, session.ErrConflict) {
		t.Errorf("what was read before the change: %v", err)
	}
	if got, err := a.Get(t.Context(), r.ID); err != nil || string(got.Sealed) != "from a" || got.Version == first.Version {
		t.Errorf("where it was changed: %+v, %v", got, err)
	}
	got, err := b.Latest(t.Context(), r.ID)
	first.Version = got.Version
	if err != nil || !reflect.DeepEqual(got, first) {
		t.Errorf("got %+v, %v, want %+v", got, err, first)
	}
	eventually(t, "the change on the other replica", func() bool {
		got, err := b.Get(t.Context(), r.ID)
		return err == nil && string(got.Sealed) == "from a"
	})
	got.Version = ""
	if err := a.Replace(t.Context(), got); !errors.Is(err, session.ErrConflict) {
		t.Errorf("of no version: %v", err)
	}
	got.Version, got.Owner = first.Version, "local:mallory"
	if err := a.Replace(t.Context(), got); err == nil || errors.Is(err, session.ErrConflict) || errors.Is(err, session.ErrNotFound) {
		t.Errorf("made somebody else's: %v", err)
	}
	must(t, b.Delete(t.Context(), r.ID))
	if err := a.Replace(t.Context(), first); !errors.Is(err, session.ErrNotFound) && !errors.Is(err, session.ErrConflict) {
		t.Errorf("what was deleted: %v", err)
	}
	a.want(t, r.ID, session.ErrNotFound)
	eventually(t, "that it is gone", func() bool { return errors.Is(a.Replace(t.Context(), first), session.ErrNotFound) })
}

// TestDeleteOwner: all sessions of somebody end on both replicas, and nobody
// else's.
func TestDeleteOwner(t *testing.T) {
	namespace, kubeconfig := home(t, plane(t), true)
	a, b := running(t, namespace, kubeconfig), running(t, namespace, kubeconfig)
	var annas, others []session.Record
	for i := range 20 {
		p := []*replica{a, b}[i%2]
		annas = append(annas, p.create(t, "local:anna"))
		others = append(others, p.create(t, []string{"", "oidc:anna", "local:anna2", "local:Anna"}[i%4]))
	}
	if err := a.DeleteOwner(t.Context(), ""); err == nil {
		t.Error("the sign-ins under way were ended")
	}
	must(t, a.DeleteOwner(t.Context(), "local:anna"))
	took := eventually(t, "all ended on the other replica", func() bool {
		return !slices.ContainsFunc(annas, func(r session.Record) bool {
			_, err := b.Get(t.Context(), r.ID)
			return !errors.Is(err, session.ErrNotFound)
		})
	})
	t.Logf("ended on the other replica after %s", took)
	for _, r := range annas {
		a.want(t, r.ID, session.ErrNotFound)
		b.want(t, r.ID, session.ErrNotFound)
	}
	for _, r := range others {
		a.want(t, r.ID, nil)
		b.want(t, r.ID, nil)
	}
	must(t, a.DeleteOwner(t.Context(), "local:nobody"))
}

// TestCreateRefuses: nothing that could not be found again.
func TestCreateRefuses(t *testing.T) {
	namespace, kubeconfig := home(t, plane(t), true)
	p := running(t, namespace, kubeconfig)
	taken := p.create(t, "local:anna")
	for name, r := range map[string]session.Record{
		"id that is taken": taken,
		"no id":            record("local:anna", func(r *session.Record) { r.ID = "" }),
		"upper case":       record("local:anna", func(r *session.Record) { r.ID = "A" + r.ID[1:] }),
		"a path":           record("local:anna", func(r *session.Record) { r.ID = "../../secrets" }),
		"no end":           record("local:anna", func(r *session.Record) { r.ExpiresAt = time.Time{} }),
		"nothing sealed":   record("local:anna", func(r *session.Record) { r.Sealed = nil }),
		"too much sealed":  record("local:anna", func(r *session.Record) { r.Sealed = make([]byte, maxSealed+3) }),
	} {
		if err := p.Create(t.Context(), r); err == nil || errors.Is(err, session.ErrConflict) || errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	p.create(t, "local:anna", func(r *session.Record) { r.Sealed = make([]byte, maxSealed) })
	p.create(t, fmt.Sprint("oidc:", "é\x01 '\"\\ ", 7))
	for _, id := range []string{"", "x", "../../secrets", taken.ID[:63], taken.ID + "0"} {
		p.want(t, id, session.ErrNotFound)
		if err := p.Delete(t.Context(), id); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("%q: %v", id, err)
		}
	}
	if p.logged.count("level=WARN") > 0 {
		t.Errorf("logged\n%s", p.logged)
	}
}

// TestBounds: there may be so many and no more, without those that have expired.
func TestBounds(t *testing.T) {
	namespace, kubeconfig := home(t, plane(t), true)
	p := running(t, namespace, kubeconfig)
	if p.maxSessions != 100_000 || p.maxAttempts != 10_000 {
		t.Errorf("bounds of %d and %d", p.maxSessions, p.maxAttempts)
	}
	p.maxSessions, p.maxAttempts = 3, 2
	short := func(r *session.Record) { r.ExpiresAt = r.SeenAt.Add(time.Minute) }
	for _, owner := range []string{"a", "", "b", ""} {
		p.create(t, owner, short)
	}
	for owner, want := range map[string]string{"": "store a session: there are 2 sign-ins under way, which is as many as there may be", "c": ""} {
		if err := p.Create(t.Context(), record(owner)); want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if err := p.Create(t.Context(), record("d")); err == nil || err.Error() != "store a session: there are 3 sessions, which is as many as there may be" {
		t.Errorf("got %v", err)
	}
	p.put(time.Minute)
	p.create(t, "")
	p.create(t, "d")
	// What keeps others out is swept at once.
	eventually(t, "room", func() bool { return memorySize(p) == [2]int{3, 1} })
	if p.logged.count("level=WARN") > 0 {
		t.Errorf("logged\n%s", p.logged)
	}
}

// memorySize is how many records there are in memory, and attempts.
func memorySize(p *replica) [2]int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return [2]int{len(p.records), p.attempts}
}

// TestSweep: what has expired goes, whoever of the replicas does it, and nothing
// else.
func TestSweep(t *testing.T) {
	namespace, kubeconfig := home(t, plane(t), true)
	a, b := running(t, namespace, kubeconfig), running(t, namespace, kubeconfig)
	var kept []session.Record
	for i := range 60 {
		r := a.create(t, []string{"", "local:anna"}[i%2], func(r *session.Record) {
			if i%3 > 0 {
				r.ExpiresAt = r.SeenAt.Add(time.Minute)
			}
		})
		if i%3 == 0 {
			kept = append(kept, r)
		}
	}
	eventually(t, "all on the other replica", func() bool { return memorySize(b) == [2]int{60, 30} })
	a.put(time.Minute)
	b.put(time.Minute)
	var wait sync.WaitGroup
	for _, p := range []*replica{a, b} {
		wait.Go(func() { p.sweep(context.Background()) })
	}
	wait.Wait()
	for _, p := range []*replica{a, b} {
		eventually(t, "the rest", func() bool { return memorySize(p) == [2]int{20, 10} })
		for _, r := range kept {
			p.want(t, r.ID, nil)
		}
		if p.logged.count("level=WARN") > 0 {
			t.Errorf("logged\n%s", p.logged)
		}
	}
	if n := a.between.count("delete") + b.between.count("delete"); n < 40 || n > 80 {
		t.Errorf("%d requests for 40 sessions", n)
	}
}
