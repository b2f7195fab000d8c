package kube

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"net/http/httptest"
)

// plane is an API server that knows EndpointTokens and Secrets, and of them as
// much as the store asks for.
type plane struct {
	server   *httptest.Server
	listener *wires

	mu      sync.Mutex
	log     []occurrence  // the resource version is its length
	changed chan struct{} // closed at the next change
	objects map[string]map[string]any
	uids    int
	gone    int // resource versions before this one are forgotten
	// refuse is the status code of what is refused, by "verb resource", or by
	// "verb resource namespace".
	refuse map[string]int
	asked  map[string]int // requests, by "verb resource"
	// stalled says what is never answered, by "verb resource".
	stalled map[string]bool

	old       atomic.Bool // cannot send what there is as a watch's begin
	partial   atomic.Bool // never comes to the end of doing so
	unending  atomic.Bool // its watches last for ever
	hesitant  atomic.Bool // its watches begin, and send nothing
	bookmarks atomic.Bool // sends one two seconds before a watch's end
	watches   atomic.Int64
}

type occurrence struct {
	kind, resource string
	object         map[string]any
}

// request is one to the plane.
type request struct {
	verb, resource, namespace, name, subresource string
	*http.Request
}

// parse reads /api/v1/namespaces/x/secrets/y and its like.
func parse(r *http.Request) request {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if parts[0] == "api" {
		parts = parts[2:]
	} else {
		parts = parts[3:]
	}
	q := request{Request: r}
	if parts[0] == "namespaces" {
		q.namespace, parts = parts[1], parts[2:]
	}
	parts = append(parts, "", "")
	q.resource, q.name, q.subresource = parts[0], parts[1], parts[2]
	switch {
	case r.Method == http.MethodGet && r.URL.Query().Get("watch") == "true":
		q.verb = "watch"
	case r.Method == http.MethodGet && q.name == "":
		q.verb = "list"
	default:
		q.verb = strings.ToLower(r.Method)
	}
	if name, ok := strings.CutPrefix(r.URL.Query().Get("fieldSelector"), "metadata.name="); ok {
		q.name = name
	}
	return q
}

// matches tells whether an object is one that the request is about.
func (q request) matches(resource string, o map[string]any) bool {
	meta := o["metadata"].(map[string]any)
	return resource == q.resource && (q.namespace == "" || q.namespace == meta["namespace"]) && (q.name == "" || q.name == meta["name"])
}

func keyOf(resource string, o map[string]any) string {
	meta := o["metadata"].(map[string]any)
	return fmt.Sprint(resource, "/", meta["namespace"], "/", meta["name"])
}

// record writes a change down. The lock is held.
func (p *plane) record(kind, resource string, o map[string]any) map[string]any {
	o = maps.Clone(o)
	meta := maps.Clone(o["metadata"].(map[string]any))
	o["metadata"] = meta
	if meta["uid"] == nil {
		p.uids++
		meta["uid"] = fmt.Sprintf("a0000000-0000-4000-8000-%012x", p.uids)
	}
	key := keyOf(resource, o)
	meta["resourceVersion"] = strconv.Itoa(len(p.log) + 1)
	switch {
	case kind == "DELETED":
		delete(p.objects, key)
	case p.objects[key] == nil:
		kind = "ADDED"
		p.objects[key] = o
	default:
		kind = "MODIFIED"
		p.objects[key] = o
	}
	p.log = append(p.log, occurrence{kind, resource, o})
	close(p.changed)
	p.changed = make(chan struct{})
	return o
}

func (p *plane) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := parse(r)
	what := q.verb + " " + q.resource
	p.mu.Lock()
	p.asked[what]++
	if at := r.URL.Query().Get("resourceVersion"); at != "" && (q.verb == "list" || r.URL.Query().Get("sendInitialEvents") == "true") {
		p.asked["what may be old"]++
	}
	code, stalled := p.refuse[what], p.stalled[what]
	if c := p.refuse[what+" "+q.namespace]; c != 0 {
		code = c
	}
	p.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case stalled:
		<-r.Context().Done()
	case code != 0:
		answer(w, code, q.resource+" in "+q.namespace+": refused")
	case q.verb == "watch":
		p.serveWatch(w, q)
	case q.verb == "list":
		p.serveList(w, q)
	case q.verb == "get":
		p.mu.Lock()
		defer p.mu.Unlock()
		p.reply(w, p.lookUp(q))
	default:
		p.write(w, q)
	}
}

// answer refuses as the API server itself does.
func answer(w http.ResponseWriter, code int, message string) {
	reason := map[int]string{401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 410: "Expired", 422: "Invalid", 503: "ServiceUnavailable"}[code]
	if strings.HasSuffix(message, "already exists") {
		reason = "AlreadyExists"
	}
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"kind": "Status", "apiVersion": "v1", "metadata": map[string]any{}, "status": "Failure", "message": message, "reason": reason, "code": code,
	})
}

func (p *plane) reply(w http.ResponseWriter, o map[string]any) {
	if o == nil {
		answer(w, http.StatusNotFound, "not found")
		return
	}
	_ = json.NewEncoder(w).Encode(o)
}

// lookUp is the object that a request names, or nil. The lock is held.
func (p *plane) lookUp(q request) map[string]any {
	return p.objects[q.resource+"/"+q.namespace+"/"+q.name]
}

