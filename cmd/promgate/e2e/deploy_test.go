package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/promgate/promgate/cmd/demo/cluster"
)

// kubectlBuild builds kubectl where no environment variable names it.
var kubectlBuild builds

// kubectl is the program of the API server's version.
func kubectl(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("PROMGATE_KUBECTL"); path != "" {
		return path
	}
	return filepath.Join(kubectlBuild.build(t, "../../../testdata/controlplane", "k8s.io/kubernetes/cmd/kubectl"), "kubectl")
}

// emptyCluster is an API server of the test's own, for objects whose names are given or that belong to no namespace.
func emptyCluster(t testing.TB) *cluster.Cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute) // it may have to be built
	defer cancel()
	binary, err := cluster.Build(ctx, "")
	must(t, err)
	c, err := cluster.Start(ctx, cluster.Options{Binary: binary})
	must(t, err)
	t.Cleanup(func() { check(t, c.Stop()) })
	return c
}

// deployment is the directory of the shipped manifests, with directories of a test's own beside them: name to kustomization.
type deployment struct {
	t       testing.TB
	cluster *cluster.Cluster
	dir     string
}

func newDeployment(t testing.TB, c *cluster.Cluster, own map[string]string) deployment {
	t.Helper()
	m := deployment{t: t, cluster: c, dir: t.TempDir()}
	must(t, os.CopyFS(m.dir, os.DirFS("../../../deploy/kubernetes")))
	for name, text := range own {
		must(t, os.Mkdir(filepath.Join(m.dir, name), 0o755))
		must(t, os.WriteFile(filepath.Join(m.dir, name, "kustomization.yaml"), []byte(text), 0o600))
	}
	return m
}

// kubectl runs it as the administrator. It must succeed, and complain of nothing.
func (m deployment) kubectl(args ...string) string {
	m.t.Helper()
	cmd := exec.CommandContext(m.t.Context(), kubectl(m.t), args...)
	cmd.Dir, cmd.Env = m.dir, append(os.Environ(), "KUBECONFIG="+m.cluster.Kubeconfig())
	var complaints strings.Builder
	cmd.Stderr = &complaints
	output, err := cmd.Output()
	if err != nil || complaints.Len() > 0 {
		m.t.Fatalf("kubectl %s: %v\n%s%s", strings.Join(args, " "), err, output, &complaints)
	}
	return string(output)
}

// apply has the API server judge every field, and PodSecurity the pods.
func (m deployment) apply(directory string, more ...string) {
	m.t.Helper()
	m.kubectl(append([]string{"apply", "--server-side", "--validate=strict", "-k", directory}, more...)...)
}

// own are compositions beside those that are shipped, as a user writes them.
var own = map[string]string{
	"everything": "resources: [../project]\nnamespace: billing\ncomponents:\n" +
		"  [../components/post, ../components/pinning, ../components/events, ../components/doctor, ../components/prometheus-operator, ../components/perses, ../components/dashboards, ../components/tokens, ../components/token-secrets]\n",
	"wide":  "resources: [../selector]\ncomponents: [../components/cluster-watch, ../components/kubernetes-tokens, ../components/cluster-tokens, ../components/users, ../components/sessions, ../components/cluster-dashboards]\n",
	"twice": "resources: [../names]\ncomponents: [../components/kubernetes-tokens, ../components/two-replicas]\nimages: [{name: promgate, newName: registry.example/promgate, newTag: v1}]\n",
}

