package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/promgate/promgate/auth"
)

// anonymous is who an API server takes a request without credentials for.
const anonymous = "system:anonymous"

// kind is one of reviews, all of version v1.
type kind struct {
	group, kind, resource string
	// own tells that it is made with the gateway's own credentials, and not with
	// the caller's token.
	own bool
}

const (
	authentication = "authentication.k8s.io"
	authorization  = "authorization.k8s.io"
)

var (
	tokenReview         = kind{authentication, "TokenReview", "tokenreviews", true}
	selfReview          = kind{authentication, "SelfSubjectReview", "selfsubjectreviews", false}
	subjectAccessReview = kind{authorization, "SubjectAccessReview", "subjectaccessreviews", true}
	selfAccessReview    = kind{authorization, "SelfSubjectAccessReview", "selfsubjectaccessreviews", false}
	selfRulesReview     = kind{authorization, "SelfSubjectRulesReview", "selfsubjectrulesreviews", false}
)

// review keeps the answer apart from the question. An answer that is read
// over its question keeps what it leaves out itself, and is written into slices
// and maps that others read.
type review struct{ question, answer runtime.Object }

// MarshalJSON implements json.Marshaler.
func (r review) MarshalJSON() ([]byte, error) { return json.Marshal(r.question) }

// UnmarshalJSON implements json.Unmarshaler.
func (r review) UnmarshalJSON(text []byte) error { return json.Unmarshal(text, r.answer) }

// post makes a review. It is refused where the API server does not take the
// caller's token. Otherwise errors wrap auth.ErrUnavailable, and not their
// cause: a timeout of the review is none of the request.
func (c *cluster) post(ctx context.Context, k kind, who *caller, question, answer runtime.Object) (refused bool, err error) {
	gvk := schema.GroupVersionKind{Group: k.group, Version: "v1", Kind: k.kind}
	question.GetObjectKind().SetGroupVersionKind(gvk)
	token := ""
	if !k.own {
		token = who.credential.Secret()
	}
	err = c.Connection.Review(ctx, "/apis/"+k.group+"/v1/"+k.resource, token, &review{question, answer})
	if err == nil && answer.GetObjectKind().GroupVersionKind() != gvk {
		err = errors.New("the answer is no " + k.kind)
	}
	if k.own {
		c.noteRights(k, who, err)
	}
	switch {
	case err == nil:
		return false, nil
	case apierrors.IsUnauthorized(err) && !k.own:
		return true, nil
	case apierrors.IsUnauthorized(err):
		err = errors.New("the API server does not accept the gateway's own credentials")
	case ctx.Err() != nil:
		err = fmt.Errorf("the API server did not answer within %s", ReviewTimeout)
	}
	return false, fmt.Errorf("%w: the %s on cluster %s failed: %s", auth.ErrUnavailable, k.kind, c.Connection.Name, who.clean(err.Error()))
}

// reviewToken asks with the gateway's own credentials whose the token is.
func (c *cluster) reviewToken(ctx context.Context, who *caller) (verdict, error) {
	var answer authenticationv1.TokenReview
	spec := authenticationv1.TokenReviewSpec{Token: who.credential.Secret(), Audiences: c.Audiences}
	if _, err := c.post(ctx, tokenReview, who, &authenticationv1.TokenReview{Spec: spec}, &answer); err != nil {
		return verdict{}, err
	}
	status := answer.Status
	switch {
	case status.Error != "":
		return verdict{reason: "the API server does not accept it: " + who.clean(status.Error)}, nil
	case !status.Authenticated:
		return verdict{reason: "the API server does not accept it"}, nil
	case !slices.ContainsFunc(status.Audiences, c.isOurs):
		// An API server that knows no audiences answers without any.
		return verdict{reason: fmt.Sprintf("it is not meant for any of the audiences %q", c.Audiences)}, nil
	}
	return isUser(status.User), nil
}

func (c *cluster) isOurs(audience string) bool { return slices.Contains(c.Audiences, audience) }

// isUser is the verdict on a token that the API server accepts.
func isUser(user authenticationv1.UserInfo) verdict {
	if user.Username == "" || user.Username == anonymous {
		return verdict{reason: "the API server names no user for it"}
	}
	return verdict{user: &user}
}

