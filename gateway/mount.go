package gateway

import (
	"context"
	"net/http"
	"strings"

	"github.com/gorilla/mux"

	"github.com/promgate/promgate/routing"
)

// Mount is an API in the words of another program, below a path of its own. It
// only reads: every other method is refused in one place, before routing.
type Mount struct {
	// Path is where it stands, such as /perses.
	Path string
	// Operations are its routes. Their Path is below the mount's and begins with a
	// slash; names in braces are for the operation to check. HEAD is answered as
	// GET is. A Public one needs no credential; one that is sent in a header is
	// authenticated all the same.
	Operations []Operation
	// Data are the routes that lead on to environments.
	Data []DataRoute
	// Harmless are the paths that take POST although they are no data route: what
	// is sent there changes nothing.
	Harmless []string
}

// DataRoute is a path below which an environment's read API stands, as it does
// below the environment's own URL.
type DataRoute struct {
	// Path is below the mount's, with names in braces.
	Path string
	// Choose names the environment, from the caller's names in the path. Whether
	// the caller may query it is decided after, as for every request.
	Choose func(context.Context, *Call) (*routing.Environment, error)
}

// mount is one with its router.
type mount struct {
	path     string
	router   *mux.Router
	api      map[string]operations
	data     map[string]DataRoute
	harmless map[string]bool
}

// endpointOf stands in the path of data routes for the endpoint's own.
const endpointOf = "/{endpoint:.+}"

func newMount(m *Mount) *mount {
	made := &mount{
		path: m.Path, router: mux.NewRouter().UseEncodedPath().SkipClean(true),
		api: map[string]operations{}, data: map[string]DataRoute{}, harmless: map[string]bool{},
	}
	for _, o := range m.Operations {
		made.add(o)
	}
	for _, d := range m.Data {
		name := m.Path + d.Path + endpointOf
		made.data[name] = d
		made.router.Path(name).Name(name)
	}
	for _, path := range m.Harmless {
		made.harmless[m.Path+path] = true
	}
	return made
}

func (m *mount) add(o Operation) {
	name := m.path + o.Path
	if m.api[name] == nil {
		m.api[name] = operations{}
		m.router.Path(name).Name(name)
	}
	known := &operation{o, &Endpoint{Name: o.Name, Methods: []string{o.Method}}}
	m.api[name][o.Method] = known
	if o.Method == http.MethodGet {
		m.api[name][http.MethodHead] = known
	}
}

// holds tells whether the path is the mount's.
func (m *mount) holds(path string) bool {
	return m != nil && strings.HasPrefix(path, m.path) && (len(path) == len(m.path) || path[len(m.path)] == '/')
}

// errReadOnly is the one answer to every wish to change something, in the words
// that the mount's clients know.
var errReadOnly = &Error{Status: http.StatusMethodNotAllowed, Type: typeMethod, Message: "Method Not Allowed", Allow: "GET, HEAD"}

// errNoDocument answers for what is not there, or is not for the caller.
var errNoDocument = &Error{Status: http.StatusNotFound, Type: typeNotFound, Message: "document not found"}

// mayPost tells whether a POST to the path changes nothing: it is harmless, or a
// question to an environment, whose own endpoints decide further.
func (m *mount) mayPost(path string, match *mux.RouteMatch) bool {
	_, question := m.data[match.Route.GetName()]
	return m.harmless[path] || question
}

// serveMount serves what is below the mount's path.
func (g *Gateway) serveMount(x *exchange, r *http.Request) error {
	m := g.mount
	x.plain = true
	var match mux.RouteMatch
	found := isCanonical(r) && m.router.Match(r, &match)
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case !reads && (r.Method != http.MethodPost || !found || !m.mayPost(r.URL.Path, &match)):
		return errReadOnly
	case !found:
		return errNoDocument
	}
	if d, found := m.data[match.Route.GetName()]; found {
		return g.serveData(x, r, d, match.Vars)
	}
	o := m.api[match.Route.GetName()][r.Method]
	if o == nil {
		return errReadOnly
	}
	x.endpoint = o.endpoint
	call := g.newCall(x, r, match.Vars)
	if !o.Public || len(r.Header["Authorization"]) > 0 {
		var err error
		if call.Identity, call.Credential, err = g.authenticate(x, r); err != nil {
			return err
		}
	}
	return g.do(x, r, o, call)
}

// serveData serves a question to the environment that the route leads to. From
// there on it is a request like every other, and is answered in the same words.
func (g *Gateway) serveData(x *exchange, r *http.Request, d DataRoute, names map[string]string) error {
	e, label := g.endpoints.find(names["endpoint"])
	if e == nil {
		return errNoDocument
	}
	x.endpoint = e
	if !allows(e.Methods, r.Method) {
		return methodError(e.Methods, r.Method)
	}
	id, credential, err := g.authenticate(x, r)
	if err != nil {
		return err
	}
	call := g.newCall(x, r, names)
	call.Identity, call.Credential = id, credential
	choosing, cancel := context.WithTimeout(r.Context(), g.limits.Load().RequestTimeout)
	defer cancel()
	env, err := d.Choose(choosing, call)
	if err != nil {
		return apiError(err)
	}
	x.plain = false
	return g.serveAs(x, r, e, place{env.Project.Name, env.Name, label}, id, credential)
}
