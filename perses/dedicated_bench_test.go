package perses

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/promgate/promgate/auth"
)

// manyDashboards are 5,000 of 4 KB each.
func manyDashboards(namespaces int) []*unstructured.Unstructured {
	all := make([]*unstructured.Unstructured, 0, 5000)
	for i := range cap(all) {
		u := fakeObject(Dashboards, fmt.Sprintf("shop-%04d/dashboard-%04d", i%namespaces, i), 1)
		config := u.Object["spec"].(map[string]any)["config"].(map[string]any)
		config["panels"] = strings.Repeat("p", 4<<10)
		all = append(all, u)
	}
	return all
}

// BenchmarkDedicatedList lists 5,000 dashboards of 4 KB, in one namespace and in
// many, for somebody with grants and for somebody whose rights RBAC keeps.
func BenchmarkDedicatedList(b *testing.B) {
	for _, namespaces := range []int{1, 50, 2000} {
		w := newDedicatedWorld(b)
		w.scope = nil
		var uids, rights []string
		for i := range namespaces {
			namespace := fmt.Sprintf("shop-%04d", i)
			w.scope = append(w.scope, namespace)
			uids = append(uids, "uid-of-"+namespace)
			rights = append(rights, "list persesdashboards "+namespace)
		}
		w.follow(Dashboards, "").Replace(manyDashboards(namespaces), "7", time.Now())
		everywhere, _ := ruled("list persesdashboards")
		byNamespace, _ := ruled(rights...)
		byNamespace.Identity = &auth.Identity{Principal: byNamespace.Identity.Principal, Access: &indexedAccess{rights: setOf(rights)}}
		everywhere.Identity = &auth.Identity{Principal: everywhere.Identity.Principal, Access: &indexedAccess{rights: setOf([]string{"list persesdashboards "})}}
		for name, v := range map[string]Viewer{"grants": local(uids...), "RBAC everywhere": everywhere, "RBAC by namespace": byNamespace} {
			b.Run(fmt.Sprintf("%s/namespaces=%d", name, namespaces), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if l, err := w.List(b.Context(), v, Dashboards, ""); err != nil || len(l.Objects) != 5000 {
						b.Fatal(l, err)
					}
				}
			})
		}
	}
}

// BenchmarkFollowed is what it costs to take in 5,000 dashboards, and one change.
func BenchmarkFollowed(b *testing.B) {
	w := newDedicatedWorld(b)
	w.scope = []string{"shop-0000"}
	f, all := w.follow(Dashboards, ""), manyDashboards(1)
	b.Run("all", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			f.Replace(all, "7", time.Now())
		}
	})
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			f.Put(all[2500], time.Now())
		}
	})
}

// indexedAccess answers at once, as from memory.
type indexedAccess struct {
	auth.Access
	rights map[string]bool
}

func setOf(words []string) map[string]bool {
	set := make(map[string]bool, len(words))
	for _, w := range words {
		set[w] = true
	}
	return set
}

// May implements auth.Access.
func (a *indexedAccess) May(_ context.Context, actions []auth.Action) ([]bool, error) {
	may := make([]bool, len(actions))
	for i, action := range actions {
		what := action.Verb + " " + action.Resource + " "
		may[i] = a.rights[what] || a.rights[what+action.Namespace]
	}
	return may, nil
}
