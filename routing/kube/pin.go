package kube

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"weak"
)

// Outcomes of a pinned question: whose answer was passed on.
const (
	outcomePinned  = "pinned"  // that of the pod that is preferred
	outcomeNext    = "next"    // that of another pod
	outcomeService = "service" // that of any, through the service proxy
)

// maxKeptBody is the longest body that is kept in memory, so that it can be
// sent again. Remote reads are much shorter.
const maxKeptBody = 64 << 10

// pins is what a cluster has for its pinned targets.
type pins struct {
	mu      sync.Mutex
	closed  bool
	watches map[string]*sliceWatch // by namespace
	// targets lets equal targets of several tables share what is known of
	// their pods. It keeps none alive.
	targets map[pinKey]weak.Pointer[pinned]
}

type pinKey struct{ namespace, name, port, scheme string }

// pinned sends a Service's questions to one of its pods, through the API
// server's pod proxy. It takes requests that are addressed to the Service's own
// proxy, and sends them there where no pod can be asked.
//
// Pods are watched from the first question on: making a target connects to
// nothing.
type pinned struct {
	pinKey
	cluster *Cluster
	// path and rawPath are those of the service proxy, not escaped and escaped.
	path, rawPath string

	watch    atomic.Pointer[sliceWatch]
	order    atomic.Pointer[podOrder]
	ordering sync.Mutex // held to make an order

	unknown     notice // no pods are known
	get, create right
}

// pin is a transport that sends a Service's questions to one of its pods.
func (c *Cluster) pin(ref ServiceRef) http.RoundTripper {
	key := pinKey{ref.Namespace, ref.Name, ref.Port, ref.Scheme}
	c.pins.mu.Lock()
	defer c.pins.mu.Unlock()
	if p := c.pins.targets[key].Value(); p != nil {
		return p
	}
	u := c.URL("/api/v1/namespaces/" + ref.Namespace + "/services/" + ref.Scheme + ":" + ref.Name + ":" + ref.Port + "/proxy")
	p := &pinned{pinKey: key, cluster: c, path: u.Path, rawPath: u.EscapedPath()}
	p.get.method, p.create.method = http.MethodGet, http.MethodPost
	if c.pins.targets == nil {
		c.pins.targets = map[pinKey]weak.Pointer[pinned]{}
	}
	c.pins.targets[key] = weak.Make(p)
	runtime.AddCleanup(p, c.pins.forget, key)
	return p
}

// forget drops a target that no table holds any more, unless it was made again.
func (s *pins) forget(key pinKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.targets[key].Value() == nil {
		delete(s.targets, key)
	}
}

// close ends all watches. What they have seen last stays in use.
func (s *pins) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, w := range s.watches {
		w.end()
	}
	s.watches = nil
}

func (s *pins) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func (p *pinned) description() string {
	return "service " + p.namespace + "/" + p.name + ":" + p.port + " on cluster " + p.cluster.Name
}

// RoundTrip asks a pod. What changes nothing and has no body is asked a second
// time, of another pod, where the first cannot answer.
func (p *pinned) RoundTrip(r *http.Request) (*http.Response, error) {
	if !p.meant(r.URL) {
		return p.cluster.Transport.RoundTrip(r)
	}
	order, trouble := p.known(r.Context())
	if trouble != nil {
		if trouble.reason != "" {
			p.unknown.begin(p, trouble)
		}
		return p.askService(r)
	}
	p.unknown.end(p)
	if r.Body == nil || r.Body == http.NoBody {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			return p.ask(r, order)
		}
	}
	return p.send(r, order)
}

// meant tells whether the URL leads to the service proxy.
func (p *pinned) meant(u *url.URL) bool {
	return below(u.Path, p.path) && (u.RawPath == "" || below(u.RawPath, p.rawPath))
}

func below(path, prefix string) bool {
	return strings.HasPrefix(path, prefix) && (len(path) == len(prefix) || path[len(prefix)] == '/')
}

// known are the Service's pods in order. A trouble without a reason is not
// worth telling.
func (p *pinned) known(ctx context.Context) (*podOrder, *trouble) {
	w := p.watch.Load()
	if w == nil || w.ended.Load() {
		if next := p.cluster.sliceWatchOf(p.namespace); next != nil {
			w = next
			p.watch.Store(w)
		} else if w == nil { // the cluster was closed before the first question
			return nil, &trouble{kind: "closed"}
		}
	}
	pods, trouble := w.pods(ctx, p.name)
	if trouble != nil {
		return nil, trouble
	}
	o := p.order.Load()
	if o == nil || o.of != pods {
		o = p.reorder(pods)
	}
	return o, o.trouble
}

