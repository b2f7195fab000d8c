package kube

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// maxTold bounds what is remembered of an object's errors, and maxMessage a
	// condition's message in bytes.
	maxTold, maxMessage = 16, 1000
)

// errSnapshotBehind means that the snapshot lacks a key that there is.
var errSnapshotBehind = errors.New("the signing keys that the gateway goes by are not those in its Secret")

// overtaken tells whether an object is to be read and decided on anew.
func overtaken(err error) bool { return apierrors.IsConflict(err) || errors.Is(err, errOvertaken) }

// worked ends an object's series of failures.
func (c *controller) worked(l located, k *care) {
	if len(k.told) > 0 {
		c.s.log.Info("an EndpointToken is served again", "cluster", l.connection.Name, "namespace", l.Namespace, "object", l.Name)
	}
	k.failures, k.retryAt, k.told = 0, time.Time{}, nil
}

// caughtUp notes that a status could be written.
func (c *controller) caughtUp(l located) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.behind, l.connection.Name+"/"+l.Namespace)
}

// fellBehind logs that a status could not be brought up to date: once for a
// namespace, because it harms no token and will be so for all of them.
func (c *controller) fellBehind(l located, k *care, err error) {
	k.putOff(c.s.now())
	if errors.Is(err, context.Canceled) {
		return
	}
	h := c.hindranceOf(err, l)
	c.mu.Lock()
	defer c.mu.Unlock()
	if where := l.connection.Name + "/" + l.Namespace; c.behind[where] != h.text {
		c.behind[where] = h.text
		c.s.log.Warn("the status of EndpointTokens is not up to date", append([]any{"cluster", l.connection.Name, "namespace", l.Namespace}, h.attributes()...)...)
	}
}

// putOff puts the next try off, each time longer.
func (k *care) putOff(now time.Time) {
	k.failures++
	k.retryAt = now.Add(min(firstRetry<<min(k.failures-1, 16), maxRetry))
}

// attributes are those of a hindrance in the log.
func (h *hindrance) attributes() []any {
	all := []any{"problem", h.text}
	if h.cause != nil {
		all = append(all, "cause", h.cause.Error())
	}
	if h.advice != "" {
		all = append(all, "advice", h.advice)
	}
	return all
}

// failed logs what is new, says it in the object's condition and puts the next
// try off. It returns the object as it is then.
func (c *controller) failed(ctx context.Context, l located, k *care, err error) located {
	now := c.s.now()
	if errors.Is(err, errSnapshotBehind) {
		k.retryAt = now.Add(lookInterval)
		return l // whoever follows the keys tells why
	}
	k.putOff(now)
	if errors.Is(err, context.Canceled) {
		return l // the end of this process's term; another goes on
	}
	h := c.hindranceOf(err, l)
	if !k.told[h.reason+h.text] && len(k.told) < maxTold {
		if k.told == nil {
			k.told = map[string]bool{}
		}
		k.told[h.reason+h.text] = true
		c.s.log.Warn("an EndpointToken is not served", append([]any{
			"cluster", l.connection.Name, "namespace", l.Namespace, "object", l.Name, "reason", h.reason,
		}, h.attributes()...)...)
	}
	return c.tell(ctx, l, h, now)
}

// tell writes why it failed into the object's condition, if it can.
func (c *controller) tell(ctx context.Context, l located, h *hindrance, now time.Time) located {
	message := h.text
	var status apierrors.APIStatus
	if errors.As(h.cause, &status) && status.Status().Message != "" {
		message += ": " + status.Status().Message
	}
	ready := metav1.Condition{Status: metav1.ConditionFalse, Reason: h.reason, Message: strings.ToValidUTF8(message[:min(len(message), maxMessage)], "")}
	fields := map[string]any{}
	if !l.says(ready) {
		fields["conditions"] = l.withReady(ready.Status, ready.Reason, ready.Message, now)
	}
	phase := phaseActive
	if t := newest(l.object); t == nil || !now.Before(l.end(t)) {
		phase = phasePending
	}
	if phase != l.Status.Phase {
		fields["phase"] = phase
	}
	if len(fields) == 0 {
		return l
	}
	// The time for the work itself may be over.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	if o, err := c.s.patchStatus(ctx, l, fields); err == nil {
		l.object = o
	}
	return l
}

// hindranceOf words any error for an object's condition. What is not in the API
// server's own words stays in the log.
func (c *controller) hindranceOf(err error, l located) *hindrance {
	var h *hindrance
	var status apierrors.APIStatus
	switch {
	case errors.As(err, &h):
		return h
	case errors.As(err, &status):
		return &hindrance{reason: reasonIssueFailed, text: "no token could be made, and the gateway goes on trying", cause: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &hindrance{reason: reasonIssueFailed, text: fmt.Sprintf("the API server of cluster %s did not answer in time, and the gateway goes on trying", l.connection.Name), cause: err}
	}
	return &hindrance{reason: reasonIssueFailed, text: "no token could be made, and the gateway goes on trying: its log says why", cause: err}
}
