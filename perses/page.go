package perses

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/promgate/promgate/gateway"
	"github.com/promgate/promgate/routing"
)

// Operations are those of the gateway's own API, which its page uses.
func (a *API) Operations() []gateway.Operation {
	const path = "projects/{project}/dashboards"
	return []gateway.Operation{
		a.operation("dashboards", http.MethodGet, path, a.pageList),
		a.operation("dashboard", http.MethodGet, path+"/{dashboard}", a.pageItem),
	}
}

// dashboardList is what a project has.
type dashboardList struct {
	Project    string          `json:"project"`
	Dashboards []dashboardItem `json:"dashboards"`
	Folders    []folder        `json:"folders"`
	Problems   []problem       `json:"problems"`
	// Live tells that it is worth to ask again soon.
	Live bool `json:"live"`
}

type dashboardItem struct {
	Name        string    `json:"name"`
	Title       string    `json:"title"`
	Description string    `json:"description,omitempty"`
	Tags        []string  `json:"tags"`
	UpdatedAt   time.Time `json:"updatedAt"`
}

// dashboardDetail is one dashboard with all that it takes to show it.
type dashboardDetail struct {
	Dashboard   json.RawMessage `json:"dashboard"`
	Datasources json.RawMessage `json:"datasources"`
	Hidden      []hiddenItem    `json:"hidden"`
	Source      sourceItem      `json:"source"`
	Live        bool            `json:"live"`
}

// hiddenItem is a data source that the viewer cannot use.
type hiddenItem struct {
	Scope  string `json:"scope"`
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// sourceItem tells where the dashboard is written down.
type sourceItem struct {
	Cluster   string `json:"cluster"`
	Namespace string `json:"namespace"`
	Kubectl   string `json:"kubectl"`
}

// Scopes of data sources.
const (
	scopeDashboard = "dashboard"
	scopeProject   = "project"
	scopeGlobal    = "global"
)

func (a *API) pageList(ctx context.Context, v *visit) (*gateway.Reply, error) {
	project := v.project()
	if _, err := v.sees(ctx, project); err != nil {
		return nil, notYours(err)
	}
	list := dashboardList{Project: project, Dashboards: []dashboardItem{}, Folders: []folder{}, Problems: []problem{}, Live: a.Live()}
	dashboards, err := v.list(ctx, Dashboards, project)
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, o := range dashboards.Objects {
		known[o.Name] = true
		list.Dashboards = append(list.Dashboards, dashboardItem{
			Name: o.Name, Title: titleOf(o), Description: o.Description, Tags: append([]string{}, o.Tags...), UpdatedAt: o.Updated,
		})
		if p, found := layoutProblem(o); found {
			list.Problems = append(list.Problems, p)
		}
	}
	folders, err := v.list(ctx, Folders, project)
	if err != nil {
		return nil, err
	}
	for _, o := range folders.Objects {
		f, problems := newFolder(o, known)
		list.Folders = append(list.Folders, f)
		list.Problems = append(list.Problems, problems...)
	}
	datasources, err := v.list(ctx, Datasources, project)
	if err != nil {
		return nil, err
	}
	for _, s := range slices.Concat(dashboards.Skipped, folders.Skipped, datasources.Skipped) {
		list.Problems = append(list.Problems, problem{s.Kind.Object, s.Name, s.Reason})
	}
	return tagged(v.Request, mustJSON(list))
}

func (a *API) pageItem(ctx context.Context, v *visit) (*gateway.Reply, error) {
	project, name := v.project(), v.Names["dashboard"]
	o, err := v.get(ctx, Dashboards, project, name)
	if err != nil {
		return nil, notYours(err)
	}
	own, err := v.list(ctx, Datasources, project)
	if err != nil {
		return nil, err
	}
	global, err := v.list(ctx, GlobalDatasources, "")
	if err != nil {
		return nil, err
	}
	all := slices.Concat(own.Objects, global.Objects)
	dashboard, hidden, err := a.detail(ctx, v, []*Object{o})
	if err != nil {
		return nil, err
	}
	datasources, more, err := a.detail(ctx, v, all)
	if err != nil {
		return nil, err
	}
	body := dashboardDetail{
		Dashboard: dashboard[1 : len(dashboard)-1], Datasources: datasources, Hidden: append(hidden, more...), Live: a.Live(),
		Source: sourceItem{a.Cluster, project, "kubectl get persesdashboards.perses.dev " + name + " -n " + project + " -o yaml"},
	}
	return tagged(v.Request, mustJSON(body))
}

// detail writes objects as lists do, and tells which data sources are hidden.
func (a *API) detail(ctx context.Context, v *visit, all []*Object) ([]byte, []hiddenItem, error) {
	hidden := []hiddenItem{}
	body, s, err := a.writeAll(ctx, v, all, listQuery{})
	if err != nil {
		return nil, nil, err
	}
	for _, c := range s.of {
		scope := scopeProject
		if c.Kind.Global {
			scope = scopeGlobal
		}
		if c.source != nil && s.environment(c.source) == nil {
			hidden = append(hidden, hiddenItem{scope, c.Name, sentences[why(c.source)]})
		}
		for _, l := range c.local {
			if s.environment(l.source) == nil {
				hidden = append(hidden, hiddenItem{scopeDashboard, clipped(l.name), sentences[why(l.source)]})
			}
		}
	}
	return body, hidden, nil
}

// notYours tells of what is not there in the words of the gateway's own API.
func notYours(err error) error {
	if errors.Is(err, ErrNotFound) {
		return errNotYourDashboard
	}
	return err
}

// tagged answers with an entity tag, and without the body to whoever has it.
func tagged(r *http.Request, body []byte) (*gateway.Reply, error) {
	sum := sha256.Sum256(body)
	tag := `"` + hex.EncodeToString(sum[:16]) + `"`
	reply, _ := written(body)
	reply.Header = http.Header{"Etag": {tag}}
	for _, known := range r.Header["If-None-Match"] {
		for one := range strings.SplitSeq(known, ",") {
			if one = strings.TrimPrefix(strings.TrimSpace(one), "W/"); one == tag || one == "*" {
				reply.Status, reply.Body = http.StatusNotModified, nil
			}
		}
	}
	return reply, nil
}

// clipped bounds what is repeated of somebody's text.
func clipped(text string) string { return routing.Clip(text) }
