package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/promgate/promgate/cmd/demo/cluster"
	"github.com/promgate/promgate/cmd/demo/prometheus"
)

// web is where the page's source is, and its tests in the browser.
const web = "../../../web"

// stageInfo is what the tests in the browser know of what runs here.
type stageInfo struct {
	Chromium  string `json:"chromium"`
	Artefacts string `json:"artefacts"` // where screenshots go
	Promtool  string `json:"promtool"`
	// Demo is what make run starts.
	Demo struct {
		URL      string `json:"url"`
		User     string `json:"user"`
		Password string `json:"password"`
	} `json:"demo"`
	// Site is a gateway below a path, with every way to sign in.
	Site struct {
		URL string `json:"url"`
		// Issuer and Control are the OpenID provider's.
		Issuer  string `json:"issuer"`
		Control string `json:"control"`
		// Maintainer and Viewer are of the users file.
		Maintainer login `json:"maintainer"`
		Viewer     login `json:"viewer"`
		// KubernetesMaintainer, KubernetesViewer and KubernetesNobody are tokens.
		KubernetesMaintainer string `json:"kubernetesMaintainer"`
		KubernetesViewer     string `json:"kubernetesViewer"`
		KubernetesNobody     string `json:"kubernetesNobody"`
		// From and To are the times between which its servers have data.
		From time.Time `json:"from"`
		To   time.Time `json:"to"`
		// Restart is where a POST has the gateway end and start again.
		Restart string `json:"restart"`
	} `json:"site"`
	Dashboards dashboardsInfo `json:"dashboards"`

	// restart is what the test does whenever somebody has asked it to, who waits until the channel is closed.
	restart func()
	asked   chan chan<- struct{}
}

type login struct {
	Name     string `json:"name"`
	Password string `json:"password"`
}

// TestBrowser drives the page in Chromium as a person would. Each file of web/browser is a test of its own.
func TestBrowser(t *testing.T) {
	if _, err := os.Stat(filepath.Join(web, "node_modules", "playwright-core")); err != nil {
		t.Fatalf("the packages of the page's tests are missing: run make web (%v)", err)
	}
	if _, err := os.Stat(filepath.Join(web, "dist", "index.html")); err != nil {
		t.Fatalf("the page is not built: run make web (%v)", err)
	}
	files, err := filepath.Glob(filepath.Join(web, "browser", "*.test.mjs"))
	must(t, err)
	if len(files) == 0 {
		t.Fatal("there is no test of the page")
	}
	s, info := newStageInfo(t)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".test.mjs"), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, "node", "--test", "--test-reporter=spec", filepath.Join("browser", filepath.Base(file)))
			cmd.Dir, cmd.Env = web, append(os.Environ(), "PROMGATE_STAGE="+info)
			s.attend(t, cmd)
		})
	}
}

// attend runs a file of tests to its end, and does what it asks for.
func (s *stageInfo) attend(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	var output []byte
	var err error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		output, err = cmd.CombinedOutput()
	}()
	for {
		select {
		case done := <-s.asked:
			s.restart()
			close(done)
		case <-ended:
			t.Logf("%s", output)
			if err != nil {
				t.Error(err)
			}
			return
		}
	}
}

// newStageInfo starts everything and writes down how it is reached.
func newStageInfo(t *testing.T) (s *stageInfo, file string) {
	var err error
	s = &stageInfo{asked: make(chan chan<- struct{})}
	s.Chromium = chromium(t)
	s.Artefacts, err = filepath.Abs(filepath.Join(web, "browser", "artefacts"))
	must(t, err)
	must(t, os.MkdirAll(s.Artefacts, 0o755))
	s.Promtool = promtool(t)
	s.startDemo(t)
	s.startSite(t)
	s.startDashboards(t)
	text, err := json.Marshal(s)
	must(t, err)
	file = filepath.Join(t.TempDir(), "stage.json")
	must(t, os.WriteFile(file, text, 0o600))
	return s, file
}

