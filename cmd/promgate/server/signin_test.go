package server

import (
	"slices"
	"testing"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/cmd/promgate/config"
	"github.com/promgate/promgate/routing"
	"github.com/promgate/promgate/routing/file"
)

// TestMembers: somebody is a member by name or group, of the users file or of the
// provider and never of both, in every project of the name.
func TestMembers(t *testing.T) {
	cfg := &config.Config{}
	cfg.Projects = []file.Project{
		{Name: "shop", Members: []file.Member{{User: "anna", Role: "viewer"}, {Group: "keepers", Role: "maintainer"}}},
		{Name: "billing", Members: []file.Member{{User: "oidc:anna", Role: "maintainer"}, {Group: "oidc:team", Role: "viewer"}}},
		{Name: "gone", Members: []file.Member{{User: "anna", Role: "maintainer"}}},
		{Name: "none"},
	}
	environment := func(project, uid, name string) *routing.Environment {
		return &routing.Environment{Project: &routing.Project{Name: project, UID: uid}, Name: name, UID: uid + name, Target: &routing.Target{}}
	}
	routes := &routing.Current{}
	routes.Store(routing.NewTable([]*routing.Environment{
		environment("shop", "1", "a"), environment("shop", "1", "b"), environment("shop", "2", "c"),
		environment("billing", "3", "a"), environment("none", "4", "a"),
	}))
	in := &signIn{routes: routes}
	in.setProjects(cfg)
	grant := func(uid string, manage bool) auth.Grant {
		return auth.Grant{ProjectUID: uid, WholeProject: true, Manage: manage}
	}
	for _, c := range []struct {
		kind   auth.Kind
		name   string
		groups []string
		want   []auth.Grant
	}{
		{auth.KindLocal, "anna", nil, []auth.Grant{grant("1", false), grant("2", false)}},
		{auth.KindLocal, "anna", []string{"x", "keepers"}, []auth.Grant{grant("1", true), grant("2", true)}},
		{auth.KindLocal, "boris", []string{"keepers"}, []auth.Grant{grant("1", true), grant("2", true)}},
		{auth.KindLocal, "boris", []string{"team"}, nil},
		{auth.KindLocal, "oidc:anna", []string{"oidc:team"}, nil},
		{auth.KindLocal, "", []string{""}, nil},
		{auth.KindOIDC, "anna", []string{"keepers"}, []auth.Grant{grant("3", true)}},
		{auth.KindOIDC, "carla", []string{"team"}, []auth.Grant{grant("3", false)}},
		{auth.KindOIDC, "oidc:anna", nil, nil},
		{auth.KindOIDC, "", nil, nil},
	} {
		got := in.identity(c.kind, c.name, c.groups)
		if !slices.Equal(got.Grants, c.want) || got.Principal != (auth.Principal{Kind: c.kind, ID: c.name}) || got.Access != nil {
			t.Errorf("%s:%s of %v: got %+v", c.kind, c.name, c.groups, got)
		}
	}
}

// TestAudience: people are told to make a token that one of the clusters accepts.
func TestAudience(t *testing.T) {
	dedicated := func(audiences ...string) file.Cluster {
		return file.Cluster{Credentials: "dedicated", Audiences: audiences}
	}
	for _, c := range []struct {
		clusters []file.Cluster
		want     string
	}{
		{[]file.Cluster{dedicated(), dedicated("promgate", "other"), dedicated("third")}, "promgate"},
		{[]file.Cluster{dedicated("promgate"), {Credentials: "user"}}, ""},
		{nil, ""},
	} {
		cfg := &config.Config{}
		cfg.Clusters = c.clusters
		if got := audienceOf(cfg); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
