package kube

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/kube"
)

// cluster is a Cluster with what was found out about it.
type cluster struct {
	Cluster
	logger   *slog.Logger
	onReview func(review, result string)
	tokens   *memory[verdict]
	access   *memory[decision]
	// actions and single are apart from access: no Service's name is taken for what
	// they remember, and no flood of names displaces it. single holds the answers
	// for single objects.
	actions, single *memory[decision]
	// waiting holds the reviews that are under way and those that wait for it.
	waiting *semaphore.Weighted
	asking  *semaphore.Weighted

	mu sync.Mutex
	// forbidden are the kinds of reviews that the gateway itself may not make.
	forbidden map[kind]bool
}

func newCluster(c Cluster, o Options) *cluster {
	return &cluster{
		Cluster: c, logger: o.Logger, onReview: o.OnReview,
		tokens: newMemory[verdict](), access: newMemory[decision](), actions: newMemory[decision](), single: newMemory[decision](),
		waiting: semaphore.NewWeighted(MaxWaiting), asking: semaphore.NewWeighted(MaxReviews),
		forbidden: map[kind]bool{},
	}
}

// verdict is what a cluster says of a token.
type verdict struct {
	// user is whose the token is; nil: it is not good there. Nobody changes it.
	user *authenticationv1.UserInfo
	// reason is why it is not good.
	reason string
}

// refusal tells why the token is not good there.
func (c *cluster) refusal(v verdict) string { return "cluster " + c.Connection.Name + ": " + v.reason }

// decision is what RBAC says of one Service, of those of a namespace, or of an
// action.
type decision struct {
	// all that was asked for is allowed.
	all bool
	// names are allowed where not all is.
	names []string
	// incomplete tells that what is not allowed by the above may be allowed all
	// the same, and is to be asked for by name.
	incomplete bool
	// invalid tells that the API server did not take the caller's token.
	invalid bool
	// reason is why the API server may have decided so.
	reason string
}

func (d decision) allows(name string) bool { return d.all || slices.Contains(d.names, name) }

// identify tells whose the token is.
func (c *cluster) identify(ctx context.Context, who *caller) (answer[verdict], error) {
	q := question{token: who.hash}
	if a, found := c.tokens.get(q); found {
		return a, nil
	}
	return c.tokens.ask(ctx, q, func() (a answer[verdict], err error) {
		k, review := tokenReview, c.reviewToken
		if c.UserCredentials {
			k, review = selfReview, c.reviewSelf
		}
		a.until, err = c.run(k, func(ctx context.Context) (all, some bool, err error) {
			a.value, err = review(ctx, who)
			good := a.value.user != nil
			return good, good, err
		})
		return a, err
	})
}

// decide tells whether the token opens a Service, or without a name those of a
// namespace. It needs to be good there.
func (c *cluster) decide(ctx context.Context, who *caller, is answer[verdict], namespace, name string) (decision, error) {
	q := question{token: who.hash, namespace: namespace, name: name}
	if a, found := c.access.get(q); found {
		return a.value, nil
	}
	return c.ask(ctx, who, is, c.access, q, get(namespace, name))
}

// ask has RBAC asked, and the answer remembered.
func (c *cluster) ask(ctx context.Context, who *caller, is answer[verdict], m *memory[decision], q question, about *attributes) (decision, error) {
	a, err := m.ask(ctx, q, func() (a answer[decision], err error) {
		k, review := c.accessReview(is.value.user, about)
		a.until, err = c.run(k, func(ctx context.Context) (all, some bool, err error) {
			a.value, err = review(ctx, who, about)
			return a.value.all, a.value.all || len(a.value.names) > 0, err
		})
		// It was decided for that user and those groups: whose the token is now is
		// asked again before it is answered from memory.
		if is.until.Before(a.until) {
			a.until = is.until
		}
		return a, err
	})
	if err == nil && a.value.invalid {
		c.tokens.put(question{token: who.hash}, answer[verdict]{
			value: verdict{reason: a.value.reason}, until: a.until,
		})
	}
	return a.value, err
}

// run makes a review in its turn, apart from any caller's context, and tells
// until when its answer is good: longer where all was allowed.
func (c *cluster) run(k kind, review func(context.Context) (all, some bool, err error)) (time.Time, error) {
	result := ResultError
	defer func() { c.onReview(k.kind, result) }()
	ctx, cancel := context.WithTimeout(context.Background(), ReviewTimeout)
	defer cancel()
	if !c.waiting.TryAcquire(1) {
		return time.Time{}, fmt.Errorf("%w: %d reviews wait for the API server of cluster %s already", auth.ErrUnavailable, MaxWaiting, c.Connection.Name)
	}
	defer c.waiting.Release(1)
	if c.asking.Acquire(ctx, 1) != nil {
		return time.Time{}, fmt.Errorf("%w: the API server of cluster %s had %d other reviews to answer for %s", auth.ErrUnavailable, c.Connection.Name, MaxReviews, ReviewTimeout)
	}
	defer c.asking.Release(1)
	// From before the question: the API server may have decided right away, and
	// answered late.
	asked := time.Now()
	all, some, err := review(ctx)
	switch {
	case err != nil:
		return time.Time{}, err
	case some:
		result = ResultOK
	default:
		result = ResultRefused
	}
	if all {
		return asked.Add(PositiveFor), nil
	}
	return asked.Add(NegativeFor), nil
}

// noteRights tells the operator, once, when the gateway may not make reviews
// with its own credentials, and when it may again. Other errors tell nothing of
// its rights.
func (c *cluster) noteRights(k kind, who *caller, err error) {
	if err != nil && !apierrors.IsForbidden(err) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	before := len(c.forbidden)
	if err != nil {
		c.forbidden[k] = true
	} else {
		delete(c.forbidden, k)
	}
	switch now := len(c.forbidden); {
	case before == 0 && now > 0:
		c.logger.Warn("the gateway may not ask the API server about Kubernetes tokens, so that it refuses them: grant it what is missing",
			"cluster", c.Connection.Name, "cause", who.clean(err.Error()), "advice", c.advice())
	case before > 0 && now == 0:
		c.logger.Info("the gateway may ask the API server about Kubernetes tokens again", "cluster", c.Connection.Name)
	}
}

// advice renders what lets the gateway make the reviews that it makes with its
// own credentials, and nothing more.
func (c *cluster) advice() string {
	create := []string{"create"}
	return kube.Role("", "promgate:review", c.Connection.Subject,
		kube.Rule{Group: tokenReview.group, Resource: tokenReview.resource, Verbs: create},
		kube.Rule{Group: subjectAccessReview.group, Resource: subjectAccessReview.resource, Verbs: create})
}
