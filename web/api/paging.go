package api

import (
	"net/url"
	"strconv"
	"strings"
)

// How long a page of a list is, in entries.
const (
	defaultPage = 500
	maxPage     = 1000
	maxSearch   = 128
)

// listing is what the caller wants of a list: the parameters limit, after and
// search. What else there is in the query is dropped.
type listing struct {
	limit  int
	after  string
	search string
}

func newListing(query url.Values) (listing, error) {
	l := listing{limit: defaultPage, after: query.Get("after"), search: strings.ToLower(strings.TrimSpace(query.Get("search")))}
	if text := query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return l, badData("limit must be a whole number from 1 on, such as 100")
		}
		l.limit = min(n, maxPage)
	}
	if len(l.search) > maxSearch || len(l.after) > 2*maxSearch {
		return l, badData("search and after must be shorter")
	}
	return l, nil
}

// matches tells whether one of the names holds the words that are searched for,
// each somewhere.
func (l *listing) matches(names ...string) bool {
	text := strings.Join(names, "/")
	for _, word := range strings.Fields(l.search) {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

// page cuts a list that is sorted by key: what comes after the caller's place,
// and where the next page begins, if there is one.
func page[T any](l listing, all []T, key func(T) string) (part []T, next string) {
	start := 0
	if l.after != "" {
		for start < len(all) && key(all[start]) <= l.after {
			start++
		}
	}
	all = all[start:]
	if len(all) > l.limit {
		return all[:l.limit], key(all[l.limit-1])
	}
	return all, ""
}