func (p *pinned) reorder(pods *servicePods) *podOrder {
	p.ordering.Lock()
	defer p.ordering.Unlock()
	before := p.order.Load()
	if before != nil && before.of == pods {
		return before
	}
	o := p.newOrder(pods, before)
	p.order.Store(o)
	return o
}

// ask asks a pod, and another one where the first cannot answer.
func (p *pinned) ask(r *http.Request, order *podOrder) (*http.Response, error) {
	if p.get.withheld() {
		return p.askService(r)
	}
	first, stamp := order.choose(nil, 0)
	resp, v, err := p.try(r, first, stamp, &p.get)
	if v == refused {
		closeBody(resp)
		return p.askService(r)
	}
	if !v.again() {
		p.count(order, first)
		return resp, err
	}
	second, stamp := order.choose(first, 0)
	if second == nil {
		// Its Service may have got another pod that is not known yet, and if
		// not, tells best what is wrong.
		closeBody(resp)
		return p.askService(r)
	}
	next, v, nextErr := p.try(r, second, stamp, &p.get)
	switch {
	case v == refused:
		closeBody(resp)
		closeBody(next)
		return p.askService(r)
	case nextErr != nil && err == nil: // an answer tells more than none
		p.count(order, first)
		return resp, nil
	}
	closeBody(resp)
	p.count(order, second)
	return next, nextErr
}

// send asks with a body, or with a method that may change something: once,
// unless the API server refuses to pass it on.
func (p *pinned) send(r *http.Request, order *podOrder) (*http.Response, error) {
	right := &p.create
	if verbOf(r.Method) == "get" {
		right = &p.get
	}
	if right.withheld() {
		return p.askService(r)
	}
	r, err := keepBody(r)
	if err != nil {
		return nil, err
	}
	repeatable := r.Body == nil || r.Body == http.NoBody || r.GetBody != nil
	if !repeatable && !right.granted.Load() {
		return p.askService(r)
	}
	// Trying a pod that failed is for questions that can be asked again.
	pod, stamp := order.choose(nil, maxPenalty)
	resp, v, err := p.try(r, pod, stamp, right)
	if v != refused || !repeatable {
		p.count(order, pod)
		return resp, err
	}
	if r.GetBody != nil {
		body, err := r.GetBody()
		if err != nil {
			p.count(order, pod)
			return resp, nil
		}
		r = r.WithContext(r.Context())
		r.Body = body
	}
	closeBody(resp)
	return p.askService(r)
}

// try sends the request to one pod and keeps what the answer tells of it.
func (p *pinned) try(r *http.Request, pod *podState, stamp int64, right *right) (*http.Response, verdict, error) {
	out := r.WithContext(r.Context())
	u := *r.URL
	u.Path = pod.path + u.Path[len(p.path):]
	if u.RawPath != "" {
		u.RawPath = pod.rawPath + u.RawPath[len(p.rawPath):]
	}
	out.URL = &u
	resp, err := p.cluster.Transport.RoundTrip(out)
	v := judge(r, resp, err)
	switch v {
	case answered:
		pod.well()
	case failed:
		pod.unwell(stamp)
	case refused:
		right.deny(p)
	}
	if v.passed() {
		right.grant(p)
	}
	return resp, v, err
}

// askService sends the request where it is addressed to.
func (p *pinned) askService(r *http.Request) (*http.Response, error) {
	p.tell(outcomeService)
	return p.cluster.Transport.RoundTrip(r)
}

func (p *pinned) count(order *podOrder, pod *podState) {
	if pod == order.pods[0] {
		p.tell(outcomePinned)
	} else {
		p.tell(outcomeNext)
	}
}

func (p *pinned) tell(outcome string) {
	if p.cluster.options.OnPinned != nil {
		p.cluster.options.OnPinned(outcome)
	}
}

func closeBody(resp *http.Response) {
	if resp != nil {
		_ = resp.Body.Close() // another answer is passed on
	}
}

// keepBody makes a short body one that can be sent again.
func keepBody(r *http.Request) (*http.Request, error) {
	if r.Body == nil || r.Body == http.NoBody || r.GetBody != nil || r.ContentLength > maxKeptBody {
		return r, nil
	}
	begin, err := io.ReadAll(io.LimitReader(r.Body, maxKeptBody+1))
	if err != nil {
		_ = r.Body.Close() // the first error tells
		return nil, err
	}
	body := r.Body
	r = r.WithContext(r.Context())
	if len(begin) > maxKeptBody {
		r.Body = &readAhead{Reader: io.MultiReader(bytes.NewReader(begin), body), Closer: body}
		return r, nil
	}
	_ = body.Close() // it was read to its end
	r.ContentLength = int64(len(begin))
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(begin)), nil }
	r.Body, err = r.GetBody()
	return r, err
}
