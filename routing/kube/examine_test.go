package kube

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/promgate/promgate/kube"
	"github.com/promgate/promgate/routing"
)

// askedReview is what a fake API server is asked.
type askedReview struct {
	Spec struct {
		ResourceAttributes map[string]string `json:"resourceAttributes"`
	} `json:"spec"`
}

// fakeAPI answers by the last part of the path; what it does not know is
// forbidden, as it is for those who have the least Role.
type fakeAPI struct {
	t       *testing.T
	answers map[string]string // a body, or a status with a reason such as "404 NotFound"
	allowed []string          // "verb resource/subresource name"
	asked   []string
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	last := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	answer, known := f.answers[last]
	switch {
	case known:
	case last == "version":
		answer = `{"gitVersion":"v1.36.3"}`
	case last == "selfsubjectreviews":
		answer = `{"kind":"SelfSubjectReview","apiVersion":"authentication.k8s.io/v1","status":{"userInfo":{"username":"jane"}}}`
	case last == "selfsubjectaccessreviews":
		body, _ := io.ReadAll(r.Body)
		var review askedReview
		if err := json.Unmarshal(body, &review); err != nil {
			f.t.Error(err)
		}
		a := review.Spec.ResourceAttributes
		question := strings.TrimSpace(a["verb"] + " " + strings.TrimSuffix(a["resource"]+"/"+a["subresource"], "/") + " " + a["name"])
		f.asked = append(f.asked, question)
		answer = fmt.Sprintf(`{"kind":"SelfSubjectAccessReview","apiVersion":"authorization.k8s.io/v1","status":{"allowed":%t}}`, slices.Contains(f.allowed, question))
	default:
		answer = "403 Forbidden"
	}
	w.Header().Set("Content-Type", "application/json")
	if code, reason, isStatus := strings.Cut(answer, " "); isStatus && len(code) == 3 {
		var status int
		_, _ = fmt.Sscan(code, &status)
		w.WriteHeader(status)
		answer = fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","message":"User \"joe\" cannot","reason":%q,"code":%d}`, reason, status)
	}
	_, _ = io.WriteString(w, answer)
}

const (
	mayGet = "get services/proxy http:prometheus:web"

	goodService = `{"kind":"Service","apiVersion":"v1","metadata":{"name":"prometheus"},"spec":{"selector":{"b":"2","a":"1"},"ports":[{"name":"web","port":80},{"port":90}]}}`
)

func endpointList(items ...string) string {
	return `{"kind":"EndpointSliceList","apiVersion":"discovery.k8s.io/v1","metadata":{},"items":[` + strings.Join(items, ",") + `]}`
}

func endpointSlice(port string, endpoints ...string) string {
	return `{"kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1","metadata":{"name":"x"},"ports":[{"name":"` + port + `","port":9090}],"endpoints":[` + strings.Join(endpoints, ",") + `]}`
}

func podEndpoint(name, conditions string) string {
	return `{"addresses":["10.0.0.1"],"conditions":{` + conditions + `},"targetRef":{"kind":"Pod","name":"` + name + `"}}`
}

func TestExamine(t *testing.T) {
	type answers = map[string]string
	manyPods := endpointSlice("web", podEndpoint("p-6", ""), podEndpoint("p-2", ""), podEndpoint("p-3", ""), podEndpoint("p-4", ""), podEndpoint("p-5", ""), podEndpoint("p-1", `"ready":true`))
	for name, c := range map[string]struct {
		answers answers
		allowed []string
		ref     ServiceRef
		// want is each hop's status and a part of its found and cause.
		want []string
	}{
		"least": {allowed: []string{mayGet}, want: []string{"ok Kubernetes v1.36.3 answers at https://", "ok knows the gateway as jane", "ok may get services/proxy http:prometheus:web in namespace shop", "skipped Services", "skipped EndpointSlices"}},
		"all": {answers: answers{"prometheus": goodService, "endpointslices": endpointList(manyPods, manyPods)}, allowed: []string{mayGet},
			want: []string{"ok ", "ok ", "ok ", "ok declares the port web", "ok 6 ready pods (p-1, p-2, p-3, p-4, p-5 and 1 more); the API server picks one at random"}},
		"old server": {answers: answers{"selfsubjectreviews": "404 NotFound"}, allowed: []string{mayGet}, want: []string{"ok ", "ok accepts the gateway's credentials", "ok ", "skipped ", "skipped "}},
		"told by a refusal": {answers: answers{"selfsubjectreviews": "403 Forbidden"}, allowed: []string{mayGet},
			want: []string{"ok ", "ok knows the gateway as joe", "ok ", "skipped ", "skipped "}},
		"may not ask":          {answers: answers{"selfsubjectaccessreviews": "403 Forbidden"}, want: []string{"ok ", "ok ", "skipped may not ask what it may do", "skipped ", "skipped "}},
		"version is secret":    {answers: answers{"version": "403 Forbidden"}, allowed: []string{mayGet}, want: []string{"ok a Kubernetes API server answers", "ok ", "ok ", "skipped ", "skipped "}},
		"starting":             {answers: answers{"version": "503 ServiceUnavailable"}, want: []string{"failed answers with status 503"}},
		"other server":         {answers: answers{"version": `{"version":"3"}`}, want: []string{"failed is no Kubernetes API server: status 200"}},
		"unknown credentials":  {answers: answers{"version": "401 Unauthorized", "selfsubjectreviews": "401 Unauthorized"}, want: []string{"ok ", "failed 401 Unauthorized"}},
		"broken reviews":       {answers: answers{"selfsubjectaccessreviews": "500 InternalError"}, want: []string{"ok ", "ok ", "failed the API server fails on its own"}},
		"denied":               {want: []string{"ok ", "ok ", "failed jane may not get services/proxy http:prometheus:web in namespace shop"}},
		"other scheme granted": {allowed: []string{"get services/proxy https:prometheus:web"}, want: []string{"ok ", "ok ", "failed a Role grants https:prometheus:web instead"}},
		"denied nowhere":       {answers: answers{"shop": "404 NotFound"}, want: []string{"ok ", "ok ", "skipped nothing can be granted", "failed the namespace shop does not exist"}},
		"missing":              {answers: answers{"prometheus": "404 NotFound"}, allowed: []string{mayGet}, want: []string{"ok ", "ok ", "ok ", "failed the namespace shop has no Service prometheus"}},
		"no port": {answers: answers{"prometheus": strings.Replace(goodService, `"web"`, `"http"`, 1)}, allowed: []string{mayGet},
			want: []string{"ok ", "ok ", "ok ", "failed declares no port web: it declares http (80), 90"}},
		"no selector": {answers: answers{"prometheus": strings.Replace(goodService, `"b":"2","a":"1"`, ``, 1), "endpointslices": endpointList()}, allowed: []string{mayGet},
			want: []string{"ok ", "ok ", "ok ", "ok ", "failed has no selector"}},
		"no pods": {answers: answers{"prometheus": goodService, "endpointslices": endpointList(endpointSlice("web"))}, allowed: []string{mayGet},
			want: []string{"ok ", "ok ", "ok ", "ok ", "failed selector a=1,b=2 matches"}},
		"unready": {answers: answers{"endpointslices": endpointList(endpointSlice("web", podEndpoint("p-1", `"ready":false`)))}, allowed: []string{mayGet},
			want: []string{"ok ", "ok ", "ok ", "skipped ", "failed none of the pods is ready: p-1"}},
		"unnamed port by number": {answers: answers{"prometheus": goodService, "endpointslices": endpointList(endpointSlice("web", podEndpoint("p-1", "")), endpointSlice("", podEndpoint("p-2", "")))},
			allowed: []string{"get services/proxy http:prometheus:90"}, ref: ServiceRef{Namespace: "shop", Name: "prometheus", Port: "90", Scheme: "http"},
			want: []string{"ok ", "ok ", "ok ", "ok declares the port 90", "ok 1 ready pod: p-2"}},
		"number of an unseen Service": {answers: answers{"endpointslices": endpointList(endpointSlice("web", podEndpoint("p-1", "")))},
			allowed: []string{"get services/proxy http:prometheus:90"}, ref: ServiceRef{Namespace: "shop", Name: "prometheus", Port: "90", Scheme: "http"},
			want: []string{"ok ", "ok ", "ok ", "skipped ", "ok 1 ready pod: p-1"}},
		"pinned": {answers: answers{"endpointslices": endpointList(manyPods)}, allowed: []string{mayGet, "get pods/proxy", "list endpointslices", "watch endpointslices"},
			ref:  ServiceRef{Namespace: "shop", Name: "prometheus", Port: "web", Scheme: "http", Pin: true},
			want: []string{"ok ", "ok ", "ok ", "ok may use pods/proxy", "skipped ", "ok 6 ready pods (p-1"}},
		"pinned without right": {allowed: []string{mayGet, "list endpointslices"}, ref: ServiceRef{Namespace: "shop", Name: "prometheus", Port: "web", Scheme: "http", Pin: true},
			want: []string{"ok ", "ok ", "ok ", "skipped may not get pods/proxy, watch endpointslices", "skipped ", "skipped "}},
	} {
		t.Run(name, func(t *testing.T) {
			api := &fakeAPI{t: t, answers: c.answers, allowed: c.allowed}
			if c.ref.Name == "" {
				c.ref = ref
			}
			server := apiServer(t, api.ServeHTTP)
			target := newTarget(t, kube.Options{Name: "local", Kubeconfig: kubeconfig(t, server, "", "{token: opaque}")}, c.ref)
			hops := target.Examine(t.Context(), false)
			if len(hops) != len(c.want) {
				t.Fatalf("got %+v", hops)
			}
			for i, h := range hops {
				status, part, _ := strings.Cut(c.want[i], " ")
				if string(h.Status) != status || !strings.Contains(h.Found+"\n"+h.Cause, part) || (h.Cause == "") != (h.Status != routing.HopFailed) {
					t.Errorf("hop %d is %+v, want %s", i, h, c.want[i])
				}
			}
		})
	}
}

// TestExamineApplies: the Role is for who the API server says that the gateway
// is, and for all that the environment needs.
func TestExamineApplies(t *testing.T) {
	api := &fakeAPI{t: t}
	server := apiServer(t, api.ServeHTTP)
	target := newTarget(t, kube.Options{Name: "local", Kubeconfig: kubeconfig(t, server, "", "{token: opaque}")}, ref)
	h, _ := routing.FailedHop(target.Examine(t.Context(), true))
	if want := role("shop", "http:prometheus:web", "get", kube.Subject{User: "jane"}) + "---\n" + role("shop", "http:prometheus:web", "create", kube.Subject{User: "jane"}); h.Apply != want {
		t.Errorf("it prints\n%s\nwant\n%s", h.Apply, want)
	}
	if !strings.Contains(h.Found, "jane may not get and create services/proxy") || api.asked[0] != mayGet || api.asked[1] != "create services/proxy http:prometheus:web" {
		t.Errorf("it found %s, and asked %q", h.Found, api.asked)
	}
	api.allowed = []string{mayGet}
	h, _ = routing.FailedHop(target.Examine(t.Context(), true))
	if want := role("shop", "http:prometheus:web", "create", kube.Subject{User: "jane"}); h.Apply != want || !strings.Contains(h.Cause, "allowPost") {
		t.Errorf("for create alone it says %+v", h)
	}
	if _, failed := routing.FailedHop(target.Examine(t.Context(), false)); failed {
		t.Error("without POST it asks for create")
	}
}

// TestExaminePinned: a pinned environment with POST needs create on pods, too.
func TestExaminePinned(t *testing.T) {
	api := &fakeAPI{t: t, allowed: []string{mayGet, "create services/proxy http:prometheus:web", "get pods/proxy", "list endpointslices", "watch endpointslices"}}
	server, pinned := apiServer(t, api.ServeHTTP), ref
	pinned.Pin = true
	target := newTarget(t, kube.Options{Name: "local", Kubeconfig: kubeconfig(t, server, "", "{token: opaque}")}, pinned)
	h := target.Examine(t.Context(), true)[3]
	if h.Status != routing.HopSkipped || !strings.Contains(h.Found, "may not create pods/proxy:") || h.Apply != podsRole("shop", "create", kube.Subject{User: "jane"}) {
		t.Errorf("got %+v", h)
	}
	api.allowed = api.allowed[:2]
	h = target.Examine(t.Context(), true)[3]
	if want := podsRole("shop", "get", kube.Subject{User: "jane"}) + "---\n" + podsRole("shop", "create", kube.Subject{User: "jane"}); h.Apply != want {
		t.Errorf("it prints\n%s\nwant\n%s", h.Apply, want)
	}
}

// TestExamineCluster: of a cluster alone it tells whether its API server accepts
// the gateway.
func TestExamineCluster(t *testing.T) {
	api := &fakeAPI{t: t}
	server := apiServer(t, api.ServeHTTP)
	cluster, err := newCluster(kube.Options{Name: "local", Kubeconfig: kubeconfig(t, server, "", "{token: secret-token}")})
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	if hops := cluster.Examine(t.Context()); len(hops) != 2 || hops[0].Name != "api server" || hops[1].Name != "credentials" || len(api.asked) != 0 {
		t.Errorf("got %+v", hops)
	}
	server.Close()
	cluster.Close() // no connection is left that the server is about to end
	hops := cluster.Examine(t.Context())
	if len(hops) != 1 || hops[0].Status != routing.HopFailed || !strings.Contains(hops[0].Found, "connection refused") || strings.Contains(fmt.Sprint(hops), "secret-token") {
		t.Errorf("got %+v", hops)
	}
}

// TestConnectionAdvice: a pod has no kubeconfig to correct.
func TestConnectionAdvice(t *testing.T) {
	for kind := range kubeconfigAdvice {
		if text := (&Cluster{Connection: &kube.Connection{InPod: true}}).connectionAdvice(kind); text == "" || strings.Contains(text, "the server in the kubeconfig") || strings.Contains(text, "kubeconfig's") {
			t.Errorf("in a pod, trouble %d is met by %q", kind, text)
		}
		if (&Cluster{Connection: &kube.Connection{}}).connectionAdvice(kind) != kubeconfigAdvice[kind] {
			t.Errorf("trouble %d has another advice", kind)
		}
	}
	for kind := range podAdvice {
		if kubeconfigAdvice[kind] == "" {
			t.Errorf("trouble %d is met in pods alone", kind)
		}
	}
}

// TestExamineNeedsNoTLS: an API server that is asked in the wrong scheme.
func TestExamineNeedsNoTLS(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	secure := httptest.NewUnstartedServer(&fakeAPI{t: t})
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	for name, c := range map[string]struct{ address, want string }{
		"https to http": {"https://" + plain.Listener.Addr().String(), "plain HTTP"},
		"http to https": {"http://" + secure.Listener.Addr().String(), "wants TLS"},
	} {
		file := kubeconfig(t, secure, "", "{token: t}")
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		write(t, file, strings.Replace(string(content), secure.URL, c.address, 1))
		cluster, err := newCluster(kube.Options{Name: "local", Kubeconfig: file})
		if err != nil {
			t.Fatal(err)
		}
		defer cluster.Close()
		if hops := cluster.Examine(t.Context()); len(hops) != 1 || !strings.Contains(hops[0].Found, c.want) {
			t.Errorf("%s: got %+v", name, hops)
		}
	}
}
