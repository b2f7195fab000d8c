package kube

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/promgate/promgate/routing"
)

// maxPodNames bounds how many pods a sentence names.
const maxPodNames = 5

// examinedService is what an examination reads of a Service.
type examinedService struct {
	Spec struct {
		Type         string            `json:"type"`
		ExternalName string            `json:"externalName"`
		Selector     map[string]string `json:"selector"`
		Ports        []examinedPort    `json:"ports"`
	} `json:"spec"`
}

type examinedPort struct {
	Name string `json:"name"`
	Port int64  `json:"port"`
}

// examinedSlice is what an examination reads of an EndpointSlice.
type examinedSlice struct {
	Ports []struct {
		Name string `json:"name"`
		Port int64  `json:"port"`
	} `json:"ports"`
	Endpoints []examinedEndpoint `json:"endpoints"`
}

type examinedEndpoint struct {
	Addresses  []string `json:"addresses"`
	Conditions struct {
		Ready *bool `json:"ready"`
	} `json:"conditions"`
	TargetRef *struct {
		Kind string `json:"kind"`
		Name string `json:"name"`
	} `json:"targetRef"`
}

// ready: what is not said counts as ready, as the API has it.
func (e *examinedEndpoint) ready() bool { return e.Conditions.Ready == nil || *e.Conditions.Ready }

// pod is the pod's name; empty where no pod stands behind the address.
func (e *examinedEndpoint) pod() string {
	if e.TargetRef == nil || e.TargetRef.Kind != "Pod" {
		return ""
	}
	return e.TargetRef.Name
}

// decodeExamined fills one of the types above. Fields of other types than Kubernetes
// has them stay empty.
func decodeExamined(object *unstructured.Unstructured, into any) {
	_ = runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, into)
}

func (x *examination) noNamespace() []routing.Hop {
	return hopFailed(routing.HopService, "the namespace "+x.ref.Namespace+" does not exist",
		"the namespace is mistyped, was deleted, or is on another cluster than "+x.cluster.Name+": correct the environment, or make the namespace and its Service")
}

// pinning asks for what replicas: pin needs. Without it the service proxy is
// used, and nothing is refused.
func (x *examination) pinning(ctx context.Context) []routing.Hop {
	type need struct{ verb, group, resource, role string }
	needs := []need{
		{"get", "", "pods/proxy", "get"}, {"list", endpointSlices.Group, "endpointslices", "get"}, {"watch", endpointSlices.Group, "endpointslices", "get"},
	}
	if x.post {
		needs = append(needs, need{"create", "", "pods/proxy", "create"})
	}
	var missing, verbs []string
	for _, n := range needs {
		if allowed, err := x.may(ctx, n.verb, n.group, n.resource, ""); err != nil || !allowed {
			missing = append(missing, n.verb+" "+n.resource)
			verbs = append(verbs, n.role)
		}
	}
	if len(missing) == 0 {
		return hopPassed(routing.HopRBAC, "may use pods/proxy, and list and watch endpointslices, in namespace "+x.ref.Namespace+", for replicas: pin")
	}
	var roles []string
	for _, verb := range slices.Compact(verbs) {
		roles = append(roles, podsRole(x.ref.Namespace, verb, x.who))
	}
	h := hopSkipped(routing.HopRBAC, "replicas: pin has no effect, for the gateway may not "+strings.Join(missing, ", ")+
		": questions go through the service proxy, to any ready pod")
	h[0].Apply = strings.Join(roles, "---\n")
	return h
}

