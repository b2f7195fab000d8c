package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/promgate/promgate/cmd/demo/cluster"
	"github.com/promgate/promgate/cmd/demo/prometheus"
)

// replica is one of several servers behind a Service. Its data tell which.
type replica struct {
	t       testing.TB
	name    string
	server  *prometheus.Server
	address string
}

func startReplica(t testing.TB, name string) *replica {
	t.Helper()
	r := &replica{t: t, name: name}
	r.start()
	t.Cleanup(r.kill)
	return r
}

// start starts the server, on its former address where it had one.
func (r *replica) start() {
	r.t.Helper()
	var err error
	r.server, err = prometheus.Start(context.Background(), prometheus.Options{
		Addr: r.address, FrozenAt: prometheus.FixtureEnd(),
		Backfill: func(_ context.Context, app prometheus.Appender) error {
			return appendFloat(app, prometheus.FixtureEnd(), 1, model.MetricNameLabel, "answerer", "replica", r.name)
		},
	})
	must(r.t, err)
	r.address = r.server.Addr()
}

func (r *replica) kill() {
	if err := r.server.Close(); err != nil {
		r.t.Error(err)
	}
}

// pair is a gateway with the environment production, pinned to one of two
// replicas.
type pair struct {
	t          testing.TB
	namespace  string
	kubeconfig string
	replicas   map[string]*replica
	gateway    *running
	secret     string
}

// pinningRole is what pinning needs, as the documentation has it.
const pinningRole = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: pinning, namespace: NAMESPACE}
rules:
  - {apiGroups: [""], resources: [pods/proxy], verbs: [get]}
  - {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: pinning, namespace: NAMESPACE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: pinning}
