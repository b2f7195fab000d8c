package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/promgate/promgate/auth/session"
	"github.com/promgate/promgate/cmd/demo/cluster"
)

// tellsNothing checks that a store says that it cannot be reached, and not that
// there is no such session.
func tellsNothing(t testing.TB, what string, err error) {
	t.Helper()
	if err == nil || errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrConflict) {
		t.Errorf("%s: got %v", what, err)
	}
}

// adviceOf is the YAML that a log tells to apply.
func adviceOf(t testing.TB, text string) string {
	t.Helper()
	match := regexp.MustCompile(`advice="((?:[^"\\]|\\.)*)"`).FindStringSubmatch(text)
	if match == nil {
		t.Fatalf("no advice in\n%s", text)
	}
	advice, err := strconv.Unquote(`"` + match[1] + `"`)
	must(t, err)
	return advice
}

// TestRoleComesAndGoes: without its Role a replica says once what it lacks, and
// goes by what it knows for as long as that counts. What the log tells to apply
// is enough.
func TestRoleComesAndGoes(t *testing.T) {
	c := plane(t)
	namespace, kubeconfig := home(t, c, false)
	p := replicaOf(t, namespace, kubeconfig)
	p.run(t)
	eventually(t, "what is missing", func() bool { return p.logged.count("level=WARN") > 0 })
	r := record("local:anna")
	for range 3 {
		tellsNothing(t, "create", p.Create(t.Context(), r))
		_, err := p.Get(t.Context(), r.ID)
		tellsNothing(t, "get", err)
		tellsNothing(t, "replace", p.Replace(t.Context(), record("local:anna", func(r *session.Record) { r.Version = "1" })))
		tellsNothing(t, "delete", p.Delete(t.Context(), r.ID))
		tellsNothing(t, "delete owner", p.DeleteOwner(t.Context(), "local:anna"))
	}
	const want = `msg="sessions cannot be kept" cluster=local namespace=%s problem="the gateway may not use sessions in its namespace %s: ` +
		`grant it create, get, list, watch, update, delete and deletecollection on them" cause=`
	if text := p.logged.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, fmt.Sprintf(want, namespace, namespace)) {
		t.Errorf("logged\n%s", text)
	}
	role := adviceOf(t, p.logged.String())
	grant(t, c, role, kubeconfig, namespace)
	eventually(t, "all sessions", func() bool { return p.Age() < maxAge })
	must(t, p.Create(t.Context(), r))
	got, err := p.Latest(t.Context(), r.ID)
	must(t, err)
	must(t, p.Replace(t.Context(), got))
	gone := p.create(t, "local:bert")
	must(t, errors.Join(p.Delete(t.Context(), gone.ID), p.DeleteOwner(t.Context(), "local:carl")))
	if p.logged.count(`level=INFO msg="sessions can be kept again"`) != 1 || p.logged.count("\n") != 2 {
		t.Errorf("logged\n%s", p.logged)
	}

	must(t, c.Client().RbacV1().RoleBindings(namespace).Delete(t.Context(), "promgate:sessions", metav1.DeleteOptions{}))
	eventually(t, "that it is missing again", func() bool { return p.logged.count("level=WARN") == 2 })
	if _, err := p.Get(t.Context(), r.ID); err != nil {
		t.Errorf("what was seen a moment ago: %v", err)
	}
	p.put(maxAge)
	_, err = p.Get(t.Context(), r.ID)
	tellsNothing(t, "what was seen too long ago", err)
	grant(t, c, role, kubeconfig, namespace)
	eventually(t, "all sessions", func() bool { return p.Age() < maxAge })
	if _, err := p.Get(t.Context(), r.ID); err != nil || p.logged.count("\n") != 4 {
		t.Errorf("got %v, logged\n%s", err, p.logged)
	}
}

// TestLeastRole: the Role that is shipped, which all other tests go by, allows
// nothing else.
func TestLeastRole(t *testing.T) {
	c := plane(t)
	namespace, _ := home(t, c, true)
	may := func(verb, group, resource, in, name string) bool {
		resource, subresource, _ := strings.Cut(resource, "/")
		review, err := c.Client().AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{
				User: "system:serviceaccount:" + namespace + ":promgate", Groups: []string{"system:serviceaccounts", "system:authenticated"},
				ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: verb, Group: group, Resource: resource, Subresource: subresource, Namespace: in, Name: name},
			}}, metav1.CreateOptions{})
		must(t, err)
		return review.Status.Allowed
	}
	for _, verb := range verbs {
		if !may(verb, "promgate.io", "sessions", namespace, "") {
			t.Errorf("may not %s", verb)
		}
		for _, other := range []string{"", "default", "kube-system"} {
			if may(verb, "promgate.io", "sessions", other, "") {
				t.Errorf("may %s sessions in %q", verb, other)
			}
		}
		for _, resource := range []string{"secrets", "endpointtokens.promgate.io", "sessions.promgate.io/status", "sessions.example.com", "pods", "roles.rbac.authorization.k8s.io"} {
			resource, subresource, _ := strings.Cut(resource, "/")
			resource, group, _ := strings.Cut(resource, ".")
			if subresource != "" {
				resource += "/" + subresource
			}
			if may(verb, group, resource, namespace, "") {
				t.Errorf("may %s %s", verb, resource)
			}
		}
	}
	if may("patch", "promgate.io", "sessions", namespace, "") || may("*", "promgate.io", "sessions", namespace, "") {
		t.Error("may patch sessions, or do anything")
	}
}

