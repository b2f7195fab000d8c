package kube

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"crypto/ed25519"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/promgate/promgate/kube"
	"github.com/promgate/promgate/tokens"
)

const (
	mintLifetime = 6 * time.Hour
	mintOverlap  = time.Hour
)

// mintWorld is an API server and the processes that use it.
type mintWorld struct {
	*mintAPI
	keysMu sync.Mutex
	keys   []tokens.Key
	logs   mintLog
	made   mintMade
}

// mintMade are the tokens that were made, and their records.
type mintMade struct {
	mu  sync.Mutex
	all map[string]tokens.Record
}

// mintLog is a log that may be read while it is written.
type mintLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *mintLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *mintLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// count is how many lines hold all of the texts.
func (l *mintLog) count(texts ...string) int {
	n := 0
	for line := range strings.Lines(l.text()) {
		if !slices.ContainsFunc(texts, func(t string) bool { return !strings.Contains(line, t) }) {
			n++
		}
	}
	return n
}

func newMintWorld(t *testing.T) *mintWorld {
	w := &mintWorld{mintAPI: newMintAPI(t), keys: []tokens.Key{{ID: "key-0"}, {ID: "key-1"}}, made: mintMade{all: map[string]tokens.Record{}}}
	t.Cleanup(w.leakCheck)
	return w
}

// leakCheck finds tokens where none may be.
func (w *mintWorld) leakCheck() {
	w.mu.Lock()
	defer w.mu.Unlock()
	shown := w.logs.text()
	for path, o := range w.objects {
		if !strings.Contains(path, "/secrets/") {
			text, _ := json.Marshal(o)
			shown += string(text)
		}
	}
	for token := range w.made.all {
		if strings.Contains(shown, token) || strings.Contains(shown, base64.StdEncoding.EncodeToString([]byte(token))) {
			w.Errorf("a token is shown:\n%s", shown)
		}
	}
}

// process is another process of the gateway.
func (w *mintWorld) process(name string) *minter {
	transport := mintSender{w.mintAPI, name}
	client, err := dynamic.NewForConfigAndClient(&rest.Config{Host: "http://api", QPS: -1}, &http.Client{Transport: transport})
	if err != nil {
		w.Fatal(err)
	}
	home := &kube.Connection{
		Name: "local", Base: &url.URL{Scheme: "http", Host: "api"}, Transport: transport, Client: client,
		Subject: kube.Subject{Namespace: "home", Account: "promgate"},
	}
	s, err := Open(Options{
		Home: home, Namespace: "home", Sources: []Source{{Connection: home, Namespaces: []string{"shop", "gone"}}},
		Lifetime: mintLifetime, Overlap: mintOverlap, Identity: name, Logger: slog.New(slog.NewTextHandler(&w.logs, nil)),
		Mint: func(k tokens.Key, issuer string, r tokens.Record) (string, error) {
			token := "token." + r.ID + "." + rand.Text()
			if k.ID != r.KeyID || issuer != "this installation" || r.Scope.Project != "shop" || r.Scope.ProjectUID == "" || !r.ExpiresAt.After(r.CreatedAt) {
				w.Errorf("minted with the key %q of %q: %+v", k.ID, issuer, r)
			}
			w.made.mu.Lock()
			defer w.made.mu.Unlock()
			w.made.all[token] = r
			return token, nil
		},
	})
	if err != nil {
		w.Fatal(err)
	}
	m := &minter{s: s, find: w.find(home), signingKeys: w.signingKeys, located: func() []located { return w.all(home) }}
	w.mu.Lock()
	w.stores = append(slices.Clone(w.stores), s)
	w.mu.Unlock()
	w.publishKeys()
	return m
}

func (w *mintWorld) signingKeys(context.Context) ([]tokens.Key, string, error) {
	w.keysMu.Lock()
	defer w.keysMu.Unlock()
	return slices.Clone(w.keys), "this installation", nil
}

// setKeys changes the signing keys.
func (w *mintWorld) setKeys(ids ...string) {
	w.keysMu.Lock()
	w.keys = nil
	for _, id := range ids {
		w.keys = append(w.keys, tokens.Key{ID: id})
	}
	w.keysMu.Unlock()
	w.publishKeys()
}

// publishKeys is what following the keys does.
func (w *mintWorld) publishKeys() {
	known := map[string]ed25519.PublicKey{}
	w.keysMu.Lock()
	for _, k := range w.keys {
		known[k.ID] = ed25519.PublicKey{1}
	}
	w.keysMu.Unlock()
	w.mu.Lock()
	stores := w.stores
	w.mu.Unlock()
	for _, s := range stores {
		s.snapshot.Store(&tokens.Snapshot{Keys: known})
	}
	w.tell(stores)
}

