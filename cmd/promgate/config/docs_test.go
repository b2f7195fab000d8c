package config

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/promgate/promgate/routing/file"
)

var update = flag.Bool("update", false, "rewrite the reference in the documentation")

const docs = "../../../docs/configuration.md"

func TestDocumentedReference(t *testing.T) {
	content, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	got := between(t, text, "reference")
	want := "\n" + table() + "\n"
	if got == want {
		return
	}
	if !*update {
		t.Fatalf("%s does not list the keys as the code has them; run this test with -update", docs)
	}
	if err := os.WriteFile(docs, []byte(strings.Replace(text, got+"<!-- reference:end", want+"<!-- reference:end", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestDocumentedExample(t *testing.T) {
	content, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	example := strings.TrimSpace(between(t, string(content), "example"))
	example = strings.TrimSuffix(strings.TrimPrefix(example, "```yaml\n"), "```")
	c, err := parse("/etc/promgate/promgate.yaml", []byte(example), func(file.Reference) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Projects) != 2 || c.Clusters[1].Kubeconfig != "/etc/promgate/kubeconfigs/west" {
		t.Errorf("got %+v", c)
	}
}

func TestReferenceIsComplete(t *testing.T) {
	for _, k := range Reference() {
		if k.Description == "" || k.Type == "" {
			t.Errorf("%s has no type or description", k.Path)
		}
		if strings.ContainsAny(k.Type+k.Default+k.Description, "|\n") {
			t.Errorf("%s has characters that break the table", k.Path)
		}
	}
}

func table() string {
	var b strings.Builder
	b.WriteString("| Key | Type | Default | Description |\n| --- | --- | --- | --- |\n")
	for _, k := range Reference() {
		def := ""
		switch {
		case k.Required:
			def = "required"
		case k.Default != "":
			def = "`" + k.Default + "`"
		}
		b.WriteString("| `" + k.Path + "` | " + k.Type + " | " + def + " | " + k.Description + " |\n")
	}
	return b.String()
}

func between(t *testing.T, text, name string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, "<!-- "+name+":start -->")
	part, _, end := strings.Cut(rest, "<!-- "+name+":end -->")
	if !ok || !end {
		t.Fatalf("%s has no markers %s:start and %s:end", docs, name, name)
	}
	return part
}
