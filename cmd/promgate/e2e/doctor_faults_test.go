package e2e

//lint:file-ignore SA1019 Endpoints are deprecated, but they are what the service proxy reads.

import (
	"encoding/base64"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// injected are the faults of everything behind the API server.
func injected() []fault {
	return append(append(grantFaults(), serviceFaults()...), serverFaults()...)
}

func grantFaults() []fault {
	role := func(names []string, verbs ...string) func(*testing.T, string, string) {
		return func(t *testing.T, namespace, name string) {
			allow(t, namespace, name, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"services/proxy"}, ResourceNames: names, Verbs: verbs})
		}
	}
	return []fault{
		{name: "no-role", ungranted: true, hop: "rbac", found: "promgate may not get services/proxy http:no-role:web in namespace NAMESPACE"},
		{name: "other-literal", ungranted: true, damage: role([]string{"other-literal:web"}, "get"), hop: "rbac",
			found: "a Role grants other-literal:web instead, but RBAC compares the name literally, and the gateway's requests name http:other-literal:web"},
		{name: "create-only", ungranted: true, damage: role([]string{"http:create-only:web"}, "create"), hop: "rbac", found: "the verb get is missing"},
		{name: "no-create", extra: ", allowPost: true", hop: "rbac", found: "may not create services/proxy http:no-create:web"},
		{name: "no-create-read", extra: ", allow: [remoteRead]", hop: "rbac", found: "may not create services/proxy http:no-create-read:web"},
	}
}

func serviceFaults() []fault {
	return []fault{
		{name: "absent", damage: func(t *testing.T, namespace, name string) {
			must(t, controlPlane(t).Client().CoreV1().Services(namespace).Delete(t.Context(), name, metav1.DeleteOptions{}))
		}, hop: "service", found: "not found", readerFound: "the namespace NAMESPACE has no Service absent"},
		{name: "namespace", hop: "service", found: "not found", readerFound: "the namespace NAMESPACE-missing does not exist"},
		{name: "external", damage: external, repair: internal, hop: "service", found: "not found", readerFound: "is an ExternalName for prometheus.example"},
		// The API server itself tells a port name that is not declared from no endpoints by nothing.
		{name: "port-name", setting: "port: http", hop: "endpoints", found: `the Service declares no port "http"`,
			readerHop: "service", readerFound: "declares no port http: it declares web (9090)"},
		{name: "port-number", setting: `port: "9999"`, hop: "service", found: "no service port 9999 found",
			readerFound: "declares no port 9999: it declares web (9090)"},
		{name: "empty", backend: nobody, damage: func(t *testing.T, namespace, name string) {
			must(t, controlPlane(t).SetBackends(t.Context(), namespace, name))
		}, hop: "endpoints", found: "no pod stands behind the Service", readerFound: "selector app.kubernetes.io/name=empty"},
		{name: "unready", damage: unready, hop: "endpoints", found: "no pod is ready", readerFound: "none of the pods is ready: unready-"},
		{name: "by-hand", damage: byHand, hop: "endpoints", found: "written by hand", readerFound: "written by hand: 10."},
		{name: "target-port", damage: otherPort, hop: "endpoints", found: "there are endpoints, but none that can be used", readerFound: "those that are there have metrics (9090)"},
	}
}

func serverFaults() []fault {
	behaving := func(h http.HandlerFunc) func(*testing.T) string {
		return func(t *testing.T) string {
			server := startMoody(t)
			server.behave(h)
			return server.address()
		}
	}
	return []fault{
		{name: "stopped", backend: nobody, hop: "connection", found: "error trying to reach service"},
		{name: "plain", setting: "scheme: https", hop: "connection", found: "set scheme: http"},
		{name: "encrypted", backend: encrypted, good: encrypted, mended: "scheme: https", hop: "connection", found: "set scheme: https"},
		{name: "prefix", setting: "pathPrefix: /prometheus", hop: "prometheus", found: "Prometheus answers without the path /prometheus: remove pathPrefix"},
		{name: "no-prefix", backend: below, good: below, mended: "pathPrefix: /prom", hop: "prometheus", found: "set pathPrefix: /prom"},
		{name: "page", backend: behaving(plain(200, "text/html", "<html><body>Log in</body></html>")), hop: "prometheus", found: "a web page (HTML, status 200)"},
		{name: "redirect", backend: behaving(plain(302, "text/plain", "", "Location", "https://login.example/sign/in?secret=x")), hop: "prometheus", found: "is redirected (status 302) to the path /sign/in"},
		{name: "starting", backend: behaving(plain(503, "text/plain", "Service Unavailable")), hop: "prometheus", found: "Prometheus is starting"},
		{name: "hanging", backend: behaving(hang), hop: "prometheus", found: "timeout: no answer to GET /-/ready within 10s"},
		{name: "unauthorized", backend: behaving(plain(401, "text/plain", "no")), hop: "prometheus", found: "the server itself refuses GET /api/v1/query with status 401"},
		{name: "elsewhere", backend: behaving(plain(404, "text/plain", "404 page not found\n")), hop: "prometheus", found: "the server answers 404 at everything below /"},
		{name: "alertmanager", backend: behaving(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/-/ready" {
				w.WriteHeader(http.StatusNotFound)
			}
		}), hop: "prometheus", found: "another program, such as Alertmanager"},
		{name: "broken", backend: behaving(plain(422, "application/json", `{"status":"error","errorType":"execution","error":"out of memory"}`)),
			hop: "prometheus", found: "execution: out of memory"},
		{name: "closing", backend: behaving(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), hop: "connection", found: "the pod closed the connection"},
	}
}

