package kube

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"os"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/promgate/promgate/routing"
)

const (
	// eventQueue bounds the events that wait to be written; more are dropped,
	// for the log has them too.
	eventQueue = 1000
	// eventPause lies between two events, to spare the API server.
	eventPause = 20 * time.Millisecond
	// eventsDenied is how long no event is tried in a namespace that takes none.
	eventsDenied = 10 * time.Minute
	// maxNote and maxEventName are the API's bounds on an event's text and
	// name, in bytes.
	maxNote      = 1024
	maxEventName = 253
)

var eventsResource = schema.GroupVersionResource{Group: "events.k8s.io", Version: "v1", Resource: "events"}

// announcer tells why objects are not served, each reason once.
type announcer struct {
	cluster *Cluster
	queue   chan *unstructured.Unstructured
	mu      sync.Mutex
	told    map[string]map[string]string // reasons, by project and source
	denied  map[string]time.Time         // namespaces, and until when; used by run alone
}

func newAnnouncer(c *Cluster) *announcer {
	return &announcer{
		cluster: c, queue: make(chan *unstructured.Unstructured, eventQueue),
		told: map[string]map[string]string{}, denied: map[string]time.Time{},
	}
}

func (a *announcer) announce(project string, unserved []routing.Candidate, objects map[string]*object) {
	a.mu.Lock()
	defer a.mu.Unlock()
	before, now := a.told[project], make(map[string]string, len(unserved))
	for _, c := range unserved {
		now[c.Source] = c.Reason
		if before[c.Source] == c.Reason {
			continue
		}
		a.cluster.Logger.Warn("an object makes no route", "object", c.Source, "project", c.Project, "environment", c.Name, "reason", c.Reason)
		select {
		case a.queue <- event(objects[c.Source], c):
		default:
		}
	}
	for source := range before {
		if _, still := now[source]; !still {
			a.cluster.Logger.Info("an object that made no route does, or is gone", "object", source, "project", project)
		}
	}
	if len(now) == 0 {
		delete(a.told, project)
	} else {
		a.told[project] = now
	}
}

// event is the Event (events.k8s.io/v1) on an object. Its name follows from
// object and reason, so that all replicas of the gateway write it once.
func event(o *object, c routing.Candidate) *unstructured.Unstructured {
	sum := sha256.Sum256([]byte(string(o.UID) + "\x00" + c.Reason))
	suffix := "." + hex.EncodeToString(sum[:8])
	// What is cut off must not leave an end that no name may have.
	name := strings.TrimRight(o.Name[:min(len(o.Name), maxEventName-len(suffix))], ".-") + suffix
	host, _ := os.Hostname() // for people alone
	note, reason := c.Reason, "Invalid"
	if c.Cause == routing.CauseConflict {
		reason = "Conflict"
	}
	if len(note) > maxNote {
		note = strings.ToValidUTF8(note[:maxNote], "")
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "events.k8s.io/v1", "kind": "Event",
		"metadata":            map[string]any{"name": name, "namespace": o.Namespace},
		"eventTime":           metav1.NowMicro().UTC().Format(metav1.RFC3339Micro),
		"reportingController": prefix + "gateway", "reportingInstance": "promgate-" + host,
		"action": "Route", "reason": reason,
		"type": "Warning", "note": note,
		"regarding": map[string]any{
			"apiVersion": o.source.gvr.GroupVersion().String(), "kind": o.source.kind,
			"namespace": o.Namespace, "name": o.Name, "uid": string(o.UID),
		},
	}}
}

// run writes events until the context ends.
func (a *announcer) run(ctx context.Context) {
	pause := time.NewTicker(eventPause)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-a.queue:
			a.write(ctx, e)
		}
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
	}
}

func (a *announcer) write(ctx context.Context, e *unstructured.Unstructured) {
	namespace := e.GetNamespace()
	if time.Now().Before(a.denied[namespace]) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := a.cluster.Client.Resource(eventsResource).Namespace(namespace).Create(ctx, e, metav1.CreateOptions{})
	switch {
	case err == nil, apierrors.IsAlreadyExists(err):
	case apierrors.IsForbidden(err):
		maps.DeleteFunc(a.denied, func(_ string, until time.Time) bool { return time.Now().After(until) })
		a.denied[namespace] = time.Now().Add(eventsDenied)
		a.cluster.Logger.Debug("no events are written here: the gateway may not create them", "cluster", a.cluster.Name, "namespace", namespace)
	default:
		a.cluster.Logger.Debug("an event could not be written", "cluster", a.cluster.Name, "namespace", namespace, "error", err)
	}
}