// chromium is a browser of this machine.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("there is no Chromium: install it (on Debian: apt-get install chromium), so that chromium is on the PATH")
	return ""
}

// startDemo starts what make run starts.
func (s *stageInfo) startDemo(t *testing.T) {
	t.Helper()
	program := promgate(t)
	info := filepath.Join(t.TempDir(), "demo.json")
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self, filepath.Join(filepath.Dir(program), "demo"), "--promgate", program, "--addr", "127.0.0.1:0", "--info", info)
	cmd.Env = append(os.Environ(), beKeeper+"=1")
	spawn(t, "the demonstration", cmd)
	eventually(t, func() error {
		text, err := os.ReadFile(info)
		if err != nil {
			return err
		}
		return json.Unmarshal(text, &s.Demo)
	})
}

// hostileLabel is what a page must never run.
const hostileLabel = `<img src=x onerror="document.title='hacked'">`

// siteProjects are the projects of the site. The gateway may not reach the Service other.
const siteProjects = `
projects:
  - name: shop
    members:
      - {user: anna, role: maintainer}
      - {user: boris}
      - {group: "oidc:team-shop"}
    environments:
      - {name: production, service: {cluster: local, namespace: browser-shop, name: prometheus, port: web}}
      - {name: forbidden, service: {cluster: local, namespace: browser-shop, name: other, port: web}}
  - name: web
    members:
      - {user: anna, role: maintainer}
    environments:
      - {name: html, url: %q}
  - name: own
    environments:
      - {name: production, service: {cluster: own, namespace: browser-own, name: prometheus, port: web}}
`

// startSite starts a gateway with an OpenID provider beside it and a cluster behind it, on which one project is asked with
// the gateway's credentials and one with the callers' own.
func (s *stageInfo) startSite(t *testing.T) {
	t.Helper()
	c, ctx, home := controlPlane(t), t.Context(), "browser"
	site := &s.Site
	site.From, site.To = prometheus.FixtureStart(), prometheus.FixtureEnd()
	kubeconfig := searcher(t, home)
	applied(t, "", home, reviewers)
	server := hostileServer(t)
	for _, n := range []string{"browser-shop", "browser-own"} {
		must(t, c.Namespace(ctx, n))
		must(t, c.Service(ctx, n, "prometheus", "web", 9090, server.Addr()))
		must(t, c.Service(ctx, n, "other", "web", 9090, server.Addr()))
	}
	must(t, c.AllowServiceProxy(ctx, "browser-shop", cluster.ServiceAccount(home, account), []string{proxied}, "get"))
	site.KubernetesMaintainer = siteUser(t, "keeper", true)
	site.KubernetesViewer = siteUser(t, "reader", false)
	var err error
	site.KubernetesNobody, err = c.ServiceAccountToken(ctx, home, "nobody", siteAudiences...)
	must(t, err)

	html := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<html><script>document.title='hacked'</script>"+hostileLabel)
	}))
	t.Cleanup(html.Close)
	listen := freeAddress(t)
	_, port, err := net.SplitHostPort(listen)
	must(t, err)
	// Another site than the provider, which is at 127.0.0.1.
	site.URL = "http://localhost:" + port + "/promgate"
	s.startProvider(t)
	dir := t.TempDir()
	users := filepath.Join(dir, "users.yaml")
	site.Maintainer, site.Viewer = login{"anna", addUser(t, users, "anna")}, login{"boris", addUser(t, users, "boris")}
	must(t, os.WriteFile(filepath.Join(dir, "secret"), []byte(providerSecret), 0o600))
	path := filepath.Join(dir, "promgate.yaml")
	text := fmt.Sprintf("listen: %s\nadminListen: 127.0.0.1:0\nexternalURL: %s\ndataDir: data\nshutdown: {delay: 0s, timeout: 20s}\n"+
		"signIn:\n  usersFile: users.yaml\n  kubernetes: true\n  oidc: {name: Company account, issuer: %s, clientID: promgate, clientSecretFile: secret, refreshInterval: 10s}\n"+
		"clusters:\n  - {name: local, kubeconfig: %q, audiences: [promgate]}\n  - {name: own, kubeconfig: %q, credentials: user}\n",
		listen, site.URL, site.Issuer, kubeconfig, kubeconfig) + fmt.Sprintf(siteProjects, html.URL)
	must(t, os.WriteFile(path, []byte(text), 0o600))
	g := serve(t, path)
	s.restart = func() {
		g.stop()
		g = serve(t, path)
	}
	s.startControl(t)
}

