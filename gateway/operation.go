package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/gorilla/mux"

	"github.com/promgate/promgate/auth"
	"github.com/promgate/promgate/routing"
)

// apiPath is where the gateway's own API begins. docs/openapi.yaml describes it.
const apiPath = "/api/v1/"

// maxOperationBody bounds what an operation is sent, in bytes.
const maxOperationBody = 64 << 10

// Operation is one operation of the gateway's own API.
type Operation struct {
	// Name is what log and metrics call it.
	Name   string
	Method string
	// Path is the one below /api/v1/, with names in braces: projects/{project}.
	// Such a name is a DNS label, but for {token} and {dashboard}, which are for
	// the operation to check.
	Path string
	// Public operations look at the request's credentials themselves, if at all.
	Public bool
	// Do answers. An error that is an *Error goes to the client as it stands.
	Do func(context.Context, *Call) (*Reply, error)
}

// Call is a request for an operation.
type Call struct {
	// Identity is who calls, and Credential what goes upstream where callers' own
	// do; both are empty for a public operation.
	Identity   *auth.Identity
	Credential auth.Credential
	// Names are those of the path.
	Names map[string]string
	// Request is what the client sent. Its body is read by Body.
	Request *http.Request
	// Client is the client's address, as far as trusted proxies tell.
	Client   string
	exchange *exchange
	patience time.Duration // for the body
}

// Reply is what an operation answers.
type Reply struct {
	// Status is that of the answer; 0: 200.
	Status int
	// Body is sent as JSON, or as it is where it is Text. Nil: nothing.
	Body any
	// Header is added to the answer's.
	Header http.Header
}

// Text is a body of its own media type.
type Text struct {
	Type    string
	Content []byte
}

// Seen notes for the log who it turned out to be that calls.
func (c *Call) Seen(p auth.Principal) { c.exchange.principal = p }

// Body reads the request's JSON into a struct. What the struct does not know is
// refused, for it may be a misspelt wish.
func (c *Call) Body(into any) error {
	r := c.Request
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return &Error{
			Status: http.StatusUnsupportedMediaType, Type: typeBadData,
			Message: "send the body as JSON, with Content-Type: application/json",
		}
	}
	control := http.NewResponseController(c.exchange.ResponseWriter)
	_ = control.SetReadDeadline(time.Now().Add(c.patience))
	raw, err := io.ReadAll(http.MaxBytesReader(c.exchange, r.Body, maxOperationBody))
	_ = control.SetReadDeadline(time.Time{})
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return &Error{
			Status: http.StatusRequestEntityTooLarge, Type: typeBadData, Cause: err,
			Message: fmt.Sprintf("the body is larger than %d bytes", maxOperationBody),
		}
	case err != nil:
		return &Error{Status: http.StatusBadRequest, Type: typeBadData, Cause: err, Message: "the body did not arrive whole: send it again"}
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return badJSON(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return badData("the body holds more than one JSON value: send one")
	}
	return nil
}

// badJSON says what is wrong without quoting values: they may be secret.
func badJSON(err error) error {
	message := "the body is no JSON of the form that docs/openapi.yaml describes"
	var wrongType *json.UnmarshalTypeError
	if errors.As(err, &wrongType) && wrongType.Field != "" {
		message = fmt.Sprintf("the body's %s has the wrong type: docs/openapi.yaml tells which one it takes", shorten(wrongType.Field, 60))
	}
	return badData(message)
}

// operations are those of one path, by method.
type operations map[string]*operation

// operation is one with the name that log and metrics know.
type operation struct {
	Operation
	endpoint *Endpoint
}

// mountAPI adds the operations to the router.
func (g *Gateway) mountAPI(all []Operation) {
	g.api = map[string]operations{}
	for _, o := range all {
		path := apiPath + o.Path
		if g.api[path] == nil {
			g.api[path] = operations{}
			g.router.Path(path).Name(path)
		}
		g.api[path][o.Method] = &operation{o, &Endpoint{Name: o.Name, Methods: []string{o.Method}}}
	}
}

