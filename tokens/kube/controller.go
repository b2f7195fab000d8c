package kube

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// lookInterval is how often everything is looked at when nothing changes.
	lookInterval = 10 * time.Second
	// gatherChanges is how long changes are collected before they are looked at,
	// and restFactor how much longer than a look the pause before the next is:
	// looking at very many objects does not keep a processor busy.
	gatherChanges = 20 * time.Millisecond
	restFactor    = 9
	// verifyInterval is how long a Secret is believed to hold what it held.
	verifyInterval = 5 * time.Minute
	// settles is how long another process may take from the status that it has
	// written to the Secret.
	settles = 10 * time.Second
	// maxAtOnce bounds the objects of one cluster that are in work: a cluster
	// that does not answer keeps no other from its tokens.
	maxAtOnce = 8
	// attemptTimeout bounds the work on one object.
	attemptTimeout = 20 * time.Second
	// lingerTime is how long work goes on that was begun before the end: what
	// is between status and Secret gets there.
	lingerTime           = 3 * time.Second
	firstRetry, maxRetry = time.Second, 5 * time.Minute
)

// controller makes tokens for objects with secretName, and keeps the status of
// all. There may be two for a while: neither does harm to the other.
type controller struct {
	*minter
	wake    chan struct{}
	workers sync.WaitGroup

	mu    sync.Mutex // guards what follows
	looks int
	cares map[careKey]*care
	busy  map[string]int // objects in work, by cluster
	// behind is why statuses are not kept up to date, by cluster and namespace,
	// as it was logged.
	behind map[string]string
}

type careKey struct {
	cluster string
	uid     types.UID
}

// care is what the controller knows of one object, beside the object.
type care struct {
	busy bool // guarded by the controller's lock; true: a worker has the rest
	look int  // the last that saw the object

	// id is the token that the Secret holds, or does not: at checkAt it is
	// verified.
	id      string
	checkAt time.Time

	failures int
	retryAt  time.Time
	told     map[string]bool // what was logged since it last worked

	// written is the object as it is after work that was done while version was
	// the one that the watch had seen.
	version string
	written *object
}

// lead works until the context ends.
func (m *minter) lead(ctx context.Context) {
	c := &controller{minter: m, wake: make(chan struct{}, 1), cares: map[careKey]*care{}, busy: map[string]int{}, behind: map[string]string{}}
	defer c.workers.Wait()
	for ctx.Err() == nil {
		c.s.mu.Lock()
		changed := c.s.changed
		c.s.mu.Unlock()
		began := time.Now()
		timer := time.NewTimer(c.look(ctx))
		pause := max(gatherChanges, restFactor*time.Since(began))
		select {
		case <-ctx.Done():
		case <-changed:
		case <-c.wake:
		case <-timer.C:
		}
		timer.Stop()
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// look starts the work on all objects that something is to be done for, and
// tells how soon to look again.
func (c *controller) look(ctx context.Context) time.Duration {
	now, next, all := c.s.now(), lookInterval, c.located()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looks++
	for _, l := range all {
		key := careKey{l.connection.Name, l.UID}
		k := c.cares[key]
		if k == nil {
			k = &care{}
			c.cares[key] = k
		}
		k.look = c.looks
		if k.busy {
			continue
		}
		if k.written != nil && k.version == l.ResourceVersion {
			l.object = k.written
		} else {
			k.version, k.written = l.ResourceVersion, nil
		}
		if wait := k.retryAt.Sub(now); wait > 0 {
			next = min(next, wait)
			continue
		}
		if wait := c.renewal(l.object).Sub(now); wait > 0 {
			next = min(next, wait)
		}
		if c.due(l.object, k, now) != nothing && c.busy[l.connection.Name] < maxAtOnce {
			c.start(ctx, l, k)
		}
	}
	for key, k := range c.cares {
		if k.look != c.looks && !k.busy {
			delete(c.cares, key)
		}
	}
	return next
}

// start has a worker do the work on one object. The lock is held.
func (c *controller) start(ctx context.Context, l located, k *care) {
	k.busy = true
	c.busy[l.connection.Name]++
	c.workers.Go(func() {
		work, cancel := lingering(ctx)
		defer cancel()
		c.attend(work, l, k)
		c.mu.Lock()
		k.busy = false
		c.busy[l.connection.Name]--
		c.mu.Unlock()
		select {
		case c.wake <- struct{}{}:
		default:
		}
	})
}

// lingering outlasts a context a little.
func lingering(ctx context.Context) (context.Context, context.CancelFunc) {
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), attemptTimeout)
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-work.Done():
		case <-time.After(lingerTime):
			cancel()
		}
	})
	return work, func() { stop(); cancel() }
}

// duty is what is to be done for an object.
type duty int

const (
	nothing duty = iota
	updating
	checking
	minting
)

