package kube

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	readyCondition = "Ready"
	// noTokenAfter is how long an object without secretName may be without a
	// token: whoever made it may be about to write one.
	noTokenAfter = time.Minute
	// keySettles is how long after its making a token may be signed by a key
	// that the snapshot does not have yet.
	keySettles = 10 * time.Second
)

// ended is when the object ended, or whether it has not.
func (o *object) ended(now time.Time) (time.Time, bool) {
	if e := o.Spec.ExpiresAt; e != nil && !now.Before(e.Time) {
		return e.UTC(), true
	}
	// A token with secretName is renewed for as long as the object lasts.
	if t := newest(o); t != nil && o.Spec.SecretName == "" && !now.Before(o.end(t)) {
		return o.end(t), true
	}
	return time.Time{}, false
}

// keyGone tells whether the key that signed a token verifies none any more.
func (m *minter) keyGone(t *issued, now time.Time) bool {
	snapshot := m.s.Snapshot()
	return snapshot != nil && snapshot.Keys[t.KeyID] == nil && !now.Before(t.IssuedAt.Add(keySettles))
}

// wants tells whether an object with secretName is to have another token.
func (m *minter) wants(o *object, now time.Time) bool {
	t := newest(o)
	if t == nil || !now.Before(t.ExpiresAt.Time) || m.keyGone(t, now) {
		return true
	}
	end := now.Truncate(time.Second).Add(wholeSeconds(m.s.options.Lifetime))
	if e := o.Spec.ExpiresAt; e != nil && e.Time.Before(end) {
		end = e.Truncate(time.Second)
	}
	return !now.Before(m.renewal(o)) && end.After(t.ExpiresAt.Time)
}

// renewal is when the newest token gets a successor, if any may be; zero: there
// is none.
func (m *minter) renewal(o *object) time.Time {
	t := newest(o)
	if t == nil || o.Spec.SecretName == "" {
		return time.Time{}
	}
	return t.IssuedAt.Add(t.ExpiresAt.Sub(t.IssuedAt.Time) * 2 / 3)
}

// standing is the phase that the object is in, and what its condition Ready is
// to say; without a reason nothing else than it does.
func (m *minter) standing(o *object, verified bool, now time.Time) (phase, metav1.Condition) {
	t, renewed := newest(o), o.Spec.SecretName != ""
	end, over := o.ended(now)
	not := func(reason, message string) metav1.Condition {
		return metav1.Condition{Status: metav1.ConditionFalse, Reason: reason, Message: message}
	}
	switch {
	case over && renewed:
		return phaseExpired, not(reasonExpired, "it ended at "+end.Format(time.RFC3339)+": set a later expiresAt to have it renewed, or delete it")
	case over:
		return phaseExpired, not(reasonExpired, "it ended at "+end.Format(time.RFC3339)+": make another EndpointToken, and delete this one")
	case t == nil && !renewed && now.Sub(o.CreationTimestamp.Time) > noTokenAfter:
		return phasePending, not(reasonNoToken, "nobody holds this token: set secretName in a new EndpointToken, or make tokens with promgate token create")
	case t == nil:
		return o.Status.Phase, metav1.Condition{}
	case !renewed && m.keyGone(t, now):
		return phasePending, not(reasonKeyGone, "the key that signed the token is gone: make another EndpointToken, and delete this one")
	case renewed && !verified:
		return phaseActive, metav1.Condition{}
	}
	return phaseActive, metav1.Condition{Status: metav1.ConditionTrue, Reason: reasonIssued, Message: goodUntil(o.end(t))}
}

// tidy are the fields of the status that are to be changed as time passes.
func (m *minter) tidy(o *object, verified bool, now time.Time) map[string]any {
	fields := map[string]any{}
	if o.Status.Previous != nil {
		if t := before(o); t == nil || !now.Before(o.end(t)) {
			fields["previous"] = nil
		}
	}
	phase, ready := m.standing(o, verified, now)
	if phase != o.Status.Phase {
		fields["phase"] = phase
	}
	if ready.Reason != "" && !o.says(ready) {
		fields["conditions"] = o.withReady(ready.Status, ready.Reason, ready.Message, now)
	}
	return fields
}

// before is the object's token before the newest, or nil.
func before(o *object) *issued {
	for _, t := range o.tokens() {
		if t.ID != o.Status.ID {
			return t
		}
	}
	return nil
}

// says tells whether the condition Ready is this one already.
func (o *object) says(ready metav1.Condition) bool {
	c := meta.FindStatusCondition(o.Status.Conditions, readyCondition)
	return c != nil && c.Status == ready.Status && c.Reason == ready.Reason && c.Message == ready.Message
}

// withReady are the object's conditions with Ready among them. The time of its
// transition is moved where its status changes.
func (o *object) withReady(status metav1.ConditionStatus, reason, message string, now time.Time) []metav1.Condition {
	conditions := slices.Clone(o.Status.Conditions)
	meta.SetStatusCondition(&conditions, metav1.Condition{
		Type: readyCondition, Status: status, Reason: reason, Message: message,
		ObservedGeneration: o.Generation, LastTransitionTime: metav1.NewTime(now),
	})
	return conditions
}
