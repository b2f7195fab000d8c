package config

import (
	"slices"
	"strings"

	"github.com/promgate/promgate/routing"
	"github.com/promgate/promgate/routing/file"
)

// Dashboards are those of Perses that are objects in a cluster.
type Dashboards struct {
	Cluster    string `yaml:"cluster,omitempty" doc:"Cluster whose objects are shown: a project's dashboards are those in the namespace of its name. Needed where there are several. With credentials: user they are read with each person's own token."`
	Path       string `yaml:"path" default:"/perses" type:"path in URLs" doc:"Where Perses' API stands, for its clients."`
	Visibility string `yaml:"visibility" enum:"members,everySignedInUser" default:"members" doc:"With credentials: dedicated, who is shown what. members: those of the users file and of the OpenID provider the projects of which they are members, users of Kubernetes what RBAC lets them read. everySignedInUser: everybody who has signed in is shown all dashboards of all projects."`
}

// VisibleToAll tells whether everybody who has signed in is shown everything.
func (d *Dashboards) VisibleToAll() bool { return d.Visibility == "everySignedInUser" }

func (c *Config) validateDashboards(report file.Report) {
	d, at := c.Dashboards, file.Path{"dashboards"}
	if d == nil {
		return
	}
	if problem := mountProblem(d.Path); problem != "" {
		report(at.With("path"), "%s; write one such as /perses", problem)
	} else if base := c.basePath(); base == d.Path || strings.HasPrefix(base, d.Path+"/") {
		report(at.With("path"), "externalURL begins with the same path, so that the two cannot be told apart; write another one")
	}
	home := slices.IndexFunc(c.Clusters, func(k file.Cluster) bool { return k.Name == d.Cluster })
	switch {
	case len(c.Clusters) == 0:
		report(at, "dashboards are objects in a cluster, and there is none; add one to clusters, or remove dashboards")
		return
	case d.Cluster == "" && len(c.Clusters) > 1:
		report(at, "there are several clusters; write as dashboards.cluster which one has the dashboards")
		return
	case d.Cluster == "":
		home, d.Cluster = 0, c.Clusters[0].Name
	case home < 0:
		report(at.With("cluster"), "there is no cluster %q; write the name of one of clusters", clip(d.Cluster))
		return
	}
	switch k := &c.Clusters[home]; {
	case k.Credentials == "user" && d.VisibleToAll():
		report(at.With("visibility"), "with credentials: user each person is shown what their own token reads; remove visibility, or write credentials: dedicated for cluster %s", k.Name)
	case k.Credentials != "user" && len(k.Audiences) == 0 && !c.SignIn.On():
		report(at, "nobody could see them: configure signIn, or write audiences for cluster %s so that it accepts tokens of users", k.Name)
	}
}

// mountProblem says what is wrong with a path that an API is to stand below.
func mountProblem(path string) string {
	switch {
	case routing.PathProblem(path) != "":
		return routing.PathProblem(path)
	case path == "/" || strings.HasSuffix(path, "/"):
		return "the path names no place of its own"
	case !isPrefix(path):
		return "this path is one of the gateway's own"
	}
	return ""
}
