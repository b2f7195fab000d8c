package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestCheckPrintsEveryFault(t *testing.T) {
	config := configure(t, `listen: nowhere
dataDir: data
limitz: {}
projects:
  - name: Shop
    environments:
      - {name: production, url: "http://prometheus.example"}
      - {name: production, url: "ftp://prometheus.example"}
`)
	stdout, stderr, status := command(t, "check", "--config", config)
	want := fmt.Sprintf(`%[1]s:1: listen: "nowhere" is no address to listen on; write host:port, such as 127.0.0.1:8080 or :8080
%[1]s:3: limitz: unknown key; did you mean limits?
%[1]s:5: projects[0].name: "Shop" is not a name for a project; write a DNS label: 1 to 63 lower-case letters, digits and hyphens, starting and ending with a letter or digit
%[1]s:8: projects[0].environments[1].name: the environment name "production" is taken already in line 7; give one of them another name
%[1]s:8: projects[0].environments[1].url: not an absolute http or https URL; write one such as https://prometheus.example:9090
`, config)
	if status != 1 || stdout != "" || stderr != want {
		t.Errorf("got status %d, stdout %q, stderr\n%s\nwant status 1, stderr\n%s", status, stdout, stderr, want)
	}
}

func TestCheckAcceptsValidFile(t *testing.T) {
	config := configure(t, preamble+shop("production", "http://127.0.0.1:9", "staging", "http://127.0.0.1:10"))
	stdout, stderr, status := command(t, "check", "--config", config)
	want := config + " is valid: 1 projects, 2 environments\n"
	if status != 0 || stdout != want || stderr != "" {
		t.Errorf("got status %d, stdout %q, stderr %q; want status 0, stdout %q", status, stdout, stderr, want)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(config), "data")); !os.IsNotExist(err) {
		t.Errorf("check made the data directory: %v", err)
	}
}

// closedPort is an address at which nobody listens.
func closedPort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, l.Close())
	return l.Addr().String()
}

