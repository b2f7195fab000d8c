package file

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// faults validates and returns what was reported, one fault a line.
func faults(s *Sections) string {
	var lines []string
	s.Validate(func(at Path, format string, args ...any) {
		lines = append(lines, at.String()+": "+fmt.Sprintf(format, args...))
	})
	return strings.Join(lines, "\n")
}

func one(e Environment) *Sections {
	e.Name = "e"
	return &Sections{
		Clusters: []Cluster{{Name: "local"}, {Name: "west"}},
		Projects: []Project{{Name: "p", Environments: []Environment{e}}},
	}
}

func service(change func(*Service)) Environment {
	s := &Service{Cluster: "local", Namespace: "shop", Name: "prometheus", Port: "web", Scheme: "http", PathPrefix: "/"}
	if change != nil {
		change(s)
	}
	return Environment{Service: s}
}

func TestEnvironmentFaults(t *testing.T) {
	const at = "projects[0].environments[0]"
	for _, c := range []struct {
		name string
		e    Environment
		want []string // each "path: beginning of the message"
	}{
		{"service", service(nil), nil},
		{"port number", service(func(s *Service) { s.Port = "65535"; s.Scheme = "https" }), nil},
		{"no target", Environment{}, []string{": the environment has no target"}},
		{"two targets", Environment{Service: service(nil).Service, URL: "http://a"}, []string{".url: the environment has both"}},
		{"no cluster", service(func(s *Service) { s.Cluster = "" }), []string{".service.cluster: the service names no cluster"}},
		{"unknown cluster", service(func(s *Service) { s.Cluster = "east" }), []string{`.service.cluster: no cluster is named "east"; write one of local, west`}},
		{"namespace", service(func(s *Service) { s.Namespace = "../x" }), []string{`.service.namespace: "../x" is not a namespace`}},
		{"no name", service(func(s *Service) { s.Name = "" }), []string{".service.name: the service has no name"}},
		{"name", service(func(s *Service) { s.Name = "a:b" }), []string{`.service.name: "a:b" is not a name`}},
		{"no port", service(func(s *Service) { s.Port = "" }), []string{".service.port: the service has no port"}},
		{"port 0", service(func(s *Service) { s.Port = "0" }), []string{`.service.port: "0" is not a port number`}},
		{"port 65536", service(func(s *Service) { s.Port = "65536" }), []string{`.service.port: "65536" is not a port number`}},
		{"port 080", service(func(s *Service) { s.Port = "080" }), []string{`.service.port: "080" is not a port number`}},
		{"port name", service(func(s *Service) { s.Port = "Web" }), []string{`.service.port: "Web" is not a port name`}},
		{"prefix relative", service(func(s *Service) { s.PathPrefix = "x" }), []string{`.service.pathPrefix: the path "x" does not start`}},
		{"prefix dots", service(func(s *Service) { s.PathPrefix = "/a/../b" }), []string{".service.pathPrefix: the path has a segment . or .."}},
		{"prefix encoded", service(func(s *Service) { s.PathPrefix = "/%2e%2e" }), []string{".service.pathPrefix: the path has characters"}},
		{"prefix empty segment", service(func(s *Service) { s.PathPrefix = "/a//b" }), []string{".service.pathPrefix: the path has an empty segment"}},
		{"prefix slashes", service(func(s *Service) { s.PathPrefix = "//" }), []string{".service.pathPrefix: the path has an empty segment"}},
		{"credentials with service", Environment{Service: service(nil).Service, BearerTokenFile: "f", BasicAuth: &BasicAuth{}, TLS: &TLS{}},
			[]string{".bearerTokenFile: cannot be used with service", ".basicAuth: cannot be used with service", ".tls: cannot be used with service"}},
		{"both credentials", Environment{URL: "http://a", BearerTokenFile: "f", BasicAuth: &BasicAuth{Username: "u", PasswordFile: "p"}},
			[]string{".basicAuth: the environment has both"}},
		{"half basic", Environment{URL: "http://a", BasicAuth: &BasicAuth{}},
			[]string{".basicAuth.username: basicAuth has no username", ".basicAuth.passwordFile: basicAuth has no passwordFile"}},
		{"colon in user", Environment{URL: "http://a", BasicAuth: &BasicAuth{Username: "a:b", PasswordFile: "p"}},
			[]string{".basicAuth.username: a user name cannot contain a colon"}},
		{"tls on http", Environment{URL: "http://a", TLS: &TLS{}}, []string{".tls: tls has no effect"}},
		{"half pairs", Environment{URL: "https://a", TLS: &TLS{CertFile: "c"}}, []string{".tls.keyFile: certFile stands without keyFile"}},
		{"other half", Environment{URL: "https://a", TLS: &TLS{KeyFile: "k"}}, []string{".tls.certFile: keyFile stands without certFile"}},
		{"skip and CA", Environment{URL: "https://a", TLS: &TLS{CAFile: "c", DangerouslySkipVerify: true, ServerName: "a b"}},
			[]string{".tls.dangerouslySkipVerify: caFile has no effect", `.tls.serverName: "a b" is not a host name`}},
		{"pinned URL", Environment{URL: "https://a", Replicas: "pin"}, []string{".replicas: replicas of a URL cannot be told apart"}},
		{"allowed twice", Environment{URL: "https://a", Allow: []string{"federate", "federate"}}, []string{`.allow[1]: "federate" is written twice`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := faults(one(c.e))
			lines := strings.Split(got, "\n")
			if got == "" {
				lines = nil
			}
			if len(lines) != len(c.want) {
				t.Fatalf("got\n%s\nwant %q", got, c.want)
			}
			for i, want := range c.want {
				if !strings.HasPrefix(lines[i], at+want) || !strings.Contains(lines[i], "; ") {
					t.Errorf("got %q, want %q and what to do", lines[i], want)
				}
			}
		})
	}
}

