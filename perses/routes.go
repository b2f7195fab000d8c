package perses

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/promgate/promgate/gateway"
	"github.com/promgate/promgate/routing"
)

// Resources of Perses that have no objects here: clients ask for them all the
// same, and are told that there are none.
var (
	emptyResources       = []string{"variables", "secrets", "roles", "rolebindings", "ephemeraldashboards"}
	emptyGlobalResources = []string{"globalvariables", "globalsecrets", "globalroles", "globalrolebindings", "users"}
)

const empty = "[]"

// Mount is Perses' API. Nothing in it writes.
func (a *API) Mount() *gateway.Mount {
	m := &gateway.Mount{Path: a.Path, Harmless: []string{"/api/v1/view"}}
	m.Operations = []gateway.Operation{
		a.public("perses_config", http.MethodGet, "/api/config", func() (*gateway.Reply, error) { return written([]byte(config)) }),
		a.public("perses_health", http.MethodGet, "/api/v1/health", a.health),
		a.operation("perses_view", http.MethodPost, "/api/v1/view", verified(func(context.Context, *visit) (*gateway.Reply, error) { return answer(nil) })),
		a.operation("perses_plugins", http.MethodGet, "/api/v1/plugins", verified(fixed(empty))),
		a.operation("perses_whoami", http.MethodGet, "/api/v1/user/whoami", verified(a.whoAmI)),
		a.operation("perses_whoami", http.MethodGet, "/api/v1/users/me", verified(a.whoAmI)),
		a.operation("perses_whoami", http.MethodGet, "/api/auth/providers/kubernetes/whoami", verified(a.profile)),
		a.operation("perses_permissions", http.MethodGet, "/api/v1/users/{user}/permissions", verified(a.permissions)),
		a.operation("perses_search", http.MethodGet, "/api/v1/search/dashboards", a.search),
		a.operation("perses_projects", http.MethodGet, "/api/v1/projects", a.projects),
		a.operation("perses_project", http.MethodGet, "/api/v1/projects/{project}", a.project),
		a.operation("perses_globaldatasources", http.MethodGet, "/api/v1/globaldatasources", a.all(GlobalDatasources)),
		a.operation("perses_globaldatasource", http.MethodGet, "/api/v1/globaldatasources/{name}", a.item(GlobalDatasources)),
	}
	for resource, kind := range map[string]*Kind{"dashboards": Dashboards, "datasources": Datasources, "folders": Folders} {
		m.Operations = append(m.Operations,
			a.operation("perses_"+resource, http.MethodGet, "/api/v1/"+resource, a.all(kind)),
			a.operation("perses_"+resource, http.MethodGet, "/api/v1/projects/{project}/"+resource, a.inProject(kind)),
			a.operation("perses_"+strings.TrimSuffix(resource, "s"), http.MethodGet, "/api/v1/projects/{project}/"+resource+"/{name}", a.item(kind)))
	}
	missing := verified(func(context.Context, *visit) (*gateway.Reply, error) { return nil, ErrNotFound })
	none := func(path string) {
		m.Operations = append(m.Operations,
			a.operation("perses_empty", http.MethodGet, path, verified(fixed(empty))),
			a.operation("perses_empty", http.MethodGet, path+"/{name}", missing))
	}
	for _, resource := range emptyResources {
		m.Operations = append(m.Operations, a.operation("perses_empty", http.MethodGet, "/api/v1/"+resource, verified(fixed(empty))))
		none("/api/v1/projects/{project}/" + resource)
	}
	for _, resource := range emptyGlobalResources {
		none("/api/v1/" + resource)
	}
	m.Data = []gateway.DataRoute{
		{Path: "/proxy/projects/{project}/datasources/{name}", Choose: a.choose(a.fromObject(Datasources))},
		{Path: "/proxy/projects/{project}/dashboards/{dashboard}/datasources/{name}", Choose: a.choose(fromDashboard(a))},
		{Path: "/proxy/globaldatasources/{name}", Choose: a.choose(a.fromObject(GlobalDatasources))},
	}
	return m
}

