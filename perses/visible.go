package perses

import (
	"context"
	"fmt"
	"slices"

	"github.com/promgate/promgate/auth"
)

// person is who looks at what the gateway has read with its own credentials. One
// of three decides what they are shown: everyone, access, or granted.
type person struct {
	d *DedicatedObjects
	// everyone tells that they are shown all projects.
	everyone bool
	// access is RBAC's word; nil: granted decides.
	access auth.Access
	// granted are the UIDs of the projects of which they have the whole.
	granted map[string]bool
}

// person tells who looks. Whether their credential is good comes out with the
// first question about them, at the latest with verify.
func (d *DedicatedObjects) person(ctx context.Context, v Viewer) (*person, error) {
	id, err := personOf(v)
	if err != nil {
		return nil, err
	}
	p := &person{d: d, everyone: d.options.Visibility == VisibilityEverySignedInUser}
	switch id.Principal.Kind {
	case auth.KindKubernetes:
		if p.access = id.Access; p.access == nil {
			return nil, fmt.Errorf("%w: nobody vouches for the Kubernetes token", auth.ErrForbidden)
		}
		if p.everyone { // nothing else is asked
			return p, p.verify(ctx)
		}
		return p, nil
	case auth.KindLocal, auth.KindOIDC:
		p.granted = map[string]bool{}
		for _, g := range id.Grants {
			if g.WholeProject && g.ProjectUID != "" {
				p.granted[g.ProjectUID] = true
			}
		}
		return p, nil
	}
	return nil, fmt.Errorf("%w: %s opens no dashboards", auth.ErrForbidden, id.Principal.Kind)
}

// verify fails where the credential is not good.
func (p *person) verify(ctx context.Context) error {
	if p.access == nil {
		return nil
	}
	_, err := p.access.May(ctx, nil)
	return err
}

// isMember tells whether a grant covers the project that the namespace is.
func (p *person) isMember(namespace string) bool {
	return p.d.options.Projects != nil && slices.ContainsFunc(p.d.options.Projects(namespace), func(uid string) bool { return p.granted[uid] })
}

func (p *person) memberOf(scope []string) []string {
	if len(p.granted) == 0 {
		return nil
	}
	var all []string
	for _, namespace := range scope {
		if p.isMember(namespace) {
			all = append(all, namespace)
		}
	}
	return all
}

// action is what RBAC is asked for.
func (p *person) action(verb string, k *Kind, namespace, name string) auth.Action {
	return auth.Action{Cluster: p.d.options.Cluster.Name(), Verb: verb, Group: k.Group, Resource: k.Resource, Namespace: namespace, Name: name}
}

// projects are the namespaces of a scope of which they see anything.
func (p *person) projects(ctx context.Context, scope []string) ([]string, error) {
	switch {
	case p.everyone:
		return scope, nil
	case p.access == nil:
		return p.memberOf(scope), nil
	}
	kinds := []*Kind{Dashboards, Folders, Datasources}
	var whole []auth.Action
	for _, k := range kinds {
		whole = append(whole, p.action("list", k, "", ""))
	}
	may, err := p.access.May(ctx, whole)
	if err != nil || slices.Contains(may, true) {
		return scope, err
	}
	visible, rest := make([]string, 0, len(scope)), scope
	for _, k := range kinds {
		listed, err := p.allowed(ctx, k, rest)
		if err != nil {
			return nil, err
		}
		visible = append(visible, listed...)
		rest = slices.DeleteFunc(slices.Clone(rest), func(namespace string) bool {
			_, found := slices.BinarySearch(listed, namespace)
			return found
		})
	}
	slices.Sort(visible)
	return visible, nil
}

// lists are those of the namespaces in which they may list the kind.
func (p *person) lists(ctx context.Context, k *Kind, namespaces []string) ([]string, error) {
	switch {
	case p.everyone:
		return namespaces, nil
	case p.access == nil:
		return p.memberOf(namespaces), nil
	}
	if len(namespaces) > 1 { // one question in place of many
		may, err := p.access.May(ctx, []auth.Action{p.action("list", k, "", "")})
		if err != nil || may[0] {
			return namespaces, err
		}
	}
	return p.allowed(ctx, k, namespaces)
}

// allowed asks RBAC about each of the namespaces, of which there may be none.
func (p *person) allowed(ctx context.Context, k *Kind, namespaces []string) ([]string, error) {
	actions := make([]auth.Action, len(namespaces))
	for i, namespace := range namespaces {
		actions[i] = p.action("list", k, namespace, "")
	}
	may, err := p.access.May(ctx, actions)
	if err != nil {
		return nil, err
	}
	var all []string
	for i, namespace := range namespaces {
		if may[i] {
			all = append(all, namespace)
		}
	}
	return all, nil
}

// gets tells whether they may read one object. RBAC is asked alike whether there
// is one of that name or not.
func (p *person) gets(ctx context.Context, k *Kind, namespace, name string) (bool, error) {
	switch {
	case p.everyone:
		return true, nil
	case p.access == nil:
		return p.isMember(namespace), nil
	}
	for _, action := range []auth.Action{p.action("get", k, namespace, ""), p.action("get", k, namespace, name)} {
		may, err := p.access.May(ctx, []auth.Action{action})
		if err != nil || may[0] {
			return err == nil, err
		}
	}
	return false, nil
}

// global tells whether they may list a kind that is in no namespace, or with a
// name read one of it. Without RBAC that is whoever sees any project.
func (p *person) global(ctx context.Context, k *Kind, name string) (bool, error) {
	switch {
	case p.everyone:
		return true, nil
	case p.access == nil:
		return len(p.memberOf(scopeOf(p.d.options.Scope))) > 0, nil
	case name != "":
		return p.gets(ctx, k, "", name)
	}
	may, err := p.access.May(ctx, []auth.Action{p.action("list", k, "", "")})
	return err == nil && may[0], err
}
