package kube

import "github.com/promgate/promgate/kube"

// role renders the Role and the RoleBinding. The verb is part of their name,
// so that granting create does not take get away.
func role(namespace, literal, verb string, s kube.Subject) string {
	return kube.Role(namespace, "promgate:"+verb+":"+literal, s,
		kube.Rule{Resource: "services/proxy", Names: []string{literal}, Verbs: []string{verb}})
}

// podsRole is role's sibling for pods, which replicas: pin needs. It has no
// resourceNames: pods' names change, and RBAC knows no patterns. POST needs the
// verb create on the pods' proxy, and nothing more of the slices that tell which
// pods there are.
func podsRole(namespace, verb string, s kube.Subject) string {
	rules := []kube.Rule{{Resource: "pods/proxy", Verbs: []string{verb}}}
	if verb == "get" {
		rules = append(rules, kube.Rule{Group: endpointSlices.Group, Resource: endpointSlices.Resource, Verbs: []string{"list", "watch"}})
	}
	return "# For all pods of the namespace: their names change, so that resourceNames cannot name them.\n" +
		kube.Role(namespace, "promgate:"+verb+":pods", s, rules...)
}