// config tells clients of Perses that they can only read, and that who they are
// is Kubernetes' matter. It has every part that Perses' UI looks into (ui/app,
// context/Config.tsx), which it does without asking whether there is one.
const config = `{"security":{"readonly":true,"enable_auth":true,` +
	`"authorization":{"guest_permissions":[],"provider":{"native":{"enable":false},"kubernetes":{"enable":true}}},` +
	`"authentication":{"disable_sign_up":true,"providers":{"enable_native":false,"kubernetes":{"enable":true}}}},` +
	`"database":{},"datasource":{"disable_local":true,"global":{"disable":false},"project":{"disable":false}},` +
	`"variable":{"disable_local":true,"global":{"disable":true},"project":{"disable":true}},` +
	`"ephemeral_dashboard":{"enable":false},"frontend":{"disable":true,"explorer":{"enable":false},"important_dashboards":[]}}`

func (a *API) health() (*gateway.Reply, error) {
	return answer(map[string]string{"buildTime": "", "version": a.Version, "commit": ""})
}

func (a *API) name(ctx context.Context, v *visit) (string, error) { return a.WhoIs(ctx, v.viewer) }

func (a *API) whoAmI(ctx context.Context, v *visit) (*gateway.Reply, error) {
	name, err := a.name(ctx, v)
	if err != nil {
		return nil, err
	}
	return answer(document{Kind: "User", Metadata: metadata{Name: persesName(name)}, Spec: struct{}{}})
}

// profile is what percli asks for after a login with a Kubernetes token.
func (a *API) profile(ctx context.Context, v *visit) (*gateway.Reply, error) {
	name, err := a.name(ctx, v)
	if err != nil {
		return nil, err
	}
	return answer(map[string]string{"name": name})
}

type permission struct {
	Actions []string `json:"actions"`
	Scopes  []string `json:"scopes"`
}

func (a *API) permissions(ctx context.Context, v *visit) (*gateway.Reply, error) {
	name, err := a.name(ctx, v)
	if err != nil {
		return nil, err
	}
	if asked := v.Names["user"]; asked != name && asked != persesName(name) {
		return nil, errOthersPermissions
	}
	projects, err := v.objects.Projects(ctx, v.viewer)
	if err != nil {
		return nil, err
	}
	read := []string{"read"}
	all := map[string][]permission{"*": {{read, []string{"GlobalDatasource"}}}}
	for _, p := range projects {
		all[p.Name] = []permission{{read, []string{"Dashboard", "Datasource", "Folder", "Project"}}}
	}
	return answer(all)
}

// document is one of Perses.
type document struct {
	Kind     string   `json:"kind"`
	Metadata metadata `json:"metadata"`
	Spec     any      `json:"spec"`
}

// projectSpec is a project's: it is called what its namespace is called.
type projectSpec struct {
	Display struct {
		Name string `json:"name"`
	} `json:"display"`
}

func projectDocument(p *Project, metadataOnly bool) document {
	d := document{Kind: "Project", Metadata: metadata{Name: p.Name, CreatedAt: p.Created, UpdatedAt: p.Created}, Spec: struct{}{}}
	if !metadataOnly {
		spec := projectSpec{}
		spec.Display.Name = p.Name
		d.Spec = spec
	}
	return d
}

func (a *API) projects(ctx context.Context, v *visit) (*gateway.Reply, error) {
	projects, err := v.objects.Projects(ctx, v.viewer)
	if err != nil {
		return nil, err
	}
	q := newListQuery(v.Request)
	all := []document{}
	for _, p := range projects {
		if strings.HasPrefix(p.Name, q.prefix) {
			all = append(all, projectDocument(&p, q.metadataOnly))
		}
	}
	return answer(all)
}

func (a *API) project(ctx context.Context, v *visit) (*gateway.Reply, error) {
	p, err := v.sees(ctx, v.project())
	if err != nil {
		return nil, err
	}
	return answer(projectDocument(p, false))
}

