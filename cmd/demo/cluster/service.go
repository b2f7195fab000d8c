package cluster

//lint:file-ignore SA1019 Endpoints are deprecated, but they are what the service proxy reads.

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// appLabel marks a Service's Pods.
const appLabel = "app.kubernetes.io/name"

// Namespace makes a Namespace. One that is there already is left as it is.
func (c *Cluster) Namespace(ctx context.Context, name string) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_, err := c.client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("cluster: cannot make the namespace %s: %w", name, err)
	}
	return nil
}

// Service makes a Service with one port, and behind it one Pod for each backend, with the Endpoints and the EndpointSlice that
// a cluster's controllers would make. A backend is a loopback address with a port, such as 127.0.0.1:41234; the Pod's
// own made-up address leads there for the API server, and nowhere for anyone else. Without backends the Service has no
// endpoints. A Service that is there already gets the port and the backends given.
func (c *Cluster) Service(ctx context.Context, namespace, name, portName string, port int32, backends ...string) error {
	services := c.client.CoreV1().Services(namespace)
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{appLabel: name},
			Ports: []corev1.ServicePort{{
				Name: portName, Port: port, TargetPort: intstr.FromInt32(port), Protocol: corev1.ProtocolTCP,
			}},
		},
	}
	_, err := services.Create(ctx, service, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		var present *corev1.Service
		if present, err = services.Get(ctx, name, metav1.GetOptions{}); err == nil {
			present.Spec.Ports = service.Spec.Ports
			_, err = services.Update(ctx, present, metav1.UpdateOptions{})
		}
	}
	if err != nil {
		return fmt.Errorf("cluster: cannot make the service %s/%s: %w", namespace, name, err)
	}
	return c.SetBackends(ctx, namespace, name, backends...)
}

// SetBackends replaces the Pods and the endpoints of a Service made by Service; without backends it has none afterwards. New
// Pods are there before the endpoints name them, and old ones go after that. When it returns the API server's proxy goes by
// the new state.
func (c *Cluster) SetBackends(ctx context.Context, namespace, name string, backends ...string) error {
	service, err := c.client.CoreV1().Services(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("cluster: cannot read the service %s/%s, make it first with Service: %w", namespace, name, err)
	}
	old, err := c.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: appLabel + "=" + name})
	if err != nil {
		return fmt.Errorf("cluster: cannot list the pods of %s/%s: %w", namespace, name, err)
	}
	targets, err := loopbackAddresses(backends)
	if err != nil {
		return err
	}
	pods := make([]*corev1.Pod, 0, len(targets))
	for _, target := range targets {
		pod, err := c.pod(ctx, service, target)
		if err != nil {
			return fmt.Errorf("cluster: cannot put %s behind the service %s/%s: %w", target, namespace, name, err)
		}
		pods = append(pods, pod)
	}
	if err := c.writeEndpoints(ctx, service, pods); err != nil {
		return fmt.Errorf("cluster: cannot write the endpoints of %s/%s: %w", namespace, name, err)
	}
	if err := c.writeSlice(ctx, service, pods); err != nil {
		return fmt.Errorf("cluster: cannot write the endpoint slice of %s/%s: %w", namespace, name, err)
	}
	for i := range old.Items {
		if err := c.removePod(ctx, &old.Items[i]); err != nil {
			return fmt.Errorf("cluster: cannot remove the old pod %s/%s: %w", namespace, old.Items[i].Name, err)
		}
	}
	return nil
}

func loopbackAddresses(backends []string) ([]netip.AddrPort, error) {
	targets := make([]netip.AddrPort, 0, len(backends))
	for _, backend := range backends {
		target, err := netip.ParseAddrPort(backend)
		if err != nil || !target.Addr().IsLoopback() {
			return nil, fmt.Errorf("cluster: the backend %q is not a loopback address with a port, write one such as 127.0.0.1:9090", backend)
		}
		targets = append(targets, target)
	}
	return targets, nil
}