// startControl serves what the tests in the browser may have done to the gateway.
func (s *stageInfo) startControl(t *testing.T) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /restart", func(_ http.ResponseWriter, r *http.Request) {
		done := make(chan struct{})
		select {
		case s.asked <- done:
			<-done
		case <-r.Context().Done():
		}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.Site.Restart = server.URL + "/restart"
}

// siteAudiences are for the cluster that the gateway asks itself, and for the one that is asked with the token.
var siteAudiences = []string{"promgate", "https://kubernetes.default.svc"}

// siteUser makes an account that may query both projects, and perhaps make endpoint tokens of them, and returns its token.
func siteUser(t *testing.T, name string, maintainer bool) string {
	t.Helper()
	c, ctx := controlPlane(t), t.Context()
	token, err := c.ServiceAccountToken(ctx, "browser-shop", name, siteAudiences...)
	must(t, err)
	who := cluster.ServiceAccount("browser-shop", name)
	for _, n := range []string{"browser-shop", "browser-own"} {
		must(t, c.AllowServiceProxy(ctx, n, who, []string{proxied, "http:other:web"}, "get"))
		if maintainer {
			grantTo(t, n, who, rule("promgate.io", "endpointtokens", "create"))
		}
	}
	return token
}

// grantTo gives somebody rights in a namespace.
func grantTo(t *testing.T, namespace string, who rbacv1.Subject, rules ...rbacv1.PolicyRule) {
	t.Helper()
	role := &rbacv1.Role{Rules: rules}
	role.Namespace, role.Name = namespace, "keeps-tokens"
	binding := &rbacv1.RoleBinding{Subjects: []rbacv1.Subject{who}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name}}
	binding.Namespace, binding.Name = namespace, role.Name
	api := controlPlane(t).Client().RbacV1()
	_, err := api.Roles(namespace).Create(t.Context(), role, metav1.CreateOptions{})
	must(t, err)
	_, err = api.RoleBindings(namespace).Create(t.Context(), binding, metav1.CreateOptions{})
	must(t, err)
}

// hostileServer is a Prometheus with the fixture's data and a label value that is a piece of HTML.
func hostileServer(t *testing.T) *prometheus.Server {
	t.Helper()
	o := prometheus.Fixture()
	fill := o.Backfill
	o.Backfill = func(ctx context.Context, app prometheus.Appender) error {
		if err := fill(ctx, app); err != nil {
			return err
		}
		for at := prometheus.FixtureStart(); !at.After(prometheus.FixtureEnd()); at = at.Add(prometheus.FixtureStep) {
			if err := appendFloat(app, at, 1, "__name__", "hostile", "html", hostileLabel); err != nil {
				return err
			}
		}
		return nil
	}
	server, err := prometheus.Start(t.Context(), o)
	must(t, err)
	t.Cleanup(func() { must(t, server.Close()) })
	return server
}

// providerSecret is the gateway's at the provider.
const providerSecret = "the-secret-of-the-browser-test"

// startProvider starts an OpenID provider that knows the site.
func (s *stageInfo) startProvider(t *testing.T) {
	t.Helper()
	cmd := exec.Command("node", "../../../auth/oidc/testdata/provider.mjs", "--modules", filepath.Join(web, "node_modules"),
		"--client-id", "promgate", "--client-secret", providerSecret, "--redirect", s.Site.URL+"/api/v1/session/oidc/callback")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = stdin.Close() // which ends it
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	must(t, err)
	must(t, json.Unmarshal(line, &s.Site))
}

// freeAddress is one of loopback that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}
