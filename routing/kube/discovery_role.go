package kube

// discoveryRole renders the Role, or for a search of the whole cluster the
// ClusterRole, with its binding, that lets the gateway see what it reported
// that it may not.
func (c *Cluster) discoveryRole(key problemKey, all []*source) string {
	if key.source == "namespaces" && key.namespace == "" {
		return rbac("", "promgate:discovery:namespaces", c.subject,
			rule{resource: "namespaces", verbs: []string{"get", "list", "watch"}})
	}
	if key.source == "namespaces" {
		return rbac(key.namespace, "promgate:discovery:namespace", c.subject,
			rule{resource: "namespaces", names: []string{key.namespace}, verbs: []string{"get"}})
	}
	for _, s := range all {
		if s.name == key.source {
			return rbac(key.namespace, "promgate:discovery:"+s.gvr.Resource, c.subject,
				rule{group: s.gvr.Group, resource: s.gvr.Resource, verbs: []string{"list", "watch"}})
		}
	}
	return ""
}
