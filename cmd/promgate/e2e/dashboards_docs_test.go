package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

const persesPage = "../../../docs/perses.md"

// savedObjects are those that the page has its reader save, by file.
func savedObjects(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, block := range fences(t, persesPage, "yaml") {
		name, _, _ := strings.Cut(block, "\n")
		if name, isFile := strings.CutPrefix(name, "# "); isFile {
			files[name] = block
		}
	}
	return files
}

// TestPersesPage goes from an environment to a dashboard and its data, where the page before it ends.
func TestPersesPage(t *testing.T) {
	t.Parallel()
	s := newStage(t, emptyCluster(t))
	for name, text := range savedObjects(t) {
		must(t, os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600))
	}
	said := s.perform(kubernetesPage, persesPage)
	wantSaid(t, said, "create -k deploy/kubernetes/crd/perses", "persesdashboards.perses.dev created", "persesdatasources.perses.dev created", "persesglobaldatasources.perses.dev created")
	wantSaid(t, said, "apply -f checkout.yaml", "persesdatasource.perses.dev/production created", "persesdashboard.perses.dev/checkout created")
	wantSaid(t, said, "metadata_only=true", `"name":"checkout"`, `"tags":["http","money"]`, `{"status":"success"`, `"instance":"localhost:9090"`)
}

// TestPersesPageYAML has the API server judge the page's objects as they stand, and promgate its configurations.
func TestPersesPageYAML(t *testing.T) {
	t.Parallel()
	c := emptyCluster(t)
	m := newDeployment(t, c, nil)
	m.kubectl("create", "-k", "crd/perses")
	m.apply("crd")
	must(t, c.Namespace(t.Context(), "shop"))
	for _, block := range fences(t, persesPage, "yaml") {
		if strings.Contains(block, "\napiVersion: ") || strings.HasPrefix(block, "apiVersion: ") {
			path := filepath.Join(t.TempDir(), "objects.yaml")
			must(t, os.WriteFile(path, []byte(block), 0o600))
			m.kubectl("apply", "--server-side", "--validate=strict", "-f", path)
			continue
		}
		directory := t.TempDir()
		path := filepath.Join(directory, "promgate.yaml")
		if strings.Contains(block, "usersFile: users.yaml") {
			must(t, os.WriteFile(filepath.Join(directory, "users.yaml"), []byte("users: []\n"), 0o600))
		}
		block = strings.Replace(block, "[{name: local}]", "[{name: local, kubeconfig: "+c.Kubeconfig()+"}]", 1)
		must(t, os.WriteFile(path, []byte("dataDir: data\n"+outside(block, c.Kubeconfig())), 0o600))
		if stdout, stderr, status := run(t, promgate(t), "check", "--config", path); status != 0 {
			t.Errorf("promgate check: status %d, %s%s\n%s", status, stdout, stderr, block)
		}
	}
	client, err := dynamic.NewForConfig(c.RESTConfig())
	must(t, err)
	checkout, err := client.Resource(schema.GroupVersionResource{Group: "perses.dev", Version: "v1alpha2", Resource: "persesdashboards"}).
		Namespace("shop").Get(t.Context(), "checkout", metav1.GetOptions{})
	must(t, err)
	// Nothing of the dashboard was taken for something else, as a plain y would be.
	layouts, err := json.Marshal(checkout.Object["spec"].(map[string]any)["config"].(map[string]any)["layouts"])
	must(t, err)
	if want := `[{"kind":"Grid","spec":{"items":[{"content":{"$ref":"#/spec/panels/rate"},"height":8,"width":24,"x":0,"y":0}]}}]`; string(layouts) != want {
		t.Errorf("the layouts are %s, want %s", layouts, want)
	}
}

// TestPersesDefinitionsGiveWay has kubectl create leave perses-operator's definitions as they are.
func TestPersesDefinitionsGiveWay(t *testing.T) {
	t.Parallel()
	c := emptyCluster(t)
	m := newDeployment(t, c, nil)
	client, err := dynamic.NewForConfig(c.RESTConfig())
	must(t, err)
	definitions := client.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	read := func(name string) *unstructured.Unstructured {
		t.Helper()
		o, err := definitions.Get(t.Context(), name+".perses.dev", metav1.GetOptions{})
		must(t, err)
		return o
	}
	operators, err := os.ReadFile("../../../testdata/crds/persesdatasources.yaml")
	must(t, err)
	must(t, c.Apply(t.Context(), operators))
	before := read("persesdatasources")

	cmd := exec.CommandContext(t.Context(), kubectl(t), "create", "-k", "crd/perses")
	cmd.Dir, cmd.Env = m.dir, append(os.Environ(), "KUBECONFIG="+c.Kubeconfig())
	output, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(output), `"persesdatasources.perses.dev" already exists`) || strings.Count(string(output), " created\n") != 2 {
		t.Errorf("kubectl create: %v\n%s", err, output)
	}
	if after := read("persesdatasources"); after.GetUID() != before.GetUID() || after.GetGeneration() != before.GetGeneration() || len(after.GetAnnotations()) > 0 {
		t.Errorf("the operator's definition was %v and is %v", before.Object, after.Object)
	}
	if whose := read("persesdashboards").GetAnnotations()["promgate.io/definition"]; !strings.Contains(whose, "without perses-operator") {
		t.Errorf("the definition says of itself %q", whose)
	}
	// Nothing that is applied as a matter of course has them.
	for _, directory := range []string{"crd", "names", "selector", "project", "example", "viewers"} {
		if rendered := m.kubectl("kustomize", directory); strings.Contains(rendered, "group: perses.dev") {
			t.Errorf("%s defines kinds of Perses'", directory)
		}
	}
}

