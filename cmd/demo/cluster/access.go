package cluster

import (
	"context"
	"fmt"
	"strings"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// accessPoll is how often the API server is asked whether a changed rule is in force.
const accessPoll = 5 * time.Millisecond

// ServiceAccount is a ServiceAccount as the subject of a grant.
func ServiceAccount(namespace, name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}
}

// User is a user as the subject of a grant.
func User(name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: name}
}

// Group is all users of a group as the subject of a grant.
func Group(name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: name}
}

// ProxyName is how a Service's port is named in the proxy's URL and, literally so, in a Role: scheme:name:port.
func ProxyName(scheme, service, portName string) string {
	return scheme + ":" + service + ":" + portName
}

// grantName names the one Role and the one RoleBinding of a subject in a namespace.
func grantName(subject rbacv1.Subject) string {
	return "service-proxy-" + shortHash(subject.Kind, subject.Namespace, subject.Name)
}

// AllowServiceProxy lets the subject use the service proxy to the services named, each in the form scheme:name:port (see
// ProxyName), with the verbs given or else "get". It makes one Role and one RoleBinding; calling it again for the subject
// replaces them. When it returns the rules are in force.
func (c *Cluster) AllowServiceProxy(ctx context.Context, namespace string, subject rbacv1.Subject, serviceNames []string, verbs ...string) error {
	if len(serviceNames) == 0 {
		return fmt.Errorf("cluster: no services named: a rule without names would allow all services of %s", namespace)
	}
	for _, name := range serviceNames {
		if parts := strings.Split(name, ":"); len(parts) != 3 || parts[0] == "" || parts[1] == "" {
			return fmt.Errorf("cluster: %q is not of the form scheme:name:port, write for example http:prometheus:web", name)
		}
	}
	if len(verbs) == 0 {
		verbs = []string{"get"}
	}
	meta := metav1.ObjectMeta{Name: grantName(subject), Namespace: namespace}
	role := &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{""}, Resources: []string{"services/proxy"}, ResourceNames: serviceNames, Verbs: verbs,
	}}}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: meta.Name},
		Subjects:   []rbacv1.Subject{subject},
	}
	roles, bindings := c.client.RbacV1().Roles(namespace), c.client.RbacV1().RoleBindings(namespace)
	_, err := roles.Create(ctx, role, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = roles.Update(ctx, role, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("cluster: cannot write the role of %s in %s: %w", subject.Name, namespace, err)
	}
	_, err = bindings.Create(ctx, binding, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("cluster: cannot bind the role of %s in %s: %w", subject.Name, namespace, err)
	}
	return c.awaitRules(ctx, namespace, subject, serviceNames, verbs, func(status authorizationv1.SubjectAccessReviewStatus) bool {
		return status.Allowed
	})
}

// RevokeServiceProxy deletes what AllowServiceProxy made for the subject in the namespace. When it returns the rules are no
// longer in force; what the subject may do by other rules it still may. Nothing to delete is no error.
func (c *Cluster) RevokeServiceProxy(ctx context.Context, namespace string, subject rbacv1.Subject) error {
	name := grantName(subject)
	role, err := c.client.RbacV1().Roles(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("cluster: cannot read the role of %s in %s: %w", subject.Name, namespace, err)
	}
	err = c.client.RbacV1().RoleBindings(namespace).Delete(ctx, name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("cluster: cannot delete the role binding of %s in %s: %w", subject.Name, namespace, err)
	}
	err = c.client.RbacV1().Roles(namespace).Delete(ctx, name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("cluster: cannot delete the role of %s in %s: %w", subject.Name, namespace, err)
	}
	if role == nil || len(role.Rules) == 0 {
		return nil
	}
	// The reason of an allowed review names the binding that allows it.
	reason := fmt.Sprintf("RoleBinding %q", name+"/"+namespace)
	rule := role.Rules[0]
	return c.awaitRules(ctx, namespace, subject, rule.ResourceNames, rule.Verbs, func(status authorizationv1.SubjectAccessReviewStatus) bool {
		return !status.Allowed || !strings.Contains(status.Reason, reason)
	})
}

// awaitRules waits until the review of every name and verb satisfies the condition: the API server goes by a cache of the
// rules, which follows a write after some milliseconds.
func (c *Cluster) awaitRules(ctx context.Context, namespace string, subject rbacv1.Subject, names, verbs []string,
	satisfied func(authorizationv1.SubjectAccessReviewStatus) bool,
) error {
	tick := time.NewTicker(accessPoll)
	defer tick.Stop()
	for _, name := range names {
		for _, verb := range verbs {
			for {
				status, err := c.review(ctx, namespace, subject, name, verb)
				if err != nil {
					return fmt.Errorf("cluster: cannot ask what %s may do in %s: %w", subject.Name, namespace, err)
				}
				if satisfied(status) {
					break
				}
				select {
				case <-tick.C:
				case <-ctx.Done():
					return fmt.Errorf("cluster: the rules for %s in %s were not in force in time: %w", subject.Name, namespace, ctx.Err())
				}
			}
		}
	}
	return nil
}

func (c *Cluster) review(ctx context.Context, namespace string, subject rbacv1.Subject, name, verb string,
) (authorizationv1.SubjectAccessReviewStatus, error) {
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: namespace, Verb: verb, Resource: "services", Subresource: "proxy", Name: name,
		},
	}}
	switch subject.Kind {
	case rbacv1.ServiceAccountKind:
		review.Spec.User = "system:serviceaccount:" + subject.Namespace + ":" + subject.Name
	case rbacv1.GroupKind:
		review.Spec.Groups = []string{subject.Name}
	default:
		review.Spec.User = subject.Name
	}
	answer, err := c.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return authorizationv1.SubjectAccessReviewStatus{}, err
	}
	return answer.Status, nil
}
