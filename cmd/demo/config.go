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
	SignIn      signInConfig    `yaml:"signIn"`
	Clusters    []clusterConfig `yaml:"clusters,omitempty"`
	Projects    []projectConfig `yaml:"projects,omitempty"`
	// Dashboards is there where the projects have some.
	Dashboards *dashboardsConfig `yaml:"dashboards,omitempty"`
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
	Discovery  struct {
		Namespaces struct {
			Names []string `yaml:"names"`
		} `yaml:"namespaces"`
		Sources []string `yaml:"sources"`
	} `yaml:"discovery"`
}

type signInConfig struct {
	UsersFile string `yaml:"usersFile"`
}

// dashboardsConfig switches dashboards on. The one cluster that there is has them.
type dashboardsConfig struct{}

type projectConfig struct {
	Name         string              `yaml:"name"`
	Members      []memberConfig      `yaml:"members,omitempty"`
	Environments []environmentConfig `yaml:"environments,omitempty"`
}

type memberConfig struct {
	User string `yaml:"user"`
	Role string `yaml:"role"`
}

type environmentConfig struct {
	Name string `yaml:"name"`
	URL  string `yaml:"url"`
}

func newGatewayConfig(listen, admin, dataDir string) gatewayConfig {
	return gatewayConfig{
		Listen: listen, AdminListen: admin, ExternalURL: "http://" + listen, DataDir: dataDir,
		Log: logConfig{Format: "text", Level: "warn"},
		// No load balancer has to notice that the demonstration ends.
		Shutdown: shutdownConfig{Delay: "0s"},
	}
}

// project is the one of that name, which is made where there is none yet.
func (c *gatewayConfig) project(name string) *projectConfig {
	for i := range c.Projects {
		if c.Projects[i].Name == name {
			return &c.Projects[i]
		}
	}
	c.Projects = append(c.Projects, projectConfig{Name: name})
	return &c.Projects[len(c.Projects)-1]
}

// addEnvironments adds every environment to its project. Their servers are reached directly.
func (c *gatewayConfig) addEnvironments(environments []*environment) {
	for _, e := range environments {
		p := c.project(e.Project)
		p.Environments = append(p.Environments, environmentConfig{Name: e.Name, URL: e.server.URL()})
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
