package kube

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/dynamic"

	"github.com/promgate/promgate/auth/session"
)

// TestNames: a name holds the whole id, and is one that Kubernetes takes.
func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for range 2000 {
		id := randomID()
		name, ok := nameOf(id)
		back, known := idOf(name)
		if !ok || !known || back != id || seen[name] || len(name) > validation.DNS1123LabelMaxLength || len(validation.IsDNS1123Label(name)) > 0 {
			t.Fatalf("%s has the name %q, which is that of %q", id, name, back)
		}
		seen[name] = true
	}
	// Ids that differ in their last digits alone.
	id := randomID()
	for _, digit := range "0123456789abcdef" {
		name, _ := nameOf(id[:63] + string(digit))
		if seen[name] {
			t.Errorf("%s is the name of two", name)
		}
		seen[name] = true
	}
	name, _ := nameOf(id)
	for _, bad := range []string{"", id[1:], id + "0", strings.ToUpper(id), "g" + id[1:], " " + id[1:]} {
		if name, ok := nameOf(bad); ok && bad != id {
			t.Errorf("%q has the name %s", bad, name)
		}
	}
	for _, bad := range []string{"", "s-", name[2:], name + "0", name[:53] + "1", "x" + name[1:], strings.ToUpper(name)} {
		if id, ok := idOf(bad); ok && bad != name {
			t.Errorf("the name %q is that of %s", bad, id)
		}
	}
}

// TestStrangers: what somebody else has written is no session, is said once, and
// harms no other.
func TestStrangers(t *testing.T) {
	c := plane(t)
	namespace, kubeconfig := home(t, c, true)
	admin, err := dynamic.NewForConfig(c.RESTConfig())
	must(t, err)
	objects := admin.Resource(sessions).Namespace(namespace)
	a, b := running(t, namespace, kubeconfig), running(t, namespace, kubeconfig)
	good := a.create(t, "local:anna")
	twin := good
	twin.ID = good.ID[:56] + strings.Map(func(r rune) rune { return rune("0123456789abcdef"[15-strings.IndexRune("0123456789abcdef", r)]) }, good.ID[56:])

	strange := map[string]func(*unstructured.Unstructured){
		"the name of another id": func(u *unstructured.Unstructured) { u.SetName("s-something-else") },
		"no label":               func(u *unstructured.Unstructured) { u.SetLabels(nil) },
		"the label of somebody": func(u *unstructured.Unstructured) {
			u.SetLabels(map[string]string{ownerLabel: ownerHash("local:bert")})
		},
		"no owner, and a label":     func(u *unstructured.Unstructured) { unstructured.RemoveNestedField(u.Object, "spec", "owner") },
		"about to go, and does not": func(u *unstructured.Unstructured) { u.SetFinalizers([]string{"example.com/hold"}) },
	}
	ids := map[string]string{}
	for name, change := range strange {
		r := record("local:mallory")
		ids[name] = r.ID
		u, err := a.object(r)
		must(t, err)
		change(u)
		made, err := objects.Create(t.Context(), u, metav1.CreateOptions{})
		must(t, err)
		if len(u.GetFinalizers()) > 0 {
			must(t, objects.Delete(t.Context(), made.GetName(), metav1.DeleteOptions{}))
		}
	}
	last := a.create(t, "local:anna") // the watch has passed all of it
	for _, p := range []*replica{a, b, running(t, namespace, kubeconfig)} {
		eventually(t, "the last one", func() bool { return p.has(last.ID) })
		for name, id := range ids {
			if _, err := p.Get(t.Context(), id); !errors.Is(err, session.ErrNotFound) || p.has(id) {
				t.Errorf("%s: got %v", name, err)
			}
		}
		p.want(t, good.ID, nil)
		p.want(t, twin.ID, session.ErrNotFound)
		if err := p.Delete(t.Context(), twin.ID); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("a twin: %v", err)
		}
		if p.logged.count("level=WARN") != 1 || p.logged.count("a Session was written by somebody else and is ignored") != 1 {
			t.Errorf("logged\n%s", p.logged)
		}
	}

	// One that somebody spoils is one no longer.
	name, _ := nameOf(good.ID)
	_, err = objects.Patch(t.Context(), name, "application/merge-patch+json", []byte(`{"metadata":{"labels":null}}`), metav1.PatchOptions{})
	must(t, err)
	for _, p := range []*replica{a, b} {
		eventually(t, "that it is spoiled", func() bool { return !p.has(good.ID) })
		p.want(t, good.ID, session.ErrNotFound)
	}
	u, err := objects.List(t.Context(), metav1.ListOptions{})
	must(t, err)
	for i := range u.Items {
		if len(u.Items[i].GetFinalizers()) > 0 {
			_, err := objects.Patch(t.Context(), u.Items[i].GetName(), "application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
			must(t, err)
		}
	}
}

// TestSchema: the API server takes no nonsense.
func TestSchema(t *testing.T) {
	c := plane(t)
	namespace, _ := home(t, c, false)
	admin, err := dynamic.NewForConfig(c.RESTConfig())
	must(t, err)
	objects := admin.Resource(sessions).Namespace(namespace)
	s := &Store{namespace: namespace}
	object := func(change func(spec map[string]any)) *unstructured.Unstructured {
		u, err := s.object(record("local:anna"))
		must(t, err)
		change(u.Object["spec"].(map[string]any))
		return u
	}
	set := func(field string, value any) func(map[string]any) {
		return func(spec map[string]any) { spec[field] = value }
	}
	without := func(field string) func(map[string]any) {
		return func(spec map[string]any) { delete(spec, field) }
	}
	for name, change := range map[string]func(map[string]any){
		"no id": without("id"), "no sealed": without("sealed"), "no seenAt": without("seenAt"), "no expiresAt": without("expiresAt"),
		"short id": set("id", "abc"), "upper-case id": set("id", strings.Repeat("A", 64)), "long id": set("id", strings.Repeat("a", 65)),
		"id with a line": set("id", strings.Repeat("a", 64)+"\n"), "id of another type": set("id", int64(7)),
		"empty owner": set("owner", ""), "long owner": set("owner", strings.Repeat("x", 1025)),
		"empty sealed": set("sealed", ""), "no base64": set("sealed", "%%%%"), "too much": set("sealed", strings.Repeat("A", 43696)),
		"no time": set("seenAt", "yesterday"), "end that is no time": set("expiresAt", "never"), "end that is a number": set("expiresAt", int64(1)),
		"another field": set("secret", "x"),
	} {
		u := object(change)
		_, err := objects.Create(t.Context(), u, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
		if !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := objects.Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "promgate.io/v1alpha1", "kind": "Session", "metadata": map[string]any{"name": "x"},
	}}, metav1.CreateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("without a spec: %v", err)
	}
	made, err := objects.Create(t.Context(), object(func(map[string]any) {}), metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
	must(t, err)
	for name, change := range map[string]func(map[string]any){
		"another id": set("id", randomID()), "another owner": set("owner", "local:mallory"), "no owner": without("owner"),
	} {
		u := made.DeepCopy()
		change(u.Object["spec"].(map[string]any))
		if _, err := objects.Update(t.Context(), u, metav1.UpdateOptions{}); !apierrors.IsInvalid(err) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	u := made.DeepCopy()
	maps.Copy(u.Object["spec"].(map[string]any), map[string]any{"seenAt": time.Now().UTC().Format(time.RFC3339), "sealed": "eA=="})
	if _, err := objects.Update(t.Context(), u, metav1.UpdateOptions{}); err != nil {
		t.Errorf("what changes: %v", err)
	}
}