// reviewSelf asks with the token itself whose it is.
func (c *cluster) reviewSelf(ctx context.Context, who *caller) (verdict, error) {
	var answer authenticationv1.SelfSubjectReview
	refused, err := c.post(ctx, selfReview, who, &authenticationv1.SelfSubjectReview{}, &answer)
	switch {
	case err != nil:
		return verdict{}, err
	case refused:
		return verdict{reason: "the API server does not accept it"}, nil
	}
	// The groups are for display alone: the API server knows them, and the rest,
	// when it is asked with the token.
	user := answer.Status.UserInfo
	return isUser(authenticationv1.UserInfo{Username: user.Username, Groups: user.Groups}), nil
}

// accessReview picks how the cluster is asked what the user may.
func (c *cluster) accessReview(user *authenticationv1.UserInfo, about *attributes) (kind, func(context.Context, *caller, *attributes) (decision, error)) {
	switch {
	case c.UserCredentials && allServices(about):
		return selfRulesReview, c.reviewRules
	case c.UserCredentials:
		return selfAccessReview, c.reviewSelfAccess
	}
	return subjectAccessReview, func(ctx context.Context, who *caller, about *attributes) (decision, error) {
		return c.reviewAccess(ctx, who, user, about)
	}
}

// reviewAccess asks with the gateway's own credentials what the user may.
func (c *cluster) reviewAccess(ctx context.Context, who *caller, user *authenticationv1.UserInfo, about *attributes) (decision, error) {
	extra := make(map[string]authorizationv1.ExtraValue, len(user.Extra))
	for key, values := range user.Extra {
		extra[key] = authorizationv1.ExtraValue(values)
	}
	var answer authorizationv1.SubjectAccessReview
	_, err := c.post(ctx, subjectAccessReview, who, &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		ResourceAttributes: about,
		User:               user.Username, UID: user.UID, Groups: user.Groups, Extra: extra,
	}}, &answer)
	return who.decided(answer.Status, about), err
}

// reviewSelfAccess asks with the token itself what it opens.
func (c *cluster) reviewSelfAccess(ctx context.Context, who *caller, about *attributes) (decision, error) {
	var answer authorizationv1.SelfSubjectAccessReview
	refused, err := c.post(ctx, selfAccessReview, who, &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: about},
	}, &answer)
	if refused {
		return notAccepted, nil
	}
	return who.decided(answer.Status, about), err
}

// attributes is what RBAC is asked for.
type attributes = authorizationv1.ResourceAttributes

// get is what a query needs.
func get(namespace, name string) *attributes {
	return &attributes{Verb: "get", Resource: "services", Subresource: "proxy", Namespace: namespace, Name: name}
}

// allServices tells whether all names are asked for at once.
func allServices(about *attributes) bool {
	return about.Resource == "services" && about.Subresource == "proxy" && about.Name == ""
}

func (w *caller) decided(status authorizationv1.SubjectAccessReviewStatus, about *attributes) decision {
	allowed := status.Allowed && !status.Denied
	return decision{all: allowed, incomplete: !allowed && allServices(about), reason: w.clean(status.EvaluationError)}
}

// notAccepted is the decision on a token that was good a moment ago.
var notAccepted = decision{invalid: true, reason: "the API server does not accept it any more"}

// reviewRules asks with the token itself what it opens in a namespace.
func (c *cluster) reviewRules(ctx context.Context, who *caller, about *attributes) (decision, error) {
	var answer authorizationv1.SelfSubjectRulesReview
	refused, err := c.post(ctx, selfRulesReview, who, &authorizationv1.SelfSubjectRulesReview{
		Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: about.Namespace},
	}, &answer)
	if refused {
		return notAccepted, nil
	}
	d := decision{incomplete: answer.Status.Incomplete, reason: who.clean(answer.Status.EvaluationError)}
	for _, rule := range answer.Status.ResourceRules {
		if !allowsGet(rule) {
			continue
		}
		d.all = d.all || len(rule.ResourceNames) == 0
		d.names = append(d.names, rule.ResourceNames...)
	}
	return d, err
}

// allowsGet tells whether a rule is one for a query, whatever names it is for.
// It follows VerbMatches, APIGroupMatches and ResourceMatches of
// k8s.io/kubernetes/pkg/apis/rbac/v1/evaluation_helpers.go.
func allowsGet(rule authorizationv1.ResourceRule) bool {
	has := func(words []string, wanted ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return slices.Contains(wanted, w) })
	}
	return has(rule.Verbs, "get", "*") && has(rule.APIGroups, "", "*") && has(rule.Resources, "services/proxy", "*/proxy", "*")
}

// maxTextBytes bounds what is kept of an API server's words.
const maxTextBytes = 500

func clip(text string) string {
	if len(text) > maxTextBytes {
		text = strings.ToValidUTF8(text[:maxTextBytes], "") + "…"
	}
	return text
}
