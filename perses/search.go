package perses

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"unicode"

	"github.com/promgate/promgate/gateway"
	"github.com/promgate/promgate/routing"
)

// longestSearch bounds what is searched for, in characters; what is longer is in
// no title.
const longestSearch = 200

// hit is a dashboard that a search found.
type hit struct {
	Metadata    metadata   `json:"metadata"`
	DisplayName string     `json:"displayName"`
	Original    string     `json:"original"`
	Intervals   []interval `json:"intervals"`
	Score       float64    `json:"score"`
}

// interval is a part of Original that was searched for: the positions of its
// first and last character.
type interval struct {
	From int `json:"from"`
	To   int `json:"to"`
}

// search finds dashboards by a part of their title or name; without one, all. The
// best come first.
func (a *API) search(ctx context.Context, v *visit) (*gateway.Reply, error) {
	values := v.Request.URL.Query()
	wanted := folded(cmp.Or(values.Get("q"), values.Get("query")))
	project := values.Get("project")
	if project != "" && !routing.IsLabel(project) || len(wanted) > longestSearch {
		return verified(fixed(empty))(ctx, v)
	}
	listing, err := v.list(ctx, Dashboards, project)
	if err != nil {
		return nil, err
	}
	hits := []hit{}
	for _, o := range listing.Objects {
		if h := searchIn(o, wanted); h != nil {
			hits = append(hits, *h)
		}
	}
	slices.SortStableFunc(hits, func(x, y hit) int { return cmp.Compare(y.Score, x.Score) })
	return answer(hits)
}

// searchIn searches in a dashboard's title, then in its name. Nil: it is in
// neither.
func searchIn(o *Object, wanted []rune) *hit {
	h := &hit{Metadata: metadataOf(o), DisplayName: titleOf(o), Intervals: []interval{}}
	for _, text := range []string{h.DisplayName, o.Name} {
		in := folded(text)
		from := indexOf(in, wanted)
		if from < 0 {
			continue
		}
		h.Original = text
		if len(wanted) > 0 {
			h.Intervals = append(h.Intervals, interval{from, from + len(wanted) - 1})
			h.Score = float64(len(wanted)) / float64(len(in))
		}
		return h
	}
	return nil
}

// titleOf is what people call the dashboard or the folder.
func titleOf(o *Object) string { return cmp.Or(strings.TrimSpace(o.Title), o.Name) }

// folded are the characters of a text without regard to case, one for each.
func folded(text string) []rune {
	all := []rune(text)
	for i, r := range all {
		all[i] = unicode.ToLower(r)
	}
	return all
}

func indexOf(in, wanted []rune) int {
	for i := 0; i+len(wanted) <= len(in); i++ {
		if slices.Equal(in[i:i+len(wanted)], wanted) {
			return i
		}
	}
	return -1
}