func (c *controller) due(o *object, k *care, now time.Time) duty {
	if o.DeletionTimestamp != nil {
		return nothing
	}
	if _, over := o.ended(now); !over && o.Spec.SecretName != "" {
		switch {
		case c.wants(o, now):
			return minting
		case k.unchecked(newest(o), now):
			return checking
		}
	}
	if len(c.tidy(o, k.verified(o), now)) > 0 {
		return updating
	}
	return nothing
}

// unchecked tells whether the Secret is to be asked whether it holds the token.
func (k *care) unchecked(t *issued, now time.Time) bool {
	if k.id != t.ID {
		return !now.Before(t.IssuedAt.Add(settles))
	}
	return !now.Before(k.checkAt)
}

func (k *care) verified(o *object) bool { return k.id == o.Status.ID && !k.checkAt.IsZero() }

// hold notes that the Secret holds the token. The next time that it is asked is
// up to a fifth earlier than it need be, so that not all are asked at once.
func (k *care) hold(id string, now time.Time) {
	k.id, k.checkAt = id, now.Add(verifyInterval-rand.N(verifyInterval/5))
}

// attend does what is to be done for an object, one thing after the other.
func (c *controller) attend(ctx context.Context, l located, k *care) {
	var err error
	d := nothing
	for range conflictTries {
		if d = c.due(l.object, k, c.s.now()); d == nothing {
			break
		}
		switch d {
		case minting:
			l, err = c.renew(ctx, l, k)
		case checking:
			l, err = c.check(ctx, l, k)
		default:
			l, err = c.update(ctx, l, k)
		}
		if overtaken(err) {
			l, err = again(ctx, l)
		}
		if err != nil {
			break
		}
	}
	switch {
	case err == nil && d != nothing, apierrors.IsNotFound(err): // others are at it, too, or it is about to be seen gone
		k.retryAt = c.s.now().Add(firstRetry)
	case err == nil:
		c.worked(l, k)
	case d == updating:
		c.fellBehind(l, k, err)
	default:
		l = c.failed(ctx, l, k, err)
	}
	k.written = l.object
}

// update brings an object's status up to date.
func (c *controller) update(ctx context.Context, l located, k *care) (located, error) {
	o, err := c.s.patchStatus(ctx, l, c.tidy(l.object, k.verified(l.object), c.s.now()))
	if err != nil {
		return l, aboutObjects(err, l.connection, l.Namespace, "change the status of an EndpointToken")
	}
	c.caughtUp(l)
	l.object = o
	return l, nil
}

// check asks whether the Secret holds the newest token, and makes another where
// it does not: the token itself is kept nowhere else.
func (c *controller) check(ctx context.Context, l located, k *care) (located, error) {
	have, err := c.probe(ctx, l)
	if err != nil {
		return l, err
	}
	if have.tokenID() == l.Status.ID {
		k.hold(l.Status.ID, c.s.now())
		return l, nil
	}
	return c.replace(ctx, l, k, have)
}

// renew makes another token where the one of now is at its end.
func (c *controller) renew(ctx context.Context, l located, k *care) (located, error) {
	now := c.s.now()
	if t := newest(l.object); t != nil && c.keyGone(t, now) {
		// The snapshot may be behind; many tokens depend on it.
		keys, _, err := c.signingKeys(ctx)
		if err != nil {
			return l, err
		}
		for _, key := range keys {
			if key.ID == t.KeyID {
				return l, errSnapshotBehind
			}
		}
	}
	have, err := c.probe(ctx, l)
	if err != nil {
		return l, err
	}
	return c.replace(ctx, l, k, have)
}

// replace makes a token and writes it into the Secret.
func (c *controller) replace(ctx context.Context, l located, k *care, have held) (located, error) {
	if err := trial(ctx, l, have); err != nil {
		return l, err
	}
	now := c.moment()
	l, token, err := c.issue(ctx, l, order{at: now, lifetime: wholeSeconds(c.s.options.Lifetime), previous: c.kept(l.object, have, now)})
	if err != nil {
		return l, err
	}
	k.id, k.checkAt = l.Status.ID, time.Time{}
	if err := c.writeSecret(ctx, l, have, token); err != nil {
		return l, err
	}
	k.hold(l.Status.ID, c.s.now())
	return l, nil
}

// kept is the token that stays good beside the next one: the newest, which ends
// after the overlap; or the one before, if that is what the Secret still holds,
// because the newest never got there.
func (c *controller) kept(o *object, have held, now time.Time) *issued {
	t := newest(o)
	if t == nil {
		return nil
	}
	if p := before(o); p != nil && p.ID == have.tokenID() {
		return o.cut(p, now, c.s.options.Overlap)
	}
	return o.cut(t, now, c.s.options.Overlap)
}
