package kube

import (
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
)

// endpointSlices hold the pods of Services, each slice some of one Service.
var endpointSlices = schema.GroupVersionResource{Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"}

// serviceNameLabel names the Service that a slice belongs to.
const serviceNameLabel = "kubernetes.io/service-name"

// podSlice is what is kept of an EndpointSlice: its ready pods. It is immutable.
type podSlice struct {
	metav1.ObjectMeta // name, namespace and resource version alone
	service           string
	ports             []slicePort
	pods              []slicePod
}

type slicePort struct {
	name   string
	number int32
}

type slicePod struct{ name, uid string }

// wholeSlice is the part of an EndpointSlice (discovery.k8s.io/v1) that is read.
type wholeSlice struct {
	Ports []struct {
		Name     string `json:"name"`
		Protocol string `json:"protocol"`
		Port     *int64 `json:"port"`
	} `json:"ports"`
	Endpoints []wholeEndpoint `json:"endpoints"`
}

type wholeEndpoint struct {
	Conditions struct {
		Ready       *bool `json:"ready"`
		Terminating *bool `json:"terminating"`
	} `json:"conditions"`
	TargetRef struct {
		Kind      string `json:"kind"`
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
		UID       string `json:"uid"`
	} `json:"targetRef"`
}

// usable tells whether a ready pod of the namespace stands behind the endpoint.
// What is not said about readiness counts as ready, as the API has it. The
// pod's name becomes part of a URL, and whoever writes slices chooses it.
func (e *wholeEndpoint) usable(namespace string) bool {
	ready := e.Conditions.Ready == nil || *e.Conditions.Ready
	ending := e.Conditions.Terminating != nil && *e.Conditions.Terminating
	ref := &e.TargetRef
	return ready && !ending && ref.Kind == "Pod" && (ref.Namespace == "" || ref.Namespace == namespace) &&
		len(validation.IsDNS1123Subdomain(ref.Name)) == 0
}

// reduceSlice keeps what is needed of a slice. It takes its own results, too.
func reduceSlice(o any) *podSlice {
	object, ok := o.(*unstructured.Unstructured)
	if !ok {
		return o.(*podSlice)
	}
	s := &podSlice{
		ObjectMeta: metav1.ObjectMeta{Name: object.GetName(), Namespace: object.GetNamespace(), ResourceVersion: object.GetResourceVersion()},
		service:    object.GetLabels()[serviceNameLabel],
	}
	var whole wholeSlice
	if runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &whole) != nil {
		return s // no slice that an API server hands out: it has no pods
	}
	for _, p := range whole.Ports {
		if p.Port != nil && *p.Port > 0 && *p.Port < 1<<16 && (p.Protocol == "" || p.Protocol == "TCP") {
			s.ports = append(s.ports, slicePort{name: p.Name, number: int32(*p.Port)})
		}
	}
	for i := range whole.Endpoints {
		if e := &whole.Endpoints[i]; e.usable(s.Namespace) {
			// Copies: a part of the whole would keep the whole in memory.
			s.pods = append(s.pods, slicePod{name: strings.Clone(e.TargetRef.Name), uid: strings.Clone(e.TargetRef.UID)})
		}
	}
	return s
}

// readyPod is a pod in a Service, from when it becomes ready until it no longer
// is: when it is ready again it is another readyPod.
type readyPod struct {
	name, uid string
	port      int32
}

// servicePods are the ready pods of a Service. They are immutable.
type servicePods struct{ ports []portPods }

// portPods are the pods that have the port of that name.
type portPods struct {
	name string
	pods []*readyPod
}

// mergeSlices makes one of all slices of a Service. Two may hold the same pod:
// there is one for each address family, and pods move between slices.
func mergeSlices(all map[string]*podSlice, before *servicePods) *servicePods {
	merged := &servicePods{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		s := all[name]
		for _, port := range s.ports {
			i := merged.index(port.name)
			if i < 0 {
				i = len(merged.ports)
				merged.ports = append(merged.ports, portPods{name: port.name})
			}
			for _, pod := range s.pods {
				merged.ports[i].add(&readyPod{name: pod.name, uid: pod.uid, port: port.number}, before)
			}
		}
	}
	return merged
}

func (s *servicePods) index(port string) int {
	return slices.IndexFunc(s.ports, func(p portPods) bool { return p.name == port })
}

// add takes a pod in, as the one that it was before where it was ready already.
func (p *portPods) add(pod *readyPod, before *servicePods) {
	if slices.ContainsFunc(p.pods, func(present *readyPod) bool { return present.name == pod.name }) {
		return
	}
	if before != nil {
		if i := before.index(p.name); i >= 0 {
			old := before.ports[i].pods
			if j := slices.IndexFunc(old, func(was *readyPod) bool { return *was == *pod }); j >= 0 {
				pod = old[j]
			}
		}
	}
	p.pods = append(p.pods, pod)
}
