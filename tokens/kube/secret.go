package kube

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/promgate/promgate/kube"
)

// What a Secret that holds a token has, beside the token.
const (
	managedByLabel    = "app.kubernetes.io/managed-by"
	objectLabel       = "promgate.io/endpoint-token"
	tokenIDAnnotation = "promgate.io/token-id"
	secretTokenKey    = "token"
)

// errOvertaken means that the Secret was changed, made or deleted by others
// since it was asked for: everything is to be decided again.
var errOvertaken = errors.New("the Secret was changed by others at the same moment; repeat in a moment")

// held is what is known of an object's Secret: its metadata. nil: there is none.
type held struct{ *metav1.PartialObjectMetadata }

// tokenID is the id of the token that the Secret holds.
func (h held) tokenID() string {
	if h.PartialObjectMetadata == nil {
		return ""
	}
	return h.Annotations[tokenIDAnnotation]
}

// operation is one of a JSON patch (RFC 6902).
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// ours holds for a Secret that belongs to the object. The API server answers 422
// for any other, and changes nothing.
func ours(l located) operation {
	return operation{"test", "/metadata/ownerReferences/0/uid", l.UID}
}

// probe asks what token the object's Secret holds, without the right to read
// Secrets: with a patch that tests whose it is and changes nothing, and whose
// answer is to have the metadata alone.
func (m *minter) probe(ctx context.Context, l located) (held, error) {
	found, err := patchSecret(ctx, l, []operation{ours(l)})
	switch {
	case apierrors.IsNotFound(err):
		return held{}, nil
	case apierrors.IsInvalid(err):
		return held{}, &hindrance{reason: reasonSecretExists, text: fmt.Sprintf(
			"there is a Secret %s already that does not belong to this EndpointToken: delete it, or make another EndpointToken with another secretName", l.Spec.SecretName)}
	case err != nil:
		return held{}, aboutSecret(err, l, "patch")
	}
	return held{found}, nil
}

// trial tells beforehand that no token can be written into the Secret: one that
// has no place to go is not worth making, and would shorten the life of the one
// that is in use.
func trial(ctx context.Context, l located, have held) error {
	// Other answers than these say nothing: admission may know no dry run.
	if have.PartialObjectMetadata == nil {
		if err := createSecret(ctx, l, nil, metav1.DryRunAll); apierrors.IsForbidden(err) {
			return aboutSecret(err, l, "create")
		}
		return nil
	}
	_, err := patchSecret(ctx, l, []operation{ours(l), {"add", "/data", map[string]any{secretTokenKey: ""}}}, metav1.DryRunAll)
	switch {
	case apierrors.IsForbidden(err):
		return aboutSecret(err, l, "patch")
	case apierrors.IsInvalid(err):
		return unchangeable(err, l)
	}
	return nil
}

func unchangeable(err error, l located) error {
	return &hindrance{
		reason: reasonIssueFailed, cause: err,
		text: fmt.Sprintf("the API server does not let the Secret %s be changed, perhaps because it is immutable: delete it, and it is made anew", l.Spec.SecretName),
	}
}

// writeSecret puts the token that the object's status names into the object's
// Secret, if that is still as it was asked for.
func (m *minter) writeSecret(ctx context.Context, l located, have held, token string) error {
	data := map[string]any{secretTokenKey: base64.StdEncoding.EncodeToString([]byte(token))}
	if have.PartialObjectMetadata == nil {
		err := createSecret(ctx, l, data)
		if apierrors.IsAlreadyExists(err) {
			return errOvertaken
		}
		return aboutSecret(withoutToken(err, token), l, "create")
	}
	operations := []operation{ours(l), {"test", "/metadata/resourceVersion", have.ResourceVersion}, {"add", "/data", data}}
	operations = append(operations, additions("/metadata/labels", have.Labels, secretLabels(l))...)
	operations = append(operations, additions("/metadata/annotations", have.Annotations, secretAnnotations(l))...)
	_, err := patchSecret(ctx, l, operations)
	if !apierrors.IsInvalid(err) {
		if apierrors.IsNotFound(err) {
			return errOvertaken
		}
		return aboutSecret(withoutToken(err, token), l, "patch")
	}
	// Either a test has failed, or the Secret may not be changed so.
	now, probeErr := m.probe(ctx, l)
	if probeErr != nil {
		return probeErr
	}
	if now.PartialObjectMetadata == nil || now.ResourceVersion != have.ResourceVersion {
		return errOvertaken
	}
	return unchangeable(withoutToken(err, token), l)
}