func TestDiscoveryFaults(t *testing.T) {
	for _, c := range []struct {
		name string
		d    Discovery
		want []string
	}{
		{"names", Discovery{Namespaces: Namespaces{Names: []string{"a", "b"}}, Sources: []string{"services"}}, nil},
		{"selector", Discovery{Namespaces: Namespaces{Selector: "a=b"}}, nil},
		{"nowhere", Discovery{}, []string{".namespaces: discovery searches no namespace"}},
		{"both", Discovery{Namespaces: Namespaces{Names: []string{"a"}, Selector: "a"}}, []string{".namespaces.selector: discovery has both"}},
		{"bad name", Discovery{Namespaces: Namespaces{Names: []string{"A", "a", "a"}}},
			[]string{`.namespaces.names[0]: "A" is not a name`, `.namespaces.names[2]: "a" is written twice`}},
		{"twice", Discovery{Namespaces: Namespaces{Names: []string{"a"}}, Sources: []string{"services", "services"}}, []string{`.sources[1]: "services" is written twice`}},
	} {
		got := strings.Split(faults(&Sections{Clusters: []Cluster{{Name: "local", Discovery: &c.d}}}), "\n")
		if got[0] == "" {
			got = nil
		}
		if len(got) != len(c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
			continue
		}
		for i, want := range c.want {
			if !strings.HasPrefix(got[i], "clusters[0].discovery"+want) || !strings.Contains(got[i], "; ") {
				t.Errorf("%s: got %q, want %q and what to do", c.name, got[i], want)
			}
		}
	}
}