// declared looks at the Service itself, where the gateway may.
func (x *examination) declared(ctx context.Context) []routing.Hop {
	c, ref := x.cluster, x.ref
	object, err := c.Client.Resource(examined.services).Namespace(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsForbidden(err):
		return hopSkipped(routing.HopService, "the gateway may not read Services here, and need not: the next hops tell as much")
	case apierrors.IsNotFound(err):
		if _, err := c.Client.Resource(namespaces).Get(ctx, ref.Namespace, metav1.GetOptions{}); apierrors.IsNotFound(err) {
			return x.noNamespace()
		}
		return hopFailed(routing.HopService, fmt.Sprintf("the namespace %s has no Service %s", ref.Namespace, ref.Name),
			"the Service's name or namespace is mistyped, or it was deleted: kubectl -n "+ref.Namespace+" get services lists those that are there")
	case err != nil:
		return x.unanswered(err, routing.HopService)
	}
	var service examinedService
	decodeExamined(object, &service)
	if service.Spec.Type == "ExternalName" {
		return hopFailed(routing.HopService, fmt.Sprintf("the Service %s is an ExternalName for %s", ref.Name, service.Spec.ExternalName),
			"the API server's proxy leads to pods of the cluster alone: give the environment the url of that host instead of the service")
	}
	if !slices.ContainsFunc(service.Spec.Ports, x.isPort) {
		return hopFailed(routing.HopService, fmt.Sprintf("the Service %s declares no port %s: it declares %s", ref.Name, ref.Port, examinedPortList(service.Spec.Ports)),
			"write one of these ports for the environment, by its name or number; a pod's own port (targetPort) is not meant, unless the Service has the same")
	}
	x.service = &service
	return hopPassed(routing.HopService, fmt.Sprintf("the Service %s declares the port %s", ref.Name, ref.Port))
}

// isPort compares as the API server does: what reads as a number is one.
func (x *examination) isPort(p examinedPort) bool {
	if n, err := strconv.ParseInt(x.ref.Port, 10, 64); err == nil {
		return p.Port == n
	}
	return p.Name == x.ref.Port
}

