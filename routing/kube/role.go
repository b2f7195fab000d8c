package kube

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"strconv"
	"strings"

	"k8s.io/client-go/rest"
)

// unknownUser stands where the gateway's name on the cluster is not known.
const unknownUser = "REPLACE-WITH-THE-USER-OF-THE-GATEWAY"

// subject is who the gateway is to the API server, as far as that can be told
// without asking it. The zero subject is unknown.
type subject struct {
	// namespace and account are a service account.
	namespace, account string
	// user is any other user.
	user string
}

// identify reads the gateway's name from its own credential. The name is only
// used in text for people, so that nothing is verified.
func identify(config *rest.Config) subject {
	cert := config.CertData
	if len(cert) == 0 && config.CertFile != "" {
		cert, _ = os.ReadFile(config.CertFile)
	}
	if len(cert) > 0 { // the API server looks at certificates before tokens
		return fromCertificate(cert)
	}
	token := config.BearerToken
	if config.BearerTokenFile != "" {
		if content, err := os.ReadFile(config.BearerTokenFile); err == nil {
			token = strings.TrimSpace(string(content))
		}
	}
	return fromToken(token)
}

func fromToken(token string) subject {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return subject{}
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return subject{}
	}
	var claims struct {
		Subject string `json:"sub"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return subject{}
	}
	// Of other tokens the API server alone knows which claim is the name.
	s, _ := serviceAccount(claims.Subject)
	return s
}

// serviceAccount reads the user name that Kubernetes gives a service account.
func serviceAccount(user string) (subject, bool) {
	qualified, ok := strings.CutPrefix(user, "system:serviceaccount:")
	if !ok {
		return subject{}, false
	}
	namespace, account, ok := strings.Cut(qualified, ":")
	if !ok || namespace == "" || account == "" {
		return subject{}, false
	}
	return subject{namespace: namespace, account: account}, true
}

// fromCertificate reads the common name, which Kubernetes takes for the user.
func fromCertificate(content []byte) subject {
	block, _ := pem.Decode(content)
	if block == nil {
		return subject{}
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return subject{}
	}
	if s, ok := serviceAccount(cert.Subject.CommonName); ok {
		return s
	}
	return subject{user: cert.Subject.CommonName}
}

// role renders the Role and the RoleBinding. The verb is part of their name,
// so that granting create does not take get away.
func role(namespace, literal, verb string, s subject) string {
	return rbac(namespace, "promgate:"+verb+":"+literal, s,
		rule{resource: "services/proxy", names: []string{literal}, verbs: []string{verb}})
}

// podsRole is role's sibling for pods, which replicas: pin needs. It has no
// resourceNames: pods' names change, and RBAC knows no patterns. POST needs the
// verb create on the pods' proxy, and nothing more of the slices that tell which
// pods there are.
func podsRole(namespace, verb string, s subject) string {
	rules := []rule{{resource: "pods/proxy", verbs: []string{verb}}}
	if verb == "get" {
		rules = append(rules, rule{group: endpointSlices.Group, resource: endpointSlices.Resource, verbs: []string{"list", "watch"}})
	}
	return "# For all pods of the namespace: their names change, so that resourceNames cannot name them.\n" +
		rbac(namespace, "promgate:"+verb+":pods", s, rules...)
}

func (s subject) yaml() string {
	if s.account != "" {
		return "  - kind: ServiceAccount\n    name: " + quote(s.account) + "\n    namespace: " + quote(s.namespace) + "\n"
	}
	comment, user := "", s.user
	if user == "" {
		user = unknownUser
		comment = "  # The gateway cannot tell its own name on this cluster from its credentials:\n" +
			"  # \"kubectl auth whoami\" with the same kubeconfig and context prints it.\n"
	}
	return comment + "  - apiGroup: rbac.authorization.k8s.io\n    kind: User\n    name: " + quote(user) + "\n"
}

// rule is one rule of a Role.
type rule struct {
	group, resource string
	names           []string
	verbs           []string
}

// rbac renders a Role and a RoleBinding; without a namespace a ClusterRole and
// a ClusterRoleBinding.
func rbac(namespace, name string, s subject, rules ...rule) string {
	kind, meta := "Role", "metadata:\n  name: "+quote(name)+"\n  namespace: "+quote(namespace)+"\n"
	if namespace == "" {
		kind, meta = "ClusterRole", "metadata:\n  name: "+quote(name)+"\n"
	}
	var b strings.Builder
	b.WriteString("apiVersion: rbac.authorization.k8s.io/v1\nkind: " + kind + "\n" + meta + "rules:\n")
	for _, r := range rules {
		b.WriteString("  - apiGroups: [" + quote(r.group) + "]\n    resources: [" + quote(r.resource) + "]\n")
		if len(r.names) > 0 {
			b.WriteString("    resourceNames: [" + quoteAll(r.names) + "]\n")
		}
		b.WriteString("    verbs: [" + quoteAll(r.verbs) + "]\n")
	}
	b.WriteString("---\napiVersion: rbac.authorization.k8s.io/v1\nkind: " + kind + "Binding\n" + meta)
	b.WriteString("roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: " + kind + "\n  name: " + quote(name) + "\n")
	b.WriteString("subjects:\n" + s.yaml())
	return b.String()
}

func quoteAll(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quote(w)
	}
	return strings.Join(quoted, ", ")
}

// quote makes a double-quoted YAML string.
func quote(s string) string { return strconv.QuoteToASCII(s) }
