package kube

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"time"

	coordination "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"

	"github.com/promgate/promgate/kube"
)

const (
	leaseName     = "promgate-minting"
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
	leaseTimeout  = 5 * time.Second // of one request
)

// minting makes tokens for objects with secretName while this process is the one
// that does, until the context ends. A Store without Mint makes none.
func (s *Store) minting(ctx context.Context) {
	if s.options.Mint == nil {
		<-ctx.Done()
		return
	}
	s.minter().compete(ctx)
}

// compete leads whenever the lease can be had.
func (m *minter) compete(ctx context.Context) {
	lock, err := m.s.leaseLock()
	if err != nil {
		m.s.log.Error("no tokens are made for Secrets: the lease cannot be asked for", "cause", err.Error())
		return
	}
	for ctx.Err() == nil {
		m.term(ctx, lock)
		select {
		case <-ctx.Done():
		case <-time.After(retryPeriod):
		}
	}
}

// term waits for the lease, and leads until it is lost or the context ends. The
// lease is given up after the work has ended.
func (m *minter) term(ctx context.Context, lock resourcelock.Interface) {
	// client-go's own loop would write each failure into the log.
	elect, cancel := context.WithCancel(klog.NewContext(context.WithoutCancel(ctx), klog.Logger{}))
	defer cancel()
	ended := make(chan struct{})
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		// With ReleaseOnCancel it would try to release a lease that it cannot
		// renew before it says that this is lost: too late.
		Lock: lock, Name: leaseName, LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(leading context.Context) {
				defer close(ended)
				work, stop := context.WithCancel(leading)
				defer stop()
				defer context.AfterFunc(ctx, stop)()
				m.s.log.Info("this process makes the tokens in Secrets")
				m.lead(work)
				m.s.log.Info("this process no longer makes the tokens in Secrets")
				if leading.Err() == nil {
					cancel() // stops renewing it
				}
			},
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		m.s.log.Error("no tokens are made for Secrets: the election cannot be held", "cause", err.Error())
		return
	}
	defer context.AfterFunc(ctx, func() {
		if !elector.IsLeader() { // else lead ends, and then the election
			cancel()
		}
	})()
	elector.Run(elect)
	if elect.Err() == nil { // the lease was lost
		<-ended
		return
	}
	if elector.IsLeader() {
		release(lock)
	}
}

// release gives the lease up, so that another process need not wait for its end.
func release(lock resourcelock.Interface) {
	ctx, cancel := context.WithTimeout(klog.NewContext(context.Background(), klog.Logger{}), leaseTimeout)
	defer cancel()
	record, _, err := lock.Get(ctx)
	if err != nil || record.HolderIdentity != lock.Identity() {
		return
	}
	record.HolderIdentity, record.LeaseDurationSeconds = "", 1
	_ = lock.Update(ctx, *record) // it ends by itself, a little later
}

// homeward sends requests to the cluster that is home at that moment: the
// configuration may change its connection.
type homeward struct{ s *Store }

// RoundTrip implements http.RoundTripper.
func (h homeward) RoundTrip(r *http.Request) (*http.Response, error) {
	home, err := h.s.cluster("")
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	query := r.URL.RawQuery
	r.URL = home.URL(r.URL.Path)
	r.URL.RawQuery, r.Host = query, ""
	return home.Transport.RoundTrip(r)
}

// leaseLock is the lease in the gateway's namespace.
func (s *Store) leaseLock() (resourcelock.Interface, error) {
	client, err := coordinationv1.NewForConfigAndClient(&rest.Config{Host: "http://home", QPS: -1, ContentConfig: rest.ContentConfig{ContentType: "application/json"}},
		&http.Client{Transport: homeward{s}, Timeout: leaseTimeout})
	if err != nil {
		return nil, err
	}
	identity := s.options.Identity
	if identity == "" {
		host, _ := os.Hostname()
		identity = cmp.Or(host, "promgate") + "_" + rand.Text()[:8]
	}
	return &lease{
		Interface: &resourcelock.LeaseLock{
			LeaseMeta: metav1.ObjectMeta{Name: leaseName, Namespace: s.namespace}, Client: client,
			LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
		},
		s: s, told: map[string]string{},
	}, nil
}

// lease is a lock that tells the log why it cannot be had.
type lease struct {
	resourcelock.Interface
	s    *Store
	told map[string]string // by verb
}

// Get reads the lease.
func (l *lease) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := l.Interface.Get(ctx)
	l.note(ctx, "get", err)
	return record, raw, err
}

// Create makes the lease.
func (l *lease) Create(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	err := l.Interface.Create(ctx, r)
	l.note(ctx, "create", err)
	return err
}

// Update takes, renews or releases the lease.
func (l *lease) Update(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	err := l.Interface.Update(ctx, r)
	l.note(ctx, "update", err)
	return err
}

// note logs what is wrong when it begins.
func (l *lease) note(ctx context.Context, verb string, err error) {
	switch {
	case err == nil, apierrors.IsNotFound(err) && verb == "get":
		delete(l.told, verb)
		return
	case ctx.Err() != nil, apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		return
	}
	problem, advice := "the API server cannot be asked for it, and the gateway goes on trying", ""
	if apierrors.IsForbidden(err) {
		var who kube.Subject
		if home, err := l.s.cluster(""); err == nil {
			who = home.Subject
		}
		problem = fmt.Sprintf("the gateway may not %s it: grant it what is missing", verb)
		advice = kube.Role(l.s.namespace, "promgate:tokens:lease", who,
			kube.Rule{Group: coordination.GroupName, Resource: "leases", Verbs: []string{"create"}},
			kube.Rule{Group: coordination.GroupName, Resource: "leases", Names: []string{leaseName}, Verbs: []string{"get", "update"}})
	}
	if l.told[verb] == problem {
		return
	}
	l.told[verb] = problem
	attributes := []any{"namespace", l.s.namespace, "lease", leaseName, "problem", problem, "cause", err.Error()}
	if advice != "" {
		attributes = append(attributes, "advice", advice)
	}
	l.s.log.Warn("this process cannot have the lease without which it makes no tokens for Secrets", attributes...)
}
