package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// mintAPI is an API server in memory, as far as the minting half asks one. It is
// a transport, so that time in it is that of the test's bubble. What it answers
// is what kube-apiserver 1.36 was seen to answer.
type mintAPI struct {
	*testing.T
	mu         sync.Mutex
	version    int
	namespaces map[string]map[string]any // by name
	objects    map[string]map[string]any // all else, by path
	asked      []string                  // methods and paths
	// refuse tells the status that a request is answered with, 0: none, -1: a
	// broken connection, -2: what is said of unknown kinds; and whether it does its work all the same. hang has requests wait until the
	// sender gives up.
	refuse func(who, request string) (status int, after bool)
	hang   func(request string) bool
	delay  func() time.Duration
	inWork map[string]int // requests under way that write, by object
	most   int            // requests that were under way at once
	now    int
	stores []*Store
	prune  func(o map[string]any) // takes away what the schema does not know
}

func newMintAPI(t *testing.T) *mintAPI {
	return &mintAPI{
		T: t, objects: map[string]map[string]any{}, inWork: map[string]int{},
		namespaces: map[string]map[string]any{"shop": {"name": "shop", "uid": "uid-of-shop"}},
	}
}

// mintSender is the API server as one process sees it.
type mintSender struct {
	*mintAPI
	who string
}

const (
	tokensPath  = "/apis/promgate.io/v1alpha1/namespaces/shop/endpointtokens"
	secretsPath = "/api/v1/namespaces/shop/secrets"
	leasesPath  = "/apis/coordination.k8s.io/v1/namespaces/home/leases"
)

// RoundTrip implements http.RoundTripper.
func (a mintSender) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != "api" {
		a.Errorf("asked %s", r.URL)
	}
	request := r.Method + " " + r.URL.Path
	if r.URL.Query().Get("dryRun") != "" {
		request += "?dryRun"
	}
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	a.mu.Lock()
	a.asked = append(a.asked, request)
	a.now++
	a.most = max(a.most, a.now)
	refuse, hang, delay := a.refuse, a.hang, a.delay
	a.mu.Unlock()
	defer func() { a.mu.Lock(); a.now--; a.mu.Unlock() }()
	if err := a.wait(r.Context(), request, hang, delay); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	status, after := 0, false
	if refuse != nil {
		status, after = refuse(a.who, request)
	}
	if status == 0 || after {
		a.serve(w, r, request, body)
	}
	switch {
	case status == -1:
		return nil, errors.New("connection reset by peer")
	case status == -2: // as for a kind that is not installed
		w = httptest.NewRecorder()
		http.Error(w, "404 page not found", http.StatusNotFound)
	case status != 0:
		w = httptest.NewRecorder()
		mintFail(w, status, "refused by the test")
	}
	if err := a.wait(r.Context(), request, nil, delay); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

func (a mintSender) wait(ctx context.Context, request string, hang func(string) bool, delay func() time.Duration) error {
	if hang != nil && hang(request) {
		<-ctx.Done()
		return ctx.Err()
	}
	if delay != nil {
		select {
		case <-ctx.Done():
		case <-time.After(delay()):
		}
	}
	return ctx.Err()
}

