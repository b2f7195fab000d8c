// Package auth holds the words for who calls and what they may do. It knows no
// kind of credential itself: each kind is an Authenticator in its own package.
package auth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
)

// Errors that an Authenticator returns, wrapped around the cause. The caller of
// the gateway learns which of the three it is, the log learns the cause.
var (
	// ErrMissing means that the request carries no credential at all.
	ErrMissing = errors.New("no credential")
	// ErrInvalid means that the credential is not good: malformed, unknown,
	// expired, revoked or made for somebody else.
	ErrInvalid = errors.New("invalid credential")
	// ErrUnavailable means that nobody can vouch for the credential right now;
	// the request is refused, but not for a fault of its own.
	ErrUnavailable = errors.New("credential cannot be checked")
	// ErrForbidden means that the credential is good, but does not open what
	// was asked for.
	ErrForbidden = errors.New("not allowed")
)

// Kind tells what sort of caller a Principal is.
type Kind string

// The kinds of principals.
const (
	KindEndpointToken Kind = "endpoint_token"
	// KindKubernetes is whoever a Kubernetes API server says it is. Its ID is
	// the user name, or a part of the token's hash while nobody has told that.
	KindKubernetes Kind = "kubernetes"
	// KindLocal is a user of the users file who has signed in. Its ID is the name.
	KindLocal Kind = "local"
	// KindOIDC is a user of the OpenID provider who has signed in. Its ID is the
	// name that a claim gives.
	KindOIDC Kind = "oidc"
)

// Principal is who calls. It is safe to log: it holds ids, never a credential.
type Principal struct {
	Kind Kind
	// ID is unique within its kind, such as a token's id.
	ID string
}

// LogValue writes the principal as kind and id.
func (p Principal) LogValue() slog.Value {
	return slog.StringValue(string(p.Kind) + ":" + p.ID)
}

// Grant is one thing that a principal may do: query the environments of a
// project. It names UIDs, so that a project or environment that is deleted and
// made again inherits nothing. The zero Grant grants nothing.
type Grant struct {
	// ProjectUID is the project; empty matches no project.
	ProjectUID string
	// EnvironmentUID is the environment; empty matches none.
	EnvironmentUID string
	// WholeProject extends the grant to every environment of the project,
	// also to those that come later. EnvironmentUID is then ignored.
	WholeProject bool
	// Manage extends the grant to the project's endpoint tokens: to see, make,
	// rotate and revoke them. It counts with WholeProject alone.
	Manage bool
}

// Allows tells whether the grant covers that environment of that project.
func (g Grant) Allows(projectUID, environmentUID string) bool {
	if g.ProjectUID == "" || g.ProjectUID != projectUID {
		return false
	}
	return g.WholeProject || (g.EnvironmentUID != "" && g.EnvironmentUID == environmentUID)
}

// Identity is an authenticated principal with its grants. It is immutable: one
// Identity may serve many requests at once.
type Identity struct {
	Principal Principal
	Grants    []Grant
	// Access decides in place of grants, for a principal whose rights are kept
	// elsewhere; nil: the grants decide.
	Access Access
}

// Resource is an environment's Prometheus as Kubernetes' RBAC knows it: the
// subresource proxy of a Service. The zero Resource is anything else.
type Resource struct {
	// Cluster is a name of the configuration file.
	Cluster   string
	Namespace string
	// Name is the literal name that RBAC compares: scheme:service:port.
	Name string
	// AsCaller tells that the question will be asked with the caller's own
	// credential. It decides how the caller is reviewed, so that no question goes
	// out with the gateway's credentials because somebody else was to decide.
	AsCaller bool
}

// Access decides what one principal may query, and may do I/O for it. Errors
// wrap ErrInvalid, ErrUnavailable or ErrForbidden.
type Access interface {
	// Query returns nil where the principal may query the resource, or where
	// that is decided by whoever is asked with its own credential. Nobody may
	// query the zero Resource: then the error is ErrForbidden for a credential
	// that is good anywhere. The Principal is what is known of it by now, also
	// beside an error.
	Query(context.Context, Resource) (Principal, error)
	// Queryable tells of each resource whether the principal may query it.
	Queryable(context.Context, []Resource) ([]bool, error)
	// May tells of each action whether the principal may do it. An action on no
	// cluster that decides is not allowed; the error is ErrInvalid where no
	// cluster accepts the credential, also for an empty list.
	May(context.Context, []Action) ([]bool, error)
}

// Action is what RBAC decides on beside queries, and always by a review: what
// follows from it is done with the gateway's own credentials.
type Action struct {
	// Cluster is a name of the configuration file.
	Cluster string
	// Verb is RBAC's: get, list, create.
	Verb string
	// Group and Resource are the objects' kind: promgate.io, endpointtokens.
	Group, Resource string
	// Namespace is where the objects are. Empty: the whole cluster.
	Namespace string
	// Name is that of one object. Empty: any.
	Name string
}

// MayQuery tells whether any grant covers that environment of that project. A
// nil Identity may nothing.
func (i *Identity) MayQuery(projectUID, environmentUID string) bool {
	if i == nil {
		return false
	}
	for _, g := range i.Grants {
		if g.Allows(projectUID, environmentUID) {
			return true
		}
	}
	return false
}

// MayManage tells whether any grant covers the endpoint tokens of the project. A
// nil Identity may nothing.
func (i *Identity) MayManage(projectUID string) bool {
	if i == nil || projectUID == "" {
		return false
	}
	for _, g := range i.Grants {
		if g.Manage && g.WholeProject && g.ProjectUID == projectUID {
			return true
		}
	}
	return false
}

// Browser vouches for requests of the page that somebody has signed in to. It
// is asked where a request has no Authorization header, and only there.
type Browser interface {
	// Authenticate returns who is signed in, and the credential that goes
	// upstream where callers' own do; it is empty for whoever has none. The
	// error wraps ErrMissing where the request carries no session or does not
	// come from where the surface wants it to, ErrInvalid or ErrUnavailable.
	Authenticate(context.Context, *http.Request, Surface) (*Identity, Credential, error)
}

// Surface is what part of the gateway a browser's request is for.
type Surface int

const (
	// OwnPage takes requests of the gateway's own page alone.
	OwnPage Surface = iota
	// SameOrigin takes requests of every script of the gateway's own origin, such
	// as another page that is served beside it. It is for what only reads.
	SameOrigin
)

// Authenticator vouches for one kind of credential. What it returns may leave
// the vouching to the Identity's Access, which knows what is asked for.
type Authenticator interface {
	// Recognizes tells, from the credential's own marker alone and without any
	// check, whether it is of this kind.
	Recognizes(Credential) bool
	// Authenticate checks a credential of this kind. It returns an error that
	// wraps ErrInvalid or ErrUnavailable.
	Authenticate(context.Context, Credential) (*Identity, error)
}
