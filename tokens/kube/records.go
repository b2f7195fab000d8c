package kube

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/promgate/promgate/kube"
	"github.com/promgate/promgate/tokens"
)

const (
	// maxParallel bounds how many requests one call has under way.
	maxParallel = 20
	// listTimeout bounds the reading of everything that there is in one place.
	listTimeout = 30 * time.Second
)

// place is a namespace of a cluster, or all of it.
type place struct {
	connection *kube.Connection
	cluster    string // as records call it; empty: home
	namespace  string // empty: all
}

// listed is what there is in one place.
type listed struct {
	place
	items []unstructured.Unstructured
}

// list reads the objects of the place from the API server.
func (p place) list(ctx context.Context, o metav1.ListOptions) (listed, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	list, err := objectsOf(p.connection, p.namespace).List(ctx, o)
	if err != nil {
		return listed{}, problemWithObjects(p.connection, p.namespace, err).of(p.connection, err)
	}
	return listed{p, list.Items}, nil
}

// objects decodes a list, and counts what cannot be decoded. The watch logs
// that.
func (l listed) objects() (all []located, unreadable int) {
	for i := range l.items {
		if o, err := read(&l.items[i], l.cluster); err == nil {
			all = append(all, located{o, l.connection})
		} else {
			unreadable++
		}
	}
	return all, unreadable
}

// listAll reads all objects from the API servers. Beside an error, which tells
// every place that cannot be listed, it returns what there is in the others.
func (s *Store) listAll(ctx context.Context) ([]listed, error) {
	s.mu.Lock()
	wanted := s.wanted()
	s.mu.Unlock()
	var all []listed
	var errs []error
	var group errgroup.Group
	group.SetLimit(maxParallel)
	for key, connection := range wanted {
		group.Go(func() error {
			l, err := place{connection, s.clusterName(connection), key.namespace}.list(ctx, metav1.ListOptions{})
			s.mu.Lock()
			defer s.mu.Unlock()
			if err != nil {
				errs = append(errs, err)
			} else {
				all = append(all, l)
			}
			return nil
		})
	}
	_ = group.Wait() // errs has them all
	slices.SortFunc(errs, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return all, errors.Join(errs...)
}

// List returns the records of all tokens that there are, the newest first. An
// error names what cannot be listed.
func (s *Store) List(ctx context.Context) ([]tokens.Record, error) {
	lists, err := s.listAll(ctx)
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	return recordsOf(lists...), nil
}

// ListProject returns the records of the tokens in the project's namespace, the
// newest first; none where the store does not follow that. Of a namespace that
// was deleted and made anew, only those are the project's that name its UID; a
// project of the configuration file is the namespace, whatever its UID.
func (s *Store) ListProject(ctx context.Context, p tokens.Scope) ([]tokens.Record, error) {
	c, err := s.cluster(p.Cluster)
	if err != nil {
		return nil, fmt.Errorf("list the tokens of project %s: %w", p.Project, err)
	}
	if p.Project == "" || p.ProjectUID == "" || !s.follows(c, p.Project) { // an empty namespace is all of them
		return nil, nil
	}
	l, err := place{c, s.clusterName(c), p.Project}.list(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list the tokens of project %s: %w", p.Project, err)
	}
	return slices.DeleteFunc(recordsOf(l), func(r tokens.Record) bool {
		return r.Scope.ProjectUID != p.ProjectUID && p.ProjectUID != fileUID(p.Project)
	}), nil
}

// follows tells whether the store follows the objects of a namespace: a token
// anywhere else would never be accepted.
func (s *Store) follows(c *kube.Connection, namespace string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.options.Sources, func(source Source) bool {
		return source.Connection.Name == c.Name && (source.Namespaces == nil || slices.Contains(source.Namespaces, namespace))
	})
}

