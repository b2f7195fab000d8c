package api

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/routing"
)

// listed are 1,000 environments in 250 projects, all of which a member may query.
func listed(h *harness) *auth.Identity {
	id := &auth.Identity{Principal: auth.Principal{Kind: auth.KindLocal, ID: "anna"}}
	var all []*routing.Environment
	for i := range 1000 {
		e := h.direct(fmt.Sprintf("project-%03d", i/4), fmt.Sprintf("environment-%d", i%4))
		if all = append(all, e); i%4 == 0 {
			id.Grants = append(id.Grants, auth.Grant{ProjectUID: e.Project.UID, WholeProject: true})
		}
	}
	h.set(all...)
	h.people.set("anna", id.Grants...)
	return id
}

// BenchmarkListing is a page of 500 of 1,000 environments, for a member of their
// 250 projects, through the whole gateway but the network.
func BenchmarkListing(b *testing.B) {
	h := newHarness(b)
	listed(h)
	anna := h.signedIn("anna")
	for _, path := range []string{"/api/v1/environments", "/api/v1/environments?search=project-12", "/api/v1/projects"} {
		b.Run(path[len("/api/v1/"):], func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.Header = anna.request(http.MethodGet, path, "").Header
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				if h.gateway.ServeHTTP(w, r); w.Code != http.StatusOK {
					b.Fatalf("got %d %s", w.Code, w.Body)
				}
				b.SetBytes(int64(w.Body.Len()))
			}
		})
	}
}

// BenchmarkOpen is the part of it that asks which environments are whose.
func BenchmarkOpen(b *testing.B) {
	h := newHarness(b)
	id := listed(h)
	var all []*routing.Environment
	for e := range h.routes.Load().All() {
		all = append(all, e)
	}
	b.ReportAllocs()
	for b.Loop() {
		if found, err := open(context.Background(), id, all); err != nil || len(found) != 1000 {
			b.Fatal(len(found), err)
		}
	}
}