subjects: [{kind: ServiceAccount, name: promgate, namespace: HOME}]
`

func startPair(t testing.TB, name string, granted bool) *pair {
	t.Helper()
	a, b := startReplica(t, "a"), startReplica(t, "b")
	p := &pair{t: t, namespace: name, replicas: map[string]*replica{"a": a, "b": b}}
	p.kubeconfig = namespace(t, name, a.address, b.address)
	if granted {
		applied(t, name, name, pinningRole)
	}
	path := configuration(t, p.kubeconfig, "", name+"/production: "+service(name, "prometheus")+", replicas: pin")
	p.secret, _ = token(t, path, name)
	p.gateway = serve(t, path)
	return p
}

// ask sends one question and returns who answered it.
func (p *pair) ask() (string, error) {
	a := ask(with(get(instant(p.gateway.base(p.namespace+"/production"), "answerer")), p.secret))
	if err := wantStatus(a, http.StatusOK); err != nil {
		return "", err
	}
	var body struct {
		Data struct {
			Result []struct {
				Metric struct{ Replica string }
			}
		}
	}
	if err := json.Unmarshal([]byte(a.body), &body); err != nil || len(body.Data.Result) != 1 {
		return "", fmt.Errorf("%w: %s", err, a)
	}
	return body.Data.Result[0].Metric.Replica, nil
}

// askMany sends questions, eight at a time, and returns who answered how many.
func (p *pair) askMany(n int) map[string]int {
	p.t.Helper()
	var asking sync.WaitGroup
	var mu sync.Mutex
	answerers := map[string]int{}
	for range 8 {
		asking.Go(func() {
			for range n / 8 {
				who, err := p.ask()
				check(p.t, err)
				mu.Lock()
				answerers[who]++
				mu.Unlock()
			}
		})
	}
	asking.Wait()
	return answerers
}

// answeredBy waits until questions are answered by one replica.
func (p *pair) answeredBy(who string) time.Duration {
	p.t.Helper()
	return eventually(p.t, func() error {
		if got, err := p.ask(); err != nil || got != who {
			return fmt.Errorf("%q answers, %w", got, err)
		}
		return nil
	})
}

// only is the one replica that answered.
func (p *pair) only(answerers map[string]int) string {
	p.t.Helper()
	if len(answerers) != 1 {
		p.t.Fatalf("answers came from %v", answerers)
	}
	return slices.Collect(maps.Keys(answerers))[0]
}

func other(who string) string { return map[string]string{"a": "b", "b": "a"}[who] }

// TestPinnedReplica asks 1,000 questions, has the replica that answers them
// killed while questions go on, and started again.
func TestPinnedReplica(t *testing.T) {
	t.Parallel()
	p := startPair(t, "pinned", true)
	first := p.only(p.askMany(1000))

	// Questions go on while it is killed and until it is back. None may fail.
	stop := make(chan struct{})
	var asking sync.WaitGroup
	var mu sync.Mutex
	asked, slowest := 0, time.Duration(0)
	for range 4 {
		asking.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				began := time.Now()
				_, err := p.ask()
				check(t, err)
				mu.Lock()
				asked++
				slowest = max(slowest, time.Since(began))
				mu.Unlock()
			}
		})
	}
	p.replicas[first].kill()
	if who := p.only(p.askMany(80)); who != other(first) {
		t.Errorf("%s answered, which was killed", who)
	}
	p.replicas[first].start()
	took := p.answeredBy(first)
	close(stop)
	asking.Wait()
	if took > 12*time.Second {
		t.Errorf("it took %s until %s was asked again", took, first)
	}
	if who := p.only(p.askMany(400)); who != first {
		t.Errorf("%s answers, not %s, which is back", who, first)
	}
	t.Logf("%d questions in between, none failed; the slowest took %s; %s was asked again after %s", asked, slowest.Round(time.Millisecond), first, took.Round(time.Millisecond))
}

// TestPinnedReadiness follows the slices: a pod that is not ready is not asked.
func TestPinnedReadiness(t *testing.T) {
	t.Parallel()
	p := startPair(t, "readiness", true)
	first := p.only(p.askMany(80))
	must(t, p.setReady(p.replicas[first], false))
	p.answeredBy(other(first))
	if who := p.only(p.askMany(80)); who != other(first) {
		t.Errorf("%s answers, which is not ready", who)
	}
	must(t, p.setReady(p.replicas[first], true))
	p.answeredBy(first)
	// New pods have new names: who is asked is the hash's matter, but it is one.
	must(t, controlPlane(t).SetBackends(t.Context(), "readiness", "prometheus", p.replicas["b"].address, p.replicas["a"].address))
	p.only(p.askMany(80))
	if strings.Contains(p.gateway.log.String(), "through the service proxy") {
		t.Errorf("a question went through the service proxy:\n%s", p.gateway.log)
	}
}

// setReady marks a replica's pod in the slice of its Service, as Kubernetes does
// when a readiness probe fails. Replicas are in the order of their addresses in
// startPair.
func (p *pair) setReady(r *replica, ready bool) error {
	api := shared.control.Client().DiscoveryV1().EndpointSlices(p.namespace)
	slice, err := api.Get(p.t.Context(), "prometheus", metav1.GetOptions{})
	if err != nil {
		return err
	}
	slice.Endpoints[map[string]int{"a": 0, "b": 1}[r.name]].Conditions.Ready = &ready
	_, err = api.Update(p.t.Context(), slice, metav1.UpdateOptions{})
	return err
}

// TestPinnedWithoutRole: without the rights that pinning needs, questions are
// answered by any replica. What the log advises, applied as it is, pins them.
func TestPinnedWithoutRole(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		slices bool // the gateway may watch them
		reason string
	}{
		"unpinned": {false, "endpointslices.discovery.k8s.io is forbidden"},
		"nopods":   {true, "the gateway may not get pods/proxy in namespace nopods"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startPair(t, name, false)
			if c.slices {
				allowSlices(t, name)
			}
			if answerers := p.askMany(80); len(answerers) != 2 {
				t.Errorf("answers came from %v", answerers)
			}
			const began, over = "questions are not pinned to one pod: they go through the service proxy, to any ready one", "questions are pinned to one pod again"
			record := p.gateway.log.record(t, "msg", began, p.gateway.ended)
			advice, _ := record["advice"].(string)
			reason, _ := record["reason"].(string)
			if record["target"] != "service "+name+"/prometheus:web on cluster local" || record["level"] != "WARN" || !strings.Contains(reason, c.reason) {
				t.Errorf("the record is %v", record)
			}
			must(t, apply(t.Context(), advice))
			took := eventually(t, func() error {
				_, err := p.ask()
				if err == nil && !strings.Contains(p.gateway.log.String(), over) {
					err = errors.New("not pinned")
				}
				return err
			})
			t.Logf("pinned %s after the Role was applied", took.Round(time.Millisecond))
			p.only(p.askMany(200))
			if n := strings.Count(p.gateway.log.String(), began); n != 1 {
				t.Errorf("%d records of its begin", n)
			}
			// It opens what it says, and no more.
			role, err := shared.control.Client().RbacV1().Roles(name).Get(t.Context(), "promgate:get:pods", metav1.GetOptions{})
			must(t, err)
			if fmt.Sprint(role.Rules) != "[{[get] [] [pods/proxy] [] []} {[list watch] [discovery.k8s.io] [endpointslices] [] []}]" {
				t.Errorf("the Role is %v", role.Rules)
			}
		})
	}
}

// allowSlices lets the gateway watch the namespace's slices, and waits until
// that is in force.
func allowSlices(t testing.TB, namespace string) {
	t.Helper()
	rbac := shared.control.Client().RbacV1()
	meta := metav1.ObjectMeta{Name: "slices", Namespace: namespace}
	_, err := rbac.Roles(namespace).Create(t.Context(), &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: []string{"list", "watch"},
	}}}, metav1.CreateOptions{})
	must(t, err)
	_, err = rbac.RoleBindings(namespace).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "slices"},
		Subjects: []rbacv1.Subject{cluster.ServiceAccount(namespace, account)},
	}, metav1.CreateOptions{})
	must(t, err)
	eventually(t, func() error {
		review, err := shared.control.Client().AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{
				User:               "system:serviceaccount:" + namespace + ":" + account,
				ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: namespace, Verb: "watch", Group: "discovery.k8s.io", Resource: "endpointslices"},
			},
		}, metav1.CreateOptions{})
		if err == nil && !review.Status.Allowed {
			err = errors.New("not allowed yet")
		}
		return err
	})
}
