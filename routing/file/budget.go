package file

import (
	"maps"
	"slices"
	"time"

	"github.com/promgate/promgate/routing"
)

// validate reports limits that nothing could pass. A nil Budget has none.
func (b *Budget) validate(at Path, report Report) {
	if b == nil {
		return
	}
	positive(b.MaxQueryLength, at.With("maxQueryLength"), report)
	positive(b.MaxRange, at.With("maxRange"), report)
	positive(b.MaxLookback, at.With("maxLookback"), report)
	positive(b.MaxPoints, at.With("maxPoints"), report)
	positive(b.MaxEvaluations, at.With("maxEvaluations"), report)
	positive(b.MaxResponseBytes, at.With("maxResponseBytes"), report)
	positive(b.MaxConcurrent, at.With("maxConcurrent"), report)
	positive(b.RequestsPerSecond, at.With("requestsPerSecond"), report)
	positive(b.Burst, at.With("burst"), report)
	if q := b.Queue; q != nil {
		positive(q.Timeout, at.With("queue", "timeout"), report)
		if q.Length != nil && *q.Length < 0 {
			report(at.With("queue", "length"), "a queue cannot be shorter than empty; write 0 for none, or a larger number")
		}
	}
}

func positive[T int | Size | time.Duration](limit *T, at Path, report Report) {
	if limit != nil && *limit <= 0 {
		report(at, "a limit cannot be zero or less; write a larger one, or remove the key to have it as above")
	}
}

func (e *Environment) validateEnforce(at Path, report Report) {
	if e.Enforce != nil && len(e.Enforce) == 0 {
		report(at, "enforce names no label, so that nothing would be enforced; write one such as namespace: shop, or remove enforce")
	}
	for _, label := range slices.Sorted(maps.Keys(e.Enforce)) {
		if problem := routing.EnforceProblem(label, e.Enforce[label]); problem != "" {
			report(at.With(label), "%s", problem)
		}
	}
}
