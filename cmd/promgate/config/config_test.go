package config

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/promgate/promgate/routing/file"
)

func TestMinimal(t *testing.T) {
	c, err := Parse("/etc/promgate/promgate.yaml", []byte("dataDir: data\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Listen: "127.0.0.1:8080", AdminListen: "127.0.0.1:8081", DataDir: "/etc/promgate/data",
		Tokens: Tokens{Store: "file", Lifetime: 720 * time.Hour, Overlap: 24 * time.Hour},
		SignIn: SignIn{IdleTimeout: 8 * time.Hour, Lifetime: 24 * time.Hour},
		Log:    Log{Format: "json", Level: "info"},
		Limits: Limits{
			MaxQueryLength: 32 << 10, MaxRange: 90 * 24 * time.Hour, MaxLookback: 400 * 24 * time.Hour, MaxPoints: 11000,
			MaxEvaluations: 1e6, MaxResponseBytes: 256 << 20, RequestsPerSecond: 200, Burst: 400,
			MaxConcurrent: 20, MaxConcurrentTotal: 500, Queue: Queue{Length: 100, Timeout: 10 * time.Second},
			MaxRequestBody: 1 << 20, MaxRemoteReadBody: 32 << 20, ConnectTimeout: 5 * time.Second,
			ResponseHeaderTimeout: 2 * time.Minute, RequestTimeout: 5 * time.Minute, RequestBodyTimeout: 10 * time.Second,
		},
		Targets:  Targets{MaxConcurrent: 60, MaxConcurrentProject: 30},
		Cache:    Cache{MaxBytes: 256 << 20, Freshness: 10 * time.Minute},
		Shutdown: Shutdown{Delay: 5 * time.Second, Timeout: time.Minute},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
}

const whole = `
listen: :8443
listenTLS: {certFile: tls.crt, keyFile: /abs/tls.key}
adminListen: localhost:9000
externalURL: https://gateway.example/
dataDir: /var/lib/promgate
log: {format: text, level: debug}
clusters:
  - name: local
    discovery: {namespaces: {selector: "promgate.io/project=true"}, sources: [services, prometheuses]}
    audiences: [promgate, https://api.example]
  - {name: west, kubeconfig: west.yaml, context: w, credentials: user, endpointTokens: false}
tokens: {store: kubernetes, cluster: west, namespace: promgate, lifetime: 1h, overlap: 20m}
projects:
  - name: shop
    limits: {maxQueryLength: 4KiB, queue: {timeout: 1m}, burst: 7}
    environments:
      - name: production
        service: {cluster: local, namespace: shop, name: prometheus, port: 9090, scheme: https, pathPrefix: /prom/}
        headers: {x-scope-orgid: shop}
        allow: [federate, remoteRead]
        allowPost: true
        replicas: pin
        enforce: {namespace: [shop, shop-batch], cluster: 1}
        aliases: ["HTTP://Prometheus.shop.svc:80/prom/", "http://prometheus.shop.svc.cluster.local:9090"]
        limits: {maxRange: 30d, queue: {length: 0}}
      - name: staging
        url: https://prometheus.example:9090/a/b/
        tls: {caFile: ca.pem, certFile: c.pem, keyFile: k.pem, serverName: other.example}
        bearerTokenFile: ../token
      - name: testing
        url: http://[::1]:9090
        cache: false
        basicAuth: {username: me, passwordFile: password}
limits: {maxConcurrent: 3, maxRequestBody: 256KiB, queue: {length: 0}}
cache: {maxBytes: 0B, freshness: 90s}
dashboards: {cluster: local, visibility: members}
tracing: {otlpEndpoint: http://collector:4318}
trustedProxies: [10.0.0.0/8, "2001:db8::/32"]
shutdown: {delay: 0s}
`

func TestWhole(t *testing.T) {
	c, err := parse("/etc/promgate/promgate.yaml", []byte(whole), func(file.Reference) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	want := file.Sections{
		Clusters: []file.Cluster{
			{Name: "local", Credentials: "dedicated", EndpointTokens: true, Audiences: []string{"promgate", "https://api.example"}, Discovery: &file.Discovery{Namespaces: file.Namespaces{Selector: "promgate.io/project=true"}, Sources: []string{"services", "prometheuses"}}},
			{Name: "west", Kubeconfig: "/etc/promgate/west.yaml", Context: "w", Credentials: "user"},
		},
		Projects: []file.Project{{Name: "shop", Limits: &file.Budget{
			MaxQueryLength: new(file.Size(4 << 10)), Queue: &file.BudgetQueue{Timeout: new(time.Minute)}, Burst: new(7),
		}, Environments: []file.Environment{
			{
				Name: "production",
				Service: &file.Service{Cluster: "local", Namespace: "shop", Name: "prometheus", Port: "9090",
					Scheme: "https", PathPrefix: "/prom"},
				Headers: map[string]string{"x-scope-orgid": "shop"}, Allow: []string{"federate", "remoteRead"}, AllowPost: true, Cache: true, Replicas: "pin",
				Enforce: map[string]file.OneOrMore{"namespace": {"shop", "shop-batch"}, "cluster": {"1"}},
				Aliases: []string{"http://prometheus.shop.svc/prom", "http://prometheus.shop.svc.cluster.local:9090"},
				Limits:  &file.Budget{MaxRange: new(30 * 24 * time.Hour), Queue: &file.BudgetQueue{Length: new(0)}},
			},
			{
				Name: "staging", URL: "https://prometheus.example:9090/a/b",
				TLS: &file.TLS{CAFile: "/etc/promgate/ca.pem", CertFile: "/etc/promgate/c.pem",
					KeyFile: "/etc/promgate/k.pem", ServerName: "other.example"},
				BearerTokenFile: "/etc/token", Replicas: "any", Cache: true,
			},
			{Name: "testing", URL: "http://[::1]:9090", BasicAuth: &file.BasicAuth{Username: "me", PasswordFile: "/etc/promgate/password"}, Replicas: "any"},
		}}},
	}
	if !reflect.DeepEqual(c.Sections, want) {
		t.Errorf("got  %+v\nwant %+v", c.Sections, want)
	}
	if tokens := (Tokens{Store: "kubernetes", Cluster: "west", Namespace: "promgate", Lifetime: time.Hour, Overlap: 20 * time.Minute}); c.Tokens != tokens {
		t.Errorf("got %+v", c.Tokens)
	}
	if cache := (Cache{Freshness: 90 * time.Second}); c.Cache != cache {
		t.Errorf("got %+v", c.Cache)
	}
	if c.ExternalURL != "https://gateway.example" || c.Limits.MaxRequestBody != 256<<10 || c.Limits.Queue.Length != 0 ||
		c.Limits.Queue.Timeout != 10*time.Second || c.Shutdown.Delay != 0 || c.Shutdown.Timeout != time.Minute ||
		c.TrustedProxies[1] != netip.MustParsePrefix("2001:db8::/32") {
		t.Errorf("got %+v", c)
	}
	if want := (Dashboards{Cluster: "local", Path: "/perses", Visibility: "members"}); c.Dashboards == nil || *c.Dashboards != want {
		t.Errorf("dashboards: %+v, want %+v", c.Dashboards, want)
	}
	files := strings.Join(c.Files(), " ")
	if files != "/etc/promgate/west.yaml /etc/promgate/ca.pem /etc/promgate/c.pem /etc/promgate/k.pem "+
		"/etc/token /etc/promgate/password /etc/promgate/tls.crt /abs/tls.key" {
		t.Errorf("files: %s", files)
	}
}

func TestNamedFiles(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"empty": "", "lines": "a\nb\n", "token": "secret\n", "junk.pem": "junk",
		"kubeconfig": "apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: https://c}}]\n" +
			"contexts: [{name: here, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {token: t}}]\n",
		"promgate.yaml": `dataDir: data
listenTLS: {certFile: none.crt, keyFile: none.key}
clusters:
  - {name: a, kubeconfig: kubeconfig, context: elsewhere}
  - {name: b, kubeconfig: kubeconfig, context: here}
  - {name: c, kubeconfig: nowhere}
projects:
  - name: shop
    environments:
      - {name: a, url: "http://a", bearerTokenFile: empty}
      - {name: b, url: "http://a", bearerTokenFile: lines}
      - {name: c, url: "http://a", bearerTokenFile: token}
      - {name: d, url: "https://a", tls: {caFile: junk.pem}}
      - {name: e, url: "https://a", basicAuth: {username: u, passwordFile: .}}
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	_, err := Load("promgate.yaml")
	if err == nil {
		t.Fatal("no fault found")
	}
	want := `promgate.yaml:2: listenTLS.certFile: none.crt does not exist; correct the path or the file
promgate.yaml:4: clusters[0].kubeconfig: the kubeconfig kubeconfig has no context "elsewhere"; it has here; correct the path or the file
promgate.yaml:6: clusters[2].kubeconfig: the kubeconfig nowhere does not exist; correct the path or the file
promgate.yaml:10: projects[0].environments[0].bearerTokenFile: empty is empty; write the secret into it; correct the path or the file
promgate.yaml:11: projects[0].environments[1].bearerTokenFile: lines holds more than one line or control characters; write the secret alone, on one line; correct the path or the file
promgate.yaml:13: projects[0].environments[3].tls.caFile: junk.pem holds no certificate that can be read; write PEM blocks of type CERTIFICATE; correct the path or the file
promgate.yaml:14: projects[0].environments[4].basicAuth.passwordFile: . is not a file; correct the path or the file`
	if err.Error() != want {
		t.Errorf("got\n%v\nwant\n%v", err, want)
	}
	var faults *Faults
	if !errors.As(err, &faults) || len(faults.Files) != 10 {
		t.Errorf("files to watch: %+v", faults)
	}
}

func TestLoadMissing(t *testing.T) {
	if _, err := Load(filepath.Join(t.TempDir(), "promgate.yaml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// TestDashboards finds the cluster that dashboards are in where there is one alone.
func TestDashboards(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"dashboards: {}", "local /perses members"},
		{"dashboards: {path: /grafana/perses, visibility: everySignedInUser}", "local /grafana/perses everySignedInUser"},
	} {
		cfg, err := parse("-", []byte("dataDir: d\nclusters: [{name: local, audiences: [promgate]}]\n"+c.text), func(file.Reference) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		if got := cfg.Dashboards.Cluster + " " + cfg.Dashboards.Path + " " + cfg.Dashboards.Visibility; got != c.want {
			t.Errorf("%s: %s, want %s", c.text, got, c.want)
		}
	}
	cfg, err := parse("-", []byte("dataDir: d"), nil)
	if err != nil || cfg.Dashboards != nil {
		t.Errorf("without the key there are no dashboards: %v, %v", cfg.Dashboards, err)
	}
}