func (a *mintAPI) serve(w http.ResponseWriter, r *http.Request, request string, body []byte) {
	a.mu.Lock()
	before := a.version
	switch {
	case strings.HasPrefix(r.URL.Path, "/api/v1/namespaces/") && strings.Count(r.URL.Path, "/") == 4:
		name := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
		if n := a.namespaces[name]; r.Method == http.MethodGet && n != nil {
			mintReply(w, http.StatusOK, map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": n})
		} else {
			mintFail(w, http.StatusNotFound, "namespaces not found", "namespaces")
		}
	case strings.HasPrefix(r.URL.Path, tokensPath), strings.HasPrefix(r.URL.Path, leasesPath):
		a.serveObject(w, r, body)
	case strings.HasPrefix(r.URL.Path, secretsPath):
		a.serveSecret(w, r, body)
	case strings.Contains(r.URL.Path, "/endpointtokens"):
		http.Error(w, "404 page not found", http.StatusNotFound)
	default:
		a.Errorf("asked %s", request)
		mintFail(w, http.StatusNotFound, "no such path")
	}
	changed, stores := a.version != before, a.stores
	a.mu.Unlock()
	if changed {
		a.tell(stores)
	}
}

// tell is the watch's part.
func (a *mintAPI) tell(stores []*Store) {
	for _, s := range stores {
		s.mu.Lock()
		s.notify()
		s.mu.Unlock()
	}
}

func (a *mintAPI) serveObject(w http.ResponseWriter, r *http.Request, body []byte) {
	path, status := strings.CutSuffix(r.URL.Path, "/status")
	var sent map[string]any
	_ = json.Unmarshal(body, &sent)
	if r.Method == http.MethodPost {
		a.create(w, path, sent, false)
		return
	}
	o := a.objects[path]
	if o == nil {
		mintFail(w, http.StatusNotFound, "not found", "endpointtokens")
		return
	}
	meta := o["metadata"].(map[string]any)
	sentMeta, _ := sent["metadata"].(map[string]any)
	if v, _ := sentMeta["resourceVersion"].(string); v != "" && v != meta["resourceVersion"] {
		mintFail(w, http.StatusConflict, "the object has been modified")
		return
	}
	switch r.Method {
	case http.MethodGet:
		mintReply(w, http.StatusOK, o)
	case http.MethodPut:
		a.store(path, sent)
		mintReply(w, http.StatusOK, a.objects[path])
	case http.MethodPatch:
		next := mintClone(o)
		part := "spec"
		if status {
			part = "status"
		}
		next[part] = mintMerged(next[part], sent[part])
		if !reflect.DeepEqual(next, o) {
			a.store(path, next)
		}
		mintReply(w, http.StatusOK, a.objects[path])
	case http.MethodDelete:
		delete(a.objects, path)
		a.version++
		mintReply(w, http.StatusOK, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Success"})
	}
}

func (a *mintAPI) serveSecret(w http.ResponseWriter, r *http.Request, body []byte) {
	switch r.Method {
	case http.MethodPost:
		var sent map[string]any
		_ = json.Unmarshal(body, &sent)
		a.create(w, r.URL.Path, sent, r.URL.Query().Get("dryRun") == "All")
	case http.MethodPatch:
		o := a.objects[r.URL.Path]
		if o == nil {
			mintFail(w, http.StatusNotFound, "not found", "secrets")
			return
		}
		if !strings.Contains(r.Header.Get("Accept"), "as=PartialObjectMetadata") || r.Header.Get("Content-Type") != "application/json-patch+json" {
			a.Errorf("a Secret is patched with the headers %q", r.Header)
		}
		var operations []operation
		_ = json.Unmarshal(body, &operations)
		next := mintClone(o)
		for _, op := range operations {
			if !mintApply(next, op) {
				mintFail(w, http.StatusUnprocessableEntity, "the server rejected our request due to an error in our request")
				return
			}
		}
		if !reflect.DeepEqual(next, o) {
			if o["immutable"] == true {
				mintFail(w, http.StatusUnprocessableEntity, "field is immutable when `immutable` is set")
				return
			}
			if r.URL.Query().Get("dryRun") == "" {
				a.store(r.URL.Path, next)
			}
		}
		mintReply(w, http.StatusOK, map[string]any{"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": a.objects[r.URL.Path]["metadata"]})
	default:
		a.Errorf("a Secret was asked for with %s %s", r.Method, r.URL)
		mintFail(w, http.StatusForbidden, "no")
	}
}

func (a *mintAPI) create(w http.ResponseWriter, path string, o map[string]any, dry bool) {
	meta := o["metadata"].(map[string]any)
	name, _ := meta["name"].(string)
	if name == "" {
		name = meta["generateName"].(string) + strconv.Itoa(a.version)
	}
	meta["name"] = name
	switch path += "/" + name; {
	case a.objects[path] != nil:
		mintFail(w, http.StatusConflict, "already exists")
		return
	case !dry:
		a.put(path, o)
		o = a.objects[path]
	}
	mintReply(w, http.StatusCreated, o)
}

// put stores a new object.
func (a *mintAPI) put(path string, o map[string]any) {
	meta := o["metadata"].(map[string]any)
	meta["uid"] = fmt.Sprintf("00000000-0000-0000-0000-%012d", a.version)
	meta["creationTimestamp"] = time.Now().UTC().Format(time.RFC3339)
	meta["generation"] = int64(1)
	if parts := strings.Split(path, "/namespaces/"); len(parts) == 2 {
		meta["namespace"], _, _ = strings.Cut(parts[1], "/")
	}
	a.store(path, o)
}

func (a *mintAPI) store(path string, o map[string]any) {
	a.version++
	o = mintClone(o)
	if a.prune != nil {
		a.prune(o)
	}
	o["metadata"].(map[string]any)["resourceVersion"] = strconv.Itoa(a.version)
	a.objects[path] = o
}

// mintApply does one operation of a JSON patch.
func mintApply(o map[string]any, op operation) bool {
	var at any = o
	segments := strings.Split(strings.TrimPrefix(op.Path, "/"), "/")
	for i, s := range segments {
		s = strings.NewReplacer("~1", "/", "~0", "~").Replace(s)
		last := i == len(segments)-1
		switch v := at.(type) {
		case map[string]any:
			if last && op.Op == "add" {
				v[s] = op.Value
				return true
			}
			at = v[s]
		case []any:
			n, err := strconv.Atoi(s)
			if err != nil || n >= len(v) {
				return false
			}
			at = v[n]
		default:
			return false
		}
	}
	return op.Op == "test" && at != nil && reflect.DeepEqual(at, op.Value)
}

// mintMerged is a JSON merge patch (RFC 7396).
func mintMerged(target, patch any) any {
	fields, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	whole, _ := target.(map[string]any)
	if whole = maps.Clone(whole); whole == nil {
		whole = map[string]any{}
	}
	for k, v := range fields {
		if v == nil {
			delete(whole, k)
		} else {
			whole[k] = mintMerged(whole[k], v)
		}
	}
	return whole
}

func mintClone(o map[string]any) map[string]any {
	text, _ := json.Marshal(o)
	var c map[string]any
	decoder := json.NewDecoder(bytes.NewReader(text))
	_ = decoder.Decode(&c)
	return c
}

func mintReply(w http.ResponseWriter, code int, o any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(o)
}

func mintFail(w http.ResponseWriter, code int, message string, kind ...string) {
	reason := map[int]metav1.StatusReason{
		403: metav1.StatusReasonForbidden, 404: metav1.StatusReasonNotFound, 409: metav1.StatusReasonConflict, 422: metav1.StatusReasonInvalid,
	}[code]
	if message == "already exists" {
		reason = metav1.StatusReasonAlreadyExists
	}
	status := metav1.Status{Status: metav1.StatusFailure, Code: int32(code), Reason: reason, Message: message, Details: &metav1.StatusDetails{}}
	status.Kind, status.APIVersion = "Status", "v1"
	if len(kind) > 0 {
		status.Details.Kind = kind[0]
	}
	mintReply(w, code, status)
}

// requests are those that were sent since the last call, but for the lease's.
func (a *mintAPI) requests() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := slices.DeleteFunc(a.asked, func(r string) bool { return strings.Contains(r, leasesPath) })
	a.asked = nil
	return all
}
