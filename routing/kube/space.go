package kube

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/promgate/promgate/routing"
)

var namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}

// object is what is kept of an object of the cluster. All but seen and
// candidate is immutable.
type object struct {
	metav1.ObjectMeta // name, namespace, UID, resource version and creation time alone
	source            *source
	claim             *claim // nil: it describes no environment
	// seen is its place among all objects in the order of their first sight.
	seen uint64
	// candidate is what was made of it for the project.
	candidate *routing.Candidate
	project   *routing.Project
}

func reduce(s *source, o *unstructured.Unstructured) *object {
	reduced := &object{
		ObjectMeta: metav1.ObjectMeta{
			Name: o.GetName(), Namespace: o.GetNamespace(), UID: o.GetUID(),
			ResourceVersion: o.GetResourceVersion(), CreationTimestamp: o.GetCreationTimestamp(),
		},
		source: s,
	}
	if s.read != nil {
		reduced.claim = s.read(o)
	}
	return reduced
}

// title names the object for people; it is unique among all.
func (o *object) title(cluster string) string {
	return o.source.kind + " " + o.Namespace + "/" + o.Name + " on cluster " + cluster
}

type objectKey struct {
	source *source
	name   string
}

// space is a namespace. Those that are selected are projects.
//
// Its UID is the project's, so that a namespace that is deleted and made again
// is another project. Watches of different kinds have no common order: an
// object of the new namespace may be seen before anything tells that the old
// one is gone. Therefore an object counts only when the namespace was read
// after the object was first seen.
type space struct {
	name     string
	selected bool
	objects  map[objectKey]*object
	project  *routing.Project // nil while the UID is not known
	fault    string           // why the UID cannot be known, with what to do

	// verified is how many objects were seen before the namespace was read.
	verified uint64
	newest   uint64    // the greatest seen of its objects
	checked  bool      // it was read, or may not be
	checking bool      // it is being read
	stale    bool      // it is to be read again
	notUntil time.Time // after a read that failed
}

func newSpace(name string) *space {
	return &space{name: name, objects: map[objectKey]*object{}}
}

// wantsCheck tells whether the namespace has to be read now.
func (sp *space) wantsCheck() bool {
	return sp.selected && !sp.checking && !time.Now().Before(sp.notUntil) && (sp.stale || !sp.checked || sp.newest > sp.verified)
}

// known tells whether all that was seen of the namespace can be published, or
// is known to belong to nobody knows whom.
func (sp *space) known() bool {
	return !sp.selected || sp.checked && (sp.newest <= sp.verified || sp.fault != "")
}

// drop forgets the objects of a source.
func (sp *space) drop(s *source) {
	maps.DeleteFunc(sp.objects, func(key objectKey, _ *object) bool { return key.source == s })
}

// put takes an object in and tells whether anything changed.
func (sp *space) put(o *object, seen func() uint64) bool {
	key := objectKey{o.source, o.Name}
	before := sp.objects[key]
	if before != nil && before.UID == o.UID {
		o.seen = before.seen
		if reflect.DeepEqual(before.claim, o.claim) {
			return false // it is as good as the new one
		}
	} else {
		o.seen = seen()
		sp.newest = o.seen
	}
	sp.objects[key] = o
	return true
}

// candidates are the environments of the namespace, and what is none for a
// reason.
func (sp *space) candidates(c *Cluster) []routing.Candidate {
	if !sp.selected || sp.project == nil && sp.fault == "" {
		return nil
	}
	governed := map[string][]*object{} // by Service
	for _, o := range sp.objects {
		if o.claim != nil && o.claim.ambiguous {
			governed[o.claim.ref.Name] = append(governed[o.claim.ref.Name], o)
		}
	}
	var all []routing.Candidate
	for _, o := range sp.objects {
		if o.claim == nil || o.seen > sp.verified && sp.fault == "" {
			continue
		}
		candidate := o.made(c, sp)
		if rivals := governed[o.claim.ref.Name]; o.claim.ambiguous && len(rivals) > 1 {
			candidate.Environment, candidate.Cause = nil, routing.CauseConflict
			faults := []string{shared(o, rivals)}
			if candidate.Reason != "" {
				faults = append(faults, candidate.Reason)
			}
			candidate.Reason = joinFaults(faults)
		}
		all = append(all, candidate)
	}
	return all
}

