package kube

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"github.com/promgate/promgate/kube"
	"github.com/promgate/promgate/tokens"
)

const (
	// keysRetry is how soon making the Secret is tried again.
	keysRetry = 5 * time.Second
	// keysFresh is up to which age what was watched is signed with.
	keysFresh = 30 * time.Second
)

// keys is the state of following the Secret of the keys.
type keys struct {
	connection *kube.Connection
	follower   *follower // nil while it is not followed
	read       bool      // the keys were known once
	issuer     string
	known      []tokens.Key // the newest last
	faults     map[string]string
	// missing holds something when the Secret has to be made.
	missing chan struct{}
}

// keysHolder keeps what a follower sees of the Secret.
type keysHolder struct{ s *Store }

func (h *keysHolder) replace(all []*unstructured.Unstructured) {
	for _, u := range all {
		if u.GetName() == keysName {
			h.put(u)
			return
		}
	}
	h.lost()
}

func (h *keysHolder) put(u *unstructured.Unstructured) {
	if u.GetName() != keysName { // nothing else is ever asked for
		return
	}
	r, err := readRing(u)
	if err != nil {
		r = &ring{faults: map[string]string{"": err.Error()}}
	}
	h.s.takeRing(r)
}

func (h *keysHolder) remove(u *unstructured.Unstructured) {
	if u.GetName() == keysName {
		h.lost()
	}
}

func (h *keysHolder) explain(err error) problem {
	return problemWithKeys(h.s.keys.connection, h.s.namespace, err)
}

// lost has the Secret made.
func (h *keysHolder) lost() {
	k := &h.s.keys
	if k.issuer != "" {
		h.s.log.Warn("the Secret of the signing keys was deleted: every token that was made so far has ended, and the keys are made anew",
			"cluster", k.connection.Name, "namespace", h.s.namespace, "secret", keysName)
	}
	k.issuer, k.known, k.faults = "", nil, nil
	h.s.publish()
	h.s.notify()
	select {
	case k.missing <- struct{}{}:
	default: // it will be
	}
}

// takeRing takes in what the Secret holds. The lock is held.
func (s *Store) takeRing(r *ring) {
	k := &s.keys
	for _, name := range slices.Sorted(maps.Keys(r.faults)) {
		if k.faults[name] != r.faults[name] {
			s.log.Error("an entry of the Secret of the signing keys cannot be used; tokens that need it are refused",
				"cluster", k.connection.Name, "namespace", s.namespace, "secret", keysName, "entry", name, "error", r.faults[name])
		}
	}
	if k.issuer != "" && r.issuer != "" && r.issuer != k.issuer {
		s.log.Warn("the Secret of the signing keys was replaced by another: every token that was made so far has ended",
			"cluster", k.connection.Name, "namespace", s.namespace, "secret", keysName)
	}
	same := k.read && k.issuer == r.issuer && slices.EqualFunc(k.known, r.keys, func(a, b tokens.Key) bool { return a.ID == b.ID })
	k.issuer, k.known, k.faults = r.issuer, r.keys, r.faults
	k.read = k.read || r.usable() == nil
	if !same {
		s.publish()
	}
	s.notify()
}

// signingKeys are the keys, the newest last, and the issuer: those that are
// watched, or else read now, and made where there are none.
func (s *Store) signingKeys(ctx context.Context) ([]tokens.Key, string, error) {
	s.mu.Lock()
	known, issuer := slices.Clone(s.keys.known), s.keys.issuer
	watched := s.watch.start != nil && s.core.Age(s.now()) < keysFresh
	s.mu.Unlock()
	if watched && issuer != "" && len(known) > 0 {
		return known, issuer, nil
	}
	r, err := s.readKeys(ctx)
	if err == nil {
		err = r.usable()
	}
	if err != nil {
		return nil, "", err
	}
	return r.keys, r.issuer, nil
}

// secret is how the Secret of the keys is reached.
func (s *Store) secret() (*kube.Connection, dynamic.ResourceInterface) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.options.Home, s.options.Home.Client.Resource(secrets).Namespace(s.namespace)
}

// readKeys reads the Secret of the keys, and makes it where there is none. Of
// several that make it at once the first one wins.
func (s *Store) readKeys(ctx context.Context) (*ring, error) {
	home, client := s.secret()
	u, err := client.Get(ctx, keysName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		if u, err = newSecret(s.namespace, s.now()); err != nil {
			return nil, err
		}
		u, err = client.Create(ctx, u, metav1.CreateOptions{FieldManager: fieldManager})
		if apierrors.IsAlreadyExists(err) {
			u, err = client.Get(ctx, keysName, metav1.GetOptions{})
		}
	}
	if err != nil {
		return nil, problemWithKeys(home, s.namespace, err).of(home, err)
	}
	r, err := readRing(u)
	if err != nil {
		return nil, fmt.Errorf("the Secret %s in namespace %s: %w; delete it, which ends every token, or restore it", keysName, s.namespace, err)
	}
	return r, nil
}

// makingKeys makes the Secret of the keys whenever it is missing.
func (s *Store) makingKeys(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.keys.missing:
		}
		for fault := ""; ; {
			_, err := s.readKeys(ctx)
			if err == nil || ctx.Err() != nil {
				break // the watch brings it
			}
			home, _ := s.secret()
			if p := problemWithKeys(home, s.namespace, err); p.kind != fault {
				fault = p.kind
				s.log.Warn("the signing keys cannot be made: until then no token can be made or used",
					"cluster", home.Name, "namespace", s.namespace, "secret", keysName, "error", err, "advice", p.advice)
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(keysRetry):
			}
		}
	}
}