func TestCheckConnect(t *testing.T) {
	good, html, unauthorized := newUpstream(t), newUpstream(t), newUpstream(t)
	html.answerWith(func(w http.ResponseWriter, _ *http.Request) {
		answerText(w, http.StatusOK, "text/html; charset=utf-8", "<html>hello</html>")
	})
	unauthorized.answerWith(func(w http.ResponseWriter, _ *http.Request) {
		answerText(w, http.StatusUnauthorized, "text/plain", "who are you?")
	})
	refused := closedPort(t)
	config := configure(t, preamble+shop("a", good.URL, "b", "http://"+refused, "c", html.URL, "d", unauthorized.URL))
	stdout, stderr, status := command(t, "check", "--connect", "--config", config)
	if status != 1 || stderr != "promgate: 3 of 4 environments do not answer\n" {
		t.Errorf("got status %d, stderr %q", status, stderr)
	}
	lines := strings.Split(stdout, "\n")
	if len(lines) > 1 {
		before, _, _ := strings.Cut(lines[1], " answered in ")
		lines[1] = before + " answered"
	}
	want := []string{
		config + " is valid: 1 projects, 4 environments",
		"ok      shop/a (" + good.URL + "): Prometheus 3.15.0 answered",
		"FAILED  shop/b (http://" + refused + ")",
		"        failing hop: prometheus",
		"        http://" + refused + ": dial tcp " + refused + ": connect: connection refused",
		"FAILED  shop/c (" + html.URL + ")",
		"        failing hop: prometheus",
		"        " + html.URL + `: 200 with content type "text/html; charset=utf-8"`,
		"FAILED  shop/d (" + unauthorized.URL + ")",
		"        failing hop: prometheus",
		"        " + unauthorized.URL + ": status 401; check the target's credentials",
		"",
	}
	if got := strings.Join(lines, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	config = configure(t, preamble+shop("a", good.URL))
	if _, stderr, status := command(t, "check", "--connect", "--config", config); status != 0 || stderr != "" {
		t.Errorf("a good target alone: status %d, stderr %q", status, stderr)
	}
}

func TestRoutes(t *testing.T) {
	config := configure(t, preamble+"externalURL: https://gateway.example\n"+
		shop("production", "http://prometheus.example/base", "staging", "http://staging.example"))
	want := `PROJECT  ENVIRONMENT  TARGET                          URL                                                            SOURCE              REASON
shop     production   http://prometheus.example/base  https://gateway.example/projects/shop/environments/production  configuration file  -
shop     staging      http://staging.example          https://gateway.example/projects/shop/environments/staging     configuration file  -
`
	if got := succeed(t, "routes", "--config", config); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	var got []map[string]string
	must(t, json.Unmarshal([]byte(succeed(t, "routes", "-o", "json", "--config", config)), &got))
	wantFirst := map[string]string{
		"project": "shop", "environment": "production", "target": "http://prometheus.example/base",
		"url": "https://gateway.example/projects/shop/environments/production", "source": "configuration file",
	}
	if len(got) != 2 || fmt.Sprint(got[0]) != fmt.Sprint(wantFirst) {
		t.Errorf("got %v", got)
	}
	narrow := configure(t, preamble+"projects:\n  - name: shop\n    environments:\n      - {name: a, url: http://a, enforce: {namespace: [shop, shop-batch], cluster: eu}}\n")
	if text := succeed(t, "routes", "--config", narrow); !strings.Contains(text, " http://a {cluster=eu, namespace=shop|shop-batch} ") {
		t.Errorf("got\n%s", text)
	}
	if text := succeed(t, "routes", "-o", "json", "--config", narrow); !strings.Contains(text, `"enforce": {`) {
		t.Errorf("got\n%s", text)
	}
	_, stderr, status := command(t, "routes", "-o", "xml", "--config", config)
	if want := "promgate: --output \"xml\": write table or json\n"; status != 1 || stderr != want {
		t.Errorf("got status %d, stderr %q, want %q", status, stderr, want)
	}
}

func TestVersion(t *testing.T) {
	name, revision := build()
	want := fmt.Sprintf("promgate %s\nrevision %s\n%s %s/%s\n", name, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	if got := succeed(t, "version"); got != want || name == "" {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestHelpMentionsEveryCommand(t *testing.T) {
	help := succeed(t, "--help")
	for _, c := range []string{"serve", "check", "doctor", "routes", "token", "keys", "version", "completion"} {
		if !strings.Contains(help, "\n  "+c+" ") {
			t.Errorf("the help does not list %s:\n%s", c, help)
		}
	}
	for _, c := range []string{"create", "list", "revoke", "rotate"} {
		if help := succeed(t, "token", "--help"); !strings.Contains(help, "\n  "+c+" ") {
			t.Errorf("the help of token does not list %s:\n%s", c, help)
		}
	}
}

func TestCompletion(t *testing.T) {
	if got := succeed(t, "completion", "bash"); !strings.Contains(got, "complete -o default -F __start_promgate promgate") {
		t.Errorf("no completion script: %.200q", got)
	}
	if got := succeed(t, "__complete", "token", ""); !strings.Contains(got, "revoke\tEnd a token at once\n") {
		t.Errorf("token completes to %q", got)
	}
}

// TestMistakesAreOneLine sees that what is typed wrong costs one line that says so.
func TestMistakesAreOneLine(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.yaml")
	good := configure(t, preamble+shop("production", "http://127.0.0.1:9"))
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"sevre"}, `unknown command "sevre" for "promgate"; did you mean serve?`},
		{[]string{"zzz", "-c", good}, `unknown shorthand flag: 'c' in -c`},
		{[]string{"zzz"}, `unknown command "zzz" for "promgate"; promgate --help lists the commands`},
		{[]string{"token", "bogus"}, `unknown command "bogus" for "promgate token"; promgate token --help lists the commands`},
		{[]string{"serve", "--confg", "x"}, "unknown flag: --confg"},
		{[]string{"serve", "extra"}, `unknown command "extra" for "promgate serve"`},
		{[]string{"serve", "--config", missing}, "the configuration file cannot be read: open " + missing + ": no such file or directory"},
		{[]string{"check", "--config", missing}, "the configuration file cannot be read: open " + missing + ": no such file or directory"},
		{[]string{"token", "list", "--config", missing}, "the configuration file cannot be read: open " + missing + ": no such file or directory"},
		{[]string{"token", "create", "--config", good}, `required flag(s) "project" not set`},
		{[]string{"token", "revoke", "--config", good}, "promgate token revoke takes the id of one token, as token list shows it; 0 were given"},
		{[]string{"token", "revoke", "nobody", "--config", good}, `no token has the id "nobody": promgate token list shows the ids`},
		{[]string{"token", "rotate", "nobody", "--config", good}, `no token has the id "nobody": promgate token list shows the ids`},
		{[]string{"token", "rotate", "nobody", "--overlap", "-1s", "--config", good}, `--overlap "-1s" is not a duration: write it as 720h or 30d`},
		{[]string{"token", "create", "--config", good, "--project", "shop", "--expires", "soon"}, `--expires "soon" is not a duration: write it as 720h or 30d`},
		{[]string{"token", "create", "--config", good, "--project", "shop", "--expires", "0s"}, "a token needs a lifetime of more than nothing: write --expires 720h"},
		{[]string{"token", "create", "--config", good, "--project", "ship"}, "project ship is not known: promgate routes lists what is"},
		{[]string{"token", "create", "--config", good, "--project", "shop", "--environment", "prod"}, "environment shop/prod is not known: promgate routes lists what is"},
	} {
		stdout, stderr, status := command(t, c.args...)
		want := "promgate: " + c.want + "\n"
		if status != 1 || stdout != "" || stderr != want {
			t.Errorf("%v: got status %d, stdout %q, stderr %q, want %q", c.args, status, stdout, stderr, want)
		}
	}
}

func TestServeNamesTakenPort(t *testing.T) {
	taken := httptest.NewServer(http.NotFoundHandler())
	defer taken.Close()
	address := taken.Listener.Addr().String()
	for _, key := range []string{"listen", "adminListen"} {
		config := configure(t, strings.Replace(preamble, key+": 127.0.0.1:0", key+": "+address, 1))
		_, stderr, status := command(t, "serve", "--config", config)
		want := fmt.Sprintf("promgate: cannot listen on %[1]s; choose another address for %[2]s in the configuration, or stop what uses it: listen tcp %[1]s: bind: address already in use\n", address, key)
		if status != 1 || stderr != want {
			t.Errorf("%s: got status %d, stderr %q, want %q", key, status, stderr, want)
		}
	}
}

func TestServeNeedsDataDir(t *testing.T) {
	config := configure(t, preamble)
	write(t, filepath.Join(filepath.Dir(config), "data"), "a file stands where the directory belongs")
	_, stderr, status := command(t, "serve", "--config", config)
	want := "promgate: data directory cannot be made: mkdir " + filepath.Join(filepath.Dir(config), "data") + ": not a directory\n"
	if status != 1 || stderr != want {
		t.Errorf("got status %d, stderr %q, want %q", status, stderr, want)
	}
}
