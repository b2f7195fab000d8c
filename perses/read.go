package perses

import (
	"cmp"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
)

const (
	// maxObjectName is Perses' own limit, in characters. One longer name makes its
	// clients reject a whole list.
	maxObjectName = 75
	// tagsAnnotation and environmentAnnotation are what is read of an object's
	// annotations.
	tagsAnnotation        = "perses.dev/tags"
	environmentAnnotation = "promgate.io/environment"
)

// The reasons for which an object cannot be shown.
const (
	skippedConfig = "it has no spec.config: perses-operator serves it in an old version without its conversion webhook, " +
		"or it was written for v1alpha1; write it for perses.dev/v1alpha2"
	skippedSpec = "it has no spec"
	skippedName = "its name is longer than the 75 characters that Perses takes; give it a shorter one"
)

// read makes of a Kubernetes object what Perses sees of it, or tells why it
// cannot be shown.
func read(k *Kind, u *unstructured.Unstructured) (*Object, *Skipped) {
	skip := func(reason string) (*Object, *Skipped) {
		return nil, &Skipped{Kind: k, Namespace: u.GetNamespace(), Name: u.GetName(), Reason: reason}
	}
	if len(u.GetName()) > maxObjectName {
		return skip(skippedName)
	}
	path, reason := []string{"spec", "config"}, skippedConfig
	if k == Folders {
		path, reason = path[:1], skippedSpec
	}
	field, _, _ := unstructured.NestedFieldNoCopy(u.Object, path...)
	spec, _ := field.(map[string]any)
	if len(spec) == 0 {
		return skip(reason)
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return skip(reason)
	}
	annotations := u.GetAnnotations()
	o := &Object{
		Kind: k, Namespace: u.GetNamespace(), Name: u.GetName(), Revision: u.GetResourceVersion(),
		Created: u.GetCreationTimestamp().UTC(), Updated: lastWritten(u), Version: uint64(max(u.GetGeneration(), 0)),
		Environment: strings.TrimSpace(annotations[environmentAnnotation]), Spec: text,
	}
	for tag := range strings.SplitSeq(annotations[tagsAnnotation], ",") {
		if tag = strings.TrimSpace(tag); tag != "" && !slices.Contains(o.Tags, tag) {
			o.Tags = append(o.Tags, tag)
		}
	}
	o.Title, _, _ = unstructured.NestedString(spec, "display", "name")
	o.Description, _, _ = unstructured.NestedString(spec, "display", "description")
	return o, nil
}

// lastWritten is when the object was written last, apart from its status.
func lastWritten(u *unstructured.Unstructured) time.Time {
	last := u.GetCreationTimestamp().Time
	for _, m := range u.GetManagedFields() {
		if m.Subresource != "status" && m.Time != nil && m.Time.After(last) {
			last = m.Time.Time
		}
	}
	return last.UTC()
}

// resourceOf is how the API server calls a kind.
func resourceOf(k *Kind) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: k.Group, Version: k.Version, Resource: k.Resource}
}

// canBeProject tells whether a namespace can have the name.
func canBeProject(name string) bool { return len(validation.IsDNS1123Label(name)) == 0 }

// canBeObject tells whether an object that is shown can have the name.
func canBeObject(name string) bool {
	return len(name) <= maxObjectName && len(validation.IsDNS1123Subdomain(name)) == 0
}

// byPlace orders objects by namespace and name.
func byPlace(a, b *Object) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

func bySkippedPlace(a, b Skipped) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// maxSkipsRemembered bounds what is remembered of what was logged.
const maxSkipsRemembered = 16384

// skipLog tells of each object once, until it changes, why it is not shown.
type skipLog struct {
	logger  *slog.Logger
	cluster string
	known   *lru.Cache[skipKey, skipState]
}

type skipKey struct {
	kind            *Kind
	namespace, name string
}

type skipState struct {
	reason     string
	generation int64
	created    metav1.Time
}

func newSkipLog(logger *slog.Logger, cluster string) *skipLog {
	// The only error is a size that is not positive.
	known, _ := lru.New[skipKey, skipState](maxSkipsRemembered)
	return &skipLog{logger: logger, cluster: cluster, known: known}
}

// note logs what is new.
func (l *skipLog) note(s *Skipped, u *unstructured.Unstructured) {
	key := skipKey{s.Kind, s.Namespace, s.Name}
	state := skipState{s.Reason, u.GetGeneration(), u.GetCreationTimestamp()}
	if before, found, _ := l.known.PeekOrAdd(key, state); found {
		if before == state {
			return
		}
		l.known.Add(key, state)
	}
	l.logger.Warn("an object cannot be shown among the dashboards", "cluster", l.cluster, "kind", s.Kind.Object,
		"namespace", s.Namespace, "name", s.Name, "reason", s.Reason)
}
