package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/promgate/promgate/kube"
	"github.com/promgate/promgate/routing"
)

const (
	// hopTimeout bounds each hop of an examination.
	hopTimeout = 10 * time.Second
	// maxVersionBytes bounds what is read of an answer that need not be an API
	// server's.
	maxVersionBytes = 64 << 10
)

// examined are the resources that an examination asks for.
var examined = struct{ services, selfReviews, accessReviews schema.GroupVersionResource }{
	services:      schema.GroupVersionResource{Version: "v1", Resource: "services"},
	selfReviews:   schema.GroupVersionResource{Group: "authentication.k8s.io", Version: "v1", Resource: "selfsubjectreviews"},
	accessReviews: schema.GroupVersionResource{Group: "authorization.k8s.io", Version: "v1", Resource: "selfsubjectaccessreviews"},
}

// examination walks the way to a Service once.
type examination struct {
	cluster *Cluster
	ref     ServiceRef
	literal string
	post    bool // a POST is needed too
	// who is the gateway as the API server itself calls it; until that is
	// known, as its credentials do.
	who  kube.Subject
	user string
	// service is nil where the gateway may not read it.
	service *examinedService
}

// hopStep is one hop, or several that belong together.
type hopStep func(context.Context) []routing.Hop

// Examine looks whether the API server can be reached and accepts the gateway's
// credentials.
func (c *Cluster) Examine(ctx context.Context) []routing.Hop {
	x := &examination{cluster: c, who: c.Subject}
	return walkHops(ctx, x.apiServer, x.credentials)
}

// examine walks the way to a Service, up to the connection to it.
func (c *Cluster) examine(ctx context.Context, ref ServiceRef, post bool) []routing.Hop {
	x := &examination{cluster: c, ref: ref, literal: ref.Scheme + ":" + ref.Name + ":" + ref.Port, post: post, who: c.Subject}
	return walkHops(ctx, x.apiServer, x.credentials, x.rbac, x.declared, x.endpoints)
}

// walkHops takes the steps up to the first that fails.
func walkHops(ctx context.Context, steps ...hopStep) []routing.Hop {
	var hops []routing.Hop
	for _, next := range steps {
		hopCtx, cancel := context.WithTimeout(ctx, hopTimeout)
		hops = append(hops, next(hopCtx)...)
		cancel()
		if _, failed := routing.FailedHop(hops); failed {
			break
		}
	}
	return hops
}

func hopPassed(name, found string) []routing.Hop {
	return []routing.Hop{{Name: name, Status: routing.HopOK, Found: found}}
}

func hopSkipped(name, found string) []routing.Hop {
	return []routing.Hop{{Name: name, Status: routing.HopSkipped, Found: found}}
}

func hopFailed(name, found, cause string) []routing.Hop {
	return []routing.Hop{{Name: name, Status: routing.HopFailed, Found: found, Cause: cause}}
}

// apiServer asks for the version, which API servers tell everybody, or almost.
func (x *examination) apiServer(ctx context.Context) []routing.Hop {
	c := x.cluster
	server := c.Base.Scheme + "://" + c.Base.Host
	request := (&http.Request{Method: http.MethodGet, URL: c.URL("/version"), Header: http.Header{}}).WithContext(ctx)
	resp, err := c.Transport.RoundTrip(request)
	if err != nil {
		return c.unreached(err, server)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxVersionBytes))
	if err != nil {
		return c.unreached(err, server)
	}
	var answer struct {
		GitVersion string `json:"gitVersion"`
		Kind       string `json:"kind"`
	}
	_ = json.Unmarshal(body, &answer) // what is no JSON leaves it empty
	switch {
	case resp.StatusCode == http.StatusOK && answer.GitVersion != "":
		return hopPassed(routing.HopAPIServer, "Kubernetes "+routing.Clip(answer.GitVersion)+" answers at "+server)
	case answer.Kind == "Status" && (resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden):
		return hopPassed(routing.HopAPIServer, "a Kubernetes API server answers at "+server)
	case resp.StatusCode == http.StatusBadRequest && strings.Contains(string(body), "HTTP request to an HTTPS server"):
		return hopFailed(routing.HopAPIServer, server+" is asked in plain HTTP and wants TLS",
			"the server of the kubeconfig begins with http://: write https:// there, with the certificate authority")
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500:
		return hopFailed(routing.HopAPIServer, fmt.Sprintf("%s answers with status %d", server, resp.StatusCode),
			"the API server, or a proxy before it, is starting, stopping or has too much to do: try again; if it lasts, ask who runs the cluster")
	}
	return hopFailed(routing.HopAPIServer, fmt.Sprintf("what answers at %s is no Kubernetes API server: status %d, content type %q",
		server, resp.StatusCode, routing.Clip(resp.Header.Get("Content-Type"))),
		"the kubeconfig's server is the address of something else: correct its host, port or path")
}

