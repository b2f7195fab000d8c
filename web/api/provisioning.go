package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/promgate/promgate/gateway"
	"github.com/promgate/promgate/routing"
)

// placeholder is the word in the snippets in whose place the token belongs.
const placeholder = "TOKEN"

// The longest uid and name that Grafana takes.
const (
	maxGrafanaUID  = 40
	maxGrafanaName = 190
)

type provisioning struct {
	URL         string    `json:"url"`
	Placeholder string    `json:"placeholder"`
	Snippets    []snippet `json:"snippets"`
}

type snippet struct {
	Kind        string `json:"kind"`
	Title       string `json:"title"`
	Description string `json:"description"`
	File        string `json:"file,omitempty"`
	Text        string `json:"text"`
}

// provisioning answers with what to paste into clients of an environment. Names
// are DNS labels and the URL is a configured one without special characters, so
// that nothing in it has to be quoted for a shell.
func (a *api) provisioning(ctx context.Context, c *gateway.Call) (*gateway.Reply, error) {
	e, err := a.gateway.Find(ctx, c.Identity, c.Names["project"], c.Names["environment"])
	if err != nil {
		return nil, err
	}
	u := a.gateway.EnvironmentURL(e)
	return reply(provisioning{URL: u, Placeholder: placeholder, Snippets: []snippet{
		grafana(e, u), perses(e, u), persesOnKubernetes(e, u), promtool(u), curl(u),
	}})
}

func grafana(e *routing.Environment, u string) snippet {
	name := unique(e, maxGrafanaName)
	return snippet{
		Kind: "grafana", Title: "Grafana", File: "promgate-" + name + ".yaml",
		Description: "Put it into the provisioning/datasources folder of Grafana, then restart Grafana. Or add a Prometheus data source by hand with this URL, and under HTTP headers Authorization with the value Bearer " + placeholder + ".",
		Text: fmt.Sprintf(`apiVersion: 1
datasources:
  - name: %s
    uid: %s
    type: prometheus
    access: proxy
    url: %s
    jsonData:
      httpMethod: POST
      prometheusType: Prometheus
      prometheusVersion: 3.15.0
      manageAlerts: false
      httpHeaderName1: Authorization
    secureJsonData:
      httpHeaderValue1: Bearer %s
`, scalar(name), "promgate-"+unique(e, maxGrafanaUID-len("promgate-")), u, placeholder),
	}
}

// unique is a name for the environment that no other one has. Where project and
// environment, joined, are too long, or could be those of another (shop and x-y
// are joined as shop-x and y are), a part of their hash follows.
func unique(e *routing.Environment, most int) string {
	name := e.Project.Name + "-" + e.Name
	if len(name) <= most && !strings.Contains(e.Name, "-") {
		return name
	}
	sum := sha256.Sum256([]byte(e.Project.Name + "/" + e.Name))
	return name[:min(len(name), most-9)] + "-" + hex.EncodeToString(sum[:4])
}

// scalar writes a name for YAML, which takes some DNS labels for something else:
// 2024-01-01 for a date, 1e-3 for a number, null and no for what they say.
func scalar(name string) string {
	if name[0] >= '0' && name[0] <= '9' || slices.Contains(yamlWords, name) {
		return `"` + name + `"`
	}
	return name
}

// yamlWords are the DNS labels that are no text, to YAML 1.1 or to 1.2.
var yamlWords = []string{"null", "true", "false", "yes", "no", "on", "off", "y", "n"}

// maxPersesName is the longest name that Perses takes.
const maxPersesName = 75

func perses(e *routing.Environment, u string) snippet {
	name := unique(e, maxPersesName-len("promgate-"))
	return snippet{
		Kind: "perses", Title: "Perses", File: "promgate-" + name + ".yaml",
		Description: "Apply it with percli apply -f. It is a data source for every project; for one project alone, make the kinds Secret and Datasource and add metadata.project.",
		Text: fmt.Sprintf(`kind: GlobalSecret
metadata:
  name: promgate-%[1]s
spec:
  authorization:
    type: Bearer
    credentials: %[3]s
---
kind: GlobalDatasource
metadata:
  name: %[4]s
spec:
  default: false
  plugin:
    kind: PrometheusDatasource
    spec:
      proxy:
        kind: HTTPProxy
        spec:
          url: %[2]s
          secret: promgate-%[1]s
`, name, u, placeholder, scalar(name)),
	}
}

// persesOnKubernetes is for perses-operator, which makes the data source's Secret
// in Perses of spec.client. The gateway takes a token as password of any user.
func persesOnKubernetes(e *routing.Environment, u string) snippet {
	return snippet{
		Kind: "perses-kubernetes", Title: "Perses on Kubernetes", File: "promgate-" + unique(e, maxPersesName) + ".yaml",
		Description: "Apply it with kubectl apply -f where perses-operator runs. The token stands in a Secret of the namespace, not in the data source.",
		Text: fmt.Sprintf(`apiVersion: v1
kind: Secret
metadata:
  name: promgate-%[2]s
  namespace: %[5]s
stringData:
  token: %[4]s
---
apiVersion: perses.dev/v1alpha2
kind: PersesDatasource
metadata:
  name: %[6]s
  namespace: %[5]s
  annotations:
    promgate.io/environment: %[6]s
spec:
  client:
    basicAuth:
      type: secret
      name: promgate-%[2]s
      namespace: %[5]s
      username: promgate
      passwordPath: token
  config:
    display:
      name: %[1]s %[2]s
    default: false
    plugin:
      kind: PrometheusDatasource
      spec:
        proxy:
          kind: HTTPProxy
          spec:
            url: %[3]s
            secret: %[2]s-secret
`, e.Project.Name, e.Name, u, placeholder, scalar(e.Project.Name), scalar(e.Name)),
	}
}

func promtool(u string) snippet {
	return snippet{
		Kind: "promtool", Title: "promtool", File: "promgate.http.yaml",
		Description: "Then ask: promtool query instant --http.config.file=promgate.http.yaml " + u + " up",
		Text:        fmt.Sprintf("authorization:\n  type: Bearer\n  credentials: %s\n", placeholder),
	}
}

func curl(u string) snippet {
	return snippet{
		Kind: "curl", Title: "curl", Description: "Asks the environment's Prometheus which of its targets are up.",
		Text: fmt.Sprintf("curl -sSG -H 'Authorization: Bearer %s' \\\n  --data-urlencode 'query=up' \\\n  %s/api/v1/query\n", placeholder, u),
	}
}