// ruleTable is all that the manifests grant, by directory.
var ruleTable = map[string][]string{
	"names": nil,
	"twice": ofTokens,
	"selector": {
		"cluster: get,list,watch namespaces",
	},
	"wide": slices.Concat(ofTokens, []string{
		"create,get,list,watch,update,delete,deletecollection sessions.promgate.io",
		"cluster: get,list,watch namespaces", "cluster: list,watch services",
		"cluster: list,watch prometheuses.monitoring.coreos.com", "cluster: list,watch persesdatasources.perses.dev",
		"cluster: get,list,watch,create,patch,delete endpointtokens.promgate.io", "cluster: patch endpointtokens/status.promgate.io",
		"cluster: get,list,watch persesdashboards.perses.dev,persesdatasources.perses.dev,persesglobaldatasources.perses.dev",
		"cluster: get,list,watch persesfolders.promgate.io",
		"cluster: create tokenreviews.authentication.k8s.io", "cluster: create subjectaccessreviews.authorization.k8s.io",
	}),
	"viewers": {
		"cluster: get,list,watch persesglobaldatasources.perses.dev",
		"cluster: get,list,watch persesdashboards.perses.dev,persesdatasources.perses.dev", "cluster: get,list,watch persesfolders.promgate.io",
	},
	"project": {
		"get services/proxy http:prometheus:web http:prometheus-operated:web", "get namespaces", "list,watch services",
	},
	"example": {
		"get services/proxy http:prometheus:web http:prometheus-operated:web https:thanos-query:9090", "get namespaces", "list,watch services",
		"list,watch prometheuses.monitoring.coreos.com", "list,watch persesdatasources.perses.dev",
		"get,list,watch persesdashboards.perses.dev,persesdatasources.perses.dev", "get,list,watch persesfolders.promgate.io",
		"list,watch endpointslices.discovery.k8s.io", "get pods/proxy", "create events.events.k8s.io",
		"get services", "list endpointslices.discovery.k8s.io",
	},
	"everything": {
		"get,create services/proxy http:prometheus:web http:prometheus-operated:web", "get namespaces", "list,watch services",
		"list,watch endpointslices.discovery.k8s.io", "get pods/proxy", "create events.events.k8s.io",
		"get services", "list endpointslices.discovery.k8s.io",
		"list,watch prometheuses.monitoring.coreos.com", "list,watch persesdatasources.perses.dev",
		"get,list,watch persesdashboards.perses.dev,persesdatasources.perses.dev", "get,list,watch persesfolders.promgate.io",
		"get,list,watch,create,patch,delete endpointtokens.promgate.io", "patch endpointtokens/status.promgate.io",
		"create secrets", "patch secrets promgate-token",
	},
}

// ofTokens is what tokens as objects need in the gateway's own namespace.
var ofTokens = []string{
	"get,list,watch,patch secrets promgate-signing-keys", "create secrets",
	"get,update leases.coordination.k8s.io promgate-minting", "create leases.coordination.k8s.io",
}

// rulesOf lists the rules of the Roles of a rendered text in their order.
func rulesOf(t testing.TB, rendered string) []string {
	t.Helper()
	var list []string
	for document := range strings.SplitSeq(rendered, "\n---\n") {
		var role rbacv1.ClusterRole
		if err := yaml.Unmarshal([]byte(document), &role); err != nil || role.Kind != "Role" && role.Kind != "ClusterRole" {
			continue
		}
		for _, r := range role.Rules {
			var resources []string
			for _, group := range r.APIGroups {
				for _, resource := range r.Resources {
					resources = append(resources, strings.TrimSuffix(resource+"."+group, "."))
				}
			}
			text := strings.Join(append([]string{strings.Join(r.Verbs, ","), strings.Join(resources, ",")}, r.ResourceNames...), " ")
			if role.Kind == "ClusterRole" {
				text = "cluster: " + text
			}
			list = append(list, strings.Join(append([]string{text}, r.NonResourceURLs...), " "))
		}
	}
	return list
}

