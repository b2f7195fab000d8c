package kube

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/promgate/promgate/auth"
)

// caller is who sent a token, and the Access of its own Identity.
type caller struct {
	authenticator *Authenticator
	identity      auth.Identity
	// credential holds the token: it prints nowhere.
	credential auth.Credential
	hash       [sha256.Size]byte
}

// clean keeps the token out of what an API server says, and bounds that.
func (w *caller) clean(text string) string {
	return clip(strings.ReplaceAll(text, w.credential.Secret(), "[redacted]"))
}

// clusterOf is the cluster that decides on a resource; nil: none does.
func clusterOf(clusters map[string]*cluster, r auth.Resource) *cluster {
	if r.Namespace == "" || r.Name == "" { // to RBAC these would mean all
		return nil
	}
	return clusters[r.Cluster]
}

// Query implements auth.Access.
func (w *caller) Query(ctx context.Context, r auth.Resource) (auth.Principal, error) {
	clusters, principal := w.authenticator.set(), w.identity.Principal
	c := clusterOf(clusters, r)
	if c == nil {
		return principal, w.nothingThere(ctx, clusters)
	}
	switch {
	case c.UserCredentials != r.AsCaller:
		return principal, otherMode(r)
	case r.AsCaller: // its API server decides on the query itself
		return principal, nil
	}
	is, err := c.identify(ctx, w)
	switch {
	case err != nil:
		return principal, err
	case is.value.user == nil:
		return principal, w.refusedBy(ctx, clusters, c, is.value.reason)
	}
	principal.ID = is.value.user.Username
	d, err := c.decide(ctx, w, is, r.Namespace, r.Name)
	switch {
	case err != nil:
		return principal, err
	case !d.all:
		return principal, forbidden(principal.ID, "get services/proxy "+r.Name, r.Namespace, r.Cluster, d.reason)
	}
	return principal, nil
}

// nothingThere is the error for what no cluster has: a token that is good
// nowhere is told so, as everywhere.
func (w *caller) nothingThere(ctx context.Context, clusters map[string]*cluster) error {
	if err := w.goodAnywhere(ctx, clusters); err != nil {
		return err
	}
	return fmt.Errorf("%w: no cluster that Kubernetes tokens open has that", auth.ErrForbidden)
}

// refusedBy is the error for a token that a cluster does not accept. Good
// elsewhere, it tells no more here than where there is nothing.
func (w *caller) refusedBy(ctx context.Context, clusters map[string]*cluster, c *cluster, reason string) error {
	switch err := w.goodAnywhere(ctx, clusters); {
	case err == nil:
		return fmt.Errorf("%w: cluster %s does not accept it", auth.ErrForbidden, c.Connection.Name)
	case !errors.Is(err, auth.ErrInvalid):
		return err
	}
	return fmt.Errorf("%w: cluster %s: %s", auth.ErrInvalid, c.Connection.Name, reason)
}

// otherMode is the refusal for a moment: the route and the cluster are of two
// configurations, of which one takes the other's place.
func otherMode(r auth.Resource) error {
	return fmt.Errorf("%w: the credentials of cluster %s are being changed", auth.ErrUnavailable, r.Cluster)
}

func forbidden(user, what, namespace, clusterName, reason string) error {
	if reason != "" {
		reason = ": " + reason
	}
	return fmt.Errorf("%w: %q may not %s in namespace %s of cluster %s%s", auth.ErrForbidden, user, what, namespace, clusterName, reason)
}

// errGood ends the search for a cluster that accepts a token.
var errGood = errors.New("the token is good")

// goodAnywhere asks all clusters whether the token is good there. It returns
// nil as soon as one says so, ErrInvalid when all say no, and otherwise
// ErrUnavailable.
func (w *caller) goodAnywhere(ctx context.Context, clusters map[string]*cluster) error {
	var mu sync.Mutex
	var unknown error
	var reasons []string
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(MaxListReviews)
	for _, c := range clusters {
		group.Go(func() error {
			is, err := c.identify(ctx, w)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				unknown = err
			case is.value.user != nil:
				return errGood
			default:
				reasons = append(reasons, c.refusal(is.value))
			}
			return nil
		})
	}
	switch {
	case group.Wait() != nil:
		return nil
	case unknown != nil:
		return unknown
	}
	slices.Sort(reasons)
	return invalidEverywhere(reasons)
}

// invalidEverywhere is the error for a token that no cluster accepts, with the
// reason of each.
func invalidEverywhere(reasons []string) error {
	text := "no cluster that Kubernetes tokens open accepts it"
	for _, reason := range reasons {
		text += "; " + reason
	}
	return fmt.Errorf("%w: %s", auth.ErrInvalid, clip(text))
}
