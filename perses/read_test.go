package perses

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestRead: what Perses sees of an object.
func TestRead(t *testing.T) {
	const text = `{
  "apiVersion": "perses.dev/v1alpha2", "kind": "PersesDashboard",
  "metadata": {
    "name": "sales", "namespace": "shop", "generation": 3, "resourceVersion": "17", "creationTimestamp": "2026-01-02T03:04:05Z",
    "annotations": {"perses.dev/tags": " b, a,,b , ", "promgate.io/environment": " production "},
    "managedFields": [
      {"manager": "kubectl", "operation": "Apply", "time": "2026-01-03T00:00:00Z"},
      {"manager": "operator", "operation": "Update", "subresource": "status", "time": "2026-02-03T00:00:00Z"},
      {"manager": "none"}
    ]
  },
  "spec": {"config": {"display": {"name": "Sales", "description": "Of today"}, "duration": "1h", "big": 12345678901234567890, "one": 1}, "instanceSelector": {}},
  "status": {"conditions": []}
}`
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON([]byte(text)); err != nil {
		t.Fatal(err)
	}
	o, skipped := read(Dashboards, u)
	if o == nil || skipped != nil {
		t.Fatal(skipped)
	}
	var spec map[string]any
	if err := json.Unmarshal(o.Spec, &spec); err != nil || spec["duration"] != "1h" || spec["instanceSelector"] != nil {
		t.Errorf("the spec is %s, %v", o.Spec, err)
	}
	want := &Object{
		Kind: Dashboards, Namespace: "shop", Name: "sales", Revision: "17", Version: 3,
		Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Updated: time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC),
		Tags: []string{"b", "a"}, Environment: "production", Title: "Sales", Description: "Of today", Spec: o.Spec,
	}
	if !reflect.DeepEqual(o, want) {
		t.Errorf("got %+v,\nwant %+v", o, want)
	}
	folder := fakeObject(Folders, "shop/main", 1)
	if o, _ := read(Folders, folder); o == nil || o.Title != "Title 1" || string(o.Spec) != `{"display":{"name":"Title 1"}}` {
		t.Errorf("got %+v", o)
	}
}

// TestReadStrange: whatever an object is like, it is shown or has a reason.
func TestReadStrange(t *testing.T) {
	for spec, reason := range map[string]string{
		`{}`: skippedConfig, `{"config": {}}`: skippedConfig, `{"config": null}`: skippedConfig, `{"config": []}`: skippedConfig,
		`{"config": "{}"}`: skippedConfig, `null`: skippedConfig, `[]`: skippedConfig, `{"display": {"name": "v1alpha1"}}`: skippedConfig,
		`{"config": {"a": 1}}`: "", `{"config": {"display": 7}}`: "", `{"config": {"display": {"name": {}, "description": []}}}`: "",
	} {
		u := fakeObject(Dashboards, "shop/sales", 1)
		var field any
		if err := json.Unmarshal([]byte(spec), &field); err != nil {
			t.Fatal(err)
		}
		u.Object["spec"] = field
		o, skipped := read(Dashboards, u)
		if (o == nil) != (reason != "") || (skipped == nil) == (reason != "") {
			t.Fatalf("%s: got %v, %v", spec, o, skipped)
		}
		if skipped != nil && *skipped != (Skipped{Dashboards, "shop", "sales", reason}) {
			t.Errorf("%s: got %+v", spec, skipped)
		}
		if o != nil && (o.Title != "" || o.Description != "") {
			t.Errorf("%s: got %+v", spec, o)
		}
	}
	if _, skipped := read(Dashboards, fakeObject(Dashboards, "shop/"+longName, 1)); skipped == nil || skipped.Reason != skippedName {
		t.Errorf("got %v", skipped)
	}
	if o, _ := read(Dashboards, fakeObject(Dashboards, "shop/"+longName[1:], 1)); o == nil {
		t.Error("a name of 75 characters was skipped")
	}
	if _, skipped := read(Folders, &unstructured.Unstructured{Object: map[string]any{}}); skipped == nil || skipped.Reason != skippedSpec {
		t.Errorf("got %v", skipped)
	}
}
