package perses

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/promgate/promgate/auth"
)

// errEndpointToken refuses what was made to be pasted into other programs.
var errEndpointToken = fmt.Errorf("%w: an endpoint token opens queries alone, and no dashboards", auth.ErrForbidden)

// errNobody refuses whoever has presented nothing.
var errNobody = fmt.Errorf("%w: dashboards are shown to those alone who have signed in", auth.ErrMissing)

// personOf is who looks, where that may be anybody who looks at dashboards.
func personOf(v Viewer) (*auth.Identity, error) {
	switch {
	case v.Identity == nil:
		return nil, errNobody
	case v.Identity.Principal.Kind == auth.KindEndpointToken:
		return nil, errEndpointToken
	}
	return v.Identity, nil
}

// scopeOf are the namespaces that are projects, each once and by name.
func scopeOf(scope func() []string) []string {
	all := slices.Clone(scope())
	slices.Sort(all)
	return slices.Compact(all)
}

// inScope tells whether a namespace is a project.
func inScope(scope func() []string, namespace string) bool {
	return canBeProject(namespace) && slices.Contains(scope(), namespace)
}

func loggerOr(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}

func clockOr(now func() time.Time) func() time.Time {
	if now == nil {
		return time.Now
	}
	return now
}

// leftEarly is the error for whoever does not wait for the answer.
func leftEarly(ctx context.Context) error {
	return fmt.Errorf("%w: the caller did not wait for the answer: %w", auth.ErrUnavailable, ctx.Err())
}
