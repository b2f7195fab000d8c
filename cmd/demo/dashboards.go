package main

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"slices"

	"github.com/promgate/promgate/cmd/demo/cluster"
	"github.com/promgate/promgate/deploy/kubernetes/crd"
)

// dashboards are the objects of each project, whose name stands in them as PROJECT.
//
//go:embed dashboards/*.yaml
var dashboards embed.FS

// firstDashboard is the one of a project to begin with.
const firstDashboard = "requests"

// dashboardsRole lets the gateway follow what a project's dashboards are made of.
const dashboardsRole = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: promgate-dashboards, namespace: %[1]s}
rules:
  - {apiGroups: [perses.dev], resources: [persesdashboards, persesdatasources], verbs: [get, list, watch]}
  - {apiGroups: [promgate.io], resources: [persesfolders], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: promgate-dashboards, namespace: %[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: promgate-dashboards}
subjects: [{kind: ServiceAccount, name: %[2]s, namespace: %[3]s}]
`

// globalDatasourcesRole lets the gateway follow the data sources that are in no namespace.
const globalDatasourcesRole = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: promgate-global-datasources}
rules:
  - {apiGroups: [perses.dev], resources: [persesglobaldatasources], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: promgate-global-datasources}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: promgate-global-datasources}
subjects: [{kind: ServiceAccount, name: %s, namespace: %s}]
`

// dashboardObjects are the objects of a project, as one YAML text.
func dashboardObjects(project string) ([]byte, error) {
	entries, err := dashboards.ReadDir("dashboards")
	if err != nil {
		return nil, err
	}
	var texts [][]byte
	for _, e := range entries {
		text, err := dashboards.ReadFile("dashboards/" + e.Name())
		if err != nil {
			return nil, err
		}
		texts = append(texts, bytes.ReplaceAll(text, []byte("PROJECT"), []byte(project)))
	}
	return bytes.Join(texts, []byte("\n---\n")), nil
}

// applyDashboards installs the kinds, and makes the objects of every project for the gateway to read.
func applyDashboards(ctx context.Context, c *cluster.Cluster, environments []*environment) error {
	for _, definitions := range [][]byte{crd.Perses(), crd.Folders()} {
		if err := c.Apply(ctx, definitions); err != nil {
			return err
		}
	}
	if err := c.Apply(ctx, fmt.Appendf(nil, globalDatasourcesRole, gatewayAccount, gatewayNamespace)); err != nil {
		return err
	}
	var done []string
	for _, e := range environments {
		if slices.Contains(done, e.Project) {
			continue
		}
		done = append(done, e.Project)
		objects, err := dashboardObjects(e.Project)
		if err != nil {
			return err
		}
		if err := c.Apply(ctx, fmt.Appendf(nil, dashboardsRole, e.Project, gatewayAccount, gatewayNamespace)); err != nil {
			return err
		}
		if err := c.Apply(ctx, objects); err != nil {
			return err
		}
	}
	return nil
}
