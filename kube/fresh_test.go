package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// diary is a Holder that writes down what it is told.
type diary struct {
	lines  []string
	seenAt time.Time
	err    error
}

func (d *diary) note(at time.Time, line string) {
	d.lines = append(d.lines, line)
	if !at.IsZero() {
		d.seenAt = at
	}
}

func (d *diary) Replace(all []*unstructured.Unstructured, version string, at time.Time) {
	d.note(at, fmt.Sprint("all ", len(all), " at ", version))
}
func (d *diary) Put(u *unstructured.Unstructured, at time.Time)    { d.note(at, "put "+u.GetName()) }
func (d *diary) Remove(u *unstructured.Unstructured, at time.Time) { d.note(at, "remove "+u.GetName()) }
func (d *diary) Seen(version string, at time.Time)                 { d.note(at, "seen "+version) }
func (d *diary) Failed(_ context.Context, err error)               { d.err = err }

// TestFreshWatch: a list is no proof of being up to date, a watch from its place
// is one, as of when it was asked for, and an old place is none to watch from.
func TestFreshWatch(t *testing.T) {
	status := http.StatusOK
	var asked []string
	server := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		asked = append(asked, fmt.Sprint(r.URL.Path, q.Get("watch"), q.Get("resourceVersion"), q.Get("timeoutSeconds"), q.Get("fieldSelector")))
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if status != http.StatusOK {
			_, _ = fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d}`,
				map[int]string{410: "Expired", 403: "Forbidden"}[status], status)
		} else if q.Get("watch") == "" {
			_, _ = fmt.Fprint(w, `{"kind":"SecretList","apiVersion":"v1","metadata":{"resourceVersion":"7"},"items":[{"kind":"Secret","apiVersion":"v1","metadata":{"name":"s"}}]}`)
		}
	})
	c, err := Connect(Options{Name: "local", Kubeconfig: kubeconfig(t, server, "", "{token: t}")})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	now, d := time.Now(), &diary{}
	start := now
	w := &FreshWatch{
		Connection: c, Resource: schema.GroupVersionResource{Version: "v1", Resource: "secrets"}, Namespace: "home", Selector: "metadata.name=s",
		Seconds: func() int64 { return 9 }, Now: func() time.Time { return now }, Holder: d,
	}
	watch := func() error {
		events, err := w.watch(t.Context(), metav1.ListOptions{ResourceVersion: "7"})
		if err == nil {
			events.Stop()
		}
		return err
	}

	list, err := w.list(t.Context(), metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		t.Fatal(err)
	}
	now = start.Add(20 * time.Second)
	_ = w.Replace([]any{&list.(*unstructured.UnstructuredList).Items[0]}, "7")
	if !d.seenAt.IsZero() {
		t.Error("a list counts as seen")
	}
	if err := watch(); err != nil || d.seenAt != now {
		t.Errorf("after a watch: %v, seen at %s", err, d.seenAt)
	}
	now = now.Add(maxGap + time.Second)
	if err := watch(); !apierrors.IsResourceExpired(err) || d.err != nil || len(asked) != 2 {
		t.Errorf("from an old place: %v, told %v", err, d.err)
	}
	_ = w.Bookmark("8")
	status = http.StatusGone
	if err := watch(); !apierrors.IsResourceExpired(err) || d.err != nil {
		t.Errorf("from a place that is forgotten: %v, told %v", err, d.err)
	}
	status = http.StatusForbidden
	if err := watch(); !apierrors.IsForbidden(err) || !errors.Is(d.err, err) {
		t.Errorf("refused: %v, told %v", err, d.err)
	}
	if want := []string{"all 1 at 7", "seen ", "seen 8"}; !slices.Equal(d.lines, want) {
		t.Errorf("told %q", d.lines)
	}
	const path, selector = "/api/v1/namespaces/home/secrets", "metadata.name=s"
	if want := []string{path + selector, path + "true79" + selector}; !slices.Equal(asked[:2], want) {
		t.Errorf("asked %q", asked)
	}
}