// unreached explains a request that brought no answer.
func (c *Cluster) unreached(err error, server string) []routing.Hop {
	if problem, isPlugin := strings.CutPrefix(err.Error(), "getting credentials: "); isPlugin {
		return hopFailed(routing.HopCredentials, "the kubeconfig's exec plugin gives no credentials: "+problem,
			"the program that the kubeconfig names under exec is missing or fails: run it by hand, as the gateway's user and on its machine")
	}
	kind, found := routing.TroubleOf(err, server)
	return hopFailed(routing.HopAPIServer, found, c.connectionAdvice(kind))
}

// review creates one of the objects that the API server answers with a status.
func (c *Cluster) review(ctx context.Context, resource schema.GroupVersionResource, kind string, spec map[string]any) (*unstructured.Unstructured, error) {
	object := map[string]any{"apiVersion": resource.GroupVersion().String(), "kind": kind}
	if spec != nil {
		object["spec"] = spec
	}
	return c.Client.Resource(resource).Create(ctx, &unstructured.Unstructured{Object: object}, metav1.CreateOptions{})
}

// anonymous is who the API server takes a request without credentials for.
const anonymous = "system:anonymous"

// userNamed finds the user in the API server's words for what is forbidden.
var userNamed = regexp.MustCompile(`User "([^"]+)"`)

// credentials asks the API server who the gateway is.
func (x *examination) credentials(ctx context.Context) []routing.Hop {
	answer, err := x.cluster.review(ctx, examined.selfReviews, "SelfSubjectReview", nil)
	switch {
	case err == nil:
		x.user, _, _ = unstructured.NestedString(answer.Object, "status", "userInfo", "username")
	case apierrors.IsUnauthorized(err):
		return hopFailed(routing.HopCredentials, "the API server does not accept the gateway's own credentials (401 Unauthorized)",
			"the token, certificate or exec plugin of the kubeconfig, or of the pod's service account, has expired, belongs to another cluster, or the account was deleted: make new credentials")
	case apierrors.IsForbidden(err):
		if m := userNamed.FindStringSubmatch(err.Error()); m != nil {
			x.user = m[1]
		}
	case apierrors.IsNotFound(err), apierrors.IsMethodNotSupported(err): // before Kubernetes 1.28
		return hopPassed(routing.HopCredentials, "the API server accepts the gateway's credentials")
	default:
		return x.unanswered(err, routing.HopCredentials)
	}
	if x.user == anonymous {
		return hopFailed(routing.HopCredentials, "the API server takes the gateway for "+anonymous,
			"the kubeconfig's user holds no credentials: add a token, a client certificate or an exec plugin")
	}
	if x.user == "" {
		return hopPassed(routing.HopCredentials, "the API server accepts the gateway's credentials")
	}
	if account, isAccount := kube.ServiceAccount(x.user); isAccount {
		x.who = account
	} else {
		x.who = kube.Subject{User: x.user}
	}
	return hopPassed(routing.HopCredentials, "the API server knows the gateway as "+x.user)
}

// unanswered explains a failed call to an API server that was there a moment ago.
func (x *examination) unanswered(err error, hop string) []routing.Hop {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return x.cluster.unreached(err, x.cluster.Base.Scheme+"://"+x.cluster.Base.Host)
	}
	return hopFailed(hop, "the API server fails on its own: "+err.Error(),
		"this is for who runs the cluster: its log says more")
}

