package kube

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/promgate/promgate/kube"

	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/promgate/promgate/routing"
)

// faulty is an object of the source that makes no route, and its candidate.
func faulty(s *source, name, uid, reason string) (*object, routing.Candidate) {
	o := &object{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop", UID: types.UID(uid)}, source: s}
	return o, routing.Candidate{Project: "shop", Name: name, Source: o.title("local"), Reason: reason, Cause: routing.CauseInvalid}
}

// valid reads an event as the API server does, which takes no field that it
// does not know, and checks what it would refuse.
func valid(t *testing.T, written *unstructured.Unstructured) *eventsv1.Event {
	t.Helper()
	e := &eventsv1.Event{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(written.Object, e, true); err != nil {
		t.Fatal(err)
	}
	faults := slices.Concat(validation.IsDNS1123Subdomain(e.Name), validation.IsQualifiedName(e.ReportingController))
	for what, wrong := range map[string]bool{
		"namespace": e.Namespace == "" || e.Namespace != e.Regarding.Namespace, "time": e.EventTime.IsZero() || time.Since(e.EventTime.Time) > time.Minute,
		"instance": e.ReportingInstance == "" || len(e.ReportingInstance) > 128, "action": e.Action == "" || len(e.Action) > 128,
		"reason": e.Reason == "" || len(e.Reason) > 128, "type": e.Type != "Warning", "note": len(e.Note) > 1024 || !utf8.ValidString(e.Note),
		"regarding": e.Regarding.UID == "" || e.Regarding.Name == "",
	} {
		if wrong {
			faults = append(faults, what)
		}
	}
	if len(faults) > 0 {
		t.Errorf("the API server refuses %s: %q", e.Name, faults)
	}
	return e
}

func TestEvent(t *testing.T) {
	o, c := faulty(sources[1], "main", "u-1", "it has 2 shards; label another Service")
	written := event(o, c)
	valid(t, written)
	fixed := written.DeepCopy()
	fixed.Object["eventTime"], fixed.Object["reportingInstance"] = "2026-01-02T03:04:05.000000Z", "promgate-host"
	text, err := json.MarshalIndent(fixed.Object, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "event.json", string(text)+"\n")
	c.Cause = routing.CauseConflict
	if e := valid(t, event(o, c)); e.Reason != "Conflict" {
		t.Errorf("got the reason %s", e.Reason)
	}
}

// TestEventName: whichever replica of the gateway tells a reason, it is told
// once; the API server refuses the second of a name.
func TestEventName(t *testing.T) {
	name := func(name, uid, reason string) string {
		o, c := faulty(sources[0], name, uid, reason)
		return valid(t, event(o, c)).Name
	}
	if a, b := name("a", "u", "r"), name("a", "u", "r"); a != b {
		t.Errorf("got %s and %s", a, b)
	}
	names := []string{name("a", "u", "r"), name("a", "u", "s"), name("a", "v", "r"), name("b", "u", "r")}
	slices.Sort(names)
	if len(slices.Compact(names)) != 4 {
		t.Errorf("got %q", names)
	}
	// Names of custom resources may be as long as those of events. Where they
	// are cut, no label may end in a hyphen and none may be empty.
	long := strings.Repeat("a", 300)
	for at := 230; at <= 240; at++ {
		for _, between := range []string{".", "-", "---", "-a.", ".b--"} {
			name((long[:at] + between + long)[:253], "u", "r")
		}
	}
	if a, b := name(long[:253], "u", "r"), name(long[:253], "v", "r"); a == b {
		t.Errorf("two objects have one event %s", a)
	}
}

func TestEventNote(t *testing.T) {
	for _, c := range []struct {
		reason string
		want   int // bytes
	}{
		{"short; mend it", 14},
		{strings.Repeat("a", 1024), 1024},
		{strings.Repeat("a", 1025), 1024},
		{strings.Repeat("a", 1022) + "…", 1022},
		{strings.Repeat("a", 1021) + "…", 1024},
		{strings.Repeat("…", 400), 1023},
		{"a" + strings.Repeat("😀", 300), 1021},
	} {
		if e := valid(t, event(faulty(sources[0], "a", "u", c.reason))); len(e.Note) != c.want || !strings.HasPrefix(c.reason, e.Note) {
			t.Errorf("%d bytes of %q…, want %d", len(e.Note), e.Note[:10], c.want)
		}
	}
}

// recorder keeps what is logged.
type recorder struct{ lines []string }

func (r *recorder) Enabled(context.Context, slog.Level) bool { return true }
func (r *recorder) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *recorder) WithGroup(string) slog.Handler            { return r }

func (r *recorder) Handle(_ context.Context, record slog.Record) error {
	line := record.Level.String() + " " + record.Message
	record.Attrs(func(a slog.Attr) bool {
		line += " " + a.String()
		return true
	})
	r.lines = append(r.lines, line)
	return nil
}

// take returns the records since the last call.
func (r *recorder) take() []string {
	lines := r.lines
	r.lines = nil
	return lines
}

// TestAnnounce: each reason is told once, in the log and by an event, and so is
// its end.
func TestAnnounce(t *testing.T) {
	log := &recorder{}
	a := newAnnouncer(&Cluster{Connection: &kube.Connection{Name: "local", Logger: slog.New(log)}})
	objects := map[string]*object{}
	tell := func(project string, reasons ...string) { // of the objects a, b and so on
		var unserved []routing.Candidate
		for i, reason := range reasons {
			o, c := faulty(sources[0], string(rune('a'+i)), "u"+strconv.Itoa(i), reason)
			objects[c.Source] = o
			if reason != "" {
				unserved = append(unserved, c)
			}
		}
		a.announce(project, unserved, objects)
	}
	want := func(what string, events int, records ...string) {
		t.Helper()
		lines := log.take()
		if !slices.Equal(lines, records) {
			t.Errorf("%s: logged %q, want %q", what, lines, records)
		}
		if len(a.queue) != events {
			t.Errorf("%s: %d events, want %d", what, len(a.queue), events)
		}
		for range len(a.queue) {
			<-a.queue
		}
	}
	warn := func(object, reason string) string {
		return "WARN an object makes no route object=Service shop/" + object + " on cluster local project=shop environment=" + object + " reason=" + reason
	}
	gone := func(object string) string {
		return "INFO an object that made no route does, or is gone object=Service shop/" + object + " on cluster local project=shop"
	}
	tell("shop", "x", "y")
	want("at first", 2, warn("a", "x"), warn("b", "y"))
	tell("shop", "x", "y")
	want("again", 0)
	tell("billing")
	want("nothing of another project", 0)
	tell("shop", "x", "z")
	want("a new reason", 1, warn("b", "z"))
	tell("shop", "", "z")
	want("one mended", 0, gone("a"))
	tell("shop", "x", "z")
	want("broken anew", 1, warn("a", "x"))
	tell("shop", "x")
	want("the other mended", 0, gone("b"))
	tell("shop")
	want("all mended", 0, gone("a"))
	if len(a.told) != 0 {
		t.Errorf("%v is kept of what is told no more", a.told)
	}
}

// TestAnnounceMany: events that nobody writes hold up nothing.
func TestAnnounceMany(t *testing.T) {
	log := &recorder{}
	a := newAnnouncer(&Cluster{Connection: &kube.Connection{Name: "local", Logger: slog.New(log)}})
	objects, unserved := map[string]*object{}, []routing.Candidate{}
	for i := range eventQueue + 10 {
		o, c := faulty(sources[0], "a"+strconv.Itoa(i), "u", "x")
		objects[c.Source] = o
		unserved = append(unserved, c)
	}
	a.announce("shop", unserved, objects)
	if len(a.queue) != eventQueue || len(log.take()) != eventQueue+10 {
		t.Errorf("%d events", len(a.queue))
	}
}

// TestWriteEvents: a namespace that takes no events is left in peace for a
// while, and others are not.
func TestWriteEvents(t *testing.T) {
	answers := map[string]metav1.Status{
		"shop":    {Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden},
		"billing": {Code: http.StatusConflict, Reason: metav1.StatusReasonAlreadyExists},
		"search":  {Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden},
		"media":   {Code: http.StatusInternalServerError, Reason: metav1.StatusReasonInternalError},
	}
	asked := []string{}
	server := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		namespace, ok := strings.CutPrefix(r.URL.Path, "/apis/events.k8s.io/v1/namespaces/")
		namespace, last, _ := strings.Cut(namespace, "/")
		if !ok || last != "events" || r.Method != http.MethodPost {
			t.Errorf("asked %s %s", r.Method, r.URL)
		}
		asked = append(asked, namespace)
		w.Header().Set("Content-Type", "application/json")
		answer := answers[namespace]
		answer.Kind, answer.APIVersion, answer.Status = "Status", "v1", metav1.StatusFailure
		w.WriteHeader(int(answer.Code))
		_ = json.NewEncoder(w).Encode(answer)
	})
	log := &recorder{}
	c, err := newCluster(kube.Options{Name: "local", Kubeconfig: kubeconfig(t, server, "", "{token: t}"), Logger: slog.New(log)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	a := newAnnouncer(c)
	put := func(namespace string) {
		o, candidate := faulty(sources[0], "a", "u", "x")
		o.Namespace = namespace
		a.write(t.Context(), event(o, candidate))
	}
	for _, namespace := range []string{"shop", "shop", "billing", "billing", "media", "media", "search", "search", "shop"} {
		put(namespace)
	}
	if want := []string{"shop", "billing", "billing", "media", "media", "search"}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
	lines := log.take()
	if len(lines) != 4 || !strings.Contains(lines[0], "may not create them") || !strings.Contains(lines[1], "could not be written") {
		t.Errorf("logged %q", lines)
	}
	a.denied["shop"] = a.denied["shop"].Add(-eventsDenied)
	if put("shop"); asked[len(asked)-1] != "shop" {
		t.Errorf("asked %q", asked)
	}
}
