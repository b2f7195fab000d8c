// Package perses serves Perses' API, read-only, over Kubernetes objects: a
// project is a namespace, and its dashboards, folders and data sources are
// objects in it. Queries that dashboards ask run through the gateway, as the
// person who looks at them.
package perses

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/routing"
)

// ErrNotFound is returned for what does not exist, and alike for what the viewer
// may not see.
var ErrNotFound = errors.New("document not found")

// Kind is a kind of objects that Perses knows.
type Kind struct {
	// Name is Perses' own: Dashboard.
	Name string
	// Object is the kind of the Kubernetes object: PersesDashboard.
	Object string
	// Group, Version and Resource are Kubernetes': perses.dev, v1alpha2,
	// persesdashboards. No other version is read.
	Group, Version, Resource string
	// Global tells that the objects are in no namespace.
	Global bool
}

// The kinds that are read. The first three are perses-operator's, the last is
// ours.
var (
	Dashboards        = &Kind{Name: "Dashboard", Object: "PersesDashboard", Group: "perses.dev", Version: "v1alpha2", Resource: "persesdashboards"}
	Datasources       = &Kind{Name: "Datasource", Object: "PersesDatasource", Group: "perses.dev", Version: "v1alpha2", Resource: "persesdatasources"}
	GlobalDatasources = &Kind{Name: "GlobalDatasource", Object: "PersesGlobalDatasource", Group: "perses.dev", Version: "v1alpha2", Resource: "persesglobaldatasources", Global: true}
	Folders           = &Kind{Name: "Folder", Object: "PersesFolder", Group: "promgate.io", Version: "v1alpha1", Resource: "persesfolders"}
)

// Object is one object as Perses sees it. It is immutable.
type Object struct {
	Kind *Kind
	// Namespace is the project; empty for a global kind.
	Namespace string
	Name      string
	// Revision changes with every change of the object; it is Kubernetes'
	// resource version.
	Revision string
	// Created and Updated are when the object was made and when its spec or
	// metadata were written last, in UTC.
	Created, Updated time.Time
	// Version counts the changes of the spec; it is Kubernetes' generation.
	Version uint64
	// Tags are those of the annotation perses.dev/tags.
	Tags []string
	// Environment is the annotation promgate.io/environment; empty: there is none.
	Environment string
	// Title and Description are spec.display's; both may be empty.
	Title, Description string
	// Spec is Perses' spec, as the object has it: untrusted, but one JSON object.
	Spec json.RawMessage
}

// Skipped is an object that cannot be shown, with the reason for its owner.
type Skipped struct {
	Kind            *Kind
	Namespace, Name string
	Reason          string
}

// Listing is what a list holds.
type Listing struct {
	// Objects are sorted by namespace and name. Nobody changes them.
	Objects []*Object
	// Skipped are what else there is, sorted alike.
	Skipped []Skipped
}

// Project is a namespace that somebody may see.
type Project struct {
	Name string
	// Created is zero where it is not known.
	Created time.Time
}

// Viewer is who looks.
type Viewer struct {
	Identity *auth.Identity
	// Credential is the person's own Kubernetes token where the Principal is of
	// that kind. It is never used for anybody else.
	Credential auth.Credential
}

// Objects reads objects for a viewer, who is shown what they may see and cannot
// tell the rest from what does not exist. Errors wrap auth.ErrInvalid for a
// credential that is not good, auth.ErrForbidden for one that is but opens no
// dashboards at all (such as an endpoint token), auth.ErrUnavailable where
// nobody can tell now: a failure is never an empty list.
type Objects interface {
	// Verify tells only whether the viewer may look at all.
	Verify(context.Context, Viewer) error
	// Projects are those of which the viewer may see anything, by name.
	Projects(context.Context, Viewer) ([]Project, error)
	// List lists a kind in a namespace, or with an empty one in all that the
	// viewer may see. Where the kind is not installed, or the viewer may not list
	// it, the list is empty.
	List(ctx context.Context, v Viewer, k *Kind, namespace string) (*Listing, error)
	// Get reads one object. The error may also be ErrNotFound. namespace is empty
	// for a global kind. Names that no object can have ask nobody.
	Get(ctx context.Context, v Viewer, k *Kind, namespace, name string) (*Object, error)
}

// Gateway is what the API needs of the gateway that serves it.
type Gateway interface {
	Table() *routing.Table
	BaseURL() string
	EnvironmentURL(*routing.Environment) string
}
