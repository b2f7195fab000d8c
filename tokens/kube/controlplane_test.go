package kube

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/promgate/promgate/cmd/demo/cluster"
	"github.com/promgate/promgate/kube"
	"github.com/promgate/promgate/tokens"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// controlPlane is a real API server with the kind EndpointToken, and a store
// whose gateway may do everything there.
func controlPlane(t testing.TB) (*cluster.Cluster, *Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute) // it may have to be built
	defer cancel()
	binary, err := cluster.Build(ctx, "")
	must(t, err)
	c, err := cluster.Start(ctx, cluster.Options{Binary: binary})
	must(t, err)
	t.Cleanup(func() { must(t, c.Stop()) })
	crd, err := os.ReadFile(filepath.Join("..", "..", "deploy", "kubernetes", "crd", "endpointtokens.yaml"))
	must(t, err)
	must(t, c.Apply(ctx, crd))
	must(t, c.Namespace(ctx, "promgate"))
	connection, err := kube.Connect(kube.Options{Name: "local", Kubeconfig: c.Kubeconfig()})
	must(t, err)
	t.Cleanup(connection.Close)
	s, err := Open(Options{
		Home: connection, Namespace: "promgate", Sources: []Source{{Connection: connection}}, Lifetime: time.Hour, Overlap: time.Minute,
		Mint: func(_ tokens.Key, _ string, r tokens.Record) (string, error) { return "token of " + r.ID, nil },
	})
	must(t, err)
	must(t, s.Load(ctx))
	return c, s
}

// TestControlPlane: a real API server keeps who made a token as the store means
// it, and lets nobody else write more than display.
func TestControlPlane(t *testing.T) {
	c, s := controlPlane(t)
	ctx := t.Context()
	must(t, c.Namespace(ctx, "shop"))
	must(t, c.Apply(ctx, []byte(`
apiVersion: promgate.io/v1alpha1
kind: EndpointToken
metadata: {name: kubectl, namespace: shop}
spec: {secretName: kubectl}
`)))
	first, _, err := s.Create(ctx, tokens.Draft{
		Scope: tokens.Scope{Project: "shop", Environment: "production"}, CreatedBy: "local:anna", Lifetime: time.Hour,
	})
	must(t, err)
	second, _, old, err := s.Rotate(ctx, first.ID, tokens.Rotation{Overlap: time.Minute, By: "oidc:bób"})
	must(t, err)
	if first.CreatedBy != "local:anna" || old.CreatedBy != "local:anna" || second.CreatedBy != "oidc:bób" {
		t.Errorf("made by %q, then %q, then %q", first.CreatedBy, old.CreatedBy, second.CreatedBy)
	}
	third, _, old, err := s.Rotate(ctx, second.ID, tokens.Rotation{Overlap: time.Minute, By: strings.Repeat("ä", 200)})
	must(t, err)
	fourth, _, before, err := s.Rotate(ctx, third.ID, tokens.Rotation{Overlap: time.Minute})
	must(t, err)
	if old.CreatedBy != "oidc:bób" || before.CreatedBy != third.CreatedBy || len(third.CreatedBy) < tokens.MaxCreatedBy-1 || fourth.CreatedBy != "" {
		t.Errorf("made by %q, then %q, then %q, then %q", old.CreatedBy, before.CreatedBy, third.CreatedBy, fourth.CreatedBy)
	}
	all, err := s.List(ctx)
	must(t, err)
	for _, want := range []tokens.Record{fourth, before} {
		if !slices.Contains(all, want) {
			t.Errorf("%+v is not among %+v", want, all)
		}
	}
	objects := objectsOf(s.options.Home, "shop")
	list, err := objects.List(ctx, metav1.ListOptions{})
	must(t, err)
	for _, u := range list.Items {
		by := u.GetAnnotations()[createdByKey]
		if want := map[bool]string{true: "", false: "local:anna"}[u.GetName() == "kubectl"]; by != want {
			t.Errorf("%s is annotated with %q", u.GetName(), by)
		}
	}
	_, err = objects.Patch(ctx, "kubectl", types.MergePatchType, []byte(`{"status": {"createdBy": "nobody"}}`), metav1.PatchOptions{})
	must(t, err)
	u, err := objects.Get(ctx, "kubectl", metav1.GetOptions{})
	must(t, err)
	if u.Object["status"] != nil {
		t.Errorf("the status came with the object: %v", u.Object)
	}
	if _, _, _, err := s.Rotate(ctx, first.ID, tokens.Rotation{}); !errors.Is(err, tokens.ErrNotFound) {
		t.Errorf("one that is forgotten: %v", err)
	}
}

// BenchmarkList lists 10,000 tokens of 200 namespaces from a real API server,
// and those of one of the namespaces.
func BenchmarkList(b *testing.B) {
	const namespaces, each = 200, 50
	c, s := controlPlane(b)
	now := time.Now().UTC().Truncate(time.Second)
	var group errgroup.Group
	group.SetLimit(32)
	for n := range namespaces {
		name := fmt.Sprint("shop-", n)
		must(b, c.Namespace(b.Context(), name))
		for i := range each {
			group.Go(func() error { return makeToken(b.Context(), s, name, fmt.Sprint("grafana-", i), now) })
		}
	}
	must(b, group.Wait())
	b.Run("all", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if all, err := s.List(b.Context()); err != nil || len(all) != namespaces*each {
				b.Fatal(len(all), err)
			}
		}
	})
	b.Run("project", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			one, err := s.ListProject(b.Context(), tokens.Scope{Project: "shop-7", ProjectUID: "uid-of-shop-7"})
			if err != nil || len(one) != each {
				b.Fatal(len(one), err)
			}
		}
	})
}

// makeToken makes an object whose status names a token.
func makeToken(ctx context.Context, s *Store, namespace, name string, now time.Time) error {
	o := object{Spec: spec{Environment: "production", Description: "Grafana", ExpiresAt: &metav1.Time{Time: now.Add(time.Hour)}}}
	o.APIVersion, o.Kind, o.Name, o.Namespace = endpointTokens.GroupVersion().String(), "EndpointToken", name, namespace
	o.Annotations = map[string]string{createdByKey: "local:anna"}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&o)
	if err != nil {
		return err
	}
	made, err := objectsOf(s.options.Home, namespace).Create(ctx, &unstructured.Unstructured{Object: fields}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	l, err := located{&object{}, s.options.Home}.as(made)
	if err != nil {
		return err
	}
	_, err = s.patchStatus(ctx, l, map[string]any{
		"id": l.nextID(), "keyID": "key-1", "projectUID": "uid-of-" + namespace, "issuedAt": now, "expiresAt": now.Add(time.Hour),
		"phase": phaseActive, "conditions": l.withReady(metav1.ConditionTrue, reasonIssued, goodUntil(now.Add(time.Hour)), now),
	})
	return err
}
