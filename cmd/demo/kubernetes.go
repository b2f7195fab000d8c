package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/promgate/promgate/cmd/demo/cluster"
)

const (
	clusterName      = "local"
	gatewayNamespace = "promgate"
	gatewayAccount   = "promgate"
	servicePortName  = "web"
	servicePort      = 9090
)

// environmentLabel makes a Service an environment.
const environmentLabel = `
apiVersion: v1
kind: Service
metadata: {name: %s, namespace: %s, labels: {promgate.io/environment: %s}}
`

// discoveryRole lets the gateway find the environments of a project.
const discoveryRole = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: promgate-discovery, namespace: %s}
rules:
  - {apiGroups: [""], resources: [namespaces], verbs: [get]}
  - {apiGroups: [""], resources: [services], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: promgate-discovery, namespace: %s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: promgate-discovery}
subjects: [{kind: ServiceAccount, name: %s, namespace: %s}]
`

func (e *environment) serviceName() string { return "prometheus-" + e.Name }

// throughCluster starts a Kubernetes API server, puts the environments' servers behind labelled Services there, makes
// dashboards of their metrics, and has the gateway find both, with an account that may use just these. release is to be called in any case; it stops the API server.
func (d *demo) throughCluster(ctx context.Context, cfg *gatewayConfig, environments []*environment) (release func(), err error) {
	release = func() {}
	binary := d.opts.controlplane
	if binary == "" {
		fmt.Fprintln(d.progress, "Building the control plane, which takes some minutes the first time.")
		if binary, err = cluster.Build(ctx, ""); err != nil {
			return release, err
		}
	}
	starting, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	c, err := cluster.Start(starting, cluster.Options{Binary: binary})
	if err != nil {
		return release, err
	}
	release = func() {
		if err := c.Stop(); err != nil && ctx.Err() == nil {
			fmt.Fprintln(d.progress, "demo: "+err.Error())
		}
	}
	if err := exposeServices(starting, c, environments); err != nil {
		return release, err
	}
	if err := applyDashboards(starting, c, environments); err != nil {
		return release, err
	}
	kubeconfig, err := c.ServiceAccountKubeconfig(starting, gatewayNamespace, gatewayAccount)
	if err != nil {
		return release, err
	}
	found := clusterConfig{Name: clusterName, Kubeconfig: kubeconfig}
	found.Discovery.Sources = []string{"services"}
	for _, e := range environments {
		if names := &found.Discovery.Namespaces.Names; !slices.Contains(*names, e.Project) {
			*names = append(*names, e.Project)
		}
	}
	cfg.Clusters, cfg.Dashboards = []clusterConfig{found}, &dashboardsConfig{}
	d.kubeconfig = c.Kubeconfig()
	return release, nil
}

// exposeServices makes a namespace for each project, a Service for each environment, and one Role for each project that
// names its services and nothing else.
func exposeServices(ctx context.Context, c *cluster.Cluster, environments []*environment) error {
	if err := c.Namespace(ctx, gatewayNamespace); err != nil {
		return err
	}
	names := map[string][]string{}
	for _, e := range environments {
		if err := c.Namespace(ctx, e.Project); err != nil {
			return err
		}
		if err := c.Service(ctx, e.Project, e.serviceName(), servicePortName, servicePort, e.server.Addr()); err != nil {
			return err
		}
		if err := c.Apply(ctx, fmt.Appendf(nil, environmentLabel, e.serviceName(), e.Project, e.Name)); err != nil {
			return err
		}
		names[e.Project] = append(names[e.Project], cluster.ProxyName("http", e.serviceName(), servicePortName))
	}
	account := cluster.ServiceAccount(gatewayNamespace, gatewayAccount)
	for project, services := range names {
		if err := c.AllowServiceProxy(ctx, project, account, services); err != nil {
			return err
		}
		if err := c.Apply(ctx, fmt.Appendf(nil, discoveryRole, project, project, gatewayAccount, gatewayNamespace)); err != nil {
			return err
		}
	}
	return nil
}