func TestCheckURL(t *testing.T) {
	for raw, want := range map[string]string{
		"http://a": "http://a", "HTTPS://Prom.example:9090/": "https://Prom.example:9090", "https://a/b/c/": "https://a/b/c",
		"http://[::1]:9090/x": "http://[::1]:9090/x", "http://10.0.0.1": "http://10.0.0.1", "http://my_host.": "http://my_host.",
	} {
		if got, err := CheckURL(raw); err != nil || got != want {
			t.Errorf("%s: got %q, %v", raw, got, err)
		}
		if got, err := CheckURL(want); err != nil || got != want {
			t.Errorf("%s: again %q, %v", raw, got, err)
		}
	}
	for _, raw := range []string{
		"", "a", "/a", "//a", "ftp://a", "http:a", "http://", "http:///a", "http://u:hunter2@a", "http://u@a", "http://a?x", "http://a?", "http://a#x", "http://a#",
		"http://a:0", "http://a:", "http://a:70000", "http://a b", "http://%41", "http://-a", "http://a..b", "http://[fe80::1%25eth0]",
		"http://a/../b", "http://a/./b", "http://a//b", "http://a//", "http://a/%2e", "http://a/b%2fc", "http://a/b;c", "http://a/ö", "http://a/b c", "http://hunter2 /",
	} {
		_, err := CheckURL(raw)
		if err == nil {
			t.Errorf("%q was accepted", raw)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "; ") {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

func TestHeaderFaults(t *testing.T) {
	for _, name := range []string{
		"Connection", "keep-alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Proxy-Authorization", "Proxy-Connection",
		"host", "authorization", "COOKIE", "Content-Type", "Content-Length", "Accept", "Accept-Encoding",
		"Impersonate-User", "impersonate-extra-x", "X-Remote-User", "X-Remote-Extra-a", "Traceparent", "a b", "", "a:b", "ö",
	} {
		if faults(one(Environment{URL: "http://a", Headers: map[string]string{name: "hunter2"}})) == "" {
			t.Errorf("%q was accepted", name)
		}
	}
	for _, value := range []string{"", " ", " x", "x ", "a\nb", "a\x00b", "a\x7fb"} {
		if faults(one(Environment{URL: "http://a", Headers: map[string]string{"X-A": value}})) == "" {
			t.Errorf("the value %q was accepted", value)
		}
	}
	got := faults(one(Environment{URL: "http://a", Headers: map[string]string{"X-A": "hunter2\n", "x-a": "hunter2", "Authorization": "hunter2"}}))
	if strings.Contains(got, "hunter2") {
		t.Errorf("a value is in the faults:\n%s", got)
	}
	if !strings.Contains(got, "written twice") {
		t.Errorf("got\n%s", got)
	}
	good := service(nil)
	good.Headers = map[string]string{"X-Scope-OrgID": "a|b", "x-tenant": "ü"}
	if got := faults(one(good)); got != "" {
		t.Errorf("got\n%s", got)
	}
	if got := good.Header(); got.Get("X-Scope-Orgid") != "a|b" || got["X-Tenant"][0] != "ü" {
		t.Errorf("got %v", got)
	}
}

func TestPath(t *testing.T) {
	p := Path{"projects", 0}
	a, b := p.With("a"), p.With("b")
	if got := a.String() + " " + b.String() + " " + p.String(); got != "projects[0].a projects[0].b projects[0]" {
		t.Error(got)
	}
}

func TestReferences(t *testing.T) {
	s := one(Environment{URL: "https://a", TLS: &TLS{CAFile: "ca", CertFile: "crt", KeyFile: "key"},
		BearerTokenFile: "token", BasicAuth: &BasicAuth{PasswordFile: "password"}})
	s.Clusters[1].Kubeconfig, s.Clusters[1].Context = "kc", "ctx"
	var got []string
	for _, r := range s.References() {
		got = append(got, fmt.Sprint(r.At, " ", r.Kind, " ", r.Files(), r.Context))
	}
	want := []string{
		"clusters[1].kubeconfig kubeconfig [kc]ctx",
		"projects[0].environments[0].tls.caFile CA certificates [ca]",
		"projects[0].environments[0].tls.certFile certificate and key [crt key]",
		"projects[0].environments[0].bearerTokenFile secret [token]",
		"projects[0].environments[0].basicAuth.passwordFile secret [password]",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q", got)
	}
}
