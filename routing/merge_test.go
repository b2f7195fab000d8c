package routing

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func candidate(project, name, source string, age int) Candidate {
	return Candidate{
		Project: project, Name: name, Source: source, Since: time.Unix(int64(1000-age), 0),
		Environment: &Environment{Project: &Project{Name: project, UID: "uid of " + source}, Name: name, UID: source, Source: source},
	}
}

// show is a table in words: who serves each name, and who does not and why.
func show(t *Table) string {
	var lines []string
	for e := range t.All() {
		if found, ok := t.Lookup(e.Project.Name, e.Name); !ok || found != e {
			lines = append(lines, "cannot look up "+e.Name)
		}
		lines = append(lines, fmt.Sprintf("%s/%s: %s", e.Project.Name, e.Name, e.UID))
	}
	for c := range t.Unserved() {
		lines = append(lines, fmt.Sprintf("%s/%s: not %s: %s: %s", c.Project, c.Name, c.Source, c.Cause, c.Reason))
	}
	return strings.Join(lines, "\n")
}

func want(t *testing.T, table *Table, lines ...string) {
	t.Helper()
	if got := show(table); got != strings.Join(lines, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(lines, "\n"))
	}
}

func TestMerge(t *testing.T) {
	m := NewMerger("file")
	if m.Table().Len() != 0 || show(m.Table()) != "" {
		t.Error("an empty merger has routes")
	}
	one := func(c ...Candidate) map[string][]Candidate { return map[string][]Candidate{c[0].Project: c} }
	bad := Candidate{Project: "shop", Name: "broken", Source: "Service broken", Reason: "no port", Cause: CauseInvalid}
	want(t, m.Set("local", one(candidate("shop", "production", "Service young", 1), candidate("shop", "production", "Service old", 2), bad)),
		"shop/production: Service old",
		"shop/broken: not Service broken: invalid: no port",
		"shop/production: not Service young: conflict: the Service old has the name shop/production already; give one of them another name")

	// Another cluster's goes by age too, the file's comes before all.
	before := m.Table()
	const taken = "has the name shop/production already; give one of them another name"
	want(t, m.Set("other", one(candidate("shop", "production", "Service ancient", 9), candidate("shop", "staging", "Service staging", 0))),
		"shop/production: Service ancient", "shop/staging: Service staging",
		"shop/broken: not Service broken: invalid: no port",
		"shop/production: not Service old: conflict: the Service ancient "+taken,
		"shop/production: not Service young: conflict: the Service ancient "+taken)
	want(t, m.Replace("file", one(candidate("shop", "production", "configuration file", 0))),
		"shop/production: configuration file", "shop/staging: Service staging",
		"shop/broken: not Service broken: invalid: no port",
		"shop/production: not Service ancient: conflict: the configuration file "+taken,
		"shop/production: not Service old: conflict: the configuration file "+taken,
		"shop/production: not Service young: conflict: the configuration file "+taken)
	if e, _ := before.Lookup("shop", "production"); e.UID != "Service old" || before.Len() != 1 {
		t.Error("a table changed after it was made")
	}

	// What goes makes room.
	m.Replace("file", nil)
	m.Set("other", map[string][]Candidate{"shop": nil})
	want(t, m.Set("local", one(candidate("shop", "production", "Service young", 1))), "shop/production: Service young")
	want(t, m.Replace("local", one(candidate("billing", "production", "Service billing", 1))), "billing/production: Service billing")
	want(t, m.Replace("local", nil))
}

func TestMergeOrderDoesNotMatter(t *testing.T) {
	a, b := candidate("shop", "production", "Service a", 1), candidate("shop", "production", "Service b", 1)
	one, two := NewMerger("file"), NewMerger("file")
	one.Set("x", map[string][]Candidate{"shop": {a}})
	one.Set("y", map[string][]Candidate{"shop": {b}})
	two.Set("y", map[string][]Candidate{"shop": {b}})
	two.Set("x", map[string][]Candidate{"shop": {a}})
	if show(one.Table()) != show(two.Table()) || !strings.HasPrefix(show(one.Table()), "shop/production: Service a") {
		t.Errorf("got\n%s\nand\n%s", show(one.Table()), show(two.Table()))
	}
}

func TestTableProject(t *testing.T) {
	table := NewTable([]*Environment{
		{Project: &Project{Name: "shop"}, Name: "b"}, {Project: &Project{Name: "shop"}, Name: "a"}, {Project: &Project{Name: "x"}, Name: "c"},
		{Project: &Project{Name: "shop"}, Name: "a", UID: "second"},
	})
	var names []string
	for e := range table.Project("shop") {
		names = append(names, e.Name+e.UID)
	}
	if got := strings.Join(names, " "); got != "a b" || table.Len() != 3 {
		t.Errorf("got %s of %d", got, table.Len())
	}
	for range table.Project("none") {
		t.Error("an environment of no project")
	}
	for range table.All() {
		break
	}
}

// BenchmarkMerge changes one project of five hundred, as a watch does.
func BenchmarkMerge(b *testing.B) {
	m := NewMerger("file")
	all := map[string][]Candidate{}
	for p := range 500 {
		project := fmt.Sprintf("project-%d", p)
		for e := range 20 {
			all[project] = append(all[project], candidate(project, fmt.Sprintf("e%d", e), fmt.Sprintf("Service %s/e%d", project, e), e))
		}
	}
	m.Replace("local", all)
	one := map[string][]Candidate{"project-7": all["project-7"]}
	b.ReportAllocs()
	for b.Loop() {
		m.Set("local", one)
	}
}
