package kube

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/promgate/promgate/auth/session"
)

// sessions are the objects, deploy/kubernetes/crd/sessions.yaml their schema.
var sessions = schema.GroupVersionResource{Group: "promgate.io", Version: "v1alpha1", Resource: "sessions"}

const (
	// ownerLabel finds all sessions of somebody. Names of users are no labels, so
	// that it holds a hash of one.
	ownerLabel = "promgate.io/owner"
	namePrefix = "s-"
	idBytes    = 32
	// maxSealed bounds what is sealed, in bytes.
	maxSealed = 32 << 10
)

// nameEncoding makes a name of all of an id's bits, which hexadecimal digits
// would make longer than the 63 characters that names have at most elsewhere.
var nameEncoding = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// nameOf is the name of the object of a session, and of that session alone.
func nameOf(id string) (name string, ok bool) {
	raw, err := hex.DecodeString(id)
	if err != nil || len(raw) != idBytes || strings.ToLower(id) != id {
		return "", false
	}
	return namePrefix + nameEncoding.EncodeToString(raw), true
}

// idOf is the id of the session that an object of that name may hold.
func idOf(name string) (id string, ok bool) {
	encoded, ok := strings.CutPrefix(name, namePrefix)
	raw, err := nameEncoding.DecodeString(encoded)
	if !ok || err != nil || len(raw) != idBytes {
		return "", false
	}
	id = hex.EncodeToString(raw)
	again, _ := nameOf(id) // some bits of the last character are no part of it
	return id, again == name
}

// ownerHash is the label of an owner's sessions.
func ownerHash(owner string) string {
	sum := sha256.Sum256([]byte(owner))
	return hex.EncodeToString(sum[:28])
}

// object makes one of a record.
func (s *Store) object(r session.Record) (*unstructured.Unstructured, error) {
	name, ok := nameOf(r.ID)
	switch {
	case !ok:
		return nil, errors.New("its id is not of 64 lower-case hexadecimal digits")
	case r.ExpiresAt.IsZero():
		return nil, errors.New("it has no end")
	}
	meta := map[string]any{"name": name, "namespace": s.namespace}
	if r.Version != "" {
		meta["resourceVersion"] = r.Version
	}
	spec := map[string]any{
		"id": r.ID, "sealed": base64.StdEncoding.EncodeToString(r.Sealed),
		"seenAt": r.SeenAt.UTC().Format(time.RFC3339), "expiresAt": r.ExpiresAt.UTC().Format(time.RFC3339),
	}
	if r.Owner != "" {
		spec["owner"] = r.Owner
		meta["labels"] = map[string]any{ownerLabel: ownerHash(r.Owner)}
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": sessions.GroupVersion().String(), "kind": "Session", "metadata": meta, "spec": spec,
	}}, nil
}

// errEnding means that an object is about to go: what it holds has ended.
var errEnding = errors.New("it is being deleted")

// read makes a record of an object. What this package would not have written so
// is an error: a session that no label finds could not be ended with the others
// of its owner.
func read(u *unstructured.Unstructured) (session.Record, error) {
	r := session.Record{Version: u.GetResourceVersion()}
	if u.GetDeletionTimestamp() != nil {
		return r, errEnding
	}
	var sealed, seen, expires string
	for field, into := range map[string]*string{"id": &r.ID, "owner": &r.Owner, "sealed": &sealed, "seenAt": &seen, "expiresAt": &expires} {
		value, _, err := unstructured.NestedString(u.Object, "spec", field)
		if err != nil {
			return r, err
		}
		*into = value
	}
	if name, ok := nameOf(r.ID); !ok || name != u.GetName() {
		return r, errors.New("its name is not that of its spec.id")
	}
	want := ""
	if r.Owner != "" {
		want = ownerHash(r.Owner)
	}
	if u.GetLabels()[ownerLabel] != want {
		return r, fmt.Errorf("its label %s is not that of its spec.owner", ownerLabel)
	}
	var err error
	if r.Sealed, err = base64.StdEncoding.DecodeString(sealed); err != nil || len(r.Sealed) == 0 || len(r.Sealed) > maxSealed {
		return r, fmt.Errorf("its spec.sealed is not base64 of 1 to %d bytes", maxSealed)
	}
	if r.SeenAt, err = time.Parse(time.RFC3339, seen); err != nil {
		return r, errors.New("its spec.seenAt is no time")
	}
	if r.ExpiresAt, err = time.Parse(time.RFC3339, expires); err != nil {
		return r, errors.New("its spec.expiresAt is no time")
	}
	return r, nil
}

// background has a deletion take effect at once, whatever the cluster's default.
func background() metav1.DeleteOptions {
	policy := metav1.DeletePropagationBackground
	return metav1.DeleteOptions{PropagationPolicy: &policy}
}
