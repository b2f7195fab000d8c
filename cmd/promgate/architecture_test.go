package main

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/promgate/promgate/"

// pkg is what go list tells of a package. Tests of it do not count.
type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
	Standard   bool
}

func goList(t *testing.T, args ...string) map[string]pkg {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,Imports,Deps,Standard"}, args...)...)
	command.Dir = "../.."
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	packages := map[string]pkg{}
	for decoder := json.NewDecoder(bytes.NewReader(out)); decoder.More(); {
		var p pkg
		if err := decoder.Decode(&p); err != nil {
			t.Fatal(err)
		}
		packages[strings.TrimPrefix(p.ImportPath, module)] = p
	}
	return packages
}

// TestArrows keeps the dependencies between packages as they were designed.
func TestArrows(t *testing.T) {
	packages := goList(t, "./...")
	standard := goList(t, "std")
	adapters := []string{"auth/", "tokens/", "routing/"}
	for name, p := range packages {
		for _, imported := range p.Imports {
			own, isOwn := strings.CutPrefix(imported, module)
			_, isStandard := standard[imported]
			switch {
			case name == "auth", name == "routing":
				if !isStandard {
					t.Errorf("%s imports %s: it may import the standard library alone", name, imported)
				}
			case name == "tokens":
				if !isStandard && own != "auth" {
					t.Errorf("%s imports %s: it may import the standard library and auth alone", name, imported)
				}
			case name == "kube":
				if isOwn {
					t.Errorf("%s imports %s: it knows nothing of what it is used for", name, imported)
				}
			case name == "gateway" || strings.HasPrefix(name, "gateway/"):
				if isOwn && own != "auth" && own != "routing" && !strings.HasPrefix(own, "gateway/") {
					t.Errorf("%s imports %s: it may import auth, routing and gateway/* alone", name, imported)
				}
			case name == "web":
				if isOwn {
					t.Errorf("%s imports %s: the page's handler serves files, and knows nothing of the gateway", name, imported)
				}
			case name == "web/api":
				if isOwn && own != "auth" && own != "auth/session" && own != "routing" && own != "tokens" && own != "gateway" {
					t.Errorf("%s imports %s: it may import auth, auth/session, routing, tokens and gateway alone", name, imported)
				}
			case name == "perses":
				if isOwn && own != "auth" && own != "routing" && own != "gateway" && own != "kube" {
					t.Errorf("%s imports %s: it may import auth, routing, gateway and kube alone", name, imported)
				}
			case slices.ContainsFunc(adapters, func(a string) bool { return strings.HasPrefix(name, a) }):
				if own == "auth/session" && strings.HasPrefix(name, "auth/session/") {
					continue // the words of its stores
				}
				if isOwn && (strings.Contains(own, "/") || own == "kube" && !strings.HasSuffix(name, "/kube")) {
					t.Errorf("%s imports %s: adapters do not know each other", name, imported)
				}
			}
			if own == "perses" && !strings.HasPrefix(name, "cmd/") {
				t.Errorf("%s imports perses: only the program knows it", name)
			}
			if strings.HasPrefix(imported, "k8s.io/") && name != "kube" && !strings.HasSuffix(name, "/kube") && name != "perses" && !strings.HasPrefix(name, "cmd/demo") {
				t.Errorf("%s imports %s: Kubernetes is known to kube packages alone", name, imported)
			}
			if imported == "github.com/prometheus/prometheus/promql/parser" && name != "gateway/promql" && !strings.HasPrefix(name, "cmd/demo") {
				t.Errorf("%s imports Prometheus' parser: only gateway/promql does", name)
			}
		}
	}
}

// TestProductLinksNoServers keeps the embedded Prometheus of the demo out of
// the product.
func TestProductLinksNoServers(t *testing.T) {
	deps := goList(t, "./cmd/promgate")["cmd/promgate"].Deps
	for _, unwanted := range []string{
		"github.com/prometheus/prometheus/web", "github.com/prometheus/prometheus/tsdb",
		"github.com/prometheus/prometheus/scrape", "github.com/prometheus/prometheus/rules",
		"github.com/prometheus/prometheus/promql", module + "cmd/demo",
	} {
		if slices.Contains(deps, unwanted) {
			t.Errorf("cmd/promgate links %s", unwanted)
		}
	}
}

// TestSizes keeps files and functions short enough to read.
func TestSizes(t *testing.T) {
	const maxLines, maxFunction = 400, 60
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules" || d.Name() == "bin"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		files := token.NewFileSet()
		parsed, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		if n := files.Position(parsed.FileEnd).Line; n > maxLines {
			t.Errorf("%s has %d lines, over %d", path, n, maxLines)
		}
		for _, declaration := range parsed.Decls {
			f, isFunction := declaration.(*ast.FuncDecl)
			if !isFunction || f.Body == nil {
				continue
			}
			if n := files.Position(f.End()).Line - files.Position(f.Pos()).Line + 1; n > maxFunction {
				t.Errorf("%s: function %s has %d lines, over %d", path, f.Name.Name, n, maxFunction)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
