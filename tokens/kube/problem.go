package kube

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/promgate/promgate/kube"
)

// problem is why something cannot be read, in words for people.
type problem struct {
	// kind tells problems apart.
	kind string
	// text says what is wrong and what to do.
	text string
	// advice is YAML that grants what is missing; empty: nothing to grant.
	advice string
}

// problemWith explains an error of reading something. grant says what is needed
// for it, and role grants that.
func problemWith(what string, err error, grant, role string) problem {
	switch {
	case apierrors.IsForbidden(err):
		return problem{"forbidden", "the gateway may not use " + what + ": grant it " + grant, role}
	case apierrors.IsUnauthorized(err):
		return problem{kind: "unauthorized", text: "the API server does not accept the gateway's credentials: renew them"}
	}
	return problem{kind: "unreachable", text: what + " cannot be read: check that the API server can be reached"}
}

// problemWithObjects explains an error of reading the tokens of a namespace, or
// of all.
func problemWithObjects(c *kube.Connection, namespace string, err error) problem {
	if apierrors.IsNotFound(err) {
		return problem{kind: "missing", text: "the kind EndpointToken is not installed: apply deploy/kubernetes/crd"}
	}
	what := "endpoint tokens in the whole cluster"
	if namespace != "" {
		what = "endpoint tokens in namespace " + namespace
	}
	return problemWith(what, err, "list and watch on endpointtokens and patch on endpointtokens/status",
		kube.Role(namespace, "promgate:tokens", c.Subject,
			kube.Rule{Group: endpointTokens.Group, Resource: endpointTokens.Resource, Verbs: []string{"list", "watch"}},
			kube.Rule{Group: endpointTokens.Group, Resource: endpointTokens.Resource + "/status", Verbs: []string{"patch"}}))
}

// problemWithKeys explains an error of reading or writing the Secret of the keys.
func problemWithKeys(c *kube.Connection, namespace string, err error) problem {
	if apierrors.IsNotFound(err) {
		return problem{kind: "missing", text: "the gateway's own namespace " + namespace + " does not exist: make it, or correct tokens.namespace"}
	}
	return problemWith("the Secret "+keysName+" in namespace "+namespace, err, "get, list, watch and patch on it, and create on secrets in this namespace",
		kube.Role(namespace, "promgate:signing-keys", c.Subject,
			kube.Rule{Resource: secrets.Resource, Names: []string{keysName}, Verbs: []string{"get", "list", "watch", "patch"}},
			kube.Rule{Resource: secrets.Resource, Verbs: []string{"create"}}))
}

// of is the problem as an error of a cluster.
func (p problem) of(c *kube.Connection, err error) error {
	return fmt.Errorf("cluster %s: %s: %w", c.Name, p.text, cause(err))
}

var errUnreadable = errors.New("the API server's answer cannot be read")

// cause is an error that can be shown. What client-go says of an answer that it
// cannot read may quote all of it, and with that a private key.
func cause(err error) error {
	var status apierrors.APIStatus
	var sent *url.Error
	if errors.As(err, &status) || errors.As(err, &sent) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.Is(err, kube.ErrNoAnswer) {
		return err
	}
	return errUnreadable
}
