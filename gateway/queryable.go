package gateway

import (
	"context"
	"errors"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/routing"
)

// queryable tells of each environment whether the caller may query it, as open
// would.
func queryable(ctx context.Context, id *auth.Identity, all []*routing.Environment) ([]bool, error) {
	if id.Access == nil {
		open := make([]bool, len(all))
		for i, e := range all {
			open[i] = id.MayQuery(e.Project.UID, e.UID) && !e.Target.NoEndpointTokens
		}
		return open, nil
	}
	resources := make([]auth.Resource, len(all))
	for i, e := range all {
		resources[i] = resourceOf(e)
	}
	open, err := id.Access.Queryable(ctx, resources)
	if errors.Is(err, auth.ErrInvalid) || errors.Is(err, auth.ErrUnavailable) {
		return nil, credentialError(err)
	}
	return open, err
}
