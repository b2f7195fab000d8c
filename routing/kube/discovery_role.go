package kube

import "github.com/promgate/promgate/kube"

// discoveryRole renders the Role, or for a search of the whole cluster the
// ClusterRole, with its binding, that lets the gateway see what it reported
// that it may not.
func (c *Cluster) discoveryRole(key problemKey, all []*source) string {
	if key.source == "namespaces" && key.namespace == "" {
		return kube.Role("", "promgate:discovery:namespaces", c.Subject,
			kube.Rule{Resource: "namespaces", Verbs: []string{"get", "list", "watch"}})
	}
	if key.source == "namespaces" {
		return kube.Role(key.namespace, "promgate:discovery:namespace", c.Subject,
			kube.Rule{Resource: "namespaces", Names: []string{key.namespace}, Verbs: []string{"get"}})
	}
	for _, s := range all {
		if s.name == key.source {
			return kube.Role(key.namespace, "promgate:discovery:"+s.gvr.Resource, c.Subject,
				kube.Rule{Group: s.gvr.Group, Resource: s.gvr.Resource, Verbs: []string{"list", "watch"}})
		}
	}
	return ""
}
