package api

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/promgate/promgate/gateway"
)

// FuzzReturnTo: the result is a place below the page, the same when it is asked
// for again, and a place of the page is kept.
func FuzzReturnTo(f *testing.F) {
	for i, text := range elsewhere() {
		if i%16 == 0 { // all of them would take the time that there is for new ones
			f.Add(text)
		}
	}
	f.Add("projects/shop/environments/production/explore?g0.expr=sum%28up%29&g0.tab=1")
	f.Fuzz(func(t *testing.T, text string) {
		got := returnTo(text)
		if problem := wayOut(baseURL + "/ui/" + got); problem != "" {
			t.Errorf("%q leads to %q: %s", text, got, problem)
		}
		if again := returnTo(got); again != got {
			t.Errorf("%q leads to %q, and that to %q", text, got, again)
		}
		path, query, _ := strings.Cut(text, "?")
		before, err := url.ParseQuery(query)
		gotPath, gotQuery, _ := strings.Cut(got, "?")
		after, _ := url.ParseQuery(gotQuery)
		if gotPath != "" && gotPath != path {
			t.Errorf("%q leads to another path, %q", text, got)
		}
		if err == nil && gotQuery != "" && before.Encode() != after.Encode() {
			t.Errorf("%q leads to another query, %q", text, got)
		}
	})
}

// FuzzListing: what is asked for is told to be wrong, or its pages together are
// what the search finds, each once and in order.
func FuzzListing(f *testing.F) {
	all := []string{"a", "a x", "a-a", "a-a x", "a0 x", "shop", "shop production", "shop-x production", "shop0 y"}
	for _, query := range []string{"", "limit=1", "limit=0", "limit=x", "search=shop+x", "search=%FF", "after=shop", "after=zzz&limit=2", "limit=99999999999999999999", "search=A"} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, text string) {
		query, _ := url.ParseQuery(text)
		l, err := newListing(query)
		if err != nil {
			var told *gateway.Error
			if !errors.As(err, &told) || told.Status != http.StatusBadRequest {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if l.limit < 1 || l.limit > maxPage {
			t.Fatalf("%q: pages of %d", text, l.limit)
		}
		key := func(s string) string { return s }
		var found []string
		for _, s := range all {
			if l.matches(s) && (l.after == "" || s > l.after) {
				found = append(found, s)
			}
		}
		var paged []string
		for range len(all) + 1 {
			part, next := page(l, slices.DeleteFunc(slices.Clone(all), func(s string) bool { return !l.matches(s) }), key)
			paged = append(paged, part...)
			if next == "" {
				break
			}
			if len(part) != l.limit || next <= l.after {
				t.Fatalf("%q: a page %v from %q, and the next from %q", text, part, l.after, next)
			}
			l.after = next
		}
		if !slices.Equal(paged, found) {
			t.Errorf("%q: pages %v, want %v", text, paged, found)
		}
	})
}
