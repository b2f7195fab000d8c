package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/promgate/promgate/routing"
)

// snippets are those of an environment, by kind.
func (h *harness) snippets(t *testing.T, project, name string) (provisioning, map[string]snippet) {
	t.Helper()
	h.set(h.direct(project, name))
	token := h.mint(project, "")
	got := h.as(token, "GET", "/api/v1/projects/"+project+"/environments/"+name+"/provisioning", "")
	var p provisioning
	if err := json.Unmarshal([]byte(got.body), &p); err != nil || got.status != 200 {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	checkHeader(t, "snippets", got)
	byKind := map[string]snippet{}
	for _, s := range p.Snippets {
		byKind[s.Kind] = s
	}
	return p, byKind
}

// documents are those of a YAML text, as what reads them makes of it.
func documents(t *testing.T, text string) (all []any) {
	t.Helper()
	for decoder := yaml.NewDecoder(strings.NewReader(text)); ; {
		var d any
		err := decoder.Decode(&d)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		all = append(all, d)
	}
}

// same compares YAML texts by what they mean.
func same(t *testing.T, what, got, want string) {
	t.Helper()
	if !reflect.DeepEqual(documents(t, got), documents(t, want)) {
		t.Errorf("%s:\n%s\nwant\n%s", what, got, want)
	}
}

// wantSnippets are those of shop/production, by what they mean.
var wantSnippets = map[string]struct{ file, text string }{
	"grafana": {"promgate-shop-production.yaml", `
apiVersion: 1
datasources:
  - name: shop-production
    uid: promgate-shop-production
    type: prometheus
    access: proxy
    url: https://gateway.example/projects/shop/environments/production
    jsonData:
      httpMethod: POST
      prometheusType: Prometheus
      prometheusVersion: 3.15.0
      manageAlerts: false
      httpHeaderName1: Authorization
    secureJsonData:
      httpHeaderValue1: Bearer TOKEN`},
	"perses": {"promgate-shop-production.yaml", `
kind: GlobalSecret
metadata: {name: promgate-shop-production}
spec:
  authorization: {type: Bearer, credentials: TOKEN}
---
kind: GlobalDatasource
metadata: {name: shop-production}
spec:
  default: false
  plugin:
    kind: PrometheusDatasource
    spec:
      proxy:
        kind: HTTPProxy
        spec:
          url: https://gateway.example/projects/shop/environments/production
          secret: promgate-shop-production`},
	"perses-kubernetes": {"promgate-shop-production.yaml", `
apiVersion: v1
kind: Secret
metadata: {name: promgate-production, namespace: shop}
stringData: {token: TOKEN}
---
apiVersion: perses.dev/v1alpha2
kind: PersesDatasource
metadata:
  name: production
  namespace: shop
  annotations: {promgate.io/environment: production}
spec:
  client:
    basicAuth: {type: secret, name: promgate-production, namespace: shop, username: promgate, passwordPath: token}
  config:
    display: {name: shop production}
    default: false
    plugin:
      kind: PrometheusDatasource
      spec:
        proxy:
          kind: HTTPProxy
          spec:
            url: https://gateway.example/projects/shop/environments/production
            secret: production-secret`},
	"promtool": {"promgate.http.yaml", `authorization: {type: Bearer, credentials: TOKEN}`},
}

// TestSnippets: they are what clients take.
func TestSnippets(t *testing.T) {
	h := newHarness(t)
	p, byKind := h.snippets(t, "shop", "production")
	if p.URL != "https://gateway.example/projects/shop/environments/production" || p.Placeholder != "TOKEN" || len(p.Snippets) != 5 {
		t.Fatalf("got %+v", p)
	}
	for kind, c := range wantSnippets {
		s := byKind[kind]
		same(t, kind, s.Text, c.text)
		if s.File != c.file || s.Title == "" || !strings.HasSuffix(s.Description, ".") && kind != "promtool" {
			t.Errorf("%s: %+v", kind, s)
		}
	}
	if s := byKind["promtool"]; !strings.HasSuffix(s.Description, "--http.config.file=promgate.http.yaml "+p.URL+" up") {
		t.Errorf("promtool: %s", s.Description)
	}
	if s := byKind["curl"]; s.File != "" {
		t.Errorf("curl has a file: %+v", s)
	}
	for kind, s := range byKind {
		if n := strings.Count(s.Text, "TOKEN"); n != 1 {
			t.Errorf("%s has the placeholder %d times", kind, n)
		}
	}
}

// TestCurl: a shell makes the right words of it, with the token in its place, and
// the token so made opens the environment.
func TestCurl(t *testing.T) {
	h := newHarness(t)
	p, byKind := h.snippets(t, "shop", "production")
	dir := t.TempDir()
	script := "#!/bin/sh\nfor word in \"$@\"; do printf '%s\\n' \"$word\"; done\n"
	if err := os.WriteFile(filepath.Join(dir, "curl"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	secret := h.mint("shop", "production")
	command := exec.CommandContext(t.Context(), "sh", "-eu", "-c", strings.ReplaceAll(byKind["curl"].Text, p.Placeholder, secret))
	command.Env = []string{"PATH=" + dir + ":/usr/bin:/bin"}
	out, err := command.CombinedOutput()
	want := []string{"-sSG", "-H", "Authorization: Bearer " + secret, "--data-urlencode", "query=up", p.URL + "/api/v1/query", ""}
	if got := string(out); err != nil || got != strings.Join(want, "\n") {
		t.Fatalf("the words are %q, want %q (%v)", got, want, err)
	}
	if got := h.opens(secret, "shop", "production"); got != 200 {
		t.Errorf("the token: %d", got)
	}
}

// TestPersesBasic: the gateway takes a token as perses-operator sends it.
func TestPersesBasic(t *testing.T) {
	h := newHarness(t)
	r := h.request("GET", production+question, "")
	r.SetBasicAuth("promgate", h.mint("shop", ""))
	if got := h.do(r); got.status != 200 {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

// TestSnippetNames: whatever DNS labels project and environment are, names stay
// text, within what clients take, and are of one environment alone.
func TestSnippetNames(t *testing.T) {
	h := newHarness(t)
	long := strings.Repeat("a", 63)
	uids, persesNames, grafanaNames := map[string]string{}, map[string]string{}, map[string]string{}
	distinct := func(seen map[string]string, name, of string, most int) {
		t.Helper()
		if before, taken := seen[name]; taken {
			t.Errorf("%s and %s are both %q", before, of, name)
		}
		if seen[name] = of; len(name) > most || name == "" {
			t.Errorf("%q of %s has %d characters", name, of, len(name))
		}
	}
	for _, c := range [][2]string{
		{"shop", "production"}, {"shop", "x-y"}, {"shop-x", "y"}, {"shop-x", "y-z"}, {"shop", "x-y-z"}, {"shop-x-y", "z"}, {long, long}, {long, long[:62] + "b"},
		{long[:62] + "b", long}, {long, "b"}, {"b", long}, {"2024", "01-01"}, {"2024", "01"}, {"2024-01", "01"}, {"1e", "3"}, {"1", "2"}, {"0x1", "f"}, {"null", "null"}, {"true", "false"},
		{"no", "y"}, {"on", "off"}, {"n", "yes"}, {"0o7", "0b1"}, {"1e3", "12e03"}, {"123", "456"}, {"0", "0"}, {"a", "null-1"}, {"nan", "inf"},
	} {
		_, byKind := h.snippets(t, c[0], c[1])
		of := c[0] + "/" + c[1]
		var g struct {
			Datasources []struct{ Name, UID any }
		}
		decode(t, byKind["grafana"].Text, &g)
		distinct(grafanaNames, text(t, of, g.Datasources[0].Name), of, 190)
		distinct(uids, text(t, of, g.Datasources[0].UID), of, 40)
		var secret, source struct {
			Metadata struct{ Name any }
			Spec     struct {
				Plugin struct {
					Spec struct {
						Proxy struct{ Spec struct{ Secret any } }
					}
				}
			}
		}
		first, second, _ := strings.Cut(byKind["perses"].Text, "---\n")
		decode(t, first, &secret)
		decode(t, second, &source)
		distinct(persesNames, text(t, of, secret.Metadata.Name), of, 75)
		distinct(persesNames, text(t, of, source.Metadata.Name), of, 75)
		if got := source.Spec.Plugin.Spec.Proxy.Spec.Secret; got != secret.Metadata.Name {
			t.Errorf("%s: the data source names the secret %v, which is %v", of, got, secret.Metadata.Name)
		}
		for _, d := range documents(t, byKind["perses-kubernetes"].Text) {
			meta := d.(map[string]any)["metadata"].(map[string]any)
			if n := text(t, of, meta["name"]); n != c[1] && n != "promgate-"+c[1] || text(t, of, meta["namespace"]) != c[0] {
				t.Errorf("%s: metadata %v", of, meta)
			}
			if a, has := meta["annotations"].(map[string]any); has && text(t, of, a["promgate.io/environment"]) != c[1] {
				t.Errorf("%s: annotations %v", of, a)
			}
		}
		for _, s := range byKind {
			if len(s.File) > 255 || strings.ContainsAny(s.File, "/ \\") || strings.Count(s.Text, "TOKEN") != 1 {
				t.Errorf("%s: %+v", of, s)
			}
		}
	}
}

func decode(t *testing.T, yamlText string, into any) {
	t.Helper()
	if err := yaml.NewDecoder(bytes.NewReader([]byte(yamlText))).Decode(into); err != nil {
		t.Fatalf("%v in\n%s", err, yamlText)
	}
}

// text is a YAML value that has to be one.
func text(t *testing.T, of string, value any) string {
	t.Helper()
	s, is := value.(string)
	if !is {
		t.Errorf("%s: %v is a %T", of, value, value)
	}
	return s
}

// TestScalar: what YAML of any age takes for something else is quoted.
func TestScalar(t *testing.T) {
	for name, want := range map[string]string{
		"shop": "shop", "a-1": "a-1", "y": `"y"`, "no": `"no"`, "null": `"null"`, "12": `"12"`, "1-a": `"1-a"`, "nothing": "nothing", "yes-1": "yes-1",
	} {
		if got := scalar(name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	// The same names are hashed alike wherever they stand.
	e := &routing.Environment{Project: projectOf("shop"), Name: "x-y"}
	if a, b := unique(e, 40), unique(e, 80); a != b || !strings.HasPrefix(a, "shop-x-y-") || len(a) != len("shop-x-y-")+8 {
		t.Errorf("%s and %s", a, b)
	}
}