// write creates, patches or deletes.
func (p *plane) write(w http.ResponseWriter, q request) {
	var body map[string]any
	if text, _ := io.ReadAll(q.Body); len(text) > 0 {
		if err := json.Unmarshal(text, &body); err != nil {
			answer(w, http.StatusUnprocessableEntity, err.Error())
			return
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if q.verb == "post" {
		if p.objects[keyOf(q.resource, body)] != nil {
			answer(w, http.StatusConflict, "it already exists")
			return
		}
		p.reply(w, p.record("ADDED", q.resource, body))
		return
	}
	o := p.lookUp(q)
	if o == nil {
		p.reply(w, nil)
		return
	}
	meta, wanted := o["metadata"].(map[string]any), body["metadata"]
	if q.verb == "delete" {
		wanted = body["preconditions"]
	}
	if wanted, _ := wanted.(map[string]any); wanted != nil {
		for _, field := range []string{"uid", "resourceVersion"} {
			if wanted[field] != nil && wanted[field] != meta[field] {
				answer(w, http.StatusConflict, field+" is another")
				return
			}
		}
	}
	if q.verb == "delete" {
		p.record("DELETED", q.resource, o)
		p.reply(w, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Success"})
		return
	}
	if q.subresource == "status" {
		body = map[string]any{"status": body["status"]}
	}
	p.reply(w, p.record("MODIFIED", q.resource, merge(o, body).(map[string]any)))
}

// merge is RFC 7396.
func merge(target, patch any) any {
	fields, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	before, _ := target.(map[string]any)
	merged := maps.Clone(before)
	if merged == nil {
		merged = map[string]any{}
	}
	for name, v := range fields {
		if v == nil {
			delete(merged, name)
		} else {
			merged[name] = merge(merged[name], v)
		}
	}
	return merged
}

// all are the objects that a request is about, and the resource version.
func (p *plane) all(q request) (all []any, version int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all = []any{}
	for _, key := range slices.Sorted(maps.Keys(p.objects)) {
		resource, _, _ := strings.Cut(key, "/")
		if o := p.objects[key]; q.matches(resource, o) {
			all = append(all, o)
		}
	}
	return all, len(p.log)
}

func kindOf(resource string) (version, kind string) {
	if resource == "secrets" {
		return "v1", "Secret"
	}
	return "promgate.io/v1alpha1", "EndpointToken"
}

func (p *plane) serveList(w http.ResponseWriter, q request) {
	all, at := p.all(q)
	version, kind := kindOf(q.resource)
	_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": version, "kind": kind + "List",
		"metadata": map[string]any{"resourceVersion": strconv.Itoa(at)}, "items": all})
}

func (p *plane) serveWatch(w http.ResponseWriter, q request) {
	out := json.NewEncoder(w)
	send := func(kind string, o any) { _ = out.Encode(map[string]any{"type": kind, "object": o}) }
	if p.hesitant.Load() {
		_ = http.NewResponseController(w).Flush()
		<-q.Context().Done()
		return
	}
	at, _ := strconv.Atoi(q.URL.Query().Get("resourceVersion"))
	p.mu.Lock()
	forgotten := at < p.gone
	p.mu.Unlock()
	if q.URL.Query().Get("sendInitialEvents") == "true" {
		if p.old.Load() {
			answer(w, http.StatusUnprocessableEntity, "sendInitialEvents is forbidden")
			return
		}
		var all []any
		all, at = p.all(q)
		for _, o := range all {
			send("ADDED", o)
		}
		if !p.partial.Load() {
			send("BOOKMARK", bookmark(q.resource, at, map[string]any{"k8s.io/initial-events-end": "true"}))
		}
	} else if forgotten {
		answer(w, http.StatusGone, "too old resource version")
		return
	}
	p.stream(w, q, at, send)
}

func bookmark(resource string, at int, annotations map[string]any) map[string]any {
	version, kind := kindOf(resource)
	return map[string]any{"apiVersion": version, "kind": kind, "metadata": map[string]any{
		"resourceVersion": strconv.Itoa(at), "annotations": annotations}}
}

func (p *plane) stream(w http.ResponseWriter, q request, at int, send func(string, any)) {
	p.watches.Add(1)
	defer p.watches.Add(-1)
	seconds, _ := strconv.Atoi(q.URL.Query().Get("timeoutSeconds"))
	limit := time.Duration(seconds) * time.Second
	end, late := time.NewTimer(limit), time.NewTimer(limit-2*time.Second)
	defer end.Stop()
	defer late.Stop()
	for {
		_ = http.NewResponseController(w).Flush()
		p.mu.Lock()
		events, changed := p.log[at:], p.changed
		at = len(p.log)
		p.mu.Unlock()
		for _, e := range events {
			if q.matches(e.resource, e.object) {
				send(e.kind, e.object)
			}
		}
		if len(events) > 0 {
			continue
		}
		select {
		case <-changed:
		case <-late.C:
			if p.bookmarks.Load() {
				send("BOOKMARK", bookmark(q.resource, at, nil))
			}
		case <-end.C:
			if !p.unending.Load() {
				return
			}
		case <-q.Context().Done():
			return
		}
	}
}
