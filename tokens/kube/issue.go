package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/promgate/promgate/kube"
)

// reasons of the condition Ready.
const (
	reasonIssued          = "Issued"
	reasonIssueFailed     = "IssueFailed"
	reasonSecretExists    = "SecretExists"
	reasonSecretForbidden = "SecretForbidden"
	reasonNoToken         = "NoToken"
	reasonKeyGone         = "KeyGone"
	reasonExpired         = "Expired"
)

// errBusy means that others changed the object each time.
var errBusy = errors.New("the EndpointToken is changed by others all the time; repeat in a moment")

// hindrance is why there is no token, in words for whoever made the object.
type hindrance struct {
	// reason is that of the condition Ready.
	reason string
	// text is a sentence without secrets.
	text string
	// advice is YAML that mends it; empty: none does.
	advice string
	cause  error
}

// Error is the text, its cause and the advice.
func (h *hindrance) Error() string {
	text := h.text
	if h.cause != nil {
		text += ": " + h.cause.Error()
	}
	if h.advice != "" {
		text += "\n\n" + h.advice
	}
	return text
}

// Unwrap returns the cause.
func (h *hindrance) Unwrap() error { return h.cause }

// order is a token to be made.
type order struct {
	// at is when it begins, in whole seconds.
	at       time.Time
	lifetime time.Duration
	// previous is the token that stays good beside it; nil: none.
	previous *issued
	// by is who had it made by a rotation; empty: nobody.
	by string
}

// issue makes a token for an object and writes its status. Only a token that is
// in the status is returned. The error is a conflict where the object is not the
// one that was read any more: nothing was done then.
func (m *minter) issue(ctx context.Context, l located, o order) (located, string, error) {
	keys, issuer, err := m.signingKeys(ctx)
	if err != nil {
		return l, "", err
	}
	if len(keys) == 0 {
		return l, "", errors.New("there is no key to sign tokens with: make one with promgate keys rotate")
	}
	uid, err := namespaceUID(ctx, l.connection, l.Namespace)
	if err != nil {
		return l, "", err
	}
	key, end := keys[len(keys)-1], o.at.Add(o.lifetime)
	if e := l.Spec.ExpiresAt; e != nil && e.Time.Before(end) {
		end = e.UTC().Truncate(time.Second)
	}
	next := *l.object
	next.Status.issued = issued{ID: l.nextID(), KeyID: key.ID, IssuedAt: &metav1.Time{Time: o.at}, ExpiresAt: &metav1.Time{Time: end}, CreatedBy: o.by}
	next.Status.ProjectUID, next.Status.Previous = uid, o.previous
	token, err := m.s.options.Mint(key, issuer, next.record(&next.Status.issued))
	if err != nil {
		return l, "", err
	}
	changed, err := m.s.patchStatus(ctx, l, map[string]any{
		"id": next.Status.ID, "keyID": key.ID, "projectUID": uid, "issuedAt": next.Status.IssuedAt, "expiresAt": next.Status.ExpiresAt,
		"phase": phaseActive, "previous": o.previous.patch(), "createdBy": orNull(o.by),
		"conditions": l.withReady(metav1.ConditionTrue, reasonIssued, goodUntil(end), o.at),
	})
	if err != nil {
		return l, "", aboutObjects(err, l.connection, l.Namespace, "change the status of an EndpointToken")
	}
	m.s.log.Info("a token was made", "cluster", l.connection.Name, "namespace", l.Namespace, "object", l.Name, "id", next.Status.ID, "expires", end)
	l.object = changed
	return l, token, nil
}

// patch is the token in the place of whatever is there: a merge patch leaves
// what it does not name as it is.
func (t *issued) patch() any {
	if t == nil {
		return nil
	}
	return map[string]any{"id": t.ID, "keyID": t.KeyID, "issuedAt": t.IssuedAt, "expiresAt": t.ExpiresAt, "createdBy": orNull(t.CreatedBy)}
}

// orNull has a patch remove what is empty.
func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func goodUntil(end time.Time) string {
	return "the token is good until " + end.UTC().Format(time.RFC3339)
}

