package session

import (
	"context"
	"testing"

	"github.com/promgate/promgate/auth"
)

// BenchmarkAuthenticate is what the session adds to each request of the page.
func BenchmarkAuthenticate(b *testing.B) {
	w := newWorld(b)
	w.store.stored = nil
	cookie := w.signIn(user(auth.KindLocal, "anna"))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		r := page(cookie)
		for pb.Next() {
			if _, _, err := w.Authenticate(context.Background(), r, auth.OwnPage); err != nil {
				b.Error(err)
			}
		}
	})
}
