package perses

import (
	"bytes"
	"encoding/json"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"weak"
)

// metadata is Perses'. Project and Tags are those of kinds that have them.
type metadata struct {
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
	Version   uint64    `json:"version"`
	Project   string    `json:"project,omitempty"`
	Tags      []string  `json:"tags,omitempty"`
}

func metadataOf(o *Object) metadata {
	m := metadata{Name: o.Name, CreatedAt: o.Created, UpdatedAt: o.Updated, Version: o.Version, Project: o.Namespace}
	if o.Kind == Dashboards {
		m.Tags = o.Tags
	}
	return m
}

// shape is what of an object's answer is the same for every viewer.
type shape struct {
	// head is the JSON up to the spec.
	head []byte
	// spec is a dashboard's or folder's, without the dashboard's own data sources
	// and, where it has some, without its last brace.
	spec []byte
	// local are a dashboard's own data sources, by name.
	local []localSource
	// source is what a data source's object says. Nil: it is none.
	source *source
}

// localSource is a data source in a dashboard.
type localSource struct {
	name string
	*source
}

// shapes keeps the shapes of objects for as long as there are the objects. The
// zero value is ready.
type shapes struct{ known sync.Map } // from weak.Pointer[Object] to *shape

// shape returns an object's. keep tells that the object stays for more than this
// request.
func (s *shapes) shape(o *Object, keep bool) *shape {
	if !keep {
		return newShape(o)
	}
	key := weak.Make(o)
	if known, found := s.known.Load(key); found {
		return known.(*shape)
	}
	made := newShape(o)
	if _, raced := s.known.LoadOrStore(key, made); !raced {
		runtime.AddCleanup(o, func(key weak.Pointer[Object]) { s.known.Delete(key) }, key)
	}
	return made
}

func newShape(o *Object) *shape {
	made := &shape{head: newHead(o)}
	switch o.Kind {
	case Dashboards:
		made.spec, made.local = splitDashboard(o.Spec)
	case Datasources, GlobalDatasources:
		made.source = newSource(o.Spec, o.Environment)
	default:
		made.spec = namedOnce(o.Spec)
	}
	return made
}

// newHead writes what comes before an object's spec. Lists are long, so it is
// written by hand; names of objects need no escapes.
func newHead(o *Object) []byte {
	m := metadataOf(o)
	b := make([]byte, 0, 256)
	b = append(append(b, `{"kind":"`...), o.Kind.Name...)
	b = append(append(b, `","metadata":{"name":"`...), m.Name...)
	b = m.CreatedAt.AppendFormat(append(b, `","createdAt":"`...), time.RFC3339Nano)
	b = m.UpdatedAt.AppendFormat(append(b, `","updatedAt":"`...), time.RFC3339Nano)
	b = strconv.AppendUint(append(b, `","version":`...), m.Version, 10)
	if m.Project != "" {
		b = append(append(append(b, `,"project":"`...), m.Project...), '"')
	}
	if len(m.Tags) > 0 {
		b = append(append(b, `,"tags":`...), mustJSON(m.Tags)...)
	}
	return append(b, `},"spec":`...)
}

// dashboardSources is the member of a dashboard's spec that holds its own data
// sources. It is compared as the most lenient of clients does, in any case, so
// that nothing passes by another spelling.
const dashboardSources = "datasources"

var foldedSources = []byte(dashboardSources)

// splitDashboard takes the data sources out of a dashboard's spec. A spec that is
// no JSON object is not handed on.
func splitDashboard(spec []byte) ([]byte, []localSource) {
	var taken []member
	whole := eachMember(spec, func(m member) {
		if bytes.EqualFold(m.key, foldedSources) {
			taken = append(taken, m)
		}
	})
	switch {
	case !whole:
		return []byte(`{}`), nil
	case len(taken) == 0:
		return spec, nil
	}
	rest := []byte{'{'}
	eachMember(spec, func(m member) {
		if bytes.EqualFold(m.key, foldedSources) {
			return
		}
		if len(rest) > 1 {
			rest = append(rest, ',')
		}
		rest = append(rest, spec[m.start:m.end]...)
	})
	all := map[string]json.RawMessage{}
	for _, m := range taken {
		if string(m.key) == dashboardSources && json.Unmarshal(spec[m.value:m.end], &all) != nil {
			all = nil // of another form: there are none
		}
	}
	local := make([]localSource, 0, len(all))
	for name, spec := range all {
		s := &source{problem: malformed}
		if isPersesName(name) {
			s = newSource(spec, "")
		}
		local = append(local, localSource{name, s})
	}
	slices.SortFunc(local, func(a, b localSource) int { return strings.Compare(a.name, b.name) })
	return rest, local
}
