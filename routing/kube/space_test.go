package kube

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/promgate/promgate/kube"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/promgate/promgate/routing"
)

// spaceTest is the namespace shop of a search whose watches are the test: what
// they see, and when the namespace is read, goes in as it is written there.
type spaceTest struct {
	*testing.T
	*Discovery
	// answer is what the API server says of the namespace: its UID or a status.
	answer any
}

func newSpaceTest(t *testing.T) *spaceTest {
	st := &spaceTest{T: t}
	server := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/namespaces/shop" {
			t.Errorf("asked %s", r.URL)
		}
		if code, failed := st.answer.(int); failed {
			status(w, code, "no")
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "shop", "uid": st.answer},
		})
	})
	c, err := newCluster(kube.Options{Name: "local", Kubeconfig: kubeconfig(t, server, "", "{token: t}")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	st.Discovery = c.NewDiscovery(DiscoveryOptions{Names: []string{"shop"}})
	for _, s := range sources {
		w := &follower{d: st.Discovery, key: watchKey{s, "shop"}}
		st.watches[w.key] = w
	}
	return st
}

// see has a watch see an object, and tells whether the namespace is to be
// published anew.
func (st *spaceTest) see(source int, uid, object string) bool {
	st.Helper()
	o := mustParse(st.T, object)
	o.SetUID(types.UID(uid))
	clear(st.dirty)
	if err := st.watches[watchKey{sources[source], "shop"}].Update(o); err != nil {
		st.Fatal(err)
	}
	return len(st.dirty) > 0
}

// miss has a watch see that an object is gone.
func (st *spaceTest) miss(source int, object string) {
	st.Helper()
	if err := st.watches[watchKey{sources[source], "shop"}].Delete(mustParse(st.T, object)); err != nil {
		st.Fatal(err)
	}
}

// read has the namespace read.
func (st *spaceTest) read(answer any) {
	st.answer = answer
	st.check(st.Context(), st.spaces["shop"])
}

// found are the candidates by environment.
func (st *spaceTest) found() map[string]routing.Candidate {
	st.Helper()
	all := map[string]routing.Candidate{}
	for _, c := range st.spaces["shop"].candidates(st.cluster) {
		if _, twice := all[c.Name]; twice || c.Project != "shop" {
			st.Errorf("got %+v", c)
		}
		if served := c.Environment != nil; served != (c.Reason == "") || served != (c.Cause == "") {
			st.Errorf("it is served and is not: %+v", c)
		}
		all[c.Name] = c
	}
	return all
}

// want checks which environments are served, by name and UID.
func (st *spaceTest) want(when string, uids map[string]string) {
	st.Helper()
	got := map[string]string{}
	for name, c := range st.found() {
		got[name] = c.Reason
		if e := c.Environment; e != nil {
			got[name] = e.UID
			if project, _, _ := strings.Cut(e.UID, "/"); e.Name != name || e.Project.Name != "shop" || e.Project.UID != project || e.Source != c.Source {
				st.Errorf("%s: got %+v", when, e)
			}
		}
	}
	if !maps.Equal(got, uids) {
		st.Errorf("%s: got %q, want %q", when, got, uids)
	}
}

// service is a Service that makes an environment of the name.
func service(name, annotations string) string {
	return `{metadata: {name: ` + name + `, namespace: shop, labels: {promgate.io/environment: ` + name + `}, annotations: {` + annotations + `}}, spec: ` + onePort + `}`
}

// TestSeenTooLate: an object that was seen after its namespace was read may
// belong to one that was made since, which nobody's token is for.
func TestSeenTooLate(t *testing.T) {
	st := newSpaceTest(t)
	st.see(0, "o-1", service("a", ""))
	st.want("before the namespace was read", map[string]string{})
	st.read("n-1")
	st.want("after it", map[string]string{"a": "n-1/a"})
	st.see(0, "o-2", service("b", ""))
	st.want("one more", map[string]string{"a": "n-1/a"})
	if !st.spaces["shop"].wantsCheck() {
		t.Error("nobody reads the namespace for the new object")
	}
	st.read("n-1")
	st.want("read again", map[string]string{"a": "n-1/a", "b": "n-1/b"})
	if st.spaces["shop"].wantsCheck() {
		t.Error("the namespace is read for nothing")
	}
	st.see(0, "o-3", service("b", ""))
	st.want("an object made again", map[string]string{"a": "n-1/a"})
	st.read("n-1")
	st.want("the same environment", map[string]string{"a": "n-1/a", "b": "n-1/b"})
}

// TestNamespaceMadeAgain: it is another project, and nothing of it goes by the
// old one's identity, whichever is seen first.
func TestNamespaceMadeAgain(t *testing.T) {
	st := newSpaceTest(t)
	st.see(0, "o-1", service("a", ""))
	st.see(0, "o-2", service("b", ""))
	st.read("n-1")
	before := st.found()["a"].Environment
	st.see(0, "o-3", service("a", "")) // in the new one, which is not known yet
	st.want("an object made again", map[string]string{"b": "n-1/b"})
	st.read("n-2")
	st.want("the namespace made again", map[string]string{"a": "n-2/a", "b": "n-2/b"})
	if after := st.found()["a"].Environment; after.Project == before.Project || before.Project.UID != "n-1" {
		t.Errorf("got the project %+v, and before it %+v", after.Project, before.Project)
	}
	st.read(http.StatusNotFound)
	st.want("gone", map[string]string{})
	st.read("n-3")
	st.want("and back", map[string]string{"a": "n-3/a", "b": "n-3/b"})
}

// TestUnchanged: what does not change for the gateway is not made again, and
// wakes nobody.
func TestUnchanged(t *testing.T) {
	st := newSpaceTest(t)
	if !st.see(0, "o-1", service("a", `promgate.io/headers: "X-A: b\nX-B: c"`)) {
		t.Error("a new object is not published")
	}
	st.see(0, "o-2", manifest("", "", onePort))
	st.read("n-1")
	before := st.found()["a"].Environment
	st.read("n-1")
	for what, object := range map[string]string{
		"nothing":    service("a", `promgate.io/headers: "X-A: b\nX-B: c"`),
		"its order":  service("a", `promgate.io/headers: "X-B: c\nX-A: b"`),
		"a status":   strings.TrimSuffix(service("a", `promgate.io/headers: "X-A: b\nX-B: c", example.com/a: b`), "}") + `, status: {loadBalancer: {}}}`,
		"a version":  strings.Replace(service("a", `promgate.io/headers: "X-A: b\nX-B: c"`), "{name: a,", "{name: a, resourceVersion: '7',", 1),
		"its target": strings.Replace(service("a", `promgate.io/headers: "X-A: b\nX-B: c"`), "port: 9090", "port: 9090, targetPort: 1", 1),
	} {
		if st.see(0, "o-1", object) {
			t.Errorf("%s changed, and it is published", what)
		}
	}
	if st.see(0, "o-2", manifest("", "", twoPorts)) {
		t.Error("an object that makes no environment is published")
	}
	if after := st.found()["a"].Environment; after != before || after == nil {
		t.Errorf("got %p, and before %p", after, before)
	}
	if !st.see(0, "o-1", service("a", `promgate.io/allow-post: "true"`)) {
		t.Error("a change is not published")
	}
	if after := st.found()["a"].Environment; after == before || after.UID != before.UID || after.Project != before.Project || !after.AllowPost || before.AllowPost {
		t.Errorf("got %+v, and before %+v", after, before)
	}
	if !st.see(0, "o-1", service("a", `promgate.io/allow: none`)) || st.found()["a"].Cause != routing.CauseInvalid {
		t.Errorf("got %+v", st.found()["a"])
	}
	if st.see(0, "o-1", service("a", `promgate.io/allow: none`)) {
		t.Error("the same fault is published twice")
	}
}

// TestSharedService: of two Prometheus objects behind one Service neither is
// served, for each would get answers of the other.
func TestSharedService(t *testing.T) {
	st := newSpaceTest(t)
	prometheus := func(name, spec string) string {
		return `{metadata: {name: ` + name + `, namespace: shop}, spec: ` + spec + `}`
	}
	st.see(1, "o-1", prometheus("a", `{}`))
	st.read("n-1")
	st.want("one", map[string]string{"a": "n-1/a"})
	before := st.found()["a"].Environment
	conflict := func(rival string) string {
		return "the Service prometheus-operated stands for Prometheus " + rival + " as well, and either might answer; " +
			"set spec.serviceName, or label a Service of its own instead"
	}
	st.see(1, "o-2", prometheus("b", `{portName: http}`))
	if c := st.found()["a"]; len(st.found()) != 1 || c.Reason != conflict("b") || c.Cause != routing.CauseConflict {
		t.Errorf("a rival that nobody counts yet: got %+v", c)
	}
	st.read("n-1")
	st.want("two", map[string]string{"a": conflict("b"), "b": conflict("a")})
	st.see(1, "o-3", prometheus("c", `{shards: 1}`))
	st.read("n-1")
	for range 20 { // a reason that changes by itself would be told again and again
		st.want("three", map[string]string{"a": conflict("b"), "b": conflict("a"), "c": conflict("a")})
	}
	st.miss(1, prometheus("c", `{}`))
	if !st.see(1, "o-2", prometheus("b", `{serviceName: own}`)) {
		t.Error("the way out of the conflict is not published")
	}
	st.want("each its own", map[string]string{"a": "n-1/a", "b": "n-1/b"})
	if st.found()["a"].Environment != before {
		t.Error("the environment is made again for a rival that came and went")
	}
	// A label on the Service says which is meant, whatever else leads there.
	st.see(0, "o-4", strings.Replace(service("labelled", ""), "{name: labelled", "{name: prometheus-operated", 1))
	st.read("n-1")
	st.want("a label", map[string]string{"a": "n-1/a", "b": "n-1/b", "labelled": "n-1/labelled"})
	st.see(1, "o-2", prometheus("b", `{}`))
	st.want("a label beside a conflict", map[string]string{"a": conflict("b"), "b": conflict("a"), "labelled": "n-1/labelled"})
}

// TestNoProject: a namespace that is not selected, or of which nothing is known
// yet, has nothing.
func TestNoProject(t *testing.T) {
	st := newSpaceTest(t)
	st.see(0, "o-1", service("a", ""))
	st.read(http.StatusInternalServerError)
	st.want("not known", map[string]string{})
	if st.spaces["shop"].known() {
		t.Error("a namespace that could not be read is known")
	}
	st.read("n-1")
	st.want("known", map[string]string{"a": "n-1/a"})
	st.read(http.StatusInternalServerError)
	st.want("it cannot be read for a while", map[string]string{"a": "n-1/a"})
	st.deselectSpace("shop")
	st.want("deselected", map[string]string{})
	st.selectSpace(&object{ObjectMeta: metav1.ObjectMeta{Name: "shop", UID: "n-2"}})
	st.want("selected, not read", map[string]string{})
	st.read("n-2")
	st.want("selected", map[string]string{"a": "n-2/a"})
}

// TestUnreadableNamespace: without the UID nothing new can be told to belong to
// anybody, and everybody is told why.
func TestUnreadableNamespace(t *testing.T) {
	const reason = "the namespace's UID, which is the project's identity, cannot be read; grant the gateway get on the namespace"
	st := newSpaceTest(t)
	st.see(0, "o-1", service("a", ""))
	st.read(http.StatusForbidden)
	st.want("never read", map[string]string{"a": reason})
	if c := st.found()["a"]; c.Cause != routing.CauseInvalid || !st.spaces["shop"].known() {
		t.Errorf("got %+v", c)
	}
	st.read("n-1")
	st.want("granted", map[string]string{"a": "n-1/a"})
	before := st.found()["a"].Environment
	st.read(http.StatusForbidden)
	st.see(0, "o-2", service("b", `promgate.io/allow: admin, promgate.io/allow-post: "1"`))
	st.see(0, "o-3", service("c", ""))
	st.want("taken away: what is known stays", map[string]string{"a": "n-1/a", "c": reason,
		"b": `"admin" in promgate.io/allow is not known; write remoteRead, federate or both with a comma; also, ` +
			`promgate.io/allow-post is "1"; write true or false; also, ` + reason})
	if st.found()["a"].Environment != before {
		t.Error("the environment is made again")
	}
	problems := slices.DeleteFunc(st.Problems(), func(p Problem) bool {
		return p.Source != "namespaces" || p.Namespace != "shop" || p.Apply != st.cluster.discoveryRole(problemKey{"namespaces", "shop"}, sources)
	})
	if len(problems) != 1 {
		t.Errorf("got %+v", st.Problems())
	}
	st.read("n-1")
	if c := st.found(); c["c"].Environment == nil || c["b"].Reason == "" || strings.Contains(c["b"].Reason, "UID") || len(st.Problems()) > 0 {
		t.Errorf("granted again: got %+v", c)
	}
	st.see(0, "o-4", service("d", ""))
	if _, told := st.found()["d"]; told {
		t.Error("an object is told to be faulty that is only not looked at yet")
	}
	st.read(http.StatusForbidden)
	st.deselectSpace("shop")
	st.want("no matter of ours any more", map[string]string{})
}
