package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/promgate/promgate/tokens"
)

const (
	// conflictTries is how often something is decided again because the object
	// was changed meanwhile.
	conflictTries = 5
	// undoTimeout bounds the deletion of an object that got no token.
	undoTimeout = 5 * time.Second
)

// minter makes tokens. What it needs of the store beside its clusters stands
// here as functions, so that it can be tried without watches.
type minter struct {
	s           *Store
	find        func(ctx context.Context, id string) (located, error)
	signingKeys func(context.Context) ([]tokens.Key, string, error)
	located     func() []located
}

func (s *Store) minter() *minter {
	return &minter{s: s, find: s.find, signingKeys: s.signingKeys, located: s.located}
}

// Create makes an EndpointToken in the namespace of the project, and its token.
func (s *Store) Create(ctx context.Context, d tokens.Draft) (tokens.Record, string, error) {
	return s.minter().create(ctx, d)
}

// Rotate makes the successor of an object's newest token, and lets that one end
// after the overlap, if that is earlier than its own end. One that is older and
// was still good ends at once. An object with secretName has the successor in its
// Secret, too.
func (s *Store) Rotate(ctx context.Context, id string, r tokens.Rotation) (next tokens.Record, token string, old tokens.Record, err error) {
	next, token, old, err = s.minter().rotate(ctx, id, r)
	if err != nil {
		return next, "", old, fmt.Errorf("rotate token %q: %w", id, err)
	}
	return next, token, old, nil
}

func (m *minter) create(ctx context.Context, d tokens.Draft) (tokens.Record, string, error) {
	l, at, err := m.createObject(ctx, d)
	if err != nil {
		return tokens.Record{}, "", err
	}
	next, token, err := m.first(ctx, l, at, wholeSeconds(d.Lifetime))
	if err != nil {
		return tokens.Record{}, "", m.undo(ctx, l, err)
	}
	return next.record(&next.Status.issued), token, nil
}

// createObject makes the object of a draft. It returns the moment that the
// token's lifetime counts from, too.
func (m *minter) createObject(ctx context.Context, d tokens.Draft) (l located, at time.Time, err error) {
	namespace, at := d.Scope.Project, m.moment()
	if d.Lifetime <= 0 {
		return l, at, errors.New("a token needs a lifetime of more than nothing")
	}
	c, err := m.s.cluster(d.Scope.Cluster)
	if err != nil {
		return l, at, err
	}
	if !m.s.follows(c, namespace) {
		return l, at, fmt.Errorf("the gateway looks for no tokens in namespace %s of cluster %s: add it to discovery.namespaces.names of the cluster", namespace, c.Name)
	}
	uid, err := namespaceUID(ctx, c, namespace)
	if err != nil {
		return l, at, err
	}
	if wanted := d.Scope.ProjectUID; wanted != "" && wanted != uid && !strings.HasPrefix(wanted, fileUID("")) {
		return l, at, fmt.Errorf("the namespace %s on cluster %s was deleted and made anew: it has the UID %s, and the token was to be for %s; look at the project again and repeat", namespace, c.Name, uid, wanted)
	}
	spec := map[string]any{"expiresAt": at.Add(wholeSeconds(d.Lifetime)).Format(time.RFC3339)}
	for field, value := range map[string]string{"environment": d.Scope.Environment, "description": d.Description} {
		if value != "" {
			spec[field] = value
		}
	}
	meta := map[string]any{"generateName": cmp.Or(d.Scope.Environment, namespace) + "-"}
	if by := tokens.CleanCreatedBy(d.CreatedBy); by != "" {
		meta["annotations"] = map[string]any{createdByKey: by}
	}
	created, err := objectsOf(c, namespace).Create(ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": endpointTokens.GroupVersion().String(), "kind": "EndpointToken", "metadata": meta, "spec": spec,
	}}, metav1.CreateOptions{FieldManager: fieldManager})
	if err != nil {
		return l, at, aboutObjects(err, c, namespace, "create an EndpointToken")
	}
	o, err := read(created, m.s.clusterName(c))
	return located{object: o, connection: c}, at, err
}

// first makes the first token of an object.
func (m *minter) first(ctx context.Context, l located, at time.Time, lifetime time.Duration) (next located, token string, err error) {
	for range conflictTries {
		next, token, err = m.issue(ctx, l, order{at: at, lifetime: lifetime})
		if !apierrors.IsConflict(err) {
			return next, token, err
		}
		if l, err = again(ctx, l); err != nil {
			return l, "", err
		}
		if newest(l.object) != nil {
			return l, "", errors.New("the EndpointToken has a token already that nobody was given; repeat")
		}
	}
	return l, "", errBusy
}

// undo deletes an object that got no token. The error is why it got none, and
// perhaps that the object is left.
func (m *minter) undo(ctx context.Context, l located, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	err := objectsOf(l.connection, l.Namespace).Delete(ctx, l.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &l.UID}})
	if err == nil || apierrors.IsNotFound(err) {
		return why
	}
	return fmt.Errorf("%w\nthe EndpointToken %s/%s on cluster %s was made for it and could not be deleted (%w): delete it", why, l.Namespace, l.Name, l.connection.Name, err)
}