// may asks whether the gateway may do something in the Service's namespace.
func (x *examination) may(ctx context.Context, verb, group, resource, name string) (bool, error) {
	resource, subresource, _ := strings.Cut(resource, "/")
	answer, err := x.cluster.review(ctx, examined.accessReviews, "SelfSubjectAccessReview", map[string]any{
		"resourceAttributes": map[string]any{
			"namespace": x.ref.Namespace, "verb": verb, "group": group,
			"resource": resource, "subresource": subresource, "name": name,
		},
	})
	if err != nil {
		return false, err
	}
	allowed, _, _ := unstructured.NestedBool(answer.Object, "status", "allowed")
	return allowed, nil
}

// rbac asks whether the gateway may do what its requests ask for, by the same
// verb and the same literal name.
func (x *examination) rbac(ctx context.Context) []routing.Hop {
	if x.cluster.options.UserCredentials {
		return hopSkipped(routing.HopRBAC, "each caller's own rights decide: kubectl auth can-i get services/"+x.literal+
			" --subresource proxy -n "+x.ref.Namespace+" tells a caller's")
	}
	verbs := []string{"get"}
	if x.post {
		verbs = append(verbs, "create")
	}
	var missing []string
	for _, verb := range verbs {
		allowed, err := x.may(ctx, verb, "", "services/proxy", x.literal)
		switch {
		case apierrors.IsForbidden(err), apierrors.IsNotFound(err), apierrors.IsMethodNotSupported(err):
			return hopSkipped(routing.HopRBAC, "the gateway may not ask what it may do: the next hops tell as much")
		case err != nil:
			return x.unanswered(err, routing.HopRBAC)
		case !allowed:
			missing = append(missing, verb)
		}
	}
	if len(missing) > 0 {
		return x.denied(ctx, missing)
	}
	hops := hopPassed(routing.HopRBAC, "may "+strings.Join(verbs, " and ")+" services/proxy "+x.literal+" in namespace "+x.ref.Namespace)
	if x.ref.Pin {
		hops = append(hops, x.pinning(ctx)...)
	}
	return hops
}

// denied tells which Role is missing, or that no Role can be there.
func (x *examination) denied(ctx context.Context, verbs []string) []routing.Hop {
	if _, err := x.cluster.Client.Resource(namespaces).Get(ctx, x.ref.Namespace, metav1.GetOptions{}); apierrors.IsNotFound(err) {
		return append(hopSkipped(routing.HopRBAC, "nothing can be granted in a namespace that is not there"), x.noNamespace()...)
	}
	who := "the gateway"
	if x.user != "" {
		who = x.user
	}
	roles := make([]string, 0, len(verbs))
	for _, verb := range verbs {
		roles = append(roles, role(x.ref.Namespace, x.literal, verb, x.who))
	}
	h := routing.Hop{
		Name: routing.HopRBAC, Status: routing.HopFailed,
		Found: fmt.Sprintf("%s may not %s services/proxy %s in namespace %s", who, strings.Join(verbs, " and "), x.literal, x.ref.Namespace),
		Apply: strings.Join(roles, "---\n"),
	}
	switch near := x.nearGrant(ctx); {
	case !slices.Contains(verbs, "get"):
		h.Cause = "the environment takes POST (allowPost or allow: [remoteRead]), for which RBAC asks for the verb create: grant it, or switch these settings off"
	case near != "":
		h.Cause = near + ": apply the Role below"
	default:
		h.Cause = "no Role grants it, or it is bound to somebody else: apply the Role below; where the namespace does not exist either, make it first"
	}
	return []routing.Hop{h}
}

// nearGrant tells of a grant that comes close to the one that is missing.
func (x *examination) nearGrant(ctx context.Context) string {
	allowed := func(verb, name string) bool {
		allowed, err := x.may(ctx, verb, "", "services/proxy", name)
		return err == nil && allowed
	}
	if allowed("create", x.literal) {
		return "it may create there, which is for POST alone: the verb get is missing"
	}
	other := "https"
	if x.ref.Scheme == "https" {
		other = "http"
	}
	for _, name := range []string{x.ref.Name + ":" + x.ref.Port, x.ref.Name, x.ref.Name + ":", other + ":" + x.ref.Name + ":" + x.ref.Port} {
		if allowed("get", name) {
			return fmt.Sprintf("a Role grants %s instead, but RBAC compares the name literally, and the gateway's requests name %s", name, x.literal)
		}
	}
	return ""
}