// TestManifestsRules compares every Role with what is documented: whoever widens one has to write it here too.
func TestManifestsRules(t *testing.T) {
	t.Parallel()
	m := newDeployment(t, controlPlane(t), own)
	for directory, want := range ruleTable {
		rendered := m.kubectl("kustomize", directory)
		if got := rulesOf(t, rendered); !slices.Equal(got, want) {
			t.Errorf("%s grants\n%s\nwant\n%s", directory, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		// What dashboards are made of is read, and written by nobody here.
		for _, rule := range rulesOf(t, rendered) {
			verbs, what, _ := strings.Cut(strings.TrimPrefix(rule, "cluster: "), " ")
			if strings.Contains(what, "perses") && verbs != "get,list,watch" && verbs != "list,watch" {
				t.Errorf("%s grants more than to read: %s", directory, rule)
			}
		}
		// The subject stays the gateway's, whatever namespace a project is applied in.
		if bindings := strings.Count(rendered, "Binding\n"); strings.Count(rendered, "kind: ServiceAccount\n  name: promgate\n  namespace: promgate\n") != bindings {
			t.Errorf("%s binds others than the gateway:\n%s", directory, rendered)
		}
	}
	for directory, want := range map[string]string{"names": "image: promgate:devel\n", "twice": "image: registry.example/promgate:v1\n"} {
		if rendered := m.kubectl("kustomize", directory); strings.Count(rendered, want) != 1 {
			t.Errorf("%s does not have the %s", directory, want)
		}
	}
}

// right is something that the gateway may do or not: verb, resource, namespace (- for none) and perhaps a name.
type right string

func (q right) attributes() *authorizationv1.ResourceAttributes {
	words := append(strings.Fields(string(q)), "")
	resource, subresource, _ := strings.Cut(words[1], "/")
	resource, group, _ := strings.Cut(resource, ".")
	return &authorizationv1.ResourceAttributes{
		Verb: words[0], Group: group, Resource: resource, Subresource: subresource, Namespace: strings.Trim(words[2], "-"), Name: words[3],
	}
}

// wantAccess waits until the API server's rules are as told: it goes by a cache of them.
func wantAccess(t *testing.T, c *cluster.Cluster, allowed bool, rights ...right) {
	t.Helper()
	for _, q := range rights {
		eventually(t, func() error {
			review, err := c.Client().AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{
				Spec: authorizationv1.SubjectAccessReviewSpec{
					User: "system:serviceaccount:promgate:promgate", Groups: []string{"system:serviceaccounts", "system:authenticated"},
					ResourceAttributes: q.attributes(),
				},
			}, metav1.CreateOptions{})
			if err == nil && review.Status.Allowed != allowed {
				err = fmt.Errorf("%s: allowed is %t, want %t: %s", q, !allowed, allowed, review.Status.Reason)
			}
			return err
		})
	}
}

var (
	// needed is what a project with labelled Services has to allow.
	needed = []right{
		"get services/proxy shop http:prometheus:web", "get services/proxy shop http:prometheus-operated:web",
		"get namespaces shop shop", "list services shop", "watch services shop",
	}
	// withMore is what the components for billing add.
	withMore = []right{
		"create services/proxy billing http:prometheus:web", "list endpointslices.discovery.k8s.io billing",
		"watch endpointslices.discovery.k8s.io billing", "get pods/proxy billing http:prometheus-0:9090", "create events.events.k8s.io billing",
		"get services billing prometheus", "watch prometheuses.monitoring.coreos.com billing", "list persesdatasources.perses.dev billing",
		"watch endpointtokens.promgate.io billing", "patch endpointtokens.promgate.io/status billing", "create secrets billing",
		"patch secrets billing promgate-token",
		"watch persesdashboards.perses.dev billing", "get persesdatasources.perses.dev billing", "list persesfolders.promgate.io billing",
	}
	// never is what the gateway may not do under any of the manifests.
	never = []right{
		"get secrets shop", "list secrets promgate", "get secrets billing", "create pods shop", "create pods promgate", "create pods/exec shop",
		"get services/proxy shop", "get services/proxy shop http:other:web", "get services/proxy shop prometheus:web", "get services/proxy other http:prometheus:web",
		"create services/proxy shop http:prometheus:web", "get pods/proxy shop http:prometheus-0:9090", "get namespaces other other",
		"impersonate users -", "impersonate serviceaccounts shop", "get configmaps promgate", "create serviceaccounts/token promgate promgate",
		"get secrets promgate other", "watch secrets promgate", "update secrets promgate promgate-signing-keys", "patch secrets promgate other", "patch secrets promgate", "patch secrets billing other",
		"delete secrets promgate promgate-signing-keys", "update endpointtokens.promgate.io/status shop", "update services shop", "delete namespaces shop shop", "get nodes/proxy - node", "list pods shop",
		"create persesdashboards.perses.dev billing", "update persesdashboards.perses.dev billing", "patch persesdatasources.perses.dev billing",
		"delete persesfolders.promgate.io billing", "patch persesdashboards.perses.dev/status billing", "deletecollection persesglobaldatasources.perses.dev -",
		"create sessions.promgate.io shop", "patch sessions.promgate.io promgate", "list sessions.promgate.io -",
	}
	// ofSelectors is what is needed to select namespaces, and beside it nothing.
	ofSelectors = []right{"list namespaces -", "watch namespaces -"}
	// ofWide is what cluster-watch adds.
	ofWide = []right{
		"list services -", "watch services other", "watch prometheuses.monitoring.coreos.com -", "list persesdatasources.perses.dev -",
		"watch endpointtokens.promgate.io -", "patch endpointtokens.promgate.io/status other", "create tokenreviews.authentication.k8s.io -",
		"create subjectaccessreviews.authorization.k8s.io -", "watch secrets promgate promgate-signing-keys", "update leases.coordination.k8s.io promgate promgate-minting",
		"update sessions.promgate.io promgate", "deletecollection sessions.promgate.io promgate",
		"watch persesdashboards.perses.dev -", "list persesfolders.promgate.io other", "get persesglobaldatasources.perses.dev -",
	}
)

// TestManifestsAccess applies the manifests one after the other, and asks the API server what the gateway may do then.
func TestManifestsAccess(t *testing.T) {
	t.Parallel()
	c := emptyCluster(t)
	must(t, c.InstallCRDs(t.Context()))
	for _, name := range []string{"shop", "billing", "other"} {
		must(t, c.Namespace(t.Context(), name))
	}
	m := newDeployment(t, c, own)
	m.apply("names")
	wantAccess(t, c, false, slices.Concat(needed, withMore, never, ofSelectors, ofWide)...)
	m.apply("project", "-n", "shop")
	wantAccess(t, c, true, needed...)
	wantAccess(t, c, false, slices.Concat(withMore, never, ofSelectors, ofWide)...)
	m.apply("everything")
	wantAccess(t, c, true, slices.Concat(needed, withMore)...)
	wantAccess(t, c, false, slices.Concat(never, ofSelectors, ofWide)...)
	// By namespace or by selector is the user's choice, and later another one.
	m.apply("selector", "--force-conflicts")
	wantAccess(t, c, true, append(ofSelectors, needed...)...)
	never := slices.DeleteFunc(slices.Clone(never), func(q right) bool { return q == "get namespaces other other" })
	wantAccess(t, c, false, append(ofWide, never...)...)
	m.apply("wide")
	wantAccess(t, c, true, slices.Concat(ofWide, ofSelectors, needed)...)
	wantAccess(t, c, false, never...)
	m.apply("example", "--force-conflicts")
	wantAccess(t, c, true, "get services/proxy shop https:thanos-query:9090", "create events.events.k8s.io shop")
}

// TestManifestsPods has the API server judge the pods that the Deployment would make, and promgate the configuration.
func TestManifestsPods(t *testing.T) {
	t.Parallel()
	c, ctx := emptyCluster(t), t.Context()
	m := newDeployment(t, c, own)
	for _, directory := range []string{"names", "twice", "selector"} {
		m.apply(directory, "--force-conflicts")
		deployment, err := c.Client().AppsV1().Deployments("promgate").Get(ctx, "promgate", metav1.GetOptions{})
		must(t, err)
		if got, want := *deployment.Spec.Replicas, map[string]int32{"twice": 2}[directory]; got != max(want, 1) {
			t.Errorf("%s has %d replicas", directory, got)
		}
		create := func(change func(*corev1.PodSpec)) error {
			pod := podOf(deployment)
			change(&pod.Spec)
			_, err := c.Client().CoreV1().Pods("promgate").Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: "Strict"})
			return err
		}
		must(t, create(func(*corev1.PodSpec) {}))
		// It is the admission of the namespace that lets the pod in.
		if err := create(func(p *corev1.PodSpec) { p.SecurityContext.RunAsNonRoot = nil }); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "restricted") {
			t.Errorf("a pod that may run as root: %v", err)
		}
		container := deployment.Spec.Template.Spec.Containers[0]
		if !*container.SecurityContext.ReadOnlyRootFilesystem || *deployment.Spec.Template.Spec.TerminationGracePeriodSeconds <= 65 {
			t.Errorf("%s: %+v", directory, deployment.Spec.Template.Spec)
		}
		settings, err := c.Client().CoreV1().ConfigMaps("promgate").Get(ctx, "promgate", metav1.GetOptions{})
		must(t, err)
		text := settings.Data["promgate.yaml"]
		if directory == "twice" {
			text = strings.Replace(text, "dataDir: /var/lib/promgate\n", "tokens: {store: kubernetes, namespace: promgate}\n", 1)
		}
		path := filepath.Join(t.TempDir(), "promgate.yaml")
		must(t, os.WriteFile(path, []byte(outside(text, c.Kubeconfig())), 0o600))
		if stdout, stderr, status := run(t, promgate(t), "check", "--config", path); status != 0 || stderr != "" {
			t.Errorf("promgate check of %s: status %d, %s%s", directory, status, stdout, stderr)
		}
		keeps := directory == "twice" || strings.Contains(text, "\ndataDir: "+container.VolumeMounts[1].MountPath+"\n")
		if !strings.Contains(text, "\nadminListen: :8081") || !keeps || (directory == "twice") != (len(container.VolumeMounts) == 1) {
			t.Errorf("the configuration of %s does not fit the pod: %s", directory, text)
		}
	}
}

// podOf is the pod that a Deployment's controller would make.
func podOf(d *appsv1.Deployment) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: d.Spec.Template.ObjectMeta, Spec: *d.Spec.Template.Spec.DeepCopy()}
	pod.Namespace, pod.GenerateName = d.Namespace, d.Name+"-"
	return pod
}
