package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/promgate/promgate/cmd/promgate/config"
	"github.com/promgate/promgate/cmd/promgate/server"
	"github.com/promgate/promgate/tokens"
)

// scopeOf finds project and environment, first in the configuration file, then
// in the clusters that it has searched, and their UIDs.
func scopeOf(c *cobra.Command, s server.TokenStore, cfg *config.Config, project, environment string) (tokens.Scope, error) {
	scope := tokens.Scope{Project: project, Environment: environment}
	if !inFile(cfg, project, environment) {
		return foundScope(c, cfg, scope)
	}
	names := []string{project}
	if environment != "" {
		names = append(names, project+"/"+environment)
	}
	uids, err := s.AssignUIDs(c.Context(), names, false)
	if err != nil {
		return scope, err
	}
	scope.ProjectUID = uids[project]
	if environment != "" {
		scope.EnvironmentUID = uids[project+"/"+environment]
	}
	return scope, nil
}

func inFile(cfg *config.Config, project, environment string) bool {
	for _, p := range cfg.Projects {
		if p.Name != project {
			continue
		}
		if environment == "" {
			return true
		}
		for _, e := range p.Environments {
			if e.Name == environment {
				return true
			}
		}
	}
	return false
}

// foundScope finds what the file does not name. A namespace of one cluster is
// another project than the namespace of that name of another cluster.
func foundScope(c *cobra.Command, cfg *config.Config, scope tokens.Scope) (tokens.Scope, error) {
	table, err := search(c, cfg)
	if err != nil {
		return scope, err
	}
	if scope.Environment != "" {
		if e, ok := table.Lookup(scope.Project, scope.Environment); ok {
			scope.Cluster, scope.ProjectUID, scope.EnvironmentUID = e.Project.Cluster, e.Project.UID, e.UID
			return scope, nil
		}
	} else {
		for e := range table.Project(scope.Project) {
			if scope.ProjectUID != "" && scope.ProjectUID != e.Project.UID {
				return scope, fmt.Errorf("several clusters have a namespace %s, and each is a project of its own: "+
					"name the environment with --environment, promgate routes lists them", scope.Project)
			}
			scope.Cluster, scope.ProjectUID = e.Project.Cluster, e.Project.UID
		}
		if scope.ProjectUID != "" {
			return scope, nil
		}
	}
	for _, u := range table.UnservedIn(scope.Project) {
		if u.Name == scope.Environment {
			return scope, fmt.Errorf("%s is not served: %s: %s", scopeText(scope), u.Source, u.Reason)
		}
	}
	return scope, fmt.Errorf("%s is not known: promgate routes lists what is", scopeText(scope))
}
