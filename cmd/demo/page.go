package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"github.com/promgate/promgate/cmd/demo/prometheus"
)

// entry is one environment as a client reaches it.
type entry struct {
	Project     string
	Environment string
	URL         string
	Token       string
}

func (e entry) name() string { return e.Project + "-" + e.Environment }

// curl is a line for a shell that asks for exampleQuery.
func (e entry) curl() string {
	return fmt.Sprintf("curl -sSG -H 'Authorization: Bearer %s' --data-urlencode 'query=%s' '%s/api/v1/query'", e.Token, exampleQuery, e.URL)
}

// page is what a person reads once everything runs.
type page struct {
	url      string
	dir      string
	password string
	entries  []entry
	// kubeconfig is the administrator's of the cluster that the dashboards are in; empty: there are none.
	kubeconfig string
}

func newPage(url, dir string) *page {
	return &page{url: url, dir: dir, entries: make([]entry, len(samples()))}
}

func (p *page) grafanaFile() string { return filepath.Join(p.dir, "grafana-datasources.yaml") }
func (p *page) persesFile() string  { return filepath.Join(p.dir, "perses-datasources.yaml") }

// print writes the page.
func (p *page) print(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "\nOpen  %s  and sign in as %s with the password %s\nThe gateway's log is %s\n",
		p.url, userName, p.password, filepath.Join(p.dir, "gateway.log"))
	for _, e := range p.entries {
		fmt.Fprintf(&b, "\n%s, %s\n  URL    %s\n  Token  %s\n  Try    %s\n", e.Project, e.Environment, e.URL, e.Token, e.curl())
	}
	if p.kubeconfig != "" {
		p.printDashboards(&b)
	}
	e := p.entries[0]
	fmt.Fprintf(&b, `
Grafana, for instance with %[1]s: Connections > Data sources > Add > Prometheus
  Prometheus server URL   %[2]s
  HTTP headers            Header: Authorization   Value: Bearer %[3]s
  or copy %[4]s to Grafana's provisioning/datasources for all four.

Perses: Admin > Global datasources, with a secret; both are ready for
  percli apply -f %[5]s
`, e.name(), e.URL, e.Token, p.grafanaFile(), p.persesFile())
	fmt.Fprint(&b, "\nIn a container, 127.0.0.1 is the container itself: run it with the host's network.\n\n")
	_, err := w.Write(b.Bytes())
	return err
}

// printDashboards tells where the dashboards are, as pages and as objects.
func (p *page) printDashboards(b *bytes.Buffer) {
	fmt.Fprint(b, "\nDashboards, which are objects in the cluster\n")
	for i, e := range p.entries {
		if i > 0 && e.Project == p.entries[i-1].Project {
			continue
		}
		fmt.Fprintf(b, "  %-8s %s/ui/projects/%s/dashboards\n", e.Project, p.url, e.Project)
	}
	project := p.entries[0].Project
	fmt.Fprintf(b, "  Change one, and see it change  kubectl --kubeconfig %s -n %s edit persesdashboard %s\n", p.kubeconfig, project, firstDashboard)
}

// object is a YAML mapping whose order does not matter.
type object = map[string]any

// writeProvisioning writes data sources for Grafana and Perses, readable by the owner alone because they hold tokens.
func (p *page) writeProvisioning() error {
	var sources []object
	var resources bytes.Buffer
	encoder := yaml.NewEncoder(&resources)
	for _, e := range p.entries {
		sources = append(sources, e.grafana())
		for _, r := range e.perses() {
			if err := encoder.Encode(r); err != nil {
				return err
			}
		}
	}
	provisioning, err := yaml.Marshal(object{"apiVersion": 1, "datasources": sources})
	if err != nil {
		return err
	}
	if err := os.WriteFile(p.grafanaFile(), provisioning, 0o600); err != nil {
		return fmt.Errorf("cannot write Grafana's provisioning: %w", err)
	}
	if err := os.WriteFile(p.persesFile(), resources.Bytes(), 0o600); err != nil {
		return fmt.Errorf("cannot write the resources for Perses: %w", err)
	}
	return nil
}

// grafana is a data source as Grafana's provisioning reads it.
func (e entry) grafana() object {
	return object{
		"name": e.name(), "uid": "promgate-" + e.name(), "type": "prometheus", "access": "proxy", "url": e.URL,
		"jsonData": object{
			"httpMethod": "POST", "prometheusType": "Prometheus", "prometheusVersion": prometheus.Version,
			"manageAlerts": false, "timeInterval": scrapeInterval.String(), "httpHeaderName1": "Authorization",
		},
		"secureJsonData": object{"httpHeaderValue1": "Bearer " + e.Token},
	}
}

// perses are a data source and the secret that it uses.
func (e entry) perses() []object {
	secret := "promgate-" + e.name()
	return []object{
		{
			"kind": "GlobalSecret", "metadata": object{"name": secret},
			"spec": object{"authorization": object{"type": "Bearer", "credentials": e.Token}},
		},
		{
			"kind": "GlobalDatasource", "metadata": object{"name": e.name()},
			"spec": object{"default": false, "plugin": object{
				"kind": "PrometheusDatasource",
				"spec": object{"proxy": object{"kind": "HTTPProxy", "spec": object{"url": e.URL, "secret": secret}}},
			}},
		},
	}
}
