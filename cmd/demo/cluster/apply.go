package cluster

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
)

// fieldManager is in whose name objects are applied.
const fieldManager = "test"

// establishPoll is how often the API server is asked whether it serves a new kind.
const establishPoll = 20 * time.Millisecond

// establishTimeout is how long a new kind may take; it needs some milliseconds.
const establishTimeout = 30 * time.Second

// Apply applies the objects of a YAML text, which may hold several documents, one after the other as the administrator:
// server-side, and strictly, so that a field that is unknown, written twice or of the wrong type is an error. An object of
// a namespaced kind must name its namespace. After a CustomResourceDefinition it waits until the new kind is served.
func (c *Cluster) Apply(ctx context.Context, text []byte) error {
	objects, err := decode(text)
	if err != nil {
		return err
	}
	a, err := c.applier()
	if err != nil {
		return err
	}
	for _, o := range objects {
		title := o.GetKind() + " " + o.GetName()
		if namespace := o.GetNamespace(); namespace != "" {
			title = o.GetKind() + " " + namespace + "/" + o.GetName()
		}
		if err := a.apply(ctx, o); err != nil {
			return fmt.Errorf("cluster: cannot apply %s: %w", title, err)
		}
	}
	return nil
}

// InstallCRDs applies the CustomResourceDefinitions in testdata/crds: Prometheus, PrometheusAgent and PersesDatasource. It
// works only with the module's source around the working directory.
func (c *Cluster) InstallCRDs(ctx context.Context) error {
	root, err := findModuleRoot()
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(root, "testdata", "crds", "*.yaml"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("cluster: no definitions in testdata/crds: %w", errors.Join(err, os.ErrNotExist))
	}
	var all bytes.Buffer
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("cluster: cannot read a definition: %w", err)
		}
		all.Write(text)
		all.WriteString("\n---\n")
	}
	return c.Apply(ctx, all.Bytes())
}

// decode reads all documents before anything is applied. Empty ones are left out.
func decode(text []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	reader := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("cluster: cannot read the text: %w", err)
		}
		fields := map[string]any{}
		if err := yaml.UnmarshalStrict(document, &fields); err != nil {
			return nil, fmt.Errorf("cluster: document %d is not good YAML: %w", len(objects)+1, err)
		}
		if len(fields) == 0 {
			continue
		}
		o := &unstructured.Unstructured{Object: fields}
		if o.GetAPIVersion() == "" || o.GetKind() == "" || o.GetName() == "" {
			return nil, fmt.Errorf("cluster: document %d lacks apiVersion, kind or metadata.name", len(objects)+1)
		}
		objects = append(objects, o)
	}
}

// applier knows where the objects of a kind are.
type applier struct {
	client dynamic.Interface
	mapper *restmapper.DeferredDiscoveryRESTMapper
}

func (c *Cluster) applier() (*applier, error) {
	client, err := dynamic.NewForConfig(c.config)
	if err != nil {
		return nil, fmt.Errorf("cluster: cannot make a client: %w", err)
	}
	kinds := memory.NewMemCacheClient(c.client.Discovery())
	return &applier{client: client, mapper: restmapper.NewDeferredDiscoveryRESTMapper(kinds)}, nil
}

func (a *applier) apply(ctx context.Context, o *unstructured.Unstructured) error {
	kind := o.GroupVersionKind()
	mapping, err := a.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return fmt.Errorf("the API server does not serve the kind: %w", err)
	}
	var resource dynamic.ResourceInterface = a.client.Resource(mapping.Resource)
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		if o.GetNamespace() == "" {
			return errors.New("it names no namespace: write metadata.namespace")
		}
		resource = a.client.Resource(mapping.Resource).Namespace(o.GetNamespace())
	}
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	force := true
	_, err = resource.Patch(ctx, o.GetName(), types.ApplyPatchType, data,
		metav1.PatchOptions{FieldManager: fieldManager, Force: &force, FieldValidation: metav1.FieldValidationStrict})
	if err != nil || kind.GroupKind() != (schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}) {
		return err
	}
	return a.awaitEstablished(ctx, resource, o.GetName())
}

// awaitEstablished waits until a definition is in force, in each of its served versions.
func (a *applier) awaitEstablished(ctx context.Context, definitions dynamic.ResourceInterface, name string) error {
	ctx, cancel := context.WithTimeout(ctx, establishTimeout)
	defer cancel()
	tick := time.NewTicker(establishPoll)
	defer tick.Stop()
	for {
		definition, err := definitions.Get(ctx, name, metav1.GetOptions{})
		if err == nil {
			err = a.established(definition)
		}
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the new kind is not served (%w): %w", ctx.Err(), err)
		}
	}
}

func (a *applier) established(definition *unstructured.Unstructured) error {
	conditions, _, err := unstructured.NestedSlice(definition.Object, "status", "conditions")
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(conditions, func(c any) bool {
		fields, _ := c.(map[string]any)
		return fields["type"] == "Established" && fields["status"] == "True"
	}) {
		return fmt.Errorf("the conditions are %v", conditions)
	}
	// The API server lists the new kind a little later.
	a.mapper.Reset()
	group, _, _ := unstructured.NestedString(definition.Object, "spec", "group")
	kind, _, _ := unstructured.NestedString(definition.Object, "spec", "names", "kind")
	versions, _, _ := unstructured.NestedSlice(definition.Object, "spec", "versions")
	for _, v := range versions {
		fields, _ := v.(map[string]any)
		version, _ := fields["name"].(string)
		if fields["served"] != true {
			continue
		}
		if _, err := a.mapper.RESTMapping(schema.GroupKind{Group: group, Kind: kind}, version); err != nil {
			return err
		}
	}
	return nil
}
