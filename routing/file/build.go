package file

import (
	"errors"
	"fmt"
	"slices"

	"github.com/promgate/promgate/routing"
)

// Builders make what the sections name. All are required.
type Builders struct {
	// AssignUIDs gives each name, "project" or "project/environment", its
	// identity over time.
	AssignUIDs func(names []string) (map[string]string, error)
	// Service makes the target of an environment that has a Service.
	Service func(*Environment) (*routing.Target, error)
	// URL makes the target of an environment that has a URL.
	URL func(*Environment) (*routing.Target, error)
}

// Source is the name of the file as a source of environments.
const Source = "configuration file"

// Build makes the candidates, by project, of sections that Validate found
// nothing wrong with. The error joins what went wrong for each environment.
func Build(s *Sections, b Builders) (map[string][]routing.Candidate, error) {
	uids, err := b.AssignUIDs(s.names())
	if err != nil {
		return nil, fmt.Errorf("identities of projects and environments: %w", err)
	}
	all := map[string][]routing.Candidate{}
	var faults []error
	for i := range s.Projects {
		p := &s.Projects[i]
		project := &routing.Project{Name: p.Name, UID: uids[p.Name]}
		for j := range p.Environments {
			e, err := p.Environments[j].build(project, uids, b)
			if err != nil {
				faults = append(faults, fmt.Errorf("project %s, environment %s: %w", p.Name, p.Environments[j].Name, err))
				continue
			}
			all[p.Name] = append(all[p.Name], routing.Candidate{Project: p.Name, Name: e.Name, Source: Source, Environment: e})
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return all, nil
}

// enforced is what Enforce says, in the form of routing.
func (e *Environment) enforced() map[string][]string {
	if len(e.Enforce) == 0 {
		return nil
	}
	all := make(map[string][]string, len(e.Enforce))
	for label, values := range e.Enforce {
		all[label] = values
	}
	return all
}

func (s *Sections) names() []string {
	var names []string
	for _, p := range s.Projects {
		names = append(names, p.Name)
		for _, e := range p.Environments {
			names = append(names, p.Name+"/"+e.Name)
		}
	}
	return names
}

func (e *Environment) build(project *routing.Project, uids map[string]string, b Builders) (*routing.Environment, error) {
	uid := uids[project.Name+"/"+e.Name]
	if project.UID == "" || uid == "" {
		// A grant that names an empty UID must never come to match anything.
		return nil, errors.New("no identity was assigned")
	}
	build := b.URL
	if e.Service != nil {
		build = b.Service
	}
	target, err := build(e)
	if err != nil {
		return nil, err
	}
	return &routing.Environment{
		Project: project,
		Name:    e.Name,
		UID:     uid,
		Target:  target,
		Source:  Source,
		Allow: routing.Allow{
			RemoteRead: slices.Contains(e.Allow, "remoteRead"),
			Federate:   slices.Contains(e.Allow, "federate"),
		},
		AllowPost: e.AllowPost,
		NoCache:   !e.Cache,
		Enforce:   e.enforced(),
		Aliases:   e.Aliases,
	}, nil
}
