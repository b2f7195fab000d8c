package kube

import (
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/tokens"
)

// endpointTokens are the objects, deploy/kubernetes/crd/endpointtokens.yaml
// their schema.
var endpointTokens = schema.GroupVersionResource{Group: "promgate.io", Version: "v1alpha1", Resource: "endpointtokens"}

// object is an EndpointToken (promgate.io/v1alpha1).
type object struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              spec   `json:"spec"`
	Status            status `json:"status,omitzero"`

	// Cluster is where it was read; empty: where the gateway belongs to. It is no
	// field of the API's.
	Cluster string `json:"-"`
}

type spec struct {
	Environment string       `json:"environment,omitempty"`
	Description string       `json:"description,omitempty"`
	ExpiresAt   *metav1.Time `json:"expiresAt,omitempty"`
	SecretName  string       `json:"secretName,omitempty"`
}

type status struct {
	issued     `json:",inline"`
	ProjectUID string             `json:"projectUID,omitempty"`
	LastUsedAt *metav1.Time       `json:"lastUsedAt,omitempty"`
	Phase      phase              `json:"phase,omitempty"`
	Previous   *issued            `json:"previous,omitempty"`
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// issued is one token that was made for an object.
type issued struct {
	ID        string       `json:"id,omitempty"`
	KeyID     string       `json:"keyID,omitempty"`
	IssuedAt  *metav1.Time `json:"issuedAt,omitempty"`
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`
	// CreatedBy is who made it by a rotation; empty: nobody did, or the cluster
	// has the object's schema of an older program.
	CreatedBy string `json:"createdBy,omitempty"`
}

type phase string

const (
	phasePending phase = "Pending"
	phaseActive  phase = "Active"
	phaseExpired phase = "Expired"
)

// read makes an object of what the API server of a cluster sent.
func read(u *unstructured.Unstructured, cluster string) (*object, error) {
	o := &object{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, o); err != nil {
		return nil, err
	}
	o.Cluster = cluster
	return o, nil
}

// idPrefix begins the ids of all tokens of the object, and of no other: whoever
// may write a status cannot lend a token's id to another object, nor bring back
// that of an object that was deleted; and neither can whoever runs another
// cluster, where UIDs are what they want them to be.
func (o *object) idPrefix() string {
	prefix := strings.ReplaceAll(string(o.UID), "-", "") + "-"
	if o.Cluster != "" {
		prefix = o.Cluster + "." + prefix
	}
	return prefix
}

// nextID is the id of the next token of the object. The generation counts from 1.
func (o *object) nextID() string {
	generation, _ := strconv.Atoi(strings.TrimPrefix(o.Status.ID, o.idPrefix()))
	return o.idPrefix() + strconv.Itoa(generation+1)
}

// ownerPrefix is the idPrefix of the object that an id belongs to; empty: it is
// no such id.
func ownerPrefix(id string) string { return id[:strings.LastIndexByte(id, '-')+1] }

// tokens are those that the object vouches for: the newest first, and the one
// before it. Whatever is not whole, or not the object's own, is none.
func (o *object) tokens() []*issued {
	all := []*issued{&o.Status.issued}
	if o.Status.Previous != nil {
		all = append(all, o.Status.Previous)
	}
	return slices.DeleteFunc(all, func(t *issued) bool {
		return !strings.HasPrefix(t.ID, o.idPrefix()) || t.KeyID == "" || t.IssuedAt == nil || t.ExpiresAt == nil || o.Status.ProjectUID == ""
	})
}

// token is the one of the object's tokens that has the id, or nil.
func (o *object) token(id string) *issued {
	if id == "" || !strings.HasPrefix(id, o.idPrefix()) {
		return nil
	}
	for _, t := range o.tokens() {
		if t.ID == id {
			return t
		}
	}
	return nil
}

// end is when a token of the object ends: at its own end, or the object's.
func (o *object) end(t *issued) time.Time {
	if e := o.Spec.ExpiresAt; e != nil && e.Time.Before(t.ExpiresAt.Time) {
		return e.UTC()
	}
	return t.ExpiresAt.UTC()
}

// scope is what the object's tokens open.
func (o *object) scope() tokens.Scope {
	s := tokens.Scope{Cluster: o.Cluster, Project: o.Namespace, ProjectUID: o.Status.ProjectUID, Environment: o.Spec.Environment}
	if s.Environment != "" {
		s.EnvironmentUID = environmentUID(s.ProjectUID, s.Environment)
	}
	return s
}

// environmentUID is the identity of an environment of a namespace. It is the one
// that discovery gives to what it finds there.
func environmentUID(projectUID, environment string) string { return projectUID + "/" + environment }

// fileUID is the identity of a project or environment of the configuration
// file: a project of the file is the namespace of its name, and its tokens end
// with that namespace because they are objects in it.
func fileUID(name string) string { return "namespace/" + name }

// also is what the object's tokens open of the configuration file's projects.
func (o *object) also() auth.Grant {
	g := auth.Grant{ProjectUID: fileUID(o.Namespace)}
	if o.Spec.Environment == "" {
		g.WholeProject = true
	} else {
		g.EnvironmentUID = fileUID(o.Namespace + "/" + o.Spec.Environment)
	}
	return g
}

// createdByKey is the annotation of an object that the gateway created for
// somebody: who that is. Whoever may write the object may write it too, so that
// it decides on nothing.
const createdByKey = "promgate.io/created-by"

// createdBy is who made a token of the object: the first comes with the object,
// and a later one by a rotation, or by nobody where the gateway renews it.
func (o *object) createdBy(t *issued) string {
	by := t.CreatedBy
	if by == "" && t.ID == o.idPrefix()+"1" {
		by = o.Annotations[createdByKey]
	}
	return tokens.CleanCreatedBy(by) // others may have written anything
}

// record is what is known of one token of the object.
func (o *object) record(t *issued) tokens.Record {
	r := tokens.Record{
		ID: t.ID, KeyID: t.KeyID, Scope: o.scope(), Description: o.Spec.Description,
		CreatedBy: o.createdBy(t), CreatedAt: t.IssuedAt.UTC(), ExpiresAt: o.end(t),
	}
	if o.DeletionTimestamp != nil {
		r.RevokedAt = o.DeletionTimestamp.UTC()
	}
	if t.ID != o.Status.ID {
		r.ReplacedBy = o.Status.ID
	} else if o.Status.LastUsedAt != nil {
		r.LastUsedAt = o.Status.LastUsedAt.UTC()
	}
	return r
}