// TestAPIServerRestarts: what is known counts for a while without the API
// server, and what happened meanwhile is seen when it is back.
func TestAPIServerRestarts(t *testing.T) {
	ctx := t.Context()
	binary, err := planeBinary(ctx)
	must(t, err)
	dir := t.TempDir()
	c, err := cluster.Start(ctx, cluster.Options{Binary: binary, Dir: dir})
	must(t, err)
	t.Cleanup(func() { check(t, c.Stop()) })
	namespace, kubeconfig := home(t, c, false)
	p := replicaOf(t, namespace, kubeconfig)
	p.run(t)

	// The kind is missing at first, and with it the group.
	text := strings.NewReplacer("{{", namespace).Replace("apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\n" +
		"metadata: {name: admin, namespace: {{}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}\n" +
		"subjects: [{kind: ServiceAccount, name: promgate, namespace: {{}]\n")
	must(t, c.Apply(ctx, []byte(text)))
	eventually(t, "that the kind is missing", func() bool {
		return p.logged.count(`problem="the kind Session is not installed: apply deploy/kubernetes/crd"`) == 1
	})
	r := record("local:anna")
	tellsNothing(t, "create", p.Create(ctx, r))
	tellsNothing(t, "delete", p.Delete(ctx, r.ID))
	_, err = p.Latest(ctx, r.ID)
	tellsNothing(t, "latest", err)
	must(t, install(ctx, c))
	eventually(t, "all sessions", func() bool { return p.Age() < maxAge })
	must(t, p.Create(ctx, r))
	other := p.create(t, "local:bert")

	must(t, c.Stop())
	eventually(t, "that nothing is followed", func() bool {
		return p.logged.count(`problem="sessions in namespace `+namespace+` cannot be read or written: check that the API server can be reached"`) > 0
	})
	if _, err := p.Get(ctx, r.ID); err != nil {
		t.Errorf("what was seen a moment ago: %v", err)
	}
	tellsNothing(t, "create", p.Create(ctx, record("local:anna")))
	tellsNothing(t, "delete", p.Delete(ctx, r.ID))
	p.put(maxAge)
	_, err = p.Get(ctx, r.ID)
	tellsNothing(t, "what was seen too long ago", err)
	_, err = p.Get(ctx, randomID())
	tellsNothing(t, "what is not known", err)

	began := time.Now()
	again, err := cluster.Start(ctx, cluster.Options{Binary: binary, Dir: dir, Port: c.Port()})
	must(t, err)
	ready := time.Since(began)
	c = again
	took := eventually(t, "all sessions", func() bool { return p.Age() < maxAge })
	t.Logf("the API server was ready after %s, the sessions were followed %s later", ready.Round(time.Millisecond), took.Round(time.Millisecond))
	p.want(t, r.ID, nil)
	p.want(t, other.ID, nil)
	second := running(t, namespace, kubeconfig)
	must(t, second.Delete(ctx, r.ID))
	eventually(t, "the end", func() bool { _, err := p.Get(ctx, r.ID); return errors.Is(err, session.ErrNotFound) })
}

// TestSilentWatch: a watch that tells nothing any more counts for half a minute;
// then nobody is let in whom the API server does not know.
func TestSilentWatch(t *testing.T) {
	namespace, kubeconfig := home(t, plane(t), true)
	a, b := running(t, namespace, kubeconfig), running(t, namespace, kubeconfig)
	ended, good := a.create(t, "local:anna"), a.create(t, "local:anna")
	eventually(t, "the sessions in memory", func() bool { return b.has(ended.ID) && b.has(good.ID) })
	swallow := hole
	b.between.answer.Store(&swallow)
	b.between.count("watch")
	eventually(t, "a watch that tells nothing", func() bool { return b.between.count("watch") > 0 })
	must(t, a.Delete(t.Context(), ended.ID))
	if _, err := b.Get(t.Context(), ended.ID); err != nil {
		t.Errorf("what is known is refused at once: %v", err)
	}
	b.put(maxAge)
	b.want(t, ended.ID, session.ErrNotFound)
	b.between.count("get")
	b.want(t, good.ID, nil)
	if n := b.between.count("get"); n != 2 {
		t.Errorf("%d questions for what Get and Latest are to ask", n)
	}
	if age := b.Age(); age < maxAge {
		t.Errorf("an age of %s", age)
	}
	b.between.answer.Store(nil)
	eventually(t, "all sessions", func() bool { return b.Age() < maxAge })
	if b.has(ended.ID) || !b.has(good.ID) {
		t.Error("memory is not what there is")
	}
}

