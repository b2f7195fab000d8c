package kube

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"github.com/promgate/promgate/auth"
)

// question is what an answer is remembered by. It holds the token's hash, never
// the token.
type question struct {
	token [sha256.Size]byte
	// verb, group and resource are an action's; empty where the question is about
	// Services or about the token.
	verb, group, resource string
	// namespace is empty where the question is whose the token is, and for an
	// action on the whole cluster.
	namespace string
	// name is a literal name as RBAC compares it; empty: all of the namespace.
	name string
}

// key is the question as text. Only a name may have a NUL.
func (q question) key() string {
	return string(q.token[:]) + q.verb + "\x00" + q.group + "\x00" + q.resource + "\x00" + q.namespace + "\x00" + q.name
}

// answer is one that is good for a while.
type answer[V any] struct {
	value V
	until time.Time
}

// memory remembers answers, and lets those who ask the same at once wait for
// one answer. Errors are not remembered.
type memory[V any] struct {
	answers *lru.Cache[question, answer[V]]
	flights singleflight.Group
}

func newMemory[V any]() *memory[V] {
	// The only error is a size that is not positive.
	answers, _ := lru.New[question, answer[V]](MaxRemembered)
	return &memory[V]{answers: answers}
}

// get returns the answer that is remembered, if it is still good.
func (m *memory[V]) get(q question) (answer[V], bool) {
	a, found := m.answers.Get(q)
	if !found || time.Now().After(a.until) {
		return answer[V]{}, false
	}
	return a, true
}

func (m *memory[V]) put(q question, a answer[V]) { m.answers.Add(q, a) }

// ask has the review made, unless it is under way already, and remembers the
// answer. The review goes on to its end when the caller leaves: others may be
// waiting for it, or ask next.
func (m *memory[V]) ask(ctx context.Context, q question, review func() (answer[V], error)) (answer[V], error) {
	flight := m.flights.DoChan(q.key(), func() (any, error) {
		// The flight before may have landed since the caller looked.
		if a, found := m.get(q); found {
			return a, nil
		}
		a, err := review()
		if err == nil {
			m.put(q, a)
		}
		return a, err
	})
	select {
	case landed := <-flight:
		if landed.Err != nil {
			return answer[V]{}, landed.Err
		}
		return landed.Val.(answer[V]), nil
	case <-ctx.Done():
		return answer[V]{}, fmt.Errorf("%w: the caller did not wait for the review: %w", auth.ErrUnavailable, ctx.Err())
	}
}