func (m *minter) rotate(ctx context.Context, id string, r tokens.Rotation) (next tokens.Record, token string, old tokens.Record, err error) {
	for range conflictTries {
		var l located
		if l, err = m.find(ctx, id); err != nil {
			return next, "", old, err
		}
		if next, token, old, err = m.succeed(ctx, l, id, r); !apierrors.IsConflict(err) {
			return next, token, old, err
		}
	}
	return next, "", old, errBusy
}

// succeed makes the successor of the token of that id. On a conflict nothing was
// done that must not be done again.
func (m *minter) succeed(ctx context.Context, l located, id string, r tokens.Rotation) (next tokens.Record, token string, old tokens.Record, err error) {
	current, err := m.rotatable(l.object, id)
	if err != nil {
		return next, "", old, err
	}
	var have held
	if l.Spec.SecretName != "" {
		if have, err = m.probe(ctx, l); err == nil {
			err = trial(ctx, l, have)
		}
		if err != nil {
			return next, "", old, err
		}
	}
	o := order{at: m.moment(), lifetime: wholeSeconds(l.end(current).Sub(current.IssuedAt.Time)), by: tokens.CleanCreatedBy(r.By)}
	o.previous = l.cut(current, o.at, r.Overlap)
	if l.Spec.SecretName == "" {
		if l, err = m.extend(ctx, l, o.at.Add(o.lifetime)); err != nil {
			return next, "", old, err
		}
	} else {
		o.lifetime = current.ExpiresAt.Sub(current.IssuedAt.Time)
	}
	changed, token, err := m.issue(ctx, l, o)
	if err != nil {
		return next, "", old, err
	}
	if l.Spec.SecretName != "" {
		if err := m.writeSecret(ctx, changed, have, token); err != nil {
			return next, "", old, fmt.Errorf("the successor %s was made, and is not in the Secret %s: %w", changed.Status.ID, l.Spec.SecretName, err)
		}
	}
	old = l.record(current)
	old.ReplacedBy = changed.Status.ID
	if old.ExpiresAt = o.at; o.previous != nil {
		old.ExpiresAt = o.previous.ExpiresAt.UTC()
	}
	return changed.record(&changed.Status.issued), token, old, nil
}

// rotatable returns the object's newest token if it has that id and is good.
func (m *minter) rotatable(o *object, id string) (*issued, error) {
	for _, t := range o.tokens() {
		if t.ID != id {
			continue
		}
		r := o.record(t)
		switch r.State(m.s.now()) {
		case tokens.StateExpired:
			return nil, errors.New("it has expired; create a new token instead")
		case tokens.StateRotated:
			return nil, fmt.Errorf("it was replaced already, by token %s", r.ReplacedBy)
		}
		return t, nil
	}
	return nil, tokens.ErrNotFound
}

// extend moves the end of an object without secretName to that of the successor
// to come. The token of before does not gain by it.
func (m *minter) extend(ctx context.Context, l located, end time.Time) (located, error) {
	if own := l.end(&l.Status.issued); own.Before(l.Status.ExpiresAt.Time) {
		// The object's end was moved to before the token's, and a crash must
		// not undo that.
		o, err := m.s.patchStatus(ctx, l, map[string]any{"expiresAt": metav1.NewTime(own.Truncate(time.Second))})
		if err != nil {
			return l, aboutObjects(err, l.connection, l.Namespace, "change the status of an EndpointToken")
		}
		l.object = o
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": l.UID, "resourceVersion": l.ResourceVersion},
		"spec":     map[string]any{"expiresAt": metav1.NewTime(end)},
	})
	if err != nil {
		return l, err
	}
	changed, err := objectsOf(l.connection, l.Namespace).Patch(ctx, l.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
	if err != nil {
		return l, aboutObjects(err, l.connection, l.Namespace, "change an EndpointToken")
	}
	return l.as(changed)
}

// again reads an object anew. One of its name that is another is not found.
func again(ctx context.Context, l located) (located, error) {
	u, err := objectsOf(l.connection, l.Namespace).Get(ctx, l.Name, metav1.GetOptions{})
	if err != nil {
		return l, aboutObjects(err, l.connection, l.Namespace, "read an EndpointToken")
	}
	if u.GetUID() != l.UID {
		return l, apierrors.NewNotFound(endpointTokens.GroupResource(), l.Name)
	}
	return l.as(u)
}

// as is the object as the API server sent it.
func (l located) as(u *unstructured.Unstructured) (located, error) {
	o, err := read(u, l.Cluster)
	if err != nil {
		return l, fmt.Errorf("the EndpointToken %s/%s on cluster %s cannot be read: %w", l.Namespace, l.Name, l.connection.Name, err)
	}
	l.object = o
	return l, nil
}

// moment is now, in whole seconds as Kubernetes keeps times.
func (m *minter) moment() time.Time { return m.s.now().UTC().Truncate(time.Second) }

// wholeSeconds rounds up: no token has no time at all.
func wholeSeconds(d time.Duration) time.Duration {
	return (d + time.Second - 1).Truncate(time.Second)
}
