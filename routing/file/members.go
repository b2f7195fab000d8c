package file

import (
	"cmp"
	"slices"
	"strings"
)

// OIDCPrefix begins the names of users and groups of an OpenID provider, so that
// nobody there can be called as somebody of the users file.
const OIDCPrefix = "oidc:"

// Member is somebody of a project: a user, or everybody of a group.
type Member struct {
	User  string `yaml:"user,omitempty" doc:"A user: a name of the users file, or with oidc: before it one of the OpenID provider."`
	Group string `yaml:"group,omitempty" doc:"A group, in place of user: of the users file, or with oidc: before it one of the OpenID provider."`
	Role  string `yaml:"role" enum:"viewer,maintainer" default:"viewer" doc:"Viewers query all environments of the project; maintainers also manage its endpoint tokens."`
}

// Maintainer tells whether the member manages the project's tokens.
func (m Member) Maintainer() bool { return m.Role == "maintainer" }

// Is tells whether somebody is the member: a user, with their groups, of the
// OpenID provider or else of the users file.
func (m Member) Is(oidc bool, user string, groups []string) bool {
	name, wantsOIDC := strings.CutPrefix(cmp.Or(m.User, m.Group), OIDCPrefix)
	switch {
	case name == "" || wantsOIDC != oidc:
		return false
	case m.User != "":
		return name == user
	}
	return slices.Contains(groups, name)
}

func (p *Project) validateMembers(at Path, report Report) {
	type key struct{ user, group string }
	seen := map[key]Path{}
	for i, m := range p.Members {
		at := at.With(i)
		switch k := (key{m.User, m.Group}); {
		case m.User == "" && m.Group == "":
			report(at, "a member needs a user or a group; write one")
		case m.User != "" && m.Group != "":
			report(at, "a member is a user or a group; write two members for both")
		case strings.TrimSpace(m.User+m.Group) != m.User+m.Group || strings.TrimPrefix(m.User+m.Group, OIDCPrefix) == "":
			report(at, "the name is empty or has spaces at an end; write it as the users file or the provider has it")
		case seen[k] != nil:
			report(at, "this member is written twice, also in %v; keep one", seen[k])
		default:
			seen[k] = at
		}
	}
}