// TestFolderDefinition has the API server take folders as Perses has them, and no others.
func TestFolderDefinition(t *testing.T) {
	t.Parallel()
	c := emptyCluster(t)
	newDeployment(t, c, nil).apply("crd")
	must(t, c.Namespace(t.Context(), "shop"))
	client, err := dynamic.NewForConfig(c.RESTConfig())
	must(t, err)
	folders := client.Resource(schema.GroupVersionResource{Group: "promgate.io", Version: "v1alpha1", Resource: "persesfolders"}).Namespace("shop")
	dashboard := func(name string) map[string]any { return map[string]any{"kind": "Dashboard", "name": name} }
	folder := func(name string, items ...any) map[string]any {
		f := map[string]any{"kind": "Folder", "name": name}
		if items != nil {
			f["items"] = items
		}
		return f
	}
	var many []any
	for i := range 101 {
		many = append(many, dashboard("d"+strings.Repeat("x", i%70)+string(rune('a'+i/70))))
	}
	long := strings.Repeat("x", 76)
	withItems := dashboard("a")
	withItems["items"] = []any{}
	for name, test := range map[string]struct {
		name  string
		spec  map[string]any
		fault string // none: it is taken
	}{
		"empty":           {"empty", map[string]any{}, ""},
		"four levels":     {"deep", map[string]any{"display": map[string]any{"name": "Ein Titel"}, "items": []any{folder("One", folder("Two", folder("Three", dashboard("a.b-c_D"))))}}, ""},
		"order":           {"order", map[string]any{"items": []any{dashboard("z"), folder("m"), dashboard("a")}}, ""},
		"hundred":         {"hundred", map[string]any{"items": many[:100]}, ""},
		"five levels":     {"x", map[string]any{"items": []any{folder("1", folder("2", folder("3", folder("4", dashboard("a")))))}}, "unknown field"},
		"another kind":    {"x", map[string]any{"items": []any{map[string]any{"kind": "Panel", "name": "a"}}}, "supported values"},
		"no kind":         {"x", map[string]any{"items": []any{map[string]any{"name": "a"}}}, "kind: Required"},
		"no name":         {"x", map[string]any{"items": []any{map[string]any{"kind": "Folder"}}}, "name: Required"},
		"empty name":      {"x", map[string]any{"items": []any{dashboard("")}}, "at least 1"},
		"long name":       {"x", map[string]any{"items": []any{folder("f", dashboard(long))}}, "Too long"},
		"title in words":  {"words", map[string]any{"items": []any{folder("Odd ones", dashboard("a"))}}, ""},
		"dashboard holds": {"x", map[string]any{"items": []any{withItems}}, "a Dashboard has no items"},
		"deeper holds":    {"x", map[string]any{"items": []any{folder("1", folder("2", withItems))}}, "a Dashboard has no items"},
		"twice":           {"x", map[string]any{"items": []any{folder("f", dashboard("a"), dashboard("a"))}}, "Duplicate value"},
		"too many":        {"x", map[string]any{"items": many}, "Too many"},
		"long title":      {"x", map[string]any{"display": map[string]any{"name": strings.Repeat("x", 201)}}, "Too long"},
		"another field":   {"x", map[string]any{"title": "a"}, "unknown field"},
		"long object":     {long, map[string]any{}, "Too long"},
	} {
		o := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "promgate.io/v1alpha1", "kind": "PersesFolder", "metadata": map[string]any{"name": test.name}, "spec": test.spec,
		}}
		made, err := folders.Create(t.Context(), o, metav1.CreateOptions{FieldValidation: "Strict"})
		switch {
		case test.fault == "" && err != nil, test.fault != "" && (err == nil || !strings.Contains(err.Error(), test.fault)):
			t.Errorf("%s: %v, want %q", name, err, test.fault)
		case name == "order":
			got, _ := json.Marshal(made.Object["spec"])
			if want, _ := json.Marshal(test.spec); string(got) != string(want) {
				t.Errorf("%s: it became %s", name, got)
			}
		}
	}
}