// listQuery is what of a list is asked for. Parameters that nobody knows have no
// effect.
type listQuery struct {
	prefix       string
	project      string
	metadataOnly bool
	plugin       string
	standard     *bool
}

func newListQuery(r *http.Request) listQuery {
	values := r.URL.Query()
	q := listQuery{prefix: values.Get("name"), project: values.Get("project"), plugin: values.Get("kind")}
	q.metadataOnly, _ = strconv.ParseBool(values.Get("metadata_only"))
	if standard, err := strconv.ParseBool(values.Get("default")); err == nil {
		q.standard = &standard
	}
	return q
}

// all lists a kind over all projects, or the one of the parameter.
func (a *API) all(k *Kind) handler {
	return func(ctx context.Context, v *visit) (*gateway.Reply, error) {
		q := newListQuery(v.Request)
		if k.Global {
			q.project = ""
		}
		return a.list(ctx, v, k, q.project, q)
	}
}

// inProject lists a kind in the project of the path, which no parameter changes.
func (a *API) inProject(k *Kind) handler {
	return func(ctx context.Context, v *visit) (*gateway.Reply, error) {
		return a.list(ctx, v, k, v.project(), newListQuery(v.Request))
	}
}

func (a *API) list(ctx context.Context, v *visit, k *Kind, project string, q listQuery) (*gateway.Reply, error) {
	if project != "" && !routing.IsLabel(project) {
		return verified(fixed(empty))(ctx, v)
	}
	listing, err := v.list(ctx, k, project)
	if err != nil {
		return nil, err
	}
	body, err := a.write(ctx, v, listing.Objects, q)
	if err != nil {
		return nil, err
	}
	return written(body)
}

func (a *API) item(k *Kind) handler {
	return func(ctx context.Context, v *visit) (*gateway.Reply, error) {
		o, err := v.get(ctx, k, v.project(), v.Names["name"])
		if err != nil {
			return nil, err
		}
		body, err := a.write(ctx, v, []*Object{o}, listQuery{})
		if err != nil {
			return nil, err
		}
		if body = body[1 : len(body)-1]; len(body) == 0 { // a hidden data source
			return nil, ErrNotFound
		}
		return written(body)
	}
}

// choose leads a question to the environment of a data source, if the caller may
// query it: what is hidden is not there.
func (a *API) choose(from func(context.Context, *visit) (*Object, *source, error)) func(context.Context, *gateway.Call) (*routing.Environment, error) {
	return func(ctx context.Context, c *gateway.Call) (*routing.Environment, error) {
		v, err := a.visitor(c)
		if err != nil {
			return nil, err
		}
		o, found, err := from(ctx, v)
		if err != nil {
			return nil, answerError(err)
		}
		s := a.newSources()
		s.add(o, &shape{source: found})
		if err := s.decide(ctx, v.viewer); err != nil {
			return nil, answerError(err)
		}
		if e := s.environment(found); e != nil {
			return e, nil
		}
		return nil, errNoDocument
	}
}

func (a *API) fromObject(k *Kind) func(context.Context, *visit) (*Object, *source, error) {
	return func(ctx context.Context, v *visit) (*Object, *source, error) {
		o, err := v.get(ctx, k, v.project(), v.Names["name"])
		if err != nil {
			return nil, nil, err
		}
		return o, a.shapes.shape(o, a.Live()).source, nil
	}
}

func fromDashboard(a *API) func(context.Context, *visit) (*Object, *source, error) {
	return func(ctx context.Context, v *visit) (*Object, *source, error) {
		name := v.Names["name"]
		if !isPersesName(name) {
			return nil, nil, ErrNotFound
		}
		o, err := v.get(ctx, Dashboards, v.project(), v.Names["dashboard"])
		if err != nil {
			return nil, nil, err
		}
		for _, l := range a.shapes.shape(o, a.Live()).local {
			if l.name == name {
				return o, l.source, nil
			}
		}
		return nil, nil, ErrNotFound
	}
}