// TestGone: where the API server no longer knows how far a replica was (410) all
// is listed again, and nothing is missing.
func TestGone(t *testing.T) {
	namespace, kubeconfig := home(t, plane(t), true)
	a, b := running(t, namespace, kubeconfig), running(t, namespace, kubeconfig)
	ended := a.create(t, "local:anna")
	eventually(t, "the session in memory", func() bool { return b.has(ended.ID) })
	held, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	answer := func(verb string, r *http.Request) (*http.Response, error) {
		if verb != "watch" || r.URL.Query().Get("sendInitialEvents") != "" {
			return nil, nil
		}
		gone := false
		once.Do(func() {
			close(held)
			<-release
			gone = true
		})
		if gone {
			return status(http.StatusGone, "Expired", "too old resource version"), nil
		}
		return nil, nil
	}
	b.between.answer.Store(&answer)
	<-held
	must(t, a.Delete(t.Context(), ended.ID))
	created := a.create(t, "local:anna")
	close(release)
	eventually(t, "what happened", func() bool { return !b.has(ended.ID) && b.has(created.ID) })
	if b.logged.count("level=WARN") > 0 {
		t.Errorf("logged\n%s", b.logged)
	}
}

// TestGuesses: cookies that somebody makes up do not reach the API server in
// large numbers, and keep out nobody who is known.
func TestGuesses(t *testing.T) {
	namespace, kubeconfig := home(t, plane(t), true)
	p := running(t, namespace, kubeconfig)
	r := p.create(t, "local:anna")
	p.between.count("get")
	guess := randomID()
	var wait sync.WaitGroup
	for range 200 {
		wait.Go(func() {
			for _, id := range []string{guess, randomID()} {
				if _, err := p.Get(context.Background(), id); !errors.Is(err, session.ErrNotFound) {
					t.Error(err)
				}
			}
			if _, err := p.Get(context.Background(), r.ID); err != nil {
				t.Error(err)
			}
			if err := p.Delete(context.Background(), guess); !errors.Is(err, session.ErrNotFound) {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if n := p.between.count("get"); n > 230 || p.between.most > maxAsking {
		t.Errorf("%d questions for 201 ids, %d at once", n, p.between.most)
	}
	if n := p.between.count("delete"); n != 0 {
		t.Errorf("%d attempts to delete what is not there", n)
	}
	p.put(absence)
	if _, err := p.Get(t.Context(), guess); !errors.Is(err, session.ErrNotFound) || p.between.count("get") != 1 {
		t.Errorf("after a while: %v, and it was not asked for again", err)
	}
}

// TestAskingInVain: whoever waits for an API server that does not answer waits
// no longer than their own time, and a store that is closed tells so.
func TestAskingInVain(t *testing.T) {
	namespace, kubeconfig := home(t, plane(t), true)
	p := replicaOf(t, namespace, kubeconfig)
	arrived := make(chan struct{}, 1)
	answer := func(_ string, r *http.Request) (*http.Response, error) {
		arrived <- struct{}{}
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	p.between.answer.Store(&answer)
	ctx, cancel := context.WithCancel(t.Context())
	id, result := randomID(), make(chan error, 2)
	go func() { _, err := p.Get(ctx, id); result <- err }()
	<-arrived
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	go func() { _, err := p.Get(context.Background(), id); result <- err }()
	check(t, p.Close())
	tellsNothing(t, "a closed store", <-result)
}

// TestSetConnection: a store goes on over another connection, and lets the one
// of before go.
func TestSetConnection(t *testing.T) {
	namespace, kubeconfig := home(t, plane(t), true)
	p := running(t, namespace, kubeconfig)
	r := p.create(t, "local:anna")
	next := &between{}
	p.SetConnection(connect(t, kubeconfig, next))
	eventually(t, "a watch over the new connection", func() bool { return next.count("watch") > 0 })
	p.between.count("watch")
	p.want(t, r.ID, nil)
	later := p.create(t, "local:anna")
	p.want(t, later.ID, nil)
	if next.count("post") != 1 || p.between.count("watch") != 0 {
		t.Error("the connection of before is used")
	}
}
