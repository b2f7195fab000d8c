package perses

import (
	"context"
	"sync"

	"github.com/promgate/promgate/gateway"
	"github.com/promgate/promgate/routing"
)

// sources finds out which data sources a viewer sees. Those of one request are
// looked up first, and decided on at once.
type sources struct {
	api    *API
	index  *environmentIndex
	found  map[*source]*routing.Environment
	asked  []*routing.Environment
	opened map[*routing.Environment]bool
	// of are the objects that have them.
	of []shapedObject
}

func (a *API) newSources() *sources {
	return &sources{
		api: a, index: a.environments(), found: map[*source]*routing.Environment{}, opened: map[*routing.Environment]bool{},
	}
}

// add looks up all data sources of an object.
func (s *sources) add(o *Object, has *shape) {
	if has.source != nil {
		s.look(o, "", has.source)
	}
	for _, l := range has.local {
		s.look(o, l.name, l.source)
	}
}

func (s *sources) look(o *Object, local string, from *source) {
	e := s.index.find(from, o.Namespace)
	if e == nil {
		s.api.tellHidden(o, local, why(from))
		return
	}
	s.found[from] = e
	if _, asked := s.opened[e]; !asked {
		s.opened[e] = false
		s.asked = append(s.asked, e)
	}
}

// decide asks which of the environments the viewer may query.
func (s *sources) decide(ctx context.Context, v Viewer) error {
	if len(s.asked) == 0 {
		return nil
	}
	open, err := gateway.Queryable(ctx, v.Identity, s.asked)
	if err != nil {
		return err
	}
	for i, e := range s.asked {
		s.opened[e] = open[i]
	}
	s.asked = nil
	return nil
}

// environment is where a data source leads the viewer. Nil: nowhere.
func (s *sources) environment(from *source) *routing.Environment {
	if e := s.found[from]; e != nil && s.opened[e] {
		return e
	}
	return nil
}

// spec is a data source's for the viewer. Nil: it is hidden.
func (s *sources) spec(from *source) []byte {
	e := s.environment(from)
	if e == nil {
		return nil
	}
	return from.rewritten(s.api.Gateway.EnvironmentURL(e))
}

// why tells why a data source is hidden. What leads to an environment that the
// viewer may not query, and what leads to none, have the same reason.
func why(from *source) reason {
	if from.problem != "" {
		return from.problem
	}
	return noEnvironment
}

// mostTold bounds what is remembered of what the log was told.
const mostTold = 50000

// hiddenLog remembers what was told, so that nothing is told twice.
type hiddenLog struct {
	mu   sync.Mutex
	told map[hiddenSource]toldOf
}

// hiddenSource names a data source: an object's own, or one in a dashboard.
type hiddenSource struct {
	kind                   *Kind
	namespace, name, local string
}

// toldOf is what was told of it.
type toldOf struct {
	revision string
	reason   reason
}

// first tells whether this is news.
func (h *hiddenLog) first(s hiddenSource, of toldOf) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.told[s] == of {
		return false
	}
	if h.told == nil || len(h.told) >= mostTold {
		h.told = map[hiddenSource]toldOf{}
	}
	h.told[s] = of
	return true
}

// tellHidden tells log and metric of a data source that is hidden from everybody.
func (a *API) tellHidden(o *Object, local string, because reason) {
	if !a.hidden.first(hiddenSource{o.Kind, o.Namespace, o.Name, local}, toldOf{o.Revision, because}) {
		return
	}
	a.OnHidden(o.Kind.Object, string(because))
	attrs := []any{"kind", o.Kind.Object, "name", o.Name, "reason", sentences[because]}
	if o.Namespace != "" {
		attrs = append(attrs, "namespace", o.Namespace)
	}
	if local != "" {
		attrs = append(attrs, "datasource", local)
	}
	a.Logger.Warn("a data source of Perses is hidden", attrs...)
}
