package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"
)

// names answers the label sets of a query at an instant, in order.
func names(t *testing.T, base, query string, at time.Time) []string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(base + "/api/v1/query?" + url.Values{"query": {query}, "time": {at.UTC().Format(time.RFC3339Nano)}}.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Error string
		Data  struct {
			Result []struct{ Metric map[string]string }
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Error != "" {
		t.Fatalf("%s: %v %s", query, err, answer.Error)
	}
	var list []string
	for _, r := range answer.Data.Result {
		text, _ := json.Marshal(r.Metric)
		list = append(list, string(text))
	}
	slices.Sort(list)
	return list
}

// TestLiveScrapesContinueTheHistory compares the series that the backfill wrote with those that a scrape writes.
func TestLiveScrapesContinueTheHistory(t *testing.T) {
	now := time.Now()
	e := &environment{sample: samples()[0]}
	if err := e.start(t.Context(), t.TempDir(), now, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.stop(); err != nil {
			t.Error(err)
		}
	}()
	const all = `{job="shop",instance="shop-0:8080",__name__!~"scrape_.*|ALERTS.*"}`
	before := names(t, e.server.URL(), all, now)
	if len(before) < 60 || len(before) > 130 {
		t.Fatalf("%d series of history", len(before))
	}
	if old := names(t, e.server.URL(), all, now.Add(-historyLength+time.Minute)); !slices.Equal(old, before) {
		t.Errorf("%d series at the beginning of the history, %d at its end", len(old), len(before))
	}

	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(2 * time.Minute)
	var live []string
	for live == nil {
		select {
		case <-deadline:
			t.Fatal("nothing was scraped")
		case <-tick.C:
			// A range that begins after the history's end holds only what was scraped.
			at := time.Now()
			since := fmt.Sprintf("[%dms]", at.Sub(now).Milliseconds())
			if len(names(t, e.server.URL(), `up{job="shop"}`+since, at)) == 1 {
				live = names(t, e.server.URL(), all+since, at)
			}
		}
	}
	if !slices.Equal(live, before) {
		t.Errorf("scraped series\n%v\nhistory\n%v", live, before)
	}
	for _, counter := range []string{"http_requests_total", "http_request_duration_seconds_bucket"} {
		if got := names(t, e.server.URL(), `resets(`+counter+`[7h]) > 0`, time.Now()); len(got) > 0 {
			t.Errorf("%s falls where history meets live scrapes: %v", counter, got)
		}
	}
	if up := names(t, e.server.URL(), `up offset 1h`, now); len(up) != 2 {
		t.Errorf("up an hour ago is %v", up)
	}
}

func BenchmarkEnvironment(b *testing.B) {
	for b.Loop() {
		e := &environment{sample: samples()[0]}
		if err := e.start(b.Context(), b.TempDir(), time.Now(), slog.New(slog.DiscardHandler)); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := e.stop(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
