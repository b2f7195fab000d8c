package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/promgate/promgate/cmd/demo/cluster"
)

// TestWholeDemonstration runs what `make run` and `make run-kubernetes` run,
// and asks what a newcomer would.
func TestWholeDemonstration(t *testing.T) {
	gateway := filepath.Join(t.TempDir(), "promgate")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", gateway, "../promgate").CombinedOutput(); err != nil {
		t.Fatalf("building the gateway: %v\n%s", err, out)
	}
	controlplane, err := cluster.Build(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, kubernetes := range []bool{false, true} {
		t.Run(fmt.Sprintf("kubernetes=%t", kubernetes), func(t *testing.T) {
			temp := t.TempDir()
			t.Setenv("TMPDIR", temp)
			d := &demo{
				opts: options{
					promgate: gateway, addr: "127.0.0.1:0", adminAddr: "127.0.0.1:0", info: filepath.Join(t.TempDir(), "info.json"),
					kubernetes: kubernetes, controlplane: controlplane,
				},
				out: &bytes.Buffer{}, progress: &bytes.Buffer{},
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- d.run(ctx) }()
			askAll(t, awaitInfo(t, d.opts.info, ended))
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("asked to stop, it answers %v", err)
			}
			if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
				t.Errorf("it left %v, %v", left, err)
			}
		})
	}
}

// askAll asks every environment for now and for hours ago, and its token for
// what it does not open.
func askAll(t *testing.T, content info) {
	t.Helper()
	var environments []infoEnvironment
	for _, p := range content.Projects {
		environments = append(environments, p.Environments...)
	}
	if len(environments) != 4 {
		t.Fatalf("%d environments", len(environments))
	}
	for i, e := range environments {
		now := url.Values{"query": {exampleQuery}}
		if status, series := askFor(t, e.URL+"/api/v1/query", e.Token, now); status != http.StatusOK || series == 0 {
			t.Errorf("%s: status %d, %d series now", e.URL, status, series)
		}
		before := url.Values{"query": {exampleQuery}, "time": {time.Now().Add(-5 * time.Hour).Format(time.RFC3339)}}
		if status, series := askFor(t, e.URL+"/api/v1/query", e.Token, before); status != http.StatusOK || series == 0 {
			t.Errorf("%s: status %d, %d series five hours ago", e.URL, status, series)
		}
		other := environments[(i+1)%len(environments)]
		if status, _ := askFor(t, other.URL+"/api/v1/query", e.Token, now); status != http.StatusForbidden {
			t.Errorf("the token of %s is answered %d at %s", e.URL, status, other.URL)
		}
	}
}

// askFor posts a query, as Grafana does, and counts the series of the answer.
func askFor(t *testing.T, target, token string, form url.Values) (status, series int) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, bytes.NewBufferString(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body struct {
		Data struct {
			Result []json.RawMessage `json:"result"`
		} `json:"data"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		t.Fatalf("%s: status %d: %v", target, resp.StatusCode, err)
	}
	return resp.StatusCode, len(body.Data.Result)
}
