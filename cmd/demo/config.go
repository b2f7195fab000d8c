package main

import (
	"fmt"
	"os"

	"go.yaml.in/yaml/v3"
)

// gatewayConfig is promgate's configuration file, as far as the demonstration needs it.
type gatewayConfig struct {
	Listen      string          `yaml:"listen"`
	AdminListen string          `yaml:"adminListen"`
	ExternalURL string          `yaml:"externalURL"`
	DataDir     string          `yaml:"dataDir"`
	Log         logConfig       `yaml:"log"`
	Shutdown    shutdownConfig  `yaml:"shutdown"`
	Clusters    []clusterConfig `yaml:"clusters,omitempty"`
	Projects    []projectConfig `yaml:"projects"`
}

type logConfig struct {
	Format string `yaml:"format"`
	Level  string `yaml:"level"`
}

type shutdownConfig struct {
	Delay string `yaml:"delay"`
}

type clusterConfig struct {
	Name       string `yaml:"name"`
	Kubeconfig string `yaml:"kubeconfig"`
}

type projectConfig struct {
	Name         string              `yaml:"name"`
	Environments []environmentConfig `yaml:"environments"`
}

// environmentConfig has either a URL or a service.
type environmentConfig struct {
	Name    string         `yaml:"name"`
	URL     string         `yaml:"url,omitempty"`
	Service *serviceConfig `yaml:"service,omitempty"`
}

type serviceConfig struct {
	Cluster   string `yaml:"cluster"`
	Namespace string `yaml:"namespace"`
	Name      string `yaml:"name"`
	Port      string `yaml:"port"`
	Scheme    string `yaml:"scheme"`
}

func newGatewayConfig(listen, admin, dataDir string) gatewayConfig {
	return gatewayConfig{
		Listen: listen, AdminListen: admin, ExternalURL: "http://" + listen, DataDir: dataDir,
		Log: logConfig{Format: "text", Level: "warn"},
		// No load balancer has to notice that the demonstration ends.
		Shutdown: shutdownConfig{Delay: "0s"},
	}
}

// urlTarget leads to a server directly.
func urlTarget(e *environment) environmentConfig {
	return environmentConfig{Name: e.Name, URL: e.server.URL()}
}

// addEnvironments adds every environment to its project, with a target made by the function.
func (c *gatewayConfig) addEnvironments(environments []*environment, target func(*environment) environmentConfig) {
	index := map[string]int{}
	for _, e := range environments {
		at, known := index[e.Project]
		if !known {
			at = len(c.Projects)
			index[e.Project] = at
			c.Projects = append(c.Projects, projectConfig{Name: e.Project})
		}
		c.Projects[at].Environments = append(c.Projects[at].Environments, target(e))
	}
}

// environmentURL is what a client uses as the address of an environment's Prometheus.
func (c *gatewayConfig) environmentURL(e *environment) string {
	return c.ExternalURL + "/projects/" + e.Project + "/environments/" + e.Name
}

// write puts the configuration into a file, and makes the data directory.
func (c *gatewayConfig) write(file string) error {
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return fmt.Errorf("cannot make the gateway's data directory: %w", err)
	}
	text, err := yaml.Marshal(c)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return fmt.Errorf("cannot write the gateway's configuration: %w", err)
	}
	return nil
}