// shared says that several servers answer under one Service.
func shared(o *object, rivals []*object) string {
	var others []string
	for _, r := range rivals {
		if r != o {
			others = append(others, r.Name)
		}
	}
	slices.Sort(others)
	return fmt.Sprintf("the Service %s stands for %s %s as well, and either might answer; set spec.serviceName, or label a Service of its own instead",
		o.claim.ref.Name, o.source.kind, others[0])
}

// made is the candidate of an object, made once for each project.
func (o *object) made(c *Cluster, sp *space) routing.Candidate {
	project := sp.project
	if o.seen > sp.verified {
		project = nil // the one that is known may be gone
	}
	if o.candidate != nil && o.project == project && project != nil {
		return *o.candidate
	}
	candidate := routing.Candidate{
		Project: sp.name, Name: o.claim.environment, Source: o.title(c.Name), Since: o.CreationTimestamp.Time,
	}
	faults := o.claim.faults
	if project == nil {
		faults = append(slices.Clone(faults), sp.fault)
	}
	var target *routing.Target
	if len(faults) == 0 {
		var err error
		if target, err = c.Service(o.claim.ref); err != nil {
			faults = append(faults, err.Error())
		}
	}
	if len(faults) > 0 {
		candidate.Cause, candidate.Reason = routing.CauseInvalid, joinFaults(faults)
	} else {
		candidate.Environment = &routing.Environment{
			Project: project, Name: o.claim.environment,
			// The namespace is the tenant: an object made again in it under the
			// same name is the same environment.
			UID:    project.UID + "/" + o.claim.environment,
			Target: target, Source: candidate.Source, Allow: o.claim.allow, AllowPost: o.claim.allowPost, NoCache: o.claim.noCache, Enforce: o.claim.enforce,
			Aliases: o.claim.aliases,
		}
	}
	o.candidate, o.project = &candidate, project
	return candidate
}

func joinFaults(faults []string) string {
	text := faults[0]
	for _, f := range faults[1:] {
		text += "; also, " + f
	}
	return text
}

// recheck has named namespaces read now and then: without a right over the
// whole cluster they cannot be watched.
func (d *Discovery) recheck(ctx context.Context) {
	ticker := time.NewTicker(recheckInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		d.mu.Lock()
		for _, sp := range d.spaces {
			sp.stale = true
		}
		d.awake()
		d.mu.Unlock()
	}
}

// check reads a namespace: it is the word on which project the objects belong
// to that were seen before.
func (d *Discovery) check(ctx context.Context, sp *space) {
	select {
	case d.checks <- struct{}{}:
		defer func() { <-d.checks }()
	case <-ctx.Done():
		return
	}
	d.mu.Lock()
	seen := d.seen
	sp.stale = false
	d.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	namespace, err := d.cluster.Client.Resource(namespaces).Get(ctx, sp.name, metav1.GetOptions{})
	d.mu.Lock()
	defer d.mu.Unlock()
	sp.checking = false
	project, fault, waiting := sp.project, sp.fault, sp.newest > sp.verified
	switch {
	case err == nil:
		sp.identify(namespace.GetUID(), d.cluster.Name)
		sp.verified, sp.checked = seen, true
	case apierrors.IsNotFound(err):
		sp.project, sp.fault, sp.verified, sp.checked = nil, "", seen, true
	case apierrors.IsForbidden(err):
		// What is known stays; what is new belongs to nobody knows whom.
		sp.checked = true
		sp.fault = "the namespace's UID, which is the project's identity, cannot be read; grant the gateway get on the namespace"
		d.later(sp, recheckInterval)
	default:
		d.later(sp, time.Second)
	}
	if apierrors.IsNotFound(err) && d.selecting != nil {
		err = nil // it is gone, and nobody named it
	}
	d.report(problemKey{"namespaces", sp.name}, err)
	if project != sp.project || fault != sp.fault || waiting {
		d.touch(sp.name)
	}
	d.awake()
}

// later has a namespace read again after a while.
func (d *Discovery) later(sp *space, wait time.Duration) {
	sp.stale, sp.notUntil = true, time.Now().Add(wait)
	time.AfterFunc(wait, func() {
		d.awake()
	})
}

// identify sets the project. The same one stays the same, so that nothing that
// was made for it has to be made again.
func (sp *space) identify(uid types.UID, cluster string) {
	sp.fault = ""
	if sp.project == nil || sp.project.UID != string(uid) {
		sp.project = &routing.Project{Name: sp.name, UID: string(uid), Cluster: cluster}
	}
}
