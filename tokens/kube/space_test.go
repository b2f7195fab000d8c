package kube

import (
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/kube"
	"github.com/promgate/promgate/tokens"
)

const rebuilt = "level=DEBUG msg=\"the snapshot of the endpoint tokens was made anew\""

// TestLive: all that a token opens, of home and of another cluster.
func TestLive(t *testing.T) {
	inBubble(t, func(t *testing.T, p *plane) {
		there := newPlane(t)
		home, other := p.connect(t, "local"), there.connect(t, "eu")
		p.put(tokenObject("shop", 1, func(o *object) { o.Spec.Environment = "production" }))
		p.put(tokenObject("shop", 2, func(o *object) {
			earlier := metav1.NewTime(time.Now().Add(time.Hour))
			o.Spec.ExpiresAt = &earlier
		}))
		there.put(tokenObject("shop", 3, func(o *object) { o.Spec.Environment, o.Status.ID = "production", "eu."+o.Status.ID }))
		g := openStore(t, home, Source{Connection: home}, Source{Connection: other, Namespaces: []string{"shop"}})
		g.run()
		g.want(idOf(1, 1), idOf(2, 1), "eu."+idOf(3, 1))
		end := time.Now().UTC().Truncate(time.Second).Add(24 * time.Hour)
		scope := tokens.Scope{Project: "shop", ProjectUID: "uid-of-shop", Environment: "production", EnvironmentUID: "uid-of-shop/production"}
		for id, want := range map[string]tokens.Live{
			idOf(1, 1): {Scope: scope, Also: auth.Grant{ProjectUID: "namespace/shop", EnvironmentUID: "namespace/shop/production"}, ExpiresAt: end},
			idOf(2, 1): {Scope: tokens.Scope{Project: "shop", ProjectUID: "uid-of-shop"}, Also: auth.Grant{ProjectUID: "namespace/shop", WholeProject: true},
				ExpiresAt: end.Add(-23 * time.Hour)},
			"eu." + idOf(3, 1): {Scope: tokens.Scope{Cluster: "eu", Project: scope.Project, ProjectUID: scope.ProjectUID,
				Environment: scope.Environment, EnvironmentUID: scope.EnvironmentUID}, ExpiresAt: end},
		} {
			got := *g.Snapshot().Tokens[id]
			want.KeyID, want.LastUsed, want.Part = "key-1", got.LastUsed, got.Part
			if got != want || got.LastUsed == nil || got.Part == nil {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		}
		if n := len(g.Snapshot().Parts); n != 2 {
			t.Errorf("%d parts", n)
		}
		// One cluster is out of reach: its tokens alone are.
		there.listener.cut()
		pass(40 * time.Second)
		synctest.Wait()
		s := g.Snapshot()
		if whole, partly := s.Stale(time.Now(), 30*time.Second); whole || !partly || s.Tokens[idOf(1, 1)].Part.Age(time.Now()) > 6*time.Second {
			t.Errorf("whole %t, partly %t, ages %v", whole, partly, ages(s))
		}
	})
}

// TestNotVouchedFor: what an object does not vouch for, or not any more.
func TestNotVouchedFor(t *testing.T) {
	now := time.Now()
	for name, change := range map[string]func(*object){
		"being deleted": func(o *object) {
			o.DeletionTimestamp = &metav1.Time{Time: now}
			o.Finalizers = []string{"example.com/x"}
		},
		"another object's id": func(o *object) { o.Status.ID = idOf(2, 1) },
		"made again with a copied status": func(o *object) {
			o.UID = uidOf(9)
		},
		"no status":                func(o *object) { o.Status = status{} },
		"no project":               func(o *object) { o.Status.ProjectUID = "" },
		"no key":                   func(o *object) { o.Status.KeyID = "" },
		"no end":                   func(o *object) { o.Status.ExpiresAt = nil },
		"an end of its own":        func(o *object) { o.Spec.ExpiresAt = &metav1.Time{Time: time.Unix(0, 0)} },
		"a previous one of others": func(o *object) { o.Status.Previous = &issued{ID: idOf(2, 1), KeyID: "k"}; o.Status.ID = "" },
	} {
		t.Run(name, func(t *testing.T) {
			eachServer(t, func(t *testing.T, p *plane) {
				p.put(tokenObject("shop", 1))
				p.put(tokenObject("shop", 3))
				g := p.gateway(t)
				g.run()
				g.want(idOf(1, 1), idOf(3, 1))
				p.put(tokenObject("shop", 1, change))
				g.want(idOf(3, 1))
				second := p.gateway(t)
				second.run()
				second.want(idOf(3, 1))
			})
		})
	}
}

// TestUnreadable: an object that cannot be decoded is left out, alone, and is
// logged once until it changes.
func TestUnreadable(t *testing.T) {
	eachServer(t, func(t *testing.T, p *plane) {
		broken := func(description any) map[string]any {
			return map[string]any{"apiVersion": "promgate.io/v1alpha1", "kind": "EndpointToken",
				"metadata": map[string]any{"namespace": "shop", "name": "token-1", "uid": string(uidOf(1))}, "spec": map[string]any{"description": description}}
		}
		p.put(tokenObject("shop", 2))
		p.set(func() { p.record("", "endpointtokens", broken(5)) })
		g := p.gateway(t)
		g.run()
		g.want(idOf(2, 1))
		const record = `level=WARN msg="an EndpointToken cannot be read and its tokens are refused: correct it, or delete it and make another" ` +
			`cluster=local namespace=shop name=token-1 error=`
		if text := g.logged.take(); !strings.HasPrefix(text, record) || strings.Count(text, "\n") != 1 {
			t.Errorf("logged\n%s", text)
		}
		p.listener.cut() // it is listed again after that
		pass(time.Minute)
		p.listener.mend()
		pass(time.Minute)
		if text := g.logged.take(); strings.Contains(text, record) {
			t.Errorf("logged\n%s", text)
		}
		p.set(func() { p.record("", "endpointtokens", broken(6)) })
		synctest.Wait()
		if text := g.logged.take(); !strings.HasPrefix(text, record) || strings.Count(text, "\n") != 1 {
			t.Errorf("logged\n%s", text)
		}
		p.put(tokenObject("shop", 1))
		g.want(idOf(1, 1), idOf(2, 1))
		p.set(func() { p.record("", "endpointtokens", broken(7)) })
		g.want(idOf(2, 1))
		p.remove("endpointtokens", "shop", "token-1")
		g.want(idOf(2, 1))
		if n := len(g.watch.spaces[spaceKey{"local", ""}].unreadable); n != 0 {
			t.Errorf("%d unreadable objects are remembered", n)
		}
	})
}

// TestExpiry: what has expired is not taken in, and leaves the memory within the
// hour.
func TestExpiry(t *testing.T) {
	inBubble(t, func(t *testing.T, p *plane) {
		until := func(d time.Duration) func(*object) {
			end := metav1.NewTime(time.Now().Add(d))
			return func(o *object) { o.Status.ExpiresAt = &end }
		}
		p.put(tokenObject("shop", 1, until(30*time.Minute)))
		p.put(tokenObject("shop", 2))
		p.put(tokenObject("shop", 3, until(-time.Minute)))
		g := p.gateway(t)
		g.run()
		g.want(idOf(1, 1), idOf(2, 1))
		pass(tidyInterval + time.Second)
		g.want(idOf(2, 1))
		p.remove("endpointtokens", "shop", "token-1")
		pass(tidyInterval)
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.watch.uses[uidOf(1)] != nil || g.watch.uses[uidOf(2)] == nil {
			t.Error("the uses are not those of the objects")
		}
	})
}

// TestRebuilds: the snapshot is made anew when what it is made of has changed,
// and once for a whole list.
func TestRebuilds(t *testing.T) {
	eachServer(t, func(t *testing.T, p *plane) {
		for n := range 300 {
			p.put(tokenObject("shop", n))
		}
		g := p.gateway(t)
		g.run()
		if n := g.logged.count(rebuilt); n > 2 { // for the keys, and for the objects
			t.Errorf("%d snapshots were made at the start", n)
		}
		before := g.Snapshot()
		used := func(o *object) { o.Status.LastUsedAt = &metav1.Time{Time: time.Now()} }
		p.put(tokenObject("shop", 7, used))
		p.put(tokenObject("shop", 8, used, func(o *object) { o.Labels = map[string]string{"a": "b"}; o.Spec.Description = "other" }))
		p.put(tokenObject("shop", 1000, func(o *object) { o.Status = status{} }))
		p.remove("endpointtokens", "shop", "token-1000")
		pass(time.Minute)
		synctest.Wait()
		if g.Snapshot() != before {
			t.Error("the snapshot was made anew for nothing")
		}
		lives := before.Tokens[idOf(7, 1)]
		p.remove("endpointtokens", "shop", "token-9")
		synctest.Wait()
		after := g.Snapshot()
		if after == before || after.Tokens[idOf(9, 1)] != nil || before.Tokens[idOf(9, 1)] == nil || after.Tokens[idOf(7, 1)] != lives {
			t.Error("the deletion made another snapshot than that without the token")
		}
		// The second token of an object shares its use, in every snapshot.
		p.put(tokenObject("shop", 7, func(o *object) {
			last := o.Status.issued
			o.Status.ID, o.Status.Previous = idOf(7, 2), &last
		}))
		synctest.Wait()
		s := g.Snapshot().Tokens
		if s[idOf(7, 1)].LastUsed != lives.LastUsed || s[idOf(7, 2)].LastUsed != lives.LastUsed || s[idOf(8, 1)].LastUsed == lives.LastUsed {
			t.Error("the uses are not one for each object")
		}
	})
}

// many are objects as the reflector hands them over.
func many(t testing.TB, n int) []any {
	all := make([]any, n)
	for i := range all {
		fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(tokenObject(fmt.Sprintf("ns-%d", i%100), i))
		if err != nil {
			t.Fatal(err)
		}
		all[i] = &unstructured.Unstructured{Object: fields}
	}
	return all
}

// full is a store that holds these objects, and their watch.
func full(t testing.TB, list []any) (*gateway, *kube.FreshWatch) {
	g := openStore(t, &kube.Connection{Name: "local"})
	g.log = slog.New(slog.DiscardHandler)
	sp := newSpace(g.Store, "")
	sp.connection = g.options.Home
	g.watch.spaces[spaceKey{"local", ""}] = sp
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	g.mu.Lock()
	g.takeRing(&ring{issuer: "promgate:test", keys: []tokens.Key{{ID: "key-1", Private: private}}})
	g.mu.Unlock()
	f := (&follower{s: g.Store, connection: g.options.Home, holder: sp, part: &sp.part}).watch()
	if err := f.Replace(list, "1"); err != nil {
		t.Fatal(err)
	}
	return g, f
}

// TestTenThousand: ten thousand objects are one snapshot, and looking a token up
// allocates nothing.
func TestTenThousand(t *testing.T) {
	list := many(t, 10_000)
	g, f := full(t, list)
	first := g.Snapshot()
	if len(first.Tokens) != 10_000 {
		t.Fatalf("%d tokens", len(first.Tokens))
	}
	log := &logged{}
	g.log = newLogger(log)
	began := time.Now()
	if err := f.Replace(list[1:], "2"); err != nil {
		t.Fatal(err)
	}
	t.Logf("a list of 9,999 took %s", time.Since(began))
	if n := log.count(rebuilt); n != 1 || len(g.Snapshot().Tokens) != 9_999 {
		t.Errorf("%d snapshots, the last with %d tokens", n, len(g.Snapshot().Tokens))
	}
	if err := f.Replace(list[1:], "3"); err != nil {
		t.Fatal(err)
	}
	if n := log.count(rebuilt); n != 1 {
		t.Errorf("the same list again made a snapshot")
	}
	id := idOf(777, 1)
	if n := testing.AllocsPerRun(100, func() {
		if g.Snapshot().Tokens[id] == nil {
			t.Error("the token is not there")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkRebuild makes a snapshot of 10,000 tokens, as each change does.
func BenchmarkRebuild(b *testing.B) {
	g, _ := full(b, many(b, 10_000))
	b.ReportAllocs()
	for b.Loop() {
		g.mu.Lock()
		g.publish()
		g.mu.Unlock()
	}
}

// BenchmarkReplace takes in a list of 10,000 objects that are known.
func BenchmarkReplace(b *testing.B) {
	list := many(b, 10_000)
	_, f := full(b, list)
	b.ReportAllocs()
	for b.Loop() {
		if err := f.Replace(list, "1"); err != nil {
			b.Fatal(err)
		}
	}
}

// TestPrefix: ids of different objects differ, whatever their statuses say.
func TestPrefix(t *testing.T) {
	seen := map[string]types.UID{}
	for n := range 50 {
		o := tokenObject("shop", n)
		before := *o
		before.Status.Previous = &issued{ID: idOf(n+1, 1), KeyID: "k", IssuedAt: o.Status.IssuedAt, ExpiresAt: o.Status.ExpiresAt}
		for _, token := range before.tokens() {
			if uid, taken := seen[token.ID]; taken {
				t.Errorf("%s belongs to %s and to %s", token.ID, uid, o.UID)
			}
			seen[token.ID] = o.UID
		}
	}
	if len(seen) != 50 {
		t.Errorf("%d ids", len(seen))
	}
}
