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
	"strings"
	"testing"
	"time"

	"github.com/promgate/promgate/cmd/demo/cluster"
)

// TestWholeDemonstration runs what `make run` and `make run-kubernetes` run,
// and asks what a newcomer would.
func TestWholeDemonstration(t *testing.T) {
	gateway := filepath.Join(t.TempDir(), "promgate")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", gateway, "../promgate") // as make build does
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
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
			content := awaitInfo(t, d.opts.info, ended)
			askAll(t, content)
			if (content.Kubeconfig != "") != kubernetes {
				t.Errorf("the kubeconfig is %q", content.Kubeconfig)
			}
			if kubernetes {
				seeDashboards(t, content)
				log, err := os.ReadFile(filepath.Join(d.dir, "gateway.log"))
				if err != nil {
					t.Fatal(err)
				}
				for line := range strings.Lines(string(log)) {
					if !strings.Contains(line, " status=503 ") { // which is what it says until it has seen everything
						t.Errorf("the gateway complains: %s", line)
					}
				}
			}
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

// seeDashboards signs in as the demonstration's user, and looks at what each project has.
func seeDashboards(t *testing.T, content info) {
	t.Helper()
	var cookies []*http.Cookie
	once := func(method, path string, body, into any) int {
		t.Helper()
		// As the page's own requests are.
		header := http.Header{"X-Promgate-Page": {"1"}, "Sec-Fetch-Site": {"same-origin"}}
		var text []byte
		if body != nil {
			text, _ = json.Marshal(body)
			header.Set("Content-Type", "application/json")
		}
		request, err := http.NewRequestWithContext(t.Context(), method, content.URL+path, bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		request.Header = header
		for _, c := range cookies {
			request.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
		}
		resp, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
			t.Fatalf("%s: %s %v", path, resp.Status, err)
		}
		cookies = append(cookies, resp.Cookies()...)
		return resp.StatusCode
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	// Until the API server has told what there is, the gateway says 503 rather than that there is nothing.
	ask := func(method, path string, body, into any) {
		t.Helper()
		deadline := time.After(30 * time.Second)
		for {
			status := once(method, path, body, into)
			switch status {
			case http.StatusOK:
				return
			case http.StatusServiceUnavailable:
			default:
				t.Fatalf("%s: status %d", path, status)
			}
			select {
			case <-tick.C:
			case <-deadline:
				t.Fatalf("%s: still status %d", path, status)
			}
		}
	}
	var session struct{ Dashboards struct{ Path string } }
	ask(http.MethodPost, "/api/v1/session/local", map[string]string{"name": content.User, "password": content.Password}, &session)
	if session.Dashboards.Path != "/perses" {
		t.Errorf("the dashboards are below %q", session.Dashboards.Path)
	}
	for _, project := range []string{"shop", "billing"} {
		path := "/api/v1/projects/" + project + "/dashboards"
		var list struct {
			Dashboards []struct{ Name string }
			Folders    []struct{ Title string }
			Problems   []any
		}
		ask(http.MethodGet, path, nil, &list)
		if len(list.Dashboards) != 2 || len(list.Folders) != 1 || len(list.Problems) != 0 {
			t.Errorf("%s has %+v", project, list)
		}
		for _, dashboard := range list.Dashboards {
			var detail struct{ Datasources, Hidden []any }
			ask(http.MethodGet, path+"/"+dashboard.Name, nil, &detail)
			if len(detail.Datasources) != 2 || len(detail.Hidden) != 0 {
				t.Errorf("%s in %s has %d data sources, and hides %v", dashboard.Name, project, len(detail.Datasources), detail.Hidden)
			}
		}
		for _, source := range []string{"production", "staging"} {
			var answer struct{ Data struct{ Result []any } }
			query := "/api/v1/query?" + url.Values{"query": {exampleQuery}}.Encode()
			ask(http.MethodGet, "/perses/proxy/projects/"+project+"/datasources/"+source+query, nil, &answer)
			if len(answer.Data.Result) == 0 {
				t.Errorf("the data source %s of %s has no data", source, project)
			}
		}
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
