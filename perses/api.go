package perses

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/gateway"
	"github.com/promgate/promgate/routing"
)

// Options are what an API is made of. Path, Cluster, Objects and Gateway are
// required.
type Options struct {
	// Path is where Perses' API stands below the gateway's URL, such as /perses.
	Path string
	// Cluster is the name of the cluster that has the dashboards.
	Cluster string
	// Objects is asked at every request: what reads may have been replaced.
	Objects func() Objects
	Gateway Gateway
	// WhoIs tells the viewer's name. Errors are as those of Objects. Nil: the name
	// is the Principal's ID.
	WhoIs func(context.Context, Viewer) (string, error)
	// Live tells whether a change is in the next answer without anybody being
	// asked, so that one may ask often. Nil: it is not.
	Live func() bool
	// Version is the program's own.
	Version string
	Logger  *slog.Logger
	// OnHidden is told of each data source that is hidden, once for each change of
	// it: the kind of the object that has it, and the reason in one word. Nil:
	// nobody wants to know.
	OnHidden func(kind, reason string)
}

// API serves Perses' REST API, as far as it reads, and what the gateway's own
// page needs to show dashboards.
type API struct {
	Options
	shapes shapes
	hidden hiddenLog
	index  atomic.Pointer[environmentIndex]
}

// New makes an API.
func New(o Options) *API {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Live == nil {
		o.Live = func() bool { return false }
	}
	if o.OnHidden == nil {
		o.OnHidden = func(string, string) {}
	}
	if o.WhoIs == nil {
		o.WhoIs = func(_ context.Context, v Viewer) (string, error) { return v.Identity.Principal.ID, nil }
	}
	return &API{Options: o}
}

// visit is one request of a viewer.
type visit struct {
	*gateway.Call
	viewer  Viewer
	objects Objects
}

func (v *visit) project() string { return v.Names["project"] }

func (v *visit) list(ctx context.Context, k *Kind, namespace string) (*Listing, error) {
	return v.objects.List(ctx, v.viewer, k, namespace)
}

func (v *visit) get(ctx context.Context, k *Kind, namespace, name string) (*Object, error) {
	if !canBeObject(name) || !k.Global && !routing.IsLabel(namespace) {
		return nil, ErrNotFound
	}
	return v.objects.Get(ctx, v.viewer, k, namespace, name)
}

// sees tells whether the viewer may see anything of a project.
func (v *visit) sees(ctx context.Context, project string) (*Project, error) {
	if !routing.IsLabel(project) {
		return nil, ErrNotFound
	}
	all, err := v.objects.Projects(ctx, v.viewer)
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		if p.Name == project {
			return &p, nil
		}
	}
	return nil, ErrNotFound
}

// visitor is who calls. No endpoint token gets any further.
func (a *API) visitor(c *gateway.Call) (*visit, error) {
	v := &visit{Call: c, viewer: Viewer{Identity: c.Identity}, objects: a.Objects()}
	switch c.Identity.Principal.Kind {
	case auth.KindEndpointToken:
		return nil, errMetricsAlone
	case auth.KindKubernetes:
		v.viewer.Credential = c.Credential
	}
	return v, nil
}

// handler answers a viewer.
type handler func(context.Context, *visit) (*gateway.Reply, error)

// operation makes one of a handler.
func (a *API) operation(name, method, path string, do handler) gateway.Operation {
	return gateway.Operation{Name: name, Method: method, Path: path, Do: func(ctx context.Context, c *gateway.Call) (*gateway.Reply, error) {
		v, err := a.visitor(c)
		if err != nil {
			return nil, err
		}
		if project, named := c.Names["project"]; named && !routing.IsLabel(project) {
			return nil, errNoDocument
		}
		reply, err := do(ctx, v)
		return reply, answerError(err)
	}}
}

// public makes an operation that needs no credential. One that is sent has to be
// good all the same, so that clients who try theirs here learn the truth.
func (a *API) public(name, method, path string, do func() (*gateway.Reply, error)) gateway.Operation {
	return gateway.Operation{Name: name, Method: method, Path: path, Public: true, Do: func(ctx context.Context, c *gateway.Call) (*gateway.Reply, error) {
		if c.Identity == nil {
			return do()
		}
		v, err := a.visitor(c)
		if err == nil {
			err = v.objects.Verify(ctx, v.viewer)
		}
		if err != nil {
			return nil, answerError(err)
		}
		return do()
	}}
}

// verified answers whoever may look at all.
func verified(do handler) handler {
	return func(ctx context.Context, v *visit) (*gateway.Reply, error) {
		if err := v.objects.Verify(ctx, v.viewer); err != nil {
			return nil, err
		}
		return do(ctx, v)
	}
}

func answer(body any) (*gateway.Reply, error) { return &gateway.Reply{Body: body}, nil }

// written answers with what is JSON already, which is not looked at again.
func written(body []byte) (*gateway.Reply, error) {
	return answer(gateway.Text{Type: "application/json", Content: body})
}

// fixed answers always the same.
func fixed(body string) handler {
	return func(context.Context, *visit) (*gateway.Reply, error) { return written([]byte(body)) }
}

// isPersesName tells whether Perses takes the name of what is no object of
// Kubernetes, such as a dashboard's own data source.
func isPersesName(name string) bool {
	return name != "" && len(name) <= maxObjectName && persesName(name) == name
}

// persesName makes a name that Perses' clients take, and that stands in a path as
// it is: whatever else a Kubernetes user's name has becomes a hyphen.
func persesName(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '_', r == '.', r == '-':
			return r
		}
		return '-'
	}, name)
	return name[:min(len(name), maxObjectName)]
}

// mustJSON writes what always makes JSON.
func mustJSON(body any) []byte {
	b, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return b
}
