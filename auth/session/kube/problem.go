package kube

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/promgate/promgate/kube"
)

// following is what fails where the sessions cannot be followed; all else that
// fails is named by its verb.
const following = "follow"

// unreachable is a problem that whoever asks is told, and the follower logs.
const unreachable = "unreachable"

// problem is why sessions cannot be kept, in words for people.
type problem struct {
	// kind tells problems apart.
	kind string
	// text says what is wrong and what to do.
	text string
	// advice is YAML that grants what is missing; empty: nothing to grant.
	advice string
}

// verbs are all that a gateway does with sessions.
var verbs = []string{"create", "get", "list", "watch", "update", "delete", "deletecollection"}

func (s *Store) problemWith(err error) problem {
	switch {
	case apierrors.IsForbidden(err):
		return problem{"forbidden", "the gateway may not use sessions in its namespace " + s.namespace +
			": grant it create, get, list, watch, update, delete and deletecollection on them",
			kube.Role(s.namespace, "promgate:sessions", s.connection.Load().Subject,
				kube.Rule{Group: sessions.Group, Resource: sessions.Resource, Verbs: verbs})}
	case apierrors.IsUnauthorized(err):
		return problem{kind: "unauthorized", text: "the API server does not accept the gateway's credentials: renew them"}
	case isUnknownKind(err):
		return problem{kind: "missing", text: "the kind Session is not installed: apply deploy/kubernetes/crd"}
	case apierrors.IsNotFound(err):
		return problem{kind: "missing namespace", text: "the gateway's own namespace " + s.namespace + " does not exist: make it, or correct which one is configured"}
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsAlreadyExists(err), apierrors.IsRequestEntityTooLargeError(err):
		return problem{kind: unreachable, text: "the API server refuses a session"}
	}
	return problem{kind: unreachable, text: "sessions in namespace " + s.namespace + " cannot be read or written: check that the API server can be reached"}
}

// isAbsent tells whether the API server has no object of that name, and not
// something else than the object.
func isAbsent(err error, name string) bool {
	var status apierrors.APIStatus
	return apierrors.IsNotFound(err) && !isUnknownKind(err) && errors.As(err, &status) &&
		status.Status().Details != nil && status.Status().Details.Name == name && status.Status().Details.Kind == sessions.Resource
}

// isUnknownKind tells whether the API server does not know the kind: it then
// answers like a web server.
func isUnknownKind(err error) bool {
	return apierrors.IsNotFound(err) && apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}

// works notes that something can be done.
func (s *Store) works(what string) {
	s.mu.RLock()
	_, failed := s.faults[what]
	s.mu.RUnlock()
	if !failed { // as almost always
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.worksLocked(what)
}

// worksLocked is works. Where sessions can be followed again, all else is taken
// to work too, until it fails. The lock is held.
func (s *Store) worksLocked(what string) {
	if _, failed := s.faults[what]; !failed {
		return
	}
	delete(s.faults, what)
	if what == following {
		clear(s.faults)
	}
	if len(s.faults) == 0 {
		s.log.Info("sessions can be kept again", "cluster", s.connection.Load().Name, "namespace", s.namespace)
	}
}

// fails explains an error of the API server for whoever asked, and logs what an
// operator has to do: once, whatever it is that fails.
func (s *Store) fails(ctx context.Context, what string, err error) error {
	p := s.problemWith(err)
	explained := fmt.Errorf("cluster %s: %s: %w", s.connection.Load().Name, p.text, err)
	if ctx.Err() != nil || p.kind == unreachable && what != following {
		return explained
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	told := false
	for _, kind := range s.faults {
		told = told || kind == p.kind
	}
	s.faults[what] = p.kind
	if told {
		return explained
	}
	attributes := []any{"cluster", s.connection.Load().Name, "namespace", s.namespace, "problem", p.text, "cause", err.Error()}
	if p.advice != "" {
		attributes = append(attributes, "advice", p.advice)
	}
	s.log.Warn("sessions cannot be kept", attributes...)
	return explained
}
