package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// soon is how fast what a command does must hold in a running server.
const soon = time.Second

// tokenServer is a running server with two environments.
func tokenServer(t *testing.T) *program {
	u := newUpstream(t)
	return serve(t, configure(t, preamble+unhurried+shop("production", u.URL, "staging", u.URL)))
}

// within fails unless a question with the token is answered with the status
// soon enough, and goes on being.
func (p *program) within(environment, token string, status int) {
	p.t.Helper()
	eventually(p.t, soon, func() error { return wantStatus(fetch(p.query(environment), token), status) })
	must(p.t, wantStatus(fetch(p.query(environment), token), status))
}

// listTokens is what token list -o json tells, by id.
func listTokens(t *testing.T, config string) map[string]tokenItem {
	t.Helper()
	var items []tokenItem
	must(t, json.Unmarshal([]byte(succeed(t, "token", "list", "-o", "json", "--config", config)), &items))
	byID := map[string]tokenItem{}
	for _, item := range items {
		byID[item.ID] = item
	}
	return byID
}

// idOf is the id of the one token with the description.
func idOf(t *testing.T, config, description string) string {
	t.Helper()
	found := ""
	for id, item := range listTokens(t, config) {
		if item.Description == description {
			if found != "" {
				t.Fatalf("several tokens are described as %q", description)
			}
			found = id
		}
	}
	if found == "" {
		t.Fatalf("no token is described as %q", description)
	}
	return found
}

func TestTokenLife(t *testing.T) {
	p := tokenServer(t)
	stdout, stderr, status := command(t, "token", "create", "--config", p.config, "--project", "shop",
		"--environment", "production", "--expires", "30d", "--description", "Grafana")
	if status != 0 || !regexp.MustCompile(`^[\w-]+\.[\w-]+\.[\w-]+\n$`).MatchString(stdout) {
		t.Fatalf("status %d, stdout is not a token alone; stderr %q", status, stderr)
	}
	token := strings.TrimSpace(stdout)
	p.within("production", token, http.StatusOK)
	if got := fetch(p.query("production"), token); got.body != emptyResult {
		t.Errorf("got %q", got.body)
	}
	must(t, wantStatus(fetch(p.query("staging"), token), http.StatusForbidden))

	id := idOf(t, p.config, "Grafana")
	want := fmt.Sprintf(`^token %s opens environment shop/production until [-0-9T:]+Z; it is shown this once\n$`, id)
	if !regexp.MustCompile(want).MatchString(stderr) {
		t.Errorf("stderr is %q, not %s", stderr, want)
	}
	eventually(t, patience, func() error {
		if listTokens(t, p.config)[id].LastUsed == nil {
			return fmt.Errorf("token %s looks unused", id)
		}
		return nil
	})
	item := listTokens(t, p.config)[id]
	if item.Project != "shop" || item.Environment != "production" || item.State != "active" || item.CreatedBy != operator() ||
		item.Expires.Sub(item.Created) != 30*24*time.Hour || time.Since(item.Created) > patience || item.LastUsed.Before(item.Created) {
		t.Errorf("got %+v", item)
	}
	list := succeed(t, "token", "list", "--config", p.config)
	row := strings.Join([]string{id, "shop/production", "active", item.Created.Format(time.RFC3339),
		item.Expires.Format(time.RFC3339), item.LastUsed.Format(time.RFC3339), regexp.QuoteMeta(item.CreatedBy), "Grafana"}, `\s+`)
	if !regexp.MustCompile(`^ID\s+SCOPE\s+STATE\s+CREATED\s+EXPIRES\s+LAST USED\s+CREATED BY\s+DESCRIPTION\n` + row + `\n$`).MatchString(list) {
		t.Errorf("token list prints\n%s", list)
	}

	must(t, wantStatus(fetch(p.query("production"), token), http.StatusOK))
	if got, want := succeed(t, "token", "revoke", id, "--config", p.config), "token "+id+" is revoked\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	p.within("production", token, http.StatusUnauthorized)
	if state := listTokens(t, p.config)[id].State; state != "revoked" {
		t.Errorf("the token's state is %s", state)
	}
}

