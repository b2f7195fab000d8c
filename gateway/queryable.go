package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/routing"
)

// projectsPath is where the gateway's own API begins. docs/openapi.yaml
// describes it.
const projectsPath = "/api/v1/projects"

// The endpoints of the gateway's own API, as log and metrics name them.
var (
	projectsEndpoint     = &Endpoint{Name: "projects", Methods: []string{http.MethodGet}}
	environmentsEndpoint = &Endpoint{Name: "environments", Methods: []string{http.MethodGet}}
)

// projectList is the answer of GET /api/v1/projects.
type projectList struct {
	Projects []projectItem `json:"projects"`
}

type projectItem struct {
	Name string `json:"name"`
	// Environments is how many of them the caller may query.
	Environments int `json:"environments"`
}

// environmentList is the answer of GET /api/v1/projects/{project}/environments.
type environmentList struct {
	Environments []environmentItem `json:"environments"`
}

type environmentItem struct {
	Project string `json:"project"`
	Name    string `json:"name"`
	// URL is the environment's base URL for clients of Prometheus' API.
	URL string `json:"url"`
	// Allow names the opt-in endpoints that are switched on.
	Allow []string `json:"allow"`
}

// listing answers with what the caller may query, and nothing of the rest.
func (g *Gateway) listing(x *exchange, r *http.Request, e *Endpoint, list func(context.Context, *auth.Identity) (any, error)) error {
	x.endpoint = e
	if !allows(e.Methods, r.Method) {
		return methodError(e.Methods, r.Method)
	}
	id, _, err := g.authenticate(x, r)
	if err != nil {
		return err
	}
	answer, err := list(r.Context(), id)
	if err != nil {
		return err
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	h := x.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	boundRest(x, r)
	x.WriteHeader(http.StatusOK)
	if _, err := x.Write(body); err != nil {
		return &Error{Status: statusClientGone, Type: typeCanceled, Message: "the client went away", Cause: err}
	}
	return nil
}

func (g *Gateway) listProjects(ctx context.Context, id *auth.Identity) (any, error) {
	table := g.routes.Load()
	var all []*routing.Environment
	for e := range table.All() {
		all = append(all, e)
	}
	open, err := queryable(ctx, id, all)
	if err != nil {
		return nil, err
	}
	list := projectList{Projects: []projectItem{}}
	for i, e := range all {
		if !open[i] {
			continue
		}
		if n := len(list.Projects); n == 0 || list.Projects[n-1].Name != e.Project.Name {
			list.Projects = append(list.Projects, projectItem{Name: e.Project.Name})
		}
		list.Projects[len(list.Projects)-1].Environments++
	}
	return list, nil
}

// errNotYourProject answers alike for a project of which the credential opens
// nothing and for one that does not exist.
var errNotYourProject = &Error{
	Status: http.StatusForbidden, Type: typeForbidden,
	Message: "this credential opens no environment of this project: check the project's name in the URL, or use a credential that may query it",
}

func (g *Gateway) listEnvironments(ctx context.Context, id *auth.Identity, project string) (any, error) {
	var all []*routing.Environment
	for e := range g.routes.Load().Project(project) {
		all = append(all, e)
	}
	open, err := queryable(ctx, id, all)
	if err != nil {
		return nil, err
	}
	var list environmentList
	for i, e := range all {
		if !open[i] {
			continue
		}
		item := environmentItem{
			Project: project, Name: e.Name, Allow: []string{},
			URL: *g.baseURL.Load() + "/projects/" + project + "/environments/" + e.Name,
		}
		if e.Allow.Federate {
			item.Allow = append(item.Allow, "federate")
		}
		if e.Allow.RemoteRead {
			item.Allow = append(item.Allow, "remoteRead")
		}
		list.Environments = append(list.Environments, item)
	}
	if list.Environments == nil {
		return nil, errNotYourProject
	}
	return list, nil
}

// queryable tells of each environment whether the caller may query it, as open
// would.
func queryable(ctx context.Context, id *auth.Identity, all []*routing.Environment) ([]bool, error) {
	if id.Access == nil {
		open := make([]bool, len(all))
		for i, e := range all {
			open[i] = id.MayQuery(e.Project.UID, e.UID) && !e.Target.NoEndpointTokens
		}
		return open, nil
	}
	resources := make([]auth.Resource, len(all))
	for i, e := range all {
		resources[i] = resourceOf(e)
	}
	open, err := id.Access.Queryable(ctx, resources)
	if errors.Is(err, auth.ErrInvalid) || errors.Is(err, auth.ErrUnavailable) {
		return nil, credentialError(err)
	}
	return open, err
}
