package kube

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// A pod that failed is avoided for that long, twice as long after each
	// further failure, and no longer than the second.
	firstPenalty = time.Second
	maxPenalty   = 10 * time.Second
)

// podOrder is in which order a target's pods are asked. It is made anew when
// they change.
type podOrder struct {
	of   *servicePods // what it was made of
	pods []*podState  // not empty where trouble is nil
	// trouble is why no pod can be asked.
	trouble *trouble
}

// podState is a pod as one target sees it.
type podState struct {
	pod *readyPod
	// path and rawPath are those of its proxy, not escaped and escaped.
	path, rawPath string

	// until is when its penalty is over, in Unix nanoseconds; 0: it has none.
	until    atomic.Int64
	failures atomic.Int32 // in a row
}

// newOrder puts the Service's pods in order. A pod that was known before keeps
// its penalty.
func (p *pinned) newOrder(of *servicePods, before *podOrder) *podOrder {
	pods, trouble := portOf(of, p.port)
	if trouble != nil {
		return &podOrder{of: of, trouble: trouble}
	}
	o := &podOrder{of: of, pods: make([]*podState, 0, len(pods))}
	for _, pod := range pods {
		o.pods = append(o.pods, p.state(pod, before))
	}
	// Highest random weight: when a pod goes, only its own questions move, and
	// every gateway comes to the same order without a word between them.
	slices.SortFunc(o.pods, func(a, b *podState) int {
		return cmp.Or(cmp.Compare(p.weight(b.pod.name), p.weight(a.pod.name)), strings.Compare(a.pod.name, b.pod.name))
	})
	return o
}

func (p *pinned) state(pod *readyPod, before *podOrder) *podState {
	if before != nil {
		for _, s := range before.pods {
			if s.pod == pod {
				return s
			}
		}
	}
	literal := p.scheme + ":" + pod.name + ":" + strconv.Itoa(int(pod.port))
	u := p.cluster.URL("/api/v1/namespaces/" + p.namespace + "/pods/" + literal + "/proxy")
	return &podState{pod: pod, path: u.Path, rawPath: u.EscapedPath()}
}

// weight is the pod's for this target. A pod of a StatefulSet keeps it, for it
// comes back under its name.
func (p *pinned) weight(pod string) uint64 {
	h := sha256.New()
	for _, field := range []string{p.cluster.Name, p.namespace, p.name, p.port, pod} {
		// With their lengths, fields cannot run into each other.
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(field))))
		h.Write([]byte(field))
	}
	return binary.BigEndian.Uint64(h.Sum(nil))
}

// portOf finds the pods that have the port of a target. Slices know the names
// of a Service's ports, but their numbers are the pods' own.
func portOf(of *servicePods, port string) ([]*readyPod, *trouble) {
	if of == nil || len(of.ports) == 0 {
		return nil, &trouble{kind: "no pods", reason: "no ready pod of the Service is known"}
	}
	i := of.index(port)
	if _, err := strconv.Atoi(port); err == nil {
		if len(of.ports) > 1 {
			return nil, &trouble{kind: "port", reason: fmt.Sprintf("the Service has several ports (%s), and of pods only their names are known: write the port's name instead of %s", of.portNames(), port)}
		}
		i = 0
	}
	if i < 0 {
		return nil, &trouble{kind: "port", reason: fmt.Sprintf("the Service's pods have no port %s: they have %s", port, of.portNames())}
	}
	if len(of.ports[i].pods) == 0 {
		return nil, &trouble{kind: "no pods", reason: "no ready pod of the Service is known"}
	}
	return of.ports[i].pods, nil
}

func (s *servicePods) portNames() string {
	names := make([]string, 0, len(s.ports))
	for _, p := range s.ports {
		names = append(names, cmp.Or(p.name, "one without a name"))
	}
	return strings.Join(names, ", ")
}

// choose picks the pod to ask: the first in order that is not avoided, or, if
// all are, the first. The stamp goes with the outcome, to well or unwell.
// Patience is how much longer than its penalty a pod is avoided.
func (o *podOrder) choose(except *podState, patience time.Duration) (pod *podState, stamp int64) {
	var now int64
	for _, s := range o.pods {
		until := s.until.Load()
		if s == except {
			continue
		}
		if until == 0 {
			return s, 0
		}
		if pod == nil {
			pod, stamp = s, until
		}
		if now == 0 {
			now = time.Now().UnixNano()
		}
		// One question tries it again, while the others still avoid it.
		if now >= until+int64(patience) {
			if lease := now + int64(s.penalty()); s.until.CompareAndSwap(until, lease) {
				return s, lease
			}
		}
	}
	return pod, stamp
}

// penalty is how long the pod is avoided after its last failure.
func (s *podState) penalty() time.Duration {
	return min(firstPenalty<<min(max(s.failures.Load()-1, 0), 8), maxPenalty)
}

// unwell has the pod avoided. Questions that were under way together and fail
// together count as one.
func (s *podState) unwell(stamp int64) {
	if s.until.Load() != stamp {
		return
	}
	s.failures.Add(1)
	if !s.until.CompareAndSwap(stamp, time.Now().Add(s.penalty()).UnixNano()) {
		s.failures.Add(-1)
	}
}

// well forgets what was held against the pod.
func (s *podState) well() {
	if s.until.Load() != 0 {
		s.failures.Store(0)
		s.until.Store(0)
	}
}