// recordsOf are the records of what was listed, the newest first.
func recordsOf(lists ...listed) []tokens.Record {
	var records []tokens.Record
	for _, l := range lists {
		objects, _ := l.objects()
		for _, o := range objects {
			for _, t := range o.tokens() {
				records = append(records, o.record(t))
			}
		}
	}
	slices.SortFunc(records, func(a, b tokens.Record) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return records
}

// Get returns the record of the token with that id, or tokens.ErrNotFound.
func (s *Store) Get(ctx context.Context, id string) (tokens.Record, error) {
	l, err := s.find(ctx, id)
	if err != nil {
		return tokens.Record{}, fmt.Errorf("token %q: %w", id, err)
	}
	return l.record(l.token(id)), nil
}

// find reads the object of a token from the API server. An id that no object
// vouches for is tokens.ErrNotFound; where not all could be read that is not
// known, and the error says so.
func (s *Store) find(ctx context.Context, id string) (located, error) {
	if ownerPrefix(id) == "" {
		return located{}, tokens.ErrNotFound // no object has such tokens
	}
	if p, name := s.whereIs(id); name != "" {
		// What is watched may lag behind: only a find is an answer.
		if l, err := p.list(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name}); err == nil {
			if found, ok := l.holding(id); ok {
				return found, nil
			}
		}
	}
	lists, err := s.listAll(ctx)
	for _, l := range lists {
		if found, ok := l.holding(id); ok {
			return found, nil
		}
	}
	if err != nil {
		return located{}, fmt.Errorf("it is not where tokens could be looked for, and not everything could be read: %w", err)
	}
	return located{}, tokens.ErrNotFound
}

// whereIs tells where the object of a token was seen by the watches, so that
// not everything need be listed; no name: it was not.
func (s *Store) whereIs(id string) (place, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sp := range s.watch.spaces {
		for _, k := range sp.objects {
			if k.token(id) != nil {
				return place{sp.connection, k.Cluster, k.Namespace}, k.Name
			}
		}
	}
	return place{}, ""
}

// holding is the object of a token, decoded with no other.
func (l listed) holding(id string) (located, bool) {
	for i := range l.items {
		if (&object{ObjectMeta: metav1.ObjectMeta{UID: l.items[i].GetUID()}, Cluster: l.cluster}).idPrefix() != ownerPrefix(id) {
			continue
		}
		if o, err := read(&l.items[i], l.cluster); err == nil && o.token(id) != nil {
			return located{o, l.connection}, true
		}
	}
	return located{}, false
}

// Revoke ends a token at once: an object's newest by deleting the object, which
// ends the one before it too, and the one before it by forgetting it. An unknown
// id is tokens.ErrNotFound.
func (s *Store) Revoke(ctx context.Context, id string) error {
	for try := 0; ; try++ {
		l, err := s.find(ctx, id)
		if try > 0 && errors.Is(err, tokens.ErrNotFound) {
			return nil // somebody else was faster
		}
		if err == nil {
			err = s.end(ctx, l, id)
		}
		switch {
		case err == nil:
			s.await(ctx, func() bool { t := s.snapshot.Load(); return t == nil || t.Tokens[id] == nil })
			return nil
		case apierrors.IsConflict(err) && try < maxConflicts:
			continue
		}
		return fmt.Errorf("revoke token %q: %w", id, err)
	}
}

// end ends one token of an object. It fails with a conflict where the object is
// no longer the one that was read: its newest token may be another by now.
func (s *Store) end(ctx context.Context, l located, id string) error {
	var err error
	verb := "delete on endpointtokens"
	switch {
	case l.DeletionTimestamp != nil:
		return nil
	case id == l.Status.ID:
		err = objectsOf(l.connection, l.Namespace).Delete(ctx, l.Name, metav1.DeleteOptions{
			Preconditions: &metav1.Preconditions{UID: &l.UID, ResourceVersion: &l.ResourceVersion},
		})
	default:
		verb = "patch on endpointtokens/status"
		_, err = s.patchStatus(ctx, l, map[string]any{"previous": nil})
	}
	switch {
	case err == nil, apierrors.IsNotFound(err):
		return nil
	case apierrors.IsForbidden(err):
		return fmt.Errorf("the gateway may not do that in namespace %s of cluster %s: grant it %s (API group %s): %w",
			l.Namespace, l.connection.Name, verb, endpointTokens.Group, err)
	}
	return err
}

// AssignUIDs returns the identity of each name, which follows from the name
// alone. A name is "project" or "project/environment"; none may be empty.
func (s *Store) AssignUIDs(_ context.Context, names []string, _ bool) (map[string]string, error) {
	if slices.Contains(names, "") {
		return nil, errors.New("assign UIDs: a name is empty")
	}
	assigned := make(map[string]string, len(names))
	for _, name := range names {
		assigned[name] = fileUID(name)
	}
	return assigned, nil
}