// methods are those of the path, in order.
func (all operations) methods() []string {
	var names []string
	for m := range all {
		names = append(names, m)
	}
	slices.Sort(names)
	return names
}

// routeOperation finds the operation of a path and serves it.
func (g *Gateway) routeOperation(x *exchange, r *http.Request) error {
	var match mux.RouteMatch
	if !g.router.Match(r, &match) {
		return errNoRoute
	}
	return g.operate(x, r, &match, g.api[match.Route.GetName()])
}

// operate serves an operation.
func (g *Gateway) operate(x *exchange, r *http.Request, match *mux.RouteMatch, all operations) error {
	for name, value := range match.Vars {
		if name != "token" && name != "dashboard" && !isDNSLabel(value) {
			return errNoRoute
		}
	}
	o := all[r.Method]
	if o == nil {
		return methodError(all.methods(), r.Method)
	}
	x.endpoint = o.endpoint
	call := g.newCall(x, r, match.Vars)
	if !o.Public {
		var err error
		if call.Identity, call.Credential, err = g.authenticate(x, r); err != nil {
			return err
		}
	}
	return g.do(x, r, o, call)
}

func (g *Gateway) newCall(x *exchange, r *http.Request, names map[string]string) *Call {
	return &Call{Names: names, Request: r, Client: g.clientAddress(r), exchange: x, patience: g.limits.Load().RequestBodyTimeout}
}

// do has the operation answer.
func (g *Gateway) do(x *exchange, r *http.Request, o *operation, call *Call) error {
	ctx, cancel := context.WithTimeout(r.Context(), g.limits.Load().RequestTimeout)
	defer cancel()
	reply, err := o.Do(ctx, call)
	if err != nil {
		return apiError(err)
	}
	return g.reply(x, r, reply)
}

// apiError makes the answer of errors that mean the same everywhere.
func apiError(err error) error {
	var e *Error
	if !errors.As(err, &e) && (errors.Is(err, auth.ErrInvalid) || errors.Is(err, auth.ErrUnavailable) || errors.Is(err, auth.ErrMissing)) {
		return credentialError(err)
	}
	return err
}

func (g *Gateway) reply(x *exchange, r *http.Request, reply *Reply) error {
	h := x.Header()
	for name, values := range reply.Header {
		h[name] = append(h[name], values...)
	}
	var body []byte
	switch content := reply.Body.(type) {
	case nil:
	case Text:
		h.Set("Content-Type", content.Type)
		body = content.Content
	default:
		var err error
		if body, err = json.Marshal(content); err != nil {
			return err
		}
		h.Set("Content-Type", "application/json")
	}
	status := reply.Status
	if status == 0 {
		status = http.StatusOK
	}
	if status != http.StatusNotModified {
		h.Set("Content-Length", strconv.Itoa(len(body)))
	}
	boundRest(x, r)
	x.WriteHeader(status)
	if r.Method == http.MethodHead || len(body) == 0 {
		return nil
	}
	if _, err := x.Write(body); err != nil {
		return &Error{Status: statusClientGone, Type: typeCanceled, Message: "the client went away", Cause: err}
	}
	return nil
}

// Queryable tells of each environment whether the caller may query it. The error
// is an *Error, or the context's.
func Queryable(ctx context.Context, id *auth.Identity, all []*routing.Environment) ([]bool, error) {
	return queryable(ctx, id, all)
}

// Find returns an environment that the caller may query. The *Error is the same
// for one that they may not query and for one that does not exist.
func (g *Gateway) Find(ctx context.Context, id *auth.Identity, project, environment string) (*routing.Environment, error) {
	env, found := g.routes.Load().Lookup(project, environment)
	if !found {
		env = &routing.Environment{Project: &routing.Project{}, Target: &routing.Target{}}
	}
	// Asked also where there is none, so that a bad credential is told apart.
	open, err := queryable(ctx, id, []*routing.Environment{env})
	switch {
	case err != nil:
		return nil, err
	case !found || !open[0]:
		return nil, errNotYours
	}
	return env, nil
}

// Budget is what may be asked of an environment.
func (g *Gateway) Budget(e *routing.Environment) Budget { return g.limits.Load().budget(e) }
