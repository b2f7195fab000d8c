package promql

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

const promMetadata = `{"status":"success","data":{` +
	`"up":[{"type":"gauge","help":"<a>","unit":""},{"type":"unknown","help":"b","unit":"s","secret":1}],` +
	`"foreign":[{"type":"counter","help":"secret","unit":""}],` +
	`"http_seconds":[{"type":"gauge","help":"secret","unit":""},{"type":"histogram","help":"c","unit":"seconds"}],` +
	`"gone":[]}}`

func TestFilterMetadata(t *testing.T) {
	const (
		up   = `"up":[{"type":"gauge","help":"\u003ca\u003e","unit":""},{"type":"unknown","help":"b","unit":"s"}]`
		up1  = `"up":[{"type":"gauge","help":"\u003ca\u003e","unit":""}]`
		http = `"http_seconds":[{"type":"histogram","help":"c","unit":"seconds"}]`
	)
	both := []string{"http_seconds_count", "up"}
	for name, c := range map[string]struct {
		filter MetadataFilter
		want   []string
	}{
		"all":              {MetadataFilter{Names: both, Limit: -1}, []string{up, http}},
		"one of a name":    {MetadataFilter{Names: both, Limit: -1, LimitPerMetric: 1}, []string{up1, http}},
		"one":              {MetadataFilter{Names: both, Limit: 1}, []string{up}},
		"one, not first":   {MetadataFilter{Names: both[:1], Limit: 1}, []string{http}},
		"none":             {MetadataFilter{Names: both}, nil},
		"no names":         {MetadataFilter{Limit: -1}, nil},
		"nothing of it":    {MetadataFilter{Names: []string{"u", "upp", "http", "gone"}, Limit: -1}, nil},
		"a foreign suffix": {MetadataFilter{Names: []string{"foreign_count", "http_seconds_total", "up_total"}, Limit: -1}, nil},
	} {
		got, err := FilterMetadata(strings.NewReader(promMetadata), c.filter, roomy)
		if want := `{"status":"success","data":{` + strings.Join(c.want, ",") + `}}`; err != nil || string(got) != want {
			t.Errorf("%s: %v, got\n%s\nwant\n%s", name, err, got, want)
		}
	}
}

// TestFamilies: every series that a family of a type may have makes the family
// its owner's.
func TestFamilies(t *testing.T) {
	for kind, names := range map[string][]string{
		"counter": {"x", "x_total", "x_created"}, "gauge": {"x"}, "stateset": {"x"}, "unknown": {"x"}, "": {"x"},
		"histogram":      {"x", "x_bucket", "x_sum", "x_count", "x_created"},
		"gaugehistogram": {"x", "x_bucket", "x_gsum", "x_gcount"},
		"summary":        {"x", "x_sum", "x_count", "x_created"},
		"info":           {"x", "x_info"},
	} {
		for _, name := range []string{"x", "x_total", "x_created", "x_bucket", "x_sum", "x_count", "x_gsum", "x_gcount", "x_info", "y", "x_", ""} {
			if got := (&metadata{Type: kind}).isOf("x", map[string]struct{}{name: {}}); got != slices.Contains(names, name) {
				t.Errorf("%s of the %s x: %v", name, kind, got)
			}
		}
	}
}

func TestBadMetadata(t *testing.T) {
	for _, data := range []string{
		`[]`, `null`, `{"up":1}`, `{"up":{}}`, `{"up":[null]}`, `{"up":["SECRET"]}`, `{"up":[{"type":1}]}`, `{"up":[{"help":{}}]}`,
		`{"other":"SECRET"}`, `{"up":[{"help":"a"}],"up":[{"help":"b"}]}`,
	} {
		got, err := FilterMetadata(strings.NewReader(`{"status":"success","data":`+data+`}`), MetadataFilter{Names: []string{"up"}, Limit: -1}, roomy)
		if err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v %s", data, err, got)
		}
	}
}

func TestDecodeNames(t *testing.T) {
	names := func(data string, limit int) ([]string, error) {
		return DecodeNames(strings.NewReader(`{"status":"success","data":`+data+`,"warnings":["x"]}`), limit)
	}
	if got, err := names(`["a","b\u00e9",""]`, 3); err != nil || !slices.Equal(got, []string{"a", "bé", ""}) {
		t.Errorf("%q %v", got, err)
	}
	if got, err := names(`[]`, 0); err != nil || len(got) != 0 {
		t.Errorf("%q %v", got, err)
	}
	if got, err := names(`["a","b"]`, 1); !errors.Is(err, ErrTooLarge) || got != nil {
		t.Errorf("%q %v", got, err)
	}
	for _, data := range []string{`null`, `{}`, `"a"`, `[null]`, `[1]`, `[["a"]]`, `["a",{}]`, `["a"`} {
		if got, err := names(data, 9); err == nil {
			t.Errorf("%s: %q", data, got)
		}
	}
}