// nobody is an address at which nobody listens.
func nobody(t *testing.T) string {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, closed.Close())
	return closed.Addr().String()
}

// toFixture passes questions on to the fixture.
func toFixture(t *testing.T) http.Handler {
	target, err := url.Parse(fixture(t).URL())
	must(t, err)
	return httputil.NewSingleHostReverseProxy(target)
}

// encrypted is the fixture behind TLS.
func encrypted(t *testing.T) string {
	server := httptest.NewTLSServer(toFixture(t))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// below is the fixture below the path /prom, as Prometheus serves with --web.route-prefix=/prom.
func below(t *testing.T) string {
	mux := http.NewServeMux()
	mux.Handle("/prom/", http.StripPrefix("/prom", toFixture(t)))
	mux.Handle("/{$}", http.RedirectHandler("/prom", http.StatusFound))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// external makes the Service one that leads out of the cluster, where there are no endpoints.
func external(t *testing.T, namespace, name string) {
	client := controlPlane(t).Client().CoreV1()
	must(t, controlPlane(t).SetBackends(t.Context(), namespace, name))
	must(t, client.Endpoints(namespace).Delete(t.Context(), name, metav1.DeleteOptions{}))
	service, err := client.Services(namespace).Get(t.Context(), name, metav1.GetOptions{})
	must(t, err)
	service.Spec.Type, service.Spec.ExternalName = corev1.ServiceTypeExternalName, "prometheus.example"
	service.Spec.ClusterIP, service.Spec.ClusterIPs = "", nil
	_, err = client.Services(namespace).Update(t.Context(), service, metav1.UpdateOptions{})
	must(t, err)
}

func internal(t *testing.T, namespace, name string) {
	must(t, controlPlane(t).Client().CoreV1().Services(namespace).Delete(t.Context(), name, metav1.DeleteOptions{}))
}

// unready has the Service's pods be there, but not be ready.
func unready(t *testing.T, namespace, name string) {
	changeEndpoints(t, namespace, name, func(subset *corev1.EndpointSubset) {
		subset.NotReadyAddresses, subset.Addresses = subset.Addresses, nil
	})
	slices := controlPlane(t).Client().DiscoveryV1().EndpointSlices(namespace)
	slice, err := slices.Get(t.Context(), name, metav1.GetOptions{})
	must(t, err)
	no := false
	slice.Endpoints[0].Conditions.Ready = &no
	_, err = slices.Update(t.Context(), slice, metav1.UpdateOptions{})
	must(t, err)
}

// byHand has the Service's endpoints name no pod.
func byHand(t *testing.T, namespace, name string) {
	changeEndpoints(t, namespace, name, func(subset *corev1.EndpointSubset) { subset.Addresses[0].TargetRef = nil })
	slices := controlPlane(t).Client().DiscoveryV1().EndpointSlices(namespace)
	slice, err := slices.Get(t.Context(), name, metav1.GetOptions{})
	must(t, err)
	slice.Endpoints[0].TargetRef = nil
	_, err = slices.Update(t.Context(), slice, metav1.UpdateOptions{})
	must(t, err)
}

// otherPort has the Service's endpoints go by the name of another port.
func otherPort(t *testing.T, namespace, name string) {
	changeEndpoints(t, namespace, name, func(subset *corev1.EndpointSubset) { subset.Ports[0].Name = "metrics" })
	slices := controlPlane(t).Client().DiscoveryV1().EndpointSlices(namespace)
	slice, err := slices.Get(t.Context(), name, metav1.GetOptions{})
	must(t, err)
	other := "metrics"
	slice.Ports[0].Name = &other
	_, err = slices.Update(t.Context(), slice, metav1.UpdateOptions{})
	must(t, err)
}

func changeEndpoints(t *testing.T, namespace, name string, change func(*corev1.EndpointSubset)) {
	t.Helper()
	api := controlPlane(t).Client().CoreV1().Endpoints(namespace)
	endpoints, err := api.Get(t.Context(), name, metav1.GetOptions{})
	must(t, err)
	change(&endpoints.Subsets[0])
	_, err = api.Update(t.Context(), endpoints, metav1.UpdateOptions{})
	must(t, err)
}

// otherAuthority is a certificate authority that has nothing to do with the API server's, as a kubeconfig holds it.
func otherAuthority(t *testing.T) string {
	t.Helper()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
}

// TestDoctorPinned: without the right to pods a pinned environment works through the service proxy, and the doctor says so.
func TestDoctorPinned(t *testing.T) {
	t.Parallel()
	kubeconfig := namespace(t, "doctor-pinned", fixture(t).Addr())
	path := configuration(t, kubeconfig, "", "pinned/production: "+service("doctor-pinned", "prometheus")+", replicas: pin")
	found, status := doctor(t, path)
	d := found["production"]
	if status != 0 || len(d.Hops) < 4 || d.Hops[3].Name != "rbac" || d.Hops[3].Status != "skipped" ||
		!strings.Contains(d.Hops[3].Found, "may not get pods/proxy, list endpointslices, watch endpointslices") {
		t.Errorf("status %d, %+v", status, d)
	}
	wantNoFault(t, d)
	must(t, apply(t.Context(), d.Hops[3].Apply))
	eventually(t, func() error {
		found, _ := doctor(t, path)
		if h := found["production"].Hops[3]; h.Status != "ok" {
			return errors.New(h.Found)
		}
		return nil
	})
}