func createSecret(ctx context.Context, l located, data map[string]any, dryRun ...string) error {
	labels, annotations := map[string]any{}, map[string]any{}
	for k, v := range secretLabels(l) {
		labels[k] = v
	}
	for k, v := range secretAnnotations(l) {
		annotations[k] = v
	}
	secret := map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
		"metadata": map[string]any{
			"name": l.Spec.SecretName, "namespace": l.Namespace, "labels": labels, "annotations": annotations,
			"ownerReferences": []any{map[string]any{
				"apiVersion": endpointTokens.GroupVersion().String(), "kind": "EndpointToken", "name": l.Name, "uid": string(l.UID), "controller": true,
			}},
		},
	}
	if data != nil {
		secret["data"] = data
	}
	_, err := l.connection.Client.Resource(secrets).Namespace(l.Namespace).
		Create(ctx, &unstructured.Unstructured{Object: secret}, metav1.CreateOptions{FieldManager: fieldManager, DryRun: dryRun})
	return err
}

func secretLabels(l located) map[string]string {
	labels := map[string]string{managedByLabel: "promgate"}
	if len(validation.IsValidLabelValue(l.Name)) == 0 {
		labels[objectLabel] = l.Name
	}
	return labels
}

func secretAnnotations(l located) map[string]string {
	return map[string]string{tokenIDAnnotation: l.Status.ID}
}

// additions set members of an object at a path, which may not be there.
func additions(path string, there, wanted map[string]string) []operation {
	if there == nil {
		return []operation{{"add", path, wanted}}
	}
	var all []operation
	for k, v := range wanted {
		all = append(all, operation{"add", path + "/" + strings.ReplaceAll(strings.ReplaceAll(k, "~", "~0"), "/", "~1"), v})
	}
	return all
}

// patchSecret patches the object's Secret and returns its metadata: the answer
// never has what the Secret holds.
func patchSecret(ctx context.Context, l located, operations []operation, dryRun ...string) (*metav1.PartialObjectMetadata, error) {
	patch, err := json.Marshal(operations)
	if err != nil {
		return nil, err
	}
	client, err := metadata.NewForConfigAndClient(&rest.Config{Host: l.connection.Base.String(), QPS: -1}, &http.Client{Transport: l.connection.Transport})
	if err != nil {
		return nil, err
	}
	return client.Resource(secrets).Namespace(l.Namespace).
		Patch(ctx, l.Spec.SecretName, types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: fieldManager, DryRun: dryRun})
}

// aboutSecret words an error of a request for the object's Secret.
func aboutSecret(err error, l located, verb string) error {
	if err == nil || !apierrors.IsForbidden(err) {
		return err
	}
	return &hindrance{
		reason: reasonSecretForbidden, cause: err,
		text: fmt.Sprintf("the gateway may not %s the Secret %s: grant it create on secrets, and patch on secrets of this name, in namespace %s",
			verb, l.Spec.SecretName, l.Namespace),
		// The name of the Secret is part of the Role's: others are not undone.
		advice: kube.Role(l.Namespace, "promgate:tokens:secret:"+l.Spec.SecretName, l.connection.Subject,
			kube.Rule{Resource: secrets.Resource, Verbs: []string{"create"}},
			kube.Rule{Resource: secrets.Resource, Names: []string{l.Spec.SecretName}, Verbs: []string{"patch"}}),
	}
}

// withoutToken leaves out an answer that repeats what was sent: errors are
// logged, and shown to those who may not read Secrets.
func withoutToken(err error, token string) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if strings.Contains(text, token) || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(token))) {
		return errors.New("the answer repeats the token and is left out here")
	}
	return err
}
