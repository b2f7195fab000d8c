package routing

import (
	"cmp"
	"iter"
	"maps"
	"slices"
)

// Table is an immutable snapshot of projects and environments. The zero value
// is empty.
type Table struct {
	projects map[string]*projectTable
	names    []string // of the projects, sorted
	length   int
}

// projectTable holds what goes by one project name. Tables share those that
// did not change.
type projectTable struct {
	environments map[string]*Environment
	sorted       []*Environment
	unserved     []Candidate
}

// NewTable makes a table of the environments. Of two with the same project
// and environment name the first stays; callers report duplicates before.
func NewTable(environments []*Environment) *Table {
	byProject := map[string]*projectTable{}
	for _, e := range environments {
		p := byProject[e.Project.Name]
		if p == nil {
			p = &projectTable{environments: map[string]*Environment{}}
			byProject[e.Project.Name] = p
		}
		if _, taken := p.environments[e.Name]; !taken {
			p.environments[e.Name] = e
		}
	}
	for _, p := range byProject {
		p.sort()
	}
	return newTable(byProject)
}

func newTable(projects map[string]*projectTable) *Table {
	t := &Table{projects: projects, names: slices.Sorted(maps.Keys(projects))}
	for _, p := range projects {
		t.length += len(p.sorted)
	}
	return t
}

func (p *projectTable) sort() {
	p.sorted = slices.SortedFunc(maps.Values(p.environments), func(a, b *Environment) int {
		return cmp.Compare(a.Name, b.Name)
	})
}

// Lookup finds an environment by the names in its URL.
func (t *Table) Lookup(project, environment string) (*Environment, bool) {
	p := t.projects[project]
	if p == nil {
		return nil, false
	}
	e, ok := p.environments[environment]
	return e, ok
}

// Len is the number of environments.
func (t *Table) Len() int { return t.length }

// Projects are the names under which anything is served, or would be but for
// its Reason. They are sorted, and not to be changed.
func (t *Table) Projects() []string { return t.names }

// All yields the environments by project name, then by their own.
func (t *Table) All() iter.Seq[*Environment] {
	return func(yield func(*Environment) bool) {
		for _, name := range t.names {
			for _, e := range t.projects[name].sorted {
				if !yield(e) {
					return
				}
			}
		}
	}
}

// Project yields the environments that go by the project's name, by their own.
// They are of one Project each, but not all of the same: two sources may know
// different projects by one name.
func (t *Table) Project(name string) iter.Seq[*Environment] {
	p := t.projects[name]
	if p == nil {
		return func(func(*Environment) bool) {}
	}
	return slices.Values(p.sorted)
}

// Unserved yields the candidates that are not served, each with its Reason, by
// project name, environment name and source.
func (t *Table) Unserved() iter.Seq[Candidate] {
	return func(yield func(Candidate) bool) {
		for _, name := range t.names {
			for _, c := range t.projects[name].unserved {
				if !yield(c) {
					return
				}
			}
		}
	}
}

// UnservedIn are the candidates of one project that are not served.
func (t *Table) UnservedIn(project string) []Candidate {
	if p := t.projects[project]; p != nil {
		return p.unserved
	}
	return nil
}
