package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/promgate/promgate/routing"
)

// choose finds the environments that are meant, in the table's order: all, a
// project's, or one.
func choose(table *routing.Table, project, environment string) ([]*routing.Environment, error) {
	var chosen []*routing.Environment
	for e := range table.All() {
		if (project == "" || e.Project.Name == project) && (environment == "" || e.Name == environment) {
			chosen = append(chosen, e)
		}
	}
	if len(chosen) > 0 || project == "" {
		return chosen, nil
	}
	what := "project " + routing.Clip(project)
	if environment != "" {
		what = "environment " + routing.Clip(project) + "/" + routing.Clip(environment)
	}
	var reasons []string
	for c := range table.Unserved() {
		if c.Project == project && (environment == "" || c.Name == environment) {
			reasons = append(reasons, fmt.Sprintf("%s/%s (%s): %s", c.Project, c.Name, c.Source, c.Reason))
		}
	}
	if len(reasons) > 0 {
		return nil, fmt.Errorf("%s is not served: %s", what, strings.Join(reasons, "; "))
	}
	return nil, fmt.Errorf("there is no %s: %s", what, near(table, project, environment))
}

// near advises what was likely meant by names that the table does not have.
func near(table *routing.Table, project, environment string) string {
	var projects, environments []string
	for e := range table.All() {
		projects = append(projects, e.Project.Name)
		if e.Project.Name == project {
			environments = append(environments, e.Name)
		}
	}
	if environment != "" && len(environments) > 0 {
		if name := nearest(environment, environments); name != "" {
			return "did you mean " + project + "/" + name + "?"
		}
		return "the project has " + strings.Join(environments, ", ")
	}
	if name := nearest(project, projects); name != "" {
		return "did you mean " + name + "?"
	}
	return "promgate routes lists those that are there"
}

// nearest is the name that a mistyped one is nearest to, as cobra tells the
// nearest command; empty: none is near.
func nearest(mistyped string, names []string) string {
	commands := &cobra.Command{SuggestionsMinimumDistance: 2}
	for _, name := range names {
		commands.AddCommand(&cobra.Command{Use: name, Run: func(*cobra.Command, []string) {}})
	}
	if found := commands.SuggestionsFor(mistyped); len(found) > 0 {
		return found[0]
	}
	return ""
}