func (w *mintWorld) find(c *kube.Connection) func(context.Context, string) (located, error) {
	return func(_ context.Context, id string) (located, error) {
		for _, l := range w.all(c) {
			for _, t := range l.tokens() {
				if t.ID == id {
					return l, nil
				}
			}
		}
		return located{}, tokens.ErrNotFound
	}
}

func (w *mintWorld) all(c *kube.Connection) []located {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []located
	for _, path := range slices.Sorted(maps.Keys(w.objects)) {
		if strings.HasPrefix(path, tokensPath) {
			o, err := read(&unstructured.Unstructured{Object: mintClone(w.objects[path])}, "")
			if err != nil {
				w.Fatal(err)
			}
			all = append(all, located{o, c})
		}
	}
	return all
}

// add makes an EndpointToken, as somebody with kubectl does.
func (w *mintWorld) add(name, spec string) {
	var fields map[string]any
	if err := json.Unmarshal([]byte(spec), &fields); err != nil {
		w.Fatal(err)
	}
	w.change(func() {
		w.put(tokensPath+"/"+name, map[string]any{
			"apiVersion": "promgate.io/v1alpha1", "kind": "EndpointToken", "metadata": map[string]any{"name": name}, "spec": fields,
		})
	})
}

// change changes what is stored, as others do.
func (w *mintWorld) change(f func()) {
	w.mu.Lock()
	f()
	stores := w.stores
	w.mu.Unlock()
	w.tell(stores)
}

// edit changes one object by a merge patch.
func (w *mintWorld) edit(path, patch string) {
	var fields map[string]any
	if err := json.Unmarshal([]byte(patch), &fields); err != nil {
		w.Fatal(err)
	}
	w.change(func() {
		w.store(path, mintClone(mintMerged(w.objects[path], fields).(map[string]any)))
	})
}

// object is an EndpointToken as it is stored; nil: it is not.
func (w *mintWorld) object(name string) *object {
	w.mu.Lock()
	defer w.mu.Unlock()
	stored := w.objects[tokensPath+"/"+name]
	if stored == nil {
		return nil
	}
	o, err := read(&unstructured.Unstructured{Object: mintClone(stored)}, "")
	if err != nil {
		w.Fatal(err)
	}
	return o
}

// secret is a Secret as it is stored; nil: it is not.
func (w *mintWorld) secret(name string) *unstructured.Unstructured {
	w.mu.Lock()
	defer w.mu.Unlock()
	if o := w.objects[secretsPath+"/"+name]; o != nil {
		return &unstructured.Unstructured{Object: mintClone(o)}
	}
	return nil
}

// secretToken is the token in a Secret, and its record.
func (w *mintWorld) secretToken(name string) (string, tokens.Record) {
	s := w.secret(name)
	if s == nil {
		return "", tokens.Record{}
	}
	data, _, _ := unstructured.NestedStringMap(s.Object, "data")
	token, _ := base64.StdEncoding.DecodeString(data["token"])
	w.made.mu.Lock()
	defer w.made.mu.Unlock()
	return string(token), w.made.all[string(token)]
}

// readyOf is the condition Ready as "status reason: message".
func readyOf(o *object) string {
	for _, c := range o.Status.Conditions {
		if c.Type == "Ready" {
			return string(c.Status) + " " + c.Reason + ": " + c.Message
		}
	}
	return ""
}

// good checks that the object has one good token, that the Secret holds that
// one, and that the status agrees.
func (w *mintWorld) good(name, secretName string) *object {
	w.Helper()
	o := w.object(name)
	token, r := w.secretToken(secretName)
	s := w.secret(secretName)
	if o == nil || s == nil || token == "" {
		w.Fatalf("object %+v, secret %+v", o, s)
	}
	if r.ID != o.Status.ID || s.GetAnnotations()["promgate.io/token-id"] != r.ID {
		w.Errorf("the Secret holds %s and says %s, the status names %s", r.ID, s.GetAnnotations(), o.Status.ID)
	}
	t := newest(o)
	if t == nil {
		w.Fatalf("no token in the status %+v", o.Status)
	}
	if !t.IssuedAt.Time.Equal(r.CreatedAt) || !t.ExpiresAt.Time.Equal(r.ExpiresAt) || t.KeyID != r.KeyID || o.Status.ProjectUID != r.Scope.ProjectUID || !time.Now().Before(r.ExpiresAt) {
		w.Errorf("the record is %+v, the status %+v", r, o.Status)
	}
	if want := "True Issued: the token is good until " + o.end(t).Format(time.RFC3339); readyOf(o) != want || o.Status.Phase != phaseActive {
		w.Errorf("phase %s, %s; want %s", o.Status.Phase, readyOf(o), want)
	}
	return o
}

// run runs a function until it is stopped.
func (w *mintWorld) run(f func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(w.Context())
	done := make(chan struct{})
	go func() { defer close(done); f(ctx) }()
	return sync.OnceFunc(func() { cancel(); <-done })
}

// elapse lets time pass, and what is to happen at its end happen.
func elapse(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