// pod makes a Pod that seems to run under a made-up address, and the mapping from there to the backend.
func (c *Cluster) pod(ctx context.Context, service *corev1.Service, target netip.AddrPort) (*corev1.Pod, error) {
	port := service.Spec.Ports[0].Port
	address, err := c.mapAddress(port, target)
	if err != nil {
		return nil, err
	}
	pods := c.client.CoreV1().Pods(service.Namespace)
	pod, err := pods.Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: service.Name + "-", Namespace: service.Namespace, Labels: map[string]string{appLabel: service.Name},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "backend", Image: "backend", Ports: []corev1.ContainerPort{{ContainerPort: port}},
		}}},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, errors.Join(err, os.Remove(c.mappingFile(address, port)))
	}
	pod.Status.Phase = corev1.PodRunning
	pod.Status.PodIP = address
	pod.Status.PodIPs = []corev1.PodIP{{IP: address}}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	return pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{})
}

func (c *Cluster) mappingFile(address string, port int32) string {
	return filepath.Join(c.info.Mapping, address+"_"+strconv.Itoa(int(port)))
}

// mapAddress takes a free address of 10.128.0.0/9. It is chosen at random, because the API server may still hold open
// connections to an address that was used before.
func (c *Cluster) mapAddress(port int32, target netip.AddrPort) (string, error) {
	temporary, err := os.CreateTemp(c.info.Mapping, ".new-")
	if err != nil {
		return "", fmt.Errorf("cannot write the mapping: %w", err)
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.WriteString(target.String())
	if err := errors.Join(err, temporary.Close()); err != nil {
		return "", fmt.Errorf("cannot write the mapping: %w", err)
	}
	for {
		n := rand.N(uint32(1) << 23)
		address := netip.AddrFrom4([4]byte{10, 128 | byte(n>>16), byte(n >> 8), byte(n)}).String()
		// A link appears as a whole, and fails if another one took the address.
		err := os.Link(temporary.Name(), c.mappingFile(address, port))
		if err == nil {
			return address, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return "", fmt.Errorf("cannot write the mapping: %w", err)
		}
	}
}

func (c *Cluster) removePod(ctx context.Context, pod *corev1.Pod) error {
	now := int64(0)
	err := c.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	// The Pod remembers its port, the Service may have got another one.
	if err := os.Remove(c.mappingFile(pod.Status.PodIP, pod.Spec.Containers[0].Ports[0].ContainerPort)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot remove the mapping: %w", err)
	}
	return nil
}

func podReference(pod *corev1.Pod) *corev1.ObjectReference {
	return &corev1.ObjectReference{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID}
}

// writeEndpoints writes what the service proxy reads. Only addresses that name an existing Pod count there.
func (c *Cluster) writeEndpoints(ctx context.Context, service *corev1.Service, pods []*corev1.Pod) error {
	endpoints := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: service.Name, Namespace: service.Namespace}}
	if len(pods) > 0 {
		port := service.Spec.Ports[0]
		subset := corev1.EndpointSubset{
			Ports: []corev1.EndpointPort{{Name: port.Name, Port: port.Port, Protocol: port.Protocol}},
		}
		for _, pod := range pods {
			subset.Addresses = append(subset.Addresses, corev1.EndpointAddress{IP: pod.Status.PodIP, TargetRef: podReference(pod)})
		}
		endpoints.Subsets = []corev1.EndpointSubset{subset}
	}
	api := c.client.CoreV1().Endpoints(service.Namespace)
	_, err := api.Create(ctx, endpoints, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = api.Update(ctx, endpoints, metav1.UpdateOptions{})
	}
	return err
}

// writeSlice writes what a watcher reads.
func (c *Cluster) writeSlice(ctx context.Context, service *corev1.Service, pods []*corev1.Pod) error {
	port := service.Spec.Ports[0]
	yes := true
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name: service.Name, Namespace: service.Namespace, Labels: map[string]string{discoveryv1.LabelServiceName: service.Name},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &port.Name, Port: &port.Port, Protocol: &port.Protocol}},
	}
	for _, pod := range pods {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
			Addresses:  []string{pod.Status.PodIP},
			Conditions: discoveryv1.EndpointConditions{Ready: &yes, Serving: &yes},
			TargetRef:  podReference(pod),
		})
	}
	api := c.client.DiscoveryV1().EndpointSlices(service.Namespace)
	_, err := api.Create(ctx, slice, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = api.Update(ctx, slice, metav1.UpdateOptions{})
	}
	return err
}
