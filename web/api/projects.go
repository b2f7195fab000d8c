package api

import (
	"context"
	"net/http"
	"slices"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/gateway"
	"github.com/promgate/promgate/routing"
)

type projectList struct {
	Projects []projectItem `json:"projects"`
	Next     string        `json:"next,omitempty"`
}

type projectItem struct {
	Name string `json:"name"`
	// Environments is how many of them the caller may query.
	Environments int `json:"environments"`
	// Role is told where one project is asked for.
	Role role `json:"role,omitempty"`
}

// role is what somebody is in a project.
type role string

const (
	viewer     role = "viewer"
	maintainer role = "maintainer"
)

// errNotYourProject answers alike for a project of which the credential opens
// nothing and for one that does not exist.
var errNotYourProject = fault(http.StatusForbidden, "forbidden",
	"this credential opens no environment of this project: check the project's name in the URL, or use a credential that may query it")

func (a *api) projects(ctx context.Context, c *gateway.Call) (*gateway.Reply, error) {
	l, err := newListing(c.Request.URL.Query())
	if err != nil {
		return nil, err
	}
	open, err := open(ctx, c.Identity, slices.Collect(a.gateway.Table().All()))
	if err != nil {
		return nil, err
	}
	all := []projectItem{}
	for _, e := range open {
		if !l.matches(e.Project.Name) {
			continue
		}
		if n := len(all); n == 0 || all[n-1].Name != e.Project.Name {
			all = append(all, projectItem{Name: e.Project.Name})
		}
		all[len(all)-1].Environments++
	}
	part, next := page(l, all, func(p projectItem) string { return p.Name })
	return reply(projectList{part, next})
}

func (a *api) project(ctx context.Context, c *gateway.Call) (*gateway.Reply, error) {
	p, err := a.openProject(ctx, c)
	if err != nil {
		return nil, err
	}
	return reply(projectItem{Name: p.name, Environments: len(p.open), Role: p.role})
}

// open are the environments that the caller may query.
func open(ctx context.Context, id *auth.Identity, all []*routing.Environment) ([]*routing.Environment, error) {
	may, err := gateway.Queryable(ctx, id, all)
	if err != nil {
		return nil, err
	}
	var open []*routing.Environment
	for i, e := range all {
		if may[i] {
			open = append(open, e)
		}
	}
	return open, nil
}

// project is one that the caller may see, with what they are in it.
type project struct {
	name string
	all  []*routing.Environment
	open []*routing.Environment
	role role
}

// openProject finds the project of a call, if the caller may query any of it.
func (a *api) openProject(ctx context.Context, c *gateway.Call) (*project, error) {
	p := &project{name: c.Names["project"], role: viewer}
	p.all = slices.Collect(a.gateway.Table().Project(p.name))
	var err error
	if p.open, err = open(ctx, c.Identity, p.all); err != nil {
		return nil, err
	}
	if len(p.open) == 0 {
		return nil, errNotYourProject
	}
	manages, err := manages(ctx, c.Identity, p.all)
	if err != nil {
		return nil, err
	}
	if manages {
		p.role = maintainer
	}
	return p, nil
}

// manages tells whether the caller may manage the endpoint tokens that open
// these environments of a project: by grant, or where access reviews decide, in
// every namespace that their Services are in. Who is reviewed manages nothing
// that is not in Kubernetes.
func manages(ctx context.Context, id *auth.Identity, all []*routing.Environment) (bool, error) {
	if id.Access == nil {
		for _, e := range all {
			if !id.MayManage(e.Project.UID) {
				return false, nil
			}
		}
		return len(all) > 0, nil
	}
	var actions []auth.Action
	for _, e := range all {
		p := e.Target.ServiceProxy
		if p == nil || p.Namespace == "" { // to RBAC the latter would mean all
			return false, nil
		}
		// The right to make endpoint tokens, with which goes all else about them.
		a := auth.Action{Cluster: p.Cluster, Verb: "create", Group: tokensGroup, Resource: tokensResource, Namespace: p.Namespace}
		if !slices.Contains(actions, a) {
			actions = append(actions, a)
		}
	}
	if len(actions) == 0 {
		return false, nil
	}
	may, err := id.Access.May(ctx, actions)
	return err == nil && !slices.Contains(may, false), err
}

// tokensGroup and tokensResource are those of the EndpointTokens, which
// deploy/kubernetes/crd declares.
const (
	tokensGroup    = "promgate.io"
	tokensResource = "endpointtokens"
)
