package kube

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/promgate/promgate/auth/session"
	"github.com/promgate/promgate/kube"
)

// recall is a store that has no API server, with its watch.
func recall(t testing.TB) (*Store, *kube.FreshWatch) {
	t.Helper()
	s, err := Open(Options{Connection: &kube.Connection{Name: "local"}, Namespace: "home", Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	return s, s.watch(s.connection.Load())
}

// version is a record's object at that resource version.
func version(t testing.TB, s *Store, r session.Record, n int) *unstructured.Unstructured {
	t.Helper()
	r.Version = strconv.Itoa(n)
	u, err := s.object(r)
	must(t, err)
	return u
}

// TestOutOfOrder: what the API server answered before the watch told of the end
// may be dealt with after it, and brings nobody back.
func TestOutOfOrder(t *testing.T) {
	s, f := recall(t)
	r := record("local:anna")
	at := func() string {
		got, err := s.Get(t.Context(), r.ID)
		must(t, err)
		return got.Version
	}
	check(t, f.Replace(nil, "9"))
	s.written(version(t, s, r, 10))
	check(t, f.Bookmark("9")) // it counts from now on
	if at() != "10" {
		t.Error("what was written is not known")
	}
	check(t, f.Update(version(t, s, r, 12)))
	check(t, f.Add(version(t, s, r, 11))) // never so, but harmless
	s.written(version(t, s, r, 11))
	if at() != "12" {
		t.Errorf("version %s", at())
	}
	check(t, f.Delete(version(t, s, r, 14)))
	s.written(version(t, s, r, 13))
	if _, found, _, _ := s.known(r.ID); found || s.attempts != 0 {
		t.Error("it is back")
	}

	// What ended here stays so, whatever the watch tells of before.
	own := record("")
	s.written(version(t, s, own, 20))
	s.over(own.ID)
	check(t, f.Update(version(t, s, own, 20)))
	check(t, f.Replace([]any{version(t, s, own, 20)}, "21"))
	if _, err := s.Get(t.Context(), own.ID); !errors.Is(err, session.ErrNotFound) || s.attempts != 0 {
		t.Errorf("got %v, %d attempts", err, s.attempts)
	}
	for _, get := range []func(context.Context, string) (session.Record, error){s.Get, s.Latest} {
		if _, err := get(t.Context(), own.ID); !errors.Is(err, session.ErrNotFound) {
			t.Error(err)
		}
	}
}

// BenchmarkGet is what each request of the page costs the store.
func BenchmarkGet(b *testing.B) {
	s, f := recall(b)
	var all []any
	ids := make([]string, 10_000)
	for i := range ids {
		r := record("local:anna")
		ids[i] = r.ID
		all = append(all, version(b, s, r, i+1))
	}
	check(b, f.Replace(all, "20000"))
	follower{s}.Seen("", time.Now().Add(time.Hour))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, err := s.Get(context.Background(), ids[i%len(ids)]); err != nil {
				b.Error(err)
			}
		}
	})
}
