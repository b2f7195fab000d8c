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

// Subject is who the gateway is to the API server, as far as that can be told
// without asking it. The zero Subject is unknown.
type Subject struct {
	// Namespace and Account are a service account.
	Namespace, Account string
	// User is any other user.
	User string
}

// identify reads the gateway's name from its own credential. The name is only
// used in text for people, so that nothing is verified.
func identify(config *rest.Config) Subject {
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

func fromToken(token string) Subject {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return Subject{}
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return Subject{}
	}
	var claims struct {
		Subject string `json:"sub"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return Subject{}
	}
	// Of other tokens the API server alone knows which claim is the name.
	s, _ := ServiceAccount(claims.Subject)
	return s
}

// ServiceAccount reads the user name that Kubernetes gives a service account.
func ServiceAccount(user string) (Subject, bool) {
	qualified, ok := strings.CutPrefix(user, "system:serviceaccount:")
	if !ok {
		return Subject{}, false
	}
	namespace, account, ok := strings.Cut(qualified, ":")
	if !ok || namespace == "" || account == "" {
		return Subject{}, false
	}
	return Subject{Namespace: namespace, Account: account}, true
}

// fromCertificate reads the common name, which Kubernetes takes for the user.
func fromCertificate(content []byte) Subject {
	block, _ := pem.Decode(content)
	if block == nil {
		return Subject{}
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return Subject{}
	}
	if s, ok := ServiceAccount(cert.Subject.CommonName); ok {
		return s
	}
	return Subject{User: cert.Subject.CommonName}
}

func (s Subject) yaml() string {
	if s.Account != "" {
		return "  - kind: ServiceAccount\n    name: " + quote(s.Account) + "\n    namespace: " + quote(s.Namespace) + "\n"
	}
	comment, user := "", s.User
	if user == "" {
		user = unknownUser
		comment = "  # The gateway cannot tell its own name on this cluster from its credentials:\n" +
			"  # \"kubectl auth whoami\" with the same kubeconfig and context prints it.\n"
	}
	return comment + "  - apiGroup: rbac.authorization.k8s.io\n    kind: User\n    name: " + quote(user) + "\n"
}

// Rule is one rule of a Role.
type Rule struct {
	// Group is the API group of Resource; empty: the core group.
	Group, Resource string
	// Names limit the rule to objects of these names; none: all.
	Names []string
	Verbs []string
}

// Role renders a Role and the RoleBinding that gives it to the subject, ready to
// apply; without a namespace a ClusterRole and a ClusterRoleBinding.
func Role(namespace, name string, s Subject, rules ...Rule) string {
	kind, meta := "Role", "metadata:\n  name: "+quote(name)+"\n  namespace: "+quote(namespace)+"\n"
	if namespace == "" {
		kind, meta = "ClusterRole", "metadata:\n  name: "+quote(name)+"\n"
	}
	var b strings.Builder
	b.WriteString("apiVersion: rbac.authorization.k8s.io/v1\nkind: " + kind + "\n" + meta + "rules:\n")
	for _, r := range rules {
		b.WriteString("  - apiGroups: [" + quote(r.Group) + "]\n    resources: [" + quote(r.Resource) + "]\n")
		if len(r.Names) > 0 {
			b.WriteString("    resourceNames: [" + quoteAll(r.Names) + "]\n")
		}
		b.WriteString("    verbs: [" + quoteAll(r.Verbs) + "]\n")
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
