package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/promgate/promgate/cmd/demo/cluster"
)

// dashboardsInfo is a gateway with the dashboards of web/browser/objects.
type dashboardsInfo struct {
	URL      string `json:"url"`
	User     string `json:"user"`
	Password string `json:"password"`
	// Nobody may sign in, and is a member of nothing.
	Nobody    login  `json:"nobody"`
	Project   string `json:"project"`
	Dashboard string `json:"dashboard"`
	// Kubeconfig is the administrator's, and Kubectl the program, for a test that changes an object.
	Kubeconfig string `json:"kubeconfig"`
	Kubectl    string `json:"kubectl"`
	// From and To are the times between which its server has data.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Modes are gateways with the same projects each, by the credentials that objects are read with.
	Modes map[string]dashboardMode `json:"modes"`
}

// dashboardMode is a gateway whose people come with Kubernetes tokens.
type dashboardMode struct {
	URL string `json:"url"`
	// Projects are what the person of the name may see, and Tokens are theirs.
	Projects map[string][]string `json:"projects"`
	Tokens   map[string]string   `json:"tokens"`
}

// startDashboards starts an API server with the objects, and a gateway that reads them with credentials of its own.
func (s *stageInfo) startDashboards(t *testing.T) {
	t.Helper()
	c, ctx, dir := emptyCluster(t), t.Context(), t.TempDir()
	persesKinds(t, c)
	site := &dashboardSite{cluster: c, home: "promgate"}
	project, server := "shop", hostileServer(t)
	must(t, c.Namespace(ctx, site.home))
	must(t, c.Namespace(ctx, project))
	must(t, c.Service(ctx, project, "prometheus", "web", 9090, server.Addr()))
	site.apply(t, project, "", "apiVersion: v1\nkind: Service\nmetadata: {name: prometheus, namespace: NAMESPACE, labels: {promgate.io/environment: production}}\n")
	site.apply(t, project, "", dashboardsRole)
	kubeconfig, err := c.ServiceAccountKubeconfig(ctx, site.home, account)
	must(t, err)
	applyObjects(t, c, project)
	s.Dashboards = dashboardsInfo{
		User: "anna", Password: addUser(t, filepath.Join(dir, "users.yaml"), "anna"), Project: project, Dashboard: "overview",
		Nobody:     login{"boris", addUser(t, filepath.Join(dir, "users.yaml"), "boris")},
		Kubeconfig: c.Kubeconfig(), Kubectl: kubectl(t), From: s.Site.From, To: s.Site.To,
	}
	path, listen := filepath.Join(dir, "promgate.yaml"), freeAddress(t)
	must(t, os.WriteFile(path, fmt.Appendf(nil, "listen: %s\nadminListen: 127.0.0.1:0\ndataDir: data\nshutdown: {delay: 0s, timeout: 20s}\n"+
		"clusters:\n  - {name: local, kubeconfig: %q, discovery: {namespaces: {names: [%s]}, sources: [services]}}\n"+
		"dashboards: {}\nsignIn: {usersFile: users.yaml}\nprojects:\n  - {name: %s, members: [{user: anna}]}\n", listen, kubeconfig, project, project), 0o600))
	s.Dashboards.URL = serve(t, path).url
	s.Dashboards.Modes = map[string]dashboardMode{}
	for _, credentials := range []string{"dedicated", "user"} {
		site := newDashboardSite(t, c, credentials, "")
		s.Dashboards.Modes[credentials] = dashboardMode{URL: site.url, Tokens: site.tokens, Projects: map[string][]string{
			"shop": {site.shop}, "billing": {site.billing}, "platform": {site.shop, site.billing}, "nobody": {},
		}}
	}
}

// applyObjects applies web/browser/objects in a project.
func applyObjects(t *testing.T, c *cluster.Cluster, project string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(web, "browser", "objects", "*.yaml"))
	must(t, err)
	if len(files) == 0 {
		t.Fatal("there are no objects")
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		must(t, err)
		must(t, c.Apply(t.Context(), []byte(strings.ReplaceAll(string(text), "NAMESPACE", project))))
	}
}