// TestPrintTokens: what others wrote moves no cursor, and one long name does not
// make every line as long.
func TestPrintTokens(t *testing.T) {
	var out strings.Builder
	must(t, printTokens(&out, []tokenItem{
		{Project: "a", CreatedBy: "local:\u009b2J\u202eanna\n", Description: "x\x1b[2Jy"},
		{Project: "b", CreatedBy: strings.Repeat("ä", 41)},
		{Project: "c"},
	}))
	for _, want := range []string{"local: 2J anna ", "x [2Jy", " " + strings.Repeat("ä", 39) + "… ", " unknown "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}

func TestTokenOfProjectOpensAll(t *testing.T) {
	p := tokenServer(t)
	token := createToken(t, p.config)
	p.within("production", token, http.StatusOK)
	p.within("staging", token, http.StatusOK)
	// An environment that comes later is among them.
	text, err := os.ReadFile(p.config)
	must(t, err)
	replace(t, p.config, string(text)+"      - {name: later, url: \"http://127.0.0.1:9\"}\n")
	eventually(t, patience, func() error {
		return wantStatus(fetch(p.query("later"), token), http.StatusServiceUnavailable)
	})
	must(t, wantStatus(fetch(p.query("never"), token), http.StatusForbidden))
}

func TestTokenRotation(t *testing.T) {
	p := tokenServer(t)
	old := createToken(t, p.config, "--description", "first", "--environment", "staging")
	p.within("staging", old, http.StatusOK)
	firstID := idOf(t, p.config, "first")
	next := strings.TrimSpace(succeed(t, "token", "rotate", firstID, "--overlap", "1h", "--config", p.config))
	p.within("staging", next, http.StatusOK)
	must(t, wantStatus(fetch(p.query("staging"), old), http.StatusOK))
	must(t, wantStatus(fetch(p.query("production"), next), http.StatusForbidden))

	items := listTokens(t, p.config)
	secondID := items[firstID].ReplacedBy
	second := items[secondID]
	if items[firstID].State != "rotated" || second.State != "active" || second.Description != "first" || second.Environment != "staging" || second.CreatedBy != operator() {
		t.Errorf("got %+v", items)
	}
	if left := time.Until(items[firstID].Expires); left < 50*time.Minute || left > time.Hour {
		t.Errorf("the old token is good for %s more", left)
	}
	_, stderr, status := command(t, "token", "rotate", firstID, "--config", p.config)
	if want := fmt.Sprintf("promgate: replace token %q: it was replaced already, by token %s\n", firstID, secondID); status != 1 || stderr != want {
		t.Errorf("a second rotation: status %d, %q, want %q", status, stderr, want)
	}

	third := strings.TrimSpace(succeed(t, "token", "rotate", secondID, "--overlap", "0s", "--config", p.config))
	p.within("staging", third, http.StatusOK)
	p.within("staging", next, http.StatusUnauthorized)
}

func TestTokenExpires(t *testing.T) {
	p := tokenServer(t)
	token := createToken(t, p.config, "--expires", "2s", "--description", "short")
	p.within("production", token, http.StatusOK)
	eventually(t, 2*time.Second+soon, func() error {
		return wantStatus(fetch(p.query("production"), token), http.StatusUnauthorized)
	})
	if state := listTokens(t, p.config)[idOf(t, p.config, "short")].State; state != "expired" {
		t.Errorf("the token's state is %s", state)
	}
}

// TestKeysRotate rotates keys under a stream of requests.
func TestKeysRotate(t *testing.T) {
	p := tokenServer(t)
	old := createToken(t, p.config)
	p.within("production", old, http.StatusOK)
	stop, failures := make(chan struct{}), make(chan error, 4)
	for range cap(failures) {
		go func() {
			client := newClient(t, nil, false)
			for {
				if err := wantAnswer(fetchBy(client, p.query("production"), old), http.StatusOK, emptyResult); err != nil {
					failures <- err
					return
				}
				select {
				case <-stop:
					failures <- nil
					return
				default:
				}
			}
		}()
	}
	for range 3 {
		said := succeed(t, "keys", "rotate", "--config", p.config)
		if !regexp.MustCompile(`^new tokens are signed by key [0-9a-f]{32}\n$`).MatchString(said) {
			t.Errorf("got %q", said)
		}
		p.within("production", createToken(t, p.config), http.StatusOK)
	}
	close(stop)
	for range cap(failures) {
		if err := <-failures; err != nil {
			t.Error(err)
		}
	}
}

func TestTokensOutliveRestart(t *testing.T) {
	p := tokenServer(t)
	good, revoked := createToken(t, p.config), createToken(t, p.config, "--description", "revoked")
	p.within("production", good, http.StatusOK)
	p.within("production", revoked, http.StatusOK)
	succeed(t, "token", "revoke", idOf(t, p.config, "revoked"), "--config", p.config)
	if status := p.stop(); status != 0 {
		t.Fatalf("status %d", status)
	}
	// The restarted server knows from its first request on.
	p = serve(t, p.config)
	must(t, wantStatus(fetch(p.query("production"), good), http.StatusOK))
	must(t, wantStatus(fetch(p.query("production"), revoked), http.StatusUnauthorized))
	for id, item := range listTokens(t, p.config) {
		if item.LastUsed == nil {
			t.Errorf("the use of token %s was forgotten", id)
		}
	}
}

// TestProjectMadeAgain sees that a project that comes back under its name
// inherits no token.
func TestProjectMadeAgain(t *testing.T) {
	p := tokenServer(t)
	with, err := os.ReadFile(p.config)
	must(t, err)
	wide, narrow := createToken(t, p.config), createToken(t, p.config, "--environment", "production")
	p.within("production", wide, http.StatusOK)
	p.within("production", narrow, http.StatusOK)
	replace(t, p.config, preamble)
	p.awaitMetric("promgate_environments", "0")
	must(t, wantStatus(fetch(p.query("production"), wide), http.StatusForbidden))
	replace(t, p.config, string(with))
	p.awaitMetric("promgate_environments", "2")
	must(t, wantStatus(fetch(p.query("production"), wide), http.StatusForbidden))
	must(t, wantStatus(fetch(p.query("production"), narrow), http.StatusForbidden))
	p.within("production", createToken(t, p.config), http.StatusOK)
}

// TestTokenIsKeptNowhere looks for tokens wherever they could have been left.
func TestTokenIsKeptNowhere(t *testing.T) {
	u := newUpstream(t)
	p := serve(t, configure(t, preamble+"log: {level: debug}\n"+shop("production", u.URL)))
	token := createToken(t, p.config, "--description", "hidden")
	p.within("production", token, http.StatusOK)
	must(t, wantStatus(fetch(p.query("staging"), token), http.StatusForbidden))
	must(t, wantStatus(fetch(p.query("production"), token+"x"), http.StatusUnauthorized))
	request, err := http.NewRequest(http.MethodGet, p.query("production"), nil)
	must(t, err)
	request.SetBasicAuth("anybody", token)
	must(t, wantStatus(ask(http.DefaultClient, request, ""), http.StatusOK))
	_, stderr, status := command(t, "token", "revoke", token, "--config", p.config)
	if want := fmt.Sprintf("promgate: no token has the id %q: promgate token list shows the ids\n", token[:8]+"…"); status != 1 || stderr != want {
		t.Errorf("a token in place of its id: status %d, %q", status, stderr)
	}
	must(t, wantStatus(fetch(p.admin+"/metrics", ""), http.StatusOK))
	places := map[string]string{
		"the metrics":         fetch(p.admin+"/metrics", "").body,
		"token list":          succeed(t, "token", "list", "--config", p.config),
		"token list -o json":  succeed(t, "token", "list", "-o", "json", "--config", p.config),
		"the upstream's view": fmt.Sprint(*u.last.Load()),
	}
	p.stop()
	places["the log"] = p.log.String()
	must(t, filepath.WalkDir(filepath.Join(filepath.Dir(p.config), "data"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		places["the file "+filepath.Base(path)] = string(content)
		return err
	}))
	if len(places) < 7 || len(p.log.records("request")) < 4 {
		t.Errorf("looked into no more than %d places, and %d records", len(places), len(p.log.records("request")))
	}
	parts := strings.Split(token, ".")
	for place, text := range places {
		// The header is the same for all tokens of a key; the rest is secret.
		for _, part := range parts[1:] {
			if strings.Contains(text, part) {
				t.Errorf("%s holds a part of the token", place)
			}
		}
	}
}