func examinedPortList(ports []examinedPort) string {
	if len(ports) == 0 {
		return "none"
	}
	words := make([]string, 0, len(ports))
	for _, p := range ports {
		word := strconv.FormatInt(p.Port, 10)
		if p.Name != "" {
			word = p.Name + " (" + word + ")"
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

// endpoints looks whether pods stand behind the Service, where the gateway may.
func (x *examination) endpoints(ctx context.Context) []routing.Hop {
	ref := x.ref
	list, err := x.cluster.Client.Resource(endpointSlices).Namespace(ref.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: serviceNameLabel + "=" + ref.Name,
	})
	switch {
	case apierrors.IsForbidden(err), apierrors.IsNotFound(err):
		return hopSkipped(routing.HopEndpoints, "the gateway may not read EndpointSlices here, and need not: the next hops tell as much")
	case err != nil:
		return x.unanswered(err, routing.HopEndpoints)
	}
	found := &behind{ports: map[string]bool{}}
	portName, named := x.portName()
	for i := range list.Items {
		var slice examinedSlice
		decodeExamined(&list.Items[i], &slice)
		found.add(&slice, portName, named)
	}
	if h, bad := x.nobody(found); bad {
		return []routing.Hop{h}
	}
	slices.Sort(found.pods)
	found.pods = slices.Compact(found.pods) // of two address families, both name it
	text := "1 ready pod: " + found.pods[0]
	if n := len(found.pods); n > 1 {
		text = fmt.Sprintf("%d ready pods (%s); the API server picks one at random for each question", n, firstFew(found.pods))
		if ref.Pin {
			text = fmt.Sprintf("%d ready pods (%s)", n, firstFew(found.pods))
		}
	}
	return hopPassed(routing.HopEndpoints, text)
}

// portName is the name that the Service's port goes by in its endpoints, where
// that can be told.
func (x *examination) portName() (name string, known bool) {
	if x.service != nil {
		i := slices.IndexFunc(x.service.Spec.Ports, x.isPort)
		return x.service.Spec.Ports[i].Name, true
	}
	_, err := strconv.Atoi(x.ref.Port)
	return x.ref.Port, err != nil
}

// behind is what stands behind a Service.
type behind struct {
	ports map[string]bool // of all slices with endpoints
	total int
	// Of the slices that have the port:
	onPort      int
	pods        []string // ready ones
	unready     []string
	handWritten []string // ready addresses without a pod
}

func (b *behind) add(slice *examinedSlice, portName string, portKnown bool) {
	if len(slice.Endpoints) == 0 {
		return
	}
	b.total += len(slice.Endpoints)
	onPort := !portKnown
	for _, p := range slice.Ports {
		b.ports[examinedPortText(p.Name, p.Port)] = true
		onPort = onPort || p.Name == portName
	}
	if !onPort {
		return
	}
	for i := range slice.Endpoints {
		e := &slice.Endpoints[i]
		address := strings.Join(e.Addresses, ",")
		b.onPort++
		switch pod := e.pod(); {
		case !e.ready() && pod == "":
			b.unready = append(b.unready, address)
		case !e.ready():
			b.unready = append(b.unready, pod)
		case pod == "":
			b.handWritten = append(b.handWritten, address)
		default:
			b.pods = append(b.pods, pod)
		}
	}
}

func examinedPortText(name string, port int64) string {
	return examinedPortList([]examinedPort{{Name: name, Port: port}})
}

// nobody explains why no pod can answer, where none can.
func (x *examination) nobody(b *behind) (routing.Hop, bool) {
	ref := x.ref
	h := routing.Hop{Name: routing.HopEndpoints, Status: routing.HopFailed}
	switch {
	case len(b.pods) > 0:
		return h, false
	case b.total == 0:
		h.Found = "no endpoints: no pod stands behind the Service " + ref.Name
		h.Cause = "no pod runs that the Service's selector matches: is Prometheus scaled to 0, crashing, or labelled otherwise? kubectl -n " + ref.Namespace + " get pods --show-labels tells"
		if x.service != nil && len(x.service.Spec.Selector) == 0 {
			h.Cause = "the Service has no selector, and nobody has made endpoints for it: give it a selector that matches Prometheus' pods"
		} else if x.service != nil {
			h.Cause = "no pod runs that the Service's selector " + selectorText(x.service.Spec.Selector) + " matches: is Prometheus scaled to 0, crashing, or labelled otherwise? kubectl -n " +
				ref.Namespace + " get pods -l " + selectorText(x.service.Spec.Selector) + " lists them"
		}
	case b.onPort == 0:
		h.Found = fmt.Sprintf("no endpoints for the port %s: those that are there have %s", ref.Port, strings.Join(slices.Sorted(maps.Keys(b.ports)), ", "))
		h.Cause = "the Service's targetPort names a port that its pods do not have, or the Service does not declare this port: compare kubectl -n " + ref.Namespace + " describe service " + ref.Name
	case len(b.handWritten) > 0:
		h.Found = "the endpoints of the Service " + ref.Name + " are no pods, but written by hand: " + firstFew(b.handWritten)
		h.Cause = "the API server's proxy leads to addresses with a targetRef to a Pod alone: give the environment the url of that address instead of the service, or the Service a selector"
	default:
		h.Found = "none of the pods is ready: " + firstFew(b.unready)
		h.Cause = "Prometheus is starting (after a crash it reads its write-ahead log first), or its readiness probe fails: kubectl -n " + ref.Namespace + " describe pod " + b.unready[0] + " tells why"
	}
	return h, true
}

func selectorText(selector map[string]string) string {
	pairs := make([]string, 0, len(selector))
	for _, key := range slices.Sorted(maps.Keys(selector)) {
		pairs = append(pairs, key+"="+selector[key])
	}
	return strings.Join(pairs, ",")
}

// firstFew names the first few.
func firstFew(names []string) string {
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) > maxPodNames {
		return strings.Join(names[:maxPodNames], ", ") + fmt.Sprintf(" and %d more", len(names)-maxPodNames)
	}
	return strings.Join(names, ", ")
}
