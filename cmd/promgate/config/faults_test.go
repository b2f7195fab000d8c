package config

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/promgate/promgate/routing/file"
)

// faultCases are whole files with what is wrong with them. "-" stands for the
// name of the file.
var faultCases = []struct{ name, yaml, want string }{
	{"empty", "", "-:1: dataDir: dataDir is missing; write the directory where signing keys and token records are kept, such as /var/lib/promgate"},
	{"not a mapping", "- a\n", "-:1: a list stands where a mapping belongs; write keys with values below it"},
	{"no YAML", "dataDir: /d\nlog: {format: json\nlisten: x\n", "-:2: this is not YAML: did not find expected ',' or '}'; check the indentation, colons and quotes around this line"},
	{"two documents", "dataDir: /d\n---\ndataDir: /e\n", "-:2: the file holds more than one YAML document; remove what starts with the --- here"},
	{"unknown keys", "dataDir: /d\nexternalUrl: https://g\nfrobnicate: 1\nlimits:\n  maxConcurent: 5\n", `
-:2: externalUrl: unknown key; did you mean externalURL?
-:3: frobnicate: unknown key; write one of listen, listenTLS, adminListen, externalURL, dataDir, tokens, signIn, log, clusters, projects, dashboards, limits, targets, cache, tracing, trustedProxies, shutdown
-:5: limits.maxConcurent: unknown key; did you mean maxConcurrent?`},
	{"key twice", "dataDir: /d\nlisten: :1\nlisten: :2\n", "-:3: listen: the key is written twice, first in line 2; keep one of them"},
	{"merge and alias", "dataDir: /d\nlog: &x {format: json}\nlimits: {<<: *x}\nshutdown: *x\n", `
-:3: limits: merge keys (<<) are not understood; write the keys out
-:4: shutdown: aliases (*name) are not understood; write the value out`},
	{"types", "dataDir: [a]\nlimits:\n  maxConcurrent: many\n  maxRequestBody: 1MB\n  connectTimeout: 5\n  queue: 10\n  requestTimeout:\nlog: {level: information}\ntrustedProxies: [10.0.0.1, \"\"]\nlisten: !x y\nexternalURL: \"a\\nb\"\n", `
-:1: dataDir: a list stands where a single value belongs; write a path
-:3: limits.maxConcurrent: "many" is not a whole number; write a whole number, such as 20
-:4: limits.maxRequestBody: "1MB" is not a size; write a whole number with its unit, such as 256KiB or 1MiB
-:5: limits.connectTimeout: "5" is not a duration; write a number with its unit, such as 10s, 5m, 1h or 90d
-:6: limits.queue: a single value stands where a mapping belongs; write keys with values below it
-:7: limits.requestTimeout: the key has no value; write a number with its unit, such as 10s, 5m, 1h or 90d, or remove the key
-:8: log.level: "information" is none of the words that are known here; write one of debug, info, warn, error
-:9: trustedProxies[0]: "10.0.0.1" is not a CIDR; write a network, such as 10.0.0.0/8
-:9: trustedProxies[1]: "" is not a CIDR; write a network, such as 10.0.0.0/8
-:10: listen: the YAML tag !x is not understood; remove it
-:11: externalURL: the value holds line breaks or control characters; write it as plain text on one line`},
	{"listeners", "dataDir: /d\nlisten: 8080\nadminListen: here:99999\nlistenTLS: {}\n", `
-:2: listen: "8080" is no address to listen on; write host:port, such as 127.0.0.1:8080 or :8080
-:3: adminListen: "here:99999" is no address to listen on; write host:port, such as 127.0.0.1:8081
-:4: listenTLS.certFile: listenTLS has no certFile; write the path of the certificate's PEM file
-:4: listenTLS.keyFile: listenTLS has no keyFile; write the path of the private key's PEM file`},
	{"same listener", "dataDir: /d\nlisten: :8081\n", "-:1: adminListen: adminListen takes the same address as listen, and metrics and profiles must not be public; write another port"},
	{"URLs", "dataDir: /d\nexternalURL: https://g.example/projects/x\ntracing: {otlpEndpoint: collector:4318}\n", `
-:2: externalURL: the gateway cannot serve under this path; write one of letters, digits, hyphens, dots and underscores that does not begin with api, projects or ui, such as https://example.com/promgate
-:3: tracing.otlpEndpoint: not an absolute http or https URL; write one such as https://prometheus.example:9090`},
	{"limits", "dataDir: /d\nlimits:\n  maxConcurrent: 600\n  maxRequestBody: 0B\n  connectTimeout: -1s\n  requestTimeout: 1m\n  queue: {length: -1, timeout: 2m}\nshutdown: {delay: -1s, timeout: 0s}\ncache: {freshness: -1s}\n", `
-:2: limits.responseHeaderTimeout: responseHeaderTimeout (2m0s) is longer than requestTimeout (1m0s) and would never be reached; shorten it, or lengthen requestTimeout
-:3: limits.maxConcurrent: one environment may have 600 requests in flight, but the whole gateway only 500; lower maxConcurrent, or raise maxConcurrentTotal
-:4: limits.maxRequestBody: a limit cannot be zero or less; write a larger one, or remove the key for the default
-:5: limits.connectTimeout: a limit cannot be zero or less; write a larger one, or remove the key for the default
-:7: limits.queue.length: a queue cannot be shorter than empty; write 0 for none, or a larger number
-:7: limits.queue.timeout: queue.timeout (2m0s) is longer than requestTimeout (1m0s) and would never be reached; shorten it, or lengthen requestTimeout
-:8: shutdown.delay: a time cannot be negative; write 0s for no delay, or a longer one
-:8: shutdown.timeout: requests in flight need some time to end; write a longer one, such as 60s
-:9: cache.freshness: a time cannot be negative; write how late samples may come, such as 10m, or remove the key for the default`},
	{"sign-in", `dataDir: d
externalURL: http://gateway.example
signIn:
  kubernetes: true
  idleTimeout: 2h
  lifetime: 1h
  oidc: {issuer: "http://login.example", clientID: "", usernameClaim: " ", scopes: ["a b"], refreshInterval: 1s, prompt: "a&b"}
projects:
  - name: p
    members: [{user: anna}, {user: "oidc:b", group: g}, {}, {group: "oidc:g"}, {group: "oidc:g", role: maintainer}, {user: "oidc:"}, {user: "oidc:x", role: owner}]
`, `
-:3: signIn: browsers keep a session only over https: give the gateway a certificate with listenTLS, or, where a proxy has it, write externalURL with https://
-:4: signIn.kubernetes: no cluster accepts tokens of users; write audiences or credentials: user for one of clusters, or remove kubernetes
-:6: signIn.lifetime: lifetime (1h0m0s) is shorter than idleTimeout (2h0m0s), which would never be reached; lengthen it, or shorten idleTimeout
-:7: signIn.oidc.issuer: over plain http anybody on the way could sign in as anybody; write an issuer with https://
-:7: signIn.oidc.clientID: oidc has no clientID; write the id that the provider knows the gateway by
-:7: signIn.oidc.usernameClaim: usernameClaim is empty; write a claim, or remove the key for the default
-:7: signIn.oidc.scopes[0]: a scope is one word; write each as an entry of its own
-:7: signIn.oidc.prompt: "a&b" is no prompt; write a word such as consent or login, or remove the key
-:7: signIn.oidc.refreshInterval: asking more often than every 10s is too much for a provider; write a longer time
-:10: projects[0].members[6].role: "owner" is none of the words that are known here; write one of viewer, maintainer
-:10: projects[0].members[1]: a member is a user or a group; write two members for both
-:10: projects[0].members[2]: a member needs a user or a group; write one
-:10: projects[0].members[4]: this member is written twice, also in line 10; keep one
-:10: projects[0].members[5]: the name is empty or has spaces at an end; write it as the users file or the provider has it
-:10: projects[0].members[0].user: "anna" is somebody of the users file, but signIn.usersFile is not set; set it, or write oidc:anna for somebody of an OpenID provider
-:10: projects[0].members[1].group: "g" is somebody of the users file, but signIn.usersFile is not set; set it, or write oidc:g for somebody of an OpenID provider`},
	{"limits of a project and an environment", `dataDir: d
targets: {maxConcurrent: 501, maxConcurrentProject: 0}
limits: {burst: 0, maxRange: 90}
projects:
  - name: a
    limits: {maxConcurrent: 0, queue: {length: -1, timeout: 0s}, maxRange: 1.5d}
    environments:
      - name: x
        url: http://a
        limits: {maxPoints: many, maxResponseBytes: 0B, requestsPerSecond: ~, maxConcurent: 1}
`, `
-:2: targets.maxConcurrentProject: a limit cannot be zero or less; write a larger one, or remove the key for the default
-:2: targets.maxConcurrent: one cluster may have 501 requests in flight, but the whole gateway only 500; lower it, or raise limits.maxConcurrentTotal
-:3: limits.maxRange: "90" is not a duration; write a number with its unit, such as 10s, 5m, 1h or 90d
-:3: limits.burst: a limit cannot be zero or less; write a larger one, or remove the key for the default
-:6: projects[0].limits.maxRange: "1.5d" is not a duration; write a number with its unit, such as 10s, 5m, 1h or 90d
-:6: projects[0].limits.maxConcurrent: a limit cannot be zero or less; write a larger one, or remove the key to have it as above
-:6: projects[0].limits.queue.timeout: a limit cannot be zero or less; write a larger one, or remove the key to have it as above
-:6: projects[0].limits.queue.length: a queue cannot be shorter than empty; write 0 for none, or a larger number
-:10: projects[0].environments[0].limits.maxPoints: "many" is not a whole number; write a whole number, such as 10
-:10: projects[0].environments[0].limits.requestsPerSecond: the key has no value; write a whole number, such as 10, or remove the key
-:10: projects[0].environments[0].limits.maxConcurent: unknown key; did you mean maxConcurrent?
-:10: projects[0].environments[0].limits.maxResponseBytes: a limit cannot be zero or less; write a larger one, or remove the key to have it as above`},
	{"aliases", `dataDir: d
projects:
  - name: shop
    environments:
      - {name: a, url: "http://a", aliases: ["http://b", "HTTP://b/", "prometheus:9090", "http://anna:secret@c"]}
`, `-:5: projects[0].environments[0].aliases[1]: the alias http://b is written twice; remove one
-:5: projects[0].environments[0].aliases[2]: this alias is no http or https URL; write one such as http://prometheus.shop.svc:9090
-:5: projects[0].environments[0].aliases[3]: this alias has more than scheme, host, port and path; write one such as http://prometheus.shop.svc:9090`},
	{"dashboards without a cluster", `dataDir: d
dashboards: {path: /projects}
`, `-:2: dashboards.path: this path is one of the gateway's own; write one such as /perses
-:2: dashboards: dashboards are objects in a cluster, and there is none; add one to clusters, or remove dashboards`},
	{"dashboards of one of several clusters", `dataDir: d
externalURL: http://gate.example/perses/of/ours
clusters: [{name: a}, {name: b}]
dashboards: {}
`, `-:4: dashboards.path: externalURL begins with the same path, so that the two cannot be told apart; write another one
-:4: dashboards: there are several clusters; write as dashboards.cluster which one has the dashboards`},
	{"dashboards that nobody could see", `dataDir: d
clusters: [{name: a}]
dashboards: {cluster: a, path: perses/}
`, `-:3: dashboards.path: the path "perses/" does not start with a slash; write one such as /perses
-:3: dashboards: nobody could see them: configure signIn, or write audiences for cluster a so that it accepts tokens of users`},
	{"dashboards of a cluster that is not there", `dataDir: d
clusters: [{name: a}]
dashboards: {cluster: c, path: /perses/}
`, `-:3: dashboards.path: the path names no place of its own; write one such as /perses
-:3: dashboards.cluster: there is no cluster "c"; write the name of one of clusters`},
	{"dashboards that each reads with their own token", `dataDir: d
clusters: [{name: a, credentials: user}]
dashboards: {visibility: everySignedInUser}
`, `-:3: dashboards.visibility: with credentials: user each person is shown what their own token reads; remove visibility, or write credentials: dedicated for cluster a`},
	{"enforce", `dataDir: d
projects:
  - name: a
    environments:
      - {name: a, url: "http://a", enforce: {}}
      - name: b
        url: http://a
        enforce:
      - name: c
        url: http://a
        enforce: {namespace: [], "": x, __name__: up, cluster: "", zone: [a, ""], rack: [a, b, a], row: {a: b}}
      - {name: d, url: "http://a", enforce: shop}
`, `
-:5: projects[0].environments[0].enforce: enforce names no label, so that nothing would be enforced; write one such as namespace: shop, or remove enforce
-:8: projects[0].environments[1].enforce: enforce names no label, so that nothing would be enforced; write one such as namespace: shop, or remove enforce
-:11: projects[0].environments[2].enforce.row: a mapping stands where a list belongs; write each entry on its own line after a hyphen
-:11: projects[0].environments[2].enforce.: a label that is enforced needs a name without control characters; write the label that tells the tenants apart, such as namespace
-:11: projects[0].environments[2].enforce.__name__: the label __name__ is Prometheus' own and cannot be enforced; write one that the series carry, such as namespace
-:11: projects[0].environments[2].enforce.cluster: a value of the label cluster is empty, which would show what lacks the label; write the tenant's own value
-:11: projects[0].environments[2].enforce.namespace: the label namespace is enforced without a value, so that nothing could be seen; write its values, or remove it
-:11: projects[0].environments[2].enforce.rack: the label rack has the value "a" twice; remove one
-:11: projects[0].environments[2].enforce.zone: a value of the label zone is empty, which would show what lacks the label; write the tenant's own value
-:12: projects[0].environments[3].enforce: a single value stands where a mapping belongs; write keys with values below it`},
	{"names", "dataDir: /d\nprojects:\n  - name: Shop\n  - name: a\n    environments:\n      - {name: x, url: http://a}\n      - {name: x, url: http://a}\n  - name: a\n  - environments: []\nclusters:\n  - {name: c, context: x}\n  - name: c\n", `
-:3: projects[0].name: "Shop" is not a name for a project; write a DNS label: 1 to 63 lower-case letters, digits and hyphens, starting and ending with a letter or digit
-:7: projects[1].environments[1].name: the environment name "x" is taken already in line 6; give one of them another name
-:8: projects[2].name: the project name "a" is taken already in line 4; give one of them another name
-:9: projects[3].name: the project has no name; write a DNS label: 1 to 63 lower-case letters, digits and hyphens, starting and ending with a letter or digit
-:11: clusters[0].context: a context means nothing without a kubeconfig; add kubeconfig or remove context
-:12: clusters[1].name: the cluster name "c" is taken already in line 11; give one of them another name`},
	{"credentials", `dataDir: d
clusters:
  - {name: a, credentials: caller}
  - {name: b, credentials: user, audiences: [promgate]}
  - {name: c, audiences: ["", x, x]}
`, `
-:3: clusters[0].credentials: "caller" is none of the words that are known here; write one of dedicated, user
-:4: clusters[1].audiences: with credentials: user the API server itself checks whom a token is for; remove audiences, or write credentials: dedicated
-:5: clusters[2].audiences[0]: an audience is empty; write whom the tokens are made for, such as promgate
-:5: clusters[2].audiences[2]: "x" is written twice; remove one`},
	{"pinned for callers", `dataDir: d
clusters: [{name: a, credentials: user}, {name: b}]
projects:
  - name: shop
    environments:
      - {name: x, service: {cluster: a, namespace: shop, name: p, port: 1}, replicas: pin}
      - {name: y, service: {cluster: b, namespace: shop, name: p, port: 1}, replicas: pin}
      - {name: z, service: {cluster: a, namespace: shop, name: p, port: 1}}
`, "-:6: projects[0].environments[0].replicas: pods are pinned with the gateway's own credentials, and cluster a has credentials: user; remove replicas"},
	{"tokens in a file", `dataDir: d
tokens: {cluster: a, namespace: b}
`, `
-:2: tokens.cluster: cluster means nothing with store: file; remove it, or write store: kubernetes
-:2: tokens.namespace: namespace means nothing with store: file; remove it, or write store: kubernetes`},
	{"tokens without a cluster", `tokens: {store: kubernetes, lifetime: 0s}
`, `
-:1: tokens.store: tokens cannot be kept in Kubernetes without a cluster; add one to clusters, or write store: file
-:1: tokens.lifetime: a token needs a lifetime of more than nothing; write one such as 720h, or remove the key for the default`},
	{"tokens of one of several clusters", `tokens: {store: kubernetes, overlap: 300h, namespace: A}
clusters: [{name: a}, {name: b}]
`, `
-:1: tokens.store: there are several clusters; write as tokens.cluster which one the gateway belongs to
-:1: tokens.namespace: "A" is not a name that a namespace can have; write that of the gateway's own
-:1: tokens.overlap: overlap must lie between 0s and a third of lifetime (720h0m0s); write another, or lengthen lifetime`},
	{"tokens of an unknown cluster", `tokens: {store: kubernetes, cluster: c}
clusters: [{name: a}]
`, `
-:1: tokens.cluster: there is no cluster "c"; write the name of one of clusters`},
	{"tokens without a namespace", `tokens: {store: kubernetes}
clusters:
  - {name: a, kubeconfig: none}
`, `
-:1: tokens.store: cluster a is reached by a kubeconfig, which does not tell the gateway's own namespace; write it as tokens.namespace
-:3: clusters[0].kubeconfig: the kubeconfig none does not exist; correct the path or the file`},
}

func TestFaults(t *testing.T) {
	for _, c := range faultCases {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("-", []byte(c.yaml))
			if err == nil {
				t.Fatal("no fault found")
			}
			if want := strings.TrimPrefix(c.want, "\n"); err.Error() != want {
				t.Errorf("got\n%v\nwant\n%v", err, want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	for _, c := range faultCases {
		f.Add([]byte(c.yaml))
	}
	unchecked := func(file.Reference) error { return nil }
	f.Fuzz(func(t *testing.T, data []byte) {
		first, err := parse("promgate.yaml", data, unchecked)
		if err != nil {
			if err.Error() == "" {
				t.Fatal("an error without words")
			}
			return
		}
		written, err := yaml.Marshal(first)
		if err != nil {
			t.Fatal(err)
		}
		second, err := parse("promgate.yaml", written, unchecked)
		if err != nil {
			t.Fatalf("%v\nof\n%s", err, written)
		}
		again, err := yaml.Marshal(second)
		if err != nil || string(written) != string(again) {
			t.Fatalf("%v, first\n%s\nthen\n%s", err, written, again)
		}
	})
}
