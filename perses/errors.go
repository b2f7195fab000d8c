package perses

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/gateway"
)

// again is when it is worth to ask again what cannot be answered now.
const again = 5 * time.Second

var (
	// errNoDocument answers for what is not there, and alike for what is not for
	// the viewer, as the gateway does for paths that lead nowhere.
	errNoDocument = &gateway.Error{Status: http.StatusNotFound, Type: "not_found", Message: "document not found"}
	// errNotYourDashboard is the same in the words of the gateway's own API.
	errNotYourDashboard = &gateway.Error{
		Status: http.StatusNotFound, Type: "not_found",
		Message: "there is no such project or dashboard, or you may not see it",
	}
	errMetricsAlone = &gateway.Error{
		Status: http.StatusForbidden, Type: "forbidden",
		Message: "an endpoint token reads metrics and nothing else: sign in, or send a Kubernetes token, to look at dashboards",
	}
	errOthersPermissions = &gateway.Error{
		Status: http.StatusForbidden, Type: "forbidden",
		Message: "everybody may ask for their own permissions alone",
	}
)

// answerError makes the answer of what Objects return. What it does not know is
// for the gateway.
func answerError(err error) error {
	var told *gateway.Error
	switch {
	case err == nil, errors.As(err, &told), errors.Is(err, auth.ErrInvalid):
		return err
	case errors.Is(err, ErrNotFound):
		return errNoDocument
	case errors.Is(err, auth.ErrForbidden):
		return &gateway.Error{
			Status: http.StatusForbidden, Type: "forbidden", Cause: err,
			Message: "this credential opens no dashboards: sign in with a Kubernetes token of the cluster that has them",
		}
	case errors.Is(err, auth.ErrUnavailable):
		return &gateway.Error{
			Status: http.StatusServiceUnavailable, Type: "unavailable", Cause: err, RetryAfter: again,
			Message: "the cluster that has the dashboards cannot tell right now what you may see: try again in a moment",
		}
	case errors.Is(err, context.DeadlineExceeded):
		return &gateway.Error{
			Status: http.StatusServiceUnavailable, Type: "timeout", Cause: err, RetryAfter: again,
			Message: "this takes longer than a request may take: ask again in a moment",
		}
	}
	return err
}
