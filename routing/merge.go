package routing

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Cause tells in one word why a candidate is not served.
type Cause string

// The causes.
const (
	// CauseInvalid: the candidate itself is wrong.
	CauseInvalid Cause = "invalid"
	// CauseConflict: another one has the name.
	CauseConflict Cause = "conflict"
)

// Candidate is an environment as one source describes it: the configuration
// file, or an object of a cluster.
type Candidate struct {
	// Project and Name are the names that it claims.
	Project, Name string
	// Source says for people where it comes from; it is unique among the
	// candidates of a Merger. See Environment.Source.
	Source string
	// Since is when its source came to be: of two that claim one name, the
	// older is served. The zero time precedes all others.
	Since time.Time
	// Environment is what to serve; nil where Reason says why nothing can be.
	Environment *Environment
	// Reason is a sentence for people why it is not served, with what to do;
	// empty where it is served.
	Reason string
	// Cause is the reason in one word; empty where it is served.
	Cause Cause
}

// Merger makes tables of what several sources find. A change costs as much as
// the projects that it touches have environments, however many others have. The
// zero value is ready; it is not safe for concurrent use.
type Merger struct {
	sources map[string]map[string][]Candidate // by source, then project name
	first   string                            // the source that wins
	table   *Table
}

// NewMerger makes a Merger in which one source goes before all others: what it
// claims they do not get. Among the others the older candidate wins.
func NewMerger(first string) *Merger { return &Merger{first: first} }

// Set replaces what a source claims of the projects that are keys of the map;
// an empty list takes a project away. It returns the new table.
func (m *Merger) Set(source string, changed map[string][]Candidate) *Table {
	if m.sources == nil {
		m.sources = map[string]map[string][]Candidate{}
	}
	known := m.sources[source]
	if known == nil {
		known = map[string][]Candidate{}
		m.sources[source] = known
	}
	before := m.Table()
	projects := maps.Clone(before.projects)
	if projects == nil {
		projects = map[string]*projectTable{}
	}
	for name, candidates := range changed {
		if len(candidates) == 0 {
			delete(known, name)
		} else {
			known[name] = slices.Clone(candidates)
		}
		if p := m.merge(name); p != nil {
			projects[name] = p
		} else {
			delete(projects, name)
		}
	}
	m.table = newTable(projects)
	return m.table
}

// Replace replaces everything that a source claims. It returns the new table.
func (m *Merger) Replace(source string, all map[string][]Candidate) *Table {
	changed := maps.Clone(all)
	if changed == nil {
		changed = map[string][]Candidate{}
	}
	for name := range m.sources[source] {
		if _, still := changed[name]; !still {
			changed[name] = nil
		}
	}
	return m.Set(source, changed)
}

// Table is the table of what was set so far.
func (m *Merger) Table() *Table {
	if m.table == nil {
		m.table = &Table{}
	}
	return m.table
}

type ranked struct {
	Candidate
	rank int // 0: of the first source
}

// merge decides what is served under a project's name; nil: there is nothing.
func (m *Merger) merge(project string) *projectTable {
	var all []ranked
	for source, projects := range m.sources {
		rank := 1
		if source == m.first {
			rank = 0
		}
		for _, c := range projects[project] {
			all = append(all, ranked{c, rank})
		}
	}
	if len(all) == 0 {
		return nil
	}
	slices.SortFunc(all, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), a.Since.Compare(b.Since), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Name, b.Name))
	})
	p := &projectTable{environments: map[string]*Environment{}}
	for _, c := range all {
		if c.Environment == nil {
			p.unserved = append(p.unserved, c.Candidate)
			continue
		}
		if winner, taken := p.environments[c.Name]; taken {
			c.Environment, c.Cause = nil, CauseConflict
			c.Reason = fmt.Sprintf("the %s has the name %s/%s already; give one of them another name", winner.Source, project, c.Name)
			p.unserved = append(p.unserved, c.Candidate)
			continue
		}
		p.environments[c.Name] = c.Environment
	}
	p.sort()
	slices.SortFunc(p.unserved, func(a, b Candidate) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Source, b.Source))
	})
	return p
}