// newest is the object's newest token, or nil.
func newest(o *object) *issued {
	for _, t := range o.tokens() {
		if t.ID == o.Status.ID {
			return t
		}
	}
	return nil
}

// cut is a token that ends after the overlap, if that is earlier than its own
// end; nil: it ends at once.
func (o *object) cut(t *issued, now time.Time, overlap time.Duration) *issued {
	end := o.end(t)
	if e := now.Add(overlap); e.Before(end) {
		end = e
	}
	if end = end.Truncate(time.Second); !end.After(now) {
		return nil
	}
	short := *t
	short.ExpiresAt = &metav1.Time{Time: end}
	return &short
}

var namespaceObjects = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}

// namespaceUID reads what a namespace's UID is now: the identity of the project
// that a token is made for.
func namespaceUID(ctx context.Context, c *kube.Connection, namespace string) (string, error) {
	n, err := c.Client.Resource(namespaceObjects).Get(ctx, namespace, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return "", noNamespace(c, namespace)
	case apierrors.IsForbidden(err):
		return "", &hindrance{
			reason: reasonIssueFailed, text: "the gateway may not read the namespace " + namespace + " on cluster " + c.Name + ", and a token is for the namespace's UID: grant it get on the namespace", cause: err,
			advice: kube.Role(namespace, "promgate:tokens:namespace", c.Subject,
				kube.Rule{Resource: "namespaces", Names: []string{namespace}, Verbs: []string{"get"}}),
		}
	case err != nil:
		return "", fmt.Errorf("the namespace %s on cluster %s cannot be read, and a token is for its UID: %w", namespace, c.Name, err)
	case n.GetDeletionTimestamp() != nil:
		return "", &hindrance{reason: reasonIssueFailed, text: "the namespace " + namespace + " on cluster " + c.Name + " is being deleted: no tokens are made in it"}
	case n.GetUID() == "":
		return "", fmt.Errorf("the API server of cluster %s tells no UID of the namespace %s", c.Name, namespace)
	}
	return string(n.GetUID()), nil
}

func noNamespace(c *kube.Connection, namespace string) error {
	return &hindrance{reason: reasonIssueFailed, text: fmt.Sprintf("the namespace %s does not exist on cluster %s: with tokens in Kubernetes the tokens of a project are objects in the namespace of its name; create namespace %s on cluster %s",
		namespace, c.Name, namespace, c.Name)}
}

// aboutObjects words an error of a request for EndpointTokens. Conflicts, and
// that an object is not there, stay what they are.
func aboutObjects(err error, c *kube.Connection, namespace, what string) error {
	var status apierrors.APIStatus
	errors.As(err, &status)
	switch {
	case apierrors.IsConflict(err):
		return err
	case apierrors.IsNotFound(err) && status.Status().Details != nil && status.Status().Details.Kind == namespaceObjects.Resource:
		return noNamespace(c, namespace)
	case apierrors.IsNotFound(err) && apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse):
		// The API server answers so, without a Status, for kinds it does not know.
		return &hindrance{reason: reasonIssueFailed, text: fmt.Sprintf("cluster %s has no EndpointTokens: apply deploy/kubernetes/crd to it", c.Name), cause: err}
	case apierrors.IsNotFound(err):
		return err
	case apierrors.IsForbidden(err):
		return &hindrance{
			reason: reasonIssueFailed, text: fmt.Sprintf("the gateway may not %s in namespace %s on cluster %s: grant it what is missing", what, namespace, c.Name), cause: err,
			advice: kube.Role(namespace, "promgate:tokens:create", c.Subject,
				kube.Rule{Group: endpointTokens.Group, Resource: endpointTokens.Resource, Verbs: []string{"create", "delete", "get", "list", "patch", "watch"}},
				kube.Rule{Group: endpointTokens.Group, Resource: endpointTokens.Resource + "/status", Verbs: []string{"patch"}}),
		}
	}
	return fmt.Errorf("the gateway could not %s in namespace %s on cluster %s: %w", what, namespace, c.Name, err)
}
